# What a reader with look-up rules of its own asks of a message: the drop-in for the official module.


def lone(Message message not None, name):
    """See eslcodec._codec_py.lone."""
    return lone_value(message, name)


@cython.critical_section
cdef object lone_value(Message message, object name):
    cdef bytes frame = message.frame_
    cdef const char *p = PyBytes_AS_STRING(frame)
    cdef const char *folded = NULL
    cdef const char *hit
    cdef const char *stop
    cdef Py_ssize_t begin, size
    if message.format not in (PLAIN, JSON) or not isinstance(name, str) or not PyUnicode_IS_COMPACT_ASCII(name):
        return False
    cdef const char *wanted = <const char *>PyUnicode_DATA(name)
    cdef JsonPayload payload
    size = PyUnicode_GET_LENGTH(name)
    if size == 0 or has_any(wanted, size, b":[\n", 3):
        return False
    if message.format == JSON:
        payload = message.json()
        if not payload.is_flat():
            return False
        if payload.spans != NULL and payload.distinct and type(name) is str:
            return message.memo.lone_json(payload, name)
        return payload.lone(wanted, size)
    begin = message.find_head()
    cdef const char *end = p + message.head_stop
    if message.head_stop < begin:
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
def survey(Message message not None):
    """See eslcodec._codec_py.survey."""
    cdef bytes frame = message.frame_
    cdef const char *p = PyBytes_AS_STRING(frame)
    cdef const char *colon
    cdef const char *stop
    cdef Py_ssize_t lines = 0
    cdef bint arrays = False
    cdef str text
    cdef JsonPayload payload
    if message.format == JSON:
        payload = message.json()
        return payload.survey() if payload.is_flat() else None
    if message.format != PLAIN:
        return None
    cdef const char *end = p + message.split
    p += message.find_head()
    if message.head_stop > message.split:
        end += message.head_stop - message.split
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
