"""Which switches a `Fleet` has: names, texts, TOML, environment, and what comes and goes at run time; and its dials."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from fleet_support import Stream, at, eventually, fire, quick, run

from eslcodec import InvalidCommand, presets
from eslcodec.emulator import Emulator
from eslcodec.ingest import Fleet, Host
from eslcodec.ingest._dials import Dials
from eslcodec.ingest._hosts import follow_toml, read_environment, read_toml
from eslcodec.ingest.notices import Started
from eslcodec.reconnect import Backoff


@pytest.mark.parametrize("name", ["a", "fs-1.example_org", "9", "A" * 64])
def test_names_that_can_be(name: str) -> None:
    assert Host(name, "10.0.0.1").name == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", "a b", "a/b", "a\\b", "a*", "a>", "ä", "a\n", "A" * 65, "a:b", "a=b", None, 7.5]
)
def test_names_that_cannot_be(name: Any) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64 of the letters"):
        Host(name, "10.0.0.1")


@pytest.mark.parametrize("host", ["", "a b", "a\n", " a", "a\0b", "a\x1b[m", "\udcff", 5, None])
def test_hosts_that_cannot_be(host: Any) -> None:
    with pytest.raises(ValueError, match="expected a name or an address"):
        Host("a", host)


@pytest.mark.parametrize("port", [0, 65536, -1, True, "8021", 8021.0])
def test_ports_that_cannot_be(port: Any) -> None:
    with pytest.raises(ValueError, match="expected 1 to 65535"):
        Host("a", "b", port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fs1=10.0.0.1:8022", ("fs1", "10.0.0.1", 8022)),
        (" fs1 = pbx.example.org ", ("fs1", "pbx.example.org", 8021)),
        ("10.0.0.1", ("10.0.0.1", "10.0.0.1", 8021)),
        ("pbx:8021", ("pbx", "pbx", 8021)),
        ("pbx:8022", ("pbx_8022", "pbx", 8022)),
        ("six=[::1]:8023", ("six", "::1", 8023)),
        ("six=[fe80::1]", ("six", "fe80::1", 8021)),
    ],
)
def test_texts(text: str, expected: tuple[str, str, int]) -> None:
    host = Host.parse(text)
    assert (host.name, host.host, host.port) == expected


@pytest.mark.parametrize("text", ["", "=a", "a=", "a=b:", "a=b:x", "a=b:99999", "a=::1", "[::1]", "a=b=c:1", "a b"])
def test_texts_that_are_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Host.parse(text)


def test_a_password_is_not_shown_and_there_is_one_at_most() -> None:
    assert "secret" not in repr(Host("a", "b", password="secret"))
    with pytest.raises(ValueError, match="expected one of them"):
        Host("a", "b", password="secret", password_file="file")


def test_options_are_checked_at_once() -> None:
    for options, error in (
        ({"dials_per_second": 0}, ValueError),
        ({"refresh": 0}, ValueError),
        ({"queue": 0}, ValueError),
        ({"quue_limit": 1}, TypeError),
        ({"format": "yaml"}, InvalidCommand),
        ({"custom": ["a b"]}, InvalidCommand),
        ({"when_full": "stop"}, ValueError),
        ({"keepalive": -1}, ValueError),
        ({"connect_timeout": "1"}, TypeError),
        ({"password": 5}, TypeError),
        ({"backoff": Backoff(attempts=3)}, ValueError),
        ({"user": "nobody"}, InvalidCommand),
        ({"filters": [("a\nb", "c")]}, InvalidCommand),
        ({"filters": [("a", "")]}, InvalidCommand),
        ({"log": "a\nb"}, InvalidCommand),
        ({"events": [5]}, TypeError),
    ):
        with pytest.raises(error):
            Fleet(["a=b"], **options)
    with pytest.raises(ValueError, match="two switches are named 'FS1'"):
        Fleet(["fs1=a", "FS1=b"])
    with pytest.raises(TypeError, match="expected a list"):
        Fleet("fs1=a")
    with pytest.raises(TypeError, match="expected a Host"):
        Fleet([5])  # type: ignore[list-item]


def test_events_presets_and_subclasses() -> None:
    wanted = Fleet([], events=["CALLS", "REGISTRATIONS", "CUSTOM mine", "dtmf"], custom=["a::b"])._wanted
    assert wanted.names == [*presets.CALLS, "dtmf"]
    assert wanted.subclasses == [*presets.REGISTRATIONS, "mine", "a::b"]
    assert Fleet([], events="CALLCENTER")._wanted.subclasses == list(presets.CALLCENTER)


# At run time


def test_switches_come_and_go() -> None:
    async def main(one: Emulator, two: Emulator) -> None:
        async with quick([at("one", one)]) as fleet:
            stream = Stream(fleet)
            await stream.connected("one")
            await fleet.add(at("two", two))
            await stream.connected("two")
            with pytest.raises(ValueError, match="already"):
                await fleet.add(at("TWO", two))
            fire(one, 1)
            await eventually(lambda: fleet.switches["one"].waiting)
            await fleet.remove("one")
            assert fleet.switches["one"].state == "removed"
            with pytest.raises(KeyError, match="no switch is named 'one'"):
                await fleet.remove("one")
            await eventually(lambda: not one.listeners)
            await stream.until(lambda: "stopped" in stream.kinds("one"))
            assert stream.kinds("one") == ["started", "event", "stopped"]
            assert stream.of("one", "stopped")[0].reason == "removed"
            assert list(fleet.switches) == ["two"]
            assert fleet.stats().switches == 1

    with Emulator() as one, Emulator() as two:
        run(main(one, two))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_removal_that_nobody_waits_for_is_done_all_the_same(turns: int) -> None:
    async def main(one: Emulator, other: Emulator) -> None:
        before = asyncio.all_tasks()
        async with quick([at("one", one), at("other", other)]) as fleet:
            stream = Stream(fleet)
            await stream.connected("one", "other")
            for name in "one", "other":
                removal = asyncio.ensure_future(fleet.remove(name))
                for _ in range(turns):
                    await asyncio.sleep(0)
                removal.cancel()
                await asyncio.wait({removal})
            await eventually(lambda: not one.listeners)
            await stream.until(lambda: "stopped" in stream.kinds("one"))
        await eventually(lambda: not other.listeners)
        assert asyncio.all_tasks() == before

    with Emulator() as one, Emulator() as other:
        run(main(one, other))


def test_one_that_comes_back_goes_on_behind_what_still_waits() -> None:
    async def main(one: Emulator) -> Stream:
        async with quick([at("one", one)]) as fleet:
            stream = Stream(fleet)
            await stream.connected("one")
            fire(one, 1, 2)
            await eventually(lambda: fleet.switches["one"].waiting == 2)
            await fleet.remove("one")
            await fleet.add(at("one", one))
            await eventually(lambda: fleet.switches["one"].connected)
            fire(one, 3)
            await eventually(lambda: fleet.switches["one"].received_events == 1)
            assert fleet.switches["one"].waiting == 5
            for _ in range(5):
                stream.came["one"] += (await fleet.take(max=1, timeout=5))[0][1]
            return stream

    with Emulator() as one:
        stream = run(main(one))
    assert stream.kinds("one") == ["started", "event", "event", "stopped", "started", "event"]
    assert stream.numbers("one") == [1, 2, 3]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_gives_the_hosts_and_one_that_fails_changes_nothing(is_async: bool) -> None:
    now: list[Any] = []

    def listed() -> list[Any]:
        hosts = list(now)  # which may be others while it is looked at: that is in another thread
        if hosts and isinstance(hosts[0], Exception):
            raise hosts[0]
        return hosts

    async def listed_later() -> list[Any]:
        return listed()

    async def main(one: Emulator, two: Emulator, by_hand: Emulator) -> None:
        now[:] = [at("one", one), at("two", two)]
        async with quick(listed_later if is_async else listed, refresh=0.01) as fleet:
            stream = Stream(fleet)
            await stream.connected("one", "two")
            await fleet.add(at("hand", by_hand))
            await stream.connected("hand")
            now[:] = [OSError("no answer from the DNS")]
            await eventually(lambda: fleet.stats().error)
            assert fleet.stats().error == "OSError: no answer from the DNS"
            assert [one.connected for one in fleet.switches.values()] == [True] * 3
            now[:] = ["not a host:"]
            await eventually(lambda: "ValueError" in str(fleet.stats().error))
            now[:] = [at("two", one)]  # the other has its name now
            await stream.until(lambda: stream.kinds("one") == ["started", "stopped"])
            await stream.until(lambda: stream.kinds("two") == ["started", "stopped", "started"])
            assert stream.of("two", "started")[-1].port == one.port
            assert fleet.stats().error is None
            assert sorted(fleet.switches) == ["hand", "two"]

    with Emulator() as one, Emulator() as two, Emulator() as by_hand:
        run(main(one, two, by_hand))


def test_a_tap_that_cannot_be_made_for_one_switch_is_said() -> None:
    def tap(name: str) -> Any:
        raise OSError(f"no folder for {name}")

    async def main() -> None:
        with pytest.raises(OSError, match="no folder for a"):
            async with quick(["a=127.0.0.1:1"], tap=tap):
                pass
        async with quick(lambda: ["a=127.0.0.1:1"], tap=tap) as fleet:
            await eventually(lambda: fleet.stats().error)
            assert "no folder for a" in str(fleet.stats().error)

    run(main())


def test_one_that_cannot_be_taken_in_holds_back_no_other_of_the_list() -> None:
    def tap(name: str) -> Any:
        if name == "b":
            raise OSError("no folder for b")

    async def main(one: Emulator) -> None:
        async with quick(lambda: [at(name, one) for name in "abc"], tap=tap, refresh=0.01) as fleet:
            await eventually(lambda: fleet.stats().connected == 2)
            assert sorted(fleet.switches) == ["a", "c"]
            assert "no folder for b" in str(fleet.stats().error)

    with Emulator() as one:
        run(main(one))


def test_a_list_that_hangs_keeps_no_program_from_its_end() -> None:
    goes_on = threading.Event()
    asked = threading.Event()

    def listed() -> list[Any]:
        asked.set()
        goes_on.wait(60)
        return []

    async def main() -> None:
        async with quick(listed):
            await eventually(asked.is_set)

    ended = threading.Thread(target=lambda: run(main()), daemon=True)
    ended.start()
    ended.join(20)
    hung = ended.is_alive()
    goes_on.set()
    ended.join(20)
    assert not hung


def test_one_that_comes_and_goes_often_while_nobody_reads() -> None:
    async def main() -> None:
        async with quick([]) as fleet:
            for number in range(1200):
                await fleet.add("a=127.0.0.1:1")
                fleet._members["a"].say([Started("a", number, "127.0.0.1", 1)])
                await fleet.remove("a")
            assert fleet.switches["a"].waiting == fleet.stats().waiting == 1200
            taken: list[Any] = []
            while fleet.switches:
                for _, run in await fleet.take(max=1000, timeout=5):
                    taken += run
            assert [item.at for item in taken] == list(range(1200))

    run(main())


# TOML and the environment

TOML = """
[fleet]
events = ["CALLS"]
password_file = "secrets/all"
dials_per_second = 2
refresh = 15

[switches]
fs3 = "10.0.0.3:8022"

[switches.fs1]
host = "10.0.0.1"

[switches.fs2]
host = "10.0.0.2"
port = 8023
user = "1000@example.org"
password_file = "/etc/fs2"
"""
needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")


@needs_toml
def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(TOML)
    hosts, options = read_toml(path)
    assert list(hosts.values()) == [
        Host("fs3", "10.0.0.3", 8022),
        Host("fs1", "10.0.0.1"),
        Host("fs2", "10.0.0.2", 8023, user="1000@example.org", password_file=Path("/etc/fs2")),
    ]
    assert options == {
        "events": ["CALLS"],
        "password_file": tmp_path / "secrets" / "all",
        "dials_per_second": 2,
        "refresh": 15,
    }
    fleet = Fleet.from_toml(path, events=["DTMF"])
    assert repr(fleet) == "<Fleet of 3, not entered>"
    assert fleet._wanted.names == ["DTMF"]
    assert fleet._wanted.password == tmp_path / "secrets" / "all"


@needs_toml
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fleet", "fleet.toml: "),
        ("[fleets]", "has 'fleets', expected"),
        ("[fleet]\nevnts = []", "has 'evnts', expected one of"),
        ('[fleet]\nqueue = "5"', "queue in .* is of type str"),
        ("[switches.a]\nport = 1", "has no host"),
        ('[switches.a]\nhost = "b"\nname = "c"', "has 'name', expected"),
        ('[switches."a b"]\nhost = "b"', "the name of a switch is 'a b'"),
        ("switches = 5", "expected a table"),
        ('[switches]\na = "x"\nA = "y"', "two switches"),
        ("[fleet]\nqueue = true", "queue in .* is of type bool"),
        ("[fleet]\ndials_per_second = true", "dials_per_second in .* is of type bool"),
        ("[fleet]\nevents = [1]", "events in .* expected a list of texts"),
        ("[fleet]\ncustom = [{}]", "custom in .* expected a list of texts"),
        ('[fleet]\nfilters = [["a"]]', "filters in .* expected a list of .header, value."),
        ('[fleet]\nfilters = ["ab"]', "filters in .* expected a list of .header, value."),
        ("a = " + "[" * 100_000, "fleet.toml: "),
        ("a = '\udcff'", "fleet.toml: "),
    ],
)
def test_toml_that_is_not_as_expected(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=said):
        Fleet.from_toml(path)


@needs_toml
def test_toml_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text('[switches]\none = "10.0.0.1"\n')
    rest = ['two = "10.0.0.2"\n', 'three = "10.0.0.3"\n']

    async def write_on(_seconds: float) -> None:
        if rest:
            with path.open("a") as file:
                file.write(rest.pop(0))

    monkeypatch.setattr(asyncio, "sleep", write_on)
    assert [host.name for host in asyncio.run(follow_toml(path))] == ["one", "two", "three"]


@needs_toml
def test_toml_that_is_written_without_end_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text("[switches]\n")

    async def write_on(_seconds: float) -> None:
        with path.open("a") as file:
            file.write("# more\n")

    monkeypatch.setattr(asyncio, "sleep", write_on)
    with pytest.raises(ValueError, match=r"fleet.toml was written again and again for 5 s, expected it to stay"):
        asyncio.run(follow_toml(path))


@needs_toml
def test_toml_is_read_again_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"

    def write(*hosts: str) -> None:
        new = tmp_path / "new"
        new.write_text("\n".join(["[fleet]\nrefresh = 0.01\n[switches]", *hosts]))
        os.replace(new, path)

    async def main(one: Emulator, two: Emulator) -> None:
        first, second = (f'{name} = "127.0.0.1:{switch.port}"' for name, switch in (("one", one), ("two", two)))
        write(first)
        async with Fleet.from_toml(path, dials_per_second=1000) as fleet:
            stream = Stream(fleet)
            await stream.connected("one")
            write(first, second)
            await stream.connected("two")
            path.write_text("[")
            await eventually(lambda: fleet.stats().error)
            write(second)
            await stream.until(lambda: "stopped" in stream.kinds("one"))
            assert stream.kinds("two") == ["started"]

    with Emulator() as one, Emulator() as two:
        run(main(one, two))


def test_without_tomllib_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    path = tmp_path / "fleet.toml"
    path.write_text(TOML)
    with pytest.raises(RuntimeError, match="pip install tomli"):
        Fleet.from_toml(path)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "ESLCODEC_HOSTS": "fs1=10.0.0.1, fs2=10.0.0.2:8022\n10.0.0.3",
        "ESLCODEC_PORT": "8023",
        "ESLCODEC_EVENTS": "CALLS, CUSTOM sofia::register",
        "ESLCODEC_USER": "1000@example.org",
        "ESLCODEC_PASSWORD": "secret",
    }
    hosts, options = read_environment(variables)
    assert [(host.name, host.port) for host in hosts.values()] == [
        ("fs1", 8023),
        ("fs2", 8022),
        ("10.0.0.3_8023", 8023),
    ]
    assert options == {
        "events": ["CALLS", "CUSTOM sofia::register"],
        "user": "1000@example.org",
        "password": "secret",
    }
    _, options = read_environment({**variables, "ESLCODEC_PASSWORD_FILE": "/etc/secret"})
    assert (options["password_file"], "password" in options) == ("/etc/secret", False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert repr(Fleet.from_environment(queue=5)) == "<Fleet of 3, not entered>"
    with pytest.raises(ValueError, match="ESLCODEC_HOSTS names no switch"):
        read_environment({})
    with pytest.raises(ValueError, match="ESLCODEC_PORT"):
        read_environment({"ESLCODEC_HOSTS": "a", "ESLCODEC_PORT": "x"})


# Dials


@pytest.mark.parametrize("per_second", [0.2, 0.5, 1, 1.5, 2, 5, 7.9])
def test_in_no_second_there_are_more_dials_than_wanted(per_second: float) -> None:
    chance = random.Random(18)
    dials, now, at = Dials(per_second), 1000.0, []
    for _ in range(500):
        now += chance.choice([0, 0, 0, 0.001, 0.3, 1, 20])
        at.append(now + dials.reserve(now))
    assert at == sorted(at)
    window = max(1.0, 1 / per_second)
    for first in at:
        assert sum(first <= one < first + window - 1e-6 for one in at) <= max(1, int(per_second))


def test_dials_that_are_due_are_not_held_back() -> None:
    dials = Dials(5)
    assert [dials.reserve(10.0) for _ in range(5)] == [0.0] * 5
    assert dials.reserve(10.5) == pytest.approx(0.5)
    assert dials.reserve(30.0) == 0.0
    unbounded = Dials(float("inf"))
    assert [unbounded.reserve(10.0) for _ in range(1000)] == [0.0] * 1000
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="expected more than 0"):
            Dials(wrong)


def test_a_turn_that_is_given_up_holds_back_nobody() -> None:
    async def main() -> None:
        dials = Dials(1000)
        tasks = [asyncio.ensure_future(dials.turn()) for _ in range(21_000)]
        await asyncio.sleep(0)
        for task in tasks[1000:]:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.wait_for(dials.turn(), 10)  # it took 20 s

    run(main())


def test_a_misspelt_event_is_refused_unless_it_is_meant() -> None:
    with pytest.raises(InvalidCommand, match="expected 'CHANNEL_ANSWER'"):
        Fleet(["10.0.0.1"], events=["CHANEL_ANSWER"])
    assert repr(Fleet(["10.0.0.1"], events=["CHANEL_ANSWER"], unknown=True)) == "<Fleet of 1, not entered>"
