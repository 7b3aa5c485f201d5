"""Make the blocking verbs from those of asyncio: `async_to_sync.py`, with `--check` only see whether they are current.

What both clients have line for line is written once, in `eslcodec/aio`; the files that this writes are checked in. It
goes token by token, so comments and layout stay:

* `async` and `await` go, and names are changed as `NAMES` says;
* a docstring is text, in which only the examples are changed, as `EXAMPLES` says;
* what now fits on a line and has no trailing comma is put on one, as `ruff format` would.

Standard library only. `ruff format` finds nothing to do in what it writes; `make lint` looks at both.
"""

from __future__ import annotations

import difflib
import io
import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "eslcodec"
FILES = ("_verbs.py", "_call_verbs.py", "_operator_verbs.py", "_ivr_verbs.py")  # of eslcodec/aio, for eslcodec/sync
WIDTH = 120

NAMES = {
    "AsyncIterator": "Iterator",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
EXAMPLES = (  # what is replaced in a line of an example, in this order
    (re.compile(r"^import asyncio$"), None),
    (re.compile(r"^from eslcodec import aio$"), "from eslcodec import sync"),
    (re.compile(r"\baio\."), "sync."),
    (re.compile(r"\b(?:async|await) "), ""),
    (re.compile(r"\basyncio\.to_thread\(([\w.]+)(?:, )?"), r"\1("),
    (re.compile(r"\basyncio\.run\((.*)\)$"), r"\1"),
)
HEADER = """# Generated from eslcodec/aio/{name}: run tools/async_to_sync.py, and change nothing here.

"""


def translate(source: str, name: str) -> str:
    """The blocking text of an asyncio one."""
    return HEADER.format(name=name) + join_lines(drop_async(source))


def drop_async(source: str) -> str:
    """Token by token; what stands between two of them stays as it is."""
    out: list[str] = []
    lines = source.splitlines(keepends=True)
    row, column = 1, 0
    dropped = False  # the token before: the blank after it goes too
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        between = text_between(lines, (row, column), token.start)
        out.append(between.lstrip(" ") if dropped else between)
        row, column = token.end
        dropped = token.type == tokenize.NAME and token.string in ("async", "await")
        if not dropped:
            out.append(changed(token, text_between(lines, token.start, token.end)))
    return "".join(out)


def text_between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    return "".join([lines[start[0] - 1][start[1] :], *lines[start[0] : end[0] - 1], lines[end[0] - 1][: end[1]]])


def changed(token: tokenize.TokenInfo, text: str) -> str:
    """A token as it is to be, from its text in the source (since 3.12 that of a part of an f-string is another)."""
    if token.type == tokenize.NAME:
        return NAMES.get(text, text)
    if token.type == tokenize.STRING and text.startswith('"""'):
        return "\n".join(line for line in map(example_line, text.split("\n")) if line is not None)
    return text


def example_line(line: str) -> str | None:
    """A line of a docstring; None if a blocking example has no such line."""
    prompt = re.match(r" *(?:>>>|\.\.\.) +", line)
    if prompt is None:
        return line
    code = line[prompt.end() :]
    for pattern, replacement in EXAMPLES:
        if pattern.search(code):
            if replacement is None:
                return None
            code = pattern.sub(replacement, code)
    return prompt[0] + code


def join_lines(source: str) -> str:
    """Three lines, of which the second is all that is in brackets, as one if that fits."""
    lines = source.split("\n")
    for first, last in reversed(brackets(source)):
        inner = lines[first + 1].strip()
        joined = lines[first] + inner + lines[last].strip()
        plain = not any("#" in line or '"""' in line for line in lines[first : last + 1])
        if last == first + 2 and plain and not inner.endswith(",") and len(joined) <= WIDTH:
            lines[first : last + 1] = [joined]
    return "\n".join(lines)


def brackets(source: str) -> list[tuple[int, int]]:
    """First and last line, from 0, of each outermost bracket that spans lines."""
    found, depth, first = [], 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.OP:
            continue
        if token.string in "([{":
            first = first if depth else token.start[0]
            depth += 1
        elif token.string in ")]}":
            depth -= 1
            if not depth and token.start[0] != first:
                found.append((first - 1, token.start[0] - 1))
    return found


def main(arguments: list[str]) -> int:
    stale = 0
    for name in FILES:
        path = ROOT / "sync" / name
        wanted = translate((ROOT / "aio" / name).read_text(encoding="utf-8"), name)
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if there == wanted:
            continue
        stale += 1
        if "--check" in arguments:
            print(
                *difflib.unified_diff(there.splitlines(), wanted.splitlines(), "is", "should be", lineterm=""), sep="\n"
            )
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT.parent)}")
    if "--check" in arguments and stale:
        print(f"{stale} generated files are not current: run tools/async_to_sync.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
