"""The parameters of a statement of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Values"]

Values = Mapping[str, Any]
"""The parameters of a statement, by their names."""
