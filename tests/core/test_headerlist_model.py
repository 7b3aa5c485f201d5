"""The mutable header list against a plain model of docs/protocol/headers.md, P6."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

# Against a plain model of docs/protocol/headers.md, P6

NAMES = st.sampled_from(["A", "a", "B", "É", "_body", "_BODY", "A[1]", "a[0]", "B[3]", "C[", "D[-2]", "E[5000]", ""])
VALUES = st.sampled_from(
    [
        *("", "x", "y", "é\udcff", "ARRAY::", "ARRAY::p", "ARRAY::|:p|:", "ARRAY::p|:q", "z ARRAY::p|:q"),
        *("ARRAY::ARRAY::", "ARRAY::ARRAY::p|:q", "ARRAY::ARRAY::|:q", "ARRAY::p|:ARRAY::q"),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "add_first", "push", "unshift"]), NAMES, VALUES),
        st.tuples(st.just("delete"), NAMES, st.just("")),
    ),
    max_size=15,
)


class Model:
    """docs/protocol/headers.md, P6, in the plainest way: a list of [name, text or list]."""

    def __init__(self) -> None:
        self.headers, self.body = [], None

    def of(self, name: Any) -> Any:
        lower = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
        return [header for header in self.headers if header[0].translate(lower) == name.translate(lower)]

    def delete(self, name: Any) -> None:
        self.headers = [header for header in self.headers if header not in self.of(name)]

    def be_body(self, name: Any, value: Any) -> None:
        if name == "_body":
            self.body = value.encode("utf-8", "surrogateescape")

    def index(self, name: Any, value: Any, top: Any) -> None:
        base, _, rest = name.partition("[")
        number = int((re.match(r"\s*[+-]?\d+", rest) or ["0"])[0])
        if 0 <= number <= 4000:
            header = (self.of(base) or [None])[0]
            if header is None:
                header = [base, []]
                self.headers.insert(0 if top else len(self.headers), header)
            if isinstance(header[1], str):
                header[1] = []
            while len(header[1]) <= number:
                header[1].append("")
            header[1][number] = value

    def item(self, name: Any, value: Any, front: Any, top: Any) -> None:
        self.be_body(name, value)
        header = (self.of(name) or [None])[0]
        if header is None:
            if value.startswith("ARRAY::"):
                self.items(name, value, top)
            elif value:
                self.headers.insert(0 if top else len(self.headers), [name, [value]])
            return
        if isinstance(header[1], str):
            header[1] = [header[1]]
        header[1].insert(0 if front else len(header[1]), value)

    def items(self, name: Any, value: Any, top: Any) -> None:
        for piece in value[7:].split("|:") if len(value) > 7 else ():
            self.item(name, piece, False, top)

    def push(self, name: Any, value: Any, front: Any = False) -> None:
        if "[" in name:
            self.index(name, value, front)
        else:
            self.item(name, value, front, front)

    def add(self, name: Any, value: Any, first: Any = False) -> None:
        self.be_body(name, value)
        if "[" in name:
            self.index(name, value, first)
        elif value == "":
            self.delete(name)
        elif value.startswith("ARRAY::"):
            self.items(name, value, first)
        else:
            self.headers.insert(0 if first else len(self.headers), [name, value])


@given(steps=STEPS)
def test_list_does_what_the_model_does(steps: Any) -> None:
    from eslcodec.headers import HeaderList

    headers, model = HeaderList(), Model()
    for verb, name, value in steps:
        if verb == "delete":
            assert headers.delete(name) == bool(model.of(name))
            model.delete(name)
        elif verb == "add":
            headers.add(name, value)
            model.add(name, value)
        elif verb == "add_first":
            headers.add(name, value, first=True)
            model.add(name, value, first=True)
        else:
            getattr(headers, verb)(name, value)
            model.push(name, value, front=verb == "unshift")
        assert headers.fields() == [tuple(header) for header in model.headers]
        assert headers.body == model.body
        for asked in ("A", "a", "É", "é", "absent", name):
            found = model.of(asked)
            value = found[0][1] if found else None
            assert (asked in headers) == bool(found)
            assert headers.getlist(asked) == ([value] if isinstance(value, str) else value or [])
