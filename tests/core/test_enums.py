"""Names and numbers of headers and commands (docs/protocol/enums.md, docs/protocol/events.md)."""

from __future__ import annotations

import pickle
from types import ModuleType

import pytest
from support import capture, decode


def test_event_names_are_their_text(esl: ModuleType) -> None:
    assert esl.EventName.CHANNEL_ANSWER == "CHANNEL_ANSWER"
    assert str(esl.EventName.DTMF) == f"{esl.EventName.DTMF}" == "DTMF"
    assert "event plain %s" % esl.EventName.ALL == "event plain ALL"  # noqa: UP031
    assert {esl.EventName.DTMF: 1}["DTMF"] == 1
    for name in esl.EventName:
        assert name.name == name.value == str(name)


def test_event_names_are_those_of_the_switch(esl: ModuleType) -> None:
    assert len(esl.EventName) == 94
    assert [name.value for name in esl.EventName][:3] == ["CUSTOM", "CLONE", "CHANNEL_CREATE"]
    assert [name.value for name in esl.EventName][-2:] == ["CERT_RELOAD", "ALL"]


@pytest.mark.parametrize("name", ["commands_inbound", "out_async_full", "concurrent_commands", "sendevent"])
def test_events_of_a_switch_have_known_names(esl: ModuleType, name: str) -> None:
    events = [message for message in decode(esl, capture(name)) if isinstance(message, esl.Event)]
    assert events
    for event in events:
        assert esl.EventName(event.name).value == event.name


def test_hangup_causes_have_their_numbers(esl: ModuleType) -> None:
    cause = esl.HangupCause
    assert cause["NORMAL_CLEARING"] == 16
    assert cause(17) is cause.USER_BUSY
    assert cause.ORIGINATOR_CANCEL.value == 487
    assert (cause.NONE, cause.SUCCESS, cause.REJECT_ALL) == (0, 142, 825)


def test_hangup_causes_are_causes_alone(esl: ModuleType) -> None:
    assert [name for name in esl.HangupCause.__members__ if name.startswith("CS_")] == []
    assert list(esl.HangupCause.__members__)[-1] == "REJECT_ALL"


def test_no_name_is_another_names_alias(esl: ModuleType) -> None:
    for kind in (esl.HangupCause, esl.ChannelState, esl.CallState, esl.AnswerState, esl.EventName, esl.LogLevel):
        assert len(kind.__members__) == len(list(kind))


def test_channel_states_have_their_numbers(esl: ModuleType) -> None:
    assert [state.name for state in esl.ChannelState] == [
        "CS_NEW",
        "CS_INIT",
        "CS_ROUTING",
        "CS_SOFT_EXECUTE",
        "CS_EXECUTE",
        "CS_EXCHANGE_MEDIA",
        "CS_PARK",
        "CS_CONSUME_MEDIA",
        "CS_HIBERNATE",
        "CS_RESET",
        "CS_HANGUP",
        "CS_REPORTING",
        "CS_DESTROY",
        "CS_NONE",
    ]
    assert [state.value for state in esl.ChannelState] == list(range(14))


def test_call_and_answer_states_are_their_text(esl: ModuleType) -> None:
    assert [str(state) for state in esl.CallState] == [
        "DOWN",
        "DIALING",
        "RINGING",
        "EARLY",
        "ACTIVE",
        "HELD",
        "RING_WAIT",
        "HANGUP",
        "UNHELD",
    ]
    assert [str(state) for state in esl.AnswerState] == ["hangup", "answered", "early", "ringing"]
    assert esl.AnswerState.ANSWERED == "answered"


def test_log_levels_have_their_numbers(esl: ModuleType) -> None:
    levels = {level.name: level.value for level in esl.LogLevel}
    names = ["CONSOLE", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG"]
    assert levels == {
        **{name: number for number, name in enumerate(names)},
        **{f"DEBUG{number}": 100 + number for number in range(1, 11)},
    }


def test_values_of_a_real_channel_convert(esl: ModuleType) -> None:
    for message in decode(esl, capture("out_async_full")):
        if isinstance(message, esl.Event) and "Channel-State" in message:
            assert esl.ChannelState[message["Channel-State"]].name == message["Channel-State"]
            assert esl.ChannelState(int(message["Channel-State-Number"])) >= 0
            assert esl.CallState(message["Channel-Call-State"]) == message["Channel-Call-State"]
            assert esl.AnswerState(message["Answer-State"]) == message["Answer-State"]
        if message.get("Hangup-Cause"):
            assert esl.HangupCause[message["Hangup-Cause"]].name == message["Hangup-Cause"]


def test_members_are_pickled_by_name(esl: ModuleType) -> None:
    for member in (esl.EventName.DTMF, esl.HangupCause.USER_BUSY, esl.LogLevel.DEBUG10):
        assert pickle.loads(pickle.dumps(member)) is member
