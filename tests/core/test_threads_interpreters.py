"""What holds when another interpreter of the process takes the package beside the main one, or before it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest
from sizes import FACTOR
from support import OK, decode, load_core
from threads_support import FRAMES, event_of

pytestmark = pytest.mark.timeout(120 * FACTOR)

# Interpreters beside the main one

INTERPRETERS = next((name for name in ("_interpreters", "_xxsubinterpreters") if find_spec(name)), None)
IN_ANOTHER = """
import {interpreters} as interpreters, os, sys
if {main_first}:
    import eslcodec
    print("main", eslcodec.__impl__, flush=True)
code = '''
import sys
sys.path[:] = {path!r}
try:
    import eslcodec
except ImportError as error:
    print("ImportError", str(error).partition(": ")[0], flush=True)
else:
    decoder = eslcodec.Decoder()
    shown = []
    stream = bytes.fromhex("{stream}")
    for at in range(0, len(stream), 100):
        decoder.feed(stream[at : at + 100])
        shown += [(type(m).__name__, m.asdict(), m.body) for m in decoder]
    decoder.feed_eof()
    print("other", eslcodec.__impl__, shown, flush=True)
'''
made = {create}
failure = interpreters.run_string(made, code)
if failure is not None:
    print(failure)
interpreters.destroy(made)
import eslcodec
print("main", eslcodec.__impl__, eslcodec.Event.build("DTMF", [("A", "1")]).asdict()["A"])
"""
CREATE = {
    "_interpreters": {"isolated": 'interpreters.create("isolated")', "legacy": 'interpreters.create("legacy")'},
    "_xxsubinterpreters": {
        "isolated": "interpreters.create(isolated=True)",
        "legacy": "interpreters.create(isolated=False)",
    },
}


def spoken(kind: str) -> bytes:
    """What every interpreter can read: before Python 3.13 the module that reads XML is not for isolated ones."""
    with_xml = kind == "legacy" or sys.version_info >= (3, 13)
    return b"".join(FRAMES[:5]) + OK + event_of("json") + (event_of("xml") if with_xml else b"")


def in_another_interpreter(kind: str, wanted: str, main_first: bool = True) -> list[str]:
    """What the main interpreter, another one, and the main one again print."""
    assert INTERPRETERS is not None
    code = IN_ANOTHER.format(
        interpreters=INTERPRETERS,
        main_first=main_first,
        path=sys.path,
        stream=spoken(kind).hex(),
        create=CREATE[INTERPRETERS][kind],
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        capture_output=True,
        text=True,
        env={**os.environ, "ESLCODEC_IMPL": wanted},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


needs_interpreters = pytest.mark.skipif(INTERPRETERS is None, reason="this Python has no module for subinterpreters")
kinds = pytest.mark.parametrize(
    "kind",
    [
        "legacy",
        pytest.param(
            "isolated",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters have one lock before 3.12"),
        ),
    ],
)


def expected(kind: str) -> str:
    messages = decode(load_core("python"), spoken(kind))
    return str([(type(message).__name__, message.asdict(), message.body) for message in messages])


@needs_interpreters
@kinds
def test_another_interpreter_takes_the_python_core(esl: ModuleType, kind: Any) -> None:
    """The compiled core is for the interpreter that loaded it first, and says so to others."""
    other = f"other python {expected(kind)}"
    asked = "python" if esl.__impl__ == "python" else ""
    lines = in_another_interpreter(kind, asked)
    assert lines == [f"main {esl.__impl__}", other, f"main {esl.__impl__} 1"]


@needs_interpreters
@kinds
def test_another_interpreter_cannot_have_the_compiled_core(esl: ModuleType, kind: Any) -> None:
    if esl.__impl__ != "c":
        pytest.skip("needs the compiled core")
    lines = in_another_interpreter(kind, "c")
    assert lines == ["main c", "ImportError ESLCODEC_IMPL=c, but the compiled core is not there", "main c 1"]


@needs_interpreters
@kinds
def test_another_interpreter_may_be_the_first(esl: ModuleType, kind: Any) -> None:
    """Whichever core each of the two gets, both work."""
    if esl.__impl__ != "c":
        pytest.skip("needs the compiled core")
    if kind == "isolated" and sys.version_info < (3, 13):
        pytest.skip("CPython 3.12 crashes when datetime is imported after an isolated interpreter asked for it")
    other, main = in_another_interpreter(kind, "", main_first=False)
    assert other in [f"other {core} {expected(kind)}" for core in ("c", "python")]
    assert main in ("main c 1", "main python 1")
    if kind == "isolated":
        assert (other.split()[1], main) == ("python", "main c 1")
