"""The traps of packaging (.ci/run lists them) that can be seen without building; tools/check_dist.py sees others."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from layout import CLOSED, FOR_TYPES, MODULES, ORDER, PACKAGE

import eslcodec

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
OPTIONAL = {"cli": ("click", "rich")}  # module -> what its extra brings
EXAMPLES = {"": 5, "events": 5, "_core.text": 2, "_core.lines": 3, "_core.splitter": 3, "_core.message": 10}  # at least


def submodule(package: Any, name: Any) -> Any:
    for needed in OPTIONAL.get(name, ()):
        pytest.importorskip(needed, reason=f"eslcodec.{name} needs the extra that brings {needed}")
    return importlib.import_module(f"{package.__name__}.{name}")


@pytest.mark.parametrize("name", ["", *MODULES])
def test_examples_in_docstrings_are_true(esl: ModuleType, name: Any) -> None:
    module = submodule(esl, name) if name else esl
    before = dict(vars(module))
    result = doctest.testmod(module, raise_on_error=False)
    vars(module).update(before)  # eslSetLogLevel holds for the process, and other tests count on what is set at first
    assert result.failed == 0
    assert result.attempted >= EXAMPLES.get(name, 0)


def test_examples_of_the_compiled_core_are_true(both: tuple[ModuleType, ModuleType]) -> None:
    c, _ = both
    result = doctest.testmod(importlib.import_module(f"{c.__name__}._codec_c"))
    assert result.failed == 0
    assert result.attempted >= 20


def test_version_is_that_of_the_distribution() -> None:
    try:
        version = importlib.metadata.version("eslcodec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("eslcodec is imported from a folder, not installed")
    assert version == eslcodec.__version__


def test_distribution_says_where_its_source_is() -> None:
    try:
        urls = dict(url.split(", ") for url in importlib.metadata.metadata("eslcodec").get_all("Project-URL") or ())
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("eslcodec is imported from a folder, not installed")
    assert {"Source", "Documentation", "Changes", "Issues", "Security"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())


def test_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_tests_are_no_package() -> None:
    assert not (TESTS / "__init__.py").exists(), "it would make pytest import the checkout instead of what is installed"


def test_pytest_imports_what_is_installed(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("importmode") == "importlib"


def test_import_is_light() -> None:
    """Nothing of what a decoder does not need: no sockets, no event loop, no command line, no XML."""
    code = "import sys; before = set(sys.modules); import eslcodec; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    loaded = {name.split(".")[0] for name in done.stdout.split()} | set(done.stdout.split())
    heavy = {
        "asyncio",
        "socket",
        "ssl",
        "selectors",
        "click",
        "rich",
        "lzma",
        "gzip",
        "subprocess",
        "typing_extensions",
    }
    assert loaded & heavy == set()
    assert "eslcodec.events" in loaded
    assert "eslcodec.cli" not in loaded


def imported(name: Any) -> Iterator[Any]:
    """What of ours a module imports, at its top or where it is needed."""
    path = PACKAGE.joinpath(*name.split("."))
    is_package = path.is_dir()
    tree = ast.parse((path / "__init__.py" if is_package else path.with_suffix(".py")).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*name.split("."), ""] if is_package else name.split(".")
            above = [*parts[: len(parts) - node.level], *(node.module or "").split(".")]
            whole = ".".join(filter(None, above))
            for other in [whole] if node.module else [f"{whole}.{alias.name}".strip(".") for alias in node.names]:
                place = other if other in MODULES else other.split(".")[0]
                if place in (*MODULES, *CLOSED) and (name, place) not in FOR_TYPES:  # and not a name of the package
                    yield place


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_only_what_stands_to_its_left(name: Any) -> None:
    rank = {module: at for at, modules in enumerate(ORDER) for module in modules}
    assert name in rank, f"where in ORDER is {name}?"
    for other in imported(name):
        assert rank[other] <= rank[name], f"{name} imports {other}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: set(imported(name)) - {name} for name in MODULES}
    done = set()
    while free := {name for name in graph.keys() - done if graph[name] & graph.keys() <= done}:
        done |= free
    assert graph.keys() - done == set()


def test_core_knows_no_sockets() -> None:
    codec = ("_codec", "_codec_py", "events", "errors", "limits", "enums", "_json", "_xml")
    for path in [*(PACKAGE / f"{name}.py" for name in codec), *PACKAGE.glob("_core/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {"socket", "asyncio", "ssl", "select"} & set(names)


in_checkout = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests stand beside no checkout")


@in_checkout
def test_packages_are_named_and_not_discovered() -> None:
    listed = re.search(r"^packages = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert listed is not None
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")}
    named = re.findall(r'"(eslcodec[\w.]*)"', listed[1])
    assert named == sorted(
        "eslcodec" if folder == "." else f"eslcodec.{folder.replace('/', '.')}" for folder in folders
    )


@in_checkout
def test_sdist_carries_the_source_of_the_compiled_core() -> None:
    assert "graft src" in (ROOT / "MANIFEST.in").read_text().splitlines()
    assert (ROOT / "src" / "_codec_c.pyx").exists()


@in_checkout
def test_no_pxd_beside_the_pyx() -> None:
    assert list((ROOT / "src").glob("*.pxd")) == [], "one with the module's own name would be ignored without a word"


@in_checkout
def test_optional_survives_cythonize() -> None:
    """cythonize() returns a copy without `optional`: setup.py must not hand that copy to setup()."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"]
    assert len(calls) == 1
    assert "cythonize" not in ast.unparse(calls[0])


@in_checkout
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_help_lists_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, timeout=60)
    listed = re.findall(r"^make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert done.stderr == ""
    assert listed == [target for target in phony.split() if target not in ("measure", "preflight")]


@in_checkout
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="there is no pip")
@pytest.mark.parametrize("retries", [0, 1])
def test_pip_without_a_network_is_one_sentence(retries: int, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # where nobody listens
        "PIP_RETRIES": str(retries),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "no_proxy": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "tools" / "install.py"), "--quiet", "download", "setuptools>=77"],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("pip cannot get setuptools>=77")
    assert line.endswith(": it needs a network, or PIP_INDEX_URL or PIP_FIND_LINKS to name a place that has it.")


@in_checkout
def test_what_else_pip_says_is_shown() -> None:
    sentence = runpy.run_path(str(ROOT / "tools" / "install.py"))["sentence"]
    assert sentence("error: subprocess-exited-with-error: gcc: command not found") is None
    assert sentence("ERROR: Could not find a version that satisfies the requirement a>=9 (from versions: 1.0)") is None
    others = "ERROR: Ignored the following versions that require a different python version: 1.0\n"
    assert (
        sentence(f"{others}ERROR: Could not find a version that satisfies the requirement a (from versions: none)")
        is None
    )
