# Which of some words stand in bytes.


@cython.no_gc
cdef class WordFinder:
    """See eslcodec._codec_py.WordFinder."""

    # Never changes once it is made: what is read from it needs no lock.

    cdef tuple words
    cdef Words sought  # points into them

    def __init__(self, words):
        words = tuple(words)
        for word in words:
            if type(word) is not bytes:
                raise TypeError(f"a word is {word!r:.80}, expected bytes")
            if len(word) < 2:
                raise ValueError(f"a word is {word!r}, expected at least two bytes")
        if len(words) > WORDS_MOST:
            raise ValueError(f"there are {len(words)} words, expected no more than {WORDS_MOST}")
        self.make(words)

    @cython.critical_section
    cdef int make(self, tuple words) except -1:
        if self.words is not None:
            raise TypeError("a WordFinder is made once")
        self.words = words
        for word in words:
            add_word(&self.sought, PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word))
        return 0

    def __reduce__(self):
        return refuse_pickle(self)

    def find(self, data):
        """See eslcodec._codec_py.WordFinder.find."""
        cdef bytes raw = data if type(data) is bytes else bytes(memoryview(data))
        return find_words(&self.sought, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
