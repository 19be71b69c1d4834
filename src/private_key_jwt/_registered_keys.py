"""Read the keys that a client is registered with, by value."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from ._core import jwk_set
from ._kept import Kept
from ._text import escape_name, one_line
from ._validation import kind_of
from .events import KeySkipped, log_events
from .exceptions import ConfigurationError
from .policy import JWKSPolicy

__all__ = ["read_jwks", "skipped_keys"]

_MAX_REGISTERED_KEYS = JWKSPolicy().max_keys
_MAX_KEPT_KEYS = 10_000
_MAX_ITEMS = 64  # of a list in a key by value: `key_ops` is the one whose items are read, and there are 8 (RFC 7517)
_PLAIN_TYPES = frozenset({str, bool, int, float, type(None)})

# By content: a function that builds its RegisteredClient from a database for each request would import its keys for
# each. That takes some 30 µs for one, and two milliseconds for a set of 64, and a stranger needs to know the client_id.
_key_sets = Kept[jwk_set.KeySet](_MAX_KEPT_KEYS)


def read_jwks(jwks: object) -> jwk_set.KeySet:
    """Import the keys of a JWK Set. Raises ConfigurationError: what is no set of public keys."""
    if not isinstance(jwks, Mapping):
        meant = ": did you mean {'keys': [...]}?" if isinstance(jwks, list | tuple) else ""
        raise ConfigurationError(f"jwks must be a JWK Set as a mapping, not {kind_of(jwks)}{meant}")
    try:
        if "keys" not in jwks and "kty" in jwks:
            raise ValueError("expected a JWK Set, and this is one JWK: did you mean {'keys': [jwk]}?")
        members = [_plain_jwk(member) for member in jwk_set.read_document(jwks, _MAX_REGISTERED_KEYS, "by value")]
        _refuse_private(members)
        content = sha256(marshal.dumps(members, 2)).digest()
        return _key_sets.get(content, 1 + len(members), lambda: _import_keys(members))
    except ValueError as error:
        raise ConfigurationError(f"jwks: {error}") from None
    except Exception as error:  # a mapping of the user's own kind
        raise ConfigurationError(f"jwks cannot be read: {type(error).__name__}") from error


def _plain_jwk(member: Any) -> Any:
    """Copy what is looked at of a key by value, so that the bytes of equal keys are equal, whatever types they have."""
    if not isinstance(member, Mapping):
        return _plain(member)
    return {name: _plain(value) for name in jwk_set.READ_MEMBERS if (value := member.get(name)) is not None}


def _plain(value: Any) -> Any:
    """Copy a value to a plain JSON type. What makes a key unusable is described: it may be of any type."""
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list | tuple):
        return [None if isinstance(each, list | tuple) else _plain(each) for each in value[:_MAX_ITEMS]]
    return f"a {type(value).__name__}".encode()


def _refuse_private(members: Sequence[Any]) -> None:
    """Raise ValueError for a private key. It stands in front of the import, which costs a hundred times as much."""
    for place, jwk in enumerate(members):
        if names := jwk_set.private_members(jwk):
            raise ValueError(f"key {place} holds private members: {', '.join(names)}")


def _import_keys(members: Sequence[Any]) -> jwk_set.KeySet:
    keys = jwk_set.KeySet(map(jwk_set.read_member, members))
    for event in skipped_keys(keys):
        log_events(event)  # no verifier is known yet that has an `on_event`
    return keys


def skipped_keys(keys: jwk_set.KeySet) -> Iterator[KeySkipped]:
    """Make an event for each member that cannot be used."""
    for member in keys.members:
        if member.fault is not None:
            yield KeySkipped(jwks_uri=None, kid=escape_name(member.kid), fault=one_line(member.fault))
