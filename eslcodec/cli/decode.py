"""`eslcodec decode`: list the messages of a recorded stream, or write them in another format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import click

from .. import Event, InvalidCommand, MalformedPayload, Message, ProtocolError, render
from ..recordings import Follower
from ..subscriptions import event_name
from ..zst import Chunk
from .files import label, reading
from .names import check_names, unknown_option
from .text import is_terminal, json_line, listing, write_bytes

_FORMATS: Final = ("plain", "json", "xml")


@click.command(short_help="List the messages of a recorded stream.")
@click.argument("file")
@click.option("--ndjson", is_flag=True, help="One JSON object a line, arrays as lists, the body as _body.")
@click.option(
    "--to",
    type=click.Choice(["ndjson", *_FORMATS]),
    help="ndjson: as --ndjson. The others: a stream again, as a server would send it, with its events in this format; "
    "on a terminal escaped, as everything is.",
)
@click.option("--full", is_flag=True, help="All headers and the body of each message.")
@click.option("--event", "events", multiple=True, metavar="NAME", help="Only events of this name.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Only messages that have this header, and this value of it. Repeat it: all must match.",
)
@unknown_option
def decode(
    file: str,
    ndjson: bool,
    to: str | None,
    full: bool,
    events: tuple[str, ...],
    headers: tuple[str, ...],
    unknown: bool,
) -> None:
    """List the messages of a recorded stream: FILE as the server sent it, or that in .gz, .xz or .zst; - is stdin."""
    if ndjson and to not in (None, "ndjson"):
        raise click.UsageError(f"--ndjson and --to {to} are two formats; choose one")
    to = "ndjson" if ndjson else to
    if to and full:
        raise click.UsageError(f"--{'ndjson' if ndjson else 'to'} has all headers already; leave out --full")
    check_names(events, unknown, "none will be shown unless it is in there all the same")
    wanted = set(map(event_name, events))
    out = sys.stdout
    watched = is_terminal(out)
    malformed = kept = 0

    def show(number: int, message: Message) -> None:
        nonlocal malformed, kept
        malformed += message.malformed is not None
        if not (_is_event_of(message, wanted) and has_headers(message, headers)):
            return
        if to in _FORMATS:
            frame = _converted(message, to)
            kept += frame is None and message.malformed is None
            write_bytes(out, message.frame if frame is None else frame, watched)
        elif to:
            out.buffer.write(json_line(message) + b"\n")
        else:
            out.writelines(f"{line}\n" for line in listing(f"{number:>7}", message, full))

    try:
        with reading(file, out) as chunks:
            _decode_stream(file, chunks, show, out.flush)
    finally:
        out.flush()
    problems = []
    if malformed:
        problems.append(f"event payloads that cannot be read: {malformed}")
    if kept:
        problems.append(f"events that cannot be written as {to} and were left as they are: {kept}")
    if problems:
        raise click.ClickException(f"{label(file)}: {'; '.join(problems)}")


def has_headers(message: Message, wanted: Sequence[str]) -> bool:
    """Whether a message has every header of `wanted`, each "NAME" or "NAME=VALUE"."""
    for name, has_value, value in (header.partition("=") for header in wanted):
        found = message.get(name)
        if found is None or (has_value and found != value):
            return False
    return True


def _is_event_of(message: Message, names: set[str]) -> bool:
    """Whether it is an event of one of these names, or anything if there are none."""
    if not names:
        return True
    return isinstance(message, Event) and ("ALL" in names or (message.name or "").upper() in names)


def _converted(message: Message, format: str) -> bytes | None:
    """The frame with an event's payload in this format; None if it cannot be written in that. Other frames are
    unchanged."""
    if not isinstance(message, Event):
        return message.frame
    if message.content_type == f"text/event-{format}":
        return message.frame
    try:
        return render.event_frame(message.serialize(format), format)
    except (InvalidCommand, MalformedPayload):
        return None


def _decode_stream(
    file: str, chunks: Iterable[Chunk], show: Callable[[int, Message], None], flush: Callable[[], None]
) -> None:
    follower = Follower()
    number = 0
    try:
        for chunk in chunks:
            for message in follower.take(chunk) or ():
                number += 1
                show(number, message)
            flush()  # standard input may be a live stream
        follower.finish()
    except ProtocolError as error:
        # The error's text quotes what the peer sent as Python literals, so it is printable.
        raise click.ClickException(
            f"{label(file)}: after message {number}, at byte {follower.consumed}: {error}"
        ) from error
