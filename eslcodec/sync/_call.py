"""A call: the client of an outbound connection, which controls a channel."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..connection import Connection
from ._call_verbs import channel_data
from ._ivr_verbs import IvrVerbs
from ._link import Link
from ._readers import read_digits
from ._tapped import TappedLink


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
        >>> from eslcodec import serve
        >>> from eslcodec.emulator import Emulator
        >>> def answer(call):
        ...     call.answer(wait=True)
        ...     call.execute("sleep", "10", wait=True)
        ...     call.hangup()
        >>> with serve(answer) as server, Emulator() as switch:
        ...     call = switch.dial("127.0.0.1", server.port)
        ...     call.wait(), call.executed
        ('NORMAL_CLEARING', [('answer', ''), ('sleep', '10')])
    """

    def _begin(self, timeout: float) -> None:
        """Wait for the channel's data."""
        self.data = channel_data(self._link.log_in(timeout))
        if isinstance(self._link, TappedLink):
            self._link.choose_tap(self)

    @property
    def hung_up(self) -> str | None:
        """Why the channel hung up, as in `Hangup-Cause`; None as long as nothing that came says that it did.

        Nothing is sent for it. Its events say why: those come after `myevents`, or once an application was waited for.
        Else the cause is "UNKNOWN".
        """
        self._link.has_ended()
        return self.connection.hung_up

    def _for_command(self, deadline: float) -> Link:
        self._link.has_ended()  # take in what came while nobody read: the channel may have hung up
        return super()._for_command(deadline)

    def dtmf(self, timeout: float | None = None) -> Iterator[str]:
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
            >>> from eslcodec import serve
            >>> from eslcodec.emulator import Emulator
            >>> typed = []
            >>> with serve(lambda call: typed.extend(call.dtmf())) as server, Emulator() as switch:
            ...     call = switch.dial("127.0.0.1", server.port)
            ...     _ = switch.wait_for(lambda: "myevents" in call.commands)
            ...     call.dtmf("12#")
            ...     call.hangup()
            ...     _ = call.wait()
            >>> typed
            ['1', '2', '#']
        """
        self._link.begin(Connection.dtmf)
        return read_digits(self._link, math.inf if timeout is None else timeout)
