"""The two fetchers: each drives the flows of ``_flow``, one with threads, one with tasks."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, InvalidStateError, wait
from typing import Any, Generic, Self, TypeVar

import httpx

from .._core.freshness import quiet_key
from .._core.jwk_set import KeySet, VerificationKey
from .._core.response import FetchFailed
from .._coroutines import as_coroutine_function, is_in_process
from .._http_client import check_client, check_headers
from .._text import describe_error
from .._validation import check_handler, check_integer
from ..clients import RegisteredClient
from ..events import OnEvent, log_events
from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy
from ..stores import AsyncJWKSCache, JWKSCache, MemoryJWKSCache
from . import _flow, _http
from ._flow import ClaimShared, Get, Pause, ReadCache, Refresh, RefreshAhead, RefreshStep
from ._state import FetchState, Flight, Handle, Landing, Outcome, Wish, logger

Found = TypeVar("Found")

_BEGUN = Outcome(Landing.DONE, "begun, and not waited for")
_CANCELLED = Outcome(Landing.FAILED, "the fetch was cancelled")
_CLOSED = Outcome(Landing.REFUSED, "the fetcher is closed")
_OVERDUE = Outcome(Landing.FAILED, "the fetch under way has not ended in time")


class _Fetcher(ABC, Generic[Handle]):
    """What both edges are made of."""

    def __init__(
        self,
        policy: JWKSPolicy | None,
        cache: Any,
        clock: Callable[[], float],
        max_key_sets: int,
        on_event: OnEvent | None,
    ) -> None:
        if policy is not None and not isinstance(policy, JWKSPolicy):
            raise ConfigurationError(f"policy must be a JWKSPolicy, not {type(policy).__name__}")
        check_integer("max_key_sets", max_key_sets, 1, 100_000_000)
        if not callable(clock):
            raise ConfigurationError("clock must be a function that gives monotonic seconds")
        if cache is not None and not all(callable(getattr(cache, name, None)) for name in ("get", "put", "claim")):
            raise ConfigurationError(f"cache must have get, put and claim, and {type(cache).__name__} has not")
        check_handler(on_event)
        self.policy = policy or JWKSPolicy()
        self._clock = clock
        self._cache = MemoryJWKSCache() if cache is None else cache
        self._state: FetchState[Handle] = FetchState(self.policy, clock, max_key_sets, on_event or log_events)
        self._closed = False

    @property
    def cache_failures(self) -> int:
        """How often the cache failed or held nonsense; each time the fetcher went on without it."""
        return self._state.cache_failures

    def peek(self, jwks_uri: str, alg: str, kid: str | None) -> VerificationKey | None:
        """The key, when it is known and fresh and nothing is to be done: no lock, no wait."""
        entry = self._state.entry(jwks_uri)
        return None if entry is None else quiet_key(entry, alg, kid, self._clock(), self.policy)

    @abstractmethod
    def _board(self, jwks_uri: str, wish: Wish, *, ahead: bool) -> Flight[Handle] | Outcome: ...

    @abstractmethod
    async def _wait_async(self, flight: Flight[Handle] | Outcome, deadline: float) -> Outcome: ...

    async def _drive_async(self, jwks_uri: str, flow: Generator[Refresh | RefreshAhead, Outcome, Found]) -> Found:
        deadline = time.monotonic() + self.policy.timeout
        try:
            step = next(flow)
            while True:
                flight = self._board(jwks_uri, step.wish, ahead=isinstance(step, RefreshAhead))
                outcome = await self._wait_async(flight, deadline) if isinstance(step, Refresh) else _BEGUN
                step = flow.send(outcome)
        except StopIteration as found:
            return found.value  # type: ignore[no-any-return]

    def _is_timely(self, flight: Flight[Handle]) -> bool:
        """Whether a flight may still be joined: one that hangs for good must not block its ``jwks_uri`` for good."""
        return time.monotonic() < flight.deadline + self.policy.fetch_window

    def _cache_failed(self, error: Exception) -> None:
        self._state.cache_failed(describe_error(error))

    def _unexpected(self, flight: Flight[Handle], error: BaseException) -> Outcome:
        logger.error("refreshing %s failed unexpectedly", flight.jwks_uri, exc_info=error)
        return Outcome(Landing.FAILED, f"unexpected {type(error).__name__}")


def _uncancellable() -> Future[None]:
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


async def _land_or_time_out(flight: Flight[Any], landed: asyncio.Future[None], deadline: float) -> Outcome:
    # asyncio.wait cancels nothing: neither a deadline nor a cancelled waiter ends the flight.
    await asyncio.wait({landed}, timeout=min(deadline, flight.deadline) - time.monotonic())
    return flight.outcome or _OVERDUE


class JWKSFetcher(_Fetcher["Future[None]"]):
    """Fetches and keeps the JWK Sets of clients. Thread-safe; works after a fork.

    policy: times, sizes and budgets (JWKSPolicy).
    cache: where raw documents are kept; in memory unless you give one.
    http_client: your own ``httpx.Client``, with ``trust_env=False``, for a proxy or certificates of your own; it
        is not closed. Its cookies, headers, auth and timeouts are not used.
    headers: header fields to send with each fetch, to every publisher: ``{"User-Agent": "as.example"}`` replaces
        ``User-Agent: private-key-jwt/VERSION``. ``Authorization``, ``Cookie``, ``Host`` and hop-by-hop fields are
        refused.
    clock: monotonic seconds.
    max_key_sets: how many parsed key sets are kept.
    on_event: a function that is told what happens (see ``private_key_jwt.events``); unless given, it is logged.

    Each fetch runs in a thread of its own, so that nobody waits longer than the policy's timeout, whatever
    the publisher or a name server does. Raises ConfigurationError.
    """

    def __init__(
        self,
        policy: JWKSPolicy | None = None,
        *,
        cache: JWKSCache | None = None,
        http_client: httpx.Client | None = None,
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_key_sets: int = 10_000,
        on_event: OnEvent | None = None,
    ) -> None:
        check_client(http_client, httpx.Client)
        super().__init__(policy, cache, clock, max_key_sets, on_event)
        self._http_client = http_client
        self._headers = check_headers(headers)

    def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """The key for an assertion header. Raises InvalidClient (no such key) or TemporarilyUnavailable."""
        jwks_uri = client.jwks_uri or ""
        key = self.peek(jwks_uri, alg, kid)
        if key is not None:
            return key
        return self._drive(jwks_uri, _flow.find_key(self._state, jwks_uri, alg, kid))

    def refresh(self, jwks_uri: str) -> KeySet:
        """Ask the publisher now, within the budget, and use what it says from now on.

        Raises ConfigurationError for what is no URL to fetch, TemporarilyUnavailable when there is no answer.
        """
        return self._drive(jwks_uri, _flow.renew(self._state, jwks_uri))

    async def get_key_async(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """``get_key`` from a coroutine: it holds up neither the event loop nor a thread of its pool."""
        jwks_uri = client.jwks_uri or ""
        key = self.peek(jwks_uri, alg, kid)
        if key is not None:
            return key
        return await self._drive_async(jwks_uri, _flow.find_key(self._state, jwks_uri, alg, kid))

    async def _wait_async(self, flight: Flight[Future[None]] | Outcome, deadline: float) -> Outcome:
        if isinstance(flight, Outcome):
            return flight
        if time.monotonic() >= min(deadline, flight.deadline):
            return flight.outcome or _OVERDUE  # whoever waits for it in vain is held by it until it lands
        return await _land_or_time_out(flight, asyncio.wrap_future(flight.handle), deadline)

    def close(self) -> None:
        """Fetch no more. What is under way ends by its own deadline, and nobody waits for it."""
        self._closed = True
        for flight in self._state.flights():
            self._land(flight, _CLOSED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _drive(self, jwks_uri: str, flow: Generator[Refresh | RefreshAhead, Outcome, Found]) -> Found:
        deadline = time.monotonic() + self.policy.timeout
        try:
            step = next(flow)
            while True:
                flight = self._board(jwks_uri, step.wish, ahead=isinstance(step, RefreshAhead))
                outcome = self._wait(flight, deadline) if isinstance(step, Refresh) else _BEGUN
                step = flow.send(outcome)
        except StopIteration as found:
            return found.value  # type: ignore[no-any-return]

    def _board(self, jwks_uri: str, wish: Wish, *, ahead: bool) -> Flight[Future[None]] | Outcome:
        if self._closed:
            return _CLOSED
        deadline = time.monotonic() + self.policy.timeout
        flight, is_new = self._state.board(jwks_uri, wish, deadline, _uncancellable, self._is_timely, ahead=ahead)
        if is_new and isinstance(flight, Flight):
            # As a task has it, so that a fetch is traced and logged as a part of the request that began it.
            context = contextvars.copy_context()
            try:
                threading.Thread(target=context.run, args=(self._fly, flight), name="jwks-fetch", daemon=True).start()
            except RuntimeError as error:  # the process may start no more threads
                self._land(flight, Outcome(Landing.FAILED, str(error)))
        return flight

    def _wait(self, flight: Flight[Future[None]] | Outcome, deadline: float) -> Outcome:
        if isinstance(flight, Outcome):
            return flight
        wait({flight.handle}, timeout=min(deadline, flight.deadline) - time.monotonic())
        return flight.outcome or _OVERDUE

    def _fly(self, flight: Flight[Future[None]]) -> None:
        flow = _flow.refresh(self._state, flight)
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._perform(flight, step)
                except FetchFailed as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            self._land(flight, end.value)
        except BaseException as error:  # a flight that never lands would keep its place for ever
            self._land(flight, self._unexpected(flight, error))

    def _perform(self, flight: Flight[Future[None]], step: RefreshStep) -> object:
        uri = flight.jwks_uri
        match step:
            case Get():
                return _http.get(self._http_client, uri, self.policy, forced=flight.wish.forced, headers=self._headers)
            case ReadCache():
                return self._from_cache(lambda: self._cache.get(uri, self._clock()), otherwise=None)
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case ClaimShared():
                return self._from_cache(lambda: self._cache.claim(uri, self.policy, self._clock()), otherwise=True)
        return self._from_cache(lambda: self._cache.put(uri, step.document, self._clock()), otherwise=None)

    def _from_cache(self, call: Callable[[], object], *, otherwise: object) -> object:
        try:
            return call()
        except Exception as error:  # a broken cache costs a fetch, never an answer
            self._cache_failed(error)
            return otherwise

    def _land(self, flight: Flight[Future[None]], outcome: Outcome) -> None:
        self._state.land(flight, outcome)
        with contextlib.suppress(InvalidStateError):  # it landed when the fetcher was closed
            flight.handle.set_result(None)


class AsyncJWKSFetcher(_Fetcher["asyncio.Future[None]"]):
    """JWKSFetcher for asyncio: the same arguments, with an ``httpx.AsyncClient`` and a sync or async cache.

    Each fetch is a task of its own: a waiter that is cancelled takes nobody down. It may be used from
    several event loops, one after the other.
    """

    def __init__(
        self,
        policy: JWKSPolicy | None = None,
        *,
        cache: JWKSCache | AsyncJWKSCache | None = None,
        http_client: httpx.AsyncClient | None = None,
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_key_sets: int = 10_000,
        on_event: OnEvent | None = None,
    ) -> None:
        check_client(http_client, httpx.AsyncClient)
        super().__init__(policy, cache, clock, max_key_sets, on_event)
        self._http_client = http_client
        self._headers = check_headers(headers)
        self._tasks: set[asyncio.Task[Outcome]] = set()

    async def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """The key for an assertion header. Raises InvalidClient (no such key) or TemporarilyUnavailable."""
        jwks_uri = client.jwks_uri or ""
        key = self.peek(jwks_uri, alg, kid)
        if key is not None:
            return key
        return await self._drive_async(jwks_uri, _flow.find_key(self._state, jwks_uri, alg, kid))

    async def refresh(self, jwks_uri: str) -> KeySet:
        """Ask the publisher now, within the budget, and use what it says from now on.

        Raises ConfigurationError for what is no URL to fetch, TemporarilyUnavailable when there is no answer.
        """
        return await self._drive_async(jwks_uri, _flow.renew(self._state, jwks_uri))

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

    def _board(self, jwks_uri: str, wish: Wish, *, ahead: bool) -> Flight[asyncio.Future[None]] | Outcome:
        if self._closed:
            return _CLOSED
        loop = asyncio.get_running_loop()
        for flight in self._state.flights():
            if flight.handle.get_loop().is_closed():  # it will never land by itself
                self._state.land(flight, Outcome(Landing.FAILED, "its event loop is gone"))
        deadline = time.monotonic() + self.policy.timeout
        boarded, is_new = self._state.board(
            jwks_uri,
            wish,
            deadline,
            loop.create_future,
            lambda flight: flight.handle.get_loop() is loop and self._is_timely(flight),
            ahead=ahead,
        )
        if is_new and isinstance(boarded, Flight):
            task = loop.create_task(self._fly(boarded), name="jwks-fetch")
            self._tasks.add(task)
            # Not at the end of the coroutine: a task that is cancelled before its first step has no end.
            task.add_done_callback(lambda task: self._land(boarded, task))
        return boarded

    async def _wait_async(self, flight: Flight[asyncio.Future[None]] | Outcome, deadline: float) -> Outcome:
        if isinstance(flight, Outcome):
            return flight
        return await _land_or_time_out(flight, flight.handle, deadline)

    async def _fly(self, flight: Flight[asyncio.Future[None]]) -> Outcome:
        flow = _flow.refresh(self._state, flight)
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self._perform(flight, step)
                except FetchFailed as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        except Exception as error:  # a flight that never lands would keep its place for ever
            return self._unexpected(flight, error)

    def _land(self, flight: Flight[asyncio.Future[None]], task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            outcome = _CANCELLED
        else:
            error = task.exception()  # one that stopped the event loop, which may go on all the same
            outcome = task.result() if error is None else self._unexpected(flight, error)
        self._state.land(flight, outcome)
        flight.handle.set_result(None)

    async def _perform(self, flight: Flight[asyncio.Future[None]], step: RefreshStep) -> object:
        uri = flight.jwks_uri
        match step:
            case Get():
                return await _http.aget(
                    self._http_client, uri, self.policy, forced=flight.wish.forced, headers=self._headers
                )
            case ReadCache():
                return await self._from_cache(lambda: self._cache.get(uri, self._clock()), otherwise=None)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case ClaimShared():
                return await self._from_cache(
                    lambda: self._cache.claim(uri, self.policy, self._clock()), otherwise=True
                )
        return await self._from_cache(lambda: self._cache.put(uri, step.document, self._clock()), otherwise=None)

    async def _from_cache(self, call: Callable[[], object], *, otherwise: object) -> object:
        try:
            async with asyncio.timeout(self.policy.timeout):
                return await as_coroutine_function(call, in_process=is_in_process(self._cache))()
        except Exception as error:  # a broken cache costs a fetch, never an answer
            self._cache_failed(error)
            return otherwise
