"""The commands of a connection, one method each; `Connection` has them from here.

A verb builds the command (commands.py), puts it into the pipeline, and says what an +OK changes on our side. What needs
more than that is done by the part that it is about: `Needs` for filters and for events of our own, `Jobs`, `Channel`.
A new command begins here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import commands
from ._block import one_command
from ._channel import Channel
from ._ctext import described
from ._dials import Dials
from ._jobs import Jobs
from ._needs import Needs
from ._options import ExecuteOptions
from ._pipeline import Pipeline
from .dialing import Originated
from .enums import HangupCause, LogLevel
from .errors import InvalidCommand
from .events import CommandReply, DisconnectNotice, Event, JobResult
from .subscriptions import Subscriptions, event_name
from .waits import Reply, Wait

if TYPE_CHECKING:
    from typing_extensions import Unpack

PROBE = commands.filter_delete("Eslcodec-Probe")  # answered in every mode, permitted to everybody, and changes nothing


class Verbs:
    """What can be asked of a switch, and what is known by its answers.

    Args:
        subscriptions: what to ask for after login; it is kept up to date.
    """

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._pipeline = Pipeline()
        self._needs = Needs(self._pipeline, subscriptions)
        self._jobs = Jobs(self._pipeline, self._needs)
        self._dials = Dials(self._pipeline, self._needs, self._jobs)
        self._channel = Channel(self._pipeline, self._needs)
        self._leaving = False  # whether we asked for the end

    # What is known

    @property
    def subscriptions(self) -> Subscriptions:
        """What was asked for and granted."""
        return self._subscriptions

    @property
    def logged_in(self) -> bool:
        """Whether the login was accepted."""
        return self._pipeline.is_open

    @property
    def asked(self) -> int:
        """How many commands were begun. An exception from outside may interrupt one, and leave it half done."""
        return self._pipeline.asked

    @property
    def listens(self) -> bool:
        """Whether something was asked for that makes events or log lines come."""
        return self._pipeline.listens

    @property
    def watcher_count(self) -> int:
        """How many wait for something at the moment."""
        return self._pipeline.watchers.count

    @property
    def channel(self) -> str | None:
        """Uuid of the channel it controls: outbound, or after `myevents(uuid)`; None if there is none."""
        return self._channel.uuid

    @property
    def mode(self) -> str | None:
        """`Socket-Mode` of an outbound connection: "async", or "static" where an application ends before its reply."""
        return self._channel.mode

    @property
    def control(self) -> str | None:
        """`Control` of an outbound connection: "full", or "single-channel" where most commands are refused."""
        return self._channel.control

    @property
    def lingering(self) -> DisconnectNotice | None:
        """The notice that the channel is gone and the connection stays, None before."""
        return self._channel.lingering

    @property
    def hung_up(self) -> str | None:
        """Why the channel hung up, as in `Hangup-Cause`, None as long as nothing that was received says that it did.

        "UNKNOWN" if it did and its events do not come here (`myevents`, or an awaited execution, enables them), until
        one says why.
        """
        return self._channel.hung_up

    @property
    def digits(self) -> deque[str]:
        """What the channel's caller has typed since `dtmf`, oldest first (`limits.DIGITS` at most).

        Whoever reads takes them out with `popleft`.
        """
        return self._channel.digits

    # Commands

    def send(self, command: bytes | str) -> Wait[Reply]:
        """Any command, as it goes over the wire. Its effect in the switch is not noted in `subscriptions`.

        Args:
            command: one command block, with its body if it has one; the blank line after it may be missing.

        Returns:
            Its reply, whatever it says.

        Raises:
            ConnectionClosed: the connection has ended (all commands raise it; or the error that ended it).
            InvalidCommand: it is not one command.
        """
        return self._send_block(one_command(command))

    def pipeline(self, commands: Iterable[bytes | str]) -> list[Wait[Reply]]:
        """Many commands as `send` takes them; none goes out unless all can."""
        return [self._send_block(block) for block in [one_command(command) for command in commands]]

    def _send_block(self, block: bytes) -> Wait[Reply]:
        is_api = block[:4].lower() == b"api "
        wait = self._pipeline.send(block, described(block), must_be_ok=False, is_api=is_api)
        self._leaving = self._leaving or block[:4].lower() == b"exit"
        return wait

    def api(self, command: str, args: str = "", *, console_execute: bool = False) -> Wait[Reply]:
        """`api`. The reply is data, `-ERR` too; a CommandReply if the switch refuses the command as such."""
        block = commands.api(command, args, console_execute=console_execute)
        return self._pipeline.send(block, described(block), must_be_ok=False, is_api=True)

    def bgapi(
        self, command: str, args: str = "", *, job_uuid: str | None = None
    ) -> tuple[Wait[CommandReply], Wait[JobResult]]:
        """`bgapi`: the reply, and the result when the job is done."""
        return self._jobs.begin(command, args, job_uuid)

    def originate(self, arguments: str) -> tuple[Wait[CommandReply], Wait[Originated]]:
        """`bgapi originate`: the reply, and what the call comes to: answered, or why not.

        The events that tell it are subscribed to with the first one; they reach `queue` only if the user asked for them
        too.
        """
        return self._dials.begin(arguments)

    def subscribe(self, *names: str, custom: Sequence[str] = (), format: str | None = None) -> Wait[CommandReply]:
        """`event`, in addition to what is subscribed to."""
        wanted = [*names, "CUSTOM"] if custom else names

        def granted(reply: Reply) -> None:
            self._subscriptions.add(wanted, custom, format)

        def refused(reply: Reply) -> None:  # of unknown names the format takes effect all the same
            self._subscriptions.format = format or self._subscriptions.format

        return self._pipeline.command(commands.event(*names, custom=custom, format=format), granted, refused)

    def unsubscribe(self, *names: str, custom: Sequence[str] = ()) -> Wait[CommandReply]:
        """`nixevent`. What jobs and executions need goes on coming, but no longer reaches `queue`."""
        commands.nixevent(*names, custom=custom)  # checks them all
        told = [name for name in names if event_name(name) not in self._needs.names]
        self._pipeline.asked += 1
        self._needs.hide()

        def granted(reply: Reply) -> None:
            self._subscriptions.remove([*names, "CUSTOM"] if custom else names, custom)

        wait = self._pipeline.command(commands.nixevent(*told, custom=custom) if told or custom else PROBE, granted)
        if "ALL" in map(event_name, names):
            self._needs.ask_again()
        return wait

    def noevents(self) -> Wait[CommandReply]:
        """`noevents`. Jobs and executions keep their events, except those of the moment in between."""
        wait = self._pipeline.command(commands.noevents(), lambda reply: self._subscriptions.clear())
        self._needs.ask_again()
        return wait

    def myevents(self, uuid: str | None = None, *, format: str | None = None) -> Wait[CommandReply]:
        """`myevents`: of the connection's own channel, or inbound of the channel `uuid`."""
        if self._needs.my_events is not None and uuid is None:
            return self._needs.share_my_events(self._needs.my_events, format)

        def granted(reply: Reply) -> None:
            self._subscriptions.channel = uuid or ""
            self._subscriptions.format = format or self._subscriptions.format
            self._channel.uuid = uuid or self._channel.uuid

        def refused(reply: Reply) -> None:
            self._needs.my_events = None

        wait = self._pipeline.command(commands.myevents(uuid, format=format), granted, refused)
        if uuid is None:
            self._needs.my_events = wait
        return wait

    def divert_events(self, on: bool = True) -> Wait[CommandReply]:
        """`divert_events`."""
        return self._pipeline.command(commands.divert_events(on))

    def filter(self, header: str, value: str) -> Wait[CommandReply]:
        """`filter add`."""
        return self._needs.add_filter(header, value)

    def filter_delete(self, header: str = "all", value: str | None = None) -> Wait[CommandReply]:
        """`filter delete`."""
        return self._needs.delete_filter(header, value)

    def sendevent(
        self,
        name: str,
        headers: commands.Headers = (),
        body: bytes | str = b"",
        *,
        subclass: str | None = None,
    ) -> Wait[CommandReply]:
        """`sendevent`; the reply's text is `+OK` and the event's uuid."""
        return self._pipeline.command(commands.sendevent(name, headers, body, subclass=subclass))

    def sendmsg(
        self, call_command: str, headers: commands.Headers = (), body: bytes | str = b"", *, uuid: str | None = None
    ) -> Wait[CommandReply]:
        """`sendmsg`.

        Raises:
            ChannelEnded: it is for the connection's own channel, and that has hung up (`execute`, `run`, `hangup` too).
        """
        return self._channel.message(commands.sendmsg(call_command, headers, body, uuid=uuid))

    def execute(
        self, application: str, argument: str = "", *, uuid: str | None = None, **options: Unpack[ExecuteOptions]
    ) -> Wait[CommandReply]:
        """`sendmsg` / `execute`; options as `commands.execute` takes them.

        The reply says that the application was accepted; on a static socket it comes when the application has ended.
        """
        block = commands.execute(application, argument, uuid=uuid, **options)
        return self._channel.message(block, waits=not options.get("run_async"))

    def run(
        self, application: str, argument: str = "", *, uuid: str | None = None, **options: Unpack[ExecuteOptions]
    ) -> tuple[Wait[CommandReply], Wait[Event]]:
        """`execute` on the connection's own channel, and its CHANNEL_EXECUTE_COMPLETE.

        The channel's events are enabled with the first one (`myevents`) if they are not yet; they reach `queue` only
        if the user asked for them too. With `loops` it is the end of the first round.

        If the channel hangs up first, or meanwhile, the second wait fails with ChannelEnded, whose `complete` is the
        event if it came. For the application `hangup` that is no error: the second wait gets the event.

        Raises:
            ChannelEnded: the channel has hung up.
            InvalidCommand: the connection controls no channel.
        """
        return self._channel.run(application, argument, uuid=uuid, **options)

    def dtmf(self) -> None:
        """From now on collect the digits of the connection's own channel in `digits`.

        The channel's events are enabled (`myevents`) if they are not yet; they reach `queue` only if the user asked for
        them too.

        Raises:
            InvalidCommand: the connection controls no channel.
        """
        self._channel.collect_digits()

    def digit(self) -> Wait[bool]:
        """`dtmf`, and wait: True once there is something in `digits`, False if none will come, because the channel has
        hung up or the connection has ended well."""
        return self._channel.digit()

    def hangup(
        self, cause: str | HangupCause = HangupCause.NORMAL_CLEARING, *, uuid: str | None = None
    ) -> Wait[CommandReply]:
        """`sendmsg` / `hangup`."""
        return self._channel.message(commands.hangup(cause, uuid=uuid), waits=False)

    def nomedia(self, nomedia_uuid: str, *, uuid: str | None = None) -> Wait[CommandReply]:
        """`sendmsg` / `nomedia`."""
        return self._channel.message(commands.nomedia(nomedia_uuid, uuid=uuid), waits=False)

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
    ) -> Wait[CommandReply]:
        """`sendmsg` / `unicast`."""
        block = commands.unicast(
            local_ip=local_ip,
            local_port=local_port,
            remote_ip=remote_ip,
            remote_port=remote_port,
            transport=transport,
            flags=flags,
            uuid=uuid,
        )
        return self._channel.message(block, waits=False)

    def xferext(self, applications: Iterable[tuple[str, str]], *, uuid: str | None = None) -> Wait[CommandReply]:
        """`sendmsg` / `xferext`."""
        return self._channel.message(commands.xferext(applications, uuid=uuid), waits=False)

    def log(self, level: str | int | LogLevel | None = None) -> Wait[CommandReply]:
        """`log`: the switch's log lines, into `queue`."""

        def granted(reply: Reply) -> None:
            self._subscriptions.log_level = LogLevel.DEBUG if level is None else level

        return self._pipeline.command(commands.log(level), granted)

    def nolog(self) -> Wait[CommandReply]:
        """`nolog`."""

        def granted(reply: Reply) -> None:
            self._subscriptions.log_level = None

        return self._pipeline.command(commands.nolog(), granted)

    def linger(self, seconds: int | None = None) -> Wait[CommandReply]:
        """`linger`."""
        return self._pipeline.command(commands.linger(seconds))

    def nolinger(self) -> Wait[CommandReply]:
        """`nolinger`."""
        return self._pipeline.command(commands.nolinger())

    def connect(self) -> Wait[CommandReply]:
        """`connect`, once more: the channel's data as it is now."""
        return self._pipeline.command(commands.connect(), self._channel.look_at)

    def getvar(self, name: str) -> Wait[Reply]:
        """A variable of the connection's own channel; `variable` takes the value from the reply.

        The switch sends what `getvar` asks for as it is: cut at 511 bytes, broken by line ends, and a value that begins
        with `~`, which a caller may choose, has no end (docs/protocol/observed.md, 27). So where all commands are
        permitted the value comes by `api uuid_getvar`, whatever it is. What remains for `getvar` itself is a
        single-channel socket, a channel that has hung up, and a name that is not a word: there such a value makes this
        fail with a ProtocolError, and ends the connection too if other replies are due. With a value that begins with
        `~` that is noticed only when the switch sends something more.
        """
        return self._channel.getvar(name)

    def resume(self) -> Wait[CommandReply]:
        """`resume`: the dialplan goes on when the connection closes.

        Raises:
            InvalidCommand: the socket is static. Its dialplan goes on without `resume`. With it the switch would put
                the channel into CS_RESET when the connection closes, and leave it there for ever.
        """
        if self._channel.mode == "static":
            raise InvalidCommand(
                "resume on a static socket would leave the channel in CS_RESET for ever, expected an async one: "
                "after a static socket the dialplan goes on when the connection closes"
            )
        return self._pipeline.command(commands.resume())

    def exit(self) -> Wait[CommandReply]:
        """`exit`: the switch answers, says good-bye and closes; that end is one we asked for."""
        wait = self._pipeline.command(commands.exit())
        self._leaving = True
        return wait
