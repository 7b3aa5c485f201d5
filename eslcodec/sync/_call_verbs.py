# Generated from eslcodec/aio/_call_verbs.py: run tools/async_to_sync.py, and change nothing here.

"""What is known of a call, and the applications that have a method. Both calls have the same ones:
tools/async_to_sync.py makes the blocking file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from .. import ivr
from ..connection import Connection
from ..dialing import Targets
from ..events import CommandReply, Event
from ._client import Client

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._options import ExecuteOptions


class CallVerbs(Client):
    """The methods that both kinds of call have."""

    if TYPE_CHECKING:  # what `Call` has
        data: Event

    @property
    def uuid(self) -> str | None:  # type: ignore[override]  # of a client it makes channels by their uuid
        """The channel's `Unique-ID`."""
        return self.connection.channel

    @property
    def mode(self) -> str | None:
        """`Socket-Mode`: "async" or "static"."""
        return self.connection.mode

    @property
    def control(self) -> str | None:
        """`Control`: "full", or "single-channel" where `event`, `api`, `bgapi`, `log`, `linger` are refused."""
        return self.connection.control

    def connect(self, *, timeout: float | None = None) -> Event:
        """The channel's data as it is now; in `data` too."""
        self.data = channel_data(self._ask(timeout, Connection.connect))
        return self.data

    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        wait: Literal[False] = False,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply: ...
    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: Literal[True],
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> Event: ...
    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: bool,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event: ...
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event:
        """Run a dialplan application on the channel.

        Args:
            application: its name.
            argument: its data.
            uuid: another channel, whose executions cannot be waited for here.
            wait: until it has ended: its CHANNEL_EXECUTE_COMPLETE is returned, found by its Application-UUID.
            timeout: seconds for the reply, or with `wait` for the end.
            options: as `commands.execute` takes them.

        Raises:
            CommandError: the switch refused it.
            ChannelEnded: the channel has hung up, or with `wait` does so before it ends; then `complete` is its
                CHANNEL_EXECUTE_COMPLETE, if that came. A hang-up by the application `hangup` itself is no error.
        """
        if not wait:
            return super().execute(application, argument, uuid=uuid, timeout=timeout, **options)
        since = self._now()
        link, (accepted, ended) = self._issue(
            timeout, lambda connection: connection.run(application, argument, uuid=uuid, **options)
        )
        link.outcome(accepted, self._limit(accepted, timeout), since)
        return link.outcome(ended, self._limit(ended, timeout), since)

    @overload
    def answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Answer the call."""
        return self.execute("answer", wait=wait, timeout=timeout)

    @overload
    def pre_answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def pre_answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def pre_answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def pre_answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send early media."""
        return self.execute("pre_answer", wait=wait, timeout=timeout)

    @overload
    def ring_ready(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def ring_ready(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def ring_ready(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def ring_ready(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Say that it rings."""
        return self.execute("ring_ready", wait=wait, timeout=timeout)

    @overload
    def playback(self, path: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def playback(self, path: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def playback(self, path: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def playback(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Play a file, or what else `playback` takes, to the caller."""
        return self.execute("playback", path, wait=wait, timeout=timeout)

    @overload
    def record(
        self,
        path: str,
        *,
        limit: float | None = None,
        silence_threshold: int | None = None,
        silence_hits: int | None = None,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    def record(
        self,
        path: str,
        *,
        limit: float | None = None,
        silence_threshold: int | None = None,
        silence_hits: int | None = None,
        wait: Literal[True],
        timeout: float | None = None,
    ) -> Event: ...
    @overload
    def record(
        self,
        path: str,
        *,
        limit: float | None = None,
        silence_threshold: int | None = None,
        silence_hits: int | None = None,
        wait: bool,
        timeout: float | None = None,
    ) -> CommandReply | Event: ...
    def record(
        self,
        path: str,
        *,
        limit: float | None = None,
        silence_threshold: int | None = None,
        silence_hits: int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> CommandReply | Event:
        """Record the caller, until a key of `playback_terminators` (`*`), a limit, or the hang-up.

        `Recorded.of` reads from what `wait=True` returns how long it is. If the switch cannot write the file, it hangs
        the call up.

        Args:
            path: of the file. Without limits it is all of the argument, in which the switch also takes the limits that
                stand after it, as in "/tmp/a.wav 60 200 5"; with one, it is the path alone, blanks and all.
            limit: seconds it may take.
            silence_threshold: the energy below which it is silent.
            silence_hits: how many silent moments in a row end it.
            wait, timeout: as of `execute`.
        """
        argument = ivr.record(path, limit, silence_threshold, silence_hits)
        return self.execute("record", argument, wait=wait, timeout=timeout)

    @overload
    def bridge(
        self,
        destination: Targets,
        *,
        together: bool = True,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    def bridge(
        self, destination: Targets, *, together: bool = True, wait: Literal[True], timeout: float | None = None
    ) -> Event: ...
    @overload
    def bridge(
        self, destination: Targets, *, together: bool = True, wait: bool, timeout: float | None = None
    ) -> CommandReply | Event: ...
    def bridge(
        self, destination: Targets, *, together: bool = True, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Connect the call to somebody. `dial` does so too, and says what came of it.

        Args:
            destination: a dial string as the switch reads it, or several targets, quoted as the switch reads them.
            together: all at the same time (`,`); else one after the other until one answers (`|`).
            wait, timeout: as of `execute`.
        """
        return self.execute("bridge", ivr.bridge(destination, together), wait=wait, timeout=timeout)

    @overload
    def set(
        self, name: str, value: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    def set(self, name: str, value: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def set(self, name: str, value: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def set(self, name: str, value: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Set a channel variable."""
        return self.execute("set", f"{name}={value}", wait=wait, timeout=timeout)

    @overload
    def unset(self, name: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def unset(self, name: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def unset(self, name: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def unset(self, name: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Unset a channel variable."""
        return self.execute("unset", name, wait=wait, timeout=timeout)

    @overload
    def sleep(
        self, milliseconds: int, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    def sleep(self, milliseconds: int, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def sleep(self, milliseconds: int, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def sleep(self, milliseconds: int, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Let the channel do nothing for a while."""
        return self.execute("sleep", str(milliseconds), wait=wait, timeout=timeout)

    @overload
    def park(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def park(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def park(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def park(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Park the channel."""
        return self.execute("park", wait=wait, timeout=timeout)

    @overload
    def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: Literal[True],
        timeout: float | None = None,
    ) -> Event: ...
    @overload
    def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: bool,
        timeout: float | None = None,
    ) -> CommandReply | Event: ...
    def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> CommandReply | Event:
        """Send the channel to an extension: "1000", or "1000 XML default".

        Args:
            destination: the extension; with a dialplan or a context it is that alone, blanks and all.
            dialplan: "XML" if there is a context.
            context: the channel's own if there is none.
            wait, timeout: as of `execute`.
        """
        argument = ivr.transfer(destination, dialplan, context)
        return self.execute("transfer", argument, wait=wait, timeout=timeout)


def channel_data(reply: CommandReply) -> Event:
    """What `connect` was answered, as an event."""
    return Event.from_payload(reply.raw, "plain")
