"""A PostgreSQL server of a test's own: in a folder that goes with it, with a socket in that folder and no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
USER = "postgres"  # who runs it if root runs the tests: it refuses to be run by root


def programs() -> Path | None:
    """The folder of its programs, the newest; None if there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = [path.parent for place in PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    return max(folders, default=None, key=lambda folder: [int(word) for word in folder.parts if word.isdigit()])


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """A running one. Gives the environment in which `psql` and the like find it."""
    bin = programs()
    if bin is None or not hasattr(os, "geteuid"):
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    if "LD_PRELOAD" in os.environ:
        pytest.skip("PostgreSQL's programs hang with a sanitizer in front of them")
    user = USER if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="eslcodec-"))  # a socket's path is short, and another user gets there
    environment = {
        **os.environ,
        "PATH": f"{bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PGHOST": str(folder),
        "PGUSER": "postgres",
        "PGDATABASE": "postgres",
    }

    def run(program: str, *words: str) -> None:
        with (folder / "log").open("ab") as log:  # no pipe: the server keeps it open
            done = subprocess.run([bin / program, *words], cwd="/", user=user, stdout=log, stderr=log, timeout=100)
        assert done.returncode == 0, (folder / "log").read_text(errors="replace")

    data = str(folder / "data")
    try:
        if user is not None:
            shutil.chown(folder, user)
        run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        run("pg_ctl", "-D", data, "-w", "-o", f"-F -c listen_addresses='' -k '{folder}'", "start")
        try:
            yield environment
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
