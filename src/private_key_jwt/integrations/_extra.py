"""What an integration needs, and who brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..exceptions import ConfigurationError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around the imports of a framework: says which extra brings it. Raises ConfigurationError."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"this integration needs an extra: pip install 'private-key-jwt[{extra}]' ({error})"
        ) from error
