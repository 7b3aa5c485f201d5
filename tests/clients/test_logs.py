"""What is logged: under which names, as lines of JSON, and without what is nobody's business."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from shells import Shell
from support import until

import eslcodec
from eslcodec import ESL, aio
from eslcodec.backoff import Backoff
from eslcodec.emulator import Emulator, Fault, User
from eslcodec.ingest import Fleet, Health, Metrics, Recorder
from eslcodec.logs import LOGGERS, JsonFormatter

NUMBER = "15551234567"
UUID = "0badcafe-0bad-4bad-8bad-0badc0ffee00"
PASSWORD = "hunter-two-secret"
VALUE = "wanted-by-nobody"
POISON = (NUMBER, UUID, PASSWORD, VALUE)
VARIABLES = {"effective_caller_id_number": NUMBER, "sip_auth_password": PASSWORD, "what": VALUE}
HEADERS = {"Unique-ID": UUID, "Caller-Caller-ID-Number": NUMBER, "variable_sip_auth_password": PASSWORD, "X": VALUE}


class Lines(logging.Handler):
    """Records of all our loggers, as a file would have them, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[int, str, str]] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.name, self.format(record)))

    def above_debug(self) -> list[str]:
        return [text for level, _, text in self.lines if level > logging.DEBUG]

    def has(self, text: str) -> bool:
        return any(text in line for line in self.above_debug())


@pytest.fixture
def lines() -> Iterator[Lines]:
    log, handler = logging.getLogger("eslcodec"), Lines()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield handler
    log.removeHandler(handler)
    log.setLevel(before)
    for level, name, text in handler.lines:
        assert name in LOGGERS
        if level > logging.DEBUG:
            assert [poison for poison in POISON if poison in text] == [], text


# Names


def sources() -> Iterator[tuple[str, str]]:
    for path in Path(eslcodec.__file__).parent.rglob("*.py"):
        if path.parent.name == "adapters":  # which speak of the logs of others
            continue
        yield path.name, path.read_text(encoding="utf-8")


def test_every_logger_is_listed() -> None:
    used = {name for _, text in sources() for name in re.findall(r'getLogger\("([^"]*)"\)', text)}
    used -= {"eslcodec.doctest"}
    assert used - set(LOGGERS) == set()
    assert {name for name in LOGGERS if name != "eslcodec"} - used == set()


def test_no_line_is_made_otherwise() -> None:
    """`logging.warning` would set up handlers; an f-string would be formatted for nobody."""
    for name, text in sources():
        assert not re.search(r"\blogging\.(debug|info|warning|error|exception|critical|basicConfig)\(", text), name
        assert not re.search(r'_LOG\.\w+\(f"', text), name


def test_what_names_a_channel_is_for_debug_only() -> None:
    for name, text in sources():
        for call in re.findall(r"_LOG\.(?!debug)\w+\(.*", text):
            assert not re.search(r"\buuid|\.get\(|\[\"", call), f"{name}: {call}"


# JSON


def as_json(*arguments: Any, exc_info: Any = None, **more: Any) -> dict[str, Any]:
    record = logging.getLogger("eslcodec.fleet").makeRecord(
        "eslcodec.fleet", logging.WARNING, "file", 1, arguments[0], arguments[1:], exc_info, extra=more
    )
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert isinstance(told, dict)
    return told


def test_a_line_of_json() -> None:
    told = as_json("%s: %s", "west", 'a\nb\x1b[2J"\u202e\udc80', uuid=UUID)
    assert list(told) == ["at", "level", "logger", "message"]  # and not what was attached to the record
    assert told["message"] == 'west: a\nb\x1b[2J"\u202e\\udc80'  # no lone surrogate: strict readers refuse it
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["at"])


def test_a_traceback_is_in_the_line() -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError as error:
        told = as_json("failed", exc_info=(type(error), error, error.__traceback__))
    assert told["exception"].endswith("ValueError: broken\nin two")


def test_it_is_a_formatter_as_others() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger("eslcodec.client")
    log.addHandler(handler)
    try:
        log.error("one")
        log.error("two")
    finally:
        log.removeHandler(handler)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["one", "two"]


# One line a change


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_switch_that_is_away_is_told_once(lines: Lines, kind: str) -> None:
    """However often it is tried in vain; and once that it is there again."""
    backoff = Backoff(first=0.01, longest=0.01)
    port = free_port()
    with Emulator(port=port) as switch:
        shell = Shell(eslcodec, kind)
        shell.client = shell.opening(port, reconnect=backoff).result(60)
        reading = shell.reads()
        switch.stop()
        until(lambda: shell.client.stats().reconnects == 0 and lines.has("cannot connect to"), 30)
        attempts = shell.client._books._number
        until(lambda: shell.client._books._number > attempts + 5, 30)
        with Emulator(port=port):
            until(lambda: shell.client.stats().reconnects == 1, 30)
            shell.close()
            reading.exception(60)
    told = [re.sub(r"127.0.0.1:\d+.*", "", text) for text in lines.above_debug()]
    assert told == [
        "WARNING eslcodec.client lost the connection to ",
        "INFO eslcodec.client cannot connect to ",
        "INFO eslcodec.client connected to ",
    ]


# What no line has


@contextmanager
def poisoned(**options: Any) -> Iterator[Emulator]:
    options = {"password": PASSWORD, "users": {"ops@example.org": User(PASSWORD)}, **options}
    with Emulator(**options) as switch:
        switch.add_session(UUID, VARIABLES)
        yield switch


def fire(switch: Emulator, count: int = 1) -> None:
    for _ in range(count):
        switch.fire("CHANNEL_ANSWER", {**HEADERS})


def fail(*arguments: Any) -> None:
    raise RuntimeError("a handler's own words")


def test_a_blocking_client(lines: Lines) -> None:
    with (
        poisoned() as switch,
        eslcodec.connect(switch.host, switch.port, password=lambda: PASSWORD, reconnect=True) as fs,
    ):
        fs.filter("Unique-ID", UUID)
        fs.filter("Caller-Caller-ID-Number", NUMBER)
        fs.on("CHANNEL_ANSWER", fail)
        fs.subscribe("CHANNEL_ANSWER")
        runner = threading.Thread(target=lambda: _run(fs))
        runner.start()
        fire(switch)
        until(lambda: lines.has("a handler of CHANNEL_ANSWER failed"))
        assert not fs.api(f"uuid_kill {UUID}x").ok
        assert not fs.api(f"originate {NUMBER}").ok
        switch.drop()
        until(lambda: lines.has("lost the connection to"))
        until(lambda: fs.stats().reconnects == 1)
        fs.close()
        runner.join()


def _run(fs: Any) -> None:
    with suppress(eslcodec.ESLError):
        fs.run()


def test_an_asyncio_client(lines: Lines) -> None:
    async def main(switch: Emulator) -> None:
        async with aio.connect(switch.host, switch.port, password=PASSWORD, reconnect=True) as fs:
            await fs.filter("Unique-ID", UUID)
            fs.on("CHANNEL_ANSWER", fail)
            await fs.subscribe("CHANNEL_ANSWER")
            runner = asyncio.ensure_future(fs.run())
            while not lines.has("a handler of CHANNEL_ANSWER failed"):
                fire(switch)
                await asyncio.sleep(0.01)
            switch.drop()
            while fs.stats().reconnects < 1:
                await asyncio.sleep(0.01)
            runner.cancel()
            await asyncio.wait([runner])

    with poisoned() as switch:
        asyncio.run(asyncio.wait_for(main(switch), 60))
    assert lines.has("lost the connection to")


@pytest.mark.parametrize("user", [None, "ops@example.org"])
def test_a_login_that_is_refused(lines: Lines, user: str | None) -> None:
    with poisoned(password="other", users={"ops@example.org": User("other")}) as switch:
        for connect_first in (False, True):
            options: dict[str, Any] = {"connect_first": True, "reconnect": True} if connect_first else {}
            with pytest.raises(eslcodec.ESLError):
                eslcodec.connect(switch.host, switch.port, password=PASSWORD, user=user, **options)


def test_calls(lines: Lines) -> None:
    def handle(call: Any) -> None:
        if call.data["variable_what"] == VALUE:
            call.playback("a.wav", wait=True)
        raise RuntimeError("a handler's own words")

    with poisoned() as switch, eslcodec.serve(handle) as server:
        switch.applications["playback"] = 1000.0
        call = switch.dial("127.0.0.1", server.port, uuid=UUID[:-2] + "01", variables=VARIABLES)
        until(lambda: call.executed)
        call.hangup()
        until(lambda: lines.has("ended under its handler: the channel hung up"))
        switch.dial("127.0.0.1", server.port, uuid=UUID, variables={**VARIABLES, "what": "other"})
        until(lambda: lines.has("the handler of the call from 127.0.0.1:"))


def test_calls_with_asyncio(lines: Lines) -> None:
    async def handle(call: Any) -> None:
        raise RuntimeError("a handler's own words")

    async def main(switch: Emulator) -> None:
        async with aio.serve(handle) as server:
            call = await asyncio.to_thread(
                lambda: switch.dial("127.0.0.1", server.port, uuid=UUID[:-2] + "02", variables=VARIABLES)
            )
            await asyncio.to_thread(call.wait)
            while not lines.has("the handler of the call from 127.0.0.1:"):
                await asyncio.sleep(0.01)

    with poisoned() as switch:
        asyncio.run(asyncio.wait_for(main(switch), 60))


def test_commands_that_esl_does_not_send(lines: Lines) -> None:
    with poisoned() as switch:
        con = ESL.ESLconnection(switch.host, str(switch.port), PASSWORD)
        con.api("originate", f"sofia/gateway/a/{NUMBER}\n\nexit")
        con.execute("set", f"a={VALUE}\nX: {PASSWORD}", UUID)
        con.filter("Unique-ID", f"{UUID}\n")
        con.filter("Unique-ID", f"{UUID}\nexit")
        con.sendRecv(f"api uuid_kill {UUID}\r{NUMBER}")
        event = ESL.ESLevent("CUSTOM", "a::b")
        event.addHeader(f"A{VALUE}", f"{NUMBER}\nx")
        con.sendEvent(event)
        con.disconnect()
    assert sum("not sent" in line for line in lines.above_debug()) >= 4


def test_a_fleet_with_a_recorder_and_endpoints(lines: Lines, tmp_path: Path) -> None:
    async def main(one: Emulator, two: Emulator) -> None:
        def tap(name: str) -> Recorder:
            return Recorder(tmp_path / name, min_free=0)

        hosts = [f"east=127.0.0.1:{one.port}", f"west=127.0.0.1:{two.port}"]
        async with Fleet(hosts, password=PASSWORD, tap=tap) as fleet:
            metrics = Metrics(fleet)
            async with Health(metrics, port=0):
                dropped = False
                while not (fleet.switches["east"].reconnects and lines.has("west: ")):
                    for switch, messages in await fleet.take(timeout=0.1):
                        metrics.see_all(switch, messages)
                    fire(one)
                    if not dropped and metrics.events("east").get("CHANNEL_ANSWER", 0) > 3:
                        one.drop()
                        dropped = True  # and not while it logs in again
                assert metrics.events("east")["CHANNEL_ANSWER"] > 3

    with poisoned() as one, poisoned(password="other") as two:
        asyncio.run(asyncio.wait_for(main(one, two), 60))
    assert lines.has("east: ")
    assert lines.has("west: ")


def test_a_stream_that_is_damaged(lines: Lines) -> None:
    fault = Fault.cut(after=2000)
    with (
        poisoned(fault=fault) as switch,
        suppress(eslcodec.ESLError),
        eslcodec.connect(switch.host, switch.port, password=PASSWORD, reconnect=True) as fs,
    ):
        fs.subscribe("ALL")
        fire(switch, 20)
        for event in fs.events():
            if isinstance(event, eslcodec.Gap):
                break
    assert lines.has("lost the connection to")
