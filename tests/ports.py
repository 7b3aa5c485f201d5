"""Ports for servers that are started by their number."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now, different ones.

    Nobody gets one before it is used who asks the system for any port, or connects: those begin at 32768, or later.
    """
    chance = random.SystemRandom()  # whatever the tests' seed: several processes look for some at the same time
    found: set[int] = set()
    while len(found) < count:
        port = chance.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)


def free_port() -> int:
    """One of these."""
    return free_ports(1)[0]
