"""Make the site of docs/, with a page for each public module: `docs.py FOLDER`, run by a Python with the docs extra.

Sphinx reads the guides in docs/ and the docstrings of the installed package, of its Python core, which has the types.
Any of this is an error:

* a warning of Sphinx: a page in no list, a link that leads nowhere, a docstring that is no reStructuredText;
* a public module, class, function or property without a docstring;
* a name of an `__all__` that is on no page;
* a `dotted.name` in a docstring that does not exist.

Not seen: a word alone in backticks that names nothing, and a sentence that is not true.
"""

from __future__ import annotations

import builtins
import importlib.util
import inspect
import os
import pkgutil
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, UnionType

os.environ["ESLCODEC_IMPL"] = "python"  # before the package is imported: the compiled core has no types to show

import typing_extensions
from sphinx.application import Sphinx

import eslcodec
from eslcodec import _codec_py as core
from eslcodec import _core, _verbs, connection, ingest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = ("eslcodec.cli", "eslcodec.pytest_plugin")  # commands say --help; a fixture is in the guide on tests

OTHERS = {"ESLEvent", "ESLProtocol", "InboundProtocol", "Protocol"}  # classes of the clients that have adapters
OTHERS |= {"fs", "server"}  # what the sentence before it calls so


def show_everything() -> None:
    """What Sphinx would not see: names loaded on first use, and what is public by way of a private module."""
    for name in eslcodec.__all__:
        thing = getattr(eslcodec, name)
        setattr(eslcodec, name, thing)
        if getattr(thing, "__module__", "").startswith("eslcodec._"):
            thing.__module__ = "eslcodec"
    for name in ingest.__all__:
        thing = getattr(ingest, name)
        setattr(ingest, name, thing)
        if getattr(thing, "__module__", "").startswith(f"{ingest.__name__}._"):
            thing.__module__ = ingest.__name__
    for kind, base in (
        (eslcodec.Decoder, core.MessageDecoder),
        (eslcodec.ESL.ESLevent, core.HeaderReader),
        (connection.Connection, _verbs.Verbs),
    ):
        for name, member in vars(base).items():
            if not name.startswith("_"):
                setattr(kind, name, member)
    for shell in (eslcodec.sync, eslcodec.aio):
        for thing in map(shell.__dict__.get, shell.__all__):
            if inspect.isclass(thing) and thing.__module__.startswith(f"{shell.__name__}._"):
                thing.__module__ = shell.__name__
        for kind in (shell.Client, shell.Call):
            for name, member in vars(kind.__base__).items():  # the verbs
                if not name.startswith("_") and name not in vars(kind):
                    setattr(kind, name, member)
    rooms = [import_module(f"{_core.__name__}.{found.name}") for found in pkgutil.iter_modules(_core.__path__)]
    for name, thing in [pair for module in (*rooms, typing_extensions) for pair in vars(module).items()]:
        if name not in dir(eslcodec):  # for annotations to be evaluated
            setattr(eslcodec, name, thing)


def public_modules() -> Iterator[str]:
    yield "eslcodec"
    for found in pkgutil.walk_packages(eslcodec.__path__, "eslcodec."):
        if "._" not in found.name and not found.name.startswith(LEFT_OUT):
            yield found.name


def write_api_pages(folder: Path, modules: list[str]) -> None:
    folder.mkdir()
    for name in modules:
        page = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n"
        if elsewhere := ", ".join(described_by_the_package(import_module(name))):
            page += f"   :exclude-members: {elsewhere}\n\nDescribed with the :mod:`eslcodec` package: {elsewhere}.\n"
        (folder / f"{name}.rst").write_text(page, encoding="utf-8")


def described_by_the_package(module: ModuleType) -> list[str]:
    """What a module has that is a name of the package, too: one thing is described once."""
    if module is eslcodec:
        return []
    return [name for name in eslcodec.__all__ if name in vars(module) and vars(module)[name] is getattr(eslcodec, name)]


def build(source: Path, folder: Path) -> set[str]:
    """The site, and the names that it describes."""
    app = Sphinx(
        source,
        source,
        folder,
        source.parent / "doctrees",
        "html",
        status=None,
        warning=sys.stderr,
        warningiserror=True,
        freshenv=True,
    )
    app.build()
    if app.statuscode:
        sys.exit("Sphinx has warned, see above")
    return {name for name, *_ in app.env.get_domain("py").get_objects()}


def documented(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What a module's page shows, classes with all that they define."""
    yield module.__name__, module
    for name in getattr(module, "__all__", ()) or [
        name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__
    ]:
        thing = getattr(module, name)
        if name.startswith("_") or not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            for member, method in vars(thing).items():
                if not member.startswith("_") and (inspect.isroutine(method) or isinstance(method, property)):
                    yield f"{module.__name__}.{name}.{member}", getattr(thing, member)


def faults(module: ModuleType, described: set[str]) -> Iterator[str]:
    for name, thing in documented(module):
        text, home = inspect.getdoc(thing), sys.modules.get(getattr(thing, "__module__", ""), module)
        if not text:
            yield f"{name} has no docstring"
        for dotted in re.findall(r"`((?:\w+\.)+\w+)(?:\(\))?`", text or ""):
            if not dotted.endswith(".py") and not exists(dotted, home) and not exists(dotted, module):
                yield f"{name}: there is no `{dotted}`"
    for name in getattr(module, "__all__", ()):
        if name.startswith("__") or isinstance(getattr(module, name), (ModuleType, UnionType)):
            continue
        if not {f"{module.__name__}.{name}", f"eslcodec.{name}"} & described:
            yield f"{module.__name__}.{name} is on no page"


def exists(name: str, module: object) -> bool:
    """Whether it can be reached from the page's module, the package, one of its modules, or is of another library."""
    first, *rest = name.split(".")
    if first in OTHERS:
        return True
    for place in (module, eslcodec, builtins):
        if hasattr(place, first):
            return reaches(getattr(place, first), rest)
    for folder in ("eslcodec.", ""):
        if importlib.util.find_spec(folder + first) is not None:
            return reaches(import_module(folder + first), rest)
    return False


def reaches(thing: object, names: list[str]) -> bool:
    for at, name in enumerate(names):
        if inspect.isclass(thing) and not hasattr(thing, name):  # of its instances, and then its docstring says what
            return at == len(names) - 1 and re.search(rf"\b{name}\b", thing.__doc__ or "") is not None
        if inspect.ismodule(thing) and not hasattr(thing, name):
            return hasattr(thing, "__path__") and importlib.util.find_spec(f"{thing.__name__}.{name}") is not None
        thing = getattr(thing, name)
    return True


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    show_everything()
    names = list(public_modules())
    with tempfile.TemporaryDirectory() as made:
        source = Path(made, "docs")
        shutil.copytree(ROOT / "docs", source)
        shutil.copytree(ROOT / "bench" / "results", Path(made, "bench", "results"))
        write_api_pages(source / "api", names)
        described = build(source, folder)
    wrong = [fault for name in names for fault in faults(import_module(name), described)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{folder / 'index.html'}: {len(names)} modules, nothing missing")


if __name__ == "__main__":
    main()
