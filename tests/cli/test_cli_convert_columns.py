"""`eslcodec convert`: tables of events, legs and calls, as Parquet, Arrow and NDJSON."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cli_support import run, spawn
from recordings_support import Tape, event
from support import capture, plain

pytest.importorskip("eslcodec.cli.convert")
COLUMNS = "number=Event-Sequence:int64,name=Event-Name:dictionary,at=@received:timestamp,Fill,@switch"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Three files of one connection, four events each, half a second apart."""
    tape = Tape()
    tape.note(note="opened", peer=["fs", 8021])
    for number in range(0, 12, 4):
        tape.chunk(*(event(each, 3) for each in range(number, number + 4)), us=500_000)
        tape.write(tmp_path / "rec" / "fs_8021" / f"20260921T14132{number // 4}Z-000000.esl.zst")
        tape.written, tape.sizes = [], []
    return tmp_path / "rec"


@pytest.fixture
def pa() -> Any:
    return pytest.importorskip("pyarrow", reason="the extra parquet is not installed")


def converted(*args: Any, problems: int = 0) -> str:
    result = run("convert", *args)
    assert result.exit_code == (1 if problems else 0), result.output
    return str(result.output)


def table_of(path: Path) -> Any:
    if path.suffix == ".parquet":
        return importlib.import_module("pyarrow.parquet").read_table(path)
    with path.open("rb") as file:
        return importlib.import_module("pyarrow").ipc.open_stream(file).read_all()


@pytest.mark.parametrize("end", ["parquet", "arrow"])
@pytest.mark.parametrize("threads", [(), ("--threads", 1), ("--threads", 3)])
def test_columns(pa: Any, day: Path, end: str, threads: Any, tmp_path: Path) -> None:
    out = tmp_path / f"out.{end}"
    assert converted("--columns", COLUMNS, "--columns", "@offset:int64", *threads, day, out) == ""
    table = table_of(out)
    assert table.column_names == ["number", "name", "at", "Fill", "@switch", "@offset"]
    assert table["number"].to_pylist() == list(range(12))
    assert set(table["name"].to_pylist()) == {"DTMF"}
    assert set(table["@switch"].to_pylist()) == {"fs:8021"}
    assert table["at"].to_pylist()[5].isoformat() == "2026-09-21T14:13:21.500000+00:00"
    assert table["@offset"].to_pylist()[:2] == [0, len(event(0, 3))]
    if os.name == "posix":
        assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--since", "2026-09-21T14:13:21Z"], list(range(2, 12))),
        (["--until", "2026-09-21T14:13:21.5Z"], [0, 1, 2, 4]),
        (["--events", "HEARTBEAT"], []),
        (["--events", "dtmf", "--since", "2026-09-21T14:13:22.4Z", "--until", "2026-09-21T14:13:23.1Z"], [7, 9, 10]),
    ],
)
def test_less_of_it(pa: Any, day: Path, options: list[str], expected: list[int], tmp_path: Path) -> None:
    for end in ("parquet", "ndjson"):
        out = tmp_path / f"out.{end}"
        converted("--columns", "n=Event-Sequence:int64", *options, day, out)
        if end == "parquet":
            assert table_of(out)["n"].to_pylist() == expected
        else:
            assert [json.loads(line)["n"] for line in out.read_bytes().splitlines()] == expected


def test_presets_say_their_version(pa: Any, day: Path, tmp_path: Path) -> None:
    for end in ("parquet", "arrow"):
        for options, name, rows in (((), "events", 12), (("--preset", "registrations"), "registrations", 0)):
            out = tmp_path / f"{name}.{end}"
            converted(*options, day, out)
            table = table_of(out)
            assert table.num_rows == rows
            assert table.schema.metadata[b"schema_version"] == b"1"
            assert table.schema.metadata[b"table"] == name.encode()
    assert json.loads(table_of(tmp_path / "events.arrow")["event"][3].as_py())["Event-Sequence"] == "3"
    lines = [json.loads(line) for line in spawn("convert", "--preset", "events", day, "-").stdout.splitlines()]
    assert [line["event"]["Event-Sequence"] for line in lines] == list(map(str, range(12)))


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.esl"
    path.write_bytes(
        capture("sip_plain") + plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: odd\nHangup-Cause: %E9\n\n")
    )
    return path


@pytest.mark.parametrize(("option", "kind"), [("--legs", "leg"), ("--calls", "call")])
def test_records(pa: Any, calls: Path, option: str, kind: str, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in spawn("convert", option, calls, "-").stdout.splitlines()]
    converted(option, calls, tmp_path / "out.ndjson")
    assert [json.loads(line) for line in (tmp_path / "out.ndjson").read_bytes().splitlines()] == lines
    assert len(lines) > 10
    assert (
        lines[-1]["cause"] == "\ufffd"
        or lines[0]["cause"] == "\ufffd"
        or "\ufffd" in json.dumps(lines, ensure_ascii=False)
    )
    for end in ("parquet", "arrow"):
        out = tmp_path / f"out.{end}"
        converted(option, calls, out)
        table = table_of(out)
        assert table.schema.metadata[b"table"] == f"{kind}s".encode()
        assert table["uuid"].to_pylist() == [line["uuid"] for line in lines]
        assert table["duration"].to_pylist() == [line["duration"] for line in lines]
        assert table.column_names == list(lines[0])
    empty = tmp_path / "empty.esl"
    empty.write_bytes(b"")
    converted(option, empty, tmp_path / "empty.parquet")
    assert table_of(tmp_path / "empty.parquet").schema.equals(table_of(tmp_path / "out.parquet").schema)


def test_redaction(pa: Any, day: Path, tmp_path: Path) -> None:
    profile = tmp_path / "p.toml"
    profile.write_text('mask = ["Fill"]\n', encoding="utf-8")
    converted("--columns", COLUMNS, "--redact", profile, day, tmp_path / "out.arrow")
    assert "xxx" not in table_of(tmp_path / "out.arrow")["Fill"].to_pylist()


def test_what_is_damaged_is_passed_over_and_told(pa: Any, day: Path, tmp_path: Path) -> None:
    path = next(day.rglob("*.esl.zst"))
    data = bytearray(path.read_bytes())
    data[data.index(b"Fill: xxx") + 7] ^= 1
    path.write_bytes(data)
    broken = tmp_path / "broken.esl"
    broken.write_bytes(event(50, 3) + b"Content-Length: x\n\n" + plain(b"x"))
    told = converted("--columns", COLUMNS, day, broken, tmp_path / "out.parquet", problems=2)
    assert "checksum" in told
    assert "Content-Length" in told
    numbers = table_of(tmp_path / "out.parquet")["number"].to_pylist()
    assert len(numbers) == 9
    assert numbers[-1] == 50


def test_without_pyarrow(calls: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None"
    for out in ("out.parquet", "out.arrow"):
        result = spawn("convert", calls, tmp_path / out, code=code)
        assert result.returncode == 1
        assert b"pip install 'eslcodec[parquet]'" in result.stderr
        assert not (tmp_path / out).exists()
    assert spawn("convert", "--legs", calls, "-", code=code).returncode == 0


def test_columns_are_lines_without_pyarrow(day: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.esl"
    path.write_bytes(
        plain(b"Event-Name: DTMF\nAt: 1500000\nL: ARRAY::a|:%E9\nRaw: a%FFb\nOn: yes\nReal: 1.5\n\n")
        + plain(b"At: 253402300800000000\n\n")  # the year 10000
    )
    spec = "name=Event-Name:dictionary,At:timestamp,L:list,Raw:binary,On:bool,Real:float64,e=@json:json,n=@offset:int64"
    code = "import sys; sys.modules['pyarrow'] = None"
    first, second = map(json.loads, spawn("convert", "--columns", spec, path, "-", code=code).stdout.splitlines())
    assert first.pop("e")["Event-Name"] == "DTMF"
    assert list(first.values()) == ["DTMF", "1970-01-01T00:00:01.500000Z", ["a", "\ufffd"], "a\ufffdb", True, 1.5, 0]
    assert second["At"] == 253402300800000000
    assert (second["name"], second["L"], second["Real"]) == (None, None, None)
    out = tmp_path / "out.ndjson"
    assert spawn("convert", "--preset", "events", day, out, code=code).returncode == 0
    assert len(out.read_bytes().splitlines()) == 12


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--legs", "--columns", "a", "out.parquet"], "expected one of"),
        (["--columns", "a:text", "out.parquet"], "expected one of string"),
        (["--legs", "--events", "DTMF", "out.parquet"], "--events"),
        (["--legs", "out.esl.zst"], "the name of a table"),
        (["--preset", "nothing", "out.arrow"], "nothing"),
        (["--threads", "0", "out.arrow"], "0"),
    ],
)
def test_wrong_use(day: Path, options: list[str], told: str, tmp_path: Path) -> None:
    *options, out = options
    result = run("convert", *options, day, tmp_path / out)
    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / out).exists()


def test_json_in_lines_is_what_it_was(tmp_path: Path) -> None:
    texts = [
        b"1e400",
        b"[1,%0A%0D 2]",
        b"0.10000000000000000001",
        b"1" * 5000,
        b'{"a":1,"a":"%C3%A9"}',
        b"{",
        b"[" * 300 + b"]" * 300,
    ]
    path = tmp_path / "a.esl"
    path.write_bytes(b"".join(plain(b"A: x%%22\nL: ARRAY::a|:%%C3%%A9\nX: %b\n\n" % text) for text in texts))
    columns = "X:json,A,b=A:binary,L:list,f=F:float64,d=A:dictionary,t=X:bool,n=X:int64,g=X:float64"
    lines = spawn("convert", "--columns", columns, path, "-").stdout.decode().splitlines()
    written = [text.decode().replace("%0A%0D", "  ").replace("%C3%A9", "é") for text in texts]
    written[5] = "null"
    assert [line[: line.index(',"A":')] for line in lines] == [f'{{"X":{text}' for text in written]
    rest = json.loads(lines[2])
    assert rest.pop("X") == 0.1
    wanted = {"A": 'x"', "b": 'x"', "L": ["a", "é"], "f": None, "d": 'x"', "t": None, "n": None, "g": 0.1}
    assert rest == wanted
