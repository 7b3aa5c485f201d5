"""Which of some words stand in bytes: `WordFinder`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MOST = 64  # bits of an answer


class WordFinder:
    """Finds words in bytes, all of them at once, exactly as they are.

    Args:
        words: at most 64, each of at least two bytes.

    Raises:
        TypeError: a word is not `bytes`.
        ValueError: there are more, or one is shorter.

    Example:
        >>> finder = WordFinder([b"secret", b"token", b"pin"])
        >>> [bin(finder.find(data)) for data in (b"a token, a pin", b"To ken", b"secret")]
        ['0b110', '0b0', '0b1']
    """

    __slots__ = ("_words",)

    def __init__(self, words: Iterable[bytes]) -> None:
        self._words = tuple(words)
        for word in self._words:
            if type(word) is not bytes:
                raise TypeError(f"a word is {word!r:.80}, expected bytes")
            if len(word) < 2:
                raise ValueError(f"a word is {word!r}, expected at least two bytes")
        if len(self._words) > _MOST:
            raise ValueError(f"there are {len(self._words)} words, expected no more than {_MOST}")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def find(self, data: Buffer) -> int:
        """Look for them.

        Args:
            data: of any bytes-like kind.

        Returns:
            A bit for each word that is there, the lowest for the first.
        """
        data = bytes(memoryview(data))
        return sum(1 << number for number, word in enumerate(self._words) if word in data)
