"""`eslcodec show`: tables of the switch on a terminal, in a pipe, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cli_live_support import no_settings as no_settings
from cli_live_support import run

from eslcodec.emulator import Emulator

lines = pytest.importorskip("eslcodec.cli.lines")

UUID = "8f08a03a-c377-4f13-a9ec-93b2319b9f0b"
ROWS = [
    {"uuid": UUID, "created": "2026-11-29 08:00:00", "name": "sofia/a", "cid_num": "1000", "dest": "9\t\x1b[2J"},
    {"uuid": "u2", "created": "2026-11-29 08:00:01", "name": "\u5317\u4eac" * 40, "cid_num": "", "dest": "1001"},
]


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        switch.api["show"] = json.dumps({"row_count": 2, "rows": ROWS})
        yield switch


@pytest.mark.parametrize(
    ("option", "read"), [("--json", json.loads), ("--ndjson", lambda text: list(map(json.loads, text.splitlines())))]
)
def test_rows_as_json(option: str, read: Any, switch: Emulator) -> None:
    result = run("show", switch, "channels", option)
    assert (result.exit_code, read(result.stdout)) == (0, ROWS)
    assert "\x1b" not in result.stdout
    assert switch.commands[-1] == "api show channels as json"


def test_a_pipe_gets_all_columns_whole_with_tabs(switch: Emulator) -> None:
    head, first, second = run("show", switch, "channels").stdout.splitlines()
    assert head.split("\t") == list(ROWS[0])
    assert first.split("\t") == [UUID, "2026-11-29 08:00:00", "sofia/a", "1000", "9\\t\\x1b[2J"]
    assert second.split("\t")[2] == "\u5317\u4eac" * 40


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_terminal_gets_what_fits(width: int, switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.cells import cell_len

    monkeypatch.setattr(lines, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run("show", switch, "channels").stdout.splitlines()
    assert len(shown) == 3
    assert max(map(cell_len, shown)) <= width
    if width >= 80:
        assert shown[0].split()[:3] == ["UUID", "CID_NUM", "DEST"]
        assert shown[1].split()[:3] == [UUID, "1000", "9\\t\\x1b[2J"]


def test_columns_that_are_asked_for(switch: Emulator) -> None:
    result = run("show", switch, "channels", "--columns", "dest, uuid", "--json")
    assert json.loads(result.stdout)[1] == {"dest": "1001", "uuid": "u2"}
    wrong = run("show", switch, "channels", "--columns", "nope")
    assert wrong.exit_code == 2
    assert "there is no column 'nope', expected some of uuid, created, name, cid_num, dest" in wrong.stderr


def test_no_rows(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    switch.api["show"] = '{"row_count":0}'
    assert run("show", switch, "calls").stdout == ""
    assert run("show", switch, "calls", "--json").stdout == "[]\n"
    monkeypatch.setattr(lines, "is_terminal", lambda stream: True)
    assert run("show", switch, "calls").stdout == "there are none\n"


def test_only_channels_that_are_like_something(switch: Emulator) -> None:
    assert run("show", switch, "channels", "like", "1000", "--json").exit_code == 0
    assert switch.commands[-1] == "api show channels like 1000 as json"


@pytest.mark.parametrize(
    ("words", "answer", "status"),
    [
        (["nothing"], "-USAGE: codec|endpoint\n", 1),
        (["channels", "--json", "--ndjson"], "", 2),
        (["channels\n\napi x"], "", 2),
        ([], "", 2),
    ],
)
def test_what_cannot_be_shown(words: list[str], answer: str, status: int, switch: Emulator) -> None:
    switch.api["show"] = answer
    result = run("show", switch, *words)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr
