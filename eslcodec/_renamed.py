"""Public names that were renamed: the old one works for a while, with a DeprecationWarning.

`RENAMED` is the one list of them. In the class an old name is a `Renamed()`, which finds its new name there.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

RENAMED: Final = {
    "connection.Connection.silence": "probe",
    "connection.Connection.stuck": "queue_is_full",
    "connection.Connection.stuck_error": "queue_full_error",
    "connection.Connection.watched": "watcher_count",
    "subscriptions.Subscriptions.silence": "warning",
}
"""Module, class and old name -> new name. The module is the one where the class is written."""


class Renamed:
    """An attribute under its old name.

    Example:
        >>> import warnings
        >>> from eslcodec.subscriptions import Subscriptions
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     Subscriptions().silence()
        >>> str(said[0].message)
        'Subscriptions.silence is Subscriptions.warning now'
    """

    def __set_name__(self, owner: type, name: str) -> None:
        module = owner.__module__.partition(".")[2]  # without the package's name
        self._old = f"{owner.__name__}.{name}"
        self._new = RENAMED[f"{module}.{self._old}"]

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:  # `inspect` and the like look at the class: that is no use of the name
            return getattr(owner, self._new)
        text = f"{self._old} is {owner.__name__}.{self._new} now"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(instance, self._new)
