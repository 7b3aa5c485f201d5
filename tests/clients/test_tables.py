"""Tables that API commands put out, as a running switch wrote them or as its source does."""

from __future__ import annotations

import pytest

from eslcodec import tables
from eslcodec.errors import CommandError, InvalidCommand, MalformedTable

RULE = "=" * 97
TIERS = (
    "queue|agent|state|level|position\nsupport@default|1001@default|Ready|1|1\nsales@default|3158@default|||2\n+OK\n"
)
USERS = "userid|context|domain|contact\n1000|default|test.local|error/user_not_registered\n\n+OK\n"
STATUS = (
    f"                     Name\t   Type\t                                      Data\tState\n{RULE}\n"
    "                 internal\tprofile\t            sip:mod_sofia@127.0.0.1:5160\tRUNNING (2)\n"
    "        internal::carrier\tgateway\t                sip:trunk7@127.0.0.1:5170\tFAIL_WAIT (retry: 12s)\n"
    f"                test.local\t  alias\t                                internal\tALIASED\n{RULE}\n"
    "1 profile 1 alias\n"
)
GATEWAYS = (
    f"    Profile::Gateway-Name\t            Data    \tState\tPing Time\tIB Calls(F/T)\tOB Calls(F/T)\n{RULE}\n"
    f"        internal::carrier\t       sip:trunk7@127.0.0.1:5170\tREGED\t  0.00\t0/1\t2/3\n{RULE}\n"
    "1 gateway: Inbound(Failed/Total): 0/1,Outbound(Failed/Total):2/3\n"
)
GATEWAY = f"{RULE}\nName    \tcarrier\nPassword\tyes\nFrom    \t<sip:t@127.0.0.1>\nExten   \t\n{RULE}\n"
PROFILE = f"{RULE}\nName             \tinternal\nRTP-IP           \t10.0.0.1\nRTP-IP           \t::1\n{RULE}\n"
REGISTRATION = 'Call-ID:    \t{}@reg\nUser:       \t2010@test.local\nContact:    \t"" <sip:2010@127.0.0.1:5176>\n\n'
CONFERENCE = (
    "+OK Conference room (x) (2 members rate: 8000 flags: running|dynamic)\n"
    "3;sofia/internal/40022@127.0.0.1:5176;194ea36b;Bob %;40022;hear|speak;0;0;100\n"
    "1;sofia/internal/40002@127.0.0.1:5176;14d8cfe0;Zoë;40002;hear|speak|floor;0;0;100\n"
    "+OK Conference empty (0 members rate: 8000 flags: none)\n"
)
XML = (
    '<?xml version="1.0" encoding="ISO-8859-1"?>\n<profiles>\n'
    "<profile>\n<name>internal</name>\n<type>profile</type>\n<data>sip:é@x</data>\n"
    "<state>RUNNING (0)</state>\n</profile>\n"
    "<gateway>\n<name>carrier</name>\n<type>gateway</type>\n<data></data>\n"
    "<state>DOWN</state>\n</gateway>\n (retry: 3s)\n"
    "</profiles>\n"
)


def registrations(count: int, said: int) -> str:
    rows = "".join(REGISTRATION.format(number) for number in range(count))
    return f"\nRegistrations:\n{RULE}\n{rows}Total items returned: {said}\n{RULE}\n"


def test_lines_of_columns() -> None:
    assert tables.read("callcenter_config tier list", TIERS) == [
        {"queue": "support@default", "agent": "1001@default", "state": "Ready", "level": "1", "position": "1"},
        {"queue": "sales@default", "agent": "3158@default", "state": "", "level": "", "position": "2"},
    ]
    (user,) = tables.read("list_users", USERS)
    assert user == {
        "userid": "1000",
        "context": "default",
        "domain": "test.local",
        "contact": "error/user_not_registered",
    }
    assert tables.read("callcenter_config queue list", "+OK\n") == tables.parse("") == tables.parse("a|b\n") == []


def test_show_as_text_and_as_json() -> None:
    text = "reg_user,realm,metadata\n2004,test.local,\n\n1 total.\n"
    json = '{"row_count":1,"rows":[{"reg_user":"2004","realm":"test.local","metadata":null}]}'
    row = {"reg_user": "2004", "realm": "test.local", "metadata": ""}
    assert tables.read("show registrations", text) == tables.show(json) == [row]
    assert tables.read("show registrations as delim |", text.replace(",", "|")) == [row]
    assert tables.show("\n0 total.\n") == tables.show('{"row_count": 0}\n') == []
    assert tables.total("\n4 total.\n") == 4


def test_what_sofia_says() -> None:
    rows = tables.read("sofia status", STATUS)
    assert [(row["Name"], row["Type"], row["State"]) for row in rows] == [
        ("internal", "profile", "RUNNING (2)"),
        ("internal::carrier", "gateway", "FAIL_WAIT (retry: 12s)"),
        ("test.local", "alias", "ALIASED"),
    ]
    (gateway,) = tables.read("sofia status gateway", GATEWAYS)
    assert (gateway["Profile::Gateway-Name"], gateway["OB Calls(F/T)"]) == ("internal::carrier", "2/3")
    (one,) = tables.read("sofia status gateway carrier", GATEWAY)
    assert one == {"Name": "carrier", "Password": "yes", "From": "<sip:t@127.0.0.1>", "Exten": ""}
    (profile,) = tables.read("sofia status profile internal", PROFILE)
    assert profile == {"Name": "internal", "RTP-IP": "10.0.0.1,::1"}
    found = tables.read("sofia status profile internal reg", registrations(2, 2))
    assert [row["Call-ID"] for row in found] == ["0@reg", "1@reg"]
    assert found[0]["Contact"] == '"" <sip:2010@127.0.0.1:5176>'
    assert tables.read("sofia status profile internal reg", registrations(0, 0)) == []
    assert tables.read("sofia xmlstatus", XML) == [
        {"name": "internal", "type": "profile", "data": "sip:é@x", "state": "RUNNING (0)"},
        {"name": "carrier", "type": "gateway", "data": "", "state": "DOWN"},
    ]


def test_members_of_conferences() -> None:
    rows = tables.read("conference list", CONFERENCE)
    assert [(row["conference"], row["id"], row["caller_id_name"], row["flags"]) for row in rows] == [
        ("room (x)", "3", "Bob %", "hear|speak"),
        ("room (x)", "1", "Zoë", "hear|speak|floor"),
    ]
    line = CONFERENCE.splitlines()[1].replace(";", "~")
    (row,) = tables.read("conference room list delim ~", line)
    assert (row["conference"], row["energy"]) == ("room", "100")
    assert tables.read("conference list", "+OK No active conferences.\n") == []


@pytest.mark.parametrize(
    ("command", "text", "expected"),
    [
        ("callcenter_config agent list", "name|contact\nal|user/1|user/2\n+OK\n", "2 columns, read 3 in line 2"),
        ("callcenter_config agent list", "name|contact|x\nal|line\nbreak|y\n+OK\n", "3 columns, read 2 in line 2"),
        ("conference list", "+OK Conference a (1 member)\n1;s;u;Smith; J;1;hear;0;0;1\n", "9 columns, read 10"),
        ("show calls", "uuid,dest\na,1000\n", "the number of rows at the end"),
        ("show calls", "uuid,dest\na,1000\n\n2 total.\n", "2 rows, read 1"),
        ("show calls", '{"row_count":2,"rows":[{"uuid":"a"}]}', "2 rows, read 1"),
        ("show calls", '{"row_count":1,"rows":[{"uu', '{"row_count": ..., "rows": [...]}'),
        ("show calls", "", "the number of rows at the end"),
        ("show calls", f"uuid,dest\n\n{'9' * 5000} total.\n", "the number of rows at the end"),
        ("show calls", '{"row_count":1e999,"rows":[]}', '{"row_count": ..., "rows": [...]}'),
        ("sofia status", STATUS.rpartition(RULE)[0], "a second line of '='"),
        ("sofia status", "hello\n", "lines of '=' around it"),
        ("sofia status profile x", f"{RULE}\nName internal\n{RULE}\n", "a name, a tab and a value"),
        ("sofia status profile x reg", registrations(1, 2), "2 rows, read 1"),
        ("sofia status profile x reg", "\n", "'Registrations:' and 'Total items returned: ...'"),
        ("sofia xmlstatus", "<profiles><a></profiles>", "XML (mismatched tag"),
    ],
)
def test_what_is_no_such_table_is_an_error(command: str, text: str, expected: str) -> None:
    with pytest.raises(MalformedTable) as caught:
        tables.read(command, text)
    assert expected in str(caught.value)
    assert caught.value.expected in str(caught.value.again())


def test_a_phone_that_calls_itself_the_end_of_the_table_hides_no_others() -> None:
    text = registrations(2, 2).replace("\n\n", "\nAgent:      \tTotal items returned: 1\n\n", 1)
    rows = tables.read("sofia status profile x reg", text)
    assert [row.get("Agent") for row in rows] == ["Total items returned: 1", None]


def test_a_delimiter_has_to_be_there() -> None:
    with pytest.raises(InvalidCommand, match="the delimiter is empty"):
        tables.read('conference list delim ""', "1;2\n")


@pytest.mark.parametrize(
    "text", ["-ERR No such queue!\n", "-USAGE: x\n", "Invalid Profile!\n", "\n-ERR x", "USAGE:\n---"]
)
@pytest.mark.parametrize("command", ["show x", "sofia status", "sofia xmlstatus", "conference list", "list_users"])
def test_a_refusal_is_an_error(command: str, text: str) -> None:
    with pytest.raises(CommandError, match=text.strip()[:4]):
        tables.read(command, text)
