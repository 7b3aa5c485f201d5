"""Frames as messages: `MessageDecoder`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from .. import limits
from .formats import PLAIN
from .message import Message
from .splitter import FrameSplitter
from .templates import Memo


class MessageDecoder(FrameSplitter):
    """A splitter whose frames come out as messages.

    Args:
        kinds: Content-Type in lower case -> subclass of `Message`.
        default: the class for everything else.
        max_header_bytes, max_body_bytes, max_buffered: as for `FrameSplitter`.
    """

    __slots__ = ("_default", "_kinds", "_memo", "_split")

    def __init__(
        self,
        kinds: Mapping[bytes, type[Message]],
        default: type[Message],
        *,
        max_header_bytes: int = limits.MAX_HEADER_BYTES,
        max_body_bytes: int = limits.MAX_BODY_BYTES,
        max_buffered: int | None = None,
    ) -> None:
        super().__init__(max_header_bytes=max_header_bytes, max_body_bytes=max_body_bytes, max_buffered=max_buffered)
        self._kinds = dict(kinds)
        self._default = default
        for kind in [*self._kinds.values(), default]:
            if not issubclass(kind, Message):
                raise TypeError(f"{kind!r} is no subclass of Message")
        self._memo = Memo()
        self._split = 0  # length of the last known head: the next one mostly has the same

    def next_message(self) -> Message | None:
        """The next message, None when more bytes are needed. Raises as iteration does.

        If making the message raises, its frame still waits.
        """
        with self._lock:
            while True:
                # Nearly all frames lie whole in what was fed, with a head like one before.
                start = self._start
                buffer = self._buffer
                head = None
                if type(buffer) is bytes and not self._block_end:
                    block_end = start + self._split  # a head that is known is a whole one
                    head = self._heads.get(buffer[start:block_end])
                    if head is None:
                        block_end = buffer.find(b"\n\n", start, start + limits.MEMO_LINE_BYTES) + 2
                        head = self._heads.get(buffer[start:block_end])
                        if head is not None:
                            self._split = block_end - start
                if head is not None and (end := block_end + (head[1] or 0)) <= len(buffer):
                    content_type, length = head
                    frame: bytes = buffer[start:end]  # type: ignore[assignment]  # bytes, as checked above
                else:
                    end = self._measure()
                    if end < 0:
                        self._keep_rest()
                        return None
                    start, block_end = self._start, self._block_end
                    content_type, length = self._content_type, self._length
                    frame = self._cut(start, end)
                consumed = self._consumed
                kind = self._kinds.get(content_type, self._default)
                message = kind.__new__(kind)  # may run code of a subclass
                if self._consumed == consumed:
                    break
            size = end - start
            self._last = frame if size <= limits.KEPT_FRAME_BYTES else frame[-limits.NOTICE_BYTES :]
            self._consumed = consumed + size  # as `_advance` does
            self._start = self._searched = self._start + size  # which may have moved
            self._block_end = 0
        message._frame = frame
        split = block_end - start
        if content_type != b"text/event-plain":
            message._init(split, length is not None, content_type, self._memo)
            return message
        message._split = split  # as `_init` does, without the call
        message._has_body = length is not None
        message._memo = memo = self._memo
        message._needles = memo.needles
        message._format = PLAIN
        message._index = message._folded = None
        message._head_stop = -1
        message._checked = split - 1
        return message

    def drain(self, messages: list[Message], kind: type[Message]) -> bool:
        """Append all whole messages to a list: `messages.extend(decoder)`, and what a look at each would say.

        Args:
            messages: what comes out goes to its end. If something is raised, what came out before is in it.
            kind: a class of messages.

        Returns:
            Whether there is nothing else among them: each is of this class itself. True if there are none.

        Raises:
            ProtocolError: as iteration does.
        """
        only = True
        while (message := self.next_message()) is not None:
            messages.append(message)
            if type(message) is not kind:
                only = False
        return only

    def _named(self, names: Iterable[str]) -> Iterator[Message]:
        """Iterate over the messages whose Event-Name, as `get` gives it, is one of these; all others are passed over.

        What is asked of the decoder in between, and what is raised, is as if it had made all messages.
        """
        among = frozenset(names)
        return filter(lambda message: message.get("Event-Name") in among, self)

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Message]: ...  # type: ignore[override]

    def __next__(self) -> Message:  # type: ignore[override]
        message = self.next_message()
        if message is None:
            raise StopIteration
        return message
