"""The API commands that an emulated switch has unless told otherwise: those that programs commonly send."""

from __future__ import annotations

from ._commands_channel import channel_commands
from ._commands_modules import module_commands
from ._commands_schedule import schedule_commands
from ._commands_switch import switch_commands
from ._commands_text import text_commands
from ._model import Api
from ._show import show
from ._switch import Switch


def default_answers(switch: Switch) -> dict[str, Api]:
    """The answers of a switch, by command.

    Example:
        >>> switch = Switch(answers=default_answers)
        >>> switch.execute("echo", "hello"), switch.execute("uuid_exists", "8f08a03a")
        ('hello', 'false')
    """
    commands: dict[str, Api] = {
        **switch_commands(switch),
        **channel_commands(switch),
        **text_commands(switch),
        **schedule_commands(switch),
        **module_commands(switch),
        "show": lambda args: show(switch, args),
    }
    return dict(sorted(commands.items()))
