"""Text for people: a command without the password that may be in it.

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
