"""Everything public says what it is for and shows how it is used; `make docs` (tools/docs.py) looks at the pages."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import eslcodec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(eslcodec.__path__, "eslcodec.")
    if "._" not in found.name and not found.name.startswith("eslcodec.cli")  # which has --help
)


def public(module: Any) -> Iterator[Any]:
    """The classes and functions that a module offers: those it names, else those that are written in it.

    Hooks of pytest are not: nobody else calls them.
    """
    named = getattr(module, "__all__", None)
    for name, thing in vars(module).items() if named is None else ((name, getattr(module, name)) for name in named):
        if name.startswith(("_", "pytest_")) or not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if named is not None or getattr(thing, "__module__", None) == module.__name__:
            yield name, thing


def members(kind: Any) -> Iterator[Any]:
    """Methods and properties that a class has from us."""
    for base in kind.__mro__:
        if base.__module__.startswith("eslcodec"):
            for name, member in vars(base).items():
                if not name.startswith("_") and (inspect.isroutine(member) or inspect.isdatadescriptor(member)):
                    yield name, getattr(kind, name)


def docstring(thing: Any) -> Any:
    return inspect.getdoc(thing) or ""


def code(text: Any) -> Any:
    """What the examples in a text do."""
    return "\n".join(example.source for example in doctest.DocTestParser().get_examples(text))


@cache
def pages() -> Any:
    if not PAGES[0].exists():
        pytest.skip("the README is in the checkout only")
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return code(text) + "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", ["eslcodec", *MODULES])
def test_everything_public_is_described(name: Any) -> None:
    module = importlib.import_module(name)
    assert docstring(module), name
    for offered, thing in public(module):
        assert docstring(thing), offered
        if inspect.isclass(thing) and not issubclass(thing, (Enum, dict)):
            fields = {*getattr(thing, "__dataclass_fields__", ()), *getattr(thing, "__slots__", ())}
            for member, method in members(thing):
                views = member in ("keys", "values", "items")  # of every mapping
                assert docstring(method) or member in fields or views, f"{offered}.{member}"


@pytest.mark.parametrize("name", ["eslcodec", *MODULES])
def test_everything_public_has_an_example(name: Any) -> None:
    """In its own docstring, in its module's, in the README or in a guide, and test_packaging or test_readme runs it."""
    module = importlib.import_module(name)
    around = code(docstring(module)) + pages()
    without = [
        offered
        for offered, thing in public(module)
        if not code(docstring(thing)) and not re.search(rf"\b{offered}\b", around)
    ]
    assert without == []


@pytest.mark.parametrize("name", [name for name in MODULES if "adapters" in name])
def test_examples_in_docstrings_of_adapters_are_true(name: Any) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
