"""How a switch reads the arguments of `originate`, step by step as its source does (FreeSWITCH 1.11).

Each function is named as the one that it follows: switch_utils.c, switch_event.c, switch_ivr_originate.c and
mod_commands.c. Where the C code would read beyond a string's end, the model raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field

QUOTED_ESC_COMMA, UNQUOTED_ESC_COMMA = "\1", "\2"
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "s": " "}
APART = ":_:"


class ParseError(Exception):
    """The switch gives up, or does what nobody can have meant."""


@dataclass
class Call:
    """One leg: what is called, and the variables that its channel has."""

    target: str
    variables: dict[str, str]


@dataclass
class Originate:
    """What the switch makes of the arguments.

    Attributes:
        attempts: dial strings that are called apart from each other, of groups that are called one after the other, of
            legs that are called together.
    """

    attempts: list[list[list[Call]]] = field(default_factory=list)
    application: str | None = None
    argument: str | None = None
    extension: str | None = None
    dialplan: str | None = None
    context: str | None = None
    timeout: int = 60


def at(text: str, index: int) -> str:
    """A character, NUL at the end."""
    if index > len(text):
        raise ParseError("read beyond the end")
    return text[index] if index < len(text) else "\0"


def cleanup_separated_string(text: str, delim: str) -> str:
    text = text.lstrip(" ")
    dest: list[str] = []
    end: int | None = None
    inside_quotes = False
    index = 0
    while index < len(text):
        letter = text[index]
        if letter == "\\":
            escaped = at(text, index + 1)
            if escaped in ("'", '"', "\\", *ESCAPES) or (delim and escaped == delim):
                special = escaped in ("'", '"', "\\") or escaped == delim
                dest.append(escaped if special else ESCAPES[escaped])
                end = len(dest)
                index += 2
                continue
        if letter == "'" and (inside_quotes or "'" in text[index + 1 :]):
            inside_quotes = not inside_quotes
            if inside_quotes:
                end = len(dest)
        else:
            dest.append(letter)
            if letter != " " or inside_quotes:
                end = len(dest)
        index += 1
    return "".join(dest if end is None else dest[:end])


def separate_string_char_delim(text: str, delim: str, room: int) -> list[str]:
    pieces: list[str] = []
    start = index = 0
    inside_quotes, looking = False, False
    while index < len(text) and len(pieces) < room:
        if not looking:
            start, looking = index, True
            pieces.append(text[start:])
            continue
        letter = text[index]
        if letter == "\\":
            index += 1
            at(text, index + 1)
        elif letter == "'" and (inside_quotes or "'" in text[index + 1 :]):
            inside_quotes = not inside_quotes
        elif letter == delim and not inside_quotes:
            pieces[-1] = text[start:index]
            looking = False
        index += 1
    return [cleanup_separated_string(piece, delim) for piece in pieces]


def separate_string_blank_delim(text: str, room: int) -> list[str]:
    pieces: list[str] = []
    start = index = 0
    inside_quotes = False
    state = "START"
    while index < len(text) and len(pieces) < room:
        letter = text[index]
        if state == "START":
            start = index
            pieces.append(text[start:])
            state = "SKIP_INITIAL_SPACE"
        elif state == "SKIP_INITIAL_SPACE":
            if letter == " ":
                index += 1
            else:
                state = "FIND_DELIM"
        elif state == "FIND_DELIM":
            if letter == "\\":
                index += 1
                at(text, index + 1)
            elif letter == "'":
                inside_quotes = not inside_quotes
            elif letter == " " and not inside_quotes:
                pieces[-1] = text[start:index]
                state = "SKIP_ENDING_SPACE"
            index += 1
        elif letter == " ":
            index += 1
        else:
            state = "START"
    return [cleanup_separated_string(piece, "") for piece in pieces]


def switch_separate_string(text: str, delim: str, room: int) -> list[str]:
    if text.startswith("^^") and len(text) > 3:
        delim, text = text[2], text[3:]
    return separate_string_blank_delim(text, room) if delim == " " else separate_string_char_delim(text, delim, room)


def switch_find_end_paren(text: str, start: int, opening: str, closing: str) -> int | None:
    while at(text, start) == " ":
        start += 1
    if at(text, start) != opening:
        return None
    depth = 1
    for index in range(start + 1, len(text)):
        if text[index] == opening:
            depth += 1
        elif text[index] == closing:
            depth -= 1
            if not depth:
                return index
    return None


def switch_strchr_strict(text: str, start: int, find: str) -> int | None:
    if at(text, start) == "\0":
        return None
    while at(text, start) not in (find, "\0"):
        if text[start] != " ":
            return None
        start += 1
    return start


def add_header(variables: dict[str, str], name: str, value: str) -> None:
    """An event that holds each name once, whatever its case."""
    if "[" in name or name == "_body" or value.startswith("ARRAY::"):
        raise ParseError("an array, or a body")
    for known in [known for known in variables if known.lower() == name.lower()]:
        del variables[known]
    if value:
        variables[name] = value


def switch_event_create_brackets(text: str, a: str, b: str, c: str, variables: dict[str, str]) -> str:
    """Take the block at the beginning into the variables: what is left."""
    end = switch_find_end_paren(text, 0, a, b)
    if end is None:
        raise ParseError(f"no end of {text!r}")
    if switch_strchr_strict(text, end, a) is not None:
        raise ParseError("the search for the last bracket, which never begins")
    left = end + 1
    begin: int | None = 1
    after: int | None = left
    while begin is not None:
        following: int | None = None
        if after is not None:
            beyond = switch_strchr_strict(text, after, a)
            following = switch_find_end_paren(text, after if beyond is None else beyond + 1, a, b)
        block = text[begin : end if begin == 1 else len(text)]
        after = None
        if block.startswith("^^"):
            c, block = block[2], block[3:]
        for item in switch_separate_string(block, c, 1024):
            parts = switch_separate_string(item, "=", 2)
            if len(parts) == 2:
                add_header(variables, *parts)
        begin = following
    return text[left:]


def var_check(value: str) -> bool:
    dollar = False
    for letter in value:
        if letter == "$":
            dollar = True
        elif dollar:
            if letter == "{":
                return True
            dollar = letter == "\\"
    return False


def mark_commas(text: str) -> str:
    """What `switch_ivr_originate` does to the commas inside of brackets before it splits the legs."""
    letters = list(text)
    end: int | None = None
    quoted = alternative = False
    for index, letter in enumerate(letters):
        if end is None and letter == "[":
            end = switch_find_end_paren("".join(letters), index, "[", "]")
            alternative = text[index + 1 : index + 3] == "^^"
            quoted = False
        if letter == "'":
            quoted = not quoted
        if end is not None and index < end and letter == "," and letters[index - 1] != "\\":
            letters[index] = QUOTED_ESC_COMMA if quoted or alternative else UNQUOTED_ESC_COMMA
        if index == end:
            end = None
    return "".join(letters)


def read_leg(text: str, shared: dict[str, str], check: bool) -> Call:
    text = text.lstrip(" ")
    own: dict[str, str] = {}
    while text.startswith("["):
        end = switch_find_end_paren(text, 0, "[", "]") or 0
        text = text[:end].replace(QUOTED_ESC_COMMA, ",") + text[end:]
        text = switch_event_create_brackets(text, "[", "]", UNQUOTED_ESC_COMMA, own)
    channel: dict[str, str] = {}
    first, then = (shared, own) if shared.get("local_var_clobber") == "true" else (own, shared)
    for variables in (first, then):
        for name, value in variables.items():
            if check and var_check(value):
                raise ParseError(f"{name} has a variable in it")
            add_header(channel, name, value)
    return Call(text.lstrip(" "), channel)


def switch_ivr_originate(data: str, given: dict[str, str] | None = None) -> list[list[list[Call]]]:
    if APART in data:
        return switch_ivr_enterprise_originate(data)
    shared = dict(given or {})
    data = data.lstrip(" ")
    check = "origination_nested_vars=true" not in data.lower() and shared.get("origination_nested_vars") != "true"
    while data.startswith("<"):
        data = switch_event_create_brackets(data, "<", ">", ",", shared)
    while data.startswith("{"):
        data = switch_event_create_brackets(data, "{", "}", ",", shared)
    data = data.lstrip(" ")
    if not data:
        raise ParseError("nothing to call")
    return [
        [
            [read_leg(leg, shared, check) for leg in switch_separate_string(mark_commas(group), ",", 128)]
            for group in switch_separate_string(data, "|", 128)
        ]
    ]


def switch_ivr_enterprise_originate(data: str) -> list[list[list[Call]]]:
    shared: dict[str, str] = {}
    data = data.lstrip(" ")
    while data.startswith("<"):
        data = switch_event_create_brackets(data, "<", ">", ",", shared)
    data = data.lstrip(" ")
    return [attempt for part in data.split(APART) for attempt in switch_ivr_originate(part, shared)]


def originate_function(arguments: str) -> Originate:
    arguments = arguments.strip("\r\n\t \v")
    if any(letter in arguments for letter in "\r\n\0"):
        raise ParseError("not one line")
    words: list[str | None] = list(switch_separate_string(arguments, " ", 10))
    if not 2 <= len(words) <= 7:
        raise ParseError(f"usage: {len(words)} words")
    words = [None if word and word.lower() == "undef" else word for word in words]
    called, extension, dialplan, context, _, _, timeout, *_ = [*words, *[None] * 5]
    if called is None or extension is None:
        raise ParseError("undef")
    made = Originate(switch_ivr_originate(called), timeout=int(timeout or 60))
    if extension.startswith("&") and len(extension) > 1:
        name = extension[1:].partition(")")[0]
        made.application, bracket, argument = name.partition("(")
        made.argument = argument if bracket else None
    else:
        made.extension, made.dialplan, made.context = extension, dialplan or "XML", context or "default"
    return made
