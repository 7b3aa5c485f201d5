"""Host and port in texts: as they are shown, and in the errors of connecting."""

from __future__ import annotations

import errno
import os
import socket

_UNKNOWN_NAME = "it cannot be the name of a host"


def address(host: str, port: int) -> str:
    """Host and port as one text.

    Example:
        >>> address("127.0.0.1", 8021), address("::1", 8021)
        ('127.0.0.1:8021', '[::1]:8021')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unreachable(error: OSError | UnicodeError, host: str, port: int, seconds: float) -> OSError:
    """The error of an attempt to connect, as the same kind of error that says where to.

    Args:
        error: what the system, or the event loop, said.
        host, port: where to.
        seconds: how long it was tried at most.

    Example:
        >>> unreachable(ConnectionRefusedError(111, "Connection refused"), "127.0.0.1", 8021, 5)
        ConnectionRefusedError(111, 'Connection refused')
        >>> print(unreachable(TimeoutError("timed out"), "127.0.0.1", 8021, 5))
        connecting to 127.0.0.1:8021 took more than 5 s
    """
    where = address(host, port)
    if isinstance(error, UnicodeError):
        return socket.gaierror(socket.EAI_NONAME, _UNKNOWN_NAME, where)
    if isinstance(error, BlockingIOError) or (isinstance(error, TimeoutError) and not error.errno):
        return TimeoutError(f"connecting to {where} took more than {seconds:g} s")
    if hasattr(error, "verify_code") or hasattr(error, "library"):  # of TLS, whose numbers are no errno
        refused = type(error)(error.errno, f"cannot connect to {where}: {error.strerror}")
        refused.__dict__.update(error.__dict__)  # `verify_code` and others, which say why
        return refused
    if not error.errno:  # several addresses, of which asyncio tells in one text
        return type(error)(f"cannot connect to {where}: {error}")
    known = not isinstance(error, socket.gaierror) and error.errno in errno.errorcode
    return type(error)(error.errno, os.strerror(error.errno) if known else error.strerror, where)
