"""The verification recipe, written once (RFC 7523 §3, OpenID Connect Core §9, RFC 8725).

1. Size and shape: a compact JWS in canonical base64url, so that each token has one text.
2. Header: what is true of it for every client.
3. Claims: who sent it; and, once the client is known, what it may do, for whom, when, and which one.
4. Key: the one of this client that the header names.
5. Signature, over the bytes received.
6. Replay, last: one atomic mark of (client_id, jti).

Three things may wait for somebody else: the client, the key and the mark. What comes before, between and after them are
the stages of ``Verification``, in this order: no I/O and no clock. They keep nothing but parsed headers: those of right
signatures, and, apart from them, some short ones of anybody, which saves parsing them again. Whoever verifies, sync or
async, the command line or a benchmark, calls them and fetches the three in between::

    work = Verification()
    work.read(policy, client_assertion, client_id)           # 1, 2, and who sent it
    work.check_claims(find_client(work.client_id), clock())  # the rest of 3
    work.check_signature(find_key(work.client, work.header)) # 4, 5
    is_first = store.add(*work.replay_mark(clock()))         # 6; False: replayed
    verified = work.finish(clock())

``find_key`` asks ``registered_key`` for a client whose keys are registered by value, a fetcher for any other.

Cheap checks come first on purpose: a forged flood costs neither a signature check nor a fetch, and nothing
unauthenticated ever writes to the store. Each refusal names its check, and checks are made in the order of ``Check``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ._core import claims as claims_step
from ._core import compact, jwk_set
from ._core import header as header_step
from ._core.algorithms import ALGORITHMS
from ._core.base64url import decode_canonical
from ._core.checks import Check
from ._core.header import Header
from ._core.jwk_set import NoKey, VerificationKey
from ._core.signature_fault import signature_fault
from ._text import quote, shorten
from .clients import RegisteredClient, describe_source
from .exceptions import InvalidClient, Reason
from .policy import AssertionPolicy

__all__ = ["Check", "Verification", "VerifiedAssertion"]


DescribeKeys = Callable[[RegisteredClient], str]

_KID_LENGTH = 28  # of a detail that also holds the URL of the key set
_THUMBPRINT_LENGTH = 12  # enough to distinguish any two keys


@dataclass(slots=True)  # not frozen: that costs 2 % of an accepted assertion, and nothing of ours keeps one
class VerifiedAssertion:
    """The client that sent an assertion, and what the assertion said. Every check has passed.

        verified = verifier.verify(client_assertion)
        grant_for(verified.client_id)
        bind(session, verified.thumbprint)

    client_id: the registered client.
    kid, alg: of the header.
    thumbprint: of the key that verified (RFC 7638, SHA-256, base64url).
    jti: of the assertion.
    audience: the accepted value that matched.
    issued_at, expires_at: seconds since the epoch; ``issued_at`` is None when there is no ``iat``.
    claims: all claims, read-only.
    """

    client_id: str
    kid: str | None
    alg: str
    thumbprint: str
    jti: str
    audience: str
    issued_at: float | None
    expires_at: float
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        # What comes into a log by accident names the client, and carries no claims.
        return f"VerifiedAssertion(client_id={self.client_id!r}, kid={self.kid!r}, expires_at={self.expires_at!r})"


class Verification:
    """One assertion on its way through the recipe.

        work = Verification()
        work.read(policy, client_assertion, None)     # who sent it: work.client_id
        work.check_claims(client, time.time())        # and so on, stage by stage

    It holds what each stage found, for the next one and for reports.

    Every stage raises InvalidClient, whose ``check`` says where the recipe ended.
    """

    __slots__ = (
        "_claims",
        "_header_segment",
        "_leeway",
        "_signature",
        "_signing_input",
        "audience",
        "checked_at",
        "client",
        "client_id",
        "expires_at",
        "header",
        "issued_at",
        "jti",
        "key",
        "policy",
    )

    # Each is set by the stage that finds it: a stage that is left out is an AttributeError in the next one, and no
    # VerifiedAssertion comes into being without a key whose signature was checked.
    policy: AssertionPolicy
    header: Header
    client_id: str
    client: RegisteredClient
    audience: str
    issued_at: float | None
    expires_at: float
    jti: str
    checked_at: float
    key: VerificationKey
    _claims: dict[str, Any]
    _header_segment: bytes
    _leeway: float
    _signature: bytes
    _signing_input: bytes

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims, read-only. Not to be trusted before the signature is checked."""
        return MappingProxyType(self._claims)

    def read(self, policy: AssertionPolicy, assertion: str | bytes, client_id: str | None) -> None:
        """Do steps 1 and 2, and find out who sent it. Raises InvalidClient.

        policy: what the assertion must satisfy, unless its client has a policy of its own.
        client_id: that of the request, when it was given: it must be the same.

        ``self.client_id`` then names the client to find.
        """
        # 1. Size and shape.
        self.policy = policy
        segment, claims, self._signature, self._signing_input = compact.split(assertion, policy.max_assertion_bytes)
        # 2. Header.
        self._header_segment = segment
        self.header = header_step.parse(segment)
        # 3. Claims: a strict JSON object, and iss = sub = the client.
        self._claims = compact.loads(claims, "claims")
        self.client_id = claims_step.identify(self._claims, client_id)

    def check_claims(self, client: RegisteredClient, now: float) -> None:
        """Do the rest of step 3, which depends on the client. ``now``: seconds since the epoch.

        May be called again with the client as it is by then, whose policy of its own may have come or gone.
        """
        self.client = client
        policy = self.policy if client.policy is None else client.policy
        claims = self._claims
        self._leeway = policy.leeway
        self.checked_at = now
        claims_step.check_client_rules(self.header, policy, client.signing_algs, require_kid=client.require_kid)
        self.audience = claims_step.check_audience(claims, policy)
        self.issued_at, self.expires_at = claims_step.check_times(claims, policy, now)
        self.jti = claims_step.check_jti(claims)

    def check_signature(self, key: VerificationKey, describe_keys: DescribeKeys | None = None) -> None:
        """Do step 5, with the key of step 4. Raises InvalidClient.

        describe_keys: what is known of the client's keys, for the detail of a refusal.
        """
        if not key.verify(decode_canonical(self._signature), self._signing_input):
            raise self._bad_signature(key, describe_keys)
        self.key = key

    def _bad_signature(self, key: VerificationKey, describe_keys: DescribeKeys | None) -> InvalidClient:
        client, signature, signing_input = self.client, self._signature, self._signing_input

        def detail() -> str:
            fault = signature_fault(key.alg, key.public_key, decode_canonical(signature), signing_input)
            known = f"; {describe_keys(client)}" if describe_keys else ""
            kid = shorten(quote(key.kid), _KID_LENGTH)
            thumbprint = key.thumbprint[:_THUMBPRINT_LENGTH]
            return f"not signed by the {key.alg} key, kid {kid}, thumbprint {thumbprint}...: {fault}{known}"

        return InvalidClient(Reason.BAD_SIGNATURE, detail, "signature")

    def check_same_key(self, key: VerificationKey) -> None:
        """Refuse when ``key``, asked for anew, is not the one that verified."""
        if key.thumbprint != self.key.thumbprint:
            raise InvalidClient(
                Reason.UNKNOWN_KID,
                f"the key that signed, kid {quote(self.header.kid)}, was replaced while the assertion was pending;"
                f" {describe_source(self.client)}",
                "key",
            )

    def replay_mark(self, now: float) -> tuple[bytes, float, float]:
        """Return what to hand to ``ReplayStore.add``.

        now: seconds since the epoch.

        Raises InvalidClient: expired by now.
        """
        claims_step.check_not_expired(self.expires_at, self._leeway, now)
        key = claims_step.replay_key(self.client_id, self.jti)
        return key, claims_step.retain_until(self.expires_at), now

    def finish(self, now: float) -> VerifiedAssertion:
        """Return the result, once the mark is made.

        now: seconds since the epoch.

        Raises InvalidClient: expired by now.
        """
        # A store that took longer than the mark lives may have forgotten the first use and said True again.
        claims_step.check_not_expired(self.expires_at, self._leeway, now)
        header = self.header
        # Only now: one assertion, sent again and again under other headers, would have each of them kept.
        header_step.keep(self._header_segment, header)
        return VerifiedAssertion(
            self.client_id,
            header.kid,
            header.alg,
            self.key.thumbprint,
            self.jti,
            self.audience,
            self.issued_at,
            self.expires_at,
            MappingProxyType(self._claims),
        )

    # For reports, also of an assertion that was refused on its way.

    @property
    def kid(self) -> str | None:
        """The ``kid`` of the header; None before the header is read, or without one."""
        return self.header.kid if hasattr(self, "header") else None

    @property
    def alg(self) -> str | None:
        """The ``alg`` of the header; None before the header is read, and for a name that is no algorithm of ours."""
        return self.header.alg if hasattr(self, "header") and self.header.alg in ALGORITHMS else None

    @property
    def registered_client_id(self) -> str | None:
        """The client; None before it is known: what an assertion says of itself is not verified."""
        return self.client.client_id if hasattr(self, "client") else None

    @property
    def jti_hash(self) -> str | None:
        """The key of the replay mark in hexadecimal; None before the client is known, or without a jti."""
        if not hasattr(self, "client"):
            return None
        try:
            return claims_step.replay_key(self.client_id, claims_step.check_jti(self._claims)).hex()
        except InvalidClient:
            return None


def registered_key(keys: jwk_set.KeySet, header: Header, signing_algs: Sequence[str]) -> VerificationKey:
    """Do step 4 for a client whose keys are registered by value. Raises InvalidClient."""
    key = keys.find(header.alg, header.kid, signing_algs)
    if isinstance(key, NoKey):
        raise jwk_set.refusal(key, header.kid)
    return key
