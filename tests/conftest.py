"""Every test that takes `esl` runs on both cores, or on that of ESLCODEC_IMPL; `both` gives the pair, to compare them.

ESLCODEC_TEST_REQUIRE_C=1 makes a missing compiled core a failure instead of a skip. ESLCODEC_TEST_EXAMPLES=100 runs the
random tests a hundred times as long, ESLCODEC_TEST_FULL=1 the heavy ones at their whole size (sizes.py); with CI set
they are the same cases each time.
"""

from __future__ import annotations

import os
from types import ModuleType

import pytest
import support
from hypothesis import HealthCheck, settings

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


@pytest.hookimpl(trylast=True)  # hypothesis marks its tests in this hook too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Property tests have no time limit: on a slow machine they take long, and are right all the same."""
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.timeout(0))


def core_or_skip(core: str) -> ModuleType:
    try:
        return support.load_core(core)
    except ImportError as error:
        reason = f"no compiled core: {error}"
    if os.environ.get("ESLCODEC_TEST_REQUIRE_C") == "1" and os.environ.get("ESLCODEC_IMPL") != "python":
        pytest.fail(f"ESLCODEC_TEST_REQUIRE_C=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", params=support.CORES)
def esl(request: pytest.FixtureRequest) -> ModuleType:
    """The whole package bound to one core."""
    return core_or_skip(request.param)


@pytest.fixture(scope="session")
def both() -> tuple[ModuleType, ModuleType]:
    """The package bound to the compiled core, and bound to its Python twin."""
    return core_or_skip("c"), core_or_skip("python")
