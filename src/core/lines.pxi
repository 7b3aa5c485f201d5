# Header lines: where a line ends, its name and its value; `parse_pairs`, `parse_headers`.


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
    """The next header line from *at on; *at moves to its end. False at a blank line and at the end."""
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
    cdef bytes data = block_bytes(block)
    if multiline:
        return multiline_pairs(data, decode)
    cdef const char *p = PyBytes_AS_STRING(data)
    return pairs_of(p, p + PyBytes_GET_SIZE(data), decode)


def parse_headers(block, *, bint decode=True, bint multiline=False):
    """See eslcodec._codec_py.parse_headers."""
    cdef bytes data = block_bytes(block)
    if multiline:
        return first_wins(multiline_pairs(data, decode))
    cdef const char *p = PyBytes_AS_STRING(data)
    return headers_of(p, p + PyBytes_GET_SIZE(data), decode)


cdef list pairs_of(const char *p, const char *end, bint decode):
    cdef Line line
    cdef list pairs = []
    while next_line(&p, end, &line):
        pairs.append((raw_text(line.name, line.name_size), text_of(line.value, line.value_size, decode)))
    return pairs


cdef list multiline_pairs(bytes data, bint decode):
    """As `pairs_of`, where a line without a colon goes on with the value before it."""
    cdef const char *p = PyBytes_AS_STRING(data)
    cdef const char *end = p + PyBytes_GET_SIZE(data)
    cdef const char *feed
    cdef const char *stop
    cdef Line line
    cdef list pairs = [], values = []
    while p < end:
        feed = line_end(p, end)
        stop = feed - 1 if feed > p and (feed - 1)[0] == c"\r" else feed
        if stop == p:
            break
        if cut_line(p, stop, &line):
            values = [PyBytes_FromStringAndSize(line.value, line.value_size)]
            pairs.append((raw_text(line.name, line.name_size), values))
        elif pairs:
            values.append(PyBytes_FromStringAndSize(p, stop - p))
        p = feed + 1
    cdef list whole = []
    for name, values in pairs:
        whole.append((name, bytes_text(b"\n".join(values), decode)))
    return whole


cdef object bytes_text(bytes data, bint decode):
    return text_of(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), decode)


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
