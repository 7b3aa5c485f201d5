"""The `eslcodec` command. It needs the extra `cli` (click, rich), which the package itself does not.

A module here for each command, loaded when it is the one that is called; this one can be imported without the extra,
and `main` says what to install.

Names, values, bodies and reply texts are what a caller can choose. Each goes through `text.escape` before it is shown.
"""

from __future__ import annotations

import errno
import io
import os
import platform
import sys
import sysconfig
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import click

_NEEDS_EXTRA: Final = "eslcodec: the command line needs the extra 'cli': pip install 'eslcodec[cli]'"
_HELP: Final = """Talk to FreeSWITCH, and read what it sends: the Event Socket protocol.

\b
eslcodec emulate --replay          a switch to try the rest on
eslcodec api status                one command
eslcodec tail CALLS                events as they come
eslcodec show channels --json      a table, for jq
eslcodec cli                       fs_cli's console

Each command has --help. The guide is docs/guides/command-line.md.
"""
_VARIABLES: Final = {
    "ESLCODEC_HOST": "where the switch is: --host",
    "ESLCODEC_PORT": "its port: --port",
    "ESLCODEC_USER": "who logs in: --user",
    "ESLCODEC_PASSWORD": "the password; there is a file or a prompt too",
    "ESLCODEC_PASSWORD_FILE": "a file with the password in its first line: --password-file",
    "ESLCODEC_PROFILE": "a switch that has a name: --profile",
    "ESLCODEC_SWITCHES": "the file with these names, else eslcodec/switches.toml in ~/.config",
    "NO_COLOR": "no colours",
}
_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_SECTIONS: Final = {
    "Look at a switch": {"tail": "live", "top": "top"},
    "Run commands": {"api": "api", "show": "api", "cli": "console"},
    "Keep and publish events": {"record": "record", "bridge": "bridge"},
    "Read recordings": {"decode": "decode", "info": "info", "convert": "convert"},
    "Without a switch": {"emulate": "emulate", "replay": "replay", "demo": "demo"},
}  # purpose -> name -> module
_MODULES: Final = {name: module for verbs in _SECTIONS.values() for name, module in verbs.items()}
_NAMES: Final = {"cli": "console"}  # of functions that are named otherwise


def main() -> None:
    """Entry point of the console script."""
    try:
        group = command_line()
    except ImportError:
        sys.exit(_NEEDS_EXTRA)
    if sys.stdout is None:  # closed by whoever called us: `>&-`
        sys.stdout = open(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # its encoding may lack a character that a caller chose
    group.main(prog_name="eslcodec")


def command_line() -> click.Group:
    """The command with its subcommands.

    Raises:
        ImportError: the extra is missing.
    """
    import click
    import rich  # noqa: F401  # only some commands need it, and only then: a missing one is to be noticed here

    from .. import __version__

    class Commands(click.Group):
        """Loads the module of the command that is called: those of the others may take a tenth of a second each."""

        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(_MODULES)

        def main(self, *args: Any, **options: Any) -> Any:
            """As click's, except that an error of the system (the disk is full) is shown on one line, without a
            traceback."""
            try:
                try:
                    return super().main(*args, **options)
                finally:
                    sys.stdout.flush()
            except OSError as error:
                with suppress(OSError):
                    if error.errno != errno.EPIPE:  # whoever read us has enough
                        click.ClickException(_why(error)).show()
                _forget_output()
                sys.exit(1)

        def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
            if name not in _MODULES:
                return None
            module = import_module(f".{_MODULES[name]}", __name__)
            command: click.Command = getattr(module, _NAMES.get(name, name))
            return command

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            """As click's, by purpose."""
            _write_commands(self, ctx, formatter)

    group = Commands("eslcodec", help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
    return click.version_option(__version__, message=_version())(group)


def _write_commands(group: click.Group, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    for purpose, verbs in _SECTIONS.items():
        commands = {name: group.get_command(ctx, name) for name in verbs}
        rows = [(name, command.get_short_help_str(80)) for name, command in commands.items() if command]
        with formatter.section(purpose):
            formatter.write_dl(rows, col_max=12)
    with formatter.section("Environment"):
        formatter.write_dl(list(_VARIABLES.items()))


def _version() -> str:
    """What `--version` says, with `%(version)s` in it."""
    from .. import __impl__
    from .._codec import __build__

    python = f"{platform.python_implementation()} {platform.python_version()}, {sysconfig.get_platform()}"
    return f"eslcodec %(version)s, core: {__impl__} ({__build__}), {python}"


def _why(error: OSError) -> str:
    from .text import escape

    why = escape(error.strerror or str(error))
    if error.filename is not None:
        return f"{escape(str(error.filename))}: {why}"
    return f"cannot write: {why}" if error.errno in _UNWRITABLE else why


def _forget_output() -> None:
    """Discard what could not be written: else the interpreter tries again at its end, and complains."""
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # none if it was closed
            with suppress(OSError, ValueError):  # no file
                os.dup2(nowhere.fileno(), stream.fileno())
