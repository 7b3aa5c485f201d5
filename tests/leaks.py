"""The cases of test_leaks.py. Run as a script: does each for long, and prints what it left behind.

Nothing is imported here that the package itself does not need, so that memory is that of the package.
"""

from __future__ import annotations

import copy
import gc
import importlib
import json
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sizes import HEAVY

MESSAGES = 1_000_000
SECONDS = {"c": 0.15 * HEAVY, "python": 0.03 * HEAVY}  # of a case
LEAST = 500  # messages, however long they take
GROWTH = 4 << 20  # bytes that memory may vary by: what the allocators keep, above all
BLOCKS = 200  # of Python's allocator, and objects: caches and free lists of the interpreter
REMEMBERED = 5 * 4096  # blocks of the lines that a decoder of the Python core remembers, and forgets all at once
STATUS = Path("/proc/self/status")


def frame(head: bytes, body: bytes) -> bytes:
    return b"%b\nContent-Length: %d\n\n%b" % (head, len(body), body)


def plain(payload: bytes) -> bytes:
    return frame(b"Content-Type: text/event-plain", payload)


def receive(decoder: Any, data: bytes) -> None:
    with decoder.get_buffer(len(data)) as view:
        view[: len(data)] = data
    decoder.buffer_updated(len(data))


def part(esl: Any, name: str) -> Any:
    return importlib.import_module(f"{esl.__name__}.{name}")


# What the cases share, so that references to it can be counted

NAMES = ["Event-Name", "variable_x", "no such name", "VARIABLE_LIST", "Unique-ID"]
PLAIN = plain(
    b"Event-Name: CUSTOM\nEvent-Subclass: sofia%3A%3Aregister\nUnique-ID: a1\nEvent-Sequence: 525\n"
    b"Event-Date-Timestamp: 1700000000000000\nvariable_x: a%20b\nvariable_list: ARRAY::one|:two\n"
    b"variable_x: again\nContent-Length: 5\n\nhello"
)
JSON = frame(
    b"Content-Type: text/event-json",
    b'{"Event-Name":"CUSTOM","Event-Subclass":"sofia::register","Unique-ID":"a1","Event-Sequence":"525",'
    b'"variable_x":"a \\"b\\"","variable_list":["one","two"],"_body":"hello"}',
)
XML = frame(
    b"Content-Type: text/event-xml",
    b"<event><headers><Event-Name>CUSTOM</Event-Name><Unique-ID>a1</Unique-ID><variable_x>a%20b</variable_x></headers>"
    b"<Content-Length>5</Content-Length><body>hello</body></event>",
)
TEXT = "A: 1%20x\nB: ARRAY::a|:b\nA: 2\nno colon\n\n"
BLOCK = TEXT.encode()
AUTH = b"Content-Type: auth/request\n\n"
OK = b"Content-Type: command/reply\nReply-Text: +OK\n\n"
ACCEPTED = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
JOB_ACCEPTED = b"Content-Type: command/reply\nReply-Text: +OK\nJob-UUID: j-1\n\n"
OUTPUT = frame(b"Content-Type: api/response", b"-ERR x\n")
REJECTED = frame(b"Content-Type: text/rude-rejection", b"Access Denied, go away.\n")
GOODBYE = frame(b"Content-Type: text/disconnect-notice", b"bye\n")
BINARY = bytes(range(256))
QUOTED = b"a%20b%zz%2541" * 3
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nText-Channel: 0\nLog-File: a.c\nUser-Data: \n\nx\n"
LINGER = b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nLinger-Time: 5\nContent-Length: 0\n\n"
MANY_NAMES = [
    plain(b"Event-Name: N%d\n" % number + b"".join(b"name-%d-%d: x%%20y\n" % (number, at) for at in range(8)) + b"\n")
    for number in range(560)  # 4480 names and 560 shapes: more than a decoder remembers
]
DAMAGE = [b"Content-Length: x\n\n", b"Content-Length: 1\nContent-Length: 2\n\n", b"Content-Length: 999\n\n", b"A" * 600]
SHARED = [None, "", b"", *NAMES, PLAIN, JSON, XML, OK, TEXT, BLOCK, BINARY, QUOTED, *MANY_NAMES[:3], *DAMAGE]

# Cases: a function of the package that makes what is done again and again, and how many messages that is

Case = Callable[[Any], tuple[Callable[[], object], int]]
CASES: dict[str, Case] = {}


def case(make: Case) -> Case:
    CASES[make.__name__] = make
    return make


ATTRIBUTES = (
    *("body", "text", "payload", "content_type", "raw", "frame", "malformed"),
    *("name", "subclass", "uuid", "id", "sequence", "timestamp", "envelope", "ok", "job_uuid", "final"),
)


def read_all(message: Any) -> None:
    """Everything that a message has for its readers."""
    name = NAMES[1]
    with suppress(KeyError):
        message[name]
    message.get(NAMES[2])
    message.get(NAMES[3], "")
    message.select(*NAMES)
    message.getlist("variable_list")
    message.getlist(NAMES[2])
    name in message  # noqa: B015
    message.pairs()
    message.asdict()
    len(message)
    list(message)
    dict(message)
    list(message.items()), list(message.values()), list(message.keys())
    message.asdict()
    repr(message), hash(message), message == message, message != OK
    for attribute in ATTRIBUTES:
        getattr(message, attribute, None)
    if hasattr(message, "to_json"):
        message.to_json()
        message.to_json("surrogateescape")
    if hasattr(message, "to_dict"):
        message.to_dict()


@case
def decoder_one_at_a_time(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()

    def work() -> None:
        decoder.feed(OK)
        decoder.next_message()
        decoder.next_message()

    return work, 1


@case
def decoder_iterated(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()
    data = (PLAIN + JSON + OK) * 20

    def work() -> None:
        decoder.feed(data)
        for _ in decoder:
            pass

    return work, 60


@case
def decoder_in_pieces(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()
    data = (PLAIN + OK) * 4
    chunks = [data[at : at + 53] for at in range(0, len(data), 53)]

    def work() -> None:
        for chunk in chunks:
            decoder.feed(chunk)
            list(decoder)

    return work, 8


@case
def decoders_dropped_half_read(esl: Any) -> tuple[Callable[[], object], int]:
    def work() -> None:
        decoder = esl.Decoder(max_header_bytes=500)
        decoder.feed(memoryview(PLAIN + OK + PLAIN[:-3]))
        decoder.next_message()
        with suppress(esl.IncompleteFrame):
            decoder.feed_eof()

    return work, 1


@case
def decoder_of_ever_new_names(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()
    data = b"".join(MANY_NAMES)

    def work() -> None:
        decoder.feed(data)
        for event in decoder:
            event.asdict()
            event.to_json()
            event.get("name-1-1")

    return work, len(MANY_NAMES)


@case
def splitter(esl: Any) -> tuple[Callable[[], object], int]:
    splitter = esl.FrameSplitter()
    data = (OK + PLAIN) * 30

    def work() -> None:
        splitter.feed(data)
        list(splitter)
        splitter.next_frame()

    return work, 60


@case
def buffers(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()

    def work() -> None:
        with decoder.get_buffer(-1) as room:
            room[: len(OK)] = OK
        decoder.buffer_updated(len(OK))
        decoder.next_message()

    return work, 1


@case
def buffers_that_nobody_fills(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()

    def work() -> None:
        kept = decoder.get_buffer(1 << 20)
        decoder.feed(OK)
        bytes(kept[:3]), kept.cast("b"), kept.toreadonly()
        decoder.next_message()
        esl.Decoder().get_buffer()  # outlives its decoder
        decoder.get_buffer()
        decoder.buffer_updated(0)

    return work, 1


def reader(data: bytes) -> Case:
    def make(esl: Any) -> tuple[Callable[[], object], int]:
        decoder = esl.Decoder()

        def work() -> None:
            decoder.feed(data)
            read_all(decoder.next_message())

        return work, 1

    return make


CASES["plain_event_read"] = reader(PLAIN)
CASES["json_event_read"] = reader(JSON)
CASES["xml_event_read"] = reader(XML)
CASES["reply_read"] = reader(OK)
CASES["malformed_json_read"] = reader(JSON[:-3] + b"?}}")
CASES["malformed_xml_read"] = reader(XML[:-3] + b"</>")


@case
def other_kinds_read(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()
    data = AUTH + ACCEPTED + OUTPUT + LOG + LINGER + GOODBYE + REJECTED + frame(b"X: y", b"")

    def work() -> None:
        decoder.feed(data)
        for message in decoder:
            read_all(message)
            if hasattr(message, "check"):
                with suppress(esl.CommandError):
                    message.check()

    return work, 8


@case
def messages_made(esl: Any) -> tuple[Callable[[], object], int]:
    def work() -> None:
        read_all(esl.Message(OK))
        read_all(esl.CommandReply(b"A: 1\n\n", b"body"))
        with suppress(ValueError):
            esl.Message(b"no end")

    return work, 2


@case
def messages_copied_and_pickled(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()
    decoder.feed(PLAIN + JSON + XML + OK + PLAIN)
    messages = list(decoder)
    list(messages[-1])  # one that has been read

    def work() -> None:
        for message in messages:
            pickle.loads(pickle.dumps(message))
            copy.deepcopy(message)

    return work, 10


def payloads(format: str) -> Case:
    def make(esl: Any) -> tuple[Callable[[], object], int]:
        payload = esl.Event.build("DTMF", [(NAMES[1], "a b"), ("list", ["1", "2"])], b"body").serialize(format)
        headers = {NAMES[1]: "a\nb", "list": ["1", "2"], "number": 5}

        def work() -> None:
            event = esl.Event.from_payload(payload, format)
            read_all(event)
            event.serialize(format)
            esl.Event.build("CUSTOM", headers, "body", subclass="my::test").serialize(format)

        return work, 2

    return make


CASES["plain_built_and_serialized"] = payloads("plain")
CASES["json_built_and_serialized"] = payloads("json")
CASES["xml_built_and_serialized"] = payloads("xml")


@case
def header_blocks_parsed(esl: Any) -> tuple[Callable[[], object], int]:
    def work() -> None:
        esl.parse_headers(BLOCK)
        esl.parse_headers(TEXT, decode=False)
        esl.parse_headers(TEXT, multiline=True)
        esl.parse_pairs(TEXT)
        esl.parse_pairs(bytearray(BLOCK), decode=False)
        for wrong in (None, 5, "\ud800"):
            with suppress(TypeError, UnicodeEncodeError):
                esl.parse_headers(wrong)

    return work, 5


@case
def percent_coding(esl: Any) -> tuple[Callable[[], object], int]:
    def work() -> None:
        esl.quote(BINARY)
        esl.unquote(QUOTED)
        esl.quote(b"")
        esl.unquote(memoryview(BINARY))
        with suppress(TypeError):
            esl.quote("text")

    return work, 4


@case
def header_lists(esl: Any) -> tuple[Callable[[], object], int]:
    HeaderList = part(esl, "headers").HeaderList

    def work() -> None:
        headers = HeaderList([(name, "x") for name in NAMES])
        headers.add("A", "ARRAY::a|:b")
        headers.push("A", "c")
        headers.unshift("A", "0")
        headers.add("A[7]", "7")
        headers.get("a"), headers.first("A"), headers.pairs(), list(headers.fields())
        headers.replace("A", "1")
        headers.delete("A")

    return work, 1


@case
def official_events_received(esl: Any) -> tuple[Callable[[], object], int]:
    ESL = part(esl, "ESL")
    decoder = part(esl, "_codec").MessageDecoder(part(esl, "_esl.frames").KINDS, part(esl, "_codec").Message)

    def work() -> None:
        for data in (PLAIN, JSON, OK, XML):
            decoder.feed(data)
            event = ESL.ESLevent._received(decoder.next_message())
            for name in NAMES:
                event.getHeader(name)
            event.getHeader("variable_list", 1)
            event.getType(), event.getBody(), event.serialize("json"), event.getHeader(NAMES[0]), repr(event)
            event.firstHeader()
            while event.nextHeader() is not None:
                pass
            with suppress(TypeError):
                event.getHeader(5)

    return work, 4


@case
def official_events_built(esl: Any) -> tuple[Callable[[], object], int]:
    ESL = part(esl, "ESL")

    def work() -> None:
        event = ESL.ESLevent("CUSTOM", "my::test")
        event.addHeader(NAMES[1], "a b")
        event.pushHeader("list", "1")
        event.unshiftHeader("list", "0")
        event.addBody("body")
        event.setPriority(2)
        event.serialize(), event.serialize("xml")
        event.firstHeader(), event.nextHeader()
        event.delHeader("list")
        ESL.ESLevent(event).getHeader(NAMES[1])
        ESL.ESLevent("json", '{"A": "1"}')

    return work, 3


@case
def header_readers(esl: Any) -> tuple[Callable[[], object], int]:
    class Reader(part(esl, "_codec").HeaderReader):  # type: ignore[misc]
        def _find(self, name: Any, idx: Any) -> None:
            return None

    message = esl.Event.from_payload(b"A: 1\n\n", "plain")

    def work() -> None:
        reader = Reader()
        reader._frame = message
        reader.getHeader("A"), reader.getHeader("a", -1), reader.getHeader(NAMES[2])
        reader._rewind(NAMES)
        while reader.nextHeader() is not None:
            pass
        reader._index = {"A": "1", "B": None}
        reader.getHeader("A"), reader.getHeader("B")

    return work, 1


@case
def errors(esl: Any) -> tuple[Callable[[], object], int]:
    dead = [esl.Decoder(max_header_bytes=500, max_body_bytes=500) for _ in DAMAGE]
    for decoder, damage in zip(dead, DAMAGE, strict=True):
        decoder.feed(damage)
    full = esl.Decoder(max_buffered=5)
    full.feed(b"12345")
    event = esl.Event.from_payload(b"{?", "json")

    def raises(error: Any, call: Callable[..., object], *arguments: Any) -> None:
        try:
            call(*arguments)
        except error:
            return
        raise AssertionError(f"{call} raises nothing")

    def work() -> None:
        for decoder in dead:
            raises(esl.ProtocolError, decoder.next_message)
            raises(esl.ProtocolError, decoder.feed_eof)
            raises(esl.ProtocolError, list, decoder)
        raises(esl.LimitExceeded, full.feed, b"6")
        raises(esl.LimitExceeded, full.get_buffer)
        raises(ValueError, full.buffer_updated, 1)
        raises(esl.IncompleteFrame, full.feed_eof)
        raises(TypeError, full.feed, "text")
        raises(BufferError, full.feed, memoryview(BINARY)[::2])
        raises(KeyError, event.__getitem__, NAMES[2])
        raises(ValueError, event.to_json, "no such way")
        raises(TypeError, esl.Decoder, None)
        raises(esl.CommandError, esl.CommandReply(b"Reply-Text: -ERR x\n\n").check)
        assert isinstance(event.malformed, esl.MalformedPayload)

    return work, 20


@case
def connections(esl: Any) -> tuple[Callable[[], object], int]:
    Connection = part(esl, "connection").Connection
    events = PLAIN * 5

    def work() -> None:
        connection = Connection.inbound("secret")
        connection.receive(AUTH + ACCEPTED)
        waits = [connection.api("status"), connection.subscribe("ALL")]
        accepted, result = connection.bgapi("status", job_uuid="j-1")
        connection.data_to_send()
        receive(connection, OUTPUT + OK + OK + JOB_ACCEPTED + events)
        connection.receive(plain(b"Event-Name: BACKGROUND_JOB\nJob-UUID: j-1\n\n+OK\n"))
        for wait in (*waits, accepted, result):
            wait.result()
        late = connection.api("status")
        connection.receive(b"Content-Length: x\n\n")
        with suppress(esl.ProtocolError):
            late.result()
        connection.queue.clear()

    return work, 12


@case
def decoder_of_large_messages(esl: Any) -> tuple[Callable[[], object], int]:
    decoder = esl.Decoder()
    size = 1_100_000 if esl.__impl__ == "c" else 100_000  # beyond a megabyte the compiled core gives memory back
    data = frame(b"Content-Type: api/response", bytes(size))

    def work() -> None:
        decoder.feed(data)
        decoder.next_message()
        decoder.feed(OK)
        decoder.next_message()

    return work, 2


# Measuring


def memory() -> int:
    return int(STATUS.read_text().partition("VmRSS:")[2].split()[0]) << 10


def state() -> tuple[int, int, int]:
    gc.collect()
    return memory(), sys.getallocatedblocks(), len(gc.get_objects())


def repeat(work: Callable[[], object], each: int, seconds: float) -> int:
    """Do it a million times, or so long; how many messages it were."""
    done = 0
    end = time.monotonic() + seconds
    while done < LEAST or (done < MESSAGES and time.monotonic() < end):
        for _ in range(max(1, 20 // each)):
            work()
            done += each
    return done


def grow(name: str) -> dict[str, int]:
    """What a case leaves behind, in this process. What is remembered the first times may take some; a leak goes on."""
    import eslcodec

    work, each = CASES[name](eslcodec)
    repeat(work, each, 0)
    gc.freeze()  # what the package itself consists of need not be searched again and again
    state()  # which takes memory for the first time
    remembered = REMEMBERED if (eslcodec.__impl__, name) == ("python", "decoder_of_ever_new_names") else 0
    for _ in range(4):
        before = state()
        done = repeat(work, each, SECONDS[eslcodec.__impl__])
        more = [late - early for early, late in zip(before, state(), strict=True)]
        grown = {"messages": done, "bytes": more[0], "blocks": max(0, more[1] - remembered), "objects": more[2]}
        if within_bounds(grown):
            break
    return grown


def within_bounds(grown: dict[str, int]) -> bool:
    return grown["bytes"] < GROWTH and grown["blocks"] < BLOCKS and grown["objects"] < BLOCKS


if __name__ == "__main__":
    for name in CASES:
        print(json.dumps([name, grow(name)]), flush=True)
