/* Memory that grows, and a value in it: what columns.h, ndjson.h and arrow.h share. */
#ifndef ESL_BUFS_H
#define ESL_BUFS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAD 96  /* bytes that may be read behind a payload */

/* Memory that a test can make fail: the allocation after so many; -1 is never. */
static int64_t esl_fail_after = -1;

static inline int esl_fails(void) {
    if (esl_fail_after < 0) return 0;
    return esl_fail_after-- == 0;
}

static inline void *esl_alloc(size_t size) { return esl_fails() ? NULL : calloc(1, size ? size : 1); }

static inline void *esl_realloc(void *p, size_t size) { return esl_fails() ? NULL : realloc(p, size); }

typedef struct {
    char *p;
    size_t n, cap;
} Buf;

static int buf_grow(Buf *buf, size_t more) {
    const size_t cap = (buf->n + more) + (buf->n + more) / 2 + 256;
    char *p = (char *)esl_realloc(buf->p, cap);
    if (!p) return 0;
    buf->p = p;
    buf->cap = cap;
    return 1;
}

static inline int buf_room(Buf *buf, size_t more) { return buf->cap - buf->n >= more ? 1 : buf_grow(buf, more); }

static void buf_free(Buf *buf) {
    free(buf->p);
    memset(buf, 0, sizeof *buf);
}

static int buf_add(Buf *buf, const void *p, size_t n) {
    if (!buf_room(buf, n)) return 0;
    if (n) memcpy(buf->p + buf->n, p, n);
    buf->n += n;
    return 1;
}

/* How a value is written. */
enum { AS_IT_IS, PERCENT, ESCAPED, ARRAY };

typedef struct {
    const char *p; /* NULL: absent */
    uint32_t n, how; /* two words in all, so that it is passed in registers; a payload with more bytes is read elsewhere */
} Value;

#endif
