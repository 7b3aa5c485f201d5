"""FreeSWITCH's own Python module `ESL`, with the same names and calls: a drop-in (docs/protocol/esl-module.md).

    from eslcodec import ESL                # in the place of `import ESL`
    eslcodec.install_as_ESL()               # or once, before whatever says `import ESL` or `from ESL import *`
    python -m eslcodec.ESL script.py        # or with a script that is left as it is; -m module likewise

Network errors raise nothing: a method returns what the official module returns. Text is UTF-8 with surrogateescape.
What a server sends is read as everywhere in eslcodec (no truncated frames, no forged headers) and then treated as by
the official library: header names in any case, `ARRAY::`, `name[i]`, empty values (docs/protocol/headers.md, P6).
Received events are read when they are asked; the first change makes a list of their headers.

Where the official module departs from its documentation, or would send something else than was meant, this one does
not; with `ESL.strict = True` it does as the official one:

| point | default | `ESL.strict = True` |
|---|---|---|
| `recvEventTimed(0)` | returns at once | blocks |
| `sendEvent(e)` | returns its reply | returns the last frame received |
| `setAsyncExecute(v)`, `setEventLock(v)` | words, or 1/0 as documented | words only, an int is a TypeError |
| `setPriority(n)` | accepted | TypeError |
| `addBody` called again | adds to the body | replaces it |
| `serialize("xml")` | the XML of the switch (docs/protocol/payloads.md, P4.3) | plain |
| `unshiftHeader` | the item first, a new header before all others | appends it, a new `ARRAY::` after all others |
| `ESLevent("DTMF", "")` | as without the empty text | an invalid event |
| the fd of `ESLconnection(fd)` | duplicated; yours is yours to close | taken over |
| a value that would become another header or command | refused | sent |
| None as an argument of `filter`, `events` | refused | sent as `(null)` |
| line ends after an argument | dropped | sent |
| an event's own Content-Length | sent once, the body's | sent, and the body's after it |
| more than the switch reads as one command | refused | sent; it takes the rest for another command |

Refused: nothing is sent, the logger `eslcodec` has a warning, and what is returned is an event with the Reply-Text
`-ERR not sent: ...`, or 1 where a number is. `sendEvent` and `sendMSG` refuse an event whose header has a line end or a
NUL in its value, or a colon in its name. `send` and `sendRecv` send what they are given.

In both modes this is otherwise than in the official module:

| point | here | there | why |
|---|---|---|---|
| crashes, leaks, descriptors closed twice | none | some | |
| long arguments, 64 KiB of headers, long arrays | whole | cut, or glued to the next line | nothing may be lost |
| CR at the end of a line; line ends before a frame | dropped | kept, or a frame | as everywhere here |
| a line without a colon | skipped | takes the next line, or the rest, into its name | it would forge headers |
| a line with several colons | cut at its first colon and blank | at its first colon | names with a colon are sent raw |
| TABs before a value of an event | dropped | kept | as everywhere here |
| `%` without two hexadecimal digits after it | stays | decoded by `scanf` | it would change values |
| NUL in a header or a body | a character | ends the value, the block or the body | nothing may be lost |
| a Content-Length that is no number, or two that differ | ends the connection | read in part | it would forge frames |
| a JSON or XML event without Content-Length | ends the connection | its text is read as frames | no switch sends it |
| an event's body without a Content-Length in the event | is the body | lost | nothing may be lost |
| the last line of an event without a line end | a header | lost, or the body | as everywhere here |
| a header `_body` of the frame itself | a header | makes an event of it | it would forge events |
| `ARRAY::` in the middle of a value | text | an array that begins 7 characters into the value | it would forge items |
| JSON that is none (`01`, control characters as blanks) | malformed | read | as everywhere here |
| an escaped surrogate inside of what is no header | not looked at | malformed | it is not read |
| `_body` of a JSON event with `%` in it | as it is | given to `printf` | it would change or crash |
| `name[i]` of an item that is there | `getHeader(name)` shows it | shows the old one at first | it is wrong |
| `name[i]` that would fill more than 65,536 gaps | dropped | filled | memory: `headers.MAX_GAP_ITEMS` |
| a lone surrogate in an argument | TypeError | a crash | |
| non-ASCII text in `serialize()` | encoded | encoded wrongly | |
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

from ._esl import settings
from ._esl.connection import ESLconnection
from ._esl.event import ESLevent
from ._esl.link import MAX_BODY_BYTES as MAX_BODY_BYTES
from ._esl.link import MAX_QUEUED_BYTES as MAX_QUEUED_BYTES
from ._esl.link import MAX_QUEUED_FRAMES as MAX_QUEUED_FRAMES
from ._esl.settings import eslSetLogLevel

__all__ = ["ESLconnection", "ESLevent", "eslSetLogLevel"]


strict = settings.strict
"""Whether to do as the official module where it departs from its documentation."""


class _Module(ModuleType):
    """This module: `strict` is set here, and read in `_esl`."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "strict":
            settings.strict = bool(value)


sys.modules[__name__].__class__ = _Module

_USAGE: Final = """\
usage: python -m eslcodec.ESL script.py [args]
       python -m eslcodec.ESL -m module [args]
"""
_HELP: Final = f"""{_USAGE}
Runs a program that was written for FreeSWITCH's own Python module, as it is: `import ESL` finds eslcodec.ESL in it.
The script or module sees everything else as `python script.py` or `python -m module` would show it.
"""


def _main(argv: list[str]) -> None:
    """`python -m eslcodec.ESL script.py [args]`, or `-m module [args]`."""
    from . import _script, install_as_ESL

    first = argv[0] if argv else ""
    if first in ("-h", "--help"):
        print(_HELP, end="")
        return
    if first == "-m" and argv[1:]:
        install_as_ESL()
        _script.run_module(argv[1:])
        return
    if not first or first.startswith("-"):
        why = {"": "no script", "-m": "no module after -m"}.get(first, f"no such option: {first}")
        print(f"{_USAGE}{why}", file=sys.stderr)
        raise SystemExit(2)
    install_as_ESL()
    _script.run(argv)


if __name__ == "__main__":
    _main(sys.argv[1:])
