"""Watch the calls of a switch, and tell whoever connects how many channels are in which state, in a line of JSON.

$ nc 127.0.0.1 8090
{"connected": true, "ACTIVE": 2, "RINGING": 1}
"""

import asyncio
import json
import os
import sys
from collections import Counter

import eslcodec


async def watch(fs: eslcodec.aio.Client, states: dict[str, str]) -> None:
    await fs.subscribe("CHANNEL_CREATE", "CHANNEL_CALLSTATE", "CHANNEL_DESTROY")
    await look(fs, states)
    async for event in fs.events():
        if isinstance(event, eslcodec.Gap):  # what changed meanwhile no event says
            await look(fs, states)
        elif event.name == "CHANNEL_DESTROY":
            states.pop(event["Unique-ID"], None)
        else:
            states[event["Unique-ID"]] = event["Channel-Call-State"]


async def look(fs: eslcodec.aio.Client, states: dict[str, str]) -> None:
    try:
        rows = await fs.show("channels")
    except eslcodec.ConnectionClosed:  # lost again: another Gap will come
        return
    states.clear()
    states.update({row["uuid"]: row["callstate"] for row in rows})


async def main(host: str = "127.0.0.1", port: str = "8021", listen: str = "8090") -> None:
    states: dict[str, str] = {}
    password = os.environ.get("ESL_PASSWORD", "ClueCon")
    async with eslcodec.aio.connect(host, int(port), password=password, reconnect=True, keepalive=30) as fs:

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            summary = {"connected": fs.connected, **Counter(states.values())}
            writer.write(json.dumps(summary).encode() + b"\n")
            writer.close()

        async with await asyncio.start_server(tell, "127.0.0.1", int(listen)) as server:
            print("listening on port", server.sockets[0].getsockname()[1], flush=True)
            await watch(fs, states)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
