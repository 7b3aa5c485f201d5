"""`show` of an emulated switch: the tables that a real one keeps, as text, JSON or XML."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from .._json import joined
from ._bridges import leg_of
from ._dialstring import separate
from ._model import Session
from ._switch import Switch

SYNTAX: Final = (
    "codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]|calls|"
    "detailed_calls|bridged_calls|detailed_bridged_calls|aliases|complete|chat|management|modules|nat_map|say|"
    "interfaces|interface_types|tasks|limits|status"
)
_CHANNELS: Final = """
    uuid direction created created_epoch name state cid_name cid_num ip_addr dest application application_data dialplan
    context read_codec read_rate read_bit_rate write_codec write_rate write_bit_rate secure hostname presence_id
    presence_data accountcode callstate callee_name callee_num callee_direction call_uuid sent_callee_name
    sent_callee_num initial_cid_name initial_cid_num initial_ip_addr initial_dest initial_dialplan initial_context
""".split()
_HEADERS: Final = {
    "direction": "Call-Direction",
    "name": "Channel-Name",
    "state": "Channel-State",
    "callstate": "Channel-Call-State",
    "cid_name": "Caller-Caller-ID-Name",
    "cid_num": "Caller-Caller-ID-Number",
    "callee_name": "Caller-Callee-ID-Name",
    "callee_num": "Caller-Callee-ID-Number",
    "ip_addr": "Caller-Network-Addr",
    "dest": "Caller-Destination-Number",
    "dialplan": "Caller-Dialplan",
    "context": "Caller-Context",
    "read_codec": "Channel-Read-Codec-Name",
    "read_rate": "Channel-Read-Codec-Rate",
    "read_bit_rate": "Channel-Read-Codec-Bit-Rate",
    "write_codec": "Channel-Write-Codec-Name",
    "write_rate": "Channel-Write-Codec-Rate",
    "write_bit_rate": "Channel-Write-Codec-Bit-Rate",
    "call_uuid": "Channel-Call-UUID",
    "presence_id": "Channel-Presence-ID",
    "presence_data": "Channel-Presence-Data",
    "accountcode": "variable_accountcode",
    "sent_callee_name": "variable_last_sent_callee_id_name",
    "sent_callee_num": "variable_last_sent_callee_id_number",
}
_BASIC: Final = """
    uuid direction created created_epoch name state cid_name cid_num ip_addr dest presence_id presence_data accountcode
    callstate callee_name callee_num callee_direction call_uuid hostname sent_callee_name sent_callee_num
""".split()
_BASIC_B: Final = [name for name in _BASIC if name not in ("call_uuid", "hostname")]
_DETAILED: Final = [name for name in _CHANNELS if not name.startswith("initial_")]
TABLES: Final = {
    "registrations": "reg_user realm token url expires network_ip network_port network_proto hostname metadata",
    "tasks": "task_id task_desc task_group task_runtime task_sql_manager hostname",
    "aliases": "sticky alias command hostname",
    "complete": "sticky a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 hostname",
    "nat_map": "port proto proto_num sticky",
    "interfaces": "type name ikey",
    "modules": "type name ikey filename",
}
"""Tables whose rows are what a test puts into `switch.tables`, and their columns."""
_KINDS: Final = "codec dialplan file timer chat limit say management endpoint".split()
_COUNTED: Final = ("calls", "registrations", "channels")

Row = Mapping[str, str]


def show(switch: Switch, args: str) -> str:
    """What `show` puts out.

    Example:
        >>> switch = Switch()
        >>> show(switch, "channels as json"), show(switch, "channels"), show(switch, "calls count")
        ('{"row_count": 0}\\n', '\\n0 total.\\n', '\\n0 total.\\n')
        >>> show(switch, "registrations as xml"), show(switch, "channels as yaml")
        ('<result row_count="0"/>\\n', '-ERR Cannot find format yaml\\n')
    """
    words = separate(args, " ", 6)
    what = words[0].lower() if words else ""
    if what.startswith("status"):
        output = switch.execute(what, "")
        return output if isinstance(output, str) else ""
    rows = _rows(switch, what, words)
    if rows is None:
        return f"-USAGE: {SYNTAX}\n"
    count = what in _COUNTED and words[1:2] == ["count"]
    at = 1
    if count:
        at = 2
    elif what == "channels" and words[1:2] == ["like"]:
        at = 3
    form = words[at + 1].lower() if words[at : at + 1] == ["as"] and len(words) > at + 1 else ""
    delimiter = words[at + 2] if form and len(words) > at + 2 else ","
    write = _FORMS.get(form or "delim")
    return f"-ERR Cannot find format {words[at + 1]}\n" if write is None else write(rows, count, delimiter)


def _rows(switch: Switch, what: str, words: list[str]) -> list[Row] | None:
    """The rows of a table; None if there is no such table."""
    sessions = sorted(switch.channels.sessions.values(), key=lambda session: session.created)
    if what == "channels":
        found = [_channel(switch, session) for session in sessions]
        return _like(found, words[2]) if words[1:2] == ["like"] and len(words) > 2 else found
    if what in ("calls", "bridged_calls", "detailed_calls", "detailed_bridged_calls"):
        return list(_calls(switch, sessions, bridged="bridged" in what, detailed="detailed" in what))
    if what.startswith("module"):
        return _modules(switch, words)
    if what in ("api", "application"):
        return _commands(switch, what, words)
    if what in TABLES:
        return _table(switch, what)
    kind = next((kind for kind in _KINDS if what.startswith(kind)), None)
    if kind is None:
        return [] if what == "interface_types" else None
    return [row for row in _table(switch, "interfaces") if row["type"] == what.removesuffix("s")]


def _like(rows: list[Row], text: str) -> list[Row]:
    pattern = (text if "%" in text else f"%{text}%").lower().replace("%", "*")
    columns = "uuid name cid_name cid_num presence_data accountcode".split()
    return [row for row in rows if any(fnmatchcase(row[column].lower(), pattern) for column in columns)]


def _table(switch: Switch, name: str) -> list[Row]:
    columns = TABLES[name].split()
    return [{column: str(row.get(column, "")) for column in columns} for row in switch.tables.get(name, [])]


def _modules(switch: Switch, words: list[str]) -> list[Row]:
    rows = _table(switch, "modules") or [
        {"type": "generic", "name": name, "ikey": name, "filename": f"/usr/lib/freeswitch/mod/{name}.so"}
        for name in sorted(switch.modules)
    ]
    wanted = words[1] if len(words) > 1 and words[1] != "as" else None
    return [row for row in rows if wanted in (None, row["ikey"])]


def _commands(switch: Switch, what: str, words: list[str]) -> list[Row]:
    wanted = words[1] if len(words) > 1 and words[1] != "as" else None
    names: Iterable[str] = switch.api if what == "api" else switch.channels.applications
    module = "mod_commands" if what == "api" else "mod_dptools"
    return [
        {"name": name, "description": name, "syntax": "", "ikey": module}
        for name in sorted(names)
        if wanted in (None, name)
    ]


def _channel(switch: Switch, session: Session) -> dict[str, str]:
    """The columns of a channel; every value is text."""
    fields = dict(session.fields())
    row = {column: joined(fields.get(_HEADERS.get(column, ""), "")) for column in _CHANNELS}
    row["uuid"] = session.uuid
    row["created_epoch"] = str(int(session.created))
    row["created"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(session.created))
    row["hostname"] = switch.hostname
    row["callee_direction"] = "SEND" if row["sent_callee_name"] or row["sent_callee_num"] else ""
    if session.running:
        row["application"], row["application_data"] = session.running[-1].application, session.running[-1].data
    for column in ("cid_name", "cid_num", "ip_addr", "dest", "dialplan", "context"):
        row[f"initial_{column}"] = row[column]
    return row


def _calls(switch: Switch, sessions: list[Session], *, bridged: bool, detailed: bool) -> Iterable[Row]:
    """Each channel with the one that it is bridged to; the other one has no row of its own."""
    partners = {session.uuid: switch.calls.bridges.pair(session) for session in sessions}
    own = _DETAILED if detailed else _BASIC
    others = _DETAILED if detailed else _BASIC_B
    for session in sessions:
        pair = partners[session.uuid]
        if (pair is None and bridged) or (pair is not None and pair[0] is not session):
            continue
        row = {name: value for name, value in _channel(switch, session).items() if name in own}
        other = {} if pair is None else _channel(switch, pair[1])
        made = {name: row[name] for name in own}
        made.update({f"b_{name}": other.get(name, "") for name in others})
        since = leg_of(session).times.bridged // 1_000_000 if pair is not None else 0
        made["call_created_epoch"] = str(since) if since else ""
        yield made


def _as_text(rows: list[Row], count: bool, delimiter: str) -> str:
    total = f"\n{len(rows)} total.\n"
    if count or not rows:
        return total
    lines = [delimiter.join(rows[0]), *(delimiter.join(row.values()) for row in rows)]
    return "".join(line + "\n" for line in lines) + total


def _as_json(rows: list[Row], count: bool, _delimiter: str) -> str:
    if not rows and not count:
        return '{"row_count": 0}\n'
    shown: list[Row] = [] if count else rows
    return json.dumps({"row_count": len(rows), "rows": shown}, ensure_ascii=False, separators=(",", ":"))


def _as_xml(rows: list[Row], count: bool, _delimiter: str) -> str:
    if count:
        return f'<result row_count="{len(rows)}"></result>\n'
    if not rows:
        return '<result row_count="0"/>\n'
    lines = [f'<result row_count="{len(rows)}">\n']
    for number, row in enumerate(rows, 1):
        lines.append(f'  <row row_id="{number}">\n')
        lines += [f"    <{name}>{_escaped(value)}</{name}>\n" for name, value in row.items()]
        lines.append("  </row>\n")
    return "".join([*lines, "</result>\n"])


def _escaped(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return text


_FORMS: Final[dict[str, Callable[[list[Row], bool, str], str]]] = {
    "delim": _as_text,
    "csv": _as_text,
    "json": _as_json,
    "xml": _as_xml,
}
