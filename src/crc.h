/* CRC-32 as zlib has it, 64 bytes a turn by carry-less multiplication (V. Gopal et al., "Fast CRC Computation for
 * Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009), where the machine has it, which is asked at run time
 * (ESL_SCALAR, ESL_NO_CLMUL: never). Elsewhere the caller takes zlib's own.
 */
#ifndef ESL_CRC_H
#define ESL_CRC_H

#include <stddef.h>
#include <stdint.h>

#define CRC_TURN 64 /* bytes at least that crc_by_turns takes */

#if defined(ESL_SCALAR) || defined(ESL_NO_CLMUL)
#elif (defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))) || (defined(_M_X64) && defined(_MSC_VER))
#define ESL_CLMUL 1
#include <immintrin.h>
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
#endif

#ifdef ESL_CLMUL
/* What 16 bytes come to some distance on, with those that stand there. */
WITH_CLMUL static inline __m128i crc_fold(__m128i x, __m128i k, __m128i more) {
    __m128i low = _mm_clmulepi64_si128(x, k, 0x00), high = _mm_clmulepi64_si128(x, k, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), more);
}

static inline __m128i crc_load(const unsigned char *at) { return _mm_loadu_si128((const __m128i *)(const void *)at); }

/* The register of the CRC (not inverted) after `size` more bytes: CRC_TURN at least, a multiple of 16. */
WITH_CLMUL static uint32_t crc_by_turns(const unsigned char *at, size_t size, uint32_t crc) {
    const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by_8 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i polynomial = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i words = _mm_setr_epi32(-1, 0, -1, 0);
    __m128i a = _mm_xor_si128(crc_load(at), _mm_cvtsi32_si128((int)crc));
    __m128i b = crc_load(at + 16), c = crc_load(at + 32), d = crc_load(at + 48), x, y;
    for (at += 64, size -= 64; size >= 64; at += 64, size -= 64) {
        a = crc_fold(a, by_64, crc_load(at));
        b = crc_fold(b, by_64, crc_load(at + 16));
        c = crc_fold(c, by_64, crc_load(at + 32));
        d = crc_fold(d, by_64, crc_load(at + 48));
    }
    a = crc_fold(crc_fold(crc_fold(a, by_16, b), by_16, c), by_16, d);
    for (; size >= 16; at += 16, size -= 16) a = crc_fold(a, by_16, crc_load(at));
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_16, 0x10)); /* 64 bits are left */
    x = _mm_clmulepi64_si128(_mm_and_si128(a, words), by_8, 0x00);
    a = _mm_xor_si128(x, _mm_srli_si128(a, 4)); /* 32 bits, and then Barrett's reduction */
    x = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(a, words), polynomial, 0x10), words);
    y = _mm_clmulepi64_si128(x, polynomial, 0x00);
    return (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(_mm_xor_si128(a, y), 4));
}
#else
static int has_clmul(void) { return 0; }
static uint32_t crc_by_turns(const unsigned char *at, size_t size, uint32_t crc) {
    (void)at;
    (void)size;
    return crc;
}
#endif

#endif
