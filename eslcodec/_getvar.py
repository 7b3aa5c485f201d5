"""`getvar` and its reply, which the switch can break: it sends a value as it is (docs/protocol/observed.md, 3).

A value with line ends looks like headers. One that begins with `~` removes the blank line, so that the next frame
becomes part of the reply. So where all commands are permitted the value is asked for by `api uuid_getvar`.
"""

from __future__ import annotations

import re
from typing import Final

from .errors import ProtocolError
from .events import ApiResponse
from .waits import Reply

_ONE_WORD: Final = re.compile(r"[^\s'\"\\\[]+")  # that an API command takes as it is
_WHOLE: Final = re.compile(rb"Content-Type: command/reply\r?\nReply-Text: ?[^\n]*\n\r?\n")
_NO_CHANNEL: Final = "-ERR No such channel!\n"


def can_ask_api(channel: str, name: str) -> bool:
    """Whether `api uuid_getvar` can be asked for this variable.

    Example:
        >>> can_ask_api("8f08a03a", "sip_call_id"), can_ask_api("8f08a03a", "two words")
        (True, False)
    """
    return all(map(_ONE_WORD.fullmatch, (channel, name)))


def is_no_answer(reply: Reply) -> bool:
    """Whether the API does not say what the variable is: not permitted, or the channel is unknown to it.

    Example:
        >>> body = b"-ERR No such channel!\\n"
        >>> is_no_answer(ApiResponse(b"Content-Type: api/response\\nContent-Length: 22\\n\\n", body))
        True
    """
    return not isinstance(reply, ApiResponse) or reply.text == _NO_CHANNEL


def is_whole(reply: Reply) -> bool:
    """Whether it is the reply to a `getvar` as a switch writes it, with a value of one line."""
    return _WHOLE.fullmatch(reply.raw) is not None


def broken(reply: Reply) -> ProtocolError:
    """The error for a reply that is not."""
    shown = reply.raw.decode("utf-8", "backslashreplace")
    return ProtocolError(
        f"read {shown!r:.200} as the reply to a getvar, expected a value of one line: use `api uuid_getvar`"
    )


def variable(reply: Reply) -> str | None:
    """The value that a reply to `connection.Connection.getvar` gives; None if the variable is unset.

    Example:
        >>> from eslcodec import CommandReply
        >>> variable(CommandReply(b"Content-Type: command/reply\\nReply-Text: yes\\n\\n"))
        'yes'
        >>> variable(ApiResponse(b"Content-Type: api/response\\nContent-Length: 7\\n\\n", b"_undef_")) is None
        True
    """
    unset = ("_undef_", "-ERR no reply\n") if isinstance(reply, ApiResponse) else ("-ERR command not found",)
    return None if reply.text in unset else reply.text
