"""Builds commands for the switch: bytes exactly as mod_event_socket wants them (spec commands.md).

The protocol has no quoting. A line end in an argument would add headers or start a second command; words are separated
by exactly one blank, and a second one makes the switch answer `+OK` and do something else. So every part is checked:
what would inject, or cannot be expressed, raises `InvalidCommand` before anything is sent. Text is UTF-8 with
surrogateescape, lines end in LF.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .enums import HangupCause, LogLevel
from .errors import InvalidCommand

Headers = Mapping[str, "str | int | Sequence[str]"] | Iterable[tuple[str, "str | int | Sequence[str]"]]
"""Names and values; a list is an array."""

FORMATS: Final = ("plain", "json", "xml")

_LINE_BREAKERS: Final = ("\n", "\r", "\0")


# Parts


def _line(what: str, text: str, *, secret: bool = False) -> str:
    """Text that stays on its line. A secret is never shown."""
    for breaker in _LINE_BREAKERS:
        if breaker in text:
            shown = "" if secret else f" {text!r:.80}"
            raise InvalidCommand(f"{what}{shown} has {breaker!r} in it")
    return text


def _word(what: str, text: str) -> str:
    """Text without blanks: one of several words on a line."""
    if not text or " " in _line(what, text):
        raise InvalidCommand(f"{what} is {text!r:.80}, expected one word")
    return text


def _argument(what: str, text: str) -> str:
    """The rest of a line, behind exactly one blank."""
    if not text or _line(what, text).startswith(" "):
        raise InvalidCommand(f"{what} is {text!r:.80}, expected text that does not begin with a blank")
    return text


def _value(name: str, value: str | int | Sequence[str]) -> str:
    if isinstance(value, (str, int)):
        text = str(value)
    else:
        if any("|:" in item for item in value):
            raise InvalidCommand(f"an item of {name!r:.80} has '|:' in it, which separates the items of an array")
        text = "ARRAY::" + "|:".join(value)
    return _argument(f"the value of {name!r:.80}", text)


def _header(name: str, value: str | int | Sequence[str]) -> str:
    if not name or ":" in _line("a header name", name):
        raise InvalidCommand(f"header name {name!r:.80} is empty or has a colon in it")
    if name.lower() == "content-length":
        raise InvalidCommand("Content-Length is computed from the body")
    return f"{name}: {_value(name, value)}"


def _pairs(headers: Headers) -> Iterable[tuple[str, str | int | Sequence[str]]]:
    return headers.items() if isinstance(headers, Mapping) else headers


def _command(line: str, headers: Iterable[str] = (), body: bytes = b"") -> bytes:
    """A command block: its line, its headers, a blank line and the body."""
    lines = [line, *headers]
    if body:
        if b"\0" in body:
            raise InvalidCommand("the body has a NUL in it, where the switch would cut it")
        lines.append(f"Content-Length: {len(body)}")
    try:
        return "\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
    except UnicodeEncodeError as error:
        raise InvalidCommand(f"a surrogate stands for no byte: {error.reason}") from None


def _body(body: bytes | str) -> bytes:
    return body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)


def _format(format: str) -> str:
    if format not in FORMATS:
        raise InvalidCommand(f"format is {format!r:.80}, expected 'plain', 'json' or 'xml'")
    return format


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

    Example:
        >>> userauth("ops", "example.org", "secret")
        b'userauth ops@example.org:secret\\n\\n'
    """
    for what, text in (("the user", user), ("the domain", domain)):
        if not text or any(mark in _line(what, text) for mark in "@: "):
            raise InvalidCommand(f"{what} is {text!r:.80}, expected no blank, colon or at sign in it")
    return _command(f"userauth {user}@{domain}:{_line('the password', password, secret=True)}")


def exit() -> bytes:
    """`exit`: say good-bye; the switch answers, sends a notice and closes."""
    return _command("exit")


# API


def api(command: str, args: str = "", *, console_execute: bool = False) -> bytes:
    """`api`: run an API command; the switch does nothing else on this connection meanwhile.

    Args:
        command: its name, or the whole line.
        args: its arguments.
        console_execute: run it through the console interpreter: aliases, and several commands between `;;`.

    Example:
        >>> api("status")
        b'api status\\n\\n'
    """
    return _command(f"api {_call(command, args)}", ["console_execute: true"] if console_execute else [])


def bgapi(command: str, args: str = "", *, job_uuid: str | None = None) -> bytes:
    """`bgapi`: run an API command in the background; the result is a BACKGROUND_JOB event with the same Job-UUID.

    Example:
        >>> bgapi("originate", "user/1000 &park", job_uuid="7f4d")
        b'bgapi originate user/1000 &park\\nJob-UUID: 7f4d\\n\\n'
    """
    headers = [] if job_uuid is None else [_header("Job-UUID", _word("the Job-UUID", job_uuid))]
    return _command(f"bgapi {_call(command, args)}", headers)


def _call(command: str, args: str) -> str:
    call = _argument("the API command", command)
    return f"{call} {_line('the arguments', args)}" if args else call


# Events


def _names(names: Sequence[str], custom: Sequence[str]) -> str:
    words = [_word("an event name", str(name)) for name in names]
    if words and words[0].lower() in FORMATS:
        raise InvalidCommand(f"{words[0]!r} is a format and no event name")
    subclasses = [_word("a subclass", subclass) for subclass in custom]
    plain = [word for word in words if word.upper() != "CUSTOM"]
    if subclasses or len(plain) < len(words):
        plain += ["CUSTOM", *subclasses]  # everything behind CUSTOM is a subclass, so it goes last
    if not plain:
        raise InvalidCommand("no event name, expected one at least")
    return " ".join(plain)


def event(*names: str, custom: Sequence[str] = (), format: str | None = None) -> bytes:
    """`event`: subscribe to events, in addition to those subscribed before.

    Args:
        names: such as "CHANNEL_ANSWER", "ALL" or "CUSTOM".
        custom: subclasses of CUSTOM.
        format: "plain", "json" or "xml" for all events of the connection from now on; None leaves it.

    Example:
        >>> event("CHANNEL_ANSWER", custom=["sofia::register"], format="json")
        b'event json CHANNEL_ANSWER CUSTOM sofia::register\\n\\n'
    """
    chosen = "" if format is None else f"{_format(format)} "
    return _command(f"event {chosen}{_names(names, custom)}")


def nixevent(*names: str, custom: Sequence[str] = ()) -> bytes:
    """`nixevent`: unsubscribe from events; "ALL" from all of them.

    Example:
        >>> nixevent("HEARTBEAT")
        b'nixevent HEARTBEAT\\n\\n'
    """
    return _command(f"nixevent {_names(names, custom)}")


def noevents() -> bytes:
    """`noevents`: no events any more, those that wait are dropped."""
    return _command("noevents")


def myevents(uuid: str | None = None, *, format: str | None = None) -> bytes:
    """`myevents`: the events of one channel.

    Args:
        uuid: the channel, on an inbound connection, which is bound to it from then on.
        format: on an outbound connection only; inbound, set it with `event` before.

    Example:
        >>> myevents(format="json")
        b'myevents json\\n\\n'
    """
    if uuid is not None and format is not None:
        raise InvalidCommand("the switch ignores a format behind a uuid: set it with event() before")
    if uuid is not None:
        return _command(f"myevents {_word('the uuid', uuid)}")
    return _command("myevents" if format is None else f"myevents {_format(format)}")


def divert_events(on: bool) -> bytes:
    """`divert_events`: send what a script's input callback would get to the socket, or no more."""
    return _command(f"divert_events {'on' if on else 'off'}")


def filter(header: str, value: str) -> bytes:
    """`filter add`: of the events subscribed to, only those that match a filter (any of them).

    Args:
        header: the header that is compared.
        value: its value, ignoring case; `/regex/`; or `-value` for events that must not come.

    Example:
        >>> filter("Unique-ID", "8f08a03a")
        b'filter add Unique-ID 8f08a03a\\n\\n'
    """
    return _command(f"filter add {_word('the header name', header)} {_argument('the filter value', value)}")


def filter_delete(header: str = "all", value: str | None = None) -> bytes:
    """`filter delete`: remove the filters on a header, or one of them, or all.

    Example:
        >>> filter_delete("Unique-ID", "8f08a03a"), filter_delete()
        (b'filter delete Unique-ID 8f08a03a\\n\\n', b'filter delete all\\n\\n')
    """
    rest = "" if value is None else f" {_argument('the filter value', value)}"
    return _command(f"filter delete {_word('the header name', header)}{rest}")


def sendevent(name: str, headers: Headers = (), body: bytes | str = b"", *, subclass: str | None = None) -> bytes:
    """`sendevent`: fire an event in the switch.

    Args:
        name: such as "CUSTOM" or "NOTIFY". An unknown name reaches everybody who listens to CUSTOM.
        headers: its headers; values are not percent-encoded here. A list is an array.
        body: its body, any bytes but NUL.
        subclass: `Event-Subclass`, for CUSTOM only.

    Example:
        >>> sendevent("CUSTOM", {"Section": 33}, "hello", subclass="albs::Section-Alarm")
        b'sendevent CUSTOM\\nEvent-Subclass: albs::Section-Alarm\\nSection: 33\\nContent-Length: 5\\n\\nhello'
    """
    if subclass is not None and name != "CUSTOM":
        raise InvalidCommand(f"{name!r:.80} has no subclasses, only CUSTOM has")
    first = [] if subclass is None else [_header("Event-Subclass", subclass)]
    lines = [*first, *(_header(key, value) for key, value in _pairs(headers))]
    return _command(f"sendevent {_word('the event name', str(name))}", lines, _body(body))


# Channels


def sendmsg(call_command: str, headers: Headers = (), body: bytes | str = b"", *, uuid: str | None = None) -> bytes:
    """`sendmsg`: any message to a channel; the functions below build the known ones.

    Args:
        call_command: `call-command`, such as "execute".
        headers: the others.
        body: with `content-type` among the headers.
        uuid: the channel; None for the connection's own.
    """
    target = "" if uuid is None else f" {_word('the uuid', uuid)}"
    lines = [_header("call-command", _word("the call-command", call_command))]
    lines += [_header(key, value) for key, value in _pairs(headers)]
    return _command(f"sendmsg{target}", lines, _body(body))


def execute(
    application: str,
    argument: str = "",
    *,
    uuid: str | None = None,
    event_uuid: str | None = None,
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
        argument: its data; with line ends or a leading blank it goes as the message's body.
        uuid: the channel; None for the connection's own.
        event_uuid: comes back as `Application-UUID` in CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE.
        loops: how often; negative for ever.
        event_lock: run nothing that is queued behind it before it ends.
        event_lock_pri: the same, ahead of the others.
        run_async: do not wait for it on a static socket.
        hold_bleg: hold the other leg meanwhile.
        lead_frames: audio frames to wait for before it starts.

    Example:
        >>> execute("playback", "tone_stream://%(500,0,440)", event_lock=True)
        b'sendmsg\\ncall-command: execute\\nexecute-app-name: playback\\nexecute-app-arg: tone_stream://%(500,0,440)\\nevent-lock: true\\n\\n'
    """  # noqa: E501
    headers: list[tuple[str, str | int]] = [("execute-app-name", _word("the application", application))]
    body = ""
    if argument.startswith(" ") or any(breaker in argument for breaker in _LINE_BREAKERS):
        headers.append(("content-type", "text/plain"))
        body = argument
    elif argument:
        headers.append(("execute-app-arg", argument))
    options: tuple[tuple[str, str | int | bool | None], ...] = (
        ("loops", loops),
        ("event-lock", event_lock),
        ("event-lock-pri", event_lock_pri),
        ("async", run_async),
        ("Event-UUID", event_uuid),
        ("hold-bleg", hold_bleg),
        ("lead-frames", lead_frames),
    )
    for name, option in options:
        if option is not None and option is not False:
            headers.append((name, "true" if option is True else option))
    return sendmsg("execute", headers, body, uuid=uuid)


def hangup(cause: str | HangupCause = HangupCause.NORMAL_CLEARING, *, uuid: str | None = None) -> bytes:
    """`sendmsg` / `hangup`.

    Example:
        >>> hangup(HangupCause.USER_BUSY)
        b'sendmsg\\ncall-command: hangup\\nhangup-cause: USER_BUSY\\n\\n'
    """
    name = cause.name if isinstance(cause, HangupCause) else cause
    return sendmsg("hangup", [("hangup-cause", _word("the cause", name))], uuid=uuid)


def nomedia(nomedia_uuid: str, *, uuid: str | None = None) -> bytes:
    """`sendmsg` / `nomedia`: take the switch out of the media path of a channel."""
    return sendmsg("nomedia", [("nomedia-uuid", _word("the uuid", nomedia_uuid))], uuid=uuid)


def unicast(
    *,
    local_ip: str = "127.0.0.1",
    local_port: int = 8025,
    remote_ip: str = "127.0.0.1",
    remote_port: int = 8026,
    transport: str = "udp",
    flags: str = "",
    uuid: str | None = None,
) -> bytes:
    """`sendmsg` / `unicast`: send a channel's audio to a socket and take audio from it.

    Args:
        local_ip, local_port: the switch's end.
        remote_ip, remote_port: the other end.
        transport: "udp" or "tcp".
        flags: "native" for no transcoding.
        uuid: the channel; None for the connection's own.
    """
    headers: list[tuple[str, str | int]] = [
        ("local-ip", local_ip),
        ("local-port", local_port),
        ("remote-ip", remote_ip),
        ("remote-port", remote_port),
        ("transport", transport),
    ]
    return sendmsg("unicast", [*headers, ("flags", flags)] if flags else headers, uuid=uuid)


def xferext(applications: Iterable[tuple[str, str]], *, uuid: str | None = None) -> bytes:
    """`sendmsg` / `xferext`: run applications, each with its data, as a new extension.

    Example:
        >>> xferext([("answer", ""), ("playback", "a.wav")])
        b'sendmsg\\ncall-command: xferext\\napplication: answer\\napplication: playback a.wav\\n\\n'
    """
    headers = [("application", f"{_word('the application', name)} {data}".rstrip(" ")) for name, data in applications]
    return sendmsg("xferext", headers, uuid=uuid)


# Log, and the rest


def log(level: str | int | LogLevel | None = None) -> bytes:
    """`log`: send log lines down to this level; debug if there is none.

    Example:
        >>> log(LogLevel.INFO), log("warning")
        (b'log INFO\\n\\n', b'log warning\\n\\n')
    """
    if level is None:
        return _command("log")
    name = level.name if isinstance(level, LogLevel) and level <= LogLevel.DEBUG else str(level)
    return _command(f"log {_word('the level', name)}")


def nolog() -> bytes:
    """`nolog`: no log lines any more."""
    return _command("nolog")


def linger(seconds: int | None = None) -> bytes:
    """`linger`: keep the connection after the channel's end, until it is closed or for some seconds."""
    if seconds is not None and seconds < 0:
        raise InvalidCommand(f"linger for {seconds} seconds, expected 0 or more")
    return _command("linger" if seconds is None else f"linger {seconds}")


def nolinger() -> bytes:
    """`nolinger`: close the connection when the channel ends."""
    return _command("nolinger")


def connect() -> bytes:
    """`connect`: what an outbound connection begins with; the answer is the channel's data."""
    return _command("connect")


def getvar(name: str) -> bytes:
    """`getvar`: a channel variable. The answer is cut at 511 bytes, and broken by line ends: see `api uuid_getvar`."""
    return _command(f"getvar {_word('the variable', name)}")


def resume() -> bytes:
    """`resume`: go on in the dialplan when this connection closes."""
    return _command("resume")
