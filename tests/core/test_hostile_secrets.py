"""A peer that means harm, or is broken: no failure, log or text tells a password."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from types import ModuleType
from typing import Any

import pytest
from hostile_support import ENDS, HOST, LOGIN, SHORT, SHORT_LOGIN, Act, Hostile, ask, hear, stay
from support import AUTH, REJECTED, frame, part, reply

from eslcodec.emulator import Emulator, User

pytestmark = pytest.mark.heavy

# Secrets

SECRET = "hunter2-is-my-password"
FAILURES: dict[str, list[Act]] = {
    "wrong password": [AUTH, hear, reply(b"-ERR invalid"), stay],
    **{name: ENDS[name][0] for name in ("closes after the password", "zeros", "drips the greeting", "never answers")},
    "echoes": [AUTH, lambda sock: sock.sendall(frame(b"Content-Type: x", hear(sock)) + b"Content-Length: x\n\n"), stay],
    "refuses": [REJECTED],
    "half an answer": ENDS["half an answer"][0],
}

WAYS = [*((way, None) for way in FAILURES), ("wrong password", "ops@example.org"), ("echoes", "ops@example.org")]


def options_of(way: str) -> dict[str, Any]:
    """A short time only for what never comes."""
    return {**SHORT, **(SHORT_LOGIN if way == "drips the greeting" else {})}


def told(error: BaseException) -> str:
    """Everything that is shown of an exception: its text, its repr, its traceback with every cause."""
    return "".join([str(error), repr(error), *traceback.format_exception(type(error), error, error.__traceback__)])


@pytest.mark.parametrize(("way", "user"), WAYS)
def test_no_failure_of_the_blocking_client_tells_the_password(
    esl: ModuleType, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], way: Any, user: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    with Hostile(*FAILURES[way]) as peer:
        error = ask(esl, "sync", peer.port, password=SECRET, user=user, **options_of(way))
    out, err = capfd.readouterr()
    assert isinstance(error, esl.ESLError)
    assert SECRET not in told(error) + caplog.text + out + err


@pytest.mark.parametrize(("way", "user"), WAYS)
def test_no_failure_of_the_asyncio_client_tells_the_password(
    esl: ModuleType, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], way: Any, user: Any
) -> None:
    """Not in asyncio's debug mode either."""
    caplog.set_level(logging.DEBUG)
    aio = part(esl, "aio")
    shown: list[str] = []

    async def main(port: int) -> None:
        opening = aio.connect(HOST, port, password=SECRET, user=user, **options_of(way))
        shown.append(repr(opening))
        task = asyncio.ensure_future(opening.__aenter__())
        shown.append(repr(task))
        try:
            fs = await task
        except esl.ESLError as error:
            shown.append(told(error))
        else:
            shown.append(repr(fs) + repr(vars(fs)) + repr(vars(fs._link)) + repr(vars(fs.connection)))
            with pytest.raises(esl.ESLError) as caught:
                await fs.api("status")
            shown.append(told(caught.value))
            await fs.close()
        shown.append(repr(task) + repr(asyncio.all_tasks()))

    with Hostile(*FAILURES[way]) as peer:
        asyncio.run(main(peer.port), debug=True)
    out, err = capfd.readouterr()
    assert len(shown) >= 4
    assert SECRET not in "".join(shown) + caplog.text + out + err


@pytest.mark.parametrize("names", [(SECRET,), ("ops@example.org", SECRET)])
@pytest.mark.parametrize("way", FAILURES)
def test_the_official_module_logs_no_password_at_its_last_level(
    esl: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: Any, names: Any
) -> None:
    if way in ("drips the greeting", "never answers"):
        pytest.skip("without time limits")
    ESL = part(esl, "ESL")
    monkeypatch.setattr(part(esl, "_esl.settings"), "log_level", 7)
    acts = FAILURES[way] if way != "echoes" else [AUTH, hear, reply(b"-ERR invalid"), stay]  # what comes is logged
    with Hostile(*acts) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), *names)
        shown = repr(con)
        con.api("status")
        con.disconnect()
    out, err = capfd.readouterr()
    assert "] link.py:" in err
    assert SECRET not in shown + out + err


@pytest.mark.parametrize("command", [f"auth {SECRET}", f"AUTH {SECRET}\n\n", f"userauth ops@x:{SECRET}"])
def test_a_login_of_ones_own_is_not_told_either(
    esl: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    ESL = part(esl, "ESL")
    monkeypatch.setattr(part(esl, "_esl.settings"), "log_level", 7)
    with Hostile(*LOGIN, hear, reply(b"-ERR no"), stay) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), "x")
        assert con.sendRecv(command).getHeader("Reply-Text") == "-ERR no"
        con.disconnect()
    err = capfd.readouterr().err
    assert f"SEND {re.match('[a-zA-Z]+', command)[0]} ***" in err
    assert SECRET not in err
    with Hostile(*LOGIN, stay) as peer, esl.connect(HOST, peer.port) as fs:
        with pytest.raises(esl.CommandTimeout) as caught:
            fs.send(command, timeout=0.1)
        assert str(caught.value) == f"waited 0.1 s for the answer to '{command.split()[0]}'"
        with pytest.raises(esl.InvalidCommand) as refused:
            fs.send(command + "\r")
    assert SECRET not in told(caught.value) + told(refused.value)


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize("wrong", [SECRET + "\n", SECRET + "\r", SECRET + "\0", SECRET + "\ud800", SECRET * 500_000])
def test_a_password_that_cannot_be_sent_is_not_told(esl: ModuleType, client: str, wrong: Any) -> None:
    with Hostile() as peer:
        error = ask(esl, client, peer.port, password=wrong)
        errors = [error, ask(esl, client, peer.port, password=wrong, user="ops@example.org")]
    assert [type(error) for error in errors] == [esl.InvalidCommand] * 2
    assert not [error for error in errors if SECRET in told(error)]


def test_reconnecting_tells_no_password(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    backoff = esl.Backoff(first=0.01, longest=0.01, attempts=3)
    with Emulator(password=SECRET) as switch:
        fs = esl.connect(HOST, switch.port, password=SECRET, reconnect=backoff)
        shown = [repr(backoff), repr(fs), repr(vars(fs)), repr(vars(fs._link)), repr(vars(fs.connection))]
        fs.subscribe("ALL")
    with fs, pytest.raises(esl.ConnectionClosed) as caught:
        list(fs.events())
    shown += [repr(fs), told(caught.value)]
    assert caplog.text.count("cannot connect to") == 1  # the same reason is told once, however often it is tried
    assert SECRET not in "".join(shown) + caplog.text


def test_the_emulator_tells_no_password(esl: ModuleType) -> None:
    users = {"ops@example.org": User(SECRET, api="status")}
    assert repr(users) == "{'ops@example.org': User(events='all', api='status', log=True)}"
    with Emulator(password=SECRET, users=users) as switch:
        with esl.connect(HOST, switch.port, password=SECRET) as fs:
            fs.api("status")
        with esl.connect(HOST, switch.port, user="ops@example.org", password=SECRET):
            pass
        switch.wait_for(lambda: len(switch.commands) == 3, 20)
        with pytest.raises(TimeoutError) as caught:
            switch.wait_for(lambda: False, 0.01)
        shown = [repr(switch), told(caught.value), repr(switch.listeners), repr(switch.add_session("u-1"))]
    assert str(caught.value).splitlines()[1:] == ["  'auth ***'", "  'api status'", "  'userauth ***'"]
    assert SECRET not in "".join(shown)
