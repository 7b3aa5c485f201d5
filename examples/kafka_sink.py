"""What `eslcodec record` keeps of a switch, into a topic of Kafka: another sink for eslcodec's bridge.

An example, which was tried on librdkafka's mock cluster only.

    pip install 'eslcodec[record]' confluent-kafka
    python kafka_sink.py FOLDER SWITCH SERVERS TOPIC        # rec/10.0.0.1_8021 fs1 k1:9092,k2:9092 esl

Headers and body are those of docs/contract.md, and the subject is the header `esl-subject`. The key is the channel, or
the switch for what belongs to none, so the events of a channel are in one partition of Kafka, in order. After a kill
what was sent in the last half second comes again, since Kafka does not drop it: `Nats-Msg-Id` says what it is known by.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from eslcodec.ingest.bridge import Bridge
from eslcodec.ingest.contract import Contract, Item, Place
from eslcodec.ingest.publisher import PublisherStats, Trouble

POLL_SECONDS = 0.01
AGAIN_SECONDS = 1.0
ANSWER_SECONDS = 5.0
HEADERS = 4096  # bytes of a message that are Kafka's, or the subject's
CHANNEL = re.compile(rb'"Unique-ID":"((?:[^"\\]|\\.)+)"')  # quotes inside of values have a backslash before them
KINDS = {
    KafkaError.MSG_SIZE_TOO_LARGE: "oversize",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "permission",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "no_responders",
    KafkaError._TRANSPORT: "connection",
    KafkaError._ALL_BROKERS_DOWN: "connection",
}


def key_of(item: Item) -> bytes:
    """The channel, else the switch."""
    match = CHANNEL.search(item.body)
    return match[1] if match is not None else item.headers["ce-source"].removeprefix("/esl/").encode()


class KafkaEnd(NamedTuple):
    """A topic. What it ends with says nothing of what other partitions have, so the place is the one that was kept."""

    topic: str
    replicas: int
    max_bytes: int
    id: str | None = None
    place: Place | None = None

    def check(self, partitions: int, prefix: str) -> list[str]:
        """What may surprise; the partitions of the subjects are not those of Kafka, which makes its own of the keys."""
        if self.replicas > 1:
            return []
        return [f"topic {self.topic} has one replica: what it has is lost with that broker"]


class KafkaSink:
    """A topic as a `eslcodec.ingest.sinks.Sink`, by an idempotent producer that waits for all replicas.

    Args:
        servers: such as "k1:9092,k2:9092", or a list.
        stream: the topic. It must be there.
        last: the identity behind which it goes on.
        window: how many messages may wait for acknowledgements.
        chained: is of no use here.
        options: more settings for librdkafka, such as `security.protocol` and what belongs to it.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        stream: str,
        *,
        last: str | None = None,
        window: int = 4096,
        chained: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.stream = stream
        self.last_id = last
        self.place: Place | None = None
        self._settings: dict[str, Any] = {
            "bootstrap.servers": servers if isinstance(servers, str) else ",".join(servers),
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,  # it tries for ever
            "linger.ms": 20,
            "compression.type": "zstd",
            "error_cb": self._wrong,
            **(options or {}),
        }
        self._window = window
        self._waiting: deque[Item] = deque()
        self._acknowledged: set[int] = set()  # numbers of those that have others before them that are not
        self._first = self._sent = 0  # numbers: of the first that waits, of the next to be sent
        self._epoch = 0  # which producer
        self._producer: Producer | None = None
        self._failed = False
        self._trouble: Trouble | None = None
        self._stops: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def stats(self) -> PublisherStats:
        return PublisherStats(
            acknowledged=self._first,
            waiting=len(self._waiting),
            connects=self._epoch,
            stops=dict(self._stops),
            trouble=self._trouble,
        )

    async def stream_end(self, create: Mapping[str, Any] | None = None) -> KafkaEnd:
        """Look at the topic; wait until a broker says that it is there."""
        producer = Producer(self._settings)
        while True:
            try:
                found = (await asyncio.to_thread(producer.list_topics, self.stream, ANSWER_SECONDS)).topics[self.stream]
            except KafkaException as error:
                self._wrong(error.args[0])
            else:
                if found.error is None and found.partitions:
                    replicas = min(len(one.replicas) for one in found.partitions.values())
                    most = int(self._settings.get("message.max.bytes", 1_000_000)) - HEADERS
                    return KafkaEnd(self.stream, replicas, most)
                self._wrong(found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
            await asyncio.sleep(AGAIN_SECONDS)

    async def __aenter__(self) -> KafkaSink:
        self._begin()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *args: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._producer is not None:
            self._producer.purge()

    async def publish(self, item: Item) -> None:
        while len(self._waiting) >= self._window:
            await self._turn()
        self._waiting.append(item)
        self._send()

    async def flush(self, timeout: float | None = None) -> bool:
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self._waiting and time.monotonic() < end:
            await self._turn()
        return not self._waiting

    async def _turn(self) -> None:
        """Let the other task work; raise what it raised."""
        if self._task is None:
            raise RuntimeError("the sink is not open")
        if self._task.done():
            self._task.result()
        await asyncio.sleep(POLL_SECONDS)

    # The producer

    async def _run(self) -> None:
        """Take acknowledgements. What failed is sent again, with all behind it, by a new producer."""
        while True:
            self._send()
            if self._producer is not None:
                self._producer.poll(0)
            if self._failed:
                await asyncio.sleep(AGAIN_SECONDS)
                self._begin()
            await asyncio.sleep(POLL_SECONDS)

    def _begin(self) -> None:
        if self._producer is not None:
            self._producer.purge()
        self._failed = False
        self._epoch += 1
        self._acknowledged.clear()
        self._sent = self._first
        self._producer = Producer(self._settings)

    def _send(self) -> None:
        """Give librdkafka what it has room for."""
        with suppress(BufferError):
            while not self._failed and self._producer is not None and self._sent - self._first < len(self._waiting):
                item, number, epoch = self._waiting[self._sent - self._first], self._sent, self._epoch

                def told(error: KafkaError | None, _: Message, number: int = number, epoch: int = epoch) -> None:
                    self._told(error, number, epoch)

                headers: list[Any] = [*item.headers.items(), ("esl-subject", item.subject)]
                self._producer.produce(self.stream, item.body, key_of(item), headers=headers, on_delivery=told)
                self._sent += 1

    def _told(self, error: KafkaError | None, number: int, epoch: int) -> None:
        """A message was acknowledged, or not. The place moves when all before it are acknowledged too."""
        if epoch != self._epoch or self._failed:
            return
        if error is not None:
            self._failed = True
            self._wrong(error)
            return
        self._trouble = None
        self._acknowledged.add(number)
        while self._first in self._acknowledged:
            self._acknowledged.discard(self._first)
            item = self._waiting.popleft()
            self._first += 1
            self.last_id = item.id
            self.place = item.place or self.place

    def _wrong(self, error: KafkaError) -> None:
        kind = KINDS.get(error.code(), "refused")
        if self._trouble is None or self._trouble.kind != kind:
            self._stops[kind] += 1
            self._trouble = Trouble(kind, error.str(), time.monotonic())


async def main(folder: str, switch: str, servers: str, topic: str) -> bool:
    bridge = Bridge(folder, servers, topic, Contract(switch), begin="all", sink=KafkaSink)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, bridge.stop)
    is_done = await bridge.run()
    stats = bridge.stats().publisher
    print(f"{stats.acknowledged} acknowledged, {stats.waiting} waiting")
    return is_done


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("expected FOLDER SWITCH SERVERS TOPIC")
    sys.exit(0 if asyncio.run(main(*sys.argv[1:])) else 1)
