"""The error of a store that could not answer."""

from __future__ import annotations

from ...exceptions import Reason, TemporarilyUnavailable
from .._one_file import UnfitFileError

__all__ = ["store_unavailable"]


def store_unavailable(store: object, why: BaseException | str) -> TemporarilyUnavailable:
    """Return the error for an add of which nobody knows whether it was done: the assertion is refused."""
    # What a driver says may hold a password.
    reason = str(why) if isinstance(why, str | UnfitFileError) else type(why).__name__
    return TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, f"{type(store).__name__}: {reason}")
