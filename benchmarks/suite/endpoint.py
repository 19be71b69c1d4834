"""A token endpoint as plain ASGI, for uvicorn: ``uvicorn suite.endpoint:app``, set up by environment variables.

BENCH_STORE: ``none`` (nothing is verified: the same answer to every form), ``memory``, or the path of a SQLite file.
BENCH_BASE_URL: where the tenant's keys are published.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

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
from private_key_jwt.stores import SQLiteReplayStore

from .corpus import AUDIENCE

_STORE = os.environ["BENCH_STORE"]
_TOKEN = json.dumps({"access_token": "x" * 32, "token_type": "Bearer", "expires_in": 60}).encode("ascii")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


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


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """One token endpoint, whatever the path."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status, headers, answer = await _answer(body, dict(scope["headers"]))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _answer(body: bytes, headers: dict[bytes, bytes]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    form = parse_qsl(body.decode("ascii"), keep_blank_values=True)
    field = headers.get(b"authorization")
    authorization = None if field is None else field.decode("latin-1")
    if _verify is not None:
        try:
            await _verify.authenticate(form, authorization)
        except AuthenticationError as error:
            refusal = error.to_response()
            fields = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
            return refusal.status, fields, json.dumps(refusal.body).encode()
    return 200, [(b"cache-control", b"no-store")], _TOKEN
