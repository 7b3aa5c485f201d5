# JSON as it is written: a buffer that grows, strings, values, and the members of an event with repeated names.


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
    """Write what follows the headers, and the braces."""
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


# Headers and a body that were read into Python objects: what a payload in JSON or XML was that nothing quicker could read


cdef dict mapping_of(list fields, body, bint replace):
    """Headers and body in the shape of the switch's JSON events, `replace` as in `Event.to_dict`. All lists are new."""
    cdef list pairs = []
    for name, value in fields:
        pairs.append((replaced(name) if replace else name, own_value(value, replace)))
    mapping = first_wins(pairs)
    if body is not None:
        text = bytes_text(body, False)
        mapping["_body"] = replaced(text) if replace else text
    return mapping


cdef object own_value(value, bint replace):
    if isinstance(value, str):
        return replaced(value) if replace else value
    cdef list items = []
    for item in value:
        items.append(replaced(item) if replace else item)
    return items


cdef object write_json = None  # json is loaded by those who need it


cdef bytes json_of(list fields, body, bint replace):
    """`mapping_of` as compact JSON. What is not UTF-8 and not replaced is written as an escaped surrogate."""
    global write_json
    if write_json is None:
        from json import JSONEncoder

        write_json = JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
    return write_json(mapping_of(fields, body, replace)).encode("utf-8", "backslashreplace")
