/* Columns from the bytes of an Event Socket, for _columns_c.pyx: no Python object a value, no Python at all.
 *
 * One pass over an event's header block finds where its lines begin, 64 bytes at a time. The first eight bytes of each,
 * in lower case, lead through a table to the names that are wanted; names of fifteen bytes and more that begin alike are
 * told apart by the eight after them. So a line that nobody wants costs a multiplication and a look into the table.
 *
 * What is wanted stays where it lies until the event is whole, then it is copied into the columns once. A payload is
 * read with PAD bytes after it: those of the stream behind it, or, at the end of what was fed, of a copy.
 */
#ifndef ESL_COLUMNS_H
#define ESL_COLUMNS_H

#include "arrow.h"
#include "ndjson.h"
#include "scan.h"

#include <float.h>
#include <limits.h>

/* Have what is read next brought near: a sixth of the time, where the stream is larger than the caches. It may lie behind
 * the stream's end, where nothing is read. */
#if defined(ESL_SIMD) && MASK_STEP == 1
#define FETCH(p) _mm_prefetch(p, _MM_HINT_T0)
#elif defined(__GNUC__) || defined(__clang__)
#define FETCH(p) __builtin_prefetch(p)
#else
#define FETCH(p) ((void)0)
#endif
#define FETCH_AHEAD 768

#define VALUE_MOST (((size_t)1 << 29) - 1) /* of one value: with what a column may have before it, its end fits 32 bits */

/* Where a value comes from. The numbers stand in eslcodec/ingest/_spec.py too. */
enum { FROM_HEADER, FROM_BODY, FROM_JSON, FROM_ID, FROM_RECEIVED, FROM_OFFSET, FROM_SWITCH, FROM_NOTICE };

/* How a payload is written, as in eslcodec/_core/formats.py. */
enum { F_NONE = 0, F_PLAIN = 2, F_JSON = 3, F_XML = 4 };

/* What run() stopped for. */
enum { RUN_MORE, RUN_HEAD, RUN_SLOW, RUN_FULL, RUN_MEMORY, RUN_HEAD_SIZE };

/* A name that is looked for. */
typedef struct {
    const char *name;
    size_t size;
    uint64_t tail;
    int next, json_next; /* in its chain of the table, from 1 */
    int plain;           /* whether a line can have it */
    int event_name;      /* of the exact spelling the last counts, not the first */
    int all;             /* every value is asked for */
    int needs_last;      /* the last is asked for */
    Value exact, last;   /* of the exact spelling */
    Value folded, folded_last; /* of the first other spelling */
    const char *spelling;      /* that one */
} Want;

/* A value of a name of which all are asked for. */
typedef struct {
    Value value;
    const char *spelling;
    int want, exact;
} Occurrence;

/* The texts of a dictionary by their hash. */
typedef struct {
    Buf texts, offsets, slots, hashes;
    uint32_t count, mask;
    int32_t last; /* the code that came last, -1 */
} Dict;

typedef struct {
    int kind, source, want, second; /* numbers of names: second of FROM_ID is the Event-Sequence */
    Buf valid, values, offsets, inner;
    Dict dict;
    int64_t nulls, refused;           /* refused: in all */
    int64_t null_row, refused_row; /* the last, to take them back */
} Column;

/* What events are wanted: a name and, of CUSTOM, a subclass, NULL for all. */
typedef struct {
    const char *name, *subclass;
    size_t name_size, subclass_size;
} Filter;

#define FIRST_BITS 12
#define SECOND_BITS 10
#define LONG_NAME 15 /* from here on the second table has them */
#define SHORT_NAME 7 /* below there is no table */
#define LONG_FLAG 0x8000

typedef struct {
    Column *columns;
    int count;
    Want *wants;
    int want_count;
    Filter *filters;
    int filter_count, filtered; /* whether there are filters */
    int event_name, subclass;   /* the names that filters ask for */
    int shorts;                 /* chain of short names */
    uint16_t first[1 << FIRST_BITS], second[1 << SECOND_BITS], json[1 << SECOND_BITS];
    uint8_t special[256]; /* bytes that short names, and blank lines, begin with */
    int needs_body, needs_json, needs_offset;
    int64_t rows, bytes, row_bytes; /* of the batch that is being made; row_bytes: fixed ones of a row */
    int64_t batch_rows, batch_bytes;
    int64_t total_rows, malformed, left_out;
    int64_t max_header, max_body;
    Buf padded, scratch, occurrences, line;
    Lines *lines;
    int slow;            /* every event is read elsewhere */
    int ends_lines;      /* a line feed follows each value of FROM_JSON */
    Value body, json_text, received, offset, switch_name;
    char offset_digits[24 + 16]; /* as in PAD */
    int64_t offset_now; /* in the stream, of the frame that comes next */
    /* Of the frame at the place where run() stopped: what its head says. 0: not known. */
    size_t block;
    int64_t length;
    int format;
    double (*read_double)(const char *p, size_t n, int *is_one); /* for what takes more than a division; -1: no memory */
    int (*is_json)(const char *p, size_t n);                     /* -1: no memory */
    int no_memory;
    const char *metadata; /* of the batches' schema; or NULL */
} Plan;

/* Values */

static inline int is_blank_byte(char c) { return c == ' ' || c == '\t'; }

/* Replace in what was added from `from` on every byte that is not UTF-8 by U+FFFD. */
static int mend_utf8(Buf *buf, size_t from) {
    const unsigned char *p = (const unsigned char *)buf->p + from, *end = (const unsigned char *)buf->p + buf->n;
    size_t bad = 0, size = buf->n - from;
    char *to;
    while (p < end) {
        const size_t length = utf8_length(p, end);
        bad += !length;
        p += length ? length : 1;
    }
    if (!bad) return 1;
    if (!buf_room(buf, 2 * bad)) return 0;
    to = buf->p + from;
    memmove(to + 2 * bad, to, size);
    p = (const unsigned char *)to + 2 * bad;
    end = p + size;
    while (p < end) {
        const size_t length = utf8_length(p, end);
        if (length) memmove(to, p, length);
        else memcpy(to, "\xEF\xBF\xBD", 3);
        to += length ? length : 3;
        p += length ? length : 1;
    }
    buf->n += 2 * bad;
    return 1;
}

/* Copy n bytes that have PAD bytes behind them, with as much room for them; what coded() says of them. */
static inline int copy_coded(char *to, const char *from, size_t n) {
#ifdef ESL_SIMD
    uint64_t percent = 0, high = 0;
    size_t i;
    for (i = 0; i < n; i += 16) {
        const bytes16 a = load16(from + i);
        uint64_t p = mask16(equal16(a, '%')), h = mask16(upto16(a, 0x7F)) ^ MASK_FULL;
        memcpy(to + i, from + i, 16);
        if (n - i < 16) {
            const uint64_t ours = ((uint64_t)1 << ((n - i) * MASK_STEP)) - 1;
            p &= ours;
            h &= ours;
        }
        percent |= p;
        high |= h;
    }
    return (percent != 0) | (high != 0) << 1;
#else
    memcpy(to, from, n);
    return coded(from, n);
#endif
}

static int add_json_array(Buf *buf, Value value);

/* Add a value as the bytes that it stands for; *found is what coded() says of them, roughly: 2 is never left out. */
static int add_decoded(Buf *buf, Value value, int *found) {
    const char *coded_from;
    char *to;
    if (value.how == ARRAY) {
        *found = 2;
        return add_json_array(buf, value);
    }
    if (!buf_room(buf, value.n + 16)) return 0;
    to = buf->p + buf->n;
    if (value.how == ESCAPED) {
        buf->n += unescape_into(value.p, value.n, to);
        *found = 2;
        return 1;
    }
    *found = copy_coded(to, value.p, value.n);
    if (value.how != PERCENT || !(*found & 1)) {
        buf->n += value.n;
        return 1;
    }
    coded_from = (const char *)memchr(value.p, '%', value.n);
    to += coded_from - value.p;
    value.n -= (uint32_t)(coded_from - value.p);
    value.n = (uint32_t)unquote_into(coded_from, value.n, to);
    *found |= coded(to, value.n);
    buf->n = (size_t)(to + value.n - buf->p);
    return 1;
}

/* Add a value as UTF-8. */
static inline int add_text(Buf *buf, Value value) {
    const size_t from = buf->n;
    int found;
    if (!add_decoded(buf, value, &found)) return 0;
    return found & 2 ? mend_utf8(buf, from) : 1;
}

/* The text of an array, as in the plain format: of one item that item, of none nothing. */
static int add_json_array(Buf *buf, Value value) {
    const char *p = value.p, *end = value.p + value.n;
    Value item, more;
    int found;
    if (!next_item(&p, end, &item)) return 1;
    if (!next_item(&p, end, &more)) return add_decoded(buf, item, &found);
    if (!buf_add(buf, "ARRAY::", 7) || !add_decoded(buf, item, &found)) return 0;
    do {
        if (!buf_add(buf, "|:", 2) || !add_decoded(buf, more, &found)) return 0;
    } while (next_item(&p, end, &more));
    return 1;
}

/* The bytes that a value stands for, in its place or in the plan's scratch; 0 without memory. */
static inline int decoded(Plan *plan, Value *value) {
    int found;
    if (value->how == AS_IT_IS || (value->how == PERCENT && !(coded(value->p, value->n) & 1))) return 1;
    plan->scratch.n = 0;
    if (!buf_room(&plan->scratch, 16) || !add_decoded(&plan->scratch, *value, &found)) return 0;
    value->p = plan->scratch.p;
    value->n = (uint32_t)plan->scratch.n;
    value->how = AS_IT_IS;
    return 1;
}

/* Numbers and truth */

/* -?[0-9]+ in the range of 64 bits. */
static inline int read_int(const char *p, size_t n, int64_t *number) {
    const char *end = p + n;
    const int minus = n && *p == '-';
    const uint64_t most = (uint64_t)INT64_MAX + (uint64_t)minus;
    uint64_t value = 0;
    p += minus;
    if (p == end) return 0;
    if (n < 19) {
        for (; p < end; p++) {
            const unsigned digit = (unsigned)(unsigned char)*p - '0';
            if (digit > 9) return 0;
            value = value * 10 + digit;
        }
        *number = minus ? -(int64_t)value : (int64_t)value;
        return 1;
    }
    for (; p < end; p++) {
        const unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9 || value > most / 10) return 0;
        value = value * 10 + digit;
        if (value > most) return 0;
    }
    *number = minus ? (int64_t)(0 - value) : (int64_t)value;
    return 1;
}

/* [+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?, and finite: 1, 0, -1 without memory. */
static int read_float(const Plan *plan, const char *p, size_t n, double *number) {
    static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *at = p, *end = p + n;
    uint64_t digits = 0;
    int count = 0, places = 0, power = 0, minus = 0, easy = 1, is_one = 1;
    if (at < end && (*at == '-' || *at == '+')) minus = *at++ == '-';
    for (; at < end && (unsigned)(*at - '0') < 10; at++, count++) {
        if (digits > ((uint64_t)1 << 53) / 10 - 1) easy = 0;
        else digits = digits * 10 + (uint64_t)(*at - '0');
    }
    if (at < end && *at == '.') {
        for (at++; at < end && (unsigned)(*at - '0') < 10; at++, count++) {
            if (digits > ((uint64_t)1 << 53) / 10 - 1 || places == 22) easy = 0;
            else digits = digits * 10 + (uint64_t)(*at - '0'), places++;
        }
    }
    if (!count) return 0;
    if (at < end && (*at == 'e' || *at == 'E')) {
        if (++at < end && (*at == '-' || *at == '+')) at++;
        if (at == end) return 0;
        for (; at < end && (unsigned)(*at - '0') < 10; at++) power = 1;
    }
    if (at != end) return 0;
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
    if (easy && !power) { /* both are exact, so the quotient is rounded once */
        *number = (double)digits / TENS[places];
        if (minus) *number = -*number;
        return 1;
    }
#else
    (void)TENS, (void)minus, (void)easy, (void)power, (void)digits;
#endif
    *number = plan->read_double(p, n, &is_one);
    return is_one;
}

static int is_word(const char *p, size_t n, const char *const *words) {
    for (; *words; words++)
        if (strlen(*words) == n && folded_equal(p, *words, n)) return 1;
    return 0;
}

/* As the switch reads it: 1 true, 0 false, -1 neither of its words and no number. */
static int read_bool(const char *p, size_t n) {
    static const char *const TRUE_WORDS[] = {"true", "yes", "on", "t", "enabled", "active", "allow", NULL};
    static const char *const FALSE_WORDS[] = {"false", "no", "off", "f", "disabled", "inactive", "disallow", NULL};
    size_t i;
    int other = 0;
    if (is_word(p, n, TRUE_WORDS)) return 1;
    if (is_word(p, n, FALSE_WORDS)) return 0;
    if (!n) return -1;
    for (i = 0; i < n; i++) {
        if ((unsigned)(p[i] - '0') > 9) return -1;
        other |= p[i] != '0';
    }
    return other;
}

/* Columns */

static inline int add_offset(Buf *offsets, size_t end) {
    const int32_t offset = (int32_t)end;
    if (!buf_room(offsets, 4)) return 0;
    memcpy(offsets->p + offsets->n, &offset, 4);
    offsets->n += 4;
    return 1;
}

static inline int add_eight(Buf *values, const void *eight) {
    if (!buf_room(values, 8)) return 0;
    memcpy(values->p + values->n, eight, 8);
    values->n += 8;
    return 1;
}

static int add_bit(Buf *values, int64_t row, int value) {
    if (!(row & 7)) {
        if (!buf_room(values, 1)) return 0;
        values->p[values->n++] = 0;
    }
    values->p[row >> 3] = (char)((values->p[row >> 3] & ~(1 << (row & 7))) | value << (row & 7));
    return 1;
}

static uint32_t hash_text(const char *p, size_t n) {
    uint64_t hash = 0x9E3779B97F4A7C15u ^ n, word = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    word = 0;
    if (n) memcpy(&word, p, n);
    hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
    return (uint32_t)(hash >> 32);
}

static inline int dict_is(const Dict *dict, int32_t code, const char *p, size_t n) {
    int32_t span[2];
    memcpy(span, dict->offsets.p + 4 * (size_t)code, 8);
    return (size_t)(span[1] - span[0]) == n && (!n || memcmp(dict->texts.p + span[0], p, n) == 0);
}

/* Room for one more text: the table is never more than half full. */
static int dict_grow(Dict *dict) {
    const uint32_t slots = dict->slots.n ? (dict->mask + 1) * 2 : 64;
    int32_t *fresh, code;
    Buf buf = {NULL, 0, 0};
    if (dict->slots.n && dict->count < (dict->mask + 1) / 2) return 1;
    if (!buf_room(&buf, 4 * (size_t)slots)) return 0;
    buf.n = 4 * (size_t)slots;
    memset(buf.p, 0, buf.n);
    fresh = (int32_t *)(void *)buf.p;
    for (code = 0; code < (int32_t)dict->count; code++) {
        uint32_t at = ((const uint32_t *)(const void *)dict->hashes.p)[code] & (slots - 1);
        while (fresh[at]) at = (at + 1) & (slots - 1);
        fresh[at] = code + 1;
    }
    buf_free(&dict->slots);
    dict->slots = buf;
    dict->mask = slots - 1;
    return 1;
}

/* The code of a text, which is added if it is new: *fresh bytes then. -1 without memory. */
static int32_t dict_code(Dict *dict, const char *p, size_t n, int64_t *fresh) {
    uint32_t hash, at;
    int32_t code, *slots;
    if (dict->last >= 0 && dict_is(dict, dict->last, p, n)) return dict->last;
    if (!dict_grow(dict)) return -1;
    hash = hash_text(p, n);
    slots = (int32_t *)(void *)dict->slots.p;
    for (at = hash & dict->mask; (code = slots[at]); at = (at + 1) & dict->mask) {
        code--;
        if (((const uint32_t *)(const void *)dict->hashes.p)[code] == hash && dict_is(dict, code, p, n))
            return dict->last = code;
    }
    if (!buf_room(&dict->hashes, 4) || !buf_room(&dict->offsets, 8) || !buf_room(&dict->texts, n)) return -1;
    buf_add(&dict->texts, p, n);
    add_offset(&dict->offsets, dict->texts.n);
    buf_add(&dict->hashes, &hash, 4);
    slots[at] = (int32_t)++dict->count;
    *fresh += (int64_t)n + 4;
    return dict->last = (int32_t)dict->count - 1;
}

/* Nothing in a row. */
static int put_null(Plan *plan, Column *column) {
    static const char ZERO[8] = {0};
    char *valid = column->valid.p + (plan->rows >> 3);
    *valid = (char)(*valid & ~(1 << (plan->rows & 7)));
    column->nulls++;
    column->null_row = plan->rows;
    switch (column->kind) {
    case K_DICTIONARY: return buf_add(&column->values, ZERO, 4);
    case K_INT64: case K_FLOAT64: case K_TIMESTAMP: return add_eight(&column->values, ZERO);
    case K_BOOL: return add_bit(&column->values, plan->rows, 0);
    case K_LIST: return add_offset(&column->offsets, column->inner.n / 4 - 1);
    default: return add_offset(&column->offsets, column->values.n);
    }
}

static int put_refused(Plan *plan, Column *column) {
    column->refused++;
    column->refused_row = plan->rows;
    return put_null(plan, column);
}

static int put_dictionary(Plan *plan, Column *column, Value value) {
    int32_t code;
    if (!decoded(plan, &value)) return 0;
    if (coded(value.p, value.n) & 2) {
        if (value.p != plan->scratch.p) {
            plan->scratch.n = 0;
            if (!buf_add(&plan->scratch, value.p, value.n)) return 0;
        }
        if (!mend_utf8(&plan->scratch, 0)) return 0;
        value.p = plan->scratch.p;
        value.n = (uint32_t)plan->scratch.n;
    }
    code = dict_code(&column->dict, value.p, value.n, &plan->bytes);
    return code >= 0 && buf_add(&column->values, &code, 4);
}

static int put_number(Plan *plan, Column *column, Value value) {
    int64_t number;
    double real;
    int truth;
    if (!decoded(plan, &value)) return 0;
    switch (column->kind) {
    case K_FLOAT64:
        truth = read_float(plan, value.p, value.n, &real);
        if (truth < 0) return 0;
        return truth ? add_eight(&column->values, &real) : put_refused(plan, column);
    case K_BOOL:
        truth = read_bool(value.p, value.n);
        return truth < 0 ? put_refused(plan, column) : add_bit(&column->values, plan->rows, truth);
    default:
        if (!read_int(value.p, value.n, &number) || (column->kind == K_TIMESTAMP && *value.p == '-'))
            return put_refused(plan, column);
        if (column->kind == K_TIMESTAMP && !number) return put_null(plan, column);
        return add_eight(&column->values, &number);
    }
}

/* Texts and bytes. */
static inline int put_bytes(Plan *plan, Column *column, Value value) {
    const size_t before = column->values.n;
    int found, added, is_json = 1;
    if (column->source == FROM_JSON) added = buf_add(&column->values, value.p, value.n); /* UTF-8 as it is */
    else if (column->kind == K_BINARY) added = add_decoded(&column->values, value, &found);
    else added = add_text(&column->values, value);
    if (!added) return 0;
    if (column->kind == K_JSON && column->source != FROM_JSON)
        is_json = plan->is_json(column->values.p + before, column->values.n - before);
    if (is_json != 1) {
        column->values.n = before;
        return is_json < 0 ? 0 : put_refused(plan, column);
    }
    if (column->source == FROM_JSON && plan->ends_lines && !buf_add(&column->values, "\n", 1)) return 0;
    plan->bytes += (int64_t)(column->values.n - before);
    return add_offset(&column->offsets, column->values.n);
}

static int put_item(Plan *plan, Column *column, Value item) {
    const size_t before = column->values.n;
    if (!add_text(&column->values, item) || !add_offset(&column->inner, column->values.n)) return 0;
    plan->bytes += (int64_t)(column->values.n - before) + 4;
    return 1;
}

/* The items of one value: those of an array, or itself. */
static int put_items(Plan *plan, Column *column, Value value) {
    const char *p = value.p, *end = value.p + value.n;
    Value item;
    if (value.how == ARRAY) {
        while (next_item(&p, end, &item))
            if (!put_item(plan, column, item)) return 0;
        return 1;
    }
    if (!decoded(plan, &value)) return 0;
    if (value.n < 7 || memcmp(value.p, "ARRAY::", 7) != 0) return put_item(plan, column, value);
    /* What is decoded lies in the scratch, perhaps without PAD bytes behind it; scratch always has room for them. */
    end = value.p + value.n;
    item.how = AS_IT_IS;
    for (p = value.p + 7;;) {
        const char *stop = p;
        while (stop < end && !(*stop == '|' && end - stop > 1 && stop[1] == ':')) stop++;
        item.p = p;
        item.n = (uint32_t)(stop - p);
        if (!put_item(plan, column, item)) return 0;
        if (stop == end) return 1;
        p = stop + 2;
    }
}

static int put_list(Plan *plan, Column *column, const Want *want) {
    const Occurrence *all = (const Occurrence *)(const void *)plan->occurrences.p;
    const size_t count = plan->occurrences.n / sizeof *all;
    const int number = (int)(want - plan->wants);
    size_t i;
    for (i = 0; i < count; i++) {
        if (all[i].want != number || !all[i].exact != !want->exact.p) continue;
        if (!all[i].exact && memcmp(all[i].spelling, want->spelling, want->size) != 0) continue;
        if (!put_items(plan, column, all[i].value)) return 0;
    }
    return add_offset(&column->offsets, column->inner.n / 4 - 1);
}

static int put(Plan *plan, Column *column, Value value) {
    if (!value.p) return put_null(plan, column);
    switch (column->kind) {
    case K_STRING: case K_BINARY: case K_JSON: return put_bytes(plan, column, value);
    case K_DICTIONARY: return put_dictionary(plan, column, value);
    default: return put_number(plan, column, value);
    }
}

/* Rows */

/* Before the values of a row: whether there is memory for what tells nulls. */
static inline int begin_row(Plan *plan) {
    int i;
    for (i = 0; i < plan->count && !(plan->rows & 7); i++) {
        Buf *valid = &plan->columns[i].valid;
        valid->n = (size_t)(plan->rows >> 3);
        if (!buf_room(valid, 1)) return 0;
        valid->p[valid->n++] = (char)0xFF;
    }
    return 1;
}

static inline void end_row(Plan *plan) {
    plan->rows++;
    plan->total_rows++;
    plan->bytes += plan->row_bytes;
}

static int32_t offset_at(const Buf *offsets, int64_t at) {
    int32_t offset;
    memcpy(&offset, offsets->p + 4 * at, 4);
    return offset;
}

/* Take back what was put into the columns of a row that has no end. */
static void drop_row(Plan *plan) {
    int i;
    for (i = 0; i < plan->count; i++) {
        Column *column = &plan->columns[i];
        const size_t rows = (size_t)plan->rows;
        if (column->null_row == plan->rows) {
            column->nulls--;
            column->null_row = -1;
        }
        if (column->refused_row == plan->rows) column->refused--;
        column->refused_row = -1;
        if (column->valid.p && rows / 8 < column->valid.n) column->valid.p[rows / 8] |= (char)(1 << (rows & 7));
        switch (column->kind) {
        case K_DICTIONARY: column->values.n = 4 * rows; break;
        case K_INT64: case K_FLOAT64: case K_TIMESTAMP: column->values.n = 8 * rows; break;
        case K_BOOL: column->values.n = (rows + 7) / 8; break;
        case K_LIST:
            column->offsets.n = 4 * rows + 4;
            column->inner.n = 4 * (size_t)offset_at(&column->offsets, plan->rows) + 4;
            column->values.n = (size_t)offset_at(&column->inner, (int64_t)(column->inner.n / 4) - 1);
            break;
        default:
            column->offsets.n = 4 * rows + 4;
            column->values.n = (size_t)offset_at(&column->offsets, plan->rows);
        }
    }
}

static inline void forget_values(Plan *plan) {
    int i;
    for (i = 0; i < plan->want_count; i++) {
        Want *want = &plan->wants[i];
        want->exact.p = want->folded.p = NULL;
    }
    plan->occurrences.n = 0;
    plan->body.p = plan->json_text.p = NULL;
}

static inline Value value_of(const Want *want) { return want->exact.p ? want->exact : want->folded; }

static inline Value last_of(const Want *want) { return want->exact.p ? want->last : want->folded_last; }

/* `Core-UUID:Event-Sequence`, the last of each, as bytes in the plan's scratch. */
static int make_id(Plan *plan, const Column *column, Value *id) {
    const Value core = last_of(&plan->wants[column->want]), sequence = last_of(&plan->wants[column->second]);
    int found;
    id->p = NULL;
    if (!core.p || !sequence.p) return 1;
    plan->scratch.n = 0;
    if (!add_decoded(&plan->scratch, core, &found) || !buf_add(&plan->scratch, ":", 1)) return 0;
    if (!add_decoded(&plan->scratch, sequence, &found)) return 0;
    id->p = plan->scratch.p;
    id->n = (uint32_t)plan->scratch.n;
    id->how = AS_IT_IS;
    return 1;
}

static inline int put_column(Plan *plan, Column *column) {
    Value value;
    switch (column->source) {
    case FROM_HEADER:
        value = value_of(&plan->wants[column->want]);
        if (column->kind == K_LIST && value.p) return put_list(plan, column, &plan->wants[column->want]);
        return put(plan, column, value);
    case FROM_BODY: return put(plan, column, plan->body);
    case FROM_JSON: return put(plan, column, plan->json_text);
    case FROM_RECEIVED: return put(plan, column, plan->received);
    case FROM_OFFSET: return put(plan, column, plan->offset);
    case FROM_SWITCH: return put(plan, column, plan->switch_name);
    case FROM_NOTICE:
        value.p = NULL;
        value.n = 0;
        value.how = AS_IT_IS;
        return put(plan, column, value);
    default: return make_id(plan, column, &value) && put(plan, column, value);
    }
}

static int put_row(Plan *plan) {
    const int64_t bytes = plan->bytes;
    int i, whole = begin_row(plan);
    for (i = 0; whole && i < plan->count; i++) whole = put_column(plan, &plan->columns[i]);
    if (whole) {
        end_row(plan);
        return 1;
    }
    drop_row(plan);
    plan->bytes = bytes;
    return 0;
}

/* Whether an event is among those that are asked for: 1, 0, -1 without memory. */
static int passes(Plan *plan) {
    Value name = value_of(&plan->wants[plan->event_name]), subclass;
    int i;
    if (!name.p || !decoded(plan, &name)) return name.p ? -1 : 0;
    for (i = 0; i < plan->filter_count; i++) {
        const Filter *filter = &plan->filters[i];
        if (name.n != filter->name_size || !folded_equal(name.p, filter->name, name.n)) continue;
        if (!filter->subclass) return 1;
        break;
    }
    if (i == plan->filter_count) return 0;
    subclass = value_of(&plan->wants[plan->subclass]);
    if (!subclass.p || !decoded(plan, &subclass)) return subclass.p ? -1 : 0;
    for (; i < plan->filter_count; i++) {
        const Filter *filter = &plan->filters[i];
        if (filter->subclass && subclass.n == filter->subclass_size &&
            memcmp(subclass.p, filter->subclass, subclass.n) == 0)
            return 1;
    }
    return 0;
}

/* Names */

static inline uint64_t fold8(const char *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word | 0x2020202020202020u;
}

static inline unsigned first_hash(const char *p) {
    return (unsigned)((fold8(p) * 0x9E3779B97F4A7C15u) >> (64 - FIRST_BITS));
}

static inline unsigned second_hash(const char *p) {
    return (unsigned)((fold8(p + 8) * 0xC2B2AE3D27D4EB4Fu) >> (64 - SECOND_BITS));
}

/* Of a name whose end is known, so that it needs nothing behind it. */
static inline unsigned json_hash(const char *name, size_t size) {
    const uint64_t tail = size >= 8 ? fold8(name + size - 8) : tail_of(name, size) | 0x2020202020202020u;
    return (unsigned)(((tail ^ size << 56) * 0x9E3779B97F4A7C15u) >> (64 - SECOND_BITS));
}

/* Put a name into the tables. */
static void plan_want(Plan *plan, int number) {
    Want *want = &plan->wants[number];
    char start[17] = {0};
    uint16_t *chain;
    unsigned hash;
    memcpy(start, want->name, want->size < 16 ? want->size : 16);
    if (want->size < 16) start[want->size] = ':';
    want->tail = tail_of(want->name, want->size);
    hash = json_hash(want->name, want->size);
    want->json_next = plan->json[hash];
    plan->json[hash] = (uint16_t)(number + 1);
    if (!want->plain) return;
    if (want->size < SHORT_NAME) {
        want->next = plan->shorts;
        plan->shorts = number + 1;
        plan->special[(unsigned char)start[0]] = 1;
        if ((unsigned char)((start[0] | 0x20) - 'a') < 26) plan->special[(unsigned char)(start[0] ^ 0x20)] = 1;
        return;
    }
    chain = &plan->first[first_hash(start)];
    if (want->size >= LONG_NAME) {
        *chain |= LONG_FLAG;
        chain = &plan->second[second_hash(start)];
    }
    want->next = *chain & ~LONG_FLAG;
    *chain = (uint16_t)((*chain & LONG_FLAG) | (number + 1));
}

/* Note the value of a name that was found. */
static int note(Plan *plan, Want *want, const char *spelling, int exact, Value value) {
    if (exact) {
        if (!want->exact.p || want->event_name) want->exact = value;
        want->last = value;
    } else if (!want->folded.p) {
        want->folded = want->folded_last = value;
        want->spelling = spelling;
    } else if (memcmp(spelling, want->spelling, want->size) == 0) {
        want->folded_last = value;
        if (want->size == 10 && memcmp(spelling, "Event-Name", 10) == 0) want->folded = value;
    }
    if (want->all) {
        Occurrence one;
        one.value = value;
        one.spelling = spelling;
        one.want = (int)(want - plan->wants);
        one.exact = exact;
        if (!buf_add(&plan->occurrences, &one, sizeof one)) plan->no_memory = 1;
    }
    return 1;
}

/* Whether the line [p, stop) has a name, which is noted then. */
static inline void line_has(Plan *plan, Want *want, const char *p, const char *stop) {
    const size_t size = want->size;
    const char *at;
    Value value;
    int exact;
    if ((size_t)(stop - p) <= size || p[size] != ':' || unlike_tail(p, size, want->tail)) return;
    exact = same_bytes(p, want->name, size);
    if (!exact && !folded_equal(p, want->name, size)) return;
    at = p + size + 1;
    if (at < stop && *at == ' ') {
        at++;
    } else {
        if (find_cut(p, stop) != p + size) return;
        while (at < stop && is_blank_byte(*at)) at++;
    }
    value.p = at;
    value.n = (uint32_t)(stop - at);
    value.how = PERCENT;
    note(plan, want, p, exact, value);
}

static inline void line_among(Plan *plan, int number, const char *p, const char *stop) {
    while (number) {
        Want *want = &plan->wants[number - 1];
        line_has(plan, want, p, stop);
        number = want->next;
    }
}

/* The chain of long names that a line may begin with; 0 if the first eight bytes are of none. */
static inline unsigned long_entry(const Plan *plan, unsigned entry, const char *p) {
    return entry & LONG_FLAG ? plan->second[second_hash(p)] : 0;
}

/* A line that may have a wanted name; `stop` is its line feed or the end. */
static inline void line_hit(Plan *plan, unsigned entry, unsigned other, const char *p, const char *stop) {
    stop -= stop > p && stop[-1] == '\r';
    line_among(plan, (int)(entry & ~(unsigned)LONG_FLAG), p, stop);
    line_among(plan, (int)other, p, stop);
    if (plan->shorts && plan->special[(unsigned char)*p]) line_among(plan, plan->shorts, p, stop);
}

/* Note all values of the names in a plain payload; returns where its body begins, or the end. */
#define SCAN_LINES(NAME, WITH, FEEDS)                                                                                   \
    WITH static const char *NAME(Plan *plan, const char *base, const char *end) {                                       \
        const uint16_t *const first = plan->first;                                                                      \
        const uint8_t *const special = plan->special;                                                                   \
        const char *p = base, *at = base, *const last = end - 1; /* after a line feed there nothing begins */           \
        uint64_t feeds;                                                                                                 \
        if (base == end) return end;                                                                                    \
        feeds = FEEDS(p);                                                                                               \
        if (last - p < 64) feeds &= ((uint64_t)1 << (last - p)) - 1;                                                    \
        for (;;) {                                                                                                      \
            const unsigned entry = first[first_hash(at)];                                                               \
            unsigned other;                                                                                             \
            if ((special[(unsigned char)*at] | entry) &&                                                                \
                ((other = long_entry(plan, entry, at)) | special[(unsigned char)*at] | (entry & ~(unsigned)LONG_FLAG))) { \
                if (*at == '\n') return at + 1;                                                                         \
                if (*at == '\r' && end - at > 1 && at[1] == '\n') return at + 2;                                        \
                line_hit(plan, entry, other, at, feeds ? p + low_bit(feeds) : find_feed(end - p > 64 ? p + 64 : at, end));     \
            }                                                                                                           \
            while (!feeds) {                                                                                            \
                p += 64;                                                                                                \
                if (p >= last) return end;                                                                              \
                feeds = FEEDS(p);                                                                                       \
                if (last - p < 64) feeds &= ((uint64_t)1 << (last - p)) - 1;                                            \
            }                                                                                                           \
            at = p + low_bit(feeds) + 1;                                                                                \
            feeds &= feeds - 1;                                                                                         \
        }                                                                                                               \
    }

static inline uint64_t feeds64(const char *p) {
    FETCH(p + FETCH_AHEAD);
    return equal64(p, '\n');
}
SCAN_LINES(scan_lines, , feeds64)

#ifdef ESL_AVX2
WITH_AVX2 static inline uint64_t feeds64_wide(const char *p) {
    const __m256i feed = _mm256_set1_epi8('\n');
    FETCH(p + FETCH_AHEAD);
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, feed)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, feed)) << 32;
}
SCAN_LINES(scan_lines_wide, WITH_AVX2, feeds64_wide)
#endif

/* The event as a line of JSON, in the plan: RUN_MORE if it is there. */
static int make_line(Plan *plan, int format, const char *p, const char *end) {
    int done;
    plan->line.n = 0;
    done = format == F_PLAIN ? add_plain_line(plan->lines, &plan->line, p, end)
                             : add_json_line(plan->lines, &plan->line, p, end);
    if (done < 0 || !buf_room(&plan->line, 16)) return RUN_MEMORY;
    if (!done || plan->line.n > VALUE_MOST) return RUN_SLOW;
    plan->json_text.p = plan->line.p;
    plan->json_text.n = (uint32_t)plan->line.n;
    plan->json_text.how = AS_IT_IS;
    return RUN_MORE;
}

/* Payloads */

/* Put a row for what was noted of an event: RUN_MORE if all is well. */
static int settle(Plan *plan, int format, const char *p, const char *end) {
    int stop = RUN_MORE, pass = 1;
    if (plan->no_memory) stop = RUN_MEMORY;
    else if (plan->filtered && (pass = passes(plan)) < 0) stop = RUN_MEMORY;
    plan->no_memory = 0;
    if (stop != RUN_MORE) return stop;
    if (!pass) {
        plan->left_out++;
        return RUN_MORE;
    }
    if (plan->needs_json && (stop = make_line(plan, format, p, end)) != RUN_MORE) return stop;
    return put_row(plan) ? RUN_MORE : RUN_MEMORY;
}

static int row_plain(Plan *plan, const char *p, const char *end) {
    const char *body = end;
    forget_values(plan);
    if (!plan->want_count && !plan->needs_body) return settle(plan, F_PLAIN, p, end);
#ifdef ESL_AVX2
    if (use_avx2) body = scan_lines_wide(plan, p, end);
    else
#endif
        body = scan_lines(plan, p, end);
    if (plan->needs_body && body < end) {
        plan->body.p = body;
        plan->body.n = (uint32_t)(end - body);
        plan->body.how = AS_IT_IS;
    }
    return settle(plan, F_PLAIN, p, end);
}

/* A name of a JSON event: note its value if it is wanted, or if it is the body's. */
static inline void note_member(Plan *plan, const char *name, size_t size, Value value) {
    int number = plan->json[json_hash(name, size)];
    if (size == 5 && *name == '_' && folded_equal(name, "_body", 5)) {
        if (!plan->body.p) plan->body = value;
        return;
    }
    while (number) {
        Want *want = &plan->wants[number - 1];
        if (want->size == size) {
            const int exact = memcmp(name, want->name, size) == 0;
            if (exact || folded_equal(name, want->name, size)) note(plan, want, name, exact, value);
        }
        number = want->json_next;
    }
}

#define NEXT_MARK(MARKS)                                                                                                \
    while (!marks) {                                                                                                    \
        block += 64;                                                                                                    \
        if (block >= end) return 0;                                                                                     \
        marks = MARKS(block);                                                                                           \
    }

/* Note all values of an event as a switch writes it: one object of strings and arrays of strings, without blanks, names
 * without escapes. Whether it is that; everything else is left to the core's reader. Quotes and backslashes are found 64
 * bytes at a time; a string with a backslash, and an array, are passed byte by byte. */
#define READ_MEMBERS(NAME, WITH, MARKS)                                                                                 \
    WITH static int NAME(Plan *plan, const char *p, const char *end) {                                                  \
        const char *block;                                                                                              \
        uint64_t marks;                                                                                                 \
        int escaped;                                                                                                    \
        if (end - p < 2 || *p != '{') return 0;                                                                         \
        if (p[1] == '}') return 1;                                                                                      \
        block = p + 1;                                                                                                  \
        marks = MARKS(block);                                                                                           \
        for (;;) {                                                                                                      \
            const char *name = p + 2, *stop;                                                                            \
            Value value;                                                                                                \
            size_t size;                                                                                                \
            if (end - name < 4 || p[1] != '"') return 0;                                                                \
            marks &= marks - 1; /* that quote */                                                                        \
            NEXT_MARK(MARKS);                                                                                           \
            stop = block + low_bit(marks);                                                                              \
            if (*stop != '"' || end - stop < 4 || stop[1] != ':') return 0;                                             \
            size = (size_t)(stop - name);                                                                               \
            marks &= marks - 1;                                                                                         \
            value.p = stop + 3;                                                                                         \
            if (stop[2] == '"') {                                                                                       \
                NEXT_MARK(MARKS);                                                                                       \
                marks &= marks - 1; /* the quote before the value */                                                    \
                NEXT_MARK(MARKS);                                                                                       \
                stop = block + low_bit(marks);                                                                          \
                value.how = AS_IT_IS;                                                                                   \
                marks &= marks - 1;                                                                                     \
                if (*stop != '"') {                                                                                     \
                    stop = string_end(stop, end, &escaped);                                                             \
                    value.how = ESCAPED;                                                                                \
                }                                                                                                       \
            } else if (stop[2] == '[') {                                                                                \
                stop = array_end(value.p, end);                                                                         \
                value.how = ARRAY;                                                                                      \
            } else {                                                                                                    \
                return 0;                                                                                               \
            }                                                                                                           \
            if (!stop || end - stop < 2) return 0;                                                                      \
            value.n = (uint32_t)(stop - value.p);                                                                       \
            note_member(plan, name, size, value);                                                                       \
            p = stop + 1;                                                                                               \
            if (*p == '}') return 1;                                                                                    \
            if (*p != ',') return 0;                                                                                    \
            if (value.how == AS_IT_IS) {                                                                                \
                NEXT_MARK(MARKS);                                                                                       \
                if (block + low_bit(marks) != p + 1) return 0;                                                          \
            } else {                                                                                                    \
                block = p + 1;                                                                                          \
                marks = MARKS(block);                                                                                   \
            }                                                                                                           \
        }                                                                                                               \
    }

static inline uint64_t marks64(const char *p) { return equal64(p, '"') | equal64(p, '\\'); }
READ_MEMBERS(read_members, , marks64)

#ifdef ESL_AVX2
WITH_AVX2 static inline uint32_t marks32_wide(const char *p) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i quotes = _mm256_cmpeq_epi8(a, _mm256_set1_epi8('"'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(quotes, _mm256_cmpeq_epi8(a, _mm256_set1_epi8('\\'))));
}
WITH_AVX2 static inline uint64_t marks64_wide(const char *p) {
    return marks32_wide(p) | (uint64_t)marks32_wide(p + 32) << 32;
}
READ_MEMBERS(read_members_wide, WITH_AVX2, marks64_wide)
#endif

static int row_json(Plan *plan, const char *p, const char *end) {
    forget_values(plan);
    if (!plan->want_count && !plan->needs_body) return settle(plan, F_JSON, p, end);
#ifdef ESL_AVX2
    if (use_avx2) return read_members_wide(plan, p, end) ? settle(plan, F_JSON, p, end) : RUN_SLOW;
#endif
    return read_members(plan, p, end) ? settle(plan, F_JSON, p, end) : RUN_SLOW;
}

/* A payload that has PAD bytes behind it and a line feed before it. */
static int row_of(Plan *plan, int format, const char *p, const char *end) {
    if (plan->slow || (size_t)(end - p) > VALUE_MOST) return RUN_SLOW;
    if (format == F_PLAIN) return row_plain(plan, p, end);
    return format == F_JSON ? row_json(plan, p, end) : RUN_SLOW;
}

/* A payload that may end with the memory it lies in. */
static int row_copied(Plan *plan, int format, const char *p, size_t n) {
    plan->padded.n = 0;
    if (!buf_room(&plan->padded, n + 1 + PAD)) return RUN_MEMORY;
    plan->padded.p[0] = '\n';
    if (n) memcpy(plan->padded.p + 1, p, n);
    memset(plan->padded.p + 1 + n, 0, PAD);
    return row_of(plan, format, plan->padded.p + 1, plan->padded.p + 1 + n);
}

/* A payload of a message. */
typedef struct {
    const char *p;
    size_t n;
    int format;
} Payload;

static inline int is_full(const Plan *plan) {
    return plan->rows >= plan->batch_rows || plan->bytes >= plan->batch_bytes;
}

/* Make rows of payloads from number *at on, which is then the one that stopped it, or after RUN_FULL the next. */
static int rows_of(Plan *plan, const Payload *payloads, int count, int *at) {
    while (*at < count) {
        const Payload *payload = &payloads[*at];
        const int stop = row_copied(plan, payload->format, payload->p, payload->n);
        if (stop != RUN_MORE) return stop;
        ++*at;
        if (is_full(plan)) return RUN_FULL;
    }
    return RUN_MORE;
}

static void set_offset(Plan *plan) {
    char *end = plan->offset_digits + 24, *to = end;
    uint64_t number = (uint64_t)plan->offset_now;
    do *--to = (char)('0' + number % 10);
    while (number /= 10);
    plan->offset.p = to;
    plan->offset.n = (uint32_t)(end - to);
    plan->offset.how = AS_IT_IS;
}

/* Values that were read elsewhere, one for each column: begin_row(), these, and end_row() or drop_row(). */
static int put_given(Plan *plan, Column *column, const char *p, size_t n) {
    Value value;
    if (!p) return put_null(plan, column);
    if (n > VALUE_MOST) return put_refused(plan, column);
    plan->padded.n = 0;
    if (!buf_room(&plan->padded, n + PAD)) return 0;
    if (n) memcpy(plan->padded.p, p, n);
    value.p = plan->padded.p;
    value.n = (uint32_t)n;
    value.how = AS_IT_IS;
    return put(plan, column, value);
}

static int put_given_item(Plan *plan, Column *column, const char *p, size_t n) {
    Value value;
    plan->padded.n = 0;
    if (!buf_room(&plan->padded, n + PAD)) return 0;
    if (n) memcpy(plan->padded.p, p, n);
    value.p = plan->padded.p;
    value.n = (uint32_t)n;
    value.how = AS_IT_IS;
    return put_item(plan, column, value);
}

static int end_given_list(Column *column) { return add_offset(&column->offsets, column->inner.n / 4 - 1); }

/* Streams */

/* Read the head of the frame at p: RUN_MORE if it is not whole yet, RUN_HEAD if somebody else has to. A known head is
 * noted in the plan, and *next set. */
static int read_usual_head(Plan *plan, const char *p, const char *end) {
    ptrdiff_t at, size;
    int64_t length;
    const char *next = usual_head(p, end, &length, &at, &size), *most;
    if (next != p && next - p <= plan->max_header && length <= plan->max_body) {
        plan->block = (size_t)(next - p);
        plan->length = length < 0 ? 0 : length;
        plan->format = size == 16 ? F_PLAIN : size == 15 ? F_JSON : size == 14 ? F_XML : F_NONE;
        return RUN_FULL;
    }
    most = end - p > plan->max_header ? p + plan->max_header : end;
    next = find_blank(p, most);
    if (!next) return most < end ? RUN_HEAD_SIZE : RUN_MORE;
    plan->block = (size_t)(next - p) + (next[1] == '\r' ? 3 : 2);
    return RUN_HEAD;
}

/* Make rows of the frames from *at on; *at is then the frame that was not finished, for the reason that is returned. Of
 * RUN_HEAD plan->block is the size, and plan->length -1 until somebody has read it. After RUN_SLOW somebody makes the row and
 * calls pass_frame(). */
static int run(Plan *plan, const char **at, const char *end) {
    const char *p = *at;
    int stop = RUN_MORE;
    for (;;) {
        const char *payload, *behind;
        if (!plan->block) {
            const char *begin = p;
            while (p < end && (*p == '\n' || *p == '\r')) p++;
            plan->offset_now += p - begin;
            if (p == end) break;
            stop = read_usual_head(plan, p, end);
            if (stop == RUN_HEAD) plan->length = -1;
            if (stop != RUN_FULL) break;
        }
        stop = RUN_MORE;
        payload = p + plan->block;
        if ((int64_t)(end - p) < (int64_t)plan->block || end - payload < plan->length) break;
        behind = payload + plan->length;
        if (plan->format) {
            if (plan->needs_offset) set_offset(plan);
            stop = end - behind >= PAD ? row_of(plan, plan->format, payload, behind)
                                       : row_copied(plan, plan->format, payload, (size_t)plan->length);
            if (stop != RUN_MORE) break;
        }
        plan->offset_now += behind - p;
        p = behind;
        plan->block = 0;
        if (is_full(plan)) {
            stop = RUN_FULL;
            break;
        }
    }
    *at = p;
    return stop;
}

/* After the row of the frame at *at was made elsewhere. */
static void pass_frame(Plan *plan, const char **at) {
    const int64_t size = (int64_t)plan->block + plan->length;
    plan->offset_now += size;
    *at += size;
    plan->block = 0;
}

/* Batches */

static int begin_columns(Plan *plan) {
    int i;
    for (i = 0; i < plan->count; i++) {
        Column *column = &plan->columns[i];
        column->dict.last = -1;
        column->null_row = column->refused_row = -1;
        switch (column->kind) {
        case K_DICTIONARY:
            if (!column->dict.offsets.n && !add_offset(&column->dict.offsets, 0)) return 0;
            break;
        case K_INT64: case K_FLOAT64: case K_TIMESTAMP: case K_BOOL: break;
        case K_LIST:
            if (!column->inner.n && !add_offset(&column->inner, 0)) return 0; /* and the offsets */
            /* fall through */
        default:
            if (!column->offsets.n && !add_offset(&column->offsets, 0)) return 0;
        }
    }
    return 1;
}

static char *take_buffer(Buf *buf) {
    char *p = buf->p;
    memset(buf, 0, sizeof *buf);
    return p;
}

/* A batch with names and kinds, and nothing else in it; NULL without memory. */
static Filling *new_filling(const Plan *plan, const char *const *names) {
    Filling *batch = (Filling *)esl_alloc(sizeof *batch);
    int i;
    if (!batch) return NULL;
    batch->owners = 1;
    batch->metadata = plan->metadata;
    batch->columns = (Filled *)esl_alloc((size_t)plan->count * sizeof *batch->columns);
    if (!batch->columns) {
        filling_drop(batch);
        return NULL;
    }
    batch->count = plan->count;
    for (i = 0; i < plan->count; i++) {
        const size_t size = strlen(names[i]) + 1;
        batch->columns[i].kind = plan->columns[i].kind;
        batch->columns[i].name = (char *)esl_alloc(size);
        if (!batch->columns[i].name) {
            filling_drop(batch);
            return NULL;
        }
        memcpy(batch->columns[i].name, names[i], size);
    }
    return batch;
}

/* The rows that are there as a batch, whose owner is whoever asked; NULL without memory, and nothing has changed then. */
static Filling *seal(Plan *plan, const char *const *names) {
    Filling *batch = new_filling(plan, names);
    int i;
    if (!batch) return NULL;
    batch->rows = plan->rows;
    for (i = 0; i < plan->count; i++) {
        Column *column = &plan->columns[i];
        Filled *filled = &batch->columns[i];
        filled->nulls = column->nulls;
        filled->items = column->kind == K_LIST ? (int64_t)(column->inner.n / 4) - 1 : (int64_t)column->dict.count;
        filled->valid = take_buffer(&column->valid);
        filled->values = take_buffer(&column->values);
        filled->offsets = take_buffer(&column->offsets);
        filled->inner = take_buffer(column->kind == K_LIST ? &column->inner : &column->dict.offsets);
        filled->texts = take_buffer(&column->dict.texts);
        column->nulls = 0;
        column->dict.count = 0;
        column->dict.hashes.n = 0;
        buf_free(&column->dict.slots);
    }
    plan->rows = plan->bytes = 0;
    return batch;
}

static void plan_free(Plan *plan) {
    int i;
    for (i = 0; i < plan->count; i++) {
        Column *column = &plan->columns[i];
        buf_free(&column->valid);
        buf_free(&column->values);
        buf_free(&column->offsets);
        buf_free(&column->inner);
        buf_free(&column->dict.texts);
        buf_free(&column->dict.offsets);
        buf_free(&column->dict.slots);
        buf_free(&column->dict.hashes);
    }
    buf_free(&plan->padded);
    buf_free(&plan->scratch);
    buf_free(&plan->occurrences);
    buf_free(&plan->line);
    lines_free(plan->lines);
    free(plan->columns);
    free(plan->wants);
    free(plan->filters);
    free(plan);
}

#endif
