"""Reads an Arrow stream by ctypes, where nanoarrow is not at hand: types that columns have, no others."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_uint8, c_void_p
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


class Stream(ctypes.Structure):
    pass


Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(Schema))),
    ("dictionary", POINTER(Schema)),
    ("release", ctypes.CFUNCTYPE(None, POINTER(Schema))),
    ("private_data", c_void_p),
]
Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(Array))),
    ("dictionary", POINTER(Array)),
    ("release", ctypes.CFUNCTYPE(None, POINTER(Array))),
    ("private_data", c_void_p),
]
Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, POINTER(Stream), POINTER(Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, POINTER(Stream), POINTER(Array))),
    ("get_last_error", ctypes.CFUNCTYPE(c_char_p, POINTER(Stream))),
    ("release", ctypes.CFUNCTYPE(None, POINTER(Stream))),
    ("private_data", c_void_p),
]


def rows_by_ctypes(batch: Any) -> list[dict[str, Any]]:
    """The rows of what has `__arrow_c_stream__`."""
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
    capsule = batch.__arrow_c_stream__()
    stream = ctypes.cast(get_pointer(capsule, b"arrow_array_stream"), POINTER(Stream))
    schema, rows = Schema(), []
    assert stream.contents.get_schema(stream, ctypes.byref(schema)) == 0
    while True:
        array = Array()
        assert stream.contents.get_next(stream, ctypes.byref(array)) == 0, stream.contents.get_last_error(stream)
        if not array.release:
            break
        rows += _values(schema, array)
        array.release(ctypes.byref(array))
    schema.release(ctypes.byref(schema))
    return rows


def _values(schema: Any, array: Any) -> list[Any]:
    if schema.dictionary:
        texts = _values(schema.dictionary.contents, array.dictionary.contents)
        found = [texts[code] for code in _numbers(array, c_int32)]
    elif schema.format == b"+s":
        names = [schema.children[at].contents.name.decode() for at in range(schema.n_children)]
        columns = [_values(schema.children[at].contents, array.children[at].contents) for at in range(array.n_children)]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    elif schema.format == b"+l":
        items = _values(schema.children[0].contents, array.children[0].contents)
        found = [items[begin:end] for begin, end in _spans(array)]
    else:
        found = _READ[schema.format](array)
    if not array.buffers[0]:
        return found
    valid = _bits(array, 0)
    return [value if there else None for value, there in zip(found, valid, strict=True)]


def _numbers(array: Any, kind: Any, more: int = 0) -> list[Any]:
    count = array.length + more
    return list((kind * count).from_address(array.buffers[1])) if count else []


def _bits(array: Any, buffer: int) -> list[bool]:
    data = (c_uint8 * ((array.length + 7) // 8)).from_address(array.buffers[buffer]) if array.length else []
    return [bool(data[at >> 3] >> (at & 7) & 1) for at in range(array.length)]


def _spans(array: Any) -> list[tuple[int, int]]:
    ends = _numbers(array, c_int32, 1)
    return list(pairwise(ends))


def _pieces(array: Any) -> list[bytes]:
    spans = _spans(array)
    data = ctypes.string_at(array.buffers[2], spans[-1][1]) if spans and spans[-1][1] else b""
    return [data[begin:end] for begin, end in spans]


_READ: dict[bytes, Any] = {
    b"u": lambda array: [piece.decode("utf-8", "replace") for piece in _pieces(array)],
    b"z": _pieces,
    b"l": lambda array: _numbers(array, c_int64),
    b"g": lambda array: _numbers(array, c_double),
    b"b": lambda array: _bits(array, 1),
    b"tsu:UTC": lambda array: [EPOCH + timedelta(microseconds=us) for us in _numbers(array, c_int64)],
}
