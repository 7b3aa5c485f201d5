"""A blocking client that another thread than the reading one has closed: what its switch hears of it."""

from __future__ import annotations

import socket
from types import ModuleType
from typing import Any

import pytest
from shut_support import Late, flooded, small_socket
from support import ACCEPTED, AUTH
from sync_support import HOST, PATIENCE, Task, event, until
from sync_support import nothing_left as nothing_left


def read_on(fs: Any) -> None:
    while True:
        fs.next_event(timeout=PATIENCE)


def test_a_switch_that_waits_for_room_hears_that_a_client_was_closed(esl: ModuleType) -> None:
    """Linux makes no room known that a read makes after `shutdown`."""
    with flooded(AUTH, ACCEPTED, more=event(1)) as (address, switch):
        fs = esl.connect(sock=small_socket(address))
        late = fs._link._in = Late(fs._link._in)
        reading = Task(lambda: read_on(fs))
        assert late.reads.wait(PATIENCE)
        switch.stands()
        fs.close()
        late.may.set()
        with pytest.raises(esl.ConnectionClosed):
            reading.result()
        assert switch.heard_the_end()


def test_a_switch_that_has_said_nothing_since_hears_no_reset(esl: ModuleType) -> None:
    with socket.create_server((HOST, 0)) as server:
        sock = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE)
            peer.sendall(AUTH + ACCEPTED)
            fs = esl.connect(sock=sock)
            reading = Task(lambda: read_on(fs))
            until(lambda: fs._link._reading)
            fs.close()
            with pytest.raises(esl.ConnectionClosed):
                reading.result()
            assert peer.recv(100) == b"auth ClueCon\n\n"
            assert peer.recv(100) == b""
            peer.sendall(b"\n")  # what is no answer to a reset, which would be an error here
