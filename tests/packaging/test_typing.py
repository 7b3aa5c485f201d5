"""What type checkers are told is true: that tools/check_types.py looks at all of it, and what mypy cannot see."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import eslcodec
from eslcodec import ESL, adapters, aio, emulator, sync

PROGRAM = Path(__file__).parents[1] / "typing_user.py"
MODULES = [eslcodec, sync, aio, ESL, emulator, adapters]


@pytest.fixture(scope="module")
def used() -> Any:
    """The names and attributes that the user's program mentions."""
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_program_for_mypy_uses_every_public_name(used: Any, module: Any) -> None:
    assert set(module.__all__) - used == set()


def overloads(kind: Any, name: Any) -> Any:
    """The signatures that type checkers see, from the source: Python 3.10 does not keep them."""
    owner = next(base for base in kind.__mro__ if name in vars(base))
    tree = ast.parse(Path(inspect.getfile(owner)).read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__]
    methods = [node for node in found.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [node for node in methods if node.name == name and node.decorator_list]


@pytest.mark.parametrize("module", [sync, aio], ids=["sync", "aio"])
def test_whatever_can_wait_says_what_it_then_returns(module: Any) -> None:
    taken = {name: parameters(getattr(module.Call, name)) for name in public(module.Call)}
    waiting = [name for name, parameters in taken.items() if "wait" in parameters and name != "originate"]
    assert "execute" in waiting
    for name in waiting:
        returned = [ast.unparse(node.returns) for node in overloads(module.Call, name)]
        assert returned == ["CommandReply", "Event", "CommandReply | Event"], name


@pytest.mark.parametrize("kind", ["Client", "Call", "Job"])
def test_blocking_and_asyncio_are_told_alike(kind: str) -> None:
    """The verbs of one are those of the other: parameters, their types and what comes out (awaited)."""
    # iterators of their own kinds; concurrency
    differ = {"run", "events", "messages", "batches", "dtmf"} if kind != "Job" else set()
    mine, theirs = getattr(sync, kind), getattr(aio, kind)
    for name in public(mine) | public(theirs):
        one, two = getattr(mine, name), getattr(theirs, name)
        if name in differ or not inspect.isfunction(one):
            continue
        assert shape(one) == shape(two), name


def public(kind: Any) -> Any:
    return {name for name in dir(kind) if not name.startswith("_")}


def parameters(thing: Any) -> Any:
    return inspect.signature(thing).parameters if inspect.isfunction(thing) else {}


def shape(function: Any) -> Any:
    told = [(p.name, p.kind, p.default, untold(p.annotation)) for p in parameters(function).values()]
    return told, untold(inspect.signature(function).return_annotation)


def untold(annotation: Any) -> Any:
    return str(annotation).replace("commands.", "")


def test_nothing_public_has_a_private_type() -> None:
    """A name with an underscore in a public signature is one that users cannot write down."""
    for module in (sync, aio):
        for name in module.__all__:
            for method in public(getattr(module, name)) if inspect.isclass(getattr(module, name)) else ():
                told = getattr(getattr(getattr(module, name), method), "__annotations__", {})
                assert not str(told.get("return", "")).lstrip("'").startswith("_"), (name, method)
