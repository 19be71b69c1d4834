"""Check what a decorator or a dependency is made with."""

from __future__ import annotations

from .._validation import check_flag, check_integer
from ..exceptions import ConfigurationError

__all__ = ["check_decorator_settings"]


def check_decorator_settings(verifier: object, kind: type, *, max_body: object, **flags: object) -> None:
    """Check the settings of a decorator or a dependency. Raises ConfigurationError, which names the setting."""
    if not isinstance(verifier, kind):
        raise ConfigurationError(f"verifier must be an instance of {kind.__name__}, not {type(verifier).__name__}")
    for name, value in flags.items():
        check_flag(name, value)
    check_integer("max_body", max_body, 1_024, 16_777_216)
