"""An IVR without I/O: arguments of applications as the switch reads them, and what came out of an application.

The switch reads the argument of an application twice. First it expands `${...}`, in which it also calls API commands.
Then most applications cut what is left into words at blanks; quotes and backslashes count. `words` and `text` write an
argument so that the application gets exactly what was given: a blank stays in its word, and `${...}` stays text.

    >>> words("1", "please enter.wav", "")
    "1 'please enter.wav' ''"
    >>> DigitsAsked("ivr/pin.wav", max_digits=4).argument()
    "1 4 1 5000 # ivr/pin.wav '' collected_digits"
    >>> DigitsAsked("ivr/pin.wav", max_digits=4).outcome({"collected_digits": "1234", "read_result": "success"})
    Collected(digits='1234', reason='full', terminator='', rejected='')

The methods are in `aio/_ivr_verbs.py`; the blocking ones are made from these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Final, Literal, get_args

from .dialing import DialString, Reason, Targets, Variable, dial_string, reason_of
from .errors import InvalidCommand

CollectReason = Literal["terminator", "full", "timeout", "invalid"]
"""Why the switch stopped collecting digits."""

SayType = Literal[
    "number",
    "items",
    "persons",
    "messages",
    "currency",
    "time_measurement",
    "current_date",
    "current_time",
    "current_date_time",
    "telephone_number",
    "telephone_extension",
    "url",
    "ip_address",
    "email_address",
    "postal_address",
    "account_number",
    "name_spelled",
    "name_phonetic",
    "short_date_time",
]
SayMethod = Literal["pronounced", "iterated", "counted", "pronounced_year"]
SayGender = Literal["masculine", "feminine", "neuter"]
PlaybackAction = Literal["pause", "stop", "restart", "seek", "volume", "speed"]

MAX_DIGITS: Final = 127
"""Digits that the switch can collect: its buffer has 128 bytes, the last of which ends the text."""

MAX_DTMF: Final = 99
"""Characters that `send_dtmf` takes; the switch ignores a longer text."""

_MAX_MILLISECONDS: Final = 2**31 - 1
_DTMF: Final = re.compile(r"[0-9*#A-D]*")
_SENT_DTMF: Final = re.compile(r"[0-9*#A-DFWa-dfw]+")
_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_MODULE: Final = re.compile(r"[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+)?")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9_./:@=+~#*,!&()?<>;^$|\[\]{}\\-]+")
_SPECIAL_BACKSLASH: Final = re.compile(r"\\(?=[\\'\"nrst$]|\Z)")  # one that the switch would take for an escape
_EXPANDED_BACKSLASH: Final = re.compile(r"\\(?=[\\'$])")  # one that goes away when `${...}` is expanded
_EXPANDS: Final = re.compile(
    r"\$\\*\{|\\[\\'nst]"
)  # what makes the switch expand a text, in which it then removes them
_VARIABLE: Final = re.compile(r"\$\\*\{")


# Arguments


def _line(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {type(value).__name__}, expected str")
    for breaker in "\n\r\0":
        if breaker in value:
            raise InvalidCommand(f"{what} {value!r:.80} has {breaker!r} in it, expected a single line")
    return str.__str__(value)  # of a subclass what it holds


def _integer(what: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is {type(value).__name__}, expected int")
    if not low <= value <= high:
        read = str(int(value)) if value.bit_length() < 64 else f"{value.bit_length()} bits long"
        raise InvalidCommand(f"{what} is {read}, expected {low} to {high}")
    return int(value)


def _milliseconds(what: str, seconds: object, low: float) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, Real):
        raise TypeError(f"{what} is {type(seconds).__name__}, expected a number of seconds")
    value = float(seconds)
    if not low <= value <= _MAX_MILLISECONDS / 1000:  # nor is NaN
        raise InvalidCommand(f"{what} is {value:g} s, expected {low:g} to {_MAX_MILLISECONDS // 1000}")
    return round(value * 1000)


def _choice(what: str, value: object, choices: object) -> str:
    wanted = _line(what, value)
    if wanted.lower() not in get_args(choices):
        raise InvalidCommand(f"{what} is {wanted!r:.80}, expected one of: {', '.join(get_args(choices))}")
    return wanted.lower()


def _is_read_twice(texts: Sequence[str], expand: bool) -> bool:
    """Whether the switch finds something to expand, and so takes backslashes away once more."""
    return any("'" in one or _SPECIAL_BACKSLASH.search(one) or (_VARIABLE.search(one) and not expand) for one in texts)


def words(*parts: str, expand: bool = False) -> str:
    r"""Words as an application reads them that cuts its argument at blanks.

    Args:
        parts: the words, any text of one line.
        expand: leave `${...}` to the switch. What it puts in is read like the rest: a quote in it can end the word.

    Raises:
        InvalidCommand: there is a line end or NUL in one.

    Example:
        >>> print(words("a b", "^\\d+$", "it's", "${caller_id_name}"))
        'a b' ^\d+\$ 'it\\'s' \${caller_id_name}
        >>> print(words("a b", "^\\d+$"), words("${sound_prefix}/a b.wav", expand=True))
        'a b' ^\d+$ '${sound_prefix}/a b.wav'
    """
    texts = [_line("a word of an argument", part) for part in parts]
    twice = _is_read_twice(texts, expand)
    return " ".join(_word(one, twice, expand) for one in texts)


def _word(word: str, twice: bool, expand: bool) -> str:
    written = _SPECIAL_BACKSLASH.sub(lambda _: "\\" * 4, word).replace("'", "\\\\'")
    if twice and not expand:
        written = written.replace("$", "\\$")
    return written if _PLAIN_WORD.fullmatch(word) and not word.startswith("^^") else f"'{written}'"


def text(argument: str, *, expand: bool = False) -> str:
    r"""An argument that its application takes as a whole: only `${...}`, and backslashes with it, mean something.

    Example:
        >>> text("Your name is ${caller_id_name}")
        'Your name is \\${caller_id_name}'
        >>> text("Your name is ${caller_id_name}", expand=True), text("5 $ a piece")
        ('Your name is ${caller_id_name}', '5 $ a piece')
    """
    line = _line("an argument", argument)
    if line[:1] == "%" and "[" in line[1:3]:
        raise InvalidCommand(
            f"an argument is {line!r:.80}, of which the switch makes variables: expected no '%[' first"
        )
    if expand or not _EXPANDS.search(line):
        return line
    return _EXPANDED_BACKSLASH.sub(lambda _: "\\" * 2, line).replace("$", "\\$")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence)


def prompt(what: str, played: str | Sequence[str], *, expand: bool = False) -> str:
    """What is played: a path, `say:...`, `phrase:...`, `tone_stream://...` and so on. Of files, several in turn.

    Raises:
        InvalidCommand: one of several has in it what separates them, or is no file; or there is `${` for a phrase
            macro, which expands what it gets once more.

    Example:
        >>> prompt("the prompt", ["ivr/enter.wav", "ivr/pin.wav"])
        'file_string://ivr/enter.wav!ivr/pin.wav'
    """
    if isinstance(played, str):
        line = _line(what, played)
        if not expand and "phrase:" in line.lower() and _VARIABLE.search(line):
            raise InvalidCommand(f"{what} is {line!r:.80}: a phrase macro would expand the '${{' in it")
        return line
    if isinstance(played, (bytes, bytearray, memoryview)) or not _is_list(played):
        raise TypeError(f"{what} is {type(played).__name__}, expected str or several of them")
    items = [_file(f"an item of {what}", item) for item in played]
    return f"file_string://{'!'.join(items)}" if items else ""


def _file(what: str, item: object) -> str:
    """One of several files, as `file_string://` takes them."""
    line = _line(what, item)
    if not line or line != line.strip(" ") or line.startswith("^^") or set(line) & set("!'\\"):
        raise InvalidCommand(
            f"{what} is {line!r:.80}, expected text without '!', quotes and backslashes, and no blanks around it"
        )
    if line.lower().startswith(("say:", "phrase:")):
        raise InvalidCommand(f"{what} is {line!r:.80}, expected a file: 'say:' and 'phrase:' stand alone only")
    return line


@dataclass(frozen=True)
class DigitsAsked:
    r"""What `play_and_get_digits` or `read` is asked for.

    Args:
        prompt: what is played; "" for nothing. The first digit stops it.
        min_digits: fewer are refused.
        max_digits: the collection ends with so many.
        tries: how often the prompt is played at most.
        timeout: seconds to wait for the first digit after the prompt; the switch waits 1 s at least.
        digit_timeout: seconds to wait for each further digit; None: `timeout`.
        terminators: digits that end it and are not part of it; "" for none.
        invalid: what is played after a try that brought nothing that is wanted.
        pattern: a regular expression (PCRE) for the digits; it may match a part of them, so use `^` and `$`.
        transfer: where the switch sends the call after the last try: an extension, "1000 XML default".
        variable: the channel variable that gets the digits.
        expand: leave `${...}` in the texts to the switch.

    Raises:
        InvalidCommand: an argument that the switch would not take, or read as something else.
        TypeError: one of a wrong type.

    Example:
        >>> asked = DigitsAsked("enter pin.wav", max_digits=6, min_digits=4, tries=3, pattern="^\\d+$")
        >>> print(asked.argument())
        4 6 3 5000 # 'enter pin.wav' '' collected_digits ^\d+$ 5000
    """

    prompt: str | Sequence[str] = ""
    max_digits: int = 1
    min_digits: int = 1
    tries: int = 1
    timeout: float = 5.0
    digit_timeout: float | None = None
    terminators: str = "#"
    invalid: str | Sequence[str] | None = None
    pattern: str | None = None
    transfer: str | None = None
    variable: str = "collected_digits"
    expand: bool = False

    def __post_init__(self) -> None:
        _integer("max_digits", self.max_digits, 1, MAX_DIGITS)
        _integer("min_digits", self.min_digits, 0, self.max_digits)
        _integer("tries", self.tries, 1, 2**31 - 1)
        _milliseconds("timeout", self.timeout, 1)
        if self.digit_timeout is not None:
            _milliseconds("digit_timeout", self.digit_timeout, 0.001)
        if not _DTMF.fullmatch(_line("terminators", self.terminators)):
            raise InvalidCommand(f"terminators is {self.terminators!r:.80}, expected some of 0123456789*#ABCD")
        if not _NAME.fullmatch(_line("variable", self.variable)):
            raise InvalidCommand(f"variable is {self.variable!r:.80}, expected letters, digits and '_'")
        if not isinstance(self.expand, bool):
            raise TypeError(f"expand is {type(self.expand).__name__}, expected bool")

    @property
    def names(self) -> tuple[str, ...]:
        """The channel variables that say what came of it."""
        return (self.variable, f"{self.variable}_invalid", "read_result", "read_terminator_used")

    @property
    def _ends(self) -> str:
        return self.terminators or "none"  # for nothing at all the switch takes "#"; these are no digits

    def argument(self) -> str:
        """The argument of `play_and_get_digits`."""
        parts = [str(self.min_digits), str(self.max_digits), str(self.tries)]
        parts += [str(_milliseconds("timeout", self.timeout, 1)), self._ends]
        parts += [prompt("the prompt", self.prompt, expand=self.expand)]
        parts += [prompt("invalid", self.invalid or "", expand=self.expand), self.variable]
        if self.pattern or self.digit_timeout is not None or self.transfer:
            parts += [_line("pattern", self.pattern or ""), str(self._digit_milliseconds())]
        if self.transfer:
            parts.append(_line("transfer", self.transfer))
        return words(*parts, expand=self.expand)

    def read_argument(self) -> str:
        """The argument of `read`, which plays once and knows no pattern."""
        if not self.min_digits:
            raise InvalidCommand("min_digits is 0, expected 1 or more: `read` waits for one digit at least")
        parts = [
            str(self.min_digits),
            str(self.max_digits),
            prompt("the prompt", self.prompt, expand=self.expand) or "silence",
        ]
        parts += [self.variable, str(_milliseconds("timeout", self.timeout, 1)), self._ends]
        return words(*parts, str(self._digit_milliseconds()), expand=self.expand)

    def _digit_milliseconds(self) -> int:
        seconds = self.timeout if self.digit_timeout is None else self.digit_timeout
        return _milliseconds("digit_timeout", seconds, 0.001)

    def outcome(self, variables: Mapping[str, str | None]) -> Collected:
        """What came of it.

        Args:
            variables: those of `names`, as they are at the end of the application. The switch never takes
                `read_terminator_used` away, so unset it before; and what an earlier pattern refused only for the next
                pattern, so without one it is not looked at.
        """
        digits, refused, result, used = (variables.get(name) or "" for name in self.names)
        refused = refused if self.pattern else ""
        if digits and result != "failure":
            if len(digits) >= self.max_digits:
                return Collected(digits, "full")
            return Collected(digits, "timeout") if result == "timeout" else Collected(digits, "terminator", used)
        rejected = refused or digits
        if not rejected and not self.min_digits and used:
            return Collected("", "terminator", used)
        if rejected or used or result == "success":
            return Collected("", "invalid", used, rejected)
        return Collected("", "timeout")


def tries(retries: int) -> int:
    """How often the prompt is played, with so many retries.

    Example:
        >>> tries(2)
        3
    """
    return _integer("retries", retries, 0, 2**31 - 2) + 1


def free_variable(taken: Sequence[str]) -> str:
    """A channel variable for digits that no other collection of this call uses now.

    Example:
        >>> free_variable([]), free_variable(["collected_digits"])
        ('collected_digits', 'collected_digits_2')
    """
    name, number = "collected_digits", 1
    while name in taken:
        number += 1
        name = f"collected_digits_{number}"
    return name


# What came of it


@dataclass(frozen=True)
class Collected:
    """The digits that a caller typed, or why there are none. It is true if there are digits as they were asked for.

    Attributes:
        digits: what was typed; "" if it is not what was asked for.
        reason: with digits: "full" (all that were allowed), "terminator" (the caller ended it) or "timeout" (the
            caller stopped typing). Without: "timeout" (nothing was typed in the last try), "invalid" (too few digits,
            or not as the pattern says) or "terminator" (only that was typed, and no digit was needed).
        terminator: the key that ended it; "" if none did.
        rejected: the digits that were typed last and are not what was asked for.

    Example:
        >>> bool(Collected("12", "timeout")), bool(Collected("", "invalid", rejected="99"))
        (True, False)
    """

    digits: str
    reason: CollectReason
    terminator: str = ""
    rejected: str = ""

    def __bool__(self) -> bool:
        return bool(self.digits)


_AFTER_ANSWER: Final = frozenset(["", "NORMAL_CLEARING", "ATTENDED_TRANSFER", "BLIND_TRANSFER", "MEDIA_TIMEOUT"])
"""Causes with which a call ends that was answered; one that was not has another."""


@dataclass(frozen=True)
class Bridged:
    """What came of a call to somebody else.

    Attributes:
        answered: whether somebody did.
        reason: "answered", "busy", "no answer", "rejected", or "failed" for all else.
        cause: why the other side's call ended, as in `Hangup-Cause`; "" if the switch does not say.
        peer: the channel that answered; None if none did.

    Example:
        >>> Bridged.of({"variable_originate_disposition": "USER_BUSY"})
        Bridged(answered=False, reason='busy', cause='USER_BUSY', peer=None)
    """

    answered: bool
    reason: Reason
    cause: str
    peer: str | None

    @classmethod
    def of(cls, event: Mapping[str, str]) -> Bridged:
        """Read the CHANNEL_EXECUTE_COMPLETE of `bridge`, which `execute` returns, or `ChannelEnded.complete`."""
        disposition = event.get("variable_originate_disposition") or ""
        if disposition.upper() != "SUCCESS":
            cause = disposition if disposition.isupper() else event.get("variable_originate_failed_cause") or ""
            return cls(False, reason_of(cause), cause, None)
        cause = event.get("variable_bridge_hangup_cause") or ""
        peer = event.get("variable_last_bridge_to") or event.get("variable_bridge_uuid") or None
        early = (
            event.get("Other-Leg-Channel-Answered-Time") == "0"
        )  # connected for its ringing, and answered later or not
        if early and cause not in _AFTER_ANSWER:
            return cls(False, reason_of(cause), cause, None)
        return cls(True, "answered", cause, peer)


@dataclass(frozen=True)
class Recorded:
    """What the application `record` wrote.

    Attributes:
        seconds: the length of it; None if the switch does not say.
        samples: the same in samples.
        terminator: the key that ended it; "" if none did.
        silent: whether silence ended it.

    Example:
        >>> Recorded.of({"variable_record_ms": "2500", "variable_record_samples": "20000"})
        Recorded(seconds=2.5, samples=20000, terminator='', silent=False)
    """

    seconds: float | None
    samples: int | None
    terminator: str
    silent: bool

    @classmethod
    def of(cls, event: Mapping[str, str]) -> Recorded:
        """Read the CHANNEL_EXECUTE_COMPLETE of `record`, which `record` returns with `wait=True`; or
        `ChannelEnded.complete`, after the caller hung up."""
        milliseconds, samples = _count(event, "record_ms"), _count(event, "record_samples")
        seconds = None if milliseconds is None else milliseconds / 1000
        terminator = event.get("variable_playback_terminator_used") or ""
        return cls(seconds, samples, terminator, event.get("variable_silence_hits_exhausted") == "true")


def _count(event: Mapping[str, str], name: str) -> int | None:
    value = event.get(f"variable_{name}") or ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


# Other applications


def record(path: str, limit: float | None, threshold: int | None, silence: int | None) -> str:
    """The argument of `record`; without limits the path is all of it, as it is.

    Example:
        >>> record("/tmp/a b.wav", 60, None, None), record("/tmp/a.wav", None, 200, 5)
        ("'/tmp/a b.wav' 60", '/tmp/a.wav 0 200 5')
    """
    if limit is None and threshold is None and silence is None:
        return path
    seconds = 0 if limit is None else math.ceil(_milliseconds("limit", limit, 0.001) / 1000)
    parts = [path, str(seconds)]
    if threshold is not None or silence is not None:
        parts.append(str(_integer("silence_threshold", 200 if threshold is None else threshold, 0, 2**31 - 1)))
    if silence is not None:
        parts.append(str(_integer("silence_hits", silence, 1, 2**31 - 1)))
    return words(*parts)


def say(said: str, type: str, method: str, language: str, gender: str | None, expand: bool) -> str:
    """The argument of `say`.

    Example:
        >>> say("42", "number", "pronounced", "en", None, False)
        'en number pronounced 42'
    """
    if not _MODULE.fullmatch(_line("language", language)):
        raise InvalidCommand(f"language is {language!r:.80}, expected a module, 'en', or 'module:language'")
    parts = [language, _choice("type", type, SayType), _choice("method", method, SayMethod)]
    if gender is not None:
        parts.append(_choice("gender", gender, SayGender))
    if not _line("what is said", said):
        raise InvalidCommand("what is said is '', expected text")
    return words(*parts, said, expand=expand)


def speak(said: str, engine: str | None, voice: str | None, expand: bool) -> str:
    """The argument of `speak`.

    Example:
        >>> speak("Good day", "flite", "slt", False), speak("Good day", None, None, False)
        ('flite|slt|Good day', 'Good day')
    """
    if not _line("what is said", said).strip(" "):
        raise InvalidCommand(f"what is said is {said!r:.80}, expected text")
    names = [_engine("engine", engine), _engine("voice", voice)]
    if engine is not None and voice is None:
        raise InvalidCommand("an engine is given and no voice, expected both")
    given = [name for name in names if name is not None]
    if len(given) < 2 and "|" in said:
        raise InvalidCommand(f"what is said is {said!r:.80}, expected text without '|', or an engine and a voice")
    if not given and said.startswith("^^"):
        raise InvalidCommand(f"what is said is {said!r:.80}, which the switch reads otherwise: begin with a word")
    return "|".join([*given, text(said, expand=expand)])


def _engine(what: str, name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"[\w.:/-]+", _line(what, name)):
        raise InvalidCommand(f"{what} is {name!r:.80}, expected letters, digits, and '_', '.', ':', '/', '-'")
    return name


def displace(path: str, limit: float | None, mux: bool, loop: bool) -> str:
    """The argument of `displace_session`.

    Example:
        >>> displace("/tmp/music on hold.wav", 30, True, False)
        "'/tmp/music on hold.wav' m +30000"
    """
    flags = ("m" if mux else "") + ("l" if loop else "")
    parts = [path, *([flags] if flags else [])]
    if limit is not None:
        parts.append(f"+{_milliseconds('limit', limit, 0.001)}")
    return words(*parts)


def record_session(path: str, limit: float | None) -> str:
    """The argument of `record_session`.

    Example:
        >>> record_session("/tmp/call.wav", 3600)
        '/tmp/call.wav +3600'
    """
    seconds = [] if limit is None else [f"+{math.ceil(_milliseconds('limit', limit, 0.001) / 1000)}"]
    return words(path, *seconds)


def dtmf(digits: str, duration: float | None) -> str:
    """The argument of `send_dtmf`.

    Example:
        >>> dtmf("12w3#", 0.1)
        '12w3#@100'
    """
    if not _SENT_DTMF.fullmatch(_line("digits", digits)):
        raise InvalidCommand(f"digits is {digits!r:.80}, expected some of 0123456789*#ABCDF, w and W for a pause")
    argument = digits if duration is None else f"{digits}@{_milliseconds('duration', duration, 0.001)}"
    if len(argument) > MAX_DTMF:
        raise InvalidCommand(f"digits and duration have {len(argument)} characters, expected no more than {MAX_DTMF}")
    return argument


def bridge(targets: Targets, together: bool) -> str:
    """The argument of `bridge`; one text is all of it, as it is.

    Example:
        >>> bridge("user/1000,user/1001", True), bridge(["user/1000", "user/1001"], False)
        ('user/1000,user/1001', 'user/1000|user/1001')
    """
    if isinstance(targets, str) and not isinstance(targets, DialString):
        return targets
    return text(dial_string(targets, together=together))


def dial(targets: Targets, variables: Mapping[str, Variable] | None, timeout: float | None, together: bool) -> str:
    """The argument of `bridge` for `dial`: with variables, and for how long it may ring.

    Example:
        >>> dial(["user/1000", "user/1001"], {"note": "it's"}, 20, False)
        "{note=it\\\\\\\\\\\\\\\\\\\\\\\\'s,originate_timeout=20,originate_continue_on_timeout=true}user/1000|user/1001"
    """
    given = dict(variables or {})
    if timeout is not None:
        given["originate_timeout"] = math.ceil(_milliseconds("timeout", timeout, 1) / 1000)
        if not together:
            given["originate_continue_on_timeout"] = True
    return text(dial_string(targets, given, together=together))


def transfer(destination: str, dialplan: str | None, context: str | None) -> str:
    """The argument of `transfer`; a destination alone is all of it, as it is.

    Example:
        >>> transfer("1000 XML default", None, None), transfer("1000", None, "public")
        ('1000 XML default', '1000 XML public')
    """
    if dialplan is None and context is None:
        return destination
    parts = [destination, "XML" if dialplan is None else dialplan, *([] if context is None else [context])]
    for part in parts:
        if not _line("a part of a destination", part):
            raise InvalidCommand("a part of a destination is '', expected text")
    return words(*parts)


def playback_control(action: str, amount: int | None, relative: bool) -> str:
    """What `uuid_fileman` is asked for.

    Example:
        >>> playback_control("seek", -5000, True), playback_control("pause", None, False)
        ('seek:-5000', 'pause')
    """
    wanted = _choice("action", action, PlaybackAction)
    if wanted not in ("seek", "volume", "speed"):
        if amount is not None:
            raise InvalidCommand(f"{wanted} takes no amount, and one is given: {amount!r:.80}")
        return wanted
    if amount is None:
        raise InvalidCommand(f"{wanted} has no amount, expected a number")
    number = _integer("amount", amount, -(2**31) if relative or wanted != "seek" else 0, 2**31 - 1)
    if relative and not number:
        raise InvalidCommand("amount is 0, expected a step other than 0: the switch would take it for 1 or 1000")
    if not relative and number < 0:
        raise InvalidCommand(f"amount is {number}, which the switch takes for a step: expected relative=True")
    return f"{wanted}:{number:+d}" if relative else f"{wanted}:{number}"
