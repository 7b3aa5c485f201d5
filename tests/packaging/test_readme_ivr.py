"""The programs of the guide to an IVR, run as they are printed."""

from __future__ import annotations

from typing import Any

import pytest
from guide_support import ROOT, block

import eslcodec
from eslcodec.emulator import Emulator

PAGE = ROOT / "docs" / "guides" / "ivr.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is in the checkout only")


def test_the_menu_and_its_test() -> None:
    code = block("def menu(call)")
    assert len([line for line in code.splitlines() if line]) < 20
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_menu"]()


def test_the_message_that_is_left() -> None:
    names: dict[str, Any] = {"eslcodec": eslcodec}
    exec(block("def message(call)"), names)
    with eslcodec.serve(names["message"]) as server, Emulator() as switch:
        call = switch.call("127.0.0.1", server.port, script=[("talk", 2.5)])
        assert call.wait(30) == "NORMAL_CLEARING"
        assert [application for application, _ in call.executed] == ["answer", "say", "speak", "record"]
