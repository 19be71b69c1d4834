"""A token endpoint as plain ASGI under uvicorn: ``python -m suite.endpoint PORT WORKERS``, set up by the environment.

BENCH_STORE: ``none`` (nothing is verified: the same response to every form), ``memory``, or the path of a SQLite file.
BENCH_BASE_URL: where the tenant's keys are published.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

import uvicorn

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    AuthenticationError,
    JWKSPolicy,
    MemoryReplayStore,
    ReplayStore,
    ledgerbee,
)
from private_key_jwt.integrations import TokenRequest, encode_error
from private_key_jwt.stores import SQLiteReplayStore

from .corpus import AUDIENCE

_STORE = os.environ["BENCH_STORE"]
_TOKEN = json.dumps({"access_token": "x" * 32, "token_type": "Bearer", "expires_in": 60}).encode("ascii")
_HEADERS = {"Cache-Control": "no-store", "Content-Type": "application/json"}


def _verifier() -> AsyncClientAssertionVerifier | None:
    if _STORE == "none":
        return None
    store: ReplayStore = MemoryReplayStore() if _STORE == "memory" else SQLiteReplayStore(_STORE)
    return AsyncClientAssertionVerifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=os.environ["BENCH_BASE_URL"])],
        replay_store=store,
        fetcher=AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)),
    )


_verify = _verifier()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """One token endpoint, whatever the path."""
    status, headers, body = 200, _HEADERS, _TOKEN
    try:
        request = TokenRequest.from_asgi(scope)
        form = request.form(await request.receive(receive))
        if _verify is not None:
            await _verify.authenticate(form, request.authorization)
    except AuthenticationError as error:
        status, headers, body = encode_error(error)
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    # With several workers uvicorn leaves Nagle's algorithm on, and each response (head and body are written apart)
    # waits 40 ms for an acknowledgement: that would be measured, and nothing else. Accepted sockets inherit the option.
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.set_inheritable(True)
    settings: dict[str, Any] = {"log_level": "error", "access_log": False, "lifespan": "off"}
    uvicorn.run("suite.endpoint:app", fd=listener.fileno(), workers=workers, **settings)


if __name__ == "__main__":
    main()
