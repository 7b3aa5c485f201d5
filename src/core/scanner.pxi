# What a recording is made with: where in each piece of a stream the first frame begins (`HeadScanner`), `crc32`.


cdef class HeadScanner:
    """See eslcodec._codec_py.HeadScanner."""

    cdef Py_ssize_t body  # bytes of a body that are still to come
    cdef bytearray head  # of a head whose end has not come
    cdef bint lost

    def __cinit__(self):
        self.head = bytearray()

    def __init__(self):
        pass

    def __reduce__(self):
        return refuse_pickle(self)

    def scan(self, data):
        """See eslcodec._codec_py.HeadScanner.scan."""
        cdef Py_buffer raw
        cdef Py_ssize_t first
        with viewed(data, "scan") as view:
            if not view.c_contiguous:
                raise BufferError("scan() takes contiguous bytes")
            PyObject_GetBuffer(view, &raw, PyBUF_SIMPLE)
            try:
                first = self.go_over(<const char *>raw.buf, raw.len)
            finally:
                PyBuffer_Release(&raw)
        return None if first < 0 else first

    @cython.critical_section
    cdef Py_ssize_t go_over(self, const char *data, Py_ssize_t size) except -2:
        """Where the first frame begins that begins in these bytes, -1 if none does."""
        cdef Py_ssize_t first = -1, at = 0, step
        while not self.lost:
            step = min(self.body, size - at)
            self.body -= step
            at += step
            if PyByteArray_GET_SIZE(self.head) == 0:
                while at < size and (data[at] == c"\n" or data[at] == c"\r"):
                    at += 1
                if at < size and first < 0:
                    first = at
            if at == size:
                break
            at = self.pass_head(data, at, size)
        return first

    cdef Py_ssize_t pass_head(self, const char *data, Py_ssize_t at, Py_ssize_t size) except -1:
        """Go over a head or as much as there is of it; where it ends in `data`."""
        cdef Place place
        cdef const char *end
        cdef Py_ssize_t known, more = SCANNED_MAX
        if PyByteArray_GET_SIZE(self.head) == 0:
            end = usual_head(data + at, data + size, &place.length, &place.type_at, &place.type_size)
            if end > data + at and end - data - at <= SCANNED_MAX and place.length <= MAX_BODY_BYTES:
                self.body = max(<Py_ssize_t>place.length, 0)
                return end - data
            end = self.note_head(data + at, 0, min(size - at, SCANNED_MAX))
            if end != NULL:
                return end - data
            more = SCANNED_MAX + 1
        while at < size:
            known = PyByteArray_GET_SIZE(self.head)
            more = min(size - at, SCANNED_STEP if known else more)
            self.head.extend(data[at : at + more])
            end = self.note_head(PyByteArray_AS_STRING(self.head), known - 2, min(known + more, SCANNED_MAX))
            if end != NULL:
                at += end - PyByteArray_AS_STRING(self.head) - known
                self.head.clear()
                return at
            if known + more > SCANNED_MAX:
                self.lost = True
                self.head.clear()
                return size
            at += more
        return at

    cdef const char *note_head(self, const char *p, Py_ssize_t searched, Py_ssize_t size) except? NULL:
        """The end of the head that begins at `p`, NULL if it is not among `size` bytes. If it has one, what it says is
        noted."""
        cdef Place place
        cdef const char *blank = find_blank(p + max(searched, 0), p + size)
        if blank == NULL:
            return NULL
        try:
            place.length = read_head(p, blank, &place)
        except InvalidContentLength:
            self.lost = True
        else:
            if place.length > MAX_BODY_BYTES:
                self.lost = True
            elif place.length < 0 and place.type_size >= 0 and format_of(p + place.type_at, place.type_size) > PLAIN:
                self.lost = True
            else:
                self.body = max(<Py_ssize_t>place.length, 0)
        return blank + (2 if blank[1] == c"\n" else 3)


def crc32(data, value=0):
    """See eslcodec._codec_py.crc32."""
    from zlib import crc32 as by_zlib  # not every user of the core records

    cdef Py_buffer raw
    cdef Py_ssize_t whole
    cdef uint32_t crc
    cdef bytes rest
    if not use_clmul:
        return by_zlib(data, value)
    PyObject_GetBuffer(data, &raw, PyBUF_SIMPLE)
    try:
        if raw.len < CRC_TURN:
            return by_zlib(data, value)
        whole = raw.len & ~<Py_ssize_t>15
        crc = ~<uint32_t>(value & UINT32_MAX)
        with nogil:
            crc = ~crc_by_turns(<const unsigned char *>raw.buf, whole, crc)
        if whole == raw.len:
            return crc
        rest = PyBytes_FromStringAndSize(<const char *>raw.buf + whole, raw.len - whole)
        return by_zlib(rest, crc)
    finally:
        PyBuffer_Release(&raw)
