"""`Backoff`, which lives in `eslcodec.reconnect`."""

from .reconnect import Backoff

__all__ = ["Backoff"]
