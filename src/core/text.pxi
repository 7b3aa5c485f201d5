# Bytes of the wire as text and back: percent-encoding, UTF-8 with surrogateescape.


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
    UNESCAPED[_byte] = chr(_byte).isalnum() and _byte < 128 or _byte in b"!$'()*,-./_~"


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


# Text that is not UTF-8, and arrays


cdef object SURROGATES = re.compile(f"[{chr(0xD800)}-{chr(0xDFFF)}]")


cdef bint replaces(errors) except -1:
    """Whether bytes that are not UTF-8 are to be replaced, by the name of the way."""
    if errors == "surrogateescape":
        return False
    if errors == "replace":
        return True
    raise ValueError(f"errors is {errors!r}, expected 'replace' or 'surrogateescape'")


cdef inline object replaced(object text):
    """Text with U+FFFD for each byte that is not UTF-8."""
    return text if PyUnicode_IS_COMPACT_ASCII(text) else SURROGATES.sub(chr(0xFFFD), text)


cdef dict all_replaced(dict headers):
    """Names and values `replaced`; `headers` itself if all is UTF-8."""
    try:
        "".join([*headers, *headers.values()]).encode()
    except UnicodeEncodeError:
        pass
    else:
        return headers
    cdef list pairs = []
    for name, value in headers.items():
        pairs.append((replaced(name), replaced(value)))
    return first_wins(pairs)


cdef dict first_wins(list pairs):
    """Pairs as a dict: the first of a repeated spelling counts, of several Event-Name the last."""
    cdef dict headers = {}
    for name, value in pairs:
        if name == "Event-Name" or name not in headers:
            headers[name] = value
    return headers


cdef object joined(value):
    """An array as the plain format writes it (docs/protocol/headers.md, P6.4); text as it is."""
    if isinstance(value, str):
        return value
    if len(value) == 1:
        return value[0]
    return "ARRAY::" + "|:".join(value) if value else ""


cdef object split_array(str text):
    """The items of an array's text as a list; any other text as it is."""
    return text[7:].split("|:") if text.startswith("ARRAY::") else text
