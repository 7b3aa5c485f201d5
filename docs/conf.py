"""How Sphinx makes the site of docs/ (tools/docs.py runs it, and says what else is checked)."""

import re
from pathlib import Path

import eslcodec

ROOT = Path(__file__).parent
SOURCE = "https://github.com/eslcodec/eslcodec/blob/main"

project = "eslcodec"
copyright = "eslcodec contributors"
version = release = eslcodec.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # `Headers` is an alias in two modules
myst_heading_anchors = 4
default_role = "py:obj"  # a name in backticks is linked if it is ours
highlight_language = "none"  # what is on the wire is no language

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"  # light and dark, and fit for a phone
html_title = f"eslcodec {version}"
html_copy_source = False
html_show_sphinx = False


def link_to_source(app, page, text):
    """Links to files outside docs/ lead to the repository."""

    def led(found):
        target = (Path(page).parent / found[2]).as_posix()
        parts = []
        for part in target.split("/"):
            if part == ".." and parts and parts[-1] != "..":
                parts.pop()
            elif part != ".":
                parts.append(part)
        if parts[0] != "..":
            return found[0]
        return f"{found[1]}({SOURCE}/{'/'.join(parts[1:])}{found[3] or ''})"

    text[0] = re.sub(r"(?<!!)(\[[^\]]*\])\((\.\.?/[^)#]+)(#[^)]*)?\)", led, text[0])


def rewrite_tables(app, what, name, thing, options, lines):
    """A table of a docstring, written with bars so that `help()` shows it well, becomes one of reStructuredText."""
    new, table = [], False
    for line in lines:
        if not line.lstrip().startswith("|"):
            new += ["", line] if table else [line]
            table = False
            continue
        indent = line[: len(line) - len(line.lstrip())]
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            continue
        if not table:
            new += [f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
            table = True
        new += [f"{indent}   {'  -' if at else '* -'} {cell}" for at, cell in enumerate(cells)]
    lines[:] = new


def setup(app):
    app.connect("source-read", link_to_source)
    app.connect("autodoc-process-docstring", rewrite_tables)
