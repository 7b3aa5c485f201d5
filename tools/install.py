"""Run pip for `make`, and say in one sentence what is missing if there is no network: `install.py PIP-ARGUMENTS`.

Without a network pip prints a page of text that does not say what to do. Every other failure is shown as pip reports
it.
"""

from __future__ import annotations

import re
import subprocess
import sys

UNREACHABLE = re.compile(
    r"connection broken by|Max retries exceeded|ConnectionError|ConnectTimeout|ReadTimeout|ProxyError"
)
NOWHERE = re.compile(r"\(from versions: none\)")  # all that is said with PIP_RETRIES=0
OF_OTHER_PYTHONS = re.compile("Ignored the following versions that require a different")
WANTED = re.compile(r"(?:No matching distribution found for|satisfies the requirement) ([^\s(]+)")
CAUSE = re.compile(r"(?:\[Errno -?\d+\] |getaddrinfo failed|SSLError|Tunnel connection failed)[^'\")]*")


def sentence(said: str) -> str | None:
    """What to say instead of it, None if it is not for want of a network."""
    if UNREACHABLE.search(said) is None and (NOWHERE.search(said) is None or OF_OTHER_PYTHONS.search(said) is not None):
        return None
    wanted, cause = WANTED.search(said), CAUSE.search(said)
    return (
        f"pip cannot get {wanted[1] if wanted else 'what is needed'}{f' ({cause[0].strip()})' if cause else ''}: "
        "it needs a network, or PIP_INDEX_URL or PIP_FIND_LINKS to name a place that has it."
    )


def main() -> None:
    # -I: pip would look for what it imports in this folder first, and that is the checkout.
    command = [sys.executable, "-I", "-m", "pip", *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    instead = sentence(done.stdout) if done.returncode else None
    if instead is not None:
        sys.exit(instead)
    sys.stderr.write(done.stdout)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
