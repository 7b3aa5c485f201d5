/* CRC-32 as zlib's, 64 bytes at a time where the machine multiplies without carry (PCLMULQDQ), which is asked at run time.
 * Elsewhere has_clmul() is 0, and zlib's own is used.
 *
 * The method is that of "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009), whose
 * constants for the reflected polynomial are here. Nothing here reads outside [p, p + n), allocates, or knows Python.
 */
#ifndef ESL_CRC_H
#define ESL_CRC_H

#include <stddef.h>
#include <stdint.h>

#if defined(ESL_SCALAR)
#define has_clmul() 0
#elif (defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))) || (defined(_M_X64) && defined(_MSC_VER))
#include <emmintrin.h>
#include <wmmintrin.h>
#define ESL_CLMUL 1
#if defined(_MSC_VER)
#include <intrin.h>
#define WITH_CLMUL
static int has_clmul(void) {
    int id[4];
    __cpuid(id, 1);
    return (id[2] & 2) != 0;
}
#else
#define WITH_CLMUL __attribute__((target("pclmul")))
static int has_clmul(void) { return __builtin_cpu_supports("pclmul") != 0; }
#endif
#else
#define has_clmul() 0
#endif

#ifdef ESL_CLMUL
static uint32_t crc_table[256];

static void crc_prepare(void) { /* once, at the import */
    uint32_t byte, crc;
    int bit;
    for (byte = 0; byte < 256; byte++) {
        for (crc = byte, bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        crc_table[byte] = crc;
    }
}

#define LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define LOW(a, k) _mm_clmulepi64_si128(a, k, 0x00)
#define HIGH(a, k) _mm_clmulepi64_si128(a, k, 0x11)
#define FOLD(a, k, b) _mm_xor_si128(_mm_xor_si128(LOW(a, k), HIGH(a, k)), b)

/* The crc of n bytes, at least 64 and a multiple of 16; both crcs are those before the last inversion. */
WITH_CLMUL static uint32_t crc_fold(const unsigned char *p, size_t n, uint32_t crc) {
    const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4), by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by_8 = _mm_set_epi64x(0, 0x0163cd6124), barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low_32 = _mm_setr_epi32(-1, 0, -1, 0);
    __m128i a = _mm_xor_si128(LOAD(p), _mm_cvtsi32_si128((int)crc)), b = LOAD(p + 16), c = LOAD(p + 32), d = LOAD(p + 48);
    for (p += 64, n -= 64; n >= 64; p += 64, n -= 64) {
        a = FOLD(a, by_64, LOAD(p));
        b = FOLD(b, by_64, LOAD(p + 16));
        c = FOLD(c, by_64, LOAD(p + 32));
        d = FOLD(d, by_64, LOAD(p + 48));
    }
    a = FOLD(a, by_16, b);
    a = FOLD(a, by_16, c);
    a = FOLD(a, by_16, d);
    for (; n >= 16; p += 16, n -= 16) a = FOLD(a, by_16, LOAD(p));
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_16, 0x10));
    a = _mm_xor_si128(_mm_srli_si128(a, 4), LOW(_mm_and_si128(a, low_32), by_8));
    b = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low_32), barrett, 0x10), low_32);
    a = _mm_xor_si128(a, LOW(b, barrett));
    return (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(a, 4));
}

#undef LOAD
#undef LOW
#undef HIGH
#undef FOLD

static uint32_t crc_of(const unsigned char *p, size_t n, uint32_t crc) {
    crc = ~crc;
    if (n >= 64) {
        size_t wide = n & ~(size_t)15;
        crc = crc_fold(p, wide, crc);
        p += wide;
        n -= wide;
    }
    for (; n; n--) crc = crc_table[(crc ^ *p++) & 255] ^ crc >> 8;
    return ~crc;
}
#else
static void crc_prepare(void) {}
static uint32_t crc_of(const unsigned char *p, size_t n, uint32_t crc) { (void)p, (void)n; return crc; } /* never called */
#endif

#endif
