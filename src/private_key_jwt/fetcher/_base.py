"""Share what both fetchers do: check settings, find a known key, and begin, join and end fetches."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

import httpx

from .._core.freshness import KeyQuery
from .._core.jwk_set import VerificationKey
from .._core.response import FetchError
from .._coroutines import is_in_process
from .._http_client import check_headers
from .._log import log_exception
from .._text import describe_in_full, one_line, quote
from .._validation import check_clock, check_handler, check_integer
from ..clients import RegisteredClient
from ..events import OnEvent, log_events
from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy
from ..stores import MemoryJWKSCache
from . import _flow, _refusals
from ._cache import CACHE_METHODS
from ._destination import Destination
from ._fetches import Fetch, Handle, Outcome, RefreshRequest, Status
from ._flow import FindStep, Refresh
from ._state import FetcherState

__all__ = [
    "CLOSED",
    "INTERRUPTED",
    "MAX_KEY_SETS",
    "STARTED",
    "Fetcher",
    "Result",
    "wait_for",
]

Result = TypeVar("Result")

STARTED = Outcome(Status.STARTED)
INTERRUPTED = Outcome(Status.FAILED, "the fetch was interrupted")
CLOSED = Outcome(Status.REFUSED, "the fetcher is closed")

MAX_KEY_SETS = 100_000


class Fetcher(ABC, Generic[Handle]):
    """Do what the sync and the async fetcher have in common."""

    _closed = False

    def __init__(
        self,
        policy: JWKSPolicy | None,
        cache: Any,
        headers: Mapping[str, str] | None,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        max_key_sets: int,
        on_event: OnEvent | None,
    ) -> None:
        if policy is not None and not isinstance(policy, JWKSPolicy):
            raise ConfigurationError(f"policy must be a JWKSPolicy, not {type(policy).__name__}")
        check_integer("max_key_sets", max_key_sets, 1, 100_000_000)
        check_clock("clock", clock, since_epoch=False)
        check_clock("wall_clock", wall_clock)
        if cache is not None and not all(callable(getattr(cache, name, None)) for name in CACHE_METHODS):
            raise ConfigurationError(f"cache must have get, put and claim, and {type(cache).__name__} has not")
        check_handler(on_event)
        self.policy = JWKSPolicy() if policy is None else policy
        self._headers = check_headers(headers)
        self._clock, self._wall_clock = clock, wall_clock
        self._owns_cache, self._max_documents = cache is None, max(max_key_sets, MAX_KEY_SETS)
        self._use_cache(MemoryJWKSCache(self._max_documents) if cache is None else cache)
        self._state: FetcherState[Handle] = FetcherState(
            self.policy,
            clock,
            wall_clock,
            max_key_sets,
            log_events if on_event is None else on_event,
            shares_cache=not is_in_process(self._cache),
        )

    def _use_cache(self, cache: Any) -> None:
        self._cache = cache
        self._cache_calls = {name: self._cache_call(getattr(cache, name)) for name in CACHE_METHODS}

    def _cache_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of the cache as this fetcher calls it."""
        return call

    @property
    def cache_failures(self) -> int:
        """Count the failures of the cache: it raised, or what it returned is no answer.

        The fetcher went on without it; only where ``claim`` returned neither True nor False it fetched nothing.
        """
        return self._state.cache_failures

    def check_client(self, client: RegisteredClient) -> None:
        """Refuse a client whose ``jwks_uri`` the policy forbids, as far as that can be seen without resolving the host.

        Raises ConfigurationError.
        """
        if client.jwks_uri is None:
            return
        try:
            Destination(httpx.URL(client.jwks_uri), self.policy)
        except FetchError as error:
            raise ConfigurationError(
                f"jwks_uri of client {quote(client.client_id)}, {quote(client.jwks_uri)}, cannot be fetched: {error}"
            ) from None

    def reserve(self, count: int) -> None:
        """Keep ``count`` key sets at least, beside those that were reserved before.

        Each verifier reserves as many as it has clients, so that none is evicted while it is fresh. For use at the
        start: the documents of a cache of its own are forgotten when that has to grow.
        """
        bound = self._state.reserve(count)
        if self._owns_cache and bound > self._max_documents:
            self._max_documents = bound
            self._use_cache(MemoryJWKSCache(bound))

    def describe_set(self, client: RegisteredClient) -> str | None:
        """Say how old the key set of a client is, and when it is asked for again; None when none is known.

        For the detail of a refusal under a key that is known: a new key that has an old ``kid`` is seen only then.
        """
        return _refusals.describe_set(self._state, client.jwks_uri or "")

    def _peek(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey | None:
        """Return the key when it is known and nothing is to be done for it; it takes no lock and never waits."""
        entry = self._state.entry(client.jwks_uri or "")
        if entry is None or self._clock() >= entry.fresh_until or self._wall_clock() >= entry.wall_expires_at:
            return None
        found = entry.keys.find(alg, kid, client.signing_algs)
        return found if isinstance(found, VerificationKey) else None

    def _find(
        self, client: RegisteredClient, alg: str, kid: str | None
    ) -> Generator[FindStep, Outcome, VerificationKey]:
        return _flow.find_key(self._state, client.jwks_uri or "", KeyQuery(alg, kid, client.signing_algs))

    @abstractmethod
    def _join_or_start(self, request: RefreshRequest) -> Fetch[Handle] | Outcome: ...

    @abstractmethod
    async def _wait_async(self, fetch: Fetch[Handle] | Outcome, deadline: float) -> Outcome: ...

    async def _drive_async(self, flow: Generator[FindStep, Outcome, Result]) -> Result:
        """See JWKSFetcher._drive."""
        deadline = self._deadline()
        try:
            step = next(flow)
            while True:
                fetch = self._join_or_start(step.request)
                outcome = await self._wait_async(fetch, deadline) if isinstance(step, Refresh) else STARTED
                step = flow.send(outcome)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _overdue(self, fetch: Fetch[Handle]) -> Outcome:
        """Say what a fetch is doing that is waited for no longer.

        Strangers spend the budget by kids that they make up: where others have refused a fetch, that a busy cache
        answers late must not make an outage of it.
        """
        if fetch.was_refused and fetch.request.forced:
            return _flow.SPENT_BY_OTHERS
        return Outcome(Status.FAILED, fetch.progress.describe_delay(self.policy.timeout))

    def _deadline(self) -> float:
        return time.monotonic() + self.policy.timeout

    def _can_join(self, fetch: Fetch[Handle]) -> bool:
        """Report whether a fetch may be joined.

        One that hangs past its deadline is waited for no longer, and must not block its ``jwks_uri`` for good; a new
        one after each deadline would pile up threads that hang.
        """
        late = time.monotonic() - fetch.deadline
        return late < 0 or (late < self.policy.fetch_window and self._is_running(fetch))

    @abstractmethod
    def _is_running(self, fetch: Fetch[Handle]) -> bool: ...

    def _report_cache_failure(self, error: Exception) -> None:
        self._state.report_cache_failure(describe_in_full(error, "no reply in time"))

    def _fail(self, fetch: Fetch[Handle], error: BaseException) -> None:
        """End a fetch that raised what nobody expects: whatever it is, those who wait are to know."""
        try:
            self._finish(fetch, Outcome(Status.FAILED, f"unexpected {type(error).__name__}"))
        finally:
            log_exception(f"refreshing {one_line(fetch.jwks_uri)} failed", error)

    def _finish(self, fetch: Fetch[Handle], outcome: Outcome) -> None:
        """End a fetch, however it ended, and wake all who wait for it."""
        if self._state.finish(fetch, outcome):
            try:
                self._state.report_end(fetch, outcome)
            finally:  # whatever the user's handler raises
                self._wake(fetch.handle)

    @abstractmethod
    def _wake(self, handle: Handle) -> None: ...


async def wait_for(fetch: Fetch[Any], ended: asyncio.Future[None], deadline: float) -> Outcome | None:
    """Wait for the end of a fetch, to its deadline or ``deadline`` (monotonic); return None when it did not come."""
    # asyncio.wait cancels nothing: neither a deadline nor a cancelled waiter ends the fetch.
    await asyncio.wait({ended}, timeout=min(deadline, fetch.deadline) - time.monotonic())
    return fetch.outcome
