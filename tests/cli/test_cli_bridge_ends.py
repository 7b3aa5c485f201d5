"""How `eslcodec bridge` ends, by itself and by signals, and what it tells systemd meanwhile."""

from __future__ import annotations

import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bridge_support import SECONDS, from_folder, numbered, recorded, running, troubled
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from cli_live_support import run
from cli_live_support import switch as switch
from nats_support import BINARIES, cluster, needs_server
from ports import free_port

from eslcodec.emulator import Emulator

pytest.importorskip("eslcodec.cli.bridge")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
URL = "nats://127.0.0.1:1"
WAITING = ["--drain", "1h"]


class Systemd:
    """The socket that services tell of themselves, and what they told."""

    def __init__(self, path: Path, told: socket.socket) -> None:
        self.variables = {"NOTIFY_SOCKET": str(path)}
        self._socket = told
        self._said: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        """At once: the system keeps few of them, and what comes then is lost."""
        while said := self._socket.recv(4096):
            self._said.put(said.decode())

    def told(self, text: str) -> str:
        """Wait until something is told that begins so."""
        while True:
            said = self._said.get(timeout=SECONDS)
            if said.startswith(text):
                return said

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.variables["NOTIFY_SOCKET"])
        self._thread.join(SECONDS)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        systemd = Systemd(tmp_path / "notify", told)
        yield systemd
        systemd.close()


@contextmanager
def bridging(systemd: Systemd, folder: Path, url: str, *more: Any, **variables: str) -> Iterator[Any]:
    """The command, once it is ready."""
    with running(*from_folder(folder, url, *more), **systemd.variables, **variables) as command:
        systemd.told("READY=1")
        yield command


def test_systemd_is_told_how_it_fares_and_that_it_is_alive_and_ends(tmp_path: Path, systemd: Systemd) -> None:
    folder = recorded(tmp_path / "rec", *numbered(5))
    with bridging(systemd, folder, URL, "--drain", "100ms", WATCHDOG_USEC="300000") as command:
        assert systemd.told("STATUS=") == "STATUS=0 acknowledged, 0 waiting"
        for _ in range(5):
            systemd.told("WATCHDOG=1")
        command.process.send_signal(signal.SIGTERM)
        systemd.told("STOPPING=1")
        assert command.ended() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_waiting_for_acknowledgements(
    tmp_path: Path, systemd: Systemd, number: signal.Signals
) -> None:
    folder = recorded(tmp_path / "rec", *numbered(5))
    with bridging(systemd, folder, URL, *WAITING) as command:
        command.says("fs1: connection: ")
        command.process.send_signal(number)
        systemd.told("STOPPING=1")
        assert command.ended(number) == 1
    assert command.said.splitlines()[-2:] == [
        "eslcodec: 0 acknowledged, 0 waiting, fs1: connection",
        f"eslcodec: not everything is acknowledged: the rest stays in {folder}",
    ]
    assert "Traceback" not in command.said


@pytest.mark.heavy
@needs_server
def test_what_is_acknowledged_while_it_drains_counts(tmp_path: Path, systemd: Systemd) -> None:
    folder = recorded(tmp_path / "rec", *numbered(5))
    port = free_port()
    with bridging(systemd, folder, f"nats://127.0.0.1:{port}", *WAITING, "--create-stream") as command:
        command.says("fs1: connection: ")
        command.process.send_signal(signal.SIGTERM)
        systemd.told("STOPPING=1")
        with cluster(BINARIES[-1], tmp_path, ports=[port]):
            assert command.ended() == 0, command.said
    assert command.said.splitlines()[-1] == "eslcodec: 6 acknowledged, 0 waiting"


# What ends it at once, or is told


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, switch: Emulator) -> None:
    (tmp_path / "file").touch()
    words = [f"fs1=127.0.0.1:{switch.port}", "--to", URL, "--dir", tmp_path / "file" / "spill", "--events", "DTMF"]
    with running("bridge", *words) as command:
        assert command.ended() == 1
    assert "Not a directory" in command.said
    assert "Traceback" not in command.said


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "rec").touch()
    result = run("bridge", None, *from_folder(tmp_path / "rec", URL)[1:])
    assert result.exit_code == 1
    assert "there is no such folder" in result.output


def test_a_switch_of_which_nothing_is_recorded_is_told(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(5))
    with running(*from_folder(folder, URL, "fs2=10.0.0.2", "--drain", "100ms")) as command:
        command.says(f"fs2: there is no {folder}/10.0.0.2_8021 yet")
        command.says("fs1: connection: ")
        assert command.ended(signal.SIGTERM) == 1
    assert "fs1: there is no" not in command.said


def test_a_switch_that_does_not_let_us_in_is_told(tmp_path: Path, switch: Emulator, password_file: Any) -> None:
    words = [f"fs1=127.0.0.1:{switch.port}", "--to", URL, "--dir", tmp_path / "spill", "--events", "DTMF"]
    with running("bridge", *words, "--password-file", password_file(b"no-password\n"), "--drain", "100ms") as command:
        command.says("fs1: ")
        command.says("-ERR invalid")
        assert command.ended(signal.SIGTERM) == 1  # what is noted of it is not acknowledged
    assert "no-password" not in command.said


def test_what_is_no_server_of_nats_is_told(tmp_path: Path, switch: Emulator) -> None:
    folder = recorded(tmp_path / "rec", *numbered(5))
    url = f"nats://127.0.0.1:{switch.port}"
    why = "nats: empty response from server when expecting INFO message"
    code, said = troubled("fs1: connection: ", why, *from_folder(folder, url, "--drain", "100ms"))
    assert code == 1
    assert f"fs1: connection: {url}: {why}" in said
    assert "Traceback" not in said
