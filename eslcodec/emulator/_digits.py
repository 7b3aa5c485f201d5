"""Keys on an emulated call: what is typed, who types it, and how an application waits for it.

An application that waits is a generator: it yields a `Wait`, and is given a key, or what happened instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

KEYS: Final = frozenset("0123456789*#ABCDabcdWwFf")
"""What the switch takes for a key (`is_dtmf`): the last ones are pauses and a flash."""
KEYS_KEPT: Final = 1000
"""Keys that wait on a channel; the oldest are lost, as in the switch."""


def keys_of(text: str) -> str:
    """The keys that somebody is to type.

    Raises:
        ValueError: one of them is on no telephone.

    Example:
        >>> keys_of("12#")
        '12#'
    """
    for key in text:
        if key not in KEYS:
            raise ValueError(
                f"{key!r} in {text!r} is no key, expected 0 to 9, *, #, A to D, w and W (pauses), F (flash)"
            )
    return text


@dataclass(frozen=True)
class Key:
    """A key that was pressed, and waits on a channel."""

    digit: str
    source: str = "RTP"
    duration: int = 2000


class Instead(Enum):
    """What an application is given that waits, instead of a key."""

    TIME = "the time has passed"
    BREAK = "the switch was told to break it off"
    KEY = "a key waits that it does not take"


class Gone(Exception):
    """The channel has hung up; thrown into an application that waits."""


class KeysNotTaken(AssertionError):
    """A call ended, and nothing had taken the keys that a test pressed on it.

    Attributes:
        keys: these keys.
        uuid: of the call.

    Example:
        >>> error = KeysNotTaken("12#", ["answer", "playback"])
        >>> error.keys, str(error).partition(";")[0]
        ('12#', 'the call ended before anything took the keys 12#')
    """

    def __init__(self, keys: str, executed: Iterable[str], uuid: str = "") -> None:
        self.keys, self.uuid = keys, uuid
        super().__init__(
            f"the call ended before anything took the keys {keys}; it ran {', '.join(executed) or 'no application'}. "
            "`press` is for an application that takes digits, such as play_and_get_digits or read, and for a client "
            "that subscribed to DTMF; `press(keys, after=application)` and `dtmf` type while none runs"
        )


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a caller has heard and may answer: each is asked once."""

    text: str
    takes: Literal["keys", "speech", "recording"] = "keys"


@dataclass(frozen=True)
class Wait:
    """What an application waits for.

    Attributes:
        seconds: after so many it goes on; None is for ever.
        keys: whether it takes keys, only looks for them, or leaves them alone.
        prompt: what a scripted caller answers now, None if nothing is asked.
        same: the time of the wait before this goes on.
    """

    seconds: float | None
    keys: Literal["take", "look", "leave"] = "take"
    prompt: Prompt | None = None
    same: bool = False


@dataclass(frozen=True)
class Step:
    """What a caller does when asked.

    Attributes:
        kind: presses keys, says nothing, hangs up, says something, or talks for a while.
        value: the keys, the hangup cause, the words, or the seconds.
        after: not before this application has ended, and while none runs: for a client that listens to digits itself.
    """

    kind: Literal["press", "silence", "hangup", "say", "talk"]
    value: str | float = ""
    after: str = ""


Given = str | Instead | Step
"""What an application is given that waits: a key, what happened instead, or what the caller says."""
Steps = Generator[Wait, Given, object]
"""An application that waits."""

ScriptStep = str | tuple[str] | tuple[str, "str | float"] | Step | None
Script = Iterable[ScriptStep] | Callable[[str], ScriptStep]
"""What a caller does: a step for each prompt in order, or a function from the prompt to the step."""

_KINDS: Final = ("press", "silence", "hangup", "say", "talk")


def step_of(given: ScriptStep) -> Step:
    """A step as a script has it: keys, a tuple of a word and what belongs to it, or None for silence.

    Raises:
        ValueError: it is none.

    Example:
        >>> step_of("12#"), step_of(("hangup", "USER_BUSY")), step_of(None)
        (Step(kind='press', value='12#', after=''), Step(kind='hangup', value='USER_BUSY', after=''), \
Step(kind='silence', value='', after=''))
    """
    if isinstance(given, Step):
        return given
    if given is None or given == "":
        return Step("silence")
    if isinstance(given, str):
        return Step("press", keys_of(given))
    parts: object = given  # a test may say anything
    word, *rest = parts if isinstance(parts, (tuple, list)) else (parts,)
    for kind in _KINDS:
        if word == kind and len(rest) < 2:
            value = rest[0] if rest else ""
            if kind == "press":
                return step_of(str(value))
            return Step(kind, float(value) if kind == "talk" else str(value))
    raise ValueError(f"{given!r} is no step, expected keys, or one of {', '.join(_KINDS)} with its value in a tuple")


@dataclass
class Caller:
    """Who answers the prompts of a call.

    Args:
        script: what the caller does; without one, only what is asked of `steps`, and otherwise time passes as it does.

    Attributes:
        steps: what the caller is still to do, before the script.
    """

    script: Script | None = None
    steps: deque[Step] = field(default_factory=deque)
    _rest: Iterator[ScriptStep] | None = None

    def answer(self, prompt: Prompt) -> Step | None:
        """What the caller does at a prompt; None is nothing for the time being."""
        if self.steps:
            return None if self.steps[0].after else self.steps.popleft()
        if self.script is None:
            return None
        if callable(self.script):
            return step_of(self.script(prompt.text))
        if self._rest is None:
            self._rest = iter(self.script)
        return step_of(next(self._rest, None))

    def answer_idle(self, ended: str, listens: bool) -> Step | None:
        """What the caller does while no application runs.

        Args:
            ended: the application that ended last.
            listens: whether a client asked for digits.
        """
        if not self.steps or self.steps[0].kind != "press":
            return None
        wanted = self.steps[0].after
        return self.steps.popleft() if (ended == wanted if wanted else listens) else None

    def leftover(self) -> str:
        """The keys that nothing took, "" if there are none; they are forgotten."""
        pressed = [str(step.value) for step in self.steps if step.kind == "press"]
        self.steps.clear()
        return ", ".join(map(repr, pressed))
