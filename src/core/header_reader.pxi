# The methods by which the official module's events read headers, over anything that finds them.


cdef object MINUS_ONE = -1


cdef class HeaderReader:
    """See eslcodec._codec_py.HeaderReader."""

    cdef public Message _frame
    cdef public dict _index
    cdef public list _names
    cdef Py_ssize_t at

    def getHeader(self, name, idx=-1, /):
        """See eslcodec._codec_py.HeaderReader.getHeader."""
        cdef PyObject *known = NULL
        cdef Message frame
        cdef dict index
        if idx is MINUS_ONE and isinstance(name, str):
            with cython.critical_section(self):
                index = self._index
                frame = self._frame
            if index is not None:
                if PyDict_GetItemRef(index, name, &known):  # whose dict it is may change it meanwhile
                    found = <object>known
                    Py_DECREF(found)
                    if found is not None:
                        return found
            elif frame is not None:
                found = lone_value(frame, name)
                if found is not False and found is not None:
                    return found
        return self._find(name, idx)

    @cython.critical_section
    @cython.boundscheck(True)  # anybody may shorten the list
    def nextHeader(self):
        """See eslcodec._codec_py.HeaderReader.nextHeader."""
        if self._names is None or self.at >= len(self._names):
            return None
        self.at += 1
        return self._names[self.at - 1]

    def _rewind(self, list names not None):
        """See eslcodec._codec_py.HeaderReader._rewind."""
        with cython.critical_section(self):
            self._names = names
            self.at = 0
        return self.nextHeader()

    @cython.critical_section
    def __reduce__(self):
        state = self._frame, self._index, self._names, self.at, getattr(self, "__dict__", None)
        return _newobj, (type(self),), state

    @cython.critical_section
    def __setstate__(self, state):
        frame, index, names, at, others = state
        self._frame = frame
        self._index = index
        self._names = names
        self.at = max(at, 0)
        if others:
            self.__dict__.update(others)
