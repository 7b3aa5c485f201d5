"""API commands about the switch itself: `status`, `fsctl`, modules, global variables, and what else is asked."""

from __future__ import annotations

from collections.abc import Callable
from string import digits
from typing import Final

from .._ctext import atoi, is_true
from ..enums import LogLevel
from ._expand import separate
from ._model import Api, Job, Later
from ._switch import Switch

FULL_VERSION: Final = "1.11.3-emulated~64bit"
"""`version` says so, and `FreeSWITCH (Version ...)` in `status`."""
_HUMAN: Final = "1.11.3-emulated  64bit"
_OK: Final = "+OK\n"
_FSCTL: Final = (
    "[api_expansion [on|off]|recover|send_sighup|hupall|pause [inbound|outbound]|resume [inbound|outbound]|shutdown "
    "[cancel|elegant|asap|now|restart]|uuid_version [4|7]|sps|sps_peak_reset|sync_clock|sync_clock_when_idle|"
    "reclaim_mem|max_sessions|min_dtmf_duration [num]|max_dtmf_duration [num]|default_dtmf_duration [num]|"
    "min_idle_cpu|loglevel [level]|debug_level [level]|mdns_resolve [enable|disable]]"
)
_UPTIME: Final = "[us|ms|s|m|h|d|microseconds|milliseconds|seconds|minutes|hours|days]"
_HASH: Final = "insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]"
_UNITS: Final = {"us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_LONG_UNITS: Final = ("microseconds", "milliseconds", "seconds", "minutes", "hours", "days")


def switch_commands(switch: Switch) -> dict[str, Api]:
    """The commands about the switch, by name."""
    modules, stores = _Modules(switch), _Stores()
    return {
        "acl": "false",
        "bgapi": lambda args: _bgapi(switch, args),
        "create_uuid": lambda _args: switch.core.make_uuid("channel"),
        "db": stores.db,
        "domain_exists": lambda args: "false" if args else "",
        "file_exists": "false",
        "fsctl": _Control(switch).answer,
        "global_getvar": lambda args: _global_getvar(switch, args),
        "global_setvar": lambda args: _global_setvar(switch, args),
        "hash": stores.hash,
        "hostname": lambda _args: switch.hostname,
        "limit_reset": lambda args: "+OK" if args else "USAGE: limit_reset <backend>\n",
        "limit_usage": _limit_usage,
        "load": modules.load,
        "log": lambda args: _OK if args.partition(" ")[2] else "-ERR\n",
        "module_exists": lambda args: str(args in switch.modules).lower() if args else "",
        "msleep": lambda args: Later(atoi(args) / 1000, "+OK"),
        "reload": modules.reload,
        "reloadacl": "+OK acl reloaded\n",
        "reloadxml": lambda _args: _reloadxml(switch),
        "status": lambda _args: _status(switch),
        "switchname": lambda _args: switch.hostname,
        "unload": modules.unload,
        "uptime": lambda args: _uptime(switch, args),
        "user_exists": "false",
        "version": _version,
        "xml_flush_cache": "+OK cleared 0 entries\n",
    }


# What the switch is


def _microseconds(switch: Switch) -> int:
    return int((switch.core.clock() - switch.core.started) * 1_000_000)


def _version(args: str) -> str:
    if args.startswith("short"):
        return "1.11.3\n"
    return f"FreeSWITCH Version {FULL_VERSION} ({_HUMAN if args else ' 64bit'})\n"


def _uptime(switch: Switch, args: str) -> str:
    word = args.lower() or "s"
    if word in _LONG_UNITS:
        word = list(_UNITS)[_LONG_UNITS.index(word)]
    return f"{_microseconds(switch) // _UNITS[word]}\n" if word in _UNITS else f"-USAGE: {_UPTIME}\n"


def _status(switch: Switch) -> str:
    rest, parts = _microseconds(switch), []
    for name, size in (("day", 86400 * 10**6), ("hour", 3600 * 10**6), ("minute", 60 * 10**6), ("second", 10**6)):
        parts.append((rest // size, name))
        rest %= size
    parts += [(rest // 1000, "millisecond"), (rest % 1000, "microsecond")]
    up = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for number, name in [(0, "year"), *parts])
    channels, limits = switch.channels, switch.limits
    return (
        f"UP {up}\n"
        f"FreeSWITCH (Version {_HUMAN}) is ready\n"
        f"{channels.total} session(s) since startup\n"
        f"{len(channels.sessions)} session(s) - peak {channels.most}, last 5min {channels.most} \n"
        f"0 session(s) per Sec out of max {limits['sps']}, peak 0, last 5min 0 \n"
        f"{limits['max_sessions']} session(s) max\n"
        "min idle cpu 0.00/100.00\n"
        "Current Stack Size/Max 240K/8192K\n"
    )


def _reloadxml(switch: Switch) -> str:
    switch.core.fire(switch.core.event("RELOADXML", function="switch_xml_open_root"))
    return "+OK [Success]\n"


def _bgapi(switch: Switch, args: str) -> str:
    uuid = ""
    if args.lower().startswith("uuid:"):
        uuid, _, args = args[5:].partition(" ")
    if not args:
        return "-ERR Invalid syntax\n"
    command, blank, rest = args.partition(" ")
    job = Job(uuid or switch.core.make_uuid("job"), command, rest if blank else None, None)
    switch.core.later(0, lambda: switch.add_job(job))
    return f"+OK Job-UUID: {job.uuid}\n"


# Global variables


def _global_getvar(switch: Switch, args: str) -> str:
    known = {"hostname": switch.hostname, **switch.variables, "core_uuid": switch.core.uuid}
    if not args:
        return "".join(f"{name}={value}\n" for name, value in known.items())
    return known.get(args, "")


def _global_setvar(switch: Switch, args: str) -> str:
    words = separate(args, "=", 3)
    if not words or not words[0]:
        return "-USAGE: <var>=<value> [=<value2>]\n"
    name, value, before = [*words, "", ""][:3]
    if before and switch.variables.get(name) != before:
        return "+OK"
    if value:
        switch.variables[name] = value
    else:
        switch.variables.pop(name, None)
    return "+OK"


# fsctl


class _Control:
    """`fsctl`."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._paused: set[str] = set()

    def answer(self, args: str) -> str:
        words = separate(args, " ", 6)
        if not words:
            return f"-USAGE: {_FSCTL}\n"
        command, rest = words[0].lower(), words[1:]
        known: dict[str, Callable[[list[str]], str]] = {
            "hupall": self._hupall,
            "pause": self._pause,
            "resume": self._resume,
            "pause_check": self._pause_check,
            "ready_check": lambda _rest: "true",
            "shutdown_check": lambda _rest: "false",
            "loglevel": self._loglevel,
            "sps": lambda rest: self._limit("sps", rest, "sessions per second"),
            "last_sps": lambda _rest: "+OK last sessions per second: 0\n",
            "max_sessions": lambda rest: self._limit("max_sessions", rest, "max sessions"),
            "sps_peak_reset": lambda _rest: "+OK max sessions per second counter reset\n",
            "sync_clock": lambda _rest: "+OK clock synchronized\n",
            "sync_clock_when_idle": self._when_idle,
            "recover": lambda _rest: "+OK 0 session(s) recovered in total\n",
        }
        for name in ("send_sighup", "reclaim_mem", "flush_db_handles", "calibrate_clock", "shutdown", "save_history"):
            known[name] = lambda _rest: _OK
        for name in ("verbose_events", "api_expansion"):
            known[name] = lambda rest, name=name: self._switched(name, rest)  # type: ignore[misc]
        for name in ("min", "max", "default"):
            key = f"{name}_dtmf_duration"
            known[key] = lambda rest, key=key: self._limit(key, rest, key.replace("_", " "))  # type: ignore[misc]
        call = known.get(command)
        return f"-ERR Invalid command\nUSAGE: fsctl {_FSCTL}\n" if call is None else call(rest)

    def _hupall(self, _rest: list[str]) -> str:
        for found in list(self._switch.channels.sessions.values()):
            self._switch.channels.hangup(found, "MANAGER_REQUEST")
        return _OK

    def _ways(self, rest: list[str]) -> set[str]:
        word = rest[0].lower() if rest else ""
        return {word} if word in ("inbound", "outbound") else {"inbound", "outbound"}

    def _pause(self, rest: list[str]) -> str:
        self._paused |= self._ways(rest)
        return _OK

    def _resume(self, rest: list[str]) -> str:
        self._paused -= self._ways(rest)
        return _OK

    def _pause_check(self, rest: list[str]) -> str:
        return "true" if self._ways(rest) <= self._paused else "false"

    def _limit(self, name: str, rest: list[str], text: str) -> str:
        if rest and atoi(rest[0]) > 0:
            self._switch.limits[name] = atoi(rest[0])
        return f"+OK {text}: {self._switch.limits[name]}\n"

    def _when_idle(self, _rest: list[str]) -> str:
        idle = not self._switch.channels.sessions
        return "+OK clock synchronized\n" if idle else "+OK clock will synchronize when there are no more calls\n"

    def _switched(self, name: str, rest: list[str]) -> str:
        return f"+OK {name} is {'on' if rest and is_true(rest[0]) else 'off'} \n"

    def _loglevel(self, rest: list[str]) -> str:
        word = rest[0].upper() if rest and rest[0] else str(int(LogLevel.DEBUG))
        if word[0] in digits and atoi(word) in LogLevel._value2member_map_:
            level = LogLevel(atoi(word))
        elif word in LogLevel.__members__:
            level = LogLevel[word]
        else:
            return "-ERR syntax error, log level not set!\n"
        return f"+OK log level: {level.name} [{int(level)}]\n"


# Modules


class _Modules:
    """Commands about modules; mod_event_socket ends all connections and goes on."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def load(self, args: str) -> str:
        if not args:
            return "-USAGE: <mod_name>\n"
        return "+OK Reloading XML\n" + self._load(args, _OK, "-ERR [{}]\n")

    def unload(self, args: str) -> str:
        module = args.rpartition(" ")[2]  # after -f
        return self._unload(module, _OK, "-ERR [{}]\n") if module else "-USAGE: [-f] <mod_name>\n"

    def reload(self, args: str) -> str:
        module = args.rpartition(" ")[2]
        if not module:
            return "-USAGE: [-f] <mod_name>\n"
        gone = self._unload(module, "+OK module unloaded\n", "-ERR unloading module [{}]\n")
        return "+OK Reloading XML\n" + gone + self._load(module, "+OK module loaded\n", "-ERR loading module [{}]\n")

    def _load(self, module: str, done: str, failed: str) -> str:
        modules = self._switch.modules
        if module in modules:
            return failed.format("Module already loaded")
        if module not in self._switch.known_modules:
            return failed.format("module load file routine returned an error")
        modules.add(module)
        return done

    def _unload(self, module: str, done: str, failed: str) -> str:
        if module not in self._switch.modules:
            return failed.format("No such module!")
        self._switch.modules.discard(module)
        if module == "mod_event_socket":
            for connection in list(self._switch.core.connections):
                connection.dismiss()
            if done == _OK:
                self._switch.modules.add(module)
        return done


# Small stores


class _Stores:
    """`db` and `hash`: values by realm and key."""

    def __init__(self) -> None:
        self._db: dict[tuple[str, str], str] = {}
        self._hash: dict[tuple[str, str], str] = {}

    def db(self, args: str) -> str:
        command, realm, key, value = [*args.split("/", 3), "", "", ""][:4]
        command, place, store = command.lower(), (realm, key), self._db
        if command == "insert" and value:
            store[place] = value
            return "+OK"
        if command == "delete":
            store.pop(place, None)
            return "+OK"
        if command == "select":
            return store.get(place, "")
        if command == "exists":
            return str(place in store).lower()
        if command == "count":
            return str(len([one for one in store if realm in ("", one[0])]))
        if command == "list":
            return ",".join(dict.fromkeys(one[1] if realm else one[0] for one in store if realm in ("", one[0])))
        return "!err!"

    def hash(self, args: str) -> str:
        command, realm, key, value = [*args.split("/", 3), "", "", ""][:4]
        command, place, store = command.lower(), (realm, key), self._hash
        if not realm or not key:
            return f"-ERR Usage: hash {_HASH}\n"
        if command == "select":
            return store.get(place, "")
        if command == "insert" or (command == "insert_ifempty" and place not in store):
            store[place] = value
            return _OK
        if command == "insert_ifempty":
            return "-ERR key already exists\n"
        if command not in ("delete", "delete_ifmatch"):
            return f"-ERR Usage: hash {_HASH}\n"
        if place not in store:
            return "-ERR Not found\n"
        if command == "delete_ifmatch" and store[place] != value:
            return "-ERR Doesn't match\n"
        del store[place]
        return _OK


def _limit_usage(args: str) -> str:
    words = separate(args, " ", 5)
    if len(words) < 2:
        return "USAGE: limit_usage <backend> <realm> <id> [rate]\n"
    return "0/0" if words[3:4] == ["rate"] else "0"
