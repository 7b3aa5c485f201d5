"""An emulated switch in a process of its own, which fires numbered events, as it is told on standard input.

    python tests/kill_switch.py

It says its port. `fire COUNT RATE` fires so many more events, so many a second, and says how many that makes in all;
`drop` closes all connections; `count` says how many were fired. It ends with its input. The number of an event is in
its header `N`.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from eslcodec import Event
from eslcodec.emulator import Emulator

PAUSE: Final = 0.01  # seconds between two handfuls of events


class Played:
    """The switch, and what it has fired."""

    def __init__(self, switch: Emulator) -> None:
        self.switch = switch
        self.fired = 0
        self.wanted = 0
        self.rate = 1.0
        self.is_over = threading.Event()

    def run(self) -> None:
        """Fire what is wanted, at its rate."""
        before = time.monotonic()
        while not self.is_over.wait(PAUSE):
            now = time.monotonic()
            count = min(int((now - before) * self.rate), self.wanted - self.fired)
            if count > 0:
                self.switch._run(lambda count=count: self._fire(count))  # type: ignore[misc]
            if count > 0 or self.wanted == self.fired:
                before = now

    def _fire(self, count: int) -> None:
        for number in range(self.fired + 1, self.fired + count + 1):
            headers = {"N": str(number), "Unique-ID": f"u{number % 97}"}
            self.switch.fire(Event.build("DTMF", headers, "x" * (number % 500)))
        self.fired += count


def main() -> None:
    with Emulator() as switch:
        played = Played(switch)
        thread = threading.Thread(target=played.run)
        thread.start()
        print(switch.port, flush=True)
        try:
            for line in sys.stdin:
                what, *numbers = line.split()
                if what == "fire":
                    played.rate = float(numbers[1])
                    played.wanted += int(numbers[0])
                elif what == "drop":
                    switch.drop()
                print(played.wanted if what == "fire" else played.fired, flush=True)
        finally:
            played.is_over.set()
            thread.join()


if __name__ == "__main__":
    main()
