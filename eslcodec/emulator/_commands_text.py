"""API commands that work on text: `expand`, `eval`, `regex`, `cond`, `md5`, `url_encode`, `strftime` and so on."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import Final

from .. import render
from .._codec import unquote
from .._ctext import atoi, to_bytes, to_text
from .._json import joined
from ._expand import Expander, separate
from ._model import Api, ApiOutput, Session
from ._switch import Switch

_DATE: Final = "%Y-%m-%d %H:%M:%S"
_COALESCE: Final = "[^^<delim>]<value1>,<value2>,..."
_OPERATORS: Final = ("==", "!=", ">=", "<=", ">", "<")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]*)?")


def text_commands(switch: Switch) -> dict[str, Api]:
    """The commands that work on text, by name."""
    return {
        "coalesce": coalesce,
        "cond": cond,
        "echo": lambda args: args,
        "escape": lambda args: args,
        "eval": lambda args: _eval(switch, args),
        "expand": lambda args: _expand(switch, args),
        "md5": lambda args: hashlib.md5(to_bytes(args), usedforsecurity=False).hexdigest() if args else "!err!",
        "regex": regex,
        "strepoch": lambda args: _strepoch(switch.core.clock, args),
        "strftime": lambda args: _strftime(switch.core.clock, args),
        "tolower": str.lower,
        "toupper": str.upper,
        "url_decode": lambda args: to_text(unquote(to_bytes(args))),
        "url_encode": lambda args: render.quote_server(to_bytes(args)),
    }


def coalesce(args: str) -> str:
    """The first value that is not empty.

    Example:
        >>> coalesce(",,b,c"), coalesce("^^!!!x")
        ('b', 'x')
    """
    delimiter = ","
    if args.startswith("^^") and len(args) > 2:
        delimiter, args = args[2], args[3:]
    if not args:
        return f"-USAGE: {_COALESCE}\n"
    return next((value for value in separate(args, delimiter, 256) if value), "")


def regex(args: str) -> str:
    """`regex`: whether a pattern matches, or what is made of it.

    Example:
        >>> regex("abc1|abc(\\\\d)|%1"), regex("m:/abc1/abc(\\\\d)/%1"), regex("x|y"), regex("x|y|z|b"), regex("x")
        ('1', '1', 'false', 'false', '-ERR')
    """
    delimiter = "|"
    if args.startswith("m:") and args[2:3] in ("|", "~", "/"):
        delimiter, args = args[2], args[3:]
    parts = _split(args, delimiter)
    if len(parts) < 2:
        return "-ERR"
    try:
        found = re.search(parts[1], parts[0])
    except (re.error, RecursionError, OverflowError):
        found = None
    if len(parts) == 2:
        return "true" if found else "false"
    if found is not None:
        return _substitute(found, parts[2])
    flags = parts[3] if len(parts) > 3 else ""
    return "" if "n" in flags else "false" if "b" in flags else parts[0]


def _split(text: str, delimiter: str) -> list[str]:
    """As `separate`, but a backslash stays: the switch keeps those that escape nothing."""
    return separate(text, delimiter, 4)


def _substitute(found: re.Match[str], template: str) -> str:
    def group(match: re.Match[str]) -> str:
        number = atoi(match[1])
        return (found[number] or "") if number <= (found.re.groups) else ""

    return re.sub(r"[%$]\{?([0-9]+)\}?", group, template)


def cond(args: str) -> str:
    """`cond`: one of two values.

    Example:
        >>> cond("5 > 3 ? yes : no"), cond("'a' == 'b' ? yes : no"), cond("1 == 2 ? yes"), cond("1 = 1 ? yes : no")
        ('yes', 'no', '', '-ERR')
    """
    left, rest = _operand(args)
    rest = rest.lstrip(" ")
    operator = next((one for one in _OPERATORS if rest.startswith(one)), None)
    if left is None or operator is None:
        return "-ERR"
    right, rest = _operand(rest[len(operator) :].lstrip(" "))
    rest = rest.lstrip(" ")
    if right is None or not rest.startswith("?"):
        return "-ERR"
    values = separate(rest[1:], ":", 2)
    chosen = _holds(left, operator, right)
    if len(values) < 2:
        return values[0] if values and chosen else ""
    return values[0] if chosen else values[1]


def _operand(text: str) -> tuple[tuple[str, bool] | None, str]:
    """An operand, whether it is quoted, and what follows it."""
    if text.startswith("'"):
        end = text.find("'", 1)
        if end < 0 or text[end + 1 : end + 2] != " ":
            return None, text
        return (text[1:end], True), text[end + 1 :]
    word, blank, rest = text.partition(" ")
    return ((word, False), rest) if blank else (None, text)


def _holds(left: tuple[str, bool], operator: str, right: tuple[str, bool]) -> bool:
    numbers = [not quoted and _NUMBER.fullmatch(text) is not None for text, quoted in (left, right)]
    if not any(numbers) and operator in ("==", "!="):
        return (left[0] == right[0]) == (operator == "==")
    a, b = (float(one[0]) if number else float(len(one[0])) for one, number in zip((left, right), numbers, strict=True))
    return {"==": a == b, "!=": a != b, ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b}[operator]


# Time


def _strftime(clock: Callable[[], float], args: str) -> str:
    at = clock()
    if "|" in args:
        number, _, rest = args.partition("|")
        at, args = float(atoi(number)), rest[1:]
    try:
        return time.strftime(args or _DATE, time.localtime(at))
    except (ValueError, OverflowError, OSError):  # a year or a format that no calendar has
        return ""


def _strepoch(clock: Callable[[], float], args: str) -> str:
    if not args:
        return str(int(clock()))
    try:
        return str(int(time.mktime(time.strptime(args, _DATE))))
    except ValueError:
        return "0"


# Variables


def expanded(switch: Switch, text: str, session: Session | None = None) -> str:
    """A text with its `${variable}` and `${command(arguments)}` replaced, for a channel or for none.

    Example:
        >>> switch = Switch()
        >>> switch.variables["site"] = "here"
        >>> expanded(switch, "${site} ${nothing}!")
        'here !'
    """
    return Expander(lambda name, index: _value(switch, name, index, session), _output_of(switch)).expand(text)


def _value(switch: Switch, name: str, index: int, session: Session | None) -> str | None:
    if session is not None:
        value = session.variables.get(name)
        if value is not None:
            items = [value] if isinstance(value, str) else value
            return joined(value) if index < 0 else items[index] if index < len(items) else None
        for header, text in session.fields(variables=False):
            if header.lower() == name.lower():
                return joined(text)
    return switch.variables.get(name)


def _output_of(switch: Switch) -> Callable[[str, str], str | None]:
    def output(command: str, args: str) -> str | None:
        text = switch.execute(command, args)
        return text if isinstance(text, str) else None

    return output


def _with_session(switch: Switch, args: str) -> tuple[Session | None, str]:
    if not args.lower().startswith("uuid:"):
        return None, args
    uuid, _, rest = args[5:].partition(" ")
    return switch.channels.get(uuid), rest


def _eval(switch: Switch, args: str) -> str:
    session, text = _with_session(switch, args)
    return expanded(switch, text, session)


def _expand(switch: Switch, args: str) -> ApiOutput:
    session, text = _with_session(switch, args)
    if not text:
        return "-ERR No input\n"
    command, _, arguments = text.partition(" ")
    output = switch.execute(command, expanded(switch, arguments, session))
    return "-ERR Cannot execute command\n" if output is None else output
