"""A registered client: its identifier, where its keys come from, and the algorithms it may use.

OpenID Connect Registration §2, RFC 7591 §2. What a client may use is what it is registered for: nothing that an
assertion says can choose another algorithm, and no member of a key set serves two.

| algorithm           | keys                   | cost of an accepted assertion, in units of RS256's |
|---------------------|------------------------|----------------------------------------------------|
| RS256, RS384, RS512 | RSA, 2048 to 8192 bits | 1.0 (2048 bits)                                    |
| PS256, PS384, PS512 | RSA, 2048 to 8192 bits | 1.2 (2048 bits)                                    |
| ES256               | EC, P-256              | 2.4                                                |
| ES384, ES512        | EC, P-384, P-521       | 14 to 15                                           |
| Ed25519 (EdDSA)     | OKP, Ed25519           | 3.5                                                |

``python benchmarks/run.py --only algorithms`` measures them. A wrong signature costs as much as a right one, and a
stranger who knows a ``client_id`` and a ``kid`` can write claims that hold: a flood of such assertions costs one
signature check each. Limit the rate of token requests in front of the server by what a check costs, and offer ES384 and
ES512 only to clients that must have them.

- A JWK should name its ``alg``. One that names none serves an algorithm only where that is the only one among the
  client's ``signing_algs`` that it fits: an RSA key without ``alg`` is refused (``unusable_key``) for a client that may
  use RS256 and PS256.
- One key that is listed twice, once with ``alg`` RS256 and once with PS256, counts as two: each serves the algorithm
  that its publisher names. RFC 8725 §3.1 wants one algorithm for each key. Register only one of the two
  (``signing_algs=["PS256"]``): assertions by the other, which may be meant for another server, then find no key here.
  ``private-key-jwt jwks`` warns of such keys.
- EdDSA and Ed25519 name one algorithm (RFC 9864): register either, both are accepted, and
  ``client_authentication_metadata`` publishes ``Ed25519``.
- Members of a JWK that are null, or empty as texts and lists, count as absent: some libraries write them for what was
  never set. A private member with any other value makes a published key unusable, and a registration a
  ConfigurationError.
"""

from __future__ import annotations

import ipaddress
import marshal
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Self

import httpx

from . import _registration
from ._core import jwk_set
from ._core.addresses import check_host
from ._kept import Kept
from ._text import escape_name, quote
from ._validation import check_flag
from .events import KeySkipped, log_events
from .exceptions import ConfigurationError
from .policy import AssertionPolicy, JWKSPolicy

__all__ = ["RegisteredClient"]

_MAX_URL_LENGTH = 2_048
_MAX_REGISTERED_KEYS = JWKSPolicy().max_keys
_MAX_KEPT_KEYS = 10_000
_MAX_ITEMS = 64  # of a list in a key by value: `key_ops` is the one whose items are read, and there are 8 (RFC 7517)
_PLAIN_TYPES = frozenset({str, bool, int, float, type(None)})
_PORTS = range(1, 65_536)
_URL_CHARACTERS = re.compile(r"[!-~]+")  # printable ASCII without space: a host in its A-label form (RFC 5890)


def is_loopback(host: str) -> bool:
    """Report whether a host is ``localhost`` or a literal loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_jwks_uri(value: object) -> str:
    """Return a URL that may be fetched: absolute, https (http for loopback only), no userinfo, no fragment.

    Its host must be what it looks like (``check_host``), so that a person who reads it, every library, and the
    platform agree on who is asked. Which addresses are allowed is the fetcher's to say, when it connects.

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
        host = url.host and url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: an A-label that decodes to nothing
        raise ConfigurationError(f"jwks_uri is no URL: {quote(str(error))}") from None
    if not host or "@" in value.split("/")[2] or (url.port is not None and url.port not in _PORTS):
        raise ConfigurationError(f"jwks_uri must name a host and no userinfo, and a port that exists: {quote(value)}")
    try:
        check_host(host)
    except ValueError as error:
        raise ConfigurationError(f"jwks_uri: {error} in {quote(value)}") from None
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ConfigurationError(f"jwks_uri must be https: {quote(value)}")
    return value


# By content: a function that builds its RegisteredClient from a database for each request would import its keys for
# each. That takes some 30 µs for one, and two milliseconds for a set of 64, and a stranger needs to know the client_id.
_key_sets = Kept[jwk_set.KeySet](_MAX_KEPT_KEYS)


def _read_jwks(jwks: object) -> jwk_set.KeySet:
    if not isinstance(jwks, Mapping):
        raise ConfigurationError(f"jwks must be a JWK Set as a mapping, not {type(jwks).__name__}")
    try:
        if "keys" not in jwks and "kty" in jwks:
            raise ValueError("expected a JWK Set, and this is one JWK: did you mean {'keys': [jwk]}?")
        members = [_plain_jwk(member) for member in jwk_set.read_document(jwks, _MAX_REGISTERED_KEYS)]
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
    for member in keys.members:
        if member.fault is not None:
            log_events(KeySkipped(jwks_uri=None, kid=escape_name(member.kid), fault=member.fault))
    return keys


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that authenticates with ``private_key_jwt``.

        RegisteredClient("acme", jwks_uri="https://acme.example/jwks.json")     # RS256
        RegisteredClient("fapi", jwks_uri="https://fapi.example/jwks.json", signing_algs=["PS256", "ES256"])
        RegisteredClient("by-value", jwks=json.loads(text), signing_algs=["Ed25519"])

    client_id: what ``iss`` and ``sub`` of its assertions must equal, code point for code point.
    jwks_uri, jwks: where its keys are: exactly one of the two. By value (``jwks``, a mapping) unusable
        members are skipped as in a fetched set; private members are refused, and so is a set of which no key serves any
        of ``signing_algs``. It is read once, here: to change keys, register the client anew.
    signing_algs: the ``alg`` values it may use: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519
        (or EdDSA, its old name: either stands for both). A JWK without ``alg`` serves an algorithm only where that is
        the only one of these that the key fits.
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
        self._read()
        self._check_keys()

    def _read(self) -> None:
        """Check the fields one by one, and import the keys. Raises ConfigurationError."""
        if not isinstance(self.client_id, str) or not self.client_id:
            raise ConfigurationError(f"client_id must be a non-empty string, not {quote(self.client_id)}")
        if (self.jwks_uri is None) == (self.jwks is None):
            raise ConfigurationError(f"client {quote(self.client_id)} must have exactly one of jwks_uri and jwks")
        if self.jwks_uri is not None:
            check_jwks_uri(self.jwks_uri)
        check_flag("require_kid", self.require_kid)
        if self.policy is not None and not isinstance(self.policy, AssertionPolicy):
            raise ConfigurationError(f"policy must be an AssertionPolicy, not {type(self.policy).__name__}")
        object.__setattr__(self, "signing_algs", _registration.check_signing_algs(self.signing_algs))
        object.__setattr__(self, "keys", None if self.jwks is None else _read_jwks(self.jwks))

    def _check_keys(self) -> None:
        """Refuse a set by value of which no key can serve. Raises ConfigurationError, with the fault of each key."""
        faults = None if self.keys is None else self.keys.faults(self.signing_algs)
        if faults is not None:
            raise ConfigurationError(
                f"jwks of client {quote(self.client_id)} holds no key that can be used with"
                f" {', '.join(self.signing_algs)}: {faults}"
            )

    @classmethod
    def from_metadata(
        cls,
        metadata: Mapping[str, Any],
        *,
        signing_algs: Sequence[str] = ("RS256",),
        require_kid: bool = False,
        policy: AssertionPolicy | None = None,
    ) -> Self:
        """Read the client of a registration (RFC 7591 §2 and §3.2.1, OpenID Connect Registration §2).

        metadata: the client metadata as parsed JSON, with the ``client_id`` that it was given. It must ask for
            ``private_key_jwt``, and hold exactly one of ``jwks_uri`` and ``jwks``, and keys by value of which one
            can be used.
        signing_algs: the algorithms that the server has enabled. ``token_endpoint_auth_signing_alg`` must be one of
            them; without it the client may use each of them.
        require_kid, policy: see the class.

        Raises ConfigurationError for what must not be registered, with the fault of each key by value; to the client
        that is RFC 7591 §3.2.2's ``invalid_client_metadata``.
        """
        return cls(**_registration.read(metadata, signing_algs), require_kid=require_kid, policy=policy)


@dataclass(frozen=True, slots=True)
class Unregistered:
    """Why a client that is known is not registered for this method: for the detail of a refusal."""

    detail: str


class LookUp(ABC):
    """A function that finds a client, and can tell more of one that it does not give."""

    @abstractmethod
    def find(self, client_id: str) -> RegisteredClient | Unregistered | None:
        """Return the client, or why a known one is not registered, or None."""

    def __call__(self, client_id: str) -> RegisteredClient | None:
        """Return the client, or None."""
        found = self.find(client_id)
        return found if isinstance(found, RegisteredClient) else None


def describe_source(client: RegisteredClient) -> str:
    """Say where the keys of a client are, for the detail of a refusal."""
    return jwk_set.BY_VALUE if client.jwks_uri is None else f"its keys are at {escape_name(client.jwks_uri)}"


def unchecked_client(client_id: str, **settings: Any) -> RegisteredClient:
    """Make a RegisteredClient whose keys by value may all be unusable: its assertions are refused for that.

    For clients that are described for one request, by a framework's model or on the command line. That they have no
    usable key is then their fault (``no_keys``, ``unusable_key``), and not a setting that can be refused at the start.
    Raises ConfigurationError for everything else that RegisteredClient refuses.
    """
    client = object.__new__(RegisteredClient)
    defaults = {each.name: each.default for each in fields(RegisteredClient) if each.init}
    for name, value in {**defaults, "client_id": client_id, **settings}.items():
        object.__setattr__(client, name, value)
    client._read()
    return client
