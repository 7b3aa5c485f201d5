"""Say in one sentence what this machine lacks to build and test eslcodec; `make` runs it first: `preflight.py [VENV]`.

Exits with 1 if nothing can work. A missing C compiler is only a note: the Python core needs none. The syntax is that
of Python 2, so that a Python that is too old can say so.
"""

from __future__ import print_function

import os
import sys

VERSION = "%d.%d" % sys.version_info[:2]


def missing(module):
    try:
        __import__(module)
    except ImportError:
        return True
    return False


def obstacle(venv):
    """What makes it impossible to go on, or None."""
    if sys.version_info < (3, 10):
        return "eslcodec needs Python 3.10 or newer, and %s is %s: name a newer one with `make PYTHON=...`." % (
            sys.executable,
            VERSION,
        )
    if missing("venv") or missing("ensurepip"):
        return (
            "Python's venv module is missing or incomplete: install it "
            "(Debian, Ubuntu: apt install python3-venv; for a second Python: python%s-venv)." % VERSION
        )
    if missing("zlib"):
        return (
            "This Python was built without zlib, which pip needs: install zlib's headers "
            "(Debian, Ubuntu: apt install zlib1g-dev) and build it again, or name another with `make PYTHON=...`."
        )
    made_with = venv_version(venv)
    if made_with not in (None, VERSION):
        return "%s was made with Python %s, and this is %s: run `make clean` first." % (venv, made_with, VERSION)
    return None


def venv_version(venv):
    """The "3.12" of an environment that is already there, or None."""
    try:
        with open(os.path.join(venv, "pyvenv.cfg")) as config:
            settings = dict(line.replace(" ", "").strip().split("=", 1) for line in config if "=" in line)
    except IOError:
        return None
    return ".".join(settings.get("version", "").split(".")[:2]) or None


def compiler_note():
    """Why there will be no compiled core, or None."""
    import shutil
    import sysconfig

    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    lacks = []
    if not shutil.which(compiler):
        lacks.append("C compiler (%s)" % compiler)
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        lacks.append("Python.h")
    if not lacks:
        return None
    return (
        "note: no %s found, so the pure-Python core will be used; to get the compiled one install them "
        "(Debian, Ubuntu: apt install gcc python3-dev)." % " and no ".join(lacks)
    )


if __name__ == "__main__":
    problem = obstacle(sys.argv[1] if len(sys.argv) > 1 else ".venv")
    if problem:
        sys.exit(problem)
    note = compiler_note()
    if note:
        print(note)
