"""The pure-Python core, and the specification of what `_codec_c` (src/_codec_c.pyx) does.

Two problems are solved here and nowhere else: where a frame ends, and what its header lines say. `_core/` has a module
for each part of that, and this module joins them. Users of the core import from here, or from `_codec.py`, which picks
the core that is in use.

Bytes are counted and cut before anything is decoded. So a percent-encoded line end never makes a header, and a body
never becomes one. If anything but the errors named in the docstrings leaves the core, that is a bug.
"""

from __future__ import annotations

from typing import Final

from ._core.channel_filter import ChannelFilter as ChannelFilter
from ._core.decoder import MessageDecoder as MessageDecoder
from ._core.formats import FORMAT_NAMES as FORMAT_NAMES
from ._core.formats import FRAME as FRAME
from ._core.formats import FRAME_ENCODED as FRAME_ENCODED
from ._core.formats import JSON as JSON
from ._core.formats import PAYLOAD_FORMATS as PAYLOAD_FORMATS
from ._core.formats import PLAIN as PLAIN
from ._core.formats import XML as XML
from ._core.header_reader import HeaderReader as HeaderReader
from ._core.lines import parse_headers as parse_headers
from ._core.lines import parse_pairs as parse_pairs
from ._core.lone import lone as lone
from ._core.lone import survey as survey
from ._core.message import Message as Message
from ._core.next_number import NextNumber as NextNumber
from ._core.row_reader import RowReader as RowReader
from ._core.scanner import HeadScanner as HeadScanner
from ._core.scanner import crc32 as crc32
from ._core.splitter import FrameSplitter as FrameSplitter
from ._core.text import quote as quote
from ._core.text import replaces as replaces
from ._core.text import split_array as split_array
from ._core.text import unquote as unquote
from ._core.word_finder import WordFinder as WordFinder

__impl__: Final = "python"
__build__: Final = "pure Python"  # the compiled core says how it was compiled
