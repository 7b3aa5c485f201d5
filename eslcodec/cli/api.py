"""`eslcodec api` and `eslcodec show`: commands and what they put out, and the tables of the switch."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import click

from ..sync import Client
from ..tables import Row
from .lines import cells_of, fitted, terminal_width
from .login import Target, target_options
from .text import escape, is_terminal, write_bytes

API_SECONDS: Final = 30.0
_STANDARD_INPUT: Final = "-"
_COLUMN_CELLS: Final = 40  # of a table on a terminal; the uuid fits in
_NO_COMMAND: Final = "Missing argument 'COMMAND', or commands on standard input, one a line"

# Of these tables a terminal shows only these columns, if there are no others asked for.
_COLUMNS: Final = {
    "channels": ("uuid", "callstate", "cid_num", "dest", "application", "application_data", "name", "created"),
    "calls": ("uuid", "callstate", "cid_num", "dest", "b_uuid", "b_callstate", "b_dest", "call_created"),
    "registrations": ("reg_user", "realm", "network_ip", "network_port", "expires", "url"),
}
_SAME: Final = {
    "bridged_calls": "calls",
    "detailed_bridged_calls": "calls",
    "detailed_calls": "calls",
    "distinct_channels": "calls",
}


@click.command(
    short_help="Run API commands, and print their output.", context_settings={"allow_interspersed_args": False}
)
@click.argument("words", nargs=-1, metavar="[COMMAND [ARGS]...]")
@target_options
@click.option(
    "-x",
    "--execute",
    "typed",
    multiple=True,
    metavar="COMMAND",
    help="A command in quotes, with --console, as fs_cli has it. Repeatable.",
)
@click.option("--console", is_flag=True, help="As if typed at the console: aliases, several commands between ;;.")
@click.option("--bg", is_flag=True, help="In the background of the switch (bgapi), and wait for the result.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each command: command, ok and output.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=f"Wait so long for each output. By default {API_SECONDS:g}, and with --bg as long as it takes.",
)
def api(
    target: Target,
    words: tuple[str, ...],
    typed: tuple[str, ...],
    console: bool,
    bg: bool,
    as_json: bool,
    timeout: float | None,
) -> None:
    """Run API commands, and print what they put out.

    \b
    eslcodec api status
    eslcodec api -x 'show channels count'
    eslcodec api < commands.txt

    Without COMMAND, or with -, the commands are read from standard input, one a line; empty lines and those that begin
    with # are passed over. Of several commands each output has a line ==> COMMAND <== above it.

    What stands after COMMAND is for the switch, also if it looks like an option. The exit status is 1 if an output
    begins with -ERR or -USAGE, or did not come.
    """
    if words and typed:
        raise click.UsageError("--execute and COMMAND exclude each other")
    console = console or bool(typed)
    if console and bg:
        raise click.UsageError("--console and --bg exclude each other: the switch has no bgapi for the console")
    reads = words in ((), (_STANDARD_INPUT,)) and not typed
    if reads and not words and is_terminal(sys.stdin):
        raise click.UsageError(f"{_NO_COMMAND}.")
    lines: Iterable[str] = _typed_lines() if reads else typed or (" ".join(words),)
    first = next(iter(lines := iter(lines)), None)
    if first is None:
        raise click.UsageError(f"{_NO_COMMAND}: there is none.")
    is_good = True
    titled = (reads or len(typed) > 1) and not as_json
    with target.connected(command_timeout=API_SECONDS) as switch:
        for line in _chained(first, lines):
            ok, body = _asked(switch, line, console, bg, timeout)
            _print(line, ok, body, titled, as_json)
            is_good = is_good and ok
    if not is_good:
        click.get_current_context().exit(1)


def _chained(first: str, others: Iterable[str]) -> Iterator[str]:
    yield first
    yield from others


def _typed_lines() -> Iterator[str]:
    """The commands on standard input, as they come."""
    for data in sys.stdin.buffer if sys.stdin is not None else ():
        line = data.decode("utf-8", "surrogateescape").strip(" \t\r\n")
        if line and not line.startswith("#"):
            yield line


def _asked(switch: Client, line: str, console: bool, bg: bool, timeout: float | None) -> tuple[bool, bytes]:
    if bg:
        output = switch.bgapi(line).result(timeout)
        return output.ok, output.body or b""
    reply = switch.api(line, console_execute=console, timeout=timeout)
    if reply.body is not None:
        return reply.ok, reply.body
    return reply.ok, reply.text.encode("utf-8", "surrogateescape")


def _print(line: str, ok: bool, body: bytes, titled: bool, as_json: bool) -> None:
    out = sys.stdout
    if as_json:
        out.write(_json({"command": line, "ok": ok, "output": body.decode("utf-8", "replace")}) + "\n")
    else:
        if titled:
            out.write(f"==> {escape(line)} <==\n")
            out.flush()  # what follows goes past its buffer
        write_bytes(out, body, is_terminal(out))
        if titled and not body.endswith(b"\n") and not is_terminal(out):
            out.buffer.write(b"\n")
    out.flush()


def _json(value: Any) -> str:
    """JSON on a line, in which whatever is not printable is escaped: it may well end on a terminal."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


# show


@click.command(short_help="Show a table of the switch: channels, calls, registrations.")
@click.argument("words", nargs=-1, required=True, metavar="TABLE [ARGS]...")
@target_options
@click.option("--json", "as_json", is_flag=True, help="A list of objects of JSON, with all columns.")
@click.option("--ndjson", is_flag=True, help="One JSON object a line.")
@click.option("--columns", metavar="NAME,NAME", help="Only these columns, in this order.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=API_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for it.",
)
def show(
    target: Target, words: tuple[str, ...], as_json: bool, ndjson: bool, columns: str | None, timeout: float
) -> None:
    """Show a table of the switch: channels, calls, registrations, modules, interfaces, api, application, codec ...

    \b
    eslcodec show channels
    eslcodec show channels --columns uuid,created,cid_num,dest
    eslcodec show channels like 1000
    eslcodec show calls --json | jq '.[].uuid'

    A terminal gets the columns that say most, cut to its width; a file or a pipe all of them, whole, with tabs between
    them. The exit status is 1 if the switch refuses.
    """
    if as_json and ndjson:
        raise click.UsageError("--json and --ndjson are two formats; choose one")
    with target.connected(command_timeout=timeout) as switch:
        if len(words) == 3 and words[1].lower() == "like":
            rows = switch.show(words[0], like=words[2])
        else:
            rows = switch.show(" ".join(words))
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    if wanted is not None and rows:
        missing = [name for name in wanted if name not in rows[0]]
        if missing:
            known = ", ".join(map(escape, rows[0]))
            raise click.UsageError(f"there is no column {escape(missing[0])!r}, expected some of {known}")
        rows = [{name: row.get(name, "") for name in wanted} for row in rows]
    if ndjson:
        sys.stdout.writelines(f"{_json(row)}\n" for row in rows)
    elif as_json:
        sys.stdout.write(_json(rows) + "\n")
    else:
        width = terminal_width()
        if wanted is None and width is not None:
            rows = _short(words[0], rows)
        sys.stdout.writelines(f"{line}\n" for line in _table(rows, width))


def _short(table: str, rows: list[Row]) -> list[Row]:
    """The rows with those columns that say most."""
    names = _COLUMNS.get(_SAME.get(table, table))
    if names is None:
        return rows
    return [{name: row[name] for name in names if name in row} for row in rows]


def _table(rows: Sequence[Row], width: int | None) -> Iterator[str]:
    """The lines of a table; without a width with tabs, and nothing cut.

    Example:
        >>> list(_table([{"uuid": "u-1", "dest": "1000"}, {"uuid": "u-22", "dest": ""}], 80))
        ['UUID  DEST', 'u-1   1000', 'u-22']
    """
    if not rows:
        if width is not None:
            yield "there are none"
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    if width is None:
        yield "\t".join(map(escape, names))
        for row in rows:
            yield "\t".join(escape(row.get(name, "")) for name in names)
        return
    lines = [[escape(name.upper()) for name in names]]
    lines += ([fitted(escape(row.get(name, "")), _COLUMN_CELLS) for name in names] for row in rows)
    spans = [max(cells_of(line[at]) for line in lines) for at in range(len(names))]
    for line in lines:
        padded = (text + " " * (span - cells_of(text)) for text, span in zip(line, spans, strict=True))
        yield fitted("  ".join(padded).rstrip(), width)
