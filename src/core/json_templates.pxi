# What a decoder remembers of JSON events (`JsonMemo`), and how many bytes all decoders may keep (`Budget`).


@cython.final
@cython.no_gc
cdef class Budget:
    """Bytes that many may have together."""

    cdef Py_ssize_t left

    cdef bint has(self, Py_ssize_t size) noexcept:
        """Whether `take` is likely to succeed; waits for nobody."""
        return size <= read_size(&self.left)

    @cython.critical_section
    cdef bint take(self, Py_ssize_t size):
        if size > self.left:
            return False
        write_size(&self.left, self.left - size)
        return True

    @cython.critical_section
    cdef int give(self, Py_ssize_t size):
        write_size(&self.left, self.left + size)
        return 0

    def __reduce__(self):
        return refuse_pickle(self)


cdef Budget DICTS = Budget.__new__(Budget)
DICTS.left = JSON_DICTS_BYTES_ALL


cdef Py_ssize_t dict_bytes(Py_ssize_t count) noexcept nogil:
    """The size of a dict with so many items, and of what is noted of it."""
    cdef Py_ssize_t room = 8
    while room * 2 // 3 < count:
        room *= 2
    return 112 + room * (1 if room <= 256 else 2) + 16 * (room * 2 // 3) + count * <Py_ssize_t>BASE_ITEM_BYTES


cdef struct Listed:  # the members of an event with distinct names
    const Span *spans
    const uint16_t *names
    Py_ssize_t count
    bint latest  # it was the last that was read, and what is remembered of a name is its member's value, or nothing


cdef inline Py_ssize_t shape_of(const Listed *listed) noexcept nogil:
    """A number below 1 << GUESS_BITS that is the same for the same names, and mostly another for others."""
    cdef Py_ssize_t i = 0
    cdef uint64_t some, shape = <uint64_t>listed.count
    while listed.count - i >= 4:
        memcpy(&some, listed.names + i, sizeof(some))
        shape = (shape ^ some) * <uint64_t>0x9E3779B97F4A7C15
        shape ^= shape >> 32
        i += 4
    while i < listed.count:
        shape = shape * 1000003 + listed.names[i]
        i += 1
    return <Py_ssize_t>(shape * <uint64_t>0x9E3779B97F4A7C15 >> (64 - GUESS_BITS))


cdef inline Py_ssize_t found_later(const JsonBase *base, Py_ssize_t at, uint16_t name) noexcept nogil:
    """Where a name stands in a base a little after `at`, -1 if it does not."""
    cdef Py_ssize_t i
    for i in range(at + 1, min(at + 1 + LOOK_AHEAD, base.count)):
        if base.names[i] == name:
            return i
    return -1


cdef inline Py_ssize_t alike_names(
    const JsonBase *base, Py_ssize_t j, const Listed *listed, Py_ssize_t i
) noexcept nogil:
    """How many names of a base, from j on, are those of the members from i on."""
    return alike(listed.names + i, base.names + j, min(listed.count - i, base.count - j))


cdef Py_ssize_t distance(const JsonBase *base, const Listed *listed, Py_ssize_t most) noexcept nogil:
    """How many headers of a base must go, and how many be put after the rest, for the names of the members."""
    cdef Py_ssize_t i = 0, j = 0, gone = 0, to, same
    while True:
        same = alike_names(base, j, listed, i)
        i += same
        j += same
        if i == listed.count or j == base.count:
            break
        to = found_later(base, j, listed.names[i])
        if to < 0 or gone > most:
            break
        gone += to - j
        j = to
    return gone + base.count - j + listed.count - i


@cython.final
@cython.no_gc  # nothing in it refers to anything of a user's
cdef class JsonMemo:
    """What the JSON events of a decoder remember together. Never changes a result.

    Successive events have mostly the same names in the same order, with the same values. So of each name its last value
    is kept and the one before, and which name stood after it: where the bytes are the same as then, nothing has to be
    read. It is by name that values are kept, and not by event: events of one call have fifty shapes, and half of their
    values in common. Dicts are kept of events whose names differ much, to be copied and changed a little.

    Read in this way is an object as the switch writes it: without blanks, no name in need of an escape, `_body` at its
    end. Values may be anything. All else, and what is too much, is read as if nothing were remembered.

    All methods are called in the critical section of the Memo that has it.
    """

    cdef JsonName **names
    cdef Py_ssize_t count, room
    cdef dict numbers  # of the names, by text
    cdef dict folded  # and by that in lower case, of the first of those that are the same then
    cdef JsonName first  # none itself: `next` of it is the first of an event
    cdef JsonName nothing  # no name, with no value
    cdef JsonName *event_name
    cdef JsonBase bases[JSON_BASES]
    cdef Py_ssize_t base_count, base_bytes
    cdef uint8_t guesses[1 << GUESS_BITS]  # which base was the nearest to an event with these names
    cdef Span *spans  # of the event that is being read
    cdef uint16_t *span_names  # and the numbers of their names
    cdef Py_ssize_t span_room
    cdef char no_bytes[MEMBER_BYTES]  # `nothing` has them
    cdef uint64_t lists  # of distinct names that were made
    cdef bint busy  # headers are being put together: that may let other code run, which does not use the memo then
    cdef uint64_t turn
    cdef uint64_t generation  # how often all was forgotten
    cdef Py_ssize_t names_bytes, values_bytes, refusals

    def __cinit__(self):
        self.numbers = {}
        self.folded = {}
        self.nothing.raw = self.no_bytes
        self.nothing.size = self.nothing.old_size = UINT32_MAX
        self.first.next = self.first.other = &self.nothing

    def __dealloc__(self):
        self.drop_bases()
        self.free_names()
        PyMem_Free(self.names)
        PyMem_Free(self.spans)
        PyMem_Free(self.span_names)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef void free_names(self) noexcept:
        cdef Py_ssize_t i, count = self.count
        self.count = 0
        for i in range(count):
            Py_XDECREF(self.names[i].name)
            Py_XDECREF(self.names[i].value)
            Py_XDECREF(self.names[i].old_value)
            PyMem_Free(self.names[i].raw)
            PyMem_Free(self.names[i].old_raw)
            PyMem_Free(self.names[i])

    cdef int forget(self) except -1:
        """Forget all: it does not fit the events that come now."""
        self.generation += 1
        self.first.next = self.first.other = &self.nothing
        self.event_name = NULL
        self.names_bytes = self.values_bytes = self.refusals = 0
        self.drop_bases()
        self.free_names()
        self.numbers.clear()
        self.folded.clear()
        return 0

    cdef bint read(self, Memo memo, JsonPayload payload) except -1:
        """Find the members of a payload. False if it has to be read in another way."""
        cdef Reading reading
        cdef bint own = True, distinct = True
        if self.busy:
            return False
        if self.refusals >= JSON_REFUSALS:
            self.forget()
        reading.begin = reading.at = payload.text()
        reading.end = PyBytes_AS_STRING(payload.frame) + PyBytes_GET_SIZE(payload.frame)
        if reading.end - reading.at >= <Py_ssize_t>UINT32_MAX or reading.at == reading.end or reading.at[0] != c"{":
            return False
        self.turn += 1
        reading.turn = self.turn
        reading.before = &self.first
        reading.count = 0
        reading.odd = 0
        self.give_room(&reading)
        while True:
            pass_members(&reading)
            if reading.at == reading.end:
                return False
            if reading.count and (reading.at[0] != c"," or reading.before.body):
                break
            if not self.read_member(memo, &reading, &own, &distinct):
                return False
        if reading.at[0] != c"}":
            return False
        self.give_spans(payload, &reading)
        payload.size = <uint32_t>(reading.at + 1 - reading.begin)
        payload.odd = reading.odd
        payload.own = own and distinct
        payload.distinct = distinct
        payload.turn = self.turn
        payload.generation = self.generation
        return True

    cdef bint read_member(self, Memo memo, Reading *reading, bint *own, bint *distinct) except -1:
        """Read a member that is not as it was, or the first of all. False if it has to be read in another way."""
        cdef const char *at = reading.at
        cdef const char *end = reading.end
        cdef JsonName *name = reading.before.next
        cdef const char *value
        cdef Span *span
        if not reading.stands:
            name = self.name_behind(memo, reading.before, at, end)
            if name == NULL:
                return False
        if reading.count == reading.room:
            if reading.count >= <uint32_t>JSON_NAMES:
                return False
            self.more_spans()
            self.give_room(reading)
        value = at + name.head
        if reading.stands:
            at = self.read_value(name, value, end, own)
        elif end - at > <Py_ssize_t>name.size and same_bytes(at + 1, name.raw + 1, name.size - 1):
            at += name.size
        elif end - at > <Py_ssize_t>name.old_size and same_bytes(at + 1, name.old_raw + 1, name.old_size - 1):
            swap_values(name)
            at += name.size
        else:
            at = self.read_value(name, value, end, own)
        if at == NULL:
            return False
        reading.odd |= name.odd
        if name.turn != reading.turn:
            name.turn = reading.turn
            name.place = reading.count
        else:
            distinct[0] = False
            if name == self.event_name:  # the last of several counts
                name.place = reading.count
        span = &reading.spans[reading.count]
        span.at = <uint32_t>(value - reading.begin)
        span.size = <uint32_t>(at - value)
        reading.names[reading.count] = <uint16_t>name.number
        reading.count += 1
        reading.before = name
        reading.at = at
        return True

    cdef inline void give_room(self, Reading *reading) noexcept:
        reading.spans = self.spans
        reading.names = self.span_names
        reading.room = <uint32_t>self.span_room

    cdef int give_spans(self, JsonPayload payload, const Reading *reading) except -1:
        """Give a payload the members that were noted."""
        cdef size_t count = reading.count
        payload.spans = <Span *>PyMem_Malloc(count * (sizeof(Span) + sizeof(uint16_t)))
        if payload.spans == NULL:
            raise MemoryError
        payload.names = <uint16_t *>(payload.spans + count)
        memcpy(payload.spans, reading.spans, count * sizeof(Span))
        memcpy(payload.names, reading.names, count * sizeof(uint16_t))
        payload.has_body = reading.before.body
        payload.span_count = count - reading.before.body
        return 0

    cdef int more_spans(self) except -1:
        cdef Py_ssize_t room = min(2 * self.span_room if self.span_room else 128, JSON_NAMES)
        cdef Span *spans = <Span *>PyMem_Realloc(self.spans, room * sizeof(Span))
        if spans == NULL:
            raise MemoryError
        self.spans = spans
        cdef uint16_t *names = <uint16_t *>PyMem_Realloc(self.span_names, room * sizeof(uint16_t))
        if names == NULL:
            raise MemoryError
        self.span_names = names
        self.span_room = room
        return 0

    cdef inline JsonName *name_behind(self, Memo memo, JsonName *before, const char *at, const char *end) except? NULL:
        """The name after what stands at `at`, NULL if there is none that is remembered."""
        cdef JsonName *name = before.next
        if stands(name, at, end):
            return name
        name = before.other
        if not stands(name, at, end):
            name = self.name_at(memo, at + 1, end)
            if name == NULL:
                return NULL
        before.other = before.next
        before.next = name
        return name

    cdef JsonName *name_at(self, Memo memo, const char *at, const char *end) except? NULL:
        """The name at `at`, looked up."""
        cdef const char *stop
        cdef PyObject *known = NULL
        cdef Py_ssize_t size
        if end - at < 4 or at[0] != c'"':
            return NULL
        stop = at + 1
        while True:
            stop = plain_end(stop, end)
            if stop == end or <unsigned char>stop[0] < 0x80:
                break
            stop += 1
        size = stop - at - 1
        if end - stop < 3 or stop[0] != c'"' or stop[1] != c":" or size > JSON_NAME_BYTES:
            return NULL
        name = memo.name(at + 1, size)
        if PyDict_GetItemRef(self.numbers, name, &known):
            number = <object>known
            Py_DECREF(number)
            return self.names[<Py_ssize_t>number]
        if not is_own_string(at + 1, size):
            return NULL
        return self.add(name, at, size + 3)

    cdef JsonName *add(self, object text, const char *at, Py_ssize_t size) except? NULL:
        """Remember a name, if there is room. `"name":` stands at `at`."""
        cdef JsonName *name
        cdef bint body = size == 8 and folded_equal(at + 1, b"_body", 5)
        if self.count == JSON_NAMES or self.names_bytes + size > JSON_NAMES_BYTES:
            self.refusals += 1
            return NULL
        if body and memcmp(at + 1, b"_body", 5) != 0:
            return NULL  # another name in `to_json`
        if self.count == self.room:
            self.more_names()
        name = <JsonName *>PyMem_Malloc(sizeof(JsonName))
        if name == NULL:
            raise MemoryError
        memset(name, 0, sizeof(JsonName))
        cdef uint32_t room = raw_room(size + 1)
        name.raw = <char *>PyMem_Calloc(1, room)
        try:
            if name.raw == NULL:
                raise MemoryError
            name.twin = self.find_twin(text)
            self.numbers[text] = self.count
        except BaseException:
            PyMem_Free(name.raw)
            PyMem_Free(name)
            raise
        name.raw[0] = c","
        memcpy(name.raw + 1, at, size)
        name.room = room
        name.head = <uint32_t>size + 1
        name.size = name.old_size = UINT32_MAX
        name.next = name.other = &self.nothing
        name.body = body
        name.bracket = BRACKET if memchr(at + 1, c"[", size - 3) != NULL else 0
        name.number = <uint32_t>self.count
        Py_INCREF(text)
        name.name = <PyObject *>text
        if is_event_name(at + 1, size - 3):
            self.event_name = name
        self.names[self.count] = name
        self.count += 1
        self.names_bytes += size
        return name

    cdef bint find_twin(self, str text) except -1:
        """Whether there may be another name that is the same except for case; that one is marked as a `twin` then."""
        cdef str folded = text.lower()
        known = self.folded.setdefault(folded, self.count)
        if known == self.count:
            return False
        self.names[<Py_ssize_t>known].twin = True
        return True

    cdef int more_names(self) except -1:
        cdef Py_ssize_t room = 2 * self.room if self.room else 128
        cdef JsonName **names = <JsonName **>PyMem_Realloc(self.names, room * sizeof(JsonName *))
        if names == NULL:
            raise MemoryError
        self.names = names
        self.room = room
        return 0

    cdef const char *read_value(self, JsonName *name, const char *value, const char *end, bint *own) noexcept:
        """The end of a value that is not the last one of this name. NULL if there is none."""
        cdef const char *stop
        cdef Scanner scanner
        cdef Token token
        cdef int odd = name.bracket
        if value < end and value[0] == c'"':
            stop = plain_end(value + 1, end)
            if stop < end and stop[0] == c'"' and not name.body:
                if not is_array_text(value + 1, stop - value - 1):
                    if stop == value + 1 or value[1] == c"A":
                        odd |= UNSURE
                    self.remember(name, value, stop + 1 - value)
                    name.odd = odd
                    return stop + 1
        scanner.at = value
        scanner.end = end
        scanner.fault = NO_FAULT
        if not scan_value(&scanner, &token):
            return NULL
        if token.kind != STRING:
            odd |= ESCAPES | UNSURE if token.kind == ESCAPED else NO_TEXT | ESCAPES
        elif token.size == 0 or token.text[0] == c"A":
            odd |= UNSURE
        if not name.body:  # those may be large: `to_json` looks at them
            if is_own(&token):
                self.remember(name, value, scanner.at - value)
            else:
                own[0] = False
                self.forget_value(name)
        name.odd = odd
        return scanner.at

    cdef void forget_value(self, JsonName *name) noexcept:
        cdef PyObject *value = name.value
        if name.size == UINT32_MAX:
            return
        self.values_bytes -= name.size - name.head
        name.size = UINT32_MAX
        name.value = NULL
        Py_XDECREF(value)

    cdef void remember(self, JsonName *name, const char *value, Py_ssize_t size) noexcept:
        """Keep the last value of a name, if there is room."""
        cdef char *raw
        cdef Py_ssize_t room
        if name.size != UINT32_MAX and self.values_bytes <= LAST_VALUES_BYTES // 2:
            keep_old(name)
        self.forget_value(name)
        if size > JSON_VALUE_BYTES:
            return
        if self.values_bytes + size > LAST_VALUES_BYTES:
            self.refusals += 1
            return
        room = raw_room(name.head + size)
        if room > <Py_ssize_t>name.room:
            raw = <char *>PyMem_Realloc(name.raw, room)
            if raw == NULL:
                return
            name.raw = raw
            name.room = <uint32_t>room
        memcpy(name.raw + name.head, value, size)
        name.size = <uint32_t>(name.head + size)
        self.values_bytes += size

    cdef object value_of(self, JsonPayload payload, const Span *span, JsonName *name):
        """A value as text: the object that is kept, if it is the same."""
        cdef const char *raw = payload.text() + span.at
        cdef Token token
        if name.size - name.head == span.size and (
            (name.turn == payload.turn and payload.distinct) or same_bytes(raw, name.raw + name.head, span.size)
        ):
            if name.value != NULL:
                return <object>name.value
            if raw[0] == c'"':  # no list is made, so nothing else can run
                if span.size > 2 and all_plain(raw + 1, span.size - 2):
                    text = ascii_text(raw + 1, span.size - 2)
                else:
                    token = token_of(raw, span.size)
                    text = token_text(&token)
                Py_INCREF(text)
                name.value = <PyObject *>text
                return text
        token = token_of(raw, span.size)
        return token_text(&token)

    cdef Py_ssize_t place(self, JsonPayload payload, str name) except -2:
        """Which member a look-up takes, -1 if there is none."""
        cdef PyObject *known = NULL
        cdef JsonName *found
        cdef Py_ssize_t i
        if PyDict_GetItemRef(self.numbers, name, &known):
            number = <object>known
            Py_DECREF(number)
            found = self.names[<Py_ssize_t>number]
            if found.turn == payload.turn:
                return -1 if found.body else found.place
            i = self.place_of(payload, found)
            if i >= 0:
                return i
        cdef bytes wanted = None
        cdef const char *text
        cdef Py_ssize_t size
        if PyUnicode_IS_COMPACT_ASCII(name):
            text = <const char *>PyUnicode_DATA(name)
            size = PyUnicode_GET_LENGTH(name)
        else:
            wanted = name_bytes(name)
            if wanted is None:
                return -1
            text = PyBytes_AS_STRING(wanted)
            size = PyBytes_GET_SIZE(wanted)
        for i in range(payload.span_count):
            found = self.names[payload.names[i]]
            if found.head - 4 == size and folded_equal(found.raw + 2, text, size):
                return self.place_of(payload, found)
        return -1

    cdef Py_ssize_t place_of(self, JsonPayload payload, const JsonName *name) noexcept:
        """The member of this name that counts: the first, of Event-Name the last."""
        cdef Py_ssize_t i, place = -1
        for i in range(payload.span_count):
            if payload.names[i] == name.number:
                place = i
                if name != self.event_name:
                    break
        return place

    cdef object find(self, JsonPayload payload, str name):
        cdef Py_ssize_t i
        cdef Token token
        if payload.generation != self.generation:
            return payload.look_up(name, False)
        i = self.place(payload, name)
        return None if i < 0 else self.value_of(payload, &payload.spans[i], self.names[payload.names[i]])

    cdef object lone(self, JsonPayload payload, str name):
        cdef PyObject *known = NULL
        cdef JsonName *found
        cdef const Span *span
        cdef Py_ssize_t i
        cdef str value
        if payload.generation == self.generation and PyDict_GetItemRef(self.numbers, name, &known):
            number = <object>known
            Py_DECREF(number)
            found = self.names[<Py_ssize_t>number]
            if not found.twin and not found.body:
                i = found.place if found.turn == payload.turn else self.place_of(payload, found)
                if i < 0:
                    return None
                span = &payload.spans[i]
                if span.size == 2 or payload.text()[span.at] != c'"':
                    return False
                value = self.value_of(payload, span, found)
                return False if value.startswith("ARRAY::") else value
        return payload.lone(<const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name))

    cdef dict headers(self, Memo memo, JsonPayload payload):
        if self.busy or payload.generation != self.generation:
            return payload.headers(memo)
        self.busy = True
        try:
            return self.near_dict(payload)
        finally:
            self.busy = False

    # What follows is called while it is busy: names and values stay what they are.

    cdef dict near_dict(self, JsonPayload payload):
        """The headers as a dict, made from that of an earlier event."""
        cdef Listed listed
        cdef Py_ssize_t nearest, edits = PY_SSIZE_T_MAX, i, other
        listed.spans = payload.spans
        listed.names = payload.names
        listed.count = payload.span_count
        listed.latest = payload.turn == self.turn
        if not payload.distinct:
            self.list_distinct(&listed)
        cdef Py_ssize_t count = listed.count, near = 8 + count // 8
        cdef uint8_t *guess = &self.guesses[shape_of(&listed)]
        nearest = guess[0]
        if nearest < self.base_count:
            edits = distance(&self.bases[nearest], &listed, count)
        if edits > near and (edits > count // 3 or self.has_base_room(count)):
            for i in range(self.base_count):
                other = distance(&self.bases[i], &listed, edits)
                if other < edits:
                    edits, nearest = other, i
        if edits > near and (edits > count // 3 or self.has_base_room(count)):
            headers = self.new_dict(payload, &listed)
            nearest = self.add_base(headers, &listed)
        else:
            headers = self.edited_dict(&self.bases[nearest], payload, &listed, edits)
        guess[0] = <uint8_t>nearest
        return headers

    cdef int list_distinct(self, Listed *listed) except -1:
        """List the members of an event in which a name repeats: the first of each name, of Event-Name the last.

        The value that is remembered of such a name may be that of another.
        """
        cdef Py_ssize_t i, count = 0
        cdef JsonName *name
        self.lists += 1
        for i in range(listed.count):
            name = self.names[listed.names[i]]
            if name.listed != self.lists:
                name.listed = self.lists
                name.line = <uint32_t>count
                self.spans[count] = listed.spans[i]
                self.span_names[count] = <uint16_t>name.number
                count += 1
            else:
                self.forget_value(name)
                if name == self.event_name:
                    self.spans[name.line] = listed.spans[i]
        listed.spans = self.spans
        listed.names = self.span_names
        listed.count = count
        return 0

    cdef int renew(
        self, JsonBase *base, Py_ssize_t j, JsonPayload payload, const Listed *listed, Py_ssize_t i, list others
    ) except -1:
        """Put a member's value into a base, unless it has it; then that text is taken."""
        cdef PyObject **known = &base.values[j]
        cdef const Span *span = &listed.spans[i]
        cdef JsonName *name = self.names[listed.names[i]]
        cdef PyObject *old = name.value
        if stands_for(<object>known[0], payload.text() + span.at, span.size):
            if listed.latest and name.size - name.head == span.size:
                Py_INCREF(<object>known[0])
                name.value = known[0]
                Py_XDECREF(old)
            return 0
        value = self.value_of(payload, span, name)
        if name.value == <PyObject *>value:
            dict_set(<dict>base.headers, name.name, <PyObject *>value)
            known[0] = <PyObject *>value
        else:
            others.append(<object>name.name)
            others.append(value)
        return 0

    cdef dict edited_dict(self, JsonBase *base, JsonPayload payload, const Listed *listed, Py_ssize_t edits):
        """A copy of a base, after its values have become those of the members, with the names of the members."""
        cdef Py_ssize_t i = 0, j = 0, same
        cdef list others = []  # key, value and so on of those that are not remembered
        while True:
            same = alike_names(base, j, listed, i)
            while same:
                if self.names[listed.names[i]].value != base.values[j] or not listed.latest:
                    self.renew(base, j, payload, listed, i, others)
                i += 1
                j += 1
                same -= 1
            if i == listed.count or j == base.count:
                break
            j = found_later(base, j, listed.names[i])
            if j < 0:
                break
        base.turn = self.turn
        headers = PyDict_Copy(<dict>base.headers)
        if edits:
            self.edit(headers, base, payload, listed)
        for i in range(0, len(others), 2):
            PyDict_SetItem(headers, others[i], others[i + 1])
        return headers

    cdef int edit(self, dict headers, const JsonBase *base, JsonPayload payload, const Listed *listed) except -1:
        """Give the copy of a base the names of the members."""
        cdef Py_ssize_t i = 0, j = 0, to, same
        while True:
            same = alike_names(base, j, listed, i)
            i += same
            j += same
            if i == listed.count or j == base.count:
                break
            to = found_later(base, j, listed.names[i])
            if to < 0:
                break
            while j < to:
                dict_delete(headers, self.names[base.names[j]].name)
                j += 1
        while j < base.count:
            dict_delete(headers, self.names[base.names[j]].name)
            j += 1
        while i < listed.count:
            self.put(headers, payload, listed, i)
            i += 1
        return 0

    cdef int put(self, dict headers, JsonPayload payload, const Listed *listed, Py_ssize_t i) except -1:
        cdef JsonName *name = self.names[listed.names[i]]
        value = self.value_of(payload, &listed.spans[i], name)
        return dict_set(headers, name.name, <PyObject *>value)

    cdef dict new_dict(self, JsonPayload payload, const Listed *listed):
        cdef dict headers = {}  # one made with its size costs less to fill, but more to copy and to look up in
        cdef Py_ssize_t i
        for i in range(listed.count):
            self.put(headers, payload, listed, i)
        return headers

    cdef bint has_base_room(self, Py_ssize_t count) noexcept:
        cdef Py_ssize_t size = dict_bytes(count)
        return self.base_count < JSON_BASES and size <= JSON_DICTS_BYTES - self.base_bytes and DICTS.has(size)

    cdef Py_ssize_t add_base(self, dict headers, const Listed *listed) except -1:
        """Keep a copy of a dict, in the place of others if need be: which base it is."""
        cdef Py_ssize_t i, count = listed.count, size = dict_bytes(count)
        cdef JsonBase base
        cdef const JsonName *name
        if size > JSON_DICTS_BYTES:
            return JSON_BASES  # none
        while self.base_count and not self.has_base_room(count):
            self.drop_oldest_base()
        headers = PyDict_Copy(headers)
        base.values = <PyObject **>PyMem_Malloc((count + 1) * BASE_ITEM_BYTES)
        if base.values == NULL:
            raise MemoryError
        if not DICTS.take(size):
            PyMem_Free(base.values)
            return JSON_BASES
        base.names = <uint16_t *>(base.values + count)
        base.count = count
        base.size = size
        base.turn = self.turn
        base.headers = <PyObject *>headers
        for i in range(count):
            name = self.names[listed.names[i]]
            base.names[i] = <uint16_t>name.number
            value = headers[<object>name.name]
            if name.value != <PyObject *>value:  # it is not remembered: it may be long
                value = NOTHING
                dict_set(headers, name.name, <PyObject *>value)
            base.values[i] = <PyObject *>value
        Py_INCREF(headers)
        self.bases[self.base_count] = base
        self.base_bytes += size
        self.base_count += 1
        return self.base_count - 1

    cdef void drop_oldest_base(self) noexcept:
        cdef Py_ssize_t i, oldest = 0
        for i in range(1, self.base_count):
            if self.bases[i].turn < self.bases[oldest].turn:
                oldest = i
        cdef JsonBase base = self.bases[oldest]
        self.base_count -= 1
        self.bases[oldest] = self.bases[self.base_count]
        self.drop_base(&base)

    cdef void drop_bases(self) noexcept:
        while self.base_count:
            self.base_count -= 1
            self.drop_base(&self.bases[self.base_count])

    cdef void drop_base(self, JsonBase *base) noexcept:
        self.base_bytes -= base.size
        DICTS.give(base.size)
        PyMem_Free(base.values)
        Py_XDECREF(base.headers)


cdef inline bint stands_for(object text, const char *p, uint32_t size) noexcept:
    """Whether the member's value at p is surely this text."""
    return (
        PyUnicode_IS_COMPACT_ASCII(text)
        and PyUnicode_GET_LENGTH(text) + 2 == size
        and p[0] == c'"'
        and same_bytes(p + 1, <const char *>PyUnicode_DATA(text), size - 2)
        and memchr(p, c"\\", size) == NULL
    )


cdef inline uint32_t raw_room(Py_ssize_t size) noexcept nogil:
    """How many bytes a name and its value get."""
    return <uint32_t>(MEMBER_BYTES if size <= MEMBER_BYTES else size + 15 - (size - 1) % 16)


cdef inline void keep_old(JsonName *name) noexcept:
    """Make room for another value without losing the last one."""
    if name.old_raw == NULL:
        name.old_raw = <char *>PyMem_Calloc(1, raw_room(name.head))
        if name.old_raw == NULL:
            return
        memcpy(name.old_raw, name.raw, name.head)
        name.old_room = raw_room(name.head)
    swap_values(name)


cdef inline bint stands(const JsonName *name, const char *at, const char *end) noexcept nogil:
    """Whether a name stands after what is at `at`."""
    return name.head and end - at > <Py_ssize_t>name.head and same_bytes(at + 1, name.raw + 1, name.head - 1)
