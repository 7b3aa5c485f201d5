"""Each public operation with its n-th allocation failing, for every n: run by test_memory.py in a process of its own.

What comes out is MemoryError or what comes out else; and afterwards the same on the same message, on a fresh one of
the same names, and everything else that these show, are as if nothing had happened.
"""

from __future__ import annotations

import _testcapi
import gc
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any

from sizes import FULL
from support import frame, plain, snapshot

import eslcodec as esl

MOST = 200 if FULL else 40  # allocations of one operation, of those that have more the first
ENOUGH = 12  # so many in a row that did not matter: there are no more


def plain_event(number: int) -> bytes:
    lines = [b"Event-Name: CUSTOM", b"A: %d%%20%d" % (number, number), b"A: again", b"Arr: ARRAY::x|:y%%20%d" % number]
    lines += [b"Header-%d: value %d" % (n, n * number) for n in range(20)]
    lines.append(b"Long: " + b"%20x" * 700 + b"%d" % number)
    return plain(b"\n".join(lines) + b"\n\nbody %d" % number)


def json_event(number: int) -> bytes:
    fields: dict[str, Any] = {"Event-Name": "CUSTOM", "A": f'{number} "\u00e9"', "Arr": ["x", f"y\n{number}"], "N": 5}
    fields.update({f"Header-{n}": f"value {n * number}" for n in range(200)})
    fields["_body"] = f"body\n{number}"
    return frame(b"Content-Type: text/event-json", json.dumps(fields).encode())


def xml_event(number: int) -> bytes:
    headers = [("Event-Name", "CUSTOM"), ("A", f"{number}%20%C3%A9"), ("Arr", "x"), ("Arr", f"y%0A{number}")]
    headers += [(f"Header-{n}", f"value%20{n * number}") for n in range(200)]
    headers += [("A", "again"), ("Long", "%20x" * 700)]
    lines = "".join(f"    <{name}>{value}</{name}>\n" for name, value in headers)
    rest = f"  <Content-Length>6</Content-Length>\n  <body>body {number}</body>\n"
    text = f"<event>\n  <headers>\n{lines}  </headers>\n{rest}</event>\n"
    return frame(b"Content-Type: text/event-xml", text.encode())


def large_event(number: int) -> bytes:
    """For which a decoder's memory has to grow."""
    return plain(b"Event-Name: CUSTOM\nA: %d\n\n" % number + b"x" * 300_000)


EVENTS = (plain_event, json_event, xml_event)
NAMES = ("Event-Name", "a", "A", "Arr", "Header-3", "None", "Long", "\u00e9")

READING: dict[str, Callable[[Any], Any]] = {
    "asdict": lambda event: event.asdict(),
    "to_json": lambda event: event.to_json(),
    "surrogates": lambda event: event.to_json("surrogateescape"),
    "select": lambda event: event.select(*NAMES),
    "get": lambda event: event.get("Arr"),
    "item": lambda event: event["header-3"],
    "long": lambda event: event.get("Long"),
    "in": lambda event: "B" in event,
    "pairs": lambda event: event.pairs(),
    "getlist": lambda event: event.getlist("Arr"),
    "getlists": lambda event: event.getlist("A"),
    "items": lambda event: dict(event),
    "iter": lambda event: list(event),
    "len": len,
    "body": lambda event: event.body,
    "text": lambda event: event.text,
    "raw": lambda event: event.raw,
    "content_type": lambda event: event.content_type,
    "malformed": lambda event: event.malformed,
    "to_dict": lambda event: event.to_dict(),
    "hash": hash,
    "repr": repr,
    "pickle": lambda event: pickle.loads(pickle.dumps(event)),
}

BLOCK = b"A: 1%202\nB:\nA: ARRAY::x|:y\n" * 10
FUNCTIONS: dict[str, Callable[[], Any]] = {
    "parse_headers": lambda: esl.parse_headers(BLOCK),
    "parse_headers of text": lambda: esl.parse_headers(BLOCK.decode(), decode=False),
    "parse_pairs": lambda: esl.parse_pairs(bytearray(BLOCK)),
    "quote": lambda: esl.quote(BLOCK),
    "unquote": lambda: esl.unquote(bytearray(BLOCK)),
    "Message": lambda: snapshot(esl.Message(b"Content-Type: text/event-plain\n\n", BLOCK)),
    "Decoder": lambda: snapshot(taken(esl.Decoder(), plain_event(1))),
}


def taken(decoder: Any, data: bytes) -> Any:
    decoder.feed(data)
    return decoder.next_message()


def feed(decoder: Any, data: bytes) -> None:
    decoder.feed(data)


def feed_view(decoder: Any, data: bytes) -> None:
    decoder.feed(memoryview(data))


def receive_once(decoder: Any, data: bytes) -> None:
    """All of `data`, the part that does not fit in a buffer by feed."""
    room = decoder.get_buffer(len(data))
    size = min(len(data), len(room))
    room[:size] = data[-size:]
    if size < len(data):
        decoder.feed(data[:-size])
    decoder.buffer_updated(size)


FEEDING = {"feed": feed, "feed a view": feed_view, "receive": receive_once}
TAKING: dict[str, Callable[[Any], Any]] = {
    "next_message": lambda decoder: decoder.next_message(),
    "next": lambda decoder: next(decoder),
    "iter": lambda decoder: next(iter(decoder)),
}


def attempt(number: int, call: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """(True, what comes out), or (False, None) if it is MemoryError, with the allocation of that number failing."""
    _testcapi.set_nomemory(number, number + 1)
    try:
        result = call(*arguments)
    except (MemoryError, pickle.PicklingError):  # which pickle makes of a MemoryError
        return False, None
    finally:
        _testcapi.remove_mem_hooks()
    return True, result


def numbers(failed: list[bool]) -> Any:
    """0, 1, 2... until nothing fails any more; `failed` takes the outcomes."""
    for number in range(MOST):
        yield number
        if len(failed) >= ENOUGH and not any(failed[-ENOUGH:]):
            return


def check_reading(event: Callable[[int], bytes], read: Callable[[Any], Any]) -> int:
    first, second = (taken(esl.Decoder(), event(number)) for number in (1, 2))
    wanted, wanted_next = read(first), read(second)
    shown, shown_next = snapshot(first), snapshot(second)
    failed: list[bool] = []
    for number in numbers(failed):
        decoder = esl.Decoder()
        decoder.feed(event(1) + event(2))
        message = decoder.next_message()
        done, result = attempt(number, read, message)
        failed.append(not done)
        assert not done or result == wanted
        assert read(message) == wanted
        fresh = decoder.next_message()
        assert read(fresh) == wanted_next
        assert (snapshot(message), snapshot(fresh)) == (shown, shown_next)
        assert (message.to_json(), fresh.to_json()) == (first.to_json(), second.to_json())
    return sum(failed)


def check_feeding(event: Callable[[int], bytes], feed: Callable[[Any, bytes], None]) -> int:
    failed: list[bool] = []
    for number in numbers(failed):
        decoder = esl.Decoder()
        decoder.feed(event(1)[:40])
        done, _ = attempt(number, feed, decoder, event(1)[40:])
        failed.append(not done)
        if not done and decoder.buffered == 40:
            feed(decoder, event(1)[40:])
        elif not done:
            decoder.buffer_updated(len(event(1)) - decoder.buffered)  # all but that was done
        feed(decoder, event(2))
        assert [message.frame for message in decoder] == [event(1), event(2)]
    return sum(failed)


def check_taking(event: Callable[[int], bytes], take: Callable[[Any], Any]) -> int:
    failed: list[bool] = []
    for number in numbers(failed):
        decoder = esl.Decoder()
        decoder.feed(event(1) + event(2) + event(3))
        messages = [decoder.next_message()]
        done, result = attempt(number, take, decoder)
        failed.append(not done)
        messages += [result] if done else []
        while len(messages) < 3:
            messages.append(take(decoder))
        assert [message.frame for message in messages] == [event(1), event(2), event(3)]
        assert decoder.next_message() is None
    return sum(failed)


def check_function(call: Callable[[], Any]) -> int:
    wanted = call()
    failed: list[bool] = []
    for number in numbers(failed):
        done, result = attempt(number, call)
        failed.append(not done)
        assert not done or result == wanted
        assert call() == wanted
    return sum(failed)


def check_eof(left: bytes) -> int:
    """`feed_eof` raises what it is to raise, or MemoryError, and changes nothing."""
    failed: list[bool] = []
    for number in numbers(failed):
        decoder = esl.Decoder()
        decoder.feed(plain_event(1) + left)
        try:
            done, _ = attempt(number, decoder.feed_eof)
        except esl.IncompleteFrame as error:
            done = True
            assert error.data == left  # noqa: PT017 - MemoryError is as good
        failed.append(not done)
        assert decoder.next_message().frame == plain_event(1)
        assert decoder.buffered == len(left)
    return sum(failed)


def main() -> None:
    """Print how many failures each operation has met."""
    gc.disable()  # one that runs would allocate, too
    for name, call in FUNCTIONS.items():
        print(name, check_function(call), flush=True)
    for event in EVENTS:
        for name, read in READING.items():
            print(event.__name__, name, check_reading(event, read), flush=True)
    for event in (*EVENTS, large_event):
        for name, put in FEEDING.items():
            print(event.__name__, name, check_feeding(event, put), flush=True)
        for name, take in TAKING.items():
            print(event.__name__, name, check_taking(event, take), flush=True)
    for left in (b"Content-Type: a", plain_event(2)[:-3]):
        print("feed_eof", check_eof(left), flush=True)
    print("done")


if __name__ == "__main__":
    sys.exit(main())
