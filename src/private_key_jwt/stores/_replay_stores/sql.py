"""What the replay stores in SQL have in common: their table names, their verdict, and when they purge."""

from __future__ import annotations

import itertools
import re

from ...exceptions import ConfigurationError, TemporarilyUnavailable
from .errors import store_unavailable

PURGE_BATCH = 100
"""Expired rows that one purge deletes at most: no add pays for many."""
_ADDS_PER_PURGE = 20  # a fifth of the batch: purging keeps ahead, also when most purges meet a locked table

# PostgreSQL cuts an identifier after 63 bytes without a word, and ours get the suffix `_forgotten`.
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")


def check_table(table: object) -> str:
    """A table name that needs no quoting anywhere. Raises ConfigurationError."""
    if not isinstance(table, str) or not _TABLE.fullmatch(table) or table.endswith("_forgotten"):
        raise ConfigurationError(
            f"table must be 1 to 48 letters, digits and _, no digit first and no _forgotten last, not {table!a}"
        )
    return table


class PurgeTurns:
    """Says which adds also purge: the first of a process, which may live for one only, and every twentieth."""

    def __init__(self) -> None:
        self._adds = itertools.count()

    def is_due(self) -> bool:
        """To be asked once for each add. Thread-safe: it is one step of the interpreter."""
        return next(self._adds) % _ADDS_PER_PURGE == 0


def is_blocked(forgotten_until: float | None, expires_at: float) -> bool:
    """Whether a mark like this one may have been there, and have been purged: the clock was set back."""
    return forgotten_until is not None and expires_at <= forgotten_until


def clock_set_back(store: object, forgotten_until: float | None, now: float) -> TemporarilyUnavailable:
    """Nobody can tell whether the assertion was used."""
    behind = 0 if forgotten_until is None else forgotten_until - now
    return store_unavailable(store, f"the clock stands {behind:.0f} s before marks already forgotten")


def refused(store: object, known: float | None, forgotten_until: float | None, now: float) -> bool:
    """What it means that nothing was written: False, when the key is live.

    known: until when the key is kept, read after the write was refused.
    Raises TemporarilyUnavailable when it is not: a mark like this one was purged by a clock that ran ahead.
    """
    if known is not None and known > now:
        return False
    raise clock_set_back(store, forgotten_until, now)
