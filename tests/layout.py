"""The modules of the package and the order of their imports: what test_packaging.py enforces and the guides show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import eslcodec

PACKAGE: Final = Path(eslcodec.__file__).parent

CLOSED: Final = ("adapters", "cli")
"""Packages that stand in the order as one."""

ROOMS: Final = ("_core", "_esl", "aio", "emulator", "ingest", "sync")
"""Packages whose modules have a place each."""


def modules() -> Iterator[str]:
    for path in [*PACKAGE.glob("*.py"), *(path for room in ROOMS for path in PACKAGE.glob(f"{room}/**/*.py"))]:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts not in (("__init__",), ("__main__",)):
            yield ".".join(parts).removesuffix(".__init__")


MODULES: Final = sorted(modules())

ORDER: Final = [
    {
        "limits",
        "errors",
        "enums",
        "logs",
        "_fork",
        "_shut",
        "_script",
        "presets",
        "_ctext",
        "_filters",
        "_address",
        "_renamed",
        "flow",
        "_cells",
    },
    {"_caretaker", "_tap"},
    {"_json", "_xml"},
    {"_core", "_core.formats", "_core.text"},
    {"_core.lines"},
    {"_core.json_out", "_core.templates", "_core.xml_in"},
    {"_core.json_in", "_core.splitter"},
    {"_core.message", "_core.scanner"},
    {"_core.decoder", "_core.lone"},
    {"_core.header_reader", "_core.next_number", "_core.channel_filter", "_core.row_reader", "_core.word_finder"},
    {"_codec_py"},
    {"_codec"},
    {"_window", "_zstd"},
    {"zst"},
    {"render"},
    {"_rewrite"},
    {"_retell"},
    {"events"},
    {"_opened"},
    {"_mend", "_overview"},
    {"recordings"},
    {"reconnect"},
    {"headers", "commands", "backoff", "_options", "tables"},
    {"dialing"},
    {"ivr"},
    {"subscriptions", "waits", "message_queue"},
    {"_words", "_block", "_getvar", "_uuid_api"},
    {"_pipeline"},
    {"_needs"},
    {"_jobs", "_channel"},
    {"_dials"},
    {"_verbs"},
    {"connection"},
    {"_door"},
    {"sync._gate", "sync._tls", "aio._loop"},
    {"sync._link", "aio._link", "aio._opening", "aio._lanes"},
    {"sync._tapped", "aio._tapped"},
    {"sync._job", "aio._job", "sync._readers", "aio._readers", "aio._route"},
    {"sync._verbs", "aio._verbs"},
    {"sync._operator_verbs", "aio._operator_verbs"},
    {"sync._client", "aio._client"},
    {"sync._call_verbs", "aio._call_verbs", "sync._connect", "aio._connect"},
    {"sync._ivr_verbs", "aio._ivr_verbs"},
    {"sync._call", "aio._call"},
    {"sync._porter"},
    {"sync._server", "aio._server"},
    {"sync", "aio"},
    {
        "emulator._events",
        "emulator._waiting",
        "emulator._blocks",
        "emulator._faults",
        "emulator._thread",
        "emulator._expected",
    },
    {"emulator._digits", "emulator._expand", "emulator._legs"},
    {"emulator._model", "emulator._dialstring"},
    {"emulator._core", "emulator._rights", "emulator._endpoints", "emulator._shapes"},
    {"emulator._channels", "emulator._subscription"},
    {"emulator._collecting", "emulator._rooms", "emulator._bridges"},
    {"emulator._speech", "emulator._dialling"},
    {"emulator._applications", "emulator._calls"},
    {"emulator._switch"},
    {
        "emulator._show",
        "emulator._commands_channel",
        "emulator._commands_modules",
        "emulator._commands_switch",
        "emulator._commands_text",
    },
    {"emulator._commands_schedule"},
    {"emulator._api", "emulator._listener"},
    {"emulator._put_through", "emulator._source"},
    {"emulator._replay"},
    {"emulator._sockets"},
    {"emulator._server"},
    {"emulator._aio"},
    {"_esl.arguments"},
    {"_esl.settings"},
    {"_esl.frames"},
    {"_esl.json_text", "_esl.commands", "_esl.turns"},
    {"_esl.event", "_esl.link"},
    {"_esl.connection"},
    {"_esl"},
    {"emulator", "ESL", "adapters"},
    {"ingest._files", "ingest._masking", "ingest._secrets"},
    {"ingest.redact"},
    {"ingest._writer"},
    {"ingest.recorder"},
    {"ingest.presets"},
    {"ingest._pieces"},
    {"ingest._board", "ingest._lag", "ingest._numbers", "ingest._sessions"},
    {"ingest.watch"},
    {"ingest.notices"},
    {"ingest.resync", "ingest.redacting", "ingest.contract"},
    {"ingest._delivered"},
    {"ingest._rows"},
    {"ingest._legs"},
    {"ingest._calls"},
    {"ingest._records"},
    {"ingest._spec"},
    {"ingest._columns_py"},
    {"ingest.columns"},
    {"ingest._scan"},
    {"ingest._batches"},
    {"ingest._ndjson"},
    {"ingest._dials", "ingest._hosts", "ingest._board"},
    {"ingest._switches"},
    {"ingest._member_tap"},
    {"ingest._member"},
    {"ingest.fleet"},
    {"ingest._families", "ingest._http"},
    {"ingest.metrics"},
    {"ingest._health"},
    {"ingest._packed", "ingest._spill", "ingest._streams", "ingest._nats", "ingest._intake"},
    {"ingest._flight"},
    {"ingest._wire"},
    {"ingest.publisher", "ingest._pulling"},
    {"ingest.sinks"},
    {"ingest.bridge"},
    {"ingest.consume"},
    {"ingest._bridges"},
    {"ingest"},
    {"pytest_plugin", "cli"},
]
"""Each module imports only what stands before it, or in its own row."""

FOR_TYPES: Final = {("errors", "events")}
"""Imports of what stands below, for annotations only: an error knows the event that it carries."""
