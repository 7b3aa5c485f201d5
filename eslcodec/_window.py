"""The bytes of a file, read as they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from . import limits


class Window:
    """The bytes of a file from a place on, read as they are needed."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)
        self.data = b""
        self.at = 0
        self.base = file.tell() if file.seekable() else 0  # where `data` begins in the file

    @property
    def position(self) -> int:
        return self.base + self.at

    def need(self, size: int) -> bool:
        """Whether there are so many bytes; they are in `data` then."""
        missing = self.at + size - len(self.data)
        if missing <= 0:
            return True
        parts = [self.data]
        while missing > 0:
            part = self._read(min(max(missing, limits.RECORD_READ_BYTES), limits.RECORD_READ_BYTES_MAX))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        self.data = b"".join(parts)
        return missing <= 0

    def forget(self) -> None:
        """Let go of what stands before the place, once that is more than what is kept: each byte is moved once."""
        if self.at > len(self.data) - self.at:
            self.data = self.data[self.at :]
            self.base += self.at
            self.at = 0

    def go(self, position: int) -> None:
        """Go to another place; if that is not in `data`, the file must be seekable."""
        if self.base <= position <= self.base + len(self.data):
            self.at = position - self.base
            return
        self.file.seek(position)
        self.data, self.at, self.base = b"", 0, position
