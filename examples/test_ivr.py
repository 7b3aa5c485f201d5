"""The test of ivr.py, for pytest: an emulated switch calls it, and its caller types."""

import ivr
import pytest

import eslcodec
from eslcodec.emulator import Emulator, Endpoint


@pytest.fixture
def port():
    with eslcodec.serve(ivr.answer) as server:
        yield server.port


def test_who_chooses_1_talks_to_somebody(esl_switch: Emulator, port: int) -> None:
    esl_switch.endpoints["user/*"] = Endpoint("answer", talks=0.1)
    call = esl_switch.call("127.0.0.1", port, caller="1000", script=["5", "1"])
    assert call.wait(30) == "NORMAL_CLEARING"
    assert call.prompts == ["ivr/ivr-welcome_to_freeswitch.wav", "ivr/wrong.wav", "ivr/ivr-welcome_to_freeswitch.wav"]


def test_a_wrong_pin_is_refused(esl_switch: Emulator, port: int) -> None:
    call = esl_switch.call("127.0.0.1", port, caller="1000", script=["2", "0815#"])
    assert call.wait(30) == "NORMAL_CLEARING"
    assert call.prompts[-1] == "ivr/ivr-access_denied.wav"
