"""`eslcodec info`: what is in recordings, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import click

from ..recordings import Recording, RecordingGap, RecordingInfo
from .files import STANDARD_INPUT, check_stream, found, label, readable
from .text import escape
from .units import shown_duration, shown_size

_LISTED: Final = 20  # gaps, or faults, of one source; more are counted


@click.command(short_help="Say what is in recordings.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--files", "each", is_flag=True, help="Each file, not only all of them together.")
@click.option("--quick", is_flag=True, help="Look at the heads of the chunks only: damage inside of them is not seen.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for each source.")
def info(sources: tuple[str, ...], each: bool, quick: bool, as_json: bool) -> None:
    """Say what is in recordings: connections, times, sizes, gaps, and what is damaged.

    \b
    eslcodec info rec/
    eslcodec info --json stream.esl.zst | jq .gaps

    SOURCE is a recording of `eslcodec record`, one file or a folder, or a stream as a server sent it; - is standard
    input. The exit status is 1 if something is damaged. An end that is not whole, because a recorder was killed or is
    still at work, is no damage.
    """
    damaged = False
    for source in sources:
        folders = found(source)
        if folders == [[source]] and source != STANDARD_INPUT:
            check_stream(source)
        files = [file for folder in folders for file in folder] if each else []
        with readable(source):
            if files != [STANDARD_INPUT]:
                inside = [(file, _read(file, quick)) for file in files]
                whole = _read(source, quick)
            else:  # which can be read once
                whole = _read(source, quick)
                inside = [(source, whole)]
        damaged = damaged or bool(whole.damage)
        if as_json:
            rows = {"each": [{"file": file, **as_dict(one)} for file, one in inside]} if each else {}
            click.echo(json.dumps({"source": source, **as_dict(whole), **rows}))
        else:
            click.echo("\n".join(_lines(source, whole, inside)))
    if damaged:
        click.get_current_context().exit(1)


def _read(source: str, quick: bool) -> RecordingInfo:
    if source != STANDARD_INPUT:
        return Recording(source).info(verify=not quick)
    with open(0, "rb", closefd=False) as file:
        return Recording(file).info(verify=not quick)


def as_dict(info: RecordingInfo) -> dict[str, Any]:
    """What is in a recording, for JSON; times as ISO 8601 in UTC."""
    return {
        "files": info.files,
        "connections": info.connections,
        "chunks": info.chunks,
        "received": info.received,
        "stored": info.stored,
        "first": _iso(info.first),
        "last": _iso(info.last),
        "longest_silence": info.longest_silence,
        "gaps": [
            {"since": _iso(gap.since), "until": _iso(gap.until), "seconds": gap.seconds, "missing": gap.missing}
            for gap in info.gaps
        ],
        "notes": [{"at": _iso(at), **note} | {"at": _iso(at)} for at, note in info.notes],
        "torn": info.torn,
        "open_files": info.open_files,
        "damage": [{"file": one.path, "position": one.position, "why": one.why} for one in info.damage],
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _lines(source: str, info: RecordingInfo, inside: list[tuple[str, RecordingInfo]]) -> Iterator[str]:
    yield f"{label(source)}: {_count(info.files, 'file')}, {_count(info.connections, 'connection')}{_times(info)}"
    yield f"  {_sizes(info)}"
    for gap in info.gaps[:_LISTED]:
        yield f"  {_gap(gap)}"
    if len(info.gaps) > _LISTED:
        yield f"  {len(info.gaps) - _LISTED} more gaps"
    for file, size in info.torn.items():
        yield f"  {escape(file)}: its last {size} bytes are no whole chunk: its recorder was killed, or writes them now"
    for file in info.open_files:
        if file not in info.torn:
            yield f"  {escape(file)}: not closed: its recorder was killed, or still runs"
    for damage in info.damage[:_LISTED]:
        yield f"  damaged: {escape(str(damage))}"
    if len(info.damage) > _LISTED:
        yield f"  damaged in {len(info.damage) - _LISTED} more places"
    for file, one in inside:
        yield f"  {escape(file)}{_times(one)}: {_sizes(one)}{_state(one)}"


def _sizes(info: RecordingInfo) -> str:
    smaller = f" ({info.received / info.stored:.1f} x smaller)" if 0 < info.stored <= info.received else ""
    chunks = f" in {_count(info.chunks, 'chunk')}" if info.chunks else ""
    return f"{shown_size(info.received)} received{chunks}, {shown_size(info.stored)} on disk{smaller}"


def _times(info: RecordingInfo) -> str:
    if info.first is None or info.last is None:
        return ""
    lasted = shown_duration((info.last - info.first).total_seconds())
    return f", {_local(info.first)} to {_local(info.last)} ({lasted})"


def _gap(gap: RecordingGap) -> str:
    what = "another connection" if gap.missing is None else f"{gap.missing} bytes of the same connection are missing"
    return f"gap of {shown_duration(gap.seconds)} from {_local(gap.since)} on, then {what}"


def _state(info: RecordingInfo) -> str:
    return ", damaged" if info.damage else ", torn" if info.torn else "" if info.closed else ", not closed"


def _local(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
