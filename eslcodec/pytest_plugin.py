"""The fixture `esl_switch`: an emulated switch for tests of programs that speak Event Socket.

Installed with the package; nothing but pytest is imported before a test asks for it.

    def test_my_program(esl_switch):
        my_program.connect(esl_switch.host, esl_switch.port, "ClueCon")
        esl_switch.wait_for(lambda: "event plain ALL" in esl_switch.commands)
        esl_switch.fire("CHANNEL_ANSWER", {"Unique-ID": "a1"})

In asynchronous tests `aio_esl_switch` is the same, with those methods awaited that wait.

    async def test_my_program(aio_esl_switch):
        await my_program.connect(aio_esl_switch.host, aio_esl_switch.port, "ClueCon")
        await aio_esl_switch.wait_for(lambda: "event plain ALL" in aio_esl_switch.commands)

And where `assert event == other` fails, pytest shows what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from . import Message
    from .emulator import AioEmulator, Emulator

_SHOWN: Final = 80  # characters of a value


@pytest.fixture
def esl_switch() -> Iterator[Emulator]:
    """A running `eslcodec.emulator.Emulator`, stopped after the test.

    The test fails if an API function raised, or if an API command or an application was missing.
    """
    from .emulator import Emulator

    with Emulator(strict=True) as switch:
        yield switch


@pytest.fixture
def aio_esl_switch(esl_switch: Emulator) -> AioEmulator:
    """The running emulator of `esl_switch` for asynchronous tests: what waits is awaited.

    Example:
        >>> async def test_no_events_are_asked_for(aio_esl_switch):
        ...     await aio_esl_switch.wait_for(lambda: "noevents" in aio_esl_switch.commands)
    """
    from .emulator import AioEmulator

    return AioEmulator(esl_switch)


def pytest_assertrepr_compare(op: str, left: Any, right: Any) -> list[str] | None:
    """What differs in two messages that should be equal; None, which is pytest's own way, for anything else."""
    from . import Message

    if op != "==" or not isinstance(left, Message) or not isinstance(right, Message):
        return None
    return [f"{left!r} == {right!r}", *_differences(left, right)]


def _differences(left: Message, right: Message) -> Iterator[str]:
    if type(left) is not type(right):
        yield f"kind: {type(left).__name__} != {type(right).__name__}"
    malformed = str(left.malformed), str(right.malformed)
    if malformed[0] != malformed[1]:
        yield f"malformed: {malformed[0]} != {malformed[1]}"
    headers = list(_headers(left, right))
    yield from headers
    if left.body != right.body:
        yield f"body: {_unequal(left.body, right.body)}"
    if left.content_type != right.content_type:
        yield f"Content-Type of the frame: {left.content_type!r} != {right.content_type!r}"
    elif left.raw != right.raw and not headers:
        yield f"the same headers, written in another way: {_unequal(left.raw, right.raw)}"


def _headers(left: Message, right: Message) -> Iterator[str]:
    pairs = left.pairs(), right.pairs()
    ours, theirs = map(_values, pairs)
    names = dict.fromkeys([*ours, *theirs])
    differ = [name for name in names if ours.get(name) != theirs.get(name)]
    if differ and len(differ) < len(names):
        yield f"equal headers: {len(names) - len(differ)}; these are not:"
    for name in differ:
        yield f"{repr(name)[1:-1]}: {_unequal(ours.get(name), theirs.get(name))}"
    if not differ and pairs[0] != pairs[1]:
        at = _first_difference(*pairs)
        yield f"the same headers in another order: {pairs[0][at][0]!r} != {pairs[1][at][0]!r} at {at}"


def _values(pairs: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    """The value of each name; of a repeated one the values."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _unequal(ours: Any, theirs: Any) -> str:
    """Two values side by side; of long ones what is there from their first difference on."""
    if type(ours) is type(theirs) and isinstance(ours, (str, bytes)) and max(len(ours), len(theirs)) > _SHOWN:
        at = _first_difference(ours, theirs)
        ends = [f"{value[at : at + _SHOWN]!r}{'...' if len(value) > at + _SHOWN else ''}" for value in (ours, theirs)]
        return f"{' != '.join(ends)} from {at} on"
    return " != ".join("(absent)" if value is None else repr(value) for value in (ours, theirs))


def _first_difference(ours: Sequence[object], theirs: Sequence[object]) -> int:
    both = enumerate(zip(ours, theirs, strict=False))
    return next((at for at, (one, other) in both if one != other), min(len(ours), len(theirs)))
