"""The adapters without the clients: inside modules that look like them, or do not."""

from __future__ import annotations

import asyncio
import io
import pickle
import subprocess
import sys
from collections import UserDict
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from adapters_support import CLIENTS, END, adapter
from support import AUTH, frame, plain

from eslcodec import InvalidContentLength
from eslcodec.adapters import UnknownClient


def made_modules(**contents: dict[str, Any]) -> dict[str, ModuleType]:
    """Modules, and the packages that they are in; `__` in a name is a dot."""
    modules: dict[str, ModuleType] = {}
    for name, attributes in contents.items():
        dotted = name.replace("__", ".")
        for end in [at for at, char in enumerate(dotted) if char == "."]:
            modules.setdefault(dotted[:end], ModuleType(dotted[:end]))
        modules[dotted] = ModuleType(dotted)
        vars(modules[dotted]).update(attributes)
    for name, module in modules.items():
        module.__path__ = []  # or nothing can be imported from it
        package, _, last_part = name.rpartition(".")
        if package:
            setattr(modules[package], last_part, module)
    return modules


def like_greenswitch() -> dict[str, ModuleType]:
    class ESLEvent:
        headers: dict[str, str]
        data: str

        def __init__(self, data: str) -> None:
            self.headers = {}
            self.parse_data(data)

        def parse_data(self, data: str) -> None: ...

    class ESLProtocol:
        def __init__(self, sock_file: Any) -> None:
            self.sock_file = sock_file
            self.sock = SimpleNamespace(close=lambda: None)
            self.connected = self._run = True
            self.events: list[ESLEvent] = []

        def receive_events(self) -> None: ...

        @staticmethod
        def _read_socket(sock: Any, length: int) -> str:
            raise AssertionError("bodies have been read")

        def handle_event(self, event: ESLEvent) -> None:
            if event.headers["Content-Type"].startswith("text/event-"):
                event.parse_data(self._read_socket(self.sock_file, int(event.headers["Content-Length"])))
            elif "Content-Length" in event.headers:
                event.data = self._read_socket(self.sock_file, int(event.headers["Content-Length"]))
            self.events.append(event)

    return made_modules(greenswitch__esl={"ESLEvent": ESLEvent, "ESLProtocol": ESLProtocol})


def like_genesis() -> dict[str, ModuleType]:
    class ESLEvent(UserDict):  # type: ignore[type-arg]
        body: str | None = None

    class Protocol:
        reader: asyncio.StreamReader | None = None
        _pending_loss_reason: str | None = None

        def __init__(self) -> None:
            self.is_connected = True
            self.events: asyncio.Queue[Any] = asyncio.Queue()

        async def handler(self) -> None: ...

        async def _signal_reader_done(self) -> None:
            await self.events.put(self._pending_loss_reason)

    class ESLReaderFSM:
        def process_headers(self, header_block: str) -> None: ...

        def process_body(self, raw_body: bytes) -> list[Any]:
            return ["first", "second"]

    def parse_headers(payload: str) -> None: ...
    def _header_attr_name(key: str) -> str:
        return key.lower()

    errors: list[str] = []
    logger = SimpleNamespace(trace=lambda *_: None, error=errors.append)
    return made_modules(
        genesis__observability={"logger": logger, "errors": errors},
        genesis__protocol__parser={"ESLEvent": ESLEvent, "parse_headers": parse_headers},
        genesis__protocol__base={"Protocol": Protocol},
        genesis__protocol__reader_fsm={"ESLReaderFSM": ESLReaderFSM, "parse_headers": parse_headers},
        genesis__protocol__telemetry={"_header_attr_name": _header_attr_name},
        genesis__channel={"parse_headers": parse_headers},
    )


def like_genesis_before_2026_10() -> dict[str, ModuleType]:
    """It tells nobody that a connection has ended, and `parse_headers` is bound elsewhere."""
    modules = like_genesis()
    base, channel = vars(modules["genesis.protocol.base"]), vars(modules["genesis.channel"])
    base["parse_headers"] = channel.pop("parse_headers")
    del base["Protocol"]._signal_reader_done, base["Protocol"]._pending_loss_reason
    return modules


def like_switchio() -> dict[str, ModuleType]:
    class InboundProtocol:
        transport: object = None

        def __init__(self) -> None:
            self.lines: list[str] = []
            self.log = SimpleNamespace(isEnabledFor=lambda _: True, log=lambda _, line: self.lines.append(line))
            self.events: list[dict[str, str]] = []

        def data_received(self, data: bytes) -> None: ...

        def process_events(self, events: list[dict[str, str]], parsed: str) -> None:
            self.events += events

    return made_modules(switchio__protocol={"InboundProtocol": InboundProtocol})


LIKE: dict[str, Callable[[], dict[str, ModuleType]]] = {
    "greenswitch": like_greenswitch,
    "genesis": like_genesis,
    "switchio": like_switchio,
}
# One function of each that an adapter needs: module, class or module, name.
NEEDED = {
    "greenswitch": ("greenswitch.esl", "ESLProtocol", "handle_event"),
    "genesis": ("genesis.channel", "", "parse_headers"),
    "switchio": ("switchio.protocol", "InboundProtocol", "process_events"),
}


@pytest.fixture(params=CLIENTS)
def alike(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The name of a client; modules like its own can be imported."""
    name: str = request.param
    pretend(name, monkeypatch)
    yield name
    adapter(name).uninstall()


def pretend(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    for imported in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, imported)
    modules = LIKE[name]()
    for dotted, module in modules.items():
        monkeypatch.setitem(sys.modules, dotted, module)
    return modules


def inside(name: str) -> dict[tuple[str, ...], Any]:
    """Everything in the modules of a client, and in their classes."""
    found: dict[tuple[str, ...], Any] = {}
    for module in [module for dotted, module in sys.modules.items() if dotted.split(".")[0] == name]:
        for key, value in vars(module).items():
            found[module.__name__, key] = value
            if isinstance(value, type):
                found.update({(module.__name__, key, attribute): raw for attribute, raw in vars(value).items()})
    return found


def test_install_replaces_once_and_uninstall_puts_back(alike: Any) -> None:
    before = inside(alike)
    adapter(alike).uninstall()  # nothing to do
    assert adapter(alike).install() is None
    after = inside(alike)
    assert any(before.get(where) is not value for where, value in after.items())
    adapter(alike).install()
    assert all(after[where] is value for where, value in inside(alike).items())
    assert adapter(alike).uninstall() is None
    restored = inside(alike)
    assert restored.keys() == before.keys()
    assert all(before[where] is value for where, value in restored.items())


@pytest.mark.parametrize("change", ["gone", "no function", "other parameters"])
def test_a_client_that_looks_otherwise_is_refused_and_left_alone(alike: Any, change: str) -> None:
    module, owner, name = NEEDED[alike]
    place = getattr(sys.modules[module], owner) if owner else sys.modules[module]
    if change == "gone":
        delattr(place, name)
    else:
        setattr(place, name, 8021 if change == "no function" else lambda self, other: None)
    before = inside(alike)
    with pytest.raises(UnknownClient) as caught:
        adapter(alike).install()
    assert inside(alike) == before
    error = caught.value
    assert (error.client, error.known) == (alike, adapter(alike)._CLIENT.known)
    for part in (alike, error.found, error.known, f"{module}.{owner}.{name}".replace("..", ".")):
        assert part in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_client_whose_modules_lie_elsewhere_is_refused(alike: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, NEEDED[alike][0])
    with pytest.raises(UnknownClient, match=r"there is no"):
        adapter(alike).install()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_not_installed_is_an_import_error(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=name):
        adapter(name).install()


def test_importing_the_adapters_imports_no_client() -> None:
    names = ", ".join(f"eslcodec.adapters.{name}" for name in CLIENTS)
    code = f"import sys, {names}; assert not {set(CLIENTS)} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)


STREAM = (
    b"Content-Type: command/reply\nReply-Text: +OK%20a\nmore\n\n"
    + plain(b"Event-Name: X\nA: 1\nA: \xff\nContent-Length: 5\n\nB: 2\n")
    + plain(b"Event-Name: Y\nC: %FF\n\n")
    + plain(b"Event-Name: Z\nC: %C3%A9\nC: 2\nC: 3\n\n")
    + END
    + frame(b"Content-Type: log/data\nLong: " + b"x" * 200, b"line\n")
    + frame(b"Content-Type: text/event-json", b'{"D":"1"}')
    + frame(b"Content-Type: text/event-json", b'{"D')
)


def test_what_looks_like_greenswitch_gets_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pretend("greenswitch", monkeypatch)["greenswitch.esl"]
    adapter("greenswitch").install()
    protocol = module.ESLProtocol(io.BufferedReader(io.BytesIO(STREAM)))  # type: ignore[arg-type]
    protocol.receive_events()
    broken = module.ESLProtocol(io.BufferedReader(io.BytesIO(b"Content-Length: x\n\n")))  # type: ignore[arg-type]
    broken.receive_events()
    stopped = module.ESLProtocol(io.BufferedReader(io.BytesIO(STREAM)))  # type: ignore[arg-type]
    stopped.handle_event = lambda event: vars(stopped).update(_run=False)
    stopped.receive_events()
    gone = module.ESLProtocol(io.BufferedReader(io.BytesIO()))  # type: ignore[arg-type]
    gone.connected = False  # a notice has said so
    gone.receive_events()
    direct = module.ESLEvent("\n A : 1\nB: 2 \n 3\n").headers
    adapter("greenswitch").uninstall()
    shown = [(event.headers, getattr(event, "data", None)) for event in protocol.events]
    plain_type = {"Content-Type": "text/event-plain"}
    assert shown[:5] == [
        ({"Content-Type": "command/reply", "Reply-Text": "+OK a\nmore"}, None),
        ({"Event-Name": "X", "A": "\ufffd", "Content-Length": "5"} | plain_type, "B: 2\n"),
        ({"Event-Name": "Y", "C": "\ufffd", "Content-Length": "22"} | plain_type, None),
        ({"Event-Name": "Z", "C": "3", "Content-Length": "35"} | plain_type, None),
        ({"Event-Name": "CUSTOM", "Event-Subclass": "test::end", "Content-Length": "50"} | plain_type, None),
    ]
    assert [(headers.get("D"), data) for headers, data in shown[5:]] == [(None, "line\n"), ("1", None), (None, '{"D')]
    assert (protocol.connected, protocol._run, broken.connected, broken._run) == (False, False, False, False)
    assert (stopped.connected, gone._run) == (True, True)
    assert direct == {"A": "1", "B": "2 \n 3"}


def test_what_looks_like_genesis_gets_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = pretend("genesis", monkeypatch)
    adapter("genesis").install()

    async def handle(data: bytes) -> list[Any]:
        protocol = modules["genesis.protocol.base"].Protocol()
        await protocol.handler()  # without a reader
        protocol.reader = asyncio.StreamReader()
        protocol.reader.feed_data(data)
        protocol.reader.feed_eof()
        await protocol.handler()
        return [protocol.events.get_nowait() for _ in range(protocol.events.qsize())]

    lock = plain(b"Event-Name: A\nevent-lock: true\nEvent-Name: B\n\n")
    *events, eof = asyncio.run(handle(STREAM + lock))
    truncated = asyncio.run(handle(b"Content-"))
    broken = asyncio.run(handle(b"Content-Length: x\n\n"))
    dump = modules["genesis.channel"].parse_headers("A: 1\nA: 2\n")
    attribute = modules["genesis.protocol.telemetry"]._header_attr_name("X")
    items = [list(event.items())[:2] for event in (events[1], events[3])]
    adapter("genesis").uninstall()
    assert (events[-2:], eof, truncated, broken) == (["first", "second"], "eof", ["truncated"], ["eof"])
    assert modules["genesis.observability"].errors == [
        "Error reading from stream. read Content-Length 'x', expected ASCII digits"
    ]
    assert items[0] == [("Event-Name", "X"), ("A", ["1", "\ufffd"])]
    assert items[1] == [("Event-Name", "Z"), ("C", ["é", "2", "3"])]
    assert [event.body for event in events[:-2]] == [None, "B: 2\n", None, None, None, "line\n", '{"D":"1"}', '{"D']
    assert (dump, attribute) == ({"A": ["1", "2"]}, "x")


def test_what_looks_like_the_genesis_before_gets_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIKE, "genesis", like_genesis_before_2026_10)
    modules = pretend("genesis", monkeypatch)
    before = inside("genesis")
    adapter("genesis").install()

    async def handle(data: bytes) -> list[Any]:
        protocol = modules["genesis.protocol.base"].Protocol()
        await protocol.handler()  # without a reader
        protocol.reader = asyncio.StreamReader()
        protocol.reader.feed_data(data)
        protocol.reader.feed_eof()
        await protocol.handler()
        assert not protocol.is_connected
        assert "_pending_loss_reason" not in vars(protocol)
        return [protocol.events.get_nowait() for _ in range(protocol.events.qsize())]

    events = asyncio.run(handle(STREAM))
    broken = asyncio.run(handle(END + b"Content-Length: x\n\n"))
    dump = modules["genesis.protocol.base"].parse_headers("A: 1\nA: 2\n")
    adapter("genesis").uninstall()
    assert [event.body for event in events] == [None, "B: 2\n", None, None, None, "line\n", '{"D":"1"}', '{"D']
    assert [event.data["Event-Subclass"] for event in broken] == ["test::end"]
    assert dump == {"A": ["1", "2"]}
    restored = inside("genesis")
    assert restored.keys() == before.keys()
    assert all(before[where] is value for where, value in restored.items())


def test_a_genesis_between_two_that_are_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has what the older one has, and signals the end, which the newer one does."""
    monkeypatch.setitem(LIKE, "genesis", like_genesis_before_2026_10)
    protocol = pretend("genesis", monkeypatch)["genesis.protocol.base"].Protocol
    protocol._signal_reader_done = lambda self: None
    before = inside("genesis")
    with pytest.raises(
        UnknownClient, match=r"2026\.7\.1 and 2026\.10\.18.*there is no genesis\.channel\.parse_headers"
    ):
        adapter("genesis").install()
    assert inside("genesis") == before


def test_what_looks_like_switchio_gets_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pretend("switchio", monkeypatch)["switchio.protocol"]
    adapter("switchio").install()
    protocol = module.InboundProtocol()
    returned = [event for chunk in (STREAM[:99], STREAM[99:]) for event in protocol.data_received(chunk)]
    protocol.data_received(b"Content-")
    protocol.transport = object()  # connected again
    (again,) = protocol.data_received(AUTH)
    with pytest.raises(InvalidContentLength):
        protocol.data_received(b"Content-Length: x\n\n")
    quiet = module.InboundProtocol()
    quiet.log.isEnabledFor = lambda _: False
    quiet.data_received(AUTH)
    adapter("switchio").uninstall()
    assert (quiet.events, quiet.lines) == ([again], [])
    assert protocol.events == [*returned, again]
    assert returned[0]["Reply-Text"] == "+OK a\nmore\n"
    assert [event.get("Body") for event in returned] == [
        None,
        "B: 2\n",
        None,
        None,
        None,
        "line\n",
        '{"D":"1"}\n',
        '{"D\n',
    ]
    assert protocol.lines[0].startswith("Socket data received:\nContent-Type: command/reply\nReply-Text: +OK a\n")
