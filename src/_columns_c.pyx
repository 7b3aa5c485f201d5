# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True, auto_pickle=False
"""Compiled columns: the twin of eslcodec/ingest/_columns_py.py, which says what everything here does and why.

columns.h makes the rows, without the GIL, and stops where it needs Python: for a head that is not a switch's usual one,
for an event that the core's reader has to read, for a batch that is full. `Columns._drive` does that and goes on.

What is left of a frame at the end of a feed is kept in `_rest`. The next feed adds no more to it than it needs.
"""

from cpython.buffer cimport PyBUF_CONTIG_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    PyThread_type_lock,
)
from libc.errno cimport EINVAL, EIO, ENODEV, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from collections import deque

from . import _codec_c, limits
from ._core.formats import FRAME, PLAIN
from ._core.text import encode_name
from .errors import HeaderTooLarge, ProtocolError
from .events import Decoder, Event
from .ingest import _spec
from .ingest._columns_py import Schema
from .ingest.notices import is_notice
from .ingest.presets import packed_metadata

cdef extern from "scan.h" nogil:
    const char *find_blank(const char *p, const char *end)

cdef extern from "arrow.h" nogil:
    struct ArrowSchema:
        void (*release)(ArrowSchema *)
    struct ArrowArray:
        pass
    struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream *, ArrowSchema *) noexcept nogil
        int (*get_next)(ArrowArrayStream *, ArrowArray *) noexcept nogil
        const char *(*get_last_error)(ArrowArrayStream *) noexcept nogil
        void (*release)(ArrowArrayStream *) noexcept nogil
        void *private_data
    int export_array(Filling *batch, ArrowArray *array)
    int64_t esl_fail_after
    void *esl_alloc(size_t size)
    const int K_STRING, K_DICTIONARY, K_INT64, K_FLOAT64, K_TIMESTAMP, K_BOOL, K_LIST, K_BINARY
    ctypedef struct Filled:
        int kind
        int64_t items
        char *valid
        char *values
        char *offsets
        char *inner
        char *texts
    ctypedef struct Filling:
        int64_t rows
        int count
        Filled *columns
    void filling_drop(Filling *batch)
    int export_schema(const Filling *batch, ArrowSchema *schema)
    int export_stream(Filling *batch, ArrowArrayStream *stream)

cdef extern from * nogil:
    """
    #if defined(ESL_AVX2)
    #define CHOOSE_AVX2() (use_avx2 = has_avx2())
    #else
    #define CHOOSE_AVX2() ((void)0)
    #endif
    #if defined(PYPY_VERSION)
    #define PYTHON_ENDS() 0
    #elif PY_VERSION_HEX >= 0x030D0000
    #define PYTHON_ENDS() Py_IsFinalizing()
    #else
    #define PYTHON_ENDS() _Py_IsFinalizing()
    #endif
    """
    void CHOOSE_AVX2()
    int PYTHON_ENDS()

cdef extern from "Python.h":
    void PyErr_Fetch(PyObject **kind, PyObject **value, PyObject **trace)
    void PyErr_Restore(PyObject *kind, PyObject *value, PyObject *trace)

cdef extern from "columns.h" nogil:
    const int FROM_HEADER, FROM_BODY, FROM_JSON, FROM_ID, FROM_OFFSET
    const int RUN_MORE, RUN_HEAD, RUN_SLOW, RUN_FULL, RUN_MEMORY, RUN_HEAD_SIZE
    const int AS_IT_IS
    const size_t PAD
    ctypedef struct Buf:
        char *p
        size_t n
        size_t cap
    int buf_room(Buf *buf, size_t more)
    int buf_add(Buf *buf, const void *p, size_t n)
    void buf_free(Buf *buf)
    ctypedef struct Value:
        const char *p
        unsigned int n, how
    ctypedef struct Want:
        const char *name
        size_t size
        int plain
        int event_name
        int all, needs_last
    ctypedef struct Column:
        int kind
        int source
        int want
        int second
        int64_t refused
        Buf values
    ctypedef struct Filter:
        const char *name
        const char *subclass
        size_t name_size
        size_t subclass_size
    ctypedef struct Lines:
        pass
    ctypedef struct Plan:
        Column *columns
        int count
        Want *wants
        int want_count
        Filter *filters
        int filter_count, filtered
        int event_name, subclass
        unsigned char special[256]
        int needs_body, needs_json, needs_offset, slow, ends_lines
        Lines *lines
        int64_t rows, bytes, row_bytes
        int64_t batch_rows, batch_bytes
        int64_t total_rows, malformed, left_out
        int64_t max_header, max_body
        Value received, offset, switch_name
        int64_t offset_now
        size_t block
        int64_t length
        int format
        const char *metadata
        double (*read_double)(const char *p, size_t n, int *is_one) noexcept nogil
        int (*is_json)(const char *p, size_t n) noexcept nogil
    void plan_want(Plan *plan, int number)
    void plan_free(Plan *plan)
    int begin_columns(Plan *plan)
    Filling *new_filling(const Plan *plan, const char *const *names)
    Filling *seal(Plan *plan, const char *const *names)
    int run(Plan *plan, const char **at, const char *end)
    void pass_frame(Plan *plan, const char **at)
    ctypedef struct Payload:
        const char *p
        size_t n
        int format
    bint is_full(const Plan *plan)
    int rows_of(Plan *plan, const Payload *payloads, int count, int *at)
    int begin_row(Plan *plan)
    int put_given(Plan *plan, Column *column, const char *p, size_t n)
    int put_given_item(Plan *plan, Column *column, const char *p, size_t n)
    int end_given_list(Column *column)
    void end_row(Plan *plan)
    void drop_row(Plan *plan)
    void set_offset(Plan *plan)

CHOOSE_AVX2()

cdef size_t PULLED_BYTES = 4096  # added at a time to what is left of a frame whose head is not whole
cdef size_t KEPT_BYTES = 1 << 20  # of the memory for that
cdef enum:
    GATHERED = 64  # events of which rows are made before the GIL is asked for again

cdef int FRAME_FORMAT = FRAME
cdef int PLAIN_FORMAT = PLAIN

# What `Message.frame` gives without an attribute. Of another core's messages there is no such thing.
ctypedef object (*placed_frame)(object message, Py_ssize_t *split, int *format)
cdef placed_frame PLACED_FRAME = NULL
if issubclass(Event, _codec_c.Message):
    PLACED_FRAME = <placed_frame>PyCapsule_GetPointer(_codec_c._PLACED_FRAME, "eslcodec.placed_frame")


cdef double read_double(const char *p, size_t n, int *is_one) noexcept with gil:
    """A number in decimal form that is more than a division."""
    is_one[0] = 0
    try:
        number = _spec.to_float(p[:n])
    except MemoryError:
        is_one[0] = -1
        return 0.0
    is_one[0] = number is not None
    return 0.0 if number is None else number


cdef int is_json(const char *p, size_t n) noexcept with gil:
    try:
        return _spec.is_json(p[:n])
    except MemoryError:
        return -1


def fail_after(count):
    """For tests: let the allocation after so many fail, once; -1 for none. What is left of the count before."""
    global esl_fail_after
    before = esl_fail_after
    esl_fail_after = count
    return before


cdef void drop_schema(object capsule) noexcept:
    cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void drop_stream(object capsule) noexcept:
    cdef ArrowArrayStream *stream = <ArrowArrayStream *>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


cdef list texts_of(const char *offsets, const char *data, int64_t count, bint is_binary):
    """What lies between offsets."""
    cdef const int32_t *ends = <const int32_t *><const void *>offsets
    cdef list texts = []
    cdef int64_t at
    cdef bytes piece
    for at in range(count):
        piece = PyBytes_FromStringAndSize(data + ends[at], ends[at + 1] - ends[at])
        texts.append(piece if is_binary else piece.decode("utf-8", "replace"))
    return texts


cdef list listed(const Filled *column, int64_t rows):
    """The values of a column."""
    cdef const int64_t *numbers = <const int64_t *><const void *>column.values
    cdef const double *reals = <const double *><const void *>column.values
    cdef const int32_t *codes = <const int32_t *><const void *>column.values
    cdef const int32_t *ends = <const int32_t *><const void *>column.offsets
    cdef list values = []
    cdef list texts
    cdef int64_t row
    if column.kind == K_DICTIONARY:
        texts = texts_of(column.inner, column.texts, column.items, False)
    elif column.kind == K_LIST:
        texts = texts_of(column.inner, column.values, column.items, False)
    elif column.offsets != NULL:
        texts = texts_of(column.offsets, column.values, rows, column.kind == K_BINARY)
    for row in range(rows):
        if not column.valid[row >> 3] >> (row & 7) & 1:
            values.append(None)
        elif column.kind == K_DICTIONARY:
            values.append(texts[codes[row]])
        elif column.kind == K_LIST:
            values.append(texts[ends[row]:ends[row + 1]])
        elif column.kind == K_INT64 or column.kind == K_TIMESTAMP:
            values.append(numbers[row])
        elif column.kind == K_FLOAT64:
            values.append(reals[row])
        elif column.kind == K_BOOL:
            values.append(bool(column.values[row >> 3] >> (row & 7) & 1))
        else:
            values.append(texts[row])
    return values


cdef class Batch:
    """See eslcodec.ingest._columns_py.Batch."""

    cdef Filling *filling
    cdef object kinds

    def __cinit__(self):
        self.filling = NULL

    def __init__(self, *_arguments):
        raise TypeError("Columns makes the batches")

    def __dealloc__(self):
        if self.filling != NULL:
            filling_drop(self.filling)

    cdef Filling *made(self) except NULL:
        if self.filling == NULL:
            raise TypeError("Columns makes the batches")
        return self.filling

    @property
    def num_rows(self):
        """See eslcodec.ingest._columns_py.Batch.num_rows."""
        return self.made().rows

    @property
    def schema(self):
        """See eslcodec.ingest._columns_py.Batch.schema."""
        return Schema(self.kinds, self.__arrow_c_schema__)

    def __repr__(self):
        return f"<Batch of {self.num_rows} rows, {self.made().count} columns>"

    def _lists(self):
        """See eslcodec.ingest._columns_py.Batch._lists."""
        cdef Filling *filling = self.made()
        cdef list lists = []
        cdef int number
        for number in range(filling.count):
            lists.append(listed(&filling.columns[number], filling.rows))
        return lists

    def __arrow_c_schema__(self):
        """See eslcodec.ingest._columns_py.Batch.__arrow_c_schema__."""
        cdef Filling *filling = self.made()
        cdef ArrowSchema *schema = <ArrowSchema *>esl_alloc(sizeof(ArrowSchema))
        if schema == NULL:
            raise MemoryError
        if export_schema(filling, schema):
            free(schema)
            raise MemoryError
        try:
            return PyCapsule_New(schema, "arrow_schema", drop_schema)
        except BaseException:
            schema.release(schema)
            free(schema)
            raise

    def __arrow_c_stream__(self, requested_schema=None):
        """See eslcodec.ingest._columns_py.Batch.__arrow_c_stream__."""
        cdef Filling *filling = self.made()
        cdef ArrowArrayStream *stream = <ArrowArrayStream *>esl_alloc(sizeof(ArrowArrayStream))
        if stream == NULL:
            raise MemoryError
        if export_stream(filling, stream):
            free(stream)
            raise MemoryError
        try:
            return PyCapsule_New(stream, "arrow_array_stream", drop_stream)
        except BaseException:
            stream.release(stream)
            free(stream)
            raise


# A stream of batches that Python makes one after the other


cdef class _Streamed:
    """What a consumer of such a stream has: it asks for a batch from any thread, and lets go of it when it likes."""

    cdef object schema, batches
    cdef bytes told
    cdef int fault

    cdef int give_schema(self, ArrowSchema *out) except -1:
        """Move a fresh schema to the consumer."""
        cdef object capsule = self.schema.__arrow_c_schema__()
        cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")
        memcpy(out, schema, sizeof(ArrowSchema))
        schema.release = NULL
        return 0

    cdef int give(self, ArrowArray *out) except -1:
        cdef Batch batch
        memset(out, 0, sizeof(ArrowArray))  # released: the end
        found = next(self.batches, None)
        if found is None:
            return 0
        batch = found
        if export_array(batch.filling, out):
            raise MemoryError
        return 0

    cdef int ended(self, error) noexcept:
        """Remember why there is no more."""
        self.fault = ENOMEM if isinstance(error, MemoryError) else EINVAL if isinstance(error, ValueError) else EIO
        try:
            name = type(error).__name__
            self.told = f"{name}: {error}".encode("utf-8", "replace").replace(b"\0", b" ")
        except BaseException:
            self.told = b"it failed, and so did saying why"
        return self.fault


cdef int streamed_schema(ArrowArrayStream *stream, ArrowSchema *out) noexcept nogil:
    if PYTHON_ENDS():
        return ENODEV
    with gil:
        try:
            (<_Streamed>stream.private_data).give_schema(out)
            return 0
        except BaseException as error:
            return (<_Streamed>stream.private_data).ended(error)


cdef int streamed_next(ArrowArrayStream *stream, ArrowArray *out) noexcept nogil:
    if PYTHON_ENDS():
        return ENODEV
    with gil:
        if (<_Streamed>stream.private_data).fault:
            return (<_Streamed>stream.private_data).fault
        try:
            (<_Streamed>stream.private_data).give(out)
            return 0
        except BaseException as error:
            return (<_Streamed>stream.private_data).ended(error)


cdef const char *streamed_error(ArrowArrayStream *stream) noexcept nogil:
    if PYTHON_ENDS():
        return "Python has ended"
    with gil:
        if (<_Streamed>stream.private_data).told is None:
            return NULL
        return PyBytes_AS_STRING((<_Streamed>stream.private_data).told)


cdef void streamed_release(ArrowArrayStream *stream) noexcept nogil:
    cdef PyObject *kind
    cdef PyObject *value
    cdef PyObject *trace
    if not PYTHON_ENDS():
        with gil:
            PyErr_Fetch(&kind, &value, &trace)  # it may be let go of while an error is on its way
            Py_DECREF(<_Streamed>stream.private_data)
            PyErr_Restore(kind, value, trace)
    stream.release = NULL


def stream_of(schema, batches):
    """A fresh capsule `arrow_array_stream` of batches as an iterator makes them.

    Args:
        schema: of all of them: a `Schema`.
        batches: an iterator of `Batch`. What it raises, the consumer is told.
    """
    cdef _Streamed streamed = _Streamed.__new__(_Streamed)
    cdef ArrowArrayStream *stream
    streamed.schema, streamed.batches = schema, batches
    streamed.told = None
    streamed.fault = 0
    stream = <ArrowArrayStream *>esl_alloc(sizeof(ArrowArrayStream))
    if stream == NULL:
        raise MemoryError
    stream.get_schema = streamed_schema
    stream.get_next = streamed_next
    stream.get_last_error = streamed_error
    stream.release = streamed_release
    stream.private_data = <void *>streamed
    Py_INCREF(streamed)
    try:
        return PyCapsule_New(stream, "arrow_array_stream", drop_stream)
    except BaseException:
        stream.release(stream)
        free(stream)
        raise


cdef class Columns:
    """See eslcodec.ingest._columns_py.Columns."""

    cdef Plan *plan
    cdef PyThread_type_lock busy
    cdef Buf rest  # of the stream: a frame that is not whole
    cdef size_t searched  # in it: no blank line begins before
    cdef Buf names_at, context
    cdef object columns, wanted, kinds, kept, full, error, names, redact, raised
    cdef bint tells  # notices get rows
    cdef object reader  # a decoder of whole frames, which remembers what it has read
    cdef Payload payloads[GATHERED]

    def __cinit__(self, *_arguments, **_names):
        memset(&self.rest, 0, sizeof(Buf))
        memset(&self.names_at, 0, sizeof(Buf))
        memset(&self.context, 0, sizeof(Buf))
        self.searched = 0
        self.busy = PyThread_allocate_lock()
        self.plan = <Plan *>esl_alloc(sizeof(Plan))
        if self.busy == NULL or self.plan == NULL:
            raise MemoryError
        self.full = deque()

    def __dealloc__(self):
        if self.plan != NULL:
            plan_free(self.plan)
        if self.busy != NULL:
            PyThread_free_lock(self.busy)
        buf_free(&self.rest)
        buf_free(&self.names_at)
        buf_free(&self.context)

    def __init__(self, spec, events=None, batch_rows=65_536, batch_bytes=32 << 20, redact=None):
        cdef Plan *plan = self.plan
        if self.columns is not None:
            raise TypeError("Columns are made once")
        columns = _spec.columns_of(spec)
        wanted = _spec.wanted(events)
        plan.batch_rows = _spec.checked_bound("batch_rows", batch_rows, _spec.BATCH_ROWS_MOST)
        plan.batch_bytes = _spec.checked_bound("batch_bytes", batch_bytes, _spec.VALUE_MOST)
        plan.max_header = limits.MAX_HEADER_BYTES
        plan.max_body = limits.MAX_BODY_BYTES
        plan.read_double = read_double
        plan.is_json = is_json
        metadata = packed_metadata(spec)  # which is never freed
        if metadata is not None:
            plan.metadata = PyBytes_AS_STRING(metadata)
        self.kinds = {column.name: column.kind for column in columns}
        self.wanted = wanted
        self.kept = []  # the bytes that the plan points into
        self.names = {}
        self.plan_columns(columns)
        self.plan_filters(wanted)
        self.plan_names()
        if plan.needs_json:
            plan.lines = <Lines *>esl_alloc(sizeof(Lines))
            if plan.lines == NULL:
                raise MemoryError
        if not begin_columns(plan):
            raise MemoryError
        self.redact = redact
        self.reader = Decoder()
        plan.slow = redact is not None
        self.tells = _spec.tells(columns)
        self.columns = columns

    cdef int name_number(self, name, bint all=False, bint last=False) except -1:
        """The number of a name that is looked for."""
        number, was_all, was_last = self.names.setdefault(name, (len(self.names), False, False))
        self.names[name] = number, was_all or all, was_last or last
        return number

    cdef int plan_columns(self, columns) except -1:
        cdef Plan *plan = self.plan
        cdef Column *column
        cdef int number
        cdef const char *name
        plan.columns = <Column *>esl_alloc(len(columns) * sizeof(Column))
        if plan.columns == NULL:
            raise MemoryError
        plan.count = len(columns)
        for number, (title, header, kind, source, fixed) in enumerate(columns):
            column = &plan.columns[number]
            column.kind = _spec.KINDS.index(kind)
            column.source = source
            plan.row_bytes += fixed
            if source == FROM_HEADER:
                column.want = self.name_number(header, kind == "list")
            elif source == FROM_ID:
                column.want = self.name_number("Core-UUID", False, True)
                column.second = self.name_number("Event-Sequence", False, True)
            plan.needs_body |= source == FROM_BODY
            plan.needs_json |= source == FROM_JSON
            plan.needs_offset |= source == FROM_OFFSET
            encoded = title.encode()
            self.kept.append(encoded)
            name = PyBytes_AS_STRING(encoded)
            if not buf_add(&self.names_at, &name, sizeof(name)):
                raise MemoryError
        return 0

    cdef int plan_filters(self, wanted) except -1:
        cdef Plan *plan = self.plan
        cdef Filter *one
        if wanted is None:
            return 0
        plan.filtered = True
        plan.event_name = self.name_number("Event-Name")
        plan.subclass = self.name_number("Event-Subclass")
        plan.filters = <Filter *>esl_alloc(len(wanted) * sizeof(Filter))
        if plan.filters == NULL:
            raise MemoryError
        plan.filter_count = len(wanted)
        for number, (name, subclass) in enumerate(wanted):
            one = &plan.filters[<int>number]
            self.kept += [name, subclass]
            one.name = PyBytes_AS_STRING(name)
            one.name_size = PyBytes_GET_SIZE(name)
            if subclass is not None:
                one.subclass = PyBytes_AS_STRING(subclass)
                one.subclass_size = PyBytes_GET_SIZE(subclass)
        return 0

    cdef int plan_names(self) except -1:
        cdef Plan *plan = self.plan
        cdef Want *want
        plan.wants = <Want *>esl_alloc(len(self.names) * sizeof(Want))
        if plan.wants == NULL:
            raise MemoryError
        plan.want_count = len(self.names)
        plan.special[c'\n'] = plan.special[c'\r'] = 1
        for name, (number, everything, last) in self.names.items():
            want = &plan.wants[<int>number]
            raw = encode_name(name)
            encoded = raw or b""
            self.kept.append(encoded)
            want.name = PyBytes_AS_STRING(encoded)
            want.size = PyBytes_GET_SIZE(encoded)
            want.event_name = name == "Event-Name"
            want.all = everything
            want.needs_last = last
            want.plain = b": " not in encoded and b"\n" not in encoded
            if raw is not None:
                plan_want(plan, number)
        return 0

    cdef int enter(self) except -1:
        if self.columns is None:
            raise TypeError("these Columns were not made")
        if not PyThread_acquire_lock(self.busy, NOWAIT_LOCK):
            raise RuntimeError("another thread is using these Columns")
        return 0

    cdef void leave(self) noexcept:
        PyThread_release_lock(self.busy)

    cdef int check(self) except -1:
        if self.error is not None:
            raise MemoryError if self.error is MemoryError else self.error.again()
        return 0

    cdef int end(self, error) except -1:
        """Nothing that comes later can be read; the rows that are there are a batch."""
        self.error = error
        buf_free(&self.rest)
        self.plan.block = 0
        if not self.plan.ends_lines:
            self.seal_rows()
        return 0

    cdef int seal_rows(self) except -1:
        """Make a batch of the rows that there are."""
        cdef Batch batch
        if not self.plan.rows:
            return 0
        batch = Batch.__new__(Batch)
        batch.kinds = self.kinds
        self.full.append(batch)
        batch.filling = seal(self.plan, <const char *const *>self.names_at.p)
        if batch.filling == NULL:
            self.full.pop()
            raise MemoryError
        if not begin_columns(self.plan):
            self.error = MemoryError
            raise MemoryError
        return 0

    def _restart_at(self, offset):
        """See eslcodec.ingest._columns_py.Columns._restart_at."""
        self.enter()
        self.rest.n = self.plan.block = 0
        self.plan.offset_now = offset
        self.leave()

    @property
    def schema(self):
        """See eslcodec.ingest._columns_py.Columns.schema."""
        cdef Batch batch = Batch.__new__(Batch)
        self.enter()
        batch.kinds = self.kinds
        batch.filling = new_filling(self.plan, <const char *const *>self.names_at.p)
        self.leave()
        if batch.filling == NULL:
            raise MemoryError
        return batch.schema

    def feed(self, data, received=None, switch=None):
        """See eslcodec.ingest._columns_py.Columns.feed."""
        cdef Py_buffer view
        received_digits = _spec.microseconds(received)
        switch_name = _spec.to_wire(switch)
        self.enter()
        try:
            self.check()
            try:
                PyObject_GetBuffer(data, &view, PyBUF_CONTIG_RO)
            except TypeError:
                raise TypeError(f"feed() takes bytes, not {type(data).__name__}") from None
            except BufferError:
                raise BufferError("feed() takes contiguous bytes") from None
            try:
                self.set_context(received_digits, switch_name)
                self.feed_all(<const char *>view.buf, <const char *>view.buf + view.len)
            except ProtocolError as error:
                self.end(error.again())
            except MemoryError:
                self.end(MemoryError)
                raise
            finally:
                PyBuffer_Release(&view)
            self.raise_what_was()
        finally:
            self.leave()

    cdef int set_context(self, received, switch) except -1:
        """Note what is known of the events that come. The plan may read PAD bytes behind each text."""
        cdef Value *value
        cdef size_t size
        cdef bytes data
        self.plan.offset.p = self.plan.received.p = self.plan.switch_name.p = NULL
        self.context.n = 0
        size = sum([len(text) + PAD for text in (received, switch) if text is not None])
        if not buf_room(&self.context, size + PAD):
            raise MemoryError
        memset(self.context.p, 0, size + PAD)
        for place, data in enumerate((received, switch)):
            if data is None:
                continue
            value = &self.plan.switch_name if place else &self.plan.received
            value.p = self.context.p + self.context.n
            value.n = <unsigned int>PyBytes_GET_SIZE(data)
            value.how = AS_IT_IS
            memcpy(self.context.p + self.context.n, PyBytes_AS_STRING(data), value.n)
            self.context.n += value.n + PAD
        return 0

    cdef int feed_all(self, const char *p, const char *end) except -1:
        while self.rest.n and p < end:
            p = self.feed_rest(p, end)
        if p == end:
            return 0
        p = self.drive(p, end)
        if p == end:
            return 0
        self.searched = <size_t>(end - p) - 2 if end - p > 2 else 0
        if not buf_add(&self.rest, p, <size_t>(end - p)):
            raise MemoryError
        return 0

    cdef const char *feed_rest(self, const char *p, const char *end) except NULL:
        """Add to what is left of a frame as much as it needs, and make its row if it is whole then; where the rest of
        the bytes begins."""
        cdef Plan *plan = self.plan
        cdef size_t more = PULLED_BYTES, left
        cdef const char *at
        if plan.block:
            more = plan.block + <size_t>plan.length - self.rest.n
        if more > <size_t>(end - p):
            more = <size_t>(end - p)
        if not buf_add(&self.rest, p, more):
            raise MemoryError
        p += more
        if plan.block and self.rest.n < plan.block + <size_t>plan.length:
            return p
        if not plan.block and not self.may_have_head():
            return p
        at = self.drive(self.rest.p, self.rest.p + self.rest.n)
        left = <size_t>(self.rest.p + self.rest.n - at)
        if left == self.rest.n:  # only its head is whole; what it needs now is known
            return p
        self.rest.n = 0
        if self.rest.cap > KEPT_BYTES:
            buf_free(&self.rest)
        return p - left

    cdef bint may_have_head(self) noexcept:
        """Whether what is left may begin with a whole head, or one that is too large."""
        cdef size_t most = <size_t>self.plan.max_header
        cdef const char *end = self.rest.p + (self.rest.n if self.rest.n < most else most)
        if self.rest.n > most or find_blank(self.rest.p + self.searched, end) != NULL:
            return True
        self.searched = self.rest.n - 2 if self.rest.n > 2 else 0
        return False

    cdef const char *drive(self, const char *p, const char *end) except NULL:
        """Make rows of all whole frames; where the one begins that is not whole."""
        cdef Plan *plan = self.plan
        cdef int why
        while True:
            with nogil:
                why = run(plan, &p, end)
            if why == RUN_MORE:
                return p
            if why == RUN_FULL:
                self.seal_rows()
            elif why == RUN_HEAD:
                plan.format, plan.length = self.read_head(p)
                if plan.format == FRAME:
                    plan.format = 0
            elif why == RUN_SLOW:
                try:
                    self.add_slowly(p)
                except MemoryError:
                    raise
                except BaseException as error:  # of `redact`: the stream goes on
                    self.raised = self.raised or error
                    self.reader = Decoder()  # nobody knows how far the other came
                pass_frame(plan, &p)
                if is_full(plan):
                    self.seal_rows()
            elif why == RUN_HEAD_SIZE:
                raise HeaderTooLarge(limits.MAX_HEADER_BYTES + 1, limits.MAX_HEADER_BYTES)
            else:
                raise MemoryError

    cdef tuple read_head(self, const char *p):
        """Format and length of a frame whose head is not a usual one."""
        cdef size_t size = self.plan.block
        self.plan.block = 0  # if it raises
        head = _spec.head_of(p[:size])
        self.plan.block = size
        return head

    cdef int add_slowly(self, const char *p) except -1:
        """Make the row of a frame by the core's reader."""
        cdef size_t size = self.plan.block + <size_t>self.plan.length
        offset = None
        if self.plan.offset.p != NULL:
            offset = self.plan.offset.p[:self.plan.offset.n]
        self.reader.feed(p[:size])
        return self.add_event(self.reader.next_message(), offset)

    cdef int add_event(self, event, offset) except -1:
        cdef Plan *plan = self.plan
        if event.malformed is not None:
            plan.malformed += 1
            return 0
        if not _spec.passes(event, self.wanted):
            plan.left_out += 1
            return 0
        if self.redact is not None:
            event = self.redact(event)
        received = plan.received.p[:plan.received.n] if plan.received.p != NULL else None
        switch = plan.switch_name.p[:plan.switch_name.n] if plan.switch_name.p != NULL else None
        return self.put_values(_spec.values_of(event, self.columns, _spec.Context(received, offset, switch)))

    cdef int put_values(self, values) except -1:
        """Make a row, or none of it: what a class of the user's own gives may be no bytes."""
        cdef int64_t before = self.plan.bytes
        try:
            self.put_each(values)
        except BaseException:
            drop_row(self.plan)
            self.plan.bytes = before
            raise
        end_row(self.plan)
        return 0

    cdef int put_each(self, values) except -1:
        cdef Plan *plan = self.plan
        cdef Column *column
        cdef bytes text
        cdef int number
        cdef bint whole = begin_row(plan)
        for number, value in enumerate(values):
            column = &plan.columns[number]
            if whole and type(value) is list:
                for text in value:
                    whole = whole and put_given_item(plan, column, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
                whole = whole and end_given_list(column)
            elif whole and value is None:
                whole = put_given(plan, column, NULL, 0)
            elif whole:
                text = value
                whole = put_given(plan, column, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
            if not whole:
                raise MemoryError
        return 0

    def extend(self, messages):
        """See eslcodec.ingest._columns_py.Columns.extend."""
        cdef list events = []
        cdef list frames = []  # what the payloads lie in
        self.enter()
        try:
            self.check()
            self.set_context(None, None)
            try:
                for event in messages:
                    if self.tells and is_notice(event):
                        self.add_gathered(events, frames)
                        self.add_told(event)
                    elif self.gather(event, events, frames) == GATHERED:
                        self.add_gathered(events, frames)
            finally:
                self.add_gathered(events, frames)
            self.raise_what_was()
        finally:
            self.raised = None  # if the messages end in an error of their own
            self.leave()

    cdef int raise_what_was(self) except -1:
        """Raise what `redact` raised first."""
        if self.raised is not None:
            raised, self.raised = self.raised, None
            raise raised
        return 0

    cdef int add_told(self, notice) except -1:
        """Make the row of a notice among messages."""
        try:
            self.put_notice(_spec.notice_line(notice, self.redact), _spec.Context())
        except MemoryError:
            raise
        except BaseException as error:  # of `redact`: the others have their rows
            self.raised = self.raised or error
        return 0

    cdef int put_notice(self, line, context) except -1:
        self.put_values(_spec.notice_values(line, self.columns, context))
        if is_full(self.plan):
            self.seal_rows()
        return 0

    def _add_notice(self, line, received, switch):
        """See eslcodec.ingest._columns_py.Columns._add_notice."""
        context = _spec.Context(_spec.microseconds(received), None, _spec.to_wire(switch))
        self.enter()
        try:
            self.check()
            self.put_notice(line, context)
        finally:
            self.leave()

    cdef Py_ssize_t gather(self, event, list events, list frames) except -1:
        """Note where the payload of an event lies, if it is one; how many there are."""
        cdef Py_ssize_t split = 0
        cdef int format = FRAME_FORMAT
        cdef bytes frame
        cdef Payload *payload = &self.payloads[PyList_GET_SIZE(events)]
        if type(event) is Event and PLACED_FRAME != NULL:
            frame = PLACED_FRAME(event, &split, &format)
        elif isinstance(event, Event):
            frame = event.payload or b""
            format = _spec.format_of((event.content_type or "").lower().encode(), 0)
        if format < PLAIN_FORMAT:
            return PyList_GET_SIZE(events)
        payload.p = PyBytes_AS_STRING(frame) + split
        payload.n = <size_t>(PyBytes_GET_SIZE(frame) - split)
        payload.format = format
        frames.append(frame)
        events.append(event)
        return PyList_GET_SIZE(events)

    cdef int add_gathered(self, list events, list frames) except -1:
        """Make rows of the events, and empty the lists."""
        cdef int at = 0, why = RUN_FULL, count = <int>PyList_GET_SIZE(events)
        try:
            while why != RUN_MORE:
                with nogil:
                    why = rows_of(self.plan, self.payloads, count, &at)
                if why == RUN_SLOW:
                    try:
                        self.add_event(events[at], None)
                    except MemoryError:
                        raise
                    except BaseException as error:  # of `redact`: the others have their rows
                        self.raised = self.raised or error
                    at += 1
                elif why == RUN_MEMORY:
                    raise MemoryError
                if is_full(self.plan):
                    self.seal_rows()
        finally:
            events.clear()
            frames.clear()
        return 0

    def take(self):
        """See eslcodec.ingest._columns_py.Columns.take."""
        self.enter()
        try:
            if not self.full:
                if self.error is not None:
                    self.seal_rows()  # if there was no memory for that
                if not self.full:
                    self.check()
            return self.full.popleft() if self.full else None
        finally:
            self.leave()

    def flush(self):
        """See eslcodec.ingest._columns_py.Columns.flush."""
        self.enter()
        try:
            if not self.full:
                self.seal_rows()
            if not self.full:
                self.check()
            return self.full.popleft() if self.full else None
        finally:
            self.leave()

    def _as_lines(self):
        """Put a line feed after each value of `@json`; `_drain` is to be called then."""
        self.plan.ends_lines = True

    def _drain(self):
        """The bytes of the one column, which has texts, and no batch of them."""
        cdef Column *column = &self.plan.columns[0]
        self.enter()
        try:
            values = column.values.p[:column.values.n] if column.values.n else b""
            self.plan.rows = self.plan.bytes = 0
            drop_row(self.plan)
            return values
        finally:
            self.leave()

    def stats(self):
        """See eslcodec.ingest._columns_py.Columns.stats."""
        cdef int number
        self.enter()
        try:
            refused = {}
            for number, name in enumerate(self.kinds):
                if self.plan.columns[number].refused:
                    refused[name] = self.plan.columns[number].refused
            return {
                "rows": self.plan.total_rows,
                "filtered": self.plan.left_out,
                "malformed": self.plan.malformed,
                "refused": refused,
            }
        finally:
            self.leave()
