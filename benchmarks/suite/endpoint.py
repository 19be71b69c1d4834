"""A token endpoint in FastAPI under uvicorn: ``python -m suite.endpoint PORT WORKERS``, set up by the environment.

BENCH_STORE: ``memory``, the URL of a Redis, or the path of a SQLite file.
BENCH_BASE_URL: where the tenant's keys are published.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import uvicorn

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    ledgerbee,
)
from private_key_jwt.stores import AsyncRedisReplayStore, SQLiteReplayStore

from .corpus import AUDIENCE
from .frameworks import fastapi_app


def _store(name: str) -> Any:
    if name.startswith("redis:"):
        return AsyncRedisReplayStore.from_url(name)
    return MemoryReplayStore() if name == "memory" else SQLiteReplayStore(name)


app = fastapi_app(
    AsyncClientAssertionVerifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=os.environ["BENCH_BASE_URL"])],
        replay_store=_store(os.environ["BENCH_STORE"]),
        fetcher=AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)),
    )
)


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    # With several workers uvicorn leaves Nagle's algorithm on, and each response (head and body are written apart)
    # waits 40 ms for an acknowledgement: that would be measured, and nothing else. Accepted sockets inherit the option.
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.set_inheritable(True)
    settings: dict[str, Any] = {"log_level": "error", "access_log": False, "lifespan": "off"}
    settings["timeout_worker_healthcheck"] = 60  # seconds: on a busy machine a worker is long in starting
    uvicorn.run("suite.endpoint:app", fd=listener.fileno(), workers=workers, **settings)


if __name__ == "__main__":
    main()
