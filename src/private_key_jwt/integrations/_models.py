"""A framework's model of a client, read as a RegisteredClient.

A model says what client metadata says (RFC 7591 §2), in attributes of the same names, in those of django-oauth-toolkit
after 3.4 (``client_jwks_uri``, ``client_jwks``), or in a mapping ``client_metadata``. What is absent, None or empty
counts as omitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.algorithms import ALGORITHMS
from .._core.strict_json import loads_object
from .._registration import METHOD, registered_algs
from ..clients import RegisteredClient, unchecked_client
from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy

__all__ = ["registered_client", "uses_private_key_jwt"]

_ATTRIBUTES = {
    "jwks_uri": ("jwks_uri", "client_jwks_uri"),
    "jwks": ("jwks", "client_jwks"),
    "token_endpoint_auth_method": ("token_endpoint_auth_method",),
    "token_endpoint_auth_signing_alg": ("token_endpoint_auth_signing_alg",),
}


def _member(model: object, name: str) -> Any:
    for attribute in _ATTRIBUTES[name]:
        if value := getattr(model, attribute, None):
            return value
    metadata = getattr(model, "client_metadata", None)
    return (metadata.get(name) if isinstance(metadata, Mapping) else None) or None


def uses_private_key_jwt(model: object) -> bool:
    """Report whether a client is registered for ``private_key_jwt``: it says so, or names no method and has keys."""
    method = _member(model, "token_endpoint_auth_method")
    if method is not None:
        return bool(method == METHOD)
    return any(_member(model, name) is not None for name in ("jwks_uri", "jwks"))


def registered_client(client_id: str, model: object, signing_algs: Sequence[str] | None) -> RegisteredClient:
    """Read the client that a model describes. Without any source of keys it has an empty set: ``no_keys``.

    client_id: as it is stored, whatever the name that it was asked for by.
    signing_algs: what the server has enabled, of which the model may name one; None for RS256, or what the model names.

    Raises ConfigurationError for what must not be registered, which a verifier reports as ``client_lookup_failed``.
    """
    jwks_uri, jwks = _member(model, "jwks_uri"), _member(model, "jwks")
    if jwks_uri is None and jwks is None:
        jwks = {"keys": []}
    alg = _member(model, "token_endpoint_auth_signing_alg")
    if signing_algs is None:
        signing_algs = ("RS256",) if alg is None else tuple(ALGORITHMS)
    algs = registered_algs(alg, signing_algs)
    return unchecked_client(client_id, jwks_uri=jwks_uri, jwks=_document(jwks), signing_algs=algs)


def _document(jwks: Any) -> Any:
    """Read a JWK Set that is stored as text."""
    if not isinstance(jwks, str):
        return jwks
    text, most = jwks.encode("utf-8", "surrogatepass"), JWKSPolicy().max_bytes
    if len(text) > most:
        raise ConfigurationError(f"jwks must be of at most {most} bytes, not {len(text)}")
    try:
        return loads_object(text, allow_surrogates=True)  # one costs the key that holds it
    except ValueError as error:
        raise ConfigurationError(f"jwks must be a JWK Set in JSON: {error}") from None
