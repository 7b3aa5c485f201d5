# Generated from eslcodec/aio/_verbs.py: run tools/async_to_sync.py, and change nothing here.

"""The commands of a client, a method each: its name, what it takes, what it returns. Both clients have the same ones:
tools/async_to_sync.py makes the blocking file. How a command is sent and waited for is in `_client.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from .._words import check_names, tell_silence
from ..commands import Headers
from ..connection import Connection, Reply, Wait, variable
from ..enums import HangupCause, LogLevel
from ..errors import ConnectionClosed
from ..events import CommandReply
from ..subscriptions import Subscriptions
from ._job import Job
from ._link import Link

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._options import ExecuteOptions

P = ParamSpec("P")
T = TypeVar("T")


class Verbs:
    """The commands that both kinds of client have."""

    _command_timeout: float

    if TYPE_CHECKING:  # what `Client` has

        @property
        def subscriptions(self) -> Subscriptions: ...

        def _now(self) -> float:
            """The time by the clock that timeouts are counted with."""

        def _issue(
            self,
            timeout: float | None,
            command: Callable[Concatenate[Connection, P], T],
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> tuple[Link, T]:
            """Send a command: the link that took it, and what the connection returned."""

    def send(self, command: bytes | str, *, timeout: float | None = None) -> Reply:
        """Any command as it goes over the wire, whose blank line may be missing; its reply, whatever it says."""
        return self._ask(timeout, Connection.send, command)

    def pipeline(self, commands: Iterable[bytes | str], *, timeout: float | None = None) -> list[Reply]:
        """Many commands at once, as `send` takes them; their replies in the same order.

        Nothing is sent if one of them is invalid. There may be any number: sending and reading go on side by side.

        Args:
            commands: the commands.
            timeout: see `Client`; it is for all of them together.
        """
        since = self._now()
        link, waits = self._issue(timeout, Connection.pipeline, commands)
        replies: list[Reply] = []
        try:
            for wait in waits:
                replies.append(link.outcome(wait, self._limit(wait, timeout), since))
        except ConnectionClosed as error:
            error.maybe_done = error.maybe_done or bool(replies)
            raise
        return replies

    def api(
        self, command: str, args: str = "", *, console_execute: bool = False, timeout: float | None = None
    ) -> Reply:
        """`api`: run an API command; what it puts out is data, `-ERR` too. The connection is busy until it returns.

        Args:
            command: its name, or the whole line.
            args: its arguments.
            console_execute: run it through the console interpreter: aliases, several commands between `;;`.
            timeout: see `Client`.

        Returns:
            An `ApiResponse`; a `CommandReply` if the switch refuses the command as such.
        """
        return self._ask(timeout, Connection.api, command, args, console_execute=console_execute)

    def bgapi(self, command: str, args: str = "", *, job_uuid: str | None = None, timeout: float | None = None) -> Job:
        """`bgapi`: run an API command in the background.

        The event that tells the result is subscribed to with the first job; it is among `events` only if you asked for
        BACKGROUND_JOB too.

        Args:
            command: its name, or the whole line.
            args: its arguments.
            job_uuid: its Job-UUID; a new one by default.
            timeout: for the switch to accept it, see `Client`; the result has a timeout of its own.

        Raises:
            CommandError: the switch refused it.
        """
        since = self._now()
        link, (accepted, result) = self._issue(timeout, Connection.bgapi, command, args, job_uuid=job_uuid)
        reply = link.outcome(accepted, self._limit(accepted, timeout), since)
        return Job(reply.job_uuid or job_uuid or "", link, result)

    def subscribe(
        self,
        *names: str,
        custom: Sequence[str] = (),
        format: str | None = None,
        unknown: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """`event`: subscribe, in addition to what is subscribed to.

        This is for the whole switch, on the connection of a call too: `subscribe("DTMF")` brings the digits of every
        call. For its own channel use `myevents`, `dtmf` of a `Call`, or `filter("Unique-ID", call.uuid)`.

        Args:
            names: of events, such as "CHANNEL_ANSWER" or "ALL".
            custom: subclasses of CUSTOM.
            format: "plain", "json" or "xml" for all events from now on; None leaves it.
            unknown: whether names that FreeSWITCH 1.11 does not have are meant. Else one that is a known name misspelt
                raises, and any other is sent and logged once.
            timeout: see `Client`.

        Raises:
            InvalidCommand: no name of an event, or a known one misspelt.
        """
        check_names(names, unknown)
        return self._ask(timeout, Connection.subscribe, *names, custom=custom, format=format)

    def unsubscribe(self, *names: str, custom: Sequence[str] = (), timeout: float | None = None) -> CommandReply:
        """`nixevent`: unsubscribe from these.

        After `subscribe("ALL")` it does more: whatever name is given, CUSTOM events with a subclass stop coming, except
        those whose subclass a module of the switch had registered when ALL was asked for (not those of `sendevent`, nor
        of modules loaded later). What has to stay must be named: `subscribe(custom=[...])`.
        """
        return self._ask(timeout, Connection.unsubscribe, *names, custom=custom)

    def noevents(self, *, timeout: float | None = None) -> CommandReply:
        """`noevents`: no events any more."""
        return self._ask(timeout, Connection.noevents)

    def myevents(
        self, uuid: str | None = None, *, format: str | None = None, timeout: float | None = None
    ) -> CommandReply:
        """`myevents`: events of the connection's channel; inbound, of the channel `uuid`, which it then controls."""
        return self._ask(timeout, Connection.myevents, uuid, format=format)

    def divert_events(self, on: bool = True, *, timeout: float | None = None) -> CommandReply:
        """`divert_events`: what a script's input callback would get comes here."""
        return self._ask(timeout, Connection.divert_events, on)

    def filter(self, header: str, value: str, *, timeout: float | None = None) -> CommandReply:
        """`filter add`: of the events subscribed to only those that match a filter, any of them.

        Args:
            header: the header that is compared.
            value: its value ignoring case, `/regex/`, or `-value` for what must not come. With only such ones nothing
                comes at all, which is logged once.
            timeout: see `Client`.
        """
        reply = self._ask(timeout, Connection.filter, header, value)
        tell_silence(self.subscriptions)
        return reply

    def filter_delete(
        self, header: str = "all", value: str | None = None, *, timeout: float | None = None
    ) -> CommandReply:
        """`filter delete`: remove the filters on a header, one of them, or all."""
        reply = self._ask(timeout, Connection.filter_delete, header, value)
        tell_silence(self.subscriptions)
        return reply

    def sendevent(
        self,
        name: str,
        headers: Headers = (),
        body: bytes | str = b"",
        *,
        subclass: str | None = None,
        unknown: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendevent`: fire an event in the switch.

        Args:
            name: of the event. One that the switch does not know goes to listeners of CUSTOM, without a subclass.
            headers, body, subclass: see `commands.sendevent`.
            unknown: whether a name that FreeSWITCH 1.11 does not have is meant. Else one that is a known name misspelt
                raises, and any other is sent and logged once.
            timeout: see `Client`.

        Raises:
            InvalidCommand: what cannot be sent, or a known name misspelt.
        """
        check_names([name], unknown)
        return self._ask(timeout, Connection.sendevent, name, headers, body, subclass=subclass)

    def sendmsg(
        self,
        call_command: str,
        headers: Headers = (),
        body: bytes | str = b"",
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendmsg`: any message to a channel, the connection's own or `uuid`; see `commands.sendmsg`."""
        return self._ask(timeout, Connection.sendmsg, call_command, headers, body, uuid=uuid)

    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply:
        """Run a dialplan application on a channel, the connection's own or `uuid`; see `commands.execute`."""
        return self._ask(timeout, lambda connection: connection.execute(application, argument, uuid=uuid, **options))

    def hangup(
        self,
        cause: str | HangupCause = HangupCause.NORMAL_CLEARING,
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """Hang up a channel, the connection's own or `uuid`."""
        return self._ask(timeout, Connection.hangup, cause, uuid=uuid)

    def nomedia(self, nomedia_uuid: str, *, uuid: str | None = None, timeout: float | None = None) -> CommandReply:
        """`sendmsg` / `nomedia`: take the switch out of the media path of a channel.

        Args:
            nomedia_uuid: that channel.
            uuid: the channel that the message goes to; None for the connection's own.
            timeout: see `Client`.
        """
        return self._ask(timeout, Connection.nomedia, nomedia_uuid, uuid=uuid)

    def unicast(
        self,
        *,
        local_ip: str = "127.0.0.1",
        local_port: int = 8025,
        remote_ip: str = "127.0.0.1",
        remote_port: int = 8026,
        transport: str = "udp",
        flags: str = "",
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendmsg` / `unicast`: send a channel's audio to a socket and take audio from it.

        Args:
            local_ip, local_port: the switch's end.
            remote_ip, remote_port: the other end.
            transport: "udp" or "tcp".
            flags: "native" for no transcoding.
            uuid: the channel; None for the connection's own.
            timeout: see `Client`.
        """
        return self._ask(
            timeout,
            Connection.unicast,
            local_ip=local_ip,
            local_port=local_port,
            remote_ip=remote_ip,
            remote_port=remote_port,
            transport=transport,
            flags=flags,
            uuid=uuid,
        )

    def xferext(
        self, applications: Iterable[tuple[str, str]], *, uuid: str | None = None, timeout: float | None = None
    ) -> CommandReply:
        """`sendmsg` / `xferext`: have a channel run applications, each with its data, as a new extension.

        Args:
            applications: name and data ("" for none), one at least.
            uuid: the channel; None for the connection's own.
            timeout: see `Client`.

        Example:
            >>> from eslcodec import sync
            >>> from eslcodec.emulator import Emulator
            >>> def redirect(call):
            ...     call.xferext([("answer", ""), ("hangup", "USER_BUSY")])
            >>> def main(switch):
            ...     with sync.serve(redirect) as server:
            ...         call = switch.dial("127.0.0.1", server.port)
            ...         return call.wait(), call.executed
            >>> with Emulator() as switch:
            ...     main(switch)
            ('USER_BUSY', [('answer', ''), ('hangup', 'USER_BUSY')])
        """
        return self._ask(timeout, Connection.xferext, applications, uuid=uuid)

    def log(self, level: str | int | LogLevel | None = None, *, timeout: float | None = None) -> CommandReply:
        """`log`: the switch's log lines down to a level, debug if there is none; read them with `messages`."""
        return self._ask(timeout, Connection.log, level)

    def nolog(self, *, timeout: float | None = None) -> CommandReply:
        """`nolog`: no log lines any more."""
        return self._ask(timeout, Connection.nolog)

    def linger(self, seconds: int | None = None, *, timeout: float | None = None) -> CommandReply:
        """`linger`: keep the connection after the channel's end, for some seconds or until it is closed."""
        return self._ask(timeout, Connection.linger, seconds)

    def nolinger(self, *, timeout: float | None = None) -> CommandReply:
        """`nolinger`: close the connection when the channel ends."""
        return self._ask(timeout, Connection.nolinger)

    def getvar(self, name: str, *, timeout: float | None = None) -> str | None:
        """A variable of the connection's own channel, None if it is unset.

        Where all commands are permitted it is asked for by `uuid_getvar`, so that any value arrives whole. On a
        single-channel socket, and after the hang-up, `getvar` itself has to do: the switch cuts its values at 511
        bytes, and one with line ends, or with `~` in front, breaks its reply; see `connection.Connection.getvar`.
        """
        return variable(self._ask(timeout, Connection.getvar, name))

    def resume(self, *, timeout: float | None = None) -> CommandReply:
        """`resume`: go on in the dialplan when this connection closes. An answered call does so without being told.

        Raises:
            InvalidCommand: on a static socket, where the dialplan goes on without it, and with it the channel would be
                stuck for ever.
        """
        return self._ask(timeout, Connection.resume)

    def exit(self, *, timeout: float | None = None) -> CommandReply:
        """`exit`: ask the switch to say good-bye and close. Nothing connects again after it."""
        return self._ask(timeout, Connection.exit)

    def _ask(
        self,
        timeout: float | None,
        command: Callable[Concatenate[Connection, P], Wait[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Send a command and wait for its answer."""
        since = self._now()
        link, wait = self._issue(timeout, command, *args, **kwargs)
        return link.outcome(wait, self._limit(wait, timeout), since)

    def _limit(self, wait: Wait[Any], timeout: float | None) -> float:
        if timeout is None:
            return math.inf if wait.patient else self._command_timeout
        return timeout
