"""What the tests of errors share."""

from __future__ import annotations

from typing import Any

import pytest


def raises(call: Any, kind: Any, text: Any) -> Any:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == text
    return caught.value
