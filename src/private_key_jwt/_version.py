"""The version of this package, read by its build, too."""

__all__ = ["__version__"]

__version__ = "0.2.0"
