"""Text at the border to C: as the switch reads it (numbers, truth, bytes), and as people may be shown it.

C reads a number as far as it goes, and has a list of words that are true. What is not UTF-8 is kept as lone surrogates.

Errors, logs, `repr` and the command line show commands; whoever reads them need not know how to log in. Only the word
before a password tells that it is one. So everything after a word that may begin a login is left out, however it was
typed.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
"""What stands in the place of something that is not shown."""

_LOGIN: Final = re.compile(r"((?:\A|[\n\r\0])[\W_]*(?:user)?auth)(?=.).*", re.DOTALL | re.IGNORECASE)
_QUOTED: Final = re.compile(r"""(['"])(?:\\.|(?!\1)[^\\])*\1""")
_BLANKS: Final = re.compile(rb"[\0- ]+")
_WORD: Final = re.compile(r"[\w.:/@+-]+", re.ASCII)
_NAMED: Final = (b"api", b"bgapi", b"sendevent")  # commands whose second word says what they are about

_LEADING_NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]*)")
_NUMBER: Final = re.compile(r"[+-]?[0-9.]*")
_DIGITS: Final = 19  # a number with more is beyond every use
_LIBRARY_TRUE: Final = frozenset(("yes", "on", "true", "enabled", "active", "allow"))
_TRUE: Final = _LIBRARY_TRUE | {"t"}


# As the switch reads it


def to_bytes(text: str | bytes) -> bytes:
    """Text as the bytes that it stands for.

    Example:
        >>> to_bytes("caf\\xe9 \\udce9"), to_bytes(b"as it is")
        (b'caf\\xc3\\xa9 \\xe9', b'as it is')
    """
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def to_text(data: bytes) -> str:
    """Bytes as text that loses none of them.

    Example:
        >>> to_text(b"caf\\xc3\\xa9 \\xe9")
        'caf\xe9 \\udce9'
    """
    try:
        return data.decode()  # half the time of the other, and nearly all is UTF-8
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def atoi(text: str) -> int:
    """The number that a text begins with, read as C's `atoi` does; 0 if there is none.

    Example:
        >>> atoi(" -007x"), atoi("x")
        (-7, 0)
    """
    match = _LEADING_NUMBER.match(text)
    return int(match[1] + (match[2][:_DIGITS] or "0")) if match else 0


def is_number(text: str) -> bool:
    """Whether the switch takes a text for a number: a sign, digits and dots, or nothing at all.

    Example:
        >>> is_number("-1.5"), is_number(""), is_number(" 1")
        (True, True, False)
    """
    return _NUMBER.fullmatch(text) is not None


def is_true(text: str | None) -> bool:
    """Whether a value is true to the switch: one of its words in any case, or a number other than 0.

    Example:
        >>> is_true("Yes"), is_true("t"), is_true("1.5"), is_true("1x"), is_true(None)
        (True, True, True, False, False)
    """
    return text is not None and (text.lower() in _TRUE or (is_number(text) and atoi(text) != 0))


def is_true_to_library(text: str | None) -> bool:
    """Whether a value is true to the official client library: without "t", and whatever follows the number.

    Example:
        >>> is_true_to_library("Yes"), is_true_to_library("t"), is_true_to_library("1x")
        (True, False, True)
    """
    return text is not None and (text.lower() in _LIBRARY_TRUE or atoi(text) != 0)


# As people may be shown it


def redacted(text: str) -> str:
    """A command, or a part of one, as it may be shown: nothing after `auth` or `userauth` at the beginning of a line.

    Example:
        >>> redacted("auth ClueCon"), redacted("\\tAUTH\\tClueCon"), redacted("api status")
        ('auth ***', '\\tAUTH ***', 'api status')
    """
    return _LOGIN.sub(rf"\1 {HIDDEN}", text)


def redacted_user(user: str) -> str:
    """A user as it may be shown: nothing after a colon, where a password stands in a login.

    Example:
        >>> redacted_user("ops@example.org"), redacted_user("ops:secret")
        ('ops@example.org', 'ops:***')
    """
    name, colon, _ = user.partition(":")
    return f"{name}:{HIDDEN}" if colon else name


def described(block: bytes) -> str:
    """A command for a message, quoted: its first word, and what is called for `api` and `bgapi`.

    Example:
        >>> described(b"api status now\\n\\n"), described(b"auth\\tClueCon\\n\\n"), described(b"filter add A x\\n\\n")
        ("'api status'", "'auth'", "'filter'")
    """
    words = _BLANKS.split(block.lstrip(b"\n").partition(b"\n")[0][:200], maxsplit=2)
    shown = words[:2] if words[0].lower() in _NAMED else words[:1]
    text = b" ".join(shown)[:80].decode("utf-8", "backslashreplace")
    return repr(redacted(text).removesuffix(f" {HIDDEN}"))


def quoted(text: str, most: int = 100) -> str:
    """The beginning of a text for a `repr`: its first line that is not blank, quoted.

    Whatever is not printable is written as a Python escape: control characters, bidi overrides, surrogates. "..." says
    that there is more.

    Args:
        text: anything.
        most: how many characters are shown.

    Example:
        >>> quoted("UP 0 years, 0 days\\nFreeSWITCH is ready\\n"), quoted("\\x1b[2J"), quoted("abc", 2)
        ("'UP 0 years, 0 days...'", "'\\\\x1b[2J'", "'ab...'")
    """
    line, _, rest = text.strip().partition("\n")
    line = line.rstrip()
    kept = line[:most]
    while len(shown := repr(kept)) > most + 2:  # its escapes are longer than what they stand for
        kept = kept[:-1]
    return shown if kept == line and not rest else f"{shown[:-1]}...{shown[-1]}"


def unquoted(text: str) -> str:
    """A text for the log, without what is quoted in it: a header's value may be.

    Example:
        >>> unquoted(f"a header value is {'+1555'!r}, expected one word, and not {chr(39)!r}")
        'a header value is ..., expected one word, and not ...'
    """
    return _QUOTED.sub("...", text)


def word(text: str, most: int = 60) -> str:
    """A name for a `repr`: as it is if it is a plain word of at most so many characters, else `quoted`.

    Example:
        >>> word("sofia::register"), word("a b"), word("x" * 9, 4)
        ('sofia::register', "'a b'", "'xxxx...'")
    """
    return text if len(text) <= most and _WORD.fullmatch(text) else quoted(text, most)
