"""The two fetchers: each drives the flows of ``_flow``, one with threads, one with tasks."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Generic, Self, TypeVar

import httpx

from .._clocks import since_boot
from .._core import jwk_set
from .._core.freshness import KeyQuery
from .._core.jwk_set import KeySet, VerificationKey
from .._core.response import FetchError
from .._coroutines import as_coroutine_function, is_in_process
from .._http_client import check_headers, check_http_client
from .._log import log_exception
from .._text import describe_in_full, one_line, quote
from .._validation import check_handler, check_integer, check_wall_clock, is_coroutine_function
from ..clients import RegisteredClient
from ..events import OnEvent, log_events
from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy
from ..stores import AsyncJWKSCache, JWKSCache, MemoryJWKSCache
from . import _flow, _http, _refusals
from ._destination import Destination
from ._fetches import Ending, Fetch, Handle, Outcome, RefreshRequest, Status
from ._flow import End, FindStep, Get, ParseKeys, Pause, ReadCache, Refresh, RefreshStep, TakeSharedFetch, WriteCache
from ._parsing import parse_async
from ._progress import Phase
from ._state import FetcherState

__all__ = ["AsyncJWKSFetcher", "JWKSFetcher"]

Result = TypeVar("Result")

_STARTED = Outcome(Status.STARTED)
_CANCELLED = Outcome(Status.FAILED, "the fetch was cancelled")
_INTERRUPTED = Outcome(Status.FAILED, "the fetch was interrupted")
_CLOSED = Outcome(Status.REFUSED, "the fetcher is closed")

_CACHE_STEPS = (ReadCache, TakeSharedFetch, WriteCache)
_MAX_KEY_SETS = 100_000
_CACHE_METHODS = ("get", "put", "claim")


class _Fetcher(ABC, Generic[Handle]):
    """What the sync and the async fetcher have in common."""

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
        if not callable(clock):
            raise ConfigurationError("clock must be a function that gives seconds, and never goes back")
        check_wall_clock(wall_clock)
        if cache is not None and not all(callable(getattr(cache, name, None)) for name in _CACHE_METHODS):
            raise ConfigurationError(f"cache must have get, put and claim, and {type(cache).__name__} has not")
        check_handler(on_event)
        self.policy = JWKSPolicy() if policy is None else policy
        self._headers = check_headers(headers)
        self._clock, self._wall_clock = clock, wall_clock
        self._owns_cache = cache is None
        self._cache = MemoryJWKSCache(max(max_key_sets, _MAX_KEY_SETS)) if cache is None else cache
        self._state: FetcherState[Handle] = FetcherState(
            self.policy, clock, wall_clock, max_key_sets, log_events if on_event is None else on_event
        )
        self._state.shares_cache = not self._owns_cache

    @property
    def cache_failures(self) -> int:
        """How often the cache failed or held nonsense; each time the fetcher went on without it."""
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
        """Keep at least ``count`` key sets: as many as there are clients, so that none is evicted while it is fresh.

        For use at the start: the documents of a cache of its own are forgotten when that has to grow.
        """
        self._state.reserve(count)
        if self._owns_cache and count > _MAX_KEY_SETS:
            self._cache = MemoryJWKSCache(count)

    def describe_set(self, client: RegisteredClient) -> str | None:
        """Say how old the key set of a client is, and when it is asked for again; None when none is known.

        For the detail of a refusal under a key that is known: a new key that has an old ``kid`` is seen only then.
        """
        return _refusals.describe_set(self._state, client.jwks_uri or "")

    def peek(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey | None:
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
                outcome = await self._wait_async(fetch, deadline) if isinstance(step, Refresh) else _STARTED
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


def _check_sync_cache(cache: object) -> None:
    for name in _CACHE_METHODS:
        if is_coroutine_function(getattr(cache, name, None)):
            raise ConfigurationError(
                f"cache is asynchronous ({type(cache).__name__}.{name}): give JWKSFetcher a sync cache, such as"
                " RedisJWKSCache for AsyncRedisJWKSCache, or take AsyncJWKSFetcher"
            )


class JWKSFetcher(_Fetcher[Ending]):
    """Fetch and keep the JWK Sets of clients.

        fetcher = JWKSFetcher(JWKSPolicy(ttl=300))
        verifier = ClientAssertionVerifier(..., fetcher=fetcher)
        key = fetcher.get_key(client, "RS256", kid)

    policy: times, sizes and budgets (JWKSPolicy).
    cache: where raw documents are kept, for several workers to share; in memory unless you give one.
    http_client: your own ``httpx.Client``, with ``trust_env=False``, for a proxy or certificates of your own; it
        is not closed. Its cookies, headers, auth, event hooks and timeouts are not used. Which address it connects
        to is judged as ever, but for a proxy (``proxy=``, ``mounts=``) and a socket in the file system (``uds=``).
        A transport of your own must give httpcore's ``network_stream`` along with its responses, or say
        ``in_process = True`` when it answers from memory, as httpx's MockTransport and ASGITransport do. Where it
        does not report its connecting (httpcore's ``trace`` extension) an address inside gets the GET before it is
        refused: let such a transport refuse private addresses itself.
    headers: header fields to send with each fetch, to every publisher: ``{"User-Agent": "as.example"}`` replaces
        ``User-Agent: private-key-jwt/VERSION``. ``Authorization``, ``Cookie``, ``Host`` and hop-by-hop fields are
        refused.
    clock: seconds that only go forward; also while the machine sleeps, where the system has such a clock.
    wall_clock: seconds since the epoch. A set that is past its ttl by it is not used either: a machine that slept, or
        whose clock was set forward, fetches early.
    max_key_sets: how many parsed key sets are kept; a verifier that knows its clients raises it to their number.
    on_event: a function that events are reported to (see ``private_key_jwt.events``); unless given, they are logged.

    Thread-safe; works after a fork. Each fetch runs in a thread of its own, so that nobody waits longer than the
    policy's timeout, whatever the publisher or a name server does. ``Cache-Control``, ``Expires`` and ``Retry-After``
    of a publisher are ignored; its ``Age`` counts (RFC 9111 §5.1). Raises ConfigurationError.
    """

    def __init__(
        self,
        policy: JWKSPolicy | None = None,
        *,
        cache: JWKSCache | None = None,
        http_client: httpx.Client | None = None,
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = since_boot,
        wall_clock: Callable[[], float] = time.time,
        max_key_sets: int = _MAX_KEY_SETS,
        on_event: OnEvent | None = None,
    ) -> None:
        check_http_client(http_client, httpx.Client)
        _check_sync_cache(cache)
        super().__init__(policy, cache, headers, clock, wall_clock, max_key_sets, on_event)
        self._http_client = http_client

    def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """Return the key for an assertion header. Raises InvalidClient (no such key) or TemporarilyUnavailable."""
        key = self.peek(client, alg, kid)
        return self._drive(self._find(client, alg, kid)) if key is None else key

    def refresh(self, jwks_uri: str) -> KeySet:
        """Fetch the set now, within the budget, and use it from now on.

        Raises ConfigurationError for what is no URL to fetch, TemporarilyUnavailable when it brings no key set.
        """
        return self._drive(_flow.fetch_now(self._state, jwks_uri))

    async def get_key_async(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """``get_key`` from a coroutine: it holds up neither the event loop nor a thread of its pool."""
        key = self.peek(client, alg, kid)
        return await self._drive_async(self._find(client, alg, kid)) if key is None else key

    async def _wait_async(self, fetch: Fetch[Ending] | Outcome, deadline: float) -> Outcome:
        if isinstance(fetch, Outcome):
            return fetch
        if time.monotonic() >= min(deadline, fetch.deadline):
            return fetch.outcome or self._overdue(fetch)  # waiting for it in vain would be held on to until it ends
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(ended.set_result, None)

        fetch.handle.add_callback(ended, wake)
        try:
            return await _wait_for(fetch, ended, deadline) or self._overdue(fetch)
        finally:
            fetch.handle.remove_callback(ended)

    def close(self) -> None:
        """Fetch no more. What is under way ends by its own deadline, and nobody waits for it."""
        self._closed = True
        for fetch in self._state.fetches():
            self._finish(fetch, _CLOSED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _drive(self, flow: Generator[FindStep, Outcome, Result]) -> Result:
        """Do what a flow of ``_flow`` asks for, and return its result."""
        deadline = self._deadline()
        try:
            step = next(flow)
            while True:
                fetch = self._join_or_start(step.request)
                outcome = self._wait(fetch, deadline) if isinstance(step, Refresh) else _STARTED
                step = flow.send(outcome)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _join_or_start(self, request: RefreshRequest) -> Fetch[Ending] | Outcome:
        if self._closed:
            return _CLOSED
        fetch = Fetch(request, self._deadline(), Ending())
        try:
            joined = self._state.join_or_start(fetch, self._can_join)
            if joined is fetch:
                # As a task has it, so that a fetch is traced and logged as a part of the request that started it.
                run = contextvars.copy_context().run
                fetch.runner = threading.Thread(target=run, args=(self._run, fetch), name="jwks-fetch", daemon=True)
                fetch.runner.start()
        except BaseException as error:
            if type(error) is not RuntimeError:  # what a signal handler raised
                self._finish(fetch, _INTERRUPTED)
                raise
            self._finish(fetch, Outcome(Status.FAILED, str(error)))  # the process may start no more threads
            return fetch
        return joined

    def _is_running(self, fetch: Fetch[Ending]) -> bool:
        return fetch.runner is not None and bool(fetch.runner.is_alive())

    def _wait(self, fetch: Fetch[Ending] | Outcome, deadline: float) -> Outcome:
        if isinstance(fetch, Outcome):
            return fetch
        fetch.handle.wait(min(deadline, fetch.deadline) - time.monotonic())
        return fetch.outcome or self._overdue(fetch)

    def _run(self, fetch: Fetch[Ending]) -> None:
        """Refresh a set to its end, and say how that was."""
        flow = _flow.refresh(self._state, fetch)
        try:
            step = next(flow)
            while True:
                try:
                    result = self._perform(fetch, step)
                except (FetchError, ValueError) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            self._finish(fetch, end.value)
        except BaseException as error:
            self._fail(fetch, error)

    def _perform(self, fetch: Fetch[Ending], step: RefreshStep) -> object:
        """Do one step of ``_flow.refresh``, and return its result."""
        uri, progress = fetch.jwks_uri, fetch.progress
        if isinstance(step, _CACHE_STEPS):
            progress.enter(Phase.CACHE)
        match step:
            case Get():
                forced = fetch.request.forced
                return _http.get(
                    self._http_client, uri, self.policy, forced=forced, headers=self._headers, progress=progress
                )
            case ParseKeys(body):
                return jwk_set.loads_key_set(body, self.policy.max_keys)
            case ReadCache(name):
                return self._call_cache(lambda: self._cache.get(name, self._clock()), otherwise=None)
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case TakeSharedFetch():
                return self._call_cache(lambda: self._cache.claim(uri, self.policy, self._clock()), otherwise=True)
            case End(outcome):
                self._finish(fetch, outcome)
                return None
        return self._call_cache(lambda: self._cache.put(step.name, step.document, self._clock()), otherwise=None)

    def _call_cache(self, call: Callable[[], object], *, otherwise: object) -> object:
        """Return what the cache answers, or ``otherwise`` where it fails."""
        try:
            return call()
        except Exception as error:  # a broken cache costs a fetch, never a request
            self._report_cache_failure(error)
            return otherwise

    def _wake(self, handle: Ending) -> None:
        handle.end()


async def _wait_for(fetch: Fetch[Any], ended: asyncio.Future[None], deadline: float) -> Outcome | None:
    # asyncio.wait cancels nothing: neither a deadline nor a cancelled waiter ends the fetch.
    await asyncio.wait({ended}, timeout=min(deadline, fetch.deadline) - time.monotonic())
    return fetch.outcome


class AsyncJWKSFetcher(_Fetcher["asyncio.Future[None]"]):
    """JWKSFetcher for asyncio: the same arguments, with an ``httpx.AsyncClient`` and a sync or async cache.

        async with AsyncJWKSFetcher() as fetcher:
            verifier = AsyncClientAssertionVerifier(..., fetcher=fetcher)
            key = await fetcher.get_key(client, "RS256", kid)

    Each fetch is a task of its own: a waiter that is cancelled ends it for nobody else. It may be used from
    several event loops, one after the other.
    """

    def __init__(
        self,
        policy: JWKSPolicy | None = None,
        *,
        cache: JWKSCache | AsyncJWKSCache | None = None,
        http_client: httpx.AsyncClient | None = None,
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = since_boot,
        wall_clock: Callable[[], float] = time.time,
        max_key_sets: int = _MAX_KEY_SETS,
        on_event: OnEvent | None = None,
    ) -> None:
        check_http_client(http_client, httpx.AsyncClient)
        super().__init__(policy, cache, headers, clock, wall_clock, max_key_sets, on_event)
        self._http_client = http_client
        self._tasks: set[asyncio.Task[Outcome]] = set()

    async def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """Return the key for an assertion header. Raises InvalidClient (no such key) or TemporarilyUnavailable."""
        key = self.peek(client, alg, kid)
        return await self._drive_async(self._find(client, alg, kid)) if key is None else key

    async def refresh(self, jwks_uri: str) -> KeySet:
        """Fetch the set now, within the budget, and use it from now on.

        Raises ConfigurationError for what is no URL to fetch, TemporarilyUnavailable when it brings no key set.
        """
        return await self._drive_async(_flow.fetch_now(self._state, jwks_uri))

    async def aclose(self) -> None:
        """Fetch no more, and end what is under way."""
        self._closed = True
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._tasks if task.get_loop() is loop]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    def _join_or_start(self, request: RefreshRequest) -> Fetch[asyncio.Future[None]] | Outcome:
        if self._closed:
            return _CLOSED
        loop = asyncio.get_running_loop()
        fetch = Fetch(request, self._deadline(), loop.create_future())
        try:
            joined = self._state.join_or_start(fetch, self._can_join)
            if joined is fetch:
                fetch.runner = task = loop.create_task(self._run(fetch), name="jwks-fetch")
                self._tasks.add(task)
                # Not at the end of the coroutine: a task that is cancelled before its first step has no end.
                task.add_done_callback(partial(self._finish_task, fetch))
        except BaseException:  # what a signal handler raised
            self._finish(fetch, _INTERRUPTED)
            raise
        return joined

    def _can_join(self, fetch: Fetch[asyncio.Future[None]]) -> bool:
        return fetch.handle.get_loop() is asyncio.get_running_loop() and super()._can_join(fetch)

    def _is_running(self, fetch: Fetch[asyncio.Future[None]]) -> bool:
        return fetch.runner is not None and not fetch.runner.done()

    async def _wait_async(self, fetch: Fetch[asyncio.Future[None]] | Outcome, deadline: float) -> Outcome:
        if isinstance(fetch, Outcome):
            return fetch
        return await _wait_for(fetch, fetch.handle, deadline) or self._overdue(fetch)

    async def _run(self, fetch: Fetch[asyncio.Future[None]]) -> Outcome:
        """See JWKSFetcher._run; the task of this coroutine reports its end."""
        flow = _flow.refresh(self._state, fetch)
        try:
            step = next(flow)
            while True:
                try:
                    result = await self._perform(fetch, step)
                except (FetchError, ValueError) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    def _finish_task(self, fetch: Fetch[asyncio.Future[None]], task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._finish(fetch, _CANCELLED)
        elif error := task.exception():  # also one that stopped the event loop, which may go on all the same
            self._fail(fetch, error)
        else:
            self._finish(fetch, task.result())

    def _wake(self, handle: asyncio.Future[None]) -> None:
        handle.set_result(None)

    async def _perform(self, fetch: Fetch[asyncio.Future[None]], step: RefreshStep) -> object:
        """See JWKSFetcher._perform."""
        uri, progress = fetch.jwks_uri, fetch.progress
        if isinstance(step, _CACHE_STEPS):
            progress.enter(Phase.CACHE)
        match step:
            case Get():
                forced = fetch.request.forced
                return await _http.get_async(
                    self._http_client, uri, self.policy, forced=forced, headers=self._headers, progress=progress
                )
            case ParseKeys(body):
                return await parse_async(body, self.policy.max_keys)
            case ReadCache(name):
                return await self._call_cache(lambda: self._cache.get(name, self._clock()), otherwise=None)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case TakeSharedFetch():
                return await self._call_cache(
                    lambda: self._cache.claim(uri, self.policy, self._clock()), otherwise=True
                )
            case End(outcome):
                self._finish(fetch, outcome)
                return None
        return await self._call_cache(lambda: self._cache.put(step.name, step.document, self._clock()), otherwise=None)

    async def _call_cache(self, call: Callable[[], object], *, otherwise: object) -> object:
        """See JWKSFetcher._call_cache; in the time of a fetch at most."""
        try:
            async with asyncio.timeout(self.policy.timeout):
                return await as_coroutine_function(call, in_process=is_in_process(self._cache))()
        except Exception as error:  # a broken cache costs a fetch, never a request
            self._report_cache_failure(error)
            return otherwise
