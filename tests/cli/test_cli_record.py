"""`eslcodec record` against emulated switches: what it keeps, what it says, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import support
from cli_live_support import SECRET, build, run, spawned, subscribed
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from cli_live_support import switch as switch
from emulated import overrun
from ports import free_port
from support import until

import eslcodec
import eslcodec.ingest
from eslcodec import Recording
from eslcodec.emulator import Emulator

record = pytest.importorskip("eslcodec.cli.record")
station = pytest.importorskip("eslcodec.cli.station")

ROOM = ["--min-free", "0%"]
CAPTURE = support.capture("calls_sip")
FRAMES = b"".join(
    message.frame
    for message in support.decode(eslcodec, CAPTURE)
    if isinstance(message, (eslcodec.Event, eslcodec.LogLine))
)


@contextmanager
def recording(folder: Path, *switches: Emulator, events: str = "ALL", options: Any = (), **env: str) -> Iterator[Any]:
    """`eslcodec record` of these switches."""
    hosts = [f"127.0.0.1:{switch.port}" for switch in switches]
    with spawned("record", *hosts, "--dir", folder, "--events", events, *ROOM, *options, **env) as process:
        yield process


def stopped(process: subprocess.Popen[bytes], by: int = signal.SIGTERM) -> tuple[int, str, str]:
    """Exit status, standard output and standard error, once it has ended by a signal."""
    process.send_signal(by)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out.decode(), errors.decode()


def frames_in(messages: Iterable[Any]) -> bytes:
    """The frames of events and log lines, end to end: what an emulated switch replays of a capture."""
    return b"".join(message.frame for message in messages if isinstance(message, (eslcodec.Event, eslcodec.LogLine)))


def kept(folder: Path) -> bytes:
    """Those in a recording, which may be written meanwhile."""
    return frames_in(Recording(folder).messages()) if folder.exists() else b""


def cut(frames: bytes, size: int) -> bytes:
    """The beginning of a replay that repeats."""
    return (frames * (size // len(frames) + 1))[:size]


def whole(folder: Path) -> Any:
    """What is in a recording, of which every file was closed and is as it should be."""
    info = Recording(folder).info(verify=True)
    assert (info.damage, info.torn, info.open_files) == ([], {}, [])
    return info


# What is kept


@pytest.mark.parametrize("wire", ["calls_sip", "special_json", "special_xml"])
def test_everything_that_came_is_kept(wire: str, tmp_path: Path) -> None:
    sent = frames_in(support.decode(eslcodec, support.capture(wire)))
    with (
        Emulator(replay=support.capture(wire), lossless=True) as switch,
        recording(tmp_path / "rec", switch) as process,
    ):
        until(lambda: len(kept(tmp_path / "rec")) >= len(sent), 60)
        status, out, errors = stopped(process)
    assert (status, errors) == (0, "")
    assert kept(tmp_path / "rec") == sent
    info = whole(tmp_path / "rec")
    assert (info.connections, info.files) == (1, 1)
    assert re.fullmatch(
        rf"127\.0\.0\.1:{switch.port}: [\d,]+ events, \S+ \S+ received, \S+ \S+ on disk.*, no gaps\n", out
    )
    folder = tmp_path / "rec" / f"127.0.0.1_{switch.port}"
    assert [path.parent for path in (tmp_path / "rec").rglob("*.esl.zst")] == [folder]
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_the_stream_leaves_whole_files(by: int, tmp_path: Path) -> None:
    with (
        Emulator(replay=CAPTURE, repeat=None, lossless=True) as switch,
        recording(tmp_path, switch, options=["--rotate", "1M", "--rotate", "1h"]) as process,
    ):
        until(lambda: len(list(tmp_path.rglob("*.zst"))) >= 3, 60)
        status, _, errors = stopped(process, by)
    assert (status, errors) == (0, "")
    assert whole(tmp_path).files >= 3
    got = kept(tmp_path)
    assert got == cut(FRAMES, len(got))
    assert len(got) > len(FRAMES)


def test_what_is_asked_for_is_recorded(switch: Emulator, tmp_path: Path) -> None:
    options = ["--events", "CUSTOM a::b", "--filter", "Side=-b", "--filter", "Side=/./", "--format", "json"]
    fired = [build("CHANNEL_ANSWER", {"Side": side}) for side in "ab"] + [build("CUSTOM", {"Side": "c"}, None, "a::b")]
    with recording(tmp_path, switch, events="CALLS,CHANNEL_STATE", options=options) as process:
        subscribed(switch)
        for event in fired:
            switch.fire(event)
        until(lambda: kept(tmp_path).count(b"text/event-json") == 2, 30)
        assert stopped(process)[0] == 0
    events = [event for event in Recording(tmp_path).messages() if isinstance(event, eslcodec.Event)]
    assert [(event.name, event["Side"]) for event in events] == [("CHANNEL_ANSWER", "a"), ("CUSTOM", "c")]
    assert switch.commands == [
        "auth ClueCon",
        *(f"api {command}" for command in ("hostname", "switchname", "version", "global_getvar core_uuid")),
        "filter add Side /./",
        "filter add Event-Name HEARTBEAT",
        "filter add Side -b",
        "log crit",
        f"event json {' '.join(eslcodec.presets.CALLS)} CHANNEL_STATE HEARTBEAT CUSTOM a::b",
    ]


def test_two_switches_are_recorded_side_by_side(tmp_path: Path) -> None:
    with (
        Emulator() as one,
        Emulator() as other,
        recording(tmp_path, one, other) as process,
    ):
        for number, switch in enumerate((one, other)):
            subscribed(switch)
            switch.fire("DTMF", {"Switch": number})
        until(lambda: kept(tmp_path).count(b"\nSwitch: ") == 2, 30)
        status, out, errors = stopped(process)
    assert (status, errors) == (0, "")
    assert [line.partition(": ")[0] for line in out.splitlines()] == [f"127.0.0.1:{each.port}" for each in (one, other)]
    for number, switch in enumerate((one, other)):
        messages = Recording(tmp_path / f"127.0.0.1_{switch.port}").messages()
        assert [event["Switch"] for event in messages if "Switch" in event] == [str(number)]
    assert whole(tmp_path).connections == 2


# When the connection is lost


def dies(switch: Emulator) -> None:
    """It ends without a word, and nobody comes in again meanwhile."""
    sockets = switch._sockets

    def end() -> None:
        assert sockets.server is not None
        sockets.loop.remove_reader(sockets.server)
        sockets.server.close()
        sockets.drop()

    switch._thread.stop(end)


def test_a_switch_that_dies_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with Emulator(port=port) as switch:
        hosts = ["record", f"127.0.0.1:{port}", "--dir", tmp_path, "--events", "ALL", *ROOM]
        with spawned(*hosts) as process:
            subscribed(switch)
            switch.fire("DTMF", {"Side": "before"})
            until(lambda: b"before" in kept(tmp_path), 30)
            dies(switch)
            with Emulator(port=port) as again:
                subscribed(again)
                again.fire("DTMF", {"Side": "after"})
                until(lambda: b"after" in kept(tmp_path), 30)
                status, out, errors = stopped(process)
    assert status == 0
    gaps = [line for line in errors.splitlines() if "nothing was recorded" in line]
    assert len(gaps) == 1
    assert re.fullmatch(rf"eslcodec: 127\.0\.0\.1:{port}: nothing was recorded for \d+\.\d s: .+", gaps[0])
    assert ", 1 gap\n" in out
    info = whole(tmp_path)
    assert (info.connections, len(info.gaps)) == (2, 1)
    assert [event["Side"] for event in Recording(tmp_path).messages() if "Side" in event] == ["before", "after"]


def test_it_waits_for_a_switch_that_is_not_there_yet(tmp_path: Path) -> None:
    port = free_port()
    with spawned("record", f"127.0.0.1:{port}", "--dir", tmp_path, "--events", "ALL", *ROOM) as process:
        assert process.stderr is not None
        assert process.stderr.readline().decode().startswith(f"eslcodec: 127.0.0.1:{port}: ")
        with Emulator(port=port) as switch:
            subscribed(switch)
            status, out, errors = stopped(process)
    assert (status, errors) == (0, "")  # the same was not said again
    assert ", no gaps\n" in out


def test_what_was_missed_since_the_last_run_is_told(switch: Emulator, tmp_path: Path) -> None:
    for count in (1, 2):
        with recording(tmp_path, switch) as process:
            subscribed(switch, count)
            switch.fire("DTMF")
            until(lambda: kept(tmp_path).count(b"DTMF") == count, 30)  # noqa: B023  # looked at in the loop
            status, _, errors = stopped(process)
            assert status == 0
    assert re.fullmatch(
        rf"eslcodec: 127\.0\.0\.1:{switch.port}: nothing was recorded for .+: no recorder was running\n", errors
    )


def test_a_recorder_that_was_killed_is_told_by_the_next(switch: Emulator, tmp_path: Path) -> None:
    with recording(tmp_path, switch) as process:
        subscribed(switch)
        switch.fire("DTMF", {"Side": "before"})
        until(lambda: b"before" in kept(tmp_path), 30)
        process.kill()
        process.wait(30)
    with recording(tmp_path, switch) as process:
        subscribed(switch, 2)
        switch.fire("DTMF", {"Side": "after"})
        until(lambda: b"after" in kept(tmp_path), 30)
        status, _, errors = stopped(process)
    assert status == 0
    assert re.fullmatch(r"eslcodec: \S+: nothing was recorded for .+: the last recorder was killed\n", errors)
    info = Recording(tmp_path).info(verify=True)
    assert (info.damage, info.files, len(info.open_files)) == ([], 2, 1)
    assert run("info", None, tmp_path).exit_code == 0
    assert [event["Side"] for event in Recording(tmp_path).messages() if "Side" in event] == ["before", "after"]


# When nothing can be recorded


def test_a_wrong_password_ends_it(tmp_path: Path) -> None:
    with Emulator(password=SECRET) as switch, recording(tmp_path, switch) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[1:]) == (1, [])
    assert errors.decode().splitlines()[-1] == f"Error: 127.0.0.1:{switch.port} does not let us in"
    assert SECRET.encode() not in errors


def test_one_switch_that_refuses_us_does_not_end_the_others(switch: Emulator, tmp_path: Path) -> None:
    with Emulator(password=SECRET) as refusing, recording(tmp_path, switch, refusing) as process:
        assert process.stderr is not None
        assert f"127.0.0.1:{refusing.port}" in process.stderr.readline().decode()
        subscribed(switch)
        switch.fire("DTMF")
        until(lambda: b"DTMF" in kept(tmp_path), 30)
        assert stopped(process)[0] == 0


def test_a_switch_that_lets_us_in_later_is_recorded_then(password_file: Any, tmp_path: Path) -> None:
    """And one that had let us in is asked again: the file with the password may be read anew."""
    path = password_file(b"first")
    with Emulator(password="first") as switch:
        options = ["--password-file", path]
        with recording(tmp_path / "rec", switch, options=options) as process:
            subscribed(switch)
            switch._switch.password = SECRET
            switch.drop()
            until(lambda: len(switch.commands) > 2, 30)
            path.write_bytes(SECRET.encode())
            assert stopped(process)[0] == 0


def mount(folder: Path, *options: str) -> None:
    """A disk in memory, or the test is skipped."""
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], capture_output=True)
    except OSError as error:
        pytest.skip(f"a small disk cannot be mounted: {error}")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.decode().strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KiB, which is some 15 MB of a stream."""
    mount(tmp_path / "disk", "-o", "size=400k")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", tmp_path / "disk"], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that we may not write to; root may, unless the disk is read-only."""
    folder = tmp_path / "disk"
    if os.name != "posix":
        pytest.skip("folders have no modes here")
    if os.geteuid():
        folder.mkdir(0o500)
        yield folder
    else:
        mount(folder, "-o", "ro,size=400k")
        yield folder
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("below", [".", "rec"])
def test_a_folder_that_cannot_be_written_is_one_line(below: str, switch: Emulator, read_only: Path) -> None:
    result = run("record", None, f"127.0.0.1:{switch.port}", "--dir", read_only / below, "--events", "ALL")
    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: {read_only}\S*: (Permission denied|Read-only file system)\n", result.stderr)
    assert switch.commands == []


@pytest.mark.parametrize("min_free", ["0%", "20%"])
def test_a_full_disk_ends_it(min_free: str, small_disk: Path) -> None:
    with (
        Emulator(replay=CAPTURE, repeat=None, lossless=True) as switch,
        recording(small_disk / "rec", switch, options=["--min-free", min_free]) as process,
    ):
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    last = errors.decode().splitlines()[-1]
    assert last.startswith(f"Error: 127.0.0.1:{switch.port}: recording has ended: ")
    assert "disk" in last
    got = kept(small_disk)
    assert len(got) > 100_000
    assert got == cut(FRAMES, len(got))


def test_on_a_full_disk_the_oldest_can_go(small_disk: Path) -> None:
    with (
        Emulator(replay=CAPTURE, repeat=None, lossless=True) as switch,
        recording(small_disk / "rec", switch, options=["--on-full", "oldest"]) as process,
    ):
        first: list[Path] = []
        until(lambda: first or first.extend(small_disk.rglob("*.zst")) or first, 60)
        until(lambda: not first[0].exists(), 60)
        assert stopped(process)[0] == 0
    assert whole(small_disk).received > 100_000


def fired(switch: Emulator) -> bool:
    switch.fire("DTMF", {"Side": "after"})
    return True


def crew(port: int, folder: Path, told: list[str]) -> tuple[Any, Any]:
    """What records a switch, and how that stands; not begun yet."""
    recorder = pytest.importorskip("eslcodec.ingest.recorder")
    host = eslcodec.ingest.Host("lab", "127.0.0.1", port)
    each = station.Station(host, lambda: recorder.Recorder(folder, min_free=0), told.append)
    return station.Crew([host], [each], station.Wanted(["ALL"], [], [], "plain", None, "ClueCon")), each


def test_a_recorder_that_is_behind_is_followed_by_another(
    switch: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real text of a recorder that gives up; a new one goes on and the gap is told."""
    recorder = pytest.importorskip("eslcodec.ingest.recorder")
    told: list[str] = []
    all, each = crew(switch.port, tmp_path, told)
    all.start()
    try:
        subscribed(switch)
        monkeypatch.setattr(recorder, "_QUEUE_BYTES", 0)
        switch.fire("DTMF")
        until(lambda: each._recorder.stats()["state"] == "stopped" or len(told) > 0, 30)
        monkeypatch.undo()
        # more than one may have been behind, and each makes the next attempt later
        until(lambda: fired(switch) and b"after" in kept(tmp_path), 90)
        assert each.failure is None
        until(lambda: any("nothing was recorded for" in line and "behind" in line for line in told), 30)
        until(lambda: each.numbers().events >= 2, 30)
    finally:
        all.close()
    assert 0 < each.numbers().disk <= sum(path.stat().st_size for path in tmp_path.rglob("*.zst"))


def test_a_switch_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        all, each = crew(server.getsockname()[1], tmp_path, [])
        all.start()
        peer, _ = server.accept()
        with peer:
            all.close()  # it waits for the login
            assert not all._thread.is_alive()
            assert each.state == "connecting"


# What is lost, and what is said of it


def noted(folder: Path) -> list[str]:
    """The kinds of notices in a recording, and names of events."""
    messages = Recording(folder).messages(notices=True) if any(folder.rglob("*.zst")) else []
    return [getattr(each, "kind", None) or type(each).__name__.lower() for each in messages]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be stopped here")
def test_a_reader_that_the_switch_killed_is_told_and_kept(tmp_path: Path) -> None:
    with Emulator(queue_limit=10) as switch, recording(tmp_path, switch) as process:
        subscribed(switch)
        process.send_signal(signal.SIGSTOP)
        overrun(switch)
        process.send_signal(signal.SIGCONT)
        subscribed(switch, 2)
        switch.fire("DTMF")
        until(lambda: b"DTMF" in kept(tmp_path), 30)
        status, out, errors = stopped(process)
    assert status == 0
    assert re.search(r": [0-9]+ events or more were lost \(certain\): .*killed listener", errors)
    assert re.search(r": nothing was recorded for .*killed listener", errors)
    assert ", 1 gap\n" in out
    kinds = noted(tmp_path)
    assert {"started", "loss", "gap", "stopped"} <= set(kinds)
    assert (kinds.count("gap"), kinds.count("stopped")) == (1, 1)


def test_what_was_found_out_after_a_gap_is_kept(tmp_path: Path) -> None:
    with Emulator() as switch:
        switch.add_session("long")  # before anybody asks
        with recording(tmp_path, switch, events="CALLS,DTMF") as process:
            subscribed(switch)
            switch.fire("CHANNEL_CREATE", {"Unique-ID": "short"})
            until(lambda: "event" in noted(tmp_path) and "found" in noted(tmp_path), 30)
            switch.drop()
            until(lambda: "ended" in noted(tmp_path), 60)
            assert stopped(process)[0] == 0
    kinds = [kind for kind in noted(tmp_path) if kind not in ("apiresponse", "commandreply", "authrequest")]
    assert sorted(kinds[:3]) == ["event", "found", "started"]
    assert [kind for kind in kinds[3:] if kind in ("gap", "ended", "stopped")] == ["gap", "ended", "stopped"]
    shown = run("decode", None, "--notices", tmp_path)
    assert "Ended" in shown.output
    assert "short" in shown.output
    assert whole(tmp_path).connections == 2


@pytest.mark.parametrize(("events", "asked"), [("DTMF", False), ("CHANNEL_CREATE,CHANNEL_DESTROY", True)])
def test_channels_are_asked_for_if_their_events_are_wanted(
    events: str, asked: bool, switch: Emulator, tmp_path: Path
) -> None:
    with recording(tmp_path, switch, events=events) as process:
        subscribed(switch)
        if asked:
            until(lambda: "api show channels as json" in switch.commands, 30)
        switch.fire("DTMF" if not asked else "CHANNEL_CREATE")
        until(lambda: b"Event-Name" in kept(tmp_path), 30)
        assert stopped(process)[0] == 0
    assert ("api show channels as json" in switch.commands) == asked


def test_a_password_file_that_is_gone_is_told(password_file: Any, tmp_path: Path) -> None:
    path = password_file(b"ClueCon")
    with Emulator() as switch, recording(tmp_path / "rec", switch, options=["--password-file", path]) as process:
        subscribed(switch)
        path.unlink()
        switch.drop()
        assert process.stderr is not None
        lines = iter(process.stderr.readline, b"")
        assert any(b"Could not open file" in line and b"127.0.0.1:" in line for line in lines)
        assert process.poll() is None
        assert stopped(process)[0] == 0


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("certain", 1, None, "why\n"), "1 event or more were lost (certain): why"),
        (("bounded", None, 1000, "why"), "up to 1,000 events may have been lost (bounded): why"),
        (("certain", None, None, "why"), "events were lost (certain): why"),
        (("stalled", None, None, "no HEARTBEAT"), "nothing may come any more: no HEARTBEAT"),
    ],
)
def test_a_loss_in_words(given: Any, shown: str) -> None:
    assert station.shown_loss(eslcodec.ingest.Loss(*given)) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("[Errno 111] Connect call failed ('::1', 8021, 0, 0)", f"cannot connect: {os.strerror(111)}"),
        ("Multiple exceptions: [Errno 13] a ('::1', 1), [Errno 2] b", f"cannot connect: {os.strerror(13)}"),
        ("[Errno -2] Name or service not known", "cannot connect: Name or service not known"),
        ("the switch refused the login", "the switch refused the login"),
    ],
)
def test_what_the_system_says_in_words(given: str, shown: str) -> None:
    assert station._shown_error(given) == shown


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_ours_does_not_end_in_silence(
    switch: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all, each = crew(switch.port, tmp_path, [])
    monkeypatch.setattr(each, "see", lambda items: {}[0])
    all.start()
    until(lambda: each.failure is not None, 30)
    all.close()
    assert each.failure.startswith("KeyError: ")


def test_a_thread_that_does_not_come_on_is_stuck(tmp_path: Path) -> None:
    all, _ = crew(1, tmp_path, [])
    assert not all.is_stuck()
    all._beat -= 61
    assert all.is_stuck()


# What it says


def test_systemd_is_told(switch: Emulator, tmp_path: Path) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there are no unix sockets here")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        here.bind(str(tmp_path / "notify"))
        here.settimeout(60)
        # some kernels keep ten words: so seldom that all fit in while nobody reads
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        with recording(tmp_path / "rec", switch, **told) as process:
            subscribed(switch)
            words = [here.recv(1000)]
            while words.count(b"WATCHDOG=1") < 3:
                words.append(here.recv(1000))
            assert stopped(process)[0] == 0
            while words[-1] != b"STOPPING=1":
                words.append(here.recv(1000))
    assert words[0] == b"READY=1"
    (status, *_) = [word for word in words if word.startswith(b"STATUS=")]
    assert status.startswith(b"STATUS=127.0.0.1:%d " % switch.port)


def test_numbers_over_http(switch: Emulator, tmp_path: Path) -> None:
    """A scrape has its events by name, and the disk; the probes answer."""
    pytest.importorskip("prometheus_client")
    from metrics_support import asked, parsed

    port = free_port()

    def scraped() -> Any:
        with suppress(ConnectionRefusedError):  # it may listen later than it subscribes
            status, _, body = asked(port, "/metrics")
            return parsed(body.decode()) if status == 200 else {}  # a loop that is late has said so
        return {}

    with recording(tmp_path, switch, options=["--metrics", f":{port}"]) as process:
        subscribed(switch)
        switch.fire("DTMF")
        key = "eslcodec_events_total", "DTMF", f"127.0.0.1_{switch.port}"
        until(lambda: scraped().get(key) == 1, 60)
        until(lambda: ("eslcodec_disk_free_bytes", str(tmp_path)) in scraped(), 60)
        until(lambda: [asked(port, path)[0] for path in ("/livez", "/readyz", "/status")] == [200, 200, 200], 60)
        assert stopped(process)[0] == 0


def test_numbers_where_somebody_else_listens(switch: Emulator, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with recording(tmp_path, switch, options=["--metrics", where]) as process:
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"--metrics: cannot listen on {where}: Address already in use" in errors.decode()
    assert "Traceback" not in errors.decode()


def test_quiet_is_quiet(switch: Emulator, tmp_path: Path) -> None:
    with recording(tmp_path, switch, options=["--quiet"]) as process:
        subscribed(switch)
        assert stopped(process) == (0, "", "")


def test_lines_of_json(switch: Emulator, tmp_path: Path) -> None:
    """What happens, what a client logs and the end: each line is JSON, and there is nothing else."""
    with recording(tmp_path, switch, options=["--log-json"]) as process:
        subscribed(switch)
        switch.drop()
        subscribed(switch, 2)
        switch.fire("DTMF")
        until(lambda: b"DTMF" in kept(tmp_path), 60)
        status, out, errors = stopped(process)
    assert (status, out) == (0, "")
    lines = [json.loads(line) for line in errors.splitlines()]
    assert all(list(line) == ["at", "level", "logger", "message"] for line in lines)
    told = {(line["logger"], line["level"]) for line in lines}
    assert told >= {("eslcodec.client", "WARNING"), ("eslcodec.record", "INFO")}
    assert any("nothing was recorded for" in line["message"] for line in lines)


def test_lines_of_json_say_why_it_ended(tmp_path: Path) -> None:
    with Emulator(password="other") as switch, recording(tmp_path, switch, options=["--log-json"]) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    [last] = [line for line in map(json.loads, errors.splitlines()) if line["level"] == "ERROR"]
    assert last["logger"] == "eslcodec.record"
    assert "does not let us in" in last["message"]


def test_what_a_switch_says_does_not_control_the_terminal(tmp_path: Path) -> None:
    """The reason of an end is the switch's own words; what it answers to the login too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with spawned("record", f"127.0.0.1:{port}", "--dir", tmp_path, "--events", "ALL", *ROOM) as process:
            peer, _ = server.accept()
            with peer:
                peer.sendall(support.frame(b"Content-Type: text/rude-rejection", b"no \x1b[2J\xe2\x80\xae[red]\n"))
                out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"[2J" in errors
    assert all(char.isprintable() or char == "\n" for char in (out + errors).decode())


# Wrong use


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "Missing option '--dir'"),
        (["--dir", "x"], "Missing option '--events'"),
        (["--dir", "x", "--events", ","], "--events names no event"),
        (["--dir", "x", "--events", "CHANEL_ANSWER"], "expected CHANNEL_ANSWER"),
        (["--dir", "x", "--events", "ALL", "--rotate", "1M", "--rotate", "2M"], "--rotate takes one size and one time"),
        (["--dir", "x", "--events", "ALL", "--rotate", "1"], "expected a size such as 256M, or a time such as 1h"),
        (["--dir", "x", "--events", "ALL", "--keep", "7"], "expected a time such as 7d"),
        (["--dir", "x", "--events", "ALL", "--keep-bytes", "50g"], "expected a size such as 50G"),
        (["--dir", "x", "--events", "ALL", "--min-free", "10"], "expected a percentage"),
        (["--dir", "x", "--events", "ALL", "--fsync", "often"], "expected a time such as 1s, always, or never"),
        (["--dir", "x", "--events", "ALL", "--filter", "a"], "expected HEADER=VALUE"),
        (["--dir", "x", "--events", "ALL", "--port", "0"], "0 is not in the range"),
        (["--dir", "x", "--events", "ALL", "--metrics", "9108"], "expected :9108 or ADDRESS:9108"),
        (["--dir", "x", "--events", "ALL", "::1"], "an IPv6 address in brackets"),
    ],
)
def test_wrong_use(options: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("record", None, "pbx", *options)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_password_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    options = ["--dir", tmp_path / "x", "--events", "ALL", "--password-file", tmp_path / "none"]
    result = run("record", None, "pbx", *options)
    assert result.exit_code == 1
    assert "Could not open file" in result.stderr
    assert not (tmp_path / "x").exists()


# Several, each with its own


def test_names_and_passwords_by_host(tmp_path: Path, password_file: Any) -> None:
    secret = password_file(f"{SECRET}\n".encode())
    with Emulator(password=SECRET) as locked, Emulator() as other:
        file = tmp_path / "fleet.toml"
        file.write_text(
            f'[switches.locked]\nhost = "127.0.0.1"\nport = {locked.port}\npassword_file = "{secret}"\n',
            encoding="utf-8",
        )
        words = [f"open=127.0.0.1:{other.port}", "--hosts", file, "--dir", tmp_path / "rec", "--events", "ALL", *ROOM]
        with spawned("record", *words) as process:
            subscribed(locked)
            subscribed(other)
            until(lambda: len(list((tmp_path / "rec").glob("*/*.esl.zst"))) == 2, 30)
            status, out, _ = stopped(process)
    assert status == 0
    assert sorted(text.split(":")[0] for text in out.splitlines()) == ["locked", "open"]
    assert whole(tmp_path / "rec").connections == 2


def test_somebody_must_be_recorded(tmp_path: Path) -> None:
    result = run("record", None, "--dir", tmp_path, "--events", "ALL")
    assert result.exit_code == 2
    assert "HOST" in result.stderr
