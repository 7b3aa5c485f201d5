"""What every part of an emulated switch stands on: time, ids, events and the connections that get them.

It has no sockets, threads or timers of its own: `later` comes from its owner.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from email.utils import formatdate
from enum import Enum
from typing import Final, Literal

from .._json import Field, joined
from ..events import Event
from ..headers import HeaderList
from ._events import SwitchEvent
from ._model import Connected

QUEUE_LIMIT: Final = 100_000
"""Events, and log lines, that wait for a connection before they are lost."""

# Where the real switch fires its events; clients look at the function at most.
_ORIGINS: Final = {
    "parse_command": ("mod_event_socket.c", "2283"),
    "api_exec": ("mod_event_socket.c", "1580"),
    "switch_core_session_exec": ("switch_core_session.c", "2949"),
    "switch_channel_dequeue_dtmf": ("switch_channel.c", "678"),
    "switch_channel_perform_hangup": ("switch_channel.c", "3447"),
    "switch_channel_perform_mark_answered": ("switch_channel.c", "3881"),
    "switch_core_session_reporting_state": ("switch_core_state_machine.c", "943"),
    "switch_core_session_outgoing_channel": ("switch_core_session.c", "768"),
    "switch_core_session_run": ("switch_core_state_machine.c", "626"),
    "switch_core_session_perform_destroy": ("switch_core_session.c", "1588"),
    "switch_channel_perform_set_running_state": ("switch_channel.c", "2409"),
    "switch_channel_perform_set_callstate": ("switch_channel.c", "302"),
    "switch_channel_perform_mark_ring_ready_value": ("switch_channel.c", "3507"),
    "switch_channel_perform_mark_pre_answered": ("switch_channel.c", "3541"),
    "switch_channel_flip_cid": ("switch_channel.c", "3280"),
    "switch_ivr_multi_threaded_bridge": ("switch_ivr_bridge.c", "1689"),
    "uuid_bridge_on_soft_execute": ("switch_ivr_bridge.c", "1144"),
    "sofia_receive_message": ("mod_sofia.c", "2133"),
    "switch_ivr_park": ("switch_ivr.c", "1000"),
}


def new_uuid(_kind: str) -> str:
    """A random id, whatever it is for."""
    return str(uuid.uuid4())


class _Pace(Enum):
    RUNNING = "events are given out as they are fired"
    FROZEN = "the switch stands still, and holds them"
    CATCHING_UP = "what was held is being given out"


class Core:
    """Time, ids, events, and the connections that get them.

    Args:
        queue_limit: events, and log lines, that wait for one connection before they are lost.
        later: calls a function after some seconds; nothing that takes time ever ends without one.
        clock: seconds since 1970 for the dates in events.
        make_uuid: a new id; its argument says what for: "core", "job", "event", "application", "channel".
        core_headers: the headers that the switch puts into each event, by event name and the function that fires it;
            the first must be `Event-Name`.

    Attributes:
        unexpected: what was asked for that the switch does not have, a sentence each, once.
    """

    def __init__(
        self,
        *,
        queue_limit: int = QUEUE_LIMIT,
        later: Callable[[float, Callable[[], None]], object] = lambda _seconds, _call: None,
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[str], str] = new_uuid,
        core_headers: Callable[[str, str], Iterable[Field]] | None = None,
    ) -> None:
        self.queue_limit = queue_limit
        self.later = later
        self.clock = clock
        self.make_uuid = make_uuid
        self.headers = core_headers or self._headers
        self.uuid = make_uuid("core")
        self.started = clock()
        self.subclasses: set[str] = set()
        self.connections: list[Connected] = []
        self.errors: list[BaseException] = []
        self.unexpected: list[str] = []
        self._sequence = 0
        self._pace = _Pace.RUNNING
        self._held: deque[Callable[[], None]] = deque()

    def unknown(self, kind: Literal["api", "applications"], name: str) -> None:
        """Something was asked for that the switch does not have; a strict emulator fails its test for it.

        Args:
            kind: where a test would put it: `switch.api` or `switch.applications`.
            name: of the API command or of the dialplan application.

        Example:
            >>> core = Core()
            >>> core.unknown("api", "lua")
            >>> print(core.unexpected[0])
            no API command 'lua' is emulated: say switch.api['lua'] = ..., with None if it is meant to be missing
        """
        what = "API command" if kind == "api" else "application"
        sentence = (
            f"no {what} {name!r} is emulated: say switch.{kind}[{name!r}] = ..., with None if it is meant to be missing"
        )
        if sentence not in self.unexpected:
            self.unexpected.append(sentence)

    # Events

    def _headers(self, name: str, function: str) -> Iterable[Field]:
        now = self.clock()
        self._sequence += 1
        file, line = _ORIGINS.get(function, ("switch_core.c", "1"))
        return [
            ("Event-Name", name),
            ("Core-UUID", self.uuid),
            ("FreeSWITCH-Hostname", "emulator"),
            ("FreeSWITCH-Switchname", "emulator"),
            ("FreeSWITCH-IPv4", "127.0.0.1"),
            ("FreeSWITCH-IPv6", "::1"),
            ("Event-Date-Local", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))),
            ("Event-Date-GMT", formatdate(now, usegmt=True)),
            ("Event-Date-Timestamp", str(int(now * 1_000_000))),
            ("Event-Calling-File", file),
            ("Event-Calling-Function", function),
            ("Event-Calling-Line-Number", line),
            ("Event-Sequence", str(self._sequence)),
        ]

    def event(
        self,
        name: str,
        fields: Iterable[Field] = (),
        body: bytes | None = None,
        *,
        function: str = "fire",
    ) -> SwitchEvent:
        """An event with the core headers; a CUSTOM one's `Event-Subclass` is its subclass, and comes first."""
        rest = list(fields)
        subclass = None
        if name == "CUSTOM":
            subclass = next((joined(value) for key, value in rest if key.lower() == "event-subclass"), None)
        top: list[Field] = []
        if subclass is not None:
            top = [("Event-Subclass", subclass)]
            rest = [(key, value) for key, value in rest if key.lower() != "event-subclass"]
            self.subclasses.add(subclass)
        return SwitchEvent(name, HeaderList([*top, *self.headers(name, function), *rest], body), subclass)

    def wrap(self, event: Event) -> SwitchEvent:
        """A ready-made event; the core headers are added if it has none of them."""
        name = event.name or "CUSTOM"
        fields = event._fields()
        if "Core-UUID" not in event:
            return self.event(name, [item for item in fields if item[0] != "Event-Name"], event.body)
        return SwitchEvent(name, HeaderList(fields, event.body), event.subclass if name == "CUSTOM" else None)

    def fire(self, event: SwitchEvent) -> None:
        """Give an event to every connection that wants it."""
        self._give(lambda connection: connection.offer(event))

    def log(self, level: int, line: bytes) -> None:
        """Give a `log/data` frame to every connection that wants log lines of its level."""
        self._give(lambda connection: connection.offer_log(level, line))

    def _give(self, offer: Callable[[Connected], None]) -> None:
        def give() -> None:
            for connection in list(self.connections):
                offer(connection)

        self.in_turn(give)

    # Connections

    def connect(self, connection: Connected) -> None:
        """A connection gets events from now on."""
        self.connections.append(connection)

    def disconnect(self, connection: Connected) -> None:
        """A connection has ended, or has never begun."""
        if connection in self.connections:
            self.connections.remove(connection)

    # Standing still

    @property
    def frozen(self) -> bool:
        """Whether the switch stands still."""
        return self._pace is _Pace.FROZEN

    @property
    def catching_up(self) -> bool:
        """Whether what it held back is being queued."""
        return self._pace is _Pace.CATCHING_UP

    def in_turn(self, call: Callable[[], None]) -> None:
        """Do something that connections see: now, or after what is held because the switch stands still."""
        if self.frozen or self._held:
            self._held.append(call)
        else:
            call()

    def freeze(self) -> None:
        """Hold back what connections would see."""
        self._pace = _Pace.FROZEN

    def thaw(self) -> None:
        """Go on; what is held waits for `catch_up`."""
        self._pace = _Pace.RUNNING

    def catch_up(self) -> None:
        """Do all that was held, at once as a switch does. Nothing of it is lost.

        What a switch holds back waits in its dispatch queue, ten thousand events for each of the threads that hand them
        on, and the queue of a connection that kept up has room for ten times as many. `queue_limit` may be much
        smaller than what was held, so that does not count.
        """
        if self.frozen:
            return
        self._pace = _Pace.CATCHING_UP
        try:
            while self._held and not self.frozen:
                self._held.popleft()()
        finally:
            if self.catching_up:
                self._pace = _Pace.RUNNING

    def forget_held(self) -> None:
        """Discard what is held, since the switch ends."""
        self._held.clear()
