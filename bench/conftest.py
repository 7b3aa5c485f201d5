"""What the benchmarks share: both cores, and this folder on sys.path."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import support  # of tests/, which pyproject.toml puts on sys.path

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", params=support.CORES)
def esl(request: pytest.FixtureRequest) -> ModuleType:
    """The whole package bound to one core."""
    try:
        return support.load_core(request.param)
    except ImportError as error:
        pytest.skip(f"the compiled core is not there: {error}")
