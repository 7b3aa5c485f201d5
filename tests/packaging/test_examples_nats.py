"""examples/many_switches.py: twenty emulated switches, and a real NATS server."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from examples_support import EXAMPLES, line, running
from nats_support import BINARIES, Server, cluster, needs_server, once, stored
from support import until

from eslcodec.emulator import Emulator

pytestmark = [pytest.mark.skipif(not EXAMPLES.exists(), reason="the tests stand beside no checkout"), pytest.mark.heavy]


def answered(server: Server, name: str) -> list[str]:
    """The subjects of these events in the stream of a switch."""
    subjects = [subject for _, subject in asyncio.run(stored(server, f"ESL-{name}"))]
    return [each for each in subjects if each.endswith(".CHANNEL_ANSWER")]


@once
@needs_server
def test_twenty_switches_come_into_a_stream_each(tmp_path: Path) -> None:
    with ExitStack() as stack:
        (server,) = stack.enter_context(cluster(BINARIES[-1], tmp_path))
        switches = {f"fs{number:02}": stack.enter_context(Emulator(password="secret")) for number in range(1, 21)}
        hosts = [f"{name}={switch.host}:{switch.port}" for name, switch in switches.items()]
        process = stack.enter_context(running("many_switches", server.url, tmp_path / "spill", *hosts))
        assert sorted(line(process) for _ in hosts) == [f"{name} started" for name in switches]
        switches["fs07"].drop()
        assert line(process) == "fs07 gap"
        for name, switch in switches.items():
            switch.fire("CHANNEL_ANSWER", {"Unique-ID": f"call of {name}"})
        for name in switches:  # what has not come when it is told to end would be lost
            until(lambda: answered(server, name), 60)  # noqa: B023  # looked at in the loop
        process.terminate()
        assert line(process).startswith("published ")
        assert process.wait(60) == 0
        for name in switches:
            subjects = [subject for _, subject in asyncio.run(stored(server, f"ESL-{name}"))]
            assert len(answered(server, name)) == 1
            assert (f"esl.v1.{name}.notice.gap" in subjects) == (name == "fs07")
