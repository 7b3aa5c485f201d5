"""What holds when threads meet: at one message, at their own decoders, at one decoder wrongly shared.

Threads change places as often as the interpreter can make them. ESLCODEC_TEST_EXAMPLES=20 goes on for twenty times as
long. On a free-threaded interpreter the same tests are the proof that the compiled core is safe there, as it declares:
without its critical sections they crash at once. `tools/free-threaded.sh` runs them, under ThreadSanitizer if asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from sizes import FACTOR
from support import OK, api_response, decode, frame, part, pieces, plain, receive, snapshot
from threads_support import FRAMES, PAYLOADS, event_of

JOIN = 100.0  # seconds: what takes longer hangs

pytestmark = pytest.mark.timeout(120 * FACTOR)


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads change places after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*works: Callable[[], object]) -> None:
    """Each in a thread of its own, all beginning at once; raises what the first of them raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            start.wait(JOIN)
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN * FACTOR)
        assert not thread.is_alive(), "hangs"
    if failures:
        raise failures[0]


def answers(count: int, ask: Callable[[Any], Any], message: Any) -> list[Any]:
    """What so many threads get that ask the same at once."""
    got: list[Any] = []
    together(*[lambda: got.append(ask(message))] * count)
    return got


# One message, many threads


@pytest.mark.parametrize("name", PAYLOADS)
def test_whoever_reads_a_message_first_all_read_the_same(esl: ModuleType, name: Any) -> None:
    data = event_of(name)
    wanted = snapshot(decode(esl, data)[0])
    for _ in range(10 * FACTOR):
        message = decode(esl, data)[0]
        assert answers(6, snapshot, message) == [wanted] * 6


@pytest.mark.parametrize("verb", ["asdict", "to_json", "pairs", "__len__", "body", "malformed", "select", "getlist"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_one_reader_method_from_many_threads_at_once(esl: ModuleType, name: Any, verb: str) -> None:
    def ask(message: Any) -> Any:
        asked = getattr(message, verb)
        if verb in ("select", "getlist"):
            return asked("list")
        return asked() if callable(asked) else (type(asked), str(asked))

    for _ in range(5 * FACTOR):
        fresh, message = decode(esl, event_of(name) * 2)
        assert answers(4, ask, message) == [ask(fresh)] * 4


@pytest.mark.parametrize("name", PAYLOADS)
def test_other_reader_methods_from_many_threads_at_once(esl: ModuleType, name: Any) -> None:
    asks = [
        lambda message: message.get("list"),
        lambda message: message.asdict(),
        lambda message: message.select("absent", "Event-Name", errors="replace"),
        lambda message: message.pairs(),
        lambda message: (message.sequence, message.name),
        lambda message: message.to_dict(),
        lambda message: message.asdict(errors="replace"),
    ]
    (fresh,) = decode(esl, event_of(name))
    wanted = [ask(fresh) for ask in asks]
    for _ in range(5 * FACTOR):
        (message,) = decode(esl, event_of(name))
        got: list[Any] = [None] * len(asks)

        def answer(at: int, message: Any = message, got: list[Any] = got) -> None:
            got[at] = asks[at](message)

        together(*[partial(answer, at) for at in range(len(asks))])
        assert got == wanted
        assert [ask(message) for ask in asks] == wanted


def test_messages_that_share_what_a_decoder_remembers_are_read_at_once(esl: ModuleType) -> None:
    """Names and earlier events are kept for all of a decoder's messages, and forgotten when they are too many."""
    payloads = [
        b"Event-Name: N%d\nname-%d: %d\nsame: x%%20y\nname-%d: z\n\n" % (number % 7, number % 300, number, number)
        for number in range(600)
    ]
    messages = decode(esl, b"".join(map(plain, payloads)))
    wanted = [(message.asdict(), message.to_json()) for message in decode(esl, b"".join(map(plain, payloads)))]

    def work(first: int) -> None:
        for at in [*range(first, len(messages)), *range(first)]:
            assert (messages[at].asdict(), messages[at].to_json()) == wanted[at]

    for _ in range(FACTOR):
        together(*[lambda first=first: work(first) for first in (0, 0, 150, 450)])


def test_an_official_event_is_asked_from_many_threads(esl: ModuleType) -> None:
    ESL = part(esl, "ESL")
    kinds = part(esl, "_codec").MessageDecoder(part(esl, "_esl.frames").KINDS, part(esl, "_codec").Message)

    def ask(event: Any) -> Any:
        found = [event.getHeader(name) for name in ("variable_x", "Event-Name", "none", "EVENT-NAME")]
        return [*found, event.getHeader("list", 1), event.getBody(), event.getType()]

    for _ in range(20 * FACTOR):
        kinds.feed(event_of("plain"))
        event = ESL.ESLevent._received(kinds.next_message())
        assert answers(4, ask, event) == [["a b", "DTMF", None, "DTMF", "2", "body", "DTMF"]] * 4


def test_an_official_event_is_changed_while_it_is_read(esl: ModuleType) -> None:
    """Each reader gets what stood there at some time."""
    ESL = part(esl, "ESL")
    event = ESL.ESLevent("DTMF")
    event.addHeader("a", "0")
    changed = threading.Event()

    def change() -> None:
        try:
            for number in range(1000 * FACTOR):
                event.delHeader("a")
                event.addHeader("a", str(number))
                event.addHeader(f"b{number}", "x")
                event.delHeader(f"b{number - 5}")
        finally:
            changed.set()

    def read() -> None:
        while not changed.is_set():
            found = event.getHeader("a")
            assert found is None or found.isdigit()
            name = event.firstHeader()
            while name is not None:
                event.getHeader(name)
                name = event.nextHeader()

    together(change, read, read)
    assert event.getHeader("a") == str(1000 * FACTOR - 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_changes_events_though_a_thread_was_at_it_when_it_was_forked(esl: ModuleType) -> None:
    code = """
import os, threading
from eslcodec import ESL
from eslcodec._esl import event as shared
held = threading.Event()
def hold():
    with shared._LOCK:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    event = ESL.ESLevent("DTMF")
    event.addHeader("A", "1")
    os._exit(0 if event.getHeader("A") == "1" else 1)
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        capture_output=True,
        text=True,
        env={**os.environ, "ESLCODEC_IMPL": esl.__impl__},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


# Many decoders, many threads


def test_decoders_of_different_threads_do_not_meet(esl: ModuleType) -> None:
    data = STREAM
    wanted = [snapshot(message) for message in decode(esl, data)]

    def work(size: int) -> None:
        for feed in (lambda decoder, chunk: decoder.feed(chunk), receive):
            decoder = esl.Decoder()
            seen: list[Any] = []
            for chunk in pieces(data, size, 3 * size):
                feed(decoder, chunk)
                seen += map(snapshot, decoder)
            decoder.feed_eof()
            assert seen == wanted

    for _ in range(FACTOR):
        together(*[lambda size=size: work(size) for size in (50, 64, 333, 2000)])


def test_decoders_of_different_threads_remember_events_of_many_shapes(esl: ModuleType) -> None:
    """What they keep of them comes out of one budget of the process, which was read while another thread wrote it."""
    shapes = [[b"name-%d" % (shape * at) for at in range(20)] for shape in range(1, 40)]
    written = [plain(b"".join(b"%b: %d\n" % (name, at) for at, name in enumerate(names)) + b"\n") for names in shapes]
    members = [b",".join(b'"%b":"%d"' % (name, at) for at, name in enumerate(names)) for names in shapes]
    data = b"".join(written + [frame(b"Content-Type: text/event-json", b"{" + one + b"}") for one in members]) * 2
    wanted = [message.asdict() for message in decode(esl, data)]
    assert wanted[0] == {f"name-{at}": str(at) for at in range(20)}

    def work() -> None:
        assert [message.asdict() for message in decode(esl, data)] == wanted

    for _ in range(2 * FACTOR):
        together(*[work] * 4)


def test_functions_without_a_state_are_called_at_once(esl: ModuleType) -> None:
    block = b"A: 1%20\nB: ARRAY::a|:b\nA: 2\n\n"

    def work() -> None:
        for _ in range(500 * FACTOR):
            assert esl.parse_headers(block) == {"A": "1 ", "B": "ARRAY::a|:b"}
            assert esl.parse_pairs(block)[2] == ("A", "2")
            assert esl.unquote(esl.quote(bytes(range(256)))) == bytes(range(256))

    together(*[work] * 4)


def test_a_decoder_may_go_from_thread_to_thread(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    messages: list[Any] = []
    chunks = pieces(STREAM, 777)

    def work(chunk: bytes) -> None:
        decoder.feed(chunk)
        messages.extend(decoder)

    for at in range(len(chunks)):
        thread = threading.Thread(target=work, args=(chunks[at],))
        thread.start()
        thread.join(JOIN)
    assert messages == decode(esl, STREAM)


# One decoder, wrongly shared

STREAM = b"".join(FRAMES) + OK + event_of("json") + event_of("xml") + api_response(b"UP\n")


def join(parts: tuple[bytes, bytes | None]) -> bytes:
    return parts[0] + (parts[1] or b"")


class Shared:
    """What several threads do with one decoder, and what comes of it."""

    def __init__(self, esl: Any, decoder: Any) -> None:
        self.esl = esl
        self.decoder = decoder
        self.fed = False
        self.frames: list[bytes] = []
        self.unfinished: set[bytes] = set()

    def take(self) -> None:
        while True:
            fed = self.fed
            one = self.next()
            if one is not None:
                self.frames.append(one)
            elif fed:
                return

    def next(self) -> bytes | None:
        if isinstance(self.decoder, self.esl.Decoder):
            message = self.decoder.next_message()
            return None if message is None else message.frame
        parts = self.decoder.next_frame()
        return None if parts is None else join(parts)

    def iterate(self) -> None:
        while True:
            fed = self.fed
            before = len(self.frames)
            self.frames += [one.frame if isinstance(one, self.esl.Message) else join(one) for one in self.decoder]
            if fed and before == len(self.frames):
                return

    def ask_for_the_end(self) -> None:
        while not self.fed:
            try:
                self.decoder.feed_eof()
            except self.esl.IncompleteFrame as error:
                self.unfinished.add(error.data)
            assert self.decoder.buffered >= 0
            assert self.decoder.consumed >= 0

    def feed(self, *sizes: int) -> None:
        for _ in range(20 * FACTOR):
            for chunk in pieces(b"".join(FRAMES), *sizes):
                self.decoder.feed(chunk)

    def feed_whole(self) -> None:
        for _ in range(10 * FACTOR):
            for one in FRAMES:
                self.decoder.feed(one)

    def until_fed(self, *feeding: Callable[[], None]) -> Callable[[], None]:
        """One thread that feeds, or begins others that do, and then says so."""

        def work() -> None:
            try:
                together(*feeding)
            finally:
                self.fed = True

        return work


@pytest.fixture(params=["Decoder", "FrameSplitter"])
def shared(request: pytest.FixtureRequest, esl: Any) -> Shared:
    return Shared(esl, getattr(esl, request.param)())


def test_each_frame_comes_out_once_whoever_asks(shared: Any) -> None:
    """`feed_eof` of the compiled core left the state that it found after another thread had gone on: it crashed."""
    feeding = shared.until_fed(lambda: shared.feed(20, 90, 7))
    together(feeding, shared.take, shared.take, shared.iterate, shared.ask_for_the_end, shared.ask_for_the_end)
    assert Counter(shared.frames) == Counter(FRAMES * 20 * FACTOR)
    assert shared.decoder.buffered == 0
    assert shared.decoder.consumed == 20 * FACTOR * sum(map(len, FRAMES))
    shared.decoder.feed_eof()
    assert all(any(one.startswith(data) for one in FRAMES) for data in shared.unfinished)


def test_each_frame_comes_out_once_though_several_feed(shared: Any) -> None:
    feeding = shared.until_fed(shared.feed_whole, shared.feed_whole, shared.feed_whole)
    together(feeding, shared.take, shared.iterate)
    assert Counter(shared.frames) == Counter(FRAMES * 30 * FACTOR)
    assert shared.decoder.buffered == 0


def test_damage_is_found_by_everybody(shared: Any) -> None:
    """Before it come the frames before it, once; behind it comes the error, for each who asks, and nothing else."""
    errors: list[str] = []

    def take() -> None:
        try:
            shared.take()
        except shared.esl.InvalidContentLength as error:
            errors.append(str(error))

    def feed() -> None:
        shared.feed_whole()
        shared.decoder.feed(b"Content-Length: x\n\n" + OK)
        shared.feed_whole()

    together(shared.until_fed(feed), take, take, take)
    assert errors == ["read Content-Length 'x', expected ASCII digits"] * 3
    assert Counter(shared.frames) == Counter(FRAMES * 10 * FACTOR)


def test_a_buffer_given_to_several_at_once_breaks_nothing(shared: Any) -> None:
    """Who writes where another one writes has mixed the stream up: it may become anything, but for a crash."""
    allowed = (ValueError, shared.esl.ProtocolError)

    def fill() -> None:
        for number in range(300 * FACTOR):
            data = FRAMES[number % len(FRAMES)]
            try:
                with shared.decoder.get_buffer(len(data)) as room:
                    room[: len(data)] = data
                shared.decoder.buffer_updated(len(data))
                shared.decoder.feed(data)
                shared.next()
            except allowed:
                pass

    together(*[fill] * 4)
    assert 0 <= shared.decoder.buffered <= 2 * 4 * 300 * FACTOR * max(map(len, FRAMES))
    with suppress(ValueError):
        shared.decoder.buffer_updated(0)
    with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\)$"):
        shared.decoder.buffer_updated(0)


def test_a_class_of_messages_may_feed_the_decoder_that_makes_it(esl: ModuleType) -> None:
    """Its `__new__` is anybody's code: what it does to the decoder does not change the message that is being made."""
    core = part(esl, "_codec")
    decoder: Any = None

    class Greedy(core.Message):  # type: ignore[misc, name-defined]
        def __new__(cls, *arguments: Any) -> Any:
            if decoder.consumed < 100_000:
                decoder.feed(FRAMES[96] * 50)
            return super().__new__(cls)

    decoder = core.MessageDecoder({}, Greedy)
    decoder.feed(FRAMES[96] * 3 + FRAMES[96][:9])
    decoder.feed(FRAMES[96][9:])
    for count in range(1, 30):
        message = decoder.next_message()
        assert message.frame == FRAMES[96]
        assert message.asdict() == {"Event-Name": "N96", "A": "x" * 96}
        assert decoder.consumed == count * len(FRAMES[96])


def test_memory_is_given_out_and_moved_at_once(esl: ModuleType) -> None:
    """A memoryview says who owns it; that one can be opened again, in any thread, while its decoder is fed."""
    decoder = esl.Decoder(max_buffered=1 << 30)
    owners: list[Any] = [decoder.get_buffer().obj]
    fed = threading.Event()

    def feed() -> None:
        for _ in range(100 * FACTOR):
            decoder.feed(b"x" * 150_000)
            with suppress(ValueError):
                owners[0] = decoder.get_buffer().obj
                decoder.buffer_updated(0)

    def feed_together() -> None:
        try:
            together(feed, feed)
        finally:
            fed.set()

    def write() -> None:
        while not fed.is_set():
            with suppress(BufferError), memoryview(owners[0]) as room:
                room[:1000] = b"y" * 1000

    together(feed_together, write, write)
    assert decoder.buffered == 2 * 100 * FACTOR * 150_000


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="not a free-threaded interpreter")
def test_the_package_does_not_bring_the_lock_of_the_interpreter_back(esl: ModuleType) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    code = "import eslcodec, eslcodec.ESL, eslcodec.sync, sys; print(eslcodec.__impl__, sys._is_gil_enabled())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        capture_output=True,
        text=True,
        env={**environment, "ESLCODEC_IMPL": esl.__impl__},
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, f"{esl.__impl__} False\n"), done.stderr
