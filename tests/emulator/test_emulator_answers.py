"""The emulator's answers to API commands are those of a real switch, word for word, as captured from one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eslcodec._ctext import to_text
from eslcodec.emulator._api import default_answers
from eslcodec.emulator._switch import Switch

ANSWERS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "api_answers.json").read_text())
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
BEFORE = {
    "global_getvar site": ["global_setvar site=Zürich 1"],
    "eval ${site} $${nothing}": ["global_setvar site=Zürich 1"],
    "db select/r/k": ["db insert/r/k/v"],
    "sched_del grp": ["sched_api @2 grp log notice every two"],
    "sched_del {a}": ["sched_hangup +30 {a}"],
    "load mod_hash": [],
    "uuid_getvar {a} crm_name": ["uuid_setvar {a} crm_name Ærøskøbing 100% sure"],
    "uuid_transfer {a} -bleg 2559972 XML public": ["uuid_bridge {a} {b}"],
    "uuid_transfer {a} -both park inline": ["uuid_bridge {a} {b}"],
    "uuid_dual_transfer {a} 2897670/XML/public 2763510/XML/public": ["uuid_bridge {a} {b}"],
    **{
        f"uuid_record {{a}} {action} {{a}}.wav": ["uuid_record {a} start {a}.wav"]
        for action in ("mask", "unmask", "stop")
    },
}
"""What the switch was told before, in the capture too."""


def answer(switch: Switch, command: str) -> str:
    """What a connection is answered; what takes time has passed."""
    word, _, args = command.partition(" ")
    outputs: list[bytes] = []
    switch.run_api(word, args, False, outputs.append)
    return to_text(outputs[0]) or "-ERR no reply\n"


def with_calls() -> tuple[Switch, str, str]:
    """A switch with two answered calls, and their ids."""
    switch = Switch(answers=default_answers, later=lambda seconds, call: call() if seconds < 1 else None)
    switch.calls.endpoints["sofia/*"] = "answer"
    switch.tables["gateways"] = [{"name": "carrier"}]
    switch.calls.dialplan.update(dict.fromkeys(("2559972", "2897670", "2763510", "lot_705", "park"), "park"))
    switch.calls.dialplan["tonehang"] = "park"
    switch.calls.endpoints["loopback/hangup_USER_BUSY/*"] = "busy"
    made = [answer(switch, f"originate sofia/internal/{number}@h &park()") for number in (1, 2)]
    first, second = (text.removeprefix("+OK ").rstrip("\n") for text in made)
    return switch, first, second


@pytest.mark.parametrize("entry", ANSWERS, ids=lambda entry: f"{entry['capture']}: {entry['command']}"[:70])
def test_the_answer_is_that_of_a_real_switch(entry: dict[str, Any]) -> None:
    switch, first, second = with_calls()

    def filled(text: str) -> str:
        return text.replace("{a}", first).replace("{b}", second)

    for command in BEFORE.get(entry["command"], []):
        answer(switch, filled(command))
    if entry["command"].startswith("show channels"):
        answer(switch, "hupall")
    got, expected = answer(switch, filled(entry["command"])), filled(entry["answer"])
    if "{new}" in expected:
        got, expected = UUID.sub("{new}", got), UUID.sub("{new}", expected)
    if entry["command"].startswith("sched_api"):
        got, expected = NUMBER.sub("0", got), NUMBER.sub("0", expected)
    if "differs" in entry:
        got, expected = _worded(got), _worded(expected)
    assert got == expected


def _worded(text: str) -> str:
    """An answer without what is each switch's own: its version, its name, numbers."""
    text = re.sub(r"Version [^\n]*?(\) is ready|\n)", r"Version V\1", text)
    text = re.sub(r"\b(second|minute|hour|millisecond|microsecond)s\b", r"\1", text)
    return "name" if re.fullmatch(r"[\w.]+", text) else NUMBER.sub("0", text)


def test_the_guide_names_every_command_and_what_is_said_of_it_holds() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "testing.md").read_text(encoding="utf-8")
    table = guide[guide.index("### The commands it has") : guide.index("## Jobs in any order")]
    rows = {
        row.split("|")[1].strip(): set(re.findall(r"`(\w+)`", row)) for row in table.splitlines() if row[:3] == "| a"
    }
    assert set().union(*rows.values()) == set(Switch(answers=default_answers).api)
    captured = {entry["command"].split(" ")[0] for entry in ANSWERS if "differs" not in entry}
    assert rows["as captured"] == captured & set(Switch(answers=default_answers).api)
    assert f"compares {len(ANSWERS)} of them" in table
