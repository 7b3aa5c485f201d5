# The checksum of recordings.


cdef bint HAS_CLMUL = has_clmul()
crc_prepare()


def crc32(data, uint32_t value=0):
    """See eslcodec._codec_py.crc32."""
    cdef Py_buffer raw
    if not HAS_CLMUL:
        from zlib import crc32 as of_zlib

        return of_zlib(data, value)
    PyObject_GetBuffer(data, &raw, PyBUF_SIMPLE)
    try:
        with nogil:
            value = crc_of(<const unsigned char *>raw.buf, raw.len, value)
    finally:
        PyBuffer_Release(&raw)
    return value
