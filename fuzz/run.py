"""Runs the fuzz targets, each for so many seconds: `python fuzz/run.py SECONDS [TARGET ...]`, all of them by default.

Prints the executions of each; exits with 1 if one of them found something, whose input is kept and shown.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

FOLDER = Path(__file__).parent
TARGETS = {  # and where its seeds are
    **{"decoder": "decoder", "headers": "headers"},
    **{"payload_plain": "plain", "payload_json": "json", "payload_xml": "xml"},
    **{"commands": "commands", "connection": "connection", "esl_event": "esl_event", "esl_frames": "decoder"},
    "recording": "recording",
}
HANG_SECONDS = 60  # an input takes milliseconds; a machine that is busy with other things may need more
SHOWN_LINES = 40


def fuzz(target: str, seconds: int, seed: int, corpus: Path, found: Path) -> tuple[bool, str]:
    """Whether nothing was found, and what is to be told."""
    own = corpus / f"of_{target}"  # what this run adds, and earlier ones with the same folder
    own.mkdir(exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    options = [
        *(f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", f"-timeout={HANG_SECONDS}"),
        f"-artifact_prefix={found / target}-",
    ]
    command = [sys.executable, str(FOLDER / f"{target}.py"), *options, str(own), str(corpus / TARGETS[target])]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    executions = re.search(r"number_of_executed_units:\s*(\d+)", done.stdout)
    told = f"{target}: {executions[1] if executions else 'no'} executions in {time.monotonic() - began:.0f} s"
    if done.returncode == 0:
        return True, told
    last = "\n".join(done.stdout.splitlines()[-SHOWN_LINES:])
    return False, f"{last}\n{told}, ended with exit code {done.returncode}: a finding if its input is in {found}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int)
    parser.add_argument("targets", nargs="*", default=[*TARGETS], metavar="target", help=", ".join(TARGETS))
    parser.add_argument("--jobs", type=int, default=1, help="targets that run at the same time")
    parser.add_argument("--seed", type=int, default=0, help="the same inputs each time; 0, the default, is chance")
    parser.add_argument("--corpus", type=Path, help="where inputs are kept from run to run; by default nowhere")
    parser.add_argument("--found", type=Path, default=Path("fuzz-findings"), help="where findings go")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: see README.md beside this file")
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as temporary:
        corpus = options.corpus or Path(temporary)
        subprocess.run([sys.executable, str(FOLDER / "seeds.py"), str(corpus)], check=True, stdout=subprocess.DEVNULL)

        def run(target: str) -> bool:
            well, told = fuzz(target, options.seconds, options.seed, corpus, options.found)
            print(told, flush=True)
            return well

        with ThreadPoolExecutor(options.jobs) as pool:
            well = [*pool.map(run, options.targets)]
    if all(well):
        with suppress(OSError):  # something from an earlier run is in it
            options.found.rmdir()
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
