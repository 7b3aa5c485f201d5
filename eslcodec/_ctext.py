"""Text for people: a command without the password that may be in it, and what a peer chose, on one short line.

Errors, logs, `repr` and the command line show commands; whoever reads them need not know how to log in. What is a
password is known by what stands before it only, so everything behind a word that may begin a login is left out, however
it was typed.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
"""What stands in the place of something that is not shown."""

_LOGIN: Final = re.compile(r"((?:\A|[\n\r\0])[\W_]*(?:user)?auth)(?=.).*", re.DOTALL | re.IGNORECASE)
_BLANKS: Final = re.compile(rb"[\0- ]+")
_WORD: Final = re.compile(r"[\w.:/@+-]+", re.ASCII)
_NAMED: Final = (b"api", b"bgapi", b"sendevent")  # commands whose second word says what they are about


def redacted(text: str) -> str:
    """A command, or a part of one, as it may be shown: nothing behind `auth` or `userauth` at the beginning of a line.

    Example:
        >>> redacted("auth ClueCon"), redacted("\\tAUTH\\tClueCon"), redacted("api status")
        ('auth ***', '\\tAUTH ***', 'api status')
    """
    return _LOGIN.sub(rf"\1 {HIDDEN}", text)


def redacted_user(user: str) -> str:
    """A user as it may be shown: nothing behind a colon, where a password stands in a login.

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


def word(text: str, most: int = 60) -> str:
    """A name for a `repr`: as it is if it is a plain word of at most so many characters, else `quoted`.

    Example:
        >>> word("sofia::register"), word("a b"), word("x" * 9, 4)
        ('sofia::register', "'a b'", "'xxxx...'")
    """
    return text if len(text) <= most and _WORD.fullmatch(text) else quoted(text, most)
