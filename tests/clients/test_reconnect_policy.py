"""The policy itself, `eslcodec.reconnect`, which has neither I/O nor clock."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import part


def ending(esl: ModuleType, reason: str = "gone", *, error: str = "ConnectionClosed", **options: bool) -> Any:
    made = getattr(esl, error)
    return part(esl, "reconnect").End(
        reason, options.get("asked", False), options.get("clean", False), lambda: made(reason)
    )


def books_of(esl: ModuleType, **options: Any) -> Any:
    return part(esl, "reconnect").Reconnection(esl.Backoff(**{"first": 1, "jitter": 0, **options}))


def test_pauses_grow_until_a_connection_lasts(esl: ModuleType) -> None:
    books = books_of(esl)
    dues = []
    for lasted in (0, 0.5, 2, 4.5, 100):
        books.lost(ending(esl), lasted=lasted, since=0, now=0)
        dues.append(books.due)
        books.dialling()
        books.usable()
    assert dues == [1, 2, 4, 1, 1]


def test_nothing_is_planned_twice(esl: ModuleType) -> None:
    books = books_of(esl)
    books.lost(ending(esl), lasted=9, since=9, now=10)
    books.plan(50)
    assert books.due == 11
    books.dialling()
    assert books.due is None
    books.plan(50)  # the attempt was never heard of again
    assert books.due == 52


@pytest.mark.parametrize("options", [{"asked": True, "clean": True}, {"error": "AuthError"}, {"error": "AccessDenied"}])
def test_what_is_final(esl: ModuleType, options: Any) -> None:
    end = ending(esl, **options)
    books = books_of(esl)
    assert not books.returns_from(end)
    books.lost(end, lasted=9, since=9, now=10)
    assert (books.over, books.away, books.due) == (end, None, None)
    books = books_of(esl)
    books.lost(ending(esl), lasted=9, since=9, now=10)
    books.dialling()
    books.failed(end.error(), end, now=12)
    assert (books.over, books.due) == (end, None)


@pytest.mark.parametrize("clean", [True, False])
def test_what_a_reader_is_told(esl: ModuleType, clean: bool) -> None:
    reconnect = part(esl, "reconnect")
    end = ending(esl, clean=clean)
    alone = reconnect.Reconnection(None)
    alone.lost(end, lasted=9, since=9, now=10)
    assert (alone.told(end) is None) == clean
    books = books_of(esl, attempts=1)
    books.lost(end, lasted=9, since=9, now=10)
    books.dialling()
    failure = OSError("no route")
    books.failed(failure, None, now=11)
    told = books.told(end)
    assert (type(told), str(told), told.__cause__) == (esl.ConnectionClosed, "gone", failure)
    books.close()
    assert books.told(end) is None


def test_from_when_on_a_gap_counts(esl: ModuleType) -> None:
    books = books_of(esl)
    books.lost(ending(esl), lasted=9, since=93, now=100)
    books.dialling()
    books.failed(OSError(), None, now=101)
    gap = books.gap(110)
    assert (gap.seconds, gap.reason) == (17, "gone")
    books.dialling()
    books.failed(esl.ConnectionClosed("again"), ending(esl, "again"), now=112, since=111)  # that gap was told
    gap = books.gap(115)
    assert (gap.seconds, gap.reason) == (4, "again")


def test_no_attempts_at_all(esl: ModuleType) -> None:
    books = books_of(esl, attempts=0)
    books.lost(ending(esl, clean=True), lasted=9, since=93, now=100)
    assert not books.over.clean
    assert books.due is None


def test_a_refused_login_is_tried_again_slowly_if_the_password_is_read_again(esl: ModuleType) -> None:
    reconnect = part(esl, "reconnect")
    refused = ending(esl, "-ERR invalid", error="AuthError")
    books = reconnect.Reconnection(esl.Backoff(first=1, longest=50, attempts=3, jitter=0), renews=True)
    books.lost(ending(esl), lasted=9, since=9, now=10)
    dues = [books.due]
    for now in (100, 200, 300):
        books.dialling()
        books.failed(refused.error(), refused, now=now)
        dues.append(books.due)
    assert dues == [11, 150, 250, None]
    assert books.over is refused


def test_refusals_of_what_was_subscribed_to_count_in_a_row(esl: ModuleType) -> None:
    refused = part(esl, "reconnect").End("refused", False, False, lambda: esl.ConnectionClosed("refused"), True)
    books = books_of(esl)
    for refusals in (2, 2, 3):
        books.lost(ending(esl), lasted=9, since=9, now=10)
        for _ in range(refusals):
            books.dialling()
            books.failed(refused.error(), refused, now=20)
        if refusals == 2:
            assert books.over is None
            books.usable()
    assert books.over is refused


def test_exhaustion_tells_what_the_switch_said_last(esl: ModuleType) -> None:
    refused = part(esl, "reconnect").End("refused", False, False, lambda: esl.ConnectionClosed("refused"), True)
    books = books_of(esl, attempts=1)
    books.lost(ending(esl, clean=True), lasted=9, since=9, now=10)
    books.dialling()
    books.failed(refused.error(), refused, now=20)
    assert books.over is refused
