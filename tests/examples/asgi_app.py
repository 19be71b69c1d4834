"""A token endpoint in plain ASGI. Run it: uvicorn asgi_app:app --lifespan off"""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    AuthenticationError,
    JWKSPolicy,
    MemoryReplayStore,
    events,
    ledgerbee,
)
from private_key_jwt.integrations import TokenRequest, encode_error

SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def create_app(verifier: AsyncClientAssertionVerifier) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    async def token(scope: Message, receive: Receive, send: Send) -> None:
        try:
            request = TokenRequest.from_asgi(scope)
            form = request.form(await request.receive(receive))
            client = await verifier.authenticate(form, request.authorization)
        except AuthenticationError as error:
            verifier.report_refusal(error)  # one event, wherever it fell
            status, headers, body = encode_error(error)
        else:
            status, headers = 200, {"Content-Type": "application/json", "Cache-Control": "no-store"}
            body = json.dumps({"access_token": f"for {client.client_id}", "token_type": "Bearer"}).encode()
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return token


app = create_app(
    AsyncClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),  # your issuer, exactly
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
        replay_store=MemoryReplayStore(),  # several workers must share one
        fetcher=AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)) if SIMULATOR else None,
        on_event=events.log_events,  # why somebody is refused: a warning of the logger "private_key_jwt"
    )
)
