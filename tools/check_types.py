"""Check the types that users get: `check_types.py`, run by a Python that has eslcodec and mypy installed.

1. `mypy --strict` on tests/typing_user.py, a program that uses every public name, with the installed package: so
   py.typed and what is shipped are checked too.
2. `stubtest` on the compiled core and on the compiled columns, each with its Python twin as the stub: checkers read
   the twin, so it must be true of what runs. Seen are names, parameters with their kinds and defaults, overloads, class
   or function. What C shows nothing of is not seen: the types of arguments, results and properties. Every test that
   runs on both cores compares them.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

USER = Path(__file__).resolve().parent.parent / "tests" / "typing_user.py"

CORE = "eslcodec._codec_c"
ON_PURPOSE = [  # what differs, as regular expressions after the core's name
    r"__(impl|build)__",
    r"(FRAME|FRAME_ENCODED|PLAIN|JSON|XML|FORMAT_NAMES|PAYLOAD_FORMATS)",  # the twin's own, and the next line too
    r"(all_replaced|read_payload|replaced|replaces|split_array|to_json|to_mapping)",
    r"(Budget|EXPECTED|JsonMemo|JsonPayload|KnownDicts|Memo|Messages|Named|Names|Store|Window|XmlPayload)",  # C's own
    r"(\w+\.)?(__test__|__(reduce|setstate)_cython__)",  # Cython's
    r"\w+\._[a-z]\w*",
    r"Message\.__reversed__",  # None there, and inherited here
]


COLUMNS = "eslcodec._columns_c"
COLUMNS_ON_PURPOSE = [
    r"(fail_after|stream_of|stream_of_all)",  # for tests; how batches become one stream is another matter in each
    r"[A-Z_]+",
    r"(\w+\.)?(__test__|__(reduce|setstate)_cython__)",
    r"(\w+\.)?_[a-z]\w*",
]


def package() -> Path:
    """Where the installed eslcodec lies."""
    found = importlib.util.find_spec("eslcodec")
    if found is None or found.origin is None:
        sys.exit("eslcodec is not installed here")
    return Path(found.origin).parent


def mypy(module: str, *arguments: str, path: Path | None, folder: Path) -> int:
    """Run one of mypy's programs in an empty folder, so that nothing of a checkout is found by chance."""
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    if path is not None:
        environment["MYPYPATH"] = str(path)
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, env=environment).returncode


def check_user(installed: Path, folder: Path) -> int:
    path = None if str(installed.parent) in site.getsitepackages() else installed.parent
    return mypy("mypy", "--strict", "--config-file=", str(USER), path=path, folder=folder)


def check_core(installed: Path, folder: Path) -> int:
    return check_twin(CORE, joined(installed), ON_PURPOSE, installed, folder / "core")


def check_columns(installed: Path, folder: Path) -> int:
    twin = (installed / "ingest" / "_columns_py.py").read_text(encoding="utf-8")
    twin = re.sub(r"from \.(?!\.)", "from .ingest.", twin).replace("from .ingest. import", "from .ingest import")
    twin = twin.replace("from ..", "from .").replace("from . import limits", "from eslcodec import limits")
    return check_twin(COLUMNS, twin, COLUMNS_ON_PURPOSE, installed, folder / "columns")


def check_twin(module: str, twin: str, on_purpose: list[str], installed: Path, folder: Path) -> int:
    """stubtest on a compiled module, with the text of its twin as the stub."""
    if importlib.util.find_spec(module) is None:
        print(f"no {module} here: nothing to compare with its twin")
        return 0
    name = module.rpartition(".")[2]
    stubs = folder / "stubs"
    shutil.copytree(installed, stubs / "eslcodec", ignore=lambda _, names: [n for n in names if n.startswith(name)])
    (stubs / "eslcodec" / f"{name}.pyi").write_text(twin, encoding="utf-8")
    config, allowed = folder / "mypy.ini", folder / "allowed"
    # The stub has bodies, and they use what it does not have.
    config.write_text(f"[mypy]\n[mypy-{module}]\nignore_errors = True\n")
    allowed.write_text("".join(rf"{re.escape(module)}\.{name}" + "\n" for name in on_purpose))
    flags = ["--concise", "--ignore-positional-only", "--ignore-disjoint-bases"]
    where = ["--allowlist", str(allowed), "--mypy-config-file", str(config)]
    return mypy("mypy.stubtest", module, *flags, *where, path=stubs, folder=folder)


def joined(installed: Path) -> str:
    """What `_codec_py` offers, as one module: stubtest does not compare what a module takes from another."""
    modules = [
        ast.parse(path.read_text(encoding="utf-8")).body
        for path in [installed / "_codec_py.py", *sorted(installed.glob("_core/*.py"))]
    ]
    taken = [alias for node in modules[0] if isinstance(node, ast.ImportFrom) for alias in node.names]
    offered = {alias.name for alias in taken if alias.name == alias.asname} | {"__impl__", "__build__"}
    kept = [node for module in modules for node in module if belongs(node, offered)]
    for node in kept:
        if isinstance(node, ast.ImportFrom):
            node.level = min(node.level, 1)  # it is a module of the package, as `_codec_py` is
    return "\n".join(map(ast.unparse, kept))


def belongs(node: ast.stmt, offered: set[str]) -> bool:
    """Whether a statement makes a name that is offered, or takes one from elsewhere than the rooms."""
    if isinstance(node, ast.ImportFrom):
        return node.level != 1
    name = getattr(node, "name", None) or getattr(getattr(node, "target", None), "id", None)
    return name in offered or isinstance(node, (ast.Import, ast.If))


def main() -> int:
    installed = package()
    with tempfile.TemporaryDirectory() as folder:
        print(f"types of {installed}", flush=True)
        checks = (check_user, check_core, check_columns)
        return next((code for check in checks if (code := check(installed, Path(folder)))), 0)


if __name__ == "__main__":
    sys.exit(main())
