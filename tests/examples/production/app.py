"""A token endpoint for production. Run it: REDIS_URL=redis://localhost uvicorn app:app --workers 2"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Response

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    JWKSPolicy,
    VerifiedAssertion,
    ledgerbee,
)
from private_key_jwt.integrations.fastapi import ClientAuthentication
from private_key_jwt.stores import AsyncRedisJWKSCache, AsyncRedisReplayStore

ISSUER, REDIS_URL = os.environ.get("ISSUER", "https://op.example.com"), os.environ["REDIS_URL"]
SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys; unset in production

logging.basicConfig(level=logging.INFO)  # a refusal is a WARNING with its cause, what is ours an ERROR
marks = AsyncRedisReplayStore.from_url(REDIS_URL)
key_sets = AsyncRedisJWKSCache.from_url(REDIS_URL)
fetcher = AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=bool(SIMULATOR)), cache=key_sets)
verifier = AsyncClientAssertionVerifier(
    policy=AssertionPolicy(audience=ISSUER),
    clients=[ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
    replay_store=marks,
    fetcher=fetcher,
    workers=2,
)
authenticate = ClientAuthentication(verifier)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    logging.getLogger("op").info("%s", await marks.check())  # refuses one that evicts, or is a replica
    yield
    for each in (verifier, fetcher, key_sets, marks):  # what you made is yours to close
        await each.aclose()


app = FastAPI(lifespan=lifespan)
app.router.route_class = authenticate.route_class  # what is sent is bounded before FastAPI parses it


@app.post("/token", openapi_extra=authenticate.openapi_extra)
async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)], response: Response) -> dict[str, str]:
    response.headers["Cache-Control"] = "no-store"
    return {"access_token": f"for {client.client_id}", "token_type": "Bearer"}
