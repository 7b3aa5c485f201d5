"""Make the API pages from the docstrings and check them: `docs.py FOLDER`, run by a Python that has eslcodec and pdoc.

pdoc writes a page for each public module, from the installed package and its Python core, which has the types. It has
no strict mode, so what it leaves to be noticed is looked for here, and anything of this is an error:

* a warning while it works;
* a public module, class, function or property without a docstring;
* a name of an `__all__` that is on no page;
* a link within the pages that leads nowhere, and a `dotted.name` in a docstring that does not exist.

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
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

os.environ["ESLCODEC_IMPL"] = "python"  # before the package is imported: the compiled core has no types to show

import pdoc
import pdoc.doc
import pdoc.extract
import pdoc.render
import typing_extensions

import eslcodec
from eslcodec import _codec_py as core
from eslcodec import _verbs, connection

LEFT_OUT = ("eslcodec.cli", "eslcodec.pytest_plugin")  # commands say --help; a fixture is in the README

OTHERS = {"ESLEvent", "ESLProtocol", "InboundProtocol", "Protocol"}  # classes of the clients that have adapters
OTHERS |= {"fs", "server"}  # what the sentence before it calls so


def show_everything() -> None:
    """What pdoc would not see: names loaded on first use, and what is public by way of a private module."""
    for name in eslcodec.__all__:
        thing = getattr(eslcodec, name)
        setattr(eslcodec, name, thing)
        if getattr(thing, "__module__", "") == core.__name__:
            thing.__module__ = "eslcodec"
    for kind, base in (
        (eslcodec.Decoder, core.MessageDecoder),
        (eslcodec.ESL.ESLevent, core.HeaderReader),
        (connection.Connection, _verbs.Verbs),
    ):
        for name, member in vars(base).items():
            if not name.startswith("_"):
                setattr(kind, name, member)
    for name, thing in {**vars(typing_extensions), **vars(core)}.items():  # for annotations to be evaluated
        if name not in dir(eslcodec):
            setattr(eslcodec, name, thing)


def public_modules() -> Iterator[str]:
    yield "eslcodec"
    for found in pkgutil.walk_packages(eslcodec.__path__, "eslcodec."):
        if "._" not in found.name and not found.name.startswith(LEFT_OUT):
            yield found.name


def specifications(pages: list[str]) -> list[str]:
    """What pdoc is to be given for them: it takes a package with those of its modules that `__all__` names."""
    given: list[str] = []
    for page in pages:
        if not given or page not in pdoc.extract.walk_specs(given):
            given.append(page)
    return given


def documented(namespace: pdoc.doc.Namespace) -> Iterator[pdoc.doc.Doc]:
    """What a page shows, classes with all that is in them."""
    for member in namespace.members.values():
        if member.name.startswith("_") or member.is_inherited or isinstance(member, pdoc.doc.Module):
            continue
        yield member
        if isinstance(member, pdoc.doc.Class):
            yield from documented(member)


def is_described(member: pdoc.doc.Doc) -> bool:
    """By itself, or as what its class describes: a field, an attribute, a member of an enumeration."""
    if isinstance(member, pdoc.doc.Variable):
        kind = getattr(import_module(member.modulename), member.qualname.partition(".")[0])
        is_property = isinstance(getattr(kind, member.name, None), property)
        return bool(member.docstring) or not is_property
    return bool(member.docstring)


def undescribed(module: pdoc.doc.Module) -> Iterator[str]:
    for member in [module, *documented(module)]:
        if not is_described(member):
            yield f"{member.fullname} has no docstring"


def dead_names(module: pdoc.doc.Module) -> Iterator[str]:
    """Names with a dot, in backticks. A word alone may be one of the protocol's; pdoc links it if it is ours."""
    for member in [module, *documented(module)]:
        for name in re.findall(r"`((?:\w+\.)+\w+)(?:\(\))?`", member.docstring):
            if not name.endswith(".py") and not exists(name, module.obj):
                yield f"{member.fullname}: there is no `{name}`"


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


class Page(HTMLParser):
    """What can be linked to on a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name == "href" and tag == "a" and value:
                self.links.add(value)


def dead_links(pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for link in page.links:
            file, _, anchor = link.partition("#")
            if file.startswith("https://") or anchor.startswith("_"):  # pdoc links private bases, too
                continue
            target = pages.get((path.parent / file).resolve() if file else path)
            if target is None or (anchor and anchor not in target.anchors):
                yield f"{path.name}: {link} leads nowhere"


def unseen(module: pdoc.doc.Module, page: Page) -> Iterator[str]:
    for name in getattr(module.obj, "__all__", ()):
        if not name.startswith("__") and name not in page.anchors and not inspect.ismodule(getattr(module.obj, name)):
            yield f"{module.fullname}.{name} is on no page"


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    os.chdir(Path(__file__).parent)  # pdoc warns of a folder with the package's name
    warnings.simplefilter("error")
    show_everything()
    names = list(public_modules())
    pdoc.render.configure(docformat="google", footer_text=f"eslcodec {eslcodec.__version__}", show_source=False)
    pdoc.pdoc(*specifications(names), output_directory=folder)
    pages = {path.resolve(): Page(path) for path in folder.rglob("*.html")}
    wrong = list(dead_links(pages))
    for name in names:
        module = pdoc.doc.Module(import_module(name))
        page = pages[folder / f"{name.replace('.', '/')}.html"]
        wrong += [*undescribed(module), *dead_names(module), *unseen(module, page)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{folder / 'index.html'}: {len(names)} modules, nothing missing")


if __name__ == "__main__":
    main()
