"""The calls of many switches into NATS JetStream: recorded first, published from there, each to a stream of its own.

python many_switches.py nats://127.0.0.1:4222 spill fs01=10.0.0.1 fs02=10.0.0.2 ... fs20=10.0.0.20
"""

import asyncio
import os
import signal
import sys
from contextlib import ExitStack, suppress

from eslcodec.ingest import Fleet, Host, Recorder, Redact, notices
from eslcodec.ingest.bridge import Bridge, stream_config
from eslcodec.ingest.contract import Contract


async def record(hosts: list[Host], spill: str) -> None:
    password = os.environ.get("ESL_PASSWORD", "ClueCon")
    with ExitStack() as recorders:

        def tap(name: str) -> Recorder:
            return recorders.enter_context(Recorder(spill))

        async with Fleet(hosts, events=["CALLS"], password=password, tap=tap) as fleet:
            async for switch, message in fleet:
                if notices.is_notice(message):  # Started, Gap, Loss, ...
                    print(switch, message.kind, flush=True)


def bridge(host: Host, spill: str, server: str) -> Bridge:
    contract = Contract(host.name, redact=Redact.profile("secrets"))
    stream = f"ESL-{host.name}"
    config = stream_config(stream, [contract.subjects.pattern(host.name)])
    return Bridge(f"{spill}/{host.host}_{host.port}", server, stream, contract, create=config, begin="all")


async def main(server: str, spill: str, *switches: str) -> None:
    hosts = [Host.parse(switch) for switch in switches]
    bridges = [bridge(host, spill, server) for host in hosts]
    recording = asyncio.create_task(record(hosts, spill))
    publishing = [asyncio.create_task(each.run()) for each in bridges]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, recording.cancel)
    await asyncio.wait([recording, *publishing], return_when=asyncio.FIRST_COMPLETED)  # SIGTERM, or a fault
    recording.cancel()
    with suppress(asyncio.CancelledError):
        await recording
    for each in bridges:
        each.finish()
    await asyncio.gather(*publishing)
    print("published", sum(each.stats().publisher.acknowledged for each in bridges), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
