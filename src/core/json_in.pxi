# JSON payloads: a scanner of tokens, and what is asked of a payload (`JsonPayload`).


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
    """The places of the members of a JSON payload. Twin: eslcodec/_json.py.

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
    cdef bint own  # it stands there as `to_json` would write it, except perhaps for the body
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
        """Note all members. False with a fault."""
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
        """Count the member that was read last, except `_body`, which is no header."""
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
        """The value that a look-up takes: of the exact spelling, else of the first that matches ignoring ASCII case."""
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

    # What the drop-in for the official module asks (`lone`, `survey`)

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
        """What `lone` says of a payload that is flat."""
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
        """What `survey` says of a payload that is flat."""
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
        """For each member, whether an earlier one has its name."""
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
                name = replaced(name)
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
        """Make what `mapping` gives out of `headers`, for a payload that was read by spans and is written as `to_json`
        writes."""
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
            mapping["_body"] = replaced(text) if replace else text
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
                name = replaced(name)
            distinct = len(mapping)
            value = token_shown(&member.value, replace)
            PyDict_SetDefault(mapping, name, value)
            if len(mapping) == distinct and name == "Event-Name":
                mapping[name] = value
        if self.has_body:
            text = token_text(&self.body)
            mapping["_body"] = replaced(text) if replace else text
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
    uint16_t *names  # of each which name it is; after the values
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
            return replaced(value) if replace else value
        value = split_array(value)
        if isinstance(value, str):
            return replaced(value) if replace else value
    if not replace:
        return value
    items = []
    for item in value:
        items.append(replaced(item))
    return items


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
