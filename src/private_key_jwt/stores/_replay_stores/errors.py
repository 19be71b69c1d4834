"""The error of a store that could not answer."""

from __future__ import annotations

from ..._text import one_line, shorten
from ...exceptions import Reason, TemporarilyUnavailable
from .._one_file import UnfitFileError

__all__ = ["store_unavailable"]

_LOCKED = (
    ": another connection has a transaction open (Django's ATOMIC_REQUESTS or another long one: give the marks a"
    " database of their own (using=); in tests Django's TestCase: take TransactionTestCase)"
)

_LONGEST_TEXT = 200  # characters


def store_unavailable(store: object, why: BaseException | str) -> TemporarilyUnavailable:
    """Return the error for an add of which nobody knows whether it was done: the assertion is refused."""
    if type(why).__module__ == "sqlite3":  # not imported: some builds of Python have none, and most stores need none
        reason = f"{type(why).__name__}: {why}{_LOCKED if 'is locked' in str(why) else ''}"
    elif isinstance(why, str | UnfitFileError):
        reason = str(why)
    else:
        reason = _describe(why)
    return TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, f"{type(store).__name__}: {reason}")


def _describe(error: BaseException) -> str:
    """Describe what a driver raised by its class, and by its text where that can hold no password.

    A part of a URL or of settings that could not be read may be one: a text with ``=``, ``//`` or ``@`` is left out.
    MySQL writes ``'user'@'host'``, which is none.
    """
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception whose text raises
        return name
    is_safe = text and not any(sign in text.replace("'@'", "") for sign in ("=", "//", "@"))
    return f"{name}: {one_line(shorten(text, _LONGEST_TEXT))}" if is_safe else name
