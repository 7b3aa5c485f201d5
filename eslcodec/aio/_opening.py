"""What `connect` and `serve` return: it can be awaited, and be used in `async with`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

C = TypeVar("C", bound="Closable")


class Closable(Protocol):
    async def close(self) -> None: ...


class Opening(Generic[C]):
    """What `connect` and `serve` return: `await` it, or use it in `async with`, which closes at the end.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> async def main():
        ...     server = await aio.serve(asyncio.sleep)
        ...     await server.close()
        >>> asyncio.run(main())
    """

    def __init__(self, open: Callable[[], Coroutine[Any, Any, C]]) -> None:
        self._open = open
        self._opened: C | None = None

    def __await__(self) -> Generator[Any, None, C]:
        return self._open().__await__()

    async def __aenter__(self) -> C:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await self._opened.close()

    if not TYPE_CHECKING:  # a type checker knows better

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}: await it, or use async with")
