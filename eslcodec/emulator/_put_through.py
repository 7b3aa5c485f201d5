"""A call that an emulated switch put through to a server, as its test and its caller see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from .._json import joined
from ..enums import HangupCause
from ._digits import KeysNotTaken, Step, keys_of, step_of
from ._listener import Listener
from ._model import Session
from ._switch import Switch

T = TypeVar("T")


class Home(Protocol):
    """What a call uses of its emulator."""

    errors: list[BaseException]
    _switch: Switch

    def _run(self, call: Callable[[], T]) -> T: ...

    def wait_for(self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait until a condition holds."""
        ...


class EmulatedCall:
    """A call that the emulator put through to an outbound server, from `Emulator.call` or `Emulator.dial`.

    Attributes:
        session: the channel: `uuid`, `variables`, `executed`, `hangup_cause`.
        listener: the connection: `commands`, and what the server subscribed to.

    Example:
        >>> from eslcodec import serve
        >>> from eslcodec.emulator import Emulator
        >>> with serve(lambda call: call.hangup("USER_BUSY")) as server, Emulator() as switch:
        ...     call = switch.dial("127.0.0.1", server.port)
        ...     call.wait()
        'USER_BUSY'
    """

    def __init__(self, emulator: Home, session: Session, listener: Listener) -> None:
        self.session = session
        self.listener = listener
        self._emulator = emulator

    def __repr__(self) -> str:
        return f"<EmulatedCall {self.uuid}{' over' if self.over else ''}>"

    @property
    def uuid(self) -> str:
        """The channel's `Unique-ID`."""
        return self.session.uuid

    @property
    def executed(self) -> list[tuple[str, str]]:
        """(application, data) of everything the server had executed on the channel, in order."""
        return list(self.session.executed)

    @property
    def commands(self) -> list[str]:
        """The command blocks that the server sent, the newest 10,000 of them."""
        return list(self.listener.commands)

    @property
    def hangup_cause(self) -> str | None:
        """Why the channel was hung up; None while it lives."""
        return self.session.hangup_cause

    @property
    def over(self) -> bool:
        """Whether the connection to the server has ended."""
        return self.listener.ended

    def hangup(self, cause: str = "NORMAL_CLEARING") -> None:
        """Hang the channel up, as the caller would.

        Raises:
            KeyError: there is no such cause.
        """
        emulator, name = self._emulator, HangupCause[cause].name
        emulator._run(lambda: emulator._switch.channels.hangup(self.session, name))

    @property
    def prompts(self) -> list[str]:
        """What the caller has heard, in order: files, tones, what `say` and `phrase` say, and what was spoken."""
        return list(self.session.prompts)

    def variable(self, name: str) -> str | None:
        """A channel variable as text; None if it is not set."""
        value = self.session.variables.get(name)
        return None if value is None else joined(value)

    def dtmf(self, digits: str) -> None:
        """Type digits now, as the caller would.

        An application that takes digits has them, or else the client has a DTMF event for each. While an application
        runs that takes none, they wait.
        """
        emulator, keys = self._emulator, keys_of(digits)
        emulator._run(lambda: emulator._switch.channels.dtmf(self.session, keys))

    def press(self, digits: str, *, after: str = "") -> None:
        """Type digits at the next prompt: as soon as an application that takes digits has played it.

        That may be now or later. Each press is for a prompt of its own, in order, and is all that the caller types
        there: what the application would still wait for does not come, and time passes at once. With a client that
        subscribed to DTMF by name, the digits are typed as soon as no application runs.

        Args:
            digits: the keys; "" is `silence`.
            after: not at a prompt, but when this application has ended and none runs.

        Raises:
            KeysNotTaken: the call is over. `wait` raises it for keys that nothing has taken until the end, and so
                does leaving the `with` block of the emulator.
            ValueError: one of them is no key.

        Example:
            >>> from eslcodec import serve
            >>> from eslcodec.emulator import Emulator
            >>> def ask(call):
            ...     call.execute("play_and_get_digits", "1 4 1 5000 # pin.wav wrong.wav pin", wait=True)
            ...     call.hangup()
            >>> with serve(ask) as server, Emulator() as switch:
            ...     call = switch.call("127.0.0.1", server.port)
            ...     call.press("12#")
            ...     call.wait(), call.variable("pin"), call.prompts
            ('NORMAL_CLEARING', '12', ['pin.wav'])
        """
        step = step_of(digits)
        self._do(Step(step.kind, step.value, after))

    def silence(self) -> None:
        """Type nothing at the next prompt: what it waits for passes at once."""
        self._do(step_of(None))

    def say(self, words: str) -> None:
        """Say something at the next prompt that listens to speech: the text of its result."""
        self._do(Step("say", words))

    def talk(self, seconds: float) -> None:
        """Talk at the next prompt: a recording is so long, and takes no time.

        A recording for which nothing was said before it begins is empty, and over at once. Where it may begin before
        your test comes here, put `("talk", seconds)` into the `script` of the call.
        """
        self._do(Step("talk", seconds))

    def _do(self, step: Step) -> None:
        def do() -> None:
            if self.hangup_cause is not None or self.over:
                raise KeysNotTaken(repr(step.value), [name for name, _ in self.session.executed])
            self.session.caller.steps.append(step)
            self._emulator._switch.channels.serve(self.session)

        self._emulator._run(do)

    def wait(self, timeout: float = 5.0) -> str | None:
        """Wait until the connection to the server has ended; give the cause if the channel was hung up.

        Raises:
            TimeoutError: it has not ended in time. Its text says what the call does.
            KeysNotTaken: it has ended, and nothing has taken what was pressed.
        """
        try:
            self._emulator.wait_for(lambda: self.over, timeout)
        except TimeoutError as late:
            raise TimeoutError(f"the call is not over: {self._doing()}; {late}") from None
        error = self._emulator._run(self._not_taken)
        if error is not None:
            raise error
        return self.hangup_cause

    def _doing(self) -> str:
        """What it does, and how that ends."""
        running = list(self.session.running)
        if self.hangup_cause is not None:
            return f"it was hung up ({self.hangup_cause}), and the server keeps the connection"
        if not running or running[-1].application == "socket":
            return "it runs no application, and waits for the server"
        application, data = running[-1].application, running[-1].data
        end = ", which Endpoint(talks=...) or call.hangup() ends" if application == "bridge" else ""
        return f"it is in {application} {data!r:.100}{end}"

    def _not_taken(self) -> KeysNotTaken | None:
        """What was pressed in vain on this call is the test's mistake, and told once."""
        self._emulator._switch.channels.lose_keys(self.session)
        for error in self._emulator.errors:
            if isinstance(error, KeysNotTaken) and error.uuid == self.uuid:
                self._emulator.errors.remove(error)
                return error
        return None
