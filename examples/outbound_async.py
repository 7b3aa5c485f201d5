"""Answer calls that the dialplan sends here, play a file, hang up; thousands at once.

In the dialplan: <action application="socket" data="127.0.0.1:8084 async full"/>
"""

import asyncio
import sys

import eslcodec


async def greet(call: eslcodec.aio.Call) -> None:
    print("call from", call.data.get("Caller-Caller-ID-Number"), flush=True)
    await call.answer(wait=True)
    played = await call.playback("ivr/ivr-welcome.wav", wait=True)
    print("played:", played.get("Application-Response"), flush=True)
    await call.hangup()


async def main(host: str = "127.0.0.1", port: str = "8084") -> None:
    async with eslcodec.aio.serve(greet, host, int(port)) as server:
        print("listening on port", server.port, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
