"""Eight emulated switches, cut, frozen and restarted for some seconds; tests/fleet_soak.py does it with fifty."""

from __future__ import annotations

import pytest
from fleet_soak import Soak, descriptors
from support import until


@pytest.mark.timeout(120)
def test_what_comes_is_what_was_sent_but_for_the_gaps_that_are_told() -> None:
    before = descriptors()
    soak = Soak(8, 8.0, seed=18, faults=3.0)
    soak.run()
    assert soak.verdict() == []
    until(lambda: descriptors() <= before)
    assert {tasks for _, tasks, _ in soak.marks} <= set(range(8, 8 + 2 + 3 * 8))  # one each, two more after a gap
    assert sum(seen.gaps for seen in soak.seen.values()) > 0  # a dozen, unless the machine is busy
    assert sum(seen.came for seen in soak.seen.values()) > 100
