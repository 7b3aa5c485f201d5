"""The arguments of applications as a switch reads them, and what their ends say; without a connection."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pytest
from dialing_model import ParseError, switch_separate_string, var_check
from hypothesis import assume, given
from hypothesis import strategies as st
from support import captured, examples

import eslcodec
from eslcodec import Bridged, ChannelEnded, Collected, InvalidCommand, Recorded, ivr
from eslcodec.dialing import DialString, dial_string
from eslcodec.ivr import DigitsAsked

# How the switch reads an argument


def has_escaped_data(text: str) -> bool:
    """`switch_string_has_escaped_data`."""
    return re.search(r"\\[\\nst']", text) is not None


def expanded(text: str) -> str:
    r"""`switch_channel_expand_variables_check`, which must find no variable.

    >>> expanded("\\${a} \\\\ $$ \\d")
    '${a} \\ $ \\d'
    """
    if not var_check(text) and not has_escaped_data(text):
        return text
    out: list[str] = []
    index = 0
    while index < len(text):
        pair = text[index : index + 2]
        if pair == "\\$":
            index += 2 if text[index + 2 : index + 3] == "$" else 1
            out.append("$")
        elif pair in ("\\'", "\\\\"):
            out.append("" if pair == "\\'" else "\\")
            index += 1
        elif text[index] == "$":
            index += pair == "$$"
            if text[index + 1 : index + 2] == "{":
                raise ParseError(f"a variable in {text!r}")
            out.append("$")
        else:
            out.append(text[index])
        index += 1
    return "".join(out)


TEXT = st.text(alphabet="ab1 '\\\"$${}nrst^%[]|,é\udcff", max_size=12)


@examples(300)
@given(parts=st.lists(TEXT, min_size=1, max_size=5))
def test_words_come_out_as_they_went_in(parts: list[str]) -> None:
    assert switch_separate_string(expanded(ivr.words(*parts)), " ", 11) == parts


@examples(100)
@given(parts=st.lists(TEXT, min_size=3, max_size=3))
def test_the_last_word_that_an_application_has_room_for_comes_out_too(parts: list[str]) -> None:
    assert switch_separate_string(expanded(ivr.words(*parts)), " ", 3) == parts


@examples(300)
@given(argument=TEXT)
def test_a_text_comes_out_as_it_went_in(argument: str) -> None:
    assume(not re.match(r"%.?\[", argument))
    assert expanded(ivr.text(argument)) == argument


def test_plain_words_stay_as_they_are() -> None:
    assert ivr.words("1", "ivr/enter_pin.wav", r"^\d{4}$") == r"1 ivr/enter_pin.wav ^\d{4}$"
    assert ivr.words("a\\", "b") == "a" + 4 * "\\" + " b"


def test_variables_are_left_to_the_switch_if_asked_for() -> None:
    assert ivr.words("${sound_prefix}/a b.wav", "^1$", expand=True) == "'${sound_prefix}/a b.wav' ^1$"
    assert ivr.text("Hello ${name}", expand=True) == "Hello ${name}"


@pytest.mark.parametrize("breaker", ["\n", "\r", "\0"])
def test_a_word_is_on_one_line(breaker: str) -> None:
    with pytest.raises(InvalidCommand, match="expected a single line"):
        ivr.words("a", f"b{breaker}c")
    with pytest.raises(InvalidCommand, match="expected a single line"):
        ivr.text(f"b{breaker}c")


# Digits: what is asked for

ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({}, "1 1 1 5000 # '' '' collected_digits"),
    (
        {"prompt": "enter pin.wav", "max_digits": 4, "tries": 3, "timeout": 1.5, "terminators": "*#"},
        "1 4 3 1500 *# 'enter pin.wav' '' collected_digits",
    ),
    ({"prompt": ["a.wav", "two words.wav"]}, "1 1 1 5000 # 'file_string://a.wav!two words.wav' '' collected_digits"),
    ({"prompt": []}, "1 1 1 5000 # '' '' collected_digits"),
    ({"terminators": ""}, "1 1 1 5000 none '' '' collected_digits"),
    (
        {"prompt": "phrase:pin:a,b", "invalid": "tone_stream://%(200,100,500)", "pattern": r"^[1-3]\d$"},
        r"1 1 1 5000 # phrase:pin:a,b 'tone_stream://%(200,100,500)' collected_digits ^[1-3]\d$ 5000",
    ),
    ({"digit_timeout": 0.5, "variable": "pin"}, "1 1 1 5000 # '' '' pin '' 500"),
    (
        {"min_digits": 0, "transfer": "1000 XML default"},
        "0 1 1 5000 # '' '' collected_digits '' 5000 '1000 XML default'",
    ),
    ({"prompt": "say:${caller_id_name}"}, r"1 1 1 5000 # say:\${caller_id_name} '' collected_digits"),
    ({"prompt": "say:${a}", "expand": True}, "1 1 1 5000 # say:${a} '' collected_digits"),
    ({"prompt": "caf\udce9.wav"}, "1 1 1 5000 # 'caf\udce9.wav' '' collected_digits"),
]


@pytest.mark.parametrize(("options", "argument"), ARGUMENTS)
def test_the_argument_of_play_and_get_digits(options: dict[str, Any], argument: str) -> None:
    assert DigitsAsked(**options).argument() == argument


def test_the_argument_of_read() -> None:
    asked = DigitsAsked("enter pin.wav", max_digits=4, min_digits=2, timeout=3, digit_timeout=2, terminators="")
    assert asked.read_argument() == "2 4 'enter pin.wav' collected_digits 3000 none 2000"
    assert DigitsAsked().read_argument() == "1 1 silence collected_digits 5000 # 5000"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_digits": 0}, r"^max_digits is 0, expected 1 to 127$"),
    ({"max_digits": 128}, r"^max_digits is 128, expected 1 to 127$"),
    ({"max_digits": 10**5000}, r"^max_digits is 16610 bits long, expected"),
    ({"max_digits": 3, "min_digits": 4}, r"^min_digits is 4, expected 0 to 3$"),
    ({"tries": 0}, r"^tries is 0, expected 1 to"),
    ({"timeout": 0.5}, r"^timeout is 0\.5 s, expected 1 to 2147483$"),
    ({"timeout": math.inf}, r"^timeout is inf s, expected"),
    ({"timeout": math.nan}, r"^timeout is nan s, expected"),
    ({"digit_timeout": 0}, r"^digit_timeout is 0 s, expected"),
    ({"terminators": "+#"}, r"^terminators is '\+#', expected some of 0123456789\*#ABCD$"),
    ({"terminators": "# 1"}, r"^terminators is '# 1', expected"),
    ({"variable": "a b"}, r"^variable is 'a b', expected letters, digits and '_'$"),
    ({"variable": ""}, r"^variable is '', expected"),
]


@pytest.mark.parametrize(("options", "why"), REFUSED)
def test_what_the_switch_would_read_otherwise_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidCommand, match=why):
        DigitsAsked(**options)


@pytest.mark.parametrize("item", ["", "a!b", " a", "a ", "it's", "a\\b", "^^:a", "say:a", "Phrase:a"])
def test_one_of_several_prompts_that_would_be_read_as_another_is_refused(item: str) -> None:
    with pytest.raises(InvalidCommand, match=r"^an item of the prompt is "):
        DigitsAsked(["a.wav", item]).argument()


@pytest.mark.parametrize(
    "options",
    [
        {"max_digits": "4"},
        {"max_digits": True},
        {"timeout": "5"},
        {"timeout": None},
        {"terminators": None},
        {"variable": 1},
        {"expand": 1},
    ],
)
def test_a_wrong_type_is_told(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(TypeError, match=f"^{name} is "):
        DigitsAsked(**options)


@pytest.mark.parametrize("options", [{"prompt": "phrase:hi:${a}"}, {"invalid": "a!Phrase:hi:$\\{a}"}])
def test_a_phrase_macro_gets_nothing_that_it_would_expand(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidCommand, match="a phrase macro would expand"):
        DigitsAsked(**options).argument()
    assert "${a}" in DigitsAsked("phrase:hi:${a}", expand=True).argument()


@pytest.mark.parametrize("prompt", [None, b"a.wav", 1, [b"a.wav"]])
def test_a_prompt_that_is_no_text_is_told(prompt: Any) -> None:
    with pytest.raises(TypeError, match="the prompt is "):
        DigitsAsked(prompt).argument()


def test_read_waits_for_a_digit_at_least() -> None:
    with pytest.raises(InvalidCommand, match=r"^min_digits is 0, expected 1 or more"):
        DigitsAsked(min_digits=0).read_argument()


def test_the_prompt_is_played_once_more_than_it_is_retried() -> None:
    assert ivr.tries(0) == 1
    with pytest.raises(InvalidCommand, match=r"^retries is -1, expected 0 to"):
        ivr.tries(-1)


# Digits: what came of it

TWO_TO_FOUR = {"max_digits": 4, "min_digits": 2}
OUTCOMES: list[tuple[dict[str, Any], tuple[Any, Any, Any, Any], Collected]] = [
    # the variable, the variable of what did not match, read_result, read_terminator_used
    (TWO_TO_FOUR, ("1234", None, "success", None), Collected("1234", "full")),
    (TWO_TO_FOUR, ("12", None, "success", "#"), Collected("12", "terminator", "#")),
    (TWO_TO_FOUR, ("12", None, "timeout", None), Collected("12", "timeout")),
    (TWO_TO_FOUR, ("1", None, "failure", None), Collected("", "invalid", "", "1")),
    (TWO_TO_FOUR, ("1", None, "failure", "#"), Collected("", "invalid", "#", "1")),
    (TWO_TO_FOUR, (None, None, "failure", "#"), Collected("", "invalid", "#")),
    (TWO_TO_FOUR, (None, None, "failure", None), Collected("", "timeout")),
    (TWO_TO_FOUR | {"pattern": "^1"}, (None, "99", "success", "#"), Collected("", "invalid", "#", "99")),
    (TWO_TO_FOUR | {"pattern": "^1"}, ("1234", "99", "success", None), Collected("1234", "full")),
    (TWO_TO_FOUR, (None, "99", "failure", None), Collected("", "timeout")),  # what was refused by an earlier pattern
    ({"max_digits": 1}, (None, None, "success", None), Collected("", "invalid")),  # the terminator, during the prompt
    ({"min_digits": 0}, (None, None, "success", "#"), Collected("", "terminator", "#")),
    ({"min_digits": 0}, (None, None, "timeout", None), Collected("", "timeout")),
    ({}, (None, None, None, None), Collected("", "timeout")),
]


@pytest.mark.parametrize(("options", "values", "got"), OUTCOMES)
def test_what_was_collected(options: dict[str, Any], values: tuple[Any, ...], got: Collected) -> None:
    asked = DigitsAsked(**options)
    assert asked.outcome(dict(zip(asked.names, values, strict=True))) == got
    assert bool(got) == (got.digits != "")


def test_collections_at_the_same_time_have_variables_of_their_own() -> None:
    assert ivr.free_variable(["collected_digits", "collected_digits_3"]) == "collected_digits_2"


# A call to somebody else


def test_the_ends_of_bridges_as_a_switch_reported_them() -> None:
    ends = [
        Bridged.of(event)
        for event in captured(eslcodec, "calls_sip")
        if isinstance(event, eslcodec.Event)
        and (event.name, event.get("Application")) == ("CHANNEL_EXECUTE_COMPLETE", "bridge")
    ]
    assert Counter((end.reason, end.answered, end.peer is not None) for end in ends) == {
        ("answered", True, True): 72,
        ("busy", False, False): 11,
        ("failed", False, False): 12,
        ("no answer", False, False): 34,
        ("rejected", False, False): 5,
    }
    causes = {end.cause for end in ends if not end.answered}
    assert causes == {
        "USER_BUSY", "NO_ANSWER", "NO_USER_RESPONSE", "CALL_REJECTED", "UNALLOCATED_NUMBER",
        "NORMAL_TEMPORARY_FAILURE", "ORIGINATOR_CANCEL", "DESTINATION_OUT_OF_ORDER",
    }  # fmt: skip


SUCCESS = {"variable_originate_disposition": "SUCCESS", "variable_last_bridge_to": "b-1"}


@pytest.mark.parametrize(
    ("event", "end"),
    [
        (SUCCESS, Bridged(True, "answered", "", "b-1")),
        (
            {**SUCCESS, "variable_bridge_hangup_cause": "NORMAL_CLEARING"},
            Bridged(True, "answered", "NORMAL_CLEARING", "b-1"),
        ),
        # connected for its ringing only, and never answered
        (
            {**SUCCESS, "variable_bridge_hangup_cause": "USER_BUSY", "Other-Leg-Channel-Answered-Time": "0"},
            Bridged(False, "busy", "USER_BUSY", None),
        ),
        (
            {**SUCCESS, "variable_bridge_hangup_cause": "NORMAL_CLEARING", "Other-Leg-Channel-Answered-Time": "0"},
            Bridged(True, "answered", "NORMAL_CLEARING", "b-1"),
        ),
        # dial strings apart from each other (`:_:`)
        ({"variable_originate_disposition": "success"}, Bridged(True, "answered", "", None)),
        (
            {"variable_originate_disposition": "failure", "variable_originate_failed_cause": "CALL_REJECTED"},
            Bridged(False, "rejected", "CALL_REJECTED", None),
        ),
        ({}, Bridged(False, "failed", "", None)),
    ],
)
def test_what_came_of_a_bridge(event: dict[str, str], end: Bridged) -> None:
    assert Bridged.of(event) == end


def test_a_dial_string_reaches_the_application_as_it_would_reach_originate() -> None:
    variables: dict[str, Any] = {"note": "it's 5 $, or \\n", "b": "x,y"}
    written = dial_string(["user/a b", "user/1001"], variables)
    assert expanded(ivr.dial(["user/a b", "user/1001"], variables, None, True)) == written
    assert expanded(ivr.bridge(written, True)) == written


def test_what_is_bridged_to() -> None:
    assert ivr.bridge("user/1000,user/${x}", True) == "user/1000,user/${x}"
    assert ivr.bridge(["user/1000", "user/1001"], True) == "user/1000,user/1001"
    assert ivr.bridge(["user/1000", "user/1001"], False) == "user/1000|user/1001"
    assert ivr.bridge(DialString("[a=1]user/${x}"), True) == r"[a=1]user/\${x}"
    assert expanded(ivr.bridge(["user/a,b"], True)) == dial_string("user/a,b")


def test_how_long_it_may_ring() -> None:
    assert ivr.dial("user/1", None, 1.2, True) == "{originate_timeout=2}user/1"
    assert ivr.dial(["a/1", "b/2"], {"x": 1}, 20, False) == (
        "{x=1,originate_timeout=20,originate_continue_on_timeout=true}a/1|b/2"
    )
    with pytest.raises(InvalidCommand, match=r"^timeout is 0 s, expected 1 to"):
        ivr.dial("user/1", None, 0, True)


# Recording and the rest


def test_what_was_recorded() -> None:
    event = {
        "variable_record_ms": "2500",
        "variable_record_samples": "20000",
        "variable_playback_terminator_used": "*",
        "variable_silence_hits_exhausted": "true",
    }
    assert Recorded.of(event) == Recorded(2.5, 20000, "*", True)
    assert Recorded.of({"variable_record_ms": "?", "variable_record_samples": "-1"}) == Recorded(None, None, "", False)
    assert Recorded.of(ChannelEnded("NORMAL_CLEARING", eslcodec.Event.build("X", event)).complete or {}).seconds == 2.5


WRITTEN = [
    (ivr.record, ("/tmp/a.wav 60 200 5", None, None, None), "/tmp/a.wav 60 200 5"),
    (ivr.record, ("/tmp/a b.wav", 0.5, None, None), "'/tmp/a b.wav' 1"),
    (ivr.record, ("/tmp/a.wav", None, None, 3), "/tmp/a.wav 0 200 3"),
    (
        ivr.say,
        ("2 + 2", "NUMBER", "Iterated", "en:en-gb", "feminine", False),
        "en:en-gb number iterated feminine '2 + 2'",
    ),
    (ivr.speak, ("a|b 'c'", "flite", "slt", False), "flite|slt|a|b 'c'"),
    (ivr.speak, ("hi ${x}", None, "slt", False), r"slt|hi \${x}"),
    (ivr.displace, ("/a.wav", None, False, False), "/a.wav"),
    (ivr.displace, ("/a.wav", 1.5, True, True), "/a.wav ml +1500"),
    (ivr.record_session, ("/a b.wav", None), "'/a b.wav'"),
    (ivr.record_session, ("/a.wav", 60), "/a.wav +60"),
    (ivr.dtmf, ("0w9*#AdF", None), "0w9*#AdF"),
    (ivr.transfer, ("1000 XML default", None, None), "1000 XML default"),
    (ivr.transfer, ("sip user", None, "public"), "'sip user' XML public"),
    (ivr.transfer, ("1000", "inline", None), "1000 inline"),
    (ivr.playback_control, ("volume", 2, False), "volume:2"),
    (ivr.playback_control, ("speed", 1, True), "speed:+1"),
    (ivr.playback_control, ("restart", None, False), "restart"),
]


@pytest.mark.parametrize(("write", "arguments", "written"), WRITTEN)
def test_the_arguments_of_other_applications(write: Any, arguments: Any, written: str) -> None:
    assert write(*arguments) == written


WRONG = [
    (ivr.record, ("/a.wav", 0, None, None), "^limit is 0 s"),
    (ivr.record, ("/a.wav", 60, -1, None), "^silence_threshold is -1"),
    (ivr.record, ("/a.wav", 60, None, 0), "^silence_hits is 0"),
    (ivr.say, ("1", "numbers", "pronounced", "en", None, False), "^type is 'numbers', expected one of: number, items"),
    (ivr.say, ("1", "number", "loud", "en", None, False), "^method is 'loud', expected one of: pronounced"),
    (ivr.say, ("1", "number", "counted", "en", "x", False), "^gender is 'x', expected one of: masculine"),
    (ivr.say, ("1", "number", "counted", "e n", None, False), "^language is 'e n', expected"),
    (ivr.say, ("", "number", "counted", "en", None, False), "^what is said is '', expected text"),
    (ivr.speak, (" ", None, None, False), "^what is said is ' ', expected text"),
    (ivr.speak, ("a|b", None, None, False), r"^what is said is 'a\|b', expected text without '\|'"),
    (ivr.speak, ("a|b", None, "slt", False), r"expected text without '\|'"),
    (ivr.speak, ("^^:a", None, None, False), "which the switch reads otherwise"),
    (ivr.speak, ("%[a=1]b", None, None, False), "of which the switch makes variables"),
    (ivr.text, ("%,[a=1]b",), "of which the switch makes variables"),
    (ivr.speak, ("a", "flite", None, False), "^an engine is given and no voice"),
    (ivr.speak, ("a", "fl|ite", "slt", False), r"^engine is 'fl\|ite', expected letters"),
    (ivr.dtmf, ("", None), "^digits is '', expected some of"),
    (ivr.dtmf, ("1@5", None), "^digits is '1@5', expected some of"),
    (ivr.dtmf, ("1" * 100, None), "^digits and duration have 100 characters, expected no more than 99"),
    (ivr.transfer, ("", "XML", None), "^a part of a destination is '', expected text"),
    (ivr.playback_control, ("eject", None, False), "^action is 'eject', expected one of: pause"),
    (ivr.playback_control, ("pause", 1, False), "^pause takes no amount"),
    (ivr.playback_control, ("seek", None, False), "^seek has no amount"),
    (ivr.playback_control, ("seek", -1, False), "^amount is -1, expected 0 to"),
    (ivr.playback_control, ("volume", -1, False), "^amount is -1, which the switch takes for a step"),
    (ivr.playback_control, ("seek", 0, True), "^amount is 0, expected a step"),
]


@pytest.mark.parametrize(("write", "arguments", "why"), WRONG)
def test_what_other_applications_would_read_otherwise_is_refused(write: Any, arguments: Any, why: str) -> None:
    with pytest.raises(InvalidCommand, match=why):
        write(*arguments)
