# Generated from eslcodec/aio/_operator_verbs.py: run tools/async_to_sync.py, and change nothing here.

"""What an operator does with a switch: call somebody and wait for the answer, look at its tables, steer a channel.

Each is an API command whose arguments are quoted as the switch reads them; `dialing` and `tables` say how.
tools/async_to_sync.py makes the blocking file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, overload

from .. import _uuid_api, tables
from .._options import check_seconds
from ..commands import _rest, _word
from ..connection import Connection, variable
from ..dialing import Leg, Originated, Variable, originate_arguments
from ..enums import HangupCause
from ..errors import CommandError, InvalidCommand
from ..events import ApiResponse, Event
from ._job import Job
from ._verbs import Verbs


class OperatorVerbs(Verbs):
    """The verbs of an operator, which every client has."""

    @overload
    def originate(
        self,
        targets: str | Leg | Sequence[str | Leg],
        *,
        application: str | None = None,
        argument: str = "",
        extension: str | None = None,
        variables: Mapping[str, Variable] | None = None,
        timeout: int | None = None,
        caller_id_name: str | None = None,
        caller_id_number: str | None = None,
        together: bool = True,
        wait: Literal["answer", "job"] = "answer",
        patience: float | None = None,
        reply_timeout: float | None = None,
    ) -> Originated: ...
    @overload
    def originate(
        self,
        targets: str | Leg | Sequence[str | Leg],
        *,
        application: str | None = None,
        argument: str = "",
        extension: str | None = None,
        variables: Mapping[str, Variable] | None = None,
        timeout: int | None = None,
        caller_id_name: str | None = None,
        caller_id_number: str | None = None,
        together: bool = True,
        wait: Literal[False],
        patience: float | None = None,
        reply_timeout: float | None = None,
    ) -> Job: ...
    def originate(
        self,
        targets: str | Leg | Sequence[str | Leg],
        *,
        application: str | None = None,
        argument: str = "",
        extension: str | None = None,
        variables: Mapping[str, Variable] | None = None,
        timeout: int | None = None,
        caller_id_name: str | None = None,
        caller_id_number: str | None = None,
        together: bool = True,
        wait: Literal["answer", "job", False] = "answer",
        patience: float | None = None,
        reply_timeout: float | None = None,
    ) -> Originated | Job:
        """Call somebody, and wait until they answer, or until it is known that they do not.

        Whatever stands in a value arrives in the switch as it is, or raises `InvalidCommand` before anything is sent.

        Args:
            targets: such as "user/1000", or several; a `dialing.Leg` has variables of its own, a `dialing.DialString`
                is written in the switch's own syntax.
            application: what the answered channel runs, such as "park".
            argument: of the application; the switch expands `${...}` in it, as in the dialplan.
            extension: instead: where the answered channel goes, such as "1000 XML default".
            variables: of the channels that are called.
            timeout: seconds that it may ring; None is the switch's own limit of 60.
            caller_id_name, caller_id_number: what who is called sees.
            together: several targets at the same time; else one after the other.
            wait: "answer": for the answer. The events that tell it are subscribed to with the first call, for the whole
                switch; they are among `events` only if you asked for them too. "job": for the command only, which ends
                at early media too, so that the reason is "connected" then. False: for nothing, and a `Job` is returned.
            patience: seconds to wait for the outcome at most; None for as long as the connection lasts. The switch goes
                on calling.
            reply_timeout: for the switch to accept the command, the `timeout` of other commands.

        Returns:
            An `Originated`, which is true if the call was answered. Or a `Job`.

        Raises:
            InvalidCommand: something cannot be expressed; or the answer is to be waited for on a connection that gets
                one channel's events only: after `myevents`, which a `Call` sends when it waits for an application.
            CommandError: the switch refused the command: this is no call that failed.
            CommandTimeout: nothing is known within `patience`.
            ConnectionClosed: the connection ended meanwhile; a reconnection does not go on waiting. The call may go on
                (`maybe_done`).

        Example:
            >>> from eslcodec import sync
            >>> from eslcodec.emulator import Emulator
            >>> def main(port):
            ...     with sync.connect("127.0.0.1", port) as fs:
            ...         made = fs.originate("error/USER_BUSY", application="park", variables={"note": "a, b"})
            ...         return made.reason, made.cause
            >>> with Emulator() as switch:
            ...     switch.api["originate"] = lambda args: "-ERR USER_BUSY\\n"
            ...     main(switch.port)
            ('busy', 'USER_BUSY')
        """
        if wait not in ("answer", "job", False):
            raise InvalidCommand(f"wait is {wait!r:.80}, expected 'answer', 'job' or False")
        arguments = originate_arguments(
            targets,
            application=application,
            argument=argument,
            extension=extension,
            variables=variables,
            timeout=timeout,
            caller_id_name=caller_id_name,
            caller_id_number=caller_id_number,
            together=together,
        )
        limit = math.inf if patience is None else patience
        check_seconds("patience", limit)  # before a phone rings
        if wait != "answer":
            job = self.bgapi("originate", arguments, timeout=reply_timeout)
            return Originated.of((job.result(limit)).text) if wait else job
        since = self._now()
        link, (accepted, outcome) = self._issue(reply_timeout, Connection.originate, arguments)
        link.outcome(accepted, self._limit(accepted, reply_timeout), since)
        return link.outcome(outcome, limit)

    def show(self, what: str, *, like: str | None = None, timeout: float | None = None) -> list[tables.Row]:
        """`show`: one of the switch's tables, a dict for each row.

        Args:
            what: "channels", "calls", "detailed_calls", "bridged_calls", "detailed_bridged_calls", "registrations",
                "modules", "interfaces", "interface_types", "application", "api", "codec", "dialplan", "endpoint",
                "file", "timer", "chat", "say", "management", "limits", "aliases", "complete", "nat_map", "tasks"; with
                one name more for those that take one ("application park", "modules mod_sofia").
            like: of "channels" only those in which the switch finds this text.
            timeout: see `Client`.

        Raises:
            CommandError: the switch knows no such table, or has none.
            MalformedTable: what came is not the table, or not whole.

        Example:
            >>> from eslcodec import sync
            >>> from eslcodec.emulator import Emulator
            >>> def main(port):
            ...     with sync.connect("127.0.0.1", port) as fs:
            ...         return fs.show("channels")
            >>> with Emulator() as switch:
            ...     main(switch.port)
            []
        """
        words = _rest("the table", what).split(" ")
        if not all(words) or len(words) > 2 or words[0].lower() in ("status", "help") or words[-1].lower() == "count":
            raise InvalidCommand(f"the table is {what!r:.80}, expected the name of one, such as 'channels'")
        if like is not None:
            if words != ["channels"]:
                raise InvalidCommand("like is for 'channels'")
            words += ["like", _uuid_api.word("the text", like)]
        text = self._api_text("show", " ".join([*words, "as", "json"]), timeout)
        return tables.show(text)

    def count(self, what: str, *, timeout: float | None = None) -> int:
        """`show ... count`: how many rows "channels", "calls" or "registrations" has.

        Example:
            >>> from eslcodec import sync
            >>> from eslcodec.emulator import Emulator
            >>> def main(port):
            ...     with sync.connect("127.0.0.1", port) as fs:
            ...         return fs.count("channels")
            >>> with Emulator() as switch:
            ...     switch.api["show"] = lambda args: "\\n3 total.\\n"
            ...     main(switch.port)
            3
        """
        if what not in ("channels", "calls", "registrations"):
            raise InvalidCommand(f"the table is {what!r:.80}, expected 'channels', 'calls' or 'registrations'")
        return tables.total(self._api_text("show", f"{what} count", timeout))

    def table(self, command: str, *, timeout: float | None = None) -> list[tables.Row]:
        """Any API command that puts out a table as text, a dict for each row; `eslcodec.tables` reads it.

        Args:
            command: such as "callcenter_config queue list", "list_users", "sofia status", "sofia xmlstatus",
                "sofia status profile internal reg", "conference list", "show calls as delim ;".
            timeout: see `Client`.

        Raises:
            CommandError: the switch refused it.
            MalformedTable: what came is not the table, or not whole.

        Example:
            >>> from eslcodec import sync
            >>> from eslcodec.emulator import Emulator
            >>> def main(port):
            ...     with sync.connect("127.0.0.1", port) as fs:
            ...         return fs.table("callcenter_config queue list")
            >>> with Emulator() as switch:
            ...     switch.api["callcenter_config"] = lambda args: "name|strategy\\nsupport|ring-all\\n+OK\\n"
            ...     main(switch.port)
            [{'name': 'support', 'strategy': 'ring-all'}]
        """
        name, _, args = _rest("the command", command).partition(" ")
        return tables.read(command, self._api_text(name, args, timeout))

    def uuid(self, uuid: str) -> UuidVerbs:
        """A channel of the switch, to steer it: `uuid_kill`, `uuid_transfer`, ...

        Args:
            uuid: its `Unique-ID`. Whether there is one is not asked; `exists` does.

        Example:
            >>> from eslcodec import sync
            >>> from eslcodec.emulator import Emulator
            >>> def main(port):
            ...     with sync.connect("127.0.0.1", port) as fs:
            ...         return fs.uuid("8f08a03a").exists()
            >>> with Emulator() as switch:
            ...     main(switch.port)
            False
        """
        return UuidVerbs(self, uuid)

    def _api_text(self, command: str, args: str, timeout: float | None) -> str:
        """What an API command puts out."""
        reply = self.api(command, args, timeout=timeout)
        if not isinstance(reply, ApiResponse):
            raise CommandError(reply.text)
        return reply.text


class UuidVerbs:
    """One channel of the switch, by its uuid, whoever controls it; `Client.uuid` makes it.

    A method sends an API command and returns its output, or nothing where that is only `+OK`. All take `timeout`, see
    `Client`, and raise CommandError if the switch refuses, above all because there is no such channel; InvalidCommand
    if an argument cannot be expressed.

    Attributes:
        uuid: the channel's `Unique-ID`.

    Example:
        >>> from eslcodec import CommandError
        >>> from eslcodec import sync
        >>> from eslcodec.emulator import Emulator
        >>> def main(port):
        ...     with sync.connect("127.0.0.1", port) as fs:
        ...         try:
        ...             fs.uuid("8f08a03a").kill("USER_BUSY")
        ...         except CommandError as error:
        ...             return str(error)
        >>> with Emulator() as switch:
        ...     main(switch.port)
        '-ERR No such channel!'
    """

    def __init__(self, client: OperatorVerbs, uuid: str) -> None:
        self.uuid = _uuid_api.channel(uuid)
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uuid}>"

    def kill(self, cause: str | HangupCause = HangupCause.NORMAL_CLEARING, *, timeout: float | None = None) -> None:
        """`uuid_kill`: hang it up."""
        self._do("uuid_kill", f"{self.uuid} {_uuid_api.cause(cause)}", timeout)

    def exists(self, *, timeout: float | None = None) -> bool:
        """`uuid_exists`: whether the switch has such a channel."""
        return self._do("uuid_exists", self.uuid, timeout) == "true"

    def answer(self, *, timeout: float | None = None) -> None:
        """`uuid_answer`: answer it."""
        self._do("uuid_answer", self.uuid, timeout)

    def pre_answer(self, *, timeout: float | None = None) -> None:
        """`uuid_pre_answer`: open early media."""
        self._do("uuid_pre_answer", self.uuid, timeout)

    def park(self, *, timeout: float | None = None) -> None:
        """`uuid_park`: park it; who it was bridged to is hung up, or parked too if it is to be."""
        self._do("uuid_park", self.uuid, timeout)

    def bridge(self, other: str | UuidVerbs, *, timeout: float | None = None) -> None:
        """`uuid_bridge`: connect it with another channel."""
        uuid = other.uuid if isinstance(other, UuidVerbs) else _uuid_api.channel(other)
        self._do("uuid_bridge", f"{self.uuid} {uuid}", timeout)

    def transfer(
        self,
        destination: str,
        dialplan: str | None = None,
        context: str | None = None,
        *,
        leg: Literal["bleg", "both"] | None = None,
        timeout: float | None = None,
    ) -> None:
        """`uuid_transfer`: send it to an extension.

        Args:
            destination: the extension.
            dialplan, context: None for the channel's own.
            leg: "bleg": the channel that it is bridged to instead; "both": both.
            timeout: see `Client`.
        """
        words = _uuid_api.extension(destination, dialplan, context, leg)
        self._do("uuid_transfer", f"{self.uuid} {words}", timeout)

    def hold(self, on: bool = True, *, toggle: bool = False, timeout: float | None = None) -> None:
        """`uuid_hold`: hold it, or no longer; `toggle`: whichever it is not."""
        option = "toggle " if toggle else "" if on else "off "
        self._do("uuid_hold", f"{option}{self.uuid}", timeout)

    def media(self, on: bool = True, *, timeout: float | None = None) -> None:
        """`uuid_media`: have its media go through the switch, or past it."""
        self._do("uuid_media", f"{'' if on else 'off '}{self.uuid}", timeout)

    def broadcast(
        self,
        what: str,
        argument: str | None = None,
        *,
        leg: Literal["aleg", "bleg", "both", "holdb"] = "aleg",
        timeout: float | None = None,
    ) -> None:
        """`uuid_broadcast`: play a file to it, or run an application on it.

        Args:
            what: a file; with an argument the name of an application. In a file's name too the switch expands `${...}`.
            argument: of the application; "" for one that takes none. The switch expands `${...}` in it.
            leg: who hears it: the channel, the one it is bridged to, both, or the channel while the other is held.
            timeout: see `Client`.
        """
        self._do("uuid_broadcast", f"{self.uuid} {_uuid_api.broadcast(what, argument, leg)}", timeout)

    def break_(self, *, everything: bool = False, timeout: float | None = None) -> None:
        """`uuid_break`: end what is being played to it; `everything`: and what waits to be."""
        self._do("uuid_break", f"{self.uuid}{' all' if everything else ''}", timeout)

    def record(self, path: str, *, limit: int | None = None, timeout: float | None = None) -> None:
        """`uuid_record ... start`: record it into a file, for `limit` seconds at most."""
        words = f"start {_uuid_api.word('the path', path)}"
        if limit is not None:
            words += f" {_uuid_api.seconds('the limit', limit)}"
        self._do("uuid_record", f"{self.uuid} {words}", timeout)

    def stop_record(self, path: str = "all", *, timeout: float | None = None) -> None:
        """`uuid_record ... stop`: end the recording into this file, or all."""
        self._do("uuid_record", f"{self.uuid} stop {_uuid_api.word('the path', path)}", timeout)

    def send_dtmf(self, digits: str, *, timeout: float | None = None) -> None:
        """`uuid_send_dtmf`: send digits to it; `w` is a pause of half a second, `W` of a whole."""
        self._do("uuid_send_dtmf", f"{self.uuid} {_uuid_api.digits(digits)}", timeout)

    def recv_dtmf(self, digits: str, *, timeout: float | None = None) -> None:
        """`uuid_recv_dtmf`: as if it had sent digits."""
        self._do("uuid_recv_dtmf", f"{self.uuid} {_uuid_api.digits(digits)}", timeout)

    def deflect(self, target: str, *, timeout: float | None = None) -> str:
        """`uuid_deflect`: have its phone call somebody else (SIP REFER), such as "sip:100@10.0.0.2"; the answer."""
        return self._do("uuid_deflect", f"{self.uuid} {_uuid_api.rest('the target', target)}", timeout)

    def display(self, name: str, number: str = "", *, timeout: float | None = None) -> None:
        """`uuid_display`: what its phone shows: a name, a number."""
        self._do("uuid_display", f"{self.uuid} {_uuid_api.display(name, number)}", timeout)

    def setvar(self, name: str, value: Variable | None, *, timeout: float | None = None) -> None:
        """`uuid_setvar`: set a variable; None, or an empty text, unsets it."""
        self._do("uuid_setvar", f"{self.uuid} {_uuid_api.variable(name, value)}", timeout)

    def setvar_multi(self, variables: Mapping[str, Variable], *, timeout: float | None = None) -> None:
        """`uuid_setvar_multi`: set several variables at once."""
        self._do("uuid_setvar_multi", f"{self.uuid} {_uuid_api.several(variables)}", timeout)

    def getvar(self, name: str, *, timeout: float | None = None) -> str | None:
        """`uuid_getvar`: a variable, None if it is unset."""
        args = f"{self.uuid} {_uuid_api.variable(_word('the name', name), None)}"
        reply = self._client.api("uuid_getvar", args, timeout=timeout)
        if not isinstance(reply, ApiResponse) or reply.text == "-ERR No such channel!\n":
            raise CommandError(reply.text)
        return variable(reply)

    def dump(self, *, timeout: float | None = None) -> dict[str, str]:
        """`uuid_dump`: everything that the switch knows of it, by the names that its events have."""
        text = self._do("uuid_dump", f"{self.uuid} json", timeout)
        event = Event.from_payload(text.encode("utf-8", "surrogateescape"), "json")
        if event.malformed is not None:
            raise event.malformed
        return event.asdict()

    def _do(self, command: str, args: str, timeout: float | None) -> str:
        reply = self._client.api(command, args, timeout=timeout)
        if not isinstance(reply, ApiResponse):
            raise CommandError(reply.text)
        return reply.check().text
