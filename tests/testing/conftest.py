"""What the tests of the look-alike share: a frozen clock, a relying party, and verifiers that know its keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    JWKSFetcher,
    MemoryReplayStore,
    VerifiedAssertion,
)
from private_key_jwt.testing import Clock, RelyingParty

AUDIENCE = "https://op.example.com"

Verify = Callable[[str], VerifiedAssertion]
MakeVerify = Callable[[RelyingParty], Verify]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.5)


@pytest.fixture
def relying_party(clock: Clock) -> RelyingParty:
    return RelyingParty(audience=AUDIENCE, clock=clock)


def _verify_sync(relying_party: RelyingParty, clock: Clock) -> Iterator[Verify]:
    with (
        httpx.Client(transport=relying_party.transport) as http,
        JWKSFetcher(http_client=http, clock=clock) as jwks,
        ClientAssertionVerifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=[relying_party.tenant().client()],
            replay_store=MemoryReplayStore(),
            fetcher=jwks,
            clock=clock,
        ) as verifier,
    ):
        yield verifier.verify


def _verify_async(relying_party: RelyingParty, clock: Clock) -> Iterator[Verify]:
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=relying_party.transport)
        jwks = AsyncJWKSFetcher(http_client=http, clock=clock)
        verifier = AsyncClientAssertionVerifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=[relying_party.tenant().client()],
            replay_store=MemoryReplayStore(),
            fetcher=jwks,
            clock=clock,
        )
        yield lambda assertion: runner.run(verifier.verify(assertion))
        runner.run(jwks.aclose())
        runner.run(http.aclose())


@pytest.fixture(params=[_verify_sync, _verify_async], ids=["sync", "async"])
def make_verify(request: pytest.FixtureRequest, clock: Clock) -> Iterator[MakeVerify]:
    """``verify`` of a real verifier, sync or async, that has the default tenant of a relying party registered."""
    with ExitStack() as opened:
        yield lambda relying_party: opened.enter_context(contextmanager(request.param)(relying_party, clock))


@pytest.fixture
def verify(make_verify: MakeVerify, relying_party: RelyingParty) -> Verify:
    """``verify`` of a real verifier that has the default tenant registered."""
    return make_verify(relying_party)
