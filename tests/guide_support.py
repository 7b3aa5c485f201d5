"""The README and the guides, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "docs" / "index.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
COOKBOOK = sorted((ROOT / "docs" / "cookbook").glob("*.md"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, code) of each."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```([\w{}]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert 2 * len(found) == len(re.findall("^ *```", text, re.MULTILINE)), page
    return [(language, code) for language, code in found if language != "{toctree}"]


def blocks_with(mark: str) -> list[str]:
    """The blocks that have this in them, of all pages."""
    return [
        code
        for page in PAGES
        if page.exists()
        for language, code in blocks(page)
        if language != "pycon" and mark in code
    ]


def block(mark: str) -> str:
    """The block that has this in it."""
    (found,) = set(blocks_with(mark))
    return found


def commands(code: str) -> list[tuple[str, list[str]]]:
    """(command, lines of its output) of a block as in a terminal, comments cut off."""
    commands: list[tuple[str, list[str]]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:].partition("  #")[0].rstrip(), []))
        else:
            commands[-1][1].append(line)
    return commands
