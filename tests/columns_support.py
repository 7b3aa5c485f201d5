"""What the tests of columns share: what a stream's rows must be by `select` and the like, and what they are."""

from __future__ import annotations

import importlib.util
import re
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest
from arrow_reader import rows_by_ctypes
from support import part

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
HEADERS = {
    "Event-Name": "string",
    "Core-UUID": "string",
    "at": ("Event-Date-Timestamp", "timestamp"),
    "Event-Sequence": "int64",
    "Unique-ID": "string",
    "Channel-Name": "string",
    "Caller-Destination-Number": "string",
    "Hangup-Cause": "string",
}
SPEC = {
    **HEADERS,
    "folded": ("unique-id", "string"),
    "last name": ("event-NAME", "string"),
    "coded": ("Event-Name", "dictionary"),
    "codec": ("Channel-Read-Codec-Name", "dictionary"),
    "raw": ("Channel-Name", "binary"),
    "number": ("Caller-Destination-Number", "int64"),
    "real": ("variable_duration", "float64"),
    "flag": ("variable_sip_authorized", "bool"),
    "matches": ("variable_DP_MATCH", "list"),
    "names": ("Event-Name", "list"),
    "doc": ("variable_billsec", "json"),
    "variable_sip_from_user": "string",
    "variable_sip_from_uri": "string",
    "body": ("@body", "string"),
    "raw body": ("@body", "binary"),
    "line": ("@json", "json"),
    "id": ("@id", "string"),
    "offset": ("@offset", "int64"),
    "received": ("@received", "timestamp"),
    "switch": ("@switch", "dictionary"),
}


def columns_of(esl: ModuleType) -> Any:
    """The module of columns of a core."""
    return part(esl, "ingest.columns")


def rows_of(*batches: Any) -> list[dict[str, Any]]:
    """Rows as Python objects: by nanoarrow, without it by ctypes, and the Python core has no batches then."""
    if importlib.util.find_spec("nanoarrow") is None:
        if any(type(batch).__module__.endswith("_columns_py") for batch in batches):
            pytest.skip("the Python columns need nanoarrow")
        return [row for batch in batches for row in rows_by_ctypes(batch)]
    import nanoarrow

    return [row for batch in batches for row in nanoarrow.ArrayStream(batch).read_all().to_pylist()]


def all_batches(columns: Any) -> list[Any]:
    return list(iter(columns.flush, None))


def made(esl: ModuleType, spec: Any, chunks: list[bytes], **options: Any) -> tuple[list[Any], Any, Any]:
    """The rows of a stream, the error that ended it, and what is told of it."""
    columns = columns_of(esl).Columns(spec, **options)
    batches: list[Any] = []
    error = None
    try:
        for chunk in chunks:
            columns.feed(chunk, received=1.5, switch="a")
            batches += iter(columns.take, None)
        batches += iter(columns.flush, None)
    except esl.ProtocolError as caught:
        error = type(caught).__name__, str(caught)
    return rows_of(*batches), error, columns.stats()


def wanted_rows(esl: ModuleType, spec: Any, data: bytes) -> list[dict[str, Any]]:
    """What the rows of a stream must be, by the messages of a decoder."""
    decoder = esl.Decoder()
    decoder.feed(data)
    rows = []
    try:
        for message in decoder:
            if isinstance(message, esl.Event) and message.malformed is None:
                offset = decoder.consumed - len(message.frame)
                rows.append({name: _wanted(message, name, what, offset) for name, what in spec.items()})
    except esl.ProtocolError:
        pass
    return rows


def _wanted(event: Any, name: str, what: Any, offset: int) -> Any:
    header, kind = (name, what) if isinstance(what, str) else what
    if kind == "list":
        return None if event.get(header) is None else [_replaced(item) for item in event.getlist(header)]
    known = {"@json": event.to_json, "@id": lambda: event.id, "@body": lambda: event.body}
    fixed = {"@offset": str(offset), "@received": "1500000", "@switch": "a"}
    value = known[header]() if header in known else fixed[header] if header in fixed else event.select(header)[0]
    if value is None:
        return None
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return read_as(kind, raw)


def _replaced(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def read_as(kind: str, raw: bytes) -> Any:
    """A value of a column of a kind, None if it is no such value; said once more, in the plainest way."""
    text = _replaced(raw.decode("utf-8", "surrogateescape"))
    if kind == "binary":
        return raw
    if kind in ("string", "dictionary", "json"):
        return text
    if kind == "bool":
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "t": True,
            "false": False,
            "no": False,
            "off": False,
            "f": False,
        }
        return words.get(text.lower(), int(text) > 0 if re.fullmatch("[0-9]+", text) else None)
    if kind == "float64":
        return float(text) if re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else None
    number = int(text) if re.fullmatch("-?[0-9]+", text) else None
    if number is None or kind == "int64":
        return number
    return EPOCH + timedelta(microseconds=number) if number > 0 else None
