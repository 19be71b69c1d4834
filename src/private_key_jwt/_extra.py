"""Import what an optional part needs, or name the extra that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .exceptions import ConfigurationError

__all__ = ["how_to_install", "missing", "needs"]


class _MissingExtra(ConfigurationError, ImportError):
    """Tell that what an optional part needs is not installed.

    An ImportError, too: ``help()`` and ``pydoc`` print its text, and show a traceback for any other exception.
    """


def how_to_install(extra: str) -> str:
    """Say how to install an extra of this library, in a clone and from an index.

    The clone comes first: that form works before the package is published.
    """
    return f"an extra: pip install '.[{extra}]' in a clone, or pip install 'private-key-jwt[{extra}]' from an index"


def missing(name: str, need: str, error: ImportError) -> ConfigurationError:
    """Make the error for a public name whose import failed.

    name: the whole name of the module, or of the object in it.
    need: what it needs.
    """
    return _MissingExtra(f"{name} needs {need} ({error})", name=name)


@contextmanager
def needs(module: str, extra: str) -> Iterator[None]:
    """Name the extra that brings a framework when the imports within fail. Raises ConfigurationError.

    module: the ``__name__`` of the module that needs it.
    """
    try:
        yield
    except ImportError as error:
        raise missing(module, how_to_install(extra), error) from error
