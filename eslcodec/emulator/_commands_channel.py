"""API commands about channels, `uuid_...` and `originate`: what they do, and their answers word for word."""

from __future__ import annotations

from string import digits
from typing import Final

from .. import render
from .._ctext import atoi
from .._json import Field, joined
from ..enums import HangupCause
from ._bridges import leg_of
from ._dialling import TIMEOUT, Order
from ._expand import separate
from ._legs import Leg
from ._model import Api, Promise, Session, cause_named
from ._switch import Switch

NO_CHANNEL: Final = "-ERR No such channel!\n"
_OK: Final = "+OK\n"
_DONE: Final = "+OK Success\n"
_FAILED: Final = "-ERR Operation failed\n"
_NO_SESSION: Final = "-ERR Cannot locate session!\n"
USAGES: Final = {
    "originate": "<call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] [<cid_num>] "
    "[<timeout_sec>]",
    "uuid_audio": "<uuid> [start [read|write] [mute|level <level>]|stop]",
    "uuid_break": "<uuid> [all]",
    "uuid_bridge": "<uuid> <other_uuid>",
    "uuid_broadcast": "<uuid> <path> [aleg|bleg|holdb|both]",
    "uuid_chat": "<uuid> <text>",
    "uuid_deflect": "<uuid> <uri>",
    "uuid_displace": "<uuid> [start|stop] <path> [<limit>] [mux]",
    "uuid_display": "<uuid> <display>",
    "uuid_dual_transfer": "<uuid> <A-dest-exten>[/<A-dialplan>][/<A-context>] "
    "<B-dest-exten>[/<B-dialplan>][/<B-context>]",
    "uuid_dump": "<uuid> [format]",
    "uuid_getvar": "<uuid> <var>",
    "uuid_hold": "[off|toggle] <uuid> [<display>]",
    "uuid_kill": "<uuid> [cause]",
    "uuid_media": "[off] <uuid>",
    "uuid_park": "<uuid>",
    "uuid_pause": "<uuid> <on|off>",
    "uuid_phone_event": "<uuid>",
    "uuid_record": "<uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]",
    "uuid_recv_dtmf": "<uuid> <dtmf_data>",
    "uuid_send_dtmf": "<uuid> <dtmf_data>",
    "uuid_setvar": "<uuid> <var> [value]",
    "uuid_setvar_multi": "<uuid> <var>=<value>;<var>=<value>...",
    "uuid_transfer": "<uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]",
}
_PROFILE: Final = {
    "caller_id_name": "name",
    "caller_id_number": "number",
    "callee_id_name": "callee_name",
    "callee_id_number": "callee_number",
    "destination_number": "destination",
    "network_addr": "network",
    "ani": "ani",
    "context": "context",
    "dialplan": "dialplan",
    "source": "source",
    "username": "username",
    "chan_name": "channel_name",
}


def usage(command: str) -> str:
    """How a command is used, as the switch says it."""
    return f"-USAGE: {USAGES[command]}\n"


def channel_commands(switch: Switch) -> dict[str, Api]:
    """The commands about channels, by name."""
    commands = _Commands(switch)
    return {
        "hupall": commands.hupall,
        "originate": commands.originate,
        "pause": commands.pause,
        "uuid_answer": commands.answer,
        "uuid_audio": commands.audio,
        "uuid_break": commands.break_,
        "uuid_bridge": commands.bridge,
        "uuid_broadcast": commands.broadcast,
        "uuid_chat": commands.chat,
        "uuid_deflect": commands.deflect,
        "uuid_displace": commands.displace,
        "uuid_display": commands.display,
        "uuid_dual_transfer": commands.dual_transfer,
        "uuid_dump": commands.dump,
        "uuid_exists": lambda args: "true" if args in switch.channels.sessions else "false",
        "uuid_flush_dtmf": commands.flush_dtmf,
        "uuid_getvar": commands.getvar,
        "uuid_hold": commands.hold,
        "uuid_kill": commands.kill,
        "uuid_media": commands.media,
        "uuid_park": commands.park,
        "uuid_pause": commands.pause,
        "uuid_phone_event": commands.phone_event,
        "uuid_pre_answer": commands.pre_answer,
        "uuid_record": commands.record,
        "uuid_recv_dtmf": commands.recv_dtmf,
        "uuid_send_dtmf": commands.send_dtmf,
        "uuid_setvar": commands.setvar,
        "uuid_setvar_multi": commands.setvar_multi,
        "uuid_transfer": commands.transfer,
    }


class _Commands:
    """A method for each command; it is given the arguments and gives the output."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._channels = switch.channels
        self._calls = switch.calls
        self._recordings: dict[str, list[str]] = {}

    def _found(self, uuid: str) -> Session | None:
        return self._channels.get(uuid)

    # Calls come and go

    def originate(self, args: str) -> str | Promise:
        words: list[str | None] = [None if word.lower() == "undef" else word for word in separate(args, " ", 10)]
        if not 2 <= len(words) <= 7:
            return usage("originate")
        dialled, extension, dialplan, context, name, number, seconds = [*words, *[None] * 7][:7]
        promise = Promise()

        def done(session: Session | None, cause: str) -> None:
            if session is None:
                promise.keep(f"-ERR {cause}\n")
                return
            promise.keep(f"+OK {session.uuid}\n")
            self._calls.originated(session, extension or "", dialplan, context)

        timeout = float(max(0, atoi(seconds or ""))) or TIMEOUT
        self._calls.dial(Order(dialled or "", None, timeout, name or "", number or ""), done)
        return promise

    def kill(self, args: str) -> str:
        uuid, _, cause = args.partition(" ")
        if not uuid:
            return usage("uuid_kill")
        found = self._found(uuid)
        if found is None:
            return NO_CHANNEL
        self._channels.hangup(found, cause_named(cause))
        return _OK

    def hupall(self, args: str) -> str:
        cause, *pairs = separate(args, " ", 11) or [""]
        cause = cause.upper() if cause.upper() in HangupCause.__members__ else "MANAGER_REQUEST"
        wanted = [(name, value) for name, value in zip(pairs[::2], pairs[1::2], strict=False) if name and value]
        for found in list(self._channels.sessions.values()):
            if all(joined(found.variables.get(name, "")) == value for name, value in wanted):
                self._channels.hangup(found, cause)
        if not wanted:
            return f"+OK hangup all channels with cause {cause}\n"
        dots = "..." if len(wanted) > 1 else ""
        return f"+OK hangup all channels matching [{wanted[0][0]}]=[{wanted[0][1]}]{dots} with cause: {cause}\n"

    def answer(self, args: str) -> str:
        found = self._found(args)
        if found is None:
            return "-ERROR\n"
        self._channels.answer(found)
        return _OK

    def pre_answer(self, args: str) -> str:
        found = self._found(args)
        if found is None:
            return "-ERROR\n"
        leg = leg_of(found)
        if not found.answered and not leg.early:
            leg.early, leg.times.progress_media = True, self._channels.now()
            self._channels.fire("CHANNEL_PROGRESS_MEDIA", found, function="switch_channel_perform_mark_pre_answered")
            self._channels.enter_call_state(found, "EARLY")
        return _OK

    # Where they are led

    def bridge(self, args: str) -> str:
        words = separate(args, " ", 4)
        if len(words) < 2:
            return usage("uuid_bridge")
        for other in words[1:3]:
            if self._calls.uuid_bridge(words[0], other):
                return f"+OK {other}\n"
        return "-ERR Invalid uuid\n"

    def transfer(self, args: str) -> str:
        words = separate(args, " ", 5)
        if len(words) < 2:
            return usage("uuid_transfer")
        found = self._found(words[0])
        if found is None:
            return NO_CHANNEL
        leg, rest = (words[1][1:].lower(), words[2:]) if words[1].startswith("-") else ("", words[1:])
        extension, dialplan, context = [*rest, None, None, None][:3]
        other = self._calls.bridges.partner(found)
        if leg == "both" and other is not None:
            self._calls.bridges.let_go(found)
            self._calls.transfer(other, extension or "service", dialplan, context)
        self._calls.transfer(
            other if leg == "bleg" and other is not None else found, extension or "service", dialplan, context
        )
        return _OK

    def dual_transfer(self, args: str) -> str:
        words = separate(args, " ", 5)
        if len(words) != 3:
            return usage("uuid_dual_transfer")
        found = self._found(words[0])
        if found is None:
            return NO_CHANNEL
        other = self._calls.bridges.let_go(found)
        for session, target in ((other, words[2]), (found, words[1])):
            if session is not None:
                extension, dialplan, context = [*target.split("/", 2), "", ""][:3]
                self._calls.transfer(session, extension, dialplan or None, context or None)
        return _OK

    def park(self, args: str) -> str:
        if not args:
            return usage("uuid_park")
        found = self._found(args)
        if found is None:
            return NO_CHANNEL
        self._calls.park(found)
        return _OK

    def deflect(self, args: str) -> str:
        uuid, _, text = args.partition(" ")
        if not uuid or not text:
            return usage("uuid_deflect")
        if self._found(uuid) is None:
            return f"-ERR No such channel {uuid}!\n"
        return "+OK:SIP/2.0 200 OK\n\n"

    # What they hear

    def broadcast(self, args: str) -> str:
        words = separate(args, " ", 4)
        if len(words) < 2:
            return usage("uuid_broadcast")
        found = self._found(words[0])
        if found is None:
            return "-ERR invalid uuid\n"
        whose = words[2] if len(words) > 2 else "aleg"
        other = self._calls.bridges.partner(found)
        application, data = _broadcast(words[1])
        for session in (found if "both" in whose or "aleg" in whose else None, other if "aleg" not in whose else None):
            if session is not None:
                self._channels.run(session, application, data)
        return "+OK Message sent\n"

    def break_(self, args: str) -> str:
        uuid, _, flag = args.partition(" ")
        if not uuid:
            return usage("uuid_break")
        found = self._found(uuid)
        if found is None:
            return NO_CHANNEL
        other = self._calls.bridges.partner(found) if "both" in flag else None
        for session in (found, other):
            if session is not None:
                self._channels.break_off(session)
        return _OK

    def record(self, args: str) -> str:
        words = separate(args, " ", 5)
        if len(words) < 3 or not words[0]:
            return usage("uuid_record")
        found = self._found(words[0])
        if found is None:
            return _NO_SESSION
        path, running = words[2], self._recordings.setdefault(found.uuid, [])
        action = words[1].lower()
        if action == "start":
            running.append(path)
            self._channels.fire("RECORD_START", found, [("Record-File-Path", path)], function="record_callback")
            found.at_end.append(lambda: self._stop_recording(found, path))
            return _DONE
        texts = {"stop": "stop record", "pause": "pause recording", "resume": "resume recording"}
        texts.update({"mask": "mask recording", "unmask": "unmask recording"})
        if action not in texts:
            return usage("uuid_record")
        if path not in running and not (path == "all" and running):
            return f"-ERR Cannot {texts[action]} session!\n"
        if action == "stop":
            for one in list(running) if path == "all" else [path]:
                self._stop_recording(found, one)
        return _DONE

    def _stop_recording(self, session: Session, path: str) -> None:
        running = self._recordings.get(session.uuid, [])
        if path in running:
            running.remove(path)
            extra: list[Field] = [("Record-File-Path", path)]
            self._channels.fire("RECORD_STOP", session, extra, function="send_record_stop_event")
        if session.hangup_cause is not None:
            self._recordings.pop(session.uuid, None)

    def displace(self, args: str) -> str:
        words = separate(args, " ", 5)
        if len(words) < 3 or words[1].lower() not in ("start", "stop"):
            return usage("uuid_displace")
        return _NO_SESSION if self._found(words[0]) is None else _DONE

    def audio(self, args: str) -> str:
        words = args.split(" ")
        if len(words) < 2:
            return usage("uuid_audio")
        if self._found(words[0]) is None:
            return NO_CHANNEL
        if words[1].lower() == "stop":
            return _OK
        right = len(words) >= 5 and words[1].lower() == "start" and words[2].lower() in ("read", "write")
        return _OK if right and words[3].lower() in ("mute", "level") else usage("uuid_audio")

    def hold(self, args: str) -> str:
        words = separate(args, " ", 4)
        if not words:
            return usage("uuid_hold") + _FAILED
        word = words[0].lower()
        found = self._found(words[1] if word in ("off", "toggle") and len(words) > 1 else words[0])
        if found is None:
            return _FAILED
        leg = leg_of(found)
        held = leg.call_state == "HELD"
        wanted = not held if word == "toggle" else word != "off"
        if wanted != held:
            self._hold(found, leg, wanted)
        return _DONE

    def _hold(self, session: Session, leg: Leg, wanted: bool) -> None:
        now = self._channels.now()
        session.held = wanted
        if wanted:
            leg.times.last_hold = now
        else:
            leg.times.hold_accum += now - leg.times.last_hold
        self._channels.enter_call_state(session, "HELD" if wanted else "ACTIVE")
        name, function = ("CHANNEL_HOLD", "switch_ivr_hold") if wanted else ("CHANNEL_UNHOLD", "switch_ivr_unhold")
        self._channels.fire(name, session, function=function)

    def media(self, args: str) -> str:
        words = separate(args, " ", 4)
        if not words:
            return usage("uuid_media") + _FAILED
        uuid = words[1] if words[0].lower() == "off" and len(words) > 1 else words[0]
        return _FAILED if self._found(uuid) is None else _DONE

    def pause(self, args: str) -> str:
        words = separate(args, " ", 4)
        if len(words) < 2:
            return usage("uuid_pause")
        return NO_CHANNEL if self._found(words[0]) is None else ""

    # Digits, displays, texts

    def send_dtmf(self, args: str) -> str:
        words = separate(args, " ", 2)
        if len(words) < 2:
            return usage("uuid_send_dtmf")
        found = self._found(words[0])
        return _NO_SESSION if found is None else f"+OK {words[0]} sent DTMF {words[1]}.\n"

    def recv_dtmf(self, args: str) -> str:
        words = separate(args, " ", 2)
        if len(words) < 2:
            return usage("uuid_recv_dtmf")
        found = self._found(words[0])
        if found is None:
            return _NO_SESSION
        self._channels.dtmf(found, words[1].partition("@")[0], source="APP")
        return f"+OK {words[0]} received DTMF {words[1]}.\n"

    def flush_dtmf(self, args: str) -> str:
        return "-ERR No such session\n" if self._found(args) is None else _OK

    def display(self, args: str) -> str:
        words = separate(args, " ", 2)
        if len(words) < 2:
            return usage("uuid_display")
        return _FAILED if self._found(words[0]) is None else _DONE

    def phone_event(self, args: str) -> str:
        words = separate(args, " ", 2)
        if not words:
            return usage("uuid_phone_event") + _FAILED
        return _FAILED if self._found(words[0]) is None else _DONE

    def chat(self, args: str) -> str:
        uuid, _, text = args.partition(" ")
        if not uuid or not text:
            return usage("uuid_chat")
        return f"-ERR No such channel {uuid}!\n" if self._found(uuid) is None else _OK

    # Variables

    def getvar(self, args: str) -> str:
        words = separate(args, " ", 4)
        if len(words) < 2:
            return usage("uuid_getvar")
        found = self._found(words[0])
        if found is None:
            return NO_CHANNEL
        if not words[1]:
            return "-ERR No variable name specified!\n"
        value = self._value(found, words[1])
        return "_undef_" if value is None else value

    def _value(self, session: Session, name: str) -> str | None:
        base, bracket, index = name.partition("[")
        if bracket and base in session.variables and index and index[0] in digits:
            value = session.variables[base]
            items = [value] if isinstance(value, str) else value
            at = atoi(index)
            return items[at] if at < len(items) else None
        if name in session.variables:
            return joined(session.variables[name])
        if session.leg is not None and name in _PROFILE:
            return str(getattr(session.leg.profile, _PROFILE[name])) or None
        return self._switch.variables.get(name)

    def setvar(self, args: str) -> str:
        words = separate(args, " ", 3)
        if len(words) < 2 or not words[0]:
            return usage("uuid_setvar")
        found = self._found(words[0])
        if found is None:
            return NO_CHANNEL
        if not words[1]:
            return "-ERR No variable specified\n"
        _set(found, words[1], words[2] if len(words) > 2 else "")
        return _OK

    def setvar_multi(self, args: str) -> str:
        uuid, blank, text = args.partition(" ")
        if not blank:
            return usage("uuid_setvar_multi") if not args else ""
        found = self._found(uuid)
        if found is None:
            return NO_CHANNEL + usage("uuid_setvar_multi")
        outputs: list[str] = []
        set_one = False
        for pair in separate(text, ";", 64):
            name, _, value = pair.partition("=")
            if name:
                _set(found, name, value)
                set_one = True
            else:
                outputs.append("-ERR No variable specified\n")
        return "".join([*outputs, _OK if set_one else usage("uuid_setvar_multi")])

    def dump(self, args: str) -> str | bytes:
        words = separate(args, " ", 2)
        if not words:
            return usage("uuid_dump")
        found = self._found(words[0])
        if found is None:
            return NO_CHANNEL
        form = words[1].lower() if len(words) > 1 else "txt"
        event = self._switch.core.event("CHANNEL_DATA", found.fields(), function="uuid_dump_function")
        fields = event.headers.fields()
        if form == "json":
            return render.json(fields)
        if form == "xml":
            return event.payload("xml")
        if form == "plain":
            return "".join(f"{name}: {joined(value)}\n" for name, value in fields) + "\n"
        return render.plain(fields, server=True)


def _set(session: Session, name: str, value: str) -> None:
    """Set a variable; an empty value takes it away, `ARRAY::` makes it an array."""
    if not value:
        session.variables.pop(name, None)
    elif value.startswith("ARRAY::"):
        items = value.removeprefix("ARRAY::").split("|:")
        session.variables[name] = items if len(items) > 1 else items[0]
    else:
        session.variables[name] = value


def _broadcast(path: str) -> tuple[str, str]:
    """The application and data of a broadcast: `app::data`, `app!cause::data`, or a file."""
    name, colons, data = path.partition("::")
    if not colons:
        return "playback", path
    return name.partition("!")[0], data
