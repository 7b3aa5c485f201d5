"""Names, separators and values of random header lines, for the tests that compare."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.one_of(
    st.sampled_from(
        [
            "Event-Name",
            "Event-Name",
            "event-name",
            "Unique-ID",
            "unique-id",
            "Content-Type",
            "Content-Length",
            "content-length",
            "Reply-Text",
            "A",
            "a",
            "A:b",
            "A:",
            "_body",
            "variable_x",
            "variable_X",
            "Job-UUID",
            "Event-Sequence",
        ]
    ).map(str.encode),
    st.sampled_from([b"", b" ", b"\0", b"a b", "é".encode(), "É".encode(), b"\xff", b"\xc3", b"A%20", b"\r", b"\t:"]),
    st.binary(max_size=6).map(lambda raw: raw.replace(b"\n", b"")),
)
VALUES = st.one_of(
    st.sampled_from(
        [
            b"",
            b"1",
            b"DTMF",
            b"%41",
            b"%0A",
            b"%0D%0AEvent-Name: forged",
            b"%",
            b"%4",
            b"%zz",
            b"%%41",
            b"%C3%A9",
            b"%ff",
        ]
    ),
    st.sampled_from(
        [b"ARRAY::a|:b", b"ARRAY%3A%3Aa%7C%3Ab", b"ARRAY::", b" two", b"\t", "é你".encode(), b"\xff\xfe", b"\0"]
    ),
    st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"")),
    st.integers(0, 200).map(lambda size: b"x" * size),
)
SEPARATORS = st.sampled_from([b": ", b": ", b": ", b": ", b":", b":\t", b":  ", b""])
