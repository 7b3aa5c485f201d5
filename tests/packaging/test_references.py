"""docs/protocol says what is on the wire, and every reference to it resolves (docs/protocol/README.md, 3)."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import eslcodec
from eslcodec import enums, render

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PROTOCOL = ROOT / "docs" / "protocol"
FOLDERS = (
    Path(eslcodec.__file__).parent,
    TESTS,
    *(ROOT / name for name in ["src", "tools", "fuzz", "bench", "examples", "docs"]),
)
KINDS = {".py", ".pyx", ".pxi", ".pxd", ".h", ".md", ".sh", ".txt"}

pytestmark = pytest.mark.skipif(not PROTOCOL.is_dir(), reason="docs/ is not beside the tests")

LABEL = r"(?:[PA]\d|\d+)(?:\.\d+)?"
LABELS = rf"{LABEL}(?:(?:, | and | to ){LABEL}\b)*"
REFERENCE = re.compile(rf"docs/protocol/([\w-]+\.md)(?:, ({LABELS}))?")
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
CONTINUED = re.compile(r"\n[ \t]*(?:#|//|\*(?= ))?[ \t]*")  # what stands between the lines of a comment or a docstring

ELSEWHERE = re.compile(
    r"\b(?:the )?spec(?:,? (?:[\w-]+\.md|[PA]\d)|\b's\b)|\b(?:design|protocol|esl-api)\.md|\bsection \d"
)
BARE_PAGE = re.compile(r"(?<![\w/.-])(?:framing|payloads|observed|commands|enums|esl-module)\.md")
BARE_P = re.compile(r"(?<![\w%/.-])P[1-8](?:\.\d)?(?!\w)")
BARE_A = re.compile(r"(?<![\w%/.-])A[1-6](?:\.\d)?(?!\w)")


def headings(text: Any) -> Any:
    return re.findall(r"^##+ (.+)$", FENCED.sub("", text), re.MULTILINE)


def anchor(heading: Any) -> Any:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@cache
def pages() -> Any:
    """The text of each page of docs/protocol."""
    return {path.name: path.read_text(encoding="utf-8") for path in PROTOCOL.glob("*.md")}


@cache
def labels(page: Any) -> Any:
    """Label -> anchor of its heading."""
    return {heading.split()[0]: anchor(heading) for heading in headings(pages()[page])}


def joined(text: Any) -> Any:
    """A text with each comment or paragraph on one line, so that no reference is cut."""
    return CONTINUED.sub(" ", text)


def prose(source: Any) -> Iterator[Any]:
    """Comments and docstrings of a Python file, where A1 can be nothing but a label."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node, clean=False) or ""


def complaints(text: Any, python: Any = False) -> Iterator[Any]:
    """What is wrong with the references in a text."""
    line = joined(text)
    for page, found in REFERENCE.findall(line):
        if page not in pages():
            yield f"there is no page {page}"
            continue
        for label in re.findall(LABEL, found):
            if label not in labels(page):
                yield f"{page} has no {label}"
    rest = REFERENCE.sub("", line)
    for pattern in (ELSEWHERE, BARE_PAGE, BARE_P):
        for match in pattern.finditer(rest):
            yield f"{match[0]!r} names no page of docs/protocol and label in it"
    for part in prose(text) if python else ():
        for match in BARE_A.finditer(REFERENCE.sub("", joined(part))):
            yield f"{match[0]!r} names no page of docs/protocol"


def files() -> Iterator[Any]:
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*")):
            if path.suffix in KINDS and "__pycache__" not in path.parts and path.parent != PROTOCOL:
                yield path
    yield from sorted(ROOT.glob("*.md"))


def test_every_reference_names_a_page_and_a_label_that_exist() -> None:
    read = list(files())
    wrong = [
        f"{path}: {complaint}"
        for path in read
        if path != Path(__file__)
        for complaint in complaints(path.read_text(encoding="utf-8"), path.suffix == ".py")
    ]
    assert wrong == []
    found = sum(len(REFERENCE.findall(joined(path.read_text(encoding="utf-8")))) for path in read)
    assert found > 100, "the references are not found any more"


@pytest.mark.parametrize(
    "text",
    [
        "docs/protocol/observed.md, 99",
        "docs/protocol/observed.md, 1 to 99",
        "docs/protocol/frames.md, P3.1, P3.4 and P4.1",
        "# (docs/protocol/observed.md,\n    # 99)",
        "docs/protocol/nothing.md",
        "(spec P3.2)",
        "see spec commands.md",
        "observed.md 25",
        "commands.md, 1",
        "design.md",
        "esl-api.md",
        "protocol.md",
        "section 2",
        "the reply to `connect` (P3.4)",
        '"P8: kept"',
        "# A3.2 Methods",
        '"""What A6 says."""',
    ],
)
def test_wrong_reference_is_found(text: str) -> None:
    assert list(complaints(text, python=text[0] in '#"'))


@pytest.mark.parametrize(
    "text",
    [
        "(docs/protocol/frames.md, P3.1)",
        "docs/protocol/headers.md, P6.2, P6.4 to P6.6",
        "# docs/protocol/commands.md, 1.3 and\n# 1.5: it",
        "docs/protocol/commands.md",
        "docs/protocol/observed.md, 25. Then 99 others",
        'A1 = frame([["A", "1"]])  # %A1, x.A1',
        "https://example.org/observed.md",
    ],
)
def test_right_reference_is_not_complained_about(text: str) -> None:
    assert list(complaints(text, python=text.startswith("A1"))) == []


# The pages themselves


def test_every_heading_begins_with_a_label_of_its_own() -> None:
    everywhere = []
    for page, text in pages().items():
        found = [heading.split()[0] for heading in headings(text)]
        assert [label for label in found if not re.fullmatch(LABEL, label)] == [], page
        assert len(set(found)) == len(found), page
        everywhere += [label for label in found if label[0] in "PA"]
    assert len(set(everywhere)) == len(everywhere), "P and A labels belong to one page each"


def test_numbers_of_what_was_observed_stay() -> None:
    found = list(labels("observed.md"))
    assert found == [str(number) for number in range(1, len(found) + 1)]
    assert len(found) >= 40


def test_every_link_between_pages_leads_to_its_heading() -> None:
    assert set(pages()) == {target for _, target in LINK.findall(pages()["README.md"]) if "#" not in target} | {
        "README.md"
    }
    for page, text in pages().items():
        for shown, target in LINK.findall(FENCED.sub("", text)):
            other, _, fragment = target.partition("#")
            assert (PROTOCOL / other).exists(), (page, target)
            if not fragment:
                continue
            assert fragment in labels(other or page).values(), (page, target)
            label = " ".join(shown.split()).removeprefix(f"{other or page}, ")
            assert labels(other or page).get(label) == fragment, (page, shown, target)


def test_no_label_stands_in_the_pages_without_a_link() -> None:
    for page, text in pages().items():
        rest = LINK.sub("", re.sub(r"^##+ .*$|`[^`\n]*`", "", FENCED.sub("", text), flags=re.MULTILINE))
        if page != "README.md":  # which says what labels are
            assert (BARE_P.findall(rest), BARE_A.findall(rest), BARE_PAGE.findall(rest)) == ([], [], []), page


def test_the_readme_leads_to_the_pages() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert any(target.endswith("docs/protocol/README.md") for _, target in LINK.findall(text))


def test_every_recorded_case_belongs_to_a_label() -> None:
    known = {"A", "C"}.union(*map(labels, pages()))
    vectors = json.loads((TESTS / "data" / "vectors.json").read_text(encoding="utf-8"))["vectors"]
    assert {vector["rule"] for vector in vectors} <= known


# What the pages list is what the code has


def rows(page: Any, label: Any) -> Any:
    """The cells of the table under a heading."""
    (section,) = re.findall(rf"^##+ {label} .*?(?=^##|\Z)", pages()[page], re.MULTILINE | re.DOTALL)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*$", section, re.MULTILINE)][
        2:
    ]


def test_names_of_events_are_those_of_the_code() -> None:
    assert [row[1] for row in rows("events.md", 1)] == [name.value for name in enums.EventName]


@pytest.mark.parametrize(("label", "kind"), [(1, enums.HangupCause), (2, enums.ChannelState)])
def test_numbers_are_those_of_the_code(label: int, kind: Any) -> None:
    assert {name: int(number) for name, number in rows("enums.md", label)} == {item.name: item.value for item in kind}


# The byte examples are true


def listings(page: Any) -> Any:
    return re.findall(r"^```\n(.*?)^```$", pages()[page], re.MULTILINE | re.DOTALL)


def code(cell: Any) -> Any:
    """What stands between the backquotes of a cell."""
    return re.findall(r"`([^`]*)`", cell)


def test_listings_of_frames_are_frames(esl: ModuleType) -> None:
    kinds = set()
    for listing in listings("frames.md"):
        head, body = listing.encode().split(b"\n\n", 1)
        length = int(esl.parse_headers(head).get("Content-Length", "0"))
        decoder = esl.Decoder()
        decoder.feed(head + b"\n\n" + (body or b"x" * length))  # some bodies are left out
        (message,) = decoder
        decoder.feed_eof()
        kinds.add(message.content_type)
    (section,) = re.findall(r"^### P3\.9 .*?\n\n(.*?)\. ", pages()["frames.md"], re.MULTILINE | re.DOTALL)
    assert kinds == set(code(section)) - {"text/event-json", "text/event-xml"}


def test_listings_of_payloads_are_payloads(esl: ModuleType) -> None:
    plain, json_, xml = listings("payloads.md")
    for payload, format in ((plain[:-1], "plain"), (json_[:-1], "json"), (xml, "xml")):
        event = esl.Event.from_payload(payload.encode(), format)
        assert event.malformed is None
        assert event["Content-Length"] == str(len(event.body))
        assert len(event.getlist("variable_list")) == 2
        assert event.serialize("xml") == payload.encode() or format != "xml"


def test_percent_encoding_is_as_listed(esl: ModuleType) -> None:
    for cells in rows("encoding.md", "P5.1"):
        value, wire, decoded = (code(cell)[0].encode() for cell in cells)
        assert (render.quote_server(value), esl.unquote(wire)) == (wire, decoded)


def test_lines_are_cut_as_listed(esl: ModuleType) -> None:
    for lines, name, value in rows("reading.md", "1"):
        for line in code(lines):
            assert esl.parse_pairs(ast.literal_eval(line)) == ([(*code(name), *code(value))] if code(name) else [])
