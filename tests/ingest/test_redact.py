"""Redaction: what goes, what stays as it was, and that nothing of what went is left (ingest/redact.py)."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from formats_support import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from sizes import FULL
from support import capture, examples, part

SECRET = b"Qz7~\xc3\xa9 5%&x"
"""What is planted: letters, what is percent-encoded and what is not, UTF-8, a blank and a percent sign."""
FORMATS = ("plain", "json", "xml")


@pytest.fixture
def Redact(esl: ModuleType) -> Any:
    return part(esl, "ingest.redact").Redact


def messages(esl: ModuleType, name: str, every: int = 5) -> list[Any]:
    """Some of the first messages of a capture, up to damage."""
    decoder = esl.Decoder(max_buffered=1 << 30)
    decoder.feed(capture(name)[: 2 << 20])
    found = []
    try:
        for message in decoder:
            found.append(message)
            if len(found) == 300:
                break
    except esl.ProtocolError:
        pass
    return found if FULL else found[::every]


def leaks(data: bytes, secret: bytes = SECRET) -> bool:
    """Whether a secret can be read in bytes: as it is, percent-encoded in any way, escaped as in JSON or XML."""
    text = re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda m: bytes.fromhex(m[1].decode()), data)
    text = re.sub(rb"&#x([0-9A-Fa-f]+);", lambda m: chr(int(m[1], 16)).encode(), text)
    text = text.replace(b"&amp;", b"&")
    for _ in range(2):
        if secret in text or secret in data:
            return True
        text = re.sub(rb"%([0-9a-fA-F]{2})", lambda m: bytes.fromhex(m[1].decode()), text)
    return secret in text


def same_frames(esl: ModuleType, message: Any) -> None:
    """A redacted message reads as itself from the wire."""
    decoder = esl.Decoder()
    decoder.feed(message.frame)
    assert list(decoder) == [message]
    assert decoder.buffered == 0


# Headers by name


@pytest.mark.parametrize("format", FORMATS)
def test_names_are_patterns_in_any_case(esl: ModuleType, Redact: Any, format: str) -> None:
    headers = {"Variable_SIP_x": "1", "variable_b": "2", "Unique-ID": "u", "Arr": ["x", "y"], "Empty": "", "[a]": "k"}
    if format == "xml":
        del headers["[a]"]
    event = esl.Event.from_payload(esl.Event.build("DTMF", headers, b"a body").serialize(format), format)
    redact = Redact(drop=["variable_sip_*"], mask=["UNIQUE-id", "arr", "empty"])
    changed = redact(event)
    assert type(changed) is type(event)
    assert changed.content_type == event.content_type
    assert "Variable_SIP_x" not in changed
    assert changed["variable_b"] == "2"
    assert changed["Unique-ID"] == "***"
    assert changed.getlist("Arr") == ["***", "***"]
    assert changed["Empty"] == ""
    assert changed.body == b"a body"
    assert int(changed.envelope["Content-Length"]) == len(changed.payload)
    same_frames(esl, changed)
    assert redact(changed) == changed
    assert "Empty" not in Redact(drop=["empty"])(event)


def test_drop_counts_before_mask_before_hash(Redact: Any, tmp_path: Path) -> None:
    Redact.make_key(tmp_path / "key")
    redact = Redact(drop=["a*"], mask=["?b", "ab"], hash=["*"], key_file=tmp_path / "key")
    assert redact.pairs([("ab", "1"), ("xb", "1"), ("c", "1")])[0] == ("xb", "***")
    assert [name for name, _ in redact.pairs([("ab", "1"), ("xb", "1"), ("c", "1")])] == ["xb", "c"]
    assert redact.value("c", "1") not in ("1", "***")


@pytest.mark.parametrize("name", CAPTURES)
def test_what_is_not_named_stays(esl: ModuleType, Redact: Any, name: str) -> None:
    redact = Redact(mask=["caller-caller-id-*"], drop=["variable_sip_*"])
    for message in messages(esl, name):
        if message.malformed is not None:
            assert redact(message).payload == b""
            continue
        changed = redact(message)
        same_frames(esl, changed)
        assert type(changed) is type(message)
        assert (changed.body or None) == (message.body or None)  # in XML an empty one is not written
        kept = [pair for pair in message.pairs() if not pair[0].lower().startswith("variable_sip_")]
        wanted = [(n, "***" if n.lower().startswith("caller-caller-id-") and v else v) for n, v in kept]
        assert changed.pairs() == wanted
        if isinstance(message, esl.Event):
            assert (changed.id, changed.sequence, changed.name) == (message.id, message.sequence, message.name)


@pytest.mark.parametrize("name", CAPTURES)
def test_nothing_named_is_nothing_changed(esl: ModuleType, Redact: Any, name: str) -> None:
    redact = Redact()
    for message in messages(esl, name):
        if message.malformed is None:
            changed = redact(message)
            assert (changed.pairs(), changed.body or None) == (message.pairs(), message.body or None)


def test_the_frames_own_headers_are_never_lost(esl: ModuleType, Redact: Any) -> None:
    frame = b"Content-Type: api/response\nContent-Length: 3\nX: 1\n\nabc"
    decoder = esl.Decoder()
    decoder.feed(frame)
    [message] = decoder
    assert Redact(drop=["*"])(message).frame == b"Content-Type: api/response\nContent-Length: 3\n\nabc"
    assert Redact(mask=["*"])(message).frame == b"Content-Type: api/response\nContent-Length: 3\nX: ***\n\nabc"
    assert Redact(bodies="drop")(message).frame == b"Content-Type: api/response\nContent-Length: 0\nX: 1\n\n"
    bare = esl.Decoder()
    bare.feed(b"A: 1\n\n")
    [message] = bare
    assert Redact(drop=["*"])(message).asdict() == {"Redacted": ""}
    bare.feed(b"A: 1\n\r-B: 2\n\n")
    [message] = bare
    same_frames(esl, Redact(drop=["a"])(message))


# Pseudonyms


@pytest.fixture
def key(Redact: Any, tmp_path: Path) -> Path:
    path = tmp_path / "redact.key"
    Redact.make_key(path)
    return path


def test_pseudonyms_are_the_same_everywhere(esl: ModuleType, Redact: Any, key: Path) -> None:
    redact = Redact(hash=["*-Number"], key_file=key)
    names = set()
    for format in FORMATS:
        event = esl.Event.build("DTMF", {"A-Number": "1000 ü", "B-Number": ["1000 ü", "2"], "C": "1000"})
        event = redact(esl.Event.from_payload(event.serialize(format), format))
        names.add(event["A-Number"])
        names.add(event.getlist("B-Number")[0])
        assert event.getlist("B-Number")[1] not in names
        assert event["C"] == "1000"
    code = "import sys; from eslcodec.ingest.redact import Redact; "
    code += "print(Redact(hash=['x'], key_file=sys.argv[1]).value('X', '1000 \\u00fc'))"
    other = [sys.executable, "-c", code, key]
    names.add(subprocess.run(other, cwd="/", capture_output=True, text=True, check=True).stdout[:-1])
    assert len(names) == 1
    assert re.fullmatch("h-[0-9a-f]{24}", names.pop())


def test_other_keys_other_pseudonyms(Redact: Any, key: Path, tmp_path: Path) -> None:
    Redact.make_key(tmp_path / "other")
    values = {Redact(hash=["x"], key_file=path).value("x", "1000") for path in (key, tmp_path / "other")}
    assert len(values) == 2


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_key_that_others_may_read_is_refused(Redact: Any, key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        Redact.make_key(key)
    for mode in (0o640, 0o604, 0o602, 0o660):
        key.chmod(mode)
        with pytest.raises(PermissionError, match=f"{mode:04o}"):
            Redact(hash=["x"], key_file=key)


def test_keys_that_are_none(Redact: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key_file"):
        Redact(hash=["x"])
    short = tmp_path / "short"
    Redact.make_key(short)
    short.write_bytes(b"x" * 15 + b"\n")
    with pytest.raises(ValueError, match="15 bytes"):
        Redact(hash=["x"], key_file=short)
    short.write_bytes(b"x" * 16)
    assert Redact(hash=["x"], key_file=short).value("x", "1")


def test_wrong_arguments(Redact: Any) -> None:
    with pytest.raises(TypeError, match="list of names"):
        Redact(drop="variable_x")
    with pytest.raises(TypeError, match="list of names"):
        Redact(mask=[b"x"])
    with pytest.raises(ValueError, match="bodies"):
        Redact(bodies="none")
    with pytest.raises(ValueError, match="no profile"):
        Redact.profile("secret")


# Files


def test_toml(Redact: Any, key: Path) -> None:
    pytest.importorskip("tomllib")
    path = key.parent / "profile.toml"
    path.write_text('profile = "secrets"\ndrop = ["b"]\nhash = ["c"]\nkey_file = "redact.key"\nbodies = "mask"\n')
    redact = Redact.from_toml(path)
    assert redact.value("b", "1") is None
    assert redact.value("variable_sip_auth_password", "1") == "***"
    assert redact.value("c", "1") == Redact(hash=["c"], key_file=key).value("c", "1")
    assert redact.body(b"x") == b"***"
    for text, told in (
        ('drop = "b"', "list of names"),
        ("dropp = []", "'dropp' means nothing"),
        ("drop = [", "profile.toml"),
        ('profile = "x"', "no profile 'x'"),
        ('hash = ["x"]', "key_file"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=told) as caught:
            Redact.from_toml(path)
        assert "profile.toml" in str(caught.value)


def test_toml_needs_a_reader(esl: ModuleType, Redact: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(RuntimeError, match="pip install tomli"):
        Redact.from_toml(tmp_path / "x.toml")


# The profile: secrets


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("{a=1,sip_auth_password=S,b=2}sofia/gw/1", "{a=1,sip_auth_password=***,b=2}sofia/gw/1"),
        ("[sip_auth_password=S]user/1", "[sip_auth_password=***]user/1"),
        (r"{password=a\,S,b=2}x", "{password=***,b=2}x"),
        ("{password='a,}S',b=2}x", "{password='***',b=2}x"),
        ("{^^:password=a,S:b=2}x", "{^^:password=***:b=2}x"),
        ("{password=a]S,b=[c]}x", "{password=***,b=[c]}x"),
        ("{password=S", "{password=***"),
        ("{password='S,b=2}x", "{password=***"),
        ("sip_auth_password=a,b S", "sip_auth_password=***"),
        ("uuid sip_auth_password a b S", "uuid sip_auth_password ***"),
        ("room3692 pin 1234", "room3692 pin ***"),
        ("uuid a=1;my_secret=S;c=2", "uuid a=1;my_secret=***"),
        ("http://user:S@host/?q=1", "http://user:***@host/?q=1"),
        ("<sip:1000:S@host;transport=udp>", "<sip:1000:***@host;transport=udp>"),
        (
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:S|2^20\r\na=x",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***|2^20\r\na=x",
        ),
        ('{"password":"a,S","b":1}', '{"password":"***","b":1}'),
        ("Digest, Authorization: Digest x\r\n y", "Digest, Authorization: ***"),
    ],
)
def test_values(Redact: Any, text: str, hidden: str) -> None:
    assert Redact.profile("secrets").value("X", text) == hidden
    assert Redact.profile("secrets").value("X", hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "sofia/internal/1000@127.0.0.1:5060",
        "<sip:1000@127.0.0.1:5060;transport=udp>",
        "sofia_reg_handle_register_token",
        "mapping=1,spin=2,pinging=3",
        "[leg_timeout=4,note=agent 0]sofia/internal/3158@127.0.0.1:5215",
        "v=0\r\no=FreeSWITCH 1 2 IN IP4 127.0.0.1\r\na=rtpmap:0 PCMU/8000\r\n",
        "http://host:8080/path",
    ],
)
def test_values_without_secrets(Redact: Any, text: str) -> None:
    assert Redact.profile("secrets").value("X", text) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ('<param name="password" value="a>S"/>\n<b/>', '<param name="password" value="***"/>\n<b/>'),
        ('<param value="S" name="esl-password"/>', '<param value="***" name="esl-password"/>'),
        ("<password>S</password>\n<x>1</x>", "<password>***</password>\n<x>1</x>"),
        ("variable_sip_auth_password: S a,b\nx: y\n", "variable_sip_auth_password: ***\nx: y\n"),
        ("Authorization: Digest a,\n response=S\nCSeq: 1", "Authorization: ***\nCSeq: 1"),
        ("default_password=S\nx=1", "default_password=***\nx=1"),
        ("[DEBUG] set(sip_auth_password=S,b)\nx", "[DEBUG] set(sip_auth_password=***\nx"),
        ("RTP RECV DTMF 5:800\n", "RTP RECV DTMF ***\n"),
        ("DTMF DETECTED: [5][8]\n", "DTMF ***\n"),
        ("Signal=5\r\nDuration=160\r\n", "Signal=***\nDuration=160\r\n"),
        ('{\n "password": "S",\n "b": 1\n}', '{\n "password": "***",\n "b": 1\n}'),
        ("wrong password for user 1\n", "wrong password for user 1\n"),
        ("[ stray\npassword: a,S ]\n", "[ stray\npassword: ***\n"),
    ],
)
def test_lines(Redact: Any, text: str, hidden: str) -> None:
    assert Redact.profile("secrets").body(text.encode()) == hidden.encode()


PLANTS: list[Callable[[bytes], tuple[str, bytes]]] = [
    lambda s: ("variable_sip_auth_password", s),
    lambda s: ("variable_Sip_Auth_response", s),
    lambda s: ("API-Command-Argument", b"{sip_auth_password=" + s + b",a=1}sofia/gw/1 &park"),
    lambda s: ("variable_note", b"ARRAY::one|:{x=1,my_password=" + s + b"}|:three"),
    lambda s: ("Job-Command-Arg", b"uuid a1-hash " + s),
    lambda s: ("Application-Data", b"vm_pin=" + s),
    lambda s: ("DTMF-Digit", s),
]


@pytest.mark.parametrize("name", CAPTURES)
def test_nothing_planted_is_left(esl: ModuleType, Redact: Any, name: str) -> None:
    redact = Redact.profile("secrets")
    body = b'line\n<param name="password" value="' + SECRET + b'"/>\nnext'
    for at, message in enumerate(messages(esl, name, 45)):
        if not isinstance(message, esl.Event) or message.malformed is not None:
            same_frames(esl, redact(message))
            continue
        pairs = [(n, v) for n, v in message.pairs() if n.lower() != "content-length"]
        planted = [plant(SECRET) for plant in PLANTS]
        pairs[at % (len(pairs) + 1) : 0] = [(n, v.decode()) for n, v in planted]
        for format in FORMATS:
            try:
                event = esl.Event.build(message.name or "CUSTOM", pairs, body).serialize(format)
            except esl.InvalidCommand:  # a name that XML cannot have
                continue
            event = esl.Event.from_payload(event, format)
            assert leaks(event.frame)
            changed = redact(event)
            assert not leaks(changed.frame), (format, changed.frame)
            assert changed.sequence == event.sequence
            assert changed["Event-Name"] == event["Event-Name"]
            same_frames(esl, changed)
            assert not leaks(pickle.dumps(changed))
            lines = [f"{n}: {v}".encode("utf-8", "surrogateescape") for n, v in redact.pairs(event.pairs())]
            assert not leaks(b"\n".join(lines))
            assert not leaks(repr(redact.mapping(event.to_dict("surrogateescape"))).encode("utf-8", "surrogateescape"))


def test_what_readers_skip_or_take_for_names_is_left_out(esl: ModuleType, Redact: Any) -> None:
    redact = Redact.profile("secrets")
    for format, payload in (
        ("plain", b"Event-Name: X\npassword=" + SECRET + b": x\nA: 1\n\n"),
        ("plain", b"Event-Name: X\npassword=" + SECRET + b":\nA: 1\n\n"),
        ("plain", b"Event-Name: X\nsip:a:Qz7@b\nA: 1\n\n"),
        ("json", b'{"Event-Name":"X","password=' + SECRET + b'":"x"}'),
        ("plain", b"Event-Name: X\nno colon password=" + SECRET + b"\nA: 1\n\n"),
        ("json", b'{"Event-Name":"X"} {"password":"' + SECRET + b'"}'),
        ("json", b'{"Event-Name":"X","_body":"a","_body":"password=' + SECRET + b'"}'),
        ("json", b'{"pass\\u0077ord":"' + SECRET + b'"}'),
        ("json", b'{"A":"{pass\\u0077ord=' + SECRET + b'}"}'),
        ("json", b'{"A":{"password":"' + SECRET + b'"}}'),
        ("json", b'{"A":"broken, password=' + SECRET),
        ("json", b'{"A":"1","password":"\\x' + SECRET + b'"}'),
        ("json", b'{"password":["a",["' + SECRET + b'"]]}'),
        ("xml", b"<event><!-- password=Qz7 --><headers><A>1</A></headers></event>"),
        ("xml", b"<event><headers><A password='" + SECRET + b"'>1</A></headers></event>"),
        ("xml", b"<event><headers><A>password=%51%7a7~%c3%a9%205%25%26x</A></headers></event>"),
        ("xml", b"<event><headers><A>pass&#x77;ord=Qz7</A></headers></event>"),
    ):
        event = esl.Event.from_payload(payload, format)
        changed = redact(event)
        assert not leaks(changed.frame), changed.frame
        assert b"Qz7" not in changed.frame
        same_frames(esl, changed)


def test_replies_and_outputs(esl: ModuleType, Redact: Any) -> None:
    redact = Redact.profile("secrets")
    for frame, wanted in (
        (b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n", None),
        (
            b"Content-Type: command/reply\nReply-Text: Qz7\nQz7\nX: Qz7\n\n",
            b"Content-Type: command/reply\nReply-Text: ***\n***\nX: ***\n\n",
        ),
        (b"X: Qz7\n\n", b"X: ***\n\n"),
        (
            b"Content-Type: api/response\nContent-Length: 12\n\npassword=Qz7",
            b"Content-Type: api/response\nContent-Length: 12\n\npassword=***",
        ),
        (
            b"Content-Type: log/data\nContent-Length: 11\n\nRECV DTMF 5",
            b"Content-Type: log/data\nContent-Length: 13\n\nRECV DTMF ***",
        ),
        (
            b"Event-Name: CHANNEL_DATA\nvariable_password: Qz7\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n\n",
            b"Event-Name: CHANNEL_DATA\nvariable_password: ***\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n\n",
        ),
    ):
        decoder = esl.Decoder()
        decoder.feed(frame)
        [message] = decoder
        assert redact(message).frame == (frame if wanted is None else wanted)


def test_outputs_of_jobs_that_ask_for_a_secret(esl: ModuleType, Redact: Any) -> None:
    redact = Redact.profile("secrets")
    for argument, body in (("u sip_auth_password", b"***"), ("u callerid", b"Qz7")):
        headers = {"Job-Command": "uuid_getvar", "Job-Command-Arg": argument}
        assert redact(esl.Event.build("BACKGROUND_JOB", headers, b"Qz7")).body == body


def test_digits_that_are_sent(esl: ModuleType, Redact: Any) -> None:
    redact = Redact.profile("secrets")
    event = redact(esl.Event.build("CHANNEL_EXECUTE", {"Application": "send_dtmf", "Application-Data": "1234@100"}))
    assert event["Application-Data"] == "***"
    event = redact(esl.Event.build("RECV_INFO", {"SIP-Content-Type": "application/dtmf"}, b"5"))
    assert event.body == b"***"


def test_bodies(esl: ModuleType, Redact: Any) -> None:
    for format in FORMATS:
        event = esl.Event.build("MESSAGE", {"Content-Length": "2", "A": "1"}, b"hi")
        event = esl.Event.from_payload(event.serialize(format), format)
        for bodies, wanted in (("keep", b"hi"), ("text", b"hi"), ("mask", b"***"), ("drop", None)):
            changed = Redact(bodies=bodies)(event)
            assert changed.body == wanted
            assert changed["A"] == "1"
            assert changed.getlist("Content-Length") in ([], [str(len(wanted or b""))], [str(len(wanted or b""))] * 2)
            same_frames(esl, changed)


def test_a_gap_has_no_other_events_in_it(esl: ModuleType, Redact: Any) -> None:
    redact = Redact.profile("secrets")
    gap = esl.Gap.of(1.0, "end", esl.Event.build("DTMF", {"DTMF-Digit": "Qz7", "Event-Sequence": 7}))
    assert b"Qz7" in pickle.dumps(gap)
    changed = redact(gap)
    assert (changed.seconds, changed.last_sequence) == (1.0, 7)
    assert b"Qz7" not in pickle.dumps(changed)
    assert b"Qz7" in pickle.dumps(gap)
    empty = esl.Gap.of(1.0, "end")
    assert redact(empty) == empty


def test_commands(Redact: Any) -> None:
    redact = Redact.profile("secrets")
    for block, wanted in (
        (b"auth Qz7\n\n", b"auth ***\n\n"),
        (b"userauth a@b:Qz7\r\n\r\n", b"userauth ***\n\n"),
        (b"api originate {sip_auth_password=Qz7}x &park\n\n", b"api originate {sip_auth_password=***}x &park\n\n"),
        (
            b"sendmsg u\nexecute-app-arg: sip_auth_password=Qz7\n\n",
            b"sendmsg u\nexecute-app-arg: sip_auth_password=***\n\n",
        ),
        (b"event plain ALL\n\n", b"event plain ALL\n\n"),
    ):
        assert redact.command(block) == wanted
    assert Redact().command(b"auth Qz7\n\nevent plain ALL\n\n") == b"auth ***\n\n"


HOSTILE_PARTS = [*"{}[]'\"\\,=:<>/@^|; \n\r\t%2aAé", "password", "sip:", "ARRAY::", "|:", "pin"]
HOSTILE = st.lists(st.sampled_from(HOSTILE_PARTS), max_size=60).map("".join)


@examples(300)
@given(HOSTILE, HOSTILE)
def test_hidden_twice_is_hidden_once(before: str, after: str) -> None:
    from eslcodec.ingest._secrets import hide, hide_lines

    for text in (before, f"{before}{{password=Qz7,{after}", f"{before}\npassword=Qz7\n{after}"):
        assert hide_lines(hide_lines(text)) == hide_lines(text)
        assert hide(hide(text)) == hide(text)


@examples(300)
@given(HOSTILE)
def test_a_password_in_any_surroundings_is_hidden(before: str) -> None:
    from eslcodec.ingest._secrets import hide

    assert "Qz7" not in hide(f"{before} my_password=Qz7")
    assert "Qz7" not in hide(f"{before}{{my_password=Qz7,b=1}}x")


@pytest.mark.parametrize(
    "piece",
    [
        "password",
        "password=",
        "{",
        "}",
        "'",
        '"',
        "<",
        "value='",
        "sip:a:",
        "://a:",
        "{^^",
        "\\",
        "password>",
        "token ",
        "[password='",
        "pin\n",
        "inline:",
        "ARRAY::|:",
    ],
)
def test_work_grows_with_the_text_and_no_faster(piece: str) -> None:
    """Steps are counted, not seconds: twice the text may take twice the steps of Python, and not four times."""
    from eslcodec.ingest._secrets import hide, hide_lines

    def steps(call: Callable[[str], str], text: str) -> int:
        count = 0

        def trace(*_: Any) -> Any:
            nonlocal count
            count += 1
            return trace

        sys.settrace(trace)
        try:
            call(text)
        finally:
            sys.settrace(None)
        return count

    before = sys.gettrace()
    try:
        for call in (hide, hide_lines):
            assert steps(call, piece * 2000) <= 2.5 * steps(call, piece * 1000) + 100
    finally:
        sys.settrace(before)
    hide(piece * 100_000)
    hide_lines(piece * 100_000)


NAMES = st.sampled_from(
    [
        "Event-Name",
        "pin",
        "My-Pin",
        "pin2",
        "DTMF-Digit",
        "digits",
        "sip_auth_x",
        "variable_a",
        "VARIABLE_A",
        "%41",
        "x%ac",
    ]
)
TEXTS = st.sampled_from(["", "1", "%31", "pin 1", "{password=1}", "%2570assword=1", "send_dtmf", "key", "\n", ": "])


@pytest.mark.parametrize("options", [{"secrets": True}, {"drop": ["variable_a"]}, {"secrets": True, "mask": ["*"]}])
@examples(100)
@given(st.lists(st.tuples(NAMES, TEXTS), max_size=6), st.sampled_from([None, "pin 1", "a=1\n"]))
def test_what_is_known_at_once_is_what_a_look_at_each_line_finds(
    esl: ModuleType, options: dict[str, Any], pairs: list[tuple[str, str]], body: str | None
) -> None:
    rewrite = part(esl, "_rewrite").rewrite
    redact = part(esl, "ingest.redact").Redact(**options)
    lines = "".join(f"{name}: {value}\n" for name, value in pairs)
    for text in (lines, lines + "no colon\n", lines + "\r\nodd :x\n"):
        payload = text.encode() + (b"\n" if body is None else b"Content-Length: %d\n\n%b" % (len(body), body.encode()))
        event = esl.Event.from_payload(payload, "plain")
        expected = rewrite(event, redact._rules(event), redact._body_rule(event))
        for _ in range(2):
            assert redact(event).frame == expected.frame


@pytest.mark.parametrize("unit", ["sip:", "sips:a:", "sip:%3a", "://", "pin", "inlin", "&", "\\"])
def test_what_somebody_repeats_takes_no_longer_than_its_length(esl: ModuleType, Redact: Any, unit: str) -> None:
    """Whoever calls may put it into a header; with the square of its length this would not end today."""
    event = esl.Event.from_payload(b"A: " + unit.encode() * 300_000 + b"\n\n", "plain")
    redact = Redact.profile("secrets")
    assert redact(event) is event
    assert redact.body(event.payload) == event.payload


@pytest.mark.parametrize("text", ["sip:a:sip:b:c@d", "SIPS:a:b@c", "sip:a;sip:b:c@d", "x%3asip%3aa%3Ab%40c"])
def test_a_password_of_a_sip_user_is_found_behind_others_that_have_none(
    esl: ModuleType, Redact: Any, text: str
) -> None:
    event = esl.Event.from_payload(f"A: sip:x:y {text}\n\n".encode(), "plain")
    assert "***@" in Redact.profile("secrets")(event)["A"]


def test_names_that_a_program_makes_up_are_not_all_remembered(esl: ModuleType, Redact: Any) -> None:
    redact = Redact.profile("secrets")
    for number in range(50):
        headers = {f"variable_{number}_{each}": "x" for each in range(200)} | {"v" * 1000: "x"}
        event = esl.Event.build("DTMF", headers)
        assert redact(event) is event
        assert len(redact._fine) <= 4096
        assert "v" * 1000 not in redact._fine
