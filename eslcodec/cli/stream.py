"""Streams of NATS JetStream that a bridge filled, for `eslcodec tail` and `eslcodec convert`: nats://HOST:PORT/STREAM."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import click

from .. import Event, zst
from .._zstd import Compressor
from ..errors import ESLError
from ..subscriptions import event_name
from .decode import has_headers
from .lines import listing, terminal_width
from .login import notes_told
from .nats_login import LOGIN, nats_login_options, nats_options
from .text import escape, json_line, note

if TYPE_CHECKING:
    from ..ingest.consume import Consumer, StreamEvent, StreamNotice

_WHERE: Final = re.compile(r"(?:nats|tls)://[^/@\s]+/[^\s.*>/\\]+")
_KEY: Final = "eslcodec.stream"
_BATCH: Final = 512  # messages of a chunk
_BATCH_BYTES: Final = 1 << 20
_READ: Final = struct.Struct("<II")
_MICROSECONDS_MOST: Final = (1 << 32) - 1
_INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Options:
    """How streams are read: what `stream_options` adds to a command."""

    subjects: tuple[str, ...] = ()
    secrets: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(LOGIN))


def stream_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options for streams to a command, which does not get them: `opened` finds them."""

    @functools.wraps(function)
    def command(subjects: tuple[str, ...], **others: Any) -> None:
        secrets = {name: others.pop(name) for name in LOGIN}
        click.get_current_context().meta[_KEY] = Options(subjects, secrets)
        function(**others)

    command = nats_login_options(command)
    text = "Of a stream: only these subjects, such as 'esl.v1.fs1.>'. Repeatable."
    return click.option("--subject", "subjects", multiple=True, metavar="SUBJECT", help=text)(command)


def opened(word: str, begin: Any, until_end: bool) -> Consumer:
    """A consumer of a stream that keeps no place.

    Raises:
        click.UsageError: it is no stream.
        click.ClickException: a secret cannot be used, or nats-py is missing.
    """
    from ..ingest import _nats
    from ..ingest.consume import consume

    if "@" in word:
        raise click.UsageError("the stream has a password in it, which all on this machine can read: use --nats-creds")
    if not _WHERE.fullmatch(word):
        raise click.UsageError(f"read {escape(word)!r}, expected nats://HOST:PORT/STREAM")
    said: Options = click.get_current_context().meta.get(_KEY, Options())
    server, _, stream = word.rpartition("/")
    options = nats_options((), *(said.secrets[name] for name in LOGIN))
    try:
        _nats.library("reading a stream")
        return consume(server, stream, subjects=said.subjects, begin=begin, until_end=until_end, options=options)
    except (ImportError, ValueError) as error:
        raise click.ClickException(escape(str(error))) from error


# As chunks of a recording


def chunks(word: str, since: datetime | None) -> Iterator[zst.Chunk]:
    """What a stream has, up to now, as chunks: for everything that is made of recordings.

    Args:
        word: the stream.
        since: what it got before that is not read.
    """
    begin = "all" if since is None else since
    consumer = opened(word, begin, True)
    compressor, offsets = Compressor(0), dict[int, int]()
    with notes_told(note), asyncio.Runner() if hasattr(asyncio, "Runner") else _Runner() as runner:
        runner.run(consumer.__aenter__())
        try:
            while batch := runner.run(_batch(consumer)):
                for packed in _packed(batch, compressor, offsets):
                    for chunk in zst.read_chunks(io.BytesIO(packed), word):
                        chunk.position = 0
                        yield chunk
        except (ESLError, ValueError) as error:
            raise click.ClickException(escape(str(error))) from error
        finally:
            runner.run(consumer.close())


class _Runner:
    """What `asyncio.Runner` is since Python 3.11."""

    def __enter__(self) -> _Runner:
        self._loop = asyncio.new_event_loop()
        return self

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def __exit__(self, *args: object) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _batch(consumer: Consumer) -> list[StreamEvent | StreamNotice]:
    """Some of what comes; nothing at the end."""
    found: list[StreamEvent | StreamNotice] = []
    size = 0
    async for item in consumer:
        found.append(item)
        size += len(item.frame) if isinstance(item, Event) else 0
        if len(found) == _BATCH or size >= _BATCH_BYTES:
            break
    return found


def _packed(
    items: list[StreamEvent | StreamNotice], compressor: Compressor, offsets: dict[int, int]
) -> Iterator[bytes]:
    """Items as a recorder writes them: those of a switch that follow one another in a chunk, each notice as a note."""
    run: list[Any] = []
    for item in items:
        if run and (not isinstance(item, Event) or item.switch != run[0].switch):
            yield _stream_chunk(run, compressor, offsets)
            run = []
        if isinstance(item, Event):
            run.append(item)
        else:
            yield _note_chunk(item, offsets)
    if run:
        yield _stream_chunk(run, compressor, offsets)


def _connection(switch: str | None) -> int:
    return crc32((switch or "").encode()) + 1  # 0 is that of a stream without times


def _stream_chunk(events: list[StreamEvent], compressor: Compressor, offsets: dict[int, int]) -> bytes:
    connection = _connection(events[0].switch)
    begin = min(event.received or 0.0 for event in events)
    frames = [event.frame for event in events]
    us = [min(max(round(((event.received or 0.0) - begin) * 1e6), 0), _MICROSECONDS_MOST) for event in events]
    data = b"".join(frames)
    head, frame = zst.pack_stream(
        compressor,
        connection=connection,
        offset=offsets.get(connection, 0),
        wall_ns=round(begin * 1e6) * 1000,
        mono_ns=0,
        first=0,
        reads=b"".join(_READ.pack(at, len(frame)) for at, frame in zip(us, frames, strict=True)),
        sends=[],
        data=data,
    )
    offsets[connection] = offsets.get(connection, 0) + len(data)
    return head + frame


def _note_chunk(notice: StreamNotice, offsets: dict[int, int]) -> bytes:
    connection = _connection(notice.switch)
    said = {name: value for name, value in notice.said.items() if name not in ("_notice", "_id")}
    return zst.pack_note(
        connection=connection,
        offset=offsets.get(connection, 0),
        wall_ns=round((notice.received or 0.0) * 1e6) * 1000,
        mono_ns=0,
        note={"note": notice.kind, **said},
    )


# As they come


@dataclass(frozen=True)
class Shown:
    """What is shown of a stream, and how.

    Attributes:
        names: of events; none for all.
        headers: as `--header` has them.
        ndjson, full, count: as the options of these names.
        show: prints a line about an event.
    """

    names: tuple[str, ...]
    headers: tuple[str, ...]
    ndjson: bool
    full: bool
    count: int | None
    show: Callable[[str, Any], None]

    def wants(self, item: StreamEvent | StreamNotice) -> bool:
        """Whether it is shown."""
        wanted = {event_name(name) for name in self.names}
        if not isinstance(item, Event):
            return not (wanted or self.headers)
        named = not wanted or "ALL" in wanted or (item.name or "").upper() in wanted
        return named and has_headers(item, self.headers)

    def tell(self, item: StreamEvent | StreamNotice) -> None:
        """Show it."""
        if self.ndjson:
            line = json_line(item) if isinstance(item, Event) else json.dumps(item.said).encode()
            sys.stdout.buffer.write(line + b"\n")
            return
        at = datetime.fromtimestamp(item.received or 0.0, timezone.utc).astimezone()
        label = f"{at:%H:%M:%S.%f}"[:-3] + f" {escape(item.switch or '-')}"
        if isinstance(item, Event):
            for text in listing(label, item, self.full, terminal_width()):
                self.show(text, item)
        else:
            said = {name: value for name, value in item.said.items() if name not in ("_notice", "_id", "switch")}
            sys.stdout.write(f"{label}  Notice  {escape(item.kind)}  {escape(json.dumps(said))}\n")


def tail_stream(word: str, since: datetime | None, shown: Shown) -> None:
    """Show what comes into a stream, until Ctrl-C."""
    consumer = opened(word, since or "now", False)

    async def follow() -> None:
        number = 0
        async with consumer:
            async for item in consumer:
                if shown.wants(item):
                    shown.tell(item)
                    number += 1
                if number == shown.count:
                    return
                if not consumer._intake.has_ready:
                    sys.stdout.flush()

    try:
        with notes_told(note):
            asyncio.run(follow())
    except KeyboardInterrupt:
        click.get_current_context().exit(_INTERRUPTED)
    except (ESLError, ValueError) as error:
        raise click.ClickException(escape(str(error))) from error
