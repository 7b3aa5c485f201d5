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

    async def connect(self, *, timeout: float | None = None) -> Event:
        """The channel's data as it is now; in `data` too."""
        self.data = channel_data(await self._ask(timeout, Connection.connect))
        return self.data

    @overload
    async def execute(
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
    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: Literal[True],
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> Event: ...
    @overload
    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: bool,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event: ...
    async def execute(
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
            return await super().execute(application, argument, uuid=uuid, timeout=timeout, **options)
        since = self._now()
        link, (accepted, ended) = await self._issue(
            timeout, lambda connection: connection.run(application, argument, uuid=uuid, **options)
        )
        await link.outcome(accepted, self._limit(accepted, timeout), since)
        return await link.outcome(ended, self._limit(ended, timeout), since)

    @overload
    async def answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Answer the call."""
        return await self.execute("answer", wait=wait, timeout=timeout)

    @overload
    async def pre_answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def pre_answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def pre_answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def pre_answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send early media."""
        return await self.execute("pre_answer", wait=wait, timeout=timeout)

    @overload
    async def ring_ready(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def ring_ready(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def ring_ready(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def ring_ready(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Say that it rings."""
        return await self.execute("ring_ready", wait=wait, timeout=timeout)

    @overload
    async def playback(
        self, path: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def playback(self, path: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def playback(self, path: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def playback(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Play a file, or what else `playback` takes, to the caller."""
        return await self.execute("playback", path, wait=wait, timeout=timeout)

    @overload
    async def record(
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
    async def record(
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
    async def record(
        self,
        path: str,
        *,
        limit: float | None = None,
        silence_threshold: int | None = None,
        silence_hits: int | None = None,
        wait: bool,
        timeout: float | None = None,
    ) -> CommandReply | Event: ...
    async def record(
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
        return await self.execute("record", argument, wait=wait, timeout=timeout)

    @overload
    async def bridge(
        self,
        destination: Targets,
        *,
        together: bool = True,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    async def bridge(
        self, destination: Targets, *, together: bool = True, wait: Literal[True], timeout: float | None = None
    ) -> Event: ...
    @overload
    async def bridge(
        self, destination: Targets, *, together: bool = True, wait: bool, timeout: float | None = None
    ) -> CommandReply | Event: ...
    async def bridge(
        self, destination: Targets, *, together: bool = True, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Connect the call to somebody. `dial` does so too, and says what came of it.

        Args:
            destination: a dial string as the switch reads it, or several targets, quoted as the switch reads them.
            together: all at the same time (`,`); else one after the other until one answers (`|`).
            wait, timeout: as of `execute`.
        """
        return await self.execute("bridge", ivr.bridge(destination, together), wait=wait, timeout=timeout)

    @overload
    async def set(
        self, name: str, value: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def set(self, name: str, value: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def set(self, name: str, value: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def set(
        self, name: str, value: str, *, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Set a channel variable."""
        return await self.execute("set", f"{name}={value}", wait=wait, timeout=timeout)

    @overload
    async def unset(self, name: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def unset(self, name: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def unset(self, name: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def unset(self, name: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Unset a channel variable."""
        return await self.execute("unset", name, wait=wait, timeout=timeout)

    @overload
    async def sleep(
        self, milliseconds: int, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def sleep(self, milliseconds: int, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def sleep(self, milliseconds: int, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def sleep(
        self, milliseconds: int, *, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Let the channel do nothing for a while."""
        return await self.execute("sleep", str(milliseconds), wait=wait, timeout=timeout)

    @overload
    async def park(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def park(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def park(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def park(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Park the channel."""
        return await self.execute("park", wait=wait, timeout=timeout)

    @overload
    async def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    async def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: Literal[True],
        timeout: float | None = None,
    ) -> Event: ...
    @overload
    async def transfer(
        self,
        destination: str,
        *,
        dialplan: str | None = None,
        context: str | None = None,
        wait: bool,
        timeout: float | None = None,
    ) -> CommandReply | Event: ...
    async def transfer(
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
        return await self.execute("transfer", argument, wait=wait, timeout=timeout)


def channel_data(reply: CommandReply) -> Event:
    """What `connect` was answered, as an event."""
    return Event.from_payload(reply.raw, "plain")
