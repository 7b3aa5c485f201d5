"""The wheels that a release has: `check_wheels.py` asks cibuildwheel for its list, `check_wheels.py DIST` looks there.

The list is here as well as in pyproject.toml, which tells cibuildwheel what to build. So neither a pattern that matches
too little nor a new cibuildwheel changes it unseen. In DIST each wheel must be there, with its extension.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from check_dist import ROOT, check_sdist, check_wheel

PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314", "cp315", "cp314t", "cp315t")
LINUX = ("x86_64", "i686", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64")
PLATFORMS = {
    "linux": [f"{libc}_{machine}" for libc in ("manylinux", "musllinux") for machine in LINUX],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64", "win_arm64", "win32"],
}
INTENDED = {name: {f"{python}-{tag}" for python in PYTHONS for tag in tags} for name, tags in PLATFORMS.items()}
INTENDED["pyodide"] = {"cp314-pyodide_wasm32"}
VERSIONS = re.compile(r"(?<=[a-z])\d*(_\d+){0,2}(?=_)")  # manylinux_2_28_x86_64, manylinux2014_x86_64


def listed(platform: str) -> set[str]:
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform, str(ROOT)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def check_lists() -> None:
    for platform, intended in INTENDED.items():
        found = listed(platform)
        if found != intended:
            sys.exit(f"{platform}: missing {sorted(intended - found)}, not intended {sorted(found - intended)}")
        print(f"{platform}: {len(found)} wheels, as intended")


def identifiers(wheel: Path) -> set[str]:
    """What cibuildwheel calls a wheel of this name."""
    *_, abi, platforms = wheel.stem.split("-")
    tags = [VERSIONS.sub("", platform, count=1) for platform in platforms.split(".")]
    return {f"{abi}-{tag.replace('pyemscripten', 'pyodide')}" for tag in tags}


def check_files(dist: Path) -> None:
    wheels = sorted(dist.glob("*.whl"))
    pure = [wheel for wheel in wheels if wheel.name.endswith("-py3-none-any.whl")]
    found = {identifier for wheel in wheels if wheel not in pure for identifier in identifiers(wheel)}
    intended = set().union(*INTENDED.values())
    if found != intended or len(pure) != 1:
        sys.exit(f"{dist}: missing {sorted(intended - found)}, not intended {sorted(found - intended)}, pure {pure}")
    (sdist,) = dist.glob("*.tar.gz")
    check_sdist(sdist)
    for wheel in wheels:
        check_wheel(wheel)


def main() -> None:
    if len(sys.argv) > 1:
        check_files(Path(sys.argv[1]))
    else:
        check_lists()


if __name__ == "__main__":
    main()
