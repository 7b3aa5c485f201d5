# What a decoder remembers of plain events: names, the lines that came last, and dicts of earlier events (`Memo`).


cdef struct Older:
    # A line that came before the last, as far as `Known` and `Recent` tell of that.
    char *line
    PyObject *value
    PyObject *pair
    char *json
    uint32_t size
    uint32_t room
    uint32_t json_size


cdef struct Known:
    # A name, and what was made of the line with it that came last; the line is in `Recent`.
    PyObject *name  # owned
    PyObject *pair  # owned: (name, value); NULL until wanted
    char *json  # owned: the line as a member of JSON, with a comma before it; NULL until wanted
    Older *older  # owned: values that take turns, as those of a call's two legs do, are both remembered; NULL until then
    uint32_t name_size
    uint32_t json_size
    uint32_t room  # of the line
    uint32_t misses  # how often in a row the value was another one,
    uint32_t missed  # the last time in this event, or one with a number that ends alike
    uint8_t event_name, body  # whether the name is `Event-Name`, or `_body` in any case


cdef inline void swap_lines(Known *known, Recent *recent) noexcept nogil:
    """The line before the last becomes the last, and the last the one before."""
    cdef Older older = known.older[0]
    known.older.line = recent.line
    known.older.value = <PyObject *>recent.value
    known.older.pair = known.pair
    known.older.json = known.json
    known.older.size = recent.size
    known.older.room = known.room
    known.older.json_size = known.json_size
    recent.line = older.line
    recent.value = older.value
    recent.size = older.size
    known.pair = older.pair
    known.json = older.json
    known.room = older.room
    known.json_size = older.json_size


cdef struct Walk:
    # Where the reader of a block is.
    const char *at  # the next line
    const char *end
    const char *stop  # afterwards the line feed that begins the blank line, or the end
    uint32_t last  # whose line came before
    Known *known  # whose line this is, until the next step; NULL if the name is not remembered
    Recent *recent  # its line before
    uint64_t before  # the event in which that came
    bint passed  # `run` came before: the next line is not the one remembered, unless its name is another than expected
    bint same  # it is the remembered line
    bint repeated  # the name has come before in this event. Not known of names that are not remembered
    bint whole  # it ends with a line feed
    Line line


cdef inline void remembered_line(const Known *known, const Recent *recent, Line *line) noexcept nogil:
    """Cut the line that is remembered."""
    line.name = recent.line
    line.name_size = known.name_size
    line.value = recent.line + known.name_size + 2
    line.value_size = <Py_ssize_t>recent.size - known.name_size - 3
    line.spaced = True
    if line.value_size and line.value[line.value_size - 1] == c"\r":
        line.value_size -= 1


cdef inline uint32_t recent_room(Py_ssize_t size) noexcept nogil:
    """How many bytes a line gets."""
    return <uint32_t>((size + RECENT_BYTES - 1) // RECENT_BYTES * RECENT_BYTES)


cdef struct Base:
    # The headers of an event as a dict, of which others are copies with changes.
    PyObject *headers  # owned
    uint16_t *lines  # owned: of each header which name it is
    PyObject **values  # owned, the values borrowed from the dict
    uint32_t count
    uint64_t turn  # the event that it was of use to last
    Py_ssize_t size  # what was taken from the budget for it


cdef inline Py_ssize_t found_soon(const Base *base, Py_ssize_t at, uint16_t line) noexcept nogil:
    """Where a name stands a little later in a base, -1 if it does not."""
    cdef Py_ssize_t i
    for i in range(at + 1, min(at + 1 + LOOK_AHEAD, <Py_ssize_t>base.count)):
        if base.lines[i] == line:
            return i
    return -1


@cython.final
@cython.no_gc
cdef class Names:
    """The names of headers as text: the same object for the same name, mostly."""

    cdef PyObject *slots[NAME_SLOTS]  # owned, ASCII

    def __dealloc__(self):
        for slot in range(NAME_SLOTS):
            Py_XDECREF(self.slots[slot])

    def __reduce__(self):
        return refuse_pickle(self)

    @cython.critical_section
    cdef object name(self, const char *p, Py_ssize_t size):
        if size < 1 or size > NAME_BYTES:
            return raw_text(p, size)
        cdef Py_ssize_t slot = mix(p, size) % NAME_SLOTS
        cdef PyObject *known = self.slots[slot]
        if (
            known != NULL
            and PyUnicode_GET_LENGTH(<object>known) == size
            and memcmp(PyUnicode_DATA(<object>known), p, size) == 0
        ):
            return <object>known
        name = raw_text(p, size)
        if PyUnicode_IS_COMPACT_ASCII(name):
            Py_INCREF(name)
            known = self.slots[slot]
            self.slots[slot] = <PyObject *>name
            Py_XDECREF(known)
        return name


cdef Names SHARED_NAMES = Names()
cdef str NOTHING = ""


@cython.final
@cython.no_gc  # nothing in it refers to anything of a user's
cdef class Memo:
    """What the messages of a decoder remember together: of each name the lines that came last. Never changes a result.

    Names are the whole process's. Without the GIL they are the decoder's: to count references to one object is what
    threads would wait for.
    """

    cdef Names names
    cdef Known *known  # the first is no name: before the first line of an event
    cdef Recent *recent  # their lines; the line is owned, and so is the value, a text, which is NULL until wanted
    cdef uint16_t *lines  # of the event that is read: which names it has
    cdef PyObject **values  # and their values, borrowed
    cdef uint32_t count, room  # of the four
    cdef Base bases[BASES]
    cdef uint32_t base_count
    cdef Py_ssize_t base_headers  # of all of them
    cdef uint32_t nearest  # the one that the last event was made of
    cdef uint8_t guesses[1 << GUESS_BITS]  # which one was the nearest to an event that began like this, after the last
    cdef uint16_t table[KNOWN_SLOTS]  # which of them has a name; 0: none
    cdef Py_ssize_t value_bytes  # of all values that are remembered
    cdef Py_ssize_t refused  # names and values for which there was no room
    cdef uint64_t turn
    cdef bint busy  # a walk is under way: making an object may let other code run, which does not use the memo then
    cdef Out scratch  # for JSON on its way out
    cdef uint64_t numbered  # messages that were numbered so far, from 1
    cdef uint64_t indexed  # the number of the message that `bits` tell of
    cdef Bits bits
    cdef bint whole  # whether they tell of all its headers
    cdef JsonMemo of_json  # None until a JSON event is read

    def __cinit__(self):
        self.names = SHARED_NAMES if HAS_GIL else Names()

    def __dealloc__(self):
        self.forget()
        PyMem_Free(self.known)
        PyMem_Free(self.recent)
        PyMem_Free(self.lines)
        PyMem_Free(self.values)
        PyMem_Free(self.scratch.data)
        PyMem_Free(self.bits.feeds)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef object name(self, const char *p, Py_ssize_t size):
        """A header's name as text."""
        return self.names.name(p, size)

    @cython.critical_section
    cdef bint find_line(self, Message message, const char *name, Py_ssize_t size, Line *found, bint last) noexcept:
        """`Message.find_line` by an index, if there can be one."""
        return message.search(self.index(message), name, size, found, last)

    @cython.critical_section
    cdef bint see(self, Message message, const Sought *all, const uint32_t *slots, Seen *seen) noexcept:
        """Look for names in a plain event. False if that has to be done one by one."""
        cdef const Bits *bits = self.index(message)
        if bits == NULL:
            return False
        see_lines(bits, PyBytes_AS_STRING(message.frame_) + message.split - 1, all, slots, seen)
        return True

    # What follows is called in its critical section only.

    cdef const Bits *index(self, Message message) noexcept:
        """Where the line feeds and colons of an event's headers are, NULL if there is no blank line or too much.

        The message that was asked last is known by its number: a reference would keep its body.
        """
        cdef const char *p = PyBytes_AS_STRING(message.frame_)
        if message.number == 0:
            self.numbered += 1
            message.number = self.numbered
        if self.indexed != message.number:
            self.indexed = message.number
            self.whole = self.read_bits(p + message.split - 1, p + PyBytes_GET_SIZE(message.frame_))
        if not self.whole:
            return NULL
        message.head_stop = message.split - 1 + <Py_ssize_t>self.bits.stop
        return &self.bits

    cdef bint read_bits(self, const char *p, const char *end) noexcept:
        cdef int found
        self.bits.words = 0
        while True:
            found = index_block(&self.bits, p, end)
            if found >= 0:
                return found
            if not self.make_bits_room():
                return False

    cdef bint make_bits_room(self) noexcept:
        cdef Bits bits = self.bits
        cdef size_t room = max(2 * bits.room, <size_t>INDEX_WORDS_MIN)
        if room > INDEX_WORDS_MAX:
            return False
        cdef uint64_t *words = <uint64_t *>PyMem_Malloc(2 * (room + BITS_MORE) * sizeof(uint64_t))
        if words == NULL:
            return False
        if bits.words:
            memcpy(words, bits.feeds, bits.words * sizeof(uint64_t))
            memcpy(words + room + BITS_MORE, bits.colons, bits.words * sizeof(uint64_t))
        PyMem_Free(bits.feeds)
        self.bits.feeds = words
        self.bits.colons = words + room + BITS_MORE
        self.bits.room = room
        return True

    # What follows is called in its critical section, and while it is busy.

    cdef void forget(self) noexcept:
        """Forget all."""
        cdef uint32_t i, count = self.count
        self.count = 0
        while self.base_count:
            self.base_count -= 1
            self.drop_base(&self.bases[self.base_count])
        memset(self.table, 0, sizeof(self.table))
        for i in range(1, count):
            self.drop_line(&self.known[i], &self.recent[i])
            self.drop_older(&self.known[i])
            PyMem_Free(self.recent[i].line)
            if self.known[i].older != NULL:
                PyMem_Free(self.known[i].older.line)
                PyMem_Free(self.known[i].older)
            Py_XDECREF(self.known[i].name)
        self.refused = 0

    cdef void drop_line(self, Known *known, Recent *recent) noexcept:
        """Forget a value."""
        if recent.size == NO_LINE:
            return
        self.value_bytes -= recent.size - known.name_size - 3
        recent.size = NO_LINE
        PyMem_Free(known.json)
        known.json = NULL
        Py_XDECREF(<PyObject *>recent.value)
        recent.value = NULL
        Py_XDECREF(known.pair)
        known.pair = NULL

    cdef void drop_older(self, Known *known) noexcept:
        """Forget the value before the last."""
        cdef Older *older = known.older
        if older == NULL or older.size == NO_LINE:
            return
        self.value_bytes -= older.size - known.name_size - 3
        older.size = NO_LINE
        PyMem_Free(older.json)
        older.json = NULL
        Py_XDECREF(older.value)
        older.value = NULL
        Py_XDECREF(older.pair)
        older.pair = NULL

    cdef int begin(self, Walk *walk, const char *p, const char *end) except -1:
        """Go to the first line of a block. From here on `busy` is set, for the caller to reset."""
        self.busy = True
        if self.count == 0 or self.refused > REFUSED_MOST:
            self.forget()
            self.make_known_room(1)
            memset(self.known, 0, sizeof(Known))
            memset(self.recent, 0, sizeof(Recent))
            self.recent.size = NO_LINE
            self.count = 1
        self.turn += 1
        self.recent.turn = self.turn
        walk.at = p
        walk.end = end
        walk.last = 0
        walk.passed = False
        return 0

    cdef int make_known_room(self, uint32_t count) except -1:
        cdef uint32_t room = max(2 * self.room, <uint32_t>KNOWN_ROOM)
        cdef Known *known
        cdef Recent *recent
        cdef uint16_t *lines
        cdef PyObject **values
        if count <= self.room:
            return 0
        known = <Known *>PyMem_Realloc(self.known, room * sizeof(Known))
        if known == NULL:
            raise MemoryError
        self.known = known
        recent = <Recent *>PyMem_Realloc(self.recent, room * sizeof(Recent))
        if recent == NULL:
            raise MemoryError
        self.recent = recent
        lines = <uint16_t *>PyMem_Realloc(self.lines, room * sizeof(uint16_t))
        if lines == NULL:
            raise MemoryError
        self.lines = lines
        values = <PyObject **>PyMem_Realloc(self.values, room * sizeof(PyObject *))
        if values == NULL:
            raise MemoryError
        self.values = values
        self.room = room
        return 0

    cdef inline Py_ssize_t run(self, Walk *walk, Py_ssize_t count) noexcept nogil:
        """Pass the lines from here on that are those remembered, of names that are new in the event: how many there are
        with the `count` lines before."""
        walk.passed = True
        return count + pass_lines(
            self.recent, &walk.at, walk.end, &walk.last, self.turn, self.lines + count, <void **>self.values + count
        )

    cdef int step(self, Walk *walk) except -1:
        """Read the next line, whatever it is: 0 if there is none."""
        cdef const char *p = walk.at
        cdef const char *end = walk.end
        cdef const char *feed
        cdef const char *stop
        cdef uint32_t guess = self.recent[walk.last].next  # mostly the name that came after it last
        cdef Recent *recent = &self.recent[guess]
        cdef Py_ssize_t size = self.known[guess].name_size
        cdef bint passed = walk.passed
        cdef bint guessed = guess and end - p >= size + 2 and same_bytes(p, recent.line, size + 2)
        if guessed:
            walk.line.name = p
            walk.line.name_size = size
            walk.line.spaced = True
            p += size + 2
            feed = find_feed(p, end)
            walk.line.value = p
            walk.line.value_size = feed - p
            if feed > p and (feed - 1)[0] == c"\r":
                walk.line.value_size -= 1
        else:
            while True:
                if p >= end:
                    walk.stop = end
                    return 0
                feed = find_feed(p, end)
                stop = feed - 1 if feed > p and (feed - 1)[0] == c"\r" else feed
                if stop == p:
                    walk.stop = p - 1 if feed < end else end
                    return 0
                if cut_line(p, stop, &walk.line):
                    break
                p = feed + 1
            guess = self.place(walk.line.name, walk.line.name_size)
        walk.passed = False
        walk.at = feed + 1
        walk.whole = feed < end
        walk.same = False
        walk.repeated = False
        walk.known = NULL
        if not guess:
            return 1
        recent = &self.recent[guess]
        self.recent[walk.last].next = guess
        walk.last = guess
        walk.known = &self.known[guess]
        walk.recent = recent
        walk.before = recent.turn
        walk.repeated = recent.turn == self.turn
        recent.turn = self.turn
        if walk.repeated or not guessed or not passed:
            p = walk.line.name
            walk.same = feed + 1 - p == <Py_ssize_t>recent.size and walk.whole and same_bytes(p, recent.line, recent.size)
        if not walk.same and not walk.repeated:
            self.try_older(walk)
        return 1

    cdef inline void try_older(self, Walk *walk) noexcept nogil:
        """Whether the line just read is the one before the last, which is the last then."""
        cdef Older *older = walk.known.older
        cdef const char *p = walk.line.name
        if older == NULL:
            return
        if walk.at - p != <Py_ssize_t>older.size or not walk.whole or not same_bytes(p, older.line, older.size):
            return
        swap_lines(walk.known, walk.recent)
        walk.same = True

    cdef uint32_t place(self, const char *name, Py_ssize_t size) except? 0:
        """Where a name is among those known; 0 if there is no room for it, in this event and until all are forgotten."""
        cdef uint64_t hashed
        cdef uint32_t probe, at
        if size > NAME_BYTES:
            return 0
        hashed = mix(name, size)
        for probe in range(KNOWN_PROBES):
            at = self.table[(hashed + probe) % KNOWN_SLOTS]
            if at == 0:
                if self.count <= KNOWN_NAMES:
                    at = self.learn(name, size)
                    self.table[(hashed + probe) % KNOWN_SLOTS] = at
                    return at
                break
            if self.known[at].name_size == size and memcmp(self.recent[at].line, name, size) == 0:
                return at
        self.refused += 1
        return 0

    cdef uint32_t learn(self, const char *name, Py_ssize_t size) except 0:
        cdef uint32_t at = self.count
        cdef Known *known
        cdef char *line
        self.make_known_room(at + 1)
        text = self.names.name(name, size)
        line = <char *>PyMem_Malloc(recent_room(size + 2))
        if line == NULL:
            raise MemoryError
        memcpy(line, name, size)
        memcpy(line + size, b": ", 2)
        known = &self.known[at]
        memset(known, 0, sizeof(Known))
        Py_INCREF(text)
        known.name = <PyObject *>text
        known.name_size = size
        known.room = recent_room(size + 2)
        known.event_name = is_event_name(name, size)
        known.body = is_body_name(name, size)
        memset(&self.recent[at], 0, sizeof(Recent))
        self.recent[at].line = line
        self.recent[at].size = NO_LINE
        self.count += 1
        return at

    cdef bint remember(self, Walk *walk) noexcept:
        """Keep the line just read, if there is room and its value does not always change; False if it is not kept."""
        cdef Known *known = walk.known
        cdef Recent *recent = walk.recent
        cdef Py_ssize_t size = walk.at - walk.line.name
        cdef Py_ssize_t value_size = size - <Py_ssize_t>known.name_size - 3
        if walk.same:
            return True
        known.misses = known.misses + 1 if known.missed == <uint32_t>walk.before else 1
        known.missed = <uint32_t>self.turn
        if known.misses & (known.misses - 1) or not walk.whole or not walk.line.spaced:
            return False  # a value that changes each time is kept ever more seldom
        self.drop_older(known)
        if recent.size != NO_LINE and value_size <= min(VALUE_BYTES, VALUES_BYTES // 2 - self.value_bytes):
            if not self.make_older(known, size):
                return False
            swap_lines(known, recent)
        else:
            self.drop_line(known, recent)
            if value_size > min(VALUE_BYTES, VALUES_BYTES - self.value_bytes):
                self.refused += 1
                return False
            if not self.make_line_room(&recent.line, &known.room, size):
                return False
        memcpy(recent.line, walk.line.name, size)
        recent.size = <uint32_t>size
        self.value_bytes += value_size
        return True

    cdef bint make_line_room(self, char **line, uint32_t *room, Py_ssize_t size) noexcept:
        """Make room for a line: False if there is no memory."""
        cdef uint32_t wanted = recent_room(size)
        cdef char *made
        if wanted == room[0]:
            return True
        made = <char *>PyMem_Realloc(line[0], wanted)
        if made == NULL:
            return False
        line[0] = made
        room[0] = wanted
        return True

    cdef bint make_older(self, Known *known, Py_ssize_t size) noexcept:
        """Make room for a line beside the last: False if there is no memory."""
        if known.older == NULL:
            known.older = <Older *>PyMem_Malloc(sizeof(Older))
            if known.older == NULL:
                return False
            memset(known.older, 0, sizeof(Older))
            known.older.size = NO_LINE
        return self.make_line_room(&known.older.line, &known.older.room, size)

    cdef int make_value(self, uint32_t at) except -1:
        """Make the text of a value that is remembered."""
        cdef Line line
        remembered_line(&self.known[at], &self.recent[at], &line)
        value = value_text(line.value, line.value_size)
        Py_INCREF(value)
        self.recent[at].value = <PyObject *>value
        return 0

    cdef object take_value(self, Walk *walk):
        """The value of the line just read."""
        cdef Recent *recent = walk.recent
        cdef PyObject *old
        if walk.known == NULL:
            return value_text(walk.line.value, walk.line.value_size)
        if walk.same:
            if recent.value == NULL:
                self.make_value(walk.last)
            return <object>recent.value
        value = value_text(walk.line.value, walk.line.value_size)
        if not walk.repeated and self.remember(walk):
            Py_INCREF(value)
            old = <PyObject *>recent.value
            recent.value = <PyObject *>value
            Py_XDECREF(old)
        return value

    @cython.critical_section
    cdef Memo unless_busy(self):
        """This one, or one for the moment while another walk is under way."""
        return Memo() if self.busy else self

    # What messages ask for. `stop` tells where the block ends. None while another walk is under way.

    @cython.critical_section
    cdef dict headers(self, const char *p, const char *end, const char **stop):
        """All headers as a dict."""
        cdef Walk walk
        if self.busy:
            return None
        try:
            self.begin(&walk, p, end)
            headers = self.read_headers(&walk, mix(p, min(end - p, <Py_ssize_t>32)))
        finally:
            self.busy = False
        stop[0] = walk.stop
        return headers

    cdef dict read_headers(self, Walk *walk, uint64_t key):
        cdef Py_ssize_t count = 0, i
        cdef list owned = None  # values that are not remembered,
        cdef uint16_t others[OTHERS]  # and the first of their lines
        while True:
            count = self.run(walk, count)
            if not self.step(walk):
                headers = self.near_dict(count, key)
                if owned is not None:
                    self.set_others(headers, count, others, len(owned))
                return headers
            made = self.take_value(walk)
            if walk.known == NULL:
                return self.finish_dict(self.new_dict(count), walk, made)
            if walk.repeated and not walk.known.event_name:
                continue
            i = count
            if walk.repeated:  # the last Event-Name counts
                i = 0
                while self.lines[i] != walk.last:
                    i += 1
            if walk.recent.value != <void *>made:
                if owned is None:
                    owned = []
                if len(owned) < OTHERS:
                    others[len(owned)] = <uint16_t>i
                owned.append(made)
            self.lines[i] = <uint16_t>walk.last
            self.values[i] = <PyObject *>made
            count += not walk.repeated

    cdef inline bint is_remembered(self, Py_ssize_t i) noexcept nogil:
        """Whether the value of a line is: others may be long, and are put in no base."""
        return self.recent[self.lines[i]].value == <void *>self.values[i]

    cdef inline int need_value(self, Py_ssize_t i) except -1:
        """Make the value of a line that was passed, if it is not there yet."""
        cdef uint32_t at = self.lines[i]
        if self.values[i] == NULL:
            if self.recent[at].value == NULL:
                self.make_value(at)
            self.values[i] = <PyObject *>self.recent[at].value
        return 0

    cdef inline int set_header(self, dict headers, Py_ssize_t i) except -1:
        """Put in a line's name and value."""
        self.need_value(i)
        return dict_set(headers, self.known[self.lines[i]].name, self.values[i])

    cdef int set_others(self, dict headers, Py_ssize_t count, const uint16_t *others, Py_ssize_t other_count) except -1:
        """Put in the values that are not remembered."""
        cdef Py_ssize_t i
        if other_count <= OTHERS:
            for i in range(other_count):
                self.set_header(headers, others[i])
            return 0
        for i in range(count):
            if not self.is_remembered(i):
                self.set_header(headers, i)
        return 0

    cdef dict new_dict(self, Py_ssize_t count):
        """A dict of the first lines."""
        cdef dict headers = {}
        cdef Py_ssize_t i
        for i in range(count):
            self.set_header(headers, i)
        return headers

    cdef dict finish_dict(self, dict headers, Walk *walk, object value):
        """Add the header just read, whose name is not remembered, and those after it."""
        cdef Py_ssize_t distinct
        while True:
            distinct = len(headers)
            name = self.name_of(walk)
            PyDict_SetDefault(headers, name, value)
            if len(headers) == distinct and self.is_event_name_line(walk):
                PyDict_SetItem(headers, name, value)
            if not self.step(walk):
                return headers
            value = self.take_value(walk)

    cdef dict near_dict(self, Py_ssize_t count, uint64_t key):
        """A dict of the lines, made from that of an earlier event."""
        cdef uint8_t *guess = &self.guesses[(key ^ self.nearest * <uint64_t>0x9E3779B97F4A7C15) >> (64 - GUESS_BITS)]
        cdef Py_ssize_t most = 4 + count // 16, edits = PY_SSIZE_T_MAX, other
        cdef uint32_t i, nearest = guess[0]
        if nearest < self.base_count:
            if self.same_lines(&self.bases[nearest], count):
                self.nearest = nearest
                return self.copied_dict(&self.bases[nearest], count)
            edits = self.distance(&self.bases[nearest], count, most)
        if edits > most:
            for i in range(self.base_count):
                other = self.distance(&self.bases[i], count, edits)
                if other < edits:
                    edits, nearest = other, i
        if edits > most and (edits > count // 3 or self.has_base_room(count)):
            headers = self.new_dict(count)
            nearest = self.add_base(headers, count)
        else:
            headers = self.edited_dict(&self.bases[nearest], count)
        guess[0] = <uint8_t>nearest
        self.nearest = nearest
        return headers

    cdef inline bint same_lines(self, const Base *base, Py_ssize_t count) noexcept nogil:
        return base.count == count and memcmp(base.lines, self.lines, count * sizeof(uint16_t)) == 0

    cdef int take_over(self, Base *base, Py_ssize_t i, Py_ssize_t j, Py_ssize_t count) except -1:
        """Put the values of lines from the i-th on into a base, from its j-th on."""
        cdef Py_ssize_t more = j - i
        for i in range(i, i + count):
            if self.values[i] == base.values[i + more]:
                continue
            self.need_value(i)
            if self.values[i] != base.values[i + more] and self.is_remembered(i):
                dict_set(<object>base.headers, self.known[self.lines[i]].name, self.values[i])
                base.values[i + more] = self.values[i]
        return 0

    cdef dict copied_dict(self, Base *base, Py_ssize_t count):
        """A copy of a base that has the names of the lines, after its values have become theirs."""
        self.take_over(base, 0, 0, count)
        base.turn = self.turn
        return PyDict_Copy(<dict>base.headers)

    cdef inline Py_ssize_t alike(self, const Base *base, Py_ssize_t i, Py_ssize_t j, Py_ssize_t count) noexcept nogil:
        """How many names from the i-th line on are those from the j-th on in a base."""
        return alike(self.lines + i, base.lines + j, min(count - i, <Py_ssize_t>base.count - j))

    cdef inline Py_ssize_t found(self, const Base *base, Py_ssize_t i, Py_ssize_t j, Py_ssize_t count) noexcept nogil:
        """Where the name of the i-th line stands in a base, if it is soon after the j-th; -1 if it is not."""
        if i == count or j == <Py_ssize_t>base.count:
            return -1
        return found_soon(base, j, self.lines[i])

    cdef Py_ssize_t distance(self, const Base *base, Py_ssize_t count, Py_ssize_t most) noexcept nogil:
        """How many headers of a base must go, and how many be put after the rest, for the names of the lines."""
        cdef Py_ssize_t i = 0, j = 0, gone = 0, to, same
        while True:
            same = self.alike(base, i, j, count)
            i += same
            j += same
            to = self.found(base, i, j, count)
            if to < 0 or gone > most:
                return gone + base.count - j + count - i
            gone += to - j
            j = to

    cdef dict edited_dict(self, Base *base, Py_ssize_t count):
        """A copy of a base with the names of the lines, after the values in it have become those of the lines."""
        cdef Py_ssize_t i = 0, j = 0, same
        cdef dict headers
        while j >= 0:
            same = self.alike(base, i, j, count)
            self.take_over(base, i, j, same)
            i += same
            j = self.found(base, i, j + same, count)
        base.turn = self.turn
        headers = PyDict_Copy(<dict>base.headers)
        self.edit(headers, base, count)
        return headers

    cdef int edit(self, dict headers, const Base *base, Py_ssize_t count) except -1:
        """Give the copy of a base the names of the lines."""
        cdef Py_ssize_t i = 0, j = 0, to = 0, same
        while to >= 0:
            same = self.alike(base, i, j, count)
            i += same
            j += same
            to = self.found(base, i, j, count)
            while j < (to if to >= 0 else <Py_ssize_t>base.count):
                dict_delete(headers, self.known[base.lines[j]].name)
                j += 1
        while i < count:
            self.set_header(headers, i)
            i += 1
        return 0

    cdef bint has_base_room(self, Py_ssize_t count) noexcept:
        if self.base_count == BASES or count > BASE_HEADERS - self.base_headers:
            return False
        return self.base_count < BASES_OWN or DICTS.has(dict_bytes(count))

    cdef uint32_t add_base(self, dict headers, Py_ssize_t count) except? 0:
        """Keep a dict, in the place of others if need be: which base it is."""
        cdef Base *base
        cdef Py_ssize_t i
        if count > BASE_HEADERS:
            return BASES  # none
        while not self.has_base_room(count):
            self.drop_oldest_base()
        base = &self.bases[self.base_count]
        memset(base, 0, sizeof(Base))
        headers = PyDict_Copy(headers)
        if self.base_count >= BASES_OWN:
            if not DICTS.take(dict_bytes(count)):
                return BASES
            base.size = dict_bytes(count)
        base.lines = <uint16_t *>PyMem_Malloc((count + 1) * sizeof(uint16_t))
        base.values = <PyObject **>PyMem_Malloc((count + 1) * sizeof(PyObject *))
        if base.lines == NULL or base.values == NULL:
            PyMem_Free(base.lines)
            PyMem_Free(base.values)
            DICTS.give(base.size)
            raise MemoryError
        memcpy(base.lines, self.lines, count * sizeof(uint16_t))
        for i in range(count):
            base.values[i] = self.values[i]
            if not self.is_remembered(i):
                base.values[i] = <PyObject *>NOTHING
                dict_set(headers, self.known[self.lines[i]].name, base.values[i])
        Py_INCREF(headers)
        base.headers = <PyObject *>headers
        base.count = <uint32_t>count
        base.turn = self.turn
        self.base_headers += count
        self.base_count += 1
        return self.base_count - 1

    cdef void drop_oldest_base(self) noexcept:
        cdef uint32_t i, oldest = 0
        for i in range(1, self.base_count):
            if self.bases[i].turn < self.bases[oldest].turn:
                oldest = i
        self.drop_base(&self.bases[oldest])
        self.base_count -= 1
        self.bases[oldest] = self.bases[self.base_count]

    cdef void drop_base(self, Base *base) noexcept:
        self.base_headers -= base.count
        if base.size:
            DICTS.give(base.size)
        PyMem_Free(base.lines)
        PyMem_Free(base.values)
        Py_XDECREF(base.headers)

    cdef inline bint is_event_name_line(self, Walk *walk) noexcept:
        if walk.known != NULL:
            return walk.known.event_name
        return is_event_name(walk.line.name, walk.line.name_size)

    cdef inline object name_of(self, Walk *walk):
        if walk.known != NULL:
            return <object>walk.known.name
        return raw_text(walk.line.name, walk.line.name_size)

    @cython.critical_section
    cdef list pairs(self, const char *p, const char *end, const char **stop):
        """Every (name, value)."""
        if self.busy:
            return None
        cdef list pairs = []
        cdef Walk walk
        if self.busy:
            return None
        try:
            self.begin(&walk, p, end)
            self.read_pairs(&walk, pairs)
        finally:
            self.busy = False
        stop[0] = walk.stop
        return pairs

    cdef int read_pairs(self, Walk *walk, list pairs) except -1:
        cdef Py_ssize_t i, count
        cdef Known *known
        while True:
            count = self.run(walk, 0)
            for i in range(count):
                known = &self.known[self.lines[i]]
                if known.pair == NULL:
                    self.need_value(i)
                    self.make_pair(self.lines[i])
                pairs.append(<object>known.pair)
            if not self.step(walk):
                return 0
            value = self.take_value(walk)
            known = walk.known
            if known != NULL and walk.recent.value == <void *>value:
                if known.pair == NULL:
                    self.make_pair(walk.last)
                pairs.append(<object>known.pair)
            else:
                pairs.append((self.name_of(walk), value))

    cdef int make_pair(self, uint32_t at) except -1:
        pair = (<object>self.known[at].name, <object>self.recent[at].value)
        Py_INCREF(pair)
        self.known[at].pair = <PyObject *>pair
        return 0

    @cython.critical_section
    cdef dict xml_headers(self, XmlPayload payload):
        """All headers of an XML payload."""
        return payload.headers(self)

    @cython.critical_section
    cdef bint read_json(self, JsonPayload payload) except -1:
        """Read a JSON payload by what is remembered. False if it has to be read in another way."""
        if self.of_json is None:
            self.of_json = JsonMemo.__new__(JsonMemo)
        return self.of_json.read(self, payload)

    @cython.critical_section
    cdef object find_json(self, JsonPayload payload, str name):
        """The value that a look-up takes in a payload that `read_json` has read; None if the name is absent."""
        return self.of_json.find(payload, name)

    @cython.critical_section
    cdef object lone_json(self, JsonPayload payload, str name):
        """What `lone` says of a payload that `read_json` has read and that is flat."""
        return self.of_json.lone(payload, name)

    @cython.critical_section
    cdef dict json_headers(self, JsonPayload payload):
        """All headers of a JSON payload."""
        return payload.headers(self) if payload.spans == NULL else self.of_json.headers(self, payload)

    @cython.critical_section
    cdef bytes json(self, const char *p, const char *end, const char **stop, bint replace, bint whole):
        """A payload with its body as JSON. None also if a name is not UTF-8: replaced it may be equal to another; and if
        it is to be `whole`, UTF-8 without repeats, and is not."""
        cdef Walk walk
        cdef Members members
        cdef Out *out = &self.scratch
        if self.busy:
            return None
        out.size = 0
        members.event_name = members.body = -1
        members.invalid = members.lossy = 0
        members.whole = True
        try:
            self.begin(&walk, p, end)
            self.write_members(&walk, &members, replace)
            stop[0] = walk.stop
            if members.invalid:
                return None
            write_body(out, &members, block_end(walk.stop, end), end, replace)
            json = None
            if not whole or (members.whole and not members.lossy):
                json = PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            self.busy = False
            if out.room > SCRATCH_BYTES:
                PyMem_Free(out.data)
                memset(out, 0, sizeof(Out))
        return json

    cdef int write_members(self, Walk *walk, Members *members, bint replace) except -1:
        """Write each header, with a comma before it."""
        cdef Out *out = &self.scratch
        cdef Known *known
        cdef set others = None  # names that are not remembered
        cdef Py_ssize_t distinct, count, i
        cdef bint repeated
        while True:
            count = self.run(walk, 0)
            for i in range(count):
                known = &self.known[self.lines[i]]
                if known.json == NULL:
                    walk.known = known
                    walk.recent = &self.recent[self.lines[i]]
                    walk.same = True
                    self.write_same(walk, members, replace)
                    continue
                if known.event_name or known.body:
                    note_member(members, out, self.recent[self.lines[i]].line, known.name_size)
                write_bytes(out, known.json, known.json_size)
            if not self.step(walk):
                return 0
            known = walk.known
            repeated = walk.repeated
            if known == NULL:
                if others is None:
                    others = set()
                distinct = len(others)
                others.add(raw_text(walk.line.name, walk.line.name_size))
                repeated = len(others) == distinct
                if not repeated:
                    note_member(members, out, walk.line.name, walk.line.name_size)
            elif not repeated and (known.event_name or known.body):
                note_member(members, out, walk.line.name, known.name_size)
            members.whole &= not repeated
            if not repeated and walk.same and known != NULL and known.json != NULL:
                write_bytes(out, known.json, known.json_size)
            elif not repeated:
                self.write_member(walk, members, replace)
            elif is_event_name(walk.line.name, walk.line.name_size):  # the last one counts
                replace_member(out, members, members.event_name, &walk.line, replace)

    cdef int write_same(self, Walk *walk, Members *members, bint replace) except -1:
        """Write a remembered header for the first time, or one that is not written alike each time."""
        if walk.known.event_name or walk.known.body:
            note_member(members, &self.scratch, walk.recent.line, walk.known.name_size)
        remembered_line(walk.known, walk.recent, &walk.line)
        return self.write_member(walk, members, replace)

    cdef int write_member(self, Walk *walk, Members *members, bint replace) except -1:
        """Write a header, and keep what was written beside the line."""
        cdef Out *out = &self.scratch
        cdef Known *known = walk.known
        cdef Py_ssize_t begin = out.size
        cdef int lossy = 0
        write_bytes(out, b",", 1)
        write_string(out, walk.line.name, walk.line.name_size, False, &members.invalid)
        write_bytes(out, b":", 1)
        write_value(out, walk.line.value, walk.line.value_size, replace, &lossy)
        members.lossy |= lossy
        if known == NULL or not self.remember(walk):
            return 0
        cdef Py_ssize_t size = out.size - begin
        if known.json != NULL:
            return 0
        if lossy or members.invalid or size > 2 * <Py_ssize_t>walk.recent.size + 8:  # it depends on `replace`, or is large
            return 0
        known.json = <char *>PyMem_Malloc(size)
        if known.json != NULL:
            memcpy(known.json, out.data + begin, size)
            known.json_size = <uint32_t>size
        return 0


cdef inline const char *block_end(const char *stop, const char *end) noexcept nogil:
    """Where the body begins: after the blank line that begins at `stop`, or at the end if there is none."""
    if stop >= end:
        return end
    return stop + (2 if stop[1] == c"\n" else 3)


cdef inline uint64_t mix(const char *p, Py_ssize_t size) noexcept nogil:
    """A hash of a name: its length, its first and its last eight bytes."""
    cdef uint64_t first = 0, last = 0
    memcpy(&first, p, size if size < 8 else 8)
    if size > 8:
        memcpy(&last, p + size - 8, 8)
    first = (first ^ <uint64_t>size) * <uint64_t>0x9E3779B97F4A7C15
    first = (first ^ (first >> 29) ^ last) * <uint64_t>0xBF58476D1CE4E5B9
    first = (first ^ (first >> 32)) * <uint64_t>0x94D049BB133111EB  # names that end in a number differ in high bits only
    return first ^ (first >> 32)
