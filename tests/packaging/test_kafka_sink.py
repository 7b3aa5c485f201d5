"""examples/kafka_sink.py, on librdkafka's mock cluster: no Kafka runs here."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recordings_support import Tape
from support import plain

from eslcodec.ingest import notices
from eslcodec.ingest.bridge import Bridge
from eslcodec.ingest.contract import Contract, Item

kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")

PROGRAM = Path(__file__).parents[2] / "examples" / "kafka_sink.py"
NAME = "20261130T014838Z-000001.esl.zst"
CORE = "8f08a03a"
QUIET = {"log_level": 0}
COUNT = 2000

pytestmark = [pytest.mark.skipif(not PROGRAM.exists(), reason="examples/ is in the checkout only"), pytest.mark.heavy]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kafka_sink", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Mock:
    """A cluster of three brokers, which lives while this does."""

    def __init__(self) -> None:
        self._owner = kafka.Producer({"test.mock.num.brokers": 3, "log_level": 0})
        brokers = self._owner.list_topics(timeout=30).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def messages(self, topic: str, count: int) -> list[Any]:
        """What a topic has, at least so many; of each partition in its order."""
        settings = {"bootstrap.servers": self.servers, "group.id": "test", "auto.offset.reset": "earliest"}
        consumer = kafka.Consumer({**settings, "enable.auto.commit": False, "log_level": 0})
        consumer.assign([kafka.TopicPartition(topic, number, 0) for number in range(4)])
        found: list[Any] = []
        end = time.monotonic() + 60
        while len(found) < count and time.monotonic() < end:
            found += [message for message in consumer.consume(1000, 0.5) if message.error() is None]
        found += [message for message in consumer.consume(1000, 0.5) if message.error() is None]
        consumer.close()
        return found


@pytest.fixture
def mock() -> Mock:
    return Mock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of events of seven channels, and one of none."""
    tape = Tape()
    tape.note(**notices.to_note(notices.Started("recorded", 1796000000.0, "127.0.0.1", 8021, core_uuid=CORE)))
    text = b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\nUnique-ID: u%d\n\n"
    tape.chunk(b"".join(plain(text % (number, number % 7)) for number in range(COUNT)))
    tape.chunk(plain(b"Event-Name: HEARTBEAT\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\n\n" % COUNT))
    (tmp_path / NAME).write_bytes(tape.bytes(closed=False))
    return tmp_path


def bridge_to(example: ModuleType, servers: str, folder: Path) -> Bridge:
    return Bridge(folder, servers, "esl", Contract("fs1"), begin="all", sink=example.KafkaSink, options=QUIET)


def run_whole(bridge: Bridge) -> bool:
    bridge.finish()
    return asyncio.run(asyncio.wait_for(bridge.run(drain=60.0), 100))


def numbers_by_key(messages: list[Any]) -> dict[bytes, list[int]]:
    found = defaultdict(list)
    for message in messages:
        before, _, number = dict(message.headers())["Nats-Msg-Id"].decode().rpartition(":")
        if before == CORE:
            found[message.key()].append(int(number))
    return dict(found)


def test_each_channel_is_in_one_partition_and_in_order(example: ModuleType, mock: Mock, folder: Path) -> None:
    bridge = bridge_to(example, mock.servers, folder)
    assert run_whole(bridge)
    assert bridge.stats().publisher.acknowledged == COUNT + 2  # events, a HEARTBEAT and a notice
    found = mock.messages("esl", COUNT + 2)
    wanted = {b"u%d" % channel: list(range(channel, COUNT, 7)) for channel in range(7)}
    assert numbers_by_key(found) == {**wanted, b"fs1": [COUNT]}
    partitions = {message.key(): set() for message in found}
    for message in found:
        partitions[message.key()].add(message.partition())
    assert {len(one) for one in partitions.values()} == {1}
    headers = dict(found[0].headers())
    assert headers["esl-subject"].startswith(b"esl.v1.fs1.")
    assert headers["ce-id"] == headers["Nats-Msg-Id"]


def test_it_goes_on_behind_what_was_acknowledged(example: ModuleType, mock: Mock, folder: Path) -> None:
    assert run_whole(bridge_to(example, mock.servers, folder))
    again = bridge_to(example, mock.servers, folder)
    assert run_whole(again)
    assert again.stats().publisher.acknowledged == 0
    assert len(mock.messages("esl", COUNT + 2)) == COUNT + 2


def test_what_waits_for_acknowledgements_is_bounded(example: ModuleType, mock: Mock) -> None:
    async def test() -> int:
        async with example.KafkaSink(mock.servers, "esl", window=10, options=QUIET) as sink:
            most = 0
            for number in range(100):
                await sink.publish(Item("esl.v1.fs1.0.DTMF", {"ce-source": "/esl/fs1"}, b"{}", f"id:{number}"))
                most = max(most, sink.stats().waiting)
            assert await sink.flush(30.0)
            assert sink.last_id == "id:99"
            return most

    assert asyncio.run(test()) == 10


def test_without_a_broker_it_waits_and_says_why(example: ModuleType, folder: Path) -> None:
    bridge = bridge_to(example, "127.0.0.1:1", folder)

    async def test() -> None:
        task = asyncio.create_task(bridge.run())
        while (trouble := bridge.stats().publisher.trouble) is None:
            await asyncio.sleep(0.01)
        assert trouble.kind == "connection"
        bridge.stop()
        await task

    asyncio.run(asyncio.wait_for(test(), 60))


def test_what_a_broker_refuses_is_sent_again_with_all_behind_it(
    example: ModuleType, mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message is refused once: those behind it, which were taken, come again."""
    monkeypatch.setattr(example, "AGAIN_SECONDS", 0.01)
    at_once = {**QUIET, "linger.ms": 2500}  # all five go in one batch, however slow the machine is

    async def test() -> tuple[Any, Any]:
        async with example.KafkaSink(mock.servers, "esl", options=at_once) as sink:
            told, refused = sink._told, []

            def refuse(error: Any, number: int, epoch: int) -> None:
                if number == 1 and not refused:
                    refused.append(number)
                    error = kafka.KafkaError(kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED)
                told(error, number, epoch)

            sink._told = refuse
            for number in range(5):
                headers = {"ce-source": "/esl/fs1", "Nats-Msg-Id": f"{CORE}:{number}"}
                await sink.publish(Item("esl.v1.fs1.0.DTMF", headers, b"{}", f"{CORE}:{number}"))
            assert await sink.flush(30.0)
            return sink.stats(), sink.last_id

    stats, last = asyncio.run(test())
    assert (stats.acknowledged, stats.waiting, stats.connects, stats.trouble) == (5, 0, 2, None)
    assert (stats.stops, last) == ({"permission": 1}, f"{CORE}:4")
    found = numbers_by_key(mock.messages("esl", 9))[b"fs1"]
    assert found == [0, 1, 2, 3, 4, 1, 2, 3, 4]


@pytest.mark.parametrize(("replicas", "said"), [(1, 1), (3, 0)])
def test_a_topic_without_replicas_is_warned_of(example: ModuleType, replicas: int, said: int) -> None:
    assert len(example.KafkaEnd("esl", replicas, 1 << 20).check(16, "esl.v1")) == said


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_program_publishes_until_sigterm(mock: Mock, folder: Path) -> None:
    command = [sys.executable, str(PROGRAM), str(folder), "fs1", mock.servers, "esl"]
    with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, text=True) as process:
        try:
            found = mock.messages("esl", COUNT + 2)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert len(found) == COUNT + 2
    assert (process.returncode, said) == (0, f"{COUNT + 2} acknowledged, 0 waiting\n")
