"""Build the compiled core, `eslcodec._codec_c`, where that is possible. Everything else is in pyproject.toml.

ESLCODEC_BUILD_EXTENSION   yes: a failure is an error; no: a pure-Python wheel; unset: try, and go on without
ESLCODEC_BUILD_MODE        release (default), debug, sanitize (ASan and UBSan), coverage (line tracing of the .pyx)
"""

import os
import platform
import sys
from glob import glob

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
COMPILE = {  # come behind the interpreter's own flags, so these win; -UNDEBUG brings assert() back
    "release": ["/O2" if sys.platform == "win32" else "-O3"],
    "debug": ["-O0", "-g3", "-UNDEBUG"],
    "sanitize": ["-O1", "-g", "-fno-omit-frame-pointer", "-UNDEBUG", *SANITIZERS],
    "coverage": ["-O0"],
}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "embedsignature": True,
    "linetrace": tracing,
}


class BuildExt(build_ext):
    """Runs Cython when the extension is built, not each time setup.py is read (pip reads it three times)."""

    def build_extension(self, ext: Extension) -> None:
        # The C goes to build/, but for line tracing beside the .pyx, where Cython.Coverage looks for it.
        # `force`: another ESLCODEC_BUILD_MODE gives other C from the same files.
        build_dir = None if tracing else "build/cython"
        try:
            from Cython.Build import cythonize

            (translated,) = cythonize([ext], build_dir=build_dir, force=True, compiler_directives=DIRECTIVES)
        except Exception as error:  # no Cython, or Cython's CompileError: to us the same as no C compiler
            raise CompileError(f"Cython could not translate {ext.sources[0]}: {error!r}") from error
        ext.sources = translated.sources  # and nothing else of it: cythonize() returns a copy without `optional`
        super().build_extension(ext)


core = Extension(
    "eslcodec._codec_c",
    sources=["src/_codec_c.pyx"],
    depends=glob("src/*.h"),
    include_dirs=["src"],
    define_macros=[("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if tracing else [],
    extra_compile_args=COMPILE[mode],
    extra_link_args=SANITIZERS if mode == "sanitize" else [],
    optional=wanted == "try",
)
setup(ext_modules=[] if wanted == "no" else [core], cmdclass={"build_ext": BuildExt})
