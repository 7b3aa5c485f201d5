# XML payloads in the shape that the switch writes (`XmlPayload`); expat reads all else.


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
        """Note the element at *at, which moves to the end of its line."""
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
        """Note the Content-Length, which is digits, and the body."""
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
        """The header at *at, which moves to its end: text, or a list."""
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
                value = replaced(value)
            elif replace:
                items = <list>value
                for i in range(len(items)):
                    items[i] = replaced(items[i])
            distinct = len(mapping)
            PyDict_SetDefault(mapping, name, value)
            if len(mapping) == distinct and is_event_name(token.text, token.size):
                mapping[name] = value
        if self.has_body:
            body = self.get_body()
            text = raw_text(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            mapping["_body"] = replaced(text) if replace else text
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
            write_bytes(out, b',"_body":', 9)  # after its Content-Length at least
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
