"""The `eslcodec` command: `demo` plays a recorded stream over loopback and checks it, `decode` lists a stream.

It needs the extra `cli` (click, rich), which the package itself does not: `main` says so where they are missing. That
is why the commands are put together in `command_line`, and not by decorators when this module is imported.

Names, values, bodies and reply texts are what a caller can choose. Each goes through `escape` before it is shown.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.resources
import io
import json
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import ModuleType
from typing import Any, Final, TextIO
from urllib.parse import unquote_to_bytes

from . import (
    ApiResponse,
    CommandReply,
    Decoder,
    DisconnectNotice,
    Event,
    InvalidCommand,
    LogLine,
    MalformedPayload,
    Message,
    ProtocolError,
    RudeRejection,
    __impl__,
    __version__,
    render,
)

try:
    import click
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table
    from rich.text import Text
except ImportError:
    _has_extra = False
else:
    _has_extra = True

_NEEDS_EXTRA: Final = "eslcodec: the command line needs the extra 'cli': pip install 'eslcodec[cli]'"
_FORMATS: Final = ("plain", "json", "xml")
_CORES: Final = {"c": "compiled", "python": "pure Python"}
_OTHER_CORE: Final = {"c": ("python", "._codec_py"), "python": ("c", "._codec_c")}


def main() -> None:
    """Entry point of the console script."""
    if not _has_extra:
        sys.exit(_NEEDS_EXTRA)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # its encoding may lack a character that a caller chose
    command_line().main(prog_name="eslcodec")


def command_line() -> click.Group:
    """The command with its subcommands."""
    demo_command = click.Command(
        "demo",
        callback=demo,
        short_help="Play a recorded stream, show what arrives, check it.",
        help="Play a recorded FreeSWITCH event stream over a loopback connection, show what arrives, and check it.",
        params=[
            click.Option(["--plain"], is_flag=True, help="Lines instead of a live view, no colours."),
            click.Option(
                ["--rate"],
                type=click.FloatRange(min=0),
                metavar="N",
                help="Events per second, 0 for full speed. By default 400 on a terminal (the pace of the recording), "
                "elsewhere full speed.",
            ),
        ],
    )
    decode_command = click.Command(
        "decode",
        callback=decode,
        short_help="List the messages of a recorded stream.",
        help="List the messages of a recorded stream: FILE as the server sent it, or that in .gz or .xz; - is stdin.",
        params=[
            click.Argument(["file"]),
            click.Option(["--ndjson"], is_flag=True, help="One JSON object of all headers a line."),
            click.Option(
                ["--to"],
                type=click.Choice(["ndjson", *_FORMATS]),
                help="ndjson: as --ndjson. The others: a stream again, as a server would send it, with its events in "
                "this format.",
            ),
            click.Option(["--full"], is_flag=True, help="All headers and the body of each message."),
            click.Option(["--event", "events"], multiple=True, metavar="NAME", help="Only events of this name."),
            click.Option(
                ["--header", "headers"],
                multiple=True,
                metavar="NAME[=VALUE]",
                help="Only messages that have this header, and this value of it. Repeat it: all must match.",
            ),
        ],
    )
    group = click.Group(
        "eslcodec",
        commands=[demo_command, decode_command],
        help="Read FreeSWITCH's Event Socket protocol.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return click.version_option(__version__, message=f"eslcodec %(version)s, core: {__impl__}")(group)


def escape(text: str) -> str:
    """Text of unknown origin, safe to show: on one line, without anything that a terminal obeys.

    Whatever is not printable is written as a Python escape: control characters (C0, DEL, C1), line and paragraph
    separators, format characters such as bidi overrides, surrogates, unassigned ones. So is the backslash, which keeps
    the result unambiguous.

    Args:
        text: anything.

    Returns:
        Printable text; `text` itself if it was that. Square brackets stay, so give it to rich as `Text` or without
        markup.

    Example:
        >>> print(escape("[red]a\\x1b[2J\\x9b\\nb\\u202e"))
        [red]a\\x1b[2J\\x9b\\nb\\u202e
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode() for char in text
    )


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def _label(file: str) -> str:
    return "standard input" if file == "-" else escape(file)


def _module(name: str, file: str) -> ModuleType:
    """A module of the standard library that this Python may have been built without."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise click.ClickException(
            f"{_label(file)} is compressed, and this Python was built without {name} ({error}): unpack it first"
        ) from error


# decode


_CHUNK: Final = 256 << 10
_LONG_FILE: Final = 4 << 20  # below this, reading takes no time worth a progress bar
_SHORT: Final = 120  # characters of a text that a line of the listing shows
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def decode(
    file: str, ndjson: bool, to: str | None, full: bool, events: tuple[str, ...], headers: tuple[str, ...]
) -> None:
    """`eslcodec decode`: print the messages that the filters let through."""
    if ndjson and to not in (None, "ndjson"):
        raise click.UsageError(f"--ndjson and --to {to} are two formats; choose one")
    to = "ndjson" if ndjson else to
    if to and full:
        raise click.UsageError(f"--{'ndjson' if ndjson else 'to'} has all headers already; leave out --full")
    wanted_events = {name.upper() for name in events}
    wanted_headers = [header.partition("=") for header in headers]
    out = sys.stdout
    malformed = kept = 0

    def show(number: int, message: Message) -> None:
        nonlocal malformed, kept
        malformed += message.malformed is not None
        if not _passes(message, wanted_events, wanted_headers):
            return
        if to in _FORMATS:
            frame = _converted(message, to)
            kept += frame is None and message.malformed is None
            out.buffer.write(message.frame if frame is None else frame)
        else:
            lines = [_as_json(message)] if to else _listing(number, message, full)
            out.writelines(f"{line}\n" for line in lines)

    try:
        with _reading(file, out) as chunks:
            _decode_stream(file, chunks, show, out.flush)
    finally:
        out.flush()
    problems = []
    if malformed:
        problems.append(f"event payloads that cannot be read: {malformed}")
    if kept:
        problems.append(f"events that cannot be written as {to} and were left as they are: {kept}")
    if problems:
        raise click.ClickException(f"{_label(file)}: {'; '.join(problems)}")


def _converted(message: Message, format: str) -> bytes | None:
    """The frame with an event's payload in this format; None if that cannot be had. Other frames are as they were."""
    if not isinstance(message, Event):
        return message.frame
    if message.content_type == f"text/event-{format}":
        return message.frame
    try:
        return render.event_frame(message.serialize(format), format)
    except (InvalidCommand, MalformedPayload):
        return None


def _decode_stream(
    file: str, chunks: Iterable[bytes], show: Callable[[int, Message], None], flush: Callable[[], None]
) -> None:
    decoder = Decoder()
    number = 0
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            for message in decoder:
                number += 1
                show(number, message)
            flush()  # standard input may be a live stream
        decoder.feed_eof()
    except ProtocolError as error:
        # The error's text quotes what the peer sent as Python literals, so it is printable.
        raise click.ClickException(
            f"{_label(file)}: after message {number}, at byte {decoder.consumed}: {error}"
        ) from error


@contextmanager
def _reading(file: str, out: TextIO) -> Iterator[Iterator[bytes]]:
    """The content of `file` in chunks, unpacked; with a progress bar if the file is long and a terminal is watching."""
    try:
        raw = open(0 if file == "-" else file, "rb", closefd=file != "-")  # noqa: SIM115
    except OSError as error:
        raise click.FileError(_label(file), error.strerror) from error
    with raw:
        chunks = _chunks(*_unpacked(raw, file), file)
        size = os.fstat(raw.fileno()).st_size
        if file != "-" and size > _LONG_FILE and _is_terminal(sys.stderr) and not _is_terminal(out):
            chunks = _with_progress_bar(chunks, raw, file, size)
        with closing(chunks):  # takes the bar away before an error is printed
            yield chunks


def _with_progress_bar(
    chunks: Iterable[bytes], raw: io.BufferedReader, file: str, size: int
) -> Generator[bytes, None, None]:
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_label(file), total=size)
        for chunk in chunks:
            yield chunk
            progress.update(task, completed=raw.tell())


def _unpacked(raw: io.BufferedReader, file: str) -> tuple[io.BufferedIOBase, tuple[type[Exception], ...]]:
    """A file's content, and the exceptions that say that it is damaged. What it is, its first bytes say."""
    head = raw.peek(6)
    if head.startswith(b"\x1f\x8b"):
        zlib, gzip = _module("zlib", file), _module("gzip", file)
        return gzip.GzipFile(fileobj=raw), (OSError, EOFError, zlib.error)
    if head.startswith(b"\xfd7zXZ\0"):
        lzma = _module("lzma", file)
        return lzma.LZMAFile(raw), (OSError, EOFError, lzma.LZMAError)
    return raw, (OSError,)


def _chunks(stream: io.BufferedIOBase, damage: tuple[type[Exception], ...], file: str) -> Generator[bytes, None, None]:
    while True:
        try:
            chunk = stream.read1(_CHUNK)  # what is there, without waiting for more
        except damage as error:
            raise click.ClickException(f"{_label(file)}: {escape(str(error))}") from error
        if not chunk:
            return
        yield chunk


def _passes(message: Message, events: set[str], headers: list[tuple[str, str, str]]) -> bool:
    if events and not (isinstance(message, Event) and (message.name or "").upper() in events):
        return False
    for name, has_value, value in headers:
        found = message.get(name)
        if found is None or (has_value and found != value):
            return False
    return True


def _as_json(message: Message) -> str:
    line = json.dumps(message.asdict())
    if "\\ud" not in line:
        return line
    # Bytes that are not UTF-8 are lone surrogates in the dict, which strict readers of JSON refuse.
    return json.dumps({_replaced(name): _replaced(value) for name, value in message.items()})


def _replaced(text: str) -> str:
    return _LONE_SURROGATE.sub("\ufffd", text)


def _listing(number: int, message: Message, full: bool) -> Iterator[str]:
    """The lines that show a message."""
    yield f"{number:>7}  {type(message).__name__:<16}  {'  '.join(_summary(message))}".rstrip()
    if not full:
        return
    for name, value in message.pairs():
        yield f"         {escape(name)}: {escape(value)}"
    body = message.body if message.malformed is None else message.raw
    if body is not None:
        for line in body.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n"):
            yield f"         | {escape(line)}"


def _summary(message: Message) -> Iterator[str]:
    """What a line of the listing says of a message, escaped."""
    if message.malformed is not None:
        yield f"{escape(message.content_type or '')}, {len(message.raw)} bytes, malformed: {message.malformed}"
        return
    match message:
        case Event():
            name, subclass, uuid, job, channel, sequence = message.select(
                "Event-Name", "Event-Subclass", "Unique-ID", "Job-UUID", "Channel-Name", "Event-Sequence"
            )
            yield f"{_shortened(name or '(no name)'):<24}"
            yield from (
                _shortened(part) for part in (sequence and f"#{sequence}", subclass, uuid, job, channel) if part
            )
            if message.body is not None:
                yield f"body: {len(message.body)} bytes"
        case CommandReply():
            yield _shortened(message.text)
            if "Event-Name" in message:
                yield f"{len(message)} headers"
        case LogLine():
            yield f"{getattr(message.level, 'name', message.level)}: {_shortened(message.text.rstrip())}"
        case DisconnectNotice():
            yield "linger" if message.linger else "final"
            yield from (_shortened(part) for part in (message.controlled_uuid, message.channel_name) if part)
        case ApiResponse() | RudeRejection():
            yield f"{len(message.body or b'')} bytes: {_shortened(message.text.rstrip())}"
        case _:
            yield f"{_shortened(message.content_type or '(no Content-Type)')}, {len(message.body or b'')} bytes"


def _shortened(text: str) -> str:
    return escape(text) if len(text) <= _SHORT else f"{escape(text[:_SHORT])}... ({len(text)} characters)"


# demo


_RECORDING: Final = "sip_plain.esl.gz"
_WATCHED_RATE: Final = 400.0  # events/s: about what the recorded switch sent
_TIMEOUT: Final = 30.0  # seconds without a byte: loopback does not do that
_TICK: Final = 0.01  # seconds: a shorter wait would cost more than it waits for
_REFRESH: Final = 0.1  # seconds between two pictures of the live view
_REPORT: Final = 1.0  # seconds between two lines without one
_HANGUPS: Final = frozenset(["CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"])

_EVENT_HEAD: Final = re.compile(rb"Content-Length: (\d+)\nContent-Type: text/event-plain\n\n")
_EVENT_NAME: Final = re.compile(rb"^Event-Name: (.*)$", re.MULTILINE)


@dataclass
class Tally:
    """What has arrived so far. A call has a leg towards each party; FreeSWITCH names one by its Unique-ID.

    Attributes:
        events: how many of each name.
        legs: Unique-IDs of those that are up.
        created, hung_up: how many went up, and down again.
        received: bytes.
        seconds: since the first was asked for.
        kept: the events themselves.
    """

    events: Counter[str] = field(default_factory=Counter)
    legs: set[str] = field(default_factory=set)
    created: int = 0
    hung_up: int = 0
    received: int = 0
    seconds: float = 0.0
    kept: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count an event."""
        self.kept.append(event)
        name = event.name or ""
        self.events[name] += 1
        if name == "CHANNEL_CREATE":
            self.legs.add(event["Unique-ID"])
            self.created += 1
        elif name in _HANGUPS and event["Unique-ID"] in self.legs:
            self.legs.remove(event["Unique-ID"])
            self.hung_up += 1

    def __str__(self) -> str:
        return (
            f"{self.seconds:5.1f} s  {len(self.kept):>6} events  {self.created} call legs up, {self.hung_up} down  "
            f"{_pace(len(self.kept), self.received, self.seconds)}"
        )


def demo(plain: bool, rate: float | None) -> None:
    """`eslcodec demo`: play the recording, show what arrives, check it. Exit status 1 if a check fails."""
    watched = _is_terminal(sys.stdout)
    if rate is None:
        rate = _WATCHED_RATE if watched else 0.0
    data = _recording()
    click.echo(
        f"eslcodec {__version__}, core: {__impl__} ({_CORES[__impl__]}). "
        f"A recorded FreeSWITCH stream, {len(data) / 1e6:.1f} MB, played over a loopback connection."
    )
    console = Console(force_terminal=watched and not plain, markup=False, highlight=False, emoji=False)
    try:
        with _showing(console) as show:
            tally = measured = receive(data, rate, show)
        if rate or console.is_terminal:  # a pass that was slowed down or drawn says nothing about speed
            measured = receive(data, 0.0, _show_nothing)
    except (OSError, ProtocolError) as error:
        raise click.ClickException(f"the demo broke off: {error}") from error
    console.print(_table(tally))
    if not _checked(data, tally, measured):
        click.echo("A CHECK FAILED", err=True)
        click.get_current_context().exit(1)


def _recording() -> bytes:
    packed = importlib.resources.files("eslcodec") / "data" / _RECORDING
    content: bytes = _module("gzip", _RECORDING).decompress(packed.read_bytes())
    return content


def receive(data: bytes, rate: float, show: Callable[[Tally], None]) -> Tally:
    """Send `data` through a TCP connection within this process and decode what comes out.

    Args:
        data: a recorded stream.
        rate: events per second, 0 for full speed.
        show: called after each piece that arrived.
    """
    tally = Tally()
    decoder = Decoder()
    with _playing(data, rate) as client:
        started = time.perf_counter()
        while True:
            with decoder.get_buffer() as view:
                count = client.recv_into(view)
            decoder.buffer_updated(count)
            for message in decoder:
                if isinstance(message, Event):
                    tally.add(message)
            tally.received += count
            tally.seconds = time.perf_counter() - started
            show(tally)
            if not count:
                break
    decoder.feed_eof()
    return tally


@contextmanager
def _playing(data: bytes, rate: float) -> Iterator[socket.socket]:
    """A connection to a server in this process, whose thread sends `data`."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), _TIMEOUT) as client,
    ):
        server, _ = listener.accept()  # the connection waits in the backlog
        stop = threading.Event()
        thread = threading.Thread(target=_play, args=(server, data, rate, stop), daemon=True)
        thread.start()
        try:
            yield client
        finally:
            stop.set()
            client.close()  # or the thread would wait for a reader
            thread.join()


def _play(server: socket.socket, data: bytes, rate: float, stop: threading.Event) -> None:
    with server, suppress(OSError):  # a client that went away has its reason
        if not rate:
            server.sendall(data)
            return
        started = time.perf_counter()
        cuts = [0, *(head.start() for head in _EVENT_HEAD.finditer(data)), len(data)]
        for number, (begin, end) in enumerate(pairwise(cuts)):
            ahead = started + number / rate - time.perf_counter()
            if ahead > _TICK and stop.wait(ahead):
                return
            server.sendall(data[begin:end])


@contextmanager
def _showing(console: Console) -> Iterator[Callable[[Tally], None]]:
    """How to show what arrives: live on a terminal that can do it, else a line each second."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _every(_REPORT, lambda tally: click.echo(str(tally)))
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _every(_REFRESH, lambda tally: live.update(_picture(tally), refresh=True))


def _every(seconds: float, show: Callable[[Tally], None]) -> Callable[[Tally], None]:
    due = seconds

    def limited(tally: Tally) -> None:
        nonlocal due
        if tally.seconds >= due:
            due = tally.seconds + seconds
            show(tally)

    return limited


def _show_nothing(tally: Tally) -> None:
    """For the pass that is measured."""


def _picture(tally: Tally) -> Group:
    return Group(_table(tally), Text(str(tally), style="bold"))


def _table(tally: Tally) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("Event")
    table.add_column("Count", justify="right", style="cyan")
    for name, count in tally.events.most_common():
        table.add_row(Text(escape(name)), Text(str(count)))
    return table


def _pace(events: int, size: int, seconds: float) -> str:
    seconds = max(seconds, 1e-9)
    return f"{events / seconds:,.0f} events/s, {size / seconds / 1e6:,.1f} MB/s"


def _checked(data: bytes, tally: Tally, measured: Tally) -> bool:
    """Print the figures and the checks. Whether all checks passed."""
    events = len(tally.kept)
    started = time.perf_counter()
    _headers_of(data)
    from_memory = time.perf_counter() - started
    sent = Counter(name.decode() for name in _EVENT_NAME.findall(data))
    digest, count = _digest(event.asdict() for event in tally.kept)
    source, other = _other_reading(data)
    other_digest, other_count = _digest(other)
    all_there = tally.events == measured.events == sent
    same_headers = (digest, count) == (other_digest, other_count)
    for title, text in (
        ("Calls", f"{tally.created} call legs up, {tally.hung_up} down"),
        ("TCP", f"{_pace(events, measured.received, measured.seconds)}: received, split, looked up by name"),
        ("Memory", f"{_pace(events, len(data), from_memory)}: split, every header of every event into a dict"),
        (
            _verdict(all_there),
            f"{events} of {sent.total()} events sent were decoded; counts by name against those of the raw bytes",
        ),
        (
            _verdict(same_headers),
            f"{count} headers, sha256 {digest[:16]}; {source}: {other_count} headers, sha256 {other_digest[:16]}",
        ),
    ):
        click.echo(f"{title:<7} {text}")
    return all_there and same_headers


def _verdict(passed: bool) -> str:
    return "OK" if passed else "FAILED"


def _headers_of(data: bytes) -> None:
    """What is timed: the codec alone, all the way to dicts."""
    decoder = Decoder()
    for at in range(0, len(data), _CHUNK):
        decoder.feed(data[at : at + _CHUNK])
        for message in decoder:
            message.asdict()


def _digest(events: Iterable[dict[str, str]]) -> tuple[str, int]:
    """A checksum over all headers of all events in order, and how many there are."""
    digest = hashlib.sha256()
    count = 0
    for headers in events:
        count += len(headers)
        digest.update(repr(list(headers.items())).encode())
    return digest.hexdigest(), count


def _other_reading(data: bytes) -> tuple[str, Iterator[dict[str, str]]]:
    """The headers of each event as read by somebody else, and who that is."""
    name, module = _OTHER_CORE[__impl__]
    try:
        core = importlib.import_module(module, __package__)
    except ImportError:
        return "no other core is here, so the standard library's reading", _plain_reading(data)
    return f"the {name} core", _core_reading(core, data)


def _core_reading(core: Any, data: bytes) -> Iterator[dict[str, str]]:
    decoder = core.MessageDecoder({}, core.Message)
    decoder.feed(data)
    return (message.asdict() for message in decoder if message.content_type == "text/event-plain")


def _plain_reading(data: bytes) -> Iterator[dict[str, str]]:
    """Without the codec: good enough for this recording, in which no frame is odd."""
    for head in _EVENT_HEAD.finditer(data):
        block, _, _ = data[head.end() : head.end() + int(head[1])].partition(b"\n\n")
        headers: dict[str, str] = {}
        for line in block.split(b"\n"):
            name, _, value = line.decode("utf-8", "surrogateescape").partition(": ")
            headers.setdefault(name, unquote_to_bytes(value).decode("utf-8", "surrogateescape"))
        yield headers
