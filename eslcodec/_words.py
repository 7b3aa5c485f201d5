"""Names and filters that a switch answers with `+OK` though they have no effect: found before a client sends them.

A switch skips event names that it does not know, fires CUSTOM where `sendevent` names none, and sends nothing at all
while there are only filters that keep events back. Both clients ask here, in the verbs that users call; what is asked
for again on a new connection, and what `send` takes, is not looked at.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Final

from . import limits, presets
from .commands import _event_name, _word
from .enums import EventName
from .errors import InvalidCommand
from .subscriptions import Subscriptions, event_name

NEAR: Final = 2
"""How many letters may be wrong, missing or too many in a misspelling of a known name."""

_LOG: Final = logging.getLogger("eslcodec.client")
_LONGEST: Final = max(map(len, EventName.__members__)) + NEAR
_SHOWN: Final = 80


# Names of events


def is_known(name: str) -> bool:
    """Whether the switch has such an event, as far as we know.

    Example:
        >>> is_known("switch_event_dtmf"), is_known("ALL"), is_known("CHANEL_ANSWER")
        (True, True, False)
    """
    return event_name(name) in EventName.__members__


def nearest(name: str) -> str | None:
    """The known name that an unknown one is a misspelling of, None if it is like none.

    Example:
        >>> nearest("chanel_answer"), nearest("CHANNEL_HUNGUP"), nearest("FAX_RESULT")
        ('CHANNEL_ANSWER', 'CHANNEL_HANGUP', None)
    """
    name = event_name(name)
    return _nearest(name) if len(name) <= _LONGEST else None


@lru_cache(limits.UNKNOWN_NAMES)
def _nearest(name: str) -> str | None:
    lengths = range(len(name) - NEAR, len(name) + NEAR + 1)
    distances = [(_distance(name, known), known) for known in EventName.__members__ if len(known) in lengths]
    distance, known = min(distances, key=lambda found: found[0], default=(NEAR + 1, ""))
    return known if distance <= NEAR else None


def _distance(one: str, other: str) -> int:
    """How many letters have to be put in, taken out or changed to make the other of one (Levenshtein)."""
    before = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        row = [number]
        for at, wanted in enumerate(other, 1):
            row.append(min(before[at] + 1, row[-1] + 1, before[at - 1] + (letter != wanted)))
        before = row
    return before[-1]


def check_names(names: Iterable[str], unknown: bool) -> None:
    """The names that `subscribe` and `sendevent` are given.

    Args:
        names: the names.
        unknown: whether the user says that unknown ones are meant.

    Raises:
        InvalidCommand: no name at all (a subclass, several in one), or a known one misspelt.

    Example:
        >>> try:
        ...     check_names(["CHANNEL_ANSWER", "CHANEL_HANGUP"], False)
        ... except InvalidCommand as error:
        ...     print(error)
        no event is named 'CHANEL_HANGUP', expected 'CHANNEL_HANGUP' (unknown=True: it is meant)
    """
    for name in names:
        _check(_event_name(name), unknown)


def check_handled(name: str, subclass: str | None, unknown: bool) -> str:
    """The name of the events that a handler is for, as the switch compares it.

    Args:
        name: the name.
        subclass: of CUSTOM.
        unknown: whether the user says that an unknown name is meant.

    Raises:
        InvalidCommand: what no event can match.
        ValueError: a subclass of something else than CUSTOM.

    Example:
        >>> check_handled("custom", "sofia::register", False), check_handled("DTMF", None, False)
        ('CUSTOM', 'DTMF')
    """
    text = _event_name(name, subclasses='"CUSTOM", subclass=...')
    compared = event_name(text)
    if subclass is not None:
        if compared != "CUSTOM":
            raise ValueError(f"{name!r:.80} has no subclasses, only CUSTOM has")
        _word("a subclass", subclass)
    _check(text, unknown)
    return compared


def _check(name: str, unknown: bool) -> None:
    if unknown or is_known(name):
        return
    if name in presets.__all__:
        how = f"*presets.{name}" if name == "CALLS" else f"custom=presets.{name}"
        raise InvalidCommand(
            f"no event is named {name!r}, expected the list's names: {how} (unknown=True: it is meant)"
        )
    known = nearest(name)
    if known is not None:
        raise InvalidCommand(f"no event is named {name!r}, expected {known!r} (unknown=True: it is meant)")
    _tell(event_name(name)[:_SHOWN])


@lru_cache(limits.UNKNOWN_NAMES)
def _tell(name: str) -> None:
    """Log it, once for each name: newer switches have more of them."""
    _LOG.warning(
        "FreeSWITCH 1.11 has no event %s: a switch that does not know it either sends none, and for `sendevent` fires "
        "CUSTOM without a subclass (unknown=True: it is meant)",
        name,
    )


# Handlers


def check_handler(handler: object, *, awaits: bool = False) -> None:
    """What `on` is given to call.

    Args:
        handler: called with the event.
        awaits: whether coroutine functions are taken too.

    Raises:
        TypeError: nothing of it would run.

    Example:
        >>> async def answered(event): ...
        >>> check_handler(answered, awaits=True)
        >>> check_handler(answered)
        Traceback (most recent call last):
            ...
        TypeError: the handler is an async def, which nothing here awaits: expected a function (eslcodec.aio awaits)
    """
    if not callable(handler):
        raise TypeError(f"the handler is {handler!r:.80}, expected a function")
    functions = _functions(handler)
    if not awaits and any(map(inspect.iscoroutinefunction, functions)):
        raise TypeError(
            "the handler is an async def, which nothing here awaits: expected a function (eslcodec.aio awaits)"
        )
    if any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in functions):
        raise TypeError("the handler is a generator, of which nothing would run: expected a function without yield")


def _functions(handler: object) -> Sequence[object]:
    """What is called when it is called."""
    while isinstance(handler, partial):
        handler = handler.func
    return handler, getattr(type(handler), "__call__", None)  # noqa: B004


# Filters


def tell_silence(subscriptions: Subscriptions) -> None:
    """Warn, once, that no event comes any more, because there are only filters that keep events back.

    Example:
        >>> tell_silence(Subscriptions())
    """
    warning = subscriptions.warning()
    if warning:
        _LOG.warning("%s", warning)
