"""`WordFinder`: which of some words stand in bytes."""

from __future__ import annotations

import copy
import pickle
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import part

LETTERS = st.binary(max_size=60) | st.lists(st.sampled_from([b"a", b"b", b"\0", b"\xff"]), max_size=60).map(b"".join)
WORDS = st.lists(LETTERS.filter(lambda word: len(word) > 1), max_size=64)


def finder(esl: ModuleType, words: Any) -> Any:
    return part(esl, "_codec").WordFinder(words)


def test_each_word_has_a_bit_of_its_own(esl: ModuleType) -> None:
    found = finder(esl, [b"secret", b"token", b"se", b"absent"]).find
    assert found(b"a token, then a secret") == 0b111
    assert found(b"tokens") == 0b10
    assert found(b"sesecre") == 0b100
    assert found(b"Secret\0to ken") == 0
    assert found(b"secret") == 0b101


def test_words_at_the_edges(esl: ModuleType) -> None:
    found = finder(esl, [b"ab", b"abc", b"b\0", b"\0\0"]).find
    assert [found(data) for data in (b"", b"a", b"ab", b"xab", b"xabc", b"b", b"b\0", b"\0\0")] == [
        *(0, 0, 1, 1, 3),
        *(0, 4, 8),
    ]
    assert found(b"\0" * 100 + b"ab") == 0b1001


def test_any_words_in_any_bytes(esl: ModuleType) -> None:
    @given(WORDS, LETTERS, st.data())
    def check(words: list[bytes], data: bytes, more: Any) -> None:
        if words:
            data += more.draw(st.sampled_from(words)) + data
        assert finder(esl, iter(words)).find(data) == sum(1 << at for at, word in enumerate(words) if word in data)

    check()


def test_the_same_word_twice(esl: ModuleType) -> None:
    assert finder(esl, [b"ab"] * 64).find(b"ab") == (1 << 64) - 1
    assert finder(esl, []).find(b"ab") == 0


def test_whatever_holds_bytes(esl: ModuleType) -> None:
    found = finder(esl, [b"ab"]).find
    assert [found(kind(b"xab")) for kind in (bytearray, memoryview)] == [1, 1]
    assert [found(memoryview(b"axbx")[at::2]) for at in (0, 1)] == [1, 0]
    with pytest.raises(TypeError):
        found("ab")


def test_what_are_no_words(esl: ModuleType) -> None:
    for words, error, said in (
        (["ab"], TypeError, "a word is 'ab', expected bytes"),
        ([bytearray(b"ab")], TypeError, "expected bytes"),
        ([b"ab", b"a"], ValueError, "a word is b'a', expected at least two bytes"),
        ([b""], ValueError, "a word is b'', expected at least two bytes"),
        ([b"ab"] * 65, ValueError, "there are 65 words, expected no more than 64"),
        (5, TypeError, "iterable"),
    ):
        with pytest.raises(error, match=said):
            finder(esl, words)


def test_it_is_not_copied(esl: ModuleType) -> None:
    made = finder(esl, [b"ab"])
    for action in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle 'WordFinder' object"):
            action(made)
