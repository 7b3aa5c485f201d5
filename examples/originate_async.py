"""Call several people at once, each by itself, and say what came of it."""

import asyncio
import os
import sys

import eslcodec


async def main(targets: str = "user/1000,user/1001", host: str = "127.0.0.1", port: str = "8021") -> None:
    async with eslcodec.aio.connect(host, int(port), password=os.environ.get("ESL_PASSWORD", "ClueCon")) as fs:

        async def call(target: str) -> None:
            made = await fs.originate(target, application="park", caller_id_name="Example", timeout=20)
            print(target, made.reason, made.cause)
            if made:
                await fs.uuid(made.uuid).kill()

        await asyncio.gather(*map(call, targets.split(",")))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
