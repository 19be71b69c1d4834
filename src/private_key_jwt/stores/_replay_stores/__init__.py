"""Replay stores: each remembers, in an engine of its own, which assertions were used."""

PREFIX = "private-key-jwt:replay:"
"""Stands before the key of a mark, where an engine keeps other things beside marks."""

MARGIN = 60.0
"""Seconds by which a mark outlives its expiry where the engine's own clock removes it: clocks differ."""

MAX_MARGIN = 86_400
"""The most seconds that such a margin may be."""
