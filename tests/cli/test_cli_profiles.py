"""Where the commands connect: fs_cli's options, its profiles and our own, the environment, and which comes first."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_live_support import SECRET, conf, login, run
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from ports import free_port

from eslcodec.emulator import Emulator, User

FS_CLI = """\
; the switches of the house
[first]
host => 10.0.0.1
port => 8022
password => s;1 ;not a comment
# [not]
[east] trailing
HOST=10.0.0.2
user => 1000@example.org
password = two  words
key_F1 => status
loglevel => 4
log-uuid => true
[empty]
[odd]
port => 99999
nothing
password => three ;; a comment
__END__
[never]
host => 10.0.0.9
"""


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator(password=SECRET, users={"1000@example.org": User(SECRET)}) as switch:
        switch.api["x"] = "here"
        yield switch


def home(name: str, text: str) -> None:
    path = Path(os.environ["HOME"], name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def own(text: str) -> None:
    home(".config/eslcodec/switches.toml", text)


def here(name: str, switch: Emulator, *lines: str) -> str:
    return "\n".join([f"[{name}]", "host => 127.0.0.1", f"port => {switch.port}", *lines, ""])


# fs_cli's file


def test_the_file_is_read_as_fs_cli_reads_it() -> None:
    first, east, odd = conf.parse_fs_cli(FS_CLI)
    assert (first.name, first.host, first.port, first.user) == ("first", "10.0.0.1", 8022, None)
    assert first.password == "s;1 ;not a comment"
    assert (east.name, east.host, east.port, east.user) == ("east", "10.0.0.2", None, "1000@example.org")
    assert east.password == "two  words"
    assert east.options == {"key_f1": "status", "loglevel": "4", "log-uuid": "true"}
    assert east.is_on("log-uuid")
    assert not east.is_on("quiet")
    assert (odd.name, odd.host, odd.port, odd.password) == ("odd", None, None, "three")


def test_line_ends_of_windows_and_sections_are_passed_over() -> None:
    (one,) = conf.parse_fs_cli("[a]\r\nhost => b\r\n[+section]\r\nport => 1\r\n")
    assert (one.name, one.host, one.port) == ("a", "b", 1)
    assert conf.parse_fs_cli("host => before any profile\n") == []


def test_no_password_is_in_the_text_of_a_profile() -> None:
    assert "two  words" not in repr(conf.parse_fs_cli(FS_CLI))


# Which counts


@pytest.mark.parametrize("verb", [["api", "x"], ["cli", "-x", "x"]])
def test_a_profile_that_is_named(verb: list[str], switch: Emulator) -> None:
    home(".fs_cli_conf", here("other", switch, "password => wrong") + here("east", switch, f"password => {SECRET}"))
    named = ["east"] if verb[0] == "cli" else ["--profile", "east"]
    result = run(verb[0], None, *named, *verb[1:])
    assert (result.exit_code, result.stdout.strip(), result.stderr) == (0, "here", "")
    assert run(verb[0], None, *verb[1:], env={"ESLCODEC_PROFILE": "east"}).stdout.strip() == "here"


def test_without_a_name_default_counts_and_else_the_first(switch: Emulator) -> None:
    good, bad = here("good", switch, f"password => {SECRET}"), here("bad", switch, "password => wrong")
    home(".fs_cli_conf", good + bad)
    assert run("api", None, "x").stdout == "here"
    home(".fs_cli_conf", bad + good.replace("[good]", "[default]"))
    assert run("api", None, "x").stdout == "here"


def test_the_file_at_home_hides_that_of_the_system(switch: Emulator) -> None:
    Path(conf._SYSTEM_FILE).write_text(here("a", switch, f"password => {SECRET}"))
    assert run("api", None, "x").stdout == "here"
    home(".fs_cli_conf", here("a", switch, "password => wrong"))
    assert run("api", None, "x").exit_code == 1


def test_our_own_file_has_the_form_of_a_fleet_and_comes_first(switch: Emulator, password_file: Any) -> None:
    home(".fs_cli_conf", here("default", switch, "password => wrong"))
    own(f'[switches.default]\nhost = "127.0.0.1"\nport = {switch.port}\npassword = "{SECRET}"\n')
    assert run("api", None, "x").stdout == "here"
    path = password_file(SECRET.encode())
    own(f'[fleet]\npassword_file = "{path}"\n[switches]\nwest = "127.0.0.1:{switch.port}"\n')
    assert run("api", None, "--profile", "west", "x").stdout == "here"
    own("[switches.east\n")
    result = run("api", None, "--profile", "west", "x")
    assert result.exit_code == 1
    assert "switches.toml" in result.stderr


def test_a_file_may_be_named(switch: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[switches.lab]\nhost = "127.0.0.1"\nport = {switch.port}\npassword = "{SECRET}"\n')
    environment = {"ESLCODEC_SWITCHES": str(path), "ESLCODEC_PROFILE": "lab"}
    assert run("api", None, "x", env=environment).stdout == "here"
    missing = run("api", None, "x", env={"ESLCODEC_SWITCHES": str(tmp_path / "none.toml")})
    assert missing.exit_code == 1
    assert "ESLCODEC_SWITCHES: there is no file" in missing.stderr


def test_a_home_of_somebody_else_is_passed_over(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    own("[switches.default]\nhost = '192.0.2.1'\n")
    stat, words = Path.stat, ["-P", str(switch.port), "-p", SECRET, "x"]

    def refused(path: Path, **options: Any) -> os.stat_result:
        if path.name.endswith(".toml"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert run("api", None, *words).stdout == "here"
    missing = run("api", None, *words, env={"ESLCODEC_SWITCHES": "/none/none.toml"})
    assert (missing.exit_code, "none.toml: No such file" in missing.stderr) == (1, True)
    long = run("api", None, *words, env={"ESLCODEC_SWITCHES": "/" + "a" * 5000})
    assert (long.exit_code, "File name too long" in long.stderr) == (1, True)


def test_a_name_that_nobody_knows(switch: Emulator) -> None:
    home(".fs_cli_conf", here("a\x1b", switch) + here("east", switch))
    result = run("api", None, "--profile", "esat", "x")
    assert result.exit_code == 1
    assert "no profile is named 'esat'" in result.stderr
    assert result.stderr.endswith("; known: a\\x1b, east\n")


def test_the_command_line_comes_before_the_environment_and_that_before_a_profile_by_default(switch: Emulator) -> None:
    home(".fs_cli_conf", "[default]\nhost => 127.0.0.1\nport => 1\npassword => wrong\n")
    environment = {"ESLCODEC_PORT": str(switch.port), "ESLCODEC_PASSWORD": SECRET}
    assert run("api", None, "x", env=environment).stdout == "here"
    environment = {"ESLCODEC_PORT": "2", "ESLCODEC_HOST": "nowhere.invalid", "ESLCODEC_PASSWORD": "wrong"}
    words = ["-H", "127.0.0.1", "-P", switch.port, "-p", SECRET]
    assert run("api", None, *words, "x", env=environment).stdout == "here"
    home(".fs_cli_conf", here("east", switch, f"password => {SECRET}"))
    assert run("api", None, "--profile", "east", "x", env=environment).stdout == "here"  # it is named, so it counts


def test_the_password_of_a_profile_is_its_users(switch: Emulator) -> None:
    home(".fs_cli_conf", here("default", switch, "user => 1000@example.org", f"password => {SECRET}"))
    assert run("api", None, "x").stdout == "here"
    assert switch.commands[0] == f"userauth 1000@example.org:{SECRET}"
    result = run("api", None, "-u", "1001@example.org", "x")
    assert result.exit_code == 2
    assert "a user needs a password" in result.stderr


def test_two_passwords_exclude_each_other(switch: Emulator, password_file: Any) -> None:
    result = run("api", switch, "-p", SECRET, "--password-file", password_file(b"x"), "status")
    assert (result.exit_code, switch.commands) == (2, [])
    assert SECRET not in result.output


def test_a_password_that_was_typed_is_not_shown(switch: Emulator) -> None:
    for words in (["-p", f"not {SECRET}"], ["-p", f"{SECRET}\n\napi x"]):
        result = run("api", switch, *words, "x")
        assert result.exit_code in (1, 2)
        assert SECRET not in result.output


@pytest.mark.parametrize("verb", ["api", "show", "tail", "cli", "record", "top", "bridge"])
def test_every_verb_that_connects_has_the_same_options_and_names_its_variables(verb: str) -> None:
    shown = run(verb, None, "--help").stdout
    for option in ("-P, --port", "-u, --user", "-p, --password", "--password-file"):
        assert option in shown
    assert ("--profile" in shown) is (verb != "cli")
    for name in ("PORT", "USER", "PASSWORD", "PASSWORD_FILE"):
        assert f"ESLCODEC_{name}" in shown


def test_top_has_the_switch_of_a_profile(switch: Emulator) -> None:
    home(".fs_cli_conf", here("east", switch, f"password => {SECRET}"))
    named = run("top", None, "--profile", "east", "--once", "--seconds", "8s")
    assert (named.exit_code, named.stdout.split()[1:3]) == (0, ["east", "connected:"])
    alone = run("top", None, "--once", "--seconds", "8s")  # without any, it is where `api` goes too
    assert alone.exit_code == 0


def test_nobody_listens_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Emulator] = []
    port = free_port()

    def start(seconds: float) -> None:
        started.append(Emulator(port=port, password=SECRET).start())

    monkeypatch.setattr(login.time, "sleep", start)
    try:
        result = run("api", None, "-P", port, "-p", SECRET, "--retry", "status")
    finally:
        for switch in started:
            switch.stop()
    assert result.exit_code == 0
    assert result.stderr.endswith("Connection refused; it is tried again for 120 s\n")


# Completion


def completed(command: str, *words: str) -> list[str]:
    """What a shell offers after these words."""
    from click.shell_completion import ShellComplete

    found = ShellComplete(live_group(), {}, "eslcodec", "_ESLCODEC_COMPLETE").get_completions(
        [command, *words[:-1]], words[-1]
    )
    return [item.value for item in found]


def live_group() -> Any:
    from eslcodec.cli import command_line

    return command_line()


def test_names_of_events_presets_and_profiles_are_completed(switch: Emulator) -> None:
    home(".fs_cli_conf", here("east", switch) + here("west", switch))
    assert completed("tail", "CHANNEL_HANGUP") == ["CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"]
    calls = completed("tail", "call")
    assert (calls[:2], calls[-1]) == (["CALLS", "CALLCENTER"], "callcenter::info")
    assert completed("record", "--events", "REG") == ["REGISTRATIONS"]
    assert completed("decode", "--event", "DTM") == ["DTMF"]
    assert completed("tail", "--profile", "e") == ["east"]
    assert completed("cli", "w") == ["west"]
    home(".fs_cli_conf", "")
    own("[broken")
    assert completed("tail", "--profile", "") == []
