"""The verbs of both clients: each command has one, the blocking file is made from that of asyncio, options are told."""

from __future__ import annotations

import importlib
import inspect
import runpy
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_type_hints

import pytest
from shells import HOST, PATIENCE, Callee, Peer, Shell, Switch
from support import OK, part, reply

from eslcodec import aio, commands, sync

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "async_to_sync.py"
UUID = "d81101c7-3ab0-49ba-a4bc-877193d8ea38"
CHANNEL = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: %b\nSocket-Mode: static\nControl: full\n"
    b"Content-Type: command/reply\nReply-Text: +OK\n\n" % UUID.encode()
)
REFUSED = "-ERR invalid session id [u-1]"
# verb, arguments, options, what is sent after `call-command`
MESSAGES: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("nomedia", ("u-2",), {}, "nomedia-uuid: u-2"),
    (
        "unicast",
        (),
        {},
        "local-ip: 127.0.0.1\nlocal-port: 8025\nremote-ip: 127.0.0.1\nremote-port: 8026\ntransport: udp",
    ),
    (
        "unicast",
        (),
        {
            "local_ip": "::1",
            "local_port": 1,
            "remote_ip": "::2",
            "remote_port": 2,
            "transport": "tcp",
            "flags": "native",
        },
        "local-ip: ::1\nlocal-port: 1\nremote-ip: ::2\nremote-port: 2\ntransport: tcp\nflags: native",
    ),
    (
        "xferext",
        ([("answer", ""), ("playback", "a.wav")],),
        {},
        "application: answer\napplication: playback a.wav",
    ),
]

in_checkout = pytest.mark.skipif(not TOOL.exists(), reason="tools/ is not beside the tests")


@pytest.fixture(params=["sync", "aio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shell(esl: ModuleType, kind: str) -> Iterator[Shell]:
    shell = Shell(esl, kind)
    yield shell
    shell.close()


@pytest.fixture
def switch() -> Iterator[Switch]:
    switch = Switch()
    yield switch
    switch.close()


# Messages to a channel


@pytest.mark.parametrize(("verb", "arguments", "options", "sent"), MESSAGES)
def test_a_message_to_another_channel(
    shell: Shell, switch: Switch, verb: str, arguments: tuple[Any, ...], options: dict[str, Any], sent: str
) -> None:
    peer = shell.connects(switch)
    wanted = f"sendmsg u-1\ncall-command: {verb}\n{sent}".encode()
    begun = shell.begin(verb, *arguments, uuid="u-1", **options)
    peer.answers(wanted, OK)
    assert begun.result(PATIENCE).ok
    begun = shell.begin(verb, *arguments, uuid="u-1", **options)
    peer.answers(wanted, reply(REFUSED.encode()))
    with pytest.raises(shell.esl.CommandError, match="invalid session id"):
        begun.result(PATIENCE)
    with pytest.raises(shell.esl.InvalidCommand):
        shell.do(verb, *arguments, uuid="u-1 2", **options)


@pytest.mark.parametrize(("verb", "arguments", "options", "sent"), MESSAGES)
def test_a_message_to_the_own_channel_is_not_waited_for_without_end(
    esl: ModuleType, kind: str, verb: str, arguments: tuple[Any, ...], options: dict[str, Any], sent: str
) -> None:
    """Not even on a static socket: the switch performs it at once, as `hangup`."""
    callee = Callee(esl, kind, command_timeout=0.05)
    try:
        peer = callee.rings(lambda port: dialled(port))
        begun = callee.begin(verb, *arguments, **options)
        assert peer.command() == f"sendmsg\ncall-command: {verb}\n{sent}".encode()
        with pytest.raises(esl.CommandTimeout):
            begun.result(PATIENCE)
        peer.sends(OK)
    finally:
        callee.close()


def dialled(port: int) -> Peer:
    peer = Peer(socket.create_connection((HOST, port)))
    peer.answers(b"connect", CHANNEL)
    return peer


# Every command


@pytest.mark.parametrize("module", [sync, aio], ids=["sync", "aio"])
def test_every_command_has_a_verb(module: ModuleType) -> None:
    built = {name for name, thing in vars(commands).items() if inspect.isfunction(thing) and not name.startswith("_")}
    built = {name for name in built if getattr(commands, name).__module__ == commands.__name__}
    renamed = {"event": "subscribe", "nixevent": "unsubscribe"}
    at_login = {"auth", "userauth"}
    verbs = {name for name in dir(module.Call) if not name.startswith("_")}
    assert {renamed.get(name, name) for name in built - at_login} <= verbs


# What is generated


@in_checkout
@pytest.mark.parametrize("name", ["_verbs.py", "_call_verbs.py", "_ivr_verbs.py"])
def test_the_blocking_file_is_current(name: str) -> None:
    translate = runpy.run_path(str(TOOL))["translate"]
    source = (ROOT / "eslcodec" / "aio" / name).read_text(encoding="utf-8")
    there = (ROOT / "eslcodec" / "sync" / name).read_text(encoding="utf-8")
    assert there == translate(source, name), "run tools/async_to_sync.py"
    assert there.startswith(f"# Generated from eslcodec/aio/{name}: run tools/async_to_sync.py")


@in_checkout
def test_all_that_is_generated_is_looked_at() -> None:
    files = runpy.run_path(str(TOOL))["FILES"]
    folder = ROOT / "eslcodec" / "sync"
    marked = {path.name for path in folder.glob("*.py") if path.read_text(encoding="utf-8").startswith("# Generated")}
    assert marked == set(files)


TRANSLATED = [
    ("async def f(a) -> None:\n    return await g(a)\n", "def f(a) -> None:\n    return g(a)\n"),
    ("async with a as b:  # async\n    pass\n", "with a as b:  # async\n    pass\n"),
    ('async_ = "await it"\n', 'async_ = "await it"\n'),
    ("x = [await  a async  for a in b]\n", "x = [a for a in b]\n"),
    ("async def __anext__(self): ...\n", "def __next__(self): ...\n"),
    ('f"{await a}{{await}}"\n', None),  # since 3.12 what is in it are tokens
    (
        'def f():\n    """Say `await f()`.\n\n    >>> import asyncio\n    >>> from eslcodec import aio\n'
        "    >>> async def main(port):\n    ...     async with aio.connect(port=port) as fs:\n"
        "    ...         print(await fs.api('a'), await asyncio.to_thread(g.h, 1), await asyncio.to_thread(i))\n"
        '    >>> asyncio.run(main(1))\n    await\n    """\n',
        'def f():\n    """Say `await f()`.\n\n    >>> from eslcodec import sync\n'
        "    >>> def main(port):\n    ...     with sync.connect(port=port) as fs:\n"
        "    ...         print(fs.api('a'), g.h(1), i())\n"
        '    >>> main(1)\n    await\n    """\n',
    ),
    # What fits by now is put on one line, except where a comma or a comment keeps it
    (f"async def f(\n    a{'b' * 107}\n): ...\n", f"def f(a{'b' * 107}): ...\n"),
    (f"async def f(\n    a{'b' * 108}\n): ...\n", f"def f(\n    a{'b' * 108}\n): ...\n"),
    ("async def f(\n    a,\n): ...\n", "def f(\n    a,\n): ...\n"),
    ("async def f(\n    a  # why\n): ...\n", "def f(\n    a  # why\n): ...\n"),
    ("x = f(\n    g(a),\n    h(b),\n)\n", "x = f(\n    g(a),\n    h(b),\n)\n"),
]


@in_checkout
@pytest.mark.parametrize(("source", "wanted"), TRANSLATED)
def test_how_it_is_translated(source: str, wanted: str | None) -> None:
    translate = runpy.run_path(str(TOOL))["translate"]
    header, _, made = translate(source, "x.py").partition("\n\n")
    assert header.startswith("# Generated from eslcodec/aio/x.py")
    if wanted is None:
        assert "{{await}}" in made
    else:
        assert made == wanted


@in_checkout
def test_check_tells_what_is_not_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = runpy.run_path(str(TOOL))
    tool["main"].__globals__["ROOT"] = tmp_path / "eslcodec"
    for folder in ("aio", "sync"):
        (tmp_path / "eslcodec" / folder).mkdir(parents=True)
    for name in tool["FILES"]:
        (tmp_path / "eslcodec" / "aio" / name).write_text("async def f(): ...\n")
    assert tool["main"](["--check"]) == 1
    assert "+def f(): ..." in capsys.readouterr().out
    assert tool["main"]([]) == 0
    assert tool["main"](["--check"]) == 0
    assert (tmp_path / "eslcodec" / "sync" / "_verbs.py").read_text().endswith("\n\ndef f(): ...\n")


# Options


@pytest.mark.parametrize("name", ["connect", "serve"])
def test_an_unknown_option_is_named(esl: ModuleType, kind: str, name: str) -> None:
    function = getattr(part(esl, kind), name)
    arguments = (print,) if name == "serve" else ()
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'quue_limit'$"):
        function(*arguments, quue_limit=1)


@pytest.mark.parametrize("name", ["connect", "serve"])
def test_a_signature_names_each_option_with_its_default(name: str) -> None:
    one, two = (inspect.signature(getattr(module, name)) for module in (sync, aio))
    assert one.parameters.keys() == two.parameters.keys()
    options = importlib.import_module("eslcodec._options")
    for option, default in options.DEFAULTS.items():
        parameter = one.parameters[option]
        assert parameter == two.parameters[option]
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default == default
    assert one.parameters["keepalive"].annotation == "float | None"
    assert "options" not in one.parameters
    for module in (sync, aio):
        hints = get_type_hints(getattr(module, name))
        assert hints["when_full"] == Literal["pause", "drop"]
        assert hints.keys() == {*one.parameters, "return"}


def test_each_option_has_a_default_that_is_the_connections() -> None:
    options = importlib.import_module("eslcodec._options")
    assert options.DEFAULTS.keys() == options.ClientOptions.__annotations__.keys()
    connection = importlib.import_module("eslcodec.connection").Connection
    theirs = inspect.signature(connection.__init__).parameters
    for option in options.ConnectionOptions.__annotations__:
        if option in theirs:
            assert theirs[option].default == options.DEFAULTS[option]


@pytest.mark.parametrize("name", ["connect", "serve"])
def test_each_option_is_described(kind: str, name: str) -> None:
    function = getattr(importlib.import_module(f"eslcodec.{kind}"), name)
    text = inspect.getdoc(function) or ""
    for option in inspect.signature(function).parameters:
        assert option in text
