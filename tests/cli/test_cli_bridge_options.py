"""What `eslcodec bridge` publishes by its options: redaction, subjects, where it begins; and what cannot be, in a
sentence each."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bridge_support import CORE, STREAM, from_folder, numbered, published, recorded, running
from cli_live_support import run
from nats_support import ANSWER, BINARIES, Server, client, cluster, make_stream, needs_server
from recordings_support import BEGIN

pytest.importorskip("eslcodec.cli.bridge")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
URL = "nats://127.0.0.1:1"
SECRETS = (
    b"Event-Name: CHANNEL_EXECUTE\nCore-UUID: 8f08a03a\nEvent-Sequence: 1\nUnique-ID: a\n"
    b"variable_sip_auth_password: hunter2\nvariable_domain_name: one.example\n"
    b"Application-Data: %7Bsip_auth_password%3Dhunter2,leg_timeout%3D5%7Dsofia/gateway/carrier/1000\n\n",
    b"Event-Name: DTMF\nCore-UUID: other\nEvent-Sequence: 2\nDTMF-Digit: 7\nvariable_pin: hunter2\n\n",
    b"Event-Name: BACKGROUND_JOB\nCore-UUID: 8f08a03a\nEvent-Sequence: 3\nContent-Length: 25\n\n"
    b"default_password=hunter2\n",
)


class Message(NamedTuple):
    subject: str
    headers: dict[str, str]
    body: bytes


async def _messages(server: Server, stream: str) -> list[Message]:
    connection = await client(server)
    try:
        context = connection.jetstream(timeout=ANSWER)
        last = (await context.stream_info(stream)).state.last_seq
        found = [await context.get_msg(stream, number) for number in range(1, last + 1)]
        return [Message(each.subject, each.headers, each.data) for each in found]
    finally:
        await connection.close()


def messages(server: Server, stream: str = STREAM) -> list[Message]:
    """All that a stream has."""
    return asyncio.run(_messages(server, stream))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with cluster(BINARIES[-1], tmp_path) as (server,):
        yield server


def events_of(server: Server, folder: Path, *more: Any, stream: str = STREAM) -> list[Message]:
    """What is published of a folder, without its notices."""
    code, said = published(folder, server.url, "--create-stream", *more, stream=stream)
    assert code == 0, said
    return [each for each in messages(server, stream) if ".notice." not in each.subject]


# Redaction


@pytest.mark.heavy
@needs_server
@POSIX
def test_no_secret_is_published_unless_it_is_asked_for(server: Server, tmp_path: Path) -> None:
    first, second, third = events_of(server, recorded(tmp_path / "rec", *SECRETS))
    assert b'"variable_sip_auth_password":"***"' in first.body
    assert b'"{sip_auth_password=***,leg_timeout=5}sofia/gateway/carrier/1000"' in first.body
    assert b'"DTMF-Digit":"***"' in second.body
    assert b'"_body":"default_password=***\\n"' in third.body
    assert not [each for each in (first, second, third) if "hunter2" in repr(each)]


@pytest.mark.heavy
@needs_server
@POSIX
def test_everything_is_published_with_redact_none_under_the_same_identities(server: Server, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *SECRETS)
    plain = events_of(server, folder, "--redact", "none")
    assert b"hunter2" in plain[0].body
    redacted = events_of(server, folder, "--as", "again", stream="ESL-fs1-again")
    assert [each.headers["Nats-Msg-Id"] for each in redacted] == [each.headers["Nats-Msg-Id"] for each in plain]
    assert redacted[1].headers["Nats-Msg-Id"].startswith(f"{CORE}:h:")


@pytest.mark.heavy
@needs_server
@POSIX
def test_a_file_says_what_else_is_taken_out(server: Server, tmp_path: Path) -> None:
    rules = tmp_path / "redact.toml"
    rules.write_text('profile = "secrets"\nmask = ["variable_domain_name"]\ndrop = ["application-data"]\n')
    found = events_of(server, recorded(tmp_path / "rec", *SECRETS), "--redact", rules)
    assert b'"variable_domain_name":"***"' in found[0].body
    assert b"Application-Data" not in found[0].body


def test_a_profile_that_there_is_not_is_refused(tmp_path: Path) -> None:
    result = run("bridge", None, *from_folder(tmp_path, URL, "--redact", "nothing")[1:])
    assert result.exit_code == 2
    assert "read 'nothing', expected secrets" in " ".join(result.output.split())


# Subjects


@pytest.mark.heavy
@needs_server
@POSIX
def test_subjects_are_those_of_the_template_and_the_number_of_partitions(server: Server, tmp_path: Path) -> None:
    template = "tenant.{variable_domain_name}.{@switch}.{@partition}.{Event-Name}"
    words = ["--subject", template, "--partitions", 1]
    found = events_of(server, recorded(tmp_path / "rec", *SECRETS[:2]), *words)
    assert [each.subject for each in found] == [
        "tenant.one%2Eexample.fs1.0.CHANNEL_EXECUTE",
        "tenant.%.fs1.0.DTMF",
    ]


@pytest.mark.heavy
@needs_server
@POSIX
def test_what_is_published_again_has_a_prefix_and_a_stream_of_its_own(server: Server, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *SECRETS[:1])
    found = events_of(server, folder, "--as", "old.esl", stream="ESL-fs1-old-esl")
    assert [each.subject for each in found] == ["old.esl.fs1.3.CHANNEL_EXECUTE"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--subject", "a.{@switch}.{Event-Name}"], "--subject: the template 'a.{@switch}.{Event-Name}' has not one"),
        (["--subject", "{@switch}.{@partition}"], "begins with no word of its own"),
        (["--subject", "a.{@partition"], "--subject: "),
        (["--as", "a b"], "--as: "),
        (["--as", "a.>"], "--as: "),
        (["--as", "a", "--subject", "a.{@switch}.{@partition}"], "--as and --subject exclude each other"),
        (["--partitions", "0"], "--partitions"),
        (["--partitions", "5000"], "--partitions: partitions is 5000, expected 1 to 1024"),
        (["--since", "soon"], "expected a time such as 2026-11-29T08:00, 08:00, yesterday or -2h, now or all"),
        (["--to", "http://h"], "--to: read 'http://h', expected nats://HOST:PORT or tls://HOST:PORT"),
        (["--to", "nats://h:0"], "--to: read 'nats://h:0'"),
        (["--to", "nats://h:x"], "--to: read 'nats://h:x'"),
        (["--to", "h"], "--to: read 'h'"),
    ],
)
def test_what_is_none_is_told_in_a_sentence(tmp_path: Path, more: list[str], why: str) -> None:
    result = run("bridge", None, *from_folder(tmp_path, URL, *more)[1:])
    assert result.exit_code == 2
    assert why in " ".join(result.output.split())


# Where it begins


@pytest.mark.heavy
@needs_server
@POSIX
def test_it_begins_with_what_was_recorded_since_a_time(server: Server, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(20))  # a second apart
    since = datetime.fromtimestamp(BEGIN + 10, timezone.utc)
    found = events_of(server, folder, "--since", since.isoformat())
    assert [each.headers["Nats-Msg-Id"] for each in found] == [f"{CORE}:{number}" for number in range(10, 20)]


@pytest.mark.heavy
@needs_server
@POSIX
def test_what_another_bridge_has_published_is_passed_over_with_overlap(server: Server, tmp_path: Path) -> None:
    since = datetime.now(timezone.utc).timestamp()
    for name, count in (("one", 10), ("two", 20)):
        folder = recorded(tmp_path / name, *numbered(count), begin=since)
        found = events_of(server, folder, "--overlap")
        assert [each.headers["Nats-Msg-Id"] for each in found] == [f"{CORE}:{number}" for number in range(count)]


# What cannot be


def test_a_folder_that_there_is_not_is_told(tmp_path: Path) -> None:
    result = run("bridge", None, *from_folder(tmp_path / "rec", URL)[1:])
    assert result.exit_code == 1
    assert "there is no such folder, expected one that `eslcodec record` writes" in " ".join(result.output.split())


def test_a_library_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    result = run("bridge", None, *from_folder(tmp_path, URL)[1:])
    assert result.exit_code == 1
    assert "pip install 'eslcodec[nats]'" in result.output


@pytest.mark.heavy
@needs_server
@POSIX
def test_a_stream_that_there_is_not_is_told_and_taken_up_when_it_is_made(server: Server, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(5))
    with running(*from_folder(folder, server.url)) as command:
        command.says("fs1: no_responders: stream ESL-fs1: stream not found (10059) (--create-stream makes it)")
        asyncio.run(make_stream(server, STREAM, "esl.v1.fs1.>"))
        command.wait_for(lambda: list(folder.glob("*/*.place")), "a place")
        assert command.ended(signal.SIGTERM) == 0, command.said
    assert "6 acknowledged, 0 waiting" in command.said


@pytest.mark.heavy
@needs_server
@POSIX
@pytest.mark.parametrize(
    ("config", "more", "why"),
    [
        (
            {"retention": "workqueue"},
            [],
            "stream ESL-fs1 deletes what was consumed (retention is workqueue), so its end says nothing: use limits",
        ),
        (
            {"metadata": {"esl-partitions": "8"}},
            [],
            "stream ESL-fs1 has 8 partitions, not 16: a channel would be in two",
        ),
    ],
)
def test_a_stream_that_cannot_work_is_told_and_ends_it(
    tmp_path: Path, config: dict[str, Any], more: list[str], why: str
) -> None:
    newest = BINARIES[-1]
    folder = recorded(tmp_path / "rec", *numbered(5))
    with cluster(newest, tmp_path) as (server,):
        asyncio.run(make_stream(server, STREAM, "esl.v1.fs1.>", **config))
        with running(*from_folder(folder, server.url, *more)) as command:
            command.says(f"fs1: is not published: {why}")
            assert command.ended() == 1
    assert "Traceback" not in command.said
