"""The emulator in asynchronous tests: the methods that wait are awaited, and everything else is as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._expected import Expected
from ._put_through import EmulatedCall
from ._server import Emulator

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")


class AioCall:
    """An `EmulatedCall` whose `wait` is awaited.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> async def greet(call):
        ...     await call.answer(wait=True)
        ...     await call.hangup()
        >>> async def main():
        ...     async with AioEmulator() as switch, aio.serve(greet) as server:
        ...         call = await switch.call("127.0.0.1", server.port)
        ...         return await call.wait(), call.executed
        >>> asyncio.run(main())
        ('NORMAL_CLEARING', [('answer', '')])
    """

    def __init__(self, call: EmulatedCall) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    async def wait(self, timeout: float = 5.0) -> str | None:
        """As `EmulatedCall.wait`, without blocking the loop."""
        return await asyncio.to_thread(self._call.wait, timeout)


class AioEmulator:
    """An emulator for asynchronous tests: what waits for something is awaited, so that the loop runs meanwhile.

    Everything else is the emulator's own: `api`, `endpoints`, `fire`, `commands`, `port` and so on. It needs no
    plugin of pytest: any that runs coroutines will do.

    Args:
        emulator: the one that is used; a new one by default.
        options: of a new one: those of `Emulator`.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> async def main():
        ...     async with AioEmulator() as switch, aio.connect(switch.host, switch.port) as fs:
        ...         await fs.subscribe("HEARTBEAT")
        ...         await switch.wait_for(lambda: "event HEARTBEAT" in switch.commands)
        ...         switch.fire("HEARTBEAT", {"Session-Count": "3"})
        ...         return (await fs.next_event(timeout=5))["Session-Count"]
        >>> asyncio.run(main())
        '3'
    """

    def __init__(self, emulator: Emulator | None = None, **options: Any) -> None:
        self.emulator = Emulator(**options) if emulator is None else emulator

    def __getattr__(self, name: str) -> Any:
        return getattr(self.emulator, name)

    def __repr__(self) -> str:
        return repr(self.emulator)

    async def __aenter__(self) -> Self:
        self.emulator.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.emulator.__exit__, kind, error, traceback)

    async def wait_for(self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """As `Emulator.wait_for`. The condition is called in another thread."""
        return await asyncio.to_thread(self.emulator.wait_for, condition, timeout)

    async def assert_commands(
        self, *expected: Expected, any_order: bool = False, containing: bool = False, timeout: float = 5.0
    ) -> None:
        """As `Emulator.assert_commands`."""
        await asyncio.to_thread(
            self.emulator.assert_commands, *expected, any_order=any_order, containing=containing, timeout=timeout
        )

    async def call(self, host: str, port: int, **options: Any) -> AioCall:
        """As `Emulator.call`."""
        return AioCall(await asyncio.to_thread(self.emulator.call, host, port, **options))

    async def dial(self, host: str, port: int, **options: Any) -> AioCall:
        """As `Emulator.dial`."""
        return AioCall(await asyncio.to_thread(self.emulator.dial, host, port, **options))
