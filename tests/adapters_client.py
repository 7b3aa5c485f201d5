"""A program that adapters_support.py runs: another's client does a task, and prints what its user saw as JSON.

The task, JSON too, is its argument: `client`, `install` (the adapter, or not), `port`, `together` (commands sent all at
once), `commands` (one after the other), `until` (how many events are waited for, None: until the end), `patience` in
seconds, `stop` (whether greenswitch's `stop` is called, which waits for its greenlets). With `check` the adapter is
installed and uninstalled, and nothing else; "before": the client is imported before that.
What is printed: `events` and `replies`, each headers and body, and `ended`: whether the client saw the connection end.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping
from typing import Any

Task = dict[str, Any]
Seen = dict[str, Any]


def greenswitch(task: Task) -> Seen:
    """`InboundESL` with handlers for everything."""
    from gevent import monkey

    monkey.patch_all()
    import gevent

    install(task)
    from greenswitch import InboundESL

    def shown(event: Any) -> list[Any]:
        assert type(event.headers) is dict
        return [event.headers, getattr(event, "data", None)]

    events: list[Any] = []
    client = InboundESL("127.0.0.1", task["port"], "ClueCon")
    client.connect()
    for name in ("*", "log", "DISCONNECT"):
        client.register_handle(name, lambda event: events.append(shown(event)))
    sending = [gevent.spawn(client.send, command) for command in task["together"]]
    replies = [shown(greenlet.get(timeout=task["patience"])) for greenlet in sending]
    replies += [shown(client.send(command)) for command in task["commands"]]
    deadline = time.monotonic() + task["patience"]
    while client.connected and len(events) != task["until"] and time.monotonic() < deadline:
        gevent.sleep(0.01)  # between two looks
    ended = not client.connected
    if task["stop"]:
        client.stop()
    return {"events": events, "replies": replies, "ended": ended}


def greenswitch_outbound(task: Task) -> Seen:
    """`OutboundESLServer` with an application for one call, which says what it was told."""
    from gevent import monkey

    monkey.patch_all()
    import gevent

    task["client"] = "greenswitch"
    install(task)
    from greenswitch import OutboundESLServer

    told: Seen = {}

    class Application:
        def __init__(self, session: Any) -> None:
            self.session = session

        def run(self) -> None:
            session = self.session
            session.myevents()
            told["answer"] = session.answer()
            played = session.playback("one.wav").headers
            told["played"] = [played[name] for name in ("Event-Name", "Application", "Application-Data")]
            told["caller"] = [session.caller_id_number, session.uuid, session.session_data["Reply-Text"]]
            session.hangup()
            server.stop()

    server = OutboundESLServer(bind_port=task["port"], application=Application)
    gevent.spawn(server.listen).join(task["patience"])
    return told


def genesis(task: Task) -> Seen:
    """`Inbound` with an event processor."""
    install(task)
    from genesis import Inbound

    def shown(event: Any) -> list[Any]:
        return [dict(event), event.body]

    async def run() -> Seen:
        events: list[Any] = []
        handled: list[Any] = []

        async def handle(event: Any) -> None:
            handled.append(shown(event))

        def note(_: object, event: Any) -> None:
            if event.get("Content-Type") not in ("auth/request", "command/reply", "api/response"):
                events.append(shown(event))

        client = Inbound("127.0.0.1", task["port"], "ClueCon")
        client.event_processors.append(note)
        client.on("*", handle)
        await client.start()
        sending = [asyncio.ensure_future(client.send(command)) for command in task["together"]]
        replies = [shown(reply) for reply in await asyncio.gather(*sending)]
        replies += [shown(await client.send(command)) for command in task["commands"]]
        closed = getattr(client, "_closed", None)  # since 2026.10.18
        ended = await waiting(closed.is_set if closed else lambda: not client.is_connected, events, task)
        await client.stop()
        assert all(event in events for event in handled)
        return {"events": events, "replies": replies, "ended": ended, "handled": len(handled)}

    return asyncio.run(run())


def genesis_consumer(task: Task) -> Seen:
    """`Consumer` with a handler for one kind of event."""
    task["client"] = "genesis"
    install(task)
    from genesis import Consumer

    seen: list[Any] = []

    async def run() -> None:
        consumer = Consumer("127.0.0.1", task["port"])

        @consumer.handle("HEARTBEAT")
        async def handle(event: Any) -> None:
            seen.append([dict(event), event.body])
            if len(seen) == task["until"]:
                consuming.cancel()

        consuming = asyncio.ensure_future(consumer.start())
        await asyncio.wait([consuming], timeout=task["patience"])
        await consumer.stop()

    asyncio.run(run())
    return {"events": seen}


def switchio(task: Task) -> Seen:
    """`Connection`, its commands and `recv_event`."""
    asyncio.coroutine = types.coroutine  # gone since Python 3.11
    queue = asyncio.Queue
    asyncio.Queue = lambda loop=None: queue()  # type: ignore[assignment,misc]  # as was `loop` with 3.10
    install(task)
    from switchio.connection import get_connection

    loop = asyncio.new_event_loop()
    events: list[Any] = []

    def shown(event: dict[str, str]) -> list[Any]:
        assert type(event) is dict
        return [{name: value for name, value in event.items() if name != "Body"}, event.get("Body")]

    def send(command: str) -> Any:
        verb, _, rest = command.partition(" ")
        kind = {"api": client.protocol.api, "bgapi": client.protocol.bgapi}.get(verb)
        return client.protocol.sendrecv(command) if kind is None else kind(rest, errcheck=False)

    async def receive() -> None:
        while True:
            events.append(shown(await client.recv_event()))

    async def run() -> Seen:
        receiving = asyncio.ensure_future(receive())
        replies = [shown(reply) for reply in await asyncio.gather(*map(send, task["together"]))]
        replies += [shown(await send(command)) for command in task["commands"]]
        ended = await waiting(lambda: not client.connected(), events, task)
        receiving.cancel()
        return {"events": events, "replies": replies, "ended": ended}

    client = get_connection("127.0.0.1", task["port"], loop=loop)
    client.autorecon = False
    client.connect()
    return loop.run_until_complete(run())


def switchio_listener(task: Task) -> Seen:
    """`get_listener` of a switchio that runs on this Python without help: a handler, a coroutine, a command."""
    task["client"] = "switchio"
    install(task)
    from switchio import get_listener, utils

    handled, resumed = threading.Event(), threading.Event()

    def handle(event: dict[str, str]) -> tuple[bool, None]:
        handled.set()
        return True, None

    async def follow(session: Any) -> None:
        await session.recv("CHANNEL_ANSWER", timeout=task["patience"])
        resumed.set()

    listener = get_listener("127.0.0.1", str(task["port"]), "ClueCon")
    listener.event_loop.add_handler("HEARTBEAT", handle)
    listener.event_loop.add_coroutine("CHANNEL_CREATE", "default", follow)
    listener.connect()
    listener.start()
    told = {
        "handled": handled.wait(task["patience"]),
        "resumed": resumed.wait(task["patience"]),
        "replied": "Body" in listener.event_loop._con.api("status").result(task["patience"]),
        "arguments": utils.get_args(lambda a, b=1: None),
    }
    listener.disconnect()
    return told


def checked(task: Task) -> Seen:
    """What `install`, again, and `uninstall` did to every point at which the client is entered."""
    from eslcodec.adapters import _client

    asyncio.coroutine = types.coroutine  # for switchio
    if task["check"] == "before":
        importlib.import_module(task["client"])
    adapter = importlib.import_module(f"eslcodec.adapters.{task['client']}")
    client: _client.Client = adapter._CLIENT

    def inside() -> list[Any]:
        return [original for _, _, _, original in client.found()]

    def same(one: list[Any], other: list[Any]) -> list[bool]:
        return [a is b for a, b in zip(one, other, strict=True)]

    before = inside()
    adapter.install()
    installed = inside()
    replaced = [point.ours is None and point.wrap is None for point, *_ in client.found()]
    result = {"replaced": same(before, installed) == replaced}
    adapter.install()
    result["again"] = all(same(installed, inside()))
    adapter.uninstall()
    return result | {"restored": all(same(before, inside()))}


def install(task: Task) -> None:
    if task["install"]:
        importlib.import_module(f"eslcodec.adapters.{task['client']}").install()


async def waiting(ended: Callable[[], bool], events: list[Any], task: Task) -> bool:
    """Wait until there are enough events or the connection has ended; whether it has."""
    deadline = time.monotonic() + task["patience"]
    while not ended() and len(events) != task["until"] and time.monotonic() < deadline:
        await asyncio.sleep(0.01)  # between two looks
    return ended()


CLIENTS: Mapping[str, Callable[[Task], Seen]] = {
    "greenswitch": greenswitch,
    "greenswitch outbound": greenswitch_outbound,
    "genesis": genesis,
    "genesis consumer": genesis_consumer,
    "switchio": switchio,
    "switchio listener": switchio_listener,
}

if __name__ == "__main__":
    given: Task = json.loads(sys.argv[1])
    print(json.dumps(checked(given) if "check" in given else CLIENTS[given["client"]](given)))
