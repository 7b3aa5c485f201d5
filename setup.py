"""Build the compiled core and columns, `eslcodec._codec_c` and `_columns_c`, where that is possible. Everything else is
in pyproject.toml.

ESLCODEC_BUILD_EXTENSION   yes: a failure is an error; no: a pure-Python wheel; unset: try, and go on without
ESLCODEC_BUILD_MODE        release (default), debug, sanitize (ASan and UBSan), coverage (line tracing of the .pyx)
"""

import ast
import os
import platform
import re
import runpy
import shutil
import sys
from functools import cache
from glob import glob
from pathlib import Path
from sysconfig import get_config_var, get_platform

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError


def switch(name: str, *values: str, unset: str) -> str:
    value = os.environ.get(name) or unset
    if value not in (*values, unset):
        sys.exit(f"{name}={value} means nothing: leave it unset or choose one of {', '.join(values)}")
    return value


# Left to itself, PyPy gets the Python core: its C API is slower than its JIT.
auto = "try" if platform.python_implementation() == "CPython" else "no"
wanted = switch("ESLCODEC_BUILD_EXTENSION", "yes", "no", unset=auto)
mode = switch("ESLCODEC_BUILD_MODE", "debug", "sanitize", "coverage", unset="release")
tracing = mode == "coverage"

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
# A release has no debug info and no symbols: 1.8 MB of 2.1. Unless CFLAGS ask for them, or a sanitizer is to show them.
flags = f"{get_config_var('CFLAGS')} {os.getenv('CFLAGS', '')}"
wants_symbols = "-fsanitize" in flags or "-g" in os.getenv("CFLAGS", "").split()
stripped = get_platform().startswith("linux") and not wants_symbols
COMPILE = {  # come behind the interpreter's own flags, so these win; -UNDEBUG brings assert() back
    "release": ["/O2"] if sys.platform == "win32" else ["-O3", "-g0"] if stripped else ["-O3"],
    "debug": ["-O0", "-g3", "-UNDEBUG"],
    "sanitize": ["-O1", "-g", "-fno-omit-frame-pointer", "-UNDEBUG", *SANITIZERS],
    "coverage": ["-O0"],
}
LINK = {"release": ["-Wl,-s"] if stripped else [], "sanitize": SANITIZERS}
MACROS = [("ESL_BUILD", mode)]
MACROS += [("CYTHON_VECTORCALL_TPNEW", "0")]  # that of Cython 3.3 frees what it has not set when memory is short
MACROS += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if tracing else []
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "binding": True,  # functions that inspect.signature() understands
    "embedsignature": False,  # so no docstring needs to begin with it
    "linetrace": tracing,
}

# What a function of the compiled core does is written once, in the Python core. In the .pyx stands where; what is
# translated has the docstring itself there, on that one line, so that every line keeps its number.
SEE = re.compile(r'"""See (eslcodec(?:\.\w+)+)\."""')


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstring(name: str) -> str:
    """Of a module, class, function or property by its full name; of a class with what `__text_signature__` shows."""
    parts = name.split(".")
    at = next(at for at in range(len(parts), 0, -1) if Path(*parts[:at]).with_suffix(".py").is_file())
    path = Path(*parts[:at]).with_suffix(".py")
    node = named(path, parts[at]) if parts[at:] else parsed(path)
    for part in parts[at + 1 :]:
        node = last_named(node, part)
    doc = ast.get_docstring(node)
    if doc is None:
        raise LookupError(f"{name} has no docstring")
    return f"{node.name}({parameters(node)})\n--\n\n{doc}" if isinstance(node, ast.ClassDef) else doc


def named(path: Path, name: str) -> ast.ClassDef | ast.FunctionDef:
    """A class or function of a module: defined there, or where the module takes it from."""
    for node in parsed(path).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) and node.level == 1 else []
        if name in names:
            return named(path.parent.joinpath(*node.module.split(".")).with_suffix(".py"), name)
    return last_named(parsed(path), name)


def last_named(node: ast.Module | ast.ClassDef, name: str) -> ast.ClassDef | ast.FunctionDef:
    """The last of what has that name: it stands after its overloads."""
    return [inner for inner in node.body if getattr(inner, "name", None) == name][-1]


def parameters(kind: ast.ClassDef) -> str:
    """What its constructor takes, without types, and with numbers for the names in limits.py."""
    functions = [node for node in kind.body if getattr(node, "name", None) in ("__init__", "__new__")]
    arguments = ast.parse(ast.unparse(functions[-1])).body[0].args
    del arguments.args[0]
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    limits = runpy.run_path("eslcodec/limits.py")
    return re.sub(r"\blimits\.(\w+)", lambda match: repr(limits[match[1]]), ast.unparse(arguments))


def write_documented(folder: Path) -> None:
    """A copy of src/ in which every docstring is the one that it points to."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree("src", folder / "src")
    for source in folder.rglob("*.p[yx][xdi]"):
        text = source.read_text(encoding="utf-8")
        source.write_text(SEE.sub(lambda match: repr(docstring(match[1])), text), encoding="utf-8")


class BuildExt(build_ext):
    """Runs Cython when an extension is built, not each time setup.py is read (pip reads it three times)."""

    documented = False  # whether build/cython is that of this run

    def build_extension(self, ext: Extension) -> None:
        folder, root = Path("build", "cython"), Path.cwd()
        try:
            from Cython.Build import cythonize

            if not self.documented:
                write_documented(folder)
                self.documented = True
            os.chdir(folder)  # so that tracebacks and coverage say src/_codec_c.pyx
            try:
                (translated,) = cythonize([ext], compiler_directives=DIRECTIVES)
            finally:
                os.chdir(root)
        except Exception as error:  # no Cython, or Cython's CompileError: to us the same as no C compiler
            raise CompileError(f"Cython could not translate {ext.sources[0]}: {error!r}") from error
        # Nothing else is taken of what cythonize() returns: it is a copy without `optional`.
        ext.sources = [str(folder / source) for source in translated.sources]
        if tracing:  # Cython.Coverage looks for the C beside the .pyx
            for source in translated.sources:
                shutil.copy(folder / source, source)
        super().build_extension(ext)


def extension(name: str, *depends: str) -> Extension:
    """A module of src/. Without `optional` its failure is the build's."""
    return Extension(
        f"eslcodec.{name}",
        sources=[f"src/{name}.pyx"],
        depends=[*glob("src/*.h"), *depends],
        include_dirs=["src"],
        define_macros=MACROS,
        extra_compile_args=COMPILE[mode],
        extra_link_args=LINK.get(mode, []),
        optional=wanted == "try",
    )


# Each is built, or fails, by itself.
extensions = [extension("_codec_c", *glob("src/core/*.pxi")), extension("_columns_c")]
setup(ext_modules=[] if wanted == "no" else extensions, cmdclass={"build_ext": BuildExt})
