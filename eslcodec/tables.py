"""Tables that API commands put out as text, as lists of dicts: column -> text.

    >>> parse("name|strategy\\nsupport|ring-all\\n+OK\\n")
    [{'name': 'support', 'strategy': 'ring-all'}]

`read` picks the reader by the command; each can be used by itself. What every reader does:

* output that begins with `-ERR` or `-USAGE` (or `Invalid Profile!` and the like of mod_sofia) is a `CommandError`;
* an empty table is an empty list;
* no delimiter is escaped by the switch, and no line end: a row with another number of columns than the header raises
  `MalformedTable`, since nobody can tell where the columns begin. Ask for JSON then, or for another delimiter;
* a count at the end that does not agree with the rows raises it too: the output is not whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree import ElementTree

from .errors import CommandError, InvalidCommand, MalformedTable

Row = dict[str, str]
"""A row: column -> text."""

MEMBER: Final = (
    "id",
    "channel",
    "uuid",
    "caller_id_name",
    "caller_id_number",
    "flags",
    "volume_in",
    "volume_out",
    "energy",
)
"""The columns of `conference list`, which has no header."""

_TOTAL: Final = re.compile(r"([0-9]{1,18}) total\.")
_RULE: Final = re.compile(r"={20,}")
_ITEMS: Final = re.compile(r"^Total items returned: ([0-9]{1,18})$", re.MULTILINE)  # a phone may call itself so
_REFUSED: Final = re.compile(r"-ERR|-USAGE|USAGE:|Invalid (?:Profile|Gateway|Syntax)!")


def read(command: str, text: str) -> list[Row]:
    """The table that a command put out, whichever it is.

    Args:
        command: the whole command, as it was sent: it says how its output is written.
        text: the output.

    Raises:
        CommandError: the switch refused it.
        MalformedTable: it is no such table, or not whole.

    Example:
        >>> read("callcenter_config queue list", "name|strategy\\nsupport|ring-all\\n+OK\\n")[0]["strategy"]
        'ring-all'
    """
    words = command.split()
    name = words[0].lower() if words else ""
    if name == "show":
        return show(text, words[words.index("delim") + 1] if "delim" in words[:-1] else ",")
    if name == "conference":
        delimiter = words[words.index("delim") + 1].strip('"') if "delim" in words[:-1] else ";"
        return conference(text, delimiter, "" if words[1:2] == ["list"] else " ".join(words[1:2]))
    if name == "sofia" and words[1:2] == ["xmlstatus"]:
        return sofia_xml(text)
    if name == "sofia":
        return registrations(text) if {"reg", "user", "pres"} & set(words[4:5]) else sofia(text)
    return parse(text)


def parse(text: str, delimiter: str = "|", columns: Sequence[str] | None = None) -> list[Row]:
    """Lines of columns, as `callcenter_config ... list`, `list_users` and others put them out.

    Args:
        text: the output. A line `+OK` ends it.
        delimiter: what stands between columns.
        columns: their names; None if the first line has them.

    Raises:
        CommandError: the switch refused it.
        MalformedTable: a row has another number of columns.
        InvalidCommand: the delimiter is empty.

    Example:
        >>> parse("1;a\\n2;b\\n", ";", ["id", "name"])
        [{'id': '1', 'name': 'a'}, {'id': '2', 'name': 'b'}]
    """
    return _rows(_lines(text), delimiter, columns)


def show(text: str, delimiter: str = ",") -> list[Row]:
    """What `show` puts out, `as json` or as text with a delimiter.

    Args:
        text: the output.
        delimiter: of text, which ends in a line such as `2 total.`.

    Example:
        >>> show('{"row_count":1,"rows":[{"uuid":"8f08a03a","dest":"1000"}]}')
        [{'uuid': '8f08a03a', 'dest': '1000'}]
        >>> show("uuid,dest\\n8f08a03a,1000\\n\\n1 total.\\n")
        [{'uuid': '8f08a03a', 'dest': '1000'}]
    """
    if text.lstrip().startswith("{"):
        return _json_rows(text)
    lines = _lines(text)
    while lines and not lines[-1].strip():
        lines.pop()
    total = _TOTAL.fullmatch(lines.pop().strip()) if lines else None
    if total is None:
        raise MalformedTable(text, "the number of rows at the end, such as '2 total.'")
    return _counted(_rows(lines, delimiter, None), int(total[1]), text)


def total(text: str) -> int:
    """The number that `show ... count` puts out.

    Example:
        >>> total("\\n2 total.\\n")
        2
    """
    found = _TOTAL.fullmatch("\n".join(_lines(text)).strip())
    if found is None:
        raise MalformedTable(text, "a number such as '2 total.'")
    return int(found[1])


def sofia(text: str) -> list[Row]:
    """`sofia status`, `sofia status gateway`: a row for each profile, alias and gateway. `sofia status profile NAME`
    and that of a gateway: one row, in which the values of a repeated name are joined by commas.

    Example:
        >>> line = "=" * 97
        >>> row = " internal\\tprofile\\t sip:x\\tRUNNING (0)"
        >>> sofia(f" Name\\t   Type\\t Data\\tState\\n{line}\\n{row}\\n{line}\\n1 profile\\n")
        [{'Name': 'internal', 'Type': 'profile', 'Data': 'sip:x', 'State': 'RUNNING (0)'}]
    """
    lines = [line for line in _lines(text) if line.strip()]
    rules = [number for number, line in enumerate(lines) if _RULE.fullmatch(line)]
    if not rules:
        raise MalformedTable(text, "lines of '=' around it")
    first, last = rules[0], rules[1] if len(rules) > 1 else len(lines)
    if first and len(rules) < 2:
        raise MalformedTable(text, "a second line of '=' after the rows")
    if first:
        header = [name.strip() for name in lines[first - 1].split("\t")]
        return _rows(lines[first + 1 : last], "\t", header, strip=True)
    return [_named(lines[first + 1 : last])]


def registrations(text: str) -> list[Row]:
    """`sofia status profile NAME reg`: a row for each registration.

    Example:
        >>> text = "\\nRegistrations:\\nCall-ID:    \\ta\\nUser:       \\t1000@x\\n\\nTotal items returned: 1\\n"
        >>> registrations(text)
        [{'Call-ID': 'a', 'User': '1000@x'}]
    """
    _lines(text)
    total = _ITEMS.search(text)
    if total is None or "Registrations:" not in text:
        raise MalformedTable(text, "'Registrations:' and 'Total items returned: ...'")
    inside = text[text.index("Registrations:") + len("Registrations:") : total.start()]
    rows: list[Row] = []
    for block in inside.split("\n\n"):
        row = _named(line for line in block.split("\n") if line and not _RULE.fullmatch(line))
        if row:
            rows.append({name.removesuffix(":"): value for name, value in row.items()})
    return _counted(rows, int(total[1]), text)


def sofia_xml(text: str) -> list[Row]:
    """`sofia xmlstatus`, of everything or of a profile or gateway: a row for each.

    Example:
        >>> sofia_xml("<profiles><alias><name>a</name><type>alias</type></alias></profiles>")
        [{'name': 'a', 'type': 'alias'}]
    """
    _lines(text)
    try:
        root = ElementTree.fromstring(text.encode("utf-8", "replace").decode())
    except (ElementTree.ParseError, ValueError) as error:
        raise MalformedTable(text, f"XML ({error})") from None
    return [
        {child.tag: (child.text or "").strip() for child in element}
        for element in root.iter()
        if len(element) and not any(len(child) for child in element)
    ]


def conference(text: str, delimiter: str = ";", name: str = "") -> list[Row]:
    """`conference list`, or `conference NAME list`: a row for each member, with the name of its conference.

    Args:
        text: the output.
        delimiter: that was asked for (`list delim ...`).
        name: of the conference, where the output does not say it.

    Example:
        >>> text = "+OK Conference 3000 (1 member rate: 8000 flags: running)\\n1;sofia/a;u;Al;100;hear|speak;0;0;300\\n"
        >>> conference(text)[0]["conference"], conference(text)[0]["flags"]
        ('3000', 'hear|speak')
    """
    rows: list[Row] = []
    for line in _lines(text):
        if line.startswith("+OK No active conferences"):
            continue
        if line.startswith("+OK Conference "):
            name = line.removeprefix("+OK Conference ").rpartition(" (")[0]
        elif line.strip():
            rows += [{"conference": name, **row} for row in _rows([line], delimiter, MEMBER)]
    return rows


# Inside


def _lines(text: str) -> list[str]:
    if _REFUSED.match(text.lstrip("\n")):
        raise CommandError(text.strip())
    return text.split("\n")


def _rows(lines: Iterable[str], delimiter: str, columns: Sequence[str] | None, *, strip: bool = False) -> list[Row]:
    if not delimiter:
        raise InvalidCommand("the delimiter is empty, expected what stands between columns")
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if line == "+OK":
            break
        if not line:
            continue
        cells = [cell.strip() if strip else cell for cell in line.split(delimiter)]
        if columns is None:
            columns = cells
        elif len(cells) != len(columns):
            raise MalformedTable(line, f"{len(columns)} columns, read {len(cells)} in line {number}")
        else:
            rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def _named(lines: Iterable[str]) -> Row:
    """Lines of a name, a tab and a value."""
    row: Row = {}
    for line in lines:
        name, tab, value = line.partition("\t")
        if not tab:
            raise MalformedTable(line, "a name, a tab and a value")
        name = name.strip()
        row[name] = f"{row[name]},{value.strip()}" if name in row else value.strip()
    return row


def _json_rows(text: str) -> list[Row]:
    try:
        found = json.loads(text, strict=False)
        rows = [{str(name): _cell(value) for name, value in row.items()} for row in found.get("rows", [])]
        total = int(found["row_count"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise MalformedTable(text, '{"row_count": ..., "rows": [...]}') from None
    return _counted(rows, total, text)


def _cell(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _counted(rows: list[Row], total: int, text: str) -> list[Row]:
    if len(rows) != total:
        raise MalformedTable(text, f"{total} rows, read {len(rows)}")
    return rows
