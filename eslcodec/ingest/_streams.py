"""What a stream of NATS JetStream must be for a bridge, and how one is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .contract import PREFIX

PARTITIONS_KEY: Final = "esl-partitions"
"""In a stream's metadata: how many partitions it was made for."""

_SAFE: Final = (2, 10)  # Debian 12 has 2.9.10
_DAYS_3: Final = 72 * 3600
_HEADERS: Final = 2048  # bytes of a message that are not ours to give away: what the server adds


def stream_config(name: str, subjects: Sequence[str], replicas: int = 1) -> dict[str, Any]:
    """The configuration of a stream for one switch: in files, 72 hours, window for duplicates of two minutes.

    Example:
        >>> stream_config("FS1", ["esl.v1.fs1.>"])["retention"]
        'limits'
    """
    return {
        "name": name,
        "subjects": list(subjects),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": _DAYS_3 * 10**9,
        "duplicate_window": 120 * 10**9,
        "num_replicas": replicas,
    }


def check_stream(config: Mapping[str, Any]) -> list[str]:
    """What a stream's configuration means for a bridge, a sentence each.

    Args:
        config: as the server says it.

    Raises:
        ValueError: it cannot work, and why.

    Example:
        >>> check_stream({"name": "FS1", "retention": "limits", "duplicate_window": 1, "discard": "new"})
        ['stream FS1 takes nothing when it is full (discard is new): publishing waits then']
        >>> check_stream({"name": "FS1", "retention": "workqueue"})
        Traceback (most recent call last):
            ...
        ValueError: stream FS1 deletes what was consumed (retention is workqueue), so its end says nothing: use limits
    """
    name, retention = config.get("name"), config.get("retention")
    if retention in ("workqueue", "interest"):
        raise ValueError(
            f"stream {name} deletes what was consumed (retention is {retention}), so its end says nothing: use limits"
        )
    if config.get("no_ack"):
        raise ValueError(f"stream {name} acknowledges nothing (no_ack)")
    if config.get("sealed"):
        raise ValueError(f"stream {name} is sealed: it takes nothing any more")
    if config.get("mirror"):
        raise ValueError(f"stream {name} is a mirror: publish to the one that it copies")
    said = []
    if config.get("discard") == "new":
        said.append(f"stream {name} takes nothing when it is full (discard is new): publishing waits then")
    if config.get("storage") == "memory":
        said.append(f"stream {name} is in memory: it is empty after a restart of the server")
    if config.get("max_msgs_per_subject", -1) > 0:
        said.append(f"stream {name} keeps only {config['max_msgs_per_subject']} messages of each subject")
    if not config.get("duplicate_window"):
        said.append(f"stream {name} has no window for duplicates: two bridges put everything in twice")
    return said


def check_server(config: Mapping[str, Any], version: Sequence[int]) -> list[str]:
    """What the version of a server means for a stream.

    Args:
        config: as the server says it.
        version: of the server.

    Example:
        >>> check_server({"name": "FS1", "num_replicas": 3}, (2, 9, 10))
        ['stream FS1 has 3 replicas on a server of version 2.9.10, which was seen to lose what it had acknowledged: use a current one']
        >>> check_server({"name": "FS1", "num_replicas": 3}, (2, 10, 0)), check_server({"name": "FS1"}, (2, 9, 10))
        ([], [])
    """  # noqa: E501
    replicas = config.get("num_replicas", 1)
    if replicas < 2 or tuple(version) >= _SAFE:
        return []
    number = ".".join(map(str, version))
    text = f"stream {config.get('name')} has {replicas} replicas on a server of version {number}"
    return [f"{text}, which was seen to lose what it had acknowledged: use a current one"]


def check_partitions(config: Mapping[str, Any], partitions: int) -> list[str]:
    """Whether a stream was made for so many partitions, which its metadata says (servers from 2.10 on keep that).

    Args:
        config: as the server says it.
        partitions: of the contract.

    Raises:
        ValueError: it was made for another number: the events of a channel would be in two partitions.

    Example:
        >>> check_partitions({"name": "FS1", "metadata": {"esl-partitions": "16"}}, 16)
        []
        >>> check_partitions({"name": "FS1"}, 16)
        ['stream FS1 does not say how many partitions it has (no esl-partitions in its metadata): never change 16']
    """
    name, said = config.get("name"), (config.get("metadata") or {}).get(PARTITIONS_KEY)
    if said is None:
        none = f"no {PARTITIONS_KEY} in its metadata"
        return [f"stream {name} does not say how many partitions it has ({none}): never change {partitions}"]
    if said != str(partitions):
        raise ValueError(f"stream {name} has {said:.20} partitions, not {partitions}: a channel would be in two")
    return []


def check_replay(config: Mapping[str, Any], prefix: str) -> None:
    """Whether a stream may have what is published again under another prefix.

    Args:
        config: as the server says it.
        prefix: what its subjects begin with.

    Raises:
        ValueError: what is live is in that stream too. It has the same identities.

    Example:
        >>> check_replay({"name": "AGAIN", "subjects": ["replay.may.fs1.>"]}, "replay.may")
        >>> check_replay({"name": "FS1", "subjects": ["*.*.fs1.>"]}, "replay.may")
        Traceback (most recent call last):
            ...
        ValueError: stream FS1 takes *.*.fs1.>, where live events are: what is replay.may needs a stream of its own
    """
    for subject in config.get("subjects") or ():
        pairs = zip(subject.split("."), PREFIX.split("."), strict=False)
        if all(token in ("*", ">", word) for token, word in pairs):
            raise ValueError(
                f"stream {config.get('name')} takes {subject}, where live events are: what is {prefix} needs a stream "
                "of its own"
            )


def max_bytes(max_payload: int, config: Mapping[str, Any]) -> int:
    """How large a message may be, headers and body, for a server and a stream."""
    limits = [max_payload, config.get("max_msg_size", -1)]
    return min(int(limit) for limit in limits if limit and limit > 0) - _HEADERS
