"""What a client registers about ``private_key_jwt``: its metadata (RFC 7591 §2, OpenID Connect Registration §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._core.algorithms import ALGORITHMS
from ._text import quote
from .exceptions import ConfigurationError

METHOD = "private_key_jwt"
"""The name of the client authentication method (OpenID Connect Core §9)."""


def read(metadata: object) -> dict[str, Any]:
    """The arguments that make a RegisteredClient of client metadata; members that say nothing of it are ignored.

    A member that is null counts as omitted (RFC 7592 §2.2). Raises ConfigurationError, which names the member.
    """
    if not isinstance(metadata, Mapping):
        raise ConfigurationError(f"client metadata must be a mapping, not {type(metadata).__name__}")
    try:
        members = dict(metadata)
    except Exception as error:  # a mapping of the user's own kind
        raise ConfigurationError(f"client metadata cannot be read: {type(error).__name__}") from error
    method = members.get("token_endpoint_auth_method")
    if method != METHOD:
        # Omitted, it is client_secret_basic (RFC 7591 §2): a client must have asked for this method.
        raise ConfigurationError(f"token_endpoint_auth_method must be {METHOD!r}, not {quote(method)}")
    return {
        "client_id": members.get("client_id"),
        "jwks_uri": members.get("jwks_uri"),
        "jwks": members.get("jwks"),
        "signing_algs": signing_algs(members.get("token_endpoint_auth_signing_alg")),
    }


def signing_algs(alg: object) -> tuple[str, ...]:
    """The algorithms that a ``token_endpoint_auth_signing_alg`` stands for. Raises ConfigurationError."""
    if alg is None:
        # Omitted, any algorithm that both sides support may be used (OpenID Connect Registration §2).
        return tuple(ALGORITHMS)
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        supported = ", ".join(ALGORITHMS)
        raise ConfigurationError(f"token_endpoint_auth_signing_alg must be one of {supported}, not {quote(alg)}")
    return (alg,)
