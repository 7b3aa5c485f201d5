"""`eslcodec top`: the picture fits, whatever comes; keys, ends, lines, JSON and recordings."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import support
from cli_live_support import SECRET, build, line, run, spawned, subscribed
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from cli_live_support import switch as switch
from recorder_support import Clock, recorder_of
from support import until

import eslcodec
from eslcodec.emulator import Emulator

top = pytest.importorskip("eslcodec.cli.top")
keys, top_lines, top_view = (pytest.importorskip(f"eslcodec.cli.{name}") for name in ("keys", "top_lines", "top_view"))
boards = pytest.importorskip("eslcodec.ingest._board")

SIZES = [(80, 24), (200, 50), (40, 10), (41, 11), (60, 15), (100, 30), (133, 40), (80, 200), (500, 24)]
HUGE = 10**18
NOW = 1000.0


def health(**more: Any) -> Any:
    return SimpleNamespace(
        **{
            "state": "connected",
            "connected": True,
            "host": "10.0.0.1",
            "port": 8021,
            "hostname": "fs1",
            "switchname": "fs1",
            "core_uuid": None,
            "received_events": 1,
            "received_bytes": 1,
            "malformed": 0,
            "dropped": 0,
            "reconnects": 0,
            "gaps": 0,
            "gap_seconds": 0.0,
            "core_changes": 0,
            "lag": 0.25,
            "queue_estimate": 3,
            "losses": {},
            "loss_reports": {},
            "unread_seconds": 0.0,
            "waiting": 0,
            "error": None,
            **more,
        }
    )


def board_of(*names: str, events: Any = (), **more: Any) -> Any:
    board = boards.Board()
    for name in names:
        board.see_all(name, events or [build("CHANNEL_CREATE", {"Unique-ID": "x"})], NOW - 10)
        board.stats(name, health(**more), NOW)
    return board


def picture(board: Any, size: tuple[int, int] = (80, 24), **choice: Any) -> list[str]:
    """The lines of a picture, each of which fits."""
    lines = board.lines(NOW)
    found = top_view.picture(lines, board.total(NOW, lines), top_view.Choice(**choice), size, NOW)
    assert len(found) <= size[1]
    for text in found:
        assert text.cell_len <= size[0], text.plain
        assert text.plain.isprintable()
    return [text.plain for text in found]


def words_of(found: list[str], name: str) -> list[str]:
    """The line of a switch in the table, word by word."""
    return next(text for text in found[2:] if text.startswith(name)).split()


# The picture


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 3, 60])
@pytest.mark.parametrize("help", [False, True])
def test_it_fits(size: tuple[int, int], count: int, help: bool) -> None:
    names = [f"switch{at}.example.org" for at in range(count)]
    board = board_of(*names)
    for selected in (None, names[0], names[-1], "gone"):
        for sort in top_view.SORTS:
            found = picture(board, size, selected=selected, sort=sort, help=help)
            assert ("quit" in "".join(found)) == help
            assert help or selected in (None, "gone") or any(text.startswith(selected[:12]) for text in found[2:])


@pytest.mark.parametrize("size", SIZES)
def test_figures_of_any_size_are_whole(size: tuple[int, int]) -> None:
    grades = dict.fromkeys(("certain", "bounded", "counted", "probable", "stalled"), HUGE)
    names = ("waiting", "gaps", "gap_seconds", "unread_seconds", "reconnects", "core_changes", "dropped", "malformed")
    numbers = dict.fromkeys((*names, "lag", "queue_estimate"), HUGE)
    board = board_of("a" * 64, "b" * 64, losses=grades, loss_reports=grades, error="x" * 500, **numbers)
    beat = build("HEARTBEAT", {"Session-Count": "9" * 18, "Max-Sessions": "9" * 18, "Idle-CPU": "9" * 18})
    board.see_all("a" * 64, [beat], NOW)
    found = picture(board, size)
    assert not any("9999" in text for text in found)
    assert "huge" in words_of(found, "aaaa")


def test_a_table_of_80_columns_has_every_figure_that_matters() -> None:
    found = picture(board_of("pbx1", losses={"certain": 501}, loss_reports={"certain": 1}, gaps=7, lag=12.5))
    assert found[1].split() == ["SWITCH", "STATE", "EV/S", "UP", "CPS", "ASR", "LAG", "QUEUE", "LOST", "GAPS"]
    assert words_of(found, "pbx1") == ["pbx1", "connected", "0", "+1", "0.10", "-", "12.5", "3", "501", "7"]
    assert any("lost 1 x, certain: 501 events" in text for text in found)


def test_more_room_shows_more() -> None:
    found = picture(board_of("pbx1", "pbx2", unread_seconds=3.5, dropped=17), (200, 50))
    titles = found[1].split()
    assert titles == " ".join(column.title for column in top_view.COLUMNS).join(["SWITCH ", ""]).split()
    row = words_of(found, "pbx1")
    assert {"3.5", "17", "10.0.0.1:8021", "fs1"} <= set(row)
    assert words_of(found, "all")[words_of(found, "all").index("34")] == "34"


def test_the_sum_is_there_for_several_switches_only() -> None:
    assert not any(text.startswith("all ") for text in picture(board_of("pbx1")))
    assert any(text.startswith("all ") for text in picture(board_of("pbx1", "pbx2")))


def test_more_switches_than_lines_are_counted_and_the_selected_one_is_seen() -> None:
    names = [f"s{at:02}" for at in range(50)]
    found = picture(board_of(*names), selected="s40")
    shown = [text.split()[0] for text in found if text[:1] == "s"]
    assert "s40" in shown
    [more] = [text for text in found if text.startswith("... ") and "before" in text]
    rows = [name for name in dict.fromkeys(shown) if name in names]
    _, left, _, before, _, behind, _ = more.replace(",", "").split()
    assert (int(left), int(before), int(behind)) == (50 - len(rows), names.index(rows[0]), 49 - names.index(rows[-1]))


@pytest.mark.parametrize(
    ("losses", "reports", "shown"),
    [
        ({}, {}, "0"),
        ({"certain": 501, "counted": 7}, {"certain": 1, "counted": 2}, "501"),
        ({"counted": 7, "probable": 20}, {"counted": 2, "probable": 1}, "~7"),
        ({"probable": 20}, {"probable": 1, "bounded": 1}, "?20"),
        ({"bounded": 0}, {"bounded": 1}, "!"),
        ({"certain": 0}, {"certain": 1}, "!"),
        ({}, {"stalled": 3}, "0"),
    ],
)
def test_the_surest_loss_is_shown(losses: dict[str, int], reports: dict[str, int], shown: str) -> None:
    found = picture(board_of("pbx1", losses=losses, loss_reports=reports))
    assert words_of(found, "pbx1")[8] == shown
    for grade in reports:
        text = "HEARTBEAT overdue" if grade == "stalled" else grade
        assert any(text in one for one in found[5:])


def test_names_of_events_are_whole_where_80_columns_allow() -> None:
    events = [build("CHANNEL_EXECUTE_COMPLETE"), build("CUSTOM", (), None, "sofia::register_attempt")]
    found = picture(board_of("pbx1", events=events))
    assert any(text.startswith("CHANNEL_EXECUTE_COMPLETE ") for text in found)
    assert any(text.startswith("sofia::register_attempt ") for text in found)


def test_names_of_causes_are_whole_where_80_columns_allow() -> None:
    causes = [cause.name for cause in eslcodec.HangupCause if len(cause.name) <= 25]
    assert len(causes) > 50
    for cause in causes:
        found = picture(board_of("pbx1", events=[build("CHANNEL_HANGUP_COMPLETE", {"Hangup-Cause": cause})]))
        assert any(f"  {cause} " in text and text.endswith("1 100") for text in found), cause


def test_the_lag_of_a_switch_that_is_away_is_not_shown() -> None:
    board = board_of("here", "gone", lag=1.5, queue_estimate=20)
    board.stats("gone", health(state="away", connected=False, lag=99.0, queue_estimate=9999, error="no route"), NOW)
    found = picture(board)
    assert words_of(found, "here")[6:8] == ["1.5", "20"]
    assert words_of(found, "gone")[6:8] == ["-", "-"]
    assert words_of(found, "all")[5:7] == ["1.5", "20"]
    assert "gone: no route" in found[-1]
    lines = board.lines(NOW)
    shown = json.loads(top_lines.document(lines, board.total(NOW, lines), NOW))
    assert [one["lag"] for one in (*shown["switches"].values(), shown["total"])] == [1.5, None, 1.5]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name", ["\x1b[2J\x1b]0;t\x07", "[red]x\r\n", "\u202e\u2066", "\u6f22\u5b57" * 40, "e\u0301" * 60]
)
def test_nothing_that_a_caller_chose_controls_the_terminal(size: tuple[int, int], name: str) -> None:
    events = [
        build("CUSTOM", (), None, name),
        build("CHANNEL_HANGUP_COMPLETE", {"Hangup-Cause": name}),
        build("HEARTBEAT", {"Session-Count": name, "Core-UUID": name}),
    ]
    board = board_of("a", "b", events=events, hostname=name, host=name, error=name, connected=False, state="away")
    lines = board.lines(NOW)
    for selected in (None, "a"):
        picture(board, size, selected=selected)  # which looks at each line
    for text in top_lines.text_lines(lines, board.total(NOW, lines), NOW):
        assert text.isprintable()
    document = top_lines.document(lines, board.total(NOW, lines), NOW)
    assert document.isascii()
    assert document.isprintable()


def test_a_small_terminal_is_told_what_is_needed() -> None:
    assert picture(board_of("pbx1"), (39, 24)) == ["40 x 10 needed, here 39 x 24"]
    assert picture(board_of("pbx1"), (3, 1)) == ["4.."]


# Keys


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("q", ["q"]),
        ("sp?", ["s", "p", "?"]),
        ("\x1b[A\x1bOB", ["up", "down"]),
        ("\x1b", ["escape"]),
        ("\x1b\x1b[A", ["escape", "up"]),
        ("\x1b[1;5C\x1b[15~q", ["q"]),
        ("\x1b[", []),
        ("\r\n\t\x00\x7f", []),
        ("\x03", ["q"]),
        ("", []),
    ],
)
def test_keys(sent: str, expected: list[str]) -> None:
    assert keys.keys_in(sent) == expected


# Live


def ports(*switches: Emulator) -> list[str]:
    return [f"s{at}=127.0.0.1:{switch.port}" for at, switch in enumerate(switches)]


def fired(switch: Emulator) -> None:
    """Some events, once somebody listens."""
    subscribed(switch)
    switch.fire(build("CHANNEL_CREATE", {"Unique-ID": "a", "Channel-Call-UUID": "a"}))
    switch.fire(build("CHANNEL_ANSWER", {"Unique-ID": "a"}))
    switch.fire(build("CHANNEL_HANGUP_COMPLETE", {"Hangup-Cause": "USER_BUSY", "Caller-Channel-Answered-Time": "0"}))
    switch.fire(build("CUSTOM", {}, None, "sofia::register"))


def test_once_as_json_has_the_shape_that_is_documented(switch: Emulator) -> None:
    with spawned("top", *ports(switch), "--once", "--seconds", "10s", "--json") as process:
        fired(switch)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found = json.loads(out)
    assert out.count(b"\n") == 1
    assert set(found) == {"at", "seconds", "total", "switches"}
    assert abs(found["at"] - time.time()) < 600
    [(name, one)] = found["switches"].items()
    assert (name, one["state"], one["connected"], one["host"], one["port"]) == (
        "s0",
        "connected",
        True,
        "127.0.0.1",
        switch.port,
    )
    for part in (one, found["total"]):
        assert part["events"]["total"] >= 4
        assert part["events"]["by_name"]["CUSTOM sofia::register"] > 0
        assert part["outcomes"]["causes"] == {"USER_BUSY": 1}
        assert (part["outcomes"]["ended"], part["outcomes"]["answered"], part["outcomes"]["asr"]) == (1, 0, 0)
        assert part["outcomes"]["registrations"]["registered"] == 1
        assert part["calls_per_second"] > 0
        assert (part["losses"], part["gaps"], part["dropped"]) == ({}, 0, 0)
    assert one["legs"]["up"] is not None


def test_lines_without_a_terminal(switch: Emulator) -> None:
    with Emulator() as other, spawned("top", *ports(switch, other), "--every", "500ms") as process:
        fired(switch)
        names = [line(process).split()[1] for _ in range(6)]
        assert sorted(set(names)) == ["all:", "s0", "s1"]
        assert names[:3] == names[3:]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors


def test_objects_of_json_come_again_and_again(switch: Emulator) -> None:
    with spawned("top", *ports(switch), "--json", "--every", "200ms") as process:
        found = [json.loads(line(process)) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [set(one["switches"]) for one in found if one["switches"]][-1] == {"s0"}


def test_once_fails_if_no_switch_is_connected() -> None:
    with support_port() as port:
        result = run("top", None, f"gone=127.0.0.1:{port}", "--once", "--seconds", "3s")
    assert result.exit_code == 1
    assert "no switch is connected; gone: " in result.stderr
    assert "gone" in result.stdout


def test_switches_are_in_the_order_in_which_they_were_named(switch: Emulator) -> None:
    with support_port() as port:
        words = [f"later=127.0.0.1:{port}", f"here=127.0.0.1:{switch.port}", "--once", "--json", "--seconds", "8s"]
        result = run("top", None, *words)
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)["switches"]) == ["later", "here"]


@contextmanager
def support_port() -> Iterator[int]:
    """A port that nobody listens at."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_wrong_password_ends_it(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESLCODEC_PASSWORD", "wrong")
    result = run("top", None, *ports(switch))
    assert result.exit_code == 1
    assert "wrong password" in result.stderr
    assert "wrong\n" not in result.stdout


def test_only_what_is_asked_for_is_subscribed_to(switch: Emulator) -> None:
    result = run("top", None, *ports(switch), "--once", "--seconds", "8s", "--events", "CHANNEL_ANSWER, GATEWAYS")
    assert result.exit_code == 0, result.stderr
    [event] = [command for command in switch.commands if command.startswith("event ")]
    assert event.split()[:3] == ["event", "plain", "CHANNEL_ANSWER"]
    assert "sofia::gateway_state" in event
    assert "ALL" not in event


def test_hosts_of_a_file_with_their_passwords(tmp_path: Path, password_file: Any) -> None:
    secret = password_file(f"{SECRET}\n".encode())
    with Emulator(password=SECRET) as locked, Emulator() as other:
        file = tmp_path / "fleet.toml"
        file.write_text(
            f'[fleet]\nevents = ["CALLS"]\n[switches.locked]\nhost = "127.0.0.1"\nport = {locked.port}\n'
            f'password_file = "{secret}"\n'
        )
        words = ["--hosts", str(file), f"open=127.0.0.1:{other.port}", "--once", "--seconds", "8s", "--json"]
        result = run("top", None, *words)
        assert result.exit_code == 0, result.stderr
        assert "CHANNEL_CREATE" in " ".join(locked.commands)
    found = json.loads(result.stdout)["switches"]
    assert {name: one["state"] for name, one in found.items()} == {"locked": "connected", "open": "connected"}


def test_switches_of_a_file_that_is_read_again_come_and_go(switch: Emulator, tmp_path: Path) -> None:
    file, new = tmp_path / "fleet.toml", tmp_path / "new.toml"

    def says(*names: str) -> None:
        hosts = "".join(f'{name} = "127.0.0.{number}:{switch.port}"\n' for number, name in enumerate(names, 1))
        new.write_text(f'[fleet]\nrefresh = 0.1\npassword = "ClueCon"\n[switches]\n{hosts}')
        new.replace(file)

    says("one")
    with spawned("top", "--hosts", str(file), "--json", "--every", "100ms") as process:
        until(lambda: set(json.loads(line(process))["switches"]) == {"one"}, 30)
        says("one", "two")
        until(lambda: set(json.loads(line(process))["switches"]) == {"one", "two"}, 30)
        says("two")
        until(lambda: len(json.loads(line(process))["switches"]) == 1, 30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_file_without_switches_is_not_watched(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('[fleet]\npassword = "ClueCon"\n')
    result = run("top", None, "--hosts", str(file))
    assert result.exit_code == 1
    assert "fleet.toml: there are no [switches] in it" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a b"], "expected host or host:port"),
        (["a=127.0.0.1", "A=127.0.0.2"], "A is there twice"),
        (["x/y=127.0.0.1"], "the name of a switch"),
        (["127.0.0.1", "./rec"], "switches and recordings"),
        (["127.0.0.1", "--seconds", "3s"], "--once"),
        (["--hosts", "/nowhere/fleet.toml"], "No such file"),
        (["127.0.0.1", "--events", "CHANNEL_ANSWRE"], "expected CHANNEL_ANSWER"),
        (["./nowhere"], "No such file"),
        (["nowhere", "--at", "now"], "No such file"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], said: str) -> None:
    result = run("top", None, *words)
    assert result.exit_code in (1, 2)
    assert said in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output


# On a terminal


pty = pytest.importorskip("pty", reason="no terminals here")


class Terminal:
    """`eslcodec top` on a terminal of its own."""

    def __init__(self, *words: str, size: tuple[int, int] = (80, 24), code: str = "") -> None:
        self.out = b""
        begin, begun = os.pipe()
        self.pid, self.fd = pty.fork()
        if not self.pid:
            try:
                os.read(begin, 1)  # once its size is set, and the modes before it were seen
                os.chdir("/")
                for name in ("COLUMNS", "LINES", "NO_COLOR"):
                    os.environ.pop(name, None)
                os.environ.update(TERM="xterm-256color")
                os.environ.setdefault("ESLCODEC_PASSWORD", "ClueCon")  # a prompt would take the keys
                signal.signal(signal.SIGINT, signal.default_int_handler)
                program = f"{code}\nfrom eslcodec.cli import main; main()"
                # readline puts COLUMNS and LINES where os.environ does not see them
                os.execve(sys.executable, [sys.executable, "-c", program, "top", *words], dict(os.environ))
            finally:
                os._exit(99)
        self.resize(*size)
        import termios

        self.modes: Callable[[], Any] = lambda: termios.tcgetattr(self.fd)
        self.before = self.modes()
        os.write(begun, b".")
        os.close(begin)
        os.close(begun)

    def resize(self, columns: int, lines: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float = 0.1) -> bytes:
        import select

        while select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # it has ended
                break
            if not data:
                break
            self.out += data
            seconds = 0
        return self.out

    def until(self, *texts: str) -> None:
        until(lambda: all(text.encode() in self.read() for text in texts), 30)

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self) -> int:
        """Its exit status, once all it wrote is read."""
        found: list[int] = []

        def ended() -> bool:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            found.append(status)
            return pid != 0

        until(ended, 30)
        self.read()  # what it wrote at last
        return os.waitstatus_to_exitcode(found[-1])


@contextmanager
def terminal(*words: str, **options: Any) -> Iterator[Terminal]:
    found = Terminal(*words, **options)
    try:
        yield found
    finally:
        try:
            os.kill(found.pid, signal.SIGKILL)
            os.waitpid(found.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(found.fd)


def is_as_before(shown: Terminal) -> bool:
    """Whether the terminal is in the modes that it had, on its main screen, with a cursor."""
    out = shown.read()
    return (
        shown.modes() == shown.before
        and out.rfind(b"\x1b[?1049l") > out.rfind(b"\x1b[?1049h") >= 0
        and out.rfind(b"\x1b[?25h") > out.rfind(b"\x1b[?25l") >= 0
    )


@pytest.mark.parametrize("by", ["q", "\x03", "SIGTERM", "SIGINT"])
def test_the_terminal_is_as_before_at_every_end(switch: Emulator, by: str) -> None:
    with terminal(*ports(switch)) as shown:
        shown.until("1 of 1 connected", "CPS")
        assert shown.modes() != shown.before
        if by.startswith("SIG"):
            os.kill(shown.pid, getattr(signal, by))
        else:
            shown.press(by)
        assert shown.end() == 0
        assert is_as_before(shown)
        assert b"Traceback" not in shown.out


def test_the_terminal_is_as_before_after_a_fault_of_ours(switch: Emulator) -> None:
    broken = "import eslcodec.ingest._board as board; board.Board.total = lambda *args: 1 / 0"
    with terminal(*ports(switch), code=broken) as shown:
        assert shown.end() == 1
        assert b"ZeroDivisionError" in shown.out
        assert shown.modes() == shown.before
        assert shown.out.rfind(b"\x1b[?1049l") > shown.out.rfind(b"\x1b[?1049h")
        assert shown.out.rfind(b"\x1b[?25h") > shown.out.rfind(b"\x1b[?25l")


def test_the_terminal_is_as_before_when_no_switch_lets_us_in(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESLCODEC_PASSWORD", "wrong")
    with terminal(*ports(switch)) as shown:
        assert shown.end() == 1
        assert is_as_before(shown)
        assert shown.out.rfind(b"wrong password") > shown.out.rfind(b"\x1b[?1049l")  # where it is seen


def test_ctrl_z_gives_the_terminal_back(switch: Emulator) -> None:
    with terminal(*ports(switch)) as shown:
        shown.until("1 of 1 connected")
        shown.press("\x1a")
        until(lambda: shown.read() and os.waitpid(shown.pid, os.WNOHANG | os.WUNTRACED)[0], 30)
        assert is_as_before(shown)
        shown.out = b""
        os.kill(shown.pid, signal.SIGCONT)
        shown.until("1 of 1 connected", "\x1b[?1049h")
        assert shown.modes() != shown.before
        shown.press("q")
        assert shown.end() == 0
        assert is_as_before(shown)


def test_keys_change_what_is_shown(switch: Emulator) -> None:
    with Emulator() as other, terminal(*ports(switch, other)) as shown:
        fired(switch)
        shown.until("2 of 2 connected", "by given")
        shown.press("s")
        shown.until("by name")
        shown.press("p")
        shown.until("PAUSED")
        shown.press("?")
        shown.until("the picture stands still")
        shown.press("?j")
        shown.until(f"127.0.0.1:{switch.port}")
        shown.press("\x1b[B")
        shown.until(f"127.0.0.1:{other.port}")
        shown.press("\x1bq")
        assert shown.end() == 0
        assert is_as_before(shown)


def test_a_terminal_that_changes_its_size_is_filled(switch: Emulator) -> None:
    with terminal(*ports(switch)) as shown:
        shown.until("1 of 1 connected")
        assert b"UNREAD" not in shown.out
        shown.resize(200, 50)
        shown.until("UNREAD", "WHERE")
        shown.press("q")
        assert shown.end() == 0


# Recordings


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two switches of ten minutes each, one of which ended after two of them."""
    folder = tmp_path / "rec"
    for number, minutes in ((1, 10), (2, 2)):
        clock = Clock()
        with recorder_of(eslcodec, folder, clock) as recorder:
            recorder.opened((f"10.0.0.{number}", 8021))
            recorder.received(b"Content-Type: auth/request\n\n")
            for second in range(minutes * 60):
                cause = {"Hangup-Cause": "USER_BUSY" if second < 300 else "NORMAL_CLEARING"}
                event = build("CHANNEL_HANGUP_COMPLETE", {"Event-Sequence": second + 1, "Core-UUID": "c", **cause})
                recorder.received(frame_of(event))
                clock.go(1, recorder)
    return folder


def frame_of(event: Any) -> bytes:
    return support.plain(event.serialize("plain"))


def test_a_recording_is_shown_as_it_was_at_its_end(recorded: Path) -> None:
    result = run("top", None, f"{recorded}/", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found["switches"]) == {"10.0.0.1_8021", "10.0.0.2_8021"}
    one, two = found["switches"]["10.0.0.1_8021"], found["switches"]["10.0.0.2_8021"]
    assert (one["state"], two["state"]) == ("recorded", "away")
    assert one["events"]["per_second"] == pytest.approx(1, abs=0.2)
    assert set(one["outcomes"]["causes"]) == {"NORMAL_CLEARING"}
    assert two["events"]["per_second"] == 0
    assert (one["gaps"], one["losses"]) == (0, {})


def test_of_a_damaged_recording_what_can_be_read_is_shown_and_the_status_says_so(recorded: Path) -> None:
    (path,) = recorded.glob("10.0.0.1_8021/*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = run("top", None, f"{recorded}/", "--json")
    assert result.exit_code == 1
    assert set(json.loads(result.stdout)["switches"]) == {"10.0.0.1_8021", "10.0.0.2_8021"}
    assert str(path) in result.stderr


def test_a_recording_is_shown_as_it_was_at_a_time(recorded: Path) -> None:
    at = Clock().wall_ns / 1e9 + 100
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    result = run("top", None, f"{recorded}/", "--json", "--at", moment)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["at"] == at
    for one in found["switches"].values():
        assert one["state"] == "recorded"
        assert one["events"]["total"] == 100
        assert one["outcomes"]["causes"] == {"USER_BUSY": 100}
    early = run("top", None, f"{recorded}/", "--at", "2001-01-01")
    assert early.exit_code == 1
    assert "nothing was recorded" in early.stderr


def test_a_recording_is_lines_in_a_pipe_and_a_picture_on_a_terminal(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("top", None, f"{recorded}/")
    assert [text.split()[1] for text in result.stdout.splitlines()] == ["10.0.0.1_8021", "10.0.0.2_8021", "all:"]
    monkeypatch.setattr(top, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    shown = run("top", None, f"{recorded}/").stdout.splitlines()
    assert "1 of 2 recorded" in shown[0]
    assert len(shown) <= 23
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize("name", ["calls_sip", "churn_plain", "registrations", "special_json", "special_xml"])
def test_a_stream_without_times_goes_by_those_of_its_events(name: str, tmp_path: Path) -> None:
    stream = tmp_path / "stream.esl"
    stream.write_bytes(support.capture(name))
    result = run("top", None, stream, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["switches"]["stream.esl"]
    events = [one for one in support.decode(eslcodec, support.capture(name)) if isinstance(one, eslcodec.Event)]
    assert found["events"]["total"] == len(events)
    assert found["gaps"] == 0
    at = run("top", None, stream, "--at", "now")
    assert at.exit_code == 1
    assert "it has no times" in at.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no file that cannot be read")
def test_a_recording_that_cannot_be_read_is_not_told_to_be_unwritable() -> None:
    result = run("top", None, "/proc/self/mem")
    assert result.exit_code == 1
    assert result.stderr == "Error: /proc/self/mem: Input/output error\n"


def test_a_reconnection_in_a_recording_is_a_gap(tmp_path: Path) -> None:
    clock = Clock()
    with recorder_of(eslcodec, tmp_path, clock) as recorder:
        for number in (1, 500):
            recorder.opened(("10.0.0.1", 8021))
            recorder.received(b"Content-Type: auth/request\n\n")
            recorder.received(frame_of(build("DTMF", {"Event-Sequence": number, "Core-UUID": "c"})))
            clock.go(30, recorder)
    found = json.loads(run("top", None, f"{tmp_path}/", "--json").stdout)["switches"]["10.0.0.1_8021"]
    assert (found["gaps"], found["gap_seconds"]) == (1, 30)
    assert found["loss_reports"] == {"bounded": 1}
