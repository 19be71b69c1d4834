"""Publish what an OpenID Provider says about client authentication (RFC 8414 §2, OpenID Connect Discovery §3)."""

from __future__ import annotations

from collections.abc import Sequence

from ._core.algorithms import published_names
from ._registration import METHOD, check_signing_algs
from ._text import quote
from ._validation import read_sequence
from .exceptions import ConfigurationError

__all__ = ["client_authentication_metadata"]

ENDPOINTS = ("token", "revocation", "introspection")


def client_authentication_metadata(
    *,
    endpoints: Sequence[str] = ENDPOINTS,
    other_methods: Sequence[str] = (),
    signing_algs: Sequence[str] = ("RS256",),
) -> dict[str, list[str]]:
    """Describe ``private_key_jwt`` to clients: members of the provider's metadata, to be merged into yours.

        metadata = {"issuer": issuer, **client_authentication_metadata(signing_algs=["PS256", "ES256"])}

    endpoints: the endpoints you have of ``token``, ``revocation`` and ``introspection``.
    other_methods: what you take there beside it, such as ``client_secret_basic``; no ``client_secret_jwt``, whose
        algorithms would have to be published, too.

    signing_algs: the algorithms you have enabled, as for ``RegisteredClient.from_metadata``; published by their
        fully-specified names (RFC 9864 §4), which is ``Ed25519`` for EdDSA.

    For each endpoint: ``{endpoint}_endpoint_auth_methods_supported``, and
    ``{endpoint}_endpoint_auth_signing_alg_values_supported``, which must be there beside this method and must not
    hold ``none`` (RFC 8414 §2). Raises ConfigurationError.
    """
    endpoints = _read("endpoints", endpoints)
    other_methods = _read("other_methods", other_methods)
    for endpoint in endpoints:
        if endpoint not in ENDPOINTS:
            raise ConfigurationError(f"endpoints must be of {', '.join(ENDPOINTS)}, not {quote(endpoint)}")
    if "client_secret_jwt" in other_methods:
        raise ConfigurationError("other_methods must not hold 'client_secret_jwt': only you know its algorithms")
    algs = published_names(check_signing_algs(signing_algs))
    metadata: dict[str, list[str]] = {}
    for endpoint in endpoints:
        metadata[f"{endpoint}_endpoint_auth_methods_supported"] = list(dict.fromkeys((METHOD, *other_methods)))
        metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = list(algs)
    return metadata


def _read(name: str, values: object) -> tuple[str, ...]:
    expected = "a sequence of names"
    names = read_sequence(name, values, expected)
    if not all(isinstance(each, str) for each in names):
        raise ConfigurationError(f"{name} must be {expected}, not {quote(values)}")
    return names
