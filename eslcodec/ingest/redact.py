"""Redaction: what of a stream may leave the site. Headers by name, passwords inside texts, bodies.

A recording is a wiretap: digits, messages and numbers, and passwords inside API arguments, come as received bytes.
`Redact` takes them out of messages, of lines of JSON, and of whole recordings. What it masks or drops cannot be had
back from what is left. What a pseudonym (`hash`) stands for can be guessed by who has the key, and by nobody else.

What the profile `secrets` does not find, because nothing in the frame says what it is: the output of `uuid_getvar` and
`global_getvar`, digits that a dialplan keeps in variables of its own, a PIN after `+` in the data of `conference`,
and secrets under names of your own: name those. `bodies="mask"` hides every output and every body.
"""

from __future__ import annotations

import os
import re
import secrets as _random
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from .._codec import Message
from .._ctext import HIDDEN, redacted, to_bytes, to_text
from .._json import BODY_NAMES, joined
from .._rewrite import Rule, Rules, rewrite, rewrite_block, with_length
from ..events import ApiResponse, AuthRequest, CommandReply, DisconnectNotice, Event, Gap, LogLine, RudeRejection
from . import _secrets

Bodies = Literal["text", "mask", "drop", "keep"]
Action = Literal["drop", "mask", "hash"]

_LEAST_KEY: Final = 16  # bytes: 128 bits cannot be tried out
_PSEUDONYM: Final = 12  # bytes: two of a thousand million values are the same with a chance of 10^-11
_EMPTY: Final = ("", "_undef_")
_PLAIN_EVENT: Final = "text/event-plain"
_HEAD_LINES: Final = 3  # of a plain event: its length, its type, and the end
_MOST_NAMES: Final = 4096  # of headers that are remembered
_LONGEST_NAME: Final = 256
_ARGUMENTS: Final = frozenset(["api-command-argument", "application-data", "execute-app-arg", "job-command-arg"]) | {
    "variable_current_application_data"
}
_KNOWN: Final = (Event, CommandReply, ApiResponse, AuthRequest, LogLine, DisconnectNotice, RudeRejection)
_OPTIONS: Final = {"profile", "drop", "mask", "hash", "key_file", "bodies"}

_M = TypeVar("_M", bound=Message)
_R = TypeVar("_R", bound="Redact")


class Redact:
    """Takes out of messages what may not leave the site.

    Names are shell-style patterns, compared as look-ups do: without regard to ASCII case. `drop` counts before `mask`,
    `mask` before `hash`. Content-Type and Content-Length of a frame are no headers in this sense.

    Args:
        drop: headers that go.
        mask: headers whose value becomes `***`.
        hash: headers whose value becomes a pseudonym: the same for the same value, in every header, event, file and
            process that uses the same key. Of an array each item has its own.
        key_file: of `hash`: at least 16 bytes that nobody else may read; `make_key` makes one.
        bodies: of events, API output, log lines and all other frames. "text" takes the passwords out that the profile
            finds; "mask" leaves `***`, "drop" nothing, "keep" everything.
        secrets: the profile `secrets` too, as `Redact.profile("secrets")`.

    Raises:
        ValueError: `hash` without a key, a key that is too short, another value of `bodies`.
        TypeError: one text where several are expected.
        PermissionError: others may read the key.

    Example:
        >>> from eslcodec import Event
        >>> redact = Redact(drop=["variable_sip_h_*"], mask=["caller-caller-id-name"])
        >>> event = Event.build("DTMF", {"variable_sip_h_X-A": "1", "Caller-Caller-ID-Name": "Ann", "Unique-ID": "7"})
        >>> redact(event).asdict()
        {'Event-Name': 'DTMF', 'Caller-Caller-ID-Name': '***', 'Unique-ID': '7'}
    """

    def __init__(
        self,
        *,
        drop: Sequence[str] = (),
        mask: Sequence[str] = (),
        hash: Sequence[str] = (),
        key_file: str | os.PathLike[str] | None = None,
        bodies: Bodies = "text",
        secrets: bool = False,
    ) -> None:
        if bodies not in ("text", "mask", "drop", "keep"):
            raise ValueError(f"bodies is {bodies!r}, expected 'text', 'mask', 'drop' or 'keep'")
        self._bodies = bodies
        self._secrets = secrets
        self._drop = _patterns("drop", drop)
        self._mask = _patterns("mask", [*_texts("mask", mask), *(_secrets.NAMES if secrets else ())])
        self._hash = _patterns("hash", hash)
        if hash and key_file is None:
            raise ValueError("hash needs a key_file, which Redact.make_key makes")
        self._fine: set[str] = set()  # names of headers that no rule is about
        self._key = b"" if key_file is None else _read_key(Path(key_file))
        self._named = Rules(self._rule_of_name)
        self._texts = Rules(self._rule_of_text)
        self._digits = Rules(self._rule_of_digits)
        self._hidden = Rules(lambda name: self._rule_of_name(name) or Rule(_masked))

    @classmethod
    def profile(cls: type[_R], name: str, **more: Any) -> _R:
        """A built-in profile, and what else is to go.

        `secrets`: passwords, keys, tokens and digits. Headers by their names (`variable_sip_auth_password`,
        `sip_auth_*`, `DTMF-Digit`, ...); inside values and bodies what follows such a name
        (`{sip_auth_password=...}`, `<param name="password" value=...>`, `Authorization:` of SIP, keys in SDP); a reply
        to `getvar`; and what is no frame of the protocol.

        Args:
            name: "secrets".
            **more: what `Redact` takes.

        Raises:
            ValueError: another name.

        Example:
            >>> redact = Redact.profile("secrets", drop=["variable_sip_h_*"])
            >>> redact.value("Application-Data", "{sip_auth_password=x,leg_timeout=5}sofia/gw/1")
            '{sip_auth_password=***,leg_timeout=5}sofia/gw/1'
        """
        if name != "secrets":
            raise ValueError(f"there is no profile {name!r}, only 'secrets'")
        return cls(secrets=True, **more)

    @classmethod
    def from_toml(cls: type[_R], path: str | os.PathLike[str]) -> _R:
        """What a file in TOML says: `profile = "secrets"`, lists `drop`, `mask` and `hash`, `key_file` (beside the file
        unless it is absolute), `bodies`.

        Raises:
            ValueError: no such TOML, or a key that means nothing here.
            RuntimeError: Python 3.10 without `tomli`.
            OSError: it cannot be read.
        """
        path = Path(path)
        options: dict[str, Any] = _parse_toml(path)
        for key in options.keys() - _OPTIONS:
            raise ValueError(f"{path}: {key!r} means nothing, expected {', '.join(sorted(_OPTIONS))}")
        if "key_file" in options:
            options["key_file"] = path.parent / str(options["key_file"])
        profile = options.pop("profile", None)
        try:
            return cls(**options) if profile is None else cls.profile(profile, **options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None

    @staticmethod
    def make_key(path: str | os.PathLike[str]) -> None:
        """Make a key for `hash`, in a new file that nobody else may read. Who loses it has pseudonyms for ever.

        Raises:
            FileExistsError: there is such a file.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp()) / "redact.key"
            >>> Redact.make_key(path)
            >>> redact = Redact(hash=["*-Number"], key_file=path)
            >>> redact.value("Caller-ANI-Number", "1000") == redact.value("Callee-ID-Number", "1000")
            True
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_random.token_hex(32) + "\n")

    # What it is used for

    def __call__(self, message: _M) -> _M:
        """The message without it, of the same kind and format; if nothing is to go, the message or one that is equal.

        An event that cannot be read (`malformed`) loses its payload. Names and lengths are not hidden.
        """
        if isinstance(message, Gap):
            gap: _M = self._gap(message)
            return gap
        if isinstance(message, Event) and self._stays(message):
            return message
        return rewrite(message, self._rules(message), self._body_rule(message))

    def value(self, name: str, value: str) -> str | None:
        """The value of one header; None if the header goes.

        Example:
            >>> Redact(mask=["*-ID-*"]).value("Caller-Caller-ID-Name", "Ann")
            '***'
        """
        rule = (self._texts if self._secrets else self._named)[to_bytes(name)]
        return value if rule is None else rule.change(value)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The same for pairs of name and value, as `Message.pairs()` gives them.

        Example:
            >>> Redact(drop=["b"], mask=["c"]).pairs([("A", "1"), ("B", "2"), ("C", "3")])
            [('A', '1'), ('C', '***')]
        """
        return [(name, str(value)) for name, value in self._fields(pairs)]

    def mapping(self, headers: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
        """The same for the shape of JSON events, as `Event.to_dict()` gives it: arrays as lists, the body as `_body`.

        Example:
            >>> Redact(mask=["codecs"], bodies="drop").mapping({"A": "1", "Codecs": ["x", "y"], "_body": "hi"})
            {'A': '1', 'Codecs': ['***', '***']}
        """
        fields = dict(self._fields((name, value) for name, value in headers.items() if name not in BODY_NAMES))
        for name in BODY_NAMES & headers.keys():
            body = self.body(to_bytes(str(headers[name])))
            if body is not None:
                fields[name] = to_text(body)
        return fields

    def body(self, body: bytes) -> bytes | None:
        """A body; None if it goes.

        Example:
            >>> Redact.profile("secrets").body(b"default_password=1234\\ndomain=x\\n")
            b'default_password=***\\ndomain=x\\n'
        """
        if self._bodies == "keep" or (self._bodies == "text" and not self._secrets):
            return body
        if self._bodies == "text":
            return to_bytes(_secrets.hide_lines(to_text(body)))
        return b"***" if self._bodies == "mask" else None

    def command(self, block: bytes, body: bytes | None = None) -> bytes:
        """A command that was sent: its lines with their blank line, and its body. The password of a login goes in any
        case.

        Example:
            >>> Redact().command(b"auth ClueCon\\n\\n")
            b'auth ***\\n\\n'
        """
        text = to_text(block)
        shown = redacted(text)
        if shown != text:
            return to_bytes(shown) + b"\n\n"
        first, end, rest = block.partition(b"\n")
        if self._secrets:
            first = to_bytes(_secrets.hide(to_text(first)))
        head = first + end + rewrite_block(rest, self._texts if self._secrets else self._named)
        if body is None:
            return head
        data = self.body(body) or b""
        return with_length(head, len(data)) + data

    # Which rules

    def _action(self, name: str) -> Action | None:
        folded = _folded(name)
        if self._drop(folded):
            return "drop"
        if self._mask(folded):
            return "mask"
        return "hash" if self._hash(folded) else None

    def _rule_of_name(self, name: str) -> Rule | None:
        action = self._action(name) if name else None
        if action is None:
            return None
        return Rule({"drop": _dropped, "mask": _masked, "hash": self._pseudonym}[action])

    def _rule_of_text(self, name: str) -> Rule | None:
        if _secrets.hide(name) != name:  # what stands in the name of a header goes with it
            return Rule(_dropped)
        return self._rule_of_name(name) or Rule(_secrets.hide, whole=True)

    def _rule_of_digits(self, name: str) -> Rule | None:
        return Rule(_masked) if _folded(name) in _ARGUMENTS else self._rule_of_text(name)

    def _stays(self, event: Event) -> bool:
        """Whether nothing goes: of most events that have no body it is quickly known."""
        if event.content_type != _PLAIN_EVENT or event.body is not None or event.malformed is not None:
            return False
        frame, payload = event.frame, event.payload or b""
        if frame.count(b"\n", 0, len(frame) - len(payload)) != _HEAD_LINES or not self._names_stay(event):
            return False
        return not (self._secrets and _secrets.suspicious(frame, digits=True))

    def _names_stay(self, event: Event) -> bool:
        if self._fine.issuperset(event):
            return True
        new = [name for name in event if name not in self._fine]
        if any(self._action(name) is not None for name in new):
            return False
        if len(self._fine) + len(new) > _MOST_NAMES:
            self._fine.clear()
        self._fine.update(name for name in new if len(name) <= _LONGEST_NAME)
        return True

    def _rules(self, message: Message) -> Rules:
        if not self._secrets:
            return self._named
        if isinstance(message, CommandReply):
            return self._texts if message.text.startswith(("+OK", "-ERR")) else self._hidden
        if not isinstance(message, _KNOWN):
            return self._hidden
        frame = message.frame
        if any(word in frame for word in _secrets.SENT_DIGITS):
            return self._digits
        return self._texts if _secrets.suspicious(frame) else self._named

    def _body_rule(self, message: Message) -> Callable[[bytes], bytes | None] | None:
        if self._bodies == "keep" or (self._bodies == "text" and not self._secrets):
            return None
        if self._bodies != "text" or not isinstance(message, _KNOWN):
            return lambda body: None if self._bodies == "drop" else b"***"
        if isinstance(message, Event) and (b"application/dtmf" in message.frame.lower() or self._tells_secret(message)):
            return lambda body: b"***"
        return self.body if _secrets.suspicious(message.payload or b"", lines=True) else None

    def _tells_secret(self, event: Event) -> bool:
        """Whether it is the output of a job that asked for a secret by name."""
        argument = event.get("Job-Command-Arg")
        return argument is not None and _secrets.suspicious(to_bytes(argument))

    def _fields(self, fields: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
        fields = list(fields)
        rules = self._named
        if self._secrets and _secrets.suspicious(to_bytes("\n".join([joined(value) for _, value in fields]))):
            rules = self._texts
        kept = []
        for name, value in fields:
            rule = rules[to_bytes(name)]
            new = value if rule is None else rule(value)
            if new is not None:
                kept.append((name, new))
        return kept

    def _gap(self, gap: Any) -> Any:
        before, after = gap._sides
        new = rewrite(gap, self._rules(gap), None)
        if new is gap and before is None and after is None:
            return gap
        new = type(gap)(*gap.__reduce__()[1]) if new is gap else new
        new.__setstate__((before and self(before), after and self(after)))
        return new

    def _pseudonym(self, value: str) -> str:
        if value in _EMPTY:
            return value
        return "h-" + blake2b(to_bytes(value), key=self._key, digest_size=_PSEUDONYM).hexdigest()


def _masked(value: str) -> str:
    return value if value in _EMPTY else HIDDEN


def _dropped(_value: str) -> None:
    return None


def _folded(name: str) -> str:
    return name.lower() if name.isascii() else to_text(to_bytes(name).lower())


def _texts(what: str, texts: Sequence[str]) -> list[str]:
    if isinstance(texts, (str, bytes)) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{what} is {texts!r:.80}, expected a list of names")
    return list(texts)


def _patterns(what: str, patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a folded name matches one of the patterns."""
    matchers = [re.compile(translate(_folded(pattern))).match for pattern in _texts(what, patterns)]
    return lambda name: any(match(name) for match in matchers)


def _read_key(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            raise PermissionError(f"{path} may be read by others (its mode is {mode:04o}): chmod 600 {path}")
        key = file.read(1 << 16).strip()
    if len(key) < _LEAST_KEY:
        raise ValueError(f"the key in {path} has {len(key)} bytes, expected at least {_LEAST_KEY}")
    return blake2b(key).digest()


def _parse_toml(path: Path) -> dict[str, Any]:
    toml: Any
    for name in ("tomllib", "tomli"):
        try:
            toml = import_module(name)
            break
        except ImportError:
            continue
    else:
        raise RuntimeError(f"Python 3.10 reads {path} with tomli only: pip install tomli")
    try:
        return dict(toml.loads(path.read_text("utf-8")))
    except ValueError as error:  # what both raise is one
        raise ValueError(f"{path}: {error}") from None
