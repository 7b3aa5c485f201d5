"""Check what is in the sdist and the two wheels that `make dist` built from this checkout: `check_dist.py DIST`.

Every file of the source tree must have come along, each into the right archive, and nothing else.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
LARGEST_WHEEL = 1_500_000  # bytes
PURE = "-py3-none-any.whl"
COMPILED = (".so", ".pyd")
EXTENSIONS = ("eslcodec/_codec_c", "eslcodec/_columns_c")
NOT_STRIPPED = (b"\0.debug_info\0", b"\0.symtab\0")  # names of sections
PRODUCTS = (*COMPILED, ".pyc", ".pyo", "_codec_c.c", "_codec_c.html", "_columns_c.c", "_columns_c.html")


def tree(*folders: str) -> set[str]:
    """The files of the checkout that somebody wrote."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {path.relative_to(ROOT).as_posix() for path in paths if path.is_file() and not path.name.endswith(PRODUCTS)}


def check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    must = tree("src", "eslcodec", "tests", "bench", "docs", "examples", "fuzz", "tools")
    must |= {"CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "STABILITY.md"}
    must |= {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "setup.py", "PKG-INFO"}
    must |= {"src/_codec_c.pyx", "src/_columns_c.pyx", "eslcodec/py.typed", "eslcodec/data/sip_plain.esl.gz"}
    report(sdist, missing=must - names, surplus={name for name in names if name.endswith(PRODUCTS)})


def check_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        core = {name: archive.read(name) for name in names if name.endswith(COMPILED)}
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    must = tree("eslcodec") | {"eslcodec/py.typed", "eslcodec/data/sip_plain.esl.gz", f"{info}/licenses/LICENSE"}
    surplus = {name for name in names if PurePosixPath(name).parts[0] not in ("eslcodec", info)}
    surplus |= {name for name in names - must if name.startswith("eslcodec/") and not name.endswith(COMPILED)}
    for name, binary in core.items():
        if binary.startswith(b"\x7fELF") and any(section in binary for section in NOT_STRIPPED):
            sys.exit(f"{wheel.name}: {name} has debug info or symbols in it")
    if wheel.name.endswith(PURE):
        surplus |= core.keys()
    else:
        must |= {f"{module}.*" for module in EXTENSIONS if not any(name.startswith(f"{module}.") for name in core)}
    if wheel.stat().st_size > LARGEST_WHEEL:
        sys.exit(f"{wheel.name} has {wheel.stat().st_size:,} bytes, expected no more than {LARGEST_WHEEL:,}")
    report(wheel, missing=must - names, surplus=surplus)


def report(archive: Path, *, missing: set[str], surplus: set[str]) -> None:
    if missing or surplus:
        sys.exit(f"{archive.name}: missing {sorted(missing)}, should not be there {sorted(surplus)}")
    print(f"{archive.name}: complete")


def main() -> None:
    dist = Path(sys.argv[1])
    (sdist,) = dist.glob("*.tar.gz")
    check_sdist(sdist)
    pure, *platform = sorted(dist.glob("*.whl"), key=lambda wheel: not wheel.name.endswith(PURE))
    if len(platform) != 1 or not pure.name.endswith(PURE):
        sys.exit(f"{dist}: not one pure wheel and one for this platform: {[wheel.name for wheel in (pure, *platform)]}")
    check_wheel(pure)
    check_wheel(*platform)


if __name__ == "__main__":
    main()
