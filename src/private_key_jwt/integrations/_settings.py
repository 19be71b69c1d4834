"""Check what a decorator or a dependency is made with."""

from __future__ import annotations

from .._validation import check_flag, check_integer, is_coroutine_function
from ..exceptions import ConfigurationError

__all__ = ["check_before_consume", "check_decorator_settings"]


def check_decorator_settings(verifier: object, kind: type, *, max_body: object, **flags: object) -> None:
    """Check the settings of a decorator or a dependency. Raises ConfigurationError, which names the setting."""
    if not isinstance(verifier, kind):
        raise ConfigurationError(f"verifier must be an instance of {kind.__name__}, not {type(verifier).__name__}")
    for name, value in flags.items():
        check_flag(name, value)
    check_integer("max_body", max_body, 1_024, 16_777_216)


def check_before_consume(name: str, check: object) -> None:
    """Refuse a check that nobody would await, so that it would let everybody in. Raises ConfigurationError."""
    if not callable(check) or is_coroutine_function(check):
        kind = "a coroutine function" if callable(check) else type(check).__name__
        raise ConfigurationError(f"{name} must be a plain function, not {kind}")
