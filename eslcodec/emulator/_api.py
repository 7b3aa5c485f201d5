"""The API commands that an emulated switch has unless told otherwise: those that clients and tests commonly use."""

from __future__ import annotations

from typing import Final

from .._json import joined
from ._model import Api, Job, Session, cause_named
from ._show import show
from ._switch import Switch

_MODULES: Final = "mod_commands mod_dptools mod_event_socket mod_loopback mod_sofia"
_NO_CHANNEL: Final = "-ERR No such channel!\n"


def default_answers(switch: Switch) -> dict[str, Api]:
    """The answers of a switch, by command.

    Example:
        >>> switch = Switch(answers=default_answers)
        >>> switch.execute("echo", "hello"), switch.execute("uuid_exists", "8f08a03a")
        ('hello', 'false')
    """
    channels, modules = _Channels(switch), _Modules(switch)
    return {
        "bgapi": lambda args: _bgapi(switch, args),
        "create_uuid": lambda _args: switch.core.make_uuid("channel"),
        "echo": lambda args: args,
        "eval": lambda args: args,
        "global_getvar": lambda args: _global_getvar(switch, args),
        "global_setvar": lambda args: _global_setvar(switch, args),
        "hostname": "emulator",
        "hupall": channels.hupall,
        "reload": modules.reload,
        "show": lambda args: show(switch, args),
        "status": lambda _args: _status(switch),
        "switchname": "emulator",
        "unload": modules.unload,
        "uptime": lambda _args: f"{_uptime(switch)}\n",
        "uuid_exists": lambda args: "true" if args in switch.channels.sessions else "false",
        "uuid_getvar": channels.getvar,
        "uuid_kill": channels.kill,
        "uuid_setvar": channels.setvar,
        "version": "FreeSWITCH Version 1.11.3-emulated (eslcodec)\n",
    }


def _uptime(switch: Switch) -> int:
    return int(switch.core.clock() - switch.core.started)


def _status(switch: Switch) -> str:
    seconds = _uptime(switch)
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    return (
        f"UP 0 years, {days} days, {hours} hours, {minutes} minutes, {seconds % 60} seconds, 0 milliseconds, "
        "0 microseconds\nFreeSWITCH (Version 1.11.3 emulated) is ready\n"
        f"{len(switch.channels.sessions)} session(s)\n"
    )


def _global_getvar(switch: Switch, args: str) -> str:
    return switch.variables.get(args, switch.core.uuid if args == "core_uuid" else "")


def _global_setvar(switch: Switch, args: str) -> str:
    name, _, value = args.partition("=")
    switch.variables[name] = value
    return "+OK"


def _bgapi(switch: Switch, args: str) -> str:
    command, blank, rest = args.partition(" ")
    uuid = switch.core.make_uuid("job")
    switch.core.later(0, lambda: switch.add_job(Job(uuid, command, rest if blank else None, None)))
    return f"+OK Job-UUID: {uuid}\n"


class _Channels:
    """Commands about channels."""

    def __init__(self, switch: Switch) -> None:
        self._channels = switch.channels

    def _found(self, args: str) -> tuple[Session | None, list[str]]:
        uuid, *rest = args.split(" ", 2)
        return self._channels.get(uuid), rest

    def getvar(self, args: str) -> str:
        found, rest = self._found(args)
        return _NO_CHANNEL if found is None else joined(found.variables.get(" ".join(rest), "_undef_"))

    def setvar(self, args: str) -> str:
        found, rest = self._found(args)
        if found is None:
            return _NO_CHANNEL
        found.variables[rest[0] if rest else ""] = rest[1] if len(rest) > 1 else ""
        return "+OK\n"

    def kill(self, args: str) -> str:
        found, rest = self._found(args)
        if found is None:
            return _NO_CHANNEL
        self._channels.hangup(found, cause_named(rest[0] if rest else ""))
        return "+OK\n"

    def hupall(self, args: str) -> str:
        cause = cause_named(args.partition(" ")[0] or "MANAGER_REQUEST")
        for found in list(self._channels.sessions.values()):
            self._channels.hangup(found, cause)
        return f"+OK hangup all channels with cause {cause}\n"


class _Modules:
    """Commands about modules; mod_event_socket ends all connections and goes on."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._loaded = set(_MODULES.split())

    def reload(self, args: str) -> str:
        if args == "mod_event_socket":
            for connection in list(self._switch.core.connections):
                connection.dismiss()
        return "+OK\n"

    def unload(self, args: str) -> str:
        module = args.rpartition(" ")[2]  # after -f
        if not module:
            return "-USAGE: [-f] <mod_name>\n"
        if module not in self._loaded:
            return "-ERR [No such module!]\n"
        if module != "mod_event_socket":
            self._loaded.discard(module)
        return self.reload(module)
