"""`eslcodec cli`: the options and the console of fs_cli, for fingers and scripts that know them."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import click

from .. import ESLError, Event, Gap, LogLevel, LogLine, Message
from ..sync import Client
from .api import API_SECONDS
from .lines import listing
from .login import Target, console_options
from .text import escape_lines, is_terminal, write_bytes

_SHORT_UUID: Final = 8  # characters of `--log-uuid-short`
_COLOURS: Final = {0: 37, 1: 31, 2: 31, 3: 31, 4: 35, 5: 36, 6: 32, 7: 33}  # of a log line by its level, as fs_cli
_SENT: Final = ("event", "noevents", "nixevent", "log", "nolog", "filter")
_HELP: Final = """\
Command                       Description
-----------------------------------------------
/help                         This list
/exit, /quit, /bye, ...       End
/event, /noevents, /nixevent  Commands about events
/log, /nolog                  Commands about log lines
/filter                       Commands about filters
/uuid [UUID]                  Show log lines of one call only
/logfilter [TEXT]             Show log lines with this text only

Everything else is run by the switch, as its console does it.
"""


@click.command(
    "cli",
    short_help="fs_cli's options and console: alias fs_cli='eslcodec cli'.",
)
@console_options
@click.option("-x", "--execute", metavar="COMMAND", help="Run this command, print its output, and end.")
@click.option("-l", "--loglevel", metavar="LEVEL", help="Log lines down to this level: info, warning, ... or 0-7.")
@click.option("-U", "--log-uuid", is_flag=True, help="The uuid of its call in front of each log line.")
@click.option("-S", "--log-uuid-short", is_flag=True, help=f"The same, only the first {_SHORT_UUID} characters.")
@click.option("-s", "--set-log-uuid", metavar="UUID", help="Log lines of this call only.")
@click.option("-q", "--quiet", is_flag=True, help="No log lines.")
@click.option("-R", "--reconnect", is_flag=True, help="When the connection is lost, set it up again.")
@click.option("-t", "--timeout", type=click.IntRange(1), metavar="MS", help="Milliseconds to wait for an output.")
@click.option(
    "-T", "--connect-timeout", type=click.IntRange(1), metavar="MS", help="Milliseconds to wait for a connection."
)
@click.option("-n", "--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
@click.option("-b", "--batchmode", is_flag=True, help="No prompt and no colours.")
@click.option("-i", "--interrupt", is_flag=True, hidden=True, help="Ctrl-C ends it anyway.")
@click.option("-Q", "--no-history-file", is_flag=True, hidden=True, help="There is none anyway.")
@click.option("-d", "--debug", metavar="LEVEL", hidden=True, help="Of fs_cli's own messages: there are none here.")
def console(target: Target, execute: str | None, **options: Any) -> None:
    """The options of fs_cli, and its console: commands, log lines, events.

    \b
    eslcodec cli -x status
    eslcodec cli -H 10.0.0.1 east -x 'show channels'
    eslcodec cli --loglevel warning

    PROFILE is a switch that has a name in ~/.fs_cli_conf, /etc/fs_cli.conf or eslcodec/switches.toml. Without it the
    profile default counts, or else the first of fs_cli's file, if there is one. With -x the exit status is 1 if the
    output begins with -ERR; fs_cli says 0 then.
    """
    said = target.login.options
    session = Session(options, said)
    seconds: dict[str, Any] = {"command_timeout": API_SECONDS}
    for option, name, of_file in (
        ("command_timeout", "timeout", "timeout"),
        ("connect_timeout", "connect_timeout", "connect-timeout"),
    ):
        if _seconds(options[name] or said.get(of_file)):
            seconds[option] = _seconds(options[name] or said.get(of_file))
    with target.connected(reconnect=options["reconnect"], **seconds) as switch:
        is_good = session.run(switch, execute) if execute is not None else session.talk(switch)
    if not is_good:
        click.get_current_context().exit(1)


def _seconds(value: Any) -> float:
    """Milliseconds in seconds; 0 if it is no number.

    Example:
        >>> _seconds("1500"), _seconds(None)
        (1.5, 0.0)
    """
    text = str(value)
    return int(text) / 1000 if re.fullmatch("[0-9]{1,9}", text) else 0.0


class Session:
    """A console.

    Args:
        options: of the command.
        said: what fs_cli's file says.
    """

    def __init__(self, options: dict[str, Any], said: Mapping[str, str]) -> None:
        def is_on(name: str) -> bool:
            return said.get(name, "").lower() in ("yes", "on", "true", "enabled", "active", "1")

        self._watched = is_terminal(sys.stdout)
        self._asks = is_terminal(sys.stdin) and not (options["batchmode"] or is_on("batchmode"))
        plain = options["no_color"] or options["batchmode"] or bool(os.environ.get("NO_COLOR"))
        self._coloured = self._watched and not plain and os.environ.get("TERM") != "dumb"
        self._level = options["loglevel"] or said.get("loglevel") or "debug"
        self._quiet = options["quiet"] or (is_on("quiet") and not options["loglevel"]) or not is_terminal(sys.stdin)
        shows_uuid = options["log_uuid"] or is_on("log-uuid")
        is_short = options["log_uuid_short"] or is_on("log-uuid-short")
        self._uuid_length = _SHORT_UUID if is_short else 36 if shows_uuid else 0
        self._only_uuid = options["set_log_uuid"]
        self._only_text: str | None = None
        self._prompt = ""
        self._lock = threading.Lock()  # of standard output

    def run(self, switch: Client, command: str) -> bool:
        """One command as the console runs it; whether it did not fail."""
        reply = switch.api(command, console_execute=True)
        body = reply.body if reply.body is not None else reply.text.encode("utf-8", "surrogateescape")
        with self._lock:
            write_bytes(sys.stdout, body, self._watched)
            if not (self._watched or body.endswith(b"\n")):
                sys.stdout.buffer.write(b"\n")
            sys.stdout.flush()
        return reply.ok

    def talk(self, switch: Client) -> bool:
        """Run what is typed until the end of it; whether the connection was there until then."""
        if self._asks:
            name = switch.api("switchname").text.strip() or "freeswitch"
            self._prompt = f"freeswitch@{escape_lines(name).rstrip()}> "
            with suppress(ImportError):  # not everywhere
                import readline  # noqa: F401  # input() has history and editing with it
        if not self._quiet:
            switch.log(self._level)
        ended = threading.Event()
        reader = threading.Thread(target=self._read, args=(switch, ended), daemon=True)
        reader.start()
        if self._asks:
            self._show("connected; /help lists what begins with /, /exit ends\n")
        while not ended.is_set():
            try:
                line = _line(self._prompt)
            except EOFError:
                if self._asks:
                    sys.stdout.write("\n")
                return True
            except KeyboardInterrupt:
                sys.stdout.write("\n" if self._asks else "")
                raise
            if line and not self._obey(switch, line):
                return True
        return False

    def _obey(self, switch: Client, line: str) -> bool:
        """Do what was typed; False: it is the end."""
        if not line.startswith("/") and line != "...":
            try:
                self.run(switch, line)
            except ESLError as error:
                if switch.connection.end is not None:
                    raise
                self._show(f"{error}\n")
            return True
        word, _, rest = line.lstrip("/").partition(" ")
        if word.lower() in ("exit", "quit", "bye", "..."):
            return False
        with suppress(ESLError):
            self._show(self._answer(switch, word.lower(), rest.strip(), line[1:]))
        return True

    def _answer(self, switch: Client, word: str, rest: str, command: str) -> str:
        if word == "help":
            return _HELP
        if word == "uuid":
            self._only_uuid = rest or None
            return f"UUID filtering {'enabled' if rest else 'disabled'}\n"
        if word == "logfilter":
            self._only_text = rest or None
            return f"Logfilter {'enabled' if rest else 'disabled'}\n"
        if word in _SENT:
            return f"{switch.send(command).text}\n"
        return f"Unknown command [{word}]\n"

    # In a thread of its own

    def _read(self, switch: Client, ended: threading.Event) -> None:
        try:
            for message in switch.messages():
                text = self._told(message)
                if text:
                    self._show(text, message)
            self._show("the connection has ended\n")
        except ESLError as error:
            self._show(f"{error}\n")
        finally:
            ended.set()

    def _told(self, message: Message) -> str:
        if isinstance(message, LogLine):
            uuid = message.get("User-Data") or ""
            text = message.text
            if (self._only_uuid and uuid != self._only_uuid) or (self._only_text and self._only_text not in text):
                return ""
            return f"{uuid[: self._uuid_length]} {text}" if uuid and self._uuid_length else text
        if isinstance(message, Gap):
            return f"connected again after {message.seconds:.1f} s: {message.reason}\n"
        if isinstance(message, Event):
            return "".join(f"{line}\n" for line in listing("RECV", message, True))
        return ""

    def _show(self, text: str, message: Message | None = None) -> None:
        """Show it above what is being typed."""
        text = text if isinstance(message, Event) else escape_lines(text)
        if self._coloured and isinstance(message, LogLine) and isinstance(message.level, LogLevel):
            text = f"\x1b[{_COLOURS.get(int(message.level), 37)}m{text.rstrip()}\x1b[0m\n"
        with self._lock:
            if self._asks and self._watched and message is not None:
                text = f"\r\x1b[K{text}{self._prompt}{_typed()}"
            sys.stdout.write(text)
            sys.stdout.flush()


def _line(prompt: str) -> str:
    """A line that is typed; what is not UTF-8 in it goes to the switch as it is.

    Raises:
        EOFError: it was the last one, or standard input was closed by whoever called us.
    """
    if sys.stdin is None:
        raise EOFError
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.errors == "strict":
        sys.stdin.reconfigure(errors="surrogateescape")
    return input(prompt).strip()


def _typed() -> str:
    """What is being typed."""
    line: Callable[[], str] | None = getattr(sys.modules.get("readline"), "get_line_buffer", None)
    return "" if line is None else line()
