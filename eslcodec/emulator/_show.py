"""`show channels` of an emulated switch: the table that a real one keeps of its channels, as text or JSON."""

from __future__ import annotations

import json
import time
from typing import Final

from .._json import joined
from ._model import Session
from ._switch import Switch

_COLUMNS: Final = """
    uuid direction created created_epoch name state cid_name cid_num ip_addr dest application application_data dialplan
    context read_codec read_rate read_bit_rate write_codec write_rate write_bit_rate secure hostname presence_id
    presence_data accountcode callstate callee_name callee_num callee_direction call_uuid sent_callee_name
    sent_callee_num initial_cid_name initial_cid_num initial_ip_addr initial_dest initial_dialplan initial_context
"""
_HEADERS: Final = {
    "direction": "Call-Direction",
    "name": "Channel-Name",
    "state": "Channel-State",
    "callstate": "Channel-Call-State",
    "cid_name": "Caller-Caller-ID-Name",
    "cid_num": "Caller-Caller-ID-Number",
    "ip_addr": "Caller-Network-Addr",
    "dest": "Caller-Destination-Number",
    "dialplan": "Caller-Dialplan",
    "context": "Caller-Context",
    "read_codec": "Channel-Read-Codec-Name",
    "read_rate": "Channel-Read-Codec-Rate",
    "write_codec": "Channel-Write-Codec-Name",
    "write_rate": "Channel-Write-Codec-Rate",
    "call_uuid": "Channel-Call-UUID",
    "accountcode": "variable_accountcode",
}
_SYNTAX: Final = "-USAGE: show channels [count] [as json|delim]\n"


def show(switch: Switch, args: str) -> str:
    """What `show` puts out.

    Example:
        >>> switch = Switch()
        >>> show(switch, "channels as json"), show(switch, "channels"), show(switch, "calls")
        ('{"row_count": 0}\\n', '\\n0 total.\\n', '-USAGE: show channels [count] [as json|delim]\\n')
    """
    what, *words = args.split() or [""]
    if what != "channels":
        return _SYNTAX
    count = words[:1] == ["count"]
    form = words[count:][1] if len(words[count:]) > 1 and words[count] == "as" else "delim"
    sessions = sorted(switch.channels.sessions.values(), key=lambda session: session.created)
    if form == "json":
        return _as_json(switch, sessions, count)
    if form not in ("delim", "csv"):
        return f"-ERR Cannot find format {form}\n"
    if count:
        return f"\n{len(sessions)} total.\n"
    lines = [",".join(row.values()) + "\n" for row in (_row(switch, session) for session in sessions)]
    title = [",".join(_COLUMNS.split()) + "\n"] if lines else []
    return "".join([*title, *lines, f"\n{len(lines)} total.\n"])


def _as_json(switch: Switch, sessions: list[Session], count: bool) -> str:
    if not sessions and not count:
        return '{"row_count": 0}\n'
    rows = [] if count else [_row(switch, session) for session in sessions]
    return json.dumps({"row_count": len(sessions), "rows": rows}, ensure_ascii=False, separators=(",", ":"))


def _row(switch: Switch, session: Session) -> dict[str, str]:
    """The columns of a channel; every value is text."""
    fields = dict(session.fields())
    row = {column: joined(fields.get(_HEADERS.get(column, ""), "")) for column in _COLUMNS.split()}
    row["uuid"] = session.uuid
    row["created_epoch"] = str(int(session.created))
    row["created"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(session.created))
    row["hostname"] = "emulator"
    if session.running:
        row["application"], row["application_data"] = session.running[-1].application, session.running[-1].data
    for column in ("cid_name", "cid_num", "ip_addr", "dest", "dialplan", "context"):
        row[f"initial_{column}"] = row[column]
    return row
