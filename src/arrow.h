/* Arrow's C data and stream interface for a batch of columns: https://arrow.apache.org/docs/format/CDataInterface.html
 *
 * What is exported counts as an owner of the batch, each array by itself, since a consumer may move a child out of its
 * parent. Nothing here knows Python: a consumer may ask and release from threads of its own, also while Python ends.
 */
#ifndef ESL_ARROW_H
#define ESL_ARROW_H

#include <errno.h>

#include "bufs.h"

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_NULLABLE 2
struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};
#endif

#if defined(_MSC_VER)
#include <intrin.h>
typedef volatile long Owners;
static inline void owners_add(Owners *owners) { _InterlockedIncrement(owners); }
static inline int owners_drop(Owners *owners) { return _InterlockedDecrement(owners) == 0; }
#else
typedef long Owners;
static inline void owners_add(Owners *owners) { __atomic_add_fetch(owners, 1, __ATOMIC_RELAXED); }
static inline int owners_drop(Owners *owners) { return __atomic_sub_fetch(owners, 1, __ATOMIC_ACQ_REL) == 0; }
#endif

/* What kinds of columns there are; the numbers stand in eslcodec/ingest/_spec.py too, in this order. */
enum { K_STRING, K_DICTIONARY, K_INT64, K_FLOAT64, K_TIMESTAMP, K_BOOL, K_LIST, K_BINARY, K_JSON };

static const char *const ARROW_FORMATS[] = {"u", "i", "l", "g", "tsu:UTC", "b", "+l", "z", "u"};

/* The buffers of a column whose batch is full. */
typedef struct {
    char *name;
    int kind;
    int64_t nulls;
    int64_t items; /* of all lists, or of the dictionary */
    char *valid;   /* a bit for each row */
    char *values;  /* numbers, bits, indices, or the bytes of all texts or items */
    char *offsets; /* of the texts or of the lists */
    char *inner;   /* offsets of the items; of the dictionary's texts */
    char *texts;   /* of the dictionary */
} Filled;

typedef struct {
    Owners owners;
    int64_t rows;
    int count;
    Filled *columns;
    const char *metadata; /* of the schema, which nobody frees; or NULL */
} Filling;

static void filling_drop(Filling *batch) {
    int i;
    if (!owners_drop(&batch->owners)) return;
    for (i = 0; i < batch->count; i++) {
        Filled *column = &batch->columns[i];
        free(column->name);
        free(column->valid);
        free(column->values);
        free(column->offsets);
        free(column->inner);
        free(column->texts);
    }
    free(batch->columns);
    free(batch);
}

/* Schema */

static void schema_release(struct ArrowSchema *schema) {
    int64_t i;
    for (i = 0; i < schema->n_children; i++) {
        if (schema->children[i] && schema->children[i]->release) schema->children[i]->release(schema->children[i]);
        free(schema->children[i]);
    }
    if (schema->dictionary) {
        if (schema->dictionary->release) schema->dictionary->release(schema->dictionary);
        free(schema->dictionary);
    }
    free(schema->children);
    free(schema->private_data);
    schema->release = NULL;
}

/* Fill in a schema with room for so many children; whether there was memory. It can be released in any case. */
static int schema_begin(struct ArrowSchema *schema, const char *format, const char *name, int64_t children) {
    const size_t size = strlen(name) + 1;
    char *copy = (char *)esl_alloc(size);
    memset(schema, 0, sizeof *schema);
    schema->release = schema_release;
    schema->format = format;
    schema->name = "";
    schema->private_data = copy;
    if (!copy) return 0;
    memcpy(copy, name, size);
    schema->name = copy;
    schema->flags = ARROW_FLAG_NULLABLE;
    if (!children) return 1;
    schema->children = (struct ArrowSchema **)esl_alloc((size_t)children * sizeof *schema->children);
    if (!schema->children) return 0;
    schema->n_children = children;
    return 1;
}

static struct ArrowSchema *schema_new(const char *format, const char *name, int64_t children, int *whole) {
    struct ArrowSchema *schema = (struct ArrowSchema *)esl_alloc(sizeof *schema);
    if (!schema || !schema_begin(schema, format, name, children)) *whole = 0;
    return schema;
}

static int export_schema(const Filling *batch, struct ArrowSchema *schema) {
    int i, whole = schema_begin(schema, "+s", "", batch->count);
    schema->flags = 0;
    schema->metadata = batch->metadata;
    for (i = 0; whole && i < batch->count; i++) {
        const Filled *column = &batch->columns[i];
        struct ArrowSchema *child =
            schema_new(ARROW_FORMATS[column->kind], column->name, column->kind == K_LIST, &whole);
        schema->children[i] = child;
        if (whole && column->kind == K_LIST) child->children[0] = schema_new("u", "item", 0, &whole);
        if (whole && column->kind == K_DICTIONARY) child->dictionary = schema_new("u", "", 0, &whole);
    }
    if (whole) return 0;
    schema->release(schema);
    return ENOMEM;
}

/* Arrays */

typedef struct {
    const void *buffers[3];
    Filling *batch;
} Owned;

static void array_release(struct ArrowArray *array) {
    Owned *owned = (Owned *)array->private_data;
    int64_t i;
    for (i = 0; i < array->n_children; i++) {
        if (array->children[i] && array->children[i]->release) array->children[i]->release(array->children[i]);
        free(array->children[i]);
    }
    if (array->dictionary) {
        if (array->dictionary->release) array->dictionary->release(array->dictionary);
        free(array->dictionary);
    }
    free(array->children);
    if (owned) filling_drop(owned->batch);
    free(owned);
    array->release = NULL;
}

static int array_begin(struct ArrowArray *array, Filling *batch, int64_t length, int64_t nulls, int64_t children) {
    Owned *owned = (Owned *)esl_alloc(sizeof *owned);
    memset(array, 0, sizeof *array);
    array->release = array_release;
    array->private_data = owned;
    if (!owned) return 0;
    owned->batch = batch;
    owners_add(&batch->owners);
    array->length = length;
    array->null_count = nulls;
    array->buffers = owned->buffers;
    if (!children) return 1;
    array->children = (struct ArrowArray **)esl_alloc((size_t)children * sizeof *array->children);
    if (!array->children) return 0;
    array->n_children = children;
    return 1;
}

static struct ArrowArray *array_new(Filling *batch, int64_t length, int64_t nulls, int64_t children, int *whole) {
    struct ArrowArray *array = (struct ArrowArray *)esl_alloc(sizeof *array);
    if (!array || !array_begin(array, batch, length, nulls, children)) *whole = 0;
    return array;
}

static void set_buffers(struct ArrowArray *array, int64_t count, const void *a, const void *b, const void *c) {
    array->n_buffers = count;
    array->buffers[0] = a;
    array->buffers[1] = b;
    array->buffers[2] = c;
}

static struct ArrowArray *export_texts(Filling *batch, int64_t length, const char *offsets, const char *texts,
                                       int *whole) {
    struct ArrowArray *array = array_new(batch, length, 0, 0, whole);
    if (*whole) set_buffers(array, 3, NULL, offsets, texts);
    return array;
}

static struct ArrowArray *export_column(Filling *batch, const Filled *column, int *whole) {
    struct ArrowArray *array = array_new(batch, batch->rows, column->nulls, column->kind == K_LIST, whole);
    const char *valid = column->nulls ? column->valid : NULL;
    if (!*whole) return array;
    if (column->kind == K_LIST) {
        set_buffers(array, 2, valid, column->offsets, NULL);
        array->children[0] = export_texts(batch, column->items, column->inner, column->values, whole);
    } else if (column->offsets) {
        set_buffers(array, 3, valid, column->offsets, column->values);
    } else {
        set_buffers(array, 2, valid, column->values, NULL);
    }
    if (column->kind == K_DICTIONARY)
        array->dictionary = export_texts(batch, column->items, column->inner, column->texts, whole);
    return array;
}

static int export_array(Filling *batch, struct ArrowArray *array) {
    int i, whole = array_begin(array, batch, batch->rows, 0, batch->count);
    if (whole) array->n_buffers = 1;
    for (i = 0; whole && i < batch->count; i++) array->children[i] = export_column(batch, &batch->columns[i], &whole);
    if (whole) return 0;
    array->release(array);
    return ENOMEM;
}

/* Stream: the one batch */

typedef struct {
    Filling *batch;
    int given;
} Streamed;

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *schema) {
    return export_schema(((Streamed *)stream->private_data)->batch, schema);
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *array) {
    Streamed *streamed = (Streamed *)stream->private_data;
    int fault;
    if (streamed->given) {
        memset(array, 0, sizeof *array); /* released: the end */
        return 0;
    }
    fault = export_array(streamed->batch, array);
    streamed->given = !fault;
    return fault;
}

static const char *stream_error(struct ArrowArrayStream *stream) {
    (void)stream;
    return "out of memory";
}

static void stream_release(struct ArrowArrayStream *stream) {
    Streamed *streamed = (Streamed *)stream->private_data;
    filling_drop(streamed->batch);
    free(streamed);
    stream->release = NULL;
}

static int export_stream(Filling *batch, struct ArrowArrayStream *stream) {
    Streamed *streamed = (Streamed *)esl_alloc(sizeof *streamed);
    if (!streamed) return ENOMEM;
    owners_add(&batch->owners);
    streamed->batch = batch;
    memset(stream, 0, sizeof *stream);
    stream->get_schema = stream_schema;
    stream->get_next = stream_next;
    stream->get_last_error = stream_error;
    stream->release = stream_release;
    stream->private_data = streamed;
    return 0;
}

#endif
