"""The fixture `esl_switch`: an emulated switch for tests of programs that speak Event Socket.

Installed with the package; nothing but pytest is imported before a test asks for it.

    def test_my_program(esl_switch):
        my_program.connect(esl_switch.host, esl_switch.port, "ClueCon")
        esl_switch.wait_for(lambda: "event plain ALL" in esl_switch.commands)
        esl_switch.fire("CHANNEL_ANSWER", {"Unique-ID": "a1"})
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .emulator import Emulator


@pytest.fixture
def esl_switch() -> Iterator[Emulator]:
    """A running `eslcodec.emulator.Emulator`, stopped after the test, which fails if an API function raised."""
    from .emulator import Emulator

    with Emulator() as switch:
        yield switch
