/* Events as lines of JSON, what `to_json` gives, for columns.h: straight from their bytes.
 *
 * Of each name the line, or the member, that came last is remembered with what was written for it, and which name came
 * after it: nine in ten come again, are compared and copied. What is remembered is bounded (KNOWN_NAMES, KNOWN_BYTES) and
 * never changes a line. An event that a switch does not write so is left to the core's reader.
 */
#ifndef ESL_NDJSON_H
#define ESL_NDJSON_H

#include "bufs.h"
#include "scan.h"

#define KNOWN_NAMES 1024 /* then all is forgotten */
#define KNOWN_BYTES 256  /* of a line; longer ones are not kept */
#define KNOWN_SLOTS 4096

/* What is peculiar about a name. */
enum { USUAL, LAST_COUNTS, LEFT_ALONE };

/* The line with its line feed, or the member, and behind it what is written for it; of a member nothing, it stands for
 * itself. They lie close together, and take no more memory than they need: that of an event's names fits the nearest cache. */
typedef struct {
    char *line, *name;
    uint32_t room, size, text_size, hash, name_size, turn, next;
    int sort;
} Known;

/* Plain events have the numbers of their names in slots[0], JSON events in slots[1]; 0 is none. */
typedef struct {
    Known known[KNOWN_NAMES + 1]; /* of number 0 only `next` counts */
    uint16_t slots[2][KNOWN_SLOTS];
    uint32_t count, turn;
    Buf scratch;
} Lines;

static void lines_free(Lines *lines) {
    uint32_t i;
    if (!lines) return;
    for (i = 0; i <= KNOWN_NAMES; i++) {
        free(lines->known[i].line);
        free(lines->known[i].name);
    }
    buf_free(&lines->scratch);
    free(lines);
}

static inline int is_body_name(const char *name, size_t size) {
    return size == 5 && *name == '_' && folded_equal(name, "_body", 5);
}

static inline uint32_t name_hash(const char *name, size_t size) {
    uint64_t head, tail;
    if (size >= 8) {
        memcpy(&head, name, 8);
        memcpy(&tail, name + size - 8, 8);
    } else {
        head = tail = tail_of(name, size);
    }
    head = (head * 0x9E3779B97F4A7C15u ^ tail ^ (uint64_t)size << 58) * 0xC2B2AE3D27D4EB4Fu;
    return (uint32_t)(head >> 32);
}

static void forget_names(Lines *lines) {
    uint32_t i;
    memset(lines->slots, 0, sizeof lines->slots);
    for (i = 0; i <= KNOWN_NAMES; i++) lines->known[i].turn = lines->known[i].next = 0;
    lines->count = 0;
}

/* Begin an event. */
static inline void begin_line(Lines *lines) {
    if (++lines->turn) return;
    forget_names(lines);
    lines->turn = 1;
}

/* The number of a name, which is remembered if it is new; 0 without memory or if all was forgotten for it. */
static uint32_t number_of(Lines *lines, int table, const char *name, size_t size) {
    const uint32_t hash = name_hash(name, size);
    uint32_t at = hash & (KNOWN_SLOTS - 1);
    char *kept;
    Known *known;
    for (; lines->slots[table][at]; at = (at + 1) & (KNOWN_SLOTS - 1)) {
        known = &lines->known[lines->slots[table][at]];
        if (known->hash == hash && known->name_size == size && memcmp(known->name, name, size) == 0)
            return lines->slots[table][at];
    }
    if (lines->count == KNOWN_NAMES || size > KNOWN_BYTES) {
        forget_names(lines);
        return 0;
    }
    known = &lines->known[lines->count + 1];
    kept = (char *)esl_realloc(known->name, size + 1);
    if (!kept) return 0;
    known->name = (char *)memcpy(kept, name, size);
    known->size = 0;
    known->hash = hash;
    known->name_size = (uint32_t)size;
    known->turn = known->next = 0;
    known->sort = is_body_name(name, size) ? LEFT_ALONE : USUAL;
    if (size == 10 && memcmp(name, "Event-Name", 10) == 0) known->sort = LAST_COUNTS;
    lines->slots[table][at] = (uint16_t)++lines->count;
    return lines->count;
}

/* Whether the bytes at p are those that came last after a name, which may be NULL. */
static inline int stands_again(const Known *known, const char *p, const char *end) {
    const size_t size = known->size;
    return size && (size_t)(end - p) >= size && same_bytes(p, known->line, size);
}

/* Remember what came and what was written for it, if there is memory for it: it is quicker next time, not other. */
static void remember(Known *known, const char *p, size_t size, const char *text, size_t text_size) {
    const size_t needed = size + text_size + 16;
    known->size = 0;
    if (size > KNOWN_BYTES || text_size > 2 * KNOWN_BYTES) return;
    if (needed > known->room) {
        const size_t room = (needed + 31) & ~(size_t)31;
        char *line = (char *)esl_realloc(known->line, room);
        if (!line) return;
        known->line = line;
        known->room = (uint32_t)room;
    }
    memcpy(known->line, p, size);
    memcpy(known->line + size, text, text_size);
    known->size = (uint32_t)size;
    known->text_size = (uint32_t)text_size;
}

/* Add what was written before, 16 bytes at a time; it has as many behind it. */
static inline int add_again(Buf *out, char separator, const Known *known) {
    const char *text = known->line + known->size;
    const size_t size = known->text_size;
    size_t i;
    char *to;
    if (!buf_room(out, size + 1 + 16)) return 0;
    to = out->p + out->n;
    *to++ = separator;
    for (i = 0; i < size; i += 16) memcpy(to + i, text + i, 16);
    out->n += size + 1;
    return 1;
}

/* Write what is plain in JSON, as it stands, up to a byte that is not, or '%': how many. PAD bytes stand behind. */
static inline size_t copy_plain(char *to, const char *from, size_t n) {
    size_t i = 0;
#ifdef ESL_SIMD
    for (; i < n; i += 16) {
        const bytes16 a = load16(from + i);
        const uint64_t odd = mask16(or16(or16(equal16(a, '"'), equal16(a, '\\')), or16(not_text16(a), equal16(a, '%'))));
        memcpy(to + i, from + i, 16);
        if (odd) {
            i += (size_t)(low_bit(odd) / MASK_STEP);
            return i < n ? i : n;
        }
    }
    return n;
#else
    for (; i < n && is_plain((unsigned char)from[i]) && from[i] != '%'; i++) to[i] = from[i];
    return i;
#endif
}

/* Add n bytes as a JSON string; there may be nothing behind them. */
static int add_escaped(Buf *out, const char *p, size_t n) {
    int invalid = 0;
    if (!buf_room(out, 6 * n + 2 + 16)) return 0;
    out->n += escape_into(p, n, out->p + out->n, 1, &invalid);
    return 1;
}

/* Add the items of the text of an array. */
static int add_escaped_items(Buf *out, const char *p, const char *end) {
    char separator = '[';
    for (;;) {
        const char *stop = p;
        while (stop < end && !(*stop == '|' && end - stop > 1 && stop[1] == ':')) stop++;
        if (!buf_add(out, &separator, 1) || !add_escaped(out, p, (size_t)(stop - p))) return 0;
        if (stop == end) return buf_add(out, "]", 1);
        separator = ',';
        p = stop + 2;
    }
}

/* Add a percent-encoded value as a JSON string, or as an array of them. */
static int add_json_value(Buf *scratch, Buf *out, const char *p, size_t n) {
    size_t plain, at;
    char *to, last;
    if (!buf_room(out, n + 2 + 16)) return 0;
    to = out->p + out->n;
    *to++ = '"';
    plain = copy_plain(to, p, n);
    if (n >= 7 && memcmp(p, "ARRAY", 5) == 0) plain = 0; /* and then colons, coded or not */
    else if (plain == n) {
        to[n] = '"';
        out->n += n + 2;
        return 1;
    }
    scratch->n = 0;
    if (!buf_room(scratch, n + 16)) return 0;
    scratch->n = unquote_into(p + plain, n - plain, scratch->p);
    if (scratch->n >= 7 && !plain && memcmp(scratch->p, "ARRAY::", 7) == 0)
        return add_escaped_items(out, scratch->p + 7, scratch->p + scratch->n);
    out->n += plain; /* the quote is written in the place of the last byte of these, which is put back then */
    last = out->p[out->n];
    at = out->n;
    if (!add_escaped(out, scratch->p, scratch->n)) return 0;
    out->p[at] = last;
    return 1;
}

/* The first colon or line feed in [p, end), or end. */
static inline const char *colon_or_feed(const char *p, const char *end) {
#ifdef ESL_SIMD
    for (; end - p >= 16; p += 16) {
        const bytes16 a = load16(p);
        const uint64_t hits = mask16(or16(equal16(a, ':'), equal16(a, '\n')));
        if (hits) return p + low_bit(hits) / MASK_STEP;
    }
#endif
    while (p < end && *p != ':' && *p != '\n') p++;
    return p;
}

/* Add a name and a colon: 1, 0 if it is not ASCII (of names that are not UTF-8 two may become one), -1 without memory. */
static int add_name(Buf *out, const char *name, size_t size) {
    size_t i;
    for (i = 0; i < size; i++)
        if ((unsigned char)name[i] >= 0x80) return 0;
    return add_escaped(out, name, size) && buf_add(out, ":", 1) ? 1 : -1;
}

/* Add the line [p, stop) that was not remembered: the number of its name, 0 if it has none, -1 if the event is left to the
 * core's reader, -2 without memory. */
static int add_new_line(Lines *lines, Buf *out, char separator, const char *p, const char *cut, const char *stop, int whole) {
    const char *end = stop - (stop > p && stop[-1] == '\r'), *value;
    const size_t from = out->n;
    uint32_t number;
    Known *known;
    int done;
    if (cut + 1 >= end || cut[1] != ' ') cut = find_cut(p, end);
    if (!cut) return 0;
    number = number_of(lines, 0, p, (size_t)(cut - p));
    if (!number) return -1;
    known = &lines->known[number];
    if (known->sort == LEFT_ALONE) return -1;
    if (known->turn == lines->turn) return known->sort == LAST_COUNTS ? -1 : (int)number; /* else the first counts */
    value = cut + 1;
    if (value < end && *value == ' ') value++;
    else while (value < end && (*value == ' ' || *value == '\t')) value++;
    if (!buf_add(out, &separator, 1)) return -2;
    done = add_name(out, p, (size_t)(cut - p));
    if (done < 1) return done - 1;
    if (!add_json_value(&lines->scratch, out, value, (size_t)(end - value))) return -2;
    if (whole) remember(known, p, (size_t)(stop + 1 - p), out->p + from + 1, out->n - from - 1);
    return (int)number;
}

/* Add a plain event as JSON: 1, 0 if that is left to the core's reader, -1 without memory. PAD bytes stand behind. */
static int add_plain_line(Lines *lines, Buf *out, const char *p, const char *end) {
    char separator = '{';
    uint32_t before = 0;
    begin_line(lines);
    while (p < end) {
        const Known *known = &lines->known[lines->known[before].next];
        const char *cut, *stop;
        int number;
        if (stands_again(known, p, end) && known->turn != lines->turn) {
            before = lines->known[before].next;
            lines->known[before].turn = lines->turn;
            if (!add_again(out, separator, known)) return -1;
            separator = ',';
            p += known->size;
            continue;
        }
        if (*p == '\n' || (*p == '\r' && end - p > 1 && p[1] == '\n')) break;
        cut = colon_or_feed(p, end);
        stop = find_feed(cut, end);
        number = add_new_line(lines, out, separator, p, cut, stop, stop < end);
        if (number < 0) return number + 1;
        p = stop + 1;
        if (!number) continue;
        separator = ',';
        lines->known[before].next = (uint32_t)number;
        lines->known[number].turn = lines->turn;
        before = (uint32_t)number;
    }
    if (p < end) p += *p == '\r' ? 2 : 1;
    if (p < end) {
        if (!buf_add(out, &separator, 1) || !buf_add(out, "\"_body\":", 8)) return -1;
        separator = ',';
        if (!add_escaped(out, p, (size_t)(end - p))) return -1;
    }
    return (separator == '{' ? buf_add(out, "{}", 2) : buf_add(out, "}", 1)) ? 1 : -1;
}

/* JSON events */

/* The items of a JSON array of strings, one after the other: *p is behind the bracket at first. 0 after the last. */
static int next_item(const char **p, const char *end, Value *item) {
    int escaped;
    const char *stop;
    while (*p < end && **p != '"') (*p)++;
    if (*p == end) return 0;
    stop = string_end(*p + 1, end, &escaped);
    item->p = *p + 1;
    item->n = (uint32_t)(stop - item->p);
    item->how = escaped ? ESCAPED : AS_IT_IS;
    *p = stop + 1;
    return 1;
}

/* The bracket that ends an array of strings as a switch writes it, which begins at p; NULL if it is any other. */
static const char *array_end(const char *p, const char *end) {
    int escaped;
    if (p < end && *p == ']') return p;
    while (p < end && *p == '"') {
        p = string_end(p + 1, end, &escaped);
        if (!p || end - p < 2) return NULL;
        if (*++p == ']') return p;
        if (*p++ != ',') return NULL;
    }
    return NULL;
}

/* Whether a JSON string's contents, from p on, are what is written here too; *stop is set to its quote then. */
static inline int own_string(const char *p, const char *end, const char **stop) {
    const char *at = plain_end(p, end);
    int escaped;
    if (at < end && *at == '"') {
        *stop = at;
        return 1;
    }
    *stop = string_end(at, end, &escaped);
    return *stop && is_own_string(at, (size_t)(*stop - at));
}

/* Where the value at p ends, of a member with this name, if it stands there as it would be written here; else NULL. */
static const char *own_value(const char *p, const char *end, int body) {
    const char *stop;
    Value item;
    if (*p == '"') {
        if (!own_string(p + 1, end, &stop)) return NULL;
        return !body && stop - p > 7 && memcmp(p + 1, "ARRAY::", 7) == 0 ? NULL : stop + 1;
    }
    if (*p != '[' || body) return NULL;
    stop = array_end(p + 1, end);
    for (p++; stop && next_item(&p, stop, &item);)
        if (!is_own_string(item.p, item.n)) return NULL;
    return stop ? stop + 1 : NULL;
}

/* A member that was not remembered, at p: where it ends, and the number of its name, 0 for the body. NULL if the event is
 * left to the core's reader. */
static const char *new_member(Lines *lines, const char *p, const char *end, uint32_t *number) {
    const char *stop;
    int body;
    if (!own_string(p + 1, end, &stop) || end - stop < 4 || stop[1] != ':') return NULL;
    body = stop - p == 6 && memcmp(p + 1, "_body", 5) == 0;
    *number = body ? 0 : number_of(lines, 1, p + 1, (size_t)(stop - p - 1));
    if (!body && (!*number || lines->known[*number].sort == LEFT_ALONE)) return NULL;
    return own_value(stop + 2, end, body);
}

/* The same of a JSON event: it is copied, without repeats of a name, if it stands there as it would be written here. */
static int add_json_line(Lines *lines, Buf *out, const char *p, const char *end) {
    const char *kept = p; /* what stands from there on is not copied yet */
    uint32_t before = 0, number;
    begin_line(lines);
    if (end - p < 2 || *p != '{') return 0;
    if (p[1] == '}') return buf_add(out, "{}", 2) ? 1 : -1;
    for (;;) {
        const char *member = p + 1, *stop;
        Known *known;
        if (end - member < 2 || *member != '"') return 0;
        number = lines->known[before].next;
        known = &lines->known[number];
        if (stands_again(known, member, end)) {
            stop = member + known->size;
        } else {
            stop = new_member(lines, member, end, &number);
            if (!stop) return 0;
            known = &lines->known[number];
            if (number && known->turn != lines->turn) remember(known, member, (size_t)(stop - member), "", 0);
        }
        if (stop >= end) return 0;
        if (!number) { /* the body comes last */
            if (*stop != '}') return 0;
        } else if (known->turn == lines->turn) {
            if (known->sort == LAST_COUNTS) return 0;
            if (!buf_add(out, kept, (size_t)(p - kept))) return -1; /* the first counts */
            kept = stop;
        } else {
            known->turn = lines->turn;
            lines->known[before].next = number;
        }
        before = number;
        p = stop;
        if (*p == '}') return buf_add(out, kept, (size_t)(p + 1 - kept)) ? 1 : -1;
        if (*p != ',') return 0;
    }
}

#endif
