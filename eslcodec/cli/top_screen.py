"""How `eslcodec top` shows its numbers: a picture that fills a terminal and heeds keys, lines, or objects of JSON."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from ..ingest._board import Line
from .login import notes_told

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


class View(Protocol):
    """Shows the numbers.

    Attributes:
        slow: whether it need not be often.
    """

    slow: bool

    def show(self, lines: list[Line], total: Line, at: float) -> None:
        """As they are now."""

    def press(self, key: str) -> bool:
        """A key was pressed: whether that is the end."""

    def opened(self, wake: Callable[[str], None]) -> Any:
        """A context in which it may show something; `wake` is for keys."""


class Plain:
    """Lines, or objects of JSON.

    Args:
        write: writes them.
    """

    slow = True

    def __init__(self, write: Callable[[list[Line], Line, float], None]) -> None:
        self._write = write

    def show(self, lines: list[Line], total: Line, at: float) -> None:
        """As they are now."""
        self._write(lines, total, at)
        sys.stdout.flush()

    def press(self, key: str) -> bool:
        """There are no keys."""
        return False

    @contextmanager
    def opened(self, wake: Callable[[str], None]) -> Iterator[None]:
        """What the connections have to say goes to standard error."""
        with notes_told():
            yield


class Terminal:
    """A picture that fills a terminal.

    Args:
        console: which.
    """

    slow = False

    def __init__(self, console: Console) -> None:
        from .top_view import Choice

        self.choice = Choice()
        self._console = console
        self._live: Live | None = None
        self._ours = ExitStack()  # what is undone when the terminal is given back
        self._wake: Callable[[str], None] = lambda key: None
        self._last: tuple[list[Line], Line, float] | None = None

    def show(self, lines: list[Line], total: Line, at: float) -> None:
        """As they are now, or were when it was held."""
        from rich.text import Text

        from .top_view import picture

        if not (self.choice.paused and self._last):
            self._last = lines, total, at
        assert self._live is not None
        width, height = self._console.size
        found = picture(self._last[0], self._last[1], self.choice, (width, height), self._last[2])
        self._live.update(Text("\n", no_wrap=True, overflow="crop", end="").join(found), refresh=True)

    def press(self, key: str) -> bool:
        """A key was pressed: whether that is the end."""
        from .top_view import SORTS

        choice = self.choice
        if key == "q":
            return True
        if key == "stop":
            self._stop()
        if key == "?" or (key == "escape" and choice.help):
            choice.help = not choice.help
        elif key in ("p", " "):
            choice.paused = not choice.paused
        elif key == "s":
            sorts = list(SORTS)
            choice.sort = sorts[(sorts.index(choice.sort) + 1) % len(sorts)]
        elif key in ("a", "escape"):
            choice.selected = None
        elif key in ("up", "k", "down", "j"):
            self._select(-1 if key in ("up", "k") else 1)
        return False

    def _select(self, step: int) -> None:
        from .top_view import SORTS

        lines = sorted(self._last[0] if self._last else [], key=SORTS[self.choice.sort])
        names = [None, *(line.name for line in lines)]
        at = names.index(self.choice.selected) if self.choice.selected in names else 0
        self.choice.selected = names[min(max(at + step, 0), len(names) - 1)]

    @contextmanager
    def opened(self, wake: Callable[[str], None]) -> Iterator[None]:
        """The terminal is ours meanwhile, and as it was at any end."""
        self._enter(wake)
        try:
            yield
        finally:
            self._ours.close()

    def _enter(self, wake: Callable[[str], None]) -> None:
        from rich.live import Live

        from .keys import pressed

        shown = Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop")
        self._wake = wake
        with ExitStack() as stack:
            stack.enter_context(notes_told(lambda text: None))
            stack.enter_context(pressed(wake))
            self._live = stack.enter_context(shown)
            self._ours = stack.pop_all()

    def _stop(self) -> None:
        """Ctrl-Z: the shell gets its terminal, until it brings us back."""
        self._ours.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter(self._wake)


def plain_view(as_json: bool) -> Plain:
    """Without a terminal, or for scripts."""
    from .top_lines import document, text_lines

    def write(lines: list[Line], total: Line, at: float) -> None:
        for text in [document(lines, total, at)] if as_json else text_lines(lines, total, at):
            click.echo(text)

    return Plain(write)


def terminal_view() -> View:
    """On a terminal; lines if it can do nothing."""
    # Takes a tenth of a second to load, and only a terminal needs it.
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    return plain_view(False) if console.is_dumb_terminal else Terminal(console)
