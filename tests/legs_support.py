"""What the tests of legs and calls share: streams written by hand, and a small reader of JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
START = 1_795_920_738_000_000  # microseconds


def at(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


class Script:
    """A stream of events, told as a story: who calls whom, and what becomes of it."""

    def __init__(self, esl: Any) -> None:
        self.esl = esl
        self.core = "core-1"
        self.switch = "pbx1"
        self.now = START
        self.sequence = 0
        self.events: list[Any] = []
        self.legs: dict[str, dict[str, Any]] = {}
        self.before: Any = None  # the latest event, which a gap knows

    def after(self, seconds: float) -> Script:
        self.now += int(seconds * 1_000_000)
        return self

    def event(self, name: str, uuid: str | None = None, **more: Any) -> Script:
        self.sequence += 1
        headers = {
            "Core-UUID": self.core,
            "FreeSWITCH-Hostname": f"host-of-{self.switch}",
            "FreeSWITCH-Switchname": self.switch,
            "Event-Date-Timestamp": self.now,
            "Event-Sequence": self.sequence,
        }
        if uuid is not None:
            headers |= {"Unique-ID": uuid, **self.legs[uuid]}
        headers |= {header.replace("__", "-"): value for header, value in more.items()}
        self.before = self.esl.Event.build(
            name, {header: value for header, value in headers.items() if value is not None}
        )
        self.events.append(self.before)
        return self

    def create(
        self, uuid: str, caller: str, callee: str, by: str | None = None, direction: str | None = None
    ) -> Script:
        self.legs[uuid] = {
            "Call-Direction": direction or ("inbound" if by is None else "outbound"),
            "Channel-Name": f"sofia/internal/{callee}",
            "Caller-Caller-ID-Number": caller,
            "Caller-Destination-Number": callee,
            "Caller-Context": "public",
            "Caller-Channel-Created-Time": self.now,
            "Caller-Channel-Answered-Time": 0,
            "Caller-Channel-Hangup-Time": 0,
        }
        if by is not None:
            self.legs[uuid] |= {"Other-Type": "originator", "Other-Leg-Unique-ID": by}
        return self.event("CHANNEL_CREATE", uuid)

    def answer(self, *uuids: str) -> Script:
        for uuid in uuids:
            self.legs[uuid]["Caller-Channel-Answered-Time"] = self.now
            self.event("CHANNEL_ANSWER", uuid)
        return self

    def bridge(self, a: str, b: str) -> Script:
        for uuid, other, kind in (a, b, "originatee"), (b, a, "originator"):
            if uuid in self.legs:
                self.legs[uuid] |= {
                    "Other-Type": kind,
                    "Other-Leg-Unique-ID": other,
                    "Caller-Channel-Bridged-Time": self.now,
                }
        return self.event("CHANNEL_BRIDGE", a, **{"Bridge__A__Unique__ID": a, "Bridge__B__Unique__ID": b})

    def unbridge(self, a: str, b: str) -> Script:
        return self.event("CHANNEL_UNBRIDGE", a, **{"Bridge__A__Unique__ID": a, "Bridge__B__Unique__ID": b})

    def hang_up(self, uuid: str, disposition: str | None = None, cause: str = "NORMAL_CLEARING") -> Script:
        self.legs[uuid] |= {"Hangup-Cause": cause, "variable_sip_hangup_disposition": disposition}
        self.event("CHANNEL_HANGUP", uuid)
        self.legs[uuid]["Caller-Channel-Hangup-Time"] = self.now
        return self

    def complete(self, *uuids: str) -> Script:
        for uuid in uuids:
            self.event("CHANNEL_HANGUP_COMPLETE", uuid)
            self.event("CHANNEL_DESTROY", uuid)
        return self

    def end(self, first: str, *others: str) -> Script:
        """The first hangs up; the switch hangs up the others."""
        self.hang_up(first, "recv_bye")
        for uuid in others:
            self.hang_up(uuid, "send_bye")
        return self.complete(first, *others)

    def talk(self, a: str, b: str, caller: str = "1000", callee: str = "2000") -> Script:
        """Somebody calls somebody, who answers after two seconds."""
        self.create(a, caller, callee).after(0.1).create(b, caller, callee, by=a)
        return self.after(1.9).answer(b, a).bridge(a, b)

    def rename(self, old: str, new: str) -> Script:
        self.legs[new] = self.legs.pop(old)
        return self.event("CHANNEL_UUID", new, **{"Old__Unique__ID": old})

    def restart(self, core: str = "core-2") -> Script:
        self.core = core
        return self.event("HEARTBEAT")

    def recover(self, *uuids: str) -> Script:
        for uuid in uuids:
            self.legs[uuid] |= {"Caller-Channel-Created-Time": self.now, "variable_recovered": "true"}
            self.event("CHANNEL_CREATE", uuid, **{"Other__Leg__Unique__ID": None, "Other__Type": None})
        return self

    def beat(self, seconds: float) -> Script:
        return self.after(seconds).event("HEARTBEAT")

    def gap(self, seconds: float = 1.0, known: bool = True) -> Script:
        self.events.append(self.esl.Gap.of(seconds, "gone", self.before if known else None))
        return self


def by_uuid(legs: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for leg in legs:
        assert leg.uuid not in found, "two rows"
        found[leg.uuid] = leg
    return found


KINDS = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
KEYWORDS = {
    *("$schema", "$id", "$ref", "title", "description", "type", "enum", "pattern", "format", "items", "minItems"),
    *("properties", "required", "additionalProperties", "oneOf", "const"),
}


def check(value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any], place: str = "$") -> None:
    """Assert that a value is as a JSON Schema says: the keywords that ours have, and no others."""
    assert set(schema) <= KEYWORDS, place
    if "$ref" in schema:
        check(value, schemas[schema["$ref"].removesuffix(".json")], schemas, place)
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        assert any(KINDS[kind](value) for kind in kinds), (place, value)
    if "oneOf" in schema:
        check_one(value, schema["oneOf"], schemas, place)
    if "const" in schema:
        assert value == schema["const"], place
    if "enum" in schema:
        assert value in schema["enum"], place
    if "pattern" in schema and isinstance(value, str):
        assert re.search(schema["pattern"], value), place
    if schema.get("format") == "date-time" and value is not None:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value), place
    if isinstance(value, list):
        assert len(value) >= schema.get("minItems", 0), place
        for number, item in enumerate(value):
            check(item, schema.get("items", {}), schemas, f"{place}[{number}]")
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), place
        rest = schema.get("additionalProperties", True)
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, rest)
            assert inner is not False, (place, name)
            check(item, {} if inner is True else inner, schemas, f"{place}.{name}")


def check_one(value: Any, choices: Iterable[Mapping[str, Any]], schemas: Mapping[str, Any], place: str) -> None:
    """Assert that a value is as one of several schemas says, and as no other."""
    fitting = 0
    for choice in choices:
        with suppress(AssertionError):
            check(value, choice, schemas, place)
            fitting += 1
    assert fitting == 1, place
