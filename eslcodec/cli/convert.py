"""`eslcodec convert`: recordings in another form, or less of them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from .. import Event, Message
from ..ingest.redacting import copy_recording
from ..subscriptions import event_name
from .files import Chunks, Messages, Noticed, label, readable, since_option, until_option
from .names import check_names, split_events, unknown_option
from .profiles import redact_option, redaction
from .stream import stream_options
from .tables import FORMS, PRESETS, Records, Table, events_table, write_lines
from .text import is_terminal, json_line

if TYPE_CHECKING:
    from ..ingest import Redact

_STANDARD_OUTPUT: Final = "-"
TABLES: Final = (".parquet", ".arrow")  # what else OUT may end in


@dataclass
class Job:
    """What is converted.

    Attributes:
        chunks: of the sources.
        keep: whether a message is wanted.
        redact: what is taken out; None for nothing.
        notices: whether lines of JSON have notices too.
    """

    chunks: Chunks
    keep: Callable[[Message], bool] | None
    redact: Redact | None
    notices: bool


@click.command(short_help="Write recordings in another form.")
@click.argument("words", nargs=-1, required=True, metavar="SOURCE... OUT")
@click.option(
    "--events",
    multiple=True,
    metavar="EVENTS",
    help="Only these events: presets, names, or 'CUSTOM sofia::register', as `record` takes them. Repeatable.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="[NAME=]HEADER[:KIND],...",
    help="A table with a row an event and these columns, such as at=Event-Date-Timestamp:timestamp. Repeatable.",
)
@click.option("--preset", type=click.Choice(PRESETS), help="A table with the columns of a preset; `events` otherwise.")
@click.option("--legs", "records", flag_value="leg", help="A table with a row a leg.")
@click.option("--calls", "records", flag_value="call", help="A table with a row a call.")
@click.option("--threads", type=click.IntRange(min=1), help="How many make the columns; else as many as processors.")
@click.option("--notices", is_flag=True, help="NDJSON: also what was noted in the recording, in its place.")
@since_option
@until_option
@redact_option
@unknown_option
@stream_options
def convert(
    words: tuple[str, ...],
    events: tuple[str, ...],
    columns: tuple[str, ...],
    preset: str | None,
    records: str | None,
    threads: int | None,
    notices: bool,
    since: datetime | None,
    until: datetime | None,
    redact: str | None,
    unknown: bool,
) -> None:
    """Write recordings in another form: OUT.esl.zst (a recording again), OUT.ndjson, - (NDJSON on standard output), or
    a table: OUT.parquet, OUT.arrow (Arrow's stream format).

    \b
    eslcodec convert rec/ --since -2h hour.esl.zst
    eslcodec convert --calls rec/ calls.parquet
    eslcodec convert rec/ --redact secrets - | jq .

    SOURCE is a recording of `eslcodec record`, one file or a folder, a stream as a server sent it, or what a stream of
    `eslcodec bridge` has now, as nats://HOST:PORT/STREAM; - is standard input. OUT must not be there yet; nobody but
    you may read it. What is damaged is passed over, and the exit status is 1 then.
    """
    *sources, out = words
    if not sources:
        raise click.UsageError("Missing argument 'OUT': what is to be written, behind the sources")
    if bool(columns) + bool(preset) + bool(records) > 1:
        raise click.UsageError("expected one of --columns, --preset, --legs and --calls")
    is_table = bool(columns or preset or records) or out.endswith(TABLES)
    write = None if is_table else _writer(out)
    form = table_form(out) if is_table else None
    names, subclasses = split_events(events)
    check_names(names, unknown, "none will be there unless it is recorded all the same")
    bar = out != _STANDARD_OUTPUT or not is_terminal(sys.stdout)
    chunks = Chunks(sources, since, until, bar=bar, check=not is_table)
    if notices and (is_table or out.endswith(".esl.zst")):
        raise click.UsageError(
            "--notices: a recording keeps them, legs and calls use them, a table has a column @notice"
        )
    if form is not None:
        if records and events:
            raise click.UsageError("--events: legs and calls are made of the events that they need")
        chosen = [*names, *(f"CUSTOM {each}" for each in subclasses)] if events else None
        redact_with = redaction(redact)
        table: Table = (
            Records(chunks, records, redact_with)
            if records
            else events_table(chunks, columns, preset, chosen, (since, until), threads, redact_with)
        )
        _table(table, form, out)
    elif write is not None:
        write(Job(chunks, wanted(names, subclasses) if events else None, redaction(redact), notices), out)
    chunks.tell()


def wanted(names: list[str], subclasses: list[str]) -> Callable[[Message], bool]:
    """Whether a message is an event of one of these names, or CUSTOM of one of these subclasses.

    Example:
        >>> keep = wanted(["dtmf"], ["a::b"])
        >>> keep(Event.build("DTMF")), keep(Event.build("CUSTOM", subclass="a::b")), keep(Event.build("API"))
        (True, True, False)
    """
    upper, exact = set(map(event_name, names)), set(subclasses)

    def keep(message: Message) -> bool:
        if not isinstance(message, Event):
            return False
        return "ALL" in upper or (message.name or "").upper() in upper or message.subclass in exact

    return keep


def table_form(out: str) -> Callable[[Table, BinaryIO], None]:
    """What writes a table, by the end of its name.

    Raises:
        click.UsageError: it has another one.
    """
    if out == _STANDARD_OUTPUT:
        return write_lines
    for end, form in FORMS.items():
        if out.endswith(end):
            return form
    raise click.UsageError(f"read {label(out)!r}, expected the name of a table to be - or to end in {', '.join(FORMS)}")


def _table(table: Table, form: Callable[[Table, BinaryIO], None], out: str) -> None:
    if out == _STANDARD_OUTPUT:
        form(table, sys.stdout.buffer)
        return
    with readable(out), created(out) as file:
        form(table, file)


# A function for each kind of output, by the end of its name.


def _recording(job: Job, out: str) -> None:
    chunks, keep = job.chunks, job.keep
    limited = chunks.since_ns > -math.inf or chunks.until_ns < math.inf

    def chosen(message: Message, ns: int) -> bool:
        return (keep is None or keep(message)) and chunks.since_ns <= ns < chunks.until_ns

    with readable(out):
        copy_recording(chunks, out, job.redact, keep=chosen if keep or limited else None)


def _ndjson(job: Job, out: str) -> None:
    with readable(out), created(out) as file:
        _write_lines(job, file, Message.to_json)


def _lines(job: Job, out: str) -> None:
    _write_lines(job, sys.stdout.buffer, json_line if is_terminal(sys.stdout) else Message.to_json)


_WRITERS: Final[dict[str, Callable[[Job, str], None]]] = {".esl.zst": _recording, ".ndjson": _ndjson}


def _writer(out: str) -> Callable[[Job, str], None]:
    if out == _STANDARD_OUTPUT:
        return _lines
    for end, write in _WRITERS.items():
        if out.endswith(end):
            return write
    raise click.UsageError(f"read {label(out)!r}, expected OUT to be - or to end in {', '.join((*_WRITERS, *TABLES))}")


def _write_lines(job: Job, file: BinaryIO, line: Callable[[Message], bytes]) -> None:
    malformed = 0
    for message in Messages(job.chunks, pause=file.flush, notices=job.notices):
        if isinstance(message, Noticed):
            file.write(message.redacted(job.redact).line + b"\n")
            continue
        malformed += message.malformed is not None
        if job.keep is None or job.keep(message):
            file.write(line(message if job.redact is None else job.redact(message)) + b"\n")
    if malformed:
        job.chunks.problems.append(f"event payloads that cannot be read: {malformed}")


@contextmanager
def created(path: str) -> Iterator[BinaryIO]:
    """A new file that nobody else may read. It is removed again if something goes wrong."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(file, "wb") as opened:
            yield opened
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
