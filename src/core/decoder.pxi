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
