"""Run commands in the background, all at once, and collect their results."""

import asyncio
import os
import sys

import eslcodec


async def main(host: str = "127.0.0.1", port: str = "8021") -> None:
    async with eslcodec.aio.connect(host, int(port), password=os.environ.get("ESL_PASSWORD", "ClueCon")) as fs:

        async def run(command: str) -> None:
            job = await fs.bgapi(command)
            result = await job.result(timeout=30)
            print(command, "ok" if result.ok else "failed", result.text.splitlines()[0])

        await asyncio.gather(*map(run, ("status", "version", "nosuchcommand")))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
