"""Sizes, times, shares, hosts and lists of events as they are typed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

click = pytest.importorskip("click")
pytest.importorskip("rich")
units, hosts, names = (pytest.importorskip(f"eslcodec.cli.{name}") for name in ("units", "hosts", "names"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1B", 1),
        ("50G", 50 << 30),
        ("50GiB", 50 << 30),
        ("50GB", 50 * 10**9),
        ("0.5K", 512),
        ("256M", 256 << 20),
        ("3T", 3 << 40),
        ("1P", 1 << 50),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "50", "50g", "G", "-1G", "1.G", "1e3G", "50 G", "50Gi", "1_0G", "\u0665G", "9" * 999]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"^read '.*', expected a size such as 50G or 256M$"):
        units.size(text)


def test_a_unit_that_is_another_says_so() -> None:
    with pytest.raises(ValueError, match="256M, with M for mebibytes: m is minutes"):
        units.size("50m")
    with pytest.raises(ValueError, match="with m for minutes: M is mebibytes"):
        units.duration("50M")


@pytest.mark.parametrize("read", [units.size, units.duration])
def test_nothing_is_refused(read: Any) -> None:
    text = "0B" if read is units.size else "0s"
    with pytest.raises(ValueError, match=f"read '{text}', expected more than 0"):
        read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7d", 604800), ("2w", 1209600), ("1h30m", 5400), ("1.5h", 5400), ("90s", 90), ("250ms", 0.25), ("1m1ms", 60.001)],
)
def test_durations(text: str, expected: float) -> None:
    assert units.duration(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "7", "7 d", "d", "-7d", "7D", "1h30", "7days", "h1", "1h 2m", "\u0661s", "1s\x1b"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^read '.*', expected a time such as 7d, 1h or 30s$") as caught:
        units.duration(text)
    assert str(caught.value).isprintable()


def test_shares() -> None:
    assert [units.share(text) for text in ("0%", "10%", "99.5%")] == [0, 0.1, 0.995]
    for text in ("10", "100%", "-1%", "0.1", "%", "10 %", "nan%"):
        with pytest.raises(ValueError, match="expected a percentage below 100 such as 10%"):
            units.share(text)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time is that of Berlin, without a file of it."""
    if not hasattr(time, "tzset"):
        pytest.skip("the local time cannot be set here")
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


NOW = datetime(2026, 3, 29, 12, 0, 5, tzinfo=timezone(timedelta(hours=2)))  # the clocks went forward that night


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-29", "2026-11-28T23:00:00"),
        ("2026-11-29T08:00", "2026-11-29T07:00:00"),
        ("2026-07-29 08:00", "2026-07-29T06:00:00"),
        ("2026-11-29T08:00:01", "2026-11-29T07:00:01"),
        ("2026-11-29T08:00:01.25", "2026-11-29T07:00:01.250000"),
        ("2026-11-29T08:00Z", "2026-11-29T08:00:00"),
        ("2026-11-29T08:00:00-05:00", "2026-11-29T13:00:00"),
        ("now", "2026-03-29T10:00:05"),
        ("today", "2026-03-28T23:00:00"),
        ("yesterday", "2026-03-27T23:00:00"),
        ("08:30", "2026-03-29T06:30:00"),
        ("01:30:15", "2026-03-29T00:30:15"),
        ("-2h", "2026-03-29T08:00:05"),
        ("-1d12h", "2026-03-27T22:00:05"),
    ],
)
def test_moments(text: str, expected: str, berlin: None) -> None:
    assert units.moment(text, NOW).astimezone(timezone.utc).isoformat() == f"{expected}+00:00"


def test_a_moment_knows_its_offset_and_the_present() -> None:
    assert units.moment("2026-11-29").utcoffset() is not None
    before = datetime.now(timezone.utc)
    assert before <= units.moment("now") <= datetime.now(timezone.utc)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-02-30", "day is out of range"),
        ("2026-11-29T25:00", "hour must be in"),
        ("24:00", "hour must be in"),
        ("-", "expected a time such as 7d"),
        ("-2x", "expected a time such as 7d"),
        ("-999999999w", ""),
        ("20261129", "expected a time such as 2026-11-29T08:00"),
        ("2026-11-29T", "expected a time such as 2026-11-29T08:00"),
        ("tomorrow", "expected a time such as 2026-11-29T08:00"),
        ("", "expected a time such as 2026-11-29T08:00"),
        ("2026-11-29T08:00\x1b", r"read '2026-11-29T08:00\\\\x1b'"),
    ],
)
def test_what_is_no_moment(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^read '") as caught:
        units.moment(text, NOW)
    assert str(caught.value).isprintable()
    assert caught.match(why)


def test_how_often_it_is_forced_to_the_disk() -> None:
    assert [units.fsync(text) for text in ("always", "never", "500ms")] == ["always", "never", 0.5]
    with pytest.raises(ValueError, match="read 'sometimes', expected a time such as 1s, always, or never"):
        units.fsync("sometimes")


def test_when_a_file_is_full() -> None:
    assert units.rotation("10M") == ("bytes", 10 << 20)
    assert units.rotation("10m") == ("seconds", 600)
    with pytest.raises(ValueError, match="read '10', expected a size such as 256M, or a time such as 1h"):
        units.rotation("10")


def test_an_option_says_what_it_expected() -> None:
    command = click.Command("x", params=[click.Option(["--keep"], type=units.DURATION, default=5.0)], callback=print)
    with pytest.raises(click.BadParameter, match="read 'a', expected a time such as 7d"):
        command.make_context("x", ["--keep", "a"])
    assert command.make_context("x", []).params == {"keep": 5.0}
    assert command.make_context("x", ["--keep", "1h"]).params == {"keep": 3600.0}


def test_sizes_and_times_for_people() -> None:
    assert [units.shown_size(number) for number in (1023, 1024, 1 << 20, 1 << 62)] == [
        "1023 B",
        "1.0 KiB",
        "1.0 MiB",
        "4096.0 PiB",
    ]
    assert [units.shown_duration(number) for number in (0, 9.96, 59.7, 61, 3600, 3661, 86399.9, 99 * 86400 + 3600)] == [
        "0.0 s",
        "10.0 s",
        "1 min",
        "1 min 1 s",
        "1 h",
        "1 h 1 min",
        "1 d",
        "99 d 1 h",
    ]


# Hosts


def test_hosts() -> None:
    texts = ["pbx1", "pbx2:8022", "10.0.0.1:08021", "[::1]", "[fe80::1%eth0]:9", "lab=[::2]", "b=c:7"]
    found, options = hosts.fleet_hosts(texts, 8021, None)
    assert [(host.host, host.port) for host in found] == [
        ("pbx1", 8021),
        ("pbx2", 8022),
        ("10.0.0.1", 8021),
        ("::1", 8021),
        ("fe80::1%eth0", 9),
        ("::2", 8021),
        ("c", 7),
    ]
    assert [host.name for host in found if hosts.is_named(host)] == ["lab", "b"]
    assert options == {}


@pytest.mark.parametrize("host", ["_x", "-x", "b\u00fccher.example", "h" * 300, "a/b", "%"])
def test_any_host_has_a_name(host: str) -> None:
    [found] = hosts.fleet_hosts(
        [
            host,
        ],
        8022,
        None,
    )[0]
    assert (found.host, found.port, hosts.is_named(found)) == (host, 8022, False)


def test_two_long_hosts_have_two_names() -> None:
    found, _ = hosts.fleet_hosts(["h" * 300, "h" * 299], 8021, None)
    assert found[0].name != found[1].name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected host or host:port"),
        ("a:", "expected host or host:port"),
        ("a:b", "expected host or host:port"),
        ("a b", "expected host or host:port"),
        ("a\x1b:c", r"read 'a\\\\x1b:c'"),
        ("::1", r"an IPv6 address in brackets: \[::1\]"),
        ("[::1", "expected host or host:port"),
        ("[]", "expected host or host:port"),
        ("a:0", "expected a port from 1 to 65535"),
        ("a:65536", "expected a port from 1 to 65535"),
        ("a:" + "1" * 5000, "expected a port from 1 to 65535"),
        ("a:\u0661", "expected host or host:port"),
        ("=a", "the name of a switch is ''"),
        ("x y=a", "the name of a switch is 'x y'"),
        ("a=b=c", "the name of a switch is 'a=b'"),
        ("a=", "expected host or host:port"),
    ],
)
def test_what_is_no_host(text: str, why: str) -> None:
    with pytest.raises(click.UsageError, match=why):
        hosts.fleet_hosts([text], 8021, None)


def test_a_host_that_is_there_twice_is_refused() -> None:
    with pytest.raises(click.UsageError, match="a:8021 is there twice"):
        hosts.fleet_hosts(["a", "b", "a:8021"], 8021, None)
    with pytest.raises(click.UsageError, match="a:8021 is there twice"):
        hosts.fleet_hosts(["a", "x=a"], 8021, None)
    with pytest.raises(click.UsageError, match="X is there twice"):
        hosts.fleet_hosts(["x=a", "X=b"], 8021, None)


# Lists of events


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["CALLS"], (list(names.presets.CALLS), [])),
        (["calls", "DTMF"], ([*names.presets.CALLS, "DTMF"], [])),
        (["ALL,REGISTRATIONS"], (["ALL"], list(names.presets.REGISTRATIONS))),
        (["CUSTOM sofia::register"], ([], ["sofia::register"])),
        (["CUSTOM mine other, DTMF"], (["DTMF"], ["mine", "other"])),
        (["CUSTOM mine", "other"], (["other"], ["mine"])),
        (["CUSTOM"], (["CUSTOM"], [])),
        (["a::b DTMF a::b,DTMF,"], (["DTMF"], ["a::b"])),
        ([" , "], ([], [])),
        ([], ([], [])),
    ],
)
def test_events_by_purpose_name_and_subclass(texts: list[str], expected: tuple[list[str], list[str]]) -> None:
    assert names.split_events(texts) == expected


def test_every_preset_has_a_name() -> None:
    assert sorted(names.PRESETS) == sorted(names.presets.__all__)
