"""How dialled targets answer: what a test says of them, and what a fresh switch says of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from string import digits
from typing import Final

from .._ctext import atoi
from ..enums import HangupCause
from ._dialstring import Target
from ._model import Session

_WORDS: Final = {
    "answer": None,
    "ring": None,
    "busy": "USER_BUSY",
    "no answer": "NO_ANSWER",
    "rejected": "CALL_REJECTED",
}
_UNKNOWN: Final = {
    "user": "SUBSCRIBER_ABSENT",
    "loopback": "NO_ROUTE_DESTINATION",
    "group": "NO_ROUTE_DESTINATION",
    "pickup": "NO_PICKUP",
}
_PROFILES: Final = ("internal", "external")


@dataclass(frozen=True)
class Endpoint:
    """How a dialled target answers.

    Args:
        does: "answer", "busy", "no answer" (it rings and nobody answers; the time passes at once), "rejected", "ring"
            (for ever, until a timeout or until the caller gives up), or a hangup cause.
        rings: seconds until it rings; None if it does not, as with a phone that is busy.
        after: seconds until it does what it does.
        early_media: it sends media before it answers.
        talks: seconds after which it hangs up once it has answered; None if it does not.
        variables: that its channel has from the beginning.

    Example:
        >>> Endpoint("busy").cause, Endpoint("unallocated_number").cause, Endpoint("answer").cause
        ('USER_BUSY', 'UNALLOCATED_NUMBER', None)
        >>> Endpoint("bussy")
        Traceback (most recent call last):
        ValueError: an endpoint does 'bussy': expected answer, ring, busy, no answer, rejected, or a hangup cause \
(did you mean 'busy'?)
    """

    does: str = "answer"
    rings: float | None = 0.0
    after: float = 0.0
    early_media: bool = False
    talks: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.does not in _WORDS and self.does.upper() not in HangupCause.__members__:
            known = [*_WORDS, *HangupCause.__members__]
            close = get_close_matches(self.does, known, 1) or get_close_matches(self.does.upper(), known, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"an endpoint does {self.does!r}: expected {', '.join(_WORDS)}, or a hangup cause{hint}")

    @property
    def cause(self) -> str | None:
        """Its hangup cause; None if it answers, or rings for ever."""
        return _WORDS[self.does] if self.does in _WORDS else self.does.upper()

    @property
    def ring_after(self) -> float | None:
        """Seconds until it rings; None if it does not: who is busy or refuses does so without ringing."""
        silent = self.cause not in (None, "NO_ANSWER") and self.rings == 0.0
        return None if silent else self.rings


Answer = str | Endpoint | Callable[[str], "str | Endpoint"]
"""How a target answers: a word, an `Endpoint`, or a function of what was dialled that returns one of them."""


class Endpoints(dict[str, Answer]):
    """How targets answer, by what is dialled: exactly, or with `*` as in file names.

    Example:
        >>> endpoints = Endpoints()
        >>> endpoints["user/1000"] = "busy"
        >>> endpoints["sofia/gateway/carrier/*"] = Endpoint("answer", after=0.1)
        >>> endpoints.of("user/1000@example.org").cause, endpoints.of("sofia/gateway/carrier/49301").after
        ('USER_BUSY', 0.1)
        >>> endpoints.of("user/1001") is None
        True
    """

    def __setitem__(self, target: str, answer: Answer) -> None:
        if isinstance(answer, str):
            Endpoint(answer)  # says what is wrong with it, here and not when it is dialled
        super().__setitem__(target, answer)

    def of(self, dialled: str) -> Endpoint | None:
        """How a target answers; None if nothing is said of it."""
        answer = self._said(dialled)
        if callable(answer):
            answer = answer(dialled)
        if answer is None or isinstance(answer, Endpoint):
            return answer
        if not isinstance(answer, str):
            raise TypeError(f"endpoint {dialled!r} gave {answer!r}, expected a word or an Endpoint")
        return Endpoint(answer)

    def _said(self, dialled: str) -> Answer | None:
        for name in (dialled, dialled.partition("@")[0]):
            if name in self:
                return self[name]
        return next((answer for pattern, answer in self.items() if fnmatchcase(dialled, pattern)), None)


def refusal(target: Target) -> str:
    """Why a switch without users, gateways and dialplan cannot dial a target.

    Example:
        >>> refusal(Target("error", "user_busy")), refusal(Target("sofia", "gateway/x/1")), refusal(Target("1000", ""))
        ('USER_BUSY', 'INVALID_GATEWAY', 'CHAN_NOT_IMPLEMENTED')
    """
    if target.endpoint == "error":
        return _cause(target.destination)
    if target.endpoint == "sofia":
        profile = target.destination.partition("/")[0]
        if profile == "gateway":
            return "INVALID_GATEWAY"
        return "NORMAL_TEMPORARY_FAILURE" if profile in _PROFILES else "INVALID_PROFILE"
    return _UNKNOWN.get(target.endpoint, "CHAN_NOT_IMPLEMENTED")


def _cause(text: str) -> str:
    text = text.upper()
    if text in HangupCause.__members__:
        return text
    if text and text[0] in digits and atoi(text) in HangupCause._value2member_map_:
        return HangupCause(atoi(text)).name
    return "DESTINATION_OUT_OF_ORDER"


def channel_name(target: Target) -> str:
    """The `Channel-Name` of a channel that is dialled.

    Example:
        >>> channel_name(Target("user", "1000")), channel_name(Target("sofia", "gateway/carrier/49301"))
        ('sofia/internal/1000', 'sofia/external/49301')
    """
    kind, rest = target.endpoint, target.destination
    if kind == "user":
        return f"sofia/internal/{rest}"
    if kind == "sofia" and rest.startswith("gateway/"):
        return f"sofia/external/{rest.split('/', 2)[-1]}"
    if kind == "loopback":
        return f"loopback/{rest.partition('/')[0]}-a"
    return f"{kind}/{rest}"


def number(target: Target) -> str:
    """The number that is dialled, as `Caller-Destination-Number` has it.

    Example:
        >>> number(Target("sofia", "internal/1000@10.0.0.1")), number(Target("loopback", "9664/default"))
        ('1000', '9664')
    """
    parts = target.destination.split("/")
    last = parts[-1] if target.endpoint == "sofia" else parts[0]
    return last.removeprefix("sip:").partition("@")[0] or "service"


def codec_variables(session: Session) -> dict[str, str]:
    """The variables that a channel gets with its media."""
    media = {"read_codec": "PCMU", "read_rate": "8000", "write_codec": "PCMU", "write_rate": "8000"}
    return {name: value for name, value in media.items() if name not in session.variables}
