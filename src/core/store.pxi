# Memory for bytes that were received and not yet cut, and the window of it that is given out.


@cython.final
@cython.no_gc
cdef class Store:
    """Memory for unread bytes."""

    cdef PyObject *memory  # a bytes object that nobody else knows, so that a large frame can become it
    cdef char *data
    cdef Py_ssize_t capacity
    cdef Py_ssize_t exports  # memoryviews of windows that are not released
    cdef Py_ssize_t moves  # how often `data` has become another place

    def __dealloc__(self):
        Py_XDECREF(self.memory)

    def __reduce__(self):
        return refuse_pickle(self)

    cdef int resize(self, Py_ssize_t capacity) except -1:
        """Become larger or smaller; what does not succeed changes nothing."""
        cdef PyObject *memory = resize_bytes(self.memory, capacity)
        if memory == NULL:
            raise MemoryError
        self.memory = memory
        self.data = PyBytes_AS_STRING(<object>memory)
        self.capacity = capacity
        self.moves += 1
        return 0

    cdef bytes give(self, Py_ssize_t start, Py_ssize_t end):
        """What stands at [start, end), for which the memory itself is given away."""
        memmove(self.data, self.data + start, end - start)
        cdef PyObject *memory = trim_bytes(self.memory, end - start)
        cdef bytes frame = <bytes>memory
        Py_DECREF(frame)  # `frame` has it
        self.memory = NULL
        self.data = NULL
        self.capacity = 0
        self.moves += 1
        return frame


cdef Store new_store(Py_ssize_t capacity):
    cdef Store store = Store.__new__(Store)
    memory = PyBytes_FromStringAndSize(NULL, capacity)
    Py_INCREF(memory)
    store.memory = <PyObject *>memory
    store.data = PyBytes_AS_STRING(memory)
    store.capacity = capacity
    return store


cdef char *UNSIGNED_BYTES = b"B"  # as the struct module writes it


@cython.final
@cython.no_gc  # a memoryview of it may outlive what a garbage collection clears, and then needs the store
cdef class Window:
    """The part of a store that `get_buffer` gives out."""

    cdef Store store
    cdef char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t moves  # of the store at the time

    def __reduce__(self):
        return refuse_pickle(self)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.store is None:
            raise BufferError("get_buffer() makes these")
        with cython.critical_section(self.store):
            if self.moves != self.store.moves:
                raise BufferError("what get_buffer() gave out was released, and its memory is gone")
            self.store.exports += 1
        # By hand: Cython has put None into view.obj, and PyBuffer_FillInfo would leak that reference.
        view.obj = self
        view.buf = self.data
        view.len = self.size
        view.itemsize = 1
        view.readonly = 0
        view.ndim = 1
        view.format = UNSIGNED_BYTES if flags & PyBUF_FORMAT else NULL
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer *view):
        with cython.critical_section(self.store):
            self.store.exports -= 1
