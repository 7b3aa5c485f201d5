"""How much the tests do: once as much for everybody, and of the heavy ones a fifth unless all is asked for.

ESLCODEC_TEST_FULL=1 gives heavy tests their whole size; ESLCODEC_TEST_EXAMPLES=100 too, and a hundred times as much of
it to all random and long tests. Nothing else is imported: leaks.py measures the memory of the process that it is in.
"""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("ESLCODEC_TEST_EXAMPLES", "1"))
FULL = "ESLCODEC_TEST_EXAMPLES" in os.environ or os.environ.get("ESLCODEC_TEST_FULL") == "1"
HEAVY = FACTOR if FULL else 0.2  # for the tests that are marked heavy
