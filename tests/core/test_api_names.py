"""Names, signatures and help, the same on both cores (STABILITY.md), and which core it is."""

from __future__ import annotations

import importlib
import inspect
import os
import pydoc
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import support
from support import OK

# Names


def test_public_names(esl: ModuleType) -> None:
    assert esl.__all__ == sorted(esl.__all__, key=lambda name: (not name.isupper(), name))
    assert len(set(esl.__all__)) == len(esl.__all__)
    for name in esl.__all__:
        assert getattr(esl, name) is not None
    promised = [
        "Decoder",
        "FrameSplitter",
        "parse_headers",
        "parse_pairs",
        "quote",
        "unquote",
        "Message",
        "Event",
        "CommandReply",
        "ApiResponse",
        "AuthRequest",
        "LogLine",
        "DisconnectNotice",
        "RudeRejection",
        "ESLError",
        "ProtocolError",
        "InvalidContentLength",
        "LimitExceeded",
        "HeaderTooLarge",
        "BodyTooLarge",
        "IncompleteFrame",
        "MalformedPayload",
        "InvalidCommand",
        "CommandError",
        "AuthError",
        "AccessDenied",
        "ConnectionClosed",
        "CommandTimeout",
        "__version__",
        "__impl__",
    ]
    assert set(promised) <= set(esl.__all__)


def test_kinds_are_messages(esl: ModuleType) -> None:
    for name in ("Event", "CommandReply", "ApiResponse", "AuthRequest", "LogLine", "DisconnectNotice", "RudeRejection"):
        assert issubclass(getattr(esl, name), esl.Message)


def public(kind: Any) -> Any:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_packages_have_the_same_names(both: tuple[ModuleType, ModuleType]) -> None:
    c, python = both
    assert c.__all__ == python.__all__
    assert (c.__impl__, python.__impl__) == ("c", "python")
    for name in c.__all__:
        ours, twins = getattr(c, name), getattr(python, name)
        if inspect.isclass(ours):
            assert public(ours) == public(twins), name
            assert ours.__name__ == twins.__name__


# The compiled core and its twin

CORE = {"FrameSplitter", "HeadScanner", "HeaderReader", "Message", "MessageDecoder", "NextNumber", "RowReader"}
CORE |= {"ChannelFilter", "WordFinder", "crc32", "lone", "parse_headers", "parse_pairs", "quote", "survey", "unquote"}


@pytest.fixture
def cores(both: tuple[ModuleType, ModuleType]) -> Any:
    c, python = both
    return importlib.import_module(f"{c.__name__}._codec_c"), importlib.import_module(f"{python.__name__}._codec_py")


def members(core: Any) -> Any:
    """Everything public of a core: "quote", "Message", "Message.get"."""
    found = {name: getattr(core, name) for name in CORE}
    for name in CORE:
        if inspect.isclass(found[name]):
            found |= {f"{name}.{member}": getattr(found[name], member) for member in public(found[name])}
    return found


def test_core_is_what_the_package_takes(esl: ModuleType) -> None:
    taken = vars(importlib.import_module(f"{esl.__name__}._codec"))
    assert {name for name in taken if name[0].isalpha()} - {"os", "TYPE_CHECKING", "annotations"} == CORE


def test_both_cores_have_the_same_members(cores: Any) -> None:
    c, python = map(members, cores)
    assert c.keys() == python.keys()
    for name, mine in c.items():
        assert callable(mine) == callable(python[name]), name
        assert inspect.isclass(mine) == inspect.isclass(python[name]), name
        assert inspect.isdatadescriptor(mine) == inspect.isdatadescriptor(python[name]), name


def test_both_cores_have_the_same_signatures(cores: Any) -> None:
    c, python = map(members, cores)
    compared = 0
    for name, mine in c.items():
        if callable(mine) and not inspect.isclass(mine):
            assert shape(mine) == shape(python[name]), name
            compared += 1
    assert compared >= 20


def shape(function: Any) -> Any:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


CALLS = {  # of the constructors: what must be given, and what may be
    "FrameSplitter": ({}, {"max_header_bytes": 9, "max_body_bytes": 9, "max_buffered": 9}),
    "MessageDecoder": ({"kinds": {}, "default": None}, {"max_header_bytes": 9, "max_body_bytes": 9, "max_buffered": 9}),
    "Message": ({"block": b"A: 1\n\n"}, {"body": b"x"}),
    "HeadScanner": ({}, {}),
    "HeaderReader": ({}, {}),
}


@pytest.mark.parametrize("kind", sorted(CALLS))
def test_both_cores_construct_from_the_same_arguments(cores: Any, kind: Any) -> None:
    must, may = CALLS[kind]
    assert [*must, *may] == [
        name for name in inspect.signature(getattr(cores[1], kind)).parameters if name not in ("args", "names")
    ]
    for core in cores:
        required = {**must, "default": core.Message} if "default" in must else must
        every = {**required, **may}
        make = getattr(core, kind)
        make(**every)
        make(*required.values(), **may)
        for name in may:
            make(**required, **{name: every[name]})
        for name in required:
            with pytest.raises(TypeError):
                make(**{other: value for other, value in every.items() if other != name})
        if kind == "HeaderReader":
            continue  # takes what its subclasses take
        with pytest.raises(TypeError):
            make(**every, bogus=1)
        if kind == "Message":
            assert make(*every.values()) == make(**every)
        else:
            with pytest.raises(TypeError):
                make(*required.values(), 9)  # the bounds are keywords
        with pytest.raises(TypeError):
            make(*every.values(), 9)


def test_both_cores_construct_with_the_same_bounds(cores: Any) -> None:
    said = []
    for core in cores:
        for made in (core.FrameSplitter, lambda core=core: core.MessageDecoder({}, core.Message)):
            for data in (b"x" * ((1 << 20) + 1), b"Content-Length: 67108865\n\n"):
                splitter = made()
                splitter.feed(data)
                with pytest.raises(Exception, match="expected no more than") as caught:
                    next(iter(splitter))
                said.append(str(caught.value))
    assert said[:4] == said[4:]
    assert "1048576 (max_header_bytes)" in said[0]
    assert "67108864 (max_body_bytes)" in said[1]


def own(core: Any) -> Any:
    """Those that a class has itself and not from its base."""
    names = {name: name.partition(".") for name in members(core)}
    return [name for name, (kind, _, member) in names.items() if not member or member in vars(getattr(core, kind))]


def test_help_is_the_same_on_both_cores(cores: Any) -> None:
    """The compiled core's docstrings come from its twin when it is built."""
    c, python = map(members, cores)
    assert len(own(cores[0])) >= 30
    for name in own(cores[0]):
        assert inspect.getdoc(python[name]), name
        assert c[name].__doc__ == inspect.cleandoc(python[name].__doc__), name


def test_help_shows_what_a_function_takes_and_does(esl: ModuleType) -> None:
    shown = pydoc.render_doc(esl.Event.get, renderer=pydoc.plaintext)
    assert re.search(r"get\(\s*self,\s*name", shown)  # on one line, or on many from Python 3.13 on
    assert "The value of a header, or `default`." in shown
    assert "ignoring ASCII case" in shown
    assert "Bytes waiting" in pydoc.render_doc(esl.FrameSplitter, renderer=pydoc.plaintext)


@pytest.mark.parametrize("kind", ["FrameSplitter", "MessageDecoder", "Message", "HeaderReader"])
def test_classes_of_both_cores_have_the_same_signature(cores: Any, kind: str) -> None:
    c, python = (getattr(core, kind) for core in cores)
    assert shape(c) == shape(python)


def test_signature_of_what_is_made_of_the_core(esl: ModuleType) -> None:
    assert [name for name, _, _ in shape(esl.Event)] == ["block", "body"]
    assert [name for name, _, _ in shape(esl.Decoder)] == ["max_header_bytes", "max_body_bytes", "max_buffered"]

    class Splitter(esl.FrameSplitter):
        pass

    assert shape(Splitter) == shape(esl.FrameSplitter)


# Which core


def python(code: Any, **environment: Any) -> Any:
    folder = support.Path(__import__("eslcodec").__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**{name: value for name, value in os.environ.items() if name != "ESLCODEC_IMPL"}, **environment},
        cwd=folder,  # which `python -c` puts first on its path: not the checkout's package, then
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_core_that_does_not_exist_raises_at_import() -> None:
    done = python("import eslcodec", ESLCODEC_IMPL="bogus")
    assert done.returncode != 0
    assert done.stderr.endswith("ImportError: ESLCODEC_IMPL is 'bogus', expected 'c' or 'python'\n")


def test_python_core_can_be_asked_for() -> None:
    done = python("import eslcodec; print(eslcodec.__impl__)", ESLCODEC_IMPL="python")
    assert (done.stdout, done.stderr) == ("python\n", "")


def test_core_asked_for_is_the_core_in_use(esl: ModuleType, request: pytest.FixtureRequest) -> None:
    assert esl.__impl__ == request.node.callspec.params["esl"]
    home = "_codec_c" if esl.__impl__ == "c" else "_core.message"
    assert esl.Message.__module__ == f"{esl.__name__}.{home}"


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ("bogus", "^ESLCODEC_IMPL is 'bogus', expected 'c' or 'python'$"),
        (
            "c",
            r"^ESLCODEC_IMPL=c, but the compiled core is not there: .*\. "
            r"In a checkout `ESLCODEC_BUILD_EXTENSION=yes pip install \.` builds it, or says why it cannot$",
        ),
    ],
)
def test_wrong_core_is_an_import_error(monkeypatch: pytest.MonkeyPatch, wanted: str, error: str) -> None:
    monkeypatch.setitem(sys.modules, "eslcodec_absent._codec_c", None)  # as if it had not been built
    with pytest.raises(ImportError, match=error):
        support.load_copy("eslcodec_absent", wanted)


def test_python_core_stands_in_for_a_compiled_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eslcodec_absent._codec_c", None)
    package = support.load_copy("eslcodec_absent", "")
    assert package.__impl__ == "python"
    assert package.CommandReply(OK).text == "+OK"
    support.forget_copy("eslcodec_absent")


@pytest.mark.usefixtures("both")
def test_unset_takes_the_compiled_core_if_it_is_there() -> None:
    for environment in ({}, {"ESLCODEC_IMPL": ""}, {"ESLCODEC_IMPL": "c"}):
        done = python("import eslcodec; print(eslcodec.__impl__)", **environment)
        assert (done.stdout, done.stderr) == ("c\n", "")


@pytest.mark.parametrize("coding", ["quote", "unquote"])
def test_percent_coding_takes_bytes_like_objects_alone(esl: ModuleType, coding: str) -> None:
    code = getattr(esl, coding)
    given = b"%41 " if coding == "unquote" else b"a b"
    for data in (bytearray(given), memoryview(given)):
        assert code(data) == code(given)
        assert type(code(data)) is bytes
    for data in (3, None, "a"):
        with pytest.raises(TypeError):
            code(data)
