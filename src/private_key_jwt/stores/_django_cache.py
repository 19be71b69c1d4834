"""The caches of a Django project."""

from __future__ import annotations

from typing import Any

from django.core.cache import InvalidCacheBackendError, caches
from django.core.exceptions import ImproperlyConfigured

from ..exceptions import ConfigurationError

__all__ = ["open_cache"]


def open_cache(alias: Any) -> Any:
    """Return this thread's cache of an alias in ``CACHES``. Raises ConfigurationError."""
    try:
        return caches[alias]
    except (InvalidCacheBackendError, ImproperlyConfigured, TypeError) as error:
        raise ConfigurationError(f"alias must be one of CACHES, not {alias!a}: {error}") from error
