"""A menu, a PIN that is checked, a call to somebody else, and a caller who hangs up; thousands at once.

In the dialplan: <action application="socket" data="127.0.0.1:8084 async full"/>
"""

import asyncio
import sys

import eslcodec

PINS = {"1000": "4711"}


async def answer(call: eslcodec.aio.Call) -> None:
    number = call.data.get("Caller-Caller-ID-Number", "")
    try:
        await call.answer(wait=True)
        choice = await call.collect(
            "ivr/ivr-welcome_to_freeswitch.wav", max_digits=1, pattern="^[12]$", invalid="ivr/wrong.wav"
        )
        print(number, "chose", choice.digits or choice.reason, flush=True)
        if choice.digits == "1":
            await reach_somebody(call)
        elif choice.digits == "2":
            await check_pin(call, number)
        await call.hangup()
    except eslcodec.ChannelEnded as ended:
        print(number, "hung up:", ended.cause, flush=True)


async def reach_somebody(call: eslcodec.aio.Call) -> None:
    reached = await call.dial(["user/1000", "user/1001"], timeout=20)
    print("reached:", reached.reason, reached.cause, flush=True)
    if not reached.answered:
        await call.playback("ivr/ivr-no_user_response.wav", wait=True)


async def check_pin(call: eslcodec.aio.Call, number: str) -> None:
    pin = await call.collect(
        "ivr/ivr-please_enter_pin_followed_by_pound.wav", max_digits=8, min_digits=4, timeout=10, retries=1
    )
    if pin and pin.digits == PINS.get(number):
        await call.say("2", type="messages", wait=True)
    else:
        await call.playback("ivr/ivr-access_denied.wav", wait=True)


async def main(host: str = "127.0.0.1", port: str = "8084") -> None:
    async with eslcodec.aio.serve(answer, host, int(port)) as server:
        print("listening on port", server.port, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
