"""What the adapters share: how parts of a client are replaced and put back, and how clients understand header lines.

Clients cut a line at its first `": "`; a line without one continues the value before it. They percent-decode every
value, and what is not UTF-8 becomes U+FFFD. Unlike them we cut first and decode then.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any, Final

from .. import Event, Message, parse_pairs
from . import UnknownClient

Pairs = list[tuple[str, str]]

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_CONTINUED: Final = re.compile(rb"(?:\r?\n(?!\r?\n|\r?\Z|[^\n]*: )[^\r\n]*)+")
_LINE_END: Final = re.compile(rb"\r?\n")
_SHORT_BYTES: Final = 128
_INHERITED: Final = object()  # in the place of an attribute that a class has from another one


@dataclass(frozen=True)
class Point:
    """A function inside the client that is replaced, or that we call: where it is, and its parameters.

    `ours` comes in its place, or what `wrap` makes of it. With `absent` it must not be there: another version has it.
    """

    module: str
    path: str
    parameters: str = ""
    ours: Callable[..., Any] | None = None
    wrap: Callable[[Any], Any] | None = None
    absent: bool = False


Found = tuple[Point, Any, str, Any]
"""A point, its owner, its name there, and the raw attribute."""


@dataclass
class Client:
    """A client, the versions that its adapter was made for, and the points at which each is entered, newest first."""

    name: str
    known: str
    layouts: Sequence[Sequence[Point]]
    hint: str = ""  # if importing it fails with another error than ImportError
    _replaced: list[tuple[Any, str, Any]] = field(default_factory=list)

    def install(self) -> None:
        """Look at every point, then replace those that are to be replaced. Does nothing if that was done before."""
        if self._replaced:
            return
        self._import()
        for point, owner, attribute, original in self.found():
            ours = point.wrap(original) if point.wrap else point.ours
            if ours is not None:
                self._replaced.append((owner, attribute, original))
                setattr(owner, attribute, ours)

    def uninstall(self) -> None:
        """Put back what was replaced. Connections that are open go on as they began."""
        while self._replaced:
            owner, attribute, original = self._replaced.pop()
            if original is _INHERITED:
                delattr(owner, attribute)
            else:
                setattr(owner, attribute, original)

    def _import(self) -> None:
        try:
            import_module(self.name)
        except ImportError:  # which says so itself
            raise
        except Exception as error:
            if self.hint and hasattr(error, "add_note"):  # since Python 3.11
                error.add_note(self.hint)
            raise

    def found(self) -> list[Found]:
        """The points of the version that is installed, without those that must not be there."""
        unlike = []
        for layout in self.layouts:
            try:
                for point in layout:
                    if point.absent:
                        self._miss(point)
                return [(point, *self._find(point)) for point in layout if not point.absent]
            except UnknownClient as error:
                unlike.append(error)
        raise unlike[0]

    def _find(self, point: Point) -> tuple[Any, str, Any]:
        """The owner of a point, its name there, and the raw attribute."""
        where = f"{point.module}.{point.path}"
        try:
            owner, attribute = _place(point)
            original = vars(owner).get(attribute, _INHERITED)
            parameters = ", ".join(inspect.signature(getattr(owner, attribute)).parameters)
        except (ModuleNotFoundError, AttributeError, TypeError, ValueError):
            raise self._unknown(f"there is no {where}({point.parameters})") from None
        if parameters != point.parameters:
            raise self._unknown(f"there is a {where}({parameters}), expected ({point.parameters})")
        return owner, attribute, original

    def _miss(self, point: Point) -> None:
        try:
            owner, attribute = _place(point)
        except (ModuleNotFoundError, AttributeError):
            return
        if hasattr(owner, attribute):
            raise self._unknown(f"there is a {point.module}.{point.path}, expected none")

    def _unknown(self, why: str) -> UnknownClient:
        try:
            found = metadata.version(self.name)
        except metadata.PackageNotFoundError:
            found = "of unknown version"
        return UnknownClient(self.name, found, self.known, why)


def _place(point: Point) -> tuple[Any, str]:
    """The owner of a point, and its name there."""
    owner = import_module(point.module)
    *outer, attribute = point.path.split(".")
    for name in outer:
        owner = getattr(owner, name)
    return owner, attribute


def frame_pairs(message: Message, read: Callable[[bytes], Pairs]) -> Iterable[tuple[str, str]]:
    """What `read` makes of the frame's own header block. Those of events are short, and not many different ones."""
    block = block_of(message)
    return _read_short(block, read) if len(block) <= _SHORT_BYTES else read(block)


def block_of(message: Message) -> bytes:
    """The frame's own header block."""
    frame = message.frame
    return frame[: len(frame) - len(message.payload or b"")]


def text_of(data: bytes | None) -> str:
    """Bytes as the clients decode what they can decode."""
    return (data or b"").decode("utf-8", "replace")


def pairs_of(block: bytes, after_continued: bytes = b"") -> Pairs:
    """Every (name, value) of a header block, read as described above; nothing after its blank line.

    Args:
        block: header lines.
        after_continued: what a client puts after a value that went on over several lines, percent-encoded.
    """
    head = _BLANK_LINE.split(block, 1)[0]
    folded = _CONTINUED.sub(lambda lines: _LINE_END.sub(b"%0A", lines[0]) + after_continued, head)
    return [(_clean(name), _clean(value)) for name, value in parse_pairs(folded)]


def headers_of(event: Event, content_type: str, read: Callable[[bytes], Pairs] = pairs_of) -> dict[str, str] | Pairs:
    """The headers of an event: what `read` makes of its payload, or a dict if that says the same: it is much faster.

    Args:
        event: in any format.
        content_type: of its frame.
        read: `pairs_of`, or a client's variant of it.
    """
    if content_type != "text/event-plain":
        return [(_clean(name), _clean(value)) for name, value in event.pairs()]
    block = event.raw
    lines = block.count(b"\n") - 1
    if block.isascii() and block.count(b": ") == lines:  # as a switch writes it: each line is a header
        headers = event.asdict()
        if len(headers) == lines and _is_text(headers.values()):
            return headers
        pairs = event.pairs()
        if len(pairs) == lines and _is_text(value for _, value in pairs):
            return pairs
    return read(block)


def under(headers: dict[str, Any] | Pairs, frame: Mapping[str, Any]) -> dict[str, Any]:
    """The headers of an event, and after those what only its frame has.

    A dict that comes in is the one that goes out: there are a hundred in it, and a new one costs as much as reading it.
    """
    merged = headers if isinstance(headers, dict) else dict(headers)
    for name, value in frame.items():
        merged.setdefault(name, value)
    return merged


@lru_cache(maxsize=1024)
def _read_short(block: bytes, read: Callable[[bytes], Pairs]) -> Iterable[tuple[str, str]]:
    return tuple(read(block))


def _is_text(values: Iterable[str]) -> bool:
    """Whether all values were UTF-8."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean(text: str) -> str:
    return text if text.isascii() else text_of(text.encode("utf-8", "surrogateescape"))
