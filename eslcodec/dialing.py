"""Dial strings: what `originate` and the application `bridge` call, with its variables, quoted as the switch reads it.

    >>> dial_string(["user/1000", "user/1001"], {"greeting": "Hello, world", "ring": "yes"})
    DialString('{greeting=Hello\\\\, world,ring=yes}user/1000,user/1001')
    >>> originate_arguments("user/1000", application="playback", argument="two words.wav", timeout=20)
    'user/1000 &playback(two\\\\swords.wav) undef undef undef undef 20'

A dial string is taken apart several times, and each time a level of quotes and backslashes goes: an argument of
`originate` at its blanks, a `{...}` block at its commas, each of its parts at `=`; legs at `|`, then at `,`
(docs/guides/operator.md has the table). So a text is escaped once for each time that it is read. Nothing here is put
into single quotes: a backslash is enough, and it does not depend on what else stands in the string.

What no escape can express raises `InvalidCommand`: an empty value (the switch deletes the variable), `${` in a value
(the switch refuses it, unless `origination_nested_vars` is `true`), `)` in an application's argument (it is cut there).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from .commands import _line, _number, _shown, _text, _word
from .enums import HangupCause
from .errors import CommandError, InvalidCommand
from .limits import MAX_LEGS, MAX_VARIABLES

Variable = str | int
"""A variable's value; a bool is `true` or `false`."""

Reason = Literal["answered", "busy", "no answer", "rejected", "failed", "connected"]
"""How an attempt ended. "connected": the switch says +OK, which it does at early media too, and nobody asked which."""

APART: Final = ":_:"
"""Stands between dial strings that are called apart from each other (`enterprise`)."""

_NAME: Final = re.compile(r"[^\s\x00-\x1f'\"\\=,|{}\[\]<>^$]+")
_NESTED: Final = "origination_nested_vars"
_VARIABLE: Final = re.compile(r"\$[\\$]*\{")  # as `switch_string_var_check_const` finds it
_ESCAPED: Final = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL: Final = re.compile(r"[\\'\n\r\t]")
_CONTROLS: Final = re.compile("[\0\1\2]")  # the switch marks the commas of a leg's variables with two of them
_ENDS: Final = re.compile("^ +| +$")
_BRACKETS: Final = {"{": "}", "<": ">", "[": "]"}


class DialString(str):
    """A dial string that is ready: it goes to the switch as it is, apart from what `originate` itself takes away.

    `dial_string` and `enterprise` make one. Made by hand it is for those who write the switch's syntax themselves.

    Example:
        >>> DialString("{ignore_early_media=true}sofia/gateway/carrier/100|user/1000")
        DialString('{ignore_early_media=true}sofia/gateway/carrier/100|user/1000')
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"DialString({str.__repr__(self)})"


@dataclass(frozen=True, slots=True)
class Leg:
    """One that is called, with variables of its own (`[...]` in a dial string).

    Attributes:
        target: such as "user/1000" or "sofia/gateway/carrier/15551234".
        variables: for this leg only.

    Example:
        >>> dial_string([Leg("user/1000", {"leg_timeout": 10}), "user/1001"])
        DialString('[leg_timeout=10]user/1000,user/1001')
    """

    target: str
    variables: Mapping[str, Variable] = field(default_factory=dict)


Targets = str | Leg | Sequence[str | Leg]
"""What is called: one target or several. A `DialString` is one that is ready."""


@dataclass(frozen=True, slots=True)
class Originated:
    """What an originate came to. It is true if the call was answered, or is connected.

    Attributes:
        answered: whether it was.
        reason: "answered", "busy", "no answer", "rejected" or "failed"; "connected" of `wait="job"`, and where a
            `myevents` given meanwhile keeps the answer back.
        cause: the switch's name, such as "USER_BUSY"; "SUCCESS" if it was answered or connected.
        uuid: of the channel; "" if there is none any more.
        text: what the switch put out.

    Example:
        >>> made = Originated.of("-ERR USER_BUSY\\n")
        >>> made.reason, made.cause, bool(made)
        ('busy', 'USER_BUSY', False)
    """

    answered: bool
    reason: Reason
    cause: str
    uuid: str
    text: str

    def __bool__(self) -> bool:
        return self.reason in ("answered", "connected")

    @classmethod
    def of(cls, text: str) -> Originated:
        """From what `originate` put out.

        Raises:
            CommandError: it is not that a call failed: a wrong argument, or no such command.
        """
        said = text.strip()
        if said.startswith("+OK "):
            return cls(False, "connected", "SUCCESS", said[4:], text)
        cause = said.removeprefix("-ERR ")
        if cause == said or cause not in HangupCause.__members__:
            raise CommandError(said)
        return cls(False, reason_of(cause), cause, "", text)

    def as_answered(self) -> Originated:
        """The same, of a channel that was answered."""
        return Originated(True, "answered", self.cause, self.uuid, self.text)

    def as_ended(self, cause: str) -> Originated:
        """The same, of a channel that hung up before anybody answered."""
        return Originated(False, reason_of(cause), cause, self.uuid, self.text)


_REASONS: Final[dict[str, Reason]] = {
    "USER_BUSY": "busy",
    "NO_USER_RESPONSE": "no answer",
    "NO_ANSWER": "no answer",
    "ORIGINATOR_CANCEL": "no answer",
    "ALLOTTED_TIMEOUT": "no answer",
    "MEDIA_TIMEOUT": "no answer",
    "PROGRESS_TIMEOUT": "no answer",
    "CALL_REJECTED": "rejected",
    "OUTGOING_CALL_BARRED": "rejected",
    "INCOMING_CALL_BARRED": "rejected",
    "BEARERCAPABILITY_NOTAUTH": "rejected",
    "DECLINED": "rejected",
    "REJECT_ALL": "rejected",
    "SUCCESS": "answered",
}


def reason_of(cause: str) -> Reason:
    """What the cause of a call that was not answered means.

    Example:
        >>> reason_of("USER_BUSY"), reason_of("NO_USER_RESPONSE"), reason_of("UNALLOCATED_NUMBER")
        ('busy', 'no answer', 'failed')
    """
    return _REASONS.get(cause, "failed")


# Dial strings


def dial_string(
    targets: Targets, variables: Mapping[str, Variable] | None = None, *, together: bool = True
) -> DialString:
    """What to call, as the switch reads it.

    Args:
        targets: one or several; a `Leg` has variables of its own.
        variables: for every leg. They win over a leg's own, as in the switch.
        together: several at the same time; else one after the other until one answers.

    Raises:
        InvalidCommand: something cannot be expressed; it says what and why.

    Example:
        >>> dial_string(["user/1000", "sofia/gateway/carrier/100"], {"note": "it's"}, together=False)
        DialString("{note=it\\\\\\\\\\\\'s}user/1000|sofia/gateway/carrier/100")
    """
    if isinstance(targets, DialString):
        return with_variables(targets, variables or {})
    several = [targets] if isinstance(targets, (str, Leg)) else list(targets)
    if not 0 < len(several) <= MAX_LEGS:
        raise InvalidCommand(f"{len(several)} targets, expected 1 to {MAX_LEGS}")
    legs = [one if isinstance(one, Leg) else Leg(one) for one in several]
    nested = _is_nested(variables or {}, *(leg.variables for leg in legs))
    written = [_leg(leg, variables or {}, nested) for leg in legs]
    return DialString(_block("{", variables or {}, nested) + ("," if together else "|").join(written))


def enterprise(*parts: DialString, variables: Mapping[str, Variable] | None = None) -> DialString:
    """Several dial strings that are called at the same time, each by itself, with its own order and variables.

    Args:
        parts: from `dial_string`.
        variables: for all of them (`<...>` in a dial string).

    Example:
        >>> enterprise(dial_string("user/1000"), dial_string("user/1001", {"a": 1}), variables={"b": 2})
        DialString('<b=2>user/1000:_:{a=1}user/1001')
    """
    if not 1 < len(parts) <= MAX_LEGS:
        raise InvalidCommand(f"{len(parts)} dial strings, expected 2 to {MAX_LEGS}")
    for part in parts:
        if APART in part or part.startswith("<"):
            raise InvalidCommand(f"the dial string {_shown(part)} consists of several already")
    return with_variables(DialString(APART.join(parts)), variables or {})


def with_variables(dialled: DialString, variables: Mapping[str, Variable]) -> DialString:
    """A dial string with more variables for every leg; those that it has itself win.

    Example:
        >>> with_variables(DialString("{a=1}user/1000"), {"a": 2, "b": 3})
        DialString('{a=2,b=3}{a=1}user/1000')
    """
    apart = dialled.startswith("<") or APART in dialled
    nested = f"{_NESTED}=true" in dialled.lower() or _is_nested(variables)
    return DialString(_block("<" if apart else "{", variables, nested) + dialled)


def originate_arguments(
    targets: Targets,
    *,
    application: str | None = None,
    argument: str = "",
    extension: str | None = None,
    variables: Mapping[str, Variable] | None = None,
    timeout: int | None = None,
    caller_id_name: str | None = None,
    caller_id_number: str | None = None,
    together: bool = True,
) -> str:
    """The arguments of the API command `originate`.

    Args:
        targets, variables, together: as of `dial_string`.
        application: what the answered channel runs, such as "park".
        argument: of the application. The switch expands `${...}` in it when it runs, as in the dialplan.
        extension: instead of an application: an extension, its dialplan and context too if need be ("1000 XML public").
        timeout: seconds that it may ring.
        caller_id_name, caller_id_number: that are shown to who is called.

    Raises:
        InvalidCommand: something cannot be expressed; it says what and why.

    Example:
        >>> originate_arguments("user/1000", extension="9664 XML default", caller_id_name="J. Doe")
        '{origination_caller_id_name=J.\\\\sDoe}user/1000 9664 XML default'
    """
    given = dict(variables or {})
    for name, text in (("name", caller_id_name), ("number", caller_id_number)):
        if text is not None:
            given[f"origination_caller_id_{name}"] = text
    dialled = _unmistaken("the dial string", dial_string(targets, given, together=together))
    if (application is None) == (extension is None):
        raise InvalidCommand("expected an application or an extension, one of the two")
    words = [_application(application, argument)] if application is not None else _extension(extension, argument)
    if timeout is not None:
        words += ["undef"] * (5 - len(words)) + [_number("the timeout", timeout, 1)]
    return " ".join([dialled, *words])


def _application(application: str, argument: str) -> str:
    name = _word("the application", application)
    if re.search(r"[()&]", name):
        raise InvalidCommand(f"the application is {_shown(name)}, expected a name without brackets")
    text = _text("the argument", argument)
    if ")" in text:
        raise InvalidCommand(
            f"the argument {_shown(text)} has ')' in it, where the switch cuts it: "
            "put it into a variable and give '${name}' as the argument"
        )
    return _unmistaken("the argument", f"&{name}({text})" if text else f"&{name}")


def _extension(extension: str | None, argument: str) -> list[str]:
    if argument:
        raise InvalidCommand("an argument is for an application, an extension has none")
    words = _line("the extension", extension).split(" ")
    if not 1 <= len(words) <= 3 or "" in words:
        raise InvalidCommand(f"the extension is {_shown(extension or '')}, expected 'EXTENSION [DIALPLAN [CONTEXT]]'")
    if words[0].startswith("&"):
        raise InvalidCommand(f"the extension is {_shown(words[0])}, which is an application: give application=")
    return [_unmistaken("the extension", word) for word in words]


def _unmistaken(what: str, text: str) -> str:
    """An argument of `originate`, some of which mean something else there."""
    if text.lower() == "undef" or text.startswith("^^"):
        raise InvalidCommand(f"{what} is {_shown(text)}, which the switch reads as something else")
    return api_word(what, text)


def api_word(what: str, text: str) -> str:
    """A text as one argument of an API command that splits at blanks, where it comes out as it is.

    Args:
        what: for the error.
        text: the argument.

    Raises:
        InvalidCommand: it has a NUL in it, or a vertical tab at its end.

    Example:
        >>> api_word("the path", "/tmp/it's mine.wav")
        "/tmp/it\\\\'s\\\\smine.wav"
    """
    if "\0" in text or text.endswith("\v"):  # where the line ends, and what the switch strips from its end
        raise InvalidCommand(f"{what} is {_shown(text)}, expected no NUL in it and no vertical tab last")
    return _escaped(text).replace(" ", "\\s")


# Inside: what stands in it


def _escaped(text: str, delimiter: str = "") -> str:
    """A text that comes out as it is where it is split once (`switch_separate_string`)."""
    found = _SPECIAL.sub(lambda match: _ESCAPED[match[0]], text)
    return found.replace(delimiter, f"\\{delimiter}") if delimiter else found


def escaped(text: str, delimiter: str) -> str:
    """A text that comes out as it is, blanks at its ends too, where it is split once.

    Example:
        >>> escaped(" a;b", ";")
        '\\\\sa\\\\;b'
    """
    return _ENDS.sub(lambda match: "\\s" * len(match[0]), _escaped(text, delimiter))


def _protected(text: str, *delimiters: str) -> str:
    """The same where it is split again and again, innermost first. Blanks at its ends stay, and nothing in it is taken
    for what separates dial strings."""
    found = escaped(text, delimiters[0])
    while APART in found:
        found = found.replace(APART, ":''_:")  # the quotes go when it is split
    for delimiter in delimiters[1:]:
        found = _escaped(found, delimiter)
    return found


def _leg(leg: Leg, variables: Mapping[str, Variable], nested: bool) -> str:
    target = _line("a target", leg.target)
    if not target or target[0] in " {[<" or target.startswith("^^") or _CONTROLS.search(target):
        raise InvalidCommand(
            f"a target is {_shown(target)}, expected an endpoint such as 'user/1000': "
            "variables are given as variables=, a ready dial string as DialString(...)"
        )
    both = {name.lower() for name in leg.variables} & {name.lower() for name in variables}
    if both and str(variables.get("local_var_clobber", "")).lower() != "true":
        raise InvalidCommand(f"the variable {min(both)!r:.80} is given for a leg and for all, which wins in the switch")
    blocks = [_leg_block(name, value) for name, value in _checked(leg.variables, nested)]
    return "".join(blocks) + _protected(target, ",", "|")


def _leg_block(name: str, value: str) -> str:
    """A block of its own for each variable, so that no comma separates any."""
    if _CONTROLS.search(value):
        raise InvalidCommand(f"the variable {name} of a leg is {_shown(value)}, which has a control character in it")
    if _depths(value, "[") != (0, 0):
        raise InvalidCommand(
            f"the variable {name} of a leg is {_shown(value)}, with brackets that do not match: "
            "a leg's variables stand in brackets"
        )
    return f"[{name}={_protected(value, '', '', ',', '|')}]"


def _block(bracket: str, variables: Mapping[str, Variable], nested: bool) -> str:
    """`{a=1,b=2}`. Brackets in values that do not match are evened out by parts without `=`, which the switch skips."""
    if not variables:
        return ""
    parts = [f"{name}={_protected(value, '', ',')}" for name, value in _checked(variables, nested)]
    if len(parts) > MAX_VARIABLES:
        raise InvalidCommand(f"{len(parts)} variables, expected {MAX_VARIABLES} at most")
    inside = ",".join(parts)
    missing, left = _depths(inside, bracket)
    before = ["", bracket * missing] if missing else []  # the block must not begin with two brackets
    after = [_BRACKETS[bracket] * left] if left else []
    return bracket + ",".join([*before, inside, *after]) + _BRACKETS[bracket]


def _depths(text: str, bracket: str) -> tuple[int, int]:
    """How many opening brackets are missing before it, and how many closing ones after it then."""
    depth = lowest = 0
    for letter in text:
        depth += (letter == bracket) - (letter == _BRACKETS[bracket])
        lowest = min(lowest, depth)
    return -lowest, depth - lowest


def _is_nested(*variables: Mapping[str, Variable]) -> bool:
    return any(
        name.lower().endswith(_NESTED) and str(value).lower().startswith("true")
        for several in variables
        for name, value in several.items()
    )


def _checked(variables: Mapping[str, Variable], nested: bool) -> Iterator[tuple[str, str]]:
    """Names and values that can be expressed."""
    seen: set[str] = set()
    for name, value in variables.items():
        yield check_variable(name, value, nested=nested)
        if name.lower() in seen:
            raise InvalidCommand(f"the variable {name!r:.80} is given twice: the switch ignores case in names")
        seen.add(name.lower())


def check_variable(name: str, value: Variable, *, nested: bool = True) -> tuple[str, str]:
    """The name and the text of a variable that can be expressed.

    Args:
        name, value: as they are given.
        nested: whether `${` may stand in the value.

    Raises:
        InvalidCommand: it cannot.

    Example:
        >>> check_variable("hangup_after_bridge", True)
        ('hangup_after_bridge', 'true')
    """
    if not _NAME.fullmatch(_text("the name of a variable", name)) or name == "_body" or APART in name:
        raise InvalidCommand(
            f"the name of a variable is {_shown(name)}, expected one without blanks, quotes and brackets"
        )
    text = _value(name, value)
    if not nested and _VARIABLE.search(text):
        raise InvalidCommand(
            f"the variable {name} is {_shown(text)}: the switch refuses '${{' in a value, "
            f"unless the variable {_NESTED} is 'true'"
        )
    return name, text


def _value(name: str, value: Variable) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(int(value)) if isinstance(value, int) else _text(f"the variable {name}", value)
    if not text:
        raise InvalidCommand(f"the variable {name} is empty, which the switch takes for none: leave it out")
    if "\0" in text or text.startswith("ARRAY::"):
        raise InvalidCommand(f"the variable {name} is {_shown(text)}, expected no NUL in it and no 'ARRAY::' first")
    return text
