# Frames as messages: `MessageDecoder`.


cdef tuple NO_ARGUMENTS = ()


cdef int format_of(const char *p, Py_ssize_t size) noexcept:
    """How the payload of a frame with this Content-Type is written; FRAME if it is no event."""
    if size == 16 and folded_equal(p, b"text/event-plain", 16):
        return PLAIN
    if size == 15 and folded_equal(p, b"text/event-json", 15):
        return JSON
    if size == 14 and folded_equal(p, b"text/event-xml", 14):
        return XML
    return FRAME


@cython.no_gc_clear
cdef class MessageDecoder(FrameSplitter):
    """See eslcodec._codec_py.MessageDecoder."""

    cdef list keys, kinds
    cdef type default
    cdef Memo memo
    cdef char known_type[KNOWN_TYPE_BYTES]  # the Content-Type that came last,
    cdef Py_ssize_t known_size
    cdef type known_kind  # what it stands for,
    cdef char known_format  # and how its payload is written

    def __init__(
        self,
        kinds,
        default,
        *,
        max_header_bytes=limits.MAX_HEADER_BYTES,
        max_body_bytes=limits.MAX_BODY_BYTES,
        max_buffered=None,
    ):
        FrameSplitter.__init__(
            self, max_header_bytes=max_header_bytes, max_body_bytes=max_body_bytes, max_buffered=max_buffered
        )
        kinds = dict(kinds)
        for kind in [*kinds.values(), default]:
            if not issubclass(kind, Message):
                raise TypeError(f"{kind!r} is no subclass of Message")
        cdef list names = []
        for key in kinds:
            names.append(bytes(key))
        classes = list(kinds.values())
        memo = Memo()
        with cython.critical_section(self):
            self.keys = names
            self.kinds = classes
            self.default = default
            self.memo = memo
            self.known_size = -1

    cdef type look_up(self, const char *p, Py_ssize_t size, int *format):
        """The class of a frame with this Content-Type, and how its payload is written."""
        if size != self.known_size or memcmp(p, self.known_type, size) != 0:
            self.known_kind = self.kind_of(p, size)
            self.known_format = format_of(p, size)
            self.known_size = size if size <= KNOWN_TYPE_BYTES else -1
            memcpy(self.known_type, p, max(self.known_size, 0))
        format[0] = self.known_format
        return self.known_kind

    cdef type kind_of(self, const char *p, Py_ssize_t size):
        cdef Py_ssize_t i
        for i in range(len(self.keys)):
            key = <bytes>self.keys[i]
            if PyBytes_GET_SIZE(key) == size and folded_equal(p, PyBytes_AS_STRING(key), size):
                return <type>self.kinds[i]
        return self.default

    @cython.critical_section
    cdef Message take(self):
        """The next message. Whatever raises, nothing has been taken."""
        cdef Message message
        cdef Place at
        cdef type kind
        cdef int format
        if self.lacking():
            return None
        while True:
            if self.take_measure() < 0:
                self.pause()
                return None
            at = self.at
            kind = self.default
            format = FRAME
            if at.type_size >= 0:
                kind = self.look_up(self.data() + at.start + at.type_at, at.type_size, &format)
            message = <Message?>(<PyTypeObject *>kind).tp_new(kind, <PyObject *>NO_ARGUMENTS, NULL)  # which may be anybody's code
            if self.at.taken == at.taken:
                break
        cdef bytes frame = self.take_frame(frame_end(&self.at))  # it may have moved
        message.adopt(frame, self.memo, at.block_end - at.start, at.length >= 0, format)
        return message

    def next_message(self):
        """See eslcodec._codec_py.MessageDecoder.next_message."""
        return self.take()

    def drain(self, list messages not None, type kind not None):
        """See eslcodec._codec_py.MessageDecoder.drain."""
        cdef bint only = True
        cdef Message message = self.take()
        while message is not None:
            messages.append(message)
            if type(message) is not kind:
                only = False
            message = self.take()
        return only

    @cython.critical_section
    cdef int pass_others(self, tuple names) except -1:
        """Go over whole events up to one that may have one of these names, or anything else."""
        cdef const char *passed = NULL
        cdef const char *p
        cdef Py_ssize_t end, size = 0
        cdef int format
        while not self.lacking():
            end = self.measure_or_die()
            if end < 0:
                self.note_passed(passed, size)  # while it is where it was
                passed = NULL
                if not self.pull():
                    break
                continue
            p = self.data() + self.at.start
            format = FRAME
            if self.at.type_size >= 0:
                self.look_up(p + self.at.type_at, self.at.type_size, &format)
            if format < PLAIN or may_be_among(names, format, self.data() + self.at.block_end, self.data() + end):
                break
            size = end - self.at.start
            passed = p
            advance(&self.at, end)
            self.go_over()
        self.note_passed(passed, size)
        return 0

    cdef int note_passed(self, const char *frame, Py_ssize_t size) except -1:
        """Keep of a frame what the error of a stream that ends in the next one looks at."""
        cdef Py_ssize_t kept = min(size, NOTICE_BYTES)
        if frame != NULL:
            self.last = PyBytes_FromStringAndSize(frame + size - kept, kept)
        return 0

    def _named(self, names):
        """See eslcodec._codec_py.MessageDecoder._named."""
        cdef list encoded = []
        cdef Named messages = Named.__new__(Named)
        messages.texts = frozenset(names)
        for name in messages.texts:
            encoded.append(name_bytes(name) or b"")
        messages.names = tuple(encoded)
        messages.decoder = self
        return messages

    def __iter__(self):
        cdef Messages messages = Messages.__new__(Messages)
        messages.decoder = self
        return messages

    def __next__(self):
        message = self.take()
        if message is None:
            raise StopIteration
        return message


@cython.final
@cython.no_gc_clear
@cython.freelist(8)  # one is made for each piece that is fed
cdef class Messages:
    """Iterates over a decoder. A for loop calls it directly, and a Python subclass of a decoder through a look-up."""

    cdef MessageDecoder decoder

    def __reduce__(self):
        return refuse_pickle(self)

    def __iter__(self):
        return self

    def __next__(self):
        message = None if self.decoder is None else self.decoder.take()
        if message is None:
            raise StopIteration
        return message


@cython.final
@cython.no_gc_clear
cdef class Named:
    """Iterates over the messages of a decoder whose Event-Name is one of some names."""

    cdef MessageDecoder decoder
    cdef frozenset texts
    cdef tuple names  # the same, as bytes

    def __reduce__(self):
        return refuse_pickle(self)

    def __iter__(self):
        return self

    def __next__(self):
        cdef Message message
        while self.decoder is not None:
            self.decoder.pass_others(self.names)
            message = self.decoder.take()
            if message is None:
                break
            if message.value_of("Event-Name") in self.texts:
                return message
        raise StopIteration


cdef bint may_be_among(tuple names, int format, const char *p, const char *end) noexcept:
    """Whether the name of an event may be one of these. In doubt it may: a look-up then tells."""
    cdef const char *name
    cdef size_t size = 0
    cdef Py_ssize_t i
    cdef bytes one
    if format == PLAIN:
        name = only_plain_name(p, end, &size)
    else:
        name = only_json_name(p, end, &size) if format == JSON else only_xml_name(p, end, &size)
    if name == NULL:
        return True
    for i in range(PyTuple_GET_SIZE(names)):
        one = <bytes>PyTuple_GET_ITEM(names, i)
        if PyBytes_GET_SIZE(one) == <Py_ssize_t>size and memcmp(PyBytes_AS_STRING(one), name, size) == 0:
            return True
    return False
