"""How `eslcodec bridge` logs in to real servers of NATS: nkeys, credentials, certificates; and what it says if it may
not."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bridge_support import from_folder, numbered, published, recorded, running, troubled
from cli_live_support import run
from nats_support import BINARIES, Server, cluster, needs_server

nkeys = pytest.importorskip("nkeys", reason="nkeys is not installed")
nats_login = pytest.importorskip("eslcodec.cli.nats_login")
pytestmark = [
    pytest.mark.heavy,
    needs_server,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of POSIX"),
]
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
URL = "nats://127.0.0.1:1"


def seed(kind: int) -> bytes:
    return bytes(nkeys.encode_seed(os.urandom(32), kind))


def public(seed: bytes) -> str:
    key: str = nkeys.from_seed(bytearray(seed)).public_key.decode()
    return key


def private(path: Path, content: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(content)
    return path


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(issuer: bytes, subject: str, kind: str, **claims: Any) -> str:
    """A JWT as NATS has them: signed by who issues it, about a key."""
    said = {"iss": public(issuer), "sub": subject, "name": kind, "iat": 1796000000, "jti": kind}
    said["nats"] = {"type": kind, "version": 2, **claims}
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (head, said))
    return f"{text}.{encoded(nkeys.from_seed(bytearray(issuer)).sign(text.encode()))}"


def credentials(path: Path, jwt: str, user: bytes) -> Path:
    return private(
        path,
        b"-----BEGIN NATS USER JWT-----\n%b\n------END NATS USER JWT------\n\n"
        b"-----BEGIN USER NKEY SEED-----\n%b\n------END USER NKEY SEED------\n" % (jwt.encode(), user),
    )


class Operator:
    """Who says which accounts there are, for a server in operator mode, and an account."""

    def __init__(self) -> None:
        self._seed, self._account, system = (
            seed(nkeys.PREFIX_BYTE_OPERATOR),
            *(seed(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2)),
        )
        most = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        stored = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
        operator = token(self._seed, public(self._seed), "operator")
        accounts = {
            public(self._account): self._claims(self._account, {**most, "wildcards": True, **stored}),
            public(system): self._claims(system, {**most, "wildcards": True}),
        }
        preload = "\n".join(f"{key}: {jwt}" for key, jwt in accounts.items())
        self.config = (
            f"operator: {operator}\nresolver: MEMORY\nsystem_account: {public(system)}\n"
            f"resolver_preload {{\n{preload}\n}}\nauthorization {{ timeout: 30 }}"
        )

    def _claims(self, account: bytes, limits: dict[str, Any]) -> str:
        return token(self._seed, public(account), "account", limits=limits)

    def user(self, path: Path, issuer: bytes | None = None) -> Path:
        """A file of credentials of a user of the account."""
        user = seed(nkeys.PREFIX_BYTE_USER)
        rights: dict[str, Any] = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        return credentials(path, token(issuer or self._account, public(user), "user", **rights), user)


@contextmanager
def served(folder: Path, config: str) -> Iterator[Server]:
    with cluster(BINARIES[-1], folder, config=config) as (server,):
        yield server


def test_an_nkey_lets_it_in(tmp_path: Path) -> None:
    user = seed(nkeys.PREFIX_BYTE_USER)
    folder = recorded(tmp_path / "rec", *numbered(20))
    key = private(tmp_path / "user.nk", user + b"\n")
    with served(tmp_path, f"authorization {{ timeout: 30, users = [ {{ nkey: {public(user)} }} ] }}") as server:
        code, said = published(folder, server.url, "--nats-nkey", key, "--create-stream")
    assert code == 0, said
    assert "21 acknowledged, 0 waiting" in said


def test_credentials_let_it_in(tmp_path: Path) -> None:
    operator = Operator()
    folder = recorded(tmp_path / "rec", *numbered(20))
    with served(tmp_path, operator.config) as server:
        creds = operator.user(tmp_path / "user.creds")
        code, said = published(folder, server.url, "--nats-creds", creds, "--create-stream")
    assert code == 0, said
    assert "21 acknowledged, 0 waiting" in said


def test_credentials_that_the_server_does_not_know_are_told_and_better_ones_are_taken_up(tmp_path: Path) -> None:
    operator = Operator()
    folder = recorded(tmp_path / "rec", *numbered(20))
    creds = operator.user(tmp_path / "user.creds", issuer=seed(nkeys.PREFIX_BYTE_ACCOUNT))
    words = from_folder(folder, "{}", "--nats-creds", creds, "--create-stream")
    with served(tmp_path, operator.config) as server, running(*(word.format(server.url) for word in words)) as run:
        run.says("fs1: permission: " + server.url)
        assert "authorization violation" in run.said.lower()
        creds.write_text("half of a fi")
        run.says("has no seed of an nkey of a user")
        operator.user(tmp_path / "user.creds")
        run.says("fs1: is published again")
        assert run.ended(signal.SIGTERM) == 0, run.said


def test_without_credentials_the_refusal_is_told_and_the_exit_status_is_1(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(20))
    nobody = public(seed(nkeys.PREFIX_BYTE_USER))
    with (
        served(tmp_path, f"authorization {{ timeout: 30, users = [ {{ nkey: {nobody} }} ] }}") as server,
        running(*from_folder(folder, server.url, "--drain", "100ms")) as run,
    ):
        run.says("fs1: permission: " + server.url)
        assert run.ended(signal.SIGTERM) == 1
    assert "0 acknowledged" in run.said
    assert "Traceback" not in run.said


def test_a_right_that_is_taken_away_is_told_and_it_goes_on_when_it_is_back(tmp_path: Path) -> None:
    user = seed(nkeys.PREFIX_BYTE_USER)
    folder = recorded(tmp_path / "rec", *numbered(20))
    key = private(tmp_path / "user.nk", user)

    def rights(subjects: str) -> str:
        user_may = f"{{ nkey: {public(user)}, permissions: {{ publish: [{subjects}] }} }}"
        return f"authorization {{ timeout: 30, users = [ {user_may} ] }}"

    with (
        served(tmp_path, rights('"$JS.API.>"')) as server,
        running(*from_folder(folder, server.url, "--nats-nkey", key, "--create-stream")) as run,
    ):
        run.says("fs1: permission: ")
        assert 'permissions violation for publish to "esl.v1.fs1' in run.said.lower()
        server.configure(rights('"$JS.API.>", "esl.v1.fs1.>"'))
        server.kill(signal.SIGHUP)
        run.says("fs1: is published again")
        assert run.ended(signal.SIGTERM) == 0, run.said


def test_an_api_that_it_may_not_ask_is_told_as_what_it_is(tmp_path: Path) -> None:
    user = seed(nkeys.PREFIX_BYTE_USER)
    folder = recorded(tmp_path / "rec", *numbered(20))
    key = private(tmp_path / "user.nk", user)
    rights = f'{{ nkey: {public(user)}, permissions: {{ publish: ["esl.v1.>"] }} }}'
    with (
        served(tmp_path, f"authorization {{ timeout: 30, users = [ {rights} ] }}") as server,
        running(*from_folder(folder, server.url, "--nats-nkey", key, "--drain", "100ms")) as run,
    ):
        run.says("fs1: permission: ")
        assert 'permissions violation for publish to "$js.api.stream.info.esl-fs1"' in run.said.lower()
        assert run.ended(signal.SIGTERM) == 1


# Certificates


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> Path:
    """An authority, and certificates of a server and of a client that it signed."""
    folder.mkdir()
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(folder, "req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san", "-days", "2"]
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
        (folder / f"{name}.key").chmod(0o600)
    return folder


def tls(folder: Path) -> str:
    files = f'cert_file: "{folder}/server.pem", key_file: "{folder}/server.key", ca_file: "{folder}/ca.pem"'
    return f"tls {{ {files}, verify: true }}"


@needs_openssl
def test_a_certificate_lets_it_in(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(20))
    ours = certificates(tmp_path / "tls")
    files = ["--tls-ca", ours / "ca.pem", "--tls-cert", ours / "client.pem", "--tls-key", ours / "client.key"]
    with served(tmp_path, tls(ours)) as server:
        code, said = published(folder, server.url.replace("nats:", "tls:"), *files, "--create-stream")
    assert code == 0, said
    assert "21 acknowledged, 0 waiting" in said


@needs_openssl
def test_a_server_that_another_authority_signed_is_not_trusted(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(20))
    ours, other = certificates(tmp_path / "tls"), certificates(tmp_path / "other")
    why = "certificate verify failed"
    with served(tmp_path, tls(ours)) as server:
        words = from_folder(folder, server.url, "--tls-ca", other / "ca.pem", "--drain", "100ms")
        code, said = troubled("fs1: connection: " + server.url, why, *words)
    assert code == 1
    assert why in said


@needs_openssl
def test_without_a_certificate_the_refusal_is_told(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "rec", *numbered(20))
    ours = certificates(tmp_path / "tls")
    with (
        served(tmp_path, tls(ours)) as server,
        running(*from_folder(folder, server.url, "--tls-ca", ours / "ca.pem", "--drain", "100ms")) as run,
    ):
        run.says("fs1: connection: " + server.url)
        assert run.ended(signal.SIGTERM) == 1
    assert "Traceback" not in run.said


# Files that are none


@needs_openssl
def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    ours = certificates(tmp_path / "tls")
    openssl(ours, "ec", "-in", "client.key", "-out", "locked.key", "-aes256", "-passout", "pass:secret")
    (ours / "locked.key").chmod(0o600)
    files = ["--tls-cert", ours / "client.pem", "--tls-key", ours / "locked.key"]
    result = run("bridge", None, *from_folder(tmp_path, URL, *files)[1:])
    assert result.exit_code == 1
    assert "the key has a passphrase, expected one without" in result.output


@pytest.mark.parametrize(
    ("option", "content", "why"),
    [
        ("--nats-creds", b"", "has no JWT of a user, expected credentials as `nsc` writes them"),
        ("--nats-creds", b"-----BEGIN NATS USER JWT-----\n", "has no JWT of a user"),
        (
            "--nats-creds",
            b"-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n",
            "has no seed of an nkey of a user",
        ),
        ("--nats-nkey", b"", "has no seed of an nkey, expected one that begins with SU"),
        ("--nats-nkey", b"SUnothing", "has no seed of an nkey"),
    ],
)
def test_a_file_that_has_no_credentials_is_refused(tmp_path: Path, option: str, content: bytes, why: str) -> None:
    path = private(tmp_path / "file", content)
    result = run("bridge", None, *from_folder(tmp_path, URL, option, path)[1:])
    assert result.exit_code == 1
    assert why in result.output
