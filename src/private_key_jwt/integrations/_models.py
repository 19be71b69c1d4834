"""A framework's model of a client, read as a RegisteredClient.

A model says what client metadata says (RFC 7591 §2), in attributes of the same names or in a mapping
``client_metadata``. What is absent, None or empty counts as omitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import Any

from cachetools import LRUCache, cached

from .._core.algorithms import ALGORITHMS
from .._fork import renew_after_fork
from .._registration import METHOD, registered_algs
from ..clients import RegisteredClient, unchecked_client


def _member(model: object, name: str) -> Any:
    metadata = getattr(model, "client_metadata", None)
    value = getattr(model, name, None) or (metadata.get(name) if isinstance(metadata, Mapping) else None)
    return value or None


def uses_private_key_jwt(model: object) -> bool:
    """Whether a client is registered for ``private_key_jwt``: it says so, or says nothing and has keys."""
    method = _member(model, "token_endpoint_auth_method")
    if method is not None:
        return bool(method == METHOD)
    return any(_member(model, name) is not None for name in ("jwks_uri", "jwks"))


def registered_client(client_id: str, model: object) -> RegisteredClient:
    """The client that a model describes. Without any source of keys it has an empty set: ``no_keys``.

    Raises ConfigurationError for what must not be registered, which a verifier tells as ``client_lookup_failed``.
    """
    jwks_uri, jwks = _member(model, "jwks_uri"), _member(model, "jwks")
    if jwks_uri is None and jwks is None:
        jwks = {"keys": []}
    alg = _member(model, "token_endpoint_auth_signing_alg")
    algs = ("RS256",) if alg is None else registered_algs(alg, tuple(ALGORITHMS))
    return _registered.get(client_id, jwks_uri, jwks, algs)


def _key(client_id: str, jwks_uri: object, jwks: object, algs: tuple[str, ...]) -> bytes:
    return sha256(repr((client_id, jwks_uri, jwks, algs)).encode("utf-8", "backslashreplace")).digest()


def _register(client_id: str, jwks_uri: Any, jwks: Any, algs: tuple[str, ...]) -> RegisteredClient:
    return unchecked_client(client_id, jwks_uri=jwks_uri, jwks=jwks, signing_algs=algs)


class _Registered:
    """Importing keys takes milliseconds, and a model is asked for before anything of its client is proved.

    So the last 1,024 are kept, each for as long as its model says the same.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """A thread that held the lock is not in this process."""
        self.get = cached(LRUCache(1_024), key=_key, lock=Lock())(_register)


_registered = _Registered()
