"""The pure-Python core, and the specification of what `_codec_c` (src/_codec_c.pyx) does.

Two problems are solved here and nowhere else: where a frame ends, and what its header lines say. `_core/` has a room
for each part of that, and this module joins them. Whoever uses the core takes it from here, or by way of `_codec.py`
whichever core is in use.

Bytes are counted and cut before anything is decoded. So a percent-encoded line end never makes a header, and a body
never becomes one. If anything but the errors named in the docstrings leaves the core, that is a bug.
"""

from __future__ import annotations

from typing import Final

from ._core.decoder import MessageDecoder as MessageDecoder
from ._core.formats import FORMAT_NAMES as FORMAT_NAMES
from ._core.formats import FRAME as FRAME
from ._core.formats import FRAME_ENCODED as FRAME_ENCODED
from ._core.formats import JSON as JSON
from ._core.formats import PAYLOAD_FORMATS as PAYLOAD_FORMATS
from ._core.formats import PLAIN as PLAIN
from ._core.formats import XML as XML
from ._core.header_reader import HeaderReader as HeaderReader
from ._core.json_in import read_payload as read_payload
from ._core.json_out import to_json as to_json
from ._core.json_out import to_mapping as to_mapping
from ._core.lines import all_replaced as all_replaced
from ._core.lines import first_wins
from ._core.lines import parse_headers as parse_headers
from ._core.lines import parse_pairs as parse_pairs
from ._core.message import Message as Message
from ._core.splitter import FrameSplitter as FrameSplitter
from ._core.splitter import read_head, view_bytes
from ._core.text import UNESCAPED
from ._core.text import quote as quote
from ._core.text import replaced as replaced
from ._core.text import replaces as replaces
from ._core.text import split_array as split_array
from ._core.text import unquote as unquote

__impl__: Final = "python"
__build__: Final = "pure Python"  # the compiled core says how it was compiled

# What only the compiled core takes from here, under the names that it has for it.
_UNESCAPED, _first_wins, _read_head, _view = UNESCAPED, first_wins, read_head, view_bytes
