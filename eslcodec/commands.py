"""Builds commands for the switch: bytes exactly as mod_event_socket wants them (docs/protocol/commands.md).

    >>> event("CHANNEL_ANSWER", custom=["sofia::register"], format="json")
    b'event json CHANNEL_ANSWER CUSTOM sofia::register\\n\\n'
    >>> execute("set", "note=first line\\nsecond line")
    b'sendmsg\\ncall-command: execute\\nexecute-app-name: set\\ncontent-type: text/plain\\nContent-Length: 27\\n\\nnote=first line\\nsecond line'

The protocol has no quoting. A line end in an argument would add headers or start a second command; words are separated
by exactly one blank, and a second one makes the switch answer `+OK` and do something else; some names and values mean
more to it than they say. So every part is checked: what would inject, or would be read as something else, raises
`InvalidCommand` before anything is sent, and a part of the wrong type `TypeError`. No text of an error shows a login.

What is refused, besides CR, LF and NUL on a line:
* in a word: blanks, since the switch cuts there;
* in a value: a leading blank (the switch drops it), and nothing at all (the header would not be there: leave it out);
* in a header's name: a colon, `[` (an index: arrays are lists here), blanks around it, and `_body` (it is the body);
* a Content-Length that is not the body's: it would make a command of the body, or a body of the next command;
* in arrays: what does not come out as it went in: an empty first item, `|:` in an item, a name that is used already;
* both `mod_event_socket` and `reload` or `unload` anywhere on the lines: the switch forgets the rest and reloads;
* more bytes than the switch takes (limits.py), with which it would close the connection.

Text is UTF-8 with surrogateescape, lines end in LF, bodies are any bytes.
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypedDict

from ._ctext import redacted
from .enums import HangupCause, LogLevel
from .errors import InvalidCommand
from .limits import MAX_COMMAND_BODY_BYTES, MAX_COMMAND_BYTES, MAX_JOB_UUID_BYTES

if TYPE_CHECKING:
    from typing_extensions import Unpack

Value = str | int | Sequence[str]
"""A header's value: a list is an array, a bool `true` or `false`. Text that begins with `ARRAY::` is an array too."""

Headers = Mapping[str, Value] | ItemsView[str, Value] | Sequence[tuple[str, Value]] | Iterator[tuple[str, Value]]
"""Names and values. Pairs may repeat a name; the switch goes by the first.

Any iterable of pairs will do. The type lists these kinds, so that type checkers accept a dict with values of several
types."""

FORMATS: Final = ("plain", "json", "xml")

_LINE_BREAKERS: Final = ("\n", "\r", "\0")
_EVENT_NAME: Final = re.compile("[A-Za-z0-9_]+")
_ARRAY: Final = "ARRAY::"
_BETWEEN_ITEMS: Final = "|:"
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1  # what the switch's atoi() gives
_RELOADS: Final = frozenset(
    f"api {through}{verb} mod_event_socket\n\n".encode() for through in ("", "bgapi ") for verb in ("reload", "unload")
)
"""The switch replaces every block that has these words in it (docs/protocol/commands.md, 1.11). These mean that."""


class MessageOptions(TypedDict, total=False):
    """What `sendmsg` takes for every call-command.

    Attributes:
        event_lock: run nothing that is queued after it before it ends; set it on each.
        event_lock_pri: the same, ahead of what is queued without it.
        lead_frames: audio frames to wait for before it starts.

    Example:
        >>> options: MessageOptions = {"event_lock": True}
        >>> hangup(uuid="8f08a03a", **options).splitlines()[-2]
        b'event-lock: true'
    """

    event_lock: bool
    event_lock_pri: bool
    lead_frames: int | None


# Parts. Each returns the text that goes on the wire, or raises.


def _shown(text: str) -> str:
    """A part in the text of an error: quoted, short, without what may be a password."""
    return f"{redacted(text)!r:.80}"


def _text(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is {type(text).__name__}, expected str")
    return str.__str__(text)  # of a string enumeration what it holds, whatever it prints


def _line(what: str, text: object, *, secret: bool = False) -> str:
    """Text that stays on its line. A secret is never shown."""
    line = _text(what, text)
    for breaker in _LINE_BREAKERS:
        if breaker in line:
            shown = "" if secret else f" {_shown(line)}"
            raise InvalidCommand(f"{what}{shown} has {breaker!r} in it, expected a single line")
    return line


def _word(what: str, text: object) -> str:
    """Text without blanks: one of several words on a line."""
    word = _line(what, text)
    if not word or " " in word:
        raise InvalidCommand(f"{what} is {_shown(word)}, expected one word")
    return word


def _rest(what: str, text: object) -> str:
    """The rest of a line, after exactly one blank."""
    rest = _line(what, text)
    if not rest or rest.startswith(" "):
        raise InvalidCommand(f"{what} is {_shown(rest)}, expected text that does not begin with a blank")
    return rest


def _value(what: str, text: object) -> str:
    """A value that the switch keeps as a header: what begins with `ARRAY::` it cuts into items, and joins again."""
    value = _rest(what, text)
    if value.startswith(_ARRAY):
        items = value[len(_ARRAY) :].split(_BETWEEN_ITEMS)
        if len(items) == 1:
            raise InvalidCommand(f"{what} is {_shown(value)}, which the switch reads as an array of one: give a list")
        return _joined(what, items)
    return value


def _joined(what: str, items: Sequence[str]) -> str:
    texts = [_line(f"an item of {what}", item) for item in items]
    if not texts or not texts[0]:
        raise InvalidCommand(f"{what} is an array without a first item: the switch drops empty ones at the beginning")
    for text in texts:
        if _BETWEEN_ITEMS in text or text.startswith(_ARRAY):
            raise InvalidCommand(f"an item of {what} is {_shown(text)}, expected no '|:' in it and no 'ARRAY::' first")
    return _ARRAY + _BETWEEN_ITEMS.join(texts)


def _number(what: str, number: object, low: int = _INT_MIN, high: int = _INT_MAX) -> str:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{what} is {type(number).__name__}, expected int")
    if not low <= number <= high:
        read = str(int(number)) if number.bit_length() < 64 else f"{number.bit_length()} bits long"
        raise InvalidCommand(f"{what} is {read}, expected {low} to {high}")
    return str(int(number))  # of an enumeration its number, whatever it prints


def _flag(what: str, flag: object) -> bool:
    if not isinstance(flag, bool):
        raise TypeError(f"{what} is {type(flag).__name__}, expected bool")
    return flag


def _format(format: object) -> str:
    name = _text("the format", format)
    if name not in FORMATS:
        raise InvalidCommand(f"the format is {_shown(name)}, expected 'plain', 'json' or 'xml'")
    return name


def _event_name(name: object, subclasses: str = "custom=...") -> str:
    if isinstance(name, (list, tuple, set, frozenset)):
        raise TypeError(f"an event name is a {type(name).__name__}, expected str: each name is an argument (*names)")
    text = _line("an event name", name)
    if not _EVENT_NAME.fullmatch(text):
        more = "each name is an argument; " if " " in text else ""
        raise InvalidCommand(
            f"an event name is {_shown(text)}, expected letters, digits and '_' ({more}subclasses: {subclasses})"
        )
    if text.lower() in FORMATS:
        raise InvalidCommand(f"an event name is {_shown(text)}, which the switch takes for a format (format=...)")
    return text


def _is_custom(name: str) -> bool:
    return name.upper().removeprefix("SWITCH_EVENT_") == "CUSTOM"  # as the switch compares names


# Headers, body, block


def _pairs(headers: Headers) -> Iterable[tuple[str, Value]]:
    return headers.items() if isinstance(headers, Mapping) else headers


def _header_value(name: str, value: Value) -> str:
    what = f"the value of {_shown(name)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _number(what, value, -(2**63), 2**63 - 1)
    return _value(what, value) if isinstance(value, str) or not _is_list(value) else _joined(what, value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview))


def _header_name(name: object) -> str:
    text = _line("a header name", name)
    if not text or text != text.strip(" \t") or ":" in text or "[" in text or text.lower() == "_body":
        raise InvalidCommand(
            f"a header name is {_shown(text)}, expected one without ':', '[' and blanks around it, other than '_body'"
        )
    return text


def _lines(headers: Headers, body: bytes) -> Iterator[str]:
    """Header lines. A Content-Length must be the body's, and is left out, since it is written with the body."""
    written: set[str] = set()
    for name, value in _pairs(headers):
        name = _header_name(name)
        text = _header_value(name, value)
        key = name.lower()
        if key == "content-length":
            if text != str(len(body)):
                raise InvalidCommand(f"{name} is {_shown(text)}, expected {len(body)}, the length of the body")
            continue
        if text.startswith(_ARRAY) and key in written:
            raise InvalidCommand(f"{_shown(name)} is there already: the switch would add the items of this array to it")
        written.add(key)
        yield f"{name}: {text}"


def _without(name: str, headers: Headers) -> Iterator[tuple[str, Value]]:
    """The headers, which must not have this one: a parameter gives it."""
    for key, value in _pairs(headers):
        if _text("a header name", key).lower() == name.lower():
            raise InvalidCommand(f"the header {name} is given twice")
        yield key, value


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        pass  # it holds the text, and the text perhaps a password: raise outside
    raise InvalidCommand("text has a surrogate in it that stands for no byte, expected UTF-8 with surrogateescape")


def _body(body: object) -> bytes:
    if isinstance(body, str):
        return _encoded(body)
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"the body is {type(body).__name__}, expected bytes or str")
    return bytes(body)


def _command(line: str, headers: Iterable[str] = (), body: bytes = b"") -> bytes:
    """A command: its block (line, headers, blank line), and the body."""
    lines = [line, *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    block = _encoded("\n".join([*lines, "", ""]))
    for what, size, limit in (
        ("a command without its body", len(block), MAX_COMMAND_BYTES),
        ("the body of a command", len(body), MAX_COMMAND_BODY_BYTES),
    ):
        if size > limit:
            raise InvalidCommand(f"{what} has {size} bytes, expected no more than {limit}: the switch would close")
    _check_no_reload(block)
    return block + body


def _check_no_reload(block: bytes) -> None:
    lower = block.lower()
    if b"mod_event_socket" in lower and (b"reload" in lower or b"unload" in lower) and lower not in _RELOADS:
        raise InvalidCommand(
            "a command has both 'mod_event_socket' and 'reload' or 'unload' in it, for which the switch reloads or "
            "unloads that module and does nothing else: expected exactly api('reload', 'mod_event_socket')"
        )


# Login and end


def auth(password: str) -> bytes:
    """`auth`: log in with the password of event_socket.conf.

    Example:
        >>> auth("ClueCon")
        b'auth ClueCon\\n\\n'
    """
    return _command(f"auth {_line('the password', password, secret=True)}")


def userauth(user: str, domain: str, password: str) -> bytes:
    """`userauth`: log in as a directory user. Events, API commands and log may be restricted for it.

    Args:
        user: without blank, `:` and `@`, where the switch cuts.
        domain: likewise.
        password: its `esl-password` in the directory.

    Example:
        >>> userauth("ops", "example.org", "secret")
        b'userauth ops@example.org:secret\\n\\n'
    """
    return _command(
        f"userauth {_account('the user', user)}@{_account('the domain', domain)}"
        f":{_line('the password', password, secret=True)}"
    )


def _account(what: str, text: object) -> str:
    account = _line(what, text, secret=True)  # a password may have been put in with it
    if not account or any(mark in account for mark in "@: "):
        raise InvalidCommand(f"{what} is empty or has a blank, a colon or an at sign in it")
    return account


def exit() -> bytes:
    """`exit`: say good-bye; the switch answers, sends a notice and closes.

    Example:
        >>> exit()
        b'exit\\n\\n'
    """
    return _command("exit")


# API


def api(command: str, args: str = "", *, console_execute: bool = False) -> bytes:
    """`api`: run an API command; the switch does nothing else on this connection meanwhile.

    Args:
        command: its name, or the whole line.
        args: its arguments. The switch drops blanks at the end.
        console_execute: run it through the console interpreter: aliases, and several commands between `;;`.

    Example:
        >>> api("status"), api("show channels", console_execute=True)
        (b'api status\\n\\n', b'api show channels\\nconsole_execute: true\\n\\n')
    """
    headers = ["console_execute: true"] if _flag("console_execute", console_execute) else []
    return _command(f"api {_call(command, args)}", headers)


def bgapi(command: str, args: str = "", *, job_uuid: str | None = None) -> bytes:
    """`bgapi`: run an API command in the background; the result is a BACKGROUND_JOB event with the same Job-UUID.

    Args:
        command: its name, or the whole line.
        args: its arguments. The switch drops blanks at the end.
        job_uuid: any text; the switch makes one up if there is none, and does not check that it is unique.

    Example:
        >>> bgapi("originate", "user/1000 &park", job_uuid="7f4d")
        b'bgapi originate user/1000 &park\\nJob-UUID: 7f4d\\n\\n'
    """
    headers = [] if job_uuid is None else [f"Job-UUID: {_job_uuid(job_uuid)}"]
    return _command(f"bgapi {_call(command, args)}", headers)


def _call(command: object, args: object) -> str:
    call = _rest("the API command", command)
    return f"{call} {_rest('the arguments', args)}" if args != "" else call


def _job_uuid(job_uuid: object) -> str:
    text = _value("the Job-UUID", job_uuid)
    size = len(_encoded(text))
    if size > MAX_JOB_UUID_BYTES:
        raise InvalidCommand(f"the Job-UUID has {size} bytes, expected no more than {MAX_JOB_UUID_BYTES}")
    return text


# Events


def _names(names: Sequence[str], custom: Sequence[str]) -> str:
    """Event names and subclasses. Everything after CUSTOM is a subclass for the switch, so it goes last."""
    if isinstance(custom, str):
        raise TypeError("custom is str, expected a list of subclasses")
    words = [_event_name(name) for name in names]
    subclasses = [_word("a subclass", subclass) for subclass in custom]
    plain = [word for word in words if not _is_custom(word)]
    if subclasses or len(plain) < len(words):
        plain += ["CUSTOM", *subclasses]
    if not plain:
        raise InvalidCommand("no event name, expected one at least")
    return " ".join(plain)


def event(*names: str, custom: Sequence[str] = (), format: str | None = None) -> bytes:
    """`event`: subscribe to events, in addition to those subscribed before.

    Args:
        names: such as "CHANNEL_ANSWER", "ALL" or "CUSTOM". The switch ignores names that it does not know.
        custom: subclasses of CUSTOM; "CUSTOM" among the names without any is for events without a subclass.
        format: "plain", "json" or "xml" for all events of the connection from now on; None leaves it.

    Example:
        >>> event("CHANNEL_ANSWER", custom=["sofia::register"], format="json")
        b'event json CHANNEL_ANSWER CUSTOM sofia::register\\n\\n'
    """
    chosen = "" if format is None else f"{_format(format)} "
    return _command(f"event {chosen}{_names(names, custom)}")


def nixevent(*names: str, custom: Sequence[str] = ()) -> bytes:
    """`nixevent`: unsubscribe from events; "ALL" from all of them. With `custom` CUSTOM itself stays.

    Example:
        >>> nixevent("HEARTBEAT", custom=["sofia::register"])
        b'nixevent HEARTBEAT CUSTOM sofia::register\\n\\n'
    """
    return _command(f"nixevent {_names(names, custom)}")


def noevents() -> bytes:
    """`noevents`: no events any more, those that wait are dropped. Filters and `myevents` stay in force.

    Example:
        >>> noevents()
        b'noevents\\n\\n'
    """
    return _command("noevents")


def myevents(uuid: str | None = None, *, format: str | None = None) -> bytes:
    """`myevents`: the events of one channel.

    Args:
        uuid: the channel, on an inbound connection, which is bound to it from then on.
        format: on an outbound connection only; inbound, set it with `event` before.

    Example:
        >>> myevents(format="json"), myevents("8f08a03a")
        (b'myevents json\\n\\n', b'myevents 8f08a03a\\n\\n')
    """
    if uuid is None:
        return _command("myevents" if format is None else f"myevents {_format(format)}")
    if format is not None:
        raise InvalidCommand("the switch ignores a format after a uuid: set it with event() before")
    word = _word("the uuid", uuid)
    if word.lower() in FORMATS:
        raise InvalidCommand(f"the uuid is {_shown(word)}, which the switch may take for a format (format=...)")
    return _command(f"myevents {word}")


def divert_events(on: bool) -> bytes:
    """`divert_events`: send what a script's input callback would get to the socket, or no more.

    Example:
        >>> divert_events(True)
        b'divert_events on\\n\\n'
    """
    return _command(f"divert_events {'on' if _flag('divert_events', on) else 'off'}")


def filter(header: str, value: str) -> bytes:
    """`filter add`: of the events subscribed to, only those that match a filter (any of them).

    The word `add` may be left out on the wire, but then a header named `add` or `delete` could not be filtered.

    Args:
        header: the header that is compared.
        value: its value, ignoring case; `/regex/`; or `-value` for events that must not come. The switch drops `+` and
            `-` at the beginning of what it compares.

    Example:
        >>> filter("Unique-ID", "8f08a03a")
        b'filter add Unique-ID 8f08a03a\\n\\n'
    """
    return _command(f"filter add {_filter_header(header)} {_value('the filter value', value)}")


def filter_delete(header: str = "all", value: str | None = None) -> bytes:
    """`filter delete`: remove the filters on a header, or one of them, or all.

    Example:
        >>> filter_delete("Unique-ID", "8f08a03a"), filter_delete()
        (b'filter delete Unique-ID 8f08a03a\\n\\n', b'filter delete all\\n\\n')
    """
    name = _filter_header(header)
    if value is None:
        return _command(f"filter delete {name}")
    if name.lower() == "all":
        raise InvalidCommand(f"'filter delete {name}' removes all filters, expected no value")
    return _command(f"filter delete {name} {_value('the filter value', value)}")


def _filter_header(header: object) -> str:
    name = _word("the header to filter by", header)
    if "[" in name:
        raise InvalidCommand(
            f"the header to filter by is {_shown(name)}, expected a name without '[', which is an index"
        )
    return name


def sendevent(name: str, headers: Headers = (), body: bytes | str = b"", *, subclass: str | None = None) -> bytes:
    """`sendevent`: fire an event in the switch.

    Args:
        name: such as "CUSTOM" or "NOTIFY". An unknown name reaches everybody who listens to CUSTOM.
        headers: its headers; values are not percent-encoded here. A list is an array. With a `Unique-ID` that is a
            live channel's the event goes to that channel and to nobody else.
        body: its body, any bytes; but the switch cuts it at the first NUL.
        subclass: `Event-Subclass`, for CUSTOM only.

    Example:
        >>> sendevent("CUSTOM", {"Section": 33}, "hello", subclass="albs::Section-Alarm")
        b'sendevent CUSTOM\\nEvent-Subclass: albs::Section-Alarm\\nSection: 33\\nContent-Length: 5\\n\\nhello'
        >>> sendevent("NOTIFY", [("Contact", ["a", "b"])])
        b'sendevent NOTIFY\\nContact: ARRAY::a|:b\\n\\n'
    """
    event_name = _event_name(name)
    if subclass is not None:
        if not _is_custom(event_name):
            raise InvalidCommand(f"{_shown(event_name)} has no subclasses, only CUSTOM has")
        headers = [("Event-Subclass", _text("the subclass", subclass)), *_without("Event-Subclass", headers)]
    data = _body(body)
    return _command(f"sendevent {event_name}", _lines(headers, data), data)


# Channels


def sendmsg(
    call_command: str,
    headers: Headers = (),
    body: bytes | str = b"",
    *,
    uuid: str | None = None,
    **options: Unpack[MessageOptions],
) -> bytes:
    """`sendmsg`: any message to a channel; the functions below build the known ones.

    Args:
        call_command: `call-command`, such as "execute".
        headers: the others.
        body: with `content-type` among the headers; the switch cuts it at the first NUL.
        uuid: the channel; None for the connection's own.
        options: see `MessageOptions`.

    Example:
        >>> sendmsg("hangup", {"hangup-cause": "USER_BUSY"}, uuid="8f08a03a")
        b'sendmsg 8f08a03a\\ncall-command: hangup\\nhangup-cause: USER_BUSY\\n\\n'
    """
    target = "" if uuid is None else f" {_word('the uuid', uuid)}"
    first = ("call-command", _word("the call-command", call_command))
    data = _body(body)
    return _command(f"sendmsg{target}", _lines([first, *_without(first[0], headers), *_options(**options)], data), data)


def _options(
    event_lock: bool = False, event_lock_pri: bool = False, lead_frames: int | None = None
) -> list[tuple[str, Value]]:
    headers = [*_switched_on("event-lock", event_lock), *_switched_on("event-lock-pri", event_lock_pri)]
    return headers if lead_frames is None else [*headers, ("lead-frames", _number("lead_frames", lead_frames, 0))]


def _switched_on(name: str, flag: bool) -> list[tuple[str, Value]]:
    return [(name, True)] if _flag(name, flag) else []


def execute(
    application: str,
    argument: str = "",
    *,
    uuid: str | None = None,
    event_uuid: str | None = None,
    event_uuid_name: str | None = None,
    loops: int | None = None,
    event_lock: bool = False,
    event_lock_pri: bool = False,
    run_async: bool = False,
    hold_bleg: bool = False,
    lead_frames: int | None = None,
) -> bytes:
    """`sendmsg` / `execute`: run a dialplan application.

    Args:
        application: its name.
        argument: its data. What a header cannot carry (line ends, a leading blank, `ARRAY::` at the beginning) goes as
            the message's body. A NUL cannot go at all.
        uuid: the channel; None for the connection's own.
        event_uuid: comes back as `Application-UUID` in CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE.
        event_uuid_name: comes back as `Application-UUID-Name`.
        loops: how often; negative for ever.
        event_lock: run nothing that is queued after it before it ends.
        event_lock_pri: the same, ahead of the others.
        run_async: do not wait for it on a static socket.
        hold_bleg: hold the other leg meanwhile.
        lead_frames: audio frames to wait for before it starts.

    Example:
        >>> execute("sleep", "200", event_lock=True)
        b'sendmsg\\ncall-command: execute\\nexecute-app-name: sleep\\nexecute-app-arg: 200\\nevent-lock: true\\n\\n'
    """
    headers: list[tuple[str, Value]] = [("execute-app-name", _word("the application", application))]
    text = _text("the argument", argument)
    if "\0" in text:
        raise InvalidCommand(f"the argument {_shown(text)} has a NUL in it, where the switch would cut it")
    by_body = text.startswith((" ", _ARRAY)) or "\n" in text or "\r" in text
    if text:
        headers.append(("content-type", "text/plain") if by_body else ("execute-app-arg", text))
    headers += _options(event_lock, event_lock_pri, lead_frames)
    if loops is not None:
        headers.append(("loops", _number("loops", loops)))
    headers += _switched_on("async", run_async)
    named = (("Event-UUID", event_uuid), ("Event-UUID-Name", event_uuid_name))
    headers += [(name, _text(name, value)) for name, value in named if value is not None]
    headers += _switched_on("hold-bleg", hold_bleg)
    return sendmsg("execute", headers, text if by_body else "", uuid=uuid)


def hangup(
    cause: str | int = HangupCause.NORMAL_CLEARING, *, uuid: str | None = None, **options: Unpack[MessageOptions]
) -> bytes:
    """`sendmsg` / `hangup`.

    Args:
        cause: a `HangupCause`, its name or its number.
        uuid: the channel; None for the connection's own.
        options: see `MessageOptions`.

    Example:
        >>> hangup(HangupCause.USER_BUSY)
        b'sendmsg\\ncall-command: hangup\\nhangup-cause: USER_BUSY\\n\\n'
    """
    if isinstance(cause, HangupCause):
        cause = cause.name
    name = _word("the cause", cause) if isinstance(cause, str) else _number("the cause", cause, 0)
    return sendmsg("hangup", [("hangup-cause", name)], uuid=uuid, **options)


def nomedia(nomedia_uuid: str, *, uuid: str | None = None, **options: Unpack[MessageOptions]) -> bytes:
    """`sendmsg` / `nomedia`: take the switch out of the media path of a channel.

    Args:
        nomedia_uuid: that channel.
        uuid: the channel the message goes to; None for the connection's own.
        options: see `MessageOptions`.

    Example:
        >>> nomedia("8f08a03a")
        b'sendmsg\\ncall-command: nomedia\\nnomedia-uuid: 8f08a03a\\n\\n'
    """
    return sendmsg("nomedia", [("nomedia-uuid", _word("the uuid", nomedia_uuid))], uuid=uuid, **options)


def unicast(
    *,
    local_ip: str = "127.0.0.1",
    local_port: int = 8025,
    remote_ip: str = "127.0.0.1",
    remote_port: int = 8026,
    transport: str = "udp",
    flags: str = "",
    uuid: str | None = None,
    **options: Unpack[MessageOptions],
) -> bytes:
    """`sendmsg` / `unicast`: send a channel's audio to a socket and take audio from it.

    Args:
        local_ip, local_port: the switch's end.
        remote_ip, remote_port: the other end.
        transport: "udp" or "tcp".
        flags: "native" for no transcoding.
        uuid: the channel; None for the connection's own.
        options: see `MessageOptions`.

    Example:
        >>> unicast(remote_port=9000, transport="tcp").decode().splitlines()[4:-1]
        ['remote-ip: 127.0.0.1', 'remote-port: 9000', 'transport: tcp']
    """
    if _text("the transport", transport) not in ("udp", "tcp"):
        raise InvalidCommand(f"the transport is {_shown(transport)}, expected 'udp' or 'tcp'")
    headers: list[tuple[str, Value]] = [
        ("local-ip", _word("the local address", local_ip)),
        ("local-port", _number("the local port", local_port, 0, 65535)),
        ("remote-ip", _word("the remote address", remote_ip)),
        ("remote-port", _number("the remote port", remote_port, 0, 65535)),
        ("transport", transport),
    ]
    if flags != "":
        headers.append(("flags", _text("flags", flags)))
    return sendmsg("unicast", headers, uuid=uuid, **options)


def xferext(
    applications: Iterable[tuple[str, str]], *, uuid: str | None = None, **options: Unpack[MessageOptions]
) -> bytes:
    """`sendmsg` / `xferext`: run applications, each with its data, as a new extension.

    Args:
        applications: name and data ("" for none), one at least.
        uuid: the channel; None for the connection's own.
        options: see `MessageOptions`.

    Example:
        >>> xferext([("answer", ""), ("playback", "a.wav")])
        b'sendmsg\\ncall-command: xferext\\napplication: answer\\napplication: playback a.wav\\n\\n'
    """
    headers = []
    for name, data in applications:
        word = _word("the application", name)
        headers.append(("application", f"{word} {_rest('the data', data)}" if data != "" else word))
    if not headers:
        raise InvalidCommand("no application, expected one at least")
    return sendmsg("xferext", headers, uuid=uuid, **options)


# Log, and the rest


def log(level: str | int | LogLevel | None = None) -> bytes:
    """`log`: send log lines down to this level; debug if there is none.

    Args:
        level: a `LogLevel`, a name that the switch knows (ERR and not ERROR), or a number.

    Example:
        >>> log(LogLevel.INFO), log("warning"), log(LogLevel.DEBUG10)
        (b'log INFO\\n\\n', b'log warning\\n\\n', b'log 110\\n\\n')
    """
    if level is None:
        return _command("log")
    if isinstance(level, LogLevel) and level <= LogLevel.DEBUG:  # the switch has no names for those beyond
        level = level.name
    name = _word("the level", level) if isinstance(level, str) else _number("the level", level, 0)
    return _command(f"log {name}")


def nolog() -> bytes:
    """`nolog`: no log lines any more, those that wait are dropped.

    Example:
        >>> nolog()
        b'nolog\\n\\n'
    """
    return _command("nolog")


def linger(seconds: int | None = None) -> bytes:
    """`linger`: keep the connection after the channel's end, until it is closed or for some seconds.

    Example:
        >>> linger(), linger(5)
        (b'linger\\n\\n', b'linger 5\\n\\n')
    """
    return _command("linger" if seconds is None else f"linger {_number('the time to linger', seconds, 0)}")


def nolinger() -> bytes:
    """`nolinger`: close the connection when the channel ends.

    Example:
        >>> nolinger()
        b'nolinger\\n\\n'
    """
    return _command("nolinger")


def connect() -> bytes:
    """`connect`: what an outbound connection begins with; the answer is the channel's data.

    Example:
        >>> connect()
        b'connect\\n\\n'
    """
    return _command("connect")


def getvar(name: str) -> bytes:
    """`getvar`: a channel variable. The answer is cut at 511 bytes, and broken by line ends: see `api uuid_getvar`.

    Example:
        >>> getvar("caller_id_name")
        b'getvar caller_id_name\\n\\n'
    """
    return _command(f"getvar {_rest('the variable', name)}")


def resume() -> bytes:
    """`resume`: go on in the dialplan when this connection closes.

    Example:
        >>> resume()
        b'resume\\n\\n'
    """
    return _command("resume")
