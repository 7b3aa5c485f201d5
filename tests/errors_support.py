"""What the tests of errors share."""

from __future__ import annotations

import pytest


def raises(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == text
    return caught.value
