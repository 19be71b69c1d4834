"""A token endpoint in FastAPI. Run it: uvicorn fastapi_app:app"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, Response

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    VerifiedAssertion,
    events,
    ledgerbee,
)
from private_key_jwt.integrations.fastapi import ClientAuthentication

SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys


def create_app(verifier: AsyncClientAssertionVerifier) -> FastAPI:
    authenticate = ClientAuthentication(verifier)
    app = FastAPI(lifespan=authenticate.lifespan)
    app.router.route_class = authenticate.route_class  # what is sent is bounded before FastAPI parses it

    @app.post("/token", openapi_extra=authenticate.openapi_extra)
    async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)], response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return {"access_token": f"for {client.client_id}", "token_type": "Bearer"}

    return app


app = create_app(
    AsyncClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),  # your issuer, exactly
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
        replay_store=MemoryReplayStore(),  # several workers must share one
        fetcher=AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)) if SIMULATOR else None,
        on_event=events.log_events,  # why somebody is refused: a warning of the logger "private_key_jwt"
    )
)
