/* Searches over bytes for _codec_c.pyx, 16 at a time with SSE2 or NEON, one by one elsewhere (ESL_SCALAR forces that).
 *
 * Nothing here reads outside [p, p + n), allocates, or knows Python. A mask has one bit for each byte, MASK_STEP bits
 * apart, the first byte lowest.
 */
#ifndef ESL_SCAN_H
#define ESL_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(ESL_SCALAR)
#elif defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define ESL_SIMD 1
#define MASK_STEP 1
typedef __m128i bytes16;
static inline bytes16 load16(const char *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline bytes16 equal16(bytes16 a, char c) { return _mm_cmpeq_epi8(a, _mm_set1_epi8(c)); }
static inline bytes16 same16(bytes16 a, bytes16 b) { return _mm_cmpeq_epi8(a, b); }
static inline bytes16 and16(bytes16 a, bytes16 b) { return _mm_and_si128(a, b); }
static inline bytes16 or16(bytes16 a, bytes16 b) { return _mm_or_si128(a, b); }
static inline bytes16 add16(bytes16 a, bytes16 b) { return _mm_add_epi8(a, b); }
static inline bytes16 upto16(bytes16 a, char c) { return _mm_cmpeq_epi8(_mm_min_epu8(a, _mm_set1_epi8(c)), a); }
static inline bytes16 not_text16(bytes16 a) { return _mm_cmplt_epi8(a, _mm_set1_epi8(0x20)); } /* signed: also >= 0x80 */
static inline uint64_t mask16(bytes16 a) { return (uint64_t)(unsigned)_mm_movemask_epi8(a); }
#define MASK_FULL ((uint64_t)0xFFFF)
#elif defined(__aarch64__) && !defined(__AARCH64EB__) && (defined(__ARM_NEON) || defined(__ARM_NEON__))
#include <arm_neon.h>
#define ESL_SIMD 1
#define MASK_STEP 4
typedef uint8x16_t bytes16;
static inline bytes16 load16(const char *p) { return vld1q_u8((const uint8_t *)p); }
static inline bytes16 equal16(bytes16 a, char c) { return vceqq_u8(a, vdupq_n_u8((uint8_t)c)); }
static inline bytes16 same16(bytes16 a, bytes16 b) { return vceqq_u8(a, b); }
static inline bytes16 and16(bytes16 a, bytes16 b) { return vandq_u8(a, b); }
static inline bytes16 or16(bytes16 a, bytes16 b) { return vorrq_u8(a, b); }
static inline bytes16 add16(bytes16 a, bytes16 b) { return vaddq_u8(a, b); }
static inline bytes16 upto16(bytes16 a, char c) { return vcleq_u8(a, vdupq_n_u8((uint8_t)c)); }
static inline bytes16 not_text16(bytes16 a) { return vcltq_s8(vreinterpretq_s8_u8(a), vdupq_n_s8(0x20)); }
static inline uint64_t mask16(bytes16 a) {
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(a), 4)), 0) & 0x1111111111111111u;
}
#define MASK_FULL ((uint64_t)0x1111111111111111u)
#endif

#ifdef ESL_SIMD
static inline int any64(bytes16 a, bytes16 b, bytes16 c, bytes16 d) {
    return mask16(or16(or16(a, b), or16(c, d))) != 0;
}
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
static inline int low_bit(uint64_t mask) { unsigned long at; _BitScanForward64(&at, mask); return (int)at; }
#else
static inline int low_bit(uint64_t mask) { return __builtin_ctzll(mask); }
#endif
#endif

/* Where code happens to lie makes a search up to a seventh slower, if its loop straddles two lines of the cache. */
#if defined(__GNUC__)
#define LINE_ALIGNED __attribute__((aligned(64)))
#else
#define LINE_ALIGNED
#endif

/* Whether the line feed at p begins a blank line: LF LF or LF CR LF. */
static inline int is_blank(const char *p, const char *end) {
    return (end - p >= 2 && p[1] == '\n') || (end - p >= 3 && p[1] == '\r' && p[2] == '\n');
}

/* The line feed that begins the first blank line in [p, end), or NULL. */
static inline const char *find_blank(const char *p, const char *end) {
#ifdef ESL_SIMD
#define BLANKS16(p) and16(equal16(load16(p), '\n'), upto16(load16((p) + 1), '\r')) /* LF, and CR or LF or less */
    while (end - p >= 17) {
        uint64_t hits;
        for (; end - p >= 65; p += 64)
            if (any64(BLANKS16(p), BLANKS16(p + 16), BLANKS16(p + 32), BLANKS16(p + 48))) break;
        if (end - p < 17) break;
        hits = mask16(BLANKS16(p));
        for (; hits; hits &= hits - 1) {
            const char *at = p + low_bit(hits) / MASK_STEP;
            if (is_blank(at, end)) return at;
        }
        p += 16;
    }
#endif
    while (p < end && (p = (const char *)memchr(p, '\n', (size_t)(end - p)))) {
        if (is_blank(p, end)) return p;
        p++;
    }
    return NULL;
}

/* Whether a and b are equal but for ASCII case. */
static inline int folded_equal(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];
        if (x != y && ((x ^ y) != 0x20 || (unsigned char)((x | 0x20) - 'a') > 25)) return 0;
    }
    return 1;
}

/* The first line feed in [p, end) that has `name` and a colon behind it, or NULL; *folded, if it is NULL, is set to the
 * first that has them but for ASCII case. */
LINE_ALIGNED static inline const char *find_name(const char *p, const char *end, const char *name, size_t size,
                                    const char **folded) {
#ifdef ESL_SIMD
#define NAMES16(p) and16(equal16(load16(p), '\n'), equal16(load16((p) + 1 + size), ':'))
    while ((size_t)(end - p) >= size + 17) {
        uint64_t hits;
        for (; (size_t)(end - p) >= size + 65; p += 64)
            if (any64(NAMES16(p), NAMES16(p + 16), NAMES16(p + 32), NAMES16(p + 48))) break;
        if ((size_t)(end - p) < size + 17) break;
        hits = mask16(NAMES16(p));
        for (; hits; hits &= hits - 1) {
            const char *at = p + low_bit(hits) / MASK_STEP;
            if (memcmp(at + 1, name, size) == 0) return at;
            if (!*folded && folded_equal(at + 1, name, size)) *folded = at;
        }
        p += 16;
    }
#endif
    while (p < end && (p = (const char *)memchr(p, '\n', (size_t)(end - p)))) {
        if ((size_t)(end - p) < size + 2) return NULL;
        if (p[1 + size] == ':') {
            if (memcmp(p + 1, name, size) == 0) return p;
            if (!*folded && folded_equal(p + 1, name, size)) *folded = p;
        }
        p++;
    }
    return NULL;
}

/* How often `byte` stands in [p, end). */
static inline size_t count_byte(const char *p, const char *end, char byte) {
    size_t count = 0;
#ifdef ESL_SIMD
    while (end - p >= 16) {
        uint8_t counts[16]; /* of each lane, up to 255 */
        size_t left = (size_t)(end - p) / 16, i;
        bytes16 sums = equal16(load16(p), byte); /* 0 or -1 in each */
        if (left > 255) left = 255;
        for (i = 1; i < left; i++) sums = add16(sums, equal16(load16(p + 16 * i), byte));
        memcpy(counts, &sums, 16);
        for (i = 0; i < 16; i++) count += (uint8_t)(0 - counts[i]);
        p += 16 * left;
    }
#endif
    for (; p < end; p++) count += *p == byte;
    return count;
}

/* Whether a and b are equal; they are short. */
static inline int same_bytes(const char *a, const char *b, size_t n) {
#ifdef ESL_SIMD
#define SAME16(a, b, i) same16(load16((a) + (i)), load16((b) + (i)))
    size_t i = 0;
    if (n >= 32) {
        for (; i + 32 < n; i += 32)
            if (mask16(and16(SAME16(a, b, i), SAME16(a, b, i + 16))) != MASK_FULL) return 0;
        return mask16(and16(SAME16(a, b, n - 32), SAME16(a, b, n - 16))) == MASK_FULL;
    }
    if (n >= 16) return mask16(and16(SAME16(a, b, 0), SAME16(a, b, n - 16))) == MASK_FULL;
#endif
    return memcmp(a, b, n) == 0;
}

/* The first line feed in [p, end), which is short, or the end. */
static inline const char *find_feed(const char *p, const char *end) {
#ifdef ESL_SIMD
    for (; end - p >= 16; p += 16) {
        uint64_t hits = mask16(equal16(load16(p), '\n'));
        if (hits) return p + low_bit(hits) / MASK_STEP;
    }
#endif
    while (p < end && *p != '\n') p++;
    return p;
}

/* Which bytes a value has that keep it from being copied as it stands: 1 a percent sign, 2 one above 0x7F. */
static inline int coded(const char *p, size_t n) {
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t word = 0, percent = 0, high = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        high |= word;
        word ^= ones * '%';
        percent |= (word - ones) & ~word;
    }
    word = ones; /* bytes that are neither */
    memcpy(&word, p, n);
    high |= word;
    word ^= ones * '%';
    percent |= (word - ones) & ~word;
    return ((percent & highs) != 0) | (((high & highs) != 0) << 1);
}

/* The value of a hexadecimal digit, -1 for anything else. */
static inline int hex_digit(unsigned char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX from p into out, which has room for n bytes; the number of bytes written. */
static inline size_t unquote_into(const char *p, size_t n, char *out) {
    const char *end = p + n;
    char *to = out;
    while (p < end) {
        int high, low;
        if (*p == '%' && end - p > 2 && (high = hex_digit((unsigned char)p[1])) >= 0 &&
            (low = hex_digit((unsigned char)p[2])) >= 0) {
            *to++ = (char)(high << 4 | low);
            p += 3;
        } else {
            *to++ = *p++;
        }
    }
    return (size_t)(to - out);
}

/* The quote that ends the JSON string whose contents begin at p, NULL if there is none or an escape is none.
 * *escaped tells whether there are escapes. */
static inline const char *string_end(const char *p, const char *end, int *escaped) {
    *escaped = 0;
    for (;;) {
#ifdef ESL_SIMD
        for (; end - p >= 16; p += 16) {
            bytes16 a = load16(p);
            uint64_t hits = mask16(or16(equal16(a, '"'), equal16(a, '\\')));
            if (hits) {
                p += low_bit(hits) / MASK_STEP;
                break;
            }
        }
#endif
        while (p < end && *p != '"' && *p != '\\') p++;
        if (p == end) return NULL;
        if (*p == '"') return p;
        *escaped = 1;
        if (end - p < 2) return NULL;
        if (p[1] == 'u') {
            int i;
            if (end - p < 6) return NULL;
            for (i = 2; i < 6; i++)
                if (hex_digit((unsigned char)p[i]) < 0) return NULL;
            p += 6;
        } else if (p[1] && strchr("\"\\/bfnrt", p[1])) {
            p += 2;
        } else {
            return NULL;
        }
    }
}

/* The 16 bits of the escape \\uXXXX at p. */
static inline uint32_t escaped_unit(const char *p) {
    uint32_t unit = 0;
    int i;
    for (i = 2; i < 6; i++) unit = unit << 4 | (uint32_t)hex_digit((unsigned char)p[i]);
    return unit;
}

/* Decode the contents of a JSON string that string_end has passed, as UTF-8, into out, which has room for n bytes; the
 * number of bytes written. A surrogate without its partner becomes U+FFFD. */
static inline size_t unescape_into(const char *p, size_t n, char *out) {
    const char *end = p + n;
    char *to = out;
    while (p < end) {
        uint32_t code, low;
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (p[1] != 'u') {
            switch (p[1]) {
            case 'b': *to++ = '\b'; break;
            case 'f': *to++ = '\f'; break;
            case 'n': *to++ = '\n'; break;
            case 'r': *to++ = '\r'; break;
            case 't': *to++ = '\t'; break;
            default: *to++ = p[1];
            }
            p += 2;
            continue;
        }
        code = escaped_unit(p);
        p += 6;
        if (code >= 0xD800 && code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
            (low = escaped_unit(p)) >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
            p += 6;
        } else if (code >= 0xD800 && code < 0xE000) {
            code = 0xFFFD;
        }
        if (code < 0x80) {
            *to++ = (char)code;
        } else if (code < 0x800) {
            *to++ = (char)(0xC0 | code >> 6);
            *to++ = (char)(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            *to++ = (char)(0xE0 | code >> 12);
            *to++ = (char)(0x80 | (code >> 6 & 0x3F));
            *to++ = (char)(0x80 | (code & 0x3F));
        } else {
            *to++ = (char)(0xF0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3F));
            *to++ = (char)(0x80 | (code >> 6 & 0x3F));
            *to++ = (char)(0x80 | (code & 0x3F));
        }
    }
    return (size_t)(to - out);
}

/* The length of the UTF-8 sequence at p, 0 if there is none (as Python's decoder sees it). */
static inline size_t utf8_length(const unsigned char *p, const unsigned char *end) {
    unsigned char low = 0x80, high = 0xBF; /* what the second byte may be */
    size_t length, i;
    if (*p < 0x80) return 1;
    if (*p < 0xC2 || *p > 0xF4) return 0;
    length = *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;
    if ((size_t)(end - p) < length) return 0;
    if (*p == 0xE0) low = 0xA0;
    if (*p == 0xED) high = 0x9F;
    if (*p == 0xF0) low = 0x90;
    if (*p == 0xF4) high = 0x8F;
    if (p[1] < low || p[1] > high) return 0;
    for (i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return length;
}

/* Whether a byte stands for itself in a JSON string. */
static inline int is_plain(unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

/* Write [p, p + n) as a JSON string with its quotes into out, which has room for 6 * n + 2 bytes; the number of bytes
 * written. A byte that is not UTF-8 becomes U+FFFD, or an escaped surrogate if not `replace`; *invalid is set then. */
static inline size_t escape_into(const char *text, size_t n, char *out, int replace, int *invalid) {
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    char *to = out;
    *to++ = '"';
    while (p < end) {
        size_t length;
#ifdef ESL_SIMD
        if (end - p >= 16) {
            bytes16 a = load16((const char *)p);
            uint64_t hits = mask16(or16(or16(equal16(a, '"'), equal16(a, '\\')), not_text16(a)));
            length = hits ? (size_t)(low_bit(hits) / MASK_STEP) : 16;
            memcpy(to, p, 16);
            to += length;
            p += length;
            if (!hits) continue;
        }
#endif
        for (length = 0; p + length < end && is_plain(p[length]); length++) to[length] = (char)p[length];
        to += length;
        p += length;
        if (p == end) break;
        if (*p >= 0x80) {
            length = utf8_length(p, end);
            if (length) {
                memcpy(to, p, length);
            } else {
                *invalid = 1;
                if (replace) memcpy(to, "\xEF\xBF\xBD", 3);
                else {
                    memcpy(to, "\\udc", 4);
                    to[4] = "0123456789abcdef"[*p >> 4];
                    to[5] = "0123456789abcdef"[*p & 15];
                }
                to += replace ? 3 : 6;
                p++;
                continue;
            }
            to += length;
            p += length;
            continue;
        }
        *to++ = '\\';
        switch (*p) {
        case '\b': *to++ = 'b'; break;
        case '\f': *to++ = 'f'; break;
        case '\n': *to++ = 'n'; break;
        case '\r': *to++ = 'r'; break;
        case '\t': *to++ = 't'; break;
        case '"': case '\\': *to++ = (char)*p; break;
        default:
            memcpy(to, "u00", 3);
            to[3] = (char)('0' + (*p >> 4));
            to[4] = "0123456789abcdef"[*p & 15];
            to += 5;
        }
        p++;
    }
    *to++ = '"';
    return (size_t)(to - out);
}

/* Where a header line [p, end) is cut: at its first ": ", else at its first ':', else NULL. */
static inline const char *find_cut(const char *p, const char *end) {
    const char *first = NULL, *at = p;
    while (at < end && (at = (const char *)memchr(at, ':', (size_t)(end - at)))) {
        if (end - at >= 2 && at[1] == ' ') return at;
        if (!first) first = at;
        at++;
    }
    return first;
}

#endif
