"""The verifiers: which client sent this token request?

Each takes an assertion through the stages of ``recipe.py``, and waits in between for the client, the key and the replay
mark. The sync and the async verifier differ in ``await`` only (a test compares them).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Literal, NamedTuple, Self, overload

from . import _sources as sources
from ._core import token_request
from ._core.header import Header
from ._core.jwk_set import VerificationKey
from ._core.token_request import ClientAssertion, Form
from ._report import Reporter
from ._settings import check_verifier_settings, check_workers
from ._sources import AsyncClients, AsyncKeySource, Clients, KeySource
from .clients import RegisteredClient
from .events import OnEvent
from .exceptions import AuthenticationError, InvalidClient, InvalidRequest
from .fetcher import AsyncJWKSFetcher, JWKSFetcher
from .policy import AssertionPolicy
from .recipe import Verification, VerifiedAssertion, registered_key
from .stores import AsyncReplayStore, ReplayStore

__all__ = [
    "AsyncClientAssertionVerifier",
    "AsyncPendingAssertion",
    "ClientAssertionVerifier",
    "PendingAssertion",
    "VerifiedAssertion",
]


class Begun(NamedTuple):
    """Hold when an assertion became pending: ``checked_at`` by the verifier's clock, the others by ``perf_counter``."""

    checked_at: float
    started: float
    duration: float


Consume = Callable[[Verification, Begun], VerifiedAssertion]
AsyncConsume = Callable[[Verification, Begun], Awaitable[VerifiedAssertion]]

# Where more than so many seconds have passed since the checks (an assertion was pending, the store hung, the machine
# slept), it must still be what its client may send, signed by a key in use.
_CHECKS_GOOD_FOR = 1


class _Verifier:
    """Do what the two verifiers have in common: nothing here waits."""

    _fetcher: AsyncKeySource | KeySource

    def __init__(
        self, policy: AssertionPolicy, clock: Callable[[], float], on_event: OnEvent | None, workers: int, store: object
    ) -> None:
        check_verifier_settings(policy, clock, on_event)
        check_workers(workers, store)
        self._policy = policy
        self._clock = clock
        self._on_event = on_event
        self._replay_store = store
        self._reporter = Reporter(on_event)

    @property
    def policy(self) -> AssertionPolicy:
        """Say what an assertion must satisfy, unless its client has a policy of its own."""
        return self._policy

    def report_refusal(self, error: AuthenticationError) -> None:
        """Report a refusal that fell outside of this verifier, in an integration; once for each error."""
        self._reporter.refused(error, None, perf_counter())

    def _describe_keys(self, client: RegisteredClient) -> str:
        """Say where a client's keys are, and how old: a new key under an old kid is seen in a newer set only."""
        return sources.describe_keys(self._fetcher, client)

    def _is_recent(self, begun: Begun) -> bool:
        """Report whether the checks still count, by both clocks: one can be set back, the other stops in sleep."""
        waited = perf_counter() - begun.started
        return 0 <= self._clock() - begun.checked_at <= _CHECKS_GOOD_FOR and waited <= _CHECKS_GOOD_FOR

    def _read(self, form: Form, authorization: str | None, *, optional: bool) -> ClientAssertion | None:
        try:
            return token_request.read(form, authorization, optional=optional)
        except (InvalidRequest, InvalidClient) as error:
            self.report_refusal(error)
            raise


class ClientAssertionVerifier(_Verifier):
    """Verify client assertions for one authorization server (RFC 7523 §3, OpenID Connect Core §9).

        verifier = ClientAssertionVerifier(policy=policy, clients=clients, replay_store=store)
        verified = verifier.authenticate(form, authorization)  # or raises an AuthenticationError
        issue_tokens(verified.client_id)

    policy: what every assertion must satisfy.
    clients: the registered clients: an iterable of RegisteredClients, read once, here; a mapping of them by client_id,
        or a function ``client_id -> RegisteredClient | None``. To add or remove a client later, give one of the two
        latter: they are asked anew for each request.
    replay_store: where used assertions are marked. Several workers must share one.
    fetcher: where published keys come from; a JWKSFetcher with the default policy unless given.
    clock: seconds since the epoch.
    workers: how many processes serve this audience, on all hosts. With more than one, a store that lives in
        one process is refused: each worker would accept the same assertion once.
    on_event: a function to which everything that happens is reported (see ``private_key_jwt.events``). Unless given,
        refusals are logged.

    Thread-safe when its store and clients are. Raises ConfigurationError, which names the setting.
    """

    def __init__(
        self,
        *,
        policy: AssertionPolicy,
        clients: Clients,
        replay_store: ReplayStore,
        fetcher: KeySource | None = None,
        clock: Callable[[], float] = time.time,
        workers: int = 1,
        on_event: OnEvent | None = None,
    ) -> None:
        super().__init__(policy, clock, on_event, workers, replay_store)
        self._own_fetcher: JWKSFetcher | None = None
        if fetcher is None:
            fetcher = self._own_fetcher = JWKSFetcher(on_event=on_event)
        self._fetcher = fetcher
        self._clients = clients
        self._find_client = sources.sync_clients(clients, fetcher, on_event)
        self._get_key = sources.sync_keys(self._fetcher)
        self._mark = sources.sync_store(replay_store)

    def verify(self, client_assertion: str | bytes, client_id: str | None = None) -> VerifiedAssertion:
        """Return the client that sent an assertion, and mark the assertion as used.

        client_id: the ``client_id`` of the token request, when there is one: it must name the same client.

        Raises InvalidClient (the client's fault) or TemporarilyUnavailable (ours); nothing else, whatever comes in.
        """
        work, started = Verification(), perf_counter()
        try:
            # The stages are called here, and not in a method that `begin` has, too: a refusal costs 0.4 µs, of 2 to 8,
            # for each frame that it leaves.
            work.read(self._policy, client_assertion, client_id)
            work.check_claims(self._find_client(work.client_id), self._clock())
            work.check_signature(self._find_key(work.client, work.header), self._describe_keys)
            verified = self._consume(work)
        except AuthenticationError as error:
            self._reporter.refused(error, work, started, client_assertion, client_id)
            raise
        if self._reporter.reports_accepted:
            self._reporter.accepted(verified, work, perf_counter() - started)
        return verified

    @overload
    def authenticate(
        self, form: Form, authorization: str | None = None, *, optional: Literal[False] = False
    ) -> VerifiedAssertion: ...

    @overload
    def authenticate(
        self, form: Form, authorization: str | None = None, *, optional: bool
    ) -> VerifiedAssertion | None: ...

    def authenticate(
        self, form: Form, authorization: str | None = None, *, optional: bool = False
    ) -> VerifiedAssertion | None:
        """Authenticate the client of a whole token request (RFC 7521 §4.2, RFC 7523 §2.2).

        form: the parameters of the body as a mapping, a multi-dictionary of a framework, or pairs of them.
        authorization: the request's ``Authorization`` header field; None when there is none.
        optional: return None when the request carries no client assertion, for a server with other methods.

        Raises InvalidRequest for a malformed request, InvalidClient (``missing_assertion``) for one without an
        assertion unless ``optional``, and what ``verify`` raises.
        """
        request = self._read(form, authorization, optional=optional)
        return None if request is None else self.verify(*request)

    def begin(self, client_assertion: str | bytes, client_id: str | None = None) -> PendingAssertion:
        """Do everything but the replay mark, for a server that has more to check before the assertion is used up.

        Nothing may be issued before ``consume()`` has returned. Arguments and errors are those of ``verify``.
        """
        work, started = Verification(), perf_counter()
        try:
            work.read(self._policy, client_assertion, client_id)
            work.check_claims(self._find_client(work.client_id), self._clock())
            work.check_signature(self._find_key(work.client, work.header), self._describe_keys)
        except AuthenticationError as error:
            self._reporter.refused(error, work, started, client_assertion, client_id)
            raise
        return PendingAssertion(self._consume_pending, work, Begun(work.checked_at, started, perf_counter() - started))

    @overload
    def begin_authentication(
        self, form: Form, authorization: str | None = None, *, optional: Literal[False] = False
    ) -> PendingAssertion: ...

    @overload
    def begin_authentication(
        self, form: Form, authorization: str | None = None, *, optional: bool
    ) -> PendingAssertion | None: ...

    def begin_authentication(
        self, form: Form, authorization: str | None = None, *, optional: bool = False
    ) -> PendingAssertion | None:
        """Do ``begin`` for a whole token request. Arguments and errors are those of ``authenticate``."""
        request = self._read(form, authorization, optional=optional)
        return None if request is None else self.begin(*request)

    def is_registered(self, client_id: str) -> bool:
        """Return whether ``clients`` know a client, for a server with other methods beside this one.

        Raises TemporarilyUnavailable when they could not be asked.
        """
        try:
            self._find_client(client_id)
        except InvalidClient:
            return False
        return True

    def _find_key(self, client: RegisteredClient, header: Header) -> VerificationKey:
        """Do step 4 of the recipe."""
        if client.keys is not None:
            return registered_key(client.keys, header, client.signing_algs)
        return self._get_key(client, header.alg, header.kid)

    def _consume(self, work: Verification) -> VerifiedAssertion:
        """Do step 6 of the recipe."""
        self._mark(*work.replay_mark(self._clock()))
        if not 0 <= (now := self._clock()) - work.checked_at <= _CHECKS_GOOD_FOR:
            self._check_again(work)
            now = self._clock()
        return work.finish(now)

    def _check_again(self, work: Verification) -> None:
        """Do steps 3 and 4 anew, which were made too long ago."""
        work.check_claims(self._find_client(work.client_id), self._clock())
        work.check_same_key(self._find_key(work.client, work.header))

    def _consume_pending(self, work: Verification, begun: Begun) -> VerifiedAssertion:
        """Do step 6 for an assertion that was pending."""
        started = perf_counter() - begun.duration
        try:
            if not self._is_recent(begun):
                self._check_again(work)
            verified = self._consume(work)
        except AuthenticationError as error:
            self._reporter.refused(error, work, started)
            raise
        if self._reporter.reports_accepted:
            self._reporter.accepted(verified, work, perf_counter() - started)
        return verified

    def close(self) -> None:
        """Close the fetcher, when it is the verifier's own."""
        if self._own_fetcher is not None:
            self._own_fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class PendingAssertion:
    """An assertion that passed every check but the last: it is not used up yet, and authenticates nobody yet.

        pending = verifier.begin(client_assertion)
        check_dpop_proof(request, pending.client_id)
        verified = pending.consume()

    Whatever is raised before ``consume`` leaves the assertion as it was: the client may send it again.
    """

    __slots__ = ("_begun", "_consume", "_work")

    def __init__(self, consume: Consume, work: Verification, begun: Begun) -> None:
        self._consume = consume
        self._work = work
        self._begun = begun

    @property
    def client_id(self) -> str:
        """The client whose key signed the assertion."""
        return self._work.client_id

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only: for checks of your own."""
        return self._work.claims

    def consume(self) -> VerifiedAssertion:
        """Mark the assertion as used; once only, whoever else holds it.

        Raises InvalidClient (``replayed``, ``expired`` by now, or what the client's registration or keys have come to
        refuse since) or TemporarilyUnavailable.
        """
        return self._consume(self._work, self._begun)


class AsyncClientAssertionVerifier(_Verifier):
    """ClientAssertionVerifier for asyncio: the same names, awaited.

        verifier = AsyncClientAssertionVerifier(policy=policy, clients=clients, replay_store=store)
        verified = await verifier.authenticate(form, authorization)
        await verifier.aclose()

    Stores, clients and fetchers may be sync or async. What is sync and may block (a store that does not live
    in this process, a function of yours) is called in a thread, so that it cannot hold up the event loop.
    """

    def __init__(
        self,
        *,
        policy: AssertionPolicy,
        clients: AsyncClients,
        replay_store: AsyncReplayStore | ReplayStore,
        fetcher: AsyncKeySource | KeySource | None = None,
        clock: Callable[[], float] = time.time,
        workers: int = 1,
        on_event: OnEvent | None = None,
    ) -> None:
        super().__init__(policy, clock, on_event, workers, replay_store)
        self._own_fetcher: AsyncJWKSFetcher | None = None
        if fetcher is None:
            fetcher = self._own_fetcher = AsyncJWKSFetcher(on_event=on_event)
        self._fetcher = fetcher
        self._clients = clients
        self._find_client = sources.async_clients(clients, fetcher, on_event)
        self._get_key = sources.async_keys(self._fetcher)
        self._mark = sources.async_store(replay_store)

    async def verify(self, client_assertion: str | bytes, client_id: str | None = None) -> VerifiedAssertion:
        """See ClientAssertionVerifier.verify."""
        work, started = Verification(), perf_counter()
        try:
            work.read(self._policy, client_assertion, client_id)
            work.check_claims(await self._find_client(work.client_id), self._clock())
            work.check_signature(await self._find_key(work.client, work.header), self._describe_keys)
            verified = await self._consume(work)
        except AuthenticationError as error:
            self._reporter.refused(error, work, started, client_assertion, client_id)
            raise
        if self._reporter.reports_accepted:
            self._reporter.accepted(verified, work, perf_counter() - started)
        return verified

    @overload
    async def authenticate(
        self, form: Form, authorization: str | None = None, *, optional: Literal[False] = False
    ) -> VerifiedAssertion: ...

    @overload
    async def authenticate(
        self, form: Form, authorization: str | None = None, *, optional: bool
    ) -> VerifiedAssertion | None: ...

    async def authenticate(
        self, form: Form, authorization: str | None = None, *, optional: bool = False
    ) -> VerifiedAssertion | None:
        """See ClientAssertionVerifier.authenticate."""
        request = self._read(form, authorization, optional=optional)
        return None if request is None else await self.verify(*request)

    async def begin(self, client_assertion: str | bytes, client_id: str | None = None) -> AsyncPendingAssertion:
        """See ClientAssertionVerifier.begin."""
        work, started = Verification(), perf_counter()
        try:
            work.read(self._policy, client_assertion, client_id)
            work.check_claims(await self._find_client(work.client_id), self._clock())
            work.check_signature(await self._find_key(work.client, work.header), self._describe_keys)
        except AuthenticationError as error:
            self._reporter.refused(error, work, started, client_assertion, client_id)
            raise
        return AsyncPendingAssertion(
            self._consume_pending, work, Begun(work.checked_at, started, perf_counter() - started)
        )

    @overload
    async def begin_authentication(
        self, form: Form, authorization: str | None = None, *, optional: Literal[False] = False
    ) -> AsyncPendingAssertion: ...

    @overload
    async def begin_authentication(
        self, form: Form, authorization: str | None = None, *, optional: bool
    ) -> AsyncPendingAssertion | None: ...

    async def begin_authentication(
        self, form: Form, authorization: str | None = None, *, optional: bool = False
    ) -> AsyncPendingAssertion | None:
        """See ClientAssertionVerifier.begin_authentication."""
        request = self._read(form, authorization, optional=optional)
        return None if request is None else await self.begin(*request)

    async def is_registered(self, client_id: str) -> bool:
        """See ClientAssertionVerifier.is_registered."""
        try:
            await self._find_client(client_id)
        except InvalidClient:
            return False
        return True

    async def _find_key(self, client: RegisteredClient, header: Header) -> VerificationKey:
        """See ClientAssertionVerifier._find_key."""
        if client.keys is not None:
            return registered_key(client.keys, header, client.signing_algs)
        return await self._get_key(client, header.alg, header.kid)

    async def _consume(self, work: Verification) -> VerifiedAssertion:
        """See ClientAssertionVerifier._consume."""
        await self._mark(*work.replay_mark(self._clock()))
        if not 0 <= (now := self._clock()) - work.checked_at <= _CHECKS_GOOD_FOR:
            await self._check_again(work)
            now = self._clock()
        return work.finish(now)

    async def _check_again(self, work: Verification) -> None:
        """See ClientAssertionVerifier._check_again."""
        work.check_claims(await self._find_client(work.client_id), self._clock())
        work.check_same_key(await self._find_key(work.client, work.header))

    async def _consume_pending(self, work: Verification, begun: Begun) -> VerifiedAssertion:
        """See ClientAssertionVerifier._consume_pending."""
        started = perf_counter() - begun.duration
        try:
            if not self._is_recent(begun):
                await self._check_again(work)
            verified = await self._consume(work)
        except AuthenticationError as error:
            self._reporter.refused(error, work, started)
            raise
        if self._reporter.reports_accepted:
            self._reporter.accepted(verified, work, perf_counter() - started)
        return verified

    async def aclose(self) -> None:
        """Close the fetcher, when it is the verifier's own."""
        if self._own_fetcher is not None:
            await self._own_fetcher.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


class AsyncPendingAssertion:
    """PendingAssertion, awaited: not used up yet, and authenticates nobody yet.

        pending = await verifier.begin(client_assertion)
        check_dpop_proof(request, pending.client_id)
        verified = await pending.consume()

    Whatever is raised before ``consume`` leaves the assertion as it was: the client may send it again.
    """

    __slots__ = ("_begun", "_consume", "_work")

    def __init__(self, consume: AsyncConsume, work: Verification, begun: Begun) -> None:
        self._consume = consume
        self._work = work
        self._begun = begun

    @property
    def client_id(self) -> str:
        """The client whose key signed the assertion."""
        return self._work.client_id

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only: for checks of your own."""
        return self._work.claims

    async def consume(self) -> VerifiedAssertion:
        """See PendingAssertion.consume."""
        return await self._consume(self._work, self._begun)
