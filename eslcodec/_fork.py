"""What a child process does with connections that its parent made: it leaves them to the parent.

A child has copies of all descriptors and locks. If both used the connection, each would get replies to the other. So
each connection registers here, and in a child process it is ended.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol

FORKED: Final = "made in another process: connect again after the fork"
"""Why such a connection has ended."""


class Leaves(Protocol):
    """Something that a child process must not use."""

    def _leave(self) -> None:
        """In a child: end it here, without a sign to the other side; locks are made anew."""


_made: Final[weakref.WeakSet[Leaves]] = weakref.WeakSet()


def register(thing: Leaves) -> None:
    """Have a child process leave this to its parent, as long as it exists."""
    _made.add(thing)


def close_here(descriptor: int) -> None:
    """Close a descriptor in this process only. Its number stays in use, since its owner will close it later."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nothing, descriptor)
    finally:
        os.close(nothing)


def _leave_all() -> None:
    for thing in list(_made):
        thing._leave()
    _made.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
