"""What both clients and both servers check and say alike: no secret in a text, where an error happened, options.

Each test runs against the blocking shell and the asyncio one (`shell`), with the emulator as the switch.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import re
import socket
from collections.abc import Callable, Iterator
from inspect import isawaitable
from types import ModuleType
from typing import Any

import pytest
from ports import free_port
from support import ACCEPTED, AUTH, part

from eslcodec import InvalidCommand, _options
from eslcodec._address import unreachable
from eslcodec._ctext import described, redacted, redacted_user
from eslcodec.emulator import Emulator, Fault, Later, User

HOST = "127.0.0.1"
SECRET = "hunter2"


class Shell:
    """`connect` and `serve` of one module, used alike."""

    def __init__(self, esl: ModuleType, name: str) -> None:
        self.module = part(esl, name)
        self.is_aio = name == "aio"

    def use(self, work: Callable[[Any], Any], *address: Any, **options: Any) -> Any:
        """Connect, and have `work` done with the client; what it gave."""
        if not self.is_aio:
            with self.module.connect(*address, **options) as fs:
                return work(fs)

        async def main() -> Any:
            async with self.module.connect(*address, **options) as fs:
                result = work(fs)
                return await result if isawaitable(result) else result

        return asyncio.run(main())

    def listens(self, *address: Any, **options: Any) -> int:
        """Serve, and close again; the port."""
        if not self.is_aio:
            with self.module.serve(print, *address, **options) as server:
                port: int = server.port
                return port

        async def main() -> int:
            async with self.module.serve(print, *address, **options) as server:
                port: int = server.port
                return port

        return asyncio.run(main())


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest) -> Shell:
    return Shell(esl, request.param)


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# Secrets


def told(error: BaseException | None) -> str:
    """Everything that an error says, and those that it came from."""
    if error is None:
        return ""
    own = f"{error} {error!r} {vars(error)} {getattr(error, 'object', '')}"
    return own + told(error.__cause__) + told(error.__context__)


@pytest.mark.parametrize(
    "command",
    [
        f"auth {SECRET}\ud800",
        f"auth\t{SECRET}\r",
        f"auth\t{SECRET}",
        f"AUTH {SECRET}",
        f"\n auth {SECRET}\0",
        f"auth\u00a0{SECRET}",
        f"auth:{SECRET}",
        f"userauth ops@example.org:{SECRET}",
        f"UserAuth\tops:{SECRET}@example.org",
        f"auth {SECRET}\n\nexit",
        f"auth {SECRET}".encode() + b"\r",
    ],
)
def test_a_login_that_is_sent_as_a_command_is_told_nowhere(
    shell: Shell, esl: ModuleType, caplog: pytest.LogCaptureFixture, command: Any
) -> None:
    caplog.set_level(0)

    def send(fs: Any) -> Any:
        return fs.send(command, timeout=0.01)

    def send_many(fs: Any) -> Any:
        return fs.pipeline(["api status", command], timeout=0.01)

    with Emulator(fault=Fault.stall(after=len(AUTH + ACCEPTED))) as switch:
        for work in (send, send_many):
            with pytest.raises((esl.InvalidCommand, esl.CommandTimeout)) as caught:
                shell.use(work, HOST, switch.port)
            assert SECRET not in told(caught.value)
        with pytest.raises(TimeoutError) as late:
            switch.wait_for(lambda: False, timeout=0)
        assert SECRET not in told(late.value)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"user": f"ops:{SECRET}"},
        {"user": SECRET},
        {"user": f"ops:{SECRET}@example.org"},
        {"user": f"ops@example.org:{SECRET}"},
        {"user": "ops@example.org", "password": f"{SECRET}\ud800"},
        {"user": "ops@example.org", "password": f"{SECRET}\n"},
        {"password": f"{SECRET}\ud800"},
        {"password": f"{SECRET}\0"},
        {"password": SECRET},
        {"user": "ops@example.org", "password": SECRET},
    ],
)
def test_a_login_that_fails_is_told_nowhere(
    shell: Shell, esl: ModuleType, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    caplog.set_level(0)
    with (
        Emulator(users={"ops@example.org": User("x")}) as switch,
        pytest.raises((esl.InvalidCommand, esl.AuthError)) as caught,
    ):
        shell.use(print, HOST, switch.port, **options)
    assert SECRET not in told(caught.value)
    assert SECRET not in caplog.text


def test_a_login_is_in_no_text_of_the_builders(esl: ModuleType) -> None:
    commands = part(esl, "commands")
    for part_of in (
        lambda text: commands.api(text),
        lambda text: commands.api("x", text),
        lambda text: commands.bgapi("x", job_uuid=text),
        lambda text: commands.event(text),
        lambda text: commands.event(custom=[text]),
        lambda text: commands.event("ALL", format=text),
        lambda text: commands.filter(text, "x"),
        lambda text: commands.sendevent("X", {text: "x"}),
        lambda text: commands.sendevent("X", {"A": [text]}),
        lambda text: commands.execute(text),
        lambda text: commands.execute("x", text),
        lambda text: commands.getvar(text),
    ):
        for text in (f"auth {SECRET}\0", f"\tUSERAUTH {SECRET}\0", f"auth\t{SECRET}\ud800"):
            with pytest.raises(esl.InvalidCommand) as caught:
                part_of(text)
            assert SECRET not in told(caught.value)


def test_what_is_no_login_is_shown() -> None:
    for text in ("api status", "sendmsg\ncall-command: execute\n", "set sip_auth_username=1", "auth", "api author x"):
        assert redacted(text) == text
    assert redacted(f"api status\nAuth {SECRET}\n{SECRET}") == "api status\nAuth ***"
    assert redacted_user("ops@example.org") == "ops@example.org"
    assert redacted_user(f"ops@example.org:{SECRET}") == "ops@example.org:***"
    assert described(b"\n\nsendevent NOTIFY\nA: b") == "'sendevent NOTIFY'"
    assert described(b"x" * 1000) == repr("x" * 80)


@pytest.mark.parametrize("command", [f"auth\t{SECRET}", f" \tauth {SECRET}", f"api x\nauth {SECRET}", f"AUTH:{SECRET}"])
def test_a_log_of_the_drop_in_has_no_login(
    esl: ModuleType, switch: Emulator, monkeypatch: pytest.MonkeyPatch, capfd: Any, command: str
) -> None:
    ESL = part(esl, "ESL")
    monkeypatch.setattr(part(esl, "_esl.settings"), "log_level", 7)
    con = ESL.ESLconnection(HOST, str(switch.port), "ClueCon")
    con.send(command)
    con.disconnect()
    with pytest.raises((TypeError, NotImplementedError)) as caught:
        ESL.ESLconnection(HOST, str(switch.port), f"{SECRET}\ud800")
    assert SECRET not in told(caught.value)
    out, err = capfd.readouterr()
    assert "SEND" in err
    assert SECRET not in out + err


# Where an error happened


def test_a_refused_connection_says_where(shell: Shell) -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError) as caught:
        shell.use(print, HOST, port)
    assert str(caught.value) == f"[Errno {errno.ECONNREFUSED}] Connection refused: '{HOST}:{port}'"
    assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("host", ["nosuch.invalid", "x" * 300 + ".example"])
def test_a_name_that_cannot_be_resolved_says_which(shell: Shell, host: str) -> None:
    with pytest.raises(socket.gaierror) as caught:
        shell.use(print, host, 8021, connect_timeout=60)
    assert f"{host}:8021" in str(caught.value)
    assert caught.value.errno in (socket.EAI_NONAME, socket.EAI_AGAIN)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.ENETUNREACH, "Connect call failed ('1', 2)"), OSError, "Network is unreachable: '[::1]:8021'"),
        (TimeoutError(errno.ETIMEDOUT, "x"), TimeoutError, "Connection timed out: '[::1]:8021'"),
        (BlockingIOError(errno.EINPROGRESS, "x"), TimeoutError, "connecting to [::1]:8021 took more than 0 s"),
        (OSError("Multiple exceptions: a, b"), OSError, "cannot connect to [::1]:8021: Multiple exceptions: a, b"),
    ],
)
def test_what_the_system_says_about_connecting_is_kept(error: OSError, kind: type[OSError], text: str) -> None:
    located = unreachable(error, "::1", 8021, 0)
    assert type(located) is kind
    assert str(located).endswith(text)
    assert located.errno == (None if isinstance(error, BlockingIOError) else error.errno)


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_connection_that_takes_too_long_says_where(shell: Shell, seconds: float) -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind((HOST, 0))
        full.listen(0)
        for _ in range(4):  # from the second or third on, the kernel lets them wait
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        with pytest.raises(TimeoutError, match=rf"^connecting to {HOST}:{port} took more than {seconds} s$"):
            shell.use(print, HOST, port, connect_timeout=seconds)


def test_a_refused_login_says_where_and_why(shell: Shell, esl: ModuleType, switch: Emulator) -> None:
    where = f"{HOST}:{switch.port}"
    with pytest.raises(esl.AuthError) as caught:
        shell.use(print, HOST, switch.port, password="x")
    assert str(caught.value) == f"{where} refused the login: -ERR invalid (wrong password?)"
    with Emulator(allow=False) as closed, pytest.raises(esl.AccessDenied) as denied:
        shell.use(print, HOST, closed.port)
    assert str(denied.value) == f"{HOST}:{closed.port} refused our address: Access Denied, go away."


def test_a_login_without_an_answer_says_where(shell: Shell, esl: ModuleType) -> None:
    with Emulator(fault=Fault.stall()) as switch, pytest.raises(esl.CommandTimeout) as caught:
        shell.use(print, HOST, switch.port, connect_timeout=1.5)
    assert str(caught.value) == f"waited 1.5 s for the login at {HOST}:{switch.port}"


def test_no_limit_for_the_connection(shell: Shell, switch: Emulator) -> None:
    assert shell.use(lambda fs: fs.api("status"), HOST, switch.port, connect_timeout=math.inf).ok


def test_a_forgotten_await_says_so(esl: ModuleType) -> None:
    for opening in (part(esl, "aio").connect(), part(esl, "aio").serve(print)):
        with pytest.raises(AttributeError, match=r"has no attribute 'api': await it, or use async with$"):
            opening.api("status")


# Options

NAN = float("nan")
SECONDS = [(-1, ValueError), (NAN, ValueError), ("5", TypeError), (True, TypeError), (None, TypeError)]
HOSTS = [("127.0.0.1:8021", ValueError), ("[::1]:8021", ValueError), ("[::1]", ValueError), (b"x", TypeError)]
PORTS = [(65536, ValueError), (-1, ValueError), ("8021", TypeError), (8021.0, TypeError), (True, TypeError)]
BOTH = {
    "host": HOSTS,
    "port": PORTS,
    "command_timeout": SECONDS,
    "keepalive": [(0, ValueError), (-1, ValueError), (NAN, ValueError), (math.inf, ValueError), ("5", TypeError)],
    "queue_limit": [(0, ValueError)],
    "when_full": [("stop", ValueError)],
}
CONNECT = {
    **BOTH,
    "port": [*PORTS, (0, ValueError)],
    "connect_timeout": SECONDS,
    "reconnect": [(1, TypeError), ("yes", TypeError), (None, TypeError)],
    "password": [(b"x", TypeError), ("a\n", InvalidCommand)],
    "user": [("ops", InvalidCommand)],
}
SERVE = {
    **BOTH,
    "first_frame_timeout": SECONDS,
    "max_calls": [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)],
}


@pytest.mark.parametrize(
    ("verb", "name", "value", "kind"),
    [
        (verb, name, *wrong)
        for verb, options in (("connect", CONNECT), ("serve", SERVE))
        for name, wrongs in options.items()
        for wrong in wrongs
    ],
)
def test_a_wrong_option_is_refused_where_it_is_given(
    esl: ModuleType, shell: Shell, verb: str, name: str, value: Any, kind: type[Exception]
) -> None:
    arguments = (print,) if verb == "serve" else ()
    with pytest.raises(esl.InvalidCommand if kind is InvalidCommand else kind) as caught:
        getattr(shell.module, verb)(*arguments, **{name: value})
    assert name in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_port_within_the_host_is_explained(shell: Shell) -> None:
    wanted = "host is '127.0.0.1:8021', expected a name or address: the port is an argument beside it"
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        shell.module.connect("127.0.0.1:8021")


@pytest.mark.parametrize("host", ["::1", "::", "fe80::1%eth0", "switch.example.org", ""])
def test_hosts_that_may_be_right(host: str) -> None:
    _options.check_serve(host, 0, max_calls=1, first_frame_timeout=0, command_timeout=0, keepalive=None)


def test_options_at_their_bounds(esl: ModuleType, shell: Shell, switch: Emulator) -> None:
    options = {"connect_timeout": 5.5, "command_timeout": math.inf, "keepalive": 0.5, "reconnect": esl.Backoff()}
    assert shell.use(lambda fs: fs.api("status"), HOST, switch.port, **options).ok
    with pytest.raises(ConnectionRefusedError):
        shell.use(print, HOST, free_port(), connect_timeout=math.inf)
    assert shell.listens(first_frame_timeout=math.inf, command_timeout=0, max_calls=1) > 0


# Other event loops


def test_closing_in_another_event_loop_is_an_error(esl: ModuleType, switch: Emulator) -> None:
    async def main() -> None:
        fs = await part(esl, "aio").connect(HOST, switch.port)
        with pytest.raises(RuntimeError, match=r"^<Client .* open> belongs to another event loop, expected close"):
            await asyncio.to_thread(asyncio.run, fs.close())
        assert (await fs.api("status")).ok
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(fs.close(), loop).result(20))
        assert fs.closed
        with pytest.raises(RuntimeError):  # closed or not
            await asyncio.to_thread(asyncio.run, fs.close())

    asyncio.run(main())


def test_closing_a_server_in_another_event_loop_is_an_error(esl: ModuleType, switch: Emulator) -> None:
    """It closed half of it, and whoever waited in `serve_forever` waited on."""

    async def main() -> None:
        over = asyncio.Event()

        async def handle(call: Any) -> None:
            await over.wait()

        server = await part(esl, "aio").serve(handle)
        serving = asyncio.create_task(server.serve_forever())
        ringing = await asyncio.to_thread(switch.dial, HOST, server.port)
        await asyncio.to_thread(switch.wait_for, lambda: ringing.commands)
        with pytest.raises(RuntimeError, match=r"^<Server on .* 1 calls> belongs to another event loop"):
            await asyncio.to_thread(asyncio.run, server.close())
        assert server.calls == 1
        next_one = await asyncio.to_thread(switch.dial, HOST, server.port)  # it takes calls as before
        await asyncio.to_thread(switch.wait_for, lambda: next_one.commands)
        over.set()
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(server.close(), loop).result(20))
        await asyncio.wait_for(serving, 20)
        with pytest.raises(RuntimeError):  # closed or not
            await asyncio.to_thread(asyncio.run, server.close())

    asyncio.run(main())


# Handlers and deadlines


def test_only_custom_events_have_subclasses(shell: Shell, switch: Emulator) -> None:
    def work(fs: Any) -> None:
        for arguments in (("DTMF", print), ("DTMF",), ("ALL", print)):
            with pytest.raises(ValueError, match=rf"^'{arguments[0]}' has no subclasses, only CUSTOM has$"):
                fs.on(*arguments, subclass="a::b")
        assert fs.on("SWITCH_EVENT_CUSTOM", print, subclass="a::b") is print

    shell.use(work, HOST, switch.port)


def test_a_pipeline_has_one_deadline(shell: Shell, esl: ModuleType, switch: Emulator) -> None:
    """Each reply comes within 0.2 s of the one before, and the last of them too late."""
    switch.api["slow"] = Later(0.2, "+OK")
    with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.3 s for the answer to 'api slow'$"):
        shell.use(lambda fs: fs.pipeline(["api slow"] * 20, timeout=0.3), HOST, switch.port)


def test_a_pipeline_whose_timeout_is_long_enough(shell: Shell, switch: Emulator) -> None:
    replies = shell.use(lambda fs: fs.pipeline(["api status"] * 20, timeout=30), HOST, switch.port)
    assert [reply.ok for reply in replies] == [True] * 20
