"""eslcodec: reads and writes FreeSWITCH's Event Socket protocol (ESL).

    >>> import eslcodec
    >>> decoder = eslcodec.Decoder()
    >>> decoder.feed(b"Content-Length: 39\\nContent-Type: text/event-plain\\n\\n")
    >>> decoder.feed(b"Event-Name: DTMF\\nUnique-ID: a1%3Ab2\\n\\nx\\n")
    >>> for event in decoder:
    ...     event.name, event["Unique-ID"], event.body
    ('DTMF', 'a1:b2', b'x\\n')

`connect` and `serve` are blocking, `aio` has the same for asyncio; they are loaded when first used. `__impl__` says
which core is in use: "c" (compiled) or "python" (its twin).

Other modules: `eslcodec.sync` and `eslcodec.aio` (clients and servers), `eslcodec.commands` (every command as bytes),
`eslcodec.headers` and `eslcodec.render` (events to be changed and written), `eslcodec.connection` (the client without
sockets), `eslcodec.presets` (what to subscribe to), `eslcodec.dialing` and `eslcodec.tables` (for operators), `eslcodec.emulator` (a switch to test against), `eslcodec.ESL`
(FreeSWITCH's own module), `eslcodec.adapters` (our codec in other clients).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._codec import FrameSplitter, Message, __impl__, parse_headers, parse_pairs, quote, unquote
from .enums import AnswerState, CallState, ChannelState, EventName, HangupCause, LogLevel
from .errors import (
    AccessDenied,
    AuthError,
    BodyTooLarge,
    ChannelEnded,
    CommandError,
    CommandTimeout,
    ConnectionClosed,
    DamagedRecording,
    ESLError,
    EventQueueFull,
    HeaderTooLarge,
    IncompleteFrame,
    InvalidCommand,
    InvalidContentLength,
    LimitExceeded,
    LoginTooLarge,
    MalformedPayload,
    MalformedTable,
    ProtocolError,
    ReaderTooSlow,
    RecordingError,
)
from .events import (
    ApiResponse,
    AuthRequest,
    CommandReply,
    Decoder,
    DisconnectNotice,
    Event,
    Gap,
    JobResult,
    LogLine,
    RudeRejection,
)

if TYPE_CHECKING:
    from . import ESL, aio, dialing, presets, sync, tables
    from ._tap import Tap
    from .dialing import Originated
    from .reconnect import Backoff
    from .recordings import Recording, iter_messages
    from .sync import connect, serve

__version__ = "0.1.0"

_LAZY = {
    "Backoff": "reconnect",
    "Originated": "dialing",
    "Recording": "recordings",
    "Tap": "_tap",
    "connect": "sync",
    "iter_messages": "recordings",
    "serve": "sync",
}

__all__ = [
    "ESL",
    "AccessDenied",
    "AnswerState",
    "ApiResponse",
    "AuthError",
    "AuthRequest",
    "Backoff",
    "BodyTooLarge",
    "CallState",
    "ChannelEnded",
    "ChannelState",
    "CommandError",
    "CommandReply",
    "CommandTimeout",
    "ConnectionClosed",
    "DamagedRecording",
    "Decoder",
    "DisconnectNotice",
    "ESLError",
    "Event",
    "EventName",
    "EventQueueFull",
    "FrameSplitter",
    "Gap",
    "HangupCause",
    "HeaderTooLarge",
    "IncompleteFrame",
    "InvalidCommand",
    "InvalidContentLength",
    "JobResult",
    "LimitExceeded",
    "LogLevel",
    "LogLine",
    "LoginTooLarge",
    "MalformedPayload",
    "MalformedTable",
    "Message",
    "Originated",
    "ProtocolError",
    "ReaderTooSlow",
    "Recording",
    "RecordingError",
    "RudeRejection",
    "Tap",
    "__impl__",
    "__version__",
    "aio",
    "connect",
    "dialing",
    "install_as_ESL",
    "iter_messages",
    "parse_headers",
    "parse_pairs",
    "presets",
    "quote",
    "serve",
    "sync",
    "tables",
    "unquote",
]


def __getattr__(name: str) -> Any:
    if name in ("ESL", "aio", "dialing", "presets", "sync", "tables"):
        return import_module("." + name, __name__)
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def install_as_ESL() -> None:
    """Make `import ESL` find `eslcodec.ESL`, FreeSWITCH's own Python module as a drop-in.

    Example:
        >>> install_as_ESL()
        >>> from ESL import *
        >>> ESLevent("DTMF").getType()
        'DTMF'
    """
    sys.modules["ESL"] = import_module(".ESL", __name__)
