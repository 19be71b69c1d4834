"""Keep what was made of content that comes anew with each request."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Generic, TypeVar

from cachetools import LRUCache

from ._fork import renew_after_fork
from ._lock import Lock

__all__ = ["Kept"]

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Keep values by key; evict the least recently used.

    most: the sum of the sizes of what is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Start anew: the parent's lock may be held by a thread that is not here."""
        kept = LRUCache[Hashable, tuple[int, Value]](self._most, getsizeof=itemgetter(0))
        self._kept, self._lock = kept, Lock()

    def get(self, key: Hashable, size: int, make: Callable[[], Value]) -> Value:
        """Return the value of a key, which is made when it is not kept. What ``make`` raises is raised."""
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = size, make()
            with self._lock:
                self._kept[key] = found
        return found[1]
