# One message: look-ups, and everything that is made of its headers.


@cython.no_gc
@cython.collection_type("mapping")
cdef class Message:
    """See eslcodec._codec_py.Message."""

    cdef bytes frame_
    cdef Memo memo
    cdef dict index
    cdef object parsed  # JsonPayload; XmlPayload, or what the twin's read_payload gives
    cdef Py_ssize_t split
    cdef Py_ssize_t head_stop  # as in the twin
    cdef uint64_t number  # by which the memo knows it, 0 if it has not been asked
    cdef char format
    cdef bint has_body

    def __cinit__(self):
        self.frame_ = b""

    def __init__(self, block, body=None):
        cdef bytes head = bytes(memoryview(block))
        cdef const char *p = PyBytes_AS_STRING(head)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(head)
        cdef const char *blank = find_blank(p, p + size)
        if blank == NULL or blank + (2 if blank[1] == c"\n" else 3) != p + size:
            raise ValueError("a header block ends with its first blank line")
        cdef Place at
        read_head(p, blank, &at)
        cdef bytes frame = head if body is None else head + body
        cdef int format = FRAME if at.type_size < 0 else format_of(p + at.type_at, at.type_size)
        if body is None and format > PLAIN:
            raise InvalidContentLength()
        self.adopt(frame, None, size, body is not None, format)

    @cython.critical_section
    cdef int adopt(self, bytes frame, Memo memo, Py_ssize_t split, bint has_body, int format) except -1:
        """Become the message of this frame."""
        self.index = None
        self.parsed = None
        self.memo = memo
        self.number = 0
        self.split = split
        self.has_body = has_body
        self.head_stop = -1
        self.format = format
        if format == FRAME and split > 11 and memcmp(PyBytes_AS_STRING(frame), b"Event-Name:", 11) == 0:
            self.format = FRAME_ENCODED
        self.frame_ = frame
        return 0

    # The bytes

    @cython.critical_section
    cdef bytes placed(self, Py_ssize_t *split, int *format):
        """The frame, where its payload begins, and how that is written."""
        split[0] = self.split
        format[0] = self.format
        return self.frame_

    @property
    @cython.critical_section
    def frame(self):
        """See eslcodec._codec_py.Message.frame."""
        return self.frame_

    @property
    @cython.critical_section
    def raw(self):
        """See eslcodec._codec_py.Message.raw."""
        if self.format < PLAIN:
            return self.frame_[: self.split]
        if self.format == PLAIN:
            return self.frame_[self.split : self.head_end()]
        return self.frame_[self.split :]

    @property
    @cython.critical_section
    def body(self):
        """See eslcodec._codec_py.Message.body."""
        return self.get_body()

    cdef object get_body(self):
        if self.format == PLAIN:
            return self.frame_[self.head_end() :] or None
        if self.format == JSON:
            return self.json().get_body()
        if self.format == XML:
            usual = self.usual_xml()
            return self.xml()[1] if usual is None else (<XmlPayload>usual).get_body()
        return self.frame_[self.split :] if self.has_body else None

    @property
    @cython.critical_section
    def payload(self):
        """See eslcodec._codec_py.Message.payload."""
        return self.frame_[self.split :] if self.has_body else None

    @property
    def text(self):
        """See eslcodec._codec_py.Message.text."""
        cdef bytes body = self.body or b""
        return raw_text(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))

    @property
    @cython.critical_section
    def content_type(self):
        """See eslcodec._codec_py.Message.content_type."""
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef Line line
        if self.format < PLAIN:
            return self.find("Content-Type")
        walk_lines(p, p + self.split, b"Content-Type", 12, &line, False)  # an event has one
        return raw_text(line.value, line.value_size)

    @property
    @cython.critical_section
    def malformed(self):
        """See eslcodec._codec_py.Message.malformed."""
        fault = None
        if self.format == JSON:
            fault = self.json().fault
        elif self.format == XML and self.usual_xml() is None:
            fault = self.xml()[2]
        return None if fault is None else MalformedPayload(*fault)

    # What is found out once is kept, unless Python code that ran meanwhile made another message of this one.

    cdef JsonPayload json(self):
        cdef bytes frame = self.frame_
        cdef JsonPayload payload
        if self.parsed is not None:
            return <JsonPayload?>self.parsed
        payload = JsonPayload.__new__(JsonPayload)
        payload.frame = frame
        payload.start = self.split
        if self.memo is None or not self.memo.read_json(payload):
            payload.read()
        if self.frame_ is frame:
            self.parsed = payload
        return payload

    cdef XmlPayload usual_xml(self):
        """An XML payload that is written as a switch writes it; None if it is expat's, or was read by it."""
        cdef bytes frame = self.frame_
        cdef XmlPayload payload
        if self.parsed is not None:
            return <XmlPayload>self.parsed if type(self.parsed) is XmlPayload else None
        payload = XmlPayload.__new__(XmlPayload)
        if not payload.read(frame, self.split):
            return None
        if self.frame_ is frame:
            self.parsed = payload
        return payload

    cdef tuple xml(self):
        """Headers, body and fault of an XML payload, as the twin's read_payload gives them."""
        cdef bytes frame = self.frame_
        cdef tuple payload
        cdef XmlPayload usual = self.usual_xml()
        if usual is not None:
            return usual.fields(self.memo, False), usual.get_body(), None
        if self.parsed is not None:
            return <tuple?>self.parsed
        payload = read_by_expat(frame[self.split :])
        if self.frame_ is frame:
            self.parsed = payload
        return payload

    cdef Py_ssize_t find_head(self) noexcept:
        """Where the header lines that are read begin in the frame; `head_stop` is known afterwards."""
        cdef const char *p = PyBytes_AS_STRING(self.frame_)
        cdef Py_ssize_t begin = 0 if self.format < PLAIN else self.split
        cdef const char *end = p + (self.split if self.format < PLAIN else PyBytes_GET_SIZE(self.frame_))
        cdef const char *blank
        if self.head_stop < 0:
            blank = find_blank(p + (begin - 1 if begin else 0), end)
            self.head_stop = (end if blank == NULL else blank) - p
        return begin

    cdef Py_ssize_t head_end(self) noexcept:
        """Where the body begins in the frame: after the blank line, or at the end if there is none."""
        self.find_head()
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.frame_)
        if self.head_stop >= size:
            return size
        return self.head_stop + (2 if PyBytes_AS_STRING(self.frame_)[self.head_stop + 1] == c"\n" else 3)

    # Look-ups

    cdef object find(self, object name):
        """The value of a look-up, None if the name is absent."""
        if not isinstance(name, str):
            return None
        cdef PyObject *known = NULL
        cdef dict index = self.index
        if self.format == XML and self.usual_xml() is None:
            index = self.get_index()
            key = self.spelling(name, index)
            return None if key is None else index[key]
        if index is not None and PyDict_GetItemRef(index, name, &known):
            value = <object>known
            Py_DECREF(value)
            return value
        return self.find_text(name, False)

    cdef inline object find_text(self, object name, bint last):
        """The same from the bytes; `last` of a repeated spelling."""
        if self.format == JSON:
            return self.find_json(name, last)
        if PyUnicode_IS_COMPACT_ASCII(name):
            return self.find_bytes(<const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name), last)
        cdef bytes encoded = name_bytes(name)
        if encoded is None:
            return None
        return self.find_bytes(PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), last)

    cdef object find_json(self, object name, bint last):
        cdef JsonPayload payload = self.json()
        if payload.spans != NULL and (payload.distinct or not last) and type(name) is str:
            return self.memo.find_json(payload, name)
        return payload.look_up(name, last)

    cdef object find_bytes(self, const char *name, Py_ssize_t size, bint last):
        cdef Line line
        cdef bytes frame = self.frame_
        cdef XmlPayload usual
        cdef Py_ssize_t at
        if self.format == XML:
            usual = self.usual_xml()
            at = usual.find(name, size, last)
            return None if at < 0 else joined(usual.value(&at))
        if not self.find_line(name, size, &line, last):
            return None
        return text_of(line.value, line.value_size, self.format != FRAME)

    cdef bint find_line(self, const char *name, Py_ssize_t size, Line *found, bint last) noexcept:
        """The line that a look-up takes: the exact spelling, else the first that matches ignoring ASCII case."""
        if self.format == PLAIN and self.memo is not None:
            return self.memo.find_line(self, name, size, found, last)
        return self.search(NULL, name, size, found, last)

    cdef bint search(self, const Bits *bits, const char *name, Py_ssize_t size, Line *found, bint last) noexcept:
        """The same by an index of the headers, or by looking at each byte."""
        cdef const char *p = PyBytes_AS_STRING(self.frame_)
        cdef Py_ssize_t begin = self.find_head()
        cdef const char *end = p + self.head_stop
        if begin == 0 or self.head_stop < begin:
            return walk_lines(p + begin, end, name, size, found, last)
        cdef const char *start = p + begin - 1  # the frame's own block ends with a line feed
        cdef const char *at = start
        cdef const char *hit
        cdef const char *folded = NULL
        cdef bint to_end = last or is_event_name(name, size), seen = False
        while True:
            if bits == NULL:
                hit = find_name(at, end, name, size, &folded)
            else:
                hit = index_name(bits, start, at, name, size, &folded)
            if hit == NULL:
                break
            if not (end - hit >= size + 3 and hit[size + 2] == c" "):
                return walk_lines(p + begin, end, name, size, found, last)  # cut elsewhere, perhaps
            found.name = hit + 1
            found.name_size = size
            found.value = hit + size + 3
            seen = True
            if not to_end:
                break
            at = hit + 1
        if not seen:
            if folded == NULL:
                return False
            # The first that matches may be cut elsewhere, or be the first of several Event-Name in another spelling.
            return walk_lines(p + begin, end, name, size, found, last)
        if (size and memchr(name, c"\n", size) != NULL) or has_cut(name, size):
            return False  # no line can have this name
        hit = line_end(found.value, end) if bits == NULL else index_feed(bits, start, found.value)
        if hit > found.value and (hit - 1)[0] == c"\r":
            hit -= 1
        found.value_size = hit - found.value
        return True

    @cython.critical_section
    def __getitem__(self, name):
        value = self.find(name)
        if value is None:
            raise KeyError(name)
        return value

    @cython.critical_section
    def get(self, name, default=None, *, errors="surrogateescape"):
        """See eslcodec._codec_py.Message.get."""
        value = self.find(name)
        if errors is not ESCAPE and replaces(errors) and value is not None:
            return replaced(value)
        return default if value is None else value

    @cython.critical_section
    cdef object value_of(self, str name):
        """`get` for what is asked here."""
        return self.find(name)

    @cython.critical_section
    def _last(self, name):
        """See eslcodec._codec_py.Message._last."""
        if self.format != XML or self.usual_xml() is not None:
            return self.find_text(name, True)
        key = self.spelling(name, self.get_index())
        value = None
        for other, written in self.xml()[0]:
            if other == key:
                value = joined(written)
        return value

    @cython.critical_section
    def __contains__(self, name):
        return self.find(name) is not None

    cdef dict get_index(self):
        cdef bytes frame = self.frame_
        cdef dict index = self.index
        if index is None:
            index = self.parse()
            if self.frame_ is frame:
                self.index = index
        return index

    cdef dict parse(self):
        """All headers, as `asdict` gives them."""
        if self.format == JSON:
            return self.json().headers(None) if self.memo is None else self.memo.json_headers(self.json())
        if self.format == XML:
            usual = self.usual_xml()
            if usual is None:
                return first_wins(joined_fields(self.xml()[0]))
            return (<XmlPayload>usual).headers(None) if self.memo is None else self.memo.xml_headers(usual)
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef dict headers
        if self.format == PLAIN and self.memo is not None:
            headers = self.memo.headers(p + self.split, p + PyBytes_GET_SIZE(frame), &stop)
            if headers is not None:
                self.found_stop(frame, stop)
                return headers
        cdef Py_ssize_t begin = self.find_head()
        return headers_of(p + begin, p + max(self.head_stop, begin), self.format != FRAME)

    cdef void found_stop(self, bytes frame, const char *stop) noexcept:
        """Note where the block of this frame ends."""
        if self.frame_ is frame:
            self.head_stop = stop - PyBytes_AS_STRING(frame)

    def __bool__(self):
        return True

    @cython.critical_section
    def __len__(self):
        return len(self.get_index())

    @cython.critical_section
    def __iter__(self):
        return iter(self.get_index())

    def keys(self):
        """D.keys() -> a set-like object providing a view on D's keys"""
        return KeysView(self)

    def values(self):
        """D.values() -> an object providing a view on D's values"""
        return ValuesView(self)

    def items(self):
        """D.items() -> a set-like object providing a view on D's items"""
        return ItemsView(self)

    __reversed__ = None

    @cython.critical_section
    def select(self, *names, errors="surrogateescape"):
        """See eslcodec._codec_py.Message.select."""
        cdef bint replace = errors is not ESCAPE and replaces(errors)
        cdef tuple values = PyTuple_New(len(names))
        cdef Py_ssize_t i
        for i in range(len(names)):
            value = self.find(names[i])
            if replace and value is not None:
                value = replaced(value)
            Py_INCREF(value)
            PyTuple_SET_ITEM(values, i, value)
        return values

    @cython.critical_section
    def asdict(self, *, errors="surrogateescape"):
        """See eslcodec._codec_py.Message.asdict."""
        cdef dict headers = self.parse() if self.index is None else PyDict_Copy(self.index)
        return all_replaced(headers) if errors is not ESCAPE and replaces(errors) else headers

    @cython.critical_section
    def pairs(self):
        """See eslcodec._codec_py.Message.pairs."""
        return self.get_pairs()

    cdef list get_pairs(self):
        cdef XmlPayload usual = self.usual_xml() if self.format == XML else None
        if usual is not None:
            return usual.fields(self.memo, True)
        if self.format > PLAIN:
            return joined_fields(self.json().fields() if self.format == JSON else self.xml()[0])
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef list pairs
        if self.format == PLAIN and self.memo is not None:
            pairs = self.memo.pairs(p + self.split, p + PyBytes_GET_SIZE(frame), &stop)
            if pairs is not None:
                self.found_stop(frame, stop)
                return pairs
        cdef Py_ssize_t begin = self.find_head()
        return pairs_of(p + begin, p + max(self.head_stop, begin), self.format != FRAME)

    @cython.critical_section
    def getlist(self, name):
        """See eslcodec._codec_py.Message.getlist."""
        cdef list values = []
        cdef Line line
        cdef bytes raw, frame = self.frame_
        cdef str value
        if self.format == PLAIN and isinstance(name, str) and self.index is None:
            raw = name_bytes(name)
            if raw is None or not self.find_line(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), &line, False):
                return values
            if self.stands_once(&line, raw):
                value = value_text(line.value, line.value_size)
                return value[7:].split("|:") if value.startswith("ARRAY::") else [value]
        key = self.spelling(name, self.get_index())
        if key is None:
            return values
        for other, written in self.get_fields():
            if other == key:
                values += [written] if isinstance(written, str) else written
        return values

    @cython.critical_section
    def _fields(self):
        """See eslcodec._codec_py.Message._fields."""
        return self.get_fields()

    cdef list get_fields(self):
        if self.format == JSON:
            fields = self.json().fields()
        else:
            fields = self.xml()[0] if self.format == XML else self.get_pairs()
        cdef list split = []
        for name, value in fields:
            split.append((name, split_array(value) if isinstance(value, str) else value))
        return split

    def to_json(self, errors="replace"):
        """See eslcodec._codec_py.Message.to_json."""
        cdef bint replace = errors == "replace"
        if not replace and errors != "surrogateescape":
            raise ValueError(f"errors is {errors!r}, expected 'replace' or 'surrogateescape'")
        json = None
        if type(self).body is BODY:
            if self.format == XML:
                json = self.xml_json(replace, False)
            else:
                json = self.json_json(replace) if self.format == JSON else self.plain_json(replace, False)
        return json_of(self._fields(), self.body, replace) if json is None else json

    def _whole_json(self):
        """See eslcodec._codec_py.Message._whole_json."""
        if type(self).body is not BODY:
            return None
        return self.xml_json(False, True) if self.format == XML else self.plain_json(False, True)

    def _mapping(self, bint replace):
        """See eslcodec._codec_py.Message._mapping."""
        if self.format == JSON and type(self).body is BODY:
            return self.json_mapping(replace)
        mapping = None
        if type(self).body is BODY:
            mapping = self.xml_mapping(replace) if self.format == XML else self.plain_mapping(replace)
        return mapping_of(self._fields(), self.body, replace) if mapping is None else mapping

    @cython.critical_section
    cdef bytes json_json(self, bint replace):
        return self.json().to_json(replace)

    @cython.critical_section
    cdef dict json_mapping(self, bint replace):
        cdef JsonPayload payload = self.json()
        if payload.spans == NULL or not payload.own:
            return payload.mapping(replace)
        cdef dict mapping = self.memo.json_headers(payload)  # texts, all of them UTF-8
        payload.put_others(mapping, replace)
        return mapping

    @cython.critical_section
    cdef bytes xml_json(self, bint replace, bint whole):
        """The headers and the body of an XML event; None if that needs another way."""
        cdef XmlPayload payload = self.usual_xml()
        return None if payload is None else payload.to_json(self.memo, replace, whole)

    @cython.critical_section
    cdef dict xml_mapping(self, bint replace):
        cdef XmlPayload payload = self.usual_xml()
        return None if payload is None else payload.mapping(self.memo, replace)

    @cython.critical_section
    cdef bytes plain_json(self, bint replace, bint whole):
        """The headers and the body of a plain event; None if that needs another way."""
        if self.format != PLAIN:
            return None
        cdef bytes json, frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef Memo memo = self.own_memo()
        json = memo.json(p + self.split, p + PyBytes_GET_SIZE(frame), &stop, replace, whole)
        if stop != NULL:
            self.found_stop(frame, stop)
        return json

    cdef Memo own_memo(self):
        """The decoder's; one for the moment, if there is none or it is busy."""
        return Memo() if self.memo is None else self.memo.unless_busy()

    @cython.critical_section
    cdef dict plain_mapping(self, bint replace):
        """`_mapping` of a plain event; None if that needs another way."""
        if self.format != PLAIN:
            return None
        cdef bytes frame = self.frame_
        cdef const char *p = PyBytes_AS_STRING(frame)
        cdef const char *stop = NULL
        cdef const char *end = p + PyBytes_GET_SIZE(frame)
        cdef Memo memo = self.own_memo()
        cdef dict mapping = memo.headers(p + self.split, end, &stop)
        if mapping is None:
            return None
        self.found_stop(frame, stop)
        if not shape_mapping(mapping, replace):
            return None
        p = block_end(stop, end)
        if p < end:
            text = raw_text(p, end - p)
            mapping["_body"] = replaced(text) if replace else text
        return mapping

    cdef bint stands_once(self, const Line *line, bytes name) noexcept:
        """Whether `line`, which `find_line` found, is the only one of this exact name."""
        cdef const char *text = PyBytes_AS_STRING(name)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
        cdef const char *folded = NULL
        if line.name_size != size or memcmp(line.name, text, size) != 0 or is_event_name(text, size):
            return False
        return find_name(line.value, PyBytes_AS_STRING(self.frame_) + self.head_stop, text, size, &folded) == NULL

    cdef object spelling(self, name, dict index):
        """The key that a look-up of `name` takes."""
        if not isinstance(name, str):
            return None
        if name in index:
            return name
        cdef bytes wanted = name_bytes(name)
        if wanted is None:
            return None
        wanted = wanted.lower()
        for key in index:
            if name_bytes(key).lower() == wanted:
                return key
        return None

    # As an object

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        cdef Message that = <Message>other
        return self.identity() == that.identity()

    def __hash__(self):
        return hash(self.identity())

    @cython.critical_section
    cdef tuple identity(self):
        if self.format < PLAIN:
            return self.format, self.frame_, self.has_body
        return self.format, self.frame_[self.split :], True

    @cython.critical_section
    def __reduce__(self):
        return type(self), (self.frame_[: self.split], self.frame_[self.split :] if self.has_body else None)

    def __repr__(self):
        """See eslcodec._codec_py.Message.__repr__."""
        told = self._told() if self.frame_ else "not made yet"
        return f"<{type(self).__name__} {told}>" if told else f"<{type(self).__name__}>"

    def _told(self):
        """See eslcodec._codec_py.Message._told."""
        kind = self.content_type
        return f"{'' if kind is None else word(kind) + ' '}of {len(self.frame)} bytes"


cdef list joined_fields(list fields):
    """Headers with each array as its text."""
    cdef list pairs = []
    for name, value in fields:
        pairs.append((name, joined(value)))
    return pairs


Mapping.register(Message)
cdef object BODY = Message.body  # a subclass may have another


cdef bint has_cut(const char *name, Py_ssize_t size) noexcept:
    """Whether ": " stands in a name: it would have been cut there."""
    cdef const char *end = name + size
    cdef const char *cut = find_cut(name, end)
    return cut != NULL and end - cut >= 2 and cut[1] == c" "


cdef bint walk_lines(
    const char *p, const char *end, const char *name, Py_ssize_t size, Line *found, bint last
) noexcept:
    """Find the line that a look-up takes by cutting one after another; `last` of a repeated spelling."""
    cdef Line line
    cdef const char *begin = p
    cdef bint to_end = last or is_event_name(name, size), exact = False, folded = False
    while next_line(&p, end, &line):
        if line.name_size != size:
            continue
        if memcmp(line.name, name, size) == 0:
            found[0] = line
            exact = True
            if not to_end:
                return True
        elif not exact and not folded and folded_equal(line.name, name, size):
            found[0] = line
            folded = True
    if folded and not exact and (last or is_event_name(found.name, found.name_size)):
        return walk_lines(begin, end, found.name, found.name_size, found, True)  # of several, the last counts
    return exact or folded


cdef object placed_frame(object message, Py_ssize_t *split, int *format):
    return (<Message?>message).placed(split, format)


_PLACED_FRAME = PyCapsule_New(<void *>placed_frame, "eslcodec.placed_frame", NULL)  # for the compiled columns
