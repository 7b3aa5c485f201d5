# cython: language_level=3, boundscheck=False, wraparound=False
"""What the machine takes for the least of it: compiled into the bench's environment, no part of the package."""

import sys

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.dict cimport PyDict_SetItem
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcpy


cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    /* The positions of the line feeds among n bytes, in steps of as many bytes as the machine compares at once. One
       position behind the last one is written too. */

    static size_t positions_plain(const unsigned char *data, size_t from, size_t n, uint32_t *out, size_t count)
    {
        for (size_t at = from; at < n; at++) {
            out[count] = (uint32_t)at;
            count += data[at] == 10;
        }
        return count;
    }

    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>

    __attribute__((target("avx2,bmi")))
    static size_t positions_avx2(const unsigned char *data, size_t n, uint32_t *out)
    {
        const __m256i feed = _mm256_set1_epi8(10);
        size_t at = 0, count = 0;
        for (; at + 32 <= n; at += 32) {
            __m256i bytes = _mm256_loadu_si256((const __m256i *)(data + at));
            uint32_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, feed));
            for (; bits; bits &= bits - 1)
                out[count++] = (uint32_t)at + (uint32_t)__builtin_ctz(bits);
        }
        return positions_plain(data, at, n, out, count);
    }

    static size_t positions_sse2(const unsigned char *data, size_t n, uint32_t *out)
    {
        const __m128i feed = _mm_set1_epi8(10);
        size_t at = 0, count = 0;
        for (; at + 16 <= n; at += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(data + at));
            uint32_t bits = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, feed));
            for (; bits; bits &= bits - 1)
                out[count++] = (uint32_t)at + (uint32_t)__builtin_ctz(bits);
        }
        return positions_plain(data, at, n, out, count);
    }

    static size_t line_feeds(const unsigned char *data, size_t n, uint32_t *out)
    {
        return __builtin_cpu_supports("avx2") ? positions_avx2(data, n, out) : positions_sse2(data, n, out);
    }

    #elif defined(__aarch64__) && defined(__GNUC__)
    #include <arm_neon.h>

    static size_t line_feeds(const unsigned char *data, size_t n, uint32_t *out)
    {
        const uint8x16_t feed = vdupq_n_u8(10);
        size_t at = 0, count = 0;
        for (; at + 16 <= n; at += 16) {
            uint16x8_t equal = vreinterpretq_u16_u8(vceqq_u8(vld1q_u8(data + at), feed));
            uint64_t bits = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(equal, 4)), 0) & 0x1111111111111111u;
            for (; bits; bits &= bits - 1)
                out[count++] = (uint32_t)at + (uint32_t)(__builtin_ctzll(bits) >> 2);
        }
        return positions_plain(data, at, n, out, count);
    }

    #else
    static size_t line_feeds(const unsigned char *data, size_t n, uint32_t *out)
    {
        return positions_plain(data, 0, n, out, 0);
    }
    #endif
    """
    size_t line_feeds(const unsigned char *data, size_t n, uint32_t *out) nogil


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


cdef class Frames:
    """Frames in one piece, as they arrive, and room for what is made of one of them."""

    cdef bytes data
    cdef list sizes
    cdef bytearray copied, found

    def __cinit__(self, list frames):
        self.data = b"".join(frames)
        self.sizes = [len(frame) for frame in frames]
        self.copied = bytearray(max(self.sizes))
        self.found = bytearray((max(self.sizes) + 1) * sizeof(uint32_t))  # one more than there can be: see above

    def line_feeds(self):
        """The positions of each frame's line feeds, by the machine's vectors. Returns how many there are."""
        cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(self.data)
        cdef uint32_t *found = <uint32_t *>PyByteArray_AS_STRING(self.found)
        cdef Py_ssize_t size
        cdef size_t count = 0
        for size in self.sizes:
            count += line_feeds(at, size, found)
            at += size
        return count

    def copy(self):
        """Each frame copied once, into memory that is there and in the cache already."""
        cdef const char *at = PyBytes_AS_STRING(self.data)
        cdef char *to = PyByteArray_AS_STRING(self.copied)
        cdef Py_ssize_t size
        for size in self.sizes:
            memcpy(to, at, size)
            at += size


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
