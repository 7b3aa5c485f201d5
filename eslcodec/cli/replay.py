"""`eslcodec replay`: a switch for others, that sends what was recorded, when it was recorded."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import click

from ..emulator import Emulator
from .emulate import listen_options, serve
from .files import check_stream, label, readable
from .login import DEFAULT_PASSWORD, stored_password
from .profiles import redact_option, redaction
from .text import escape
from .units import MOMENT


def _speed(_ctx: click.Context, _option: click.Parameter, text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1e6:
        raise click.BadParameter(f"read {escape(text)!r}, expected a number such as 1 or 10, or max")
    return speed


@click.command(short_help="Send what was recorded, as a switch.")
@click.argument("source", metavar="SOURCE")
@listen_options
@click.option(
    "--speed",
    default="1",
    show_default=True,
    metavar="N|max",
    callback=_speed,
    help="How many times as fast as it was recorded; max is as fast as it is read.",
)
@click.option("--since", type=MOMENT, metavar="TIME", help="From then on: 2026-11-29T08:00, 08:00, yesterday, -2h.")
@click.option("--shift-to-now", is_flag=True, help="Move all times in it, so that it begins now.")
@click.option("--rename", metavar="NAME", help="The name of the switch in all events, in place of the real one.")
@redact_option
@click.option("--repeat", is_flag=True, help="Over and over again.")
def replay(
    source: str,
    host: str,
    port: int,
    password_file: str | None,
    speed: float | None,
    since: datetime | None,
    shift_to_now: bool,
    rename: str | None,
    redact: str | None,
    repeat: bool,
) -> None:
    """Send what was recorded, as a switch, to whoever connects and subscribes to anything, until Ctrl-C.

    \b
    eslcodec replay rec/ --since yesterday --shift-to-now
    eslcodec replay stream.esl --speed max

    SOURCE is a recording of `eslcodec record`, one file or a folder, or a stream as a server sent it (then it goes by
    the times in its events). Each connection gets it from the beginning. What it subscribes to is not looked at. With
    --shift-to-now or --rename the Core-UUIDs are others too, so that nobody takes it for production.
    """
    options: dict[str, Any] = {"since": since, "shift_to_now": shift_to_now, "redact": redaction(redact)}
    if os.path.isfile(source):
        check_stream(source)
    with readable(source):
        try:
            switch = Emulator(
                host=host,
                port=port,
                password=stored_password(password_file) or DEFAULT_PASSWORD,
                replay=source,
                speed=speed,
                rename=rename,
                repeat=None if repeat else 1,
                lossless=speed is None,
                **options,
            )
        except ValueError as error:
            raise click.ClickException(f"{label(source)}: {escape(str(error))}") from error
    serve(switch)
