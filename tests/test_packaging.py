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
from pathlib import Path

import pytest

import eslcodec

PACKAGE = Path(eslcodec.__file__).parent
TESTS = Path(__file__).parent
ROOT = TESTS.parent
CLOSED = ("adapters", "cli")  # packages that stand in the order as one
ROOMS = ("aio", "sync")  # packages whose modules have a place each: their `__init__.py` is named as the package


def modules():
    for path in [*PACKAGE.glob("*.py"), *(path for room in ROOMS for path in PACKAGE.glob(f"{room}/**/*.py"))]:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts not in (("__init__",), ("__main__",)):
            yield ".".join(parts).removesuffix(".__init__")


MODULES = sorted(modules())
OPTIONAL = {"cli": ("click", "rich")}  # module -> what its extra brings


def submodule(package, name):
    for needed in OPTIONAL.get(name, ()):
        pytest.importorskip(needed, reason=f"eslcodec.{name} needs the extra that brings {needed}")
    return importlib.import_module(f"{package.__name__}.{name}")


@pytest.mark.parametrize("name", ["", *MODULES])
def test_examples_in_docstrings_are_true(esl, name):
    module = submodule(esl, name) if name else esl
    before = dict(vars(module))
    result = doctest.testmod(module, raise_on_error=False)
    vars(module).update(before)  # eslSetLogLevel holds for the process, and other tests count on what is set at first
    assert result.failed == 0
    if name in ("", "_codec_py", "events"):
        assert result.attempted >= 5


def test_examples_of_the_compiled_core_are_true(both):
    c, _ = both
    result = doctest.testmod(importlib.import_module(f"{c.__name__}._codec_c"))
    assert result.failed == 0
    assert result.attempted >= 20


def test_version_is_that_of_the_distribution():
    try:
        version = importlib.metadata.version("eslcodec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("eslcodec is imported from a folder, not installed")
    assert version == eslcodec.__version__


def test_distribution_says_where_its_source_is():
    try:
        urls = dict(url.split(", ") for url in importlib.metadata.metadata("eslcodec").get_all("Project-URL") or ())
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("eslcodec is imported from a folder, not installed")
    assert {"Source", "Documentation", "Changes", "Issues", "Security"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())


def test_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_tests_are_no_package():
    assert not (TESTS / "__init__.py").exists(), "it would make pytest import the checkout instead of what is installed"


def test_pytest_imports_what_is_installed(pytestconfig):
    assert pytestconfig.getoption("importmode") == "importlib"


def test_import_is_light():
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


# Each module imports only what stands before it. Foundations, core, events, then what writes.
ORDER = [
    {"limits", "errors", "enums", "_fork", "_script", "presets", "_ctext", "_address", "_renamed", "flow"},
    {"_caretaker"},
    {"_json", "_xml"},
    {"_codec_py"},
    {"_codec"},
    {"events"},
    {"reconnect"},
    {"headers", "render", "commands", "backoff", "_options"},
    {"subscriptions", "waits", "message_queue"},
    {"_words", "_block", "_getvar"},
    {"_pipeline"},
    {"_needs"},
    {"_jobs", "_channel"},
    {"_verbs"},
    {"connection"},
    {"_door"},
    {"sync._gate", "aio._loop"},
    {"sync._link", "aio._link", "aio._opening", "aio._lanes"},
    {"sync._job", "aio._job", "sync._readers", "aio._readers", "aio._route"},
    {"sync._verbs", "aio._verbs"},
    {"sync._client", "aio._client"},
    {"sync._call_verbs", "aio._call_verbs", "sync._connect", "aio._connect"},
    {"sync._call", "aio._call"},
    {"sync._porter"},
    {"sync._server", "aio._server"},
    {"sync", "aio"},
    {"_switch"},
    {"_listener"},
    {"emulator", "ESL", "adapters"},
    {"pytest_plugin", "cli"},
]
# Written where it is used, not at the top: `Event.build` and `Event.serialize` are the door to what render.py does.
# A switch knows its listeners, and an error the event it carries, as a type only.
LATE = {("events", "render"), ("_switch", "_listener"), ("errors", "events")}


def imported(name):
    """(module of ours, whether at the top of the file) for each import in a module."""
    path = PACKAGE.joinpath(*name.split("."))
    is_package = path.is_dir()
    tree = ast.parse((path / "__init__.py" if is_package else path.with_suffix(".py")).read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*name.split("."), ""] if is_package else name.split(".")
            above = [*parts[: len(parts) - node.level], *(node.module or "").split(".")]
            whole = ".".join(filter(None, above))
            for other in [whole] if node.module else [f"{whole}.{alias.name}".strip(".") for alias in node.names]:
                known = [*MODULES, *CLOSED, "_codec_c"]
                if other in known or other.split(".")[0] in CLOSED:  # and not a name that the package has
                    yield other if other in known else other.split(".")[0], id(node) in top


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_only_what_stands_to_its_left(name):
    rank = {module: at for at, modules in enumerate(ORDER) for module in modules}
    assert name in rank, f"where in ORDER is {name}?"
    for other, at_top in imported(name):
        if other == "_codec_c" or (not at_top and (name, other) in LATE):
            continue
        assert rank[other] <= rank[name], f"{name} imports {other}"


def test_core_knows_no_sockets():
    for name in ("_codec", "_codec_py", "events", "errors", "limits", "enums", "_json", "_xml"):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {"socket", "asyncio", "ssl", "select"} & set(names)


in_checkout = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests stand beside no checkout")


@in_checkout
def test_packages_are_named_and_not_discovered():
    assert 'packages = ["eslcodec' in (ROOT / "pyproject.toml").read_text()


@in_checkout
def test_sdist_carries_the_source_of_the_compiled_core():
    assert "graft src" in (ROOT / "MANIFEST.in").read_text().splitlines()
    assert (ROOT / "src" / "_codec_c.pyx").exists()


@in_checkout
def test_no_pxd_beside_the_pyx():
    assert list((ROOT / "src").glob("*.pxd")) == [], "one with the module's own name would be ignored without a word"


@in_checkout
def test_optional_survives_cythonize():
    """cythonize() returns a copy without `optional`: setup.py must not hand that copy to setup()."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"]
    assert len(calls) == 1
    assert "cythonize" not in ast.unparse(calls[0])


@in_checkout
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_help_lists_the_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, timeout=60)
    listed = re.findall(r"^make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert done.stderr == ""
    assert listed == [target for target in phony.split() if target not in ("style", "types", "measure", "preflight")]


@in_checkout
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="there is no pip")
@pytest.mark.parametrize("retries", [0, 1])
def test_pip_without_a_network_is_one_sentence(retries, tmp_path):
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
def test_what_else_pip_says_is_shown():
    sentence = runpy.run_path(str(ROOT / "tools" / "install.py"))["sentence"]
    assert sentence("error: subprocess-exited-with-error: gcc: command not found") is None
    assert sentence("ERROR: Could not find a version that satisfies the requirement a>=9 (from versions: 1.0)") is None
    others = "ERROR: Ignored the following versions that require a different python version: 1.0\n"
    assert (
        sentence(f"{others}ERROR: Could not find a version that satisfies the requirement a (from versions: none)")
        is None
    )
