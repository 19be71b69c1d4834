"""The sync fetcher: it drives the flows of ``_flow`` with threads."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Self

import httpx

from .._clocks import since_boot
from .._core import jwk_set
from .._core.jwk_set import KeySet, VerificationKey
from .._core.response import FetchError
from .._http_client import check_http_client
from .._validation import is_coroutine_function
from ..clients import RegisteredClient
from ..events import OnEvent
from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy
from ..stores import JWKSCache
from . import _flow, _http
from ._base import CLOSED, INTERRUPTED, MAX_KEY_SETS, STARTED, Fetcher, Result, wait_for
from ._cache import CACHE_METHODS, AskCache
from ._ending import Ending
from ._fetches import Fetch, Outcome, RefreshRequest, Status
from ._flow import End, FindStep, Get, ParseKeys, Pause, Refresh, RefreshStep
from ._progress import Phase

__all__ = ["JWKSFetcher"]


def _check_sync_cache(cache: object) -> None:
    for name in CACHE_METHODS:
        if is_coroutine_function(getattr(cache, name, None)):
            raise ConfigurationError(
                f"cache is asynchronous ({type(cache).__name__}.{name}): give JWKSFetcher a sync cache, such as"
                " RedisJWKSCache for AsyncRedisJWKSCache, or take AsyncJWKSFetcher"
            )


class JWKSFetcher(Fetcher[Ending]):
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
        refused, and so is what asks for another coding, a part, or a conditional answer.
    clock: seconds that only go forward; also while the machine sleeps, where the system has such a clock.
    wall_clock: seconds since the epoch. A set that is past its ttl by it is not used either: a machine that slept, or
        whose clock was set forward, fetches early.
    max_key_sets: how many parsed key sets are kept; verifiers that know their clients raise it to as many as all have.
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
        max_key_sets: int = MAX_KEY_SETS,
        on_event: OnEvent | None = None,
    ) -> None:
        check_http_client(http_client, httpx.Client)
        _check_sync_cache(cache)
        super().__init__(policy, cache, headers, clock, wall_clock, max_key_sets, on_event)
        self._http_client = http_client

    def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """Return the key for an assertion header. Raises InvalidClient (no such key) or TemporarilyUnavailable."""
        key = self._peek(client, alg, kid)
        return self._drive(self._find(client, alg, kid)) if key is None else key

    def refresh(self, jwks_uri: str) -> KeySet:
        """Fetch the set now, within the budget, and use it from now on.

        Raises ConfigurationError for what is no URL to fetch, TemporarilyUnavailable when it brings no key set.
        """
        return self._drive(_flow.fetch_now(self._state, jwks_uri))

    async def get_key_async(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """``get_key`` from a coroutine: it holds up neither the event loop nor a thread of its pool."""
        key = self._peek(client, alg, kid)
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
            return await wait_for(fetch, ended, deadline) or self._overdue(fetch)
        finally:
            fetch.handle.remove_callback(ended)

    def close(self) -> None:
        """Fetch no more. What is under way ends by its own deadline, and nobody waits for it."""
        self._closed = True
        for fetch in self._state.fetches():
            self._finish(fetch, CLOSED)

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
                outcome = self._wait(fetch, deadline) if isinstance(step, Refresh) else STARTED
                step = flow.send(outcome)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _join_or_start(self, request: RefreshRequest) -> Fetch[Ending] | Outcome:
        if self._closed:
            return CLOSED
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
                self._finish(fetch, INTERRUPTED)
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
        progress = fetch.progress
        match step:
            case Get():
                forced = fetch.request.forced
                return _http.get(
                    self._http_client,
                    fetch.jwks_uri,
                    self.policy,
                    forced=forced,
                    headers=self._headers,
                    progress=progress,
                )
            case ParseKeys(body):
                return jwk_set.loads_key_set(body, self.policy.max_keys)
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case End(outcome):
                self._finish(fetch, outcome)
                return None
        progress.enter(Phase.CACHE)
        return self._ask_cache(step)

    def _ask_cache(self, step: AskCache) -> object:
        """Return what the cache answers, or what stands for an answer where it fails."""
        try:
            return self._cache_calls[step.method](*step.arguments, self._clock())
        except Exception as error:  # a broken cache costs a fetch, never a request
            self._report_cache_failure(error)
            return step.otherwise

    def _wake(self, handle: Ending) -> None:
        handle.end()
