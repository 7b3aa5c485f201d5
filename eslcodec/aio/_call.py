"""A call: the client of an outbound connection, which controls a channel."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..events import CommandReply
from ._call_verbs import channel_data
from ._ivr_verbs import IvrVerbs
from ._link import Link
from ._readers import Digits


class Call(IvrVerbs):
    """A call that the switch connected to us for; `serve` makes it and hands it to its handler.

    A method that runs an application returns when the switch has accepted it; on a static socket (`mode`) that is when
    the application has ended. With `wait=True` the method waits for that end on any socket, and returns the
    CHANNEL_EXECUTE_COMPLETE; `timeout` is for that, None for as long as it takes.

    When the channel hangs up, what is waited for raises ChannelEnded, and so does from then on whatever acts on the
    channel: `sendmsg`, `execute` and its shorthands, `hangup`. Everything else works as long as the connection lasts:
    after `linger` that is longer than the channel.

    Attributes:
        data: the channel's data as `connect` gave it last, an `Event` of name CHANNEL_DATA.
        host, port: of the switch's end of the connection.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> from eslcodec.emulator import Emulator
        >>> async def answer(call):
        ...     await call.answer(wait=True)
        ...     await call.hangup()
        >>> async def main(switch):
        ...     async with aio.serve(answer) as server:
        ...         call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
        ...         return await asyncio.to_thread(call.wait), call.executed
        >>> with Emulator() as switch:
        ...     asyncio.run(main(switch))
        ('NORMAL_CLEARING', [('answer', '')])
    """

    def __init__(self, link: Link, data: CommandReply, command_timeout: float) -> None:
        super().__init__(link, link.peer, command_timeout)
        self.data = channel_data(data)

    @property
    def hung_up(self) -> str | None:
        """Why the channel hung up, as in `Hangup-Cause`; None as long as nothing that came says that it did.

        Nothing is sent for it. Its events say why: those come after `myevents`, or once an application was waited for.
        Else the cause is "UNKNOWN".
        """
        return self.connection.hung_up

    def dtmf(self, timeout: float | None = None) -> AsyncIterator[str]:
        """The digits that the caller types from now on, one by one: `0` to `9`, `*`, `#`, `A` to `D`.

        Those of this call only. It ends when the call does: when the channel has hung up, or the connection has ended
        well; what was typed until then is given first. What comes while nobody iterates waits for the next `dtmf`
        (`dtmf(timeout=0)` takes what is there). Each digit is given once, and is among `events` only if you asked for
        DTMF too. The first `dtmf` enables the channel's events, `myevents`, as `wait=True` does: from then on the
        switch sends no events of other channels on this connection.

        Args:
            timeout: seconds without a digit after which it ends too.

        Raises:
            CommandError: while iterating: the switch refuses the channel's events.
            ConnectionClosed: while iterating: the connection did not end well. Or the error that ended it.
            EventQueueFull: while iterating: events stand before the next digit that nobody reads.

        Example:
            >>> import asyncio
            >>> from eslcodec import aio
            >>> from eslcodec.emulator import Emulator
            >>> async def listen(call):
            ...     print([digit async for digit in call.dtmf()])
            >>> async def main(switch):
            ...     async with aio.serve(listen) as server:
            ...         call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
            ...         await asyncio.to_thread(switch.wait_for, lambda: "myevents" in call.commands)
            ...         call.dtmf("12#")
            ...         call.hangup()
            ...         await asyncio.to_thread(call.wait)
            >>> with Emulator() as switch:
            ...     asyncio.run(main(switch))
            ['1', '2', '#']
        """
        self.connection.dtmf()
        self._link.act()
        return Digits(self._link, timeout)
