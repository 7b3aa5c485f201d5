"""`python -m eslcodec.ESL`: a program for the official module runs as `python` runs it, on the core of this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esl_support import INBOUND, Background

from eslcodec.emulator import Emulator

SECONDS = 30.0


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


def python(*arguments: str, cwd: Path, module: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
    package = str(Path(part_folder()).parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *(["-m", "eslcodec.ESL"] if module else []), *arguments],
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        timeout=60,
    )


def part_folder() -> str:
    import eslcodec

    return str(Path(eslcodec.__file__).parent)


def script(folder: Path, text: str, name: str = "script.py") -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return str(path)


def same_as_plain_python(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script that does not need ESL does the same with and without us: output, traceback and status."""
    path = script(tmp_path, text)
    ours, plain = (python(path, *arguments, cwd=tmp_path, module=module) for module in (True, False))
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    return ours


def test_script_sees_itself_as_with_plain_python(tmp_path: Path) -> None:
    script(tmp_path, "here = 'beside the script'\n", "sub/neighbour.py")
    text = (
        "import sys, os, neighbour, __main__\n"
        "print(sys.argv, __name__, __file__, sys.path[0], neighbour.here)\n"
        "print(__main__.__dict__ is globals(), __package__, __doc__, __spec__, '__cached__' in globals())\n"
        "print(__builtins__ is __main__.__builtins__, type(__loader__).__name__)\n"
    )
    path = script(tmp_path, text, "sub/script.py")
    results = [
        python(given, "one", "--two", "-m", "", cwd=tmp_path, module=module)
        for given in (path, "sub/script.py")
        for module in (True, False)
    ]
    assert [done.returncode for done in results] == [0] * 4, results[0].stderr
    assert (
        results[0].stdout.splitlines()[0]
        == f"['{path}', 'one', '--two', '-m', ''] __main__ {path} {tmp_path}/sub beside the script"
    )
    assert results[0].stdout == results[1].stdout
    assert results[2].stdout == results[3].stdout


def test_script_imports_our_module(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "import ESL, eslcodec, sys\nfrom ESL import *\nimport eslcodec.ESL\n"
        "print(ESL is eslcodec.ESL, ESL.__name__, ESLconnection is eslcodec.ESL.ESLconnection)\n"
        "print(ESLevent('DTMF').serialize(), eslSetLogLevel is ESL.eslSetLogLevel)\n"
        "ESL.strict = True\nprint(eslcodec.ESL.strict, sys.modules['ESL'] is ESL)\n",
    )
    done = python(path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True eslcodec.ESL True\nEvent-Name: DTMF\n\n True\nTrue True\n"


def test_our_module_comes_before_one_beside_the_script(tmp_path: Path) -> None:
    script(tmp_path, "raise ImportError('the official module')\n", "ESL.py")
    path = script(tmp_path, "import ESL\nprint(ESL.__name__)\n")
    done = python(path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "eslcodec.ESL\n"), done.stderr


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *(("import sys; sys.exit(3)\n", 3), ("import sys; sys.exit('no')\n", 1), ("import sys; sys.exit()\n", 0)),
        *(("raise SystemExit(True)\n", 1), ("pass\n", 0), ("import os; os._exit(9)\n", 9)),
    ],
)
def test_exit_status(tmp_path: Path, text: Any, status: Any) -> None:
    assert same_as_plain_python(tmp_path, text).returncode == status


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    g()\n\ndef g():\n    raise ValueError('h\u00e9')\n\nf()\n",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('x') from error\n",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('x')\n",
        "x = (\n",
        "import no_such_module_at_all\n",
        "class E(Exception):\n    pass\nraise E('x')\n",
    ],
)
def test_traceback(tmp_path: Path, text: str) -> None:
    done = same_as_plain_python(tmp_path, text)
    assert done.returncode == 1
    assert "eslcodec" not in done.stderr


def test_interrupt(tmp_path: Path) -> None:
    done = same_as_plain_python(tmp_path, "raise KeyboardInterrupt\n")
    assert "KeyboardInterrupt" in done.stderr


def test_exit_functions_and_standard_input(tmp_path: Path) -> None:
    path = script(tmp_path, "import atexit, sys\natexit.register(print, 'end')\nprint(sys.stdin.read())\n")
    done = python(path, cwd=tmp_path, text="typed")
    assert (done.returncode, done.stdout) == (0, "typed\nend\n"), done.stderr


def test_script_may_pickle_its_own_classes_and_start_threads(tmp_path: Path) -> None:
    text = (
        "import pickle, threading\n"
        "class Call:\n    pass\n"
        "def work():\n    print(type(pickle.loads(pickle.dumps(Call()))) is Call)\n"
        "if __name__ == '__main__':\n    t = threading.Thread(target=work)\n    t.start()\n"
    )
    assert same_as_plain_python(tmp_path, text).stdout == "True\n"


def test_script_that_does_not_exist(tmp_path: Path) -> None:
    done = python("absent.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "absent.py" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("",), ("-m",), ("-x", "script.py"), ("--version",)])
def test_no_script(tmp_path: Path, arguments: Any) -> None:
    done = python(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m eslcodec.ESL script.py [args]\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(tmp_path: Path, option: str) -> None:
    done = python(option, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m eslcodec.ESL script.py [args]\n" in done.stdout
    assert "-m module" in done.stdout


MODULE_SEES = (
    "import sys, __main__\n"
    "print(sys.argv, __name__, __file__, __package__, __spec__.name, __doc__, sys.path[0])\n"
    "print(__main__.__dict__ is globals(), '__cached__' in globals(), type(__loader__).__name__)\n"
)


def same_as_python_m(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A module that does not need ESL does the same with and without us: output and status."""
    ours, plain = (python("-m", *arguments, cwd=folder, module=module) for module in (True, False))
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout), ours.stderr
    if "Traceback" in plain.stderr:
        assert plain.stderr.splitlines()[-1] == ours.stderr.splitlines()[-1]
    return ours


def test_module_sees_itself_as_under_python_m(tmp_path: Path) -> None:
    script(tmp_path, MODULE_SEES, "alone.py")
    script(tmp_path, "import sys\nprint('package', sys.argv)\n", "package/__init__.py")
    script(tmp_path, MODULE_SEES + "from . import beside\n", "package/__main__.py")
    script(tmp_path, MODULE_SEES + "from . import beside\n", "package/part.py")
    script(tmp_path, "print(__name__)\n", "package/beside.py")
    for name in ("alone", "package", "package.part", "package.__main__"):
        done = same_as_python_m(tmp_path, name, "one", "--two", "-m")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert "'one', '--two', '-m'] __main__" in done.stdout


def test_module_imports_our_module(tmp_path: Path) -> None:
    script(tmp_path, "import ESL\nPART = ESL\n", "package/part.py")
    script(tmp_path, "import ESL, eslcodec\nfrom . import part\n", "package/__init__.py")
    script(tmp_path, "import ESL\nfrom .part import PART\nprint(ESL.__name__, PART is ESL)\n", "package/__main__.py")
    done = python("-m", "package", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "eslcodec.ESL True\n", "")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *(("absent", 1), ("package", 1), ("package.absent", 1), ("absent.part", 1), (".package", 1), ("sys", 1)),
        *(("broken", 1), ("package.broken", 1), ("imports", 1), ("imports.part", 1), ("raises", 1), ("leaves", 7)),
    ],
)
def test_module_that_does_not_run(tmp_path: Path, name: Any, status: Any) -> None:
    script(tmp_path, "", "package/__init__.py")
    for broken in ("broken.py", "package/broken.py"):
        script(tmp_path, "x = (\n", broken)
    script(tmp_path, "import no_such_module_at_all\n", "imports/__init__.py")
    script(tmp_path, "", "imports/__main__.py")
    script(tmp_path, "def f():\n    raise ValueError('h')\n\nf()\n", "raises.py")
    script(tmp_path, "import sys\nsys.exit(7)\n", "leaves.py")
    done = same_as_python_m(tmp_path, name)
    assert done.returncode == status
    assert "_script.py" not in done.stderr
    if name in ("absent", "package", "package.absent", "absent.part", ".package", "sys"):
        assert "Traceback" not in done.stderr
        assert (name if name != ".package" else "Relative") in done.stderr


def test_traceback_of_a_module_begins_in_it(tmp_path: Path) -> None:
    path = script(tmp_path, "def f():\n    raise ValueError('h')\n\nf()\n", "raises.py")
    lines = python("-m", "raises", cwd=tmp_path).stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{path}", line 4, in <module>'


def test_inbound_program_under_the_runner(tmp_path: Path, switch: Any) -> None:
    path = script(tmp_path, INBOUND.replace('"{}"', "sys.argv[1]").replace("import *\n", "import *\nimport sys\n"))
    program = Background(lambda: python(path, str(switch.port), cwd=tmp_path))
    switch.wait_for(lambda: "event json all" in switch.commands, SECONDS)
    switch.fire("HEARTBEAT")
    done = program.returns()
    assert (done.returncode, done.stdout, done.stderr) == (0, "HEARTBEAT\n", "")


def test_inbound_program_under_the_runner_as_a_module(tmp_path: Path, switch: Any) -> None:
    text = INBOUND.replace('"{}"', "sys.argv[1]").replace("import *\n", "import *\nimport sys\n")
    script(tmp_path, text, "program/__main__.py")
    program = Background(lambda: python("-m", "program", str(switch.port), cwd=tmp_path))
    switch.wait_for(lambda: "event json all" in switch.commands, SECONDS)
    switch.fire("HEARTBEAT")
    done = program.returns()
    assert (done.returncode, done.stdout, done.stderr) == (0, "HEARTBEAT\n", "")
