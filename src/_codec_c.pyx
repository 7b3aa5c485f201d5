# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True, auto_pickle=False
"""The compiled core: the twin of eslcodec/_codec_py.py, which says what everything here does and why.

Same input, same chunking: same messages, same errors, same bytes left over. What differs is how:

* Unread bytes lie in one piece of memory that `get_buffer` gives out a window of. While a window is out its bytes are
  never moved: bytes that are fed meanwhile go to another piece. Whoever keeps a window keeps its memory.
* A header is found by looking for a line feed and a colon at the distance of the name's length, 16 bytes at a time
  (scan.h). Absence costs one such pass, so look-ups need no index.
* A decoder remembers of each name the two lines that came last, and which name came behind it (`Memo`): nine lines in ten
  are the same bytes again and need no parsing, whatever the event's other headers are. `pairs` and `to_json` put together
  what was made of these lines before; `asdict` copies the dict of an event with nearly the same names and replaces what
  differs. Names are shared by all decoders, values by none.
* A JSON event is compared, member by member, with what was last behind the same name (`JsonMemo`).

Functions that hold pointers into a message's bytes hold the bytes object as well. Lists are made by loops that append:
what Cython makes of a list comprehension frees an item twice when the list cannot grow.

Without the GIL every public method runs in a critical section of its object, and what messages share (`Memo`, `Store`)
has one of its own; with the GIL these are nothing. One inside another of the same object is slow before Python 3.14, so
methods that are public call those that are not. Whatever runs Python code, or waits for another object's section, may
let other threads in: state is whole before, and looked at anew behind it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.dict cimport PyDict_Copy, PyDict_GetItemRef, PyDict_Next, PyDict_SetItem
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

import operator
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from copyreg import __newobj__ as _newobj

from . import _codec_py as _twin
from . import limits
from ._codec_py import _first_wins, _read_head, _view, all_replaced, replaced, replaces, split_array
from ._codec_py import to_json as _to_json
from ._codec_py import to_mapping as _to_mapping
from ._ctext import word
from ._json import Fault
from ._json import fault as json_fault
from ._json import joined
from .errors import (
    HeaderTooLarge,
    IncompleteFrame,
    InvalidContentLength,
    LimitExceeded,
    MalformedPayload,
)

cdef extern from "scan.h" nogil:
    const char *find_blank(const char *p, const char *end)
    const char *find_name(const char *p, const char *end, const char *name, size_t size, const char **folded)
    const char *find_cut(const char *p, const char *end)
    ctypedef struct Bits:
        uint64_t *feeds
        uint64_t *colons
        size_t room
        size_t words
        size_t stop
    const size_t BITS_MORE
    int index_block(Bits *bits, const char *p, const char *end)
    const char *index_name(
        const Bits *bits, const char *p, const char *start, const char *name, size_t size, const char **folded
    )
    const char *index_feed(const Bits *bits, const char *p, const char *start)
    const char *usual_head(const char *p, const char *end, int64_t *length, Py_ssize_t *at, Py_ssize_t *type_size)
    size_t count_byte(const char *p, const char *end, char byte)
    const char *find_feed(const char *p, const char *end)
    int coded(const char *p, size_t n)
    int folded_equal(const char *a, const char *b, size_t n)
    const char *string_end(const char *p, const char *end, int *escaped)
    size_t unescape_into(const char *p, size_t n, char *out)
    size_t escape_into(const char *text, size_t n, char *out, int replace, int *invalid)
    size_t unquote_into(const char *p, size_t n, char *out)
    const char *xml_name_end(const char *p, const char *end)
    const char *xml_text_end(const char *p, const char *end)
    const char *xml_body_end(const char *p, const char *end)
    size_t xml_into(const char *p, size_t n, char *out)
    int same_bytes(const char *a, const char *b, size_t n)
    ctypedef struct Recent:
        char *line
        void *value
        uint64_t turn
        uint32_t size
        uint32_t next
    const size_t RECENT_BYTES
    Py_ssize_t pass_lines(
        Recent *all, const char **at, const char *end, uint32_t *last, uint64_t turn, uint16_t *lines, void **values
    )
    ctypedef struct Span:
        uint32_t at
        uint32_t size
    ctypedef struct JsonName:
        char *raw
        JsonName *next
        uint64_t turn
        PyObject *value
        PyObject *name
        uint32_t size, head, number, place
        int odd, bracket
        bint body, twin
        JsonName *other
        uint64_t listed
        uint32_t line, room
        char *old_raw
        PyObject *old_value
        uint32_t old_size, old_room
        int old_odd
    enum: MEMBER_BYTES
    ctypedef struct Reading:
        const char *begin
        const char *at
        const char *end
        JsonName *before
        Span *spans
        uint16_t *names
        uint32_t count, room
        int odd
        bint stands
        uint64_t turn
    void swap_values(JsonName *name)
    void pass_members(Reading *reading)
    size_t alike(const uint16_t *a, const uint16_t *b, size_t n)
    bint all_plain(const char *p, size_t n)
    const char *plain_end(const char *p, const char *end)
    int is_own_string(const char *p, size_t n)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PyNumber_AsSsize_t(object number, PyObject *overflow) except? -1  # NULL: the nearest there is
    int dict_set "PyDict_SetItem"(object p, PyObject *key, PyObject *value) except -1
    int dict_delete "PyDict_DelItem"(object p, PyObject *key) except -1
    bint dict_next "PyDict_Next"(object p, Py_ssize_t *at, PyObject **key, PyObject **value)
    PyObject *PyDict_SetDefault(object p, object key, object value) except NULL
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void *PyUnicode_DATA(object text)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    object PyUnicode_FromOrdinal(int ordinal)

cdef extern from *:
    """
    /* A size that one thread writes at a time, in a critical section, and others read outside of it. */
    #ifdef Py_GIL_DISABLED
    #define ESL_HAS_GIL 0
    #define read_size _Py_atomic_load_ssize_relaxed
    #define write_size _Py_atomic_store_ssize_relaxed
    #else
    #define ESL_HAS_GIL 1
    #define read_size(size) (*(size))
    #define write_size(size, value) (*(size) = (value))
    #endif
    #ifdef ESL_SIMD
    #define ESL_HAS_SIMD 1
    #else
    #define ESL_HAS_SIMD 0
    #endif
    #ifndef ESL_AVX2
    #define has_avx2() 0
    static int use_avx2;
    #endif
    #ifndef ESL_BUILD /* which kind, setup.py says */
    #define ESL_BUILD other
    #endif
    #define ESL_TEXT_OF(name) #name
    #define ESL_TEXT(name) ESL_TEXT_OF(name)

    /* A bytes object to which there is one reference, with another size. NULL, and nothing has changed, if there is no
     * memory; _PyBytes_Resize() would have lost what is in it. */
    static PyObject *resize_bytes(PyObject *bytes, Py_ssize_t size) {
    #ifdef Py_TRACE_REFS /* which keeps the addresses of all objects */
        PyObject *resized = PyBytes_FromStringAndSize(NULL, size);
        Py_ssize_t old = PyBytes_GET_SIZE(bytes);
        if (!resized) { PyErr_Clear(); return NULL; }
        memcpy(PyBytes_AS_STRING(resized), PyBytes_AS_STRING(bytes), (size_t)(size < old ? size : old));
        Py_DECREF(bytes);
    #else
        PyObject *resized = (PyObject *)PyObject_Realloc(bytes, offsetof(PyBytesObject, ob_sval) + (size_t)size + 1);
        if (!resized) return NULL;
        Py_SET_SIZE((PyVarObject *)resized, size);
        PyBytes_AS_STRING(resized)[size] = 0;
    #endif
        return resized;
    }

    /* The same for fewer bytes, which always succeeds. */
    static PyObject *trim_bytes(PyObject *bytes, Py_ssize_t size) {
        PyObject *trimmed = resize_bytes(bytes, size);
        if (trimmed) return trimmed;
        Py_SET_SIZE((PyVarObject *)bytes, size);
        PyBytes_AS_STRING(bytes)[size] = 0;
        return bytes;
    }
    """
    PyObject *resize_bytes(PyObject *data, Py_ssize_t size)
    PyObject *trim_bytes(PyObject *data, Py_ssize_t size) noexcept
    const bint HAS_GIL "ESL_HAS_GIL"
    Py_ssize_t read_size(const Py_ssize_t *size) noexcept nogil
    void write_size(Py_ssize_t *size, Py_ssize_t value) noexcept nogil
    const bint HAS_SIMD "ESL_HAS_SIMD"
    bint has_avx2()
    bint use_avx2
    const char *BUILD "ESL_TEXT(ESL_BUILD)"
    const unsigned long CYTHON_HEX_VERSION
    dict __Pyx_PyDict_NewPresized(Py_ssize_t size)  # Cython's own name for what each Python version has

use_avx2 = has_avx2()

__impl__ = "c"
__build__ = (
    f"{BUILD.decode()} build, {'AVX2' if use_avx2 else 'SIMD' if HAS_SIMD else 'no SIMD'}, "
    f"Cython {CYTHON_HEX_VERSION >> 24}.{CYTHON_HEX_VERSION >> 16 & 255}.{CYTHON_HEX_VERSION >> 8 & 255}"
)

cdef enum:
    # As in the twin: how the block that look-ups read is written.
    FRAME = 0
    FRAME_ENCODED = 1
    PLAIN = 2
    JSON = 3
    XML = 4
    KNOWN_TYPE_BYTES = 32  # no Content-Type of a switch has as many
    # Values longer than this are decoded in memory of their own, shorter ones on the stack.
    STACK_BYTES = 1024
    # Where line feeds and colons are is found in so many words of 64 bytes at first, and at most: 256 KiB of headers.
    INDEX_WORDS_MIN = 128
    INDEX_WORDS_MAX = 4096
    # A dict is made large enough for as many headers as a block has lines, but only up to here: lines may be anything.
    PRESIZED_LINES = 4096
    # Names of the process; a power of two, as the next.
    NAME_SLOTS = 4096
    # Names of a decoder (limits.MEMO_NAMES): they lie at most so many places from where their hashes lead.
    KNOWN_SLOTS = 4096
    KNOWN_PROBES = 64
    KNOWN_ROOM = 64  # at first
    # Dicts of earlier events that a decoder keeps at most, and how many headers they have together; and how many it may
    # keep whatever the process's budget for dicts says.
    BASES = 32
    BASE_HEADERS = 4096
    BASES_OWN = 8
    GUESS_BITS = 9
    LOOK_AHEAD = 16
    OTHERS = 32  # values of an event that are not remembered, and soon found
    # When so often there was no room, all is forgotten: what comes now is something else.
    REFUSED_MOST = 8192
    SCRATCH_BYTES = 128 << 10
    NO_LINE = 0x7FFFFFFF  # longer than any
    JSON_BASES = 64
    BASE_ITEM_BYTES = 10  # what is noted of each header of a dict that is kept: its value and its name

cdef int64_t LENGTH_CEILING = limits.BOUND_CEILING
cdef Py_ssize_t RECEIVE_BYTES_MIN = limits.RECEIVE_BYTES_MIN
cdef Py_ssize_t RECEIVE_BYTES_MAX = limits.RECEIVE_BYTES_MAX
cdef Py_ssize_t NAME_BYTES = limits.MEMO_NAME_BYTES
cdef uint32_t KNOWN_NAMES = limits.MEMO_NAMES
cdef Py_ssize_t VALUE_BYTES = limits.MEMO_VALUE_BYTES
cdef Py_ssize_t VALUES_BYTES = limits.MEMO_BYTES
cdef Py_ssize_t NOTICE_BYTES = limits.NOTICE_BYTES
cdef Py_ssize_t KEPT_FRAME_BYTES = limits.KEPT_FRAME_BYTES
cdef Py_ssize_t PULLED_BYTES = 1024  # of what is fed: a header block has fewer, mostly
cdef Py_ssize_t IN_PLACE_BYTES = 4096  # fewer are copied: that is cheaper than holding them and copying the rest
cdef Py_ssize_t JSON_NAMES = limits.JSON_NAMES
cdef Py_ssize_t JSON_NAME_BYTES = limits.JSON_NAME_BYTES
cdef Py_ssize_t JSON_NAMES_BYTES = limits.JSON_NAMES_BYTES
cdef Py_ssize_t JSON_VALUE_BYTES = limits.JSON_VALUE_BYTES
cdef Py_ssize_t LAST_VALUES_BYTES = limits.LAST_VALUES_BYTES
cdef Py_ssize_t JSON_REFUSALS = limits.JSON_REFUSALS
cdef Py_ssize_t JSON_DICTS_BYTES = limits.JSON_DICTS_BYTES
cdef Py_ssize_t JSON_DICTS_BYTES_ALL = limits.JSON_DICTS_BYTES_ALL
cdef Py_ssize_t IDLE_BYTES = 1 << 20  # memory beyond this is given back once it is no longer needed


cdef object ESCAPE = "surrogateescape"  # interned, so that a look-up without the keyword compares a pointer


cdef object refuse_pickle(object instance):
    """For `__reduce__` of a type that points into memory: a copy made of its fields would point there, too."""
    raise TypeError(f"cannot pickle {type(instance).__name__!r} object")


# Text


cdef inline object ascii_text(const char *p, Py_ssize_t size):
    if size == 1:
        return PyUnicode_FromOrdinal(p[0])
    text = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(text), p, size)
    return text


cdef inline object raw_text(const char *p, Py_ssize_t size):
    """Bytes as text, nothing percent-decoded."""
    if size > 0 and not coded(p, size) & 2:
        return ascii_text(p, size)
    return PyUnicode_DecodeUTF8(p, size, "surrogateescape")


ctypedef size_t (*decoder_t)(const char *p, size_t n, char *out) noexcept nogil


cdef object decoded_text(const char *p, Py_ssize_t size, decoder_t decode):
    """Text whose bytes `decode` makes of [p, p + size)."""
    cdef char stack[STACK_BYTES]
    cdef char *out = stack
    if size > STACK_BYTES:
        out = <char *>PyMem_Malloc(size)
        if out == NULL:
            raise MemoryError
    try:
        return raw_text(out, decode(p, size, out))
    finally:
        if out != stack:
            PyMem_Free(out)


cdef inline object value_text(const char *p, Py_ssize_t size):
    """A percent-encoded value as text."""
    cdef int found = coded(p, size)
    if found == 0 and size > 0:
        return ascii_text(p, size)
    if found & 1:
        return decoded_text(p, size, unquote_into)
    return PyUnicode_DecodeUTF8(p, size, "surrogateescape")


cdef inline object text_of(const char *p, Py_ssize_t size, bint decode):
    return value_text(p, size) if decode else raw_text(p, size)


cdef bytes name_bytes(object name):
    """A name as it would stand on the wire, None if no bytes are read as this text."""
    cdef bytes raw
    try:
        raw = (<str>name).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return raw if raw.decode("utf-8", "surrogateescape") == name else None


def unquote(data):
    """See eslcodec._codec_py.unquote."""
    cdef bytes raw = data if type(data) is bytes else bytes(memoryview(data))
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
    cdef const char *p = PyBytes_AS_STRING(raw)
    if memchr(p, c"%", size) == NULL:
        return raw
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    cdef Py_ssize_t written = unquote_into(p, size, PyBytes_AS_STRING(out))
    return out if written == size else out[:written]


cdef const char *HEX_DIGITS = b"0123456789ABCDEF"
cdef bint UNESCAPED[256]
for _byte in range(256):
    UNESCAPED[_byte] = _byte in _twin._UNESCAPED


def quote(data):
    """See eslcodec._codec_py.quote."""
    cdef bytes raw = data if type(data) is bytes else bytes(memoryview(data))
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), i, escaped = 0
    cdef const unsigned char *p = <const unsigned char *>PyBytes_AS_STRING(raw)
    for i in range(size):
        escaped += not UNESCAPED[p[i]]
    if not escaped:
        return raw
    if escaped > (PY_SSIZE_T_MAX - size) // 2:
        raise MemoryError
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size + 2 * escaped)
    cdef char *to = PyBytes_AS_STRING(out)
    for i in range(size):
        if UNESCAPED[p[i]]:
            to[0] = p[i]
            to += 1
        else:
            to[0] = c"%"
            to[1] = HEX_DIGITS[p[i] >> 4]
            to[2] = HEX_DIGITS[p[i] & 15]
            to += 3
    return out


# Header lines


cdef struct Line:
    const char *name
    Py_ssize_t name_size
    const char *value
    Py_ssize_t value_size
    bint spaced  # cut at ": "


cdef inline const char *line_end(const char *p, const char *end) noexcept nogil:
    cdef const char *feed = <const char *>memchr(p, c"\n", end - p) if p < end else NULL
    return end if feed == NULL else feed


cdef inline bint cut_line(const char *p, const char *stop, Line *line) noexcept nogil:
    """Cut the line [p, stop), which has no line end, in name and value. False if it has no colon."""
    cdef const char *colon = find_cut(p, stop)
    if colon == NULL:
        return False
    line.name = p
    line.name_size = colon - p
    line.spaced = stop - colon >= 2 and colon[1] == c" "
    colon += 2 if line.spaced else 1
    if not line.spaced:
        while colon < stop and (colon[0] == c" " or colon[0] == c"\t"):
            colon += 1
    line.value = colon
    line.value_size = stop - colon
    return True


cdef inline bint next_line(const char **at, const char *end, Line *line) noexcept nogil:
    """The next header line from *at on, which moves behind it. False at a blank line and at the end."""
    cdef const char *p = at[0]
    cdef const char *feed
    cdef const char *stop
    while p < end:
        feed = line_end(p, end)
        stop = feed - 1 if feed > p and (feed - 1)[0] == c"\r" else feed
        if stop == p:
            return False
        at[0] = feed + 1
        if cut_line(p, stop, line):
            return True
        p = feed + 1
    return False


cdef inline bint has_any(const char *p, Py_ssize_t size, const char *bytes_, Py_ssize_t count) noexcept nogil:
    """Whether one of some bytes is in [p, p + size)."""
    cdef Py_ssize_t i
    for i in range(count):
        if memchr(p, bytes_[i], size) != NULL:
            return True
    return False


cdef inline bint is_array(const char *p, Py_ssize_t size) noexcept nogil:
    """Whether a percent-encoded value is the text of an array."""
    cdef char text[21]
    return unquote_into(p, min(size, <Py_ssize_t>21), text) >= 7 and memcmp(text, b"ARRAY::", 7) == 0


cdef bytes block_bytes(block):
    if isinstance(block, str):
        return (<str>block).encode("utf-8", "surrogateescape")
    return block if type(block) is bytes else bytes(memoryview(block))


def parse_pairs(block, *, bint decode=True, bint multiline=False):
    """See eslcodec._codec_py.parse_pairs."""
    if multiline:
        return _twin.parse_pairs(block, decode=decode, multiline=True)
    cdef bytes data = block_bytes(block)
    cdef const char *p = PyBytes_AS_STRING(data)
    return pairs_of(p, p + PyBytes_GET_SIZE(data), decode)


def parse_headers(block, *, bint decode=True, bint multiline=False):
    """See eslcodec._codec_py.parse_headers."""
    if multiline:
        return _twin.parse_headers(block, decode=decode, multiline=True)
    cdef bytes data = block_bytes(block)
    cdef const char *p = PyBytes_AS_STRING(data)
    return headers_of(p, p + PyBytes_GET_SIZE(data), decode)


cdef list pairs_of(const char *p, const char *end, bint decode):
    cdef Line line
    cdef list pairs = []
    while next_line(&p, end, &line):
        pairs.append((raw_text(line.name, line.name_size), text_of(line.value, line.value_size, decode)))
    return pairs


cdef inline bint is_event_name(const char *name, Py_ssize_t size) noexcept nogil:
    return size == 10 and memcmp(name, b"Event-Name", 10) == 0


cdef dict headers_of(const char *p, const char *end, bint decode):
    """All headers as a dict: the first of a repeated spelling, of Event-Name the last."""
    cdef Line line
    cdef dict headers = __Pyx_PyDict_NewPresized(min(<Py_ssize_t>count_byte(p, end, c"\n"), PRESIZED_LINES))
    cdef object name, value
    cdef Py_ssize_t distinct
    while next_line(&p, end, &line):
        name = raw_text(line.name, line.name_size)
        value = text_of(line.value, line.value_size, decode)
        distinct = len(headers)
        PyDict_SetDefault(headers, name, value)
        if len(headers) == distinct and is_event_name(line.name, line.name_size):
            headers[name] = value
    return headers


# JSON output


cdef struct Out:
    char *data
    Py_ssize_t size
    Py_ssize_t room


cdef int make_room(Out *out, Py_ssize_t size) except -1:
    cdef Py_ssize_t room = out.size + size
    cdef char *data
    if room <= out.room:
        return 0
    room += room // 2
    data = <char *>PyMem_Realloc(out.data, room)
    if data == NULL:
        raise MemoryError
    out.data = data
    out.room = room
    return 0


cdef inline int write_bytes(Out *out, const char *p, Py_ssize_t size) except -1:
    make_room(out, size)
    memcpy(out.data + out.size, p, size)
    out.size += size
    return 0


cdef inline int write_string(Out *out, const char *p, Py_ssize_t size, bint replace, int *invalid) except -1:
    if size > (PY_SSIZE_T_MAX - 2) // 6:
        raise MemoryError
    make_room(out, 6 * size + 2)
    out.size += escape_into(p, size, out.data + out.size, replace, invalid)
    return 0


cdef const char *item_end(const char *p, const char *end) noexcept nogil:
    """Where the item of an array's text at p ends: at the next "|:", or at the end."""
    while p < end:
        p = <const char *>memchr(p, c"|", end - p)
        if p == NULL:
            return end
        if end - p > 1 and p[1] == c":":
            return p
        p += 1
    return end


cdef int write_text(Out *out, const char *p, Py_ssize_t size, bint replace, int *invalid) except -1:
    """A decoded value as a JSON string, or as an array of strings if it is the text of one."""
    cdef const char *end = p + size
    cdef const char *stop
    if size < 7 or memcmp(p, b"ARRAY::", 7) != 0:
        return write_string(out, p, size, replace, invalid)
    write_bytes(out, b"[", 1)
    p += 7
    while True:
        stop = item_end(p, end)
        write_string(out, p, stop - p, replace, invalid)
        if stop == end:
            break
        write_bytes(out, b",", 1)
        p = stop + 2
    return write_bytes(out, b"]", 1)


cdef int write_value(Out *out, const char *p, Py_ssize_t size, bint replace, int *invalid) except -1:
    """A percent-encoded value as JSON."""
    cdef char stack[STACK_BYTES]
    cdef char *plain = stack
    if not coded(p, size) & 1:
        return write_text(out, p, size, replace, invalid)
    if size > STACK_BYTES:
        plain = <char *>PyMem_Malloc(size)
        if plain == NULL:
            raise MemoryError
    try:
        return write_text(out, plain, unquote_into(p, size, plain), replace, invalid)
    finally:
        if plain != stack:
            PyMem_Free(plain)


# What is remembered


cdef struct Older:
    # A line that came before the last, as far as `Known` and `Recent` tell of that.
    char *line
    PyObject *value
    PyObject *pair
    char *json
    uint32_t size
    uint32_t room
    uint32_t json_size


cdef struct Known:
    # A name, and what was made of the line with it that came last; the line is in `Recent`.
    PyObject *name  # owned
    PyObject *pair  # owned: (name, value); NULL until wanted
    char *json  # owned: the line as a member of JSON, with a comma before it; NULL until wanted
    Older *older  # owned: values that take turns, as those of a call's two legs do, are both remembered; NULL until then
    uint32_t name_size
    uint32_t json_size
    uint32_t room  # of the line
    uint32_t misses  # how often in a row the value was another one,
    uint32_t missed  # the last time in this event, or one with a number that ends alike
    uint8_t event_name, body  # whether the name is `Event-Name`, or `_body` in any case


cdef inline void swap_lines(Known *known, Recent *recent) noexcept nogil:
    """The line before the last becomes the last, and the last the one before."""
    cdef Older older = known.older[0]
    known.older.line = recent.line
    known.older.value = <PyObject *>recent.value
    known.older.pair = known.pair
    known.older.json = known.json
    known.older.size = recent.size
    known.older.room = known.room
    known.older.json_size = known.json_size
    recent.line = older.line
    recent.value = older.value
    recent.size = older.size
    known.pair = older.pair
    known.json = older.json
    known.room = older.room
    known.json_size = older.json_size


cdef struct Walk:
    # Where the reader of a block is.
    const char *at  # the next line
    const char *end
    const char *stop  # afterwards the line feed that begins the blank line, or the end
    uint32_t last  # whose line came before
    Known *known  # whose line this is, until the next step; NULL if the name is not remembered
    Recent *recent  # its line before
    uint64_t before  # the event in which that came
    bint passed  # `run` came before: the next line is not the one remembered, unless its name is another than expected
    bint same  # it is the remembered line
    bint repeated  # the name has come before in this event. Not known of names that are not remembered
    bint whole  # it ends with a line feed
    Line line


cdef inline void remembered_line(const Known *known, const Recent *recent, Line *line) noexcept nogil:
    """Cut the line that is remembered."""
    line.name = recent.line
    line.name_size = known.name_size
    line.value = recent.line + known.name_size + 2
    line.value_size = <Py_ssize_t>recent.size - known.name_size - 3
    line.spaced = True
    if line.value_size and line.value[line.value_size - 1] == c"\r":
        line.value_size -= 1


cdef inline uint32_t recent_room(Py_ssize_t size) noexcept nogil:
    """How many bytes a line gets."""
    return <uint32_t>((size + RECENT_BYTES - 1) // RECENT_BYTES * RECENT_BYTES)


cdef struct Base:
    # The headers of an event as a dict, of which others are copies with changes.
    PyObject *headers  # owned
    uint16_t *lines  # owned: of each header which name it is
    PyObject **values  # owned, the values borrowed from the dict
    uint32_t count
    uint64_t turn  # the event that it was of use to last
    Py_ssize_t size  # what was taken from the budget for it


cdef inline Py_ssize_t found_soon(const Base *base, Py_ssize_t at, uint16_t line) noexcept nogil:
    """Where a name stands a little later in a base, -1 if it does not."""
    cdef Py_ssize_t i
    for i in range(at + 1, min(at + 1 + LOOK_AHEAD, <Py_ssize_t>base.count)):
        if base.lines[i] == line:
            return i
    return -1


@cython.final
@cython.no_gc
cdef class Names:
    """The names of headers as text: the same object for the same name, mostly."""

    cdef PyObject *slots[NAME_SLOTS]  # owned, ASCII

    def __dealloc__(self):
        for slot in range(NAME_SLOTS):
            Py_XDECREF(self.slots[slot])

    def __reduce__(self):
        return refuse_pickle(self)

    @cython.critical_section
    cdef object name(self, const char *p, Py_ssize_t size):
        if size < 1 or size > NAME_BYTES:
            return raw_text(p, size)
        cdef Py_ssize_t slot = mix(p, size) % NAME_SLOTS
        cdef PyObject *known = self.slots[slot]
        if (
            known != NULL
            and PyUnicode_GET_LENGTH(<object>known) == size
            and memcmp(PyUnicode_DATA(<object>known), p, size) == 0
        ):
            return <object>known
        name = raw_text(p, size)
        if PyUnicode_IS_COMPACT_ASCII(name):
            Py_INCREF(name)
            known = self.slots[slot]
            self.slots[slot] = <PyObject *>name
            Py_XDECREF(known)
        return name


cdef Names SHARED_NAMES = Names()
cdef str NOTHING = ""


@cython.final
@cython.no_gc  # nothing in it refers to anything of a user's
cdef class Memo:
    """What the messages of a decoder remember together: of each name the lines that came last. Never changes a result.

    Names are the whole process's. Without the GIL they are the decoder's: to count references to one object is what
    threads would wait for.
    """

    cdef Names names
    cdef Known *known  # the first is no name: before the first line of an event
    cdef Recent *recent  # their lines; the line is owned, and so is the value, a text, which is NULL until wanted
    cdef uint16_t *lines  # of the event that is read: which names it has
    cdef PyObject **values  # and their values, borrowed
    cdef uint32_t count, room  # of the four
    cdef Base bases[BASES]
    cdef uint32_t base_count
    cdef Py_ssize_t base_headers  # of all of them
    cdef uint32_t nearest  # the one that the last event was made of
    cdef uint8_t guesses[1 << GUESS_BITS]  # which one was the nearest to an event that began like this, after the last
    cdef uint16_t table[KNOWN_SLOTS]  # which of them has a name; 0: none
    cdef Py_ssize_t value_bytes  # of all values that are remembered
    cdef Py_ssize_t refused  # names and values for which there was no room
    cdef uint64_t turn
    cdef bint busy  # a walk is under way: an object that it makes may let other code run, which does without
    cdef Out scratch  # for JSON on its way out
    cdef uint64_t numbered  # messages that were numbered so far, from 1
    cdef uint64_t indexed  # the number of the message that `bits` tell of
    cdef Bits bits
    cdef bint whole  # whether they tell of all its headers
    cdef JsonMemo of_json  # None until a JSON event is read

    def __cinit__(self):
        self.names = SHARED_NAMES if HAS_GIL else Names()

    def __dealloc__(self):
        self.forget()
        PyMem_Free(self.known)
        PyMem_Free(self.recent)
        PyMem_Free(self.lines)
        PyMem_Free(self.values)
        PyMem_Free(self.scratch.data)
        PyMem_Free(self.bits.feeds)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef object name(self, const char *p, Py_ssize_t size):
        """A header's name as text."""
        return self.names.name(p, size)

    @cython.critical_section
    cdef bint find_line(self, Message message, const char *name, Py_ssize_t size, Line *found, bint last) noexcept:
        """`Message.find_line` by an index, if there can be one."""
        return message.search(self.index(message), name, size, found, last)

    # What follows is called in its critical section only.

    cdef const Bits *index(self, Message message) noexcept:
        """Where the line feeds and colons of an event's headers are, NULL if there is no blank line or too much.

        The message that was asked last is known by its number: a reference would keep its body.
        """
        cdef const char *p = PyBytes_AS_STRING(message.frame_)
        if message.number == 0:
            self.numbered += 1
            message.number = self.numbered
        if self.indexed != message.number:
            self.indexed = message.number
            self.whole = self.read_bits(p + message.split - 1, p + PyBytes_GET_SIZE(message.frame_))
        if not self.whole:
            return NULL
        message.head_stop = message.split - 1 + <Py_ssize_t>self.bits.stop
        return &self.bits

    cdef bint read_bits(self, const char *p, const char *end) noexcept:
        cdef int found
        self.bits.words = 0
        while True:
            found = index_block(&self.bits, p, end)
            if found >= 0:
                return found
            if not self.make_bits_room():
                return False

    cdef bint make_bits_room(self) noexcept:
        cdef Bits bits = self.bits
        cdef size_t room = max(2 * bits.room, <size_t>INDEX_WORDS_MIN)
        if room > INDEX_WORDS_MAX:
            return False
        cdef uint64_t *words = <uint64_t *>PyMem_Malloc(2 * (room + BITS_MORE) * sizeof(uint64_t))
        if words == NULL:
            return False
        if bits.words:
            memcpy(words, bits.feeds, bits.words * sizeof(uint64_t))
            memcpy(words + room + BITS_MORE, bits.colons, bits.words * sizeof(uint64_t))
        PyMem_Free(bits.feeds)
        self.bits.feeds = words
        self.bits.colons = words + room + BITS_MORE
        self.bits.room = room
        return True

    # What follows is called in its critical section, and while it is busy.

    cdef void forget(self) noexcept:
        """Forget all."""
        cdef uint32_t i, count = self.count
        self.count = 0
        while self.base_count:
            self.base_count -= 1
            self.drop_base(&self.bases[self.base_count])
        memset(self.table, 0, sizeof(self.table))
        for i in range(1, count):
            self.drop_line(&self.known[i], &self.recent[i])
            self.drop_older(&self.known[i])
            PyMem_Free(self.recent[i].line)
            if self.known[i].older != NULL:
                PyMem_Free(self.known[i].older.line)
                PyMem_Free(self.known[i].older)
            Py_XDECREF(self.known[i].name)
        self.refused = 0

    cdef void drop_line(self, Known *known, Recent *recent) noexcept:
        """Forget a value."""
        if recent.size == NO_LINE:
            return
        self.value_bytes -= recent.size - known.name_size - 3
        recent.size = NO_LINE
        PyMem_Free(known.json)
        known.json = NULL
        Py_XDECREF(<PyObject *>recent.value)
        recent.value = NULL
        Py_XDECREF(known.pair)
        known.pair = NULL

    cdef void drop_older(self, Known *known) noexcept:
        """Forget the value before the last."""
        cdef Older *older = known.older
        if older == NULL or older.size == NO_LINE:
            return
        self.value_bytes -= older.size - known.name_size - 3
        older.size = NO_LINE
        PyMem_Free(older.json)
        older.json = NULL
        Py_XDECREF(older.value)
        older.value = NULL
        Py_XDECREF(older.pair)
        older.pair = NULL

    cdef int begin(self, Walk *walk, const char *p, const char *end) except -1:
        """Go to the first line of a block. From here on `busy` is set, for the caller to reset."""
        self.busy = True
        if self.count == 0 or self.refused > REFUSED_MOST:
            self.forget()
            self.make_known_room(1)
            memset(self.known, 0, sizeof(Known))
            memset(self.recent, 0, sizeof(Recent))
            self.recent.size = NO_LINE
            self.count = 1
        self.turn += 1
        self.recent.turn = self.turn
        walk.at = p
        walk.end = end
        walk.last = 0
        walk.passed = False
        return 0

    cdef int make_known_room(self, uint32_t count) except -1:
        cdef uint32_t room = max(2 * self.room, <uint32_t>KNOWN_ROOM)
        cdef Known *known
        cdef Recent *recent
        cdef uint16_t *lines
        cdef PyObject **values
        if count <= self.room:
            return 0
        known = <Known *>PyMem_Realloc(self.known, room * sizeof(Known))
        if known == NULL:
            raise MemoryError
        self.known = known
        recent = <Recent *>PyMem_Realloc(self.recent, room * sizeof(Recent))
        if recent == NULL:
            raise MemoryError
        self.recent = recent
        lines = <uint16_t *>PyMem_Realloc(self.lines, room * sizeof(uint16_t))
        if lines == NULL:
            raise MemoryError
        self.lines = lines
        values = <PyObject **>PyMem_Realloc(self.values, room * sizeof(PyObject *))
        if values == NULL:
            raise MemoryError
        self.values = values
        self.room = room
        return 0

    cdef inline Py_ssize_t run(self, Walk *walk, Py_ssize_t count) noexcept nogil:
        """Pass the lines from here on that are those remembered, of names that are new in the event: how many there are
        with the `count` lines before."""
        walk.passed = True
        return count + pass_lines(
            self.recent, &walk.at, walk.end, &walk.last, self.turn, self.lines + count, <void **>self.values + count
        )

    cdef int step(self, Walk *walk) except -1:
        """Read the next line, whatever it is: 0 if there is none."""
        cdef const char *p = walk.at
        cdef const char *end = walk.end
        cdef const char *feed
        cdef const char *stop
        cdef uint32_t guess = self.recent[walk.last].next  # mostly the name that came behind it last
        cdef Recent *recent = &self.recent[guess]
        cdef Py_ssize_t size = self.known[guess].name_size
        cdef bint passed = walk.passed
        cdef bint guessed = guess and end - p >= size + 2 and same_bytes(p, recent.line, size + 2)
        if guessed:
            walk.line.name = p
            walk.line.name_size = size
            walk.line.spaced = True
            p += size + 2
            feed = find_feed(p, end)
            walk.line.value = p
            walk.line.value_size = feed - p
            if feed > p and (feed - 1)[0] == c"\r":
                walk.line.value_size -= 1
        else:
            while True:
                if p >= end:
                    walk.stop = end
                    return 0
                feed = find_feed(p, end)
                stop = feed - 1 if feed > p and (feed - 1)[0] == c"\r" else feed
                if stop == p:
                    walk.stop = p - 1 if feed < end else end
                    return 0
                if cut_line(p, stop, &walk.line):
                    break
                p = feed + 1
            guess = self.place(walk.line.name, walk.line.name_size)
        walk.passed = False
        walk.at = feed + 1
        walk.whole = feed < end
        walk.same = False
        walk.repeated = False
        walk.known = NULL
        if not guess:
            return 1
        recent = &self.recent[guess]
        self.recent[walk.last].next = guess
        walk.last = guess
        walk.known = &self.known[guess]
        walk.recent = recent
        walk.before = recent.turn
        walk.repeated = recent.turn == self.turn
        recent.turn = self.turn
        if walk.repeated or not guessed or not passed:
            p = walk.line.name
            walk.same = feed + 1 - p == <Py_ssize_t>recent.size and walk.whole and same_bytes(p, recent.line, recent.size)
        if not walk.same and not walk.repeated:
            self.try_older(walk)
        return 1

    cdef inline void try_older(self, Walk *walk) noexcept nogil:
        """Whether the line just read is the one before the last, which is the last then."""
        cdef Older *older = walk.known.older
        cdef const char *p = walk.line.name
        if older == NULL:
            return
        if walk.at - p != <Py_ssize_t>older.size or not walk.whole or not same_bytes(p, older.line, older.size):
            return
        swap_lines(walk.known, walk.recent)
        walk.same = True

    cdef uint32_t place(self, const char *name, Py_ssize_t size) except? 0:
        """Where a name is among those known; 0 if there is no room for it, in this event and until all are forgotten."""
        cdef uint64_t hashed
        cdef uint32_t probe, at
        if size > NAME_BYTES:
            return 0
        hashed = mix(name, size)
        for probe in range(KNOWN_PROBES):
            at = self.table[(hashed + probe) % KNOWN_SLOTS]
            if at == 0:
                if self.count <= KNOWN_NAMES:
                    at = self.learn(name, size)
                    self.table[(hashed + probe) % KNOWN_SLOTS] = at
                    return at
                break
            if self.known[at].name_size == size and memcmp(self.recent[at].line, name, size) == 0:
                return at
        self.refused += 1
        return 0

    cdef uint32_t learn(self, const char *name, Py_ssize_t size) except 0:
        cdef uint32_t at = self.count
        cdef Known *known
        cdef char *line
        self.make_known_room(at + 1)
        text = self.names.name(name, size)
        line = <char *>PyMem_Malloc(recent_room(size + 2))
        if line == NULL:
            raise MemoryError
        memcpy(line, name, size)
        memcpy(line + size, b": ", 2)
        known = &self.known[at]
        memset(known, 0, sizeof(Known))
        Py_INCREF(text)
        known.name = <PyObject *>text
        known.name_size = size
        known.room = recent_room(size + 2)
        known.event_name = is_event_name(name, size)
        known.body = is_body_name(name, size)
        memset(&self.recent[at], 0, sizeof(Recent))
        self.recent[at].line = line
        self.recent[at].size = NO_LINE
        self.count += 1
        return at

    cdef bint remember(self, Walk *walk) noexcept:
        """Keep the line just read, if there is room; False if it is not kept. Most are kept that others do not follow."""
        cdef Known *known = walk.known
        cdef Recent *recent = walk.recent
        cdef Py_ssize_t size = walk.at - walk.line.name
        cdef Py_ssize_t value_size = size - <Py_ssize_t>known.name_size - 3
        if walk.same:
            return True
        known.misses = known.misses + 1 if known.missed == <uint32_t>walk.before else 1
        known.missed = <uint32_t>self.turn
        if known.misses & (known.misses - 1) or not walk.whole or not walk.line.spaced:
            return False  # one that is another each time is kept ever more seldom
        self.drop_older(known)
        if recent.size != NO_LINE and value_size <= min(VALUE_BYTES, VALUES_BYTES // 2 - self.value_bytes):
            if not self.make_older(known, size):
                return False
            swap_lines(known, recent)
        else:
            self.drop_line(known, recent)
            if value_size > min(VALUE_BYTES, VALUES_BYTES - self.value_bytes):
                self.refused += 1
                return False
            if not self.make_line_room(&recent.line, &known.room, size):
                return False
        memcpy(recent.line, walk.line.name, size)
        recent.size = <uint32_t>size
        self.value_bytes += value_size
        return True

    cdef bint make_line_room(self, char **line, uint32_t *room, Py_ssize_t size) noexcept:
        """Make room for a line: False if there is no memory."""
        cdef uint32_t wanted = recent_room(size)
        cdef char *made
        if wanted == room[0]:
            return True
        made = <char *>PyMem_Realloc(line[0], wanted)
        if made == NULL:
            return False
        line[0] = made
        room[0] = wanted
        return True

    cdef bint make_older(self, Known *known, Py_ssize_t size) noexcept:
        """Make room for a line beside the last: False if there is no memory."""
        if known.older == NULL:
            known.older = <Older *>PyMem_Malloc(sizeof(Older))
            if known.older == NULL:
                return False
            memset(known.older, 0, sizeof(Older))
            known.older.size = NO_LINE
        return self.make_line_room(&known.older.line, &known.older.room, size)

    cdef int make_value(self, uint32_t at) except -1:
        """Make the text of a value that is remembered."""
        cdef Line line
        remembered_line(&self.known[at], &self.recent[at], &line)
        value = value_text(line.value, line.value_size)
        Py_INCREF(value)
        self.recent[at].value = <PyObject *>value
        return 0

    cdef object take_value(self, Walk *walk):
        """The value of the line just read."""
        cdef Recent *recent = walk.recent
        cdef PyObject *old
        if walk.known == NULL:
            return value_text(walk.line.value, walk.line.value_size)
        if walk.same:
            if recent.value == NULL:
                self.make_value(walk.last)
            return <object>recent.value
        value = value_text(walk.line.value, walk.line.value_size)
        if not walk.repeated and self.remember(walk):
            Py_INCREF(value)
            old = <PyObject *>recent.value
            recent.value = <PyObject *>value
            Py_XDECREF(old)
        return value

    @cython.critical_section
    cdef Memo unless_busy(self):
        """This one, or one for the moment while another walk is under way."""
        return Memo() if self.busy else self

    # What messages ask for. `stop` tells where the block ends. None while another walk is under way.

    @cython.critical_section
    cdef dict headers(self, const char *p, const char *end, const char **stop):
        """All headers as a dict."""
        cdef Walk walk
        if self.busy:
            return None
        try:
            self.begin(&walk, p, end)
            headers = self.read_headers(&walk, mix(p, min(end - p, <Py_ssize_t>32)))
        finally:
            self.busy = False
        stop[0] = walk.stop
        return headers

    cdef dict read_headers(self, Walk *walk, uint64_t key):
        cdef Py_ssize_t count = 0, i
        cdef list owned = None  # values that are not remembered,
        cdef uint16_t others[OTHERS]  # and the first of their lines
        while True:
            count = self.run(walk, count)
            if not self.step(walk):
                headers = self.near_dict(count, key)
                if owned is not None:
                    self.set_others(headers, count, others, len(owned))
                return headers
            made = self.take_value(walk)
            if walk.known == NULL:
                return self.finish_dict(self.new_dict(count), walk, made)
            if walk.repeated and not walk.known.event_name:
                continue
            i = count
            if walk.repeated:  # the last Event-Name counts
                i = 0
                while self.lines[i] != walk.last:
                    i += 1
            if walk.recent.value != <void *>made:
                if owned is None:
                    owned = []
                if len(owned) < OTHERS:
                    others[len(owned)] = <uint16_t>i
                owned.append(made)
            self.lines[i] = <uint16_t>walk.last
            self.values[i] = <PyObject *>made
            count += not walk.repeated

    cdef inline bint is_remembered(self, Py_ssize_t i) noexcept nogil:
        """Whether the value of a line is: others may be long, and are put in no base."""
        return self.recent[self.lines[i]].value == <void *>self.values[i]

    cdef inline int need_value(self, Py_ssize_t i) except -1:
        """Make the value of a line that was passed, if it is not there yet."""
        cdef uint32_t at = self.lines[i]
        if self.values[i] == NULL:
            if self.recent[at].value == NULL:
                self.make_value(at)
            self.values[i] = <PyObject *>self.recent[at].value
        return 0

    cdef inline int set_header(self, dict headers, Py_ssize_t i) except -1:
        """Put in a line's name and value."""
        self.need_value(i)
        return dict_set(headers, self.known[self.lines[i]].name, self.values[i])

    cdef int set_others(self, dict headers, Py_ssize_t count, const uint16_t *others, Py_ssize_t other_count) except -1:
        """Put in the values that are not remembered."""
        cdef Py_ssize_t i
        if other_count <= OTHERS:
            for i in range(other_count):
                self.set_header(headers, others[i])
            return 0
        for i in range(count):
            if not self.is_remembered(i):
                self.set_header(headers, i)
        return 0

    cdef dict new_dict(self, Py_ssize_t count):
        """A dict of the first lines."""
        cdef dict headers = {}
        cdef Py_ssize_t i
        for i in range(count):
            self.set_header(headers, i)
        return headers

    cdef dict finish_dict(self, dict headers, Walk *walk, object value):
        """Add the header just read, whose name is not remembered, and those behind it."""
        cdef Py_ssize_t distinct
        while True:
            distinct = len(headers)
            name = self.name_of(walk)
            PyDict_SetDefault(headers, name, value)
            if len(headers) == distinct and self.is_event_name_line(walk):
                PyDict_SetItem(headers, name, value)
            if not self.step(walk):
                return headers
            value = self.take_value(walk)

    cdef dict near_dict(self, Py_ssize_t count, uint64_t key):
        """A dict of the lines, made from that of an earlier event."""
        cdef uint8_t *guess = &self.guesses[(key ^ self.nearest * <uint64_t>0x9E3779B97F4A7C15) >> (64 - GUESS_BITS)]
        cdef Py_ssize_t most = 4 + count // 16, edits = PY_SSIZE_T_MAX, other
        cdef uint32_t i, nearest = guess[0]
        if nearest < self.base_count:
            if self.same_lines(&self.bases[nearest], count):
                self.nearest = nearest
                return self.copied_dict(&self.bases[nearest], count)
            edits = self.distance(&self.bases[nearest], count, most)
        if edits > most:
            for i in range(self.base_count):
                other = self.distance(&self.bases[i], count, edits)
                if other < edits:
                    edits, nearest = other, i
        if edits > most and (edits > count // 3 or self.has_base_room(count)):
            headers = self.new_dict(count)
            nearest = self.add_base(headers, count)
        else:
            headers = self.edited_dict(&self.bases[nearest], count)
        guess[0] = <uint8_t>nearest
        self.nearest = nearest
        return headers

    cdef inline bint same_lines(self, const Base *base, Py_ssize_t count) noexcept nogil:
        return base.count == count and memcmp(base.lines, self.lines, count * sizeof(uint16_t)) == 0

    cdef int take_over(self, Base *base, Py_ssize_t i, Py_ssize_t j, Py_ssize_t count) except -1:
        """Put the values of lines from the i-th on into a base, from its j-th on."""
        cdef Py_ssize_t more = j - i
        for i in range(i, i + count):
            if self.values[i] == base.values[i + more]:
                continue
            self.need_value(i)
            if self.values[i] != base.values[i + more] and self.is_remembered(i):
                dict_set(<object>base.headers, self.known[self.lines[i]].name, self.values[i])
                base.values[i + more] = self.values[i]
        return 0

    cdef dict copied_dict(self, Base *base, Py_ssize_t count):
        """A copy of a base that has the names of the lines, after its values have become theirs."""
        self.take_over(base, 0, 0, count)
        base.turn = self.turn
        return PyDict_Copy(<dict>base.headers)

    cdef inline Py_ssize_t alike(self, const Base *base, Py_ssize_t i, Py_ssize_t j, Py_ssize_t count) noexcept nogil:
        """How many names from the i-th line on are those from the j-th on in a base."""
        return alike(self.lines + i, base.lines + j, min(count - i, <Py_ssize_t>base.count - j))

    cdef inline Py_ssize_t found(self, const Base *base, Py_ssize_t i, Py_ssize_t j, Py_ssize_t count) noexcept nogil:
        """Where the name of the i-th line stands in a base, if it is soon behind the j-th; -1 if it is not."""
        if i == count or j == <Py_ssize_t>base.count:
            return -1
        return found_soon(base, j, self.lines[i])

    cdef Py_ssize_t distance(self, const Base *base, Py_ssize_t count, Py_ssize_t most) noexcept nogil:
        """How many headers of a base must go, and how many be put behind the rest, for the names of the lines."""
        cdef Py_ssize_t i = 0, j = 0, gone = 0, to, same
        while True:
            same = self.alike(base, i, j, count)
            i += same
            j += same
            to = self.found(base, i, j, count)
            if to < 0 or gone > most:
                return gone + base.count - j + count - i
            gone += to - j
            j = to

    cdef dict edited_dict(self, Base *base, Py_ssize_t count):
        """A copy of a base with the names of the lines, after the values in it have become those of the lines."""
        cdef Py_ssize_t i = 0, j = 0, same
        cdef dict headers
        while j >= 0:
            same = self.alike(base, i, j, count)
            self.take_over(base, i, j, same)
            i += same
            j = self.found(base, i, j + same, count)
        base.turn = self.turn
        headers = PyDict_Copy(<dict>base.headers)
        self.edit(headers, base, count)
        return headers

    cdef int edit(self, dict headers, const Base *base, Py_ssize_t count) except -1:
        """Give the copy of a base the names of the lines."""
        cdef Py_ssize_t i = 0, j = 0, to = 0, same
        while to >= 0:
            same = self.alike(base, i, j, count)
            i += same
            j += same
            to = self.found(base, i, j, count)
            while j < (to if to >= 0 else <Py_ssize_t>base.count):
                dict_delete(headers, self.known[base.lines[j]].name)
                j += 1
        while i < count:
            self.set_header(headers, i)
            i += 1
        return 0

    cdef bint has_base_room(self, Py_ssize_t count) noexcept:
        if self.base_count == BASES or count > BASE_HEADERS - self.base_headers:
            return False
        return self.base_count < BASES_OWN or DICTS.has(dict_bytes(count))

    cdef uint32_t add_base(self, dict headers, Py_ssize_t count) except? 0:
        """Keep a dict, in the place of others if need be: which base it is."""
        cdef Base *base
        cdef Py_ssize_t i
        if count > BASE_HEADERS:
            return BASES  # none
        while not self.has_base_room(count):
            self.drop_oldest_base()
        base = &self.bases[self.base_count]
        memset(base, 0, sizeof(Base))
        headers = PyDict_Copy(headers)
        if self.base_count >= BASES_OWN:
            if not DICTS.take(dict_bytes(count)):
                return BASES
            base.size = dict_bytes(count)
        base.lines = <uint16_t *>PyMem_Malloc((count + 1) * sizeof(uint16_t))
        base.values = <PyObject **>PyMem_Malloc((count + 1) * sizeof(PyObject *))
        if base.lines == NULL or base.values == NULL:
            PyMem_Free(base.lines)
            PyMem_Free(base.values)
            DICTS.give(base.size)
            raise MemoryError
        memcpy(base.lines, self.lines, count * sizeof(uint16_t))
        for i in range(count):
            base.values[i] = self.values[i]
            if not self.is_remembered(i):
                base.values[i] = <PyObject *>NOTHING
                dict_set(headers, self.known[self.lines[i]].name, base.values[i])
        Py_INCREF(headers)
        base.headers = <PyObject *>headers
        base.count = <uint32_t>count
        base.turn = self.turn
        self.base_headers += count
        self.base_count += 1
        return self.base_count - 1

    cdef void drop_oldest_base(self) noexcept:
        cdef uint32_t i, oldest = 0
        for i in range(1, self.base_count):
            if self.bases[i].turn < self.bases[oldest].turn:
                oldest = i
        self.drop_base(&self.bases[oldest])
        self.base_count -= 1
        self.bases[oldest] = self.bases[self.base_count]

    cdef void drop_base(self, Base *base) noexcept:
        self.base_headers -= base.count
        if base.size:
            DICTS.give(base.size)
        PyMem_Free(base.lines)
        PyMem_Free(base.values)
        Py_XDECREF(base.headers)

    cdef inline bint is_event_name_line(self, Walk *walk) noexcept:
        if walk.known != NULL:
            return walk.known.event_name
        return is_event_name(walk.line.name, walk.line.name_size)

    cdef inline object name_of(self, Walk *walk):
        if walk.known != NULL:
            return <object>walk.known.name
        return raw_text(walk.line.name, walk.line.name_size)

    @cython.critical_section
    cdef list pairs(self, const char *p, const char *end, const char **stop):
        """Every (name, value)."""
        if self.busy:
            return None
        cdef list pairs = []
        cdef Walk walk
        if self.busy:
            return None
        try:
            self.begin(&walk, p, end)
            self.read_pairs(&walk, pairs)
        finally:
            self.busy = False
        stop[0] = walk.stop
        return pairs

    cdef int read_pairs(self, Walk *walk, list pairs) except -1:
        cdef Py_ssize_t i, count
        cdef Known *known
        while True:
            count = self.run(walk, 0)
            for i in range(count):
                known = &self.known[self.lines[i]]
                if known.pair == NULL:
                    self.need_value(i)
                    self.make_pair(self.lines[i])
                pairs.append(<object>known.pair)
            if not self.step(walk):
                return 0
            value = self.take_value(walk)
            known = walk.known
            if known != NULL and walk.recent.value == <void *>value:
                if known.pair == NULL:
                    self.make_pair(walk.last)
                pairs.append(<object>known.pair)
            else:
                pairs.append((self.name_of(walk), value))

    cdef int make_pair(self, uint32_t at) except -1:
        pair = (<object>self.known[at].name, <object>self.recent[at].value)
        Py_INCREF(pair)
        self.known[at].pair = <PyObject *>pair
        return 0

    @cython.critical_section
    cdef dict xml_headers(self, XmlPayload payload):
        """All headers of an XML payload."""
        return payload.headers(self)

    @cython.critical_section
    cdef bint read_json(self, JsonPayload payload) except -1:
        """Read a JSON payload by what is remembered. False if it has to be read in another way."""
        if self.of_json is None:
            self.of_json = JsonMemo.__new__(JsonMemo)
        return self.of_json.read(self, payload)

    @cython.critical_section
    cdef object find_json(self, JsonPayload payload, str name):
        """The value that a look-up takes in a payload that `read_json` has read; None if the name is absent."""
        return self.of_json.find(payload, name)

    @cython.critical_section
    cdef object lone_json(self, JsonPayload payload, str name):
        """What `Message._lone` says of a payload that `read_json` has read and that is flat."""
        return self.of_json.lone(payload, name)

    @cython.critical_section
    cdef dict json_headers(self, JsonPayload payload):
        """All headers of a JSON payload."""
        return payload.headers(self) if payload.spans == NULL else self.of_json.headers(self, payload)

    @cython.critical_section
    cdef bytes json(self, const char *p, const char *end, const char **stop, bint replace, bint whole):
        """A payload with its body as JSON. None also if a name is not UTF-8: replaced it may be equal to another; and if
        it is to be `whole`, UTF-8 without repeats, and is not."""
        cdef Walk walk
        cdef Members members
        cdef Out *out = &self.scratch
        if self.busy:
            return None
        out.size = 0
        members.event_name = members.body = -1
        members.invalid = members.lossy = 0
        members.whole = True
        try:
            self.begin(&walk, p, end)
            self.write_members(&walk, &members, replace)
            stop[0] = walk.stop
            if members.invalid:
                return None
            write_body(out, &members, block_end(walk.stop, end), end, replace)
            json = None
            if not whole or (members.whole and not members.lossy):
                json = PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            self.busy = False
            if out.room > SCRATCH_BYTES:
                PyMem_Free(out.data)
                memset(out, 0, sizeof(Out))
        return json

    cdef int write_members(self, Walk *walk, Members *members, bint replace) except -1:
        """Write each header, with a comma before it."""
        cdef Out *out = &self.scratch
        cdef Known *known
        cdef set others = None  # names that are not remembered
        cdef Py_ssize_t distinct, count, i
        cdef bint repeated
        while True:
            count = self.run(walk, 0)
            for i in range(count):
                known = &self.known[self.lines[i]]
                if known.json == NULL:
                    walk.known = known
                    walk.recent = &self.recent[self.lines[i]]
                    walk.same = True
                    self.write_same(walk, members, replace)
                    continue
                if known.event_name or known.body:
                    note_member(members, out, self.recent[self.lines[i]].line, known.name_size)
                write_bytes(out, known.json, known.json_size)
            if not self.step(walk):
                return 0
            known = walk.known
            repeated = walk.repeated
            if known == NULL:
                if others is None:
                    others = set()
                distinct = len(others)
                others.add(raw_text(walk.line.name, walk.line.name_size))
                repeated = len(others) == distinct
                if not repeated:
                    note_member(members, out, walk.line.name, walk.line.name_size)
            elif not repeated and (known.event_name or known.body):
                note_member(members, out, walk.line.name, known.name_size)
            members.whole &= not repeated
            if not repeated and walk.same and known != NULL and known.json != NULL:
                write_bytes(out, known.json, known.json_size)
            elif not repeated:
                self.write_member(walk, members, replace)
            elif is_event_name(walk.line.name, walk.line.name_size):  # the last one counts
                replace_member(out, members, members.event_name, &walk.line, replace)

    cdef int write_same(self, Walk *walk, Members *members, bint replace) except -1:
        """Write a remembered header for the first time, or one that is not written alike each time."""
        if walk.known.event_name or walk.known.body:
            note_member(members, &self.scratch, walk.recent.line, walk.known.name_size)
        remembered_line(walk.known, walk.recent, &walk.line)
        return self.write_member(walk, members, replace)

    cdef int write_member(self, Walk *walk, Members *members, bint replace) except -1:
        """Write a header, and keep what was written beside the line."""
        cdef Out *out = &self.scratch
        cdef Known *known = walk.known
        cdef Py_ssize_t begin = out.size
        cdef int lossy = 0
        write_bytes(out, b",", 1)
        write_string(out, walk.line.name, walk.line.name_size, False, &members.invalid)
        write_bytes(out, b":", 1)
        write_value(out, walk.line.value, walk.line.value_size, replace, &lossy)
        members.lossy |= lossy
        if known == NULL or not self.remember(walk):
            return 0
        cdef Py_ssize_t size = out.size - begin
        if known.json != NULL:
            return 0
        if lossy or members.invalid or size > 2 * <Py_ssize_t>walk.recent.size + 8:  # it depends on `replace`, or is large
            return 0
        known.json = <char *>PyMem_Malloc(size)
        if known.json != NULL:
            memcpy(known.json, out.data + begin, size)
            known.json_size = <uint32_t>size
        return 0


cdef struct Members:
    # Where members stand in JSON that may change their values, -1 if they are not there.
    Py_ssize_t event_name
    Py_ssize_t body
    int invalid  # a name is not UTF-8
    int lossy  # a value is not
    bint whole  # no name is repeated, and none is the body's in JSON


cdef inline void note_member(Members *members, const Out *out, const char *name, Py_ssize_t size) noexcept nogil:
    if is_event_name(name, size):
        members.event_name = out.size
    elif is_body_name(name, size):
        members.whole = False
        if memcmp(name, b"_body", 5) == 0:
            members.body = out.size


cdef inline bint is_body_name(const char *name, Py_ssize_t size) noexcept nogil:
    return size == 5 and folded_equal(name, b"_body", 5)


cdef int replace_member(Out *out, Members *members, Py_ssize_t at, const Line *line, bint replace) except -1:
    """Write another value in the place of one that is a string or an array."""
    cdef Out value
    cdef Py_ssize_t stop
    cdef int lossy = 0
    memset(&value, 0, sizeof(Out))
    try:
        write_value(&value, line.value, line.value_size, replace, &lossy)
        put_value(out, members, at, &value)
    finally:
        PyMem_Free(value.data)
    return 0


cdef int put_value(Out *out, Members *members, Py_ssize_t at, const Out *value) except -1:
    cdef const char *p = <const char *>memchr(out.data + at, c":", out.size - at) + 1
    cdef Py_ssize_t begin = p - out.data
    cdef Py_ssize_t stop = json_end(p) - out.data
    cdef Py_ssize_t grown = value.size - (stop - begin)
    if grown > 0:
        make_room(out, grown)
    memmove(out.data + stop + grown, out.data + stop, out.size - stop)
    memcpy(out.data + begin, value.data, value.size)
    out.size += grown
    if members.body > at:
        members.body += grown
    return 0


cdef const char *json_end(const char *p) noexcept nogil:
    """Where the string or the array of strings ends that was written at p."""
    cdef bint array = p[0] == c"["
    while True:
        p += 1
        if p[0] == c"\\":
            p += 1
        elif p[0] == c'"' and not array:
            return p + 1
        elif p[0] == c'"':  # an item
            p += 1
            while p[0] != c'"':
                p += 2 if p[0] == c"\\" else 1
        elif p[0] == c"]" and array:
            return p + 1


cdef int write_body(Out *out, Members *members, const char *body, const char *end, bint replace) except -1:
    """Write what stands behind the headers, and the braces."""
    cdef Out value
    if body < end and members.body >= 0:  # a header of this name gives way
        memset(&value, 0, sizeof(Out))
        try:
            write_string(&value, body, end - body, replace, &members.lossy)
            put_value(out, members, members.body, &value)
        finally:
            PyMem_Free(value.data)
    elif body < end:
        write_bytes(out, b',"_body":', 9)
        write_string(out, body, end - body, replace, &members.lossy)
    if out.size == 0:
        write_bytes(out, b",", 1)
    out.data[0] = c"{"
    return write_bytes(out, b"}", 1)


cdef inline const char *block_end(const char *stop, const char *end) noexcept nogil:
    """Where the body begins: behind the blank line that begins at `stop`, or at the end if there is none."""
    if stop >= end:
        return end
    return stop + (2 if stop[1] == c"\n" else 3)


cdef bint shape_mapping(dict headers, bint replace) except -1:
    """Make what `to_mapping` gives of headers: arrays as lists, and what is not UTF-8 replaced. False if names may be
    equal once that is replaced in them."""
    cdef PyObject *name
    cdef PyObject *value
    cdef Py_ssize_t at = 0
    cdef list items
    while dict_next(headers, &at, &name, &value):
        if not PyUnicode_IS_COMPACT_ASCII(<object>name):
            return False
        if PyUnicode_IS_COMPACT_ASCII(<object>value) and (<const char *>PyUnicode_DATA(<object>value))[0] != c"A":
            continue
        text = <str>value
        if not text.startswith("ARRAY::"):
            shaped = replaced(text) if replace else text
        else:
            shaped = items = []
            for item in text[7:].split("|:"):
                items.append(replaced(item) if replace else item)
        PyDict_SetItem(headers, <object>name, shaped)
    return True


cdef inline uint64_t mix(const char *p, Py_ssize_t size) noexcept nogil:
    """A hash of a name: its length, its first and its last eight bytes."""
    cdef uint64_t first = 0, last = 0
    memcpy(&first, p, size if size < 8 else 8)
    if size > 8:
        memcpy(&last, p + size - 8, 8)
    first = (first ^ <uint64_t>size) * <uint64_t>0x9E3779B97F4A7C15
    first = (first ^ (first >> 29) ^ last) * <uint64_t>0xBF58476D1CE4E5B9
    first = (first ^ (first >> 32)) * <uint64_t>0x94D049BB133111EB  # names that end in a number differ in high bits only
    return first ^ (first >> 32)


# JSON payloads


cdef enum:
    STRING = 0
    ESCAPED = 1  # a string with escapes
    OTHER = 2  # a number, true, false, null, a nested value: its text
    ARRAY = 3  # what stands between the brackets

cdef enum:
    # What may keep a member from being read alike by every reader: its value is no text, there is an escape in that, the
    # name has a bracket, the value is empty or may begin as an array's text.
    NO_TEXT = 1
    ESCAPES = 2
    BRACKET = 4
    UNSURE = 8

cdef struct Token:
    const char *text
    Py_ssize_t size
    int kind


cdef struct Member:
    Token name
    Token value


cdef enum:
    NO_FAULT = 0
    NO_OBJECT, NO_NAME, NO_COLON, NO_COMMA, NO_ITEM_COMMA, NO_STRING, NO_VALUE, NO_NEST_END

EXPECTED = (
    "",
    "an object",
    "a name",
    "a colon",
    "a comma or the end of the object",
    "a comma or the end of the array",
    "a whole string",
    "a value",
    "a nested value with its end",
)


cdef struct Scanner:
    const char *at
    const char *end
    int fault  # one of the above; `at` is where


cdef inline int fail(Scanner *scanner, const char *at, int fault) noexcept nogil:
    scanner.at = at
    scanner.fault = fault
    return False


cdef inline int next_byte(Scanner *scanner) noexcept nogil:
    """The next byte that is no blank, -1 at the end."""
    while scanner.at < scanner.end:
        if scanner.at[0] not in (c" ", c"\n", c"\r", c"\t"):
            return <unsigned char>scanner.at[0]
        scanner.at += 1
    return -1


cdef inline bint scan_string(Scanner *scanner, Token *token, int fault) noexcept nogil:
    cdef const char *begin = scanner.at + 1
    cdef const char *quote = NULL
    cdef int escaped = 0
    if scanner.at < scanner.end and scanner.at[0] == c'"':
        quote = string_end(begin, scanner.end, &escaped)
    if quote == NULL:
        return fail(scanner, scanner.at, fault)
    token.text = begin
    token.size = quote - begin
    token.kind = ESCAPED if escaped else STRING
    scanner.at = quote + 1
    return True


cdef inline const char *skip_digits(const char *p, const char *end) noexcept nogil:
    while p < end and c"0" <= p[0] <= c"9":
        p += 1
    return p


cdef const char *literal_end(const char *p, const char *end) noexcept nogil:
    """Where the number, true, false or null at p ends; p if there is none."""
    cdef const char *begin = p
    cdef const char *at
    if end - p >= 4 and (memcmp(p, b"true", 4) == 0 or memcmp(p, b"null", 4) == 0):
        return p + 4
    if end - p >= 5 and memcmp(p, b"false", 5) == 0:
        return p + 5
    if p < end and p[0] == c"-":
        p += 1
    at = skip_digits(p, end)
    if at == p:
        return begin
    p = at
    if p < end and p[0] == c".":
        at = skip_digits(p + 1, end)
        if at > p + 1:
            p = at
    if p < end and (p[0] == c"e" or p[0] == c"E"):
        at = p + 1
        if at < end and (at[0] == c"+" or at[0] == c"-"):
            at += 1
        if at < end and c"0" <= at[0] <= c"9":
            p = skip_digits(at, end)
    return p


cdef bint scan_nested(Scanner *scanner, Token *token) noexcept nogil:
    cdef const char *begin = scanner.at
    cdef const char *p = begin
    cdef Py_ssize_t depth = 0
    cdef int escaped
    while p < scanner.end:
        if p[0] == c'"':
            p = string_end(p + 1, scanner.end, &escaped)
            if p == NULL:
                break
        elif p[0] == c"[" or p[0] == c"{":
            depth += 1
        elif p[0] == c"]" or p[0] == c"}":
            depth -= 1
            if depth == 0:
                token.text = begin
                token.size = p + 1 - begin
                token.kind = OTHER
                scanner.at = p + 1
                return True
        p += 1
    return fail(scanner, begin, NO_NEST_END)


cdef bint has_escaped_surrogate(const char *p, const char *end) noexcept nogil:
    """See eslcodec._json.is_flat: it may be a false alarm."""
    while True:
        p = <const char *>memchr(p, c"\\", end - p)
        if p == NULL:
            return False
        p += 1
        if end - p >= 2 and p[0] == c"u" and (p[1] == c"d" or p[1] == c"D"):
            return True


cdef bint is_flat_value(const Token *token) noexcept nogil:
    """Whether it is a text or an array of texts."""
    cdef Scanner scanner
    cdef Token item
    if token.kind != ARRAY:
        return token.kind != OTHER
    scanner.at = token.text
    scanner.end = token.text + token.size
    while next_byte(&scanner) >= 0:
        if scanner.at[0] == c",":
            scanner.at += 1
        elif not scan_scalar(&scanner, &item) or item.kind == OTHER:
            return False
    return True


cdef inline bint scan_scalar(Scanner *scanner, Token *token) noexcept nogil:
    cdef int byte = -1 if scanner.at == scanner.end else <unsigned char>scanner.at[0]
    cdef const char *end
    if byte == c'"':
        return scan_string(scanner, token, NO_STRING)
    if byte == c"{" or byte == c"[":
        return scan_nested(scanner, token)
    end = literal_end(scanner.at, scanner.end)
    if end == scanner.at:
        return fail(scanner, end, NO_VALUE)
    token.text = scanner.at
    token.size = end - scanner.at
    token.kind = OTHER
    scanner.at = end
    return True


cdef bint scan_array(Scanner *scanner, Token *token) noexcept nogil:
    cdef const char *begin = scanner.at + 1
    cdef Token item
    cdef int byte
    scanner.at = begin
    byte = next_byte(scanner)
    while byte != c"]":
        if not scan_scalar(scanner, &item):
            return False
        byte = next_byte(scanner)
        if byte == c",":
            scanner.at += 1
            next_byte(scanner)
        elif byte != c"]":
            return fail(scanner, scanner.at, NO_ITEM_COMMA)
    token.text = begin
    token.size = scanner.at - begin
    token.kind = ARRAY
    scanner.at += 1
    return True


cdef inline bint scan_value(Scanner *scanner, Token *token) noexcept nogil:
    if scanner.at < scanner.end and scanner.at[0] == c"[":
        return scan_array(scanner, token)
    return scan_scalar(scanner, token)


cdef bint scan_member(Scanner *scanner, Member *member) noexcept nogil:
    if not scan_string(scanner, &member.name, NO_NAME):
        return False
    if next_byte(scanner) != c":":
        return fail(scanner, scanner.at, NO_COLON)
    scanner.at += 1
    next_byte(scanner)
    return scan_value(scanner, &member.value)


cdef inline Token token_of(const char *p, uint32_t size) noexcept nogil:
    """The value at p."""
    cdef Token token
    token.text = p
    token.size = size
    token.kind = OTHER
    if p[0] == c'"' or p[0] == c"[":
        token.text += 1
        token.size -= 2
        token.kind = ARRAY
        if p[0] == c'"':
            token.kind = STRING if memchr(token.text, c"\\", token.size) == NULL else ESCAPED
    return token


@cython.final
@cython.no_gc
cdef class JsonPayload:
    """Where the members of a JSON payload stand. Twin: eslcodec/_json.py.

    A payload that a `JsonMemo` has read has spans, and members only once they are wanted.
    """

    cdef bytes frame  # owns what the members point to
    cdef Py_ssize_t start  # of the payload in the frame
    cdef Member *members
    cdef Py_ssize_t count
    cdef Token body
    cdef bint has_body
    cdef bint odd_body  # there are several, or the name of one has an escape in it
    cdef int flat  # see is_flat; 0: not looked into
    cdef bint distinct  # no name stands twice; if not, one may
    cdef tuple fault  # what MalformedPayload takes; None if there is none
    cdef Span *spans
    cdef uint16_t *names  # of the spans, as the memo numbers them; in the same memory
    cdef Py_ssize_t span_count  # `_body`, the last of them, is not counted
    cdef uint32_t size  # of the object
    cdef int odd  # what all of its members have of NO_TEXT and so on
    cdef bint own  # it stands there as `to_json` would write it, but perhaps for the body
    cdef uint64_t turn, generation  # of the memo when it was read

    def __dealloc__(self):
        PyMem_Free(self.members)
        PyMem_Free(self.spans)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef int read(self) except -1:
        """Read the payload without what is remembered."""
        cdef Scanner scanner
        cdef const char *p = PyBytes_AS_STRING(self.frame)
        scanner.at = p + self.start
        scanner.end = p + PyBytes_GET_SIZE(self.frame)
        scanner.fault = NO_FAULT
        if not self.scan(&scanner):
            fault = json_fault(self.frame[self.start :], scanner.at - p - self.start, EXPECTED[scanner.fault])
            self.fault = ("json", fault.offset, fault.why)
            self.count = 0
            self.has_body = False
        return 0

    # What is read by spans

    cdef inline const char *text(self) noexcept:
        return PyBytes_AS_STRING(self.frame) + self.start

    cdef inline Token span_name(self, Py_ssize_t i) noexcept:
        """The name of a member: what stands between the value before and its own."""
        cdef const char *p = self.text()
        cdef Token token
        cdef uint32_t at = self.spans[i - 1].at + self.spans[i - 1].size if i else 0
        token.text = p + at + 2
        token.size = self.spans[i].at - at - 4
        token.kind = STRING
        return token

    cdef inline Token span_value(self, Py_ssize_t i) noexcept:
        return token_of(self.text() + self.spans[i].at, self.spans[i].size)

    cdef int expand(self) except -1:
        """Make members of spans."""
        cdef Py_ssize_t i
        if self.spans == NULL or self.members != NULL:
            return 0
        cdef Member *members = <Member *>PyMem_Malloc((self.span_count + 1) * sizeof(Member))
        if members == NULL:
            raise MemoryError
        for i in range(self.span_count):
            members[i].name = self.span_name(i)
            members[i].value = self.span_value(i)
        if self.has_body:
            self.body = self.span_value(self.span_count)
        self.members = members
        self.count = self.span_count
        return 0

    cdef bint scan(self, Scanner *scanner) except -1:
        """Take down all members. False with a fault."""
        cdef Py_ssize_t room = 0
        cdef Member *more
        cdef int byte
        if next_byte(scanner) != c"{":
            return fail(scanner, scanner.at, NO_OBJECT)
        scanner.at += 1
        byte = next_byte(scanner)
        while byte != c"}":
            if self.count == room:
                room = room * 2 if room else 160
                more = <Member *>PyMem_Realloc(self.members, room * sizeof(Member))
                if more == NULL:
                    raise MemoryError
                self.members = more
            if not scan_member(scanner, &self.members[self.count]):
                return False
            self.keep()
            byte = next_byte(scanner)
            if byte == c",":
                scanner.at += 1
                next_byte(scanner)
            elif byte != c"}":
                return fail(scanner, scanner.at, NO_COMMA)
        return True

    cdef inline void keep(self) noexcept nogil:
        """Count the member that was read last, but for `_body`, which is no header."""
        cdef Member *member = &self.members[self.count]
        cdef const char *name = member.name.text
        cdef size_t size = member.name.size
        cdef char plain[30]  # five characters, each \\uXXXX
        if member.name.kind == ESCAPED and size <= sizeof(plain):
            size = unescape_into(name, size, plain)
            name = plain
        if size != 5 or not folded_equal(name, b"_body", 5):
            self.count += 1
        else:
            self.odd_body = self.has_body or member.name.kind == ESCAPED or self.odd_body
            if not self.has_body:
                self.has_body = True
                self.body = member.value

    cdef bint find(self, const char *name, Py_ssize_t size, Token *found, bint last) except -1:
        """The value that a look-up takes: of the exact spelling, else of the first that matches but for ASCII case."""
        cdef Py_ssize_t i, exact = -1, folded = -1
        cdef const Token *token
        cdef bint to_end = last or is_event_name(name, size)
        cdef bytes unescaped
        cdef const char *text
        self.expand()
        for i in range(self.count):
            token = &self.members[i].name
            text = token.text
            if token.kind == ESCAPED:
                unescaped = token_text(token).encode("utf-8", "surrogateescape")
                if PyBytes_GET_SIZE(unescaped) != size:
                    continue
                text = PyBytes_AS_STRING(unescaped)
            elif token.size != size:
                continue
            if memcmp(text, name, size) == 0:
                exact = i
                if not to_end:
                    break
            elif folded < 0 and folded_equal(text, name, size):
                folded = i
        if exact < 0 and folded >= 0 and (last or token_is_event_name(&self.members[folded].name)):
            unescaped = token_text(&self.members[folded].name).encode("utf-8", "surrogateescape")
            return self.find(PyBytes_AS_STRING(unescaped), size, found, True)  # of several, the last counts
        return self.take(exact if exact >= 0 else folded, found)

    cdef object look_up(self, object name, bint last):
        """The value of a look-up, None if the name is absent."""
        cdef Token token
        cdef bytes encoded
        cdef bint found
        if PyUnicode_IS_COMPACT_ASCII(name):
            found = self.find(<const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name), &token, last)
            return token_text(&token) if found else None
        encoded = name_bytes(name)
        if encoded is None or not self.find(PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), &token, last):
            return None
        return token_text(&token)

    cdef bint take(self, Py_ssize_t i, Token *found) noexcept:
        if i < 0:
            return False
        found[0] = self.members[i].value
        return True

    cdef dict headers(self, Memo memo):
        self.expand()
        cdef dict headers = __Pyx_PyDict_NewPresized(self.count)
        cdef Py_ssize_t i, distinct
        cdef Member *member
        for i in range(self.count):
            member = &self.members[i]
            if member.name.kind == STRING and memo is not None:
                name = memo.name(member.name.text, member.name.size)
            else:
                name = token_text(&member.name)
            value = token_text(&member.value)
            distinct = len(headers)
            PyDict_SetDefault(headers, name, value)
            if len(headers) == distinct and name == "Event-Name":
                headers[name] = value
        return headers

    cdef list fields(self):
        """(name, text or list) of each member."""
        cdef Py_ssize_t i
        cdef list fields = []
        self.expand()
        for i in range(self.count):
            name = token_text(&self.members[i].name)
            if self.members[i].value.kind == ARRAY:
                fields.append((name, array_items(&self.members[i].value)))
            else:
                fields.append((name, token_text(&self.members[i].value)))
        return fields

    # What the drop-in for the official module asks (`Message._lone`, `Message._survey`)

    cdef inline Py_ssize_t members_count(self) noexcept:
        return self.count if self.spans == NULL else self.span_count

    cdef inline Token name_at(self, Py_ssize_t i) noexcept:
        return self.members[i].name if self.spans == NULL else self.span_name(i)

    cdef inline Token value_at(self, Py_ssize_t i) noexcept:
        return self.members[i].value if self.spans == NULL else self.span_value(i)

    cdef bint is_flat(self) noexcept:
        """See eslcodec._json.is_flat. Looked into once."""
        if self.flat == 0:
            self.flat = 1 if self.fault is None and self.has_flat_members() else -1
        return self.flat > 0

    cdef bint has_flat_members(self) noexcept:
        cdef const char *p = self.text()
        cdef const char *end = PyBytes_AS_STRING(self.frame) + PyBytes_GET_SIZE(self.frame)
        cdef Token token
        cdef Py_ssize_t i
        if self.spans != NULL:
            return self.has_flat_spans(p, end)
        cdef bint brackets = memchr(p, c"[", end - p) != NULL
        if has_escaped_surrogate(p, end) or self.odd_body or (self.has_body and self.body.kind > ESCAPED):
            return False
        for i in range(self.count):
            if not is_flat_value(&self.members[i].value):
                return False
            token = self.members[i].name
            if token.kind != STRING or (brackets and memchr(token.text, c"[", token.size) != NULL):
                return False
        return True

    cdef bint has_flat_spans(self, const char *p, const char *end) noexcept:
        """The same by what its members have together."""
        cdef Token token
        cdef Py_ssize_t i
        if self.odd & BRACKET or (self.has_body and p[self.spans[self.span_count].at] != c'"'):
            return False
        if (self.odd & ESCAPES or end - p > <Py_ssize_t>self.size) and has_escaped_surrogate(p, end):
            return False
        if self.odd & NO_TEXT:
            for i in range(self.span_count):
                if p[self.spans[i].at] != c'"':
                    token = self.span_value(i)
                    if not is_flat_value(&token):
                        return False
        return True

    cdef object lone(self, const char *name, Py_ssize_t size):
        """What `Message._lone` says of a payload that is flat."""
        cdef Py_ssize_t i, found = -1
        cdef Token token
        for i in range(self.members_count()):
            token = self.name_at(i)
            if token.size == size and folded_equal(token.text, name, size):
                if found >= 0:
                    return False
                found = i
        if found < 0:
            return None
        token = self.value_at(found)
        if token.kind == ARRAY or token.size == 0:
            return False
        cdef str value = token_text(&token)
        return False if value.startswith("ARRAY::") else value

    cdef object survey(self):
        """What `Message._survey` says of a payload that is flat."""
        cdef Py_ssize_t i, count = self.members_count()
        cdef Token token
        cdef bint arrays = False
        cdef const char *text
        if count == 0:
            return None
        if self.has_body:
            token = self.body if self.spans == NULL else self.span_value(count)
            if token.size == 0:
                return None
        if self.spans != NULL and not self.odd & (NO_TEXT | UNSURE):
            return count, False
        for i in range(count):
            if self.spans != NULL:
                text = self.text() + self.spans[i].at
                if self.spans[i].size > 2 and text[0] == c'"' and text[1] != c"A" and text[1] != c"\\":
                    continue
            token = self.value_at(i)
            if token.kind != ARRAY:
                if token.size == 0 or (token.text[0] in (c"A", c"\\") and token_text(&token).startswith("ARRAY::")):
                    return None
                continue
            arrays = True
            items = array_items(&token)
            if len(items) < 2 or items[0] == "" or items[0].startswith("ARRAY::") or any(["|:" in item for item in items]):
                return None
        return count, arrays

    cdef bytes to_json(self, bint replace):
        """The headers and the body as JSON."""
        cdef Out out
        cdef Token body
        memset(&out, 0, sizeof(Out))
        if self.spans != NULL and self.own:
            body = self.span_value(self.span_count) if self.has_body else self.span_value(0)
            if not self.has_body or (body.kind <= ESCAPED and is_own_string(body.text, body.size)):
                return PyBytes_FromStringAndSize(self.text(), self.size)
        self.expand()
        try:
            self.write_members(&out, replace)
            return PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            PyMem_Free(out.data)

    cdef int write_members(self, Out *out, bint replace) except -1:
        cdef Py_ssize_t i, event_name = self.last_event_name()
        cdef Member *member
        cdef list repeats = None if self.distinct else self.repeated(replace)
        write_bytes(out, b"{", 1)
        for i in range(self.count):
            member = &self.members[i]
            if repeats is not None and repeats[i]:
                continue
            if i:
                write_bytes(out, b",", 1)
            write_name(out, &member.name, replace)
            write_bytes(out, b":", 1)
            if event_name > i and token_is_event_name(&member.name):
                member = &self.members[event_name]
            write_token(out, &member.value, replace)
        if self.has_body:
            write_bytes(out, b',"_body":' if self.count else b'"_body":', 9 if self.count else 8)
            self.write_body(out, replace)
        return write_bytes(out, b"}", 1)

    cdef list repeated(self, bint replace):
        """Of each member whether an earlier one has its name."""
        cdef dict seen = {}
        cdef list repeated = []
        cdef Py_ssize_t i, distinct
        cdef bytearray numbers
        cdef char *known
        if self.spans != NULL:  # all names are UTF-8, and stand as they are written
            numbers = bytearray(JSON_NAMES)
            known = PyByteArray_AS_STRING(numbers)
            for i in range(self.count):
                repeated.append(known[self.names[i]] != 0)
                known[self.names[i]] = 1
            return repeated
        for i in range(self.count):
            name = token_text(&self.members[i].name)
            if replace:
                name = clean(name)
            distinct = len(seen)
            PyDict_SetItem(seen, name, None)
            repeated.append(len(seen) == distinct)
        return repeated

    cdef int write_body(self, Out *out, bint replace) except -1:
        cdef bytes body
        cdef int invalid = 0
        if self.body.kind != ARRAY:
            return write_name(out, &self.body, replace)
        body = self.get_body()
        return write_string(out, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), replace, &invalid)

    cdef Py_ssize_t last_event_name(self) except -2:
        """The last of several members of that name, -1 if there are not several."""
        cdef Py_ssize_t i, last = -1
        if not self.distinct:
            for i in range(self.count):
                if token_is_event_name(&self.members[i].name):
                    last = i
        return last

    cdef int put_others(self, dict mapping, bint replace) except -1:
        """Make of `headers`, of what was read by spans and stands there as it would be written, what `mapping` gives."""
        cdef Py_ssize_t i
        cdef Token token
        for i in range(self.span_count):
            if self.text()[self.spans[i].at] == c"[":
                token = self.span_name(i)
                name = token_text(&token)
                token = self.span_value(i)
                mapping[name] = array_items(&token)
        if self.has_body:
            token = self.span_value(self.span_count)
            text = token_text(&token)
            mapping["_body"] = clean(text) if replace else text
        return 0

    cdef dict mapping(self, bint replace):
        """The headers and the body as `to_mapping` gives them."""
        cdef Py_ssize_t i, distinct
        cdef Member *member
        self.expand()
        cdef dict mapping = __Pyx_PyDict_NewPresized(self.count + self.has_body)
        for i in range(self.count):
            member = &self.members[i]
            name = token_text(&member.name)
            if replace:
                name = clean(name)
            distinct = len(mapping)
            value = token_shown(&member.value, replace)
            PyDict_SetDefault(mapping, name, value)
            if len(mapping) == distinct and name == "Event-Name":
                mapping[name] = value
        if self.has_body:
            text = token_text(&self.body)
            mapping["_body"] = clean(text) if replace else text
        return mapping

    cdef object get_body(self):
        if not self.has_body:
            return None
        self.expand()
        if self.body.kind == STRING:
            return PyBytes_FromStringAndSize(self.body.text, self.body.size)
        return token_text(&self.body).encode("utf-8", "surrogateescape")


cdef inline bint is_array_text(const char *p, Py_ssize_t size) noexcept nogil:
    return size >= 7 and memcmp(p, b"ARRAY::", 7) == 0


cdef bint is_own(const Token *token) noexcept nogil:
    """Whether the value of a header stands there as `to_json` would write it."""
    cdef Scanner scanner
    cdef Token item
    if token.kind <= ESCAPED:
        return not is_array_text(token.text, token.size) and is_own_string(token.text, token.size)
    if token.kind != ARRAY:
        return False
    scanner.at = token.text
    scanner.end = token.text + token.size
    while scanner.at < scanner.end:
        if not scan_string(&scanner, &item, NO_STRING) or not is_own_string(item.text, item.size):
            return False
        if scanner.at == scanner.end:
            return True
        if scanner.at[0] != c",":
            return False
        scanner.at += 1
    return token.size == 0


cdef struct JsonBase:
    # The headers of an event as a dict, of which others are copies with changes.
    PyObject *headers  # owned
    PyObject **values  # owned, the values borrowed from the dict; NOTHING for those that are not remembered
    uint16_t *names  # of each which name it is; behind the values
    Py_ssize_t count
    uint64_t turn  # the event that it was of use to last
    Py_ssize_t size  # what was taken from the budgets for it


cdef int write_token(Out *out, const Token *token, bint replace) except -1:
    """A value as it is written in JSON: the text of an array as an array."""
    if token.kind == ARRAY:
        return write_items(out, token, replace)
    if token.kind == ESCAPED and not is_own(token):
        return write_unescaped(out, token, replace, write_text)  # an array's text may be escaped
    if not is_array_text(token.text, token.size):
        return write_name(out, token, replace)
    cdef int invalid = 0
    return write_text(out, token.text, token.size, replace, &invalid)


cdef int write_name(Out *out, const Token *token, bint replace) except -1:
    """A name, a body or an item as a JSON string."""
    if token.kind != OTHER and is_own_string(token.text, token.size):
        make_room(out, token.size + 2)
        return write_bytes(out, token.text - 1, token.size + 2)  # its quotes stand there
    if token.kind == ESCAPED:
        return write_unescaped(out, token, replace, write_string)
    cdef int invalid = 0
    return write_string(out, token.text, token.size, replace, &invalid)


ctypedef int (*writer_t)(Out *out, const char *p, Py_ssize_t size, bint replace, int *invalid) except -1


cdef int write_unescaped(Out *out, const Token *token, bint replace, writer_t write) except -1:
    cdef char stack[STACK_BYTES]
    cdef char *plain = stack
    cdef int invalid = 0
    if token.size > STACK_BYTES:
        plain = <char *>PyMem_Malloc(token.size)
        if plain == NULL:
            raise MemoryError
    try:
        return write(out, plain, unescape_into(token.text, token.size, plain), replace, &invalid)
    finally:
        if plain != stack:
            PyMem_Free(plain)


cdef int write_items(Out *out, const Token *array, bint replace) except -1:
    cdef Scanner scanner
    cdef Token item
    cdef Py_ssize_t count = 0
    scanner.at = array.text
    scanner.end = array.text + array.size
    write_bytes(out, b"[", 1)
    while next_byte(&scanner) >= 0:
        if scanner.at[0] == c",":
            scanner.at += 1
            continue
        scan_scalar(&scanner, &item)
        if count:
            write_bytes(out, b",", 1)
        write_name(out, &item, replace)
        count += 1
    return write_bytes(out, b"]", 1)


cdef object token_shown(const Token *token, bint replace):
    """A value as `to_mapping` has it: an array as a list."""
    cdef list items
    if token.kind == ARRAY:
        value = array_items(token)
    else:
        value = token_text(token)
        if token.kind == OTHER or (token.kind == STRING and not is_array_text(token.text, token.size)):
            return clean(value) if replace else value
        value = split_array(value)
        if isinstance(value, str):
            return clean(value) if replace else value
    if not replace:
        return value
    items = []
    for item in value:
        items.append(clean(item))
    return items


cdef inline object clean(object text):
    return text if PyUnicode_IS_COMPACT_ASCII(text) else replaced(text)


cdef bint token_is_event_name(const Token *token) except -1:
    if token.kind == ESCAPED:
        return token_text(token) == "Event-Name"
    return is_event_name(token.text, token.size)


cdef object token_text(const Token *token):
    """A value as text, an array joined."""
    if token.kind == ESCAPED:
        return decoded_text(token.text, token.size, unescape_into)
    if token.kind == ARRAY:
        return joined(array_items(token))
    return raw_text(token.text, token.size)


cdef list array_items(const Token *array):
    """The items of an array that was read before."""
    cdef Scanner scanner
    cdef Token item
    cdef list items = []
    scanner.at = array.text
    scanner.end = array.text + array.size
    while next_byte(&scanner) >= 0:
        if scanner.at[0] == c",":
            scanner.at += 1
            continue
        scan_scalar(&scanner, &item)
        items.append(token_text(&item))
    return items


# XML payloads


cdef enum:
    XML_FIELD = 0
    XML_ITEM = 1  # of the same header as the member before: they are an array


cdef inline bint begins(const char *p, const char *end, const char *text, Py_ssize_t size) noexcept nogil:
    return end - p >= size and memcmp(p, text, size) == 0


cdef bint fired_twice(const char *name, Py_ssize_t size) noexcept nogil:
    """Whether the switch writes a header of this name itself; _HEAD of eslcodec/_xml.py."""
    return (
        is_event_name(name, size)
        or (size == 9 and memcmp(name, b"Core-UUID", 9) == 0)
        or (size == 20 and memcmp(name, b"Event-Date-Timestamp", 20) == 0)
        or (size == 14 and memcmp(name, b"Event-Sequence", 14) == 0)
    )


@cython.final
@cython.no_gc
cdef class XmlPayload:
    """Where the headers of an XML payload stand that is written as a switch writes it. All else is expat's.

    <event> / headers, one a line, indented by four / Content-Length and body, or neither: eslcodec/_xml.py shows it.
    """

    cdef bytes frame  # owns what the members point to
    cdef Member *members  # the Content-Length beside the headers is the last
    cdef Py_ssize_t count
    cdef Token body
    cdef bint has_body

    def __dealloc__(self):
        PyMem_Free(self.members)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef bint read(self, bytes frame, Py_ssize_t start) except -1:
        """Whether it is written so. Reads it then."""
        cdef const char *p = PyBytes_AS_STRING(frame) + start
        cdef const char *end = PyBytes_AS_STRING(frame) + PyBytes_GET_SIZE(frame)
        cdef Py_ssize_t room = 0
        self.frame = frame
        if not begins(p, end, b"<event>\n  <headers>\n", 20):
            return False
        p += 20
        while begins(p, end, b"    <", 5):
            if self.count >= room - 1:  # one is for the Content-Length
                room = self.make_room(room)
            if not self.read_element(&p, end, 5):
                return False
        if not begins(p, end, b"  </headers>\n", 13):
            return False
        p += 13
        if begins(p, end, b"  <Content-Length>", 18):
            if room == 0:
                room = self.make_room(room)
            if not self.read_body(&p, end):
                return False
        return begins(p, end, b"</event>", 8) and (end - p == 8 or (end - p == 9 and p[8] == c"\n"))

    cdef Py_ssize_t make_room(self, Py_ssize_t room) except -1:
        room = room * 2 if room else 160
        cdef Member *more = <Member *>PyMem_Realloc(self.members, room * sizeof(Member))
        if more == NULL:
            raise MemoryError
        self.members = more
        return room

    cdef bint read_element(self, const char **at, const char *end, Py_ssize_t indent) noexcept:
        """Take down the element at *at, which moves behind its line."""
        cdef Member *member = &self.members[self.count]
        cdef const char *name = at[0] + indent
        cdef const char *value = xml_name_end(name, end)
        cdef const char *stop
        cdef Py_ssize_t size
        if value == NULL:
            return False
        size = value - name
        value += 1
        stop = xml_text_end(value, end)
        if stop == NULL or end - stop < size + 4 or stop[1] != c"/" or stop[size + 2] != c">" or stop[size + 3] != c"\n":
            return False
        if memcmp(stop + 2, name, size) != 0:
            return False
        at[0] = stop + size + 4
        member.name.text = name
        member.name.size = size
        member.value.text = value
        member.value.size = stop - value
        member.value.kind = XML_FIELD
        if self.count and (member - 1).name.size == size and memcmp((member - 1).name.text, name, size) == 0:
            if not fired_twice(name, size):
                member.value.kind = XML_ITEM
        self.count += 1
        return True

    cdef bint read_body(self, const char **at, const char *end) noexcept:
        """Take down the Content-Length, which is digits, and the body."""
        cdef Token *length
        cdef Py_ssize_t i
        cdef const char *p
        if not self.read_element(at, end, 3):
            return False
        length = &self.members[self.count - 1].value
        length.kind = XML_FIELD  # no item of a header of that name
        p = at[0]
        if not 0 < length.size < 19 or not begins(p, end, b"  <body>", 8):
            return False
        for i in range(length.size):
            if not c"0" <= length.text[i] <= c"9":
                return False
        self.body.text = p + 8
        p = xml_body_end(p + 8, end)
        if p == NULL or not begins(p, end, b"</body>\n", 8):
            return False
        self.body.size = p - self.body.text
        self.has_body = True
        at[0] = p + 8
        return True

    cdef Py_ssize_t find(self, const char *name, Py_ssize_t size, bint last) noexcept:
        """The header that a look-up takes, -1 if there is none; as `JsonPayload.find`."""
        cdef Py_ssize_t i, exact = -1, folded = -1
        cdef const Member *member
        cdef bint to_end = last or is_event_name(name, size)
        for i in range(self.count):
            member = &self.members[i]
            if member.name.size != size or member.value.kind == XML_ITEM:
                continue
            if memcmp(member.name.text, name, size) == 0:
                exact = i
                if not to_end:
                    break
            elif folded < 0 and folded_equal(member.name.text, name, size):
                folded = i
        if exact >= 0 or folded < 0:
            return exact
        member = &self.members[folded]
        if last or is_event_name(member.name.text, size):
            return self.find(member.name.text, size, True)  # of several, the last counts
        return folded

    cdef object value(self, Py_ssize_t *at):
        """The header at *at, which moves behind it: text, or a list."""
        cdef const Token *token = &self.members[at[0]].value
        cdef list items
        at[0] += 1
        text = value_text(token.text, token.size)
        if at[0] == self.count or self.members[at[0]].value.kind != XML_ITEM:
            return text
        items = [text]
        while at[0] < self.count and self.members[at[0]].value.kind == XML_ITEM:
            token = &self.members[at[0]].value
            items.append(value_text(token.text, token.size))
            at[0] += 1
        return items

    cdef dict headers(self, Memo memo):
        cdef dict headers = __Pyx_PyDict_NewPresized(self.count)
        cdef Py_ssize_t at = 0, distinct
        cdef const Token *token
        while at < self.count:
            token = &self.members[at].name
            name = self.name(at, memo)
            value = self.value(&at)
            if type(value) is list:
                value = joined(value)
            distinct = len(headers)
            PyDict_SetDefault(headers, name, value)
            if len(headers) == distinct and is_event_name(token.text, token.size):
                headers[name] = value
        return headers

    cdef object name(self, Py_ssize_t at, Memo memo):
        cdef const Token *token = &self.members[at].name
        return ascii_text(token.text, token.size) if memo is None else memo.name(token.text, token.size)

    cdef list fields(self, Memo memo, bint join):
        """(name, text or list) of each header, or an array as its joined text."""
        cdef list fields = []
        cdef Py_ssize_t at = 0
        while at < self.count:
            name = self.name(at, memo)
            value = self.value(&at)
            if join and type(value) is list:
                value = joined(value)
            fields.append((name, value))
        return fields

    cdef dict mapping(self, Memo memo, bint replace):
        """The headers and the body as `to_mapping` gives them."""
        cdef dict mapping = __Pyx_PyDict_NewPresized(self.count + self.has_body)
        cdef Py_ssize_t at = 0, i, distinct
        cdef const Token *token
        cdef const Token *written
        cdef list items
        while at < self.count:
            token = &self.members[at].name
            written = &self.members[at].value
            name = self.name(at, memo)
            value = self.value(&at)
            if written.size >= 7 and written.text[0] in (c"A", c"%") and type(value) is not list:
                value = split_array(value)
            if replace and type(value) is not list:
                value = clean(value)
            elif replace:
                items = <list>value
                for i in range(len(items)):
                    items[i] = clean(items[i])
            distinct = len(mapping)
            PyDict_SetDefault(mapping, name, value)
            if len(mapping) == distinct and is_event_name(token.text, token.size):
                mapping[name] = value
        if self.has_body:
            body = self.get_body()
            text = raw_text(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            mapping["_body"] = clean(text) if replace else text
        return mapping

    cdef bytes to_json(self, Memo memo, bint replace, bint whole):
        """The headers and the body as JSON. If it is to be `whole`, UTF-8 without repeats, and is not: None."""
        cdef Out out
        cdef int lossy = 0
        memset(&out, 0, sizeof(Out))
        try:
            make_room(&out, PyBytes_GET_SIZE(self.frame))
            if not self.write_members(&out, memo, replace, whole, &lossy) or (whole and lossy):
                return None
            return PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            PyMem_Free(out.data)

    cdef bint write_members(self, Out *out, Memo memo, bint replace, bint whole, int *lossy) except -1:
        """False if it is to be whole and is not."""
        cdef dict seen = None if self.distinct() else __Pyx_PyDict_NewPresized(self.count)
        cdef Py_ssize_t at, distinct = -1
        cdef const Token *token
        cdef bint body_written = False
        write_bytes(out, b"{", 1)
        for at in range(self.count):
            if self.members[at].value.kind == XML_ITEM:
                continue
            token = &self.members[at].name
            if seen is not None:
                distinct = len(seen)
                PyDict_SetDefault(seen, self.name(at, memo), None)
                if len(seen) == distinct:
                    if whole:
                        return False
                    continue
            if whole and is_body_name(token.text, token.size):
                return False
            make_room(out, token.size + 4)
            write_bytes(out, b',"', 2) if at else write_bytes(out, b'"', 1)
            write_bytes(out, token.text, token.size)  # ASCII, without what JSON escapes
            write_bytes(out, b'":', 2)
            if self.has_body and token.size == 5 and memcmp(token.text, b"_body", 5) == 0:
                self.write_body(out, replace, lossy)
                body_written = True
            elif is_event_name(token.text, token.size):
                self.write_value(out, self.find(token.text, token.size, True), replace, lossy)
            else:
                self.write_value(out, at, replace, lossy)
        if self.has_body and not body_written:
            write_bytes(out, b',"_body":', 9)  # behind its Content-Length at least
            self.write_body(out, replace, lossy)
        write_bytes(out, b"}", 1)
        return True

    cdef bint distinct(self) except -1:
        """Whether all names are certain to differ, which is quickly seen where few of them share a slot."""
        cdef Py_ssize_t room = 64, at, slot, tries = 4 * self.count
        cdef const Token *token
        cdef const Token *other
        cdef uint32_t *slots
        if self.count >= 1 << 30:
            return False
        while room < 2 * self.count:
            room *= 2
        slots = <uint32_t *>PyMem_Malloc(room * sizeof(uint32_t))
        if slots == NULL:
            raise MemoryError
        memset(slots, 0, room * sizeof(uint32_t))
        try:
            for at in range(self.count):
                if self.members[at].value.kind == XML_ITEM:
                    continue
                token = &self.members[at].name
                slot = mix(token.text, token.size) & (room - 1)
                while slots[slot]:
                    other = &self.members[slots[slot] - 1].name
                    tries -= 1
                    if tries < 0 or (other.size == token.size and memcmp(other.text, token.text, token.size) == 0):
                        return False
                    slot = (slot + 1) & (room - 1)
                slots[slot] = <uint32_t>(at + 1)
            return True
        finally:
            PyMem_Free(slots)

    cdef int write_value(self, Out *out, Py_ssize_t at, bint replace, int *lossy) except -1:
        """The header at that place: text, the text of an array as an array, or neighbours as an array."""
        cdef const Token *token = &self.members[at].value
        if at + 1 == self.count or self.members[at + 1].value.kind != XML_ITEM:
            return write_value(out, token.text, token.size, replace, lossy)
        write_bytes(out, b"[", 1)
        while True:
            write_item(out, token, replace, lossy)
            at += 1
            if at == self.count or self.members[at].value.kind != XML_ITEM:
                return write_bytes(out, b"]", 1)
            token = &self.members[at].value
            write_bytes(out, b",", 1)

    cdef int write_body(self, Out *out, bint replace, int *lossy) except -1:
        cdef bytes body = self.get_body()
        return write_string(out, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), replace, lossy)

    cdef bytes get_body(self):
        cdef bytes body
        cdef const Token *length
        cdef Py_ssize_t size, wanted = 0, i
        if not self.has_body:
            return None
        body = PyBytes_FromStringAndSize(NULL, self.body.size)
        size = <Py_ssize_t>xml_into(self.body.text, self.body.size, PyBytes_AS_STRING(body))
        length = &self.members[self.count - 1].value
        for i in range(length.size):
            wanted = min(10 * wanted + (length.text[i] - c"0"), size)  # more than there is counts for nothing
        return body if wanted == PyBytes_GET_SIZE(body) else body[:wanted]


cdef int write_item(Out *out, const Token *item, bint replace, int *lossy) except -1:
    """An item of an array, percent-encoded, as a JSON string."""
    cdef char stack[STACK_BYTES]
    cdef char *plain = stack
    if not coded(item.text, item.size) & 1:
        return write_string(out, item.text, item.size, replace, lossy)
    if item.size > STACK_BYTES:
        plain = <char *>PyMem_Malloc(item.size)
        if plain == NULL:
            raise MemoryError
    try:
        return write_string(out, plain, unquote_into(item.text, item.size, plain), replace, lossy)
    finally:
        if plain != stack:
            PyMem_Free(plain)


cdef tuple read_by_expat(bytes payload):
    """What the twin's read_payload gives for any XML payload."""
    from . import _xml  # expat is loaded by those who get such XML

    cdef list decoded = []
    cdef list items
    try:
        fields, body = _xml.read(payload)
    except Fault as fault:
        return [], None, ("xml", fault.offset, fault.why)
    for name, value in fields:
        if isinstance(value, str):
            decoded.append((name, encoded_text(value)))
            continue
        items = []
        for item in value:
            items.append(encoded_text(item))
        decoded.append((name, items))
    return decoded, body, None


cdef object encoded_text(str text):
    cdef bytes raw = text.encode()
    return value_text(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


# JSON events: what is remembered


@cython.final
@cython.no_gc
cdef class Budget:
    """Bytes that many may have together."""

    cdef Py_ssize_t left

    cdef bint has(self, Py_ssize_t size) noexcept:
        """Whether `take` is likely to succeed; waits for nobody."""
        return size <= read_size(&self.left)

    @cython.critical_section
    cdef bint take(self, Py_ssize_t size):
        if size > self.left:
            return False
        write_size(&self.left, self.left - size)
        return True

    @cython.critical_section
    cdef int give(self, Py_ssize_t size):
        write_size(&self.left, self.left + size)
        return 0

    def __reduce__(self):
        return refuse_pickle(self)


cdef Budget DICTS = Budget.__new__(Budget)
DICTS.left = JSON_DICTS_BYTES_ALL


cdef Py_ssize_t dict_bytes(Py_ssize_t count) noexcept nogil:
    """The size of a dict with so many items, and of what is noted of it."""
    cdef Py_ssize_t room = 8
    while room * 2 // 3 < count:
        room *= 2
    return 112 + room * (1 if room <= 256 else 2) + 16 * (room * 2 // 3) + count * <Py_ssize_t>BASE_ITEM_BYTES


cdef struct Listed:  # the members of an event with distinct names
    const Span *spans
    const uint16_t *names
    Py_ssize_t count
    bint latest  # it was the last that was read, and what is remembered of a name is its member's value, or nothing


cdef inline Py_ssize_t shape_of(const Listed *listed) noexcept nogil:
    """A number below 1 << GUESS_BITS that is the same for the same names, and mostly another for others."""
    cdef Py_ssize_t i = 0
    cdef uint64_t some, shape = <uint64_t>listed.count
    while listed.count - i >= 4:
        memcpy(&some, listed.names + i, sizeof(some))
        shape = (shape ^ some) * <uint64_t>0x9E3779B97F4A7C15
        shape ^= shape >> 32
        i += 4
    while i < listed.count:
        shape = shape * 1000003 + listed.names[i]
        i += 1
    return <Py_ssize_t>(shape * <uint64_t>0x9E3779B97F4A7C15 >> (64 - GUESS_BITS))


cdef inline Py_ssize_t found_later(const JsonBase *base, Py_ssize_t at, uint16_t name) noexcept nogil:
    """Where a name stands in a base a little behind `at`, -1 if it does not."""
    cdef Py_ssize_t i
    for i in range(at + 1, min(at + 1 + LOOK_AHEAD, base.count)):
        if base.names[i] == name:
            return i
    return -1


cdef inline Py_ssize_t alike_names(
    const JsonBase *base, Py_ssize_t j, const Listed *listed, Py_ssize_t i
) noexcept nogil:
    """How many names of a base, from j on, are those of the members from i on."""
    return alike(listed.names + i, base.names + j, min(listed.count - i, base.count - j))


cdef Py_ssize_t distance(const JsonBase *base, const Listed *listed, Py_ssize_t most) noexcept nogil:
    """How many headers of a base must go, and how many be put behind the rest, for the names of the members."""
    cdef Py_ssize_t i = 0, j = 0, gone = 0, to, same
    while True:
        same = alike_names(base, j, listed, i)
        i += same
        j += same
        if i == listed.count or j == base.count:
            break
        to = found_later(base, j, listed.names[i])
        if to < 0 or gone > most:
            break
        gone += to - j
        j = to
    return gone + base.count - j + listed.count - i


@cython.final
@cython.no_gc  # nothing in it refers to anything of a user's
cdef class JsonMemo:
    """What the JSON events of a decoder remember together. Never changes a result.

    Successive events have mostly the same names in the same order, with the same values. So of each name its last value
    is kept and the one before, and which name stood behind it: where the bytes are the same as then, nothing has to be
    read. It is by name that values are kept, and not by event: events of one call have fifty shapes, and half of their
    values in common. Dicts are kept of events whose names differ much, to be copied and changed a little.

    Read in this way is an object as the switch writes it: without blanks, no name in need of an escape, `_body` at its
    end. Values may be anything. All else, and what is too much, is read as if nothing were remembered.

    All methods are called in the critical section of the Memo that has it.
    """

    cdef JsonName **names
    cdef Py_ssize_t count, room
    cdef dict numbers  # of the names, by text
    cdef dict folded  # and by that in lower case, of the first of those that are the same then
    cdef JsonName first  # none itself: `next` of it is the first of an event
    cdef JsonName nothing  # no name, with no value
    cdef JsonName *event_name
    cdef JsonBase bases[JSON_BASES]
    cdef Py_ssize_t base_count, base_bytes
    cdef uint8_t guesses[1 << GUESS_BITS]  # which base was the nearest to an event with these names
    cdef Span *spans  # of the event that is being read
    cdef uint16_t *span_names  # and the numbers of their names
    cdef Py_ssize_t span_room
    cdef char no_bytes[MEMBER_BYTES]  # `nothing` has them
    cdef uint64_t lists  # of distinct names that were made
    cdef bint busy  # headers are put together: what that makes may let other code run, which does without
    cdef uint64_t turn
    cdef uint64_t generation  # how often all was forgotten
    cdef Py_ssize_t names_bytes, values_bytes, refusals

    def __cinit__(self):
        self.numbers = {}
        self.folded = {}
        self.nothing.raw = self.no_bytes
        self.nothing.size = self.nothing.old_size = UINT32_MAX
        self.first.next = self.first.other = &self.nothing

    def __dealloc__(self):
        self.drop_bases()
        self.free_names()
        PyMem_Free(self.names)
        PyMem_Free(self.spans)
        PyMem_Free(self.span_names)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef void free_names(self) noexcept:
        cdef Py_ssize_t i, count = self.count
        self.count = 0
        for i in range(count):
            Py_XDECREF(self.names[i].name)
            Py_XDECREF(self.names[i].value)
            Py_XDECREF(self.names[i].old_value)
            PyMem_Free(self.names[i].raw)
            PyMem_Free(self.names[i].old_raw)
            PyMem_Free(self.names[i])

    cdef int forget(self) except -1:
        """Begin anew: what is there is not what comes now."""
        self.generation += 1
        self.first.next = self.first.other = &self.nothing
        self.event_name = NULL
        self.names_bytes = self.values_bytes = self.refusals = 0
        self.drop_bases()
        self.free_names()
        self.numbers.clear()
        self.folded.clear()
        return 0

    cdef bint read(self, Memo memo, JsonPayload payload) except -1:
        """Find the members of a payload. False if it has to be read in another way."""
        cdef Reading reading
        cdef bint own = True, distinct = True
        if self.busy:
            return False
        if self.refusals >= JSON_REFUSALS:
            self.forget()
        reading.begin = reading.at = payload.text()
        reading.end = PyBytes_AS_STRING(payload.frame) + PyBytes_GET_SIZE(payload.frame)
        if reading.end - reading.at >= <Py_ssize_t>UINT32_MAX or reading.at == reading.end or reading.at[0] != c"{":
            return False
        self.turn += 1
        reading.turn = self.turn
        reading.before = &self.first
        reading.count = 0
        reading.odd = 0
        self.give_room(&reading)
        while True:
            pass_members(&reading)
            if reading.at == reading.end:
                return False
            if reading.count and (reading.at[0] != c"," or reading.before.body):
                break
            if not self.read_member(memo, &reading, &own, &distinct):
                return False
        if reading.at[0] != c"}":
            return False
        self.give_spans(payload, &reading)
        payload.size = <uint32_t>(reading.at + 1 - reading.begin)
        payload.odd = reading.odd
        payload.own = own and distinct
        payload.distinct = distinct
        payload.turn = self.turn
        payload.generation = self.generation
        return True

    cdef bint read_member(self, Memo memo, Reading *reading, bint *own, bint *distinct) except -1:
        """Read a member that is not as it was, or the first of all. False if it has to be read in another way."""
        cdef const char *at = reading.at
        cdef const char *end = reading.end
        cdef JsonName *name = reading.before.next
        cdef const char *value
        cdef Span *span
        if not reading.stands:
            name = self.name_behind(memo, reading.before, at, end)
            if name == NULL:
                return False
        if reading.count == reading.room:
            if reading.count >= <uint32_t>JSON_NAMES:
                return False
            self.more_spans()
            self.give_room(reading)
        value = at + name.head
        if reading.stands:
            at = self.read_value(name, value, end, own)
        elif end - at > <Py_ssize_t>name.size and same_bytes(at + 1, name.raw + 1, name.size - 1):
            at += name.size
        elif end - at > <Py_ssize_t>name.old_size and same_bytes(at + 1, name.old_raw + 1, name.old_size - 1):
            swap_values(name)
            at += name.size
        else:
            at = self.read_value(name, value, end, own)
        if at == NULL:
            return False
        reading.odd |= name.odd
        if name.turn != reading.turn:
            name.turn = reading.turn
            name.place = reading.count
        else:
            distinct[0] = False
            if name == self.event_name:  # the last of several counts
                name.place = reading.count
        span = &reading.spans[reading.count]
        span.at = <uint32_t>(value - reading.begin)
        span.size = <uint32_t>(at - value)
        reading.names[reading.count] = <uint16_t>name.number
        reading.count += 1
        reading.before = name
        reading.at = at
        return True

    cdef inline void give_room(self, Reading *reading) noexcept:
        reading.spans = self.spans
        reading.names = self.span_names
        reading.room = <uint32_t>self.span_room

    cdef int give_spans(self, JsonPayload payload, const Reading *reading) except -1:
        """Give a payload what was taken down."""
        cdef size_t count = reading.count
        payload.spans = <Span *>PyMem_Malloc(count * (sizeof(Span) + sizeof(uint16_t)))
        if payload.spans == NULL:
            raise MemoryError
        payload.names = <uint16_t *>(payload.spans + count)
        memcpy(payload.spans, reading.spans, count * sizeof(Span))
        memcpy(payload.names, reading.names, count * sizeof(uint16_t))
        payload.has_body = reading.before.body
        payload.span_count = count - reading.before.body
        return 0

    cdef int more_spans(self) except -1:
        cdef Py_ssize_t room = min(2 * self.span_room if self.span_room else 128, JSON_NAMES)
        cdef Span *spans = <Span *>PyMem_Realloc(self.spans, room * sizeof(Span))
        if spans == NULL:
            raise MemoryError
        self.spans = spans
        cdef uint16_t *names = <uint16_t *>PyMem_Realloc(self.span_names, room * sizeof(uint16_t))
        if names == NULL:
            raise MemoryError
        self.span_names = names
        self.span_room = room
        return 0

    cdef inline JsonName *name_behind(self, Memo memo, JsonName *before, const char *at, const char *end) except? NULL:
        """The name behind what stands at `at`, NULL if there is none that is remembered."""
        cdef JsonName *name = before.next
        if stands(name, at, end):
            return name
        name = before.other
        if not stands(name, at, end):
            name = self.name_at(memo, at + 1, end)
            if name == NULL:
                return NULL
        before.other = before.next
        before.next = name
        return name

    cdef JsonName *name_at(self, Memo memo, const char *at, const char *end) except? NULL:
        """The name at `at`, looked up."""
        cdef const char *stop
        cdef PyObject *known = NULL
        cdef Py_ssize_t size
        if end - at < 4 or at[0] != c'"':
            return NULL
        stop = at + 1
        while True:
            stop = plain_end(stop, end)
            if stop == end or <unsigned char>stop[0] < 0x80:
                break
            stop += 1
        size = stop - at - 1
        if end - stop < 3 or stop[0] != c'"' or stop[1] != c":" or size > JSON_NAME_BYTES:
            return NULL
        name = memo.name(at + 1, size)
        if PyDict_GetItemRef(self.numbers, name, &known):
            number = <object>known
            Py_DECREF(number)
            return self.names[<Py_ssize_t>number]
        if not is_own_string(at + 1, size):
            return NULL
        return self.add(name, at, size + 3)

    cdef JsonName *add(self, object text, const char *at, Py_ssize_t size) except? NULL:
        """Remember a name, if there is room. `"name":` stands at `at`."""
        cdef JsonName *name
        cdef bint body = size == 8 and folded_equal(at + 1, b"_body", 5)
        if self.count == JSON_NAMES or self.names_bytes + size > JSON_NAMES_BYTES:
            self.refusals += 1
            return NULL
        if body and memcmp(at + 1, b"_body", 5) != 0:
            return NULL  # another name in `to_json`
        if self.count == self.room:
            self.more_names()
        name = <JsonName *>PyMem_Malloc(sizeof(JsonName))
        if name == NULL:
            raise MemoryError
        memset(name, 0, sizeof(JsonName))
        cdef uint32_t room = raw_room(size + 1)
        name.raw = <char *>PyMem_Calloc(1, room)
        try:
            if name.raw == NULL:
                raise MemoryError
            name.twin = self.find_twin(text)
            self.numbers[text] = self.count
        except BaseException:
            PyMem_Free(name.raw)
            PyMem_Free(name)
            raise
        name.raw[0] = c","
        memcpy(name.raw + 1, at, size)
        name.room = room
        name.head = <uint32_t>size + 1
        name.size = name.old_size = UINT32_MAX
        name.next = name.other = &self.nothing
        name.body = body
        name.bracket = BRACKET if memchr(at + 1, c"[", size - 3) != NULL else 0
        name.number = <uint32_t>self.count
        Py_INCREF(text)
        name.name = <PyObject *>text
        if is_event_name(at + 1, size - 3):
            self.event_name = name
        self.names[self.count] = name
        self.count += 1
        self.names_bytes += size
        return name

    cdef bint find_twin(self, str text) except -1:
        """Whether there may be another name that is the same but for case; that one is told."""
        cdef str folded = text.lower()
        known = self.folded.setdefault(folded, self.count)
        if known == self.count:
            return False
        self.names[<Py_ssize_t>known].twin = True
        return True

    cdef int more_names(self) except -1:
        cdef Py_ssize_t room = 2 * self.room if self.room else 128
        cdef JsonName **names = <JsonName **>PyMem_Realloc(self.names, room * sizeof(JsonName *))
        if names == NULL:
            raise MemoryError
        self.names = names
        self.room = room
        return 0

    cdef const char *read_value(self, JsonName *name, const char *value, const char *end, bint *own) noexcept:
        """The end of a value that is not the last one of this name. NULL if there is none."""
        cdef const char *stop
        cdef Scanner scanner
        cdef Token token
        cdef int odd = name.bracket
        if value < end and value[0] == c'"':
            stop = plain_end(value + 1, end)
            if stop < end and stop[0] == c'"' and not name.body:
                if not is_array_text(value + 1, stop - value - 1):
                    if stop == value + 1 or value[1] == c"A":
                        odd |= UNSURE
                    self.remember(name, value, stop + 1 - value)
                    name.odd = odd
                    return stop + 1
        scanner.at = value
        scanner.end = end
        scanner.fault = NO_FAULT
        if not scan_value(&scanner, &token):
            return NULL
        if token.kind != STRING:
            odd |= ESCAPES | UNSURE if token.kind == ESCAPED else NO_TEXT | ESCAPES
        elif token.size == 0 or token.text[0] == c"A":
            odd |= UNSURE
        if not name.body:  # those may be large: `to_json` looks at them
            if is_own(&token):
                self.remember(name, value, scanner.at - value)
            else:
                own[0] = False
                self.forget_value(name)
        name.odd = odd
        return scanner.at

    cdef void forget_value(self, JsonName *name) noexcept:
        cdef PyObject *value = name.value
        if name.size == UINT32_MAX:
            return
        self.values_bytes -= name.size - name.head
        name.size = UINT32_MAX
        name.value = NULL
        Py_XDECREF(value)

    cdef void remember(self, JsonName *name, const char *value, Py_ssize_t size) noexcept:
        """Keep the last value of a name, if there is room."""
        cdef char *raw
        cdef Py_ssize_t room
        if name.size != UINT32_MAX and self.values_bytes <= LAST_VALUES_BYTES // 2:
            keep_old(name)
        self.forget_value(name)
        if size > JSON_VALUE_BYTES:
            return
        if self.values_bytes + size > LAST_VALUES_BYTES:
            self.refusals += 1
            return
        room = raw_room(name.head + size)
        if room > <Py_ssize_t>name.room:
            raw = <char *>PyMem_Realloc(name.raw, room)
            if raw == NULL:
                return
            name.raw = raw
            name.room = <uint32_t>room
        memcpy(name.raw + name.head, value, size)
        name.size = <uint32_t>(name.head + size)
        self.values_bytes += size

    cdef object value_of(self, JsonPayload payload, const Span *span, JsonName *name):
        """A value as text: the object that is kept, if it is the same."""
        cdef const char *raw = payload.text() + span.at
        cdef Token token
        if name.size - name.head == span.size and (
            (name.turn == payload.turn and payload.distinct) or same_bytes(raw, name.raw + name.head, span.size)
        ):
            if name.value != NULL:
                return <object>name.value
            if raw[0] == c'"':  # no list is made, so nothing else can run
                if span.size > 2 and all_plain(raw + 1, span.size - 2):
                    text = ascii_text(raw + 1, span.size - 2)
                else:
                    token = token_of(raw, span.size)
                    text = token_text(&token)
                Py_INCREF(text)
                name.value = <PyObject *>text
                return text
        token = token_of(raw, span.size)
        return token_text(&token)

    cdef Py_ssize_t place(self, JsonPayload payload, str name) except -2:
        """Which member a look-up takes, -1 if there is none."""
        cdef PyObject *known = NULL
        cdef JsonName *found
        cdef Py_ssize_t i
        if PyDict_GetItemRef(self.numbers, name, &known):
            number = <object>known
            Py_DECREF(number)
            found = self.names[<Py_ssize_t>number]
            if found.turn == payload.turn:
                return -1 if found.body else found.place
            i = self.place_of(payload, found)
            if i >= 0:
                return i
        cdef bytes wanted = None
        cdef const char *text
        cdef Py_ssize_t size
        if PyUnicode_IS_COMPACT_ASCII(name):
            text = <const char *>PyUnicode_DATA(name)
            size = PyUnicode_GET_LENGTH(name)
        else:
            wanted = name_bytes(name)
            if wanted is None:
                return -1
            text = PyBytes_AS_STRING(wanted)
            size = PyBytes_GET_SIZE(wanted)
        for i in range(payload.span_count):
            found = self.names[payload.names[i]]
            if found.head - 4 == size and folded_equal(found.raw + 2, text, size):
                return self.place_of(payload, found)
        return -1

    cdef Py_ssize_t place_of(self, JsonPayload payload, const JsonName *name) noexcept:
        """The member of this name that counts: the first, of Event-Name the last."""
        cdef Py_ssize_t i, place = -1
        for i in range(payload.span_count):
            if payload.names[i] == name.number:
                place = i
                if name != self.event_name:
                    break
        return place

    cdef object find(self, JsonPayload payload, str name):
        cdef Py_ssize_t i
        cdef Token token
        if payload.generation != self.generation:
            return payload.look_up(name, False)
        i = self.place(payload, name)
        return None if i < 0 else self.value_of(payload, &payload.spans[i], self.names[payload.names[i]])

    cdef object lone(self, JsonPayload payload, str name):
        cdef PyObject *known = NULL
        cdef JsonName *found
        cdef const Span *span
        cdef Py_ssize_t i
        cdef str value
        if payload.generation == self.generation and PyDict_GetItemRef(self.numbers, name, &known):
            number = <object>known
            Py_DECREF(number)
            found = self.names[<Py_ssize_t>number]
            if not found.twin and not found.body:
                i = found.place if found.turn == payload.turn else self.place_of(payload, found)
                if i < 0:
                    return None
                span = &payload.spans[i]
                if span.size == 2 or payload.text()[span.at] != c'"':
                    return False
                value = self.value_of(payload, span, found)
                return False if value.startswith("ARRAY::") else value
        return payload.lone(<const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name))

    cdef dict headers(self, Memo memo, JsonPayload payload):
        if self.busy or payload.generation != self.generation:
            return payload.headers(memo)
        self.busy = True
        try:
            return self.near_dict(payload)
        finally:
            self.busy = False

    # What follows is called while it is busy: names and values stay what they are.

    cdef dict near_dict(self, JsonPayload payload):
        """The headers as a dict, made from that of an earlier event."""
        cdef Listed listed
        cdef Py_ssize_t nearest, edits = PY_SSIZE_T_MAX, i, other
        listed.spans = payload.spans
        listed.names = payload.names
        listed.count = payload.span_count
        listed.latest = payload.turn == self.turn
        if not payload.distinct:
            self.list_distinct(&listed)
        cdef Py_ssize_t count = listed.count, near = 8 + count // 8
        cdef uint8_t *guess = &self.guesses[shape_of(&listed)]
        nearest = guess[0]
        if nearest < self.base_count:
            edits = distance(&self.bases[nearest], &listed, count)
        if edits > near and (edits > count // 3 or self.has_base_room(count)):
            for i in range(self.base_count):
                other = distance(&self.bases[i], &listed, edits)
                if other < edits:
                    edits, nearest = other, i
        if edits > near and (edits > count // 3 or self.has_base_room(count)):
            headers = self.new_dict(payload, &listed)
            nearest = self.add_base(headers, &listed)
        else:
            headers = self.edited_dict(&self.bases[nearest], payload, &listed, edits)
        guess[0] = <uint8_t>nearest
        return headers

    cdef int list_distinct(self, Listed *listed) except -1:
        """List the members of an event in which a name repeats: the first of each name, of Event-Name the last.

        The value that is remembered of such a name may be that of another.
        """
        cdef Py_ssize_t i, count = 0
        cdef JsonName *name
        self.lists += 1
        for i in range(listed.count):
            name = self.names[listed.names[i]]
            if name.listed != self.lists:
                name.listed = self.lists
                name.line = <uint32_t>count
                self.spans[count] = listed.spans[i]
                self.span_names[count] = <uint16_t>name.number
                count += 1
            else:
                self.forget_value(name)
                if name == self.event_name:
                    self.spans[name.line] = listed.spans[i]
        listed.spans = self.spans
        listed.names = self.span_names
        listed.count = count
        return 0

    cdef int renew(
        self, JsonBase *base, Py_ssize_t j, JsonPayload payload, const Listed *listed, Py_ssize_t i, list others
    ) except -1:
        """Put a member's value into a base, unless it has it; then that text is taken."""
        cdef PyObject **known = &base.values[j]
        cdef const Span *span = &listed.spans[i]
        cdef JsonName *name = self.names[listed.names[i]]
        cdef PyObject *old = name.value
        if stands_for(<object>known[0], payload.text() + span.at, span.size):
            if listed.latest and name.size - name.head == span.size:
                Py_INCREF(<object>known[0])
                name.value = known[0]
                Py_XDECREF(old)
            return 0
        value = self.value_of(payload, span, name)
        if name.value == <PyObject *>value:
            dict_set(<dict>base.headers, name.name, <PyObject *>value)
            known[0] = <PyObject *>value
        else:
            others.append(<object>name.name)
            others.append(value)
        return 0

    cdef dict edited_dict(self, JsonBase *base, JsonPayload payload, const Listed *listed, Py_ssize_t edits):
        """A copy of a base, after its values have become those of the members, with the names of the members."""
        cdef Py_ssize_t i = 0, j = 0, same
        cdef list others = []  # key, value and so on of those that are not remembered
        while True:
            same = alike_names(base, j, listed, i)
            while same:
                if self.names[listed.names[i]].value != base.values[j] or not listed.latest:
                    self.renew(base, j, payload, listed, i, others)
                i += 1
                j += 1
                same -= 1
            if i == listed.count or j == base.count:
                break
            j = found_later(base, j, listed.names[i])
            if j < 0:
                break
        base.turn = self.turn
        headers = PyDict_Copy(<dict>base.headers)
        if edits:
            self.edit(headers, base, payload, listed)
        for i in range(0, len(others), 2):
            PyDict_SetItem(headers, others[i], others[i + 1])
        return headers

    cdef int edit(self, dict headers, const JsonBase *base, JsonPayload payload, const Listed *listed) except -1:
        """Give the copy of a base the names of the members."""
        cdef Py_ssize_t i = 0, j = 0, to, same
        while True:
            same = alike_names(base, j, listed, i)
            i += same
            j += same
            if i == listed.count or j == base.count:
                break
            to = found_later(base, j, listed.names[i])
            if to < 0:
                break
            while j < to:
                dict_delete(headers, self.names[base.names[j]].name)
                j += 1
        while j < base.count:
            dict_delete(headers, self.names[base.names[j]].name)
            j += 1
        while i < listed.count:
            self.put(headers, payload, listed, i)
            i += 1
        return 0

    cdef int put(self, dict headers, JsonPayload payload, const Listed *listed, Py_ssize_t i) except -1:
        cdef JsonName *name = self.names[listed.names[i]]
        value = self.value_of(payload, &listed.spans[i], name)
        return dict_set(headers, name.name, <PyObject *>value)

    cdef dict new_dict(self, JsonPayload payload, const Listed *listed):
        cdef dict headers = {}  # one made with its size costs less to fill, but more to copy and to look up in
        cdef Py_ssize_t i
        for i in range(listed.count):
            self.put(headers, payload, listed, i)
        return headers

    cdef bint has_base_room(self, Py_ssize_t count) noexcept:
        cdef Py_ssize_t size = dict_bytes(count)
        return self.base_count < JSON_BASES and size <= JSON_DICTS_BYTES - self.base_bytes and DICTS.has(size)

    cdef Py_ssize_t add_base(self, dict headers, const Listed *listed) except -1:
        """Keep a copy of a dict, in the place of others if need be: which base it is."""
        cdef Py_ssize_t i, count = listed.count, size = dict_bytes(count)
        cdef JsonBase base
        cdef const JsonName *name
        if size > JSON_DICTS_BYTES:
            return JSON_BASES  # none
        while self.base_count and not self.has_base_room(count):
            self.drop_oldest_base()
        headers = PyDict_Copy(headers)
        base.values = <PyObject **>PyMem_Malloc((count + 1) * BASE_ITEM_BYTES)
        if base.values == NULL:
            raise MemoryError
        if not DICTS.take(size):
            PyMem_Free(base.values)
            return JSON_BASES
        base.names = <uint16_t *>(base.values + count)
        base.count = count
        base.size = size
        base.turn = self.turn
        base.headers = <PyObject *>headers
        for i in range(count):
            name = self.names[listed.names[i]]
            base.names[i] = <uint16_t>name.number
            value = headers[<object>name.name]
            if name.value != <PyObject *>value:  # it is not remembered: it may be long
                value = NOTHING
                dict_set(headers, name.name, <PyObject *>value)
            base.values[i] = <PyObject *>value
        Py_INCREF(headers)
        self.bases[self.base_count] = base
        self.base_bytes += size
        self.base_count += 1
        return self.base_count - 1

    cdef void drop_oldest_base(self) noexcept:
        cdef Py_ssize_t i, oldest = 0
        for i in range(1, self.base_count):
            if self.bases[i].turn < self.bases[oldest].turn:
                oldest = i
        cdef JsonBase base = self.bases[oldest]
        self.base_count -= 1
        self.bases[oldest] = self.bases[self.base_count]
        self.drop_base(&base)

    cdef void drop_bases(self) noexcept:
        while self.base_count:
            self.base_count -= 1
            self.drop_base(&self.bases[self.base_count])

    cdef void drop_base(self, JsonBase *base) noexcept:
        self.base_bytes -= base.size
        DICTS.give(base.size)
        PyMem_Free(base.values)
        Py_XDECREF(base.headers)


cdef inline bint stands_for(object text, const char *p, uint32_t size) noexcept:
    """Whether the member's value at p is surely this text."""
    return (
        PyUnicode_IS_COMPACT_ASCII(text)
        and PyUnicode_GET_LENGTH(text) + 2 == size
        and p[0] == c'"'
        and same_bytes(p + 1, <const char *>PyUnicode_DATA(text), size - 2)
        and memchr(p, c"\\", size) == NULL
    )


cdef inline uint32_t raw_room(Py_ssize_t size) noexcept nogil:
    """How many bytes a name and its value get."""
    return <uint32_t>(MEMBER_BYTES if size <= MEMBER_BYTES else size + 15 - (size - 1) % 16)


cdef inline void keep_old(JsonName *name) noexcept:
    """Make room for another value without losing the last one."""
    if name.old_raw == NULL:
        name.old_raw = <char *>PyMem_Calloc(1, raw_room(name.head))
        if name.old_raw == NULL:
            return
        memcpy(name.old_raw, name.raw, name.head)
        name.old_room = raw_room(name.head)
    swap_values(name)


cdef inline bint stands(const JsonName *name, const char *at, const char *end) noexcept nogil:
    """Whether a name stands behind what is at `at`."""
    return name.head and end - at > <Py_ssize_t>name.head and same_bytes(at + 1, name.raw + 1, name.head - 1)


# Framing


@cython.final
@cython.no_gc
cdef class Store:
    """Memory for unread bytes."""

    cdef PyObject *memory  # a bytes object that nobody else knows, so that a large frame can become it
    cdef char *data
    cdef Py_ssize_t capacity
    cdef Py_ssize_t exports  # memoryviews of windows that are not released
    cdef Py_ssize_t moves  # how often `data` has become another place

    def __dealloc__(self):
        Py_XDECREF(self.memory)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef int resize(self, Py_ssize_t capacity) except -1:
        """Become larger or smaller; what does not succeed changes nothing."""
        cdef PyObject *memory = resize_bytes(self.memory, capacity)
        if memory == NULL:
            raise MemoryError
        self.memory = memory
        self.data = PyBytes_AS_STRING(<object>memory)
        self.capacity = capacity
        self.moves += 1
        return 0

    cdef bytes give(self, Py_ssize_t start, Py_ssize_t end):
        """What stands at [start, end), for which the memory itself is given away."""
        memmove(self.data, self.data + start, end - start)
        cdef PyObject *memory = trim_bytes(self.memory, end - start)
        cdef bytes frame = <bytes>memory
        Py_DECREF(frame)  # `frame` has it
        self.memory = NULL
        self.data = NULL
        self.capacity = 0
        self.moves += 1
        return frame


cdef Store new_store(Py_ssize_t capacity):
    cdef Store store = Store.__new__(Store)
    memory = PyBytes_FromStringAndSize(NULL, capacity)
    Py_INCREF(memory)
    store.memory = <PyObject *>memory
    store.data = PyBytes_AS_STRING(memory)
    store.capacity = capacity
    return store


cdef char *UNSIGNED_BYTES = b"B"  # as the struct module writes it


@cython.final
@cython.no_gc  # a memoryview of it may outlive what a garbage collection clears, and then needs the store
cdef class Window:
    """The part of a store that `get_buffer` gives out."""

    cdef Store store
    cdef char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t moves  # of the store at the time

    def __reduce__(self):
        return refuse_pickle(self)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.store is None:
            raise BufferError("get_buffer() makes these")
        with cython.critical_section(self.store):
            if self.moves != self.store.moves:
                raise BufferError("what get_buffer() gave out was released, and its memory is gone")
            self.store.exports += 1
        # By hand: Cython has put None into view.obj, and PyBuffer_FillInfo would leak that reference.
        view.obj = self
        view.buf = self.data
        view.len = self.size
        view.itemsize = 1
        view.readonly = 0
        view.ndim = 1
        view.format = UNSIGNED_BYTES if flags & PyBUF_FORMAT else NULL
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer *view):
        with cython.critical_section(self.store):
            self.store.exports -= 1


cdef struct Place:
    # Where a splitter is. `feed_eof` goes on with one of its own: another thread may run whenever an error is raised.
    Py_ssize_t start  # of the unread bytes
    Py_ssize_t searched
    Py_ssize_t block_end
    Py_ssize_t taken
    int64_t length  # -1: no Content-Length
    Py_ssize_t type_at  # where the Content-Type's value stands, from the start of the frame
    Py_ssize_t type_size  # -1: there is none


@cython.no_gc_clear  # part of a cycle that is collected, it may still be asked; others break the cycle
cdef class FrameSplitter:
    """See eslcodec._codec_py.FrameSplitter."""

    # No Python code runs, and so no other thread, while it is between two states: wrongly shared it stays whole.
    # (Without the GIL critical sections have the same effect.)

    cdef Store store
    cdef bytes fed  # what was fed and is read in place, so that it is copied once; None if there is nothing
    cdef bint placed  # whether the unread bytes are there; if not, they are in the store, and behind them those of `fed`
    cdef Py_ssize_t fed_at  # from here on
    cdef Place at
    cdef Py_ssize_t end  # of the unread bytes
    cdef Py_ssize_t max_header, max_body, max_buffered
    cdef bint dead
    cdef bytes last  # the end of the frame that came out last
    cdef Window window
    cdef bint mixed  # bytes were fed while a window was out: where that copied much, windows get stores of their own

    def __cinit__(self):
        self.store = new_store(RECEIVE_BYTES_MIN)
        self.last = b""

    def __init__(
        self,
        *,
        max_header_bytes=limits.MAX_HEADER_BYTES,
        max_body_bytes=limits.MAX_BODY_BYTES,
        max_buffered=None,
    ):
        if max_buffered is None:
            max_buffered = limits.default_max_buffered(max_header_bytes, max_body_bytes)
        for name, bound in (
            ("max_header_bytes", max_header_bytes),
            ("max_body_bytes", max_body_bytes),
            ("max_buffered", max_buffered),
        ):
            if not 0 < operator.index(bound) < LENGTH_CEILING:
                raise ValueError(f"{name} is {bound}, expected 1 to {LENGTH_CEILING - 1}")
        with cython.critical_section(self):
            self.max_header = min(max_header_bytes, PY_SSIZE_T_MAX)
            self.max_body = min(max_body_bytes, PY_SSIZE_T_MAX)
            self.max_buffered = min(max_buffered, PY_SSIZE_T_MAX)

    def __reduce__(self):
        return refuse_pickle(self)

    @property
    @cython.critical_section
    def buffered(self):
        """See eslcodec._codec_py.FrameSplitter.buffered."""
        return self.waiting()

    @property
    @cython.critical_section
    def consumed(self):
        """See eslcodec._codec_py.FrameSplitter.consumed."""
        return self.at.taken

    def feed(self, data):
        """See eslcodec._codec_py.FrameSplitter.feed."""
        if type(data) is bytes:
            self.take_in(<bytes>data)
        else:
            self.take_other(data)

    cdef int take_other(self, data) except -1:
        cdef Py_buffer raw
        with _view(data) as view:
            if not view.c_contiguous:
                raise BufferError("feed() takes contiguous bytes")
            PyObject_GetBuffer(view, &raw, PyBUF_SIMPLE)
            try:
                self.take_view(<const char *>raw.buf, raw.len)
            finally:
                PyBuffer_Release(&raw)
        return 0

    @cython.critical_section
    cdef int take_in(self, bytes data) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size < IN_PLACE_BYTES and self.has_room(size):
            memcpy(self.store.data + self.end, PyBytes_AS_STRING(data), size)
            self.end += size
            return 0
        if self.dead or size < IN_PLACE_BYTES or self.fed is not None or self.pinned():
            return self.append(PyBytes_AS_STRING(data), size)
        self.check_room(size)
        self.fed = data
        self.fed_at = 0
        self.go_over()
        return 0

    @cython.critical_section
    cdef int take_view(self, const char *p, Py_ssize_t size) except -1:
        """Take in bytes of what may be a window of ours: making room would move what is in it."""
        cdef bytes copied
        if self.dead or not self.store.data <= p < self.store.data + self.store.capacity:
            return self.append(p, size)
        self.check_room(size)
        copied = PyBytes_FromStringAndSize(p, size)
        return self.append(PyBytes_AS_STRING(copied), size)

    cdef int append(self, const char *p, Py_ssize_t size) except -1:
        if self.dead:
            return 0
        self.check_room(size)
        self.reserve(size)
        memcpy(self.store.data + self.end, p, size)
        self.end += size
        return 0

    cdef inline bint has_room(self, Py_ssize_t size) noexcept:
        """Whether `append` would only copy: most small pieces are fed so."""
        if self.dead or self.fed is not None or self.window is not None or self.at.start == self.end:
            return False
        if size > self.max_buffered - (self.end - self.at.start):
            return False
        return size <= self.store.capacity - self.end and self.store.capacity <= IDLE_BYTES

    cdef int check_room(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t waiting = self.waiting()
        if size > self.max_buffered - waiting:
            raise LimitExceeded(waiting + <object>size, self.max_buffered)
        return 0

    # Bytes objects that are fed are read in place. As long as the store holds the first part of a frame, they wait, and
    # the store gets from them what that frame lacks (`pull`).

    cdef inline const char *data(self) noexcept:
        """What the unread bytes are counted from."""
        return PyBytes_AS_STRING(self.fed) if self.placed else self.store.data

    cdef inline Py_ssize_t waiting(self) noexcept:
        """How many bytes are unread."""
        if self.fed is None or self.placed:
            return self.end - self.at.start
        return self.end - self.at.start + PyBytes_GET_SIZE(self.fed) - self.fed_at

    cdef inline void go_over(self) noexcept:
        """Between two frames: read on in place if all that is unread in the store came from there."""
        cdef Py_ssize_t rest = self.end - self.at.start
        if self.fed is not None and not self.placed and rest <= self.fed_at:
            self.at.start = self.at.searched = self.fed_at - rest
            self.end = PyBytes_GET_SIZE(self.fed)
            self.placed = True

    cdef bint pull(self) except -1:
        """Move into the store what its frame lacks, or some bytes if that is not known. False if there are none."""
        cdef Py_ssize_t left, size
        if self.fed is None or self.placed:
            return False
        left = PyBytes_GET_SIZE(self.fed) - self.fed_at
        if left == 0:
            self.fed = None
            return False
        size = PULLED_BYTES
        if self.at.block_end:
            size = frame_end(&self.at) - self.end
        size = min(size, left)
        self.make_room(size)
        if self.fed is None or self.placed:
            return True  # somebody else went on meanwhile
        size = min(size, PyBytes_GET_SIZE(self.fed) - self.fed_at)
        memcpy(self.store.data + self.end, PyBytes_AS_STRING(self.fed) + self.fed_at, size)
        self.fed_at += size
        self.end += size
        return True

    cdef int settle(self, Py_ssize_t more) except -1:
        """Move all that is unread into the store, with room for `more` bytes behind it."""
        cdef bytes fed = self.fed  # held to the end, as `old`: letting go of them can let another thread in
        cdef Store old = self.store
        cdef Store store = old
        cdef Py_ssize_t rest, wanted
        if not self.placed:
            rest = PyBytes_GET_SIZE(fed) - self.fed_at
            if rest > PY_SSIZE_T_MAX // 3:
                raise MemoryError
            self.make_room(rest + more)
            if self.fed is fed and not self.placed:
                rest = PyBytes_GET_SIZE(fed) - self.fed_at
                memcpy(self.store.data + self.end, PyBytes_AS_STRING(fed) + self.fed_at, rest)
                self.end += rest
                self.fed = None
            return 0
        rest = self.end - self.at.start
        wanted = rest + more
        if wanted > PY_SSIZE_T_MAX // 3 * 2:
            raise MemoryError
        if old.capacity < wanted or (old.capacity > IDLE_BYTES and wanted < old.capacity // 4):
            store = new_store(max(wanted + wanted // 2, RECEIVE_BYTES_MIN))
        memcpy(store.data, PyBytes_AS_STRING(fed) + self.at.start, rest)
        self.shift()
        self.placed = False
        self.store = store
        self.fed = None
        return 0

    cdef int reserve(self, Py_ssize_t size) except -1:
        """Make room for `size` bytes behind all that is unread. Bytes move at most as often as new ones come."""
        while True:
            if self.fed is not None:
                self.settle(size)
            self.make_room(size)
            if self.fed is None:
                return 0

    cdef int make_room(self, Py_ssize_t size) except -1:
        """Make room for `size` bytes behind those in the store, unless what is unread is elsewhere."""
        if not self.placed:
            self.rearrange(size)
        # Letting a store go can let another thread in, who feeds or asks for a window.
        while not self.placed and (self.store.capacity - self.end < size or self.pinned()):
            self.rearrange(size)
        return 0

    cdef inline bint pinned(self) noexcept:
        """Whether a window is out, behind the unread bytes: new ones need another store, once."""
        return self.window is not None and self.window.store is self.store

    cdef int rearrange(self, Py_ssize_t size) except -1:
        cdef Store old = self.store
        cdef Py_ssize_t live = self.end - self.at.start
        cdef Py_ssize_t wanted = live + size
        cdef bint oversized = old.capacity > IDLE_BYTES and wanted < old.capacity // 4
        if wanted > PY_SSIZE_T_MAX // 3 * 2:
            raise MemoryError
        if not self.pinned() and not oversized:
            if live == 0:
                self.shift()
            if old.capacity - self.end >= size:
                return 0
            if live <= self.at.start and old.capacity >= wanted:
                memmove(old.data, old.data + self.at.start, live)
                self.shift()
                return 0
            # Much to copy: the allocator can do without. Without the GIL a released window may be opened just now.
            if HAS_GIL and old.exports == 0 and live > IDLE_BYTES:
                memmove(old.data, old.data + self.at.start, live)
                self.shift()
                old.resize(wanted + wanted // 2)
                return 0
        elif self.pinned():
            self.mixed = True
        cdef Store store = new_store(max(wanted + wanted // 2, RECEIVE_BYTES_MIN))
        memcpy(store.data, old.data + self.at.start, live)
        self.shift()
        self.store = store
        return 0

    cdef void shift(self) noexcept:
        """The unread bytes begin at the first byte now."""
        self.end -= self.at.start
        self.at.searched = max(self.at.searched - self.at.start, 0)
        self.at.block_end = max(self.at.block_end - self.at.start, 0)
        self.at.start = 0

    @cython.critical_section
    def get_buffer(self, Py_ssize_t sizehint=-1):
        """See eslcodec._codec_py.FrameSplitter.get_buffer."""
        cdef Py_ssize_t waiting = self.waiting()
        cdef Py_ssize_t room = RECEIVE_BYTES_MAX if self.dead else self.max_buffered - waiting
        if room <= 0:
            raise LimitExceeded(waiting + 1, self.max_buffered)
        cdef Py_ssize_t size = min(min(max(sizehint, RECEIVE_BYTES_MIN), RECEIVE_BYTES_MAX), room)
        self.window = None
        cdef Window window = Window.__new__(Window)
        if self.mixed and waiting > IDLE_BYTES:
            window.store = new_store(size)
            window.data = window.store.data
        else:
            self.reserve(size)
            window.store = self.store
            window.data = self.store.data + self.end
        window.size = size
        window.moves = window.store.moves
        self.window = window  # from here on its bytes stay where they are
        try:
            return memoryview(window)
        except BaseException:
            self.window = None
            raise

    @cython.critical_section
    def buffer_updated(self, nbytes):
        """See eslcodec._codec_py.FrameSplitter.buffer_updated."""
        cdef Py_ssize_t size = PyNumber_AsSsize_t(nbytes, NULL)  # which may be anybody's code
        cdef Window window = self.window
        if window is None:
            raise ValueError("buffer_updated() without get_buffer()")
        if not 0 <= size <= window.size:
            self.window = None
            raise ValueError(f"buffer_updated({nbytes}), expected 0 to {window.size}")
        if window.store is not self.store:  # bytes were fed in between, and stand in another store
            self.append(window.data, size)
        elif not self.dead:
            self.end += size
        self.window = None

    @cython.critical_section
    def feed_eof(self):
        """See eslcodec._codec_py.FrameSplitter.feed_eof."""
        cdef Place at
        cdef Py_ssize_t end
        if self.fed is not None and not self.placed:
            self.settle(0)
        at = self.at
        while True:
            end = self.measure(&at)
            if end < 0:
                break
            advance(&at, end)
        if self.end > at.start:
            left = PyBytes_FromStringAndSize(self.data() + at.start, self.end - at.start)
            if not at.block_end:
                raise IncompleteFrame(left, before=self.last)
            raise IncompleteFrame(left, at.block_end - at.start, at.length)

    cdef Py_ssize_t measure(self, Place *at) except -2:
        """Where the next frame ends, -1 while it is not whole."""
        if not at.block_end and not self.find_block(at):
            return -1
        if at.length > self.end - at.block_end:
            return -1
        return frame_end(at)

    cdef bint find_block(self, Place *at) except -1:
        cdef const char *data = self.data()
        cdef const char *blank
        cdef Py_ssize_t start = at.start, stop
        if at.searched <= start:
            while at.start < self.end and (data[at.start] == c"\n" or data[at.start] == c"\r"):
                at.start += 1
            at.taken += at.start - start
            start = at.searched = at.start
            stop = usual_head(data + start, data + self.end, &at.length, &at.type_at, &at.type_size) - data
            if stop > start and stop - start <= self.max_header and at.length <= self.max_body:
                at.block_end = stop
                return True
        stop = self.end if self.end - start <= self.max_header else start + self.max_header
        blank = find_blank(data + at.searched, data + stop)
        if blank == NULL:
            if self.end > stop:
                raise HeaderTooLarge(self.max_header + 1, self.max_header)
            at.searched = max(self.end - 2, start)
            return False
        at.searched = blank - data
        stop = at.searched + (2 if blank[1] == c"\n" else 3)
        at.length = read_head(data + start, blank, at)
        if at.length > self.max_body:
            _read_head(PyBytes_FromStringAndSize(data + start, blank - data - start), self.max_body)  # which raises
        if at.length < 0 and at.type_size >= 0 and format_of(data + start + at.type_at, at.type_size) > PLAIN:
            raise InvalidContentLength()
        at.block_end = stop
        return True

    cdef inline bint lacking(self) noexcept:
        """Whether it is known already that the next frame is not whole."""
        return self.fed is None and self.at.block_end != 0 and self.at.length > self.end - self.at.block_end

    cdef Py_ssize_t take_measure(self) except -2:
        """`measure`, and the splitter is dead if it raises."""
        cdef Py_ssize_t end
        while True:
            try:
                end = self.measure(&self.at)
            except BaseException:
                self.dead = True
                raise
            if end >= 0 or not self.pull():
                return end

    cdef bytes take_frame(self, Py_ssize_t end):
        """The bytes of the next frame, which ends at `end`."""
        cdef Py_ssize_t start = self.at.start
        cdef bytes frame
        if self.placed and start == 0 and end == PyBytes_GET_SIZE(self.fed):
            frame = self.fed
        elif HAS_GIL and end - start > IDLE_BYTES and not (self.placed or self.store.exports or self.pinned()):
            return self.take_store(end)
        else:
            frame = PyBytes_FromStringAndSize(self.data() + start, end - start)
        self.last = last_of(frame)
        advance(&self.at, end)
        self.go_over()
        return frame

    cdef bytes take_store(self, Py_ssize_t end):
        """The same for a large frame, which gets the store's memory: no second copy, not even for a moment."""
        cdef Store old = self.store
        cdef Py_ssize_t start = self.at.start, rest = self.end - end
        cdef bytes last = PyBytes_FromStringAndSize(old.data + end - NOTICE_BYTES, NOTICE_BYTES)
        cdef Store store = new_store(max(rest + rest // 2, RECEIVE_BYTES_MIN))
        memcpy(store.data, old.data + end, rest)
        cdef bytes frame = old.give(start, end)
        advance(&self.at, end)
        self.shift()
        self.store = store
        self.go_over()
        self.last = last
        return frame

    cdef int pause(self) except -1:
        """Once no frame is whole: of bytes that are read in place, only the rest is kept."""
        if self.fed is not None:
            self.settle(0)
        return 0

    @cython.critical_section
    def next_frame(self):
        """See eslcodec._codec_py.FrameSplitter.next_frame."""
        cdef Py_ssize_t end
        if self.lacking():
            return None
        end = self.take_measure()
        if end < 0:
            self.pause()
            return None
        cdef const char *data = self.data()
        block = PyBytes_FromStringAndSize(data + self.at.start, self.at.block_end - self.at.start)
        body = None if self.at.length < 0 else PyBytes_FromStringAndSize(data + self.at.block_end, end - self.at.block_end)
        self.last = last_of(body or block)
        advance(&self.at, end)
        self.go_over()
        return block, body

    def __iter__(self):
        return self

    def __next__(self):
        frame = self.next_frame()
        if frame is None:
            raise StopIteration
        return frame


cdef int64_t read_head(const char *p, const char *end, Place *at) except -2:
    """Note where the Content-Type stands in the header block; its Content-Length, -1 if there is none."""
    cdef Line line
    cdef const char *begin = p
    cdef const char *first = NULL
    cdef Py_ssize_t first_size = 0
    cdef int64_t length = -1, number
    cdef bint exact = False
    at.type_size = -1
    while next_line(&p, end, &line):
        if line.name_size == 12 and folded_equal(line.name, b"content-type", 12):
            if at.type_size < 0 or (not exact and memcmp(line.name, b"Content-Type", 12) == 0):
                at.type_at = line.value - begin
                at.type_size = line.value_size
                exact = memcmp(line.name, b"Content-Type", 12) == 0
        elif line.name_size == 14 and folded_equal(line.name, b"content-length", 14):
            number = read_length(line.value, line.value_size)
            if first == NULL:
                first, first_size, length = line.value, line.value_size, number
            elif number != length:
                raise InvalidContentLength(first[:first_size], line.value[: line.value_size])
    return length


cdef inline Py_ssize_t frame_end(const Place *at) noexcept nogil:
    return at.block_end + (<Py_ssize_t>at.length if at.length > 0 else 0)


cdef inline bytes last_of(bytes frame):
    """What is kept of a frame that comes out: all of it, or the end of one that is large."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(frame)
    if size <= KEPT_FRAME_BYTES:
        return frame
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(frame) + size - NOTICE_BYTES, NOTICE_BYTES)


cdef inline void advance(Place *at, Py_ssize_t end) noexcept nogil:
    """Go to the frame behind `end`."""
    at.taken += end - at.start
    at.start = at.searched = end
    at.block_end = 0


cdef int64_t read_length(const char *p, Py_ssize_t size) except -1:
    """A Content-Length: ASCII digits, blanks around them; numbers too large to matter become one."""
    cdef const char *end = p + size
    cdef const char *at = p
    cdef int64_t number = 0
    while at < end and (at[0] == c" " or at[0] == c"\t"):
        at += 1
    while end > at and ((end - 1)[0] == c" " or (end - 1)[0] == c"\t"):
        end -= 1
    if at == end:
        raise InvalidContentLength(p[:size])
    while at < end:
        if not c"0" <= at[0] <= c"9":
            raise InvalidContentLength(p[:size])
        number = number * 10 + (at[0] - c"0") if number < LENGTH_CEILING // 10 else LENGTH_CEILING
        at += 1
    return number


cdef tuple NO_ARGUMENTS = ()


cdef int format_of(const char *p, Py_ssize_t size) noexcept:
    """How the payload of a frame with this Content-Type is written; FRAME if it is no event."""
    if size == 16 and folded_equal(p, b"text/event-plain", 16):
        return PLAIN
    if size == 15 and folded_equal(p, b"text/event-json", 15):
        return JSON
    if size == 14 and folded_equal(p, b"text/event-xml", 14):
        return XML
    return FRAME


@cython.no_gc_clear
cdef class MessageDecoder(FrameSplitter):
    """See eslcodec._codec_py.MessageDecoder."""

    cdef list keys, kinds
    cdef type default
    cdef Memo memo
    cdef char known_type[KNOWN_TYPE_BYTES]  # the Content-Type that came last,
    cdef Py_ssize_t known_size
    cdef type known_kind  # what it stands for,
    cdef char known_format  # and how its payload is written

    def __init__(
        self,
        kinds,
        default,
        *,
        max_header_bytes=limits.MAX_HEADER_BYTES,
        max_body_bytes=limits.MAX_BODY_BYTES,
        max_buffered=None,
    ):
        FrameSplitter.__init__(
            self, max_header_bytes=max_header_bytes, max_body_bytes=max_body_bytes, max_buffered=max_buffered
        )
        kinds = dict(kinds)
        for kind in [*kinds.values(), default]:
            if not issubclass(kind, Message):
                raise TypeError(f"{kind!r} is no subclass of Message")
        cdef list names = []
        for key in kinds:
            names.append(bytes(key))
        classes = list(kinds.values())
        memo = Memo()
        with cython.critical_section(self):
            self.keys = names
            self.kinds = classes
            self.default = default
            self.memo = memo
            self.known_size = -1

    cdef type look_up(self, const char *p, Py_ssize_t size, int *format):
        """The class of a frame with this Content-Type, and how its payload is written."""
        if size != self.known_size or memcmp(p, self.known_type, size) != 0:
            self.known_kind = self.kind_of(p, size)
            self.known_format = format_of(p, size)
            self.known_size = size if size <= KNOWN_TYPE_BYTES else -1
            memcpy(self.known_type, p, max(self.known_size, 0))
        format[0] = self.known_format
        return self.known_kind

    cdef type kind_of(self, const char *p, Py_ssize_t size):
        cdef Py_ssize_t i
        for i in range(len(self.keys)):
            key = <bytes>self.keys[i]
            if PyBytes_GET_SIZE(key) == size and folded_equal(p, PyBytes_AS_STRING(key), size):
                return <type>self.kinds[i]
        return self.default

    @cython.critical_section
    cdef Message take(self):
        """The next message. Whatever raises, nothing has been taken."""
        cdef Message message
        cdef Place at
        cdef type kind
        cdef int format
        if self.lacking():
            return None
        while True:
            if self.take_measure() < 0:
                self.pause()
                return None
            at = self.at
            kind = self.default
            format = FRAME
            if at.type_size >= 0:
                kind = self.look_up(self.data() + at.start + at.type_at, at.type_size, &format)
            message = <Message?>(<PyTypeObject *>kind).tp_new(kind, <PyObject *>NO_ARGUMENTS, NULL)  # which may be anybody's code
            if self.at.taken == at.taken:
                break
        cdef bytes frame = self.take_frame(frame_end(&self.at))  # it may have moved
        message.adopt(frame, self.memo, at.block_end - at.start, at.length >= 0, format)
        return message

    def next_message(self):
        """See eslcodec._codec_py.MessageDecoder.next_message."""
        return self.take()

    def __iter__(self):
        cdef Messages messages = Messages.__new__(Messages)
        messages.decoder = self
        return messages

    def __next__(self):
        message = self.take()
        if message is None:
            raise StopIteration
        return message


@cython.final
@cython.no_gc_clear
@cython.freelist(8)  # one is made for each piece that is fed
cdef class Messages:
    """Iterates over a decoder. A for loop calls it directly, and a Python subclass of a decoder through a look-up."""

    cdef MessageDecoder decoder

    def __reduce__(self):
        return refuse_pickle(self)

    def __iter__(self):
        return self

    def __next__(self):
        message = None if self.decoder is None else self.decoder.take()
        if message is None:
            raise StopIteration
        return message


# Reading


@cython.no_gc
@cython.collection_type("mapping")
cdef class Message:
    """See eslcodec._codec_py.Message."""

    cdef bytes frame_
    cdef Memo memo
    cdef dict index
    cdef object parsed  # JsonPayload; XmlPayload, or what the twin's read_payload gives
    cdef Py_ssize_t split
    cdef Py_ssize_t head_stop  # as in the twin
    cdef uint64_t number  # by which the memo knows it, 0 if it has not been asked
    cdef char format
    cdef bint has_body

    def __cinit__(self):
        self.frame_ = b""

    def __init__(self, block, body=None):
        cdef bytes head = bytes(memoryview(block))
        cdef const char *p = PyBytes_AS_STRING(head)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(head)
        cdef const char *blank = find_blank(p, p + size)
        if blank == NULL or blank + (2 if blank[1] == c"\n" else 3) != p + size:
            raise ValueError("a header block ends with its first blank line")
        written, _ = _read_head(head)
        cdef bytes frame = head if body is None else head + body
        cdef int format = FRAME if written is None else format_of(written, len(written))
        if body is None and format > PLAIN:
            raise InvalidContentLength()
        self.adopt(frame, None, size, body is not None, format)

    @cython.critical_section
    cdef int adopt(self, bytes frame, Memo memo, Py_ssize_t split, bint has_body, int format) except -1:
        """Become the message of this frame."""
        self.index = None
        self.parsed = None
        self.memo = memo
        self.number = 0
        self.split = split
        self.has_body = has_body
        self.head_stop = -1
        self.format = format
        if format == FRAME and split > 11 and memcmp(PyBytes_AS_STRING(frame), b"Event-Name:", 11) == 0:
            self.format = FRAME_ENCODED
        self.frame_ = frame
        return 0

    # The bytes

    @property
    @cython.critical_section
    def frame(self):
        """See eslcodec._codec_py.Message.frame."""
        return self.frame_

    @property
    @cython.critical_section
    def raw(self):
        """See eslcodec._codec_py.Message.raw."""
        if self.format < PLAIN:
            return self.frame_[: self.split]
        if self.format == PLAIN:
            return self.frame_[self.split : self.head_end()]
        return self.frame_[self.split :]

    @property
    @cython.critical_section
    def body(self):
        """See eslcodec._codec_py.Message.body."""
        return self.get_body()

    cdef object get_body(self):
        if self.format == PLAIN:
            return self.frame_[self.head_end() :] or None
        if self.format == JSON:
            return self.json().get_body()
        if self.format == XML:
            usual = self.usual_xml()
            return self.xml()[1] if usual is None else (<XmlPayload>usual).get_body()
        return self.frame_[self.split :] if self.has_body else None

    @property
    @cython.critical_section
    def payload(self):
        """See eslcodec._codec_py.Message.payload."""
        return self.frame_[self.split :] if self.has_body else None

    @property
    def text(self):
        """See eslcodec._codec_py.Message.text."""
        cdef bytes body = self.body or b""
        return raw_text(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))

    @property
    @cython.critical_section
    def content_type(self):
        """See eslcodec._codec_py.Message.content_type."""
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef Line line
        if self.format < PLAIN:
            return self.find("Content-Type")
        walk_lines(p, p + self.split, b"Content-Type", 12, &line, False)  # an event has one
        return raw_text(line.value, line.value_size)

    @property
    @cython.critical_section
    def malformed(self):
        """See eslcodec._codec_py.Message.malformed."""
        fault = None
        if self.format == JSON:
            fault = self.json().fault
        elif self.format == XML and self.usual_xml() is None:
            fault = self.xml()[2]
        return None if fault is None else MalformedPayload(*fault)

    # What is found out once is kept, unless Python code that ran meanwhile made another message of this one.

    cdef JsonPayload json(self):
        cdef bytes frame = self.frame_
        cdef JsonPayload payload
        if self.parsed is not None:
            return <JsonPayload?>self.parsed
        payload = JsonPayload.__new__(JsonPayload)
        payload.frame = frame
        payload.start = self.split
        if self.memo is None or not self.memo.read_json(payload):
            payload.read()
        if self.frame_ is frame:
            self.parsed = payload
        return payload

    cdef XmlPayload usual_xml(self):
        """An XML payload that is written as a switch writes it; None if it is expat's, or was read by it."""
        cdef bytes frame = self.frame_
        cdef XmlPayload payload
        if self.parsed is not None:
            return <XmlPayload>self.parsed if type(self.parsed) is XmlPayload else None
        payload = XmlPayload.__new__(XmlPayload)
        if not payload.read(frame, self.split):
            return None
        if self.frame_ is frame:
            self.parsed = payload
        return payload

    cdef tuple xml(self):
        """Headers, body and fault of an XML payload, as the twin's read_payload gives them."""
        cdef bytes frame = self.frame_
        cdef tuple payload
        cdef XmlPayload usual = self.usual_xml()
        if usual is not None:
            return usual.fields(self.memo, False), usual.get_body(), None
        if self.parsed is not None:
            return <tuple?>self.parsed
        payload = read_by_expat(frame[self.split :])
        if self.frame_ is frame:
            self.parsed = payload
        return payload

    cdef Py_ssize_t find_head(self) noexcept:
        """Where the header lines that are read begin in the frame; `head_stop` is known afterwards."""
        cdef const char *p = PyBytes_AS_STRING(self.frame_)
        cdef Py_ssize_t begin = 0 if self.format < PLAIN else self.split
        cdef const char *end = p + (self.split if self.format < PLAIN else PyBytes_GET_SIZE(self.frame_))
        cdef const char *blank
        if self.head_stop < 0:
            blank = find_blank(p + (begin - 1 if begin else 0), end)
            self.head_stop = (end if blank == NULL else blank) - p
        return begin

    cdef Py_ssize_t head_end(self) noexcept:
        """Where the body begins in the frame: behind the blank line, or at the end if there is none."""
        self.find_head()
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.frame_)
        if self.head_stop >= size:
            return size
        return self.head_stop + (2 if PyBytes_AS_STRING(self.frame_)[self.head_stop + 1] == c"\n" else 3)

    # Look-ups

    cdef object find(self, object name):
        """The value of a look-up, None if the name is absent."""
        if not isinstance(name, str):
            return None
        cdef PyObject *known = NULL
        cdef dict index = self.index
        if self.format == XML and self.usual_xml() is None:
            index = self.get_index()
            key = self.spelling(name, index)
            return None if key is None else index[key]
        if index is not None and PyDict_GetItemRef(index, name, &known):
            value = <object>known
            Py_DECREF(value)
            return value
        return self.find_text(name, False)

    cdef inline object find_text(self, object name, bint last):
        """The same from the bytes; `last` of a repeated spelling."""
        if self.format == JSON:
            return self.find_json(name, last)
        if PyUnicode_IS_COMPACT_ASCII(name):
            return self.find_bytes(<const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name), last)
        cdef bytes encoded = name_bytes(name)
        if encoded is None:
            return None
        return self.find_bytes(PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), last)

    cdef object find_json(self, object name, bint last):
        cdef JsonPayload payload = self.json()
        if payload.spans != NULL and (payload.distinct or not last) and type(name) is str:
            return self.memo.find_json(payload, name)
        return payload.look_up(name, last)

    cdef object find_bytes(self, const char *name, Py_ssize_t size, bint last):
        cdef Line line
        cdef bytes frame = self.frame_
        cdef XmlPayload usual
        cdef Py_ssize_t at
        if self.format == XML:
            usual = self.usual_xml()
            at = usual.find(name, size, last)
            return None if at < 0 else joined(usual.value(&at))
        if not self.find_line(name, size, &line, last):
            return None
        return text_of(line.value, line.value_size, self.format != FRAME)

    cdef bint find_line(self, const char *name, Py_ssize_t size, Line *found, bint last) noexcept:
        """The line that a look-up takes: the exact spelling, else the first that matches ignoring ASCII case."""
        if self.format == PLAIN and self.memo is not None:
            return self.memo.find_line(self, name, size, found, last)
        return self.search(NULL, name, size, found, last)

    cdef bint search(self, const Bits *bits, const char *name, Py_ssize_t size, Line *found, bint last) noexcept:
        """The same by an index of the headers, or by looking at each byte."""
        cdef const char *p = PyBytes_AS_STRING(self.frame_)
        cdef Py_ssize_t begin = self.find_head()
        cdef const char *end = p + self.head_stop
        if begin == 0 or self.head_stop < begin:
            return walk_lines(p + begin, end, name, size, found, last)
        cdef const char *start = p + begin - 1  # the frame's own block ends with a line feed
        cdef const char *at = start
        cdef const char *hit
        cdef const char *folded = NULL
        cdef bint to_end = last or is_event_name(name, size), seen = False
        while True:
            if bits == NULL:
                hit = find_name(at, end, name, size, &folded)
            else:
                hit = index_name(bits, start, at, name, size, &folded)
            if hit == NULL:
                break
            if not (end - hit >= size + 3 and hit[size + 2] == c" "):
                return walk_lines(p + begin, end, name, size, found, last)  # cut elsewhere, perhaps
            found.name = hit + 1
            found.name_size = size
            found.value = hit + size + 3
            seen = True
            if not to_end:
                break
            at = hit + 1
        if not seen:
            if folded == NULL:
                return False
            # The first that matches may be cut elsewhere, or be the first of several Event-Name in another spelling.
            return walk_lines(p + begin, end, name, size, found, last)
        if (size and memchr(name, c"\n", size) != NULL) or has_cut(name, size):
            return False  # no line can have this name
        hit = line_end(found.value, end) if bits == NULL else index_feed(bits, start, found.value)
        if hit > found.value and (hit - 1)[0] == c"\r":
            hit -= 1
        found.value_size = hit - found.value
        return True

    @cython.critical_section
    def __getitem__(self, name):
        value = self.find(name)
        if value is None:
            raise KeyError(name)
        return value

    @cython.critical_section
    def get(self, name, default=None, *, errors="surrogateescape"):
        """See eslcodec._codec_py.Message.get."""
        value = self.find(name)
        if errors is not ESCAPE and replaces(errors) and value is not None:
            return clean(value)
        return default if value is None else value

    @cython.critical_section
    def _last(self, name):
        """See eslcodec._codec_py.Message._last."""
        if self.format != XML or self.usual_xml() is not None:
            return self.find_text(name, True)
        key = self.spelling(name, self.get_index())
        value = None
        for other, written in self.xml()[0]:
            if other == key:
                value = joined(written)
        return value

    @cython.critical_section
    def __contains__(self, name):
        return self.find(name) is not None

    cdef dict get_index(self):
        cdef bytes frame = self.frame_
        cdef dict index = self.index
        if index is None:
            index = self.parse()
            if self.frame_ is frame:
                self.index = index
        return index

    cdef dict parse(self):
        """All headers, as `asdict` gives them."""
        if self.format == JSON:
            return self.json().headers(None) if self.memo is None else self.memo.json_headers(self.json())
        if self.format == XML:
            usual = self.usual_xml()
            if usual is None:
                return _first_wins(joined_fields(self.xml()[0]))
            return (<XmlPayload>usual).headers(None) if self.memo is None else self.memo.xml_headers(usual)
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef dict headers
        if self.format == PLAIN and self.memo is not None:
            headers = self.memo.headers(p + self.split, p + PyBytes_GET_SIZE(frame), &stop)
            if headers is not None:
                self.found_stop(frame, stop)
                return headers
        cdef Py_ssize_t begin = self.find_head()
        return headers_of(p + begin, p + max(self.head_stop, begin), self.format != FRAME)

    cdef void found_stop(self, bytes frame, const char *stop) noexcept:
        """Note where the block of this frame ends."""
        if self.frame_ is frame:
            self.head_stop = stop - PyBytes_AS_STRING(frame)

    def __bool__(self):
        return True

    @cython.critical_section
    def __len__(self):
        return len(self.get_index())

    @cython.critical_section
    def __iter__(self):
        return iter(self.get_index())

    def keys(self):
        """D.keys() -> a set-like object providing a view on D's keys"""
        return KeysView(self)

    def values(self):
        """D.values() -> an object providing a view on D's values"""
        return ValuesView(self)

    def items(self):
        """D.items() -> a set-like object providing a view on D's items"""
        return ItemsView(self)

    __reversed__ = None

    def _lone(self, name):
        """See eslcodec._codec_py.Message._lone."""
        return self.lone(name)

    @cython.critical_section
    cdef object lone(self, object name):
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *folded = NULL
        cdef const char *hit
        cdef const char *stop
        cdef Py_ssize_t begin, size
        if self.format not in (PLAIN, JSON) or not isinstance(name, str) or not PyUnicode_IS_COMPACT_ASCII(name):
            return False
        cdef const char *wanted = <const char *>PyUnicode_DATA(name)
        cdef JsonPayload payload
        size = PyUnicode_GET_LENGTH(name)
        if size == 0 or has_any(wanted, size, b":[\n", 3):
            return False
        if self.format == JSON:
            payload = self.json()
            if not payload.is_flat():
                return False
            if payload.spans != NULL and payload.distinct and type(name) is str:
                return self.memo.lone_json(payload, name)
            return payload.lone(wanted, size)
        begin = self.find_head()
        cdef const char *end = p + self.head_stop
        if self.head_stop < begin:
            return None
        if memchr(p + begin, c"[", end - p - begin) != NULL:
            return False
        hit = find_name(p + begin - 1, end, wanted, size, &folded)
        if hit == NULL:
            if folded == NULL:
                return None
            hit = folded
        elif folded != NULL:
            return False
        folded = NULL
        if find_name(hit + 1, end, wanted, size, &folded) != NULL or folded != NULL:
            return False
        hit += size + 2
        stop = line_end(hit, end)
        if stop > hit and (stop - 1)[0] == c"\r":
            stop -= 1
        if stop - hit < 2 or hit[0] != c" " or hit[1] == c" " or hit[1] == c"\t":
            return False
        cdef str value = value_text(hit + 1, stop - hit - 1)
        return False if value.startswith("ARRAY::") else value

    @cython.critical_section
    def _survey(self):
        """See eslcodec._codec_py.Message._survey."""
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *colon
        cdef const char *stop
        cdef Py_ssize_t lines = 0
        cdef bint arrays = False
        cdef str text
        cdef JsonPayload payload
        if self.format == JSON:
            payload = self.json()
            return payload.survey() if payload.is_flat() else None
        if self.format != PLAIN:
            return None
        cdef const char *end = p + self.split
        p += self.find_head()
        if self.head_stop > self.split:
            end += self.head_stop - self.split
        if p < end and memchr(p, c"[", end - p) != NULL:
            return None
        while p < end:
            stop = line_end(p, end)
            colon = <const char *>memchr(p, c":", stop - p)
            if colon == NULL or stop - colon < 3 or colon[1] != c" " or colon[2] in (c" ", c"\t", c"\r"):
                return None
            if (colon[2] == c"A" or colon[2] == c"%") and is_array(colon + 2, stop - colon - 2):
                arrays = True
                text = <str>value_text(colon + 2, stop - colon - 2)
                if "|:" not in text or text.startswith(("ARRAY::|:", "ARRAY::ARRAY::")):
                    return None
            lines += 1
            p = stop + 1
        return lines, arrays

    @cython.critical_section
    def select(self, *names, errors="surrogateescape"):
        """See eslcodec._codec_py.Message.select."""
        cdef bint replace = errors is not ESCAPE and replaces(errors)
        cdef tuple values = PyTuple_New(len(names))
        cdef Py_ssize_t i
        for i in range(len(names)):
            value = self.find(names[i])
            if replace and value is not None:
                value = clean(value)
            Py_INCREF(value)
            PyTuple_SET_ITEM(values, i, value)
        return values

    @cython.critical_section
    def asdict(self, *, errors="surrogateescape"):
        """See eslcodec._codec_py.Message.asdict."""
        cdef dict headers = self.parse() if self.index is None else PyDict_Copy(self.index)
        return all_replaced(headers) if errors is not ESCAPE and replaces(errors) else headers

    @cython.critical_section
    def pairs(self):
        """See eslcodec._codec_py.Message.pairs."""
        return self.get_pairs()

    cdef list get_pairs(self):
        cdef XmlPayload usual = self.usual_xml() if self.format == XML else None
        if usual is not None:
            return usual.fields(self.memo, True)
        if self.format > PLAIN:
            return joined_fields(self.json().fields() if self.format == JSON else self.xml()[0])
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef list pairs
        if self.format == PLAIN and self.memo is not None:
            pairs = self.memo.pairs(p + self.split, p + PyBytes_GET_SIZE(frame), &stop)
            if pairs is not None:
                self.found_stop(frame, stop)
                return pairs
        cdef Py_ssize_t begin = self.find_head()
        return pairs_of(p + begin, p + max(self.head_stop, begin), self.format != FRAME)

    @cython.critical_section
    def getlist(self, name):
        """See eslcodec._codec_py.Message.getlist."""
        cdef list values = []
        cdef Line line
        cdef bytes raw, frame = self.frame_
        cdef str value
        if self.format == PLAIN and isinstance(name, str) and self.index is None:
            raw = name_bytes(name)
            if raw is None or not self.find_line(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), &line, False):
                return values
            if self.stands_once(&line, raw):
                value = value_text(line.value, line.value_size)
                return value[7:].split("|:") if value.startswith("ARRAY::") else [value]
        key = self.spelling(name, self.get_index())
        if key is None:
            return values
        for other, written in self.get_fields():
            if other == key:
                values += [written] if isinstance(written, str) else written
        return values

    @cython.critical_section
    def _fields(self):
        """See eslcodec._codec_py.Message._fields."""
        return self.get_fields()

    cdef list get_fields(self):
        if self.format == JSON:
            fields = self.json().fields()
        else:
            fields = self.xml()[0] if self.format == XML else self.get_pairs()
        cdef list split = []
        for name, value in fields:
            split.append((name, split_array(value) if isinstance(value, str) else value))
        return split

    def to_json(self, errors="replace"):
        """See eslcodec._codec_py.Message.to_json."""
        cdef bint replace = errors == "replace"
        if not replace and errors != "surrogateescape":
            raise ValueError(f"errors is {errors!r}, expected 'replace' or 'surrogateescape'")
        json = None
        if type(self).body is BODY:
            if self.format == XML:
                json = self.xml_json(replace, False)
            else:
                json = self.json_json(replace) if self.format == JSON else self.plain_json(replace, False)
        return _to_json(self._fields(), self.body, replace) if json is None else json

    def _whole_json(self):
        """See eslcodec._codec_py.Message._whole_json."""
        if type(self).body is not BODY:
            return None
        return self.xml_json(False, True) if self.format == XML else self.plain_json(False, True)

    def _mapping(self, bint replace):
        """See eslcodec._codec_py.Message._mapping."""
        if self.format == JSON and type(self).body is BODY:
            return self.json_mapping(replace)
        mapping = None
        if type(self).body is BODY:
            mapping = self.xml_mapping(replace) if self.format == XML else self.plain_mapping(replace)
        return _to_mapping(self._fields(), self.body, replace) if mapping is None else mapping

    @cython.critical_section
    cdef bytes json_json(self, bint replace):
        return self.json().to_json(replace)

    @cython.critical_section
    cdef dict json_mapping(self, bint replace):
        cdef JsonPayload payload = self.json()
        if payload.spans == NULL or not payload.own:
            return payload.mapping(replace)
        cdef dict mapping = self.memo.json_headers(payload)  # texts, all of them UTF-8
        payload.put_others(mapping, replace)
        return mapping

    @cython.critical_section
    cdef bytes xml_json(self, bint replace, bint whole):
        """The headers and the body of an XML event; None if that needs another way."""
        cdef XmlPayload payload = self.usual_xml()
        return None if payload is None else payload.to_json(self.memo, replace, whole)

    @cython.critical_section
    cdef dict xml_mapping(self, bint replace):
        cdef XmlPayload payload = self.usual_xml()
        return None if payload is None else payload.mapping(self.memo, replace)

    @cython.critical_section
    cdef bytes plain_json(self, bint replace, bint whole):
        """The headers and the body of a plain event; None if that needs another way."""
        if self.format != PLAIN:
            return None
        cdef bytes json, frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef Memo memo = self.own_memo()
        json = memo.json(p + self.split, p + PyBytes_GET_SIZE(frame), &stop, replace, whole)
        if stop != NULL:
            self.found_stop(frame, stop)
        return json

    cdef Memo own_memo(self):
        """The decoder's; one for the moment, if there is none or it is busy."""
        return Memo() if self.memo is None else self.memo.unless_busy()

    @cython.critical_section
    cdef dict plain_mapping(self, bint replace):
        """`_mapping` of a plain event; None if that needs another way."""
        if self.format != PLAIN:
            return None
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef const char *end = p + PyBytes_GET_SIZE(frame)
        cdef Memo memo = self.own_memo()
        cdef dict mapping = memo.headers(p + self.split, end, &stop)
        if mapping is None:
            return None
        self.found_stop(frame, stop)
        if not shape_mapping(mapping, replace):
            return None
        p = block_end(stop, end)
        if p < end:
            text = raw_text(p, end - p)
            mapping["_body"] = replaced(text) if replace else text
        return mapping

    cdef bint stands_once(self, const Line *line, bytes name) noexcept:
        """Whether `line`, which `find_line` found, is the only one of this exact name."""
        cdef const char *text = PyBytes_AS_STRING(name)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
        cdef const char *folded = NULL
        if line.name_size != size or memcmp(line.name, text, size) != 0 or is_event_name(text, size):
            return False
        return find_name(line.value, PyBytes_AS_STRING(self.frame_) + self.head_stop, text, size, &folded) == NULL

    cdef object spelling(self, name, dict index):
        """The key that a look-up of `name` takes."""
        if not isinstance(name, str):
            return None
        if name in index:
            return name
        cdef bytes wanted = name_bytes(name)
        if wanted is None:
            return None
        wanted = wanted.lower()
        for key in index:
            if name_bytes(key).lower() == wanted:
                return key
        return None

    # As an object

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        cdef Message that = <Message>other
        return self.identity() == that.identity()

    def __hash__(self):
        return hash(self.identity())

    @cython.critical_section
    cdef tuple identity(self):
        if self.format < PLAIN:
            return self.format, self.frame_, self.has_body
        return self.format, self.frame_[self.split :], True

    @cython.critical_section
    def __reduce__(self):
        return type(self), (self.frame_[: self.split], self.frame_[self.split :] if self.has_body else None)

    def __repr__(self):
        """See eslcodec._codec_py.Message.__repr__."""
        told = self._told() if self.frame_ else "not made yet"
        return f"<{type(self).__name__} {told}>" if told else f"<{type(self).__name__}>"

    def _told(self):
        """See eslcodec._codec_py.Message._told."""
        kind = self.content_type
        return f"{'' if kind is None else word(kind) + ' '}of {len(self.frame)} bytes"


cdef list joined_fields(list fields):
    """Headers with each array as its text."""
    cdef list pairs = []
    for name, value in fields:
        pairs.append((name, joined(value)))
    return pairs


Mapping.register(Message)
cdef object BODY = Message.body  # a subclass may have another


cdef bint has_cut(const char *name, Py_ssize_t size) noexcept:
    """Whether ": " stands in a name: it would have been cut there."""
    cdef const char *end = name + size
    cdef const char *cut = find_cut(name, end)
    return cut != NULL and end - cut >= 2 and cut[1] == c" "


cdef bint walk_lines(
    const char *p, const char *end, const char *name, Py_ssize_t size, Line *found, bint last
) noexcept:
    """Find the line that a look-up takes by cutting one after another; `last` of a repeated spelling."""
    cdef Line line
    cdef const char *begin = p
    cdef bint to_end = last or is_event_name(name, size), exact = False, folded = False
    while next_line(&p, end, &line):
        if line.name_size != size:
            continue
        if memcmp(line.name, name, size) == 0:
            found[0] = line
            exact = True
            if not to_end:
                return True
        elif not exact and not folded and folded_equal(line.name, name, size):
            found[0] = line
            folded = True
    if folded and not exact and (last or is_event_name(found.name, found.name_size)):
        return walk_lines(begin, end, found.name, found.name_size, found, True)  # of several, the last counts
    return exact or folded


cdef object MINUS_ONE = -1


cdef class HeaderReader:
    """See eslcodec._codec_py.HeaderReader."""

    cdef public Message _frame
    cdef public dict _index
    cdef public list _names
    cdef Py_ssize_t at

    def getHeader(self, name, idx=-1, /):
        """See eslcodec._codec_py.HeaderReader.getHeader."""
        cdef PyObject *known = NULL
        cdef Message frame
        cdef dict index
        if idx is MINUS_ONE and isinstance(name, str):
            with cython.critical_section(self):
                index = self._index
                frame = self._frame
            if index is not None:
                if PyDict_GetItemRef(index, name, &known):  # whose dict it is may change it meanwhile
                    found = <object>known
                    Py_DECREF(found)
                    if found is not None:
                        return found
            elif frame is not None:
                found = frame.lone(name)
                if found is not False and found is not None:
                    return found
        return self._find(name, idx)

    @cython.critical_section
    @cython.boundscheck(True)  # anybody may shorten the list
    def nextHeader(self):
        """See eslcodec._codec_py.HeaderReader.nextHeader."""
        if self._names is None or self.at >= len(self._names):
            return None
        self.at += 1
        return self._names[self.at - 1]

    def _rewind(self, list names not None):
        """See eslcodec._codec_py.HeaderReader._rewind."""
        with cython.critical_section(self):
            self._names = names
            self.at = 0
        return self.nextHeader()

    @cython.critical_section
    def __reduce__(self):
        state = self._frame, self._index, self._names, self.at, getattr(self, "__dict__", None)
        return _newobj, (type(self),), state

    @cython.critical_section
    def __setstate__(self, state):
        frame, index, names, at, others = state
        self._frame = frame
        self._index = index
        self._names = names
        self.at = max(at, 0)
        if others:
            self.__dict__.update(others)
