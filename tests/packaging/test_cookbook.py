"""The cookbook: each page answers its question with code that runs.

On a page, `python` blocks are what a reader copies, and `pycon` blocks use them: their functions are there. A `python`
block that connects to port 8021 or listens on 8084 is a program of its own, which PROGRAMS runs against an emulator.
`text` blocks are the code of other clients.
"""

from __future__ import annotations

import ast
import doctest
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from guide_support import COOKBOOK, blocks
from ports import free_port
from support import until

import eslcodec
import eslcodec.ingest
from eslcodec.emulator import Emulator
from eslcodec.sync._operator_verbs import UuidVerbs

pytestmark = pytest.mark.skipif(not COOKBOOK, reason="the cookbook is in the checkout only")

LANGUAGES = {"python", "pycon", "text", "console", "ini"}


def is_program(code: str) -> bool:
    return "8021" in code or "8084" in code


def page(name: str) -> Path:
    (found,) = [each for each in COOKBOOK if each.name == name]
    return found


def program(name: str) -> str:
    """The only program of a page."""
    [found] = [code for language, code in blocks(page(name)) if language == "python" and is_program(code)]
    return found


def names_of(path: Path) -> dict[str, Any]:
    """What the blocks of a page define that connect nowhere."""
    names: dict[str, Any] = {}
    for language, code in blocks(path):
        if language == "python" and not is_program(code):
            exec(code, names)
    return names


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-u", "-c", code], cwd="/", stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def subscribed(switch: Emulator) -> bool:
    return any(command.startswith("event") for command in switch.commands)


@pytest.mark.parametrize("path", COOKBOOK, ids=lambda path: path.name)
def test_a_page_goes_as_printed(path: Path) -> None:
    found = blocks(path)
    assert {language for language, _ in found} <= LANGUAGES
    for language, code in found:
        if language == "pycon":
            assert code.startswith(">>> "), code
            assert code.endswith("\n\n"), f"a blank line ends the last output for doctest: {code}"
        if language == "python" and is_program(code):
            assert path.name in PROGRAMS, f"which test runs this program?\n{code}"
            ast.parse(code)
    test = doctest.DocTestParser().get_doctest(path.read_text(encoding="utf-8"), {}, path.name, str(path), 0)
    test.globs = names_of(path)  # itself, not a copy: functions of the page and the dialogue share it
    before = sys.modules.get("ESL")
    try:
        result = doctest.DocTestRunner().run(test)
    finally:
        if before is None:
            sys.modules.pop("ESL", None)
    assert result.failed == 0
    assert result.attempted == sum(code.count(">>> ") for language, code in found if language == "pycon")


@pytest.mark.parametrize("path", COOKBOOK, ids=lambda path: path.name)
def test_a_page_is_two_screens(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 130


def questions(path: Path) -> list[str]:
    """The headings that are what somebody asks."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^# .+$|^## (?:I |My |It ).+$|^## .+\?$", text, re.MULTILINE)


@pytest.mark.parametrize("path", [each for each in COOKBOOK if each.name != "index.md"], ids=lambda path: path.name)
def test_each_question_is_in_the_index(path: Path) -> None:
    asked = [heading.lstrip("# ") for heading in questions(path)]
    index = page("index.md").read_text(encoding="utf-8")
    assert [heading for heading in asked if f"[{heading}]({path.name}" not in index] == []


@pytest.mark.parametrize("path", [each for each in COOKBOOK if each.name != "index.md"], ids=lambda path: path.name)
def test_the_code_comes_soon(path: Path) -> None:
    """Within the first screen: a block, or the table of a comparison."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith(("```", "|---")) for line in lines[:14])


def reconnects(code: str) -> None:
    with Emulator() as switch, running(code.replace("8021", str(switch.port))) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.fire("CHANNEL_HANGUP_COMPLETE", {"Unique-ID": "u-1"})
        assert line(process) == "CHANNEL_HANGUP_COMPLETE u-1"
        switch.drop()
        assert line(process).startswith("nothing was received for ")


def beats(code: str) -> None:
    with Emulator() as switch, running(code.replace("8021", str(switch.port))) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.fire("HEARTBEAT", {"Session-Count": "31"})
        assert line(process) == "31"


def reads_two_switches(code: str) -> None:
    with Emulator() as east, Emulator() as west:
        for host, switch in (("10.0.0.1:8021", east), ("10.0.0.2:8021", west)):
            code = code.replace(host, f"127.0.0.1:{switch.port}")
        with running(code) as process:
            assert {line(process).split()[0], line(process).split()[0]} == {"east", "west"}  # they have started
            east.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
            assert line(process) == "east CHANNEL_ANSWER u-1"


def greets(code: str) -> None:
    with Emulator() as switch, running(code.replace("8021", str(switch.port))) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.add_session("u-1")
        switch.fire("CHANNEL_PARK", {"Unique-ID": "u-1", "Call-Direction": "inbound"})
        switch.wait_for(lambda: "api uuid_answer u-1" in switch.commands, 30)
        switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
        assert line(process) == "greeted u-1"


def asks_for_a_digit(code: str) -> None:
    port = free_port()
    with running(code.replace("8084", str(port))) as process, Emulator() as switch:
        until(lambda: listening(port), 30)
        call = switch.call("127.0.0.1", port)
        call.press("5")
        assert line(process) == "typed 5 full"
        assert call.wait(30) == "NORMAL_CLEARING"


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def talks_tls(code: str) -> None:
    """As through stunnel: a server that takes TLS off."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate")
    with tempfile.TemporaryDirectory() as folder, Emulator() as switch:
        key, certificate = f"{folder}/key.pem", f"{folder}/ca.pem"
        make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        subprocess.run([openssl, *make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
        code = code.replace("ca.pem", certificate)
        with unwrapped(certificate, key, switch.port) as port, running(code.replace("8021", str(port))) as process:
            assert line(process) == "over TLS"


@contextmanager
def unwrapped(certificate: str, key: str, target: int) -> Iterator[int]:
    """A port that carries what comes over TLS to another, for one connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def carry(reads: socket.socket, writes: socket.socket) -> None:
        with suppress(OSError):
            while data := reads.recv(65536):
                writes.sendall(data)
            writes.shutdown(socket.SHUT_WR)

    def serve() -> None:
        far = socket.create_connection(("127.0.0.1", target))
        with far, context.wrap_socket(server.accept()[0], server_side=True) as near:
            back = Thread(target=carry, args=[far, near])
            back.start()
            carry(near, far)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


PROGRAMS: dict[str, Callable[[str], None]] = {  # page -> what runs its program
    "from-genesis.md": beats,
    "from-greenswitch.md": asks_for_a_digit,
    "from-switchio.md": greets,
    "many-switches.md": reads_two_switches,
    "reconnect.md": reconnects,
    "tls.md": talks_tls,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(name: str) -> None:
    PROGRAMS[name](program(name))


THINGS = {  # what a name in the right column of a comparison is
    "fs": (eslcodec.sync.Client, eslcodec.aio.Client),
    "call": (eslcodec.sync.Call, eslcodec.aio.Call),
    "event": (eslcodec.Event,),
    "job": (eslcodec.sync.Job, eslcodec.aio.Job),
    "eslcodec": (eslcodec,),
    "uuid": (UuidVerbs,),  # fs.uuid(...)
}


def ours(path: Path) -> Iterator[tuple[str, str]]:
    """(thing, attribute) of each piece of code in the last cell of a row."""
    for row in re.findall(r"^\|.*\|$", path.read_text(encoding="utf-8"), re.MULTILINE):
        cell = re.split(r"(?<!\\)\|", row)[-2]
        for code in re.findall(r"`([^`]+)`", cell):
            yield from (("uuid", name) for name in re.findall(r"fs\.uuid\(\w+\)\.(\w+)", code))
            yield from re.findall(rf"\b({'|'.join(THINGS)})\.(\w+)", code)


def has(thing: Any, name: str) -> bool:
    """Whether it has such a name, if only its objects have it: then its docstring says what it is."""
    return (
        hasattr(thing, name) or re.search(rf"^ +(?:\w+, )*{name}\b.*: ", thing.__doc__ or "", re.MULTILINE) is not None
    )


@pytest.mark.parametrize(
    "path", [each for each in COOKBOOK if each.name.startswith("from-")], ids=lambda each: each.name
)
def test_a_comparison_names_what_we_have(path: Path) -> None:
    found = set(ours(path))
    assert found
    assert [f"{thing}.{name}" for thing, name in found for each in THINGS[thing] if not has(each, name)] == []
