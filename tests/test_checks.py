"""What both clients and both servers check and say alike: no secret in a text, where an error happened, options.

Each test runs against the blocking shell and the asyncio one (`shell`), with the emulator as the switch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from inspect import isawaitable
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, part

from eslcodec._ctext import described, redacted, redacted_user
from eslcodec.emulator import Emulator, Fault, User

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
    monkeypatch.setattr(ESL, "_log_level", 7)
    con = ESL.ESLconnection(HOST, str(switch.port), "ClueCon")
    con.send(command)
    con.disconnect()
    with pytest.raises((TypeError, NotImplementedError)) as caught:
        ESL.ESLconnection(HOST, str(switch.port), f"{SECRET}\ud800")
    assert SECRET not in told(caught.value)
    out, err = capfd.readouterr()
    assert "SEND" in err
    assert SECRET not in out + err
