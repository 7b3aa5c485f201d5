"""What the guide to the bridge says is what the command and the code say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from guide_support import ROOT, block, commands

from eslcodec.ingest import metrics

PAGE = ROOT / "docs" / "guides" / "bridge.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is in the checkout only")


def test_the_bridge_from_the_shell(tmp_path: Path) -> None:
    """The command line takes it."""
    click = pytest.importorskip("click")
    pytest.importorskip("rich")
    from eslcodec.cli import command_line

    secret = tmp_path / "bridge.creds"
    secret.touch(mode=0o600)
    code = block("$ eslcodec bridge fs1").replace("\\\n", "").replace("bridge.creds", shlex.quote(str(secret)))
    ((command, _),) = commands(code)
    program, name, *words = shlex.split(command)
    group = command_line()
    found = group.get_command(click.Context(group), name)
    assert found is not None
    options = found.make_context(name, words).params
    assert (program, options["folder"], options["hosts"]) == ("eslcodec", "spill", ("fs1=10.0.0.1", "fs2=10.0.0.2"))
    assert (options["events"], options["create_stream"]) == (("CALLS",), True)
    assert (options["servers"], options["listen"][1]) == (("nats://10.0.1.1:4222", "nats://10.0.1.2:4222"), 9108)


def test_each_alert_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rules = re.findall(r"alert: (\w+)", metrics.rules())
    assert sorted({*rules}) == sorted({*re.findall(r"`(Eslcodec\w+)`", text)})


def test_each_kind_of_trouble_is_on_the_page() -> None:
    from eslcodec.ingest._flight import _REASONS, Trouble

    text = PAGE.read_text(encoding="utf-8")
    told = {*re.findall(r'"(\w+)"', (Trouble.__doc__ or "").partition("text:")[0]), *_REASONS.values()}
    assert len(told) >= 12
    assert [kind for kind in sorted(told) if f"`{kind}`" not in text] == []


def test_each_file_of_deployment_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = [path.name for path in (ROOT / "examples" / "deploy").iterdir()]
    assert [name for name in files if f"`{name}`" not in text] == []
