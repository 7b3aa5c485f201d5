"""Receive one kind of CUSTOM event, and of those only what a filter in the switch lets through."""

import asyncio
import os
import sys

import eslcodec


async def main(host: str = "127.0.0.1", port: str = "8021") -> None:
    async with eslcodec.aio.connect(host, int(port), password=os.environ.get("ESL_PASSWORD", "ClueCon")) as fs:
        await fs.filter("from-user", "/^10[0-9][0-9]$/")  # filters first: nothing comes unfiltered
        await fs.subscribe(custom=["sofia::register", "sofia::unregister"])
        print("waiting", flush=True)
        async for event in fs.events():
            print(event.subclass, event.get("from-user"), event.get("network-ip"), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
