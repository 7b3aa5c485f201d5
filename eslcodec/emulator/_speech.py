"""Speech on an emulated switch: what a scripted caller says is what a recognizer hears, and sessions are recorded."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Final

from .._ctext import atoi, is_true, to_bytes
from .._json import Field
from ._channels import Channels
from ._collecting import Collector, Status, terminators_of
from ._core import Core
from ._digits import Given, Prompt, Step, Wait
from ._model import Application, Run, Session

_COMMANDS: Final = ("grammar", "nogrammar", "grammaron", "grammaroff", "grammarsalloff", "init", "param")
_SILENCE: Final = 5.0
_RATE: Final = 8000


class Speech:
    """Applications that recognize speech.

    Args:
        core: what the switch stands on.
        channels: whose callers speak.
        collector: plays the prompts.
    """

    def __init__(self, core: Core, channels: Channels, collector: Collector) -> None:
        self._core = core
        self._channels = channels
        self._collector = collector
        channels.heard = self.heard

    def applications(self) -> Mapping[str, Application]:
        """They by name."""
        return {"detect_speech": self._detect, "play_and_detect_speech": self._play_and_detect}

    def heard(self, session: Session, words: str) -> None:
        """Something has been said: the events of a recognizer, the second with what it heard as its body."""
        self._fire(session, "begin-speaking", None)
        self._fire(session, "detected-speech", to_bytes(words))

    def _fire(self, session: Session, kind: str, body: bytes | None) -> None:
        fields: list[Field] = [("Speech-Type", kind), *session.fields()]
        self._core.fire(self._core.event("DETECTED_SPEECH", fields, body, function="speech_thread"))

    def _detect(self, session: Session, data: str) -> None:
        """`detect_speech`: it ends at once, and what the caller says comes when it is said."""
        word, *rest = data.split() or [""]
        if word.lower() in ("stop", "pause"):
            session.listens = None
        elif word.lower() == "resume" or (word.lower() not in _COMMANDS and len(rest) > 1):
            session.listens = Prompt(data, "speech")

    def _play_and_detect(self, session: Session, data: str) -> Generator[Wait, Given, Run]:
        """`play_and_detect_speech`: <file> detect:<engine> <grammar>; the result is the variable of its name."""
        session.set("detect_speech_result")
        file, found, detect = data.partition("detect:")
        if not found or len(detect.split(None, 1)) != 2:
            return Run(response="USAGE ERROR")
        status, _ = yield from self._collector.play(session, file.strip(), "alone")
        if status not in (Status.SUCCESS, Status.BREAK):
            return Run(response="ERROR")
        prompt = Prompt(file.strip(), "speech")
        given = yield Wait(_SILENCE, "take", prompt)
        ends = terminators_of(session) if session.text_of("playback_terminators") else ""
        while isinstance(given, str) and given not in ends:
            given = yield Wait(None, "take", prompt, same=True)
        if isinstance(given, Step) and given.kind == "say":
            if is_true(session.text_of("fire_asr_events")):
                self.heard(session, str(given.value))
            session.set("detect_speech_result", str(given.value))
        elif isinstance(given, str):
            session.set("playback_terminator_used", given)
            session.set("detect_speech_result", f"DIGIT: {given}")
        return Run(response="DONE")


class SessionRecordings:
    """`record_session`, `stop_record_session`: recordings beside whatever else runs, until the call ends.

    Args:
        core: what the switch stands on.
        channels: that are recorded.
    """

    def __init__(self, core: Core, channels: Channels) -> None:
        self._core = core
        self._channels = channels
        channels.before_report = self._stop_all

    def applications(self) -> Mapping[str, Application]:
        """They by name."""
        silent = dict.fromkeys(f"record_session_{word}" for word in ("mask", "unmask", "pause", "resume"))
        return {
            **dict.fromkeys(silent, 0.0),
            "record_session": self._start,
            "stop_record_session": self._stop_asked,
        }

    def _start(self, session: Session, data: str) -> None:
        path, _, rest = data.partition(" ")
        if not path or path in session.recordings:
            return
        session.recordings[path] = self._core.clock()
        self._channels.fire("RECORD_START", session, [("Record-File-Path", path)], function="record_callback")
        self._bug("MEDIA_BUG_START", session, path)
        if rest.startswith("+") and atoi(rest[1:]) > 0:
            self._core.later(atoi(rest[1:]), lambda: self._stop(session, path, "success-maxtime"))

    def _stop_asked(self, session: Session, data: str) -> None:
        for path in list(session.recordings) if data == "all" else [data]:
            self._stop(session, path)

    def _stop_all(self, session: Session) -> None:
        self._stop_asked(session, "all")

    def _stop(self, session: Session, path: str, cause: str = "") -> None:
        started = session.recordings.pop(path, None)
        if started is None:
            return
        seconds = max(0.0, self._core.clock() - started)
        session.set("record_samples", str(int(seconds * _RATE)))
        session.set("record_seconds", str(int(seconds)))
        session.set("record_ms", str(int(seconds * 1000)))
        session.set("record_completion_cause", cause)
        more: list[Field] = [("Record-Completion-Cause", cause)] if cause else []
        self._channels.fire("RECORD_STOP", session, [("Record-File-Path", path), *more], function="record_callback")
        self._bug("MEDIA_BUG_STOP", session, path)

    def _bug(self, name: str, session: Session, path: str) -> None:
        fields: list[Field] = [("Media-Bug-Function", "session_record"), ("Media-Bug-Target", path)]
        self._core.fire(self._core.event(name, [*fields, *session.fields()], function="switch_core_media_bug"))
