"""Passwords in what was sent are not in a recording, however the bytes were cut."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import part

SHOWN = [
    (b"auth ClueCon\n\n", b"auth ***\n\n"),
    (b"\n AUTH\tClueCon\n\n", b"\n AUTH ***\n\n"),
    (b"userauth a@b:pw x\n\napi status\n\n", b"userauth ***\n\napi status\n\n"),
    (b"api x\n\nauth y z\n\n", b"api x\n\nauth ***\n\n"),
    (b"authx foo\n\n", b"authx foo\n\n"),
    (b"auth\n\n", b"auth\n\n"),
    (
        b"api originate {a=b,sip_auth_password=c,d=e}u/1 &park\n\n",
        b"api originate {a=b,sip_auth_password=***,d=e}u/1 &park\n\n",
    ),
    (
        b"bgapi originate {^^:sip_auth_password=a,b:x=y}u/1\n\n",
        b"bgapi originate {^^:sip_auth_password=***:x=y}u/1\n\n",
    ),
    (b"api originate {sip_auth_password='a,}b',x=y}u/1\n\n", b"api originate {sip_auth_password=***,x=y}u/1\n\n"),
    (b"api originate {a=b}[sip_auth_password=a\\,b,z=1]u/1\n", b"api originate {a=b}[sip_auth_password=***,z=1]u/1\n"),
    (b"api originate <SIP-Auth-Password=x>u/1\n\n", b"api originate <SIP-Auth-Password=***>u/1\n\n"),
    (b"api originate {password=a}u/1 {password=b}\n\n", b"api originate {password=***}u/1 {password=***}\n\n"),
    (
        b"api originate {a=b}u/1 'set:sip_auth_password=c d'\n\n",
        b"api originate {a=b}u/1 'set:sip_auth_password=***\n\n",
    ),
    (
        b"api uuid_setvar_multi u a=b;sip_auth_password=c;d=e\n\n",
        b"api uuid_setvar_multi u a=b;sip_auth_password=***\n\n",
    ),
    (b"api uuid_setvar u sip_auth_password a b\n\n", b"api uuid_setvar u sip_auth_password ***\n\n"),
    (b"api global_setvar default_password=1234\n\n", b"api global_setvar default_password=***\n\n"),
    (b"sendevent X\nvm-password: 123\nother: y\n\n", b"sendevent X\nvm-password:***\nother: y\n\n"),
    (b"sendmsg\nexecute-app-arg: a1-hash=0f\n\n", b"sendmsg\nexecute-app-arg: a1-hash=***\n\n"),
    (b"api x my_secret%3Dfoo\n\n", b"api x my_secret%3D***\n\n"),
    (b'api json {"command":"x","password":"a,b"}\n\n', b'api json {"command":"x","password":***\n\n'),
    (b'api json {\\"secret\\" : \\"a\\"}\n\n', b'api json {\\"secret\\" :***\n\n'),
    (b"api script pwd=x\n\n", b"api script pwd=***\n\n"),
    (b"api password_check\n\n", b"api password_check\n\n"),
    (b"sendmsg\ncall-command: hangup\n\n", b"sendmsg\ncall-command: hangup\n\n"),
    (b"\x00\xff\n\r\n", b"\x00\xff\n\r\n"),
    (b"", b""),
]


@pytest.fixture
def masking(esl: ModuleType) -> Any:
    return part(esl, "ingest._masking")


@pytest.mark.parametrize(("sent", "kept"), SHOWN, ids=[sent.decode("latin-1") for sent, _ in SHOWN])
def test_what_is_kept_of_a_command(masking: Any, sent: bytes, kept: bytes) -> None:
    assert masking.mask(sent) == kept
    for cut in range(len(sent) + 1):
        pieces = masking.Masking()
        assert pieces.mask(sent[:cut]) + pieces.mask(sent[cut:]) == kept, cut
    pieces = masking.Masking()
    assert b"".join(pieces.mask(sent[at : at + 1]) for at in range(len(sent))) == kept


def test_all_that_is_sent_on_a_connection(masking: Any) -> None:
    whole, kept = (b"".join(one[at] for one in SHOWN if one[0].endswith(b"\n")) for at in (0, 1))
    pieces = masking.Masking()
    assert b"".join(pieces.mask(whole[at : at + 7]) for at in range(0, len(whole), 7)) == kept


def test_a_login_after_a_body_without_a_line_end(masking: Any) -> None:
    pieces = masking.Masking()
    assert pieces.mask(b"sendevent X\ncontent-length: 3\n\nabc") == b"sendevent X\ncontent-length: 3\n\nabc"
    assert pieces.mask(b"auth ClueCon\n\n") == b"auth ***\n\n"


def test_a_line_without_an_end_is_bounded(masking: Any) -> None:
    """A hostile one would fill the memory, or take for ever."""
    pieces = masking.Masking()
    long = b"x" * masking.LINE_BYTES
    assert pieces.mask(b"sendmsg\n\n" + long + b" password=a") == b"sendmsg\n\n" + long + b" password=***"
    assert len(pieces._line) == 0
    assert pieces.mask(b"secret") == b""
    assert pieces.mask(b"more\nauth x\n") == b"\nauth ***\n"
    assert pieces.mask(long + b"y") == long + b"y"
    assert pieces.mask(b"z\npassword=a\n") == b"z\npassword=***\n"


def test_long_lines_take_no_longer_than_long(masking: Any) -> None:
    """A name is looked for at every byte: each look must be short."""
    for unit in (b"a", b"password", b"\t", b"{", b"auth", b"password={"):
        assert len(masking.mask(unit * (400_000 // len(unit)))) <= 400_000
