"""API commands of modules that programs ask: `sofia`, `sofia_contact`, `callcenter_config`, `conference`.

The profiles are "internal" and "external"; there are no gateways, queues or conferences until a test says so.
"""

from __future__ import annotations

from typing import Final

from ._dialstring import separate
from ._model import Api
from ._switch import Switch

_LINE: Final = "=" * 97
PROFILES: Final = {"internal": "sip:mod_sofia@127.0.0.1:5060", "external": "sip:mod_sofia@127.0.0.1:5080"}
_QUEUES: Final = (
    "name|strategy|moh_sound|time_base_score|tier_rules_apply|tier_rule_wait_second|tier_rule_wait_multiply_level|"
    "tier_rule_no_agent_no_wait|discard_abandoned_after|abandoned_resume_allowed|max_wait_time|max_wait_time_with_no_agent|"
    "max_wait_time_with_no_agent_time_reached|record_template|calls_answered|calls_abandoned|ring_progressively_delay|"
    "skip_agents_with_external_calls|agent_no_answer_status\n"
)
_AGENTS: Final = (
    "name|instance_id|uuid|type|contact|status|state|max_no_answer|wrap_up_time|reject_delay_time|busy_delay_time|"
    "no_answer_delay_time|last_bridge_start|last_bridge_end|last_offered_call|last_status_change|no_answer_count|"
    "calls_answered|talk_time|ready_time|external_calls_count\n"
)
_TIERS: Final = "queue|agent|state|level|position\n"
_MEMBERS: Final = (
    "queue|instance_id|uuid|session_uuid|cid_number|cid_name|system_epoch|joined_epoch|rejoined_epoch|bridge_epoch|"
    "abandoned_epoch|base_score|skill_score|serving_agent|serving_system|state|score\n"
)
_USAGE: Final = "USAGE:\n" + "-" * 80 + "\n"
_SOFIA_USAGE: Final = (
    _USAGE
    + """sofia global siptrace <on|off>
sofia        capture  <on|off>
             watchdog <on|off>

sofia profile <name> [start | stop | restart | rescan] [wait]
                     flush_inbound_reg [<call_id> | <[user]@domain>] [reboot]
                     check_sync [<call_id> | <[user]@domain>]
                     [register | unregister] [<gateway name> | all]
                     killgw <gateway name>
                     [stun-auto-disable | stun-enabled] [true | false]]
                     siptrace <on|off>
                     capture  <on|off>
                     watchdog <on|off>

sofia <status|xmlstatus> profile <name> [reg [<contact str>]] | [pres <pres str>] | [user <user@domain>]
sofia <status|xmlstatus> gateway <name>

sofia loglevel <all|default|tport|iptsec|nea|nta|nth_client|nth_server|nua|soa|sresolv|stun> [0-9]
sofia tracelevel <console|alert|crit|err|warning|notice|info|debug>

sofia help
"""
    + "-" * 80
    + "\n"
)


def module_commands(switch: Switch) -> dict[str, Api]:
    """The commands of modules, by name."""
    return {
        "callcenter_config": callcenter,
        "conference": conference,
        "sofia": lambda args: _sofia(switch, args),
        "sofia_contact": lambda args: _contact(switch, args),
    }


def callcenter(args: str) -> str:
    """`callcenter_config`: lists of nothing.

    Example:
        >>> callcenter("tier list"), callcenter("queue count members sales"), callcenter("agent set x y z")
        ('queue|agent|state|level|position\\n+OK\\n', '0\\n', '-ERR Agent not found!\\n')
    """
    what, action, *rest = [*separate(args, " "), "", ""]
    rest = [word for word in rest if word]
    titles = {"agent": _AGENTS, "tier": _TIERS, "member": _MEMBERS, "queue": _QUEUES}
    if what not in titles or not action:
        return "-ERR Invalid!\n"
    if action == "list":
        inner = {"members": _MEMBERS, "agents": _AGENTS, "tiers": _TIERS}.get(rest[0], "") if rest else ""
        return (inner or titles[what]) + "+OK\n"
    if action == "count":
        return "0\n"
    if what == "queue":
        return "+OK\n" if action in ("reload", "load", "unload") else "-ERR Invalid Queue not found!\n"
    return "+OK\n" if action in ("add", "del", "reload") else "-ERR Agent not found!\n"


def conference(args: str) -> str:
    """`conference`: there is none.

    Example:
        >>> conference("list"), conference("sales list"), conference("json_list")
        ('+OK No active conferences.\\n', '-ERR Conference sales not found\\n', '[]')
    """
    words = separate(args, " ", 25)
    if not words:
        return "-ERR no reply\n"
    if words[0] == "json_list":
        return "[]"
    if words[0] == "xml_list":
        return '<?xml version="1.0"?>\n<conferences>\n</conferences>\n'
    if words[0] in ("list", "count"):
        return "+OK No active conferences.\n"
    return f"-ERR Conference {words[0]} not found\n"


def _sofia(switch: Switch, args: str) -> str:
    words = separate(args, " ")
    command, rest = (words[0].lower(), words[1:]) if words else ("", [])
    if command == "status":
        return _status(switch, rest)
    if command == "profile":
        return _profile(rest)
    if command == "global" and len(rest) > 1 and rest[0] in ("siptrace", "capture", "watchdog", "standby"):
        return f"+OK Global {rest[0]} {'on' if rest[1] in ('on', 'true', 'yes') else 'off'}"
    if command == "loglevel" and len(rest) > 1 and rest[1].isdigit():
        return f"Sofia log level for component [{rest[0]}] has been set to [{rest[1]}]"
    if command == "recover":
        return "No sessions to recover.\n" if not rest else "Flushing recovery database.\n"
    return _SOFIA_USAGE


def _status(switch: Switch, words: list[str]) -> str:
    gateways = switch.tables.get("gateways", [])
    if not words:
        return _overview(gateways)
    what, name = words[0].lower(), words[1] if len(words) > 1 else ""
    if what == "gateway":
        found = next((one for one in gateways if one.get("name") == name.rpartition("::")[2]), None)
        if found is None:
            return "Invalid Gateway!\n"
        lines = [f"{key.capitalize():<8}\t{value}" for key, value in found.items()]
        return "\n".join([_LINE, *lines, _LINE]) + "\n"
    if what != "profile":
        return "Invalid Syntax!\n"
    if name not in PROFILES:
        return "Invalid Profile!\n"
    if len(words) > 2 and words[2] in ("reg", "user", "pres"):
        return _registrations(switch)
    return "\n".join([_LINE, *(f"{key:<17}\t{value}" for key, value in _facts(switch, name).items()), _LINE]) + "\n"


def _facts(switch: Switch, name: str) -> dict[str, str]:
    url = PROFILES[name]
    return {
        "Name": name,
        "Domain Name": "N/A",
        "Auto-NAT": "false",
        "DBName": f"sofia_reg_{name}",
        "Pres Hosts": "",
        "Dialplan": "XML",
        "Context": "public",
        "Challenge Realm": "auto_from",
        "RTP-IP": "127.0.0.1",
        "SIP-IP": "127.0.0.1",
        "URL": url,
        "BIND-URL": f"{url};transport=udp,tcp",
        "HOLD-MUSIC": "N/A",
        "OUTBOUND-PROXY": "N/A",
        "CODECS IN": "PCMU,PCMA",
        "CODECS OUT": "PCMU,PCMA",
        "TEL-EVENT": "101",
        "DTMF-MODE": "rfc2833",
        "CNG": "13",
        "SESSION-TO": "0",
        "MAX-DIALOG": "0",
        "NOMEDIA": "false",
        "LATE-NEG": "true",
        "PROXY-MEDIA": "false",
        "ZRTP-PASSTHRU": "true",
        "AGGRESSIVENAT": "false",
        "CALLS-IN": "0",
        "FAILED-CALLS-IN": "0",
        "CALLS-OUT": "0",
        "FAILED-CALLS-OUT": "0",
        "REGISTRATIONS": str(len(switch.tables.get("registrations", [])) if name == "internal" else 0),
    }


def _overview(gateways: list[dict[str, str]]) -> str:
    def line(name: str, kind: str, data: str, state: str) -> str:
        return f"{name:>25}\t{kind}\t  {data:>40}\t{state}\n"

    rows = [line("Name", "   Type", "Data", "State"), _LINE + "\n"]
    for name, url in PROFILES.items():
        rows.append(line(name, "profile", url, "RUNNING (0)"))
        if name == "external":
            rows += [
                line(f"{name}::{one.get('name', '')}", "gateway", one.get("to", ""), one.get("state", "NOREG"))
                for one in gateways
            ]
    rows.append(_LINE + "\n")
    return "".join([*rows, f"{len(PROFILES)} profiles 0 aliases\n"])


def _registrations(switch: Switch) -> str:
    rows = switch.tables.get("registrations", [])
    blocks = [
        f"Call-ID:    \t{row.get('token', '')}\nUser:       \t{row.get('reg_user', '')}@{row.get('realm', '')}\n"
        f"Contact:    \t{row.get('url', '')}\nHost:       \t{switch.hostname}\nIP:         \t{row.get('network_ip', '')}\n"
        f"Port:       \t{row.get('network_port', '')}\nAuth-User:  \t{row.get('reg_user', '')}\n"
        f"Auth-Realm: \t{row.get('realm', '')}\n\n"
        for row in rows
    ]
    return f"\nRegistrations:\n{_LINE}\n{''.join(blocks)}Total items returned: {len(rows)}\n{_LINE}\n"


def _profile(words: list[str]) -> str:
    if not words:
        return "Invalid Args!\n"
    name, action, argument = [*words, "", ""][:3]
    if not action:
        return "Invalid Args!\n"
    if action == "start":
        return f"Reload XML [Success]\n{name} started successfully\n"
    if name not in PROFILES:
        return f"Invalid Profile [{name}]"
    if action == "flush_inbound_reg":
        which = " matching specified call_id" if argument else ""
        return f"+OK flushing all registrations{which}\n"
    if action == "check_sync":
        return f"+OK syncing all registrations{' matching specified call_id' if argument else ''}\n"
    if action in ("killgw", "startgw") and not argument:
        return "-ERR missing gw name\n"
    if action in ("register", "unregister"):
        return "+OK\n" if argument == "all" else "Invalid gateway!\n" if argument else "No gateway name provided!\n"
    if action in ("siptrace", "capture"):
        on = "Enabled" if argument in ("on", "true", "yes") else "Disabled"
        return f"{on} sip {'debugging' if action == 'siptrace' else 'capturing'} on {name}"
    answers = {
        "rescan": "Reload XML [Success]\n+OK scan complete\n",
        "restart": f"Reload XML [Success]\nrestarting: {name}",
        "stop": f"Reload XML [Success]\nstopping: {name}",
        "killgw": "+OK gateway marked for deletion.\n" if argument == "_all_" else "-ERR no such gateway.\n",
        "startgw": f"Reload XML [Success]\n+OK start gateway {argument} complete\n",
        "gwlist": "",
    }
    return answers.get(action, "-ERR Unknown command!\n")


def _contact(switch: Switch, args: str) -> str:
    """Where a user is registered, as a dial string."""
    user, _, domain = args.rpartition("/")[2].partition("@")
    urls = [
        row.get("url", "")
        for row in switch.tables.get("registrations", [])
        if row.get("reg_user") == user and domain in ("", row.get("realm"))
    ]
    return ",".join(urls) or "error/user_not_registered"
