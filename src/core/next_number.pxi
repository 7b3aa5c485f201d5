# Events that are the next by number, without reading more of them.


cdef inline const char *line_after(const char *p, const char *last) noexcept:
    """Where the next line begins, NULL if none does up to there."""
    if p >= last:
        return NULL
    p = <const char *>memchr(p, c"\n", last - p)
    return NULL if p == NULL else p + 1


cdef const char *plain_number(const char *p, const char *last, const char *end) noexcept:
    """What follows the first `Event-Sequence: ` of the lines from here, NULL if there is none."""
    while p != NULL and p < end and p[0] != c"\n":
        if end - p >= 16 and memcmp(p, b"Event-Sequence: ", 16) == 0:
            return p + 16
        p = line_after(p, last)
    return NULL


cdef const char *json_number(const char *p, const char *last, const char *end) noexcept:
    """The same in JSON: a quote after a comma is in no text, where it would have a backslash before it."""
    while p < last:
        p = <const char *>memchr(p, c",", last - p)
        if p == NULL:
            return NULL
        if end - p >= 19 and memcmp(p, b',"Event-Sequence":"', 19) == 0:
            return p + 19
        p += 1
    return NULL


cdef class NextNumber:
    """See eslcodec._codec_py.NextNumber."""

    cdef public int64_t _next
    cdef public int64_t _count
    cdef public int64_t _until
    cdef public int64_t _read
    cdef public object _answer
    cdef tuple names  # as bytes,
    cdef tuple texts  # and as text

    def __cinit__(self):
        self.names = self.texts = ()
        self._next = self._read = -1

    def __init__(self, names):
        cdef list encoded = [], texts = []
        for name in names:
            encoded.append(name.encode("ascii"))
            texts.append(name)
        self.names = tuple(encoded)
        self.texts = tuple(texts)
        self._next = self._read = -1
        self._count = 0
        self._until = LENGTH_CEILING

    def __reduce__(self):
        return refuse_pickle(self)

    @cython.critical_section
    def takes(self, message):
        """See eslcodec._codec_py.NextNumber.takes."""
        return self.take(message)

    @cython.critical_section
    @cython.boundscheck(True)  # anybody may shorten the list
    def passes(self, list messages not None, Py_ssize_t start):
        """See eslcodec._codec_py.NextNumber.passes."""
        cdef Py_ssize_t at = max(start, 0)
        while at < len(messages):
            self._answer = self.take(messages[at])
            if self._answer is not NOTHING:
                break
            at += 1
        return at

    cdef object take(self, object message):
        self._read = -1
        if self._next < 0 or self._count >= self._until or not isinstance(message, Message):
            return None
        cdef bytes frame = (<Message>message).frame_
        cdef const char *p = PyBytes_AS_STRING(frame) + (<Message>message).split
        cdef const char *end = PyBytes_AS_STRING(frame) + PyBytes_GET_SIZE(frame)
        cdef Py_ssize_t place = self.look(p, end, (<Message>message).format)
        if self._read != self._next:
            return None
        self._next += 1
        self._count += 1
        return NOTHING if place < 0 else self.texts[place]

    cdef Py_ssize_t place(self, const char *name, Py_ssize_t size) noexcept:
        """Which of the names it is, -1 if it is none of them."""
        cdef Py_ssize_t i
        cdef bytes wanted
        for i in range(PyTuple_GET_SIZE(self.names)):
            wanted = <bytes>PyTuple_GET_ITEM(self.names, i)
            if PyBytes_GET_SIZE(wanted) == size and memcmp(PyBytes_AS_STRING(wanted), name, size) == 0:
                return i
        return -1

    cdef Py_ssize_t look(self, const char *p, const char *end, int format) noexcept:
        """Note the number of an event that is as most are. Returns which name it has."""
        cdef const char *last = end if end - p <= NEXT_NUMBER_BYTES else p + NEXT_NUMBER_BYTES
        cdef const char *name
        cdef const char *stop
        cdef char close = c"\n"
        cdef uint64_t number = 0
        cdef int digits = 0
        if format == PLAIN and last - p > 12 and memcmp(p, b"Event-Name: ", 12) == 0:
            name = p + 12
        elif format == JSON and last - p > 15 and memcmp(p, b'{"Event-Name":"', 15) == 0:
            name = p + 15
            close = c'"'
        else:
            return -1
        stop = <const char *>memchr(name, close, last - name)
        if stop == NULL or memchr(name, c"%", stop - name) != NULL or memchr(name, c"\\", stop - name) != NULL:
            return -1
        p = plain_number(stop + 1, last, end) if format == PLAIN else json_number(stop, last, end)
        if p == NULL:
            return -1
        while p < end and digits < 18 and c"0" <= p[0] <= c"9":
            number = 10 * number + <uint64_t>(p[0] - c"0")
            digits += 1
            p += 1
        if digits > 0 and p < end and p[0] == close:
            self._read = <int64_t>number
        return self.place(name, stop - name)
