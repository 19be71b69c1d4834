"""The verifiers: which client sent this token request?

``_check`` is the recipe, a numbered step for a numbered step; ``_mark_used`` is its last one. The two
verifiers are twins: they differ in ``await`` and in the adapters they are given (a test compares them).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from . import _report
from . import _sources as adapt
from ._core import base64url, compact, replay
from ._core import claims as claims_step
from ._core import header as header_step
from ._core.header import Header
from ._core.token_request import Form
from ._report import Watch
from ._sources import AsyncClients, Clients
from .events import OnEvent
from .exceptions import AuthenticationError, InvalidClient, Reason
from .fetcher import AsyncJWKSFetcher, JWKSFetcher
from .policy import AssertionPolicy
from .stores import AsyncReplayStore, ReplayStore


class VerifiedAssertion(NamedTuple):
    """The client that sent an assertion, and what the assertion said. Every check has passed.

    ``audience`` is the accepted value that matched. Times are seconds since the epoch. ``claims`` is a
    read-only view, which only this object holds.
    """

    client_id: str
    kid: str | None
    jti: str
    audience: str
    issued_at: float | None
    expires_at: float
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        # What lands in a log by accident names the client, and carries no claims.
        return f"VerifiedAssertion(client_id={self.client_id!r}, kid={self.kid!r}, expires_at={self.expires_at!r})"


MarkUsed = Callable[[VerifiedAssertion, float], None]
AsyncMarkUsed = Callable[[VerifiedAssertion, float], Awaitable[None]]


class ClientAssertionVerifier:
    """Verifies client assertions for one authorization server (RFC 7523 §3, OpenID Connect Core §9).

    policy: what every assertion must satisfy.
    clients: the registered clients: RegisteredClients, a mapping of them by client_id (asked anew for each
        request), or a function ``client_id -> RegisteredClient | None``.
    replay_store: where used assertions are remembered. Several workers must share one.
    fetcher: the fetcher of published keys; one of its own, with the default policy, unless given.
    clock: seconds since the epoch.
    workers: how many processes serve this audience, on all hosts. With more than one, a store that lives in
        one process is refused: each worker would accept the same assertion once.
    on_event: a function that is told what happens (see ``private_key_jwt.events``).

    Thread-safe. ``close()``, or leaving the context, closes only what the verifier opened itself.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        policy: AssertionPolicy,
        clients: Clients,
        replay_store: ReplayStore,
        fetcher: JWKSFetcher | None = None,
        clock: Callable[[], float] = time.time,
        workers: int = 1,
        on_event: OnEvent | None = None,
    ) -> None:
        adapt.check_settings(policy, clock, on_event)
        adapt.check_workers(workers, replay_store)
        self._policy = policy
        self._clock = clock
        self._on_event = on_event
        self._find_client = adapt.sync_clients(clients)
        self._replay_store = replay_store
        self._mark = adapt.sync_store(replay_store)
        self._own_fetcher = JWKSFetcher(on_event=on_event) if fetcher is None else None
        self._fetcher = adapt.sync_fetcher(self._own_fetcher or fetcher)

    def verify(self, client_assertion: str | bytes, client_id: str | None = None) -> VerifiedAssertion:
        """Verify an assertion and mark it as used.

        client_id: the ``client_id`` parameter of the request, when it had one; it must name the same client.
        Raises InvalidClient or TemporarilyUnavailable, and nothing else whatever the assertion is.
        """
        if self._on_event is not None:
            pending = self.begin(client_assertion, client_id)
            return pending.consume()
        verified, leeway = self._check(client_assertion, client_id)
        self._mark_used(verified, leeway)
        return verified

    def authenticate(self, form: Form, authorization: str | None = None) -> VerifiedAssertion | None:
        """Authenticate the client of a whole token request.

        form: the parameters of the body, as a mapping, a framework's multi-dictionary, or pairs.
        authorization: the value of the ``Authorization`` header field; None when there is none.

        None when the request carries no client assertion at all: nobody is authenticated then.
        Raises InvalidRequest for a malformed request, and what ``verify`` raises.
        """
        parameters = _report.read_request(self._on_event, form, authorization)
        if parameters is None:
            return None
        client_assertion, client_id = parameters
        return self.verify(client_assertion, client_id)

    def begin(self, client_assertion: str | bytes, client_id: str | None = None) -> PendingAssertion:
        """Everything but the replay mark, for a server that has more to check before the assertion is used up.

        Nothing may be issued before ``consume()`` has answered. Arguments and errors are those of ``verify``.
        """
        watch = Watch(self._on_event, client_assertion)
        try:
            verified, leeway = self._check(client_assertion, client_id)
        except AuthenticationError as error:
            watch.refused(error)
            raise
        watch.pause()
        return PendingAssertion(self._mark_used, verified, leeway, watch)

    def _check(self, client_assertion: str | bytes, client_id: str | None) -> tuple[VerifiedAssertion, float]:
        """Steps 1 to 5 of the recipe: what the assertion says, and the leeway of the policy it is held to."""
        now = self._clock()
        # 1. Size and shape: a compact JWS in its one spelling.
        segments = compact.split(client_assertion, self._policy.max_assertion_bytes)
        header_segment, claims_segment, signature, signing_input = segments
        # 2. Header: what is true of it for every client.
        header = header_step.parse(header_segment)
        # 3. Claims: who, what this client may do, for whom, when, and which one.
        claims = compact.loads(claims_segment, "claims")
        client = self._find_client(claims_step.identify(claims, client_id))
        policy = client.policy or self._policy
        claims_step.check_client_rules(header, policy, client.signing_algs, require_kid=client.require_kid)
        audience = claims_step.check_audience(claims, policy)
        issued_at, expires_at = claims_step.check_times(claims, policy, now)
        jti = claims_step.check_jti(claims)
        # 4. Key: the one of this client that the header names.
        if client.keys is not None:
            key = adapt.registered_key(client.keys, header, client.signing_algs)
        else:
            key = self._fetcher.get_key(client, header.alg, header.kid)
        # 5. Signature, over the bytes received.
        if not key.verify(base64url.decode_canonical(signature), signing_input):
            raise bad_signature(header)
        # 6. Replay, last: `_mark_used`.
        verified = VerifiedAssertion(
            client.client_id, header.kid, jti, audience, issued_at, expires_at, MappingProxyType(claims)
        )
        return verified, policy.leeway

    def _mark_used(self, verified: VerifiedAssertion, leeway: float) -> None:
        now = self._clock()
        claims_step.check_not_expired(verified.expires_at, leeway, now)
        key = replay.replay_key(verified.client_id, verified.jti)
        retain_until = replay.retain_until(verified.expires_at, leeway)
        self._mark(key, retain_until, now)
        # A store that took longer than the mark lives may have forgotten the first use and said True again.
        claims_step.check_not_expired(verified.expires_at, leeway, self._clock())

    def close(self) -> None:
        """Close the fetcher, when it is the verifier's own."""
        if self._own_fetcher is not None:
            self._own_fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class PendingAssertion:
    """An assertion that passed every check but the last: it is not used up yet, and authenticates nobody yet."""

    __slots__ = ("_leeway", "_mark_used", "_report", "_verified")

    def __init__(self, mark_used: MarkUsed, verified: VerifiedAssertion, leeway: float, watch: Watch) -> None:
        self._mark_used = mark_used
        self._verified = verified
        self._leeway = leeway
        self._report = watch

    @property
    def client_id(self) -> str:
        """The client whose key signed the assertion."""
        return self._verified.client_id

    def consume(self) -> VerifiedAssertion:
        """Mark the assertion as used; once only, whoever else holds it.

        Raises InvalidClient (``replayed``, or ``expired`` by now) or TemporarilyUnavailable.
        """
        verified = self._verified
        self._report.resume()
        try:
            self._mark_used(verified, self._leeway)
        except AuthenticationError as error:
            self._report.refused(error)
            raise
        self._report.accepted(verified.client_id, verified.kid, verified.jti, verified.audience)
        return verified


class AsyncClientAssertionVerifier:
    """ClientAssertionVerifier for asyncio: the same names, awaited.

    Stores, clients and fetchers may be sync or async. What is sync and may block (a store that does not live
    in this process, a function of yours) is called in a thread, so that it cannot hold up the event loop.
    """

    def __init__(
        self,
        *,
        policy: AssertionPolicy,
        clients: AsyncClients,
        replay_store: AsyncReplayStore | ReplayStore,
        fetcher: AsyncJWKSFetcher | JWKSFetcher | None = None,
        clock: Callable[[], float] = time.time,
        workers: int = 1,
        on_event: OnEvent | None = None,
    ) -> None:
        adapt.check_settings(policy, clock, on_event)
        adapt.check_workers(workers, replay_store)
        self._policy = policy
        self._clock = clock
        self._on_event = on_event
        self._find_client = adapt.async_clients(clients)
        self._replay_store = replay_store
        self._mark = adapt.async_store(replay_store)
        self._own_fetcher = AsyncJWKSFetcher(on_event=on_event) if fetcher is None else None
        self._fetcher = adapt.async_fetcher(self._own_fetcher or fetcher)

    async def verify(self, client_assertion: str | bytes, client_id: str | None = None) -> VerifiedAssertion:
        """See ClientAssertionVerifier.verify."""
        if self._on_event is not None:
            pending = await self.begin(client_assertion, client_id)
            return await pending.consume()
        verified, leeway = await self._check(client_assertion, client_id)
        await self._mark_used(verified, leeway)
        return verified

    async def authenticate(self, form: Form, authorization: str | None = None) -> VerifiedAssertion | None:
        """See ClientAssertionVerifier.authenticate."""
        parameters = _report.read_request(self._on_event, form, authorization)
        if parameters is None:
            return None
        client_assertion, client_id = parameters
        return await self.verify(client_assertion, client_id)

    async def begin(self, client_assertion: str | bytes, client_id: str | None = None) -> AsyncPendingAssertion:
        """See ClientAssertionVerifier.begin."""
        watch = Watch(self._on_event, client_assertion)
        try:
            verified, leeway = await self._check(client_assertion, client_id)
        except AuthenticationError as error:
            watch.refused(error)
            raise
        watch.pause()
        return AsyncPendingAssertion(self._mark_used, verified, leeway, watch)

    async def _check(self, client_assertion: str | bytes, client_id: str | None) -> tuple[VerifiedAssertion, float]:
        """See ClientAssertionVerifier._check."""
        now = self._clock()
        # 1. Size and shape: a compact JWS in its one spelling.
        segments = compact.split(client_assertion, self._policy.max_assertion_bytes)
        header_segment, claims_segment, signature, signing_input = segments
        # 2. Header: what is true of it for every client.
        header = header_step.parse(header_segment)
        # 3. Claims: who, what this client may do, for whom, when, and which one.
        claims = compact.loads(claims_segment, "claims")
        client = await self._find_client(claims_step.identify(claims, client_id))
        policy = client.policy or self._policy
        claims_step.check_client_rules(header, policy, client.signing_algs, require_kid=client.require_kid)
        audience = claims_step.check_audience(claims, policy)
        issued_at, expires_at = claims_step.check_times(claims, policy, now)
        jti = claims_step.check_jti(claims)
        # 4. Key: the one of this client that the header names.
        if client.keys is not None:
            key = adapt.registered_key(client.keys, header, client.signing_algs)
        else:
            key = await self._fetcher.get_key(client, header.alg, header.kid)
        # 5. Signature, over the bytes received.
        if not key.verify(base64url.decode_canonical(signature), signing_input):
            raise bad_signature(header)
        # 6. Replay, last: `_mark_used`.
        verified = VerifiedAssertion(
            client.client_id, header.kid, jti, audience, issued_at, expires_at, MappingProxyType(claims)
        )
        return verified, policy.leeway

    async def _mark_used(self, verified: VerifiedAssertion, leeway: float) -> None:
        now = self._clock()
        claims_step.check_not_expired(verified.expires_at, leeway, now)
        key = replay.replay_key(verified.client_id, verified.jti)
        retain_until = replay.retain_until(verified.expires_at, leeway)
        await self._mark(key, retain_until, now)
        # A store that took longer than the mark lives may have forgotten the first use and said True again.
        claims_step.check_not_expired(verified.expires_at, leeway, self._clock())

    async def aclose(self) -> None:
        """Close the fetcher, when it is the verifier's own."""
        if self._own_fetcher is not None:
            await self._own_fetcher.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


class AsyncPendingAssertion:
    """An assertion that passed every check but the last: it is not used up yet, and authenticates nobody yet."""

    __slots__ = ("_leeway", "_mark_used", "_report", "_verified")

    def __init__(self, mark_used: AsyncMarkUsed, verified: VerifiedAssertion, leeway: float, watch: Watch) -> None:
        self._mark_used = mark_used
        self._verified = verified
        self._leeway = leeway
        self._report = watch

    @property
    def client_id(self) -> str:
        """The client whose key signed the assertion."""
        return self._verified.client_id

    async def consume(self) -> VerifiedAssertion:
        """See PendingAssertion.consume."""
        verified = self._verified
        self._report.resume()
        try:
            await self._mark_used(verified, self._leeway)
        except AuthenticationError as error:
            self._report.refused(error)
            raise
        self._report.accepted(verified.client_id, verified.kid, verified.jti, verified.audience)
        return verified


def bad_signature(header: Header) -> InvalidClient:
    """The signature is not that of the key that the header names."""
    return InvalidClient(Reason.BAD_SIGNATURE, f"not signed by the client's key {header.kid!a}", "signature")
