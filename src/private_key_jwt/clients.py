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

``python benchmarks/run.py --only algorithms`` measures them. An RSA key of 4096 bits costs 2.3, and one of 8192 bits 7,
or 16 with an exponent near 2^32 in place of 65537: the client chooses its key. A wrong signature costs as much as a
right one, and a stranger who knows a ``client_id`` and a ``kid`` can write claims that hold: a flood of such assertions
costs one signature check each. Limit the rate of token requests in front of the server by what a check costs, and offer
ES384 and ES512 only to clients that must have them.

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

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from . import _registration
from ._core import jwk_set
from ._jwks_uri import check_jwks_uri
from ._registered_keys import read_jwks
from ._text import escape_name, quote
from ._validation import check_flag
from .exceptions import ConfigurationError
from .policy import AssertionPolicy

__all__ = ["RegisteredClient"]


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
            has = "neither" if self.jwks is None else "both"
            raise ConfigurationError(
                f"client {quote(self.client_id)} must have exactly one of jwks_uri and jwks, and has {has}"
            )
        if self.jwks_uri is not None:
            check_jwks_uri(self.jwks_uri)
        check_flag("require_kid", self.require_kid)
        if self.policy is not None and not isinstance(self.policy, AssertionPolicy):
            raise ConfigurationError(f"policy must be an AssertionPolicy, not {type(self.policy).__name__}")
        object.__setattr__(self, "signing_algs", _registration.check_signing_algs(self.signing_algs))
        object.__setattr__(self, "keys", None if self.jwks is None else read_jwks(self.jwks))

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
        that is RFC 7591 §3.2.2's ``invalid_client_metadata``. A ``jwks_uri`` that your fetcher may not fetch is refused
        by ``fetcher.check_client(client)``; ask it, too.
        """
        return cls(**_registration.read(metadata, signing_algs), require_kid=require_kid, policy=policy)


@dataclass(frozen=True, slots=True)
class Unregistered:
    """Say why a client that is known is not registered for this method: for the detail of a refusal."""

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
