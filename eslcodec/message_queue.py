"""The queue between a connection and whoever reads its events: in order, and with about how many bytes wait in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final

from . import limits
from ._codec import Message
from .events import Event

_ONLY_EVENTS: Final = frozenset([Event])
_POPLEFT: Final[Callable[[deque[Message]], Message]] = deque.popleft
_FEW_READS: Final = 64  # reads that are kept in mind without looking whether their messages still wait


def _is_event(message: Message) -> bool:
    return isinstance(message, Event)


class MessageQueue(deque[Message]):
    """Messages that wait for a reader, oldest first, and about how many bytes they are.

    Whoever reads takes messages out as out of any deque, from any thread, at no further cost: bytes are counted for
    each read, and given back when the last message of it is gone. So `size` is too large by up to one read, and 0 if
    nothing waits. Only one thread at a time may ask for it, and not while another puts messages in.

    Attributes:
        size_at_most: never less than `size`, and costs nothing to look at.

    Example:
        >>> queue = MessageQueue([Message(b"Content-Type: a\\n\\n"), Message(b"Content-Type: b\\n\\n")])
        >>> queue.close_read()
        >>> queue.popleft()["Content-Type"], queue.size
        ('a', 34)
        >>> queue.popleft()["Content-Type"], queue.size
        ('b', 0)
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        super().__init__()
        self._appended = 0
        self.size_at_most = 0  # of all reads
        self._fresh = 0  # of the one that is not closed
        self._reads: deque[tuple[int, int]] = deque()  # how many had been appended by its end, and their bytes
        self.extend(messages)

    def append(self, message: Message, /) -> None:
        """One more."""
        super().append(message)
        self._appended += 1
        self._fresh += len(message.frame)
        if self._fresh > limits.RECEIVE_BYTES_MAX:  # a large one should not count until what came with it is gone
            self.close_read()

    def extend(self, messages: Iterable[Message], /) -> None:
        """Some more."""
        for message in messages:
            self.append(message)

    def take_in(self, messages: list[Message], size: int) -> None:
        """Some more, of a read of `size` bytes in which there was nothing else."""
        if size > limits.RECEIVE_BYTES_MAX:
            self.extend(messages)
            return
        super().extend(messages)
        self._appended += len(messages)
        self._fresh += size

    def close_read(self) -> None:
        """What was appended since the last time is one read."""
        if self._fresh:
            self.size_at_most += self._fresh  # first: interrupted here, it is too large, and never less than nothing
            self._reads.append((self._appended, self._fresh))
            self._fresh = 0

    def take_read(self, messages: list[Message], size: int) -> None:
        """`take_in` and `close_read` in one step."""
        if self._fresh or not messages or size > limits.RECEIVE_BYTES_MAX:
            self.take_in(messages, size)
            self.close_read()
            return
        if not self:  # as `_forget_reads` does, without the call
            self._reads.clear()
            self.size_at_most = 0
        elif len(self._reads) > _FEW_READS:
            self._forget_reads()
        deque.extend(self, messages)
        self._appended += len(messages)
        self.size_at_most += size
        self._reads.append((self._appended, size))

    def take_events(self, most: int, taken: list[Event]) -> None:
        """Move the oldest events to a list, until there are so many in it; other messages among them are passed over.

        Several threads may do so at once. Whatever is raised from outside, an event is in the list or in the queue.
        """
        while self and len(taken) < most:
            begin, waiting = len(taken), len(self)
            count = waiting if waiting < most - begin else most - begin
            try:
                taken.extend(map(_POPLEFT, repeat(self, count)))  # type: ignore[arg-type]
            except IndexError:  # another reader was faster
                most = 0
            only = type(taken[0]) is Event if len(taken) == 1 else _ONLY_EVENTS.issuperset(map(type, taken))
            if not only:
                taken[begin:] = filter(_is_event, taken[begin:])

    def put_back(self, messages: Sequence[Message]) -> None:
        """Messages that a reader took and could not give to anybody: they are the oldest again."""
        self._forget_reads()
        self.extendleft(reversed(messages))
        size = sum(len(message.frame) for message in messages)
        self.size_at_most += size
        self._reads.appendleft((self._appended - len(self) + len(messages), size))

    def holds(self, count: int, size: int) -> bool:
        """Whether so many messages wait, or so many bytes."""
        return len(self) >= count or (self.size_at_most >= size and self.size >= size)

    def drop(self, count: int, size: int) -> int:
        """Take the oldest out until no more than so many messages and bytes wait; the newest stays, whatever its size.

        Returns:
            How many were taken out.
        """
        dropped = 0
        while len(self) > count or (self.size > size and len(self) > 1):
            try:
                self.popleft()
            except IndexError:  # a reader was faster
                break
            dropped += 1
        return dropped

    def _forget_reads(self) -> None:
        """Those of which no message is left."""
        if not self:
            self._reads.clear()
            self.size_at_most = 0
        gone = self._appended - len(self)
        while self._reads and self._reads[0][0] <= gone:
            self.size_at_most -= self._reads.popleft()[1]

    @property
    def size(self) -> int:
        """Bytes of what waits, rounded up to whole reads."""
        self._forget_reads()
        return self.size_at_most
