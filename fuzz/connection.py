"""Any bytes to the connection without I/O, while commands, jobs and executions wait: all are settled at its end.

An input is pieces of what a switch says, each behind the letter of something that the client does first (see
BETWEEN_RECORDS in _common.py). Nothing raises but what is documented. The compiled core gets the pieces whole, the
Python core cut smaller, and both come to the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from _common import BETWEEN_RECORDS, PYTHON, C, draw, main, same, support

ACTIONS: dict[str, Callable[[Any], Any]] = {
    "a": lambda connection: connection.api("status"),
    "b": lambda connection: connection.bgapi("status", job_uuid="j1"),
    "B": lambda connection: connection.bgapi("version", job_uuid="j2"),
    "c": lambda connection: connection.connect(),
    "d": lambda connection: connection.divert_events(),
    "e": lambda connection: connection.subscribe("DTMF", "ALL", custom=["a::b"], format="json"),
    "E": lambda connection: connection.subscribe("BACKGROUND_JOB", "CHANNEL_EXECUTE_COMPLETE"),
    "f": lambda connection: connection.filter("Unique-ID", "u-1"),
    "F": lambda connection: connection.filter_delete("Event-Name"),
    "g": lambda connection: connection.getvar("x"),
    "h": lambda connection: connection.hangup(),
    "l": lambda connection: connection.log("debug"),
    "L": lambda connection: connection.nolog(),
    "m": lambda connection: connection.myevents(),
    "M": lambda connection: connection.myevents("u-1", format="json"),
    "n": lambda connection: connection.unsubscribe("ALL"),
    "N": lambda connection: connection.noevents(),
    "p": lambda connection: connection.pipeline(["api status", "noevents", b"exit\n\n"]),
    "q": lambda connection: connection.queue.clear(),
    "r": lambda connection: connection.run("playback", "a.wav", event_uuid="e1"),
    "R": lambda connection: connection.run("sleep", "1", event_uuid="e2"),
    "s": lambda connection: connection.send("sendmsg u-1\ncall-command: hangup"),
    "S": lambda connection: connection.sendevent("CUSTOM", {"A": "1"}, "body", subclass="a::b"),
    "t": lambda connection: connection.unicast(transport="tcp"),
    "u": lambda connection: connection.resume(),
    "v": lambda connection: connection.linger(5),
    "w": lambda connection: connection.nomedia("u-2", uuid="u-1"),
    "x": lambda connection: connection.exit(),
    "X": lambda connection: connection.xferext([("answer", ""), ("sleep", "1")]),
    "z": lambda connection: connection.probe(10.0),
    "-": lambda connection: None,
}
LETTERS = "".join(ACTIONS)
ENDS = {  # each of them in its turn ends a connection
    "receive_eof": lambda connection: connection.receive_eof(),
    "lost": lambda connection: connection.lost(OSError("reset")),
    "close": lambda connection: connection.close(),
    "abort": lambda connection: connection.abort("given up"),
}
LOGINS = {
    "inbound": support.AUTH + support.ACCEPTED,
    "outbound": b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nSocket-Mode: async\nControl: full\n"
    b"Content-Type: command/reply\nReply-Text: +OK\n\n",
}


class Watched:
    """A wait, and whether who waits for it was woken."""

    def __init__(self, wait: Any) -> None:
        self.wait = wait
        self.woken = wait.done
        wait.watch(self.wake)

    def wake(self) -> None:
        self.woken = True

    def outcome(self, package: Any) -> Any:
        assert self.wait.done, f"left open: {self.wait!r}"
        assert self.woken, f"settled in silence: {self.wait!r}"
        self.wait.unwatch(self.wake)
        try:
            value = self.wait.result()
        except package.ESLError as error:
            return self.wait.what, type(error).__name__, str(error)
        return self.wait.what, support.snapshot(value)


class Client:
    """What a client with this connection does, and everything that comes of it."""

    def __init__(self, package: Any, rng: random.Random) -> None:
        self.package = package
        self.rng = rng
        self.kind = rng.choice(sorted(LOGINS))
        self.when_full = rng.choice(["pause", "drop"])
        self.limit = rng.choice([1, 4, 4096])
        options = {"queue_limit": self.limit, "queue_hard_limit": 2 * self.limit, "when_full": self.when_full}
        options |= rng.choice([{}, {"max_header_bytes": 300, "max_body_bytes": 100}])
        self.connection = getattr(support.part(package, "connection").Connection, self.kind)(**options)
        self.waits = [Watched(self.connection.ready)]
        self.seen: list[Any] = []

    def act(self, letter: str) -> None:
        try:
            made = ACTIONS[letter](self.connection)
        except self.package.ESLError as error:
            self.seen.append((type(error).__name__, str(error)))
            # Before the login, without a channel, for a uuid in use; or what ended the call or the connection.
            allowed = [self.package.InvalidCommand, *([type(end.error())] if (end := self.connection.end) else [])]
            if self.connection.hung_up is not None:
                allowed.append(self.package.ChannelEnded)
            if type(error) not in allowed:
                raise
        else:
            waits = made if isinstance(made, (list, tuple)) else [made]
            new = [wait for wait in waits if wait is not None and all(wait is not old.wait for old in self.waits)]
            self.waits += map(Watched, new)

    def hear(self, piece: bytes, size: int) -> None:
        for data in support.pieces(piece, size):
            if size % 2:
                self.connection.receive(data)
            else:
                support.receive(self.connection, data)
        self.seen.append((self.connection.data_to_send(), self.state()))
        assert self.when_full == "pause" or len(self.connection.queue) <= self.limit

    def state(self) -> Any:
        connection = self.connection
        end = connection.end
        return (
            *(connection.logged_in, connection.channel, connection.mode, connection.control, connection.dropped),
            *(
                len(connection.queue),
                connection.wants_data,
                connection.queue_is_full,
                [one.wait.done for one in self.waits],
            ),
            *(connection.subscriptions.commands(), end and (end.reason, end.asked, end.clean, end.worth_retrying)),
        )

    def finish(self) -> list[Any]:
        """Ends it in every way; the first one counts, and nothing is left open."""
        for name in self.rng.sample(sorted(ENDS), len(ENDS)):
            ENDS[name](self.connection)
            self.seen.append(self.state())
        end = self.connection.end
        assert end is not None
        assert isinstance(end.error(), self.package.ESLError)
        outcomes = [one.outcome(self.package) for one in self.waits]
        assert self.connection.watcher_count == 0
        assert self.connection.data_to_send() == b""
        queued = [support.snapshot(message) for message in self.connection.queue]
        return [*self.seen, *outcomes, *queued]


def test_one_input(data: bytes) -> None:
    pieces = data.split(BETWEEN_RECORDS)
    clients = [Client(package, draw(data)) for package in (C, PYTHON)]
    logs_in, size = clients[0].rng.random() < 0.8, clients[0].rng.randint(1, 40)
    clients[1].rng.setstate(clients[0].rng.getstate())
    for client in clients:
        step = size if client.package is PYTHON else len(data) + 500
        if logs_in:
            client.hear(LOGINS[client.kind], step)
        for piece in pieces:
            letter = piece[:1].decode("latin-1")
            client.act(letter if letter in ACTIONS else LETTERS[sum(piece[:1]) % len(LETTERS)])
            client.hear(piece[1:], step)
    ours, theirs = (client.finish() for client in clients)
    for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        same(one, other, at)


if __name__ == "__main__":
    main(test_one_input)
