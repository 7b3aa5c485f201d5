"""The public names with their signatures, a line each: `python tests/api.py >tests/data/api.txt` writes them anew."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from enum import Enum
from types import ModuleType

LEFT_OUT = ("eslcodec.cli", "eslcodec.pytest_plugin")  # programs and a plugin: they are used in another way


def public_modules(package: ModuleType) -> Iterator[str]:
    yield package.__name__
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        name = found.name.replace(package.__name__, "eslcodec", 1)
        if "._" not in name and not name.startswith(LEFT_OUT) and not name.endswith(".__main__"):
            yield found.name


def offered(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What a module has in `__all__`, or else what is written in it."""
    named = getattr(module, "__all__", None)
    for name in vars(module) if named is None else named:
        thing = getattr(module, name)
        own = getattr(thing, "__module__", None) == module.__name__
        if not name.startswith("_") and not inspect.ismodule(thing) and (named is not None or own):
            yield name, thing


def signature(thing: object) -> str:
    """Names, kinds, annotations as written, and defaults."""
    try:
        found = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(?)"
    words: list[str] = []
    stars = False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not stars:
            words.append("*")
        stars = stars or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        kind = f": {written(parameter.annotation)}" if parameter.annotation is not parameter.empty else ""
        default = f" = {shown(parameter.default)}" if parameter.default is not parameter.empty else ""
        words.append(f"{star}{parameter.name}{kind}{default}")
    end = "" if found.return_annotation is found.empty else f" -> {written(found.return_annotation)}"
    return f"({', '.join(words)}){end}"


def written(annotation: object) -> str:
    annotation = getattr(annotation, "__forward_arg__", annotation)  # of a NamedTuple
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def shown(default: object) -> str:
    if isinstance(default, Enum):
        return str(default.value)
    return getattr(default, "__name__", None) or repr(default).partition(" at 0x")[0]


def members(kind: type) -> Iterator[tuple[str, object]]:
    """What a class has from eslcodec, its bases included."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in ("builtins", "enum", "typing", "collections", "abc", "logging"):
            continue
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name, member


def lines(package: ModuleType) -> Iterator[str]:
    """All of them, sorted within a module."""
    for module in map(importlib.import_module, public_modules(package)):
        place = module.__name__.replace(package.__name__, "eslcodec", 1)
        yield from sorted(line for name, thing in offered(module) for line in of_thing(f"{place}.{name}", thing))


def of_thing(name: str, thing: object) -> Iterator[str]:
    if inspect.isclass(thing):
        yield f"class {name}{'' if issubclass(thing, (Enum, dict)) else signature(thing)}"
        for member, what in members(thing):
            yield of_member(f"{name}.{member}", what)
    elif callable(thing):
        yield f"def {name}{signature(thing)}"
    else:
        yield f"{name}"


def of_member(name: str, member: object) -> str:
    if isinstance(member, (classmethod, staticmethod)):
        return f"{type(member).__name__} {name}{signature(member.__func__)}"
    if inspect.isroutine(member):
        return f"{'async ' * inspect.iscoroutinefunction(member)}def {name}{signature(member)}"
    return f"property {name}" if isinstance(member, property) else name


if __name__ == "__main__":
    import eslcodec

    print("\n".join(lines(eslcodec)))
