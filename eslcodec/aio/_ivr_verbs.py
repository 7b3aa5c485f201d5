"""The verbs of an IVR: digits, speech, a call to somebody else with its outcome, media. Both calls have the same ones:
tools/async_to_sync.py makes the blocking file.

What the applications take, and what their ends say, is in `eslcodec.ivr`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, overload

from .. import ivr
from ..dialing import Targets, Variable
from ..errors import ChannelEnded, ConnectionClosed
from ..events import CommandReply, Event
from ..ivr import Bridged, Collected, DigitsAsked, PlaybackAction, SayGender, SayMethod, SayType
from ..waits import Reply
from ._call_verbs import CallVerbs


class IvrVerbs(CallVerbs):
    """The methods for an IVR that both kinds of call have."""

    _terminator_left = False  # whether a collection left `read_terminator_used` on the channel, or may do so yet
    _asking: Sequence[DigitsAsked] = ()  # collections that run; a second one runs inside the first

    # Digits

    async def collect(
        self,
        prompt: str | Sequence[str],
        *,
        max_digits: int,
        min_digits: int = 1,
        timeout: float = 5.0,
        digit_timeout: float | None = None,
        terminators: str = "#",
        retries: int = 2,
        invalid: str | Sequence[str] | None = None,
        pattern: str | None = None,
        expand: bool = False,
    ) -> Collected:
        """Play a prompt and collect the digits that the caller types, as often as it takes.

        It is one application, `play_and_get_digits`; the switch does the retries. The first digit stops the prompt.

        Args:
            prompt: what is played: a file, or what else `playback` takes; several files are played in
                turn; "" for nothing.
            max_digits: it ends with so many.
            min_digits: fewer are refused.
            timeout: seconds to wait for the first digit after the prompt, 1 at least.
            digit_timeout: seconds to wait for each further digit; None: `timeout`.
            terminators: digits that end it and are not part of it; "" for none.
            retries: how often the prompt is played again.
            invalid: what is played after each try that brought nothing that is wanted.
            pattern: a regular expression (PCRE) for the digits, such as "^[1-3]$".
            expand: leave `${...}` in prompts and pattern to the switch; otherwise it is text.

        Returns:
            The digits, or why there are none. It is true if there are digits as they were asked for.

        Raises:
            ChannelEnded: the caller has hung up.
            InvalidCommand: the switch would not take an argument, or read it as something else.

        Example:
            >>> import asyncio
            >>> from eslcodec import aio
            >>> from eslcodec.emulator import Emulator
            >>> async def ask(call):
            ...     got = await call.collect("ivr/enter_pin.wav", max_digits=4, retries=0)
            ...     print(got.digits, got.reason)
            >>> async def main(switch):
            ...     async with aio.serve(ask) as server:
            ...         call = await asyncio.to_thread(switch.call, "127.0.0.1", server.port)
            ...         call.press("1234")
            ...         await asyncio.to_thread(call.wait)
            >>> with Emulator() as switch:
            ...     asyncio.run(main(switch))
            1234 full
        """
        return await self.play_and_get_digits(
            prompt,
            max_digits=max_digits,
            min_digits=min_digits,
            tries=ivr.tries(retries),
            timeout=timeout,
            digit_timeout=digit_timeout,
            terminators=terminators,
            invalid=invalid,
            pattern=pattern,
            expand=expand,
        )

    async def play_and_get_digits(
        self,
        prompt: str | Sequence[str],
        *,
        max_digits: int,
        min_digits: int = 1,
        tries: int = 1,
        timeout: float = 5.0,
        digit_timeout: float | None = None,
        terminators: str = "#",
        invalid: str | Sequence[str] | None = None,
        pattern: str | None = None,
        transfer: str | None = None,
        variable: str | None = None,
        expand: bool = False,
    ) -> Collected:
        """The application itself, of which `collect` is the usual case.

        Args:
            prompt, max_digits, min_digits, timeout, digit_timeout, terminators, invalid, pattern, expand: as of
                `collect`.
            tries: how often the prompt is played at most.
            transfer: where the switch sends the call after the last try: "1000", or "1000 XML default".
            variable: the channel variable that gets the digits; None for one of ours.

        Raises:
            ChannelEnded: the caller has hung up.
            InvalidCommand: the switch would not take an argument, or read it as something else.
        """
        asked = DigitsAsked(
            prompt,
            max_digits=max_digits,
            min_digits=min_digits,
            tries=tries,
            timeout=timeout,
            digit_timeout=digit_timeout,
            terminators=terminators,
            invalid=invalid,
            pattern=pattern,
            transfer=transfer,
            variable=self._free_variable() if variable is None else variable,
            expand=expand,
        )
        return await self._gather("play_and_get_digits", asked, asked.argument())

    async def read(
        self,
        prompt: str | Sequence[str],
        *,
        max_digits: int,
        min_digits: int = 1,
        timeout: float = 5.0,
        digit_timeout: float | None = None,
        terminators: str = "#",
        variable: str | None = None,
        expand: bool = False,
    ) -> Collected:
        """The application `read`: it plays once, and neither checks a pattern nor plays anything after wrong digits.

        Args:
            prompt, max_digits, timeout, digit_timeout, terminators, expand: as of `collect`.
            min_digits: 1 at least.
            variable: the channel variable that gets the digits; None for one of ours.

        Raises:
            ChannelEnded: the caller has hung up.
            InvalidCommand: the switch would not take an argument, or read it as something else.
        """
        asked = DigitsAsked(
            prompt,
            max_digits=max_digits,
            min_digits=min_digits,
            timeout=timeout,
            digit_timeout=digit_timeout,
            terminators=terminators,
            variable=self._free_variable() if variable is None else variable,
            expand=expand,
        )
        return await self._gather("read", asked, asked.read_argument())

    def _free_variable(self) -> str:
        return ivr.free_variable([asked.variable for asked in self._asking])

    async def _gather(self, application: str, asked: DigitsAsked, argument: str) -> Collected:
        """Run it. Its own end says what came of it: a later `getvar` could read what another application left."""
        self._asking = [*self._asking, asked]
        try:
            if self._terminator_left or self.data.get("variable_read_terminator_used"):
                await self.unset("read_terminator_used")  # the switch never does
            self._terminator_left = True  # unless its end says otherwise, which an exception may keep back
            ended = await self.execute(application, argument, wait=True)
            variables = await self._variables(ended, asked.names)
        finally:
            self._asking = [other for other in self._asking if other is not asked]
        self._terminator_left = bool(self._asking or variables["read_terminator_used"])
        got = asked.outcome(variables)
        if not got and not asked.transfer:
            await self._check_alive(ended)
        return got

    async def _variables(self, ended: Event, names: Sequence[str]) -> dict[str, str | None]:
        """Channel variables as they were at an application's end."""
        if any(name.startswith("variable_") for name in ended):
            return {name: ended.get(f"variable_{name}") for name in names}
        return {name: await self.getvar(name) for name in names}

    async def _check_alive(self, ended: Event) -> None:
        """An application that waits for the caller may end just before the switch notices that the caller hung up."""
        try:
            await self.connect()
        except ConnectionClosed:
            if self.connection.hung_up is None:
                raise
        if self.connection.hung_up is not None:
            raise ChannelEnded(self.connection.hung_up, ended)

    # Speech

    @overload
    async def say(
        self,
        text: str,
        *,
        type: SayType = "number",
        method: SayMethod = "pronounced",
        language: str = "en",
        gender: SayGender | None = None,
        expand: bool = False,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    async def say(
        self,
        text: str,
        *,
        type: SayType = "number",
        method: SayMethod = "pronounced",
        language: str = "en",
        gender: SayGender | None = None,
        expand: bool = False,
        wait: Literal[True],
        timeout: float | None = None,
    ) -> Event: ...
    @overload
    async def say(
        self,
        text: str,
        *,
        type: SayType = "number",
        method: SayMethod = "pronounced",
        language: str = "en",
        gender: SayGender | None = None,
        expand: bool = False,
        wait: bool,
        timeout: float | None = None,
    ) -> CommandReply | Event: ...
    async def say(
        self,
        text: str,
        *,
        type: SayType = "number",
        method: SayMethod = "pronounced",
        language: str = "en",
        gender: SayGender | None = None,
        expand: bool = False,
        wait: bool = False,
        timeout: float | None = None,
    ) -> CommandReply | Event:
        """Say a number, a date, a name letter by letter and so on, from recorded files.

        Args:
            text: what is said.
            type: how the text is read: "number", "current_date_time" (of a Unix time), "telephone_number",
                "name_spelled", and so on.
            method: "pronounced" ("forty-two"), "iterated" ("four two"), "counted" ("forty-second").
            language: the module that says it, "en", or with a language "en:en-gb".
            gender: "masculine", "feminine" or "neuter".
            expand: leave `${...}` in the text to the switch; otherwise it is text.
            wait, timeout: as of `execute`.
        """
        argument = ivr.say(text, type, method, language, gender, expand)
        return await self.execute("say", argument, wait=wait, timeout=timeout)

    @overload
    async def speak(
        self,
        text: str,
        *,
        engine: str | None = None,
        voice: str | None = None,
        expand: bool = False,
        wait: Literal[False] = False,
        timeout: float | None = None,
    ) -> CommandReply: ...
    @overload
    async def speak(
        self,
        text: str,
        *,
        engine: str | None = None,
        voice: str | None = None,
        expand: bool = False,
        wait: Literal[True],
        timeout: float | None = None,
    ) -> Event: ...
    @overload
    async def speak(
        self,
        text: str,
        *,
        engine: str | None = None,
        voice: str | None = None,
        expand: bool = False,
        wait: bool,
        timeout: float | None = None,
    ) -> CommandReply | Event: ...
    async def speak(
        self,
        text: str,
        *,
        engine: str | None = None,
        voice: str | None = None,
        expand: bool = False,
        wait: bool = False,
        timeout: float | None = None,
    ) -> CommandReply | Event:
        """Speak a text with an engine that makes speech of it.

        Args:
            text: what is spoken.
            engine: its module, such as "flite"; None for the channel variable `tts_engine`. With neither the switch
                hangs the call up.
            voice: of the engine; None for `tts_voice`.
            expand: leave `${...}` in the text to the switch; otherwise it is text.
            wait, timeout: as of `execute`.
        """
        return await self.execute("speak", ivr.speak(text, engine, voice, expand), wait=wait, timeout=timeout)

    # Somebody else

    async def dial(
        self,
        targets: Targets,
        *,
        variables: Mapping[str, Variable] | None = None,
        timeout: float | None = None,
        together: bool = True,
    ) -> Bridged:
        """Call somebody, connect the caller when they answer, and wait for the end: what came of it.

        If nobody answers, the caller stays here: the variable `continue_on_fail` is set before. If somebody did, it
        returns after they have hung up; with the variable `hangup_after_bridge` the switch hangs the caller up too.

        Args:
            targets: one or several, such as "user/1000".
            variables: for the channels that are made.
            timeout: seconds that it may ring, each if not `together`; rounded up to whole seconds.
            together: all at the same time; else one after the other until one answers.

        Raises:
            ChannelEnded: the caller has hung up; `Bridged.of(error.complete)` says what came of the call until then.
            InvalidCommand: a target or variable that cannot be expressed.

        Example:
            >>> import asyncio
            >>> from eslcodec import aio
            >>> from eslcodec.emulator import Emulator
            >>> async def put_through(call):
            ...     print(await call.dial("user/1000", timeout=20))
            >>> async def main(switch):
            ...     async with aio.serve(put_through) as server:
            ...         call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
            ...         await asyncio.to_thread(call.wait)
            >>> with Emulator() as switch:
            ...     switch.endpoints["user/1000"] = "busy"
            ...     asyncio.run(main(switch))
            Bridged(answered=False, reason='busy', cause='USER_BUSY', peer=None)
        """
        argument = ivr.dial(targets, variables, timeout, together)
        await self.set("continue_on_fail", "true")
        return Bridged.of(await self.execute("bridge", argument, wait=True))

    async def hold(self, message: str = "", *, timeout: float | None = None) -> CommandReply:
        """Put the caller on hold.

        Args:
            message: to be shown on the phone.
            timeout: as of `execute`.
        """
        return await self.execute("hold", ivr.text(message), timeout=timeout)

    async def unhold(self, *, timeout: float | None = None) -> CommandReply:
        """The end of `hold`."""
        return await self.execute("unhold", timeout=timeout)

    # Media

    async def break_(self, *, all: bool = False, timeout: float | None = None) -> Reply:
        """Stop what is played; the application ends.

        It needs a socket with `full`.

        Args:
            all: also what waits for its turn.
            timeout: for the reply.
        """
        command = f"{self.uuid} all" if all else f"{self.uuid}"
        return (await self.api("uuid_break", command, timeout=timeout)).check()

    async def playback_control(
        self,
        action: PlaybackAction,
        amount: int | None = None,
        *,
        relative: bool = False,
        timeout: float | None = None,
    ) -> Reply:
        """Change the file that is being played.

        It needs a socket with `full`.

        Args:
            action: "pause" (and once more to go on), "stop", "restart", or with an amount "seek" (milliseconds),
                "volume" (-4 to 4, 0 as it is) or "speed" (-2 to 2, 0 as it is).
            amount: how much.
            relative: from where it is now.
            timeout: for the reply.

        Raises:
            CommandError: nothing is being played, or the socket does not permit it.
        """
        command = ivr.playback_control(action, amount, relative)
        return (await self.api("uuid_fileman", f"{self.uuid} {command}", timeout=timeout)).check()

    async def displace(
        self,
        path: str,
        *,
        limit: float | None = None,
        mux: bool = False,
        loop: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """Play a file to the other side instead of the caller's voice.

        Args:
            path: of the file.
            limit: seconds it may take.
            mux: with the voice, not instead.
            loop: over and over again.
            timeout: as of `execute`.
        """
        return await self.execute("displace_session", ivr.displace(path, limit, mux, loop), timeout=timeout)

    async def stop_displace(self, path: str, *, timeout: float | None = None) -> CommandReply:
        """The end of `displace`."""
        return await self.execute("stop_displace_session", ivr.text(path), timeout=timeout)

    async def record_session(
        self, path: str, *, limit: float | None = None, timeout: float | None = None
    ) -> CommandReply:
        """Record both sides of the call from now on, whatever else runs.

        Args:
            path: of the file.
            limit: seconds it may take.
            timeout: as of `execute`.
        """
        return await self.execute("record_session", ivr.record_session(path, limit), timeout=timeout)

    async def stop_record_session(self, path: str = "all", *, timeout: float | None = None) -> CommandReply:
        """The end of `record_session`, of one file or of all."""
        return await self.execute("stop_record_session", ivr.text(path), timeout=timeout)

    async def send_dtmf(
        self, digits: str, *, duration: float | None = None, timeout: float | None = None
    ) -> CommandReply:
        """Send digits to the caller's side.

        Args:
            digits: `0` to `9`, `*`, `#`, `A` to `D`; `w` is a pause of half a second, `W` one of a second.
            duration: seconds for each.
            timeout: as of `execute`.
        """
        return await self.execute("send_dtmf", ivr.dtmf(digits, duration), timeout=timeout)

    async def flush_dtmf(self, *, timeout: float | None = None) -> CommandReply:
        """Forget the digits that the caller has typed and no application has taken."""
        return await self.execute("flush_dtmf", timeout=timeout)
