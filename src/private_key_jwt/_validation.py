"""Check settings, once, where they are given. Each raises ConfigurationError, which names the setting."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from ._text import MILLISECONDS_FROM, describe_error, quote
from .exceptions import ConfigurationError

__all__ = [
    "check_clock",
    "check_flag",
    "check_handler",
    "check_integer",
    "check_number",
    "check_timeout",
    "is_coroutine_function",
    "kind_of",
    "read_items",
    "read_sequence",
]

Item = TypeVar("Item")


def read_items(name: str, items: Callable[[], Iterable[Item]]) -> tuple[Item, ...]:
    """Return what a collection of the caller's holds, read once: it may be of a class that raises anything.

    items: gives the collection, or its items.
    """
    try:
        return tuple(items())
    except Exception as error:  # the user's code
        raise ConfigurationError(f"{name} cannot be read: {describe_error(error)}") from error


def read_sequence(name: str, value: object, expected: str = "a sequence") -> tuple[Any, ...]:
    """Return what a sequence holds. Refuse anything else, and a text, which is one of characters."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{name} must be {expected}, not {quote(value)}")
    return read_items(name, lambda: value)


def kind_of(value: object) -> str:
    """Name the type of what is no mapping; of a text say what makes a mapping of it."""
    return f"{type(value).__name__}{': json.loads makes one of it' * isinstance(value, str | bytes)}"


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Refuse anything but a finite number within [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ConfigurationError(f"{name} must be a number, not {quote(value)}")
    if not low <= value <= high:
        raise ConfigurationError(f"{name} must be from {low:.15g} to {high:.15g}, not {quote(value)}")


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Refuse anything but an integer within [low, high]."""
    if not isinstance(value, int):
        raise ConfigurationError(f"{name} must be an integer, not {quote(value)}")
    check_number(name, value, low, high)


def check_timeout(timeout: object) -> None:
    """Refuse anything but a number of seconds from 0.01 to 60."""
    check_number("timeout", timeout, 0.01, 60)


def check_flag(name: str, value: object) -> None:
    """Refuse anything but True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {quote(value)}")


def is_coroutine_function(call: object) -> bool:
    """Report whether it can be seen that what a call returns must be awaited: also of an object with such a method."""
    while isinstance(call, partial):
        call = call.func
    if not callable(call):
        return False
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def check_handler(on_event: object) -> None:
    """Refuse anything but None or a function that is no coroutine function."""
    if on_event is None:
        return
    if not callable(on_event):
        raise ConfigurationError(f"on_event must be a function of one event, not {type(on_event).__name__}")
    if is_coroutine_function(on_event):
        raise ConfigurationError("on_event must not be a coroutine function: nobody would await it")


def check_clock(name: str, clock: object, *, since_epoch: bool = True) -> None:
    """Refuse anything but a function that gives a finite number of seconds. Call it once.

    since_epoch: whether those are seconds since the epoch, and no milliseconds; else they begin anywhere.
    """
    gives = "seconds since the epoch" if since_epoch else "seconds, and never goes back"
    if not callable(clock) or is_coroutine_function(clock):
        raise ConfigurationError(f"{name} must be a function that gives {gives}, not {quote(clock)}")
    low, high = (0, MILLISECONDS_FROM) if since_epoch else (-sys.float_info.max, sys.float_info.max)
    try:
        now = clock()
    except Exception as error:  # the user's code
        raise ConfigurationError(f"{name} must give {gives}, and it raised {describe_error(error)}") from error
    check_number(f"{name} must give {gives}: {name}()", now, low, high)
