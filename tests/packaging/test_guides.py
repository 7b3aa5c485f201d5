"""docs/architecture.md, CONTRIBUTING.md and RELEASING.md name what is there: files, names, make targets, the order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from layout import FOR_TYPES, MODULES, ORDER

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
GUIDES = ["docs/architecture.md", "docs/portability.md", "CONTRIBUTING.md", "RELEASING.md"]
WORDS = "docs/glossary.md"  # of code it names classes and attributes, no files
CODE = ("eslcodec", "src", "tests", "tools", "fuzz", "bench")

described = pytest.mark.skipif(not ARCHITECTURE.exists(), reason="docs/ is not beside the tests")
in_checkout = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests stand beside no checkout")


def text(guide: str) -> str:
    return (ROOT / guide).read_text(encoding="utf-8")


def quoted(guide: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`\n]+)`", text(guide))


def words(guide: str) -> set[str]:
    """All words but those of the picture; commands too, which stand in no backquotes."""
    return set(re.findall(r"[\w./*{}-]+", re.sub(r"^```.*?^```$", "", text(guide), flags=re.MULTILINE | re.DOTALL)))


def rows() -> list[list[str]]:
    """Cells of the table of files."""
    table = text("docs/architecture.md").partition("## Which file for which bug")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\| `.*$", table, re.MULTILINE)]


def files() -> list[str]:
    return [path for row in rows() for path in re.findall(r"`([^`]+)`", row[0])]


def module_of(path: str) -> str:
    """A module's name in the package: `_esl.event` of `eslcodec/_esl/event.py`."""
    return ".".join(Path(path).with_suffix("").parts[1:])


@in_checkout
@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_that_is_named_is_there(guide: str) -> None:
    named = {
        word.rstrip("./") for word in words(guide) if word.startswith((*(f"{folder}/" for folder in CODE), ".github/"))
    }
    assert named
    assert [path for path in sorted(named) if not any(ROOT.glob(path))] == []


@in_checkout
@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_to_a_file(guide: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", text(guide))
    assert [target for target in targets if not (ROOT / guide).parent.joinpath(target).exists()] == []


@in_checkout
@pytest.mark.parametrize("guide", ["CONTRIBUTING.md", "RELEASING.md"])
def test_every_make_target_that_is_named_is_there(guide: str) -> None:
    targets = re.findall(r"^(?:\$\(VENV\)/)?([\w.-]+):|^\.PHONY: (.*)|(\$\(VENV\)/\S+)", text("Makefile"), re.MULTILINE)
    known = " ".join(map(" ".join, targets)).replace("$(VENV)", ".venv").split()
    named = re.findall(r"(?:`|^ {4}|=\S+ )make (\S+?)[`\s]", text(guide), re.MULTILINE)
    assert named
    assert set(named) - set(known) == set()


@in_checkout
@pytest.mark.parametrize("guide", ["docs/architecture.md", "CONTRIBUTING.md", WORDS])
def test_every_name_of_code_that_is_named_is_there(guide: str) -> None:
    """Of what looks like a name of ours each part stands somewhere in the code."""
    paths = [
        path for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".pyx", ".pxi", ".h")
    ]
    code = set(re.findall(r"\w+", " ".join(path.read_text(encoding="utf-8") for path in [*paths, ROOT / "setup.py"])))
    names = [name for name in quoted(guide) if re.fullmatch(r"(?:\w+\.)*\w*(?:_|[a-z][A-Z])\w*(?:\(.*\))?", name)]
    assert len(names) > 10
    assert [name for name in names if not set(re.findall(r"\w+", name.partition("(")[0])) <= code] == []


def module(path: str) -> str:
    """As test_packaging.py names it."""
    parts = Path(path).with_suffix("").parts[1:]
    return ".".join(parts).removesuffix(".__init__")


@described
def test_the_table_has_each_module_once() -> None:
    named = [module(path) for path in files() if path.startswith("eslcodec/")]
    assert sorted(named) == sorted({*MODULES, "adapters", "cli"})


@described
def test_the_table_stands_in_the_order_of_imports() -> None:
    rank = {name: at for at, names in enumerate(ORDER) for name in names}  # `module` is a function: Python 3.12.1
    ranks = [rank[module(path)] for path in files() if module(path) in rank]
    assert ranks == sorted(ranks)
    assert len(FOR_TYPES) == 1, "docs/architecture.md speaks of one"


@described
def test_every_test_file_has_a_place() -> None:
    named = set(re.findall(r"tests/(\w+/test_\w+\.py)", text("docs/architecture.md")))
    assert named == {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
