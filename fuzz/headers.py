"""Any bytes as a header block, and as text to be percent-coded: both cores and a naive reader agree."""

from __future__ import annotations

from _common import PYTHON, C, main, same, support


def test_one_input(data: bytes) -> None:
    for decode in (True, False):
        for multiline in (True, False):
            options = {"decode": decode, "multiline": multiline}
            pairs = same(C.parse_pairs(data, **options), PYTHON.parse_pairs(data, **options), options)
            headers = same(C.parse_headers(data, **options), PYTHON.parse_headers(data, **options), options)
            assert pairs == support.naive_pairs(data, **options)
            assert list(headers.items()) == list(support.naive_dict(pairs).items())
            text = data.decode("utf-8", "surrogateescape")
            assert C.parse_pairs(text, **options) == PYTHON.parse_pairs(text, **options) == pairs
    plain = same(C.unquote(data), PYTHON.unquote(data), "unquote")
    assert plain == support.naive_unquote(data)
    quoted = same(C.quote(data), PYTHON.quote(data), "quote")
    assert C.unquote(quoted) == data


if __name__ == "__main__":
    main(test_one_input)
