"""What a service tells systemd, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
systemd = pytest.importorskip("eslcodec.cli.systemd")

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no unix sockets here")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        here.settimeout(30)
        here.bind(str(tmp_path / "notify"))
        yield here


def test_each_word_is_a_datagram(listening: socket.socket) -> None:
    notifier = systemd.Notifier({"NOTIFY_SOCKET": listening.getsockname()})
    notifier.ready()
    notifier.status("5 events/s\nREADY=0 \udcff")
    notifier.alive()
    notifier.stopping()
    assert [listening.recv(1000) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=5 events/s READY=0 ?",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]
    notifier.close()
    notifier.close()
    notifier.ready()  # says nothing any more


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="abstract sockets are of Linux")
def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        here.bind("")  # the kernel finds a name
        here.settimeout(30)
        notifier = systemd.Notifier({"NOTIFY_SOCKET": f"@{here.getsockname()[1:].decode()}"})
        notifier.ready()
        assert here.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize("path", [None, "", "relative", "vsock:2:1234", "/nobody/listens/here", "/" + "x" * 500])
def test_nobody_to_tell_it_to_is_no_error(path: str | None) -> None:
    notifier = systemd.Notifier({} if path is None else {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1"})
    notifier.ready()
    notifier.close()
    assert (notifier.interval is None) == (path is None or not path.startswith("/"))


def test_systemd_that_stands_still_is_not_waited_for(listening: socket.socket) -> None:
    notifier = systemd.Notifier({"NOTIFY_SOCKET": listening.getsockname()})
    for _ in range(5000):  # more than its socket takes
        notifier.alive()
    notifier.close()


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval"),
    [
        ("30000000", "", 30.0),
        ("30000000", "ours", 30.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("-5", "", None),
        ("x", "", None),
        ("1" * 50, "", None),
        ("", "", None),
    ],
)
def test_how_often_it_wants_to_hear_from_us(
    microseconds: str, pid: str, interval: float | None, listening: socket.socket
) -> None:
    pid = str(os.getpid()) if pid == "ours" else pid
    told = {"NOTIFY_SOCKET": listening.getsockname(), "WATCHDOG_USEC": microseconds, "WATCHDOG_PID": pid}
    notifier = systemd.Notifier(told)
    assert notifier.interval == interval
    notifier.close()
