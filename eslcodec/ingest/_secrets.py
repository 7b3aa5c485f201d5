"""Passwords, keys and digits inside texts: what the profile `secrets` of `ingest.redact` finds.

A name that sounds like a secret's, then what stands for "is", then a value: `{sip_auth_password=...}`,
`password: ...`, `<param name="password" value="..."/>`, `room pin 1234`. The value ends where the switch ends it, and
where that cannot be told it goes on: rather too much is hidden than too little. Each search goes over a text once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .._codec import WordFinder, unquote
from .._ctext import HIDDEN

NAMES: Final = (
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*pwd",
    "*secret*",
    "*a1-hash*",
    "*a1_hash*",
    "*api-key*",
    "*api_key*",
    "*apikey*",
    "*token",
    "*authorization*",
    "*credential*",
    "*crypto_key*",
    "sip_auth_*",
    "*_sip_auth_*",
    "pin",
    "*[-_]pin",
    "dtmf-digit",
    "digits",
    "*_digits",
    "*digits_dialed",
)
"""Headers whose value is a secret as a whole."""

_WORDS: Final = (
    "passwo?r?d|passphrase|secret|a1[-_]?hash|api[-_]?key|authorization|credential|crypto[-_]key|token"
    "|pwd(?<![a-z]pwd)(?![a-z])|pin(?<![a-z0-9]pin)(?![a-z])"
)
_LINE_WORDS: Final = _WORDS + "|dtmf|digits|signal(?=[ \\t]*=)"  # in bodies and lines of the log
_TRIGGERS: Final = (
    *(b"passw", b"passphrase", b"secret", b"hash", b"key", b"authorization", b"credential", b"token", b"pwd"),
    *(b"inline:", b"\\u", b"&#"),  # escapes in JSON and XML may hide a letter
)
SENT_DIGITS: Final = (b"send_dtmf", b"recv_dtmf")
_OF_LINES: Final = (b"dtmf", b"digits", b"signal")
_SIP_PASSWORD: Final = re.compile(rb"sips?:[^\s@:;<>]*:[^\s@;<>]*(@?)")  # goes on behind what has none


def _has_sip_password(plain: bytes) -> bool:
    return any(match[1] for match in _SIP_PASSWORD.finditer(plain))


_UNSURE: Final[
    tuple[tuple[bytes, Callable[[bytes], object]], ...]
] = (  # with what follows or stands before: it is looked for where these letters are
    (b"sip:", _has_sip_password),
    (b"sips:", _has_sip_password),
    (b"://", re.compile(rb"://[^\s/@:]*:").search),
    (b"pin", re.compile(rb"pin(?<![a-z0-9]pin)(?![a-z])").search),
)
_ALWAYS: Final = (*_TRIGGERS, *SENT_DIGITS, *_OF_LINES)
_FINDER: Final = WordFinder([*_ALWAYS, *(letters for letters, _ in _UNSURE)])
_SURE: Final = (1 << len(_TRIGGERS)) - 1  # bits of what it finds
_SURE_OF_FRAMES: Final = (1 << len(_TRIGGERS) + len(SENT_DIGITS)) - 1
_SURE_IN_LINES: Final = (1 << len(_ALWAYS)) - 1

_TOKENS: Final = (
    r"(?P<open>[\[{{](?:\^\^(?P<mark>.))?)|(?P<close>[\]}}])|(?P<line>\n)"
    r"|value[ \t]*=[ \t]*(?P<quote>[\"'])|(?P<key>(?:{})[\w.-]*)"
)
_FLAGS: Final = re.ASCII | re.IGNORECASE | re.DOTALL
_IN_VALUES: Final = re.compile(_TOKENS.format(_WORDS), _FLAGS)
_IN_LINES: Final = re.compile(_TOKENS.format(_LINE_WORDS), _FLAGS)
_ATTRIBUTE: Final = re.compile(r"""["']\s+[\w:.-]+\s*=\s*(["'])""", re.ASCII)
_IS: Final = re.compile(r"""["']?[ \t]*(?:=>|[:=]|%3[aAdD])[ \t]*|>|[ \t]+(?=\S)|(?=[(\[])""")
_CLOSING: Final = {"{": "}", "[": "]"}
_SIP_USER: Final = re.compile(r"(sips?:[^\s@:;<>]*:)[^\s@;<>]*(@?)", re.IGNORECASE)
_URL_USER: Final = re.compile(r"(://[^\s/@:]*:)[^\s/@]*(@?)")
_SDP_KEY: Final = re.compile(r"(inline:)[^\s|]+", re.IGNORECASE)
_FOLDED: Final = re.compile(r"[^\n]*(?:\n[ \t][^\n]*)*")


def suspicious(data: bytes, *, lines: bool = False, digits: bool = False) -> bool:
    """Whether the texts in a payload may have a secret in them, as it is on the wire: far quicker than a look at each.

    Args:
        data: a payload in any format.
        lines: it is text of people, lines of the log or the output of a command, where digits are told too.
        digits: so is an event of an application that sends or receives digits.

    Example:
        >>> suspicious(b"Arg: {sip_auth_%70assword=x}"), suspicious(b"Arg: sofia/internal/1000")
        (True, False)
    """
    plain = unquote(data).lower()
    found = _FINDER.find(plain)
    if found & (_SURE_IN_LINES if lines else _SURE_OF_FRAMES if digits else _SURE):
        return True
    found >>= len(_ALWAYS)
    return any(found >> number & 1 and has(plain) for number, (_, has) in enumerate(_UNSURE))


def hide(text: str) -> str:
    """A header's value without the secrets in it.

    Example:
        >>> hide("{a=1,sip_auth_password='x,y',b=2}sofia/gw/1"), hide("room pin 1234"), hide("sip_auth_password=a, b")
        ("{a=1,sip_auth_password='***',b=2}sofia/gw/1", 'room pin ***', 'sip_auth_password=***')
    """
    return _Scan(text, _IN_VALUES, lines=False).hidden()


def hide_lines(text: str) -> str:
    """A text of lines, a body or a line of the log, without the secrets in it.

    Example:
        >>> hide_lines('<param name="password" value="x"/>'), hide_lines("RECV DTMF 5:800\\nnext")
        ('<param name="password" value="***"/>', 'RECV DTMF ***\\nnext')
    """
    return _Scan(text, _IN_LINES, lines=True).hidden()


class _Scan:
    """One way over a text, from word to word.

    Args:
        text: the text.
        tokens: what is looked for.
        lines: each line is for itself: outside of brackets and quotes a value ends with it.
    """

    def __init__(self, text: str, tokens: re.Pattern[str], *, lines: bool) -> None:
        text = _SIP_USER.sub(_without_password, text)
        text = _URL_USER.sub(_without_password, text)
        self._text = _SDP_KEY.sub(rf"\1{HIDDEN}", text)
        self._tokens = tokens
        self._lines = lines
        self._open: list[tuple[str, str]] = []  # of each bracket: what closes it, what ends a value in it
        self._before: int | None = None  # where the value of an XML attribute began whose name may follow
        self._kept = 0  # up to where the text has been written
        self._out: list[str] = []

    def hidden(self) -> str:
        at = 0
        while (match := self._tokens.search(self._text, at)) is not None:
            at = match.end()
            kind = match.lastgroup
            if kind == "key":
                at = self._key(match.start(), at)
            elif kind == "close":
                if self._open and self._open[-1][0] == match[0]:
                    self._open.pop()
            elif kind == "line":
                if self._lines:
                    self._open.clear()
            elif kind == "quote":
                self._before = at
            else:
                self._open.append((_CLOSING[match[0][0]], match["mark"] or ","))
        self._out.append(self._text[self._kept :])
        return "".join(self._out)

    def _hide(self, start: int, end: int) -> int:
        """What stands here is not shown; give where the search goes on."""
        if start < end and start >= self._kept:
            self._out += [self._text[self._kept : start], HIDDEN]
            self._kept = end
        return max(start, end)

    def _key(self, start: int, end: int) -> int:
        """A word is found; give where the search goes on."""
        text = self._text
        attribute = _ATTRIBUTE.match(text, end)
        if attribute is not None:
            return self._hide(attribute.end(), _found(text, attribute[1], attribute.end()))
        if self._before is not None and text[end : end + 1] in ("'", '"'):
            self._hide_before(start)
        told = _IS.match(text, end)
        if told is None or (told[0].isspace() and not self._blank_tells(start, end)):
            return end
        if told[0] == ">":
            return end if self._closes(start) else self._hide(told.end(), _found(text, "<", told.end()))
        begin, stop = told.end(), self._value_end(text[start:end].lower(), told.end())
        if stop - begin > 1 and text[begin] in "\"'" and text[stop - 1] == text[begin]:
            return self._hide(begin + 1, stop - 1) + 1
        return self._hide(begin, stop)

    def _blank_tells(self, start: int, end: int) -> bool:
        """Whether a blank alone stands for "is": `room pin 1234`, but not in prose about a password."""
        word = self._text[start:end].lower()
        return not self._lines or self._text[start - 1 : start] in ("_", "-") or word.startswith(("dtmf", "pin"))

    def _closes(self, start: int) -> bool:
        """Whether it is the name of a closing tag."""
        text = self._text
        while start and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
            start -= 1
        return text[start - 1 : start] == "/"

    def _hide_before(self, end: int) -> None:
        """`value="..." name="password"`: the value stands before."""
        before, self._before = self._before, None
        if before is not None and "<" not in self._text[before:end]:
            self._hide(before, min(_found(self._text, self._text[before - 1], before), end))

    def _value_end(self, word: str, start: int) -> int:
        text = self._text
        if "authorization" in word:
            folded = _FOLDED.match(text, start)
            return len(text) if folded is None else folded.end()
        if self._open:
            end = _list_end(text, start, *self._open[-1], self._lines)
            if end is not None:
                return end
        if not self._lines:
            return len(text)
        if not self._open and text[start : start + 1] in ("'", '"'):
            return min(_found(text, text[start], start + 1) + 1, len(text))
        return _found(text, "\n", start)


def _found(text: str, what: str, start: int) -> int:
    """Where something stands; the end of the text if it does not."""
    at = text.find(what, start)
    return at if at >= 0 else len(text)


def _without_password(match: re.Match[str]) -> str:
    return f"{match[1]}{HIDDEN}@" if match[2] else match[0]


@lru_cache(maxsize=64)
def _specials(closing: str, mark: str, lines: bool) -> re.Pattern[str]:
    return re.compile("[" + re.escape("\"'\\" + closing + mark + ("\n" if lines else "")) + "]")


def _list_end(text: str, start: int, closing: str, mark: str, lines: bool) -> int | None:
    """Where a value in brackets ends, as the switch reads it: quotes and backslashes count; None if it does not end."""
    specials = _specials(closing, mark, lines)
    quote = ""
    at = start
    while (match := specials.search(text, at)) is not None:
        at = match.end()
        char = match[0]
        if char == "\n":
            return None
        if char == "\\":
            at += 1
        elif char == quote:
            quote = ""
        elif quote:
            continue
        elif char in "\"'":
            quote = char
        else:
            return match.start()
    return None
