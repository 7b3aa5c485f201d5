"""Each link on a page of the project leads to a file that is there, and to a heading in it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = "https://github.com/eslcodec/eslcodec/blob/main/"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
)

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests stand beside no checkout")


def prose(path: Path) -> str:
    """A page without its blocks of code and without code in lines."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "`", text)


@cache
def anchors(path: Path) -> frozenset[str]:
    """What GitHub and the site make of its headings."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def fault(page: Path, link: str) -> str | None:
    """What is wrong with a link, if it is one to the project."""
    target, _, anchor = link.partition("#")
    if target.startswith(SITE):
        path = ROOT / target.removeprefix(SITE)
    elif re.match(r"\w+:", target):
        return None
    else:
        path = page.parent / target if target else page
    if not path.exists():
        return f"{link}: there is no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.resolve()):
        return f"{link}: there is no such heading"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    assert [wrong for link in links if (wrong := fault(path, link))] == []


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("README.md", False),
        ("README.md#what-it-can-do", False),
        (f"{SITE}docs/index.md", False),
        ("https://example.org/nothing.md", False),
        ("nothing.md", True),
        ("README.md#nothing", True),
        (f"{SITE}docs/nothing.md", True),
    ],
)
def test_a_wrong_link_is_found(link: str, wrong: bool) -> None:
    assert bool(fault(ROOT / "README.md", link)) == wrong
