"""`eslcodec bridge`: what switches send, recorded, and from there into streams of NATS JetStream."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from ..errors import ESLError
from .bridge_run import BridgeRun
from .hosts import fleet_hosts, fleet_password, hosts_option
from .listen import metrics_option
from .live import filter_option
from .login import Login, login_options, notes_told
from .names import PRESETS, check_names, complete_events, split_events, unknown_option
from .nats_login import LOGIN, nats_login_options, nats_options
from .profiles import redaction
from .text import escape, note
from .units import DURATION, SHARE, moment

if TYPE_CHECKING:
    from ..ingest import Fleet, Recorder
    from ..ingest._bridges import Bridges
    from ..ingest.contract import Subjects

_NO_REDACTION: Final = "none"
_NO_STREAM: Final = "stream not found"  # as servers say it


class _Begin(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in new ones
    """Where to begin: `now`, `all`, or a time.

    Example:
        >>> _Begin().convert("all", None, None), _Begin().convert("2026-11-29T08:00Z", None, None)
        ('all', 1795939200.0)
    """

    name = "time|now|all"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Literal["now", "all"] | float:
        if value == "now" or value == "all":
            return "now" if value == "now" else "all"
        try:
            when: datetime = moment(str(value))
        except ValueError as error:
            self.fail(f"{error}, now or all", param, ctx)
        return when.timestamp()


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
    shell_complete=complete_events,
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
    "--as",
    "prefix",
    metavar="PREFIX",
    help="Publish again what is older: what subjects begin with in place of esl.v1. It goes to a stream of its own, "
    "from a place of its own.",
)
@click.option(
    "--subject", metavar="TEMPLATE", help="How subjects are made: docs/contract.md, Templates. In place of --as."
)
@click.option(
    "--partitions",
    type=click.IntRange(1),
    metavar="P",
    help="How many partitions, 16 unless you say so. Never change it for a stream that has messages.",
)
@click.option(
    "--redact",
    default="secrets",
    show_default=True,
    metavar="PROFILE",
    help="Take out of what is published what may not leave the site: secrets, a file FILE.toml (see the guide), or "
    "none. DIR has all of it.",
)
@click.option(
    "--since",
    "begin",
    type=_Begin(),
    metavar="TIME|now|all",
    help="If no place is kept: begin with what was recorded since then, with what comes, or with all. By default all "
    "of --dir, and what comes with --from.",
)
@click.option(
    "--overlap",
    is_flag=True,
    help="Another bridge publishes to the same streams, or did until now: go on where they end, and pass over what "
    "they have.",
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
@nats_login_options
@login_options
@filter_option
@unknown_option
def bridge(hosts: tuple[str, ...], hosts_file: str | None, **options: Any) -> None:
    """Record what switches send in DIR, and publish it from there, each event at least once and in order, until Ctrl-C
    or SIGTERM; a second one ends the waiting for acknowledgements too.

    \b
    eslcodec bridge 10.0.0.1 --to nats://127.0.0.1:4222 --dir spool --events CALLS --create-stream

    HOST is a host, host:port, [IPv6 address]:port, or NAME= and one of these; without any, ESLCODEC_HOST has them.
    The contract for consumers is docs/contract.md. Files with secrets that others can read are refused. The exit
    status is 1 if something was not acknowledged at the end, which stays in DIR, if nothing can be published, or if
    recording ended by itself.
    """
    login: Login = options["login"]
    _check(options, bool(hosts or hosts_file or login.profiles))
    listed, file = fleet_hosts(hosts, login.said_port, hosts_file, login.profiles)
    run = BridgeRun(
        options["source"] or options["folder"], options["drain"], options["listen"], _bridges(listed, options)
    )
    _check_there(options["source"], listed)
    if options["source"] is None:
        run.fleet = _fleet(listed, file, run, options)
    with notes_told(note if options["create_stream"] else _tell):
        try:
            is_done = asyncio.run(run.run())
        except (ESLError, ValueError, TypeError, ImportError) as error:
            raise click.ClickException(escape(str(error))) from error
        except OSError as error:
            where = f"{escape(str(error.filename))}: " if error.filename is not None else ""
            raise click.ClickException(where + escape(error.strerror or str(error))) from error
        except KeyboardInterrupt:
            is_done = False
    raise click.exceptions.Exit(0 if is_done else 1)


def _check(options: dict[str, Any], has_hosts: bool) -> None:
    """See that it can be done.

    Raises:
        click.UsageError: what was said does not go together.
    """
    source, folder, events = options["source"], options["folder"], options["events"]
    if (source is None) == (folder is None):
        raise click.UsageError("expected --dir DIR, or --from DIR")
    if source is None and not has_hosts:
        raise click.UsageError("expected a HOST, --hosts FILE.toml, or --from DIR")
    if source is None and not events:
        raise click.UsageError("--events names no event")
    if source is not None and events:
        raise click.UsageError("--events goes with --dir: --from publishes what is there")
    if options["prefix"] is not None and options["subject"] is not None:
        raise click.UsageError("--as and --subject exclude each other")


def _check_there(source: str | None, listed: list[Any]) -> None:
    """See that all is there; a switch of which nothing is recorded may come later.

    Raises:
        click.ClickException: something is missing.
    """
    from ..ingest._files import folder_name

    if find_spec("nats") is None:
        raise click.ClickException("publishing to NATS needs nats-py: pip install 'eslcodec[nats]'")
    if source is not None and not os.path.isdir(source):
        raise click.ClickException(
            f"--from {escape(source)}: there is no such folder, expected one that `eslcodec record` writes"
        )
    for host in listed:
        path = os.path.join(source or "", folder_name(host.host, host.port))
        if source is not None and not os.path.isdir(path):
            note(f"{host.name}: there is no {path} yet")


def _tell(text: str) -> None:
    note(f"{text} (--create-stream makes it)" if _NO_STREAM in text else text)


def _fleet(listed: list[Any], file: dict[str, Any], run: BridgeRun, options: dict[str, Any]) -> Callable[[], Fleet]:
    """What makes the fleet, when there is a loop."""
    names, subclasses = split_events(options["events"])
    check_names(names, options["unknown"], "it does not mind being asked for it")
    login: Login = options["login"]
    user = login.user or file.get("user")
    settings = {**file, "password": fleet_password(listed, file, login, user)}
    settings.pop("password_file", None)
    wanted = {"events": names, "custom": subclasses} if names or subclasses else {}
    settings |= {"filters": options["filters"] or file.get("filters", ()), "user": user, "unknown": True, **wanted}
    limits = {"min_free": options["min_free"], "on_full": options["on_full"]}

    def tap(name: str) -> Recorder:
        from ..ingest import Recorder

        run.recorders.append(Recorder(run.where, **limits))
        return run.recorders[-1]

    def make() -> Fleet:
        from ..ingest import Fleet

        return Fleet(listed, tap=tap, **settings)

    return make


def _bridges(listed: list[Any], options: dict[str, Any]) -> Callable[[], Bridges]:
    """What makes the bridges, when there is a loop."""
    from ..ingest._bridges import Bridges
    from ..ingest.contract import PREFIX

    profile = options["redact"]
    settings: dict[str, Any] = {
        "hosts": listed,
        "stream": options["stream"],
        "subjects": _subjects(options),
        "prefix": options["prefix"] or PREFIX,
        "create": options["replicas"] if options["create_stream"] else 0,
        "begin": options["begin"] or ("all" if options["source"] is None else "now"),
        "overlap": options["overlap"],
        "keep": options["keep"] if options["source"] is None else None,
        "redact": redaction(None if profile == _NO_REDACTION else profile),
        "options": nats_options(options["servers"], *(options[name] for name in LOGIN)),
    }
    return partial(Bridges, options["source"] or options["folder"], list(options["servers"]), **settings)


def _subjects(options: dict[str, Any]) -> Subjects:
    """How subjects are made.

    Raises:
        click.UsageError: the template is none, or there are too many partitions.
    """
    from ..ingest.contract import PARTITIONS, PREFIX, Subjects

    count = options["partitions"] or PARTITIONS
    try:
        if options["subject"] is None:
            return Subjects.under(options["prefix"] or PREFIX, count)
        return Subjects(options["subject"], count)
    except ValueError as error:
        text = str(error)
        option = "--partitions" if "partitions is" in text else "--as" if options["subject"] is None else "--subject"
        raise click.UsageError(f"{option}: {escape(text)}") from error
