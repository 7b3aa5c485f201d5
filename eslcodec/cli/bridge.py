"""`eslcodec bridge`: what switches send, recorded, and from there into streams of NATS JetStream."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import ssl
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from .._address import address
from ..errors import ESLError
from .hosts import fleet_hosts, fleet_password, hosts_option
from .listen import Where, answering, metrics_option
from .live import filter_option
from .login import login_options, notes_told
from .names import PRESETS, check_names, split_events, unknown_option
from .systemd import Notifier
from .text import escape, note
from .units import DURATION, SHARE

if TYPE_CHECKING:
    from ..ingest import Fleet, Metrics, Recorder
    from ..ingest._bridges import Bridges

_TAKEN: Final = 2000  # messages at once
_LOOK_SECONDS: Final = 1.0
_STATUS_SECONDS: Final = 10.0  # between two lines for systemd
_PATH: Final = click.Path(exists=True, dir_okay=False)


@click.command(short_help="Publish what switches send to NATS JetStream.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...", envvar="ESLCODEC_HOST")
@hosts_option
@click.option("--to", "servers", multiple=True, required=True, metavar="nats://HOST:PORT", help="Servers. Repeatable.")
@click.option("--dir", "folder", metavar="DIR", help="Where all is recorded first, and stays until it is acknowledged.")
@click.option("--from", "source", metavar="DIR", help="In place of --dir: what `eslcodec record` writes there.")
@click.option(
    "--events",
    multiple=True,
    metavar="EVENTS",
    help=f"What is subscribed to: {', '.join(PRESETS)} (eslcodec.presets), names of events, or "
    "'CUSTOM sofia::register'. Repeatable.",
)
@click.option(
    "--stream",
    default="ESL-{switch}",
    show_default=True,
    metavar="NAME",
    help="The stream. Without {switch} in it the switches share one, and the order is not certain.",
)
@click.option("--create-stream", is_flag=True, help="Make streams that are not there: in files, for 72 hours.")
@click.option("--replicas", type=click.IntRange(1, 5), default=1, show_default=True, help="Of those that are made.")
@click.option(
    "--since",
    type=click.Choice(["all", "now"]),
    default="now",
    show_default=True,
    help="With --from, and no place kept: begin with all that was recorded, or with what comes.",
)
@click.option(
    "--keep",
    type=DURATION,
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Of --dir: how long a file stays that is acknowledged.",
)
@click.option(
    "--min-free",
    type=SHARE,
    default="10%",
    show_default=True,
    metavar="PERCENT",
    help="Of --dir: leave so much of the disk free.",
)
@click.option(
    "--on-full",
    type=click.Choice(["stop", "oldest"]),
    default="stop",
    show_default=True,
    help="Of --dir: when the disk is full, end with status 1, or remove the oldest files, published or not.",
)
@click.option(
    "--drain",
    type=DURATION,
    default="20s",
    show_default=True,
    metavar="TIME",
    help="How long acknowledgements are waited for at the end. The rest stays in DIR.",
)
@metrics_option
@click.option("--nats-creds", type=_PATH, metavar="FILE", help="Credentials for NATS.")
@click.option("--nats-nkey", type=_PATH, metavar="FILE", help="The seed of an nkey for NATS.")
@click.option("--tls-ca", type=_PATH, metavar="FILE", help="Who signs for the servers' certificates.")
@click.option("--tls-cert", type=_PATH, metavar="FILE", help="Our certificate.")
@click.option("--tls-key", type=_PATH, metavar="FILE", help="Its key.")
@login_options
@filter_option
@unknown_option
def bridge(hosts: tuple[str, ...], hosts_file: str | None, **options: Any) -> None:
    """Record what switches send in DIR, and publish it from there, each event at least once and in order, until Ctrl-C
    or SIGTERM.

    HOST is a host, host:port, [IPv6 address]:port, or NAME= and one of these. The contract for consumers is
    docs/contract.md. Files with secrets that others can read are refused. The exit status is 1 if something was not
    acknowledged at the end, which stays in DIR, if nothing can be published, or if recording ended by itself.
    """
    said = _Said(**{name: options[name] for name in ("source", "folder", "drain", "listen", "since", "keep")})
    said.check(bool(hosts or hosts_file), options["events"])
    listed, file = fleet_hosts(hosts, options["port"], hosts_file)
    settings = nats_options(options["servers"], *(options[name] for name in _SECRETS))
    said.bridges = partial(
        _bridges(said),
        servers=list(options["servers"]),
        hosts=listed,
        stream=options["stream"],
        create=options["replicas"] if options["create_stream"] else 0,
        options=settings,
    )
    if said.source is None:
        said.fleet = _fleet(listed, file, said, options)
    with notes_told(note):
        try:
            is_done = asyncio.run(said.run())
        except (ESLError, ValueError, TypeError, ImportError) as error:
            raise click.UsageError(escape(str(error))) from error
        except KeyboardInterrupt:
            is_done = False
    raise click.exceptions.Exit(0 if is_done else 1)


_SECRETS: Final = ("nats_creds", "nats_nkey", "tls_ca", "tls_cert", "tls_key")


def nats_options(
    servers: tuple[str, ...], creds: str | None, nkey: str | None, ca: str | None, cert: str | None, key: str | None
) -> dict[str, Any]:
    """Credentials as `nats.connect` takes them.

    Raises:
        click.ClickException: others can read a secret, or it cannot be used.
    """
    for server in servers:
        if "@" in server:
            raise click.UsageError("--to has a password in it, which all on this machine can read: use --nats-creds")
    for path in (creds, nkey, key):
        _check_private(path)
    if creds is not None and nkey is not None:
        raise click.UsageError("--nats-creds and --nats-nkey exclude each other")
    if (cert is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    options: dict[str, Any] = {"user_credentials": creds, "nkeys_seed": nkey}
    options = {name: value for name, value in options.items() if value is not None}
    if options and find_spec("nkeys") is None:
        raise click.ClickException("credentials of NATS need nkeys: pip install nkeys")
    if ca is not None or cert is not None:
        try:
            options["tls"] = context = ssl.create_default_context(cafile=ca)
            if cert is not None:
                context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise click.ClickException(f"{escape(ca or '')} {escape(cert or '')}: {escape(str(error))}") from error
    return options


def _check_private(path: str | None) -> None:
    mode = os.stat(path).st_mode if path is not None else 0
    if os.name == "posix" and mode & 0o077:
        text = f"{stat.S_IMODE(mode):04o}: what is in it is not for others, chmod 600 it"
        raise click.ClickException(f"{escape(path or '')} has mode {text}")


def _fleet(listed: list[Any], file: dict[str, Any], said: _Said, options: dict[str, Any]) -> Callable[[], Fleet]:
    """What makes the fleet, when there is a loop."""
    names, subclasses = split_events(options["events"])
    check_names(names, options["unknown"], "it does not mind being asked for it")
    user = options["user"] or file.get("user")
    settings = {**file, "password": fleet_password(listed, file, options["password_file"], user)}
    settings.pop("password_file", None)
    wanted = {"events": names, "custom": subclasses} if names or subclasses else {}
    settings |= {"filters": options["filters"] or file.get("filters", ()), "user": user, **wanted}
    limits = {"min_free": options["min_free"], "on_full": options["on_full"]}

    def tap(name: str) -> Recorder:
        from ..ingest import Recorder

        said.recorders.append(Recorder(said.where, **limits))
        return said.recorders[-1]

    def make() -> Fleet:
        from ..ingest import Fleet

        return Fleet(listed, tap=tap, **settings)

    return make


def _bridges(said: _Said) -> Callable[..., Bridges]:
    from ..ingest._bridges import Bridges

    keep = said.keep if said.source is None else None
    return partial(Bridges, said.where, begin=said.since if said.source else "all", keep=keep)


@dataclass
class _Said:
    """What is to be done, and what is under way."""

    source: str | None
    folder: str | None
    drain: float
    listen: Where | None
    since: Literal["now", "all"]
    keep: float
    fleet: Callable[[], Fleet] | None = None
    bridges: Callable[[], Bridges] = field(init=False)
    recorders: list[Recorder] = field(default_factory=list)
    failure: str | None = None

    @property
    def where(self) -> str:
        """The folder of the recordings."""
        return self.source or self.folder or ""

    def check(self, has_hosts: bool, events: tuple[str, ...]) -> None:
        """See that it can be done."""
        if (self.source is None) == (self.folder is None):
            raise click.UsageError("expected --dir DIR, or --from DIR")
        if self.source is None and not has_hosts:
            raise click.UsageError("expected a HOST, --hosts FILE.toml, or --from DIR")
        if self.source is None and not events:
            raise click.UsageError("--events names no event")
        if self.source is not None and events:
            raise click.UsageError("--events goes with --dir: --from publishes what is there")

    async def run(self) -> bool:
        """Until it is told to end; whether all is acknowledged then."""
        bridges = self.bridges()
        stop = asyncio.Event()
        with _told(stop):
            publishing = asyncio.ensure_future(bridges.run())
            try:
                async with self._reading(bridges) as reading:
                    await self._watch(bridges, stop, {publishing, *reading})
            finally:
                for recorder in self.recorders:
                    await asyncio.to_thread(recorder.close)
                bridges.keep_running()
                publishing.cancel()
            await asyncio.wait({publishing})
            is_done = await bridges.finish(self.drain)
        note(bridges.summary())
        if self.failure is not None:
            note(self.failure)
        return is_done and self.failure is None

    @asynccontextmanager
    async def _reading(self, bridges: Bridges) -> AsyncIterator[set[asyncio.Future[None]]]:
        """The fleet, if there is one, and what tells of all over HTTP."""
        tasks: set[asyncio.Future[None]] = set()
        async with AsyncExitStack() as stack:
            fleet = await stack.enter_async_context(self.fleet()) if self.fleet is not None else None
            metrics = None
            if self.listen is not None:
                from ..ingest import Metrics

                metrics = Metrics(fleet if fleet is not None else {}, folders=[self.where])
                metrics.add(bridges.samples)
                await stack.enter_async_context(answering(metrics, self.listen))
            if fleet is not None:
                tasks.add(asyncio.ensure_future(_read(fleet, metrics)))
            try:
                yield tasks
            finally:
                for task in tasks:
                    task.cancel()
                    await asyncio.wait({task})

    async def _watch(self, bridges: Bridges, stop: asyncio.Event, tasks: set[asyncio.Future[None]]) -> None:
        notifier = Notifier()
        notifier.ready()
        due = -math.inf
        look = min(_LOOK_SECONDS, (notifier.interval or math.inf) / 3)
        try:
            while not stop.is_set():
                for task in tasks:
                    if task.done():
                        task.result()
                self.failure = self._recording_ended()
                if bridges.is_over or self.failure is not None:
                    return
                notifier.alive()
                if time.monotonic() >= due:
                    due = time.monotonic() + _STATUS_SECONDS
                    notifier.status(bridges.summary())
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stop.wait(), look)
            notifier.stopping()
        finally:
            notifier.close()

    def _recording_ended(self) -> str | None:
        """Why a switch is not recorded any more, so that nothing of it would be published, ever; None if all are."""
        for stats in [recorder.stats() for recorder in self.recorders]:
            if stats["state"] == "stopped" and not stats["behind"]:  # else another one follows
                where = "" if stats["peer"] is None else f" of {address(*stats['peer'])}"
                return f"recording{where} has ended: {stats['why']}"
        return None


async def _read(fleet: Fleet, metrics: Metrics | None) -> None:
    """Take what comes, at once: it is recorded already."""
    while True:
        for name, messages in await fleet.take(_TAKEN, 1.0):
            if metrics is not None:
                metrics.see_all(name, messages)


@contextmanager
def _told(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end it; a second Ctrl-C at once."""
    loop = asyncio.get_running_loop()

    def told(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
