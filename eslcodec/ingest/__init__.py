"""Keeping, reading and passing on streams of events (experimental)."""
