# cython: language_level=3, boundscheck=False, wraparound=False
"""What the machine allows: compiled into the bench's environment, no part of the package."""

import sys

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.dict cimport PyDict_SetItem
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memchr


cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)


def newlines(const unsigned char[::1] data not None):
    """How many line feeds there are: a loop over memchr and nothing else."""
    cdef const unsigned char *at = &data[0]
    cdef const unsigned char *end = at + data.shape[0]
    cdef Py_ssize_t count = 0
    while at < end:
        at = <const unsigned char *>memchr(at, 10, end - at)
        if at == NULL:
            break
        at += 1
        count += 1
    return count


cdef class Spans:
    """The decoded text of many dicts, already cut.

    Args:
        dicts: what to build.
        new_names: make a new str of each name as well. Otherwise the names are there already, one str for each.
    """

    cdef bytes text
    cdef Py_ssize_t *sizes  # of each part of the text
    cdef list names  # of each dict

    def __cinit__(self, list dicts, bint new_names=False):
        pairs = [pair for headers in dicts for pair in headers.items()]
        parts = [part.encode("utf-8", "surrogateescape") for pair in pairs for part in (pair if new_names else pair[1:])]
        self.text = b"".join(parts)
        self.names = [[None if new_names else sys.intern(name) for name in headers] for headers in dicts]
        self.sizes = <Py_ssize_t *>PyMem_Malloc(max(len(parts), 1) * sizeof(Py_ssize_t))
        if self.sizes == NULL:
            raise MemoryError
        for index, part in enumerate(parts):
            self.sizes[index] = len(part)

    def __dealloc__(self):
        PyMem_Free(self.sizes)

    def __iter__(self):
        """The dicts, one at a time: a new str for each value, and nothing is searched."""
        cdef const char *at = PyBytes_AS_STRING(self.text)
        cdef Py_ssize_t *size = self.sizes
        cdef list names
        for names in self.names:
            headers = {}
            for name in names:
                if name is None:
                    name = PyUnicode_DecodeUTF8(at, size[0], "surrogateescape")
                    at += size[0]
                    size += 1
                value = PyUnicode_DecodeUTF8(at, size[0], "surrogateescape")
                at += size[0]
                size += 1
                PyDict_SetItem(headers, name, value)
            yield headers
