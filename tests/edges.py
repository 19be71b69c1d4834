"""The same test over both edges: an edge makes fetchers and verifiers that are called without ``await``."""

from __future__ import annotations

import asyncio
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from private_key_jwt import (
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
)
from private_key_jwt.ledgerbee import AsyncPortalSSO, PortalSSO

# Times that tests count with are pinned: a default that changes breaks only the test of that default.
LOOPBACK = JWKSPolicy(
    allow_http_loopback=True,
    ttl=300,
    fetch_limit=2,
    fetch_window=30,
    empty_ttl=30,
    refresh_ahead=0.8,
    stale_if_error=0,
)


class Edge(ABC):
    """One of the two ways in."""

    name: str

    @abstractmethod
    def fetcher(self, policy: JWKSPolicy = LOOPBACK, **settings: Any) -> Any: ...

    @abstractmethod
    def verifier(self, **settings: Any) -> Any: ...

    @abstractmethod
    def http_client(self, **settings: Any) -> Any: ...

    @abstractmethod
    def close_verifier(self, verifier: Any) -> None: ...

    @abstractmethod
    def portal(self, **settings: Any) -> Any: ...

    @abstractmethod
    def begin(self, calls: Sequence[Callable[[], Any]]) -> Callable[[], list[Any]]:
        """Begin these calls at once; the answer waits for all and gives results and exceptions."""

    @abstractmethod
    def settle(self) -> None:
        """Wait for what goes on in the background."""

    @abstractmethod
    def close(self) -> None: ...

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return self.begin(calls)()


def _fetch_threads() -> list[threading.Thread]:
    # One whose start was interrupted is there, and not alive.
    return [thread for thread in threading.enumerate() if thread.name == "jwks-fetch" and thread.is_alive()]


class SyncEdge(Edge):
    name = "sync"

    def __init__(self) -> None:
        self._opened: list[Any] = []

    def _keep(self, opened: Any) -> Any:
        self._opened.append(opened)
        return opened

    def fetcher(self, policy: JWKSPolicy = LOOPBACK, **settings: Any) -> Any:
        return self._keep(JWKSFetcher(policy, **settings))

    def verifier(self, **settings: Any) -> Any:
        return self._keep(ClientAssertionVerifier(**settings))

    def http_client(self, **settings: Any) -> Any:
        return self._keep(httpx.Client(**{"trust_env": False, **settings}))

    def portal(self, **settings: Any) -> Any:
        return self._keep(PortalSSO(**settings))

    def close_verifier(self, verifier: Any) -> None:
        verifier.close()

    def begin(self, calls: Sequence[Callable[[], Any]]) -> Callable[[], list[Any]]:
        pool = ThreadPoolExecutor(len(calls))
        start = threading.Barrier(len(calls))

        def call(it: Callable[[], Any]) -> Any:
            start.wait(10)
            return it()

        futures = [pool.submit(call, it) for it in calls]

        def end() -> list[Any]:
            with pool:
                return [future.exception(20) or future.result() for future in futures]

        return end

    def settle(self) -> None:
        for thread in _fetch_threads():
            thread.join(10)

    def close(self) -> None:
        for opened in reversed(self._opened):
            opened.close()
        self.settle()


class Blocking:
    """An asynchronous object whose coroutines are run to their end on the edge's loop."""

    def __init__(self, subject: Any, edge: AsyncEdge) -> None:
        self.subject = subject
        self._edge = edge

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.subject, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            result = attribute(*args, **kwargs)
            return self._edge.run(result) if inspect.iscoroutine(result) else result

        return call


class AsyncEdge(Edge):
    """Runs a loop in a thread of its own, so that what is in the background goes on there."""

    name = "async"

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._opened: list[Any] = []

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def wrapped() -> Any:
            result = await coroutine
            return Blocking(result, self) if hasattr(result, "consume") else result

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(20)

    def _keep(self, opened: Any) -> Any:
        self._opened.append(opened)
        return Blocking(opened, self)

    def fetcher(self, policy: JWKSPolicy = LOOPBACK, **settings: Any) -> Any:
        return self._keep(AsyncJWKSFetcher(policy, **settings))

    def verifier(self, **settings: Any) -> Any:
        fetcher = settings.get("fetcher")
        if isinstance(fetcher, Blocking):
            settings["fetcher"] = fetcher.subject
        return self._keep(AsyncClientAssertionVerifier(**settings))

    def http_client(self, **settings: Any) -> Any:
        client = httpx.AsyncClient(**{"trust_env": False, **settings})
        self._opened.append(client)
        return client

    def portal(self, **settings: Any) -> Any:
        return self._keep(AsyncPortalSSO(**settings))

    def close_verifier(self, verifier: Any) -> None:
        verifier.aclose()

    def begin(self, calls: Sequence[Callable[[], Any]]) -> Callable[[], list[Any]]:
        # Each call blocks on a coroutine of this loop: threads begin them, the loop interleaves them.
        return SyncEdge().begin(calls)

    def settle(self) -> None:
        async def others() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(others(), self.loop).result(20)

    def close(self) -> None:
        for opened in reversed(self._opened):
            close = getattr(opened, "aclose", None) or opened.close
            asyncio.run_coroutine_threadsafe(close(), self.loop).result(20)
        self.settle()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
