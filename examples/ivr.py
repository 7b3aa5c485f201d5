"""A menu, a PIN that is checked, a call to somebody else, and a caller who hangs up.

In the dialplan: <action application="socket" data="127.0.0.1:8084 async full"/>
"""

import sys

import eslcodec

PINS = {"1000": "4711"}


def answer(call: eslcodec.sync.Call) -> None:
    number = call.data.get("Caller-Caller-ID-Number", "")
    try:
        call.answer(wait=True)
        choice = call.collect(
            "ivr/ivr-welcome_to_freeswitch.wav", max_digits=1, pattern="^[12]$", invalid="ivr/wrong.wav"
        )
        print(number, "chose", choice.digits or choice.reason, flush=True)
        if choice.digits == "1":
            reach_somebody(call)
        elif choice.digits == "2":
            check_pin(call, number)
        call.hangup()
    except eslcodec.ChannelEnded as ended:
        print(number, "hung up:", ended.cause, flush=True)


def reach_somebody(call: eslcodec.sync.Call) -> None:
    reached = call.dial(["user/1000", "user/1001"], timeout=20)
    print("reached:", reached.reason, reached.cause, flush=True)
    if not reached.answered:
        call.playback("ivr/ivr-no_user_response.wav", wait=True)


def check_pin(call: eslcodec.sync.Call, number: str) -> None:
    pin = call.collect(
        "ivr/ivr-please_enter_pin_followed_by_pound.wav", max_digits=8, min_digits=4, timeout=10, retries=1
    )
    if pin and pin.digits == PINS.get(number):
        call.say("2", type="messages", wait=True)
    else:
        call.playback("ivr/ivr-access_denied.wav", wait=True)


def main(host: str = "127.0.0.1", port: str = "8084") -> None:
    with eslcodec.serve(answer, host, int(port)) as server:
        print("listening on port", server.port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
