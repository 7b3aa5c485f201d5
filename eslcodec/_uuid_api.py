"""The arguments of `uuid_...` commands, each as the switch reads it: nothing that is given becomes another argument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .commands import _line, _number, _shown, _text
from .dialing import Variable, api_word, check_variable, escaped
from .enums import HangupCause
from .errors import InvalidCommand

MAX_VARIABLES: Final = 64
"""What `uuid_setvar_multi` has room for."""

_UUID: Final = re.compile(r"[^\s'\"\\^;,{}\[\]]+")
_DIGITS: Final = re.compile(r"[0-9A-Da-d*#wW+@]+")
_APPLICATION: Final = re.compile("[^:]*::")  # as `switch_ivr_broadcast` tells it from a file
_LEGS: Final = ("aleg", "bleg", "both", "holdb")


def channel(uuid: object) -> str:
    """The uuid of a channel.

    Example:
        >>> channel("8f08a03a-0b4b-4e4f-9f1c-4a9ef1a3d0f3")
        '8f08a03a-0b4b-4e4f-9f1c-4a9ef1a3d0f3'
    """
    text = _text("the uuid", uuid)
    if not _UUID.fullmatch(text):
        raise InvalidCommand(f"the uuid is {_shown(text)}, expected one word without quotes and brackets")
    return text


def cause(name: str | HangupCause) -> str:
    """The cause of a hang-up, which the switch knows."""
    text = name.name if isinstance(name, HangupCause) else _text("the cause", name)
    if text not in HangupCause.__members__:
        raise InvalidCommand(f"the cause is {_shown(text)}, expected one such as NORMAL_CLEARING")
    return text


def word(what: str, text: object) -> str:
    """One argument, blanks and quotes in it too."""
    found = _text(what, text)
    if not found:
        raise InvalidCommand(f"{what} is empty")
    return api_word(what, found)


def rest(what: str, text: object) -> str:
    """The rest of the line, which the switch takes as it is."""
    found = _line(what, text)
    if not found or found != found.strip():
        raise InvalidCommand(f"{what} is {_shown(found)}, expected text without blanks around it")
    return found


def digits(text: object) -> str:
    """Digits to be sent: `w` and `W` are pauses, `@` and a number the milliseconds of each."""
    found = _text("the digits", text)
    if not _DIGITS.fullmatch(found):
        raise InvalidCommand(f"the digits are {_shown(found)}, expected 0-9 A-D * # w W, and @ with a duration")
    return found


def extension(destination: object, dialplan: object, context: object, leg: str | None) -> str:
    """Where `uuid_transfer` goes."""
    words = [word("the destination", destination)]
    if words[0].startswith("-"):
        raise InvalidCommand(f"the destination is {_shown(words[0])}, which the switch reads as an option")
    if leg is not None:
        if leg not in ("bleg", "both"):
            raise InvalidCommand(f"leg is {leg!r:.80}, expected 'bleg', 'both' or None")
        words.insert(0, f"-{leg}")
    if dialplan is not None or context is not None:
        words.append(word("the dialplan", "XML" if dialplan is None else dialplan))
    if context is not None:
        words.append(word("the context", context))
    return " ".join(words)


def broadcast(what: object, argument: object, leg: str) -> str:
    """What `uuid_broadcast` plays or runs, and for whom."""
    if leg not in _LEGS:
        raise InvalidCommand(f"leg is {leg!r:.80}, expected one of {', '.join(_LEGS)}")
    text = _text("what to play", what)
    if argument is None:
        if _APPLICATION.match(text):
            raise InvalidCommand(
                f"the file is {_shown(text)}, which the switch reads as an application: give argument="
            )
        return f"{word('what to play', text)} {leg}"
    if not text or ":" in text:
        raise InvalidCommand(f"the application is {_shown(text)}, expected a name without ':'")
    return f"{word('what to run', f'{text}::' + _text('the argument', argument))} {leg}"


def display(name: object, number: object) -> str:
    """What `uuid_display` shows, which is taken apart at blanks, and then at `|`.

    Example:
        >>> print(display("J|D", "100"))
        J\\\\|D|100
    """
    texts = [_text("the name", name), _text("the number", number)]
    if not texts[0] or texts[0].startswith("^^"):
        raise InvalidCommand(f"the name is {_shown(texts[0])}, expected text that does not begin with '^^'")
    return api_word("the text", "|".join(escaped(text, "|") for text in texts if text))


def variable(name: str, value: Variable | None) -> str:
    """A variable and its value for `uuid_setvar`; without one it is unset."""
    if value is None or value == "":
        return check_variable(name, "x")[0]
    name, text = check_variable(name, value)
    return f"{name} {api_word(f'the variable {name}', text)}"


def several(variables: Mapping[str, Variable]) -> str:
    """Variables for `uuid_setvar_multi`."""
    if not 0 < len(variables) < MAX_VARIABLES:
        raise InvalidCommand(f"{len(variables)} variables, expected 1 to {MAX_VARIABLES - 1}")
    parts = []
    for name, value in variables.items():
        name, text = check_variable(name, value, nested=False)
        parts.append(f"{name}={escaped(text, ';')}")
    return ";".join(parts)


def seconds(what: str, number: object) -> str:
    return _number(what, number, 0)
