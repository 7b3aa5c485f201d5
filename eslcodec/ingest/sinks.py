"""What a `Bridge` needs of the log that it publishes to (experimental: see STABILITY.md).

`eslcodec.ingest.publisher.Publisher` is the one for NATS JetStream, examples/kafka_sink.py one for Kafka.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .contract import Item, Place
from .publisher import PublisherStats

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["End", "Sink"]


class End(Protocol):
    """A log before anything is published to it, and what it ends with.

    Example:
        >>> from eslcodec.ingest.publisher import StreamEnd
        >>> end: End = StreamEnd({"name": "FS1"}, 1 << 20, 0, None, None)
        >>> end.max_bytes
        1046528
    """

    @property
    def max_bytes(self) -> int:
        """How large a message may be, headers and body: at least 64 KiB."""

    @property
    def id(self) -> str | None:
        """What the last message is known by; None if that is not known, or says nothing of those before it."""

    @property
    def place(self) -> Place | None:
        """Where the last message is in the recording of whoever sent it."""

    def check(self, partitions: int, prefix: str) -> list[str]:
        """What of the log may surprise, a sentence each.

        Args:
            partitions: how many the subjects have.
            prefix: what they begin with.

        Raises:
            ValueError: it cannot work, and why.
        """


class Sink(Protocol):
    """A log that takes messages in order and acknowledges them.

    It holds what is not acknowledged and sends it again as long as it takes. A bridge makes one as
    `sink(servers, stream, chained=..., window=..., options=..., last=...)`, asks it for the log's end, makes another
    with `last` set to the identity behind which it goes on, enters it, and publishes.

    Example:
        >>> from eslcodec.ingest.publisher import Publisher
        >>> sink: Sink = Publisher("nats://127.0.0.1:4222", "FS1")
        >>> sink.stream, sink.place
        ('FS1', None)
    """

    stream: str
    """The name of the log: the place is kept under it."""

    @property
    def place(self) -> Place | None:
        """Behind the last message that is acknowledged, as are all that came before it."""

    @property
    def last_id(self) -> str | None:
        """What that message is known by."""

    def stats(self) -> PublisherStats:
        """How it fares. `trouble` says why nothing is published."""

    async def stream_end(self, create: Mapping[str, Any] | None = None) -> End:
        """Look at the log; wait until it says something of itself.

        Args:
            create: with which configuration it is made, if it is not there.
        """

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(self, *args: object) -> None:
        """End, without waiting for acknowledgements."""

    async def publish(self, item: Item) -> None:
        """Have a message published, behind all others; wait while there is no room for it."""

    async def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything is acknowledged, for no more than so many seconds; whether it is."""
