"""The async fetcher: it drives the flows of ``_flow`` with tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import httpx

from .._clocks import since_boot
from .._core.jwk_set import KeySet, VerificationKey
from .._core.response import FetchError
from .._coroutines import as_coroutine_function, is_in_process
from .._http_client import check_http_client
from ..clients import RegisteredClient
from ..events import OnEvent
from ..policy import JWKSPolicy
from ..stores import AsyncJWKSCache, JWKSCache
from . import _flow, _http
from ._base import CLOSED, INTERRUPTED, MAX_KEY_SETS, Fetcher, wait_for
from ._cache import AskCache
from ._fetches import Fetch, Outcome, RefreshRequest, Status
from ._flow import End, Get, ParseKeys, Pause, RefreshStep
from ._parsing import parse_async
from ._progress import Phase

__all__ = ["AsyncJWKSFetcher"]

_CANCELLED = Outcome(Status.FAILED, "the fetch was cancelled")


class AsyncJWKSFetcher(Fetcher["asyncio.Future[None]"]):
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
        max_key_sets: int = MAX_KEY_SETS,
        on_event: OnEvent | None = None,
    ) -> None:
        check_http_client(http_client, httpx.AsyncClient)
        super().__init__(policy, cache, headers, clock, wall_clock, max_key_sets, on_event)
        self._http_client = http_client
        self._tasks: set[asyncio.Task[Outcome]] = set()

    async def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """Return the key for an assertion header. Raises InvalidClient (no such key) or TemporarilyUnavailable."""
        key = self._peek(client, alg, kid)
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
            return CLOSED
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
            self._finish(fetch, INTERRUPTED)
            raise
        return joined

    def _can_join(self, fetch: Fetch[asyncio.Future[None]]) -> bool:
        return fetch.handle.get_loop() is asyncio.get_running_loop() and super()._can_join(fetch)

    def _is_running(self, fetch: Fetch[asyncio.Future[None]]) -> bool:
        return fetch.runner is not None and not fetch.runner.done()

    async def _wait_async(self, fetch: Fetch[asyncio.Future[None]] | Outcome, deadline: float) -> Outcome:
        if isinstance(fetch, Outcome):
            return fetch
        return await wait_for(fetch, fetch.handle, deadline) or self._overdue(fetch)

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
        progress = fetch.progress
        match step:
            case Get():
                forced = fetch.request.forced
                return await _http.get_async(
                    self._http_client,
                    fetch.jwks_uri,
                    self.policy,
                    forced=forced,
                    headers=self._headers,
                    progress=progress,
                )
            case ParseKeys(body):
                return await parse_async(body, self.policy.max_keys)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case End(outcome):
                self._finish(fetch, outcome)
                return None
        progress.enter(Phase.CACHE)
        return await self._ask_cache(step)

    async def _ask_cache(self, step: AskCache) -> object:
        """See JWKSFetcher._ask_cache; in the time of a fetch at most."""
        try:
            async with asyncio.timeout(self.policy.timeout):
                return await self._cache_calls[step.method](*step.arguments, self._clock())
        except Exception as error:  # a broken cache costs a fetch, never a request
            self._report_cache_failure(error)
            return step.otherwise

    def _cache_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return as_coroutine_function(call, in_process=is_in_process(self._cache))
