"""Dial strings: whatever stands in a value or a target arrives in the switch as it was, or is refused with the reason.

The judge is `dialing_model`, which reads as the switch's source does.
"""

from __future__ import annotations

from typing import Any

import pytest
from dialing_model import Call, ParseError, originate_function
from hypothesis import example, given
from hypothesis import strategies as st

from eslcodec.dialing import (
    DialString,
    Leg,
    Originated,
    dial_string,
    enterprise,
    originate_arguments,
    reason_of,
)
from eslcodec.errors import CommandError, InvalidCommand

HARD = st.sampled_from(
    list("',\\{}[]<>|=:_^$&() \t\n\rsnt\"") + [":_:", "${", "\\'", "^^:", "undef", "\1", "\2", "é", "\U0001f600"]
)
TEXTS = st.lists(HARD | st.characters(codec="utf-8"), max_size=12).map("".join)
NAMES = st.text("abcdefXYZ_-.0123456789", min_size=1, max_size=8)
VARIABLES = st.dictionaries(NAMES, TEXTS, max_size=4)
LEGS = st.builds(Leg, st.builds("user/{}".format, TEXTS), VARIABLES)


def refused(build: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InvalidCommand) as caught:
        build(*arguments, **options)
    return str(caught.value)


@given(
    legs=st.lists(LEGS, min_size=1, max_size=3),
    variables=VARIABLES,
    together=st.booleans(),
    argument=TEXTS,
)
@example(
    legs=[Leg("user/1")], variables={"a": "}{", "b": ":_:_:", "c": " \\' ", "d": "^^:a:b"}, together=True, argument=""
)
@example(legs=[Leg("user/1", {"a": "it's, [so]", "b": "'"}), Leg("user/2")], variables={}, together=True, argument="(")
def test_all_of_it_arrives_or_is_refused(
    legs: list[Leg], variables: dict[str, str], together: bool, argument: str
) -> None:
    try:
        line = originate_arguments(
            legs, application="playback", argument=argument, variables=variables, together=together, timeout=7
        )
    except InvalidCommand:
        return
    made = originate_function(line)
    expected = [Call(leg.target, {**leg.variables, **variables}) for leg in legs]
    assert made.attempts == [[expected]] if together else made.attempts == [[[call] for call in expected]]
    assert (made.application, made.argument, made.timeout) == ("playback", argument or None, 7)


@given(value=TEXTS)
def test_what_is_refused_of_a_value_cannot_be_expressed(value: str) -> None:
    try:
        line = originate_arguments("user/1", application="park", variables={"name": value})
    except InvalidCommand as error:
        assert value == "" or "${" in value.replace("\\", "").replace("$$", "$") or "\0" in value, str(error)
    else:
        assert originate_function(line).attempts == [[[Call("user/1", {"name": value})]]]


@given(
    first=st.builds(Leg, st.builds("user/{}".format, TEXTS)), own=VARIABLES, shared=VARIABLES, more=st.integers(1, 9)
)
def test_dial_strings_that_are_called_apart(first: Leg, own: dict[str, str], shared: dict[str, str], more: int) -> None:
    own = {f"o{name}": value for name, value in own.items()}
    try:
        apart = enterprise(dial_string(first, own), dial_string("user/2"), variables=shared)
        line = originate_arguments(apart, extension="9664", variables={"more!": more})
    except InvalidCommand:
        return
    for_all = {"more!": str(more), **shared}
    assert originate_function(line).attempts == [
        [[Call(first.target, {**for_all, **own})]],
        [[Call("user/2", for_all)]],
    ]


def test_an_extension_with_its_dialplan_and_context() -> None:
    line = originate_arguments("user/1", extension="it's inline x", timeout=5, caller_id_number="+49 1")
    made = originate_function(line)
    assert (made.extension, made.dialplan, made.context, made.timeout) == ("it's", "inline", "x", 5)
    assert made.attempts == [[[Call("user/1", {"origination_caller_id_number": "+49 1"})]]]


def test_a_ready_dial_string_goes_as_it_is() -> None:
    ready = DialString("{a='x, y'}[b=1]user/1,user/2|error/USER_BUSY")
    first = [Call("user/1", {"b": "1", "c": "2", "a": "x, y"}), Call("user/2", {"c": "2", "a": "x, y"})]
    made = originate_function(originate_arguments(ready, application="park", variables={"c": 2}))
    assert made.attempts == [[first, [Call("error/USER_BUSY", {"c": "2", "a": "x, y"})]]]


def test_what_cannot_be_expressed_is_refused_with_the_reason() -> None:
    for variables, reason in (
        ({"a": ""}, "the variable a is empty, which the switch takes for none: leave it out"),
        ({"a": "${b}"}, "the switch refuses '${' in a value, unless the variable origination_nested_vars is 'true'"),
        ({"a": "ARRAY::x"}, "expected no NUL in it and no 'ARRAY::' first"),
        ({"a b": "x"}, "expected one without blanks, quotes and brackets"),
        ({"a": 1, "A": 2}, "the variable 'A' is given twice: the switch ignores case in names"),
    ):
        assert reason in refused(dial_string, "user/1", variables)
    assert "brackets that do not match" in refused(dial_string, Leg("user/1", {"a": "[x"}))
    assert "is given for a leg and for all" in refused(dial_string, Leg("user/1", {"a": 1}), {"A": 2})
    assert "expected an endpoint such as 'user/1000'" in refused(dial_string, "{a=1}user/1")
    assert "0 targets, expected 1 to 128" in refused(dial_string, [])
    assert "has ')' in it" in refused(originate_arguments, "user/1", application="log", argument="(x)")
    assert "one of the two" in refused(originate_arguments, "user/1")
    assert "reads as something else" in refused(originate_arguments, "user/1", extension="undef")
    assert "give application=" in refused(originate_arguments, "user/1", extension="&park")
    assert "has '\\n' in it" in refused(originate_arguments, "user/1\napi x", application="park")


def test_variables_of_variables_arrive_where_the_switch_is_told_to_take_them() -> None:
    variables = {"origination_nested_vars": True, "a": "${b}"}
    made = originate_function(originate_arguments("user/1", application="park", variables=variables))
    assert made.attempts == [[[Call("user/1", {"origination_nested_vars": "true", "a": "${b}"})]]]


def test_quotes_go_one_level_at_a_time_in_the_model() -> None:
    made = originate_function(
        "{a=\\'x,y\\'}[c=\\'1,2\\',d=3]user/1,user/2 '&log(INFO it\\'s)' XML default undef undef 9"
    )
    first = Call("user/1", {"c": "1", "d": "3", "a": "x,y"})  # a leg's quotes go where the legs are split at |
    assert made.attempts == [[[first, Call("user/2", {"a": "x,y"})]]]
    assert (made.application, made.argument, made.timeout) == ("log", "INFO it's", 9)
    with pytest.raises(ParseError):
        originate_function("{a=1user/1 &park")


def test_what_the_switch_puts_out_of_an_originate() -> None:
    made = Originated.of("+OK 7f4de4bc-17d7-11dd-b7a0-db4edd065621\n")
    assert (bool(made), made.reason, made.cause) == (False, "connected", "SUCCESS")
    assert made.uuid == "7f4de4bc-17d7-11dd-b7a0-db4edd065621"
    answered = made.as_answered()
    assert (bool(answered), answered.reason, answered.uuid) == (True, "answered", made.uuid)
    gone = made.as_ended("ORIGINATOR_CANCEL")
    assert (bool(gone), gone.reason, gone.cause) == (False, "no answer", "ORIGINATOR_CANCEL")
    reasons = [reason_of(cause) for cause in ("USER_BUSY", "NO_ANSWER", "CALL_REJECTED", "USER_NOT_REGISTERED")]
    assert reasons == ["busy", "no answer", "rejected", "failed"]
    for text in ("-USAGE: <call url> <exten>", "-ERR originate Command not found!\n", "-ERR no reply\n", ""):
        with pytest.raises(CommandError):
            Originated.of(text)
