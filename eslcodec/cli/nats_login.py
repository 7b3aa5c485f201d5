"""How a command logs in to NATS: with credentials and certificates from files, and none on the command line.

A file with a secret in it, which others may not read, is read anew for each connection: another one may take its place.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import stat
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

from .login import is_for_others
from .text import escape

F = TypeVar("F", bound=Callable[..., Any])

LOGIN: Final = ("nats_creds", "nats_nkey", "tls_ca", "tls_cert", "tls_key", "nats_inbox")
"""The options, as `nats_options` takes them."""

_PATH: Final = click.Path(exists=True, dir_okay=False)
_MOST: Final = 64 << 10  # bytes of a file with credentials
_WORDS: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*", re.ASCII)
_SCHEMES: Final = ("nats", "tls")
_JWT: Final = re.compile(rb"-----BEGIN NATS USER JWT-----\s+([\w.=-]+)\s+-{3,}END NATS USER JWT-{3,}", re.ASCII)
_SEED: Final = re.compile(rb"-----BEGIN USER NKEY SEED-----\s+(\w+)\s+-{3,}END USER NKEY SEED-{3,}", re.ASCII)


def nats_login_options(function: F) -> F:
    """Adds --nats-creds, --nats-nkey, --tls-ca, --tls-cert, --tls-key and --nats-inbox to a command."""
    for option in (
        click.option(
            "--nats-inbox",
            metavar="PREFIX",
            help="What subjects of answers begin with, in place of _INBOX: one that nobody else may read.",
        ),
        click.option("--tls-key", type=_PATH, metavar="FILE", help="Its key, without a passphrase."),
        click.option("--tls-cert", type=_PATH, metavar="FILE", help="Our certificate."),
        click.option("--tls-ca", type=_PATH, metavar="FILE", help="Who signs for the servers' certificates."),
        click.option("--nats-nkey", type=_PATH, metavar="FILE", help="The seed of an nkey for NATS."),
        click.option("--nats-creds", type=_PATH, metavar="FILE", help="Credentials for NATS, as `nsc` writes them."),
    ):
        function = option(function)
    return function


def nats_options(
    servers: tuple[str, ...],
    creds: str | None,
    nkey: str | None,
    ca: str | None,
    cert: str | None,
    key: str | None,
    inbox: str | None = None,
) -> dict[str, Any]:
    """What the options say, as `nats.connect` takes it.

    Raises:
        click.UsageError: they do not go together, or a server is none.
        click.ClickException: others can read a secret, or it cannot be used.
    """
    for server in servers:
        _check_server(server)
    try:
        secrets = {path: _private(path) for path in (creds, nkey, key) if path is not None}
    except OSError as error:
        raise click.ClickException(escape(str(error))) from error
    if creds is not None and nkey is not None:
        raise click.UsageError("--nats-creds and --nats-nkey exclude each other")
    if (cert is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    if (creds or nkey) is not None and find_spec("nkeys") is None:
        raise click.ClickException("credentials of NATS need nkeys: pip install nkeys")
    options: dict[str, Any] = {}
    try:
        if creds is not None:
            options = Credentials(creds).options()
        elif nkey is not None:
            _key_pair(secrets[nkey].strip(), nkey)
            options = {"nkeys_seed": nkey}
    except (OSError, ValueError) as error:
        raise click.ClickException(escape(str(error))) from error
    if inbox is not None and not _WORDS.fullmatch(inbox):
        raise click.UsageError(f"--nats-inbox: read {escape(inbox)!r}, expected words with dots between them")
    options |= {"inbox_prefix": inbox} if inbox is not None else {}
    options |= {"tls": _context(ca, cert, key)} if ca is not None or cert is not None else {}
    return options


class Credentials:
    """A file of credentials for NATS: a JWT, and the seed of its key.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
        ValueError: there is no such thing in it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.jwt()
        self.sign("")

    def options(self) -> dict[str, Any]:
        """As `nats.connect` takes them. Its own `user_credentials` waits without an end for what is not in the file."""
        return {"user_jwt_cb": self.jwt, "signature_cb": self.sign}

    def jwt(self) -> bytes:
        """The token."""
        return self._found(_JWT, "JWT")

    def sign(self, nonce: str) -> bytes:
        """What proves that the key is ours."""
        signature: bytes = _key_pair(self._found(_SEED, "seed of an nkey"), self._path).sign(nonce.encode())
        return base64.b64encode(signature)

    def _found(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        match = pattern.search(_private(self._path))
        if match is None:
            raise ValueError(f"{self._path} has no {what} of a user, expected credentials as `nsc` writes them")
        return match[1]


def _key_pair(seed: bytes, path: str) -> Any:
    nkeys = import_module("nkeys")  # an extra of an extra, without types

    try:
        return nkeys.from_seed(bytearray(seed))
    except Exception as error:  # whatever its libraries raise
        raise ValueError(f"{path} has no seed of an nkey, expected one that begins with SU") from error


def _private(path: str) -> bytes:
    """What is in a file that nobody else may read.

    Raises:
        PermissionError: others may.
        OSError: it cannot be read.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        found = os.fstat(file.fileno())
        mode = found.st_mode
        if not stat.S_ISREG(mode):
            raise PermissionError(f"{path} is no regular file")
        if is_for_others(found):
            text = f"{stat.S_IMODE(mode):04o}: what is in it is not for others, chmod 600 it"
            raise PermissionError(f"{path} has mode {text}")
        return file.read(_MOST)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # or a pipe would keep us waiting for a writer


def _check_server(server: str) -> None:
    if "@" in server:
        raise click.UsageError("--to has a password in it, which all on this machine can read: use --nats-creds")
    try:
        parts = urlsplit(server)
        is_one = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
    except ValueError:  # the port
        is_one = False
    if not is_one:
        raise click.UsageError(f"--to: read {escape(server)!r}, expected nats://HOST:PORT or tls://HOST:PORT")


def _context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise click.ClickException(f"--tls-ca {escape(ca or '')}: {escape(str(error))}") from error
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise click.ClickException(
                f"--tls-cert {escape(cert)}, --tls-key {escape(key or '')}: {escape(str(error))}"
            ) from error
    return context


def _no_passphrase() -> NoReturn:
    """A service has nobody to ask, so OpenSSL may not either."""
    raise ValueError("the key has a passphrase, expected one without")
