"""A message as a line: `tail` and `decode` show it. On a terminal the line fits, and the uuid in it is whole."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from .. import ApiResponse, CommandReply, DisconnectNotice, Event, LogLine, Message, RudeRejection
from .text import escape, is_terminal, shortened

NAME_CELLS: Final = 24  # CHANNEL_EXECUTE_COMPLETE
UUID_CELLS: Final = 36
ROOMY: Final = 100  # columns from which on there is room for two blanks between columns, and for milliseconds
_NAME_LEAST: Final = 12  # with less than that for the name there is no room for the uuid
_DETAIL_LEAST: Final = 4  # of what does not fit, this much is worth showing

_PARTIES: Final = ("Caller-Caller-ID-Number", "Caller-Destination-Number")
_DETAILS: Final[dict[str, tuple[str, ...]]] = {
    "API": ("API-Command", "API-Command-Argument"),
    "BACKGROUND_JOB": ("Job-Command", "Job-Command-Arg"),
    "CALL_UPDATE": ("Callee-ID-Number",),
    "CHANNEL_CALLSTATE": ("Channel-Call-State",),
    "CHANNEL_DESTROY": ("Hangup-Cause",),
    "CHANNEL_EXECUTE": ("Application", "Application-Data"),
    "CHANNEL_EXECUTE_COMPLETE": ("Application", "Application-Response"),
    "CHANNEL_HANGUP": ("Hangup-Cause",),
    "CHANNEL_HANGUP_COMPLETE": ("Hangup-Cause",),
    "CHANNEL_STATE": ("Channel-State",),
    "CODEC": ("Channel-Read-Codec-Name",),
    "DTMF": ("DTMF-Digit",),
    "HEARTBEAT": ("Session-Count",),
    "MESSAGE": ("from", "to"),
    "PRESENCE_IN": ("from", "status"),
    "RE_SCHEDULE": ("Task-Desc",),
    "callcenter::info": ("CC-Action", "CC-Queue", "CC-Agent"),
    "conference::maintenance": ("Action", "Conference-Name", "Member-ID"),
    "sofia::gateway_state": ("Gateway", "State"),
}  # name of an event, or subclass -> headers that say most of what happened
_SUBCLASSES_OF: Final = {"sofia::": ("from-user", "from-host", "network-ip")}  # beginning of a subclass -> the same

_UNKNOWN_WIDTH: Final = 80  # of a terminal that does not know its size, such as a serial line


def terminal_width() -> int | None:
    """How many columns a line on standard output has; None if it is no terminal: nothing is cut then."""
    if not is_terminal(sys.stdout):
        return None
    return shutil.get_terminal_size().columns or _UNKNOWN_WIDTH  # Python 3.10 gives what a terminal says: 0


def listing(label: str, message: Message, full: bool, width: int | None = None) -> Iterator[str]:
    """The lines that show a message.

    Args:
        label: what stands in front of it.
        message: the message.
        full: with all headers and the body.
        width: the columns of the first line; what does not fit is cut off. None: nothing is cut.
    """
    name, uuid, details = _summary(message)
    yield _line(label, name, uuid, details, width)
    if not full:
        return
    for header, value in message.pairs():
        yield f"         {escape(header)}: {escape(value)}"
    body = message.body if message.malformed is None else message.raw
    if body is not None:
        for line in body.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n"):
            yield f"         | {escape(line)}"


def fitted(text: str, width: int) -> str:
    """Printable text in no more than so many columns of a terminal; the last is an ellipsis if some is missing.

    Example:
        >>> fitted("CHANNEL_ANSWER", 8), fitted("answered", 8), fitted("\\u5317\\u4eac\\u5e02", 5)
        ('CHANNEL\\u2026', 'answered', '\\u5317\\u4eac\\u2026')
    """
    if cells_of(text) <= width:
        return text
    if text.isascii():
        return text[: max(width - 1, 0)] + _ellipsis()
    from rich.cells import set_cell_size

    return set_cell_size(text, max(width - 1, 0)).rstrip() + _ellipsis()


def cells_of(text: str) -> int:
    """How many columns it takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _ellipsis() -> str:
    try:
        "\u2026".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return ">"
    return "\u2026"


def _line(label: str, name: str, uuid: str | None, details: Iterable[str], width: int | None) -> str:
    if width is None:
        return "  ".join(filter(None, [label, f"{name:<{NAME_CELLS}}", uuid, *details])).rstrip()
    gap = "  " if width >= ROOMY else " "
    if uuid is not None and (len(uuid) > UUID_CELLS or not uuid.isascii()):  # somebody chose it
        details = [uuid, *details]
        uuid = None
    cells = NAME_CELLS
    if uuid is not None:
        room = width - len(label) - len(uuid) - 2 * len(gap)
        if room < _NAME_LEAST:  # half a uuid is of no use
            uuid = None
        else:
            name, cells = fitted(name, room), min(NAME_CELLS, room)
    name += " " * (cells - cells_of(name))
    line = gap.join(filter(None, [label, name, uuid]))
    for detail in details:
        room = width - cells_of(line) - len(gap)
        if cells_of(detail) > room and room < _DETAIL_LEAST:
            break
        line += gap + fitted(detail, room)
    return fitted(line.rstrip(), width)


def _summary(message: Message) -> tuple[str, str | None, list[str]]:
    """What a line says of a message, escaped: its name, the channel's or job's uuid, and more."""
    kind = type(message).__name__
    if message.malformed is not None:
        content_type = escape(message.content_type or "")
        return kind, None, [f"{content_type}, {len(message.raw)} bytes, malformed: {message.malformed}"]
    match message:
        case Event():
            return _summary_of_event(message)
        case CommandReply():
            headers = [f"{len(message)} headers"] if "Event-Name" in message else []
            return kind, None, [shortened(message.text), *headers]
        case LogLine():
            level = getattr(message.level, "name", message.level)
            return f"log {level}", None, [shortened(message.text.rstrip())]
        case DisconnectNotice():
            parts = [shortened(part) for part in (message.controlled_uuid, message.channel_name) if part]
            return kind, None, ["linger" if message.linger else "final", *parts]
        case ApiResponse() | RudeRejection():
            return kind, None, [f"{len(message.body or b'')} bytes: {shortened(message.text.rstrip())}"]
    content_type = shortened(message.content_type or "(no Content-Type)")
    return kind, None, [f"{content_type}, {len(message.body or b'')} bytes"]


def _summary_of_event(event: Event) -> tuple[str, str | None, list[str]]:
    name, subclass, uuid, job, channel, *parties = event.select(
        "Event-Name", "Event-Subclass", "Unique-ID", "Job-UUID", "Channel-Name", *_PARTIES
    )
    sequence = event._last("Event-Sequence")
    key = subclass if name == "CUSTOM" and subclass else name or ""
    details = [part for part in event.select(*_details_of(key)) if part and part != "_none_"]
    if key.startswith("CHANNEL_") and not details and all(parties):
        details = [f"{parties[0]} -> {parties[1]}"]
    if key == "HEARTBEAT" and details:
        details = [f"{details[0]} sessions"]
    shown = f"CUSTOM {key}" if key != (name or "") and "::" not in key else key
    ids = [part for part in (uuid, job) if part]
    more = [*ids[1:], *details, channel, None if sequence is None else f"#{sequence}"]
    parts = [shortened(part) for part in more if part]
    if event.body is not None:
        parts.append(f"body: {len(event.body)} bytes")
    return shortened(shown or "(no name)"), shortened(ids[0]) if ids else None, parts


def _details_of(key: str) -> tuple[str, ...]:
    if key in _DETAILS:
        return _DETAILS[key]
    return next((names for begin, names in _SUBCLASSES_OF.items() if key.startswith(begin)), ())
