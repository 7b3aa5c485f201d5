# Events that say nothing new of a channel.


cdef class ChannelFilter:
    """See eslcodec._codec_py.ChannelFilter."""

    # Never changes once it is made: what is read from it needs no lock.

    cdef type kind
    cdef dict names

    def __init__(self, kind, names):
        if not issubclass(kind, Message):
            raise TypeError(f"{kind!r} is no subclass of Message")
        if self.kind is not None:
            raise TypeError("a ChannelFilter is made once")
        self.names = {name: bool(opens) for name, opens in names.items()}
        self.kind = kind

    def __reduce__(self):
        return refuse_pickle(self)

    @cython.boundscheck(True)  # anybody may shorten the list
    def passes(self, list items not None, Py_ssize_t start, heard, gaps):
        """See eslcodec._codec_py.ChannelFilter.passes."""
        cdef Py_ssize_t at = max(start, 0)
        if not isinstance(heard, dict):
            raise TypeError(f"heard is {heard!r:.80}, expected a dict")
        while at < len(items):
            item = items[at]
            if type(item) is not self.kind or not self.is_nothing_new(<Message>item, heard, gaps):
                break
            at += 1
        return at

    cdef bint is_nothing_new(self, Message message, object heard, object gaps) except -1:
        cdef PyObject *found = NULL
        name = message.value_of("Event-Name")
        if PyDict_GetItemRef(self.names, name, &found) == 0:
            return True
        opens = <object>found
        Py_XDECREF(found)
        if opens is not True:
            return False
        uuid = message.value_of("Unique-ID")
        if PyDict_GetItemRef(heard, uuid, &found) == 0:
            return False
        since = <object>found
        Py_XDECREF(found)
        return since is gaps or since == gaps
