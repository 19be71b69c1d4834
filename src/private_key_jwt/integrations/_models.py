"""A framework's model of a client, read as a RegisteredClient.

A model says what client metadata says (RFC 7591 §2), in attributes of the same names, in those of django-oauth-toolkit
after 3.4 (``client_jwks_uri``, ``client_jwks``), or in a mapping ``client_metadata``. What is absent, None or empty
counts as omitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from .._core.algorithms import ALGORITHMS
from .._core.jwk_set import loads_document
from .._kept import Kept
from .._registration import METHOD, registered_algs
from .._text import quote
from ..clients import RegisteredClient, unchecked_client
from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy

__all__ = ["has_attribute", "registered_client", "uses_private_key_jwt", "why_not_registered"]

_ATTRIBUTES = {
    "jwks_uri": ("jwks_uri", "client_jwks_uri"),
    "jwks": ("jwks", "client_jwks"),
    "token_endpoint_auth_method": ("token_endpoint_auth_method",),
    "token_endpoint_auth_signing_alg": ("token_endpoint_auth_signing_alg",),
}

_SOURCES = ("jwks_uri", "jwks")

_clients = Kept[RegisteredClient | str](8_388_608)  # bytes of text: 10,000 clients of one or two keys


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
    return any(_member(model, name) is not None for name in _SOURCES)


def why_not_registered(model: object) -> str:
    """Say what a client lacks that is not registered for ``private_key_jwt``."""
    method = _member(model, "token_endpoint_auth_method")
    if method is not None:
        return f"its token_endpoint_auth_method is {quote(method)}"
    places = [each for name in _SOURCES for each in _ATTRIBUTES[name] if hasattr(model, each)]
    return f"has no {' and no '.join(places or _SOURCES)}"


def has_attribute(model: object, name: str) -> bool:
    """Report whether a model, or the class of one, has a place for a member of client metadata."""
    return any(hasattr(model, each) for each in (*_ATTRIBUTES[name], "client_metadata"))


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
    if isinstance(jwks, str) and jwks_uri is None:
        return _client_of_text(client_id, jwks, algs)
    return unchecked_client(client_id, jwks_uri=jwks_uri, jwks=jwks, signing_algs=algs)


def _client_of_text(client_id: str, jwks: str, algs: tuple[str, ...]) -> RegisteredClient:
    """Read a client whose JWK Set is stored as text: once, as long as the text stays the same."""
    text, most = jwks.encode("utf-8", "surrogatepass"), JWKSPolicy().max_bytes
    if len(text) > most:
        raise ConfigurationError(f"jwks must be of at most {most} bytes, not {len(text)}")
    read = partial(_read_text, client_id, text, algs)
    found = _clients.get((client_id, sha256(text).digest(), algs), len(text), read)
    if isinstance(found, str):
        raise ConfigurationError(found)
    return found


def _read_text(client_id: str, text: bytes, algs: tuple[str, ...]) -> RegisteredClient | str:
    """Make the client, or say why it must not be registered."""
    try:
        document = loads_document(text, JWKSPolicy().max_keys)
        return unchecked_client(client_id, jwks=document, signing_algs=algs)
    except ConfigurationError as error:
        return str(error)
    except ValueError as error:
        return f"jwks must be a JWK Set in JSON: {error}"
