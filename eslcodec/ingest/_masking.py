"""Passwords in what was sent: a recording has `***` in their place.

    >>> masking = Masking()
    >>> masking.mask(b"auth ClueCon\\n\\n")
    b'auth ***\\n\\n'
    >>> masking.mask(b"bgapi originate {sip_auth_username=a,sip_auth_password=b,x=y}sofia/gateway/g/1 &park\\n\\n")
    b'bgapi originate {sip_auth_username=a,sip_auth_password=***,x=y}sofia/gateway/g/1 &park\\n\\n'
    >>> masking.mask(b"api uuid_setvar 7a1c sip_auth_password b\\n\\n")
    b'api uuid_setvar 7a1c sip_auth_password ***\\n\\n'

What is masked: all that follows `auth` and `userauth`, and the value of each variable or header whose name has
"passw", "pwd", "secret", "auth_pass" or "a1-hash" in it. In doubt, and in JSON, more is masked, to the end of the line.
A password that stands somewhere else (in the argument of a script, say) cannot be known.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = b"***"
LINE_BYTES: Final = 256 << 10
"""Of a line that has not ended, so much is looked at again when more of it comes. What comes beyond it is masked if a
value that is masked had not ended."""

_LOGIN: Final = re.compile(rb"((?:\A|(?<=[\n\r\0]))[ \t\r\0]{0,99}(?:user)?auth)(?=[^\w\n-])[^\n]+", re.IGNORECASE)
_NAME: Final = re.compile(
    rb"(?:passw|pwd|secret|auth[_-]pass|a1[_-]hash)[\w.-]{0,64}"  # with a bound, or a long word would take long
    rb"(?P<sign>(?P<json>\\{0,9}\"[ \t]*:)|[ \t]*[=:]|[ \t]+(?=[^\s=:])|%3[aAdD])",
    re.IGNORECASE,
)
_CLOSERS: Final = {0x7B: 0x7D, 0x5B: 0x5D, 0x3C: 0x3E}  # of {, [ and <, which variables stand in
_QUOTE, _BACKSLASH, _COMMA, _LF = b"'\\,\n"


class Masking:
    """What is sent on a connection, in pieces of any size, comes out with its passwords masked.

    Example:
        >>> masking = Masking()
        >>> masking.mask(b"auth Clue"), masking.mask(b"Con\\n\\napi status\\n\\n")
        (b'auth ***', b'\\n\\napi status\\n\\n')
    """

    def __init__(self) -> None:
        self._line = b""  # that has not ended yet
        self._shown = 0  # how many bytes came out for it
        self._is_over = False  # whether what comes next is of a masked value that is longer than what is kept

    def mask(self, data: bytes) -> bytes:
        """The next piece.

        Args:
            data: what was sent.

        Returns:
            What may be kept of it. Its length may be another.
        """
        if self._is_over:
            at = data.find(b"\n")
            if at < 0:
                return b""
            self._is_over = False
            data = data[at:]
        whole = self._line + (_hide_login(data) if self._line else data)  # after a body without a line end, say
        masked = mask(whole)
        shown = masked[self._shown :]
        begin = whole.rfind(b"\n") + 1
        self._line = whole[begin:]
        self._shown = len(masked) - (masked.rfind(b"\n") + 1)
        if len(self._line) > LINE_BYTES:
            self._line, self._shown, self._is_over = b"", 0, masked.endswith(HIDDEN)
        return shown


def mask(text: bytes) -> bytes:
    """Whole commands with their passwords masked.

    Example:
        >>> mask(b"sendmsg\\ncall-command: set\\nexecute-app-arg: sip_auth_password=b\\n\\n")
        b'sendmsg\\ncall-command: set\\nexecute-app-arg: sip_auth_password=***\\n\\n'
    """
    text = _hide_login(text)
    parts: list[bytes] = []
    at = 0
    for name in _NAME.finditer(text):
        if name.start() < at:  # within a value that is masked already
            continue
        end = _line_end(text, name.end()) if name["json"] else _value_end(text, name.start(), name.end())
        if end > name.end():
            parts += text[at : name.end()], HIDDEN
            at = end
    parts.append(text[at:])
    return b"".join(parts)


def _hide_login(text: bytes) -> bytes:
    return _LOGIN.sub(rb"\1 " + HIDDEN, text)


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def _value_end(text: bytes, name: int, at: int) -> int:
    """Where the value that begins at `at` ends: in brackets at the next comma or at the bracket, else with its line."""
    line = text.rfind(b"\n", 0, name) + 1
    opener = max(text.rfind(b"{", line, name), text.rfind(b"[", line, name), text.rfind(b"<", line, name))
    end = _line_end(text, at)
    if opener < 0 or text.find(bytes([_CLOSERS[text[opener]]]), opener, name) >= 0:
        return end
    closer = _CLOSERS[text[opener]]
    comma = text[opener + 3] if text.startswith(b"^^", opener + 1) and opener + 3 < name else _COMMA
    quoted = False
    while at < end:
        byte = text[at]
        if byte == _BACKSLASH:
            at += 1
        elif byte == _QUOTE:
            quoted = not quoted
        elif not quoted and byte in (comma, closer):
            return at
        at += 1
    return end
