"""Ask the cache of documents, which may be the user's own, and check what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..stores import JWKSDocument

__all__ = ["CACHE_METHODS", "AskCache", "check_document", "describe_grant"]

CACHE_METHODS = ("get", "put", "claim")

_FIRST = -(2.0**53)  # seconds of a clock: before that no fraction is left
_ROUNDING = 0.01  # seconds by which a document may lie ahead: what JWKSCacheContract allows for rounded ages


@dataclass(frozen=True, slots=True)
class AskCache:
    """Call a method of the cache: send me its answer, or ``otherwise`` where it fails.

    arguments: all but the last, which is the time by the fetcher's clock.
    """

    method: Literal["get", "put", "claim"]
    arguments: tuple[Any, ...]
    otherwise: object = None


def check_document(answer: object, now: float) -> JWKSDocument | None:
    """Return what ``get`` answered at ``now``, by the fetcher's clock. Raises ValueError: it is no document, nor None.

    A document of a later time, or of none, would be as young as can be at each look, and its keys would not end.
    """
    if answer is None:
        return None
    if not isinstance(answer, JWKSDocument):
        raise ValueError(f"get returned {type(answer).__name__}, and must return a JWKSDocument or None")
    body, fetched_at = answer.body, answer.fetched_at
    if not isinstance(body, bytes):
        raise ValueError(f"get returned a document with a body that is {type(body).__name__}, and must be bytes")
    if not isinstance(fetched_at, int | float):
        raise ValueError(
            f"get returned a document with a fetched_at that is {type(fetched_at).__name__}, and must be a number"
        )
    if not _FIRST <= fetched_at <= now + _ROUNDING:
        raise ValueError(
            f"get returned a document with a fetched_at that is not before now ({now:.3f}) by the fetcher's clock:"
            " keep its age (now - fetched_at), and return now - age"
        )
    return answer


def describe_grant(answer: object) -> str:
    """Say what is wrong with an answer of ``claim`` that is no bool."""
    return f"claim of the cache returned {type(answer).__name__}, and must return True or False"
