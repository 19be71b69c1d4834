"""The key sets that a fetcher keeps, and the kids that they are known not to hold. Without locks of their own."""

from __future__ import annotations

from collections import OrderedDict

from cachetools import FIFOCache

from .._core.freshness import Entry

__all__ = ["KeySets", "UnknownKids"]

MAX_UNKNOWN_KIDS = 10_000
UNKNOWN_KID_SECONDS = 5.0
"""Seconds for which a kid that a set did not hold is not asked for again."""


class KeySets:
    """Key sets by ``jwks_uri``, at most ``bound`` of them: the one that was put first leaves first.

    A set is put anew by each refresh, so the one that leaves is the longest unasked for. ``get`` changes nothing, and
    needs no lock.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.get = self._entries.get

    def put(self, jwks_uri: str, entry: Entry) -> list[tuple[str, Entry]]:
        """Keep an entry; return those that had to leave for it."""
        self._entries[jwks_uri] = entry
        self._entries.move_to_end(jwks_uri)
        evicted = []
        while len(self._entries) > self.bound:
            evicted.append(self._entries.popitem(last=False))
        return evicted

    def replace(self, jwks_uri: str, entry: Entry) -> None:
        """Change an entry that is kept; it leaves no later for that."""
        self._entries[jwks_uri] = entry

    def copy(self) -> KeySets:
        """Return the same sets, in the order in which they were asked for.

        In a child process: a thread that is not there may have left the order half changed.
        """
        copied = KeySets(self.bound)
        copied._entries.update(sorted(self._entries.items(), key=lambda item: item[1].fetched_at))
        return copied


class UnknownKids:
    """The kids that no key was found for, by ``jwks_uri``: the newest 10,000 pairs, each for some seconds."""

    def __init__(self) -> None:
        self._until: FIFOCache[tuple[str, str | None], float] = FIFOCache(MAX_UNKNOWN_KIDS)

    def add(self, jwks_uri: str, kid: str | None, until: float) -> None:
        """Remember a kid until then."""
        self._until[jwks_uri, kid] = until

    def until(self, jwks_uri: str, kid: str | None, now: float) -> float | None:
        """Return until when a kid is not asked for again, or None when it may be."""
        until = self._until.get((jwks_uri, kid))
        return until if until is not None and now < until else None
