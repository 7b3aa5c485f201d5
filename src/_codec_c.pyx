# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True, auto_pickle=False
"""The compiled core: the twin of eslcodec/_codec_py.py, which says what everything here does and why.

Same input, same chunking: same messages, same errors, same bytes left over. What differs is how:

* Unread bytes lie in one piece of memory that `get_buffer` gives out a window of. While a window is out its bytes are
  never moved: bytes that are fed meanwhile go to another piece. Whoever keeps a window keeps its memory.
* A header is found in an index of the block's line feeds and colons, one bit a byte (scan.h): a line feed and a colon at
  the distance of the name's length.
* A decoder remembers of each name the two lines that came last, and which name followed it (`Memo`): nine lines in ten
  are the same bytes again and need no parsing, whatever the event's other headers are. `pairs` and `to_json` put
  together what was made of these lines before; `asdict` copies the dict of an event with nearly the same names and
  replaces what differs. Names are shared by all decoders, values by none.
* A JSON event is compared, member by member, with what was last after the same name (`JsonMemo`).

Its parts are core/*.pxi, included below into one C file. Nothing is taken from the twin, so that a mistake in one is
not in both. Only the texts of errors and the reading of XML by expat (`_json.py`, `_xml.py`) serve both.

Functions that hold pointers into a message's bytes hold the bytes object as well. Lists are made by loops that append:
what Cython makes of a list comprehension frees an item twice when the list cannot grow.

Without the GIL every public method runs in a critical section of its object, and what messages share (`Memo`, `Store`)
has one of its own; with the GIL these are nothing. A nested section of the same object is slow before Python 3.14, so
public methods call only private ones. Whatever runs Python code, or waits for another object's section, may let other
threads in: state is whole before it, and is looked at again after it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.datetime cimport datetime_new, import_datetime
from cpython.dict cimport PyDict_Copy, PyDict_GetItemRef, PyDict_Next, PyDict_SetItem
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

import operator
import re
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from copyreg import __newobj__ as _newobj
from datetime import timezone

from . import limits
from ._ctext import word
from ._json import Fault
from ._json import fault as json_fault
from .errors import (
    BodyTooLarge,
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
    const char *only_plain_name(const char *p, const char *end, size_t *size)
    const char *only_json_name(const char *p, const char *end, size_t *size)
    const char *only_xml_name(const char *p, const char *end, size_t *size)
    ctypedef struct Bits:
        uint64_t *feeds
        uint64_t *colons
        size_t room
        size_t words
        size_t stop
    const size_t BITS_MORE
    ctypedef struct Sought:
        const char *name
        size_t size
        uint64_t tail
        uint32_t next
    ctypedef struct Seen:
        const char *value
        size_t size
        int found, unsure
    uint64_t tail_of(const char *name, size_t size)
    unsigned sought_slot(uint64_t tail, size_t size)
    void see_lines(const Bits *bits, const char *p, const Sought *all, const uint32_t *slots, Seen *seen)
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
    enum: WORDS_MOST
    ctypedef struct Words:
        pass
    void add_word(Words *words, const char *word, size_t size)
    uint64_t find_words(const Words *words, const char *p, size_t n)
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
import_datetime()

cdef extern from "crc.h" nogil:
    enum:
        CRC_TURN
    bint has_clmul()
    uint32_t crc_by_turns(const unsigned char *at, size_t size, uint32_t crc)

cdef bint use_clmul = has_clmul()

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
cdef Py_ssize_t SCANNED_MAX = limits.MAX_HEADER_BYTES
cdef Py_ssize_t SCANNED_STEP = 4096  # of a head that has begun, before its end is looked for
cdef Py_ssize_t MAX_BODY_BYTES = limits.MAX_BODY_BYTES
cdef Py_ssize_t NEXT_NUMBER_BYTES = limits.NEXT_NUMBER_BYTES
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


include "core/text.pxi"
include "core/lines.pxi"
include "core/json_out.pxi"
include "core/templates.pxi"
include "core/json_in.pxi"
include "core/xml_in.pxi"
include "core/json_templates.pxi"
include "core/store.pxi"
include "core/splitter.pxi"
include "core/scanner.pxi"
include "core/decoder.pxi"
include "core/message.pxi"
include "core/lone.pxi"
include "core/header_reader.pxi"
include "core/next_number.pxi"
include "core/channel_filter.pxi"
include "core/row_reader.pxi"
include "core/word_finder.pxi"
