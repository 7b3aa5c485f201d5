"""Keys, one at a time, while a program runs an event loop; and the terminal as it was before, whatever happens."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any, Final

from .text import is_terminal

_READ: Final = 64  # bytes at once; more is pasted, and no key is meant
_POLL_SECONDS: Final = 0.1  # where keys cannot be waited for
_NAMED: Final = {"\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b": "escape", "\x03": "q"}
_WINDOWS: Final = {"H": "up", "P": "down"}


def keys_in(text: str) -> list[str]:
    """The keys that a terminal sent: printable ones as they are, `up`, `down`, `escape`; others are left out.

    Example:
        >>> keys_in("s\\x1b[A?"), keys_in("\\x1b"), keys_in("\\x1b[15~")
        (['s', 'up', '?'], ['escape'], [])
    """
    found = []
    while text:
        if text[0] != "\x1b":
            key, text = text[0], text[1:]
        elif text[1:2] in ("[", "O"):
            end = next((at for at, char in enumerate(text[2:], 2) if "@" <= char <= "~"), len(text))
            key, text = text[: end + 1], text[end + 1 :]
        else:
            key, text = text[:1], text[1:]
        key = _NAMED.get(key, key)
        if key.isprintable():
            found.append(key)
    return found


@contextmanager
def pressed(tell: Callable[[str], None]) -> Iterator[None]:
    """Keys are told in the running event loop, without an echo, if standard input is a terminal. Ctrl-C stays what it
    is.

    Args:
        tell: called with each.
    """
    if not is_terminal(sys.stdin):
        yield
        return
    terminal = _module("termios")
    if terminal is None:
        with _polled(tell):
            yield
        return
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = terminal.tcgetattr(fd)

    def read() -> None:
        try:
            data = os.read(fd, _READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:  # nobody is there any more
            loop.remove_reader(fd)
        for key in keys_in(data.decode("utf-8", "replace")):
            tell(key)

    try:
        wanted = terminal.tcgetattr(fd)
        wanted[3] &= ~(terminal.ECHO | terminal.ICANON)
        wanted[6][terminal.VMIN], wanted[6][terminal.VTIME] = 1, 0
        terminal.tcsetattr(fd, terminal.TCSADRAIN, wanted)
        loop.add_reader(fd, read)
        yield
    finally:
        loop.remove_reader(fd)
        with suppress(terminal.error):  # the terminal is gone
            terminal.tcsetattr(fd, terminal.TCSADRAIN, before)


@contextmanager
def _polled(tell: Callable[[str], None]) -> Iterator[None]:
    """The same on Windows."""
    console = _module("msvcrt")
    if console is None:
        yield
        return

    async def poll(console: Any) -> None:
        while True:
            while console.kbhit():
                char = console.getwch()
                if char in ("\x00", "\xe0"):
                    char = _WINDOWS.get(console.getwch(), "")
                for key in [char] if char in ("up", "down") else keys_in(char):
                    tell(key)
            await asyncio.sleep(_POLL_SECONDS)

    task = asyncio.ensure_future(poll(console))
    try:
        yield
    finally:
        task.cancel()


def _module(name: str) -> ModuleType | None:
    try:
        return __import__(name)
    except ImportError:
        return None
