"""`eslcodec decode`: list the messages of a recorded stream, or write them in another format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import click

from .. import Event, InvalidCommand, MalformedPayload, Message, render
from ..subscriptions import event_name
from .files import Chunks, Messages, Noticed, label, since_option, until_option
from .lines import listing, terminal_width
from .names import check_names, complete_events, unknown_option
from .text import escape, is_terminal, json_line, note, write_bytes

_FORMATS: Final = ("plain", "json", "xml")


@click.command(short_help="List the messages of a recorded stream.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--ndjson", is_flag=True, help="One JSON object a line, arrays as lists, the body as _body.")
@click.option(
    "--to",
    type=click.Choice(["ndjson", *_FORMATS]),
    help="ndjson: as --ndjson. The others: a stream again, as a server would send it, with its events in this format; "
    "on a terminal escaped, as everything is.",
)
@click.option("--full", is_flag=True, help="All headers and the body of each message.")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_events,
    help="Only events of this name. Repeatable.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Only messages that have this header, and this value of it. Repeat it: all must match.",
)
@click.option(
    "--unframed",
    is_flag=True,
    help="FILE has events without frames: their text as scripts print it, one JSON or XML each, or what fs_cli showed.",
)
@click.option("--notices", is_flag=True, help="Also what was noted in a recording: gaps, losses, legs that had ended.")
@since_option
@until_option
@unknown_option
def decode(
    files: tuple[str, ...],
    ndjson: bool,
    to: str | None,
    full: bool,
    events: tuple[str, ...],
    headers: tuple[str, ...],
    unframed: bool,
    notices: bool,
    since: datetime | None,
    until: datetime | None,
    unknown: bool,
) -> None:
    """List the messages of recorded streams.

    FILE is a recording of `eslcodec record`, one file or a folder of them, or a stream as the server sent it, also in
    .gz, .xz or .zst; - is standard input. What is damaged is passed over, and the exit status is 1 then.

    \b
    eslcodec decode stream.esl --event CHANNEL_HANGUP --header Hangup-Cause=USER_BUSY
    eslcodec decode --ndjson rec/ | jq -r '.["Event-Name"]'
    eslcodec decode --unframed printed.txt --to plain > stream.esl

    A file that is no stream, such as a dump without frames or packets of tcpdump, is recognised, and told.
    """
    if ndjson and to not in (None, "ndjson"):
        raise click.UsageError(f"--ndjson and --to {to} are two formats; choose one")
    to = "ndjson" if ndjson else to
    if to and full:
        raise click.UsageError(f"--{'ndjson' if ndjson else 'to'} has all headers already; leave out --full")
    if notices and to in _FORMATS:
        raise click.UsageError(f"--to {to}: a switch sends no notices; leave out --notices")
    check_names(events, unknown, "none will be shown unless it is in there all the same")
    wanted = set(map(event_name, events))
    out = sys.stdout
    watched = is_terminal(out)
    malformed = kept = 0
    chunks = Chunks(files, since, until, bar=not watched, unframed=unframed)
    messages = Messages(chunks, pause=out.flush, notices=notices)  # standard input may be a live stream
    try:
        for message in messages:
            if isinstance(message, Noticed):
                _show_notice(message, bool(to))
                continue
            malformed += message.malformed is not None
            if not (is_event_of(message, wanted) and has_headers(message, headers)):
                continue
            if to in _FORMATS:
                frame = _converted(message, to)
                kept += frame is None and message.malformed is None
                write_bytes(out, message.frame if frame is None else frame, watched)
            elif to:
                out.buffer.write(json_line(message) + b"\n")
            else:
                out.writelines(
                    f"{line}\n"
                    for line in listing(f"{messages.number:>7}", message, full, terminal_width() if watched else None)
                )
    finally:
        out.flush()
    problems = []
    if malformed:
        problems.append(f"event payloads that cannot be read: {malformed}")
    if kept:
        problems.append(f"events that cannot be written as {to} and were left as they are: {kept}")
    if not (messages.number or chunks.problems or since or until):
        note(f"{', '.join(map(label, files))}: there is no message in it")
    if problems:
        chunks.problems.append(f"{', '.join(map(label, files))}: {'; '.join(problems)}")
    chunks.tell()


def _show_notice(notice: Noticed, as_line: bool) -> None:
    if as_line:
        sys.stdout.buffer.write(escape(notice.line.decode()).encode() + b"\n")
    else:
        sys.stdout.write(f"{'':>7}  {type(notice.item).__name__:<16}  {escape(notice.line.decode())}\n")


def has_headers(message: Message, wanted: Sequence[str]) -> bool:
    """Whether a message has every header of `wanted`, each "NAME" or "NAME=VALUE"."""
    for name, has_value, value in (header.partition("=") for header in wanted):
        found = message.get(name)
        if found is None or (has_value and found != value):
            return False
    return True


def is_event_of(message: Message, names: set[str]) -> bool:
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
