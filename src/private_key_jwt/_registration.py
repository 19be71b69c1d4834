"""Read what a client registers for ``private_key_jwt``: metadata (RFC 7591 §2, OpenID Connect Registration §2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._core.algorithms import ALGORITHMS, is_allowed
from ._text import quote
from ._validation import kind_of, read_items, read_sequence
from .exceptions import ConfigurationError

__all__ = ["METHOD", "check_signing_algs", "read", "registered_algs"]

METHOD = "private_key_jwt"
"""The name of the client authentication method (OpenID Connect Core §9)."""


def read(metadata: object, enabled: Sequence[str]) -> dict[str, Any]:
    """Read client metadata into the arguments that make a RegisteredClient. Members that say nothing of it are ignored.

    enabled: the algorithms that the server has enabled.

    A member that is null counts as omitted (RFC 7592 §2.2). Raises ConfigurationError, which names the member.
    """
    if not isinstance(metadata, Mapping):
        raise ConfigurationError(f"client metadata must be a mapping, not {kind_of(metadata)}")
    members = dict(read_items("client metadata", metadata.items))
    method = members.get("token_endpoint_auth_method")
    if method is None:
        raise ConfigurationError(
            f"token_endpoint_auth_method must be {METHOD!r}, and it is absent, which means client_secret_basic"
            " (RFC 7591 section 2)"
        )
    if method != METHOD:
        raise ConfigurationError(f"token_endpoint_auth_method must be {METHOD!r}, not {quote(method)}")
    return {
        "client_id": members.get("client_id"),
        "jwks_uri": members.get("jwks_uri"),
        "jwks": members.get("jwks"),
        "signing_algs": registered_algs(members.get("token_endpoint_auth_signing_alg"), enabled),
    }


def check_signing_algs(algs: object) -> tuple[str, ...]:
    """Check names of algorithms, and return each once, as given. Raises ConfigurationError."""
    names = read_sequence("signing_algs", algs, "a sequence of names")
    if not names:
        raise ConfigurationError("signing_algs must not be empty")
    for alg in names:
        if not isinstance(alg, str) or alg not in ALGORITHMS:
            raise ConfigurationError(f"signing_algs must be of {', '.join(ALGORITHMS)}, not {quote(alg)}")
    return tuple(dict.fromkeys(names))


def registered_algs(alg: object, enabled: Sequence[str]) -> tuple[str, ...]:
    """Return the algorithms that a ``token_endpoint_auth_signing_alg`` stands for where ``enabled`` are enabled.

    Omitted, any algorithm that both sides support may be used (OpenID Connect Registration §2). Raises
    ConfigurationError for one that is not enabled: its client could never authenticate.
    """
    algs = check_signing_algs(enabled)
    if alg is None:
        return algs
    if not isinstance(alg, str) or not is_allowed(alg, algs):
        known = isinstance(alg, str) and alg in ALGORITHMS
        hint = ": it is known, and not enabled by signing_algs" * known
        raise ConfigurationError(
            f"token_endpoint_auth_signing_alg must be one of {', '.join(algs)}, not {quote(alg)}{hint}"
        )
    return (alg,)
