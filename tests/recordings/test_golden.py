"""Files of each version of the format, read for ever: what is in them stands here in full."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recordings_support import HAS_LIBRARY, read
from support import DATA, part

from eslcodec import _zstd, zst

GOLDEN = DATA / "recordings"
PAGE = Path(__file__).parents[2] / "docs" / "recording-format.md"
FIRST, SECOND = 0x0123456789ABCDEF, 0xFEDCBA9876543210
HELLO = b"Content-Type: auth/request\n\n"
ACCEPTED = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
EVENTS = b"".join(
    b"Content-Length: %d\nContent-Type: text/event-plain\n\nEvent-Name: DTMF\nEvent-Sequence: %d\nFill: %b\n\n"
    % (43 + size, number, b"x" * size)
    for number, size in ((7, 40), (8, 400), (9, 40))
)
SECOND_NS, MS = 10**9, 10**6
BEGIN = 1_790_000_000_250 * MS
CHUNKS = [  # kind, connection, offset, wall ns, monotonic ns, first, length, data, reads, sends, note
    (
        2,
        FIRST,
        0,
        BEGIN,
        790_000_000_250 * MS,
        None,
        0,
        b"",
        [],
        [],
        "{'note': 'opened', 'peer': ['fs1.example.test', 8021]}",
    ),
    (
        *(0, FIRST, 0, BEGIN, 790_000_000_250 * MS, 0, 82, HELLO + ACCEPTED, [(0, 28), (250, 54)]),
        *([zst.Sent(us=100, at=28, data=b"auth ******\n\n")], "None"),
    ),
    (
        *(0, FIRST, 82, BEGIN + SECOND_NS, 790_000_001_250 * MS, 0, 500, EVENTS[:500], [(0, 150), (1000, 350)]),
        *([], "None"),
    ),
    (
        *(0, FIRST, 582, BEGIN + 2 * SECOND_NS, 790_000_002_250 * MS, 129, 263, EVENTS[500:], [(0, 263)]),
        *([], "None"),
    ),
    (
        *(2, FIRST, 845, BEGIN + 3 * SECOND_NS, 790_000_003_250 * MS, None, 0, b"", [], []),
        "{'note': 'closed', 'why': 'the switch closed the connection'}",
    ),
    (
        *(2, SECOND, 0, 1_790_000_060_500 * MS, 790_000_060_500 * MS, None, 0, b"", [], []),
        "{'note': 'gap', 'since': 1790000003.25, 'until': 1790000060.5}",
    ),
    (0, SECOND, 0, 1_790_000_060_500 * MS, 790_000_060_500 * MS, 0, 28, HELLO, [(0, 28)], [], "None"),
]
FILES = {
    "version1": "ba52b8438f88f3fcee335d19f24563669c9a1a9a17ca560ab27560d38999fe5d",
    "version1-raw": "8aca601b0b1f8fd90a7415bf04dbe2cb6e0074b12ef823b652adc13d79572386",
}


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file_is_read_to_the_byte(name: str) -> None:
    if name == "version1" and not HAS_LIBRARY:
        pytest.skip("no Zstandard library")
    data = (GOLDEN / f"{name}.esl.zst").read_bytes()
    assert hashlib.sha256(data).hexdigest() == FILES[name]  # it was not made anew
    chunks, reader = read(data)
    assert chunks == CHUNKS
    assert (reader.closed, reader.torn, reader.damage) == (True, 0, [])


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file_gives_its_messages(esl: ModuleType, name: str) -> None:
    if name == "version1" and not HAS_LIBRARY:
        pytest.skip("no Zstandard library")
    recording = part(esl, "recordings").Recording(GOLDEN / f"{name}.esl.zst")
    assert [message.frame for message in recording.messages()][:2] == [HELLO, ACCEPTED]
    assert [message.sequence for message in recording.messages() if isinstance(message, esl.Event)] == [7, 8, 9]
    assert recording.dropped == 0


@pytest.mark.skipif(not PAGE.exists(), reason="docs/ is not beside the tests")
@pytest.mark.parametrize("name", FILES)
def test_the_reader_of_the_format_s_page_reads_a_golden_file(name: str) -> None:
    """It was written from the page, not from ours."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    page: dict[str, Any] = {}
    exec(code, page)

    def decompress(data: bytes) -> tuple[bytes, bytes]:
        if name == "version1":
            if not HAS_LIBRARY:
                pytest.skip("no Zstandard library")
            decompressor = _zstd.library().ZstdDecompressor()
            return decompressor.decompress(data), decompressor.unused_data
        size, block = int.from_bytes(data[5:9], "little"), int.from_bytes(data[9:12], "little")  # one raw block
        assert block == size << 3 | 1
        return data[12 : 12 + size], data[12 + size :]

    found = list(page["chunks"]((GOLDEN / f"{name}.esl.zst").read_bytes(), decompress))
    assert found == [(*chunk[:4], chunk[8], chunk[7]) for chunk in CHUNKS]


def test_every_golden_file_is_in_the_table() -> None:
    assert {path.name.removesuffix(".esl.zst") for path in GOLDEN.glob("*.esl.zst")} == set(FILES)
