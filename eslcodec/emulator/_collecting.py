"""Playing to a caller and collecting digits, as the switch does: `switch_ivr_play_file`, `switch_ivr_read`,
`switch_play_and_get_digits`. Time is emulated: a prompt takes no time unless a test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from .._ctext import atoi
from .._json import Field
from ._channels import Channels
from ._digits import Given, Gone, Instead, Prompt, Wait
from ._expand import argument, matches, separate
from ._model import PLAYED, Run, Session, run_of

_BUFFER: Final = 128
_ENDLESS_TRIES: Final = 100  # the switch takes a number below 0 for four thousand million
_RATE: Final = 8000  # samples a second


class Status(Enum):
    """How a part of an application ended, by the switch's names."""

    SUCCESS = "success"
    BREAK = "break"
    TIMEOUT = "timeout"
    TOO_SMALL = "too small"
    RESTART = "restart"
    NOT_FOUND = "not found"
    FALSE = "false"


def terminators_of(session: Session) -> str:
    """The keys that end what is played."""
    keys = session.text_of("playback_terminators") or "*"
    return {"any": "1234567890*#", "none": ""}.get(keys.lower(), keys)


def ends_playback(session: Session, given: Given) -> bool:
    """Whether a key ends what is played; others are taken and forgotten (`on_dtmf`)."""
    if not isinstance(given, str) or given not in terminators_of(session):
        return False
    session.set("playback_terminator_used", given)
    return True


def outcome(run: Run, status: Status) -> Run:
    """How an application ended that played a file."""
    return Run(run.seconds, "FILE NOT FOUND" if status is Status.NOT_FOUND else run.response, run.interrupted)


@dataclass
class Playing:
    """A file that is played to a channel.

    Args:
        channels: where.
        session: to whom.
        file: its path as the application has it.
        run: how long it takes, and how it ends.
        keys: "end" it if they are terminators; the "first" ends it, and is kept; or they are left "alone".
    """

    channels: Channels
    session: Session
    file: str
    run: Run
    keys: Literal["end", "first", "alone"] = "end"
    typed: str = ""

    def steps(self) -> Generator[Wait, Given, Status]:
        """Play it."""
        self.session.prompts.append(self.file)
        if not self.file:
            return Status.FALSE
        if self.run.response == "FILE NOT FOUND":
            return Status.NOT_FOUND
        if self.run.response == PLAYED.interrupted:
            return Status.FALSE
        spoken = self.file.lower().startswith(("say:", "phrase:"))
        if not spoken:
            self._fire("PLAYBACK_START")
        try:
            status = yield from self._heard()
        except Gone:
            self._stop("done", spoken)
            raise
        self._stop("break" if status is Status.BREAK else "done", spoken)
        return status

    def _heard(self) -> Generator[Wait, Given, Status]:
        takes: Literal["take", "leave"] = "leave" if self.keys == "alone" else "take"
        given = yield Wait(self.run.seconds, takes)
        while given is not Instead.TIME:
            if given is Instead.BREAK or (self.keys == "end" and ends_playback(self.session, given)):
                return Status.BREAK
            if self.keys == "first" and isinstance(given, str):
                self.typed = given
                return Status.BREAK
            given = yield Wait(None, takes, same=True)
        return Status.SUCCESS

    def _stop(self, status: str, spoken: bool) -> None:
        if spoken:
            return
        samples = int(self.run.seconds * _RATE) if status == "done" else 0
        for name, value in (
            ("last_offset_pos", samples),
            ("seconds", samples // _RATE),
            ("ms", samples // (_RATE // 1000)),
            ("samples", samples),
        ):
            self.session.set(f"playback_{name}", str(value))
        self._fire("PLAYBACK_STOP", ("Playback-Status", status))

    def _fire(self, name: str, *more: Field) -> None:
        fields: list[Field] = [("Playback-File-Path", self.file)]
        for kind in ("local_stream", "tone_stream"):
            if self.file.lower().startswith(f"{kind}:"):
                fields.insert(0, ("Playback-File-Type", kind))
        self.channels.fire(name, self.session, [*fields, *more], function="switch_ivr_play_file")


@dataclass(frozen=True)
class Reading:
    """What `read` wants: the arguments of `switch_ivr_read`."""

    least: int
    most: int
    prompt: str
    variable: str
    timeout: float
    terminators: str
    digit_timeout: float


class Collector:
    """The applications that collect digits.

    Args:
        channels: where.
        transfer: takes a channel to another place in the dialplan.
    """

    def __init__(self, channels: Channels, transfer: Callable[[Session, str], object]) -> None:
        self._channels = channels
        self._transfer = transfer

    def play(
        self, session: Session, file: str, keys: Literal["end", "first", "alone"]
    ) -> Generator[Wait, Given, tuple[Status, str]]:
        """Play a prompt, as long and with the end that a test gave `playback`; give the key that ended it."""
        effect = self._channels.applications.get("playback")
        found: object = effect(session, file) if callable(effect) else effect
        run = run_of("playback", found if isinstance(found, (int, float, Run)) else None)
        playing = Playing(self._channels, session, file, run, keys)
        status = yield from playing.steps()
        return status, playing.typed

    def read(self, session: Session, data: str) -> Generator[Wait, Given, None]:
        """`read`: <min> <max> <file> <variable> <timeout> <terminators> <digit timeout>."""
        given = separate(data, limit=7)
        if not given:
            return
        least = max(1, atoi(given[0]))
        yield from self._read(session, _reading(least, given[1:]))

    def play_and_get_digits(self, session: Session, data: str) -> Generator[Wait, Given, None]:
        """`play_and_get_digits`: <min> <max> <tries> <timeout> <terminators> <file> <invalid file> <variable> <regex>
        <digit timeout> <where to go on failure>."""
        given = separate(data, limit=11)
        if not given:
            return
        most, tries, timeout, terminators, prompt, invalid, variable, regex, digit_timeout, failing = (
            argument(given, index) for index in range(1, 11)
        )
        wanted = _reading(max(0, atoi(given[0])), [most, prompt, variable, timeout, terminators, digit_timeout])
        if regex and variable:
            session.set(f"{variable}_invalid")
        for _ in range(atoi(tries) if atoi(tries) >= 0 else _ENDLESS_TRIES):
            status, digits = yield from self._read(session, wanted)
            if self._got(session, wanted, regex, status, digits):
                return
            if invalid:
                yield from self.play(session, invalid, "alone")
        if failing:
            self._transfer(session, failing)

    @staticmethod
    def _got(session: Session, wanted: Reading, regex: str, status: Status, digits: str) -> bool:
        """Whether one try of `play_and_get_digits` was the last."""
        if status is Status.RESTART:
            return True
        if status is Status.TIMEOUT and len(digits) >= wanted.least:
            status = Status.SUCCESS
        if not wanted.least and not digits and session.text_of("read_terminator_used"):
            return True
        if status is not Status.SUCCESS or not digits:
            return False
        if not regex or matches(digits, regex):
            return True
        session.set(wanted.variable)
        if wanted.variable:
            session.set(f"{wanted.variable}_invalid", digits)
        return False

    def _read(self, session: Session, wanted: Reading) -> Generator[Wait, Given, tuple[Status, str]]:
        """`switch_ivr_read`: how it ended, and the digits."""
        session.set("read_result")
        session.set(wanted.variable)
        if wanted.most > _BUFFER or wanted.least > _BUFFER:
            return Status.FALSE, ""
        status, digits = Status.SUCCESS, ""
        if wanted.prompt and wanted.prompt.lower() != "silence":
            status, digits = yield from self.play(session, wanted.prompt, "first")
        if status in (Status.SUCCESS, Status.BREAK):
            status, digits = yield from self._read_rest(session, wanted, digits)
        if status is not Status.RESTART and wanted.most == 1 and digits and digits in wanted.terminators:
            digits = ""
        if digits:
            session.set(wanted.variable, digits)
        return status, digits

    def _read_rest(self, session: Session, wanted: Reading, digits: str) -> Generator[Wait, Given, tuple[Status, str]]:
        status, used = Status.SUCCESS, ""
        if len(digits) < wanted.least or len(digits) < wanted.most:
            status, digits, used = yield from _collect(wanted, digits)
        if used:
            session.set("read_terminator_used", used)
            mark = wanted.terminators[wanted.terminators.index(used) - 1] if wanted.terminators.index(used) else ""
            digits += used if mark in ("+", "x") else ""
            status = Status.RESTART if mark == "x" else status
        elif wanted.terminators.startswith("="):
            status = Status.TOO_SMALL
        if len(digits) < wanted.least:
            status = Status.TOO_SMALL
        results = {Status.SUCCESS: "success", Status.TIMEOUT: "timeout"}
        session.set("read_result", results.get(status, "failure"))
        return status, digits


def _reading(least: int, given: list[str]) -> Reading:
    """The arguments of `switch_ivr_read`: most digits, file, variable, timeout, terminators, digit timeout."""
    most, prompt, variable, timeout, terminators, digit_timeout = (argument(given, index) for index in range(6))
    longest = max(1000, atoi(timeout)) / 1000
    return Reading(
        least=least,
        most=max(least, atoi(most)),
        prompt=prompt,
        variable=variable,
        timeout=longest,
        terminators=terminators or "#",
        digit_timeout=max(0, atoi(digit_timeout)) / 1000 or longest,
    )


def _collect(wanted: Reading, digits: str) -> Generator[Wait, Given, tuple[Status, str, str]]:
    """`switch_ivr_collect_digits_count`: how it ended, the digits, and the key that ended them."""
    if len(digits) >= min(_BUFFER, wanted.most):
        return Status.FALSE, digits, ""
    if digits and digits in wanted.terminators:
        return Status.SUCCESS, "", digits
    prompt = Prompt(wanted.prompt)
    wait = Wait(wanted.digit_timeout if digits else wanted.timeout, "take", prompt)
    while True:
        given = yield wait
        if given is Instead.TIME:
            return Status.TIMEOUT, digits, ""
        if not isinstance(given, str):
            wait = Wait(None, "take", prompt, same=True)
            continue
        if given in wanted.terminators:
            return Status.SUCCESS, digits, given
        digits += given
        if len(digits) >= wanted.most:
            return Status.SUCCESS, digits, ""
        wait = Wait(wanted.digit_timeout, "take", prompt)
