"""API commands that do something later: `sched_api`, `sched_hangup`, `sched_transfer`, `sched_broadcast`, `sched_del`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .._ctext import atoi
from .._json import Field
from ._commands_channel import NO_CHANNEL
from ._dialstring import separate
from ._model import Api, cause_named
from ._switch import Switch

_HANGUP: Final = "[+]<time> <uuid> [<cause>]"
_TRANSFER: Final = "[+]<time> <uuid> <extension> [<dialplan>] [<context>]"
_BROADCAST: Final = "[[+]<time>|@time] <uuid> <path> [aleg|bleg|both]"
_API: Final = "[+@]<time> <group_name> <command_string>[&]"


@dataclass(eq=False)
class _Task:
    """Something that is to happen."""

    number: int
    group: str
    description: str
    at: int
    act: Callable[[], None]
    every: int = 0


def schedule_commands(switch: Switch) -> dict[str, Api]:
    """The commands that schedule something, by name."""
    scheduler = _Scheduler(switch)
    return {
        "sched_api": scheduler.api,
        "sched_broadcast": scheduler.broadcast,
        "sched_del": scheduler.delete,
        "sched_hangup": scheduler.hangup,
        "sched_transfer": scheduler.transfer,
        "unsched_api": scheduler.unschedule,
    }


class _Scheduler:
    """The tasks of a switch."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._core = switch.core
        self._tasks: dict[int, _Task] = {}
        self._number = 0

    def _when(self, text: str) -> tuple[int, int]:
        """When, in seconds since 1970, and every how many seconds from then on; 0 is once."""
        now = int(self._core.clock())
        if text.startswith("@"):
            return now + atoi(text[1:]), atoi(text[1:])
        return (now + atoi(text[1:]), 0) if text.startswith("+") else (atoi(text), 0)

    def _add(self, when: str, group: str, description: str, act: Callable[[], None]) -> _Task:
        at, every = self._when(when)
        self._number += 1
        task = _Task(self._number, group, description, at, act, every)
        self._tasks[task.number] = task
        self._tell("ADD_SCHEDULE", task, "switch_scheduler_add_task_ex")
        self._core.later(max(0.0, at - self._core.clock()), lambda: self._due(task))
        return task

    def _due(self, task: _Task) -> None:
        if self._tasks.get(task.number) is not task:
            return
        task.act()
        if task.every:
            task.at += task.every
            self._tell("RE_SCHEDULE", task, "switch_scheduler_execute")
            self._core.later(task.every, lambda: self._due(task))
        else:
            self._remove(task)

    def _remove(self, task: _Task) -> None:
        if self._tasks.pop(task.number, None) is not None:
            self._tell("DEL_SCHEDULE", task, "task_thread_loop")

    def _tell(self, name: str, task: _Task, function: str) -> None:
        fields: list[Field] = [
            ("Task-ID", str(task.number)),
            ("Task-Desc", task.description),
            ("Task-Group", task.group),
            ("Task-Runtime", str(task.at)),
        ]
        self._core.fire(self._core.event(name, fields, function=function))
        self._switch.tables["tasks"] = [
            {
                "task_id": str(one.number),
                "task_desc": one.description,
                "task_group": one.group,
                "task_runtime": str(one.at),
                "task_sql_manager": "0",
                "hostname": self._switch.hostname,
            }
            for one in self._tasks.values()
        ]

    # Commands

    def api(self, args: str) -> str:
        words = args.split(" ", 2)
        if len(words) < 3:
            return f"-ERR Invalid syntax. USAGE: {_API}\n"
        when, group, text = words
        command, _, arguments = text.removesuffix("&").partition(" ")
        task = self._add(when, group, "sched_api_function", lambda: self._run(command, arguments))
        return f"+OK Added: {task.number}\n"

    def _run(self, command: str, args: str) -> None:
        self._switch.run_api(command, args, False, lambda _output: None)

    def hangup(self, args: str) -> str:
        words = separate(args, " ", 4)
        if not words:
            return f"-USAGE: {_HANGUP}\n"
        found = self._switch.channels.get(words[1] if len(words) > 1 else None)
        if found is None:
            return NO_CHANNEL
        cause = cause_named(words[2]) if len(words) > 2 else "ALLOTTED_TIMEOUT"
        channels = self._switch.channels
        if atoi(words[0][1:]) == 0:
            channels.hangup(found, cause)
        else:
            description = "switch_ivr_schedule_hangup"
            self._add(words[0], found.uuid, description, lambda: channels.hangup(found, cause))
        return "+OK\n"

    def transfer(self, args: str) -> str:
        words = separate(args, " ", 6)
        if not 2 <= len(words) <= 5:
            return f"-USAGE: {_TRANSFER}\n"
        found = self._switch.channels.get(words[1])
        if found is None:
            return NO_CHANNEL
        extension, dialplan, context = [*words[2:], "", "", ""][:3]

        def act() -> None:
            if found.hangup_cause is None:
                self._switch.calls.transfer(found, extension, dialplan or None, context or None)

        self._add(words[0], found.uuid, "switch_ivr_schedule_transfer", act)
        return "+OK\n"

    def broadcast(self, args: str) -> str:
        words = separate(args, " ", 4)
        if len(words) < 3:
            return f"-USAGE: {_BROADCAST}\n"
        whose = words[3] if len(words) > 3 else "aleg"
        what = f"{words[1]} {words[2]} {whose}"
        act = lambda: self._run("uuid_broadcast", what)  # noqa: E731
        self._add(words[0], words[1], "switch_ivr_schedule_broadcast", act)
        return "+OK Message scheduled\n"

    def delete(self, args: str) -> str:
        if not args:
            return "-ERR Invalid syntax\n"
        wanted = [
            task
            for task in list(self._tasks.values())
            if (task.number == atoi(args) if args.isdigit() else task.group == args)
        ]
        for task in wanted:
            self._remove(task)
        return f"+OK Deleted: {len(wanted)}\n"

    def unschedule(self, args: str) -> str:
        if not args:
            return "-ERR Invalid syntax. USAGE: <task_id>\n"
        task = self._tasks.get(atoi(args))
        if task is None:
            return "-ERR No such id\n"
        self._remove(task)
        return "+OK\n"
