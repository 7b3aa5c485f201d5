"""Who logs in to an emulated switch with `userauth`, and what that user may do (docs/protocol/commands.md, 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ._model import User

DENIED: Final = "-ERR permission denied"
"""The reply to what a user may not do."""
_WRAPPERS: Final = frozenset({"bgapi", "sched_api", "eval", "expand", "xml_wrap"})


def user_of(users: Mapping[str, User], text: str) -> User | None:
    """The user that `userauth` names with the right password; None if there is none.

    Args:
        users: all of them, by "user@domain".
        text: what stands after the word: `user@domain:password`, or `user:password@domain`.

    Example:
        >>> users = {"1000@example.org": User("secret")}
        >>> user_of(users, "1000@example.org:secret") == user_of(users, "1000:secret@example.org") != None
        True
    """
    name, _, domain = text.partition("@")
    name, colon, password = name.partition(":")
    if not colon:
        domain, _, password = domain.partition(":")
    user = users.get(f"{name}@{domain}")
    return user if user is not None and user.password == password else None


def welcome(user: User) -> str:
    """The reply to a `userauth` that succeeds, in the switch's own way to add headers."""
    log = "true" if user.log else "false"
    return f"~Reply-Text: +OK accepted\nAllowed-Events: {user.events}\nAllowed-API: {user.api}\nAllowed-LOG: {log}\n\n"


def may_have(user: User | None, word: str, *, subclass: bool) -> bool:
    """Whether a connection may ask for an event, or for a subclass of CUSTOM. Without a user it may do everything.

    Example:
        >>> user = User("secret", events="DTMF CUSTOM sofia::register")
        >>> may_have(user, "DTMF", subclass=False), may_have(user, "conference::maintenance", subclass=True)
        (True, False)
    """
    if user is None or user.events == "all":
        return True
    names, _, subclasses = user.events.partition("CUSTOM ")
    if subclass:
        return word in subclasses.split()
    return word in names.upper().split() or (word == "CUSTOM" and "CUSTOM" in user.events)


def may_call(user: User | None, command: str, args: str) -> bool:
    """Whether a connection may call an API command, and all that it wraps.

    Example:
        >>> user = User("secret", api="bgapi status")
        >>> may_call(user, "bgapi", "status"), may_call(user, "bgapi", "reload")
        (True, False)
    """
    if user is None or user.api == "all":
        return True
    allowed = user.api.split()
    for word in [command, *args.split(" ")]:
        if word not in allowed:
            return False
        if word.lower() not in _WRAPPERS:
            return True
    return True
