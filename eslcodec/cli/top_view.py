"""What `eslcodec top` shows on a terminal: a picture of so many columns and lines, in which no line is wrapped and no
figure is cut. What does not fit is left out as a whole; only names are cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..ingest._board import Line
from .text import escape
from .units import shown_duration

LEAST: Final = (40, 10)
"""Columns and lines that there must be."""

ALL: Final = "all"
_NAME: Final = 14  # columns of a switch's name at least
_MOST_NAME: Final = 40
_PANEL: Final = 7  # lines of it at least, with its heading
_CAUSES: Final = 42  # columns of the list of causes at most
_EVENTS: Final = 54  # columns of a list of events that shows whole names
_ERRORS: Final = 3  # that are shown of several switches
_EVENT_HEADING: Final = ("EVENTS/S", "5 S", "1 MIN")

_STATES: Final = {
    "connected": "green",
    "recorded": "green",
    "connecting": "yellow",
    "away": "bold red",
    "refused": "bold red",
}
_SIGNS: Final = {"certain": "", "counted": "~", "probable": "?"}  # in front of what is lost
_LATE: Final = 5.0  # seconds of lag that are shown as a fault

SORTS: Final[dict[str, Callable[[Line], Any]]] = {
    "given": lambda line: 0,
    "name": lambda line: line.name or "",
    "events": lambda line: -line.now,
    "up": lambda line: -(line.up or 0),
    "calls": lambda line: -line.calls,
    "lag": lambda line: -(line.lag or 0),
    "trouble": lambda line: (
        get(line, "state") in ("connected", "recorded"),
        -worst(line)[1],
        -(get(line, "gaps") or 0),
    ),
}
"""How the switches may be sorted."""

HELP: Final = """\
q         quit
p, space  the picture stands still, or goes on; what comes is counted meanwhile
s         sort the switches by the next of these:
          {sorts}
up, down  (or k, j) one switch: what stands below the table is of it alone
a, Esc    all of them again
?         this page, or back

EV/S      events a second, over the last 5 s (1M: over a minute)
UP        legs: Session-Count of the last HEARTBEAT, moved by what came since;
          +N no HEARTBEAT yet: since watching began; ~N old: there was a gap
CPS       calls a second that begin, over a minute
ASR       answered legs, of those that ended in the last 5 min
LAG       seconds that events are on their way, beyond the least of 10 min
QUEUE     events that wait in the switch: an estimate, lag by rate
LOST      events: N certain, ~N counted, ?N probable, ! some, nobody knows how
          many; only the surest of these, all of them stand below
GAPS      how often the connection was lost while events were wanted
""".format(sorts=", ".join(SORTS)).splitlines()


@dataclass
class Choice:
    """What is to be seen.

    Attributes:
        sort: one of `SORTS`.
        selected: a switch; None for the sum of all.
        paused: whether the picture stands still.
        help: whether the page of help is shown.
        note: said in the title, such as the time of a recording.
    """

    sort: str = "given"
    selected: str | None = None
    paused: bool = False
    help: bool = False
    note: str = ""


def picture(lines: Sequence[Line], total: Line, choice: Choice, size: tuple[int, int], at: float) -> list[Text]:
    """A picture.

    Args:
        lines, total: of the switches, and their sum.
        choice: what is to be seen.
        size: columns and lines of the terminal.
        at: when, as `time.time()`.

    Returns:
        Lines of no more than `size`, each of no more columns.
    """
    width, height = size
    if width < LEAST[0] or height < LEAST[1]:
        return [Text(fit(f"{LEAST[0]} x {LEAST[1]} needed, here {width} x {height}", width).rstrip())]
    shown = sorted(lines, key=SORTS[choice.sort])
    chosen = next((line for line in lines if line.name == choice.selected), total)
    if len(lines) == 1:
        chosen = shown[0]
    title = _title(lines, choice, width, at)
    if choice.help:
        return [title, Text(""), *(Text(fit(line, width).rstrip()) for line in HELP)][:height]
    foot = _flow(_details(chosen, lines), width)[: max(height - 8, 1)]
    room = height - len(foot) - 2 - min(_PANEL, max(height // 3, 4))
    table = _table(shown, total, choice, width, room)
    panel = _panel(chosen, width, height - len(table) - len(foot) - 2)
    return [title, *table, Text(""), *panel, *foot][:height]


def _title(lines: Sequence[Line], choice: Choice, width: int, at: float) -> Text:
    well = sum(get(line, "state") in ("connected", "recorded") for line in lines)
    clock = time.strftime("%Y-%m-%d %H:%M:%S" if choice.note else "%H:%M:%S", time.localtime(at))
    left = f"eslcodec top  {clock}  {well} of {len(lines)} {choice.note or 'connected'}"
    if choice.paused:
        left += "  PAUSED"
    right = f"by {choice.sort}  ? help" if not choice.note else f"by {choice.sort}"
    if cell_len(left) + 2 + len(right) > width:
        return Text(fit(left, width), style="bold")
    return Text(fit(left, width - len(right)) + right, style="bold")


# The table of switches


class Column(NamedTuple):
    """One of the table.

    Attributes:
        title, width: of it.
        value: what is in it, and the style.
        rank: those of a low one are there first, if there is not enough room.
        left: whether it stands on the left.
    """

    title: str
    width: int
    value: Callable[[Line], tuple[str, str]]
    rank: int = 0
    left: bool = False


def _plain(value: Callable[[Line], str]) -> Callable[[Line], tuple[str, str]]:
    return lambda line: (value(line), "")


def _health(name: str, bad: bool = False) -> Callable[[Line], tuple[str, str]]:
    def value(line: Line) -> tuple[str, str]:
        number = get(line, name)
        return number_text(number), "bold red" if bad and number else ""

    return value


def _seconds(name: str) -> Callable[[Line], tuple[str, str]]:
    return lambda line: (seconds_text(get(line, name)), "")


def _text(name: str) -> Callable[[Line], tuple[str, str]]:
    return lambda line: (escape(str(get(line, name) or "")), "")


def _lag(line: Line) -> tuple[str, str]:
    return seconds_text(line.lag), "bold yellow" if line.lag is not None and line.lag > _LATE else ""


def _lost(line: Line) -> tuple[str, str]:
    text = worst(line)[0]
    return text, "bold red" if text not in ("0", "-") else ""


def _state(line: Line) -> tuple[str, str]:
    state = get(line, "state") or ("" if line.name is None else "-")
    return state, _STATES.get(state, "")


def _where(line: Line) -> tuple[str, str]:
    host = get(line, "host")
    return ("" if host is None else escape(f"{host}:{get(line, 'port')}")), ""


COLUMNS: Final = (
    Column("STATE", 10, _state, 3, True),
    Column("EV/S", 6, _plain(lambda line: rate_text(line.now)), 0),
    Column("EV/S 1M", 7, _plain(lambda line: rate_text(line.minute)), 11),
    Column("UP", 7, _plain(lambda line: up_text(line)), 1),
    Column("MAX", 6, _plain(lambda line: number_text(line.most)), 16),
    Column("IDLE%", 5, _plain(lambda line: number_text(line.idle)), 15),
    Column("CPS", 6, _plain(lambda line: rate_text(line.calls)), 2),
    Column("LEGS/S", 6, _plain(lambda line: rate_text(line.legs)), 17),
    Column("ANSW/S", 6, _plain(lambda line: rate_text(line.answers)), 14),
    Column("ASR", 4, _plain(lambda line: "-" if line.asr is None else f"{line.asr * 100:.0f}%"), 4),
    Column("LAG", 6, _lag, 5),
    Column("QUEUE", 6, _plain(lambda line: number_text(line.queue)), 6),
    Column("WAIT", 6, _health("waiting"), 13),
    Column("LOST", 7, _lost, 7),
    Column("GAPS", 5, _health("gaps", True), 8),
    Column("GAP S", 6, _seconds("gap_seconds"), 10),
    Column("UNREAD", 6, _seconds("unread_seconds"), 9),
    Column("DROPPED", 7, _health("dropped", True), 12),
    Column("BAD", 6, _health("malformed", True), 18),
    Column("WHERE", 22, _where, 19, True),
    Column("HOST", 20, _text("hostname"), 20, True),
)


def _table(lines: Sequence[Line], total: Line, choice: Choice, width: int, room: int) -> list[Text]:
    """Heading, the sum, and the switches, in no more than so many lines."""
    columns, name = _columns(lines, width)
    rows = [_row(columns, name, None, choice, width)]
    if len(lines) > 1:
        rows.append(_row(columns, name, total, choice, width))
    room = max(room - len(rows), 1)
    first, count = 0, len(lines)
    if count > room:
        room = max(room - 1, 1)
        at = next((at for at, line in enumerate(lines) if line.name == choice.selected), 0)
        first = min(max(at - room // 2, 0), count - room)
    rows += [_row(columns, name, line, choice, width) for line in lines[first : first + room]]
    if count > room:
        rows.append(
            Text(
                fit(f"... {count - room} more: {first} before, {count - room - first} behind", width).rstrip(),
                style="dim",
            )
        )
    return rows


def _columns(lines: Sequence[Line], width: int) -> tuple[list[Column], int]:
    """Those that fit, and how wide the name is."""
    longest = max((cell_len(escape(line.name or "")) for line in lines), default=0)
    left = width - _NAME
    chosen = set()
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        if left < column.width + 1:
            break
        left -= column.width + 1
        chosen.add(column.title)
    return [column for column in COLUMNS if column.title in chosen], _NAME + min(
        left, max(min(longest, _MOST_NAME) - _NAME, 0)
    )


def _row(columns: Sequence[Column], name: int, line: Line | None, choice: Choice, width: int) -> Text:
    """A line of the table; the heading if it is None."""
    if line is None:
        parts = [fit("SWITCH", name), *(_cell(column, column.title) for column in columns)]
        return Text(" ".join(parts), style="reverse")
    is_chosen = line.name == choice.selected
    text = Text(fit(ALL if line.name is None else escape(line.name), name), style="bold" if is_chosen else "")
    for column in columns:
        value, style = column.value(line)
        text.append(" ")
        text.append(_cell(column, value), style)
    if is_chosen:
        text.stylize("bold")
        text.stylize("underline", 0, name)
    return text


def _cell(column: Column, value: str) -> str:
    return fit(value, column.width) if column.left else value.rjust(column.width)


# What is below: of the sum, or of one switch


def _panel(line: Line, width: int, height: int) -> list[Text]:
    """Events and causes, side by side."""
    if height < 2:
        return []
    events = [
        (
            name.removeprefix("CUSTOM ") if "::" in name else name,
            rate_text(line.events_now.get(name, 0)),
            rate_text(rate),
        )
        for name, rate in line.events.items()
    ]
    causes = [
        (name, number_text(count), f"{100 * count / max(line.ended, 1):.0f}") for name, count in line.causes.items()
    ]
    right = min(_CAUSES, width * 9 // 20)
    left = width - right - 2
    if left >= 2 * _EVENTS + 2 and len(events) >= height:
        half = (left - 2) // 2
        listed = [
            (half, _listed(_EVENT_HEADING, events[: height - 1], half, height)),
            (left - 2 - half, _listed(_EVENT_HEADING, events[height - 1 :], left - 2 - half, height)),
        ]
    else:
        left = min(left, 3 * _EVENTS // 2)
        listed = [(left, _listed(_EVENT_HEADING, events, left, height))]
    listed.append((right, _listed(("CAUSE, 5 MIN", "LEGS", "%"), causes, right, height, 3)))
    return [_beside(listed, at) for at in range(height)]


def _beside(columns: Sequence[tuple[int, Sequence[str]]], at: int) -> Text:
    """One line of lists that stand side by side."""
    parts = [fit(rows[at] if at < len(rows) else "", room) for room, rows in columns]
    return Text("  ".join(parts).rstrip(), style="bold" if at == 0 else "")


def _listed(
    heading: tuple[str, str, str], rows: Sequence[tuple[str, str, str]], width: int, height: int, last: int = 6
) -> list[str]:
    """A list with two figures a line; what does not fit is counted in the last one."""
    room = height - 1
    shown = rows if len(rows) <= room else rows[: room - 1]
    room = width - 8 - last
    found = [f"{fit(escape(name), room)} {first:>6} {second:>{last}}" for name, first, second in (heading, *shown)]
    if len(shown) < len(rows):
        found.append(f"... {len(rows) - len(shown)} more")
    return found


def _details(line: Line, lines: Sequence[Line]) -> list[tuple[str, str]]:
    """What else there is to say, in pieces that stay whole, each with its style."""
    found = [(ALL if line.name is None else escape(line.name), "bold")]
    if get(line, "host") is not None:
        found.append((escape(f"{line.health.host}:{line.health.port}")[:60], ""))
    found += [(escape(str(text))[:60], "") for text in (get(line, "hostname"), get(line, "core_uuid")) if text]
    if line.up is not None:
        most = "" if line.most is None else f" of {number_text(line.most)}"
        found.append((f"{number_text(line.up)}{most} legs up ({_SOURCES[line.source or 'counted']})", ""))
    found.append((f"{number_text(line.answered)} of {number_text(line.ended)} legs answered in 5 min", ""))
    told = ", ".join(f"{number_text(count)} {kind}" for kind, count in line.registrations.items() if count)
    found.append((f"SIP users in 5 min: {told or 'none'}", ""))
    found += _bad(line)
    errors = [
        f"{escape(each.name or '')}: {escape(str(error))}"
        for each in (lines if line.name is None else [line])
        if (error := get(each, "error")) and not get(each, "connected")
    ]
    found += [(error, "red") for error in errors[:_ERRORS]]
    if len(errors) > _ERRORS:
        found.append((f"and {len(errors) - _ERRORS} more with errors", "red"))
    return found


def _bad(line: Line) -> Iterator[tuple[str, str]]:
    """What was lost, and what else went wrong."""
    losses, reports = get(line, "losses") or {}, get(line, "loss_reports") or {}
    for grade, count in sorted(reports.items()):
        if not count:
            continue
        if grade == "stalled":
            yield f"HEARTBEAT overdue {number_text(count)} x", "red"
        else:
            events = f"{number_text(losses[grade])} events" if grade in _SIGNS and losses.get(grade) else "some events"
            yield f"lost {number_text(count)} x, {escape(grade)[:20]}: {events}", "red"
    if get(line, "gaps"):
        plural = "" if line.health.gaps == 1 else "s"
        yield f"{number_text(line.health.gaps)} gap{plural} of {shown_duration(get(line, 'gap_seconds') or 0)}", ""
    if get(line, "unread_seconds"):
        yield f"unread for {shown_duration(line.health.unread_seconds)}", ""
    for name in ("reconnects", "core_changes", "dropped", "malformed"):
        if get(line, name):
            yield f"{name.replace('_', ' ')} {number_text(get(line, name))}", ""


_SOURCES: Final = {
    "heartbeat": "by HEARTBEAT",
    "stale": "old: HEARTBEAT before a gap",
    "counted": "no HEARTBEAT yet: since watching began",
}


def _flow(pieces: Iterable[tuple[str, str]], width: int) -> list[Text]:
    """Pieces on lines, none of them cut but for one that is longer than a line, and no line ends in a comma."""
    found: list[Text] = []
    for piece, style in pieces:
        piece = piece if cell_len(piece) <= width else fit(piece, width)
        if not found or found[-1].cell_len + 3 + cell_len(piece) > width:
            found.append(Text())
        if found[-1].cell_len:
            found[-1].append(" | ", "dim")
        found[-1].append(piece, style)
    return found


# Values


def get(line: Line, name: str) -> Any:
    """What is known of a switch's connection; None if nothing is."""
    return getattr(line.health, name, None)


def worst(line: Line) -> tuple[str, float]:
    """What was lost, by the grade that is most certain, and a number to sort by."""
    if line.health is None:
        return ("" if line.name is None else "-"), -1
    losses, reports = get(line, "losses") or {}, get(line, "loss_reports") or {}
    for grade, sign in _SIGNS.items():
        if losses.get(grade):
            return f"{sign}{number_text(losses[grade])}", losses[grade]
    if any(count for grade, count in reports.items() if grade != "stalled"):
        return "!", 1
    return "0", 0


def up_text(line: Line) -> str:
    """Legs up, with a sign if it is not by HEARTBEAT."""
    if line.up is None:
        return "-"
    return f"{ {'counted': '+', 'stale': '~'}.get(line.source or '', '') }{number_text(line.up)}"


def number_text(number: float | None) -> str:
    """A number in six columns at most.

    Example:
        >>> number_text(None), number_text(99999), number_text(1234567), number_text(10**12)
        ('-', '99999', '1.2M', '1000G')
    """
    if number is None:
        return "-"
    if number < 99_999.5:
        return f"{number:.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if number < 999.95 * size:
            return f"{number / size:.1f}{unit}"
    return f"{number / 1e9:.0f}G" if number < 99_999e9 else "huge"


def rate_text(rate: float) -> str:
    """Something a second, in six columns at most.

    Example:
        >>> rate_text(0), rate_text(0.04), rate_text(12.34), rate_text(12345.6)
        ('0', '0.04', '12.3', '12346')
    """
    if not rate:
        return "0"
    return f"{rate:.2f}" if rate < 0.995 else f"{rate:.1f}" if rate < 999.95 else number_text(rate)


def seconds_text(seconds: float | None) -> str:
    """Seconds, in six columns at most.

    Example:
        >>> seconds_text(None), seconds_text(0), seconds_text(0.123), seconds_text(75.0), seconds_text(7200)
        ('-', '0', '0.12', '75.0', '7200')
    """
    return "-" if seconds is None else rate_text(max(seconds, 0.0))


def fit(text: str, width: int) -> str:
    """Text in exactly so many columns; the end of a longer one is left out.

    Example:
        >>> fit("pbx1", 6), fit("pbx1.example.org", 8)
        ('pbx1  ', 'pbx1.e..')
    """
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 2, 0)) + ".."[:width]
