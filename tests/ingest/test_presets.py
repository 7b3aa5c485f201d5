"""Columns by purpose, and the JSON Schemas of lines: the headers are those that a switch sends."""

from __future__ import annotations

import json
import typing
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest
from legs_support import Script, check
from support import DATA, captured, part

KINDS = {"string", "dictionary", "int64", "float64", "timestamp", "bool", "list", "binary", "json"}
PSEUDO = {"@body", "@json", "@id", "@received", "@offset", "@switch"}
NAMES = ("EVENTS", "LEGS", "REGISTRATIONS", "AGENTS", "MEMBERS", "GATEWAYS")
WHERE = {
    "EVENTS": ("calls_sip",),
    "LEGS": ("calls_sip", "conference", "restart_recover_after"),
    "REGISTRATIONS": ("registrations",),
    "AGENTS": ("callcenter",),
    "MEMBERS": ("conference",),
    "GATEWAYS": ("registrations",),
}
NOT_IN_THE_CAPTURES = {  # in them nobody calls through a gateway or by Verto, no caller is a directory user
    "EVENTS": {"Job-UUID"},
    "LEGS": {
        "variable_domain_name",
        "variable_sip_gateway",
        "variable_sip_gateway_name",
        "variable_verto_hangup_disposition",
    },
}


def presets(esl: ModuleType) -> Any:
    return part(esl, "ingest").presets


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_spec_of_columns(esl: ModuleType, name: str) -> None:
    preset = getattr(presets(esl), name)
    assert (preset.name, preset.schema_version) == (name.lower(), 1)
    assert len(preset) == len(set(preset)) == len(dict(preset)) > 5
    for column, (header, kind) in preset.items():
        assert column == column.lower()
        assert column.isidentifier()
        assert kind in KINDS
        assert not header.startswith("@") or header in PSEUDO
    assert repr(preset) == f"<Preset {name.lower()}, version 1, {len(preset)} columns>"


@pytest.mark.parametrize("name", NAMES)
def test_the_headers_are_those_that_a_switch_sends(esl: ModuleType, name: str) -> None:
    preset = getattr(presets(esl), name)
    seen: set[str] = set()
    wanted = {header for header, _ in preset.values()}
    for capture in WHERE[name]:
        for event in captured(esl, capture):
            if not isinstance(event, esl.Event):
                continue
            named = event.name if event.subclass is None else f"CUSTOM {event.subclass}"
            if preset.events is None or named in preset.events:
                seen |= wanted & set(event.asdict())
    assert wanted - seen - PSEUDO == NOT_IN_THE_CAPTURES.get(name, set())


def test_events_are_named_as_in_a_subscription(esl: ModuleType) -> None:
    subclasses = {word.removeprefix("CUSTOM ") for name in NAMES for word in getattr(presets(esl), name).events or ()}
    ours = part(esl, "presets")
    known = {*ours.CALLS, *ours.REGISTRATIONS, *ours.GATEWAYS, *ours.CALLCENTER, *ours.CONFERENCE}
    assert subclasses < known


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_has_the_columns_of_its_versions(esl: ModuleType, name: str) -> None:
    """One more is a greater version, and a list more in the file. None goes away or gets another header or kind."""
    preset = getattr(presets(esl), name)
    versions = json.loads((DATA / "presets.json").read_text("utf-8"))[name]
    assert preset.schema_version == len(versions)
    assert [[column, *preset[column]] for column in preset] == sorted(
        (column for version in versions for column in version), key=lambda column: list(preset).index(column[0])
    )


# JSON Schemas


def schemas(esl: ModuleType) -> Any:
    return {name: presets(esl).json_schema(name) for name in ("event", "leg", "call", "notice")}


@pytest.mark.parametrize("name", ["event", "leg", "call"])
def test_lines_are_as_their_schemas_say(esl: ModuleType, name: str) -> None:
    ingest = part(esl, "ingest")
    known = schemas(esl)
    checked = 0
    for capture in ("restart_recover_before", "restart_recover_after", "conference"):
        messages = [message for message in captured(esl, capture) if isinstance(message, esl.Event)]
        rows = {
            "event": lambda messages=messages: messages,
            "leg": lambda messages=messages: ingest.legs(messages, columns={"user": "variable_sip_from_user"}),
            "call": lambda messages=messages: ingest.calls(messages),
        }
        for row in rows[name]():
            check(json.loads(row.to_json()), known[name], known)
            checked += 1
    assert checked > 20


def test_a_schema_refuses_what_is_no_line(esl: ModuleType) -> None:
    known = schemas(esl)
    (call,) = part(esl, "ingest").calls(Script(esl).talk("a", "b").after(1).end("a", "b").events)
    row = json.loads(call.to_json())
    for place, wrong in ("status", "x"), ("created", "yesterday"), ("transfers", "1"), ("legs", []), ("uuid", None):
        with pytest.raises(AssertionError):
            check(row | {place: wrong}, known["call"], known)
    for missing in row:
        with pytest.raises(AssertionError):
            check({name: value for name, value in row.items() if name != missing}, known["call"], known)
    with pytest.raises(AssertionError):
        check(row | {"legs": [row["legs"][0] | {"q850": "16"}]}, known["call"], known)


@pytest.mark.parametrize("name", ["leg", "call"])
def test_a_schema_has_the_columns_of_its_row(esl: ModuleType, name: str) -> None:
    row = getattr(part(esl, "ingest"), name.title())
    properties = presets(esl).json_schema(name)["properties"]
    hints = {column: hint for column, hint in typing.get_type_hints(row).items() if column != "own"}
    assert list(properties) == list(hints) == presets(esl).json_schema(name)["required"]
    words = {str: "string", int: "integer", float: "number", datetime: "string", type(None): "null"}
    for column, hint in hints.items():
        if "enum" in properties[column] or typing.get_origin(hint) is tuple:
            continue
        kinds = [words[kind] for kind in typing.get_args(hint) or (hint,)]
        assert properties[column]["type"] == (kinds if len(kinds) > 1 else kinds[0]), column
        assert (properties[column].get("format") == "date-time") == (datetime in typing.get_args(hint)), column


def test_there_are_four_schemas(esl: ModuleType) -> None:
    with pytest.raises(ValueError, match="'row'"):
        presets(esl).json_schema("row")
    names = {"event.json", "leg.json", "call.json", "notice.json"}
    assert {schema["$id"] for schema in schemas(esl).values()} == names
