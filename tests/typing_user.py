"""What users write, for type checkers alone: tools/check_types.py gives it to mypy with the installed package.

Every public name is used as a program would use it, and what comes out of it has the type that the program relies on.
Nothing here is run. What must be an error says so with a `type: ignore`, and strict mode complains if it is none.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from typing_extensions import assert_never, assert_type

import eslcodec
from eslcodec import ESL, aio, commands, dialing, ingest, ivr, logs, presets, render, sync, tables, zst
from eslcodec.adapters import UnknownClient, genesis, greenswitch, switchio
from eslcodec.backoff import Backoff
from eslcodec.connection import Connection, ConnectionOptions, MessageQueue, Reply, Wait
from eslcodec.emulator import (
    AioCall,
    AioEmulator,
    EmulatedCall,
    Emulator,
    Endpoint,
    Fault,
    KeysNotTaken,
    Later,
    Listener,
    NotEmulated,
    NotRunning,
    Run,
    Session,
    UnknownEvent,
    User,
)
from eslcodec.events import HeaderValue
from eslcodec.headers import HeaderList
from eslcodec.ingest import Fleet, FleetStats, Health, Host, Loss, LossWatch, Metrics, Notice, SwitchStats
from eslcodec.ingest.bridge import (
    Bridge,
    BridgeStats,
    check_partitions,
    check_replay,
    check_stream,
    notice_line,
    stream_config,
)
from eslcodec.ingest.consume import Consumer, ConsumeStats, StreamEvent, StreamNotice, consume
from eslcodec.ingest.contract import Contract, Item, Place, Subject, Subjects, escape, identity
from eslcodec.ingest.metrics import Sample, Times, dashboard, rules
from eslcodec.ingest.publisher import Publisher, PublisherStats, Trouble
from eslcodec.ingest.recorder import Missed
from eslcodec.ingest.sinks import End, Sink
from eslcodec.recordings import Follower, RecordingGap, RecordingInfo, Repair
from eslcodec.subscriptions import Subscriptions

# Recordings


def recordings(path: Path) -> None:
    recording = eslcodec.Recording(path, damaged="skip")
    eslcodec.Recording(path, damaged="ignore")  # type: ignore[arg-type]
    assert_type(recording.messages(since=datetime.now(), until=1.5, sequence=7), Iterator[eslcodec.Message])
    assert_type(eslcodec.iter_messages("day.esl.zst"), Iterator[eslcodec.Message])
    follower = Follower()
    for chunk in recording.chunks(check=False):
        assert_type(chunk.data, bytes)
        assert_type(chunk.reads, list[tuple[int, int]])
        assert_type(chunk.sends, list[zst.Sent])
        for message in follower.take(chunk) or ():
            assert_type(message, eslcodec.Message)
    info = recording.info(verify=True)
    assert_type(info, RecordingInfo)
    assert_type(info.first, datetime | None)
    assert_type(info.gaps, list[RecordingGap])
    assert_type(recording.repair(), list[Repair])
    try:
        zst.read_chunks(path.open("rb"))
    except eslcodec.DamagedRecording as error:
        assert_type((error.path, error.position, error.why), tuple[str, int, str])
    except eslcodec.RecordingError:
        pass


# The codec


def codec(data: bytes, view: memoryview, text: str) -> None:
    decoder = eslcodec.Decoder(max_header_bytes=1 << 10, max_body_bytes=1 << 20, max_buffered=None)
    decoder.feed(data)
    decoder.feed(view)
    decoder.feed(text)  # type: ignore[arg-type]
    for message in decoder:
        assert_type(message, eslcodec.Message)
    assert_type(iter(decoder), Iterator[eslcodec.Message])
    assert_type(next(decoder), eslcodec.Message)
    assert_type(list(decoder), list[eslcodec.Message])
    assert_type(decoder.next_message(), eslcodec.Message | None)
    drained: list[eslcodec.Message] = []
    assert_type(decoder.drain(drained, eslcodec.Event), bool)
    assert_type(decoder.get_buffer(), memoryview)
    decoder.buffer_updated(1)
    decoder.feed_eof()
    assert_type((decoder.buffered, decoder.consumed), tuple[int, int])
    splitter = eslcodec.FrameSplitter(max_body_bytes=16 << 20)
    splitter.feed(bytearray(data))
    for block, body in splitter:
        assert_type(block, bytes)
        assert_type(body, bytes | None)
    assert_type(splitter.next_frame(), tuple[bytes, bytes | None] | None)
    assert_type(eslcodec.parse_headers(view), dict[str, str])
    assert_type(eslcodec.parse_headers(text, decode=False, multiline=True), dict[str, str])
    assert_type(eslcodec.parse_pairs(data), list[tuple[str, str]])
    assert_type(eslcodec.quote(eslcodec.unquote(view)), bytes)
    assert_type((eslcodec.__version__, eslcodec.__impl__), tuple[str, str])


class Events(asyncio.BufferedProtocol):
    """As in the README: the decoder's methods are those of the protocol."""

    def __init__(self) -> None:
        self.decoder = eslcodec.Decoder()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.decoder.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self.decoder.buffer_updated(nbytes)


# Messages


def read(message: eslcodec.Message) -> str | None:
    headers: Mapping[str, str] = message
    assert_type(message["Event-Name"], str)
    assert_type(message.get("Event-Name"), str | None)
    assert_type(message.get("Event-Name", None), str | None)
    assert_type(message.get("Event-Name", ""), str)
    assert_type(message.get("Event-Name", 0), str | int)
    assert_type(message.get("Event-Name", errors="replace"), str | None)
    assert_type(message.get("Event-Name", "", errors="replace"), str)
    assert_type(message.asdict(), dict[str, str])
    assert_type(message.asdict(errors="replace"), dict[str, str])
    assert_type(message.select("a", "b"), tuple[str | None, ...])
    assert_type(message.select("a", "b", errors="replace"), tuple[str | None, ...])
    assert_type(message.pairs(), list[tuple[str, str]])
    assert_type(message.getlist("a"), list[str])
    assert_type((message.body, message.payload), tuple[bytes | None, bytes | None])
    assert_type((message.frame, message.raw), tuple[bytes, bytes])
    assert_type((message.text, message.content_type), tuple[str, str | None])
    assert_type(message.malformed, eslcodec.MalformedPayload | None)
    assert_type(message.to_json(errors="surrogateescape"), bytes)
    message["a"] = "b"  # type: ignore[index]
    message.body = b""  # type: ignore[misc]
    return headers.get("a")


def kind(message: eslcodec.Message) -> object:
    if isinstance(message, eslcodec.Gap):
        assert_type((message.same_core, message.at_most), tuple[bool | None, int | None])
        assert_type((message.last_sequence, message.last_timestamp), tuple[int | None, datetime | None])
        return assert_type((message.seconds, message.reason), tuple[float, str])
    if isinstance(message, eslcodec.JobResult):
        return assert_type((message.ok, message.job_uuid), tuple[bool, str | None])
    if isinstance(message, eslcodec.Event):
        assert_type((message.name, message.subclass, message.uuid), tuple[str | None, str | None, str | None])
        assert_type((message.sequence, message.timestamp), tuple[int | None, datetime | None])
        assert_type(message.id, str | None)
        assert_type(message.to_dict(), dict[str, str | list[str]])
        return assert_type(message.envelope, dict[str, str])
    if isinstance(message, eslcodec.CommandReply):
        return assert_type(message.check(), eslcodec.CommandReply)
    if isinstance(message, eslcodec.ApiResponse):
        return assert_type(message.check(), eslcodec.ApiResponse)
    if isinstance(message, eslcodec.LogLine):
        assert_type(message.level, eslcodec.LogLevel | int | None)
        return assert_type((message.file, message.function, message.line), tuple[str | None, str | None, int | None])
    if isinstance(message, eslcodec.DisconnectNotice):
        return assert_type((message.linger, message.final, message.linger_time), tuple[bool, bool, int | None])
    if isinstance(message, (eslcodec.AuthRequest, eslcodec.RudeRejection)):
        return message.text
    return assert_type(message, eslcodec.Message)


def matched(message: eslcodec.CommandReply | eslcodec.ApiResponse) -> str:
    if isinstance(message, eslcodec.CommandReply):
        return message.text
    if isinstance(message, eslcodec.ApiResponse):
        return message.text
    assert_never(message)


class Mine(eslcodec.Event):
    """An event class of one's own keeps its type through the constructors."""

    __slots__ = ()


def build(headers: dict[str, list[str]], numbers: dict[str, int], mixed: dict[str, HeaderValue]) -> bytes:
    assert_type(eslcodec.Event.from_payload(b"{}", "json"), eslcodec.Event)
    assert_type(Mine.build("CUSTOM", headers, "body", subclass="my::own"), Mine)
    eslcodec.Event.build("DTMF", numbers, b"body")
    eslcodec.Event.build("DTMF", mixed)
    eslcodec.Event.build("DTMF", [("a", "1"), ("a", ["2", "3"])])
    eslcodec.Event.build("DTMF", {"a": None})  # type: ignore[dict-item]
    eslcodec.Event.build("DTMF", {"a": 1, "b": "2", "c": ["3"]})
    return assert_type(eslcodec.Event.build(eslcodec.EventName.DTMF).serialize("xml"), bytes)


def names(event: eslcodec.Event) -> None:
    assert_type(eslcodec.HangupCause[event["Hangup-Cause"]], eslcodec.HangupCause)
    assert_type(eslcodec.ChannelState[event["Channel-State"]], eslcodec.ChannelState)
    assert_type(eslcodec.CallState(event["Channel-Call-State"]), eslcodec.CallState)
    assert_type(eslcodec.AnswerState(event["Answer-State"]), eslcodec.AnswerState)
    text: str = eslcodec.EventName.CHANNEL_ANSWER
    number: int = eslcodec.LogLevel.INFO
    print(text, number)


def failures(error: eslcodec.ESLError) -> object:
    if isinstance(error, eslcodec.InvalidContentLength):
        return assert_type(error.values, tuple[bytes, ...])
    if isinstance(error, (eslcodec.HeaderTooLarge, eslcodec.BodyTooLarge, eslcodec.LimitExceeded)):
        return error.read + error.limit
    if isinstance(error, eslcodec.IncompleteFrame):
        assert_type((error.data, error.header_bytes, error.body_bytes), tuple[bytes, int | None, int | None])
        return assert_type((error.notice, error.reason), tuple[bytes | None, str | None])
    if isinstance(error, eslcodec.MalformedPayload):
        return assert_type((error.format, error.offset, error.why), tuple[str, int, str])
    if isinstance(error, eslcodec.CommandError):
        return assert_type(error.text, str)
    if isinstance(error, eslcodec.EventQueueFull):
        return assert_type((error.what, error.queued, error.limit), tuple[str, int, int])
    if isinstance(error, eslcodec.ReaderTooSlow):
        return assert_type((error.unread_seconds, error.estimated), tuple[float, int])
    if isinstance(error, UnknownClient):
        return assert_type((error.client, error.found, error.known, error.why), tuple[str, str, str, str])
    closed: type[eslcodec.ConnectionClosed] = eslcodec.ChannelEnded
    assert_type(closed("why").again(), eslcodec.ConnectionClosed)
    if isinstance(error, eslcodec.ChannelEnded):
        return assert_type((error.cause, error.complete), tuple[str, eslcodec.Event | None])
    ours: list[type[eslcodec.ESLError]] = [
        eslcodec.ProtocolError,
        eslcodec.LoginTooLarge,
        eslcodec.InvalidCommand,
        eslcodec.AuthError,
        eslcodec.AccessDenied,
        eslcodec.CommandTimeout,
        closed,
    ]
    return ours


# Blocking


class Ear:
    """A tap."""

    def opened(self, peer: tuple[str, int]) -> None: ...

    def received(self, data: bytes | memoryview) -> None: ...

    def sent(self, data: bytes) -> None: ...


def first(secret: Path) -> bool:
    try:
        eslcodec.connect(password=secret, reconnect=True, connect_first=True).close()
        eslcodec.connect(password=secret.read_text).close()
    except eslcodec.ConnectionClosed as error:
        return assert_type(error.maybe_done, bool)
    return False


def inbound(secret: str) -> None:
    with eslcodec.connect("127.0.0.1", 8021, password=secret, reconnect=eslcodec.Backoff(first=1, attempts=3)) as fs:
        assert_type(fs, sync.Client)
        assert_type(fs.subscribe(eslcodec.EventName.DTMF, custom=["my::own"], format="json"), eslcodec.CommandReply)
        assert_type(fs.api("status"), eslcodec.CommandReply | eslcodec.ApiResponse)
        assert_type(fs.send(b"noevents"), Reply)
        assert_type(fs.pipeline(["api status", b"noevents"]), list[eslcodec.CommandReply | eslcodec.ApiResponse])
        job = fs.bgapi("originate", "user/1000 &park", timeout=3)
        assert_type(job, sync.Job)
        assert_type((job.uuid, job.done), tuple[str, bool])
        assert_type(job.result(timeout=30).check(), eslcodec.JobResult)
        assert_type(fs.getvar("name"), str | None)
        fs.hangup(eslcodec.HangupCause.USER_BUSY, uuid="a")
        made = fs.originate("user/1000", application="park", variables={"a": 1, "b": True, "c": "d"}, timeout=20)
        assert_type(made, eslcodec.Originated)
        assert_type((made.answered, made.cause, made.uuid), tuple[bool, str, str])
        assert_type(fs.originate(["user/1", dialing.Leg("user/2")], extension="1 XML", wait=False), sync.Job)
        fs.originate("user/1000", application="park", wait="end")  # type: ignore[call-overload]
        channel: sync.UuidVerbs = fs.uuid("a")
        assert_type(channel.exists(), bool)
        try:
            assert_type(fs.show("channels", like="1000"), list[dict[str, str]])
        except eslcodec.MalformedTable as error:
            assert_type(error.expected, str)
        assert_type(fs.table("sofia status"), list[tables.Row])
        assert_type(fs.count("calls"), int)
        assert_type(fs.uuid("a").dump(), dict[str, str])
        assert_type(fs.uuid("a").getvar("b"), str | None)
        assert_type(fs.nomedia("b", uuid="a"), eslcodec.CommandReply)
        assert_type(fs.unicast(remote_port=9000, transport="tcp", uuid="a"), eslcodec.CommandReply)
        assert_type(fs.xferext([("answer", ""), ("park", "")], uuid="a"), eslcodec.CommandReply)
        fs.log(eslcodec.LogLevel.INFO)
        fs.sendevent("CUSTOM", {"a": ["1", "2"], "b": 3, "c": "4"}, subclass="my::own")
        fs.sendmsg("nomedia", {"nomedia-uuid": "b"}, uuid="a")
        fs.execute("set", "a=b", uuid="c", loops=2, event_lock=True)
        fs.execute("set", "a=b", loop=2)  # type: ignore[call-arg]
        assert_type(fs.events(), Iterator[eslcodec.Event])
        assert_type(fs.messages(timeout=1), Iterator[eslcodec.Message])
        assert_type(fs.next_event(timeout=1), eslcodec.Event | None)
        assert_type(fs.take(max=10, timeout=None), list[eslcodec.Event])
        assert_type((fs.host, fs.port, fs.dropped, fs.connected, fs.closed), tuple[str, int, int, bool, bool])
        assert_type(fs.connection, Connection)
        assert_type(fs.subscriptions, Subscriptions)

        @fs.on("DTMF")
        def digit(event: eslcodec.Event) -> str:
            return event["DTMF-Digit"]

        assert_type(digit(eslcodec.Event.build("DTMF")), str)
        fs.on("CUSTOM", print, subclass="my::own")
        fs.on("DTMF", len)
        fs.on("NEW_EVENT", print, unknown=True)
        assert_type(fs.subscribe("NEW_EVENT", unknown=True), eslcodec.CommandReply)
        assert_type(fs.sendevent("NEW_EVENT", unknown=True), eslcodec.CommandReply)
        fs.on("DTMF", lambda: None)  # type: ignore[type-var]
        fs.run()
    eslcodec.connect(when_full="lose")  # type: ignore[arg-type]
    with eslcodec.connect(tap=Ear()) as fs:
        assert_type(fs.stats().tap, dict[str, Any] | None)
    eslcodec.connect(tap=print)  # type: ignore[arg-type]
    eslcodec.serve(greet, tap=lambda call: Ear() if call.uuid else None)
    heard: sync.Tap = Ear()
    aio.connect(tap=heard)
    with ingest.Recorder("rec", fsync="always", keep_seconds=86_400, on_full="oldest") as recorder:
        aio.connect(tap=recorder)
        eslcodec.serve(greet, tap=lambda call: ingest.Recorder(Path("calls") / (call.uuid or "")))
        assert_type(recorder.missed, Missed | None)
        assert_type(recorder.stats(), dict[str, Any])
    ingest.Recorder("rec", on_full="ask")  # type: ignore[arg-type]
    redact = ingest.Redact.profile("secrets", drop=["variable_x"], bodies="drop")
    assert_type(redact(eslcodec.Event.build("DTMF")), eslcodec.Event)
    assert_type(redact.value("A", "b"), str | None)
    assert_type(redact.pairs([("A", "b")]), list[tuple[str, str]])
    assert_type(redact.mapping(eslcodec.Event.build("DTMF").to_dict()), dict[str, str | list[str]])
    assert_type(ingest.redact_recording("rec", Path("out.esl.zst"), redact).changed, int)
    chunks = eslcodec.Recording("rec").chunks()
    copied = ingest.redacting.copy_recording(chunks, "out.esl.zst", redact, keep=lambda message, ns: ns > 0)
    assert_type(copied.written, int)
    ingest.Redact(bodies="none")  # type: ignore[arg-type]
    Emulator(replay="rec", speed=2, since=datetime.now(timezone.utc), redact=redact, rename="staging")


def greet(call: sync.Call) -> None:
    assert_type(call.data, eslcodec.Event)
    assert_type((call.uuid, call.mode, call.control), tuple[str | None, str | None, str | None])
    assert_type(call.hung_up, str | None)
    assert_type(call.connect(), eslcodec.Event)
    assert_type(call.answer(), eslcodec.CommandReply)
    assert_type(call.answer(wait=True), eslcodec.Event)
    assert_type(call.playback("a.wav", wait=True, timeout=10), eslcodec.Event)
    assert_type(call.set("a", "b"), eslcodec.CommandReply)
    assert_type(call.sleep(100, wait=bool(call.uuid)), eslcodec.CommandReply | eslcodec.Event)
    assert_type(call.execute("playback", "a.wav"), eslcodec.CommandReply)
    assert_type(call.execute("playback", "a.wav", wait=True, event_lock=True), eslcodec.Event)
    assert_type(call.pre_answer(wait=True).uuid, str | None)
    call.ring_ready().check()
    call.record("/tmp/a.wav 60").check()
    call.bridge("user/1000", wait=True).get("variable_bridge_result")
    call.unset("a").check()
    call.park().check()
    call.transfer("1000 XML default").check()
    got = call.collect(["a.wav", "b.wav"], max_digits=4, retries=1, pattern="^1", timeout=3)
    assert_type(got, eslcodec.Collected)
    assert_type((got.digits, got.reason, got.terminator, got.rejected), tuple[str, ivr.CollectReason, str, str])
    assert_type(call.play_and_get_digits("a.wav", max_digits=1, transfer="1000"), eslcodec.Collected)
    assert_type(call.read("a.wav", max_digits=1), eslcodec.Collected)
    assert_type(call.say("1", type="items", wait=True), eslcodec.Event)
    assert_type(call.speak("hi", wait=bool(call.uuid)), eslcodec.CommandReply | eslcodec.Event)
    assert_type(eslcodec.Recorded.of(call.record("/a.wav", limit=5, wait=True)).seconds, float | None)
    assert_type(call.dial(["a/1", "b/2"], timeout=5, variables={"x": 1}), eslcodec.Bridged)
    assert_type(call.bridge(["a/1", "b/2"], together=False), eslcodec.CommandReply)
    assert_type(call.transfer("1000", context="public", wait=True), eslcodec.Event)
    assert_type(call.hold(), eslcodec.CommandReply)
    assert_type(call.playback_control("seek", 1000), eslcodec.CommandReply | eslcodec.ApiResponse)
    call.linger(5)
    assert_type(call.dtmf(), Iterator[str])
    assert_type("".join(call.dtmf(timeout=5)), str)
    call.resume()


def outbound() -> None:
    with eslcodec.serve(greet, port=8084, max_calls=10) as server:
        assert_type(server, sync.Server)
        assert_type((server.host, server.port, server.calls, server.refused), tuple[str, int, int, int])
        assert_type(server.listening, bool)
        assert_type(server.wait(1), bool)
        server.serve_forever()
        server.close(10, calls="hangup")
        server.close(calls="drop")  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 8084)) as listener:
        eslcodec.serve(greet, sock=listener).close()
    sync.serve(sync.connect)  # type: ignore[arg-type]
    sync.connect(quue_limit=1)  # type: ignore[call-arg]
    sync.serve(greet, when_full="never")  # type: ignore[arg-type]


def options() -> sync.ExecuteOptions:
    return {"loops": 2, "event_lock": True}


# asyncio


async def inbound_async() -> None:
    async with eslcodec.aio.connect("127.0.0.1", 8021, keepalive=30, when_full="drop", reconnect=True) as fs:
        assert_type(fs, aio.Client)
        assert_type(await fs.subscribe(*eslcodec.presets.CALLS, custom=presets.GATEWAYS), eslcodec.CommandReply)
        assert_type(await fs.api("status"), eslcodec.CommandReply | eslcodec.ApiResponse)
        assert_type(await fs.pipeline(["api status"]), list[eslcodec.CommandReply | eslcodec.ApiResponse])
        job = await fs.bgapi("status")
        channel: aio.UuidVerbs = fs.uuid("a")
        assert_type(await channel.exists(), bool)
        assert_type(job, aio.Job)
        assert_type(await job.result(timeout=30), eslcodec.JobResult)
        assert_type(fs.events(), AsyncIterator[eslcodec.Event])
        async for message in fs.messages():
            assert_type(message, eslcodec.Message)
        assert_type(await fs.next_event(), eslcodec.Event | None)
        assert_type(await fs.take(), list[eslcodec.Event])
        assert_type(await fs.getvar("a"), str | None)
        assert_type(await fs.nomedia("b", uuid="a"), eslcodec.CommandReply)
        assert_type(await fs.unicast(remote_port=9000, transport="tcp", uuid="a"), eslcodec.CommandReply)
        assert_type(await fs.xferext([("answer", ""), ("park", "")], uuid="a"), eslcodec.CommandReply)

        @fs.on("DTMF")
        async def digit(event: eslcodec.Event) -> None:
            await fs.api("echo", event["DTMF-Digit"])

        fs.on("ALL", print)
        fs.on("NEW_EVENT", unknown=True)(print)
        assert_type(await fs.subscribe("NEW_EVENT", unknown=True), eslcodec.CommandReply)
        assert_type(await fs.sendevent("NEW_EVENT", unknown=True), eslcodec.CommandReply)
        await fs.run(concurrency=10)
    opened = await aio.connect()
    await opened.close()


async def greet_async(call: aio.Call) -> None:
    assert_type(await call.answer(), eslcodec.CommandReply)
    assert_type(call.hung_up, str | None)
    assert_type(await call.playback("a.wav", wait=True), eslcodec.Event)
    assert_type(await call.execute("sleep", "1", wait=True), eslcodec.Event)
    assert_type(await call.set("a", "b", wait=bool(call.uuid)), eslcodec.CommandReply | eslcodec.Event)
    assert_type(await call.collect("a.wav", max_digits=4), eslcodec.Collected)
    assert_type(await call.dial("user/1000"), eslcodec.Bridged)
    assert_type(call.dtmf(timeout=5), AsyncIterator[str])
    async for digit in call.dtmf():
        assert_type(digit, str)


async def outbound_async() -> None:
    async with aio.serve(greet_async) as server:
        assert_type(server, aio.Server)
        assert_type(server.listening, bool)
        await server.serve_forever()
        await server.close(timeout=10, calls="resume")
    opening: aio.Opening[aio.Server] = aio.serve(greet_async)
    await (await opening).close()
    aio.serve(greet)  # type: ignore[arg-type]


def run() -> str:
    return aio.run(asyncio.sleep(0, "done"))


# Building and writing


def written(event: eslcodec.Event, headers: dict[str, str]) -> list[bytes]:
    fields = HeaderList.of(event)
    fields.add("a", "1")
    fields.push("a", "2")
    assert_type(fields.get("a"), str | None)
    assert_type(fields.get("a", ""), str)
    assert_type(fields.getlist("a"), list[str])
    assert_type(list(fields), list[tuple[str, str]])
    return [
        commands.api("status"),
        commands.event("DTMF", custom=("my::own",)),
        commands.execute("playback", "a.wav", uuid="a", loops=2),
        commands.sendevent("CUSTOM", headers, subclass="my::own"),
        commands.hangup(eslcodec.HangupCause.USER_BUSY, uuid="a", event_lock=True),
        commands.xferext([("answer", ""), ("park", "")]),
        render.plain(fields.fields(), fields.body),
        render.json(fields.pairs()),
        render.frame(headers.items()),
        render.event_frame(event.serialize("json"), "json"),
        commands.api(b"status"),  # type: ignore[arg-type]
    ]


def without_sockets(received: bytes) -> str:
    connection = Connection.inbound("ClueCon")
    connection.receive(received)
    connection.dtmf()
    digit: Wait[bool] = connection.digit()
    assert_type((digit.done, list(connection.digits)), tuple[bool, list[str]])
    status: Wait[eslcodec.CommandReply | eslcodec.ApiResponse] = connection.api("status")
    options: ConnectionOptions = {"queue_limit": 1000, "when_full": "drop", "pause_limit": None}
    Connection.outbound(**options).execute("playback", "a.wav", uuid="u", loops=2)
    Connection.inbound("ClueCon", queue=MessageQueue(), where="127.0.0.1:8021")
    Connection.inbound("ClueCon", queue_limits=5)  # type: ignore[call-arg]
    Connection.outbound(when_full="lose")  # type: ignore[arg-type]
    connection.nomedia("b", uuid="a")
    connection.unicast(remote_port=9000, transport="tcp", uuid="a")
    connection.xferext([("answer", ""), ("park", "")], uuid="a")
    connection.execute("playback", loop=2)  # type: ignore[call-arg]
    connection.run("playback", "a.wav", loops="2")  # type: ignore[arg-type]
    execute: sync.ExecuteOptions = {"event_lock": True, "event_uuid": "e"}
    assert_type(connection.run("sleep", "1", **execute), tuple[Wait[eslcodec.CommandReply], Wait[eslcodec.Event]])
    assert_type(connection.data_to_send(), bytes)
    return status.result().text


def pauses() -> list[float]:
    return list(Backoff(jitter=0).delays())


# Records


def records(decoder: eslcodec.Decoder, fs: sync.Client) -> None:
    assert_type(ingest.legs(decoder), Iterator[ingest.Leg])
    assert_type(ingest.calls(fs), Iterator[ingest.Call])
    for call in ingest.calls(fs.events(), columns={"customer": "variable_customer"}, give_up=3600.0, max_legs=50):
        assert_type((call.created, call.talk_seconds, call.ended_by), tuple[datetime | None, float | None, str | None])
        assert_type(call.legs, tuple[ingest.Leg, ...])
        assert_type((call.to_json(), call.legs[0].own), tuple[bytes, Mapping[str, str | None]])
    maker = ingest.Calls(recover_seconds=60.0)
    for event in fs.events():
        assert_type(maker.see(event), Sequence[ingest.Call])
    assert_type(ingest.Legs(max_open=10).finish(), Sequence[ingest.Leg])
    maker.missed("core")
    assert_type(maker.stats(), dict[str, int])
    assert_type(ingest.presets.LEGS, ingest.presets.Preset)
    assert_type(ingest.presets.EVENTS["name"], tuple[str, str])
    assert_type(ingest.presets.json_schema("leg")["title"], Any)
    ingest.legs(["CHANNEL_ANSWER"])  # type: ignore[list-item]


def told(event: eslcodec.Event) -> None:
    subjects = Subjects("tenant.{variable_domain_name}.{@partition}", partitions=4)
    contract = Contract("fs1", None, subjects, max_bytes=1 << 20)
    contract.core = "8f08a03a"
    item = contract.event(event, Place("20261130T014838Z-000001", 0, 512, 7), 1.5)
    assert_type(item, Item)
    assert_type((item.subject, item.headers, item.body, item.place), tuple[str, dict[str, str], bytes, Place | None])
    assert_type(contract.notice(b"{}", Place.parse("a:1:2:0000000000000007"), 1.5), Item)
    assert_type(subjects.parse(item.subject), Subject)
    assert_type(subjects.parse(item.subject).headers, dict[str, str | None])
    assert_type((escape("a.b"), identity(event, None)), tuple[str, str])
    assert_type(Subjects.under("replay.may", 4), Subjects)
    Subjects(partitions="4")  # type: ignore[arg-type]


async def bridged(path: Path, contract: Contract) -> None:
    config = stream_config("FS1", ["esl.v1.fs1.>"], replicas=3)
    bridge = Bridge(path, ["nats://127.0.0.1:4222"], "FS1", contract, create=config, begin="all", options={"user": "x"})
    assert_type(await bridge.run(drain=1.0), bool)
    bridge.stop()
    assert_type(bridge.stats(), BridgeStats)
    assert_type(bridge.finish(), None)
    assert_type(check_partitions(config, contract.subjects.partitions), list[str])
    assert_type(notice_line({"note": "closed"}, "fs1", 1796003318.25), bytes)
    assert_type(check_stream(config), list[str])
    assert_type(check_replay(config, contract.subjects.prefix), None)
    assert_type(bridge.look(), None)
    assert_type(bridge.stats().oldest, float | None)
    Bridge(path, "nats://127.0.0.1:4222", "FS1", contract, begin=1796003318.25, overlap=True)
    Bridge(path, "nats://127.0.0.1:4222", "FS1", contract, begin="then")  # type: ignore[arg-type]
    sink: Sink = Publisher("nats://127.0.0.1:4222", "FS1")
    end: End = await sink.stream_end()
    assert_type((end.max_bytes, end.check(16, "esl.v1")), tuple[int, list[str]])
    Bridge(path, "nats://127.0.0.1:4222", "FS1", contract, sink=Publisher)
    Bridge(path, "nats://127.0.0.1:4222", "FS1", contract, sink=dict)  # type: ignore[arg-type]


async def published(item: Item) -> None:
    async with Publisher(["nats://127.0.0.1:4222"], "FS1", window=64, options={"user": "bridge"}) as publisher:
        await publisher.publish(item)
        assert_type(await publisher.flush(timeout=1.0), bool)
        assert_type(publisher.stats(), PublisherStats)
        assert_type(publisher.stats().trouble, Trouble | None)
        assert_type((publisher.place, publisher.last_id), tuple[Place | None, str | None])
        assert_type(publisher.oldest, float | None)
        assert_type(publisher.stats().publish_seconds, Times)
        assert_type((await publisher.stream_end(recent=10)).recent, Mapping[str, float | None])
    Publisher("nats://127.0.0.1:4222", b"FS1")  # type: ignore[arg-type]


async def records_async(fs: aio.Client) -> None:
    assert_type(ingest.legs(fs.events()), AsyncIterator[ingest.Leg])
    assert_type(ingest.batches(fs, {"Event-Sequence": "int64"}), AsyncIterator[ingest.Batch])
    async for _ in fs.batches({"Event-Sequence": "int64"}):
        pass
    async for call in ingest.calls(fs):
        assert_type(call, ingest.Call)
    known = ingest.Known(max_open=10)
    assert_type(await fs.resync(known, switch="fs1", settle=0, clock_offset=0.5, timeout=5), list[Any])
    assert_type(await ingest.resync.resync(fs, known), list[ingest.Notice])
    assert_type(await ingest.resync.Resync("fs1").after(fs), list[ingest.Notice])


def noticed(fs: sync.Client, recorder: ingest.Recorder, recording: eslcodec.Recording) -> None:
    known = ingest.Known()
    known.see_all(fs.take())
    assert_type(fs.resync(known), list[Any])
    assert_type(ingest.resync.resync_blocking(fs, known, confirm=5), list[ingest.Notice])
    ended = ingest.Ended("fs1", 1.0, "a", not_after=datetime.now())
    known.see(ended)
    assert_type(ingest.notices.to_line(ended), bytes)
    assert_type(ingest.notices.describe(ended), dict[str, Any])
    recorder.note(ingest.notices.to_note(eslcodec.Gap.of(1, ""), "fs1", 1.0))
    item = ingest.notices.from_line(b"")
    if isinstance(item, ingest.Found):
        assert_type(item.answered, bool | None)
    assert_type(recording.messages(), Iterator[eslcodec.Message])
    assert_type(recording.messages(notices=True), Iterator[Any])
    for leg in ingest.legs([ended, eslcodec.Gap.of(1, "")]):
        assert_type(leg.not_before, datetime | None)
    ingest.Columns({"notice": ("@notice", "json")}).extend([ended])
    ingest.Stopped("fs1", "now", "x")  # type: ignore[arg-type]


# In the place of others


def official() -> None:
    eslcodec.install_as_ESL()
    ESL.strict = True
    ESL.eslSetLogLevel(7)
    con = ESL.ESLconnection("127.0.0.1", "8021", "ClueCon")
    assert_type(con.connected(), int)
    assert_type(con.api("status", ""), ESL.ESLevent | None)
    event = con.recvEvent()
    assert_type(event.getHeader("a", 0), str | None)
    assert_type(event.getType(), str)
    assert_type(event.serialize("json"), str)
    con.sendEvent(ESL.ESLevent(event)).getBody()
    con.sendMSG(ESL.ESLevent("CUSTOM", "my::own"), "a")
    ESL.ESLconnection("127.0.0.1", 8021, "user@domain", "secret").disconnect()
    ESL.ESLconnection(3)
    ESL.ESLconnection("127.0.0.1")  # type: ignore[call-overload]


def inside() -> None:
    greenswitch.install()
    genesis.install()
    switchio.install()
    for adapter in (greenswitch, genesis, switchio):
        adapter.uninstall()


# What was lost


def losses(message: eslcodec.Message, now: float) -> None:
    watch = LossWatch(subscribed_all=False, creates=True, heartbeat=None, run=4, per_window=30)
    watch.subscribed_all = True
    for loss in [*watch.see(message, now), *watch.see(message, now, steady=5.0), *watch.see_all([message], now)]:
        assert_type(loss, Loss)
        assert_type((loss.count, loss.at_most, loss.evidence), tuple[int | None, int | None, str])
        if loss.grade == "typo":  # type: ignore[comparison-overlap]
            watch.clock_jumped(1.5)
    assert_type(watch.dropped(5, now) + watch.ended(OSError("gone"), now), list[Loss])
    assert_type((watch.lag.seconds, watch.lag.offset), tuple[float | None, float | None])
    assert_type((watch.lag.queue, watch.lag.rate), tuple[int | None, float])


# What operators watch


async def watched(messages: list[eslcodec.Message]) -> None:
    metrics = Metrics({}, folders=["rec", Path("spill")])
    metrics.see("west", messages[0])
    metrics.see_all("west", messages)
    times = Times((0.1, 1.0))
    times.observe(0.5)
    metrics.add(lambda: [Sample("eslcodec_spill_bytes", "west", 1), Sample("eslcodec_publish_seconds", "west", times)])
    assert_type(metrics.expose("text/plain"), tuple[bytes, str])
    assert_type(dict(metrics.events("west")), dict[str, int])
    async with Health(metrics, host="::1", port=0, ready=[lambda: None, lambda: "not yet"], stuck_seconds=5) as health:
        assert_type(health.url, str)
    Health({})  # type: ignore[arg-type]
    assert_type((rules(), dashboard()), tuple[str, str])
    handler = logging.StreamHandler()
    handler.setFormatter(logs.JsonFormatter())
    assert_type(logs.LOGGERS["eslcodec.fleet"], str)


# Many switches


async def fleet(tap: eslcodec.Tap) -> None:
    east = Host("east", "10.0.0.1", user="1000@example.org", password=lambda: "secret")
    hosts: list[Host | str] = [east, "west=10.0.0.2"]
    async with Fleet(hosts, events=["CALLS"], tap=lambda name: tap, queue=100, switch_queue_limit=None) as fleet:
        for switch, run in await fleet.take(max=10, timeout=None):
            assert_type((switch, run), tuple[str, list[eslcodec.Message | Notice | Loss]])
        async for name, item in fleet:
            assert_type(name, str)
            assert_type(item, eslcodec.Message | Notice | Loss)
        assert_type(fleet.stats(), FleetStats)
        assert_type(fleet.switches["east"], SwitchStats)
        assert_type(await fleet.api("east", "status"), eslcodec.ApiResponse | eslcodec.CommandReply)
        answers = await fleet.everywhere("status", concurrency=5)
        assert_type(answers["west"], eslcodec.ApiResponse | eslcodec.CommandReply | Exception)
        Fleet(lambda: hosts, queu=1)  # type: ignore[call-arg]


# A switch for tests


def test_my_program(esl_switch: Emulator) -> None:
    esl_switch.api["sofia"] = lambda args: f"+OK {args}"
    esl_switch.api["slow"] = Later(0.1, "+OK")
    esl_switch.applications["playback"] = lambda session, data: Run(0.1, session.uuid + data)
    esl_switch.applications["sleep"] = 0.1
    esl_switch.fire("CHANNEL_HANGUP", {"Unique-ID": "a"})
    esl_switch.fire(eslcodec.Event.build("DTMF"))
    assert_type(esl_switch.wait_for(lambda: esl_switch.commands), list[str])
    assert_type(esl_switch.add_session("a", {"b": "c"}), Session)
    assert_type(esl_switch.listeners, list[Listener])
    assert_type(esl_switch.release_jobs("random", seed=1), list[str])


def emulated() -> None:
    with Emulator(users={"a@b": User("secret")}, fault=Fault.cut(after=500), allow=lambda host: False) as switch:
        assert_type(switch, Emulator)
        assert_type(switch.frozen, bool)
        switch.faults.append(Fault.freeze(seconds=30))
        call = switch.dial("127.0.0.1", 8084, mode="async full")
        assert_type(call, EmulatedCall)
        assert_type(call.executed, list[tuple[str, str]])
        call.dtmf("12#")
        assert_type(call.wait(), str | None)
        call = switch.call("127.0.0.1", 8084, caller="1000", destination="2000", script=["12#", None, ("talk", 2.5)])
        switch.call("127.0.0.1", 8084, script={"pin.wav": "1#"}.get)
        call.press("1", after="playback")
        call.silence()
        call.say("yes")
        call.talk(1)
        assert_type(call.prompts, list[str])
        assert_type(call.variable("pin"), str | None)
    switch.call("127.0.0.1", 8084, script=1)  # type: ignore[arg-type]
    Emulator(then="explode")  # type: ignore[arg-type]
    with Emulator(strict=True, replay=b"", replay_filtered=True) as switch:
        switch.endpoints["user/1000"] = "busy"
        switch.endpoints["user/1001"] = Endpoint("answer", after=0.1)
        switch.endpoints["user/*"] = lambda dialled: "busy"
        switch.endpoints["user/1002"] = 1  # type: ignore[assignment]
        switch.dialplan["5000"] = [("answer", "")]
        switch.assert_commands("auth ClueCon", re.compile("event .*"), any_order=True)
        switch.fire("DTMF", shaped=True)
        switch.api["lua"] = None


async def emulated_in_a_loop() -> None:
    async with AioEmulator() as switch:
        assert_type(await switch.wait_for(lambda: 1), int)
        assert_type(await switch.call("127.0.0.1", 8084), AioCall)
        try:
            switch.fire("HEARTBEAT")
        except (KeysNotTaken, NotEmulated, NotRunning, UnknownEvent) as error:
            assert_type(str(error), str)
        await switch.assert_commands("auth ClueCon", containing=True)


# Ingest


def ingested(fs: sync.Client, path: Path) -> None:
    columns = ingest.Columns({"name": ("Event-Name", "dictionary"), "Event-Sequence": "int64"}, events=presets.CALLS)
    columns.feed(b"", received=1.5, switch="a")
    columns.feed(memoryview(b""), received=datetime.now())
    columns.extend(fs.events())
    assert_type(columns.flush(), ingest.Batch | None)
    batch = columns.take()
    if batch is not None:
        assert_type(batch.num_rows, int)
        assert_type(batch.schema["name"], str)
        batch.__arrow_c_stream__()
    assert_type(columns.stats(), dict[str, Any])
    ingest.Columns(["Event-Name"])  # type: ignore[arg-type]
    with path.open("rb") as source, path.open("wb") as out:
        assert_type(ingest.ndjson(source, out, events=["DTMF"], redact=lambda event: event), int)
    ingest.ndjson([b"", bytearray()], out)
    assert_type(ingest.ndjson(path, out), int)
    found = ingest.scan(path, ingest.presets.LEGS, threads=2, since=datetime.now(), until=1.5, events=["DTMF"])
    assert_type(found, ingest.Scan)
    assert_type(next(iter(found)), ingest.Batch)
    assert_type(found.metadata, dict[str, str])
    found.__arrow_c_stream__()
    assert_type(ingest.batches(fs, {"Event-Sequence": "int64"}, max_rows=10), Iterator[ingest.Batch])
    for batch in fs.batches(ingest.presets.EVENTS, max_seconds=0.5, events=["DTMF"]):
        batch.__arrow_c_stream__()
    ingest.scan([path, "b"], {"Event-Sequence": "int64"})
    ingest.scan(b"", {"Event-Sequence": "int64"}, redact=ingest.Redact())
    ingest.scan(eslcodec.Recording(path), ["name"])  # type: ignore[arg-type]
    assert_type(ingest.legs(path), Iterator[ingest.Leg])


async def consumed(until: datetime) -> None:
    async with consume("nats://127.0.0.1:4222", "FS1", "billing", partition=3, begin=until) as consumer:
        assert_type(consumer, Consumer)
        async for item in consumer:
            assert_type(item, StreamEvent | StreamNotice)
            assert_type((item.event_id, item.switch, item.received), tuple[str, str | None, float | None])
            assert_type((item.redelivered, item.number), tuple[bool, int])
        assert_type(consumer.stats(), ConsumeStats)
        async for leg in ingest.legs(consumer):
            assert_type(leg, ingest.Leg)
    await consume(["nats://127.0.0.1:4222"], "FS1", "all", ordered=False, attempts=5).run(print, workers=4)
    consume("nats://127.0.0.1:4222", "FS1", begin="then")  # type: ignore[arg-type]
