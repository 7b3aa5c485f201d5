"""An event of the ESL module, written as plainly as can be: a list of [name, text or list].

It follows docs/protocol/headers.md, P6, and docs/protocol/esl-module.md, A3.

It knows nothing of eslcodec. The property tests compare the module with it.
"""

from __future__ import annotations

import re

UNESCAPED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$'()*,-./_~"
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def fold(name: str) -> str:
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in name)


def joined(value: str | list[str]) -> str:
    if isinstance(value, str):
        return value
    return value[0] if len(value) == 1 else "ARRAY::" + "|:".join(value)


def percent(text: str) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in UNESCAPED else f"%{byte:02X}" for byte in raw)


def quoted(text: str) -> str:
    return '"' + "".join(ESCAPES.get(c, f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


class Model:
    def __init__(self, strict: bool, headers: list[list[object]] | None = None, body: str | None = None) -> None:
        self.strict = strict
        self.headers: list[list] = headers or []
        self.body = body

    # docs/protocol/headers.md, P6.1

    def find(self, name: str) -> list | None:
        for header in self.headers:
            if fold(header[0]) == fold(name):
                return header
        return None

    def getHeader(self, name: str, idx: int = -1) -> str | None:
        header = self.find(name)
        if header is None:
            return self.body if name == "_body" else None
        value = header[1]
        if idx < 0:
            return joined(value)
        return value[idx] if isinstance(value, list) and idx < len(value) else None

    def delHeader(self, name: str) -> bool:
        self.headers = [header for header in self.headers if fold(header[0]) != fold(name)]
        return True

    # docs/protocol/headers.md, P6.2, P6.4 to P6.6

    def addHeader(self, name: str, value: str) -> bool:
        self.be_body(name, value)
        if "[" in name:
            self.set_item(name, value)
        elif value == "":
            self.delHeader(name)
        elif value.startswith("ARRAY::"):
            self.push_each(name, value)
        else:
            self.headers.append([name, value])
        return True

    def be_body(self, name: str, value: str) -> None:
        if name == "_body":
            self.body = value

    def set_item(self, name: str, value: str, *, top: bool = False) -> None:
        name, _, index = name.partition("[")
        number = re.match(r"\s*[+-]?\d+", index)  # atoi
        i = int(number[0]) if number else 0
        if not 0 <= i <= 4000:
            return
        header = self.find(name)
        if header is None:
            header = [name, []]
            self.headers.insert(0 if top else len(self.headers), header)
        if isinstance(header[1], str):
            header[1] = []
        while len(header[1]) <= i:
            header[1].append("")
        header[1][i] = value

    def receive(self, name: str, value: str, *, json: bool = False, event: bool = True) -> None:
        """A header that was received: of several Event-Name of an event the last, an array item by item.

        See docs/protocol/payloads.md, P4.1.
        """
        if event and fold(name) == "event-name":
            self.delHeader(name)
        if json or not value.startswith("ARRAY::"):
            self.addHeader(name, value)
        elif value != "ARRAY::":
            for piece in value.removeprefix("ARRAY::").split("|:"):
                self.pushHeader(name, piece)

    # docs/protocol/headers.md, P6.3

    def push(self, name: str, item: str, *, front: bool = False, top: bool = False) -> None:
        self.be_body(name, item)
        header = self.find(name)
        if header is None and item.startswith("ARRAY::"):
            self.push_each(name, item, top=top)
        elif header is None and item:
            self.headers.insert(0 if top else len(self.headers), [name, [item]])
        elif header is not None:
            if isinstance(header[1], str):
                header[1] = [header[1]]
            header[1].insert(0 if front else len(header[1]), item)

    def push_each(self, name: str, text: str, *, top: bool = False) -> None:
        if text != "ARRAY::":
            for piece in text.removeprefix("ARRAY::").split("|:"):
                self.push(name, piece, top=top)

    def pushHeader(self, name: str, value: str) -> bool:
        if "[" in name:
            self.set_item(name, value)
        else:
            self.push(name, value)
        return True

    def unshiftHeader(self, name: str, value: str) -> bool:
        if "[" in name:
            self.set_item(name, value, top=True)
        else:
            whole = self.find(name) is None and value.startswith("ARRAY::")
            self.push(name, value, front=not self.strict, top=not (self.strict and whole))
        return True

    # docs/protocol/esl-module.md, A3.2

    def setPriority(self) -> bool:
        header = self.find("priority")
        if header is None:
            self.headers.insert(0, ["priority", ["NORMAL"]])
        elif isinstance(header[1], str):
            header[1] = "NORMAL"
        else:
            assert header[1] == ["NORMAL"], "of other arrays the joined text changes and the items stay"
        return True

    def addBody(self, text: str) -> bool:
        self.body = text if self.strict or self.body is None else self.body + text
        return True

    def getBody(self) -> str | None:
        return self.body

    def names(self) -> list[str]:
        return [header[0] for header in self.headers]

    def copied(self) -> Model:
        """What the connection returns is made by adding every header again, items one by one.

        See docs/protocol/esl-module.md, A3.2.
        """
        copy = Model(self.strict, [], self.body)
        for name, value in self.headers:
            if isinstance(value, str):
                copy.headers.append([name, value])
            else:
                for item in value:
                    copy.push(name, item)
        copy.body = copy.body if self.body is None else self.body
        return copy

    # docs/protocol/esl-module.md, A3.3, A3.4

    def plain(self) -> str:
        lines = [f"{name}: {percent(joined(value)) or '_undef_'}\n" for name, value in self.headers]
        if not self.body:
            return "".join(lines) + "\n"
        return "".join(lines) + f"Content-Length: {self.body_length()}\n\n{self.body}"

    def json(self) -> str:
        members = [(name, value) for name, value in self.headers]
        if self.body is not None:
            members += [("Content-Length", str(self.body_length())), ("_body", self.body)]
        lines = [
            f"\t{quoted(name)}:\t"
            + (quoted(value) if isinstance(value, str) else "[" + ", ".join(map(quoted, value)) + "]")
            for name, value in members
        ]
        return "{\n" + "".join(",\n" * (i > 0) + line for i, line in enumerate(lines)) + ("\n}" if lines else "}")

    def body_length(self) -> int:
        return len((self.body or "").encode("utf-8", "surrogateescape"))
