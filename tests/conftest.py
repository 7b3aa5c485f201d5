"""Every test that takes `esl` runs on both cores, or on that of ESLCODEC_IMPL; `both` gives the pair, to compare them.

ESLCODEC_TEST_REQUIRE_C=1 makes a missing compiled core a failure instead of a skip. ESLCODEC_TEST_EXAMPLES=100 runs the
random tests a hundred times as long, ESLCODEC_TEST_FULL=1 the heavy ones at their whole size (sizes.py); with CI set
they are the same cases each time. ESLCODEC_TEST_SECOND=1 says that the suite ran on the other core just before: what
stands on the core, and is the same Python for both, is left out (`ONCE`).
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import support
from esl_support import framed, strictly, wires
from hypothesis import HealthCheck, settings

for path in Path(__file__).parent.glob("*_support.py"):
    if path.stem not in sys.modules:
        pytest.register_assert_rewrite(path.stem)  # what differs is shown of their assertions too

_RUNNING = "bridge|consume|fleet|health|kill|overlap|publisher|sinks"
ONCE = re.compile(rf"tests/(cli|packaging)/|tests/ingest/test_({_RUNNING})")
"""Where the tests are which start programs, servers or many connections: for what they try the core is any."""

settings.register_profile(
    "default",
    deadline=None,  # machines differ; no test here is about time
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_report_header() -> str:
    import eslcodec

    return f"eslcodec core: {eslcodec.__impl__} ({os.path.dirname(eslcodec.__file__)})"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a test inside a generator: an exception that a test raises at some line of a `finally` can leave another one
    behind as "being handled" (CPython 3.11), which every later test of the process would have as its `__context__`."""

    def test() -> Iterator[None]:
        arguments = pyfuncitem._fixtureinfo.argnames
        yield pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in arguments})

    next(test())
    return True


@pytest.hookimpl(trylast=True)  # hypothesis marks its tests in this hook too
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Property tests have no time limit: on a slow machine they take long, and are right all the same. Heavy tests come
    first: at the end nobody waits for one of them."""
    if os.environ.get("ESLCODEC_TEST_SECOND") == "1":
        config.hook.pytest_deselected(items=[item for item in items if ONCE.match(item.nodeid)])
        items[:] = [item for item in items if not ONCE.match(item.nodeid)]
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.timeout(0))
    items.sort(key=lambda item: item.get_closest_marker("heavy") is None)


def core_or_skip(core: str) -> ModuleType:
    try:
        return support.load_core(core)
    except ImportError as error:
        reason = f"no compiled core: {error}"
    if os.environ.get("ESLCODEC_TEST_REQUIRE_C") == "1" and os.environ.get("ESLCODEC_IMPL") != "python":
        pytest.fail(f"ESLCODEC_TEST_REQUIRE_C=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def what_is_installed() -> Iterator[None]:
    """Refuses to start a Python that would import the checkout, which has no compiled core."""
    start = subprocess.Popen.__init__

    def checked(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        words = [args] if isinstance(args, (str, bytes, os.PathLike)) else [*args]
        imports = sys.executable in words and not {"-c", "-m"}.isdisjoint(words) and "-I" not in words
        if imports and options.get("cwd") is None and os.path.isdir("eslcodec"):
            raise RuntimeError(f'{words} without cwd="/"')
        start(self, args, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", checked)
        yield


@pytest.fixture(scope="session", params=support.CORES)
def esl(request: pytest.FixtureRequest) -> ModuleType:
    """The whole package bound to one core."""
    return core_or_skip(request.param)


@pytest.fixture(scope="session")
def both() -> tuple[ModuleType, ModuleType]:
    """The package bound to the compiled core, and bound to its Python twin."""
    return core_or_skip("c"), core_or_skip("python")


# The drop-in for the official module


@pytest.fixture
def ESL(esl: ModuleType) -> Iterator[Any]:
    """The module under test, with its default behaviour."""
    module = support.part(esl, "ESL")
    with strictly(module, False):
        yield module


@pytest.fixture(params=[False, True], ids=["default", "strict"])
def strict(request: pytest.FixtureRequest, ESL: Any) -> Iterator[Any]:
    """Both behaviours, one after the other."""
    with strictly(ESL, request.param):
        yield request.param


@pytest.fixture
def wire_of(ESL: Any) -> Iterator[Any]:
    """Makes outbound connections whose peers have said everything already."""
    with wires(ESL) as make:
        yield make


@pytest.fixture(params=["built", "plain", "json"])
def dtmf(request: pytest.FixtureRequest, ESL: Any) -> Any:
    """An event with one header, made here or received; the second kind is not read before it must be."""
    if request.param == "built":
        return ESL.ESLevent("DTMF")
    with wires(ESL) as wire_of:
        return wire_of(framed(request.param, [], None)).con.recvEvent()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses connections: it is bound, but nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def set_level(esl: ModuleType, ESL: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`eslSetLogLevel`, which cannot be taken back by a program."""
    shared = support.part(esl, "_esl.settings")
    monkeypatch.setattr(shared, "log_level", shared.log_level)
    return ESL.eslSetLogLevel
