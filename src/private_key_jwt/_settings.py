"""Check the settings of a verifier, once, where they are given. Each raises ConfigurationError."""

from __future__ import annotations

import inspect
from contextlib import suppress
from itertools import chain
from types import MethodType

from ._coroutines import is_in_process
from ._validation import check_clock, check_handler, check_integer
from .exceptions import ConfigurationError
from .policy import AssertionPolicy

__all__ = ["check_has_method", "check_verifier_settings", "check_workers", "lives_in_one_process"]


def check_verifier_settings(policy: object, clock: object, on_event: object) -> None:
    """Check the settings of a verifier that are none of the three. Raises ConfigurationError."""
    check_handler(on_event)
    if not isinstance(policy, AssertionPolicy):
        raise ConfigurationError(f"policy must be an AssertionPolicy, not {type(policy).__name__}")
    check_clock("clock", clock)


def check_workers(workers: int, store: object) -> None:
    """Refuse a store of one process for several workers. Raises ConfigurationError."""
    check_integer("workers", workers, 1, 1_000_000)
    if workers > 1 and lives_in_one_process(store):
        raise ConfigurationError(
            f"workers is {workers}, and {type(store).__name__} lives in one process: each worker would accept an"
            " assertion once. Take a store that they share: SQLiteReplayStore (one host), DjangoReplayStore,"
            " RedisReplayStore or SQLAlchemyReplayStore (several), from private_key_jwt.stores."
        )


def lives_in_one_process(store: object, depth: int = 3) -> bool:
    """Report whether a store says so, or is a wrapper around one that does."""
    if is_in_process(store):
        return True
    return depth > 0 and any(_is_in_one_process(each, depth - 1) for each in _attributes(store))


def _is_in_one_process(kept: object, depth: int) -> bool:
    try:
        return callable(getattr(kept, "add", None)) and lives_in_one_process(kept, depth)
    except Exception:  # a proxy of what there is in a request only (Flask's, Django's): no store
        return False


def _attributes(subject: object) -> list[object]:
    """Return what an object keeps, in its ``__dict__`` and in slots, also of base classes; for a method, its object.

    A slot is read through its descriptor: its name may be mangled, and it may be empty.
    """
    kept = list(vars(subject).values()) if hasattr(subject, "__dict__") else []
    for slot in filter(inspect.ismemberdescriptor, chain(*(vars(base).values() for base in type(subject).__mro__))):
        with suppress(AttributeError):
            kept.append(slot.__get__(subject))
    return [each.__self__ if type(each) is MethodType else each for each in kept]  # not `ismethod`, which asks a proxy


def check_has_method(setting: str, value: object, method: str, expected: str) -> None:
    """Refuse a class, and an object without a method.

    expected: what the setting must be, before "with a method".
    """
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        name = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise ConfigurationError(f"{setting} must be {expected} with a method {method}, not {name}")
