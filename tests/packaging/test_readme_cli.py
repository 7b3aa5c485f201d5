"""What the guide of the command line shows besides its first block."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from guide_support import block, commands

from eslcodec.emulator import Emulator

testing = pytest.importorskip("click.testing")
pytest.importorskip("rich")


def run(words: list[str], **options: Any) -> Any:
    from eslcodec.cli import command_line

    return testing.CliRunner().invoke(command_line(), words, prog_name="eslcodec", **options)


def dialogue(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that shows a file, and what commands make of it; what goes through a pipe is looked at before it."""
    monkeypatch.chdir(folder)
    (cat, content), *others = commands(code)
    Path(cat.split()[1]).write_text("\n".join(content) + "\n")
    for command, expected in others:
        words, _, into = command.partition(" | ")[0].partition(" > ")
        words, _, source = words.partition(" < ")
        given = Path(source).read_bytes() if source else None
        result = run(shlex.split(words)[1:], input=given)
        assert "Traceback" not in result.output
        if into:
            Path(into).write_bytes(result.stdout_bytes)
        if expected:
            assert result.output.splitlines() == expected


def test_commands_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as switch:
        monkeypatch.setenv("ESLCODEC_PORT", str(switch.port))
        monkeypatch.setenv("ESLCODEC_PASSWORD", "ClueCon")
        dialogue(block("$ cat commands.txt"), tmp_path, monkeypatch)
        assert [switch.commands.count(f"api {line}") for line in ("version", "show channels count")] == [2, 2]


def test_events_that_were_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import eslcodec

    dialogue(block("$ cat printed.txt"), tmp_path, monkeypatch)
    assert [message["DTMF-Digit"] for message in eslcodec.iter_messages(tmp_path / "printed.esl")] == ["#"]


def test_the_profiles_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tomllib")
    from eslcodec.cli import conf

    path = tmp_path / "switches.toml"
    path.write_text(block("[switches.default]"))
    (tmp_path / "esl.password").write_text("s3cret\n")
    (tmp_path / "esl.password").chmod(0o600)
    monkeypatch.setenv("ESLCODEC_SWITCHES", str(path))
    default, lab = conf.find_profile(None), conf.find_profile("lab")
    assert default is not None
    assert lab is not None
    assert (default.host, default.port, callable(default.password) and default.password()) == (
        "10.0.0.1",
        8021,
        "s3cret",
    )
    assert (lab.host, lab.port, lab.user, lab.password) == ("10.0.0.9", 8022, "1000@example.org", "a secret")


def test_the_completion_of_shells() -> None:
    from click.shell_completion import get_completion_class

    from eslcodec.cli import command_line

    code = block("_ESLCODEC_COMPLETE=bash_source")
    shells = re.findall(r"_ESLCODEC_COMPLETE=(\w+)_source eslcodec", code)
    assert shells == ["bash", "zsh", "fish"]
    for shell in shells:
        kind = get_completion_class(shell)
        assert kind is not None
        kind._check_version = lambda *args: None  # type: ignore[attr-defined]  # which asks the bash that is here
        assert "_ESLCODEC_COMPLETE" in kind(command_line(), {}, "eslcodec", "_ESLCODEC_COMPLETE").source()
