"""What is logged, under which names, and as lines of JSON.

eslcodec logs with the standard library's `logging` and sets up nothing: no handler, no level. Each logger below hands
on to `eslcodec`, so one name is enough to see, or to silence, everything. A line is a change of state: a connection is
lost, a recording ends, a switch refuses the password. Above DEBUG no line has a header's value, a uuid, a caller's
number or a password in it. The traceback of a handler of yours that failed is an exception of yours, and may say what
it likes.

    >>> import io, logging
    >>> from eslcodec.logs import JsonFormatter
    >>> stream = io.StringIO()
    >>> handler = logging.StreamHandler(stream)
    >>> handler.setFormatter(JsonFormatter())
    >>> log = logging.getLogger("eslcodec.doctest")
    >>> log.addHandler(handler)
    >>> log.warning("lost the connection to %s", "10.0.0.1:8021")
    >>> stream.getvalue()  # doctest: +ELLIPSIS
    '{"at":"20...Z","level":"WARNING","logger":"eslcodec.doctest","message":"lost the connection to 10.0.0.1:8021"}\\n'
    >>> log.removeHandler(handler)
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOGGERS", "JsonFormatter"]

LOGGERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "eslcodec": "all of the following",
        "eslcodec.client": "connections to switches: lost, tried again, read too slowly; handlers that fail",
        "eslcodec.server": "calls that come: refused, broken off; handlers that fail; the port",
        "eslcodec.esl": "commands that `eslcodec.ESL` does not send",
        "eslcodec.tap": "taps that fail",
        "eslcodec.recorder": "recordings that end, or lose their file",
        "eslcodec.fleet": "switches of a fleet: state, losses, the list of hosts",
        "eslcodec.bridge": "the bridge to NATS: streams, what it refuses, trouble",
        "eslcodec.consume": "consumers of a stream: trouble, handlers that fail, what is passed over",
        "eslcodec.health": "the HTTP endpoints",
        "eslcodec.record": "the command `eslcodec record`, with --log-json",
    }
)
"""Name -> what it tells. These names are promised; the texts of the lines are not."""


class JsonFormatter(logging.Formatter):
    """Log records as JSON, each one line: `at` (UTC), `level`, `logger`, `message`, and `exception` with a traceback.

    Nothing else of a record gets in, so that what programs attach to records stays with them.

    Example:
        >>> record = logging.LogRecord("eslcodec.fleet", logging.INFO, "", 0, "%s: connected", ("west",), None)
        >>> record.created = 1_700_000_000.25
        >>> JsonFormatter().format(record)
        '{"at":"2023-11-14T22:13:20.250Z","level":"INFO","logger":"eslcodec.fleet","message":"west: connected"}'
    """

    def __init__(self) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """One record.

        Args:
            record: any.

        Returns:
            JSON in ASCII, without a line feed.
        """
        at = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps({name: _text(value) for name, value in line.items()}, separators=(",", ":"))


def _text(value: str) -> str:
    """Without lone surrogates, which a path that is no UTF-8 has: strict readers of JSON refuse the whole line."""
    return value.encode("utf-8", "backslashreplace").decode()
