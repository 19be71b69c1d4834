"""Make the errors for requests that are refused before the verifier sees them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .._core.token_request import invalid_request
from ..exceptions import InvalidRequest
from ._form import decode

__all__ = ["client_id_of", "invalid", "unreadable"]


def invalid(detail: str, found: Mapping[str, bytes] = MappingProxyType({})) -> InvalidRequest:
    """Refuse a request. ``found``: its client parameters, encoded, as far as they were read."""
    return invalid_request(detail, found.get("client_assertion"), client_id_of(found))


def client_id_of(found: Mapping[str, bytes]) -> str | None:
    client_id = found.get("client_id")
    return None if client_id is None else decode(client_id, "replace")


def unreadable(error: Exception) -> InvalidRequest:
    """Make the error for a body that the framework could not read, or would not."""
    return invalid(f"expected a body that can be read, and reading it raised {type(error).__name__}")
