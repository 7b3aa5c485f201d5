# Many headers of a message at once, each as what it is: `RowReader`.


cdef enum:
    STRING_CELL = 0
    INT_CELL = 1
    FLOAT_CELL = 2
    TIME_CELL = 3
    LIST_CELL = 4

    SOUGHT_MIN = 16  # fewer names are looked for one by one
    SOUGHT_ROOM = 512  # SOUGHT_SLOTS of scan.h

cdef dict CELLS = {
    "string": STRING_CELL, "int64": INT_CELL, "float64": FLOAT_CELL, "timestamp": TIME_CELL, "list": LIST_CELL
}
cdef object UTC = timezone.utc
cdef uint64_t TIME_MOST = 253402300800000000  # microseconds: the year 10000, which no datetime has


@cython.no_gc
cdef class RowReader:
    """See eslcodec._codec_py.RowReader."""

    # Never changes once it is made: what is read from it needs no lock.

    cdef tuple names
    cdef bytes kinds  # of each, one of the above
    cdef tuple encoded  # the names as bytes, to which `sought` points
    cdef Sought *sought  # NULL if they are too few to be looked for at once
    cdef uint32_t slots[SOUGHT_ROOM]
    cdef Memo memo  # has the index of a message that no decoder made

    def __cinit__(self):
        self.names = ()
        self.kinds = b""
        self.memo = Memo()

    def __init__(self, columns):
        cdef list names = [], kinds = [], encoded = []
        for name, kind in columns:
            if type(name) is not str:
                raise TypeError(f"a name is {name!r}, expected a str")
            names.append(name)
            kinds.append(CELLS[kind])
            encoded.append(name_bytes(name) or b"")
        self.make(tuple(names), bytes(kinds), tuple(encoded))

    @cython.critical_section
    cdef int make(self, tuple names, bytes kinds, tuple encoded) except -1:
        if self.encoded is not None:
            raise TypeError("a RowReader is made once")
        self.encoded = encoded
        if len(names) >= SOUGHT_MIN:
            self.seek()
        self.kinds = kinds
        self.names = names
        return 0

    def __dealloc__(self):
        PyMem_Free(self.sought)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef int seek(self) except -1:
        """Put the names into a table, but for those that only a look-up can find."""
        cdef Py_ssize_t i, count = PyTuple_GET_SIZE(self.encoded)
        cdef Sought *one
        cdef bytes name
        cdef unsigned slot
        self.sought = <Sought *>PyMem_Calloc(count, sizeof(Sought))
        if self.sought == NULL:
            raise MemoryError
        for i in range(count):
            one = &self.sought[i]
            name = <bytes>self.encoded[i]
            one.name = PyBytes_AS_STRING(name)
            one.size = PyBytes_GET_SIZE(name)
            if one.size == 0 or is_event_name(one.name, one.size) or b":" in name or b"\n" in name:
                one.name = NULL
                continue
            one.tail = tail_of(one.name, one.size)
            slot = sought_slot(one.tail, one.size)
            one.next = self.slots[slot]
            self.slots[slot] = <uint32_t>i + 1
        return 0

    def read(self, Message message not None):
        """See eslcodec._codec_py.RowReader.read."""
        return read_row(message, self)


@cython.critical_section
cdef list read_row(Message message, RowReader reader):
    cdef bint lent = message.memo is None and message.format == PLAIN
    if not lent:
        return read_cells(message, reader)
    message.memo = reader.memo
    try:
        return read_cells(message, reader)
    finally:
        message.memo = None
        message.number = 0  # of the memo that was lent


cdef list read_cells(Message message, RowReader reader):
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(reader.names)
    cdef const char *kinds = PyBytes_AS_STRING(reader.kinds)
    cdef bytes frame = message.frame_
    cdef list row = []
    cdef Seen *seen = NULL
    if reader.sought != NULL and message.format == PLAIN and message.index is None:
        seen = <Seen *>PyMem_Calloc(count, sizeof(Seen))
        if seen == NULL:
            raise MemoryError
    try:
        if seen != NULL and not message.memo.see(message, reader.sought, reader.slots, seen):
            PyMem_Free(seen)
            seen = NULL
        for i in range(count):
            if seen == NULL or seen[i].unsure or reader.sought[i].name == NULL:
                text = message.find(<object>PyTuple_GET_ITEM(reader.names, i))
            elif seen[i].found:
                text = value_text(seen[i].value, seen[i].size)
            else:
                text = None
            row.append(cell(text, kinds[i]))
    finally:
        PyMem_Free(seen)
    return row


cdef object cell(object text, int kind):
    """The value of a text, as the twin reads it."""
    cdef const char *p
    cdef Py_ssize_t size
    cdef uint64_t number = 0
    cdef bint minus = False
    if kind == LIST_CELL:
        return items_of(<str>text) if text else ()
    if kind == STRING_CELL or text is None:
        return text
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return None
    p = <const char *>PyUnicode_DATA(text)
    size = PyUnicode_GET_LENGTH(text)
    if kind == FLOAT_CELL:
        return float(text) if size <= 30 and is_decimal(p, p + size) else None
    if size > 19 or not read_whole(p, p + size, &number, &minus):
        return None
    if kind == INT_CELL and minus:
        return -<int64_t>number
    if kind == INT_CELL:
        return number
    return None if minus or number == 0 or number >= TIME_MOST else moment(number)


cdef tuple items_of(str text):
    if text.startswith("ARRAY::"):
        return tuple(text[7:].split("|:"))
    return (text,)


cdef bint read_whole(const char *p, const char *end, uint64_t *number, bint *minus) noexcept nogil:
    """Read `-?[0-9]+`, of at most 19 characters."""
    minus[0] = p < end and p[0] == c"-"
    if minus[0]:
        p += 1
    if p == end:
        return False
    while p < end:
        if not c"0" <= p[0] <= c"9":
            return False
        number[0] = 10 * number[0] + <uint64_t>(p[0] - c"0")
        p += 1
    return True


cdef bint is_decimal(const char *p, const char *end) noexcept nogil:
    """Whether it is digits with at most one point somewhere, and perhaps a minus before them."""
    cdef Py_ssize_t digits = 0, points = 0
    if p < end and p[0] == c"-":
        p += 1
    while p < end:
        if c"0" <= p[0] <= c"9":
            digits += 1
        elif p[0] == c".":
            points += 1
        else:
            return False
        p += 1
    return digits > 0 and points < 2


cdef object moment(uint64_t microseconds):
    """A time before the year 10000. The calendar is counted from March on, so that a leap day is the last of its year."""
    cdef uint64_t seconds = microseconds // 1000000
    cdef int64_t days = <int64_t>(seconds // 86400) + 719468  # since March of the year 0
    cdef int64_t era = days // 146097  # 400 years
    cdef int64_t day = days - era * 146097
    cdef int64_t year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    cdef int64_t month
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month = month + 3 if month < 10 else month - 9
    year += 400 * era + (month <= 2)
    return datetime_new(
        <int>year, <int>month, <int>day + 1, <int>(seconds // 3600 % 24), <int>(seconds // 60 % 60), <int>(seconds % 60),
        <int>(microseconds % 1000000), UTC,
    )
