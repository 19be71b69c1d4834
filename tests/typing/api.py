"""A provider as users write it, with every public name that needs no web framework: checked, and never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never, assert_type

import httpx
import redis
import redis.asyncio
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncClients,
    AsyncJWKSCache,
    AsyncJWKSFetcher,
    AsyncKeySource,
    AsyncPendingAssertion,
    AsyncReplayStore,
    AuthenticationError,
    Check,
    ClientAssertionVerifier,
    Clients,
    ConfigurationError,
    ErrorResponse,
    InvalidClient,
    InvalidRequest,
    JWKSCache,
    JWKSDocument,
    JWKSFetcher,
    JWKSPolicy,
    KeySet,
    KeySource,
    MemoryJWKSCache,
    MemoryReplayStore,
    PendingAssertion,
    PrivateKeyJWTError,
    Reason,
    RegisteredClient,
    ReplayStore,
    TemporarilyUnavailable,
    VerificationKey,
    VerifiedAssertion,
    __version__,
    client_authentication_metadata,
    events,
    fapi2,
    ledgerbee,
)
from private_key_jwt.events import (
    AssertionAccepted,
    AssertionRefused,
    Event,
    FetchBudgetSpent,
    FetchFailed,
    KeyAdded,
    KeyRemoved,
    KeySetEvicted,
    KeysFetched,
    KeySkipped,
    OnEvent,
    RegistrationRefused,
    StaleKeysServed,
    StoreFailed,
    StoreUnfit,
    log_events,
)
from private_key_jwt.ledgerbee import AsyncPortalSSO, Handoff, Membership, PortalSSO, PortalSSOError, Provisioned, Role
from private_key_jwt.stores import (
    AsyncRedisJWKSCache,
    AsyncRedisReplayStore,
    AsyncSQLAlchemyReplayStore,
    RedisJWKSCache,
    RedisReplayStore,
    SQLAlchemyReplayStore,
    SQLiteJWKSCache,
    SQLiteReplayStore,
)
from private_key_jwt.testing import (
    DEFECTS,
    REMOVED,
    CheckoutBinding,
    Clock,
    Defect,
    JWKSCacheContract,
    KeyDefect,
    LoopbackServer,
    Portal,
    PortalMembership,
    PortalUser,
    RelyingParty,
    ReplayStoreContract,
    SigningKey,
    Tenant,
    defects_of,
    key_defects_of,
)

ISSUER = "https://op.example.com"


# Clients


def registered_clients(metadata: Mapping[str, Any]) -> list[RegisteredClient]:
    by_uri = RegisteredClient("acme", jwks_uri="https://acme.example/jwks.json", signing_algs=["PS256", "ES256"])
    by_value = RegisteredClient("by-value", jwks={"keys": []}, policy=AssertionPolicy(audience=ISSUER))
    registered = RegisteredClient.from_metadata(metadata, signing_algs=["RS256"], require_kid=True)
    profiled = fapi2.client("bank", jwks_uri="https://bank.example/jwks.json", signing_algs=fapi2.SIGNING_ALGS)
    portal = ledgerbee.client("portal-acme", slug="acme", base_url=ledgerbee.BASE_URL)
    assert_type(ledgerbee.jwks_uri("acme"), str)
    assert_type(portal.client_id, str)
    assert_type(portal.jwks_uri, str | None)
    assert_type(portal.keys, KeySet | None)
    return [by_uri, by_value, registered, profiled, portal]


def discovery_document() -> dict[str, Any]:
    return {"issuer": ISSUER, "version": __version__, **client_authentication_metadata(signing_algs=["ES256"])}


# Stores


class OwnStore:
    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        return bool(key) and expires_at > now


class OwnAsyncStore:
    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        return bool(key) and expires_at > now


class OwnCache:
    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        return JWKSDocument(b"{}", now) if jwks_uri else None

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None: ...

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        return policy.fetch_limit > 0


class OwnKeySource:
    def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        raise TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, f"{client.client_id}: no {alg} key {kid}")


class OwnAsyncKeySource:
    async def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        return OwnKeySource().get_key(client, alg, kid)


key_source: KeySource = OwnKeySource()
async_key_source: AsyncKeySource = OwnAsyncKeySource()
clients: Clients = {}
async_clients: AsyncClients = clients
first_check: Check = "size"


def stores(connection: redis.Redis) -> list[ReplayStore]:
    engine = create_engine("postgresql+psycopg://op@db/op")
    return [
        OwnStore(),
        MemoryReplayStore(1_000),
        SQLiteReplayStore("replay.db"),
        RedisReplayStore(connection),
        SQLAlchemyReplayStore(engine),
    ]


def async_stores(connection: redis.asyncio.Redis) -> list[AsyncReplayStore]:
    engine = create_async_engine("postgresql+asyncpg://op@db/op")
    return [OwnAsyncStore(), AsyncRedisReplayStore(connection), AsyncSQLAlchemyReplayStore(engine)]


def caches(connection: redis.Redis) -> list[JWKSCache]:
    return [OwnCache(), MemoryJWKSCache(), SQLiteJWKSCache("jwks.db"), RedisJWKSCache(connection)]


def async_caches(connection: redis.asyncio.Redis) -> list[AsyncJWKSCache]:
    return [AsyncRedisJWKSCache(connection)]


# Verifiers


def token_endpoint(form: Mapping[str, str], authorization: str | None) -> ErrorResponse | str:
    policy = AssertionPolicy(audience=ISSUER, leeway=10)
    fetcher = JWKSFetcher(JWKSPolicy(ttl=60), http_client=httpx.Client(), cache=MemoryJWKSCache(), on_event=on_event)
    clients = {client.client_id: client for client in registered_clients({})}
    with ClientAssertionVerifier(
        policy=policy, clients=clients, replay_store=MemoryReplayStore(), fetcher=fetcher, on_event=on_event
    ) as verifier:
        try:
            verified = verifier.authenticate(form, authorization)
            assert_type(verified, VerifiedAssertion)
            assert_type(verifier.authenticate(form, optional=True), VerifiedAssertion | None)
            assert_type(verifier.verify(b"a.b.c", "acme"), VerifiedAssertion)
            assert_type(verifier.begin_authentication(form, optional=True), PendingAssertion | None)
            pending = verifier.begin("a.b.c")
            assert_type(pending, PendingAssertion)
            assert_type(pending.claims, Mapping[str, Any])
            assert_type(pending.consume(), VerifiedAssertion)
        except (InvalidClient, InvalidRequest, TemporarilyUnavailable) as error:
            assert_type(error.reason, Reason)
            assert_type(error.detail, str)
            verifier.report_refusal(error)
            return error.to_response()
    assert_type(verified.kid, str | None)
    assert_type(verified.issued_at, float | None)
    assert_type(verified.expires_at, float)
    assert_type(verified.claims, Mapping[str, Any])
    return f"{verified.client_id} {verified.alg} {verified.thumbprint} {verified.jti} {verified.audience}"


async def async_token_endpoint(form: Mapping[str, str]) -> str | None:
    async with (
        AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)) as fetcher,
        AsyncClientAssertionVerifier(
            policy=fapi2.policy(ISSUER),
            clients=find_client,
            replay_store=OwnAsyncStore(),
            fetcher=fetcher,
            workers=4,
        ) as verifier,
    ):
        pending = await verifier.begin_authentication(form)
        assert_type(pending, AsyncPendingAssertion)
        assert_type(await pending.consume(), VerifiedAssertion)
        assert_type(await fetcher.refresh("https://acme.example/jwks.json"), KeySet)
        verified = await verifier.authenticate(form, optional=True)
        return None if verified is None else verified.client_id


async def find_client(client_id: str) -> RegisteredClient | None:
    return {client.client_id: client for client in registered_clients({})}.get(client_id)


def own_keys() -> ClientAssertionVerifier:
    try:
        return ClientAssertionVerifier(
            policy=AssertionPolicy(audience=[ISSUER, f"{ISSUER}/token"]),
            clients=[RegisteredClient("acme", jwks_uri="https://acme.example/jwks.json")],
            replay_store=OwnStore(),
            fetcher=OwnKeySource(),
        )
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error


def is_ours(error: PrivateKeyJWTError) -> bool:
    return isinstance(error, ConfigurationError) or not isinstance(error, AuthenticationError)


# Events


def on_event(event: Event) -> None:
    match event:
        case AssertionAccepted():
            assert_type(event.client_id, str)
        case AssertionRefused():
            assert_type(event.reason, Reason)
            assert_type(event.detail, str)
        case KeysFetched() | FetchFailed() | FetchBudgetSpent() | StaleKeysServed() | KeySetEvicted():
            assert_type(event.jwks_uri, str)
        case KeyAdded() | KeyRemoved() | KeySkipped():
            assert_type(event.kid, str | None)
        case StoreFailed() | StoreUnfit() | RegistrationRefused():
            log_events(event)
        case _:
            assert_never(event)


handler: OnEvent = on_event


def report(event: events.Event) -> None:
    handler(event)


# LedgerBee's back channel


def portal(sso: PortalSSO) -> str | None:
    try:
        memberships = [Membership(customer_id="c", role=Role.USER)]
        handoff = sso.mint_handoff(sub="s", email="a@b.example", memberships=memberships, name="A")
    except PortalSSOError as error:
        return str(error)
    assert_type(handoff, Handoff)
    assert_type(sso.revoke_sessions(sub="s"), int)
    sso.close()
    return handoff.redeem_url("portal.example.com")


async def async_portal() -> Provisioned:
    sso = AsyncPortalSSO(access_token=lambda: "token")
    return await sso.provision(email="a@b.example", organization_display_name="acme", role=Role.OWNER)


# Tests of users


class TestOwnStore(ReplayStoreContract):
    def open_store(self) -> ReplayStore:
        return OwnStore()


class TestOwnCache(JWKSCacheContract):
    def open_cache(self) -> JWKSCache:
        return OwnCache()


def test_kit(clock: Clock) -> list[str]:
    party = RelyingParty(audience=ISSUER, clock=clock)
    tenant = party.tenant("acme", alg="ES256")
    assert_type(tenant, Tenant)
    clock.advance(10)
    with party.serve() as server:
        assert_type(server, LoopbackServer)
        assert_type(server.base_url, str)
    defects: Mapping[str, Defect] = {**DEFECTS, **defects_of("ES256")}
    key_defects: Mapping[str, KeyDefect] = key_defects_of("ES256")
    key = SigningKey.generate("k")
    return [tenant.assertion(aud=REMOVED, key=key), *(defect.make(tenant) for defect in defects.values()), *key_defects]


def test_portal(portal: Portal, user: PortalUser) -> CheckoutBinding:
    memberships: tuple[PortalMembership, ...] = tuple(user.memberships)
    assert len(memberships) <= len(portal.organizations)
    return portal.bind_checkout("ref")
