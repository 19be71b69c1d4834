"""A token endpoint in Starlette. Run it: uvicorn starlette_app:app"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    events,
    ledgerbee,
)
from private_key_jwt.integrations.starlette import ClientAuthentication

SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys


def create_app(verifier: AsyncClientAssertionVerifier) -> Starlette:
    authenticate = ClientAuthentication(verifier)

    async def token(request: Request) -> JSONResponse:
        client = await authenticate(request)
        tokens = {"access_token": f"for {client.client_id}", "token_type": "Bearer"}
        return JSONResponse(tokens, headers={"Cache-Control": "no-store"})

    return Starlette(routes=[Route("/token", token, methods=["POST"])], lifespan=authenticate.lifespan)


app = create_app(
    AsyncClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),  # your issuer, exactly
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
        replay_store=MemoryReplayStore(),  # several workers must share one
        fetcher=AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)) if SIMULATOR else None,
        on_event=events.log_events,  # why somebody is refused: a warning of the logger "private_key_jwt"
    )
)
