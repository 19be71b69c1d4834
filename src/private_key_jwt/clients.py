"""A registered client: its identifier and where its keys come from (OpenID Connect Registration §2)."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from . import _registration
from ._core import jwk_set
from ._core.algorithms import ALGORITHMS
from ._text import quote
from ._validation import check_flag
from .exceptions import ConfigurationError
from .policy import AssertionPolicy

logger = logging.getLogger("private_key_jwt")

_MAX_URL_LENGTH = 2_048
_MAX_REGISTERED_KEYS = 64
_PORTS = range(1, 65_536)
_URL_CHARACTERS = re.compile(r"[!-~]+")  # printable ASCII without space: a host in its A-label form (RFC 5890)


def is_loopback(host: str) -> bool:
    """Whether a host is ``localhost`` or a literal loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_jwks_uri(value: object) -> str:
    """A URL that may be fetched: absolute, https (http for loopback only), no userinfo, no fragment.

    Raises ConfigurationError, which says what is wrong.
    """
    if not isinstance(value, str) or len(value) > _MAX_URL_LENGTH or not _URL_CHARACTERS.fullmatch(value):
        raise ConfigurationError(
            f"jwks_uri must be a URL in printable ASCII of at most {_MAX_URL_LENGTH} characters, not {quote(value)}"
        )
    if "\\" in value or "#" in value:
        raise ConfigurationError(f"jwks_uri must hold no fragment and no backslash: {quote(value)}")
    try:
        url = httpx.URL(value)
        host = url.host
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: an A-label that decodes to nothing
        raise ConfigurationError(f"jwks_uri is no URL: {quote(str(error))}") from None
    if not host or "@" in value.split("/")[2] or (url.port is not None and url.port not in _PORTS):
        raise ConfigurationError(f"jwks_uri must name a host and no userinfo, and a port that exists: {quote(value)}")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ConfigurationError(f"jwks_uri must be https: {quote(value)}")
    return value


def _read_jwks(jwks: object) -> jwk_set.KeySet:
    if not isinstance(jwks, Mapping):
        raise ConfigurationError(f"jwks must be a JWK Set as a mapping, not {type(jwks).__name__}")
    try:
        members = jwk_set.read_document(jwks, _MAX_REGISTERED_KEYS)
        private = [(place, names) for place, jwk in enumerate(members) if (names := jwk_set.private_members(jwk))]
        keys = jwk_set.key_set(jwks, _MAX_REGISTERED_KEYS)
    except ValueError as error:
        raise ConfigurationError(f"jwks: {error}") from None
    except Exception as error:  # a mapping of the user's own kind
        raise ConfigurationError(f"jwks cannot be read: {type(error).__name__}") from error
    for place, names in private:
        raise ConfigurationError(f"jwks: key {place} holds private members: {', '.join(names)}")
    for member in keys.members:
        if member.fault is not None:
            logger.warning("skipping a registered key: %s", member.fault)
    return keys


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that authenticates with ``private_key_jwt``.

    client_id: what ``iss`` and ``sub`` of its assertions must equal, code point for code point.
    jwks_uri, jwks: where its keys are: exactly one of the two. By value (``jwks``, a mapping) unusable
        members are skipped as in a fetched set; private members are refused. It is read once, here: to
        change keys, register the client anew.
    signing_algs: the ``alg`` values it may use. RS256 is the only one so far.
    require_kid: refuse its assertions without a ``kid``.
    policy: a whole policy for this client in place of the verifier's (all but ``max_assertion_bytes``).

    Raises ConfigurationError, which names the field.
    """

    client_id: str
    jwks_uri: str | None = field(default=None, kw_only=True)
    jwks: Mapping[str, Any] | None = field(default=None, kw_only=True, repr=False, hash=False)
    signing_algs: Sequence[str] = field(default=("RS256",), kw_only=True)
    require_kid: bool = field(default=False, kw_only=True)
    policy: AssertionPolicy | None = field(default=None, kw_only=True)
    keys: jwk_set.KeySet | None = field(init=False, repr=False, compare=False)
    """The keys of ``jwks``, or None when they are published at ``jwks_uri``."""

    def __post_init__(self) -> None:
        if not isinstance(self.client_id, str) or not self.client_id:
            raise ConfigurationError(f"client_id must be a non-empty string, not {quote(self.client_id)}")
        if (self.jwks_uri is None) == (self.jwks is None):
            raise ConfigurationError(f"client {quote(self.client_id)} must have exactly one of jwks_uri and jwks")
        if self.jwks_uri is not None:
            check_jwks_uri(self.jwks_uri)
        check_flag("require_kid", self.require_kid)
        if self.policy is not None and not isinstance(self.policy, AssertionPolicy):
            raise ConfigurationError(f"policy must be an AssertionPolicy, not {type(self.policy).__name__}")
        object.__setattr__(self, "signing_algs", _signing_algs(self.signing_algs))
        object.__setattr__(self, "keys", None if self.jwks is None else _read_jwks(self.jwks))

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], *, require_kid: bool = False, policy: AssertionPolicy | None = None
    ) -> Self:
        """The client of a registration (RFC 7591 §2 and §3.2.1, OpenID Connect Registration §2).

        metadata: the client metadata as parsed JSON, with the ``client_id`` that it was given. It must ask for
            ``private_key_jwt``, and hold exactly one of ``jwks_uri`` and ``jwks``, and keys by value of which one
            can be used. Without ``token_endpoint_auth_signing_alg`` the client may use every algorithm there is.
        require_kid, policy: see the class.

        Raises ConfigurationError for what must not be registered; to the client that is RFC 7591 §3.2.2's
        ``invalid_client_metadata``.
        """
        client = cls(**_registration.read(metadata), require_kid=require_kid, policy=policy)
        if client.keys is not None and not any(member.fault is None for member in client.keys.members):
            raise ConfigurationError(f"jwks of client {quote(client.client_id)} holds no key that can be used")
        return client


def _signing_algs(algs: object) -> tuple[str, ...]:
    if isinstance(algs, str) or not isinstance(algs, Sequence) or not algs:
        raise ConfigurationError("signing_algs must be a sequence of names, and not empty")
    for alg in algs:
        if not isinstance(alg, str) or alg not in ALGORITHMS:
            raise ConfigurationError(f"signing_algs must be of {', '.join(ALGORITHMS)}, not {quote(alg)}")
    return tuple(algs)
