"""How the switch compares filters: mod_event_socket.c, switch_regex.c and switch_event.c, case by case."""

from __future__ import annotations

import pytest

from eslcodec._ctext import atoi, is_number, is_true, is_true_to_library
from eslcodec._filters import Filter, passes, remaining
from eslcodec.emulator import Listener
from eslcodec.emulator._switch import Switch
from eslcodec.events import Event
from eslcodec.subscriptions import Subscriptions, is_negative

CASES = [
    # value of the filter, value of the header, whether it matches, whether it keeps back
    ("red", "red", True, False),
    ("RED", "red", True, False),
    ("red", "reds", False, False),
    ("+red", "red", True, False),
    ("+red", "+red", False, False),
    ("-red", "red", True, True),
    ("-+red", "red", True, False),
    ("+-red", "red", True, True),
    (" - + red", "red", True, False),
    ("- red blue", "red blue", True, True),
    ("-", "red", False, True),
    ("red-", "red", False, False),
    ("/red/", "infrared", True, False),
    ("/RED/", "red", False, False),
    ("/RED/i", "red", True, False),
    ("/^red$/", "reds", False, False),
    ("/red", "red", False, False),  # no second slash: an error in the switch's log
    ("/red", "/red", False, False),
    ("/ab", "ab", False, False),
    ("//", "anything", True, False),
    ("//", "", True, False),
    ("/a/b/", "xa/bx", True, False),
    ("/a/b/", "ab", False, False),
    ("/a/x", "a", True, False),  # other letters mean nothing
    ("/a.b/", "a\nb", False, False),
    ("/a.b/s", "a\nb", True, False),
    ("/A.B/si", "a\nb", True, False),
    ("-/red/", "red", False, True),  # the first character decides: this is a text
    ("-/red/", "/red/", True, True),
    ("+/red/", "/RED/", True, False),
    ("/-/", "a-b", True, False),
    ("/(/", "(", False, False),  # does not compile
    ("/[/", "[", False, False),
    ("Ä", "Ä", True, False),
    ("Ä", "ä", False, False),  # any case is that of ASCII
    ("/Ä/i", "ä", False, False),
    ("/^.$/", "Ä", False, False),  # bytes, two of them
    ("/^..$/", "Ä", True, False),
    ("/^\\w+$/", "Ä", False, False),
    ("caf\udce9", "CAF\udce9", True, False),
    ("/[[:digit:]]{3}/", "a123", True, False),
    ("/[[:digit:]]{3}/", "a:di", False, False),
    ("/[x[:upper:]]/", "x", True, False),
    ("/[[]/", "[", True, False),
    ("/\\[[:alpha:]]/", "[a", False, False),
    ("/\\d[&&]/", "1&", True, False),
]


@pytest.mark.parametrize(("wanted", "value", "matches", "negative"), CASES)
def test_a_filter_is_compared_as_the_switch_does(wanted: str, value: str, matches: bool, negative: bool) -> None:
    rule = Filter.of(wanted)
    assert (rule.matches(value), rule.negative) == (matches, negative)
    assert is_negative(wanted) is negative
    assert passes([("A", wanted)], {"A": value}.get) is (matches and not negative)
    assert passes([("B", "x"), ("A", wanted)], {"A": value, "B": "x"}.get) is not (matches and negative)


@pytest.mark.parametrize(("wanted", "value", "matches", "negative"), CASES)
def test_the_client_and_the_emulator_agree(wanted: str, value: str, matches: bool, negative: bool) -> None:
    if value == "" or "\n" in value:
        pytest.skip("no event of an emulator has such a header")
    event = Event.build("CUSTOM", {"A": value})
    client = Subscriptions()
    client.filters.append(("A", wanted))
    listener = Listener(Switch())
    listener.start()
    listener.receive(f"auth ClueCon\n\nevent plain CUSTOM\n\nfilter A {wanted}\n\n".encode("utf-8", "surrogateescape"))
    came = listener.fire(listener.switch.core.wrap(event))
    assert client.passes(event) is bool(came) is (matches and not negative)


def test_a_filter_counts_only_for_an_event_that_has_its_header() -> None:
    assert passes([("A", "-1"), ("B", "2")], {"B": "2"}.get)
    assert not passes([("A", "1")], {"B": "2"}.get)


def test_a_long_value_is_compared_too() -> None:
    assert passes([("A", "+" + "x" * 5000)], {"A": "X" * 5000}.get)


def test_text_that_stands_for_no_bytes_is_compared_too() -> None:
    assert Filter.of("\ud800").matches("\ud800")
    assert not Filter.of("/a/").matches("\ud800")


@pytest.mark.parametrize(
    ("header", "value", "left"),
    [
        ("a", None, [("B", "1")]),
        ("A", "", [("B", "1")]),  # no value, as the switch sees it
        ("A", "1", [("A", "one"), ("B", "1")]),
        ("A", "ONE", [("A", "1"), ("a", "1"), ("A", "one"), ("B", "1")]),  # compared with case
        ("ALL", "1", []),
        ("C", None, [("A", "1"), ("a", "1"), ("A", "one"), ("B", "1")]),
    ],
)
def test_filters_are_deleted_as_the_switch_does(header: str, value: str | None, left: list[tuple[str, str]]) -> None:
    assert remaining([("A", "1"), ("a", "1"), ("A", "one"), ("B", "1")], header, value) == left


@pytest.mark.parametrize(
    ("text", "number", "whole"),
    [
        ("", 0, True),
        ("12", 12, True),
        ("-7", -7, True),
        ("+7.5", 7, True),
        ("--7", 0, False),
        (" \t7", 7, False),
        ("7x", 7, False),
        ("x7", 0, False),
        ("0" * 30 + "7", 7, True),
        ("9" * 30, int("9" * 19), True),
        ("\u0667", 0, False),
    ],
)
def test_numbers_are_read_as_in_c(text: str, number: int, whole: bool) -> None:
    assert (atoi(text), is_number(text)) == (number, whole)


@pytest.mark.parametrize(
    ("text", "switch", "library"),
    [
        (None, False, False),
        ("", False, False),
        ("0", False, False),
        ("0.9", False, False),
        ("-1", True, True),
        ("1x", False, True),
        (" 1", False, True),
        ("YES", True, True),
        ("on", True, True),
        ("true", True, True),
        ("T", True, False),
        ("enabled", True, True),
        ("active", True, True),
        ("allow", True, True),
        ("y", False, False),
        ("true ", False, False),
    ],
)
def test_truth_is_that_of_the_switch_and_of_its_library(text: str | None, switch: bool, library: bool) -> None:
    assert (is_true(text), is_true_to_library(text)) == (switch, library)
