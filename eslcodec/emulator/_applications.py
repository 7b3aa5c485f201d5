"""The dialplan applications that an emulated switch has: their variables, events and keys, as in mod_dptools.

What is heard takes no time unless a test gives it some: `switch.applications["playback"] = 2.0`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Final, Protocol

from .. import render
from .._ctext import atoi, is_true, to_bytes, to_text
from .._json import joined
from ..enums import LogLevel
from ._channels import Channels
from ._collecting import Collector, Playing, Status, ends_playback, outcome
from ._core import Core
from ._digits import KEYS, Given, Gone, Instead, Prompt, Step, Steps, Wait
from ._expand import Expander, argument, separate
from ._model import PLAYED, ApiOutput, Application, Later, Run, Session, cause_named
from ._rooms import Rooms
from ._speech import SessionRecordings, Speech

_SILENT: Final = """
    acknowledge_call deflect early_hangup media_reset presence redirect respond ring_ready send_display send_dtmf
    send_info set_audio_level set_mute set_name start_dtmf start_dtmf_generate stop stop_dtmf stop_dtmf_generate
    stop_tone_detect verbose_events wait_for_answer displace_session stop_displace_session
"""
"""Applications that a caller hears or sees at most: they end at once, and no event tells of them."""

Timed = Callable[[Session, str, Run], Steps]


class Surroundings(Protocol):
    """What applications use of a switch."""

    core: Core
    channels: Channels
    variables: dict[str, str]

    def execute(self, command: str, args: str) -> ApiOutput:
        """What an API command puts out."""


def install(switch: Surroundings) -> None:
    """Give the channels of a switch its applications, and values for `${variables}`."""
    channels = switch.channels
    _Expansion(switch).install()
    variables, media, digits, control = _Variables(switch), _Media(channels), _Keys(channels), _Control(switch)
    collector = Collector(channels, channels.transfer)
    channels.applications.update(
        {
            **dict.fromkeys(_SILENT.split(), 0.0),
            **variables.applications(),
            **digits.applications(),
            **control.applications(),
            **Speech(switch.core, channels, collector).applications(),
            **SessionRecordings(switch.core, channels).applications(),
            "conference": Rooms(switch.core, channels).conference,
            "read": collector.read,
            "play_and_get_digits": collector.play_and_get_digits,
        }
    )
    channels.timed.update(media.applications())
    for name in channels.timed:
        channels.applications[name] = PLAYED if name == "playback" else 0.0


class _Expansion:
    """Values for `${variables}`: of the channel, else global ones, and the outputs of API commands."""

    def __init__(self, switch: Surroundings) -> None:
        self._switch = switch

    def install(self) -> None:
        """Have application data expanded."""
        self._switch.channels.expand = self.expand

    def expand(self, session: Session, data: str) -> str:
        """Application data with values."""
        return Expander(lambda name, index: self._variable(session, name, index), self._call).expand(data)

    def _variable(self, session: Session, name: str, index: int) -> str | None:
        value = session.variables.get(name)
        if value is None:
            return _of_profile(session, name) or self._switch.variables.get(name)
        if index >= 0 and not isinstance(value, str):
            return value[index] if index < len(value) else None
        return joined(value)

    def _call(self, name: str, args: str) -> str | None:
        output = self._switch.execute(name, args)
        output = output.output if isinstance(output, Later) else output
        if isinstance(output, bytes):
            return to_text(output)
        return output if isinstance(output, str) else None


def _of_profile(session: Session, name: str) -> str | None:
    """A variable that stands for the caller profile, such as `caller_id_number`, or for the channel's state."""
    if name == "state":
        return session.state
    header = f"Caller-{name.replace('_', '-')}".lower()
    alias = {"caller-uuid": "caller-unique-id"}.get(header, header)
    for key, value in session.fields(variables=False):
        if key.lower() in (alias, f"caller-{alias}"):
            return joined(value)
    return None


class _Variables:
    """Applications that set variables."""

    def __init__(self, switch: Surroundings) -> None:
        self._switch = switch

    def applications(self) -> Mapping[str, Application]:
        """They by name."""
        return {
            "bridge_export": lambda session, data: self._export(session, data, "bridge_export_vars"),
            "eval": 0.0,
            "export": lambda session, data: self._export(session, data, "export_vars"),
            "multiset": lambda session, data: self._several(session, data, self._set),
            "multiunset": lambda session, data: self._several(session, data, Session.set),
            "push": lambda session, data: self._add(session, data, front=False),
            "set": self._set,
            "set_global": self._set_global,
            "set_profile_var": self._set_profile,
            "set_user": 0.0,
            "unset": Session.set,
            "unshift": lambda session, data: self._add(session, data, front=True),
        }

    def _pair(self, session: Session, data: str) -> tuple[str, str]:
        name, sign, value = data.partition("=")
        if not sign:
            name, _, value = data.partition(",")
        return name, self._switch.channels.expand(session, value)

    def _set(self, session: Session, data: str) -> None:
        session.set(*self._pair(session, data))

    def _several(self, session: Session, data: str, do: Callable[[Session, str], None]) -> None:
        delimiter = " "
        if data.startswith("^^") and len(data) > 2:
            delimiter, data = data[2], data[3:]
        for part in data.split(delimiter):
            do(session, part)

    def _add(self, session: Session, data: str, *, front: bool) -> None:
        name, value = self._pair(session, data)
        before = session.variables.get(name, [])
        values = [before] if isinstance(before, str) else before
        session.variables[name] = [value, *values] if front else [*values, value]

    @staticmethod
    def _export(session: Session, data: str, listed: str) -> None:
        """As in the switch, `nolocal:` stays a part of the variable's name here."""
        name, _, value = data.partition("=")
        session.set(name, value)
        if name and value:
            before = session.text_of(listed)
            session.set(listed, f"{before},{name}" if before else name)

    def _set_global(self, _session: Session, data: str) -> None:
        name, _, value = data.partition("=")
        if value:
            self._switch.variables[name] = value
        else:
            self._switch.variables.pop(name, None)

    @staticmethod
    def _set_profile(session: Session, data: str) -> None:
        name, _, value = data.partition("=")
        names = {"effective_caller_id_name": "caller_id_name", "effective_caller_id_number": "caller_id_number"}
        header = "-".join(word.capitalize() for word in names.get(name, name).split("_"))
        session.profile[f"Caller-{header.replace('Id', 'ID')}"] = value


class _Media:
    """Applications that are heard, or that listen; a test may say how long they take."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def applications(self) -> Mapping[str, Timed]:
        """They by name."""
        return {
            "endless_playback": self._endless_playback,
            "gentones": self._gentones,
            "loop_playback": self._loop_playback,
            "phrase": self._phrase,
            "playback": self._playback,
            "record": self._record,
            "say": self._say,
            "sleep": self._sleep,
            "speak": self._speak,
            "wait_for_silence": self._wait_for_silence,
        }

    def _playback(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        session.set("playback_terminator_used")
        file = data.partition("@@")[0]
        delimiter = session.text_of("playback_delimiter")[:1]
        status = Status.FALSE
        for part in separate(file, delimiter) if delimiter else [file]:
            try:
                status = yield from Playing(self._channels, session, part, run).steps()
            except Gone:
                return Run(run.seconds, run.interrupted)
            if session.text_of("playback_terminator_used"):
                break
        return outcome(run, status) if status is not Status.FALSE else Run(run.seconds, _failure(run))

    def _endless_playback(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        """It ends when the call does; a test that gives it seconds lets it end."""
        endless = run if run.seconds else Run(1e9, run.response, run.interrupted)
        status = Status.BREAK
        while status is Status.BREAK:
            try:
                status = yield from Playing(self._channels, session, data, endless, "alone").steps()
            except Gone:
                return Run(run.seconds, run.interrupted)
        return outcome(run, status)

    def _loop_playback(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        loops, file = 1, data
        if data.startswith("+"):
            number, _, file = data[1:].partition(" ")
            loops = atoi(number)
        if not file:
            self._channels.hangup(session, "DESTINATION_OUT_OF_ORDER")
            return run
        status = Status.SUCCESS
        while loops and status in (Status.SUCCESS, Status.BREAK):
            loops -= 1
            endless = Run(1e9, run.response) if loops < 0 and not run.seconds else run
            try:
                status = yield from Playing(self._channels, session, file, endless, "alone").steps()
            except Gone:
                return Run(run.seconds, run.interrupted)
        return outcome(run, status)

    def _heard(self, session: Session, text: str, seconds: float | None) -> Generator[Wait, Given, None]:
        """Something is heard until its end or a terminator."""
        session.set("playback_terminator_used")
        session.prompts.append(text)
        given = yield Wait(seconds)
        while given is not Instead.TIME and given is not Instead.BREAK and not ends_playback(session, given):
            given = yield Wait(None, same=True)

    def _gentones(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        tones, _, loops = data.partition("|")
        if tones:
            yield from self._heard(session, tones, None if atoi(loops) < 0 and not run.seconds else run.seconds)
        return run

    def _say(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        if len(separate(data, limit=5)) >= 4:
            yield from self._heard(session, f"say:{data}", run.seconds)
        return run

    def _speak(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        """As in the switch, engine and voice may be variables, and their lack hangs up."""
        parts = separate(data, "|", 3)
        engine = parts[0] if len(parts) > 2 else session.text_of("tts_engine")
        voice = parts[-2] if len(parts) > 1 else session.text_of("tts_voice")
        if parts and not (engine and voice and parts[-1]):
            self._channels.hangup(session, "DESTINATION_OUT_OF_ORDER")
        elif parts:
            yield from self._heard(session, data.split("|", 2)[-1], run.seconds)
        return run

    def _phrase(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        if not data:
            return Run(response="NOTHING")
        try:
            yield from self._heard(session, f"phrase:{data}", run.seconds)
        except Gone:
            return Run(run.seconds, "UNKNOWN ERROR")
        return Run(run.seconds, "PHRASE PLAYED" if run.response == Run().response else run.response)

    def _sleep(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        """A key ends it, and waits for the next application; with `sleep_eat_digits` only a terminator does."""
        eats = is_true(session.text_of("sleep_eat_digits"))
        if eats:
            session.set("playback_terminator_used")
        if data:
            keys = "take" if eats else "look" if session.answered else "leave"
            given = yield Wait(run.seconds, keys)  # type: ignore[arg-type]
            while isinstance(given, str) and not ends_playback(session, given):
                given = yield Wait(None, same=True)
        return run

    def _wait_for_silence(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        thresh, hits, listen, timeout = (atoi(argument(separate(data, limit=5), index)) for index in range(4))
        if thresh > 0 and hits > 0:
            limit = timeout / 1000 if timeout else run.seconds
            while (yield Wait(min(run.seconds, limit), "leave")) is not Instead.TIME:
                pass
            session.set("wait_for_silence_timeout", "true" if timeout and run.seconds >= limit else "false")
            session.set("wait_for_silence_listenhits", str(listen))
            session.set("wait_for_silence_silence_hits", str(hits) if timeout and run.seconds >= limit else "0")
        return run

    def _record(self, session: Session, data: str, run: Run) -> Generator[Wait, Given, Run]:
        """The caller talks for as long as a script or a test says, or not at all."""
        path, limit, threshold = (argument(separate(data, limit=4), index) for index in range(3))
        session.set("playback_terminator_used")
        if not path:
            return run
        longest = atoi(limit.lstrip("+"))
        session.set("silence_hits_exhausted", "false")
        self._channels.fire("RECORD_START", session, [("Record-File-Path", path)], function=_RECORDER)
        seconds = min(run.seconds, longest) if longest else run.seconds
        prompt = Prompt(path, "recording")
        given: Given = Instead.BREAK
        try:
            given = yield Wait(seconds, "take", prompt)
            while isinstance(given, str) and not ends_playback(session, given):
                given = yield Wait(None, "take", prompt, same=True)
        except Gone:
            self._recorded(session, path, seconds)
            return Run(run.seconds, run.interrupted)
        if isinstance(given, Step):
            seconds = min(float(given.value or 0), longest or float(given.value or 0))
        if atoi(threshold) and not isinstance(given, str) and not (longest and seconds >= longest):
            session.set("silence_hits_exhausted", "true")
        self._recorded(session, path, seconds)
        return run

    def _recorded(self, session: Session, path: str, seconds: float) -> None:
        session.set("record_seconds", str(int(seconds)))
        session.set("record_ms", str(int(seconds * 1000)))
        session.set("record_samples", str(int(seconds * 8000)))
        self._channels.fire("RECORD_STOP", session, [("Record-File-Path", path)], function=_RECORDER)


_RECORDER: Final = "switch_ivr_record_file_event"


def _failure(run: Run) -> str:
    return run.response if run.response != PLAYED.response else PLAYED.interrupted


class _Keys:
    """Applications about keys."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def applications(self) -> Mapping[str, Application]:
        """They by name."""
        return {
            "block_dtmf": 0.0,
            "flush_dtmf": lambda session, _data: session.keys.clear(),
            "queue_dtmf": self._queue,
            "unblock_dtmf": 0.0,
        }

    def _queue(self, session: Session, data: str) -> None:
        """Keys as if the caller had typed them: `+` between groups, `@` before the milliseconds of each key."""
        for group in separate(data.removeprefix("~"), "+"):
            keys, _, milliseconds = group.partition("@")
            duration = atoi(milliseconds) * 8 if atoi(milliseconds) > 50 else 2000
            for digit in keys:
                if digit in KEYS:
                    self._channels.dtmf(session, digit, source="APP", duration=min(192_000, duration))


class _Control:
    """Applications that say where a call goes, and what is told of it."""

    def __init__(self, switch: Surroundings) -> None:
        self._channels = switch.channels
        self._core = switch.core

    def applications(self) -> Mapping[str, Application]:
        """They by name."""
        return {
            "break": lambda session, _data: self._channels.break_off(session),
            "echo": self._echo,
            "hold": lambda session, _data: self._hold(session, "CHANNEL_HOLD"),
            "info": self._info,
            "log": self._log,
            "park": self._park,
            "pre_answer": 0.0,
            "transfer": self._transfer,
            "unhold": lambda session, _data: self._hold(session, "CHANNEL_UNHOLD"),
        }

    def _echo(self, _session: Session, _data: str) -> Generator[Wait, Given, None]:
        """The caller hears itself until one hangs up, or the switch breaks it off."""
        while (yield Wait(None, "leave")) is not Instead.BREAK:
            pass

    def _hold(self, session: Session, event: str) -> None:
        if (event == "CHANNEL_HOLD") is not session.held:
            session.held = not session.held
            self._channels.fire(event, session)

    def _transfer(self, session: Session, data: str) -> None:
        if data and not data.lower().startswith(("-bleg", "-both")):
            self._channels.transfer(session, data)

    def _park(self, session: Session, _data: str) -> Steps | None:
        """On an async socket the channel is parked already, so this ends at once, as in the switch.

        It does so on a static one too, where a switch parks: `switch.applications["park"] = 60` takes longer.
        """
        return None if session.parked or session.in_socket else self._parked(session)

    def _parked(self, session: Session) -> Generator[Wait, Given, None]:
        seconds, _, cause = session.text_of("park_timeout").partition(":")
        session.set("park_timeout")
        self._channels.fire("CHANNEL_PARK", session)
        try:
            while (yield Wait(atoi(seconds) if seconds else None)) is not Instead.TIME:
                pass
            self._core.later(0, lambda: self._channels.hangup(session, cause_named(cause)))
            yield Wait(None)
        except Gone:
            self._channels.fire("CHANNEL_UNPARK", session)
            raise

    def _log(self, session: Session, data: str) -> None:
        word, _, text = data.partition(" ")
        names = {level.name: int(level) for level in LogLevel}
        if word.upper() in names:
            self._write(session, names[word.upper()], text)
        elif word:
            self._write(session, int(LogLevel.DEBUG), data)

    def _info(self, session: Session, _data: str) -> None:
        lines = [f"{name}: [{joined(value)}]" for name, value in session.fields()]
        self._write(session, int(LogLevel.INFO), "CHANNEL_DATA:\n" + "\n".join(lines))

    def _write(self, session: Session, level: int, text: str) -> None:
        frame = render.log_data(
            to_bytes(f"{text}\n"),
            level=level,
            file="mod_dptools.c",
            function="log_function",
            line=1865,
            uuid=session.uuid,
        )
        self._core.log(level, frame)
