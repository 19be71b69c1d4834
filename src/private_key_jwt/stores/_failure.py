"""How every store says that it cannot tell."""

from __future__ import annotations

from ..exceptions import Reason, TemporarilyUnavailable


def cannot_tell(store: object, why: BaseException | str) -> TemporarilyUnavailable:
    """The engine did not answer, or not in time: whether the mark was made is not known, so nobody is let in."""
    reason = why if isinstance(why, str) else type(why).__name__
    return TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, f"{type(store).__name__}: {reason}")
