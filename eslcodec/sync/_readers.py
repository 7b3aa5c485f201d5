"""Reading, as iterators: what waits in the queue, and the digits of a call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .._codec import Message
from ..connection import Connection, MessageQueue, Wait
from ..errors import CommandTimeout
from ._link import Link

M = TypeVar("M", bound=Message)


def read(kind: type[M], timeout: float | None, queue: MessageQueue, more: Callable[[float], bool]) -> Iterator[M]:
    """Messages of one kind, until `more` says that there are none.

    Args:
        kind: of which; others are passed over.
        timeout: seconds without one after which it ends; None for no limit.
        queue: where they are.
        more: waits until a deadline (of `time.monotonic`) when the queue is empty; whether to look again.
    """
    popleft = queue.popleft
    deadline = math.inf if timeout is None else None
    while True:
        if not queue:
            if deadline is None:
                deadline = time.monotonic() + timeout  # type: ignore[operator]  # without one it is inf
            if not more(deadline):
                return
        try:
            message = popleft()
        except IndexError:  # another thread was faster
            continue
        if isinstance(message, kind):
            if timeout is not None:
                deadline = None
            yield message


def read_digits(link: Link, seconds: float) -> Iterator[str]:
    """Digits of the link's channel, until it has hung up, the connection ended, or none came for so long."""
    digits = link.connection.digits
    since: float | None = None
    while True:
        try:
            digit = digits.popleft()
        except IndexError:
            if since is None:
                since = time.monotonic()
                link.look()
            if not _types_on(link, link.begin(Connection.digit), seconds, since):
                return
        else:
            since = None
            yield digit


def _types_on(link: Link, wait: Wait[bool], seconds: float, since: float) -> bool:
    """Whether to look for a digit again."""
    try:
        return link.outcome(wait, seconds, since)
    except CommandTimeout:
        return False
