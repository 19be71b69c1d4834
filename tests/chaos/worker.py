"""A worker of an authorization server, to be killed: ``worker.py settings`` (JSON).

It reads ``number assertion`` from its standard input, verifies, and writes ``[number, reason]`` at once: the reason is
``accepted``, that of an error of ours, or ``foreign …`` for any other exception.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    AuthenticationError,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    RegisteredClient,
)
from private_key_jwt.events import AssertionRefused, Event, StoreFailed, log_events

Settings = dict[str, Any]

_TIMEOUT = 3  # seconds of a store: a busy machine is no outage


def _store(settings: Settings) -> Any:
    from private_key_jwt import stores

    url, is_async = settings["store"], settings["async"]
    if url.startswith("redis:"):
        return (stores.AsyncRedisReplayStore if is_async else stores.RedisReplayStore).from_url(url, timeout=_TIMEOUT)
    if url.startswith("postgresql:"):
        return _sql_store(url, is_async=is_async)
    return stores.SQLiteReplayStore(url, timeout=_TIMEOUT)  # serves both kinds


def _sql_store(url: str, *, is_async: bool) -> Any:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.ext.asyncio import create_async_engine

    from private_key_jwt import stores

    # Without a ping, each connection that was pooled before an outage refuses once after it, whenever that is.
    pool = {"pool_timeout": _TIMEOUT, "pool_pre_ping": True}
    driver = make_url(url).set(drivername="postgresql+asyncpg" if is_async else "postgresql+psycopg")
    if is_async:
        return stores.AsyncSQLAlchemyReplayStore(create_async_engine(driver, **pool), timeout=_TIMEOUT)
    limits = {"connect_timeout": _TIMEOUT, "tcp_user_timeout": 1_000 * _TIMEOUT}
    engine = create_engine(driver, connect_args=limits, **pool)
    return stores.SQLAlchemyReplayStore(engine, timeout=_TIMEOUT)


def _verifier(settings: Settings) -> Any:
    policy = JWKSPolicy(allow_http_loopback=True, **settings["fetcher"])
    common = {
        "policy": AssertionPolicy(audience=settings["audience"]),
        "clients": [RegisteredClient(settings["client_id"], jwks_uri=settings["jwks_uri"])],
        "replay_store": _store(settings),
        "workers": settings["workers"],
        "on_event": _on_event,
    }
    shared: Any = {"cache": _cache(settings), "on_event": _on_event}
    if settings["async"]:
        return AsyncClientAssertionVerifier(fetcher=AsyncJWKSFetcher(policy, **shared), **common)
    return ClientAssertionVerifier(fetcher=JWKSFetcher(policy, **shared), **common)


def _cache(settings: Settings) -> Any:
    """A cache that all workers share, where the store has one beside it: it goes down with the store."""
    from private_key_jwt import stores

    url, is_async = settings["store"], settings["async"]
    if url.startswith("redis:"):
        return (stores.AsyncRedisJWKSCache if is_async else stores.RedisJWKSCache).from_url(url, timeout=_TIMEOUT)
    return None if url.startswith("postgresql:") else stores.SQLiteJWKSCache(url, timeout=_TIMEOUT)


def _on_event(event: Event) -> None:
    # What goes down is known, and each refusal is written to the record.
    if not isinstance(event, StoreFailed | AssertionRefused):
        log_events(event)


def _write(number: str, reason: str) -> None:
    # One write of less than PIPE_BUF bytes: whole, or not at all when the process is killed.
    os.write(1, f"{json.dumps([int(number), reason[:300]])}\n".encode())


def _reason(error: BaseException) -> str:
    return str(error.reason) if isinstance(error, AuthenticationError) else f"foreign {error!r}"


def _requests() -> Iterator[list[str]]:
    for line in sys.stdin:
        yield line.split()


def _serve(settings: Settings) -> None:
    verifier = _verifier(settings)
    waiting: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            number, assertion = waiting.get()
            try:
                verifier.verify(assertion)
            except BaseException as error:
                _write(number, _reason(error))
            else:
                _write(number, "accepted")

    for _ in range(settings["threads"]):
        threading.Thread(target=work, daemon=True).start()
    _write("-1", "ready")
    for request in _requests():
        waiting.put(request)


async def _serve_async(settings: Settings) -> None:
    verifier = _verifier(settings)
    turns = asyncio.Semaphore(settings["threads"])
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    async def work(number: str, assertion: str) -> None:
        async with turns:
            try:
                await verifier.verify(assertion)
            except BaseException as error:
                _write(number, _reason(error))
            else:
                _write(number, "accepted")

    def begin(request: list[str]) -> None:
        task = loop.create_task(work(*request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def read() -> None:
        for request in _requests():
            loop.call_soon_threadsafe(begin, request)

    _write("-1", "ready")
    await asyncio.to_thread(read)


def main() -> None:
    """Serve until the standard input ends."""
    settings = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.ERROR)  # that a fetch fails is known; what is an error should not happen
    if settings["async"]:
        asyncio.run(_serve_async(settings))
    else:
        _serve(settings)


if __name__ == "__main__":
    main()
