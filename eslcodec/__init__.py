"""eslcodec: reads and writes FreeSWITCH's Event Socket protocol (ESL).

    >>> import eslcodec
    >>> decoder = eslcodec.Decoder()
    >>> decoder.feed(b"Content-Length: 39\\nContent-Type: text/event-plain\\n\\n")
    >>> decoder.feed(b"Event-Name: DTMF\\nUnique-ID: a1%3Ab2\\n\\nx\\n")
    >>> for event in decoder:
    ...     event.name, event["Unique-ID"], event.body
    ('DTMF', 'a1:b2', b'x\\n')

`__impl__` says which core is in use: "c" (compiled) or "python" (its twin).
"""

from __future__ import annotations

from ._codec import FrameSplitter, Message, __impl__, parse_headers, parse_pairs, quote, unquote
from .enums import AnswerState, CallState, ChannelState, EventName, HangupCause, LogLevel
from .errors import (
    AccessDenied,
    AuthError,
    BodyTooLarge,
    CommandError,
    CommandTimeout,
    ConnectionClosed,
    ESLError,
    HeaderTooLarge,
    IncompleteFrame,
    InvalidCommand,
    InvalidContentLength,
    LimitExceeded,
    MalformedPayload,
    ProtocolError,
)
from .events import (
    ApiResponse,
    AuthRequest,
    CommandReply,
    Decoder,
    DisconnectNotice,
    Event,
    LogLine,
    RudeRejection,
)

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "AnswerState",
    "ApiResponse",
    "AuthError",
    "AuthRequest",
    "BodyTooLarge",
    "CallState",
    "ChannelState",
    "CommandError",
    "CommandReply",
    "CommandTimeout",
    "ConnectionClosed",
    "Decoder",
    "DisconnectNotice",
    "ESLError",
    "Event",
    "EventName",
    "FrameSplitter",
    "HangupCause",
    "HeaderTooLarge",
    "IncompleteFrame",
    "InvalidCommand",
    "InvalidContentLength",
    "LimitExceeded",
    "LogLevel",
    "LogLine",
    "MalformedPayload",
    "Message",
    "ProtocolError",
    "RudeRejection",
    "__impl__",
    "__version__",
    "parse_headers",
    "parse_pairs",
    "quote",
    "unquote",
]
