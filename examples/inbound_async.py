"""Log in and follow calls as they come and go, for ever; a handler asks the switch about each call that is answered."""

import asyncio
import os
import sys

import eslcodec


async def main(host: str = "127.0.0.1", port: str = "8021") -> None:
    password = os.environ.get("ESL_PASSWORD", "ClueCon")
    async with eslcodec.aio.connect(host, int(port), password=password, reconnect=True) as fs:

        async def answered(event: eslcodec.Event) -> None:
            codec = await fs.api("uuid_getvar", f"{event.uuid} read_codec")
            print("answered", event.uuid, "codec", codec.text.strip(), flush=True)

        def hung_up(event: eslcodec.Event) -> None:
            print("hung up", event.uuid, event.get("Hangup-Cause"), flush=True)

        fs.on("CHANNEL_ANSWER", answered)
        fs.on("CHANNEL_HANGUP_COMPLETE", hung_up)
        await fs.subscribe(*eslcodec.presets.CALLS)
        await fs.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
