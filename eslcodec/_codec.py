"""Picks the core: the compiled one, or its Python twin where that is not there.

`ESLCODEC_IMPL=c` or `python` asks for one by name; a core asked for and absent raises at import. Type checkers read the
twin, so no stub can drift.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

_wanted = os.environ.get("ESLCODEC_IMPL", "")
if _wanted not in ("", "c", "python"):
    raise ImportError(f"ESLCODEC_IMPL is {_wanted!r}, expected 'c' or 'python'")

if TYPE_CHECKING or _wanted == "python":
    from . import _codec_py as _core
else:
    try:
        from . import _codec_c as _core
    except ImportError as error:
        if _wanted == "c":
            from importlib.util import find_spec

            text = f"ESLCODEC_IMPL=c, but the compiled core is not there: {error}"
            if find_spec(f"{__package__}._codec_c") is None:
                text += ". In a checkout `ESLCODEC_BUILD_EXTENSION=yes pip install .` builds it, or says why it cannot"
            raise ImportError(text) from error
        from . import _codec_py as _core

ChannelFilter = _core.ChannelFilter
FrameSplitter = _core.FrameSplitter
HeadScanner = _core.HeadScanner
HeaderReader = _core.HeaderReader
Message = _core.Message
MessageDecoder = _core.MessageDecoder
crc32 = _core.crc32
NextNumber = _core.NextNumber
RowReader = _core.RowReader
WordFinder = _core.WordFinder
lone = _core.lone
parse_headers = _core.parse_headers
parse_pairs = _core.parse_pairs
quote = _core.quote
survey = _core.survey
unquote = _core.unquote
__impl__ = _core.__impl__
__build__ = _core.__build__
