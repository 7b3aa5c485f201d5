/* Searches over bytes for _codec_c.pyx, 16 at a time with SSE2 or NEON, one by one elsewhere (ESL_SCALAR forces that).
 * Where a block's line feeds and colons are is found 32 at a time where the machine has AVX2, which is asked at run time
 * (ESL_NO_AVX2: never).
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
static inline bytes16 each16(char c) { return _mm_set1_epi8(c); }
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
static inline bytes16 each16(char c) { return vdupq_n_u8((uint8_t)c); }
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
#endif

/* The number of the lowest bit that is set; one is. */
#if defined(_MSC_VER) && !defined(__clang__) && defined(_WIN64)
#include <intrin.h>
static inline int low_bit(uint64_t mask) { unsigned long at; _BitScanForward64(&at, mask); return (int)at; }
#elif defined(__GNUC__) || defined(__clang__)
static inline int low_bit(uint64_t mask) { return __builtin_ctzll(mask); }
#else
static inline int low_bit(uint64_t mask) { int at = 0; for (; !(mask & 1); mask >>= 1) at++; return at; }
#endif

/* A search is up to a seventh slower if its loop straddles two cache lines. */
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

/* The end of a header block as a switch writes it before an event or as a short command/reply, p if it is any other, or
 * not whole. *length is its Content-Length, -1 if there is none; its Content-Type has *type_size bytes, *type_at from p. */
static inline const char *usual_head(const char *p, const char *end, int64_t *length, ptrdiff_t *type_at,
                                     ptrdiff_t *type_size) {
    static const char LENGTH[] = "Content-Length: ", TYPE[] = "\nContent-Type: text/event-",
                      REPLY[] = "Content-Type: command/reply\nReply-Text: ";
    const size_t length_size = sizeof LENGTH - 1, type_tail = sizeof TYPE - 1, reply_size = sizeof REPLY - 1;
    const char *at;
    if (end - p >= 64 && memcmp(p, LENGTH, length_size) == 0) { /* more than such a head can have */
        int64_t number = 0;
        for (at = p + length_size; *at >= '0' && *at <= '9' && at - p < 26; at++) number = number * 10 + (*at - '0');
        if (at == p + length_size || memcmp(at, TYPE, type_tail) != 0) return p;
        *type_at = at + 15 - p;
        at += type_tail;
        if (memcmp(at, "plain\n\n", 7) == 0) at += 7;
        else if (memcmp(at, "json\n\n", 6) == 0) at += 6;
        else if (memcmp(at, "xml\n\n", 5) == 0) at += 5;
        else return p;
        *length = number;
        *type_size = at - 2 - p - *type_at;
        return at;
    }
    if ((size_t)(end - p) < reply_size || memcmp(p, REPLY, reply_size) != 0) return p;
    at = (const char *)memchr(p + reply_size, '\n', (size_t)(end - p) - reply_size);
    if (!at || end - at < 2 || at[1] != '\n') return p;
    *length = -1;
    *type_at = 14;
    *type_size = 13;
    return at + 2;
}

/* Whether a and b are equal except for ASCII case. */
static inline int folded_equal(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];
        if (x != y && ((x ^ y) != 0x20 || (unsigned char)((x | 0x20) - 'a') > 25)) return 0;
    }
    return 1;
}

/* The last bytes of a name, for unlike_tail(). */
static inline uint64_t tail_of(const char *name, size_t size) {
    uint64_t tail = 0;
    if (size >= 8) memcpy(&tail, name + size - 8, 8);
    else memcpy(&tail, name, size);
    return tail;
}

/* Whether `size` bytes at p end otherwise than the name that has this tail, ASCII case ignored. Most other names of the
 * same length do. */
static inline int unlike_tail(const char *p, size_t size, uint64_t tail) {
    const uint64_t cases = 0x2020202020202020u;
    return ((tail_of(p, size) ^ tail) | cases) != cases;
}

/* The first line feed in [p, end) that has `name` and a colon after it, or NULL; *folded, if it is NULL, is set to the
 * first that has them except for ASCII case. */
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

/* Where the line feeds and the colons of a header block are: a bit for each byte, lowest first. `room` words of each and
 * BITS_MORE after them, of which `words` are known. The block is known once its blank line is: it begins at `stop`. */
#define BITS_MORE 8
typedef struct {
    uint64_t *feeds, *colons;
    size_t room, words, stop;
} Bits;

/* One bit for each of 64 bytes that is equal to `byte`. */
static inline uint64_t equal64(const char *p, char byte) {
#if !defined(ESL_SIMD)
    uint64_t bits = 0;
    int i;
    for (i = 0; i < 64; i++) bits |= (uint64_t)(p[i] == byte) << i;
    return bits;
#elif MASK_STEP == 1
    return mask16(equal16(load16(p), byte)) | mask16(equal16(load16(p + 16), byte)) << 16 |
           mask16(equal16(load16(p + 32), byte)) << 32 | mask16(equal16(load16(p + 48), byte)) << 48;
#else
    static const uint8_t each[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = vld1q_u8(each);
    uint8x16_t low = vpaddq_u8(vandq_u8(equal16(load16(p), byte), bits), vandq_u8(equal16(load16(p + 16), byte), bits));
    uint8x16_t high =
        vpaddq_u8(vandq_u8(equal16(load16(p + 32), byte), bits), vandq_u8(equal16(load16(p + 48), byte), bits));
    low = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(low, low)), 0);
#endif
}

#if defined(ESL_SCALAR) || defined(ESL_NO_AVX2)
#elif (defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))) || (defined(_M_X64) && defined(_MSC_VER))
#include <immintrin.h>
#define ESL_AVX2 1
#if defined(_MSC_VER)
#include <intrin.h>
#define WITH_AVX2
static int has_avx2(void) {
    int id[4];
    __cpuid(id, 0);
    if (id[0] < 7) return 0;
    __cpuid(id, 1);
    if ((id[2] & 0x18000000) != 0x18000000 || (_xgetbv(0) & 6) != 6) return 0; /* the system saves its registers */
    __cpuidex(id, 7, 0);
    return (id[1] & 0x20) != 0;
}
#else
#define WITH_AVX2 __attribute__((target("avx2")))
static int has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }
#endif
static int use_avx2 = 0; /* set once, at the import */

/* The bits of whole words up to the first that has something unusual in it: a CR, a blank line, or the end. */
WITH_AVX2 static void index_usual(Bits *bits, const char *p, const char *end) {
    const __m256i feed = _mm256_set1_epi8('\n'), colon = _mm256_set1_epi8(':'), cr = _mm256_set1_epi8('\r');
    size_t word = bits->words;
    uint64_t before = word ? bits->feeds[word - 1] >> 63 : 0;
    if (word && p[64 * word - 1] == '\r') return;
    for (p += 64 * word; end - p >= 64 && word < bits->room; p += 64, word++) {
        __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 32));
        uint64_t feeds = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, feed)) |
                         (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, feed)) << 32;
        __m256i returns = _mm256_or_si256(_mm256_cmpeq_epi8(a, cr), _mm256_cmpeq_epi8(b, cr));
        if ((feeds & (feeds << 1 | before)) || !_mm256_testz_si256(returns, returns)) break;
        bits->feeds[word] = feeds;
        bits->colons[word] = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, colon)) |
                             (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, colon)) << 32;
        before = feeds >> 63;
    }
    bits->words = word;
}

/* next_hits() for four words at a time: what is read after the last word is 0. */
WITH_AVX2 static size_t next_hits_by_four(const Bits *bits, size_t word, size_t skip, int shift) {
    const __m128i right = _mm_cvtsi32_si128(shift), left = _mm_cvtsi32_si128(64 - shift);
    for (; word + skip < bits->words; word += 4) {
        const uint64_t *at = bits->colons + word + skip;
        __m256i low = _mm256_srl_epi64(_mm256_loadu_si256((const __m256i *)at), right);
        __m256i high = _mm256_sll_epi64(_mm256_loadu_si256((const __m256i *)(at + 1)), left); /* by 64: nothing */
        const __m256i feeds = _mm256_loadu_si256((const __m256i *)(bits->feeds + word));
        __m256i found = _mm256_or_si256(low, high);
        if (!_mm256_testz_si256(found, feeds)) {
            found = _mm256_cmpeq_epi64(_mm256_and_si256(found, feeds), _mm256_setzero_si256());
            return word + (size_t)low_bit(15 & ~(unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(found)));
        }
    }
    return word;
}
#endif

/* Go on with the bits of the block after the line feed at p: 1 if its blank line is found, 0 if there is none up to
 * `end`, -1 if that takes more room. */
static int index_block(Bits *bits, const char *p, const char *end) {
    size_t word;
#ifdef ESL_AVX2
    if (use_avx2) index_usual(bits, p, end);
#endif
    word = bits->words;
    for (;; word++) {
        const char *at = p + 64 * word;
        uint64_t feeds, returns, feeds_before, returns_before, ends;
        char tail[64];
        bits->words = word;
        if (at >= end) return 0;
        if (word == bits->room) return -1;
        if (end - at < 64) {
            memset(tail, 0, 64);
            memcpy(tail, at, (size_t)(end - at));
            at = tail;
        }
        feeds = bits->feeds[word] = equal64(at, '\n');
        bits->colons[word] = equal64(at, ':');
        returns = equal64(at, '\r');
        feeds_before = word ? bits->feeds[word - 1] : 0;
        returns_before = word && p[64 * word - 1] == '\r';
        ends = feeds & (feeds << 1 | feeds_before >> 63); /* LF LF, and LF CR LF */
        if (returns | returns_before) ends |= feeds & (returns << 1 | returns_before) & (feeds << 2 | feeds_before >> 62);
        if (ends) {
            size_t stop = 64 * word + (size_t)low_bit(ends) - 1;
            bits->stop = stop - (p[stop] == '\r');
            bits->words = word + 1;
            memset(bits->feeds + bits->words, 0, BITS_MORE * sizeof(uint64_t));
            memset(bits->colons + bits->words, 0, BITS_MORE * sizeof(uint64_t));
            return 1;
        }
    }
}

/* The line feeds in a word that have a colon 64 * skip + shift bytes after them. */
static inline uint64_t hits_in(const Bits *bits, size_t word, size_t skip, int shift) {
    const uint64_t *colons = bits->colons + word + skip;
    return bits->feeds[word] & (colons[0] >> shift | colons[1] << 1 << (63 - shift));
}

/* The next word, from `word` on, that has such line feeds; one after all if there is none. */
static inline size_t next_hits(const Bits *bits, size_t word, size_t skip, int shift) {
#ifdef ESL_AVX2
    if (use_avx2) {
        if (word + skip >= bits->words || hits_in(bits, word, skip, shift)) return word;
        return next_hits_by_four(bits, word + 1, skip, shift);
    }
#endif
    while (word + skip < bits->words && !hits_in(bits, word, skip, shift)) word++;
    return word;
}

/* find_name() by the bits of the block after the line feed at p, from there or a later place on. */
static inline const char *index_name(const Bits *bits, const char *p, const char *from, const char *name, size_t size,
                                     const char **folded) {
    const int shift = (int)((size + 1) % 64);
    const size_t skip = (size + 1) / 64;
    const uint64_t tail = tail_of(name, size);
    const char *stop = p + bits->stop;
    size_t word = (size_t)(from - p) / 64, first = word;
    const uint64_t later = ~(uint64_t)0 << (size_t)(from - p) % 64;
    if (bits->stop < size + 2) return NULL;
    stop -= size + 2; /* from a line feed after this one it is the body's */
    for (word = next_hits(bits, word, skip, shift); word + skip < bits->words; word = next_hits(bits, word + 1, skip, shift)) {
        uint64_t hits = hits_in(bits, word, skip, shift) & (word == first ? later : ~(uint64_t)0);
        for (; hits; hits &= hits - 1) {
            const char *at = p + 64 * word + low_bit(hits);
            if (at > stop) return NULL;
            if (unlike_tail(at + 1, size, tail)) continue;
            if (memcmp(at + 1, name, size) == 0) return at;
            if (!*folded && folded_equal(at + 1, name, size)) *folded = at;
        }
    }
    return NULL;
}

/* The first line feed from `from` on; there is one, at the latest where the block ends. */
static inline const char *index_feed(const Bits *bits, const char *p, const char *from) {
    size_t word = (size_t)(from - p) / 64;
    uint64_t feeds = bits->feeds[word] & ~(uint64_t)0 << (size_t)(from - p) % 64;
    while (!feeds) feeds = bits->feeds[++word];
    return p + 64 * word + low_bit(feeds);
}

/* Many names at once, in one pass over a block whose bits are known. A name has no colon in it. */
#define SOUGHT_SLOTS 512
typedef struct {
    const char *name;
    size_t size;
    uint64_t tail;
    uint32_t next; /* of the same slot, from 1 */
} Sought;

/* What was found of a name: the value of the first line that has it, or a line that only a look-up can judge. */
typedef struct {
    const char *value;
    size_t size;
    int found, unsure;
} Seen;

static inline unsigned sought_slot(uint64_t tail, size_t size) {
    return (unsigned)((((tail | 0x2020202020202020u) ^ (uint64_t)size << 56) * 0x9E3779B97F4A7C15u) >> 55);
}

/* Note the line [p, end), whose first colon is at `colon`. */
static inline void see_line(const char *p, const char *colon, const char *end, const Sought *all, const uint32_t *slots,
                            Seen *seen) {
    const size_t size = (size_t)(colon - p);
    uint32_t number = slots[sought_slot(tail_of(p, size), size)];
    for (; number; number = all[number - 1].next) {
        const Sought *sought = &all[number - 1];
        Seen *one = &seen[number - 1];
        if (sought->size != size || one->found || unlike_tail(p, size, sought->tail)) continue;
        if (memcmp(p, sought->name, size) != 0) {
            one->unsure |= folded_equal(p, sought->name, size);
        } else if (one->unsure || end - colon < 2 || colon[1] != ' ') {
            one->unsure = 1; /* cut elsewhere, perhaps */
        } else {
            one->value = colon + 2;
            one->size = (size_t)(end - colon) - 2;
            if (one->size && end[-1] == '\r') one->size--;
            one->found = 1;
        }
    }
}

/* Look for all of these names in the block after the line feed at p. */
static void see_lines(const Bits *bits, const char *p, const Sought *all, const uint32_t *slots, Seen *seen) {
    const char *line = NULL, *stop = p + bits->stop;
    size_t word, at = 0;
    uint64_t colons = bits->colons[0];
    for (word = 0; word < bits->words; word++) {
        uint64_t feeds = bits->feeds[word];
        for (; feeds; feeds &= feeds - 1) {
            const char *feed = p + 64 * word + low_bit(feeds);
            if (line) {
                const size_t place = (size_t)(line - p);
                if (at != place / 64) {
                    at = place / 64;
                    colons = bits->colons[at];
                }
                colons &= ~(uint64_t)0 << place % 64;
                while (!colons && at < word) colons = bits->colons[++at];
                if (colons) {
                    const char *colon = p + 64 * at + low_bit(colons);
                    if (colon < feed) see_line(line, colon, feed, all, slots, seen);
                }
            }
            if (feed >= stop) return;
            line = feed + 1;
        }
    }
}

/* Whether a backslash before this byte is an escape of JSON that stands for no letter. */
static inline int is_short_escape(char c) {
    return c == 'n' || c == 'r' || c == 't' || c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f';
}

/* Whether a name `Event-Name` may stand in [p, end) of an event in JSON or XML, after the byte `open`. `other` is how
 * a name might be written otherwise: a backslash that is no short escape. In doubt it may. */
static int may_be_named(const char *p, const char *end, char open, char other) {
    static const char NAME[] = "Event-Name";
    const ptrdiff_t size = sizeof NAME - 1;
#ifdef ESL_SIMD
#define NAMED16(p) or16(and16(equal16(load16(p), open), equal16(load16((p) + 1), NAME[0])), equal16(load16(p), other))
    while (end - p >= 17) {
        uint64_t hits;
        for (; end - p >= 65; p += 64)
            if (any64(NAMED16(p), NAMED16(p + 16), NAMED16(p + 32), NAMED16(p + 48))) break;
        if (end - p < 17) break;
        hits = mask16(NAMED16(p));
        for (; hits; hits &= hits - 1) {
            const char *at = p + low_bit(hits) / MASK_STEP;
            if (*at == open ? end - at > size && memcmp(at + 1, NAME, (size_t)size) == 0 : !is_short_escape(at[1])) return 1;
        }
        p += 16;
    }
#endif
    for (; p < end; p++) {
        if (*p == open && end - p > size && memcmp(p + 1, NAME, (size_t)size) == 0) return 1;
        if (*p == other && (end - p < 2 || !is_short_escape(p[1]))) return 1;
    }
    return 0;
}

/* The Event-Name of a payload that begins with `open`, which ends before the name, and `close` after it. The name is made
 * of letters, digits and underscores. NULL if it is not written so. */
static inline const char *first_name(const char *p, const char *end, const char *open, const char *close, size_t *size) {
    const size_t before = strlen(open), after = strlen(close);
    const char *at;
    if ((size_t)(end - p) < before || memcmp(p, open, before) != 0) return NULL;
    p += before;
    for (at = p; at < end && (*at == '_' || (unsigned)((*at | 0x20) - 'a') < 26 || (unsigned)(*at - '0') < 10); at++) {}
    *size = (size_t)(at - p);
    return (size_t)(end - at) >= after && memcmp(at, close, after) == 0 ? p : NULL;
}

#ifdef ESL_AVX2
/* Pass 64 bytes at a time in which no line of the name `Event-Name` begins. */
WITH_AVX2 static const char *pass_other_lines(const char *p, const char *end) {
    const __m256i feed = _mm256_set1_epi8('\n'), letter = _mm256_set1_epi8('E'), colon = _mm256_set1_epi8(':');
    for (; end - p >= 64 + 11; p += 64) {
        const __m256i *at = (const __m256i *)(const void *)p, *second = (const __m256i *)(const void *)(p + 1);
        const __m256i *last = (const __m256i *)(const void *)(p + 11);
        __m256i a = _mm256_cmpeq_epi8(_mm256_loadu_si256(at), feed), b = _mm256_cmpeq_epi8(_mm256_loadu_si256(at + 1), feed);
        a = _mm256_and_si256(a, _mm256_cmpeq_epi8(_mm256_loadu_si256(second), letter));
        b = _mm256_and_si256(b, _mm256_cmpeq_epi8(_mm256_loadu_si256(second + 1), letter));
        a = _mm256_and_si256(a, _mm256_cmpeq_epi8(_mm256_loadu_si256(last), colon));
        b = _mm256_and_si256(b, _mm256_cmpeq_epi8(_mm256_loadu_si256(last + 1), colon));
        a = _mm256_or_si256(a, b);
        if (!_mm256_testz_si256(a, a)) break;
    }
    return p;
}
#endif

/* The same if no look-up can find another, whatever else is in the payload; NULL also if that takes a reader. */
static const char *only_plain_name(const char *p, const char *end, size_t *size) {
    const char *name = first_name(p, end, "Event-Name: ", "\n", size), *folded = name;
    if (!name) return NULL;
    p = name + *size;
#ifdef ESL_AVX2
    if (use_avx2) p = pass_other_lines(p, end);
#endif
    return find_name(p, end, "Event-Name", 10, &folded) ? NULL : name;
}

static const char *only_json_name(const char *p, const char *end, size_t *size) {
    const char *name = first_name(p, end, "{\"Event-Name\":\"", "\"", size);
    return name && !may_be_named(name + *size, end, '"', '\\') ? name : NULL;
}

static const char *only_xml_name(const char *p, const char *end, size_t *size) {
    const char *name = first_name(p, end, "<event>\n  <headers>\n    <Event-Name>", "</Event-Name>", size);
    return name && !may_be_named(name + *size, end, '<', '\0') ? name : NULL;
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

#define WORDS_MOST 64

/* Words that are looked for together, each of two bytes at least: with which of them a byte agrees as the first, second
 * and third. */
typedef struct {
    uint64_t agree[3][256];
    const char *word[WORDS_MOST];
    size_t size[WORDS_MOST];
    int count;
} Words;

static inline void add_word(Words *words, const char *word, size_t size) {
    int number = words->count++;
    uint64_t bit = (uint64_t)1 << number;
    words->word[number] = word;
    words->size[number] = size;
    for (int at = 0; at < 3; at++) {
        if ((size_t)at < size) words->agree[at][(unsigned char)word[at]] |= bit;
        else for (int byte = 0; byte < 256; byte++) words->agree[at][byte] |= bit;
    }
}

/* A bit for each word that stands in [p, p + n). */
static inline uint64_t find_words(const Words *words, const char *p, size_t n) {
    uint64_t found = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        uint64_t left = words->agree[0][(unsigned char)p[i]] & words->agree[1][(unsigned char)p[i + 1]];
        if (!left) continue;
        if (i + 2 < n) left &= words->agree[2][(unsigned char)p[i + 2]];
        for (left &= ~found; left; left &= left - 1) {
            int number = low_bit(left);
            size_t size = words->size[number];
            if (size <= n - i && memcmp(words->word[number], p + i, size) == 0) found |= (uint64_t)1 << number;
        }
    }
    return found;
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

/* Write a character as UTF-8 to `to`; returns the place after it. */
static inline char *write_utf8(char *to, uint32_t code) {
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
    return to;
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
        to = write_utf8(to, code);
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

/* JSON: what is alike, and what stands as it would be written */

/* Whether a and b are equal, of a few dozen bytes mostly. */
static inline int same_bytes(const char *a, const char *b, size_t n) {
    uint64_t x, y, z, w;
#ifdef ESL_SIMD
    if (n >= 16) {
        bytes16 alike = same16(load16(a + n - 16), load16(b + n - 16));
        size_t i;
        for (i = 0; i + 16 < n; i += 16) alike = and16(alike, same16(load16(a + i), load16(b + i)));
        return mask16(alike) == MASK_FULL;
    }
#endif
    for (; n > 16; a += 8, b += 8, n -= 8) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        if (x != y) return 0;
    }
    if (n >= 8) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        memcpy(&z, a + n - 8, 8);
        memcpy(&w, b + n - 8, 8);
        return ((x ^ y) | (z ^ w)) == 0;
    }
    while (n && a[n - 1] == b[n - 1]) n--;
    return n == 0;
}

/* What came last after a name of headers. */
typedef struct {
    char *line;     /* `Name: value` with its line feed; RECENT_BYTES at least can be read */
    void *value;    /* what was made of it */
    uint64_t turn;  /* the event in which the name came last */
    uint32_t size;  /* of the line; more than any if there is none */
    uint32_t next;  /* which name came after this one last */
} Recent;
enum { RECENT_BYTES = 64 };

/* Pass the lines from *at on that came last after their names, of names that are new in the event: how many. `last` is
 * the one before them and afterwards their last; which names they have is in `lines`, what was made of them in `values`.
 * The first of all has the turn of the event and no line. */
static inline ptrdiff_t pass_each(Recent *all, const char **at, const char *end, uint32_t *last, uint64_t turn,
                                  uint16_t *lines, void **values) {
    const char *p = *at;
    uint32_t before = *last;
    ptrdiff_t count = 0;
    for (;;) {
        const uint32_t next = all[before].next;
        Recent *recent = &all[next];
        if (recent->turn == turn || end - p < (ptrdiff_t)recent->size) break;
        if (!same_bytes(p, recent->line, recent->size)) break;
        p += recent->size;
        recent->turn = turn;
        lines[count] = (uint16_t)next;
        values[count++] = recent->value;
        before = next;
    }
    *at = p;
    *last = before;
    return count;
}

#ifdef ESL_AVX2
/* A bit for each of the 32 bytes that are not the same. */
WITH_AVX2 static inline uint32_t other32(const char *a, const char *b) {
    __m256i x = _mm256_loadu_si256((const __m256i *)a), y = _mm256_loadu_si256((const __m256i *)b);
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y));
}

/* pass_each() that compares RECENT_BYTES at once, as most lines have no more; so it ends that many before the end. */
WITH_AVX2 static ptrdiff_t pass_wide(Recent *all, const char **at, const char *end, uint32_t *last, uint64_t turn,
                                     uint16_t *lines, void **values) {
    const char *p = *at, *far;
    const uint16_t *first = lines;
    uint32_t next = all[*last].next;
    if (end - p < RECENT_BYTES) return 0;
    far = end - RECENT_BYTES;
    while (p <= far) {
        Recent *recent = &all[next];
        const char *line = recent->line;
        const size_t size = recent->size;
        uint64_t other;
        if (recent->turn == turn) break;
        other = other32(p, line) | (uint64_t)other32(p + 32, line + 32) << 32;
        if (size <= RECENT_BYTES) {
            if (other << (RECENT_BYTES - size)) break;
        } else {
            size_t i;
            if (other || (size_t)(far - p) + RECENT_BYTES < size || other32(p + size - 32, line + size - 32)) break;
            for (i = RECENT_BYTES; i + 32 < size && !other32(p + i, line + i); i += 32) continue;
            if (i + 32 < size) break;
        }
        p += size;
        recent->turn = turn;
        *lines++ = (uint16_t)next;
        *values++ = recent->value;
        next = recent->next;
    }
    *at = p;
    if (lines > first) *last = lines[-1];
    return lines - first;
}
#endif

static inline ptrdiff_t pass_lines(Recent *all, const char **at, const char *end, uint32_t *last, uint64_t turn,
                                   uint16_t *lines, void **values) {
    ptrdiff_t count = 0;
#ifdef ESL_AVX2
    if (use_avx2) {
        count = pass_wide(all, at, end, last, turn, lines, values);
        if (end - *at >= RECENT_BYTES) return count;
    }
#endif
    return count + pass_each(all, at, end, last, turn, lines + count, values + count);
}

/* A member of a JSON payload: where its value begins, from the start of the payload. */
typedef struct {
    uint32_t at;
    uint32_t size;
} Span;

/* What is remembered of a name of JSON members. */
typedef struct JsonName JsonName;
struct JsonName { /* what each event asks comes first, to lie in one line of the cache */
    char *raw;      /* `,"name":` and, after it, the last value as it stood there; MEMBER_BYTES at least can be read */
    JsonName *next; /* what stood after it last, and the time before (`other`); one with no name if nothing did */
    uint64_t turn;  /* the event in which it came last */
    void *value;    /* the last value as text, owned; NULL until wanted */
    uint32_t size;  /* of `raw`, UINT32_MAX if no value is remembered */
    uint32_t head;  /* the size of `,"name":` */
    uint32_t number;
    uint32_t place; /* in the event that was read at `turn` */
    int odd;        /* what may keep the last value, remembered or not, from being read alike by every reader */
    int body;       /* it is `_body` */
    int twin;       /* another name may be the same except for case */
    int bracket;    /* BRACKET if there is one in it */
    void *name;     /* as text, owned */
    JsonName *other;
    uint64_t listed; /* the list of distinct names that it is in */
    uint32_t line;   /* and where */
    uint32_t room;   /* of `raw` */
    /* The value before the last, if it is remembered: those of two calls, or of both ends of one, take turns. */
    char *old_raw; /* NULL until there is one */
    void *old_value;
    uint32_t old_size, old_room;
    int old_odd;
};
enum { MEMBER_BYTES = 64 };

/* How far the members of a payload are read. */
typedef struct {
    const char *begin, *at, *end; /* less than UINT32_MAX bytes */
    JsonName *before;             /* of the last member, or of none */
    Span *spans;
    uint16_t *names; /* their numbers */
    uint32_t count, room;
    int odd; /* what all members have of that */
    int stands; /* at `at` is the name that came after `before` last, with a value that is not remembered */
    uint64_t turn;
} Reading;

/* Make the value before the last the last one. */
static inline void swap_values(JsonName *name) {
    char *raw = name->raw;
    void *value = name->value;
    const uint32_t size = name->size, room = name->room;
    const int odd = name->odd;
    name->raw = name->old_raw, name->old_raw = raw;
    name->value = name->old_value, name->old_value = value;
    name->size = name->old_size, name->old_size = size;
    name->room = name->old_room, name->old_room = room;
    name->odd = name->old_odd, name->old_odd = odd;
}

/* Pass the members that came last after their names, of names that are new in the event, and note them. */
static inline void pass_each_member(Reading *reading) {
    const char *at = reading->at;
    reading->stands = 0;
    while (reading->count < reading->room) {
        JsonName *name = reading->before->next;
        if (name->turn == reading->turn || (size_t)(reading->end - at) < name->size) break;
        if (!same_bytes(at, name->raw, name->size)) break;
        name->turn = reading->turn;
        name->place = reading->count;
        reading->names[reading->count] = (uint16_t)name->number;
        reading->spans[reading->count].at = (uint32_t)(at - reading->begin) + name->head;
        reading->spans[reading->count].size = name->size - name->head;
        reading->count++;
        reading->odd |= name->odd;
        reading->before = name;
        at += name->size;
    }
    reading->at = at;
}

#ifdef ESL_AVX2
/* Which of the first MEMBER_BYTES at a and b are not the same. */
WITH_AVX2 static inline uint64_t other64(const char *a, const char *b) {
    return other32(a, b) | (uint64_t)other32(a + 32, b + 32) << 32;
}

/* Whether the bytes at a and b are the same after MEMBER_BYTES, of which there are `size`, and `left` may be read. */
WITH_AVX2 static inline int same_rest(const char *a, const char *b, size_t size, size_t left) {
    size_t i;
    if (left < size || other32(a + size - 32, b + size - 32)) return 0;
    for (i = MEMBER_BYTES; i + 32 < size; i += 32)
        if (other32(a + i, b + i)) return 0;
    return 1;
}

/* Whether a name and its value, which have `size` bytes, stand where `other` tells of the first. */
WITH_AVX2 static inline int stands_whole(const char *at, const char *end, const char *raw, size_t size, uint64_t other) {
    if (size <= MEMBER_BYTES) return !(other << (MEMBER_BYTES - size));
    return !other && same_rest(at, raw, size, (size_t)(end - at));
}

/* Whether the value before the last of a name has come again, which is made the last one then; *stands tells whether the
 * name has come at all, as `other` of its last value says. */
WITH_AVX2 static int swap_older(JsonName *name, const char *at, const char *end, uint64_t other, int *stands) {
    if (!name->head || name->head > MEMBER_BYTES || other << (MEMBER_BYTES - name->head)) return 0;
    *stands = 1;
    if (!name->old_raw || !stands_whole(at, end, name->old_raw, name->old_size, other64(at, name->old_raw))) return 0;
    *stands = 0;
    swap_values(name);
    return 1;
}

/* pass_each_member() that compares MEMBER_BYTES at once, as most members have no more; so it ends that many before the
 * end. It goes on where the value before the last has come again. */
WITH_AVX2 static void pass_members_wide(Reading *reading) {
    const char *at = reading->at, *const begin = reading->begin, *const end = reading->end, *far;
    JsonName *before = reading->before;
    Span *const spans = reading->spans;
    uint16_t *const names = reading->names;
    const uint64_t turn = reading->turn;
    const size_t room = reading->room;
    size_t count = reading->count;
    int odd = reading->odd;
    if (end - at < MEMBER_BYTES) return;
    far = end - MEMBER_BYTES;
    for (; at <= far && count < room; count++) {
        JsonName *name = before->next;
        const uint64_t other = other64(at, name->raw);
        uint32_t head, size = name->size;
        if (name->turn == turn) break;
        if (!stands_whole(at, end, name->raw, size, other)) {
            if (!swap_older(name, at, end, other, &reading->stands)) break;
            size = name->size;
        }
        head = name->head;
        name->turn = turn;
        name->place = (uint32_t)count;
        names[count] = (uint16_t)name->number;
        spans[count].at = (uint32_t)(at - begin) + head;
        spans[count].size = size - head;
        odd |= name->odd;
        at += size;
        before = name;
    }
    reading->at = at;
    reading->before = before;
    reading->count = (uint32_t)count;
    reading->odd = odd;
}
#endif

static inline void pass_members(Reading *reading) {
#ifdef ESL_AVX2
    if (use_avx2) {
        reading->stands = 0;
        pass_members_wide(reading);
        if (reading->end - reading->at >= MEMBER_BYTES) return;
    }
#endif
    pass_each_member(reading);
}

/* How many numbers at the beginnings of two lists are the same. */
static inline size_t alike(const uint16_t *a, const uint16_t *b, size_t n) {
    size_t i = 0;
    uint64_t x, y;
    for (; n - i >= 4; i += 4) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y) break;
    }
    while (i < n && a[i] == b[i]) i++;
    return i;
}

/* The first byte in [p, end) that does not stand for itself in a JSON string, or end. */
static inline const char *plain_end(const char *p, const char *end) {
#ifdef ESL_SIMD
    for (; end - p >= 16; p += 16) {
        bytes16 a = load16(p);
        uint64_t hits = mask16(or16(or16(equal16(a, '"'), equal16(a, '\\')), not_text16(a)));
        if (hits) return p + low_bit(hits) / MASK_STEP;
    }
#endif
    while (p < end && is_plain((unsigned char)*p)) p++;
    return p;
}

/* The length of the escape at p, of a string that string_end has passed, if escape_into would write it so, else 0. */
static inline size_t own_escape(const char *p) {
    if (p[1] != 'u') return p[1] == '/' ? 0 : 2;
    if (p[2] != '0' || p[3] != '0' || (p[4] != '0' && p[4] != '1')) return 0;
    if (p[5] >= 'A' && p[5] <= 'F') return 0;
    return p[4] == '0' && strchr("89acd", p[5]) ? 0 : 6; /* \b \t \n \f \r */
}

/* Whether all of [p, p + n) stands for itself in a JSON string. */
static inline int all_plain(const char *p, size_t n) {
#ifdef ESL_SIMD
#define ODD16(a) or16(or16(equal16(a, '"'), equal16(a, '\\')), not_text16(a))
    if (n >= 16) {
        bytes16 odd = ODD16(load16(p + n - 16));
        size_t i;
        for (i = 0; i + 16 < n; i += 16) odd = or16(odd, ODD16(load16(p + i)));
        return mask16(odd) == 0;
    }
#endif
    while (n && is_plain((unsigned char)p[n - 1])) n--;
    return n == 0;
}

/* Whether the contents of a JSON string that string_end has passed are what escape_into would write. */
static inline int is_own_string(const char *p, size_t n) {
    const char *end = p + n;
    if (all_plain(p, n)) return 1;
    while ((p = plain_end(p, end)) < end) {
        size_t length = 0;
        if (*p == '\\') length = own_escape(p);
        else if ((unsigned char)*p >= 0x80) length = utf8_length((const unsigned char *)p, (const unsigned char *)end);
        if (!length) return 0;
        p += length;
    }
    return 1;
}

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

/* The '<' after the text of an XML element at p, NULL unless all of it is printable ASCII that stands for itself. */
static inline const char *xml_text_end(const char *p, const char *end) {
#ifdef ESL_SIMD
    for (; end - p >= 16; p += 16) {
        bytes16 a = load16(p);
        uint64_t hits = mask16(or16(or16(equal16(a, '<'), equal16(a, '&')), or16(equal16(a, '>'), not_text16(a))));
        if (hits) {
            p += low_bit(hits) / MASK_STEP;
            return *p == '<' ? p : NULL;
        }
    }
#endif
    for (; p < end && *p != '<'; p++)
        if (*p == '&' || *p == '>' || (unsigned char)(*p - 0x20) >= 0x60) return NULL;
    return p < end ? p : NULL;
}

/* The '>' after the name of an XML element at p, NULL unless it is of ASCII letters, digits, '_', '-' and '.'. */
static inline const char *xml_name_end(const char *p, const char *end) {
    if (p == end || !((unsigned char)((*p | 0x20) - 'a') < 26 || *p == '_')) return NULL;
#ifdef ESL_SIMD
    for (; end - p >= 16; p += 16) {
        bytes16 a = load16(p), letters = upto16(add16(or16(a, each16(0x20)), each16(-'a')), 25);
        bytes16 digits = upto16(add16(a, each16(-'0')), 9), marks = or16(equal16(a, '-'), equal16(a, '.'));
        uint64_t hits = mask16(or16(or16(letters, digits), or16(marks, equal16(a, '_')))) ^ MASK_FULL;
        if (hits) {
            p += low_bit(hits) / MASK_STEP;
            return *p == '>' ? p : NULL;
        }
    }
#endif
    for (; p < end && *p != '>'; p++) {
        const unsigned char c = (unsigned char)*p;
        if ((unsigned char)((c | 0x20) - 'a') >= 26 && (unsigned char)(c - '0') >= 10 && c != '_' && c != '-' && c != '.')
            return NULL;
    }
    return p < end ? p : NULL;
}

/* The character that the reference at p, after its '&', stands for, and *next after its ';'; 0 if it is none. */
static inline uint32_t xml_reference(const char *p, const char *end, const char **next) {
    static const struct { const char *text; uint32_t code; } NAMED[] = {
        {"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    uint32_t code = 0;
    size_t i;
    if (p < end && *p == '#') {
        const int hex = end - p > 1 && p[1] == 'x';
        const char *digits = p += hex ? 2 : 1;
        for (; p < end && *p != ';'; p++) {
            const int digit = hex_digit((unsigned char)*p);
            if (digit < 0 || (!hex && digit > 9) || p - digits == 7) return 0;
            code = code * (hex ? 16 : 10) + (uint32_t)digit;
        }
        if (p == end || p == digits) return 0;
        *next = p + 1;
        if (code < 0x20) return code == '\t' || code == '\n' || code == '\r' ? code : 0;
        return code >= 0xD800 && (code < 0xE000 || code == 0xFFFE || code == 0xFFFF || code > 0x10FFFF) ? 0 : code;
    }
    for (i = 0; i < sizeof NAMED / sizeof *NAMED; i++) {
        const size_t size = strlen(NAMED[i].text);
        if ((size_t)(end - p) >= size && memcmp(p, NAMED[i].text, size) == 0) {
            *next = p + size;
            return NAMED[i].code;
        }
    }
    return 0;
}

/* Where a body's text at p ends, at its '<', NULL unless it is UTF-8 that XML takes as it stands, and references. */
static inline const char *xml_body_end(const char *p, const char *end) {
    const unsigned char *last = (const unsigned char *)end;
    while (p < end && *p != '<') {
        const unsigned char c = (unsigned char)*p;
        size_t size = 1;
        if (c == '&') {
            if (!xml_reference(p + 1, end, &p)) return NULL;
            continue;
        }
        if (c == '>' || (c < 0x20 && c != '\n' && c != '\t')) return NULL; /* "]]>" and CR are told apart by expat */
        if (c >= 0x80) {
            size = utf8_length((const unsigned char *)p, last);
            if (!size || (c == 0xEF && (unsigned char)p[1] == 0xBF && (unsigned char)p[2] >= 0xBE)) return NULL;
        }
        p += size;
    }
    return p < end ? p : NULL;
}

/* Decode the references in a text that xml_body_end has passed into out, which has room for n bytes; how many those are. */
static inline size_t xml_into(const char *p, size_t n, char *out) {
    const char *end = p + n;
    char *to = out;
    while (p < end) {
        if (*p == '&') to = write_utf8(to, xml_reference(p + 1, end, &p));
        else *to++ = *p++;
    }
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
