"""What the messages of a decoder remember together: lines and what was made of them, names and what is searched for.

A switch writes nearly the same lines into each event. All of it is bounded and never changes a result
(docs/protocol/rules.md, 7).
"""

from __future__ import annotations

from collections.abc import Callable

from .. import limits
from .lines import cut_line
from .text import decode_value, encode_name, split_array, to_text


class NoColon(Exception):
    """A line is no header. The caller reads the block line by line then."""


def _pair(line: bytes) -> tuple[str, str]:
    """Name and decoded value of a payload's line.

    Raises:
        NoColon: the line has no colon; the empty line too.
    """
    cut = cut_line(line[:-1] if line.endswith(b"\r") else line)
    if cut is None:
        raise NoColon
    return to_text(cut[0]), decode_value(cut[1])


class LineMemo(dict[bytes, tuple[str, str]]):
    """Header line -> (name, decoded value), made on first look-up. Bounded; never changes a result."""

    __slots__ = ()

    def __missing__(self, line: bytes) -> tuple[str, str]:
        pair = _pair(line)
        if len(line) <= limits.MEMO_LINE_BYTES:
            if len(self) >= limits.MEMO_LINES:
                self.clear()
            self[line] = pair
        return pair


class MemberMemo(dict[bytes, tuple[str, str]]):
    """Header line -> (name, the member of a JSON object that it becomes), as `LineMemo`.

    A byte that is not UTF-8 is a surrogate in the member too, not escaped: whoever writes it decides what it becomes.
    """

    __slots__ = ("_quoted",)

    def __init__(self) -> None:
        from json.encoder import encode_basestring  # loaded by those who write JSON

        self._quoted: Callable[[str], str] = encode_basestring

    def __missing__(self, line: bytes) -> tuple[str, str]:
        name, value = _pair(line)
        member = name, self.written(name, split_array(value))
        # A control character may be six times as long in JSON: so the length of the JSON is bounded as well.
        if len(line) <= limits.MEMO_LINE_BYTES and len(member[1]) <= limits.MEMO_LINE_BYTES:
            if len(self) >= limits.MEMO_LINES:
                self.clear()
            self[line] = member
        return member

    def written(self, name: str, value: str | list[str]) -> str:
        quoted = self._quoted
        text = quoted(value) if isinstance(value, str) else f"[{','.join(map(quoted, value))}]"
        return f"{quoted(name)}:{text}"


class NeedleMemo(dict[str, bytes]):
    """Name -> what stands before its value in a block, from the line feed on; b"" if no line can have it. Bounded."""

    __slots__ = ()

    def __missing__(self, name: str) -> bytes:
        raw = encode_name(name)
        if raw is None or b"\n" in raw or b": " in raw:
            return b""
        needle = b"\n%b:" % raw
        if len(needle) <= limits.MEMO_LINE_BYTES:
            if len(self) >= limits.MEMO_LINES:
                self.clear()
            self[name] = needle
        return needle


class Memo:
    """What a decoder's messages remember together. It is freed with the last of them."""

    __slots__ = ("_members", "lines", "needles")

    def __init__(self) -> None:
        self.lines = LineMemo()
        self.needles = NeedleMemo()
        self._members: MemberMemo | None = None

    @property
    def members(self) -> MemberMemo:
        """Made when JSON is written for the first time. Two threads may make one each; one of the two stays."""
        members = self._members
        if members is None:
            members = self._members = MemberMemo()
        return members
