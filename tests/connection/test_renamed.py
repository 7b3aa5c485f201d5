"""Public names that have another name by now: each old one works, and says so."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from eslcodec._renamed import RENAMED

MADE: dict[str, Callable[[Any], Any]] = {
    "Connection": lambda kind: kind.inbound("secret"),
    "Subscriptions": lambda kind: kind(),
}


@pytest.mark.parametrize("renamed", RENAMED)
def test_an_old_name_is_the_new_one_with_a_warning(esl: ModuleType, renamed: str) -> None:
    module, name, old = renamed.rsplit(".", 2)
    kind = getattr(importlib.import_module(f"{esl.__name__}.{module}"), name)
    thing = MADE[name](kind)
    with pytest.warns(DeprecationWarning, match=rf"^{name}\.{old} is {name}\.{RENAMED[renamed]} now$") as caught:
        through_old = getattr(thing, old)
    assert caught[0].filename == __file__
    assert through_old == getattr(thing, RENAMED[renamed])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(kind, old) is getattr(kind, RENAMED[renamed])
