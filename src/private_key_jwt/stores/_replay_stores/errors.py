"""The error of a store that could not answer."""

from __future__ import annotations

from ...exceptions import Reason, TemporarilyUnavailable
from .._one_file import UnfitFileError

__all__ = ["store_unavailable"]

_LOCKED = (
    ": another connection has a transaction open (Django's ATOMIC_REQUESTS or another long one: give the marks a"
    " database of their own (using=); in tests Django's TestCase: take TransactionTestCase)"
)


def store_unavailable(store: object, why: BaseException | str) -> TemporarilyUnavailable:
    """Return the error for an add of which nobody knows whether it was done: the assertion is refused."""
    if type(why).__module__ == "sqlite3":  # not imported: some builds of Python have none, and most stores need none
        reason = f"{type(why).__name__}: {why}{_LOCKED if 'is locked' in str(why) else ''}"
    elif isinstance(why, str | UnfitFileError):
        reason = str(why)
    else:
        reason = type(why).__name__  # what a driver says of a server may hold a password
    return TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, f"{type(store).__name__}: {reason}")
