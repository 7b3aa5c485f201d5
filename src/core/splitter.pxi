# Where frames end: `FrameSplitter`.


cdef struct Place:
    # Where a splitter is. `feed_eof` goes on with one of its own: another thread may run whenever an error is raised.
    Py_ssize_t start  # of the unread bytes
    Py_ssize_t searched
    Py_ssize_t block_end
    Py_ssize_t taken
    int64_t length  # -1: no Content-Length
    Py_ssize_t type_at  # where the Content-Type's value stands, from the start of the frame
    Py_ssize_t type_size  # -1: there is none


@cython.no_gc_clear  # it may be used while a cycle that it is part of is collected; others break the cycle
cdef class FrameSplitter:
    """See eslcodec._codec_py.FrameSplitter."""

    # While its state changes no Python code runs, and so no other thread: it stays whole even if threads share it.
    # (Without the GIL critical sections have the same effect.)

    cdef Store store
    cdef bytes fed  # what was fed and is read in place, so that it is copied once; None if there is nothing
    cdef bint placed  # whether the unread bytes are there; if not, they are in the store, followed by those of `fed`
    cdef Py_ssize_t fed_at  # from here on
    cdef Place at
    cdef Py_ssize_t end  # of the unread bytes
    cdef Py_ssize_t max_header, max_body, max_buffered
    cdef bint dead
    cdef bytes last  # the end of the frame that came out last
    cdef Window window
    cdef Py_ssize_t usual  # what get_buffer offers: twice after a read that filled it, slowly less after small ones
    cdef bint mixed  # bytes were fed while a window was out: where that copied much, windows get stores of their own

    def __cinit__(self):
        self.store = new_store(RECEIVE_BYTES_MIN)
        self.usual = RECEIVE_BYTES_MIN
        self.last = b""

    def __init__(
        self,
        *,
        max_header_bytes=limits.MAX_HEADER_BYTES,
        max_body_bytes=limits.MAX_BODY_BYTES,
        max_buffered=None,
    ):
        if max_buffered is None:
            max_buffered = limits.default_max_buffered(max_header_bytes, max_body_bytes)
        for name, bound in (
            ("max_header_bytes", max_header_bytes),
            ("max_body_bytes", max_body_bytes),
            ("max_buffered", max_buffered),
        ):
            if not 0 < operator.index(bound) < LENGTH_CEILING:
                raise ValueError(f"{name} is {bound}, expected 1 to {LENGTH_CEILING - 1}")
        with cython.critical_section(self):
            self.max_header = min(max_header_bytes, PY_SSIZE_T_MAX)
            self.max_body = min(max_body_bytes, PY_SSIZE_T_MAX)
            self.max_buffered = min(max_buffered, PY_SSIZE_T_MAX)

    def __reduce__(self):
        return refuse_pickle(self)

    @property
    @cython.critical_section
    def buffered(self):
        """See eslcodec._codec_py.FrameSplitter.buffered."""
        return self.waiting()

    @property
    @cython.critical_section
    def consumed(self):
        """See eslcodec._codec_py.FrameSplitter.consumed."""
        return self.at.taken

    def feed(self, data):
        """See eslcodec._codec_py.FrameSplitter.feed."""
        if type(data) is bytes:
            self.take_in(<bytes>data)
        else:
            self.take_other(data)

    cdef int take_other(self, data) except -1:
        cdef Py_buffer raw
        with viewed(data) as view:
            if not view.c_contiguous:
                raise BufferError("feed() takes contiguous bytes")
            PyObject_GetBuffer(view, &raw, PyBUF_SIMPLE)
            try:
                self.take_view(<const char *>raw.buf, raw.len)
            finally:
                PyBuffer_Release(&raw)
        return 0

    @cython.critical_section
    cdef int take_in(self, bytes data) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size < IN_PLACE_BYTES and self.has_room(size):
            memcpy(self.store.data + self.end, PyBytes_AS_STRING(data), size)
            self.end += size
            return 0
        if self.dead or size < IN_PLACE_BYTES or self.fed is not None or self.pinned():
            return self.append(PyBytes_AS_STRING(data), size)
        self.check_room(size)
        self.fed = data
        self.fed_at = 0
        self.go_over()
        return 0

    @cython.critical_section
    cdef int take_view(self, const char *p, Py_ssize_t size) except -1:
        """Take in bytes of what may be a window of ours: making room would move what is in it."""
        cdef bytes copied
        if self.dead or not self.store.data <= p < self.store.data + self.store.capacity:
            return self.append(p, size)
        self.check_room(size)
        copied = PyBytes_FromStringAndSize(p, size)
        return self.append(PyBytes_AS_STRING(copied), size)

    cdef int append(self, const char *p, Py_ssize_t size) except -1:
        if self.dead:
            return 0
        self.check_room(size)
        self.reserve(size)
        memcpy(self.store.data + self.end, p, size)
        self.end += size
        return 0

    cdef inline bint has_room(self, Py_ssize_t size) noexcept:
        """Whether `append` would only copy: most small pieces are fed so."""
        if self.dead or self.fed is not None or self.window is not None or self.at.start == self.end:
            return False
        if size > self.max_buffered - (self.end - self.at.start):
            return False
        return size <= self.store.capacity - self.end and self.store.capacity <= IDLE_BYTES

    cdef int check_room(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t waiting = self.waiting()
        if size > self.max_buffered - waiting:
            raise LimitExceeded(waiting + <object>size, self.max_buffered)
        return 0

    # Bytes objects that are fed are read in place. As long as the store holds the first part of a frame, they wait, and
    # the store gets from them what that frame lacks (`pull`).

    cdef inline const char *data(self) noexcept:
        """What the unread bytes are counted from."""
        return PyBytes_AS_STRING(self.fed) if self.placed else self.store.data

    cdef inline Py_ssize_t waiting(self) noexcept:
        """How many bytes are unread."""
        if self.fed is None or self.placed:
            return self.end - self.at.start
        return self.end - self.at.start + PyBytes_GET_SIZE(self.fed) - self.fed_at

    cdef inline void go_over(self) noexcept:
        """Between two frames: read on in place if all that is unread in the store came from there."""
        cdef Py_ssize_t rest = self.end - self.at.start
        if self.fed is not None and not self.placed and rest <= self.fed_at:
            self.at.start = self.at.searched = self.fed_at - rest
            self.end = PyBytes_GET_SIZE(self.fed)
            self.placed = True

    cdef bint pull(self) except -1:
        """Move into the store what its frame lacks, or some bytes if that is not known. False if there are none."""
        cdef Py_ssize_t left, size
        if self.fed is None or self.placed:
            return False
        left = PyBytes_GET_SIZE(self.fed) - self.fed_at
        if left == 0:
            self.fed = None
            return False
        size = PULLED_BYTES
        if self.at.block_end:
            size = frame_end(&self.at) - self.end
        size = min(size, left)
        self.make_room(size)
        if self.fed is None or self.placed:
            return True  # somebody else went on meanwhile
        size = min(size, PyBytes_GET_SIZE(self.fed) - self.fed_at)
        memcpy(self.store.data + self.end, PyBytes_AS_STRING(self.fed) + self.fed_at, size)
        self.fed_at += size
        self.end += size
        return True

    cdef int settle(self, Py_ssize_t more) except -1:
        """Move all that is unread into the store, with room for `more` bytes after it."""
        cdef bytes fed = self.fed  # held to the end, as `old`: letting go of them can let another thread in
        cdef Store old = self.store
        cdef Store store = old
        cdef Py_ssize_t rest, wanted
        if not self.placed:
            rest = PyBytes_GET_SIZE(fed) - self.fed_at
            if rest > PY_SSIZE_T_MAX // 3:
                raise MemoryError
            self.make_room(rest + more)
            if self.fed is fed and not self.placed:
                rest = PyBytes_GET_SIZE(fed) - self.fed_at
                memcpy(self.store.data + self.end, PyBytes_AS_STRING(fed) + self.fed_at, rest)
                self.end += rest
                self.fed = None
            return 0
        rest = self.end - self.at.start
        wanted = rest + more
        if wanted > PY_SSIZE_T_MAX // 3 * 2:
            raise MemoryError
        if old.capacity < wanted or (old.capacity > IDLE_BYTES and wanted < old.capacity // 4):
            store = new_store(max(wanted + wanted // 2, RECEIVE_BYTES_MIN))
        memcpy(store.data, PyBytes_AS_STRING(fed) + self.at.start, rest)
        self.shift()
        self.placed = False
        self.store = store
        self.fed = None
        return 0

    cdef int reserve(self, Py_ssize_t size) except -1:
        """Make room for `size` bytes after all that is unread. Bytes move at most as often as new ones come."""
        while True:
            if self.fed is not None:
                self.settle(size)
            self.make_room(size)
            if self.fed is None:
                return 0

    cdef int make_room(self, Py_ssize_t size) except -1:
        """Make room for `size` bytes after those in the store, unless what is unread is elsewhere."""
        if not self.placed:
            self.rearrange(size)
        # Letting a store go can let another thread in, who feeds or asks for a window.
        while not self.placed and (self.store.capacity - self.end < size or self.pinned()):
            self.rearrange(size)
        return 0

    cdef inline bint pinned(self) noexcept:
        """Whether a window is out, after the unread bytes: new ones need another store, once."""
        return self.window is not None and self.window.store is self.store

    cdef int rearrange(self, Py_ssize_t size) except -1:
        cdef Store old = self.store
        cdef Py_ssize_t live = self.end - self.at.start
        cdef Py_ssize_t wanted = live + size
        cdef bint oversized = old.capacity > IDLE_BYTES and wanted < old.capacity // 4
        if wanted > PY_SSIZE_T_MAX // 3 * 2:
            raise MemoryError
        if not self.pinned() and not oversized:
            if live == 0:
                self.shift()
            if old.capacity - self.end >= size:
                return 0
            if live <= self.at.start and old.capacity >= wanted:
                memmove(old.data, old.data + self.at.start, live)
                self.shift()
                return 0
            # Much to copy: the allocator can do without. Without the GIL a released window may be opened just now.
            if HAS_GIL and old.exports == 0 and live > IDLE_BYTES:
                memmove(old.data, old.data + self.at.start, live)
                self.shift()
                old.resize(wanted + wanted // 2)
                return 0
        elif self.pinned():
            self.mixed = True
        cdef Store store = new_store(max(wanted + wanted // 2, RECEIVE_BYTES_MIN))
        memcpy(store.data, old.data + self.at.start, live)
        self.shift()
        self.store = store
        return 0

    cdef void shift(self) noexcept:
        """The unread bytes begin at the first byte now."""
        self.end -= self.at.start
        self.at.searched = max(self.at.searched - self.at.start, 0)
        self.at.block_end = max(self.at.block_end - self.at.start, 0)
        self.at.start = 0

    @cython.critical_section
    def get_buffer(self, Py_ssize_t sizehint=-1):
        """See eslcodec._codec_py.FrameSplitter.get_buffer."""
        cdef Py_ssize_t waiting = self.waiting()
        cdef Py_ssize_t room = RECEIVE_BYTES_MAX if self.dead else self.max_buffered - waiting
        if room <= 0:
            raise LimitExceeded(waiting + 1, self.max_buffered)
        cdef Py_ssize_t size = min(min(max(sizehint, self.usual), RECEIVE_BYTES_MAX), room)
        self.window = None
        cdef Window window = Window.__new__(Window)
        if self.mixed and waiting > IDLE_BYTES:
            window.store = new_store(size)
            window.data = window.store.data
        else:
            self.reserve(size)
            window.store = self.store
            window.data = self.store.data + self.end
        window.size = size
        window.moves = window.store.moves
        self.window = window  # from here on its bytes stay where they are
        try:
            return memoryview(window)
        except BaseException:
            self.window = None
            raise

    @cython.critical_section
    def buffer_updated(self, nbytes):
        """See eslcodec._codec_py.FrameSplitter.buffer_updated."""
        cdef Py_ssize_t size = PyNumber_AsSsize_t(nbytes, NULL)  # which may be anybody's code
        cdef Window window = self.window
        if window is None:
            raise ValueError("buffer_updated() without get_buffer()")
        if not 0 <= size <= window.size:
            self.window = None
            raise ValueError(f"buffer_updated({nbytes}), expected 0 to {window.size}")
        if window.store is not self.store:  # bytes were fed in between, and stand in another store
            self.append(window.data, size)
        elif not self.dead:
            self.end += size
        if size == window.size:
            self.usual = min(max(2 * size, self.usual), RECEIVE_BYTES_MAX)
        elif size < self.usual // 8:
            self.usual = max(self.usual - self.usual // 32, RECEIVE_BYTES_MIN)
        self.window = None

    @cython.critical_section
    def feed_eof(self):
        """See eslcodec._codec_py.FrameSplitter.feed_eof."""
        cdef Place at
        cdef Py_ssize_t end
        if self.fed is not None and not self.placed:
            self.settle(0)
        at = self.at
        while True:
            end = self.measure(&at)
            if end < 0:
                break
            advance(&at, end)
        if self.end > at.start:
            left = PyBytes_FromStringAndSize(self.data() + at.start, self.end - at.start)
            if not at.block_end:
                raise IncompleteFrame(left, before=self.last)
            raise IncompleteFrame(left, at.block_end - at.start, at.length)

    cdef Py_ssize_t measure(self, Place *at) except -2:
        """Where the next frame ends, -1 while it is not whole."""
        if not at.block_end and not self.find_block(at):
            return -1
        if at.length > self.end - at.block_end:
            return -1
        return frame_end(at)

    cdef bint find_block(self, Place *at) except -1:
        cdef const char *data = self.data()
        cdef const char *blank
        cdef Py_ssize_t start = at.start, stop
        if at.searched <= start:
            while at.start < self.end and (data[at.start] == c"\n" or data[at.start] == c"\r"):
                at.start += 1
            at.taken += at.start - start
            start = at.searched = at.start
            stop = usual_head(data + start, data + self.end, &at.length, &at.type_at, &at.type_size) - data
            if stop > start and stop - start <= self.max_header and at.length <= self.max_body:
                at.block_end = stop
                return True
        stop = self.end if self.end - start <= self.max_header else start + self.max_header
        blank = find_blank(data + at.searched, data + stop)
        if blank == NULL:
            if self.end > stop:
                raise HeaderTooLarge(self.max_header + 1, self.max_header)
            at.searched = max(self.end - 2, start)
            return False
        at.searched = blank - data
        stop = at.searched + (2 if blank[1] == c"\n" else 3)
        at.length = read_head(data + start, blank, at)
        if at.length > self.max_body:
            raise BodyTooLarge(length_digits(data + start, blank), self.max_body)
        if at.length < 0 and at.type_size >= 0 and format_of(data + start + at.type_at, at.type_size) > PLAIN:
            raise InvalidContentLength()
        at.block_end = stop
        return True

    cdef inline bint lacking(self) noexcept:
        """Whether it is known already that the next frame is not whole."""
        return self.fed is None and self.at.block_end != 0 and self.at.length > self.end - self.at.block_end

    cdef Py_ssize_t take_measure(self) except -2:
        """`measure`, and the splitter is dead if it raises."""
        cdef Py_ssize_t end
        while True:
            end = self.measure_or_die()
            if end >= 0 or not self.pull():
                return end

    cdef Py_ssize_t measure_or_die(self) except -2:
        try:
            return self.measure(&self.at)
        except BaseException:
            self.dead = True
            raise

    cdef bytes take_frame(self, Py_ssize_t end):
        """The bytes of the next frame, which ends at `end`."""
        cdef Py_ssize_t start = self.at.start
        cdef bytes frame
        if self.placed and start == 0 and end == PyBytes_GET_SIZE(self.fed):
            frame = self.fed
        elif HAS_GIL and end - start > IDLE_BYTES and not (self.placed or self.store.exports or self.pinned()):
            return self.take_store(end)
        else:
            frame = PyBytes_FromStringAndSize(self.data() + start, end - start)
        self.last = last_of(frame)
        advance(&self.at, end)
        self.go_over()
        return frame

    cdef bytes take_store(self, Py_ssize_t end):
        """The same for a large frame, which gets the store's memory: no second copy, not even for a moment."""
        cdef Store old = self.store
        cdef Py_ssize_t start = self.at.start, rest = self.end - end
        cdef bytes last = PyBytes_FromStringAndSize(old.data + end - NOTICE_BYTES, NOTICE_BYTES)
        cdef Store store = new_store(max(rest + rest // 2, RECEIVE_BYTES_MIN))
        memcpy(store.data, old.data + end, rest)
        cdef bytes frame = old.give(start, end)
        advance(&self.at, end)
        self.shift()
        self.store = store
        self.go_over()
        self.last = last
        return frame

    cdef int pause(self) except -1:
        """Once no frame is whole: of bytes that are read in place, only the rest is kept."""
        if self.fed is not None:
            self.settle(0)
        return 0

    @cython.critical_section
    def next_frame(self):
        """See eslcodec._codec_py.FrameSplitter.next_frame."""
        cdef Py_ssize_t end
        if self.lacking():
            return None
        end = self.take_measure()
        if end < 0:
            self.pause()
            return None
        cdef const char *data = self.data()
        block = PyBytes_FromStringAndSize(data + self.at.start, self.at.block_end - self.at.start)
        body = None if self.at.length < 0 else PyBytes_FromStringAndSize(data + self.at.block_end, end - self.at.block_end)
        self.last = last_of(body or block)
        advance(&self.at, end)
        self.go_over()
        return block, body

    def __iter__(self):
        return self

    def __next__(self):
        frame = self.next_frame()
        if frame is None:
            raise StopIteration
        return frame


cdef int64_t read_head(const char *p, const char *end, Place *at) except -2:
    """Note where the Content-Type stands in the header block; its Content-Length, -1 if there is none."""
    cdef Line line
    cdef const char *begin = p
    cdef const char *first = NULL
    cdef Py_ssize_t first_size = 0
    cdef int64_t length = -1, number
    cdef bint exact = False
    at.type_size = -1
    while next_line(&p, end, &line):
        if line.name_size == 12 and folded_equal(line.name, b"content-type", 12):
            if at.type_size < 0 or (not exact and memcmp(line.name, b"Content-Type", 12) == 0):
                at.type_at = line.value - begin
                at.type_size = line.value_size
                exact = memcmp(line.name, b"Content-Type", 12) == 0
        elif line.name_size == 14 and folded_equal(line.name, b"content-length", 14):
            number = read_length(line.value, line.value_size)
            if first == NULL:
                first, first_size, length = line.value, line.value_size, number
            elif number != length:
                raise InvalidContentLength(first[:first_size], line.value[: line.value_size])
    return length


cdef object viewed(data, str method="feed"):
    """What a method takes, as bytes."""
    try:
        return memoryview(data)
    except TypeError:
        raise TypeError(f"{method}() takes bytes, not {type(data).__name__}") from None


cdef bytes length_digits(const char *p, const char *end):
    """The digits of the Content-Length of a header block that has one, without blanks and leading zeros.

    Raises:
        InvalidContentLength: a second one differs. `read_head` sees that of numbers below its ceiling only.
    """
    cdef Line line
    cdef bytes value, digits, first = None, found = None
    while next_line(&p, end, &line):
        if line.name_size == 14 and folded_equal(line.name, b"content-length", 14):
            value = line.value[: line.value_size]
            digits = value.strip(b" \t").lstrip(b"0")
            if first is None:
                first, found = value, digits
            elif digits != found:
                raise InvalidContentLength(first, value)
    return found


cdef inline Py_ssize_t frame_end(const Place *at) noexcept nogil:
    return at.block_end + (<Py_ssize_t>at.length if at.length > 0 else 0)


cdef inline bytes last_of(bytes frame):
    """What is kept of a frame that comes out: all of it, or the end of one that is large."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(frame)
    if size <= KEPT_FRAME_BYTES:
        return frame
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(frame) + size - NOTICE_BYTES, NOTICE_BYTES)


cdef inline void advance(Place *at, Py_ssize_t end) noexcept nogil:
    """Go to the frame that begins at `end`."""
    at.taken += end - at.start
    at.start = at.searched = end
    at.block_end = 0


cdef int64_t read_length(const char *p, Py_ssize_t size) except -1:
    """A Content-Length: ASCII digits, blanks around them; numbers too large to matter become one."""
    cdef const char *end = p + size
    cdef const char *at = p
    cdef int64_t number = 0
    while at < end and (at[0] == c" " or at[0] == c"\t"):
        at += 1
    while end > at and ((end - 1)[0] == c" " or (end - 1)[0] == c"\t"):
        end -= 1
    if at == end:
        raise InvalidContentLength(p[:size])
    while at < end:
        if not c"0" <= at[0] <= c"9":
            raise InvalidContentLength(p[:size])
        number = number * 10 + (at[0] - c"0") if number < LENGTH_CEILING // 10 else LENGTH_CEILING
        at += 1
    return number
