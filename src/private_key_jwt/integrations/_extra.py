"""Import what an integration needs, or name the extra that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..exceptions import ConfigurationError

__all__ = ["needs"]


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Name the extra that brings a framework when the imports within fail. Raises ConfigurationError."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"this integration needs an extra: pip install 'private-key-jwt[{extra}]' ({error})"
        ) from error
