"""The examples of least privilege in examples/bridge: enough for `eslcodec bridge`, and for nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bridge_support import SECONDS, STREAM, from_folder, numbered, published, recorded, running
from cli_live_support import build, subscribed
from cli_live_support import password_file as password_file
from nats_support import ANSWER, BINARIES, Server, cluster, connect, needs_server, until

from eslcodec import presets
from eslcodec.emulator import Emulator, User

nkeys = pytest.importorskip("nkeys", reason="nkeys is not installed")
pytest.importorskip("eslcodec.cli.bridge")
EXAMPLES = Path(__file__).parents[2] / "examples" / "bridge"
pytestmark = [
    pytest.mark.heavy,
    needs_server,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the tests stand beside no checkout"),
]
INBOX = ["--nats-inbox", "_INBOX_fs1"]


class Keys:
    """The keys that the example takes from the environment, as files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = {}
        for name in ("FS1", "KEEPER"):
            seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
            monkeypatch.setenv(f"{name}_NKEY", nkeys.from_seed(bytearray(seed)).public_key.decode())
            self.paths[name] = folder / name
            self.paths[name].touch(0o600)
            self.paths[name].write_bytes(seed)

    @asynccontextmanager
    async def client(self, server: Server, name: str, inbox: str, errors: list[str]) -> AsyncIterator[Any]:
        async def wrong(error: Exception) -> None:
            errors.append(str(error).lower())

        options = {"nkeys_seed": str(self.paths[name]), "inbox_prefix": inbox, "error_cb": wrong}
        connection = await until(lambda: connect(server.url, **options))
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    return Keys(tmp_path, monkeypatch)


def rights() -> str:
    return (EXAMPLES / "nats-rights.conf").read_text()


async def keep(server: Server, keys: Keys) -> None:
    """Make the stream, as its keeper."""
    async with keys.client(server, "KEEPER", "_INBOX", []) as connection:
        context = connection.jetstream(timeout=ANSWER)
        await until(lambda: context.add_stream(name=STREAM, subjects=["esl.v1.fs1.>"]), "a stream")


def test_the_rights_of_the_example_are_enough(tmp_path: Path, keys: Keys) -> None:
    folder = tmp_path / "rec"
    with cluster(BINARIES[-1], tmp_path, config=rights()) as (server,):
        asyncio.run(keep(server, keys))
        for hour in (1, 2):  # the second time it looks at what the stream has
            recorded(folder, *numbered(20), hour=hour)
            code, said = published(folder, server.url, "--nats-nkey", keys.paths["FS1"], *INBOX)
            assert code == 0, said
    assert "violation" not in said.lower()


def test_a_stream_is_made_with_the_right_to_it(tmp_path: Path, keys: Keys) -> None:
    line = '"$JS.API.STREAM.CREATE.ESL-fs1"'
    assert f"# {line}" in rights()
    folder = recorded(tmp_path / "rec", *numbered(20))
    words = ["--nats-nkey", keys.paths["FS1"], *INBOX, "--create-stream"]
    servers = cluster(BINARIES[-1], tmp_path, config=rights())
    with servers as (server,), running(*from_folder(folder, server.url, *words)) as run:
        run.says("fs1: permission: ")
        server.configure(rights().replace(f"# {line}", line))
        server.kill(signal.SIGHUP)
        run.says("fs1: is published again")
        assert run.ended(signal.SIGTERM) == 0, run.said


FORBIDDEN = (
    "esl.v1.fs2.0.DTMF",
    "esl.v1.fs2.notice.gap",
    "other",
    *(f"$JS.API.STREAM.{what}.ESL-fs1" for what in ("PURGE", "DELETE", "UPDATE", "CREATE", "MSG.DELETE", "SNAPSHOT")),
    "$JS.API.STREAM.INFO.ESL-fs2",
    "$JS.API.STREAM.MSG.GET.ESL-fs2",
    "$JS.API.STREAM.LIST",
    "$JS.API.CONSUMER.CREATE.ESL-fs1",
)


async def _has(errors: list[str], count: int) -> bool:
    return len(errors) >= count


def test_a_bridge_may_publish_nothing_else(tmp_path: Path, keys: Keys) -> None:
    async def test(server: Server) -> None:
        errors: list[str] = []
        async with keys.client(server, "FS1", "_INBOX_fs1", errors) as connection:
            errors.clear()  # of a server that had not begun
            for subject in FORBIDDEN:
                await connection.publish(subject, b"")
            await until(lambda: _has(errors, len(FORBIDDEN)), "a refusal of each")
            assert errors == [f'nats: permissions violation for publish to "{each.lower()}"' for each in FORBIDDEN]

    with cluster(BINARIES[-1], tmp_path, config=rights()) as (server,):
        asyncio.run(asyncio.wait_for(test(server), SECONDS))


def test_a_bridge_may_read_nothing_but_its_answers(tmp_path: Path, keys: Keys) -> None:
    async def test(server: Server) -> None:
        errors: list[str] = []
        async with keys.client(server, "FS1", "_INBOX_fs1", errors) as connection:
            errors.clear()
            for subject in ("esl.v1.>", "_INBOX.>", "$JS.API.>", ">"):
                await connection.subscribe(subject)
            await until(lambda: _has(errors, 4), "a refusal of each")
            assert all("permissions violation for subscription" in error for error in errors), errors

    with cluster(BINARIES[-1], tmp_path, config=rights()) as (server,):
        asyncio.run(asyncio.wait_for(test(server), SECONDS))


def test_the_example_names_each_subject_that_a_bridge_asks_and_no_other(tmp_path: Path, keys: Keys) -> None:
    """Who may see everything sees what it asks, with and without a stream."""
    folder = tmp_path / "rec"
    seen: set[str] = set()

    async def see(message: Any) -> None:
        seen.add(message.subject)

    async def test(server: Server) -> None:
        connection = await until(lambda: connect(server.url, user="all", password="a"))
        await connection.subscribe("$JS.API.>", cb=see)
        await connection.flush()
        for hour in (1, 2):
            recorded(folder, *numbered(20), hour=hour)
            words = ["--nats-nkey", keys.paths["FS1"], "--create-stream"]
            code, said = await asyncio.to_thread(published, folder, server.url, *words)
            assert code == 0, said
        await connection.drain()

    watcher = "authorization { users = [ { nkey: $FS1_NKEY }, { user: all, password: a } ] }"
    with cluster(BINARIES[-1], tmp_path, config=watcher) as (server,):
        asyncio.run(asyncio.wait_for(test(server), SECONDS))
    assert seen == set(re.findall(r'"(\$JS\.API\.STREAM\.[A-Z.]+\.ESL-fs1)"', rights()))


# The switch


def directory_user() -> dict[str, str]:
    """What the example allows."""
    user = ElementTree.parse(EXAMPLES / "directory-user.xml").getroot().find("user")
    assert user is not None
    return {each.attrib["name"]: each.attrib["value"] for each in user.iter("param")}


def test_the_directory_user_of_the_example_may_have_what_calls_names() -> None:
    assert directory_user()["esl-allowed-events"].split() == [*presets.CALLS, "HEARTBEAT"]
    assert directory_user()["esl-allowed-log"] == "false"


def test_the_directory_user_of_the_example_is_enough(tmp_path: Path, password_file: Any) -> None:
    said = directory_user()
    user = User("secret", said["esl-allowed-events"], said["esl-allowed-api"], log=False)
    spill = tmp_path / "spill"
    with Emulator(users={"bridge@example.org": user}) as switch, cluster(BINARIES[-1], tmp_path) as (server,):
        words = ["--user", "bridge@example.org", "--password-file", password_file(b"secret\n"), "--events", "CALLS"]
        where = [f"fs1=127.0.0.1:{switch.port}", "--dir", spill, "--to", server.url, "--create-stream"]
        with running("bridge", *where, *words) as run:
            subscribed(switch)
            switch.fire(build("CHANNEL_ANSWER", {"Unique-ID": "a"}))
            run.wait_for(lambda: list(spill.glob(f"*/{STREAM}.place")), "a place")
            assert run.ended(signal.SIGTERM) == 0, run.said
    commands = [command.partition("\n")[0] for command in switch.commands]
    asked = {command.split()[1] for command in commands if command.startswith(("api ", "bgapi "))}
    assert asked <= set(said["esl-allowed-api"].split())
    assert "global_getvar" in asked
    assert [command.split()[2:] for command in commands if command.startswith("event ")] == [
        said["esl-allowed-events"].split()
    ]
    assert "denied" not in run.said


def test_an_event_that_the_user_may_not_have_is_told(tmp_path: Path, password_file: Any) -> None:
    user = User("secret", directory_user()["esl-allowed-events"])
    words = ["--user", "bridge@example.org", "--password-file", password_file(b"secret\n"), "--events", "DTMF"]
    with Emulator(users={"bridge@example.org": user}) as switch:
        where = [f"fs1=127.0.0.1:{switch.port}", "--dir", tmp_path / "spill", "--to", "nats://127.0.0.1:1"]
        with running("bridge", *where, *words, "--drain", "100ms") as run:
            run.says("fs1: -ERR permission denied")
            assert run.ended(signal.SIGTERM) == 1
