"""What the tests of reconnection share: a client of either shell (`Shell` hides which), and a switch that is played."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from shells import Shell, Switch


@pytest.fixture
def switch() -> Iterator[Switch]:
    switch = Switch()
    yield switch
    switch.close()


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Shell]:
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


def quick(esl: ModuleType, **options: Any) -> Any:
    return esl.Backoff(**{"first": 0.01, "jitter": 0, "longest": 0.05, **options})
