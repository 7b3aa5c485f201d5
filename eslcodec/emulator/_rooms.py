"""Conferences of an emulated switch: who is in them, and what is told of it as `conference::maintenance`."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final

from .._json import Field
from ._channels import Channels
from ._core import Core
from ._digits import Given, Gone, Instead, Wait
from ._model import Session

SUBCLASS: Final = "conference::maintenance"


@dataclass
class _Room:
    name: str
    profile: str
    uuid: str
    last: int = 0
    members: dict[int, Session] = field(default_factory=dict)


class Rooms:
    """The conferences, and the application `conference`.

    Args:
        core: what the switch stands on.
        channels: whose callers are in them.
    """

    def __init__(self, core: Core, channels: Channels) -> None:
        self._core = core
        self._channels = channels
        self._rooms: dict[str, _Room] = {}
        core.subclasses.add(SUBCLASS)

    def conference(self, session: Session, data: str) -> Generator[Wait, Given, None]:
        """`conference`: <name>[@<profile>][+<pin>][+flags{...}]; it ends when the caller hangs up or is broken off."""
        match = re.fullmatch(r"([^@+]*)(?:@([^+]*))?(?:\+(?!flags\{)[^+]*)?(?:\+flags\{(.*)\})?", data, re.DOTALL)
        if match is None or not match[1]:
            return
        room = self._room(match[1], match[2] or "default")
        flags = set(re.split(r"[|,]", match[3] or ""))
        room.last += 1
        number = room.last
        room.members[number] = session
        self._set(session, room, number, flags)
        self._tell(room, "add-member", number, flags)
        if len(room.members) == 1:
            self._tell(room, "floor-change", number, flags, ("Old-ID", "none"), ("New-ID", str(number)))
        try:
            while (given := (yield Wait(None))) is not Instead.BREAK:
                if isinstance(given, str):
                    self._tell(room, "dtmf-member", number, flags, ("DTMF-Key", given))
        except Gone:
            self._leave(room, number, flags)
            raise
        self._leave(room, number, flags)

    def _room(self, name: str, profile: str) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(name, profile, self._core.make_uuid("conference"))
            self._fire(room, [("Action", "conference-create")], "conference_new")
        return room

    def _leave(self, room: _Room, number: int, flags: set[str]) -> None:
        session = room.members.pop(number)
        self._tell(room, "del-member", number, flags, session=session)
        if not room.members:
            self._core.later(0, lambda: self._close(room))

    def _close(self, room: _Room) -> None:
        if not room.members and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._fire(room, [("Action", "conference-destroy")], "conference_thread_run")

    @staticmethod
    def _set(session: Session, room: _Room, number: int, flags: set[str]) -> None:
        session.set("conference_name", room.name)
        session.set("conference_member_id", str(number))
        session.set("conference_moderator", "true" if "moderator" in flags else "false")
        session.set("conference_ghost", "false")
        session.set("conference_uuid", room.uuid)

    def _tell(
        self, room: _Room, action: str, number: int, flags: set[str], *more: Field, session: Session | None = None
    ) -> None:
        member = session or room.members[number]
        floor = next(iter(room.members), None) == number and action != "add-member"
        fields: list[Field] = [
            ("Floor", "true" if floor else "false"),
            *member.fields(variables=False),
            ("Video", "false"),
            ("Hear", "false" if "deaf" in flags else "true"),
            ("See", "true"),
            ("Speak", "false" if "mute" in flags else "true"),
            ("Talking", "false"),
            ("Mute-Detect", "false"),
            ("Hold", "false"),
            ("Member-ID", str(number)),
            ("Member-Type", "moderator" if "moderator" in flags else "member"),
            ("Member-Ghost", "false"),
            ("Energy-Level", "100"),
            ("Current-Energy", "0"),
            ("Action", action),
            *more,
        ]
        self._fire(room, fields, f"conference_member_{'add' if action == 'add-member' else 'del'}")

    def _fire(self, room: _Room, fields: list[Field], function: str) -> None:
        head: list[Field] = [
            ("Event-Subclass", SUBCLASS),
            ("Conference-Name", room.name),
            ("Conference-Domain", "emulator"),
            ("Conference-Size", str(len(room.members))),
            ("Conference-Ghosts", "0"),
            ("Conference-Profile-Name", room.profile),
            ("Conference-Unique-ID", room.uuid),
        ]
        self._core.fire(self._core.event("CUSTOM", [*head, *fields], function=function))
