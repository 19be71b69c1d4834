"""Objects that must be mended in a child process after a fork: their locks may be held by nobody there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol, TypeVar

from cachetools import FIFOCache


class Forkable(Protocol):
    """What has a lock, a thread, or a claim to be shared, that does not survive a fork."""

    def after_fork_in_child(self) -> None:
        """Make the object usable in this child."""
        ...


class Fetched(Protocol):
    """What a cache of JWK Sets keeps."""

    @property
    def fetched_at(self) -> float:
        """When it was asked for."""
        ...


Kept = TypeVar("Kept", bound=Fetched)


def rebuilt(cache: FIFOCache[str, Kept]) -> FIFOCache[str, Kept]:
    """A cache anew, in its order: a thread that is not in this child may have left it half changed."""
    fresh: FIFOCache[str, Kept] = FIFOCache(cache.maxsize)
    fresh.update(sorted(cache.items(), key=lambda item: item[1].fetched_at))
    return fresh


_objects: weakref.WeakSet[Forkable] = weakref.WeakSet()


def mend_after_fork(subject: Forkable) -> None:
    """Have ``subject`` mended in every child, for as long as it lives."""
    _objects.add(subject)


def _mend() -> None:
    for subject in list(_objects):
        subject.after_fork_in_child()


# Absent where there is no fork.
getattr(os, "register_at_fork", lambda **_hooks: None)(after_in_child=_mend)
