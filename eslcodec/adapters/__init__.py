"""Our codec inside clients that others wrote: their API, their events, their dispatch; our splitter and header parser.

    import eslcodec.adapters.greenswitch
    eslcodec.adapters.greenswitch.install()

`greenswitch`, `genesis` and `switchio` each have `install` and `uninstall`; nothing is imported before they are called.
Each module's docstring lists all that changes for the user of the client. When the client reads does not change:
nothing watches over events that it leaves unread.
"""

from __future__ import annotations

from ..errors import ESLError

__all__ = ["UnknownClient"]


class UnknownClient(ESLError):
    """The client is installed, but inside it does not look as the adapter expects. Nothing was replaced.

    Attributes:
        client: its name.
        found: the version that is installed, or "of unknown version".
        known: the versions that the adapter was made for.
        why: what was looked for and what was found.

    Example:
        >>> print(UnknownClient("greenswitch", "9.0", "0.0.19", "it has no ESLProtocol"))
        greenswitch 9.0 is not like 0.0.19, which this adapter knows: it has no ESLProtocol. It was left as it is
    """

    def __init__(self, client: str, found: str, known: str, why: str) -> None:
        self.client = client
        self.found = found
        self.known = known
        self.why = why
        super().__init__(f"{client} {found} is not like {known}, which this adapter knows: {why}. It was left as it is")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.client, self.found, self.known, self.why)
