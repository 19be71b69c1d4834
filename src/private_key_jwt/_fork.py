"""Renew objects in a child process after a fork: whoever held their locks is not there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from ._lock import RLock


class Forkable(Protocol):
    """An object with a lock, a thread, or marks that a child does not share: none of them survives a fork."""

    def after_fork_in_child(self) -> None:
        """Make the object usable in this child."""
        ...


_objects: weakref.WeakSet[Forkable] = weakref.WeakSet()
# Threads make objects at once, and an interpreter without a lock of its own does not guard the set for them.
_lock = RLock()


def renew_after_fork(subject: Forkable) -> None:
    """Call ``subject.after_fork_in_child()`` in every child process, for as long as the object lives."""
    with _lock:
        _objects.add(subject)


def _renew() -> None:
    global _lock
    _lock = RLock()  # whoever held it is not in this process
    failures = []
    for subject in list(_objects):
        try:
            subject.after_fork_in_child()
        except Exception as error:  # the others must be renewed: they would wait for ever for a lock
            failures.append(error)
    if failures:
        raise ExceptionGroup("objects that could not be renewed after a fork", failures)  # the interpreter reports it


# Absent where there is no fork.
getattr(os, "register_at_fork", lambda **_hooks: None)(after_in_child=_renew)
