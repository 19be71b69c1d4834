"""Which events are reported, with what in them, and what never is."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import fields
from time import monotonic
from typing import Any

import httpx
import pytest

from edges import Edge
from private_key_jwt import (
    AssertionPolicy,
    ConfigurationError,
    InvalidClient,
    InvalidRequest,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
    VerifiedAssertion,
    _log,
)
from private_key_jwt._core import compact
from private_key_jwt._core.checks import Check
from private_key_jwt._core.claims import replay_key
from private_key_jwt._log import MAX_LINES
from private_key_jwt.events import (
    AssertionAccepted,
    AssertionRefused,
    Event,
    FetchBudgetSpent,
    FetchFailed,
    KeyAdded,
    KeyRemoved,
    KeysFetched,
    KeySkipped,
    OnEvent,
    StaleKeysServed,
    StoreFailed,
    log_events,
)
from private_key_jwt.testing import DEFECTS, REMOVED, Clock, RelyingParty, Tenant
from private_key_jwt.testing._exchange import Request, Response, json_response
from private_key_jwt.testing._server import serve
from support import jwk

AUDIENCE = "https://op.example.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Setup:
    """A relying party over HTTP, a verifier and a fetcher that report to one list."""

    def __init__(self, edge: Edge, clock: Clock, base_url: str, party: RelyingParty) -> None:
        self.edge, self.clock, self.base_url, self.party = edge, clock, base_url, party
        self.tenant: Tenant = party.tenant("acme")
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = self.events.append

    def verifier(self, *, store: Any = None, **settings: Any) -> Any:
        policy = JWKSPolicy(allow_http_loopback=True, **settings)
        return self.edge.verifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=[self.tenant.client(self.base_url)],
            replay_store=MemoryReplayStore() if store is None else store,
            fetcher=self.edge.fetcher(policy, clock=self.clock, on_event=self.on_event),
            clock=self.clock,
            on_event=self.on_event,
        )

    def events_of(self, *kinds: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]


@pytest.fixture
def setup(edge: Edge, clock: Clock) -> Iterator[Setup]:
    party = RelyingParty(audience=AUDIENCE, clock=clock)
    with party.serve() as server:
        yield Setup(edge, clock, server.base_url, party)


def test_a_first_assertion_is_a_fetch_and_an_acceptance(setup: Setup) -> None:
    verified: VerifiedAssertion = setup.verifier().verify(setup.tenant.assertion())
    fetched, accepted = setup.events
    assert isinstance(fetched, KeysFetched)
    assert isinstance(accepted, AssertionAccepted)
    assert fetched.jwks_uri == setup.tenant.client(setup.base_url).jwks_uri
    assert (fetched.members, fetched.usable) == (1, 1)
    assert (accepted.client_id, accepted.kid) == (verified.client_id, verified.kid)
    assert accepted.audience == AUDIENCE
    assert accepted.jti_hash == replay_key(verified.client_id, verified.jti).hex()
    assert 0 < accepted.duration < 10


def test_a_replay_is_reported_with_the_hash_of_its_first_use(setup: Setup) -> None:
    verifier, assertion = setup.verifier(), setup.tenant.assertion()
    verifier.verify(assertion)
    with pytest.raises(InvalidClient):
        verifier.verify(assertion)
    (accepted,), (refused,) = setup.events_of(AssertionAccepted), setup.events_of(AssertionRefused)
    assert refused.reason is Reason.REPLAYED
    assert refused.check == "replay"
    assert (refused.client_id, refused.kid, refused.jti_hash) == (accepted.client_id, accepted.kid, accepted.jti_hash)


def test_begin_reports_nothing_and_consume_reports_the_end(setup: Setup) -> None:
    pending = setup.verifier().begin(setup.tenant.assertion())
    assert not setup.events_of(AssertionAccepted, AssertionRefused)
    pending.consume()
    with pytest.raises(InvalidClient):
        pending.consume()
    assert [type(event) for event in setup.events[1:]] == [AssertionAccepted, AssertionRefused]


@pytest.mark.parametrize("name", DEFECTS)
def test_a_refusal_is_reported_with_its_reason_and_no_claim_of_a_stranger(setup: Setup, name: str) -> None:
    assertion = setup.tenant.defective(name)
    with pytest.raises(InvalidClient) as caught:
        setup.verifier().verify(assertion)
    (refused,) = setup.events_of(AssertionRefused)
    assert (refused.reason, refused.check) == (caught.value.reason, caught.value.check)
    assert refused.client_id in (None, setup.tenant.client_id)
    assert refused.detail == caught.value.detail
    reported = json.dumps([str(getattr(refused, field.name)) for field in fields(refused) if field.name != "detail"])
    assert not [part for part in assertion.split(".") if part and part in reported + refused.detail]
    assert AUDIENCE not in reported
    assert setup.tenant.client_id not in reported.replace(json.dumps(setup.tenant.client_id), "")


def test_a_stranger_cannot_put_a_client_id_into_an_event(setup: Setup) -> None:
    with pytest.raises(InvalidClient):
        setup.verifier().verify(setup.tenant.assertion(iss="admin\n", sub="admin\n"))
    (refused,) = setup.events_of(AssertionRefused)
    assert (refused.reason, refused.client_id, refused.jti_hash) == (Reason.UNKNOWN_CLIENT, None, None)


def test_claims_that_cannot_be_read_are_not_parsed_a_second_time(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def count(segment: bytes, name: Check) -> dict[str, Any]:
        parsed.append(name)
        return loads(segment, name)

    loads = compact.loads
    monkeypatch.setattr(compact, "loads", count)
    assertion = setup.tenant.current_key.sign_raw(b'{"alg":"RS256","kid":"new"}', b'{"sub":"x","a":1e999}')
    with pytest.raises(InvalidClient):
        setup.verifier().verify(assertion, "portal-acme")
    (refused,) = setup.events_of(AssertionRefused)
    assert refused.detail == "the claims: a number out of range; client 'portal-acme' (unverified)"
    assert parsed.count("claims") == 1


def test_what_could_not_be_read_is_none(setup: Setup) -> None:
    verifier = setup.verifier()
    for assertion in ("", setup.tenant.assertion(jti=REMOVED), setup.tenant.assertion(header={"kid": 7})):
        with pytest.raises(InvalidClient):
            verifier.verify(assertion)
    shapeless, without_jti, bad_kid = setup.events_of(AssertionRefused)
    assert (shapeless.kid, shapeless.client_id, shapeless.jti_hash) == (None, None, None)
    assert (without_jti.kid, without_jti.client_id) == (setup.tenant.kid, setup.tenant.client_id)
    assert without_jti.jti_hash is None
    assert (bad_kid.kid, bad_kid.client_id) == (None, None)


def test_a_kid_is_one_short_line_of_ascii(setup: Setup) -> None:
    with pytest.raises(InvalidClient):
        setup.verifier().verify(setup.tenant.assertion(header={"kid": "k\r\n\x1b[31m\u202e" + "x" * 200}))
    (refused,) = setup.events_of(AssertionRefused)
    assert refused.kid.isascii()
    assert refused.kid.isprintable()
    assert refused.kid.startswith("k\\r\\n")
    assert len(refused.kid) <= 64


def test_a_malformed_token_request_is_reported(setup: Setup) -> None:
    verifier = setup.verifier()
    assert verifier.authenticate({"grant_type": "x"}, optional=True) is None
    assert not setup.events
    with pytest.raises(InvalidClient):
        verifier.authenticate({"grant_type": "x"})
    (refused,) = setup.events_of(AssertionRefused)
    assert (refused.reason, refused.check) == (Reason.MISSING_ASSERTION, "request")
    setup.events.clear()
    with pytest.raises(InvalidRequest):
        verifier.authenticate({"client_assertion": setup.tenant.assertion()})
    (refused,) = setup.events_of(AssertionRefused)
    assert (refused.reason, refused.client_id, refused.kid) == (Reason.INVALID_REQUEST, None, None)
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": setup.tenant.assertion()}
    assert verifier.authenticate(form)
    assert len(setup.events_of(AssertionAccepted)) == 1


class Broken:
    """A replay store that fails."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("answer", "reported"),
    [
        (OSError("no\nroute"), r"OSError: no\nroute"),
        ("yes", "expected True or False of the store, got str"),
        (TemporarilyUnavailable(Reason.REPLAY_STORE_FULL, f"it is full, {'x' * 100}"), f"it is full, {'x' * 100}"),
    ],
)
def test_a_store_that_fails_is_reported_beside_the_refusal(setup: Setup, answer: Any, reported: str) -> None:
    with pytest.raises(TemporarilyUnavailable):
        setup.verifier(store=Broken(answer)).verify(setup.tenant.assertion())
    _, failed, refused = setup.events
    assert failed == StoreFailed(store="replay_store", error=reported)
    assert str(refused.reason).startswith("replay_store_")  # type: ignore[union-attr]


def test_a_fetch_that_fails_is_reported_with_its_cause(setup: Setup) -> None:
    setup.party.outage = 500
    with pytest.raises(TemporarilyUnavailable):
        setup.verifier().verify(setup.tenant.assertion())
    (failed,) = setup.events_of(FetchFailed)
    assert "500" in failed.detail
    assert failed.jwks_uri == setup.tenant.client(setup.base_url).jwks_uri


def test_the_end_of_a_fetch_is_reported_with_the_seconds_that_it_took(setup: Setup) -> None:
    answers = [json_response(500, {}), json_response(200, setup.party.document("acme"))]

    def respond(request: Request) -> Response:
        setup.clock.advance(2.5)
        return answers.pop(0)

    with serve(respond, "", 0) as server:
        setup.base_url = server.base_url
        verifier = setup.verifier()
        with pytest.raises(TemporarilyUnavailable):
            verifier.verify(setup.tenant.assertion())
        verifier.verify(setup.tenant.assertion())
    assert [each.duration for each in setup.events_of(FetchFailed, KeysFetched)] == [2.5, 2.5]


def test_a_spent_budget_is_reported_once_until_it_is_granted_again(setup: Setup) -> None:
    verifier = setup.verifier()

    def flood(count: int) -> None:
        for number in range(count):
            with pytest.raises(InvalidClient):
                verifier.verify(setup.tenant.assertion(header={"kid": f"made-up-{number}"}))

    flood(20)
    (spent,) = setup.events_of(FetchBudgetSpent)
    window = JWKSPolicy().fetch_window
    assert 0 < spent.retry_after <= window
    setup.clock.advance(window)
    flood(20)
    assert len(setup.events_of(FetchBudgetSpent)) == 2


def test_keys_that_come_and_go_are_reported(setup: Setup) -> None:
    verifier = setup.verifier()
    verifier.verify(setup.tenant.assertion())
    old = setup.tenant.kid
    assert not setup.events_of(KeyAdded, KeyRemoved)
    setup.tenant.rotate()
    verifier.verify(setup.tenant.assertion())
    (added,) = setup.events_of(KeyAdded, KeyRemoved)
    assert added == KeyAdded(jwks_uri=added.jwks_uri, kid=setup.tenant.kid)
    setup.tenant.end_grace()
    setup.clock.advance(JWKSPolicy().ttl)
    verifier.verify(setup.tenant.assertion())
    assert setup.events_of(KeyRemoved) == [KeyRemoved(jwks_uri=added.jwks_uri, kid=old)]
    assert len(setup.events_of(KeyAdded)) == 1


def test_keys_by_value_that_cannot_be_used_are_reported_of_the_clients_known_at_the_start(setup: Setup) -> None:
    keys = [jwk(kid="k1\n", use="enc"), jwk(kid="k2"), jwk(kid="k3", key_ops=["sign\n"])]
    client = RegisteredClient("by-value", jwks={"keys": keys})
    skipped = [
        KeySkipped(jwks_uri=None, kid=r"k1\n", fault="its use is 'enc', not sig"),
        KeySkipped(jwks_uri=None, kid="k3", fault=r"its key_ops is ['sign\n'], and must hold verify"),
    ]
    settings: dict[str, Any] = {"policy": AssertionPolicy(audience=AUDIENCE), "replay_store": MemoryReplayStore()}
    for clients in ([setup.tenant.client(), client], {"by-value": client}):
        setup.events.clear()
        verifier = setup.edge.verifier(clients=clients, on_event=setup.on_event, **settings)
        assert setup.events == skipped
        assert verifier.is_registered("by-value")
        assert setup.events == skipped
    setup.events.clear()
    verifier = setup.edge.verifier(clients=lambda _client_id: client, on_event=setup.on_event, **settings)
    assert verifier.is_registered("by-value")
    assert setup.events == []


def test_keys_by_value_are_logged_once_without_a_handler(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    kid = f"once, {setup.edge.name}"  # keys are kept by their content: those of another test were logged there
    client = RegisteredClient("by-value", jwks={"keys": [jwk(kid=kid, use="enc"), jwk()]})
    setup.edge.verifier(policy=AssertionPolicy(audience=AUDIENCE), replay_store=MemoryReplayStore(), clients=[client])
    assert caplog.text.count("KeySkipped: ") == 1


def test_the_use_of_stale_keys_is_reported(setup: Setup) -> None:
    verifier = setup.verifier(stale_if_error=60)
    verifier.verify(setup.tenant.assertion())
    setup.party.outage = 500
    setup.clock.advance(JWKSPolicy().ttl + 10)
    verifier.verify(setup.tenant.assertion())
    (stale,) = setup.events_of(StaleKeysServed)
    assert stale.age == JWKSPolicy().ttl + 10


class BrokenCache:
    """A shared cache that fails."""

    in_process = True

    def get(self, jwks_uri: str, now: float) -> None:
        raise ConnectionError("gone")

    def put(self, jwks_uri: str, document: Any, now: float) -> None: ...

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        return True


def test_a_cache_that_fails_is_reported(setup: Setup) -> None:
    fetcher = setup.edge.fetcher(cache=BrokenCache(), on_event=setup.on_event)
    fetcher.refresh(setup.tenant.client(setup.base_url).jwks_uri)
    assert setup.events[0] == StoreFailed(store="jwks_cache", error="ConnectionError: gone")


def test_a_handler_that_raises_harms_nothing(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    def on_event(event: Event) -> None:
        raise RuntimeError("mine")

    setup.on_event = on_event
    verifier = setup.verifier()
    assertion = setup.tenant.assertion()
    assert verifier.verify(assertion)
    with pytest.raises(InvalidClient, match="replayed"):
        verifier.verify(assertion)
    assert caplog.text.count("on_event raised for AssertionAccepted: RuntimeError: mine (") == 1


@pytest.mark.parametrize("name", ["expired", None])
def test_a_handler_that_raises_does_not_flood_the_log(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float], name: str | None
) -> None:
    def on_event(event: Event) -> None:
        raise RuntimeError("the metrics\nare down")

    setup.on_event = on_event
    verifier = setup.verifier()
    for _ in range(MAX_LINES + 7):
        if name is None:
            verifier.verify(setup.tenant.assertion())
        else:
            with pytest.raises(InvalidClient):
                verifier.verify(setup.tenant.defective(name))
    lines = caplog.text.splitlines()
    assert len(lines) == MAX_LINES + 1  # no traceback among them
    assert lines[-1].endswith(f"{MAX_LINES} lines of UnexpectedException in a second: the rest is counted")
    assert re.search(r"RuntimeError: the metrics\\nare down \(.*test_events\.py:\d+ < ", lines[-2])


def log_server_is_down(_record: logging.LogRecord) -> bool:
    raise ConnectionError("the log server is down")


class RemoteHandler(logging.Handler):
    """A handler of a project, which sends what is logged to a server."""

    def emit(self, record: logging.LogRecord) -> None:
        log_server_is_down(record)


@pytest.fixture(params=["handler", "filter"])
def _log_is_down(request: pytest.FixtureRequest) -> Iterator[None]:
    logger, handler = logging.getLogger("private_key_jwt"), RemoteHandler()
    if request.param == "filter":
        logger.addFilter(log_server_is_down)
    else:
        logger.addHandler(handler)
    yield
    logger.removeFilter(log_server_is_down)
    logger.removeHandler(handler)


@pytest.mark.usefixtures("_log_is_down")
@pytest.mark.parametrize("handles", ["by default", "by log_events", "by a handler that raises"])
def test_a_log_that_raises_decides_nothing(setup: Setup, handles: str) -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("mine")

    odd = {"kty": "EC", "kid": "odd", "crv": "brainpoolP256r1"}
    body = {"keys": [*setup.tenant.document()["keys"], odd]}
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=body))
    on_event = {"by default": None, "by log_events": log_events, "by a handler that raises": fail}[handles]
    fetcher = setup.edge.fetcher(http_client=setup.edge.http_client(transport=transport), on_event=on_event)
    verifier = setup.edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[RegisteredClient(setup.tenant.client_id, jwks_uri="https://rp.example/jwks.json")],
        replay_store=MemoryReplayStore(),
        fetcher=fetcher,
        clock=setup.clock,
        on_event=on_event,
    )
    assert verifier.verify(setup.tenant.assertion()).kid == setup.tenant.kid  # KeySkipped, in the fetch
    with pytest.raises(InvalidClient):
        verifier.verify("a.b")
    with pytest.raises(InvalidClient):
        verifier.authenticate({})
    RegisteredClient("client-1", jwks=body)


def test_a_fetch_ends_whatever_a_handler_raises(setup: Setup) -> None:
    def stop(event: Event) -> None:
        raise SystemExit

    fetcher = JWKSFetcher(JWKSPolicy(allow_http_loopback=True, timeout=30), on_event=stop)
    setup.party.outage = 500
    started = monotonic()
    with pytest.raises(TemporarilyUnavailable, match="500"):
        fetcher.refresh(setup.tenant.client(setup.base_url).jwks_uri or "")
    assert monotonic() - started < 15


def test_a_fetcher_of_the_verifiers_own_has_its_handler(edge: Edge) -> None:
    events: list[Event] = []
    client = RegisteredClient("client-1", jwks_uri="https://client.invalid/jwks")
    policy = AssertionPolicy(audience=AUDIENCE)
    party = RelyingParty(audience=AUDIENCE)
    verifier = edge.verifier(policy=policy, clients=[client], replay_store=MemoryReplayStore(), on_event=events.append)
    with pytest.raises(TemporarilyUnavailable):
        verifier.verify(party.tenant("acme", "client-1").assertion())
    assert [type(event) for event in events] == [FetchFailed, AssertionRefused]


def test_a_fetcher_without_a_handler_logs(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    setup.party.outage = 404
    fetcher = setup.edge.fetcher()
    with pytest.raises(TemporarilyUnavailable):
        fetcher.refresh(setup.tenant.client(setup.base_url).jwks_uri)
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "FetchFailed"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("FetchFailed: jwks_uri=http://")


def test_logged_events_have_their_fields_as_extra(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    setup.on_event = log_events
    with caplog.at_level(logging.DEBUG, "private_key_jwt"):
        setup.verifier().verify(setup.tenant.assertion())
    fetched, accepted = [vars(record) for record in caplog.records if record.name == "private_key_jwt"]
    assert fetched["event"] == "KeysFetched"
    assert accepted["event"] == "AssertionAccepted"
    assert accepted["client_id"] == setup.tenant.client_id
    assert accepted["levelname"] == "DEBUG"


def test_events_below_the_level_are_not_even_written(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    setup.on_event = log_events
    setup.verifier().verify(setup.tenant.assertion())
    assert not [record for record in caplog.records if record.name == "private_key_jwt"]


def test_on_event_must_be_a_function(edge: Edge) -> None:
    async def nobody_awaits(event: Event) -> None: ...

    class NobodyAwaits:
        async def __call__(self, event: Event) -> None: ...

    for wrong in ("log", nobody_awaits, NobodyAwaits()):
        with pytest.raises(ConfigurationError, match="on_event"):
            edge.fetcher(on_event=wrong)
    with pytest.raises(ConfigurationError, match="on_event"):
        edge.verifier(
            policy=AssertionPolicy(audience=AUDIENCE), clients=[], replay_store=MemoryReplayStore(), on_event=1
        )


class Tally(Counter[str]):
    """A handler that is false until it is called first, as ``bool(Counter())`` is."""

    def __call__(self, event: Event) -> None:
        self[type(event).__name__] += 1


def test_a_handler_that_is_false_is_called(setup: Setup) -> None:
    counted_by = {"verifier": Tally(), "fetcher": Tally()}
    verifier = setup.edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[setup.tenant.client(setup.base_url)],
        replay_store=MemoryReplayStore(),
        fetcher=setup.edge.fetcher(JWKSPolicy(allow_http_loopback=True), on_event=counted_by["fetcher"]),
        clock=setup.clock,
        on_event=counted_by["verifier"],
    )
    with pytest.raises(InvalidClient):
        verifier.verify("no assertion")
    verifier.verify(setup.tenant.assertion())
    assert counted_by == {"verifier": {"AssertionRefused": 1, "AssertionAccepted": 1}, "fetcher": {"KeysFetched": 1}}


def test_without_a_handler_all_goes_on_alike(setup: Setup) -> None:
    verifier = setup.edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[setup.tenant.client(setup.base_url)],
        replay_store=MemoryReplayStore(),
        fetcher=setup.edge.fetcher(),
        clock=setup.clock,
    )
    pending = verifier.begin(setup.tenant.assertion())
    assert pending.consume()
    with pytest.raises(InvalidClient, match="replayed"):
        pending.consume()
    with pytest.raises(InvalidClient, match="malformed"):
        verifier.begin("")


def test_a_fetch_has_the_context_of_the_request_that_began_it(setup: Setup) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    reported: list[tuple[type, str]] = []
    setup.on_event = lambda event: reported.append((type(event), request.get()))
    verifier = setup.verifier()
    request.set("first")
    verifier.verify(setup.tenant.assertion())
    setup.tenant.rotate()
    request.set("second")
    verifier.verify(setup.tenant.assertion())
    assert reported == [
        (KeysFetched, "first"),
        (AssertionAccepted, "first"),
        (KeysFetched, "second"),
        (KeyAdded, "second"),
        (AssertionAccepted, "second"),
    ]


# What is logged, and how much of it


def refuse(setup: Setup, verifier: Any, count: int = 1) -> None:
    for _ in range(count):
        with pytest.raises(InvalidClient):
            verifier.verify(setup.tenant.defective("expired"))


def logging_verifier(setup: Setup) -> Any:
    return setup.edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE, leeway=15),
        clients=[setup.tenant.client(setup.base_url)],
        replay_store=MemoryReplayStore(),
        fetcher=setup.edge.fetcher(),
        clock=setup.clock,
    )


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock for the limit of lines: the last number is now."""
    now = [1_000_000.0]
    monkeypatch.setattr(_log, "monotonic", lambda: now[-1])
    monkeypatch.setattr(_log, "_seconds", defaultdict(_log._Second))
    return now


def test_without_a_handler_refusals_are_logged_with_their_cause_and_nothing_else_is(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    verifier = logging_verifier(setup)
    with caplog.at_level(logging.DEBUG, "private_key_jwt"):
        verifier.verify(setup.tenant.assertion())
        caplog.clear()
        refuse(setup, verifier)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    message = record.getMessage()
    assert message.startswith("AssertionRefused: reason=expired check=exp client_id=portal-acme kid=")
    assert 'detail="expired 60 s ago, leeway 15 s' in message
    assert "None" not in message
    assert vars(record)["event"] == "AssertionRefused"


def test_what_is_ours_is_logged_as_an_error_with_its_cause(
    edge: Edge, caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    def find_client(client_id: str) -> None:
        raise ConnectionError("the database is away")

    party = RelyingParty(audience=AUDIENCE)
    verifier = edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE), clients=find_client, replay_store=MemoryReplayStore()
    )
    with pytest.raises(TemporarilyUnavailable):
        verifier.verify(party.tenant("acme", "client-1").assertion())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "finding client 'client-1' raised ConnectionError: 'the database is away'" in record.getMessage()


def test_a_flood_of_refusals_is_counted_and_hides_no_error(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    verifier = logging_verifier(setup)
    refuse(setup, verifier, MAX_LINES + 7)
    assert len(caplog.records) == MAX_LINES + 1
    assert caplog.records[-1].getMessage() == (
        f"{MAX_LINES} lines of AssertionRefused of registered clients in a second: the rest is counted"
    )
    log_events(StoreFailed(store="replay_store", error="gone"))
    assert caplog.records[-1].getMessage() == "StoreFailed: store=replay_store error=gone"
    seconds.append(seconds[-1] + 1)
    caplog.clear()
    refuse(setup, verifier)
    assert [record.getMessage()[:63] for record in caplog.records] == [
        "7 lines of AssertionRefused of registered clients were left out",
        "AssertionRefused: reason=expired check=exp client_id=portal-acm",
    ]


def test_a_flood_of_refusals_that_name_a_client_hides_no_replay(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    """Anybody can name a client; the signature of a replay was right."""
    verifier, assertion = logging_verifier(setup), setup.tenant.assertion()
    verifier.verify(assertion)
    refuse(setup, verifier, MAX_LINES + 7)
    caplog.clear()
    with pytest.raises(InvalidClient):
        verifier.verify(assertion)
    assert [record.getMessage()[:32] for record in caplog.records] == ["AssertionRefused: reason=replayed"[:32]]


@pytest.mark.parametrize("nonsense", ["garbage", "a stranger"])
def test_a_flood_of_nonsense_hides_no_refusal_of_a_registered_client(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float], nonsense: str
) -> None:
    verifier = logging_verifier(setup)
    sent = nonsense if nonsense == "garbage" else setup.tenant.assertion(iss="nobody", sub="nobody")
    for _ in range(MAX_LINES + 7):
        with pytest.raises(InvalidClient):
            verifier.verify(sent)
    caplog.clear()
    refuse(setup, verifier)
    assert [record.getMessage()[:31] for record in caplog.records] == ["AssertionRefused: reason=expired"[:31]]


@pytest.mark.parametrize("handler", [None, log_events])
def test_a_flood_of_one_failure_of_ours_hides_no_other(
    edge: Edge, caplog: pytest.LogCaptureFixture, seconds: list[float], handler: OnEvent | None
) -> None:
    client = RelyingParty(audience=AUDIENCE).tenant("acme", "client-1")

    def fail(*_arguments: object) -> None:
        raise ConnectionError("the database is away")

    class Store:
        add = staticmethod(fail)

    def refuse_by(clients: Any, count: int) -> None:
        policy = AssertionPolicy(audience=AUDIENCE)
        verifier = edge.verifier(policy=policy, clients=clients, replay_store=Store(), on_event=handler)
        for _ in range(count):
            with pytest.raises(TemporarilyUnavailable):
                verifier.verify(client.assertion())

    refuse_by(fail, MAX_LINES + 7)
    caplog.clear()
    refuse_by([RegisteredClient("client-1", jwks=client.document())], 1)
    assert [(record.levelno, record.getMessage()[:52]) for record in caplog.records] == [
        (logging.ERROR, 'StoreFailed: store=replay_store error="ConnectionErr'),
        (logging.ERROR, "AssertionRefused: reason=replay_store_unavailable ch"),
    ]


def test_a_level_that_is_off_costs_no_line_and_counts_none(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    with caplog.at_level(logging.CRITICAL, "private_key_jwt"):
        refuse(setup, logging_verifier(setup), MAX_LINES + 1)
    refuse(setup, logging_verifier(setup))
    assert len(caplog.records) == 1


def test_a_refusal_is_reported_once_for_one_error(setup: Setup) -> None:
    verifier = setup.verifier()
    with pytest.raises(InvalidClient) as caught:
        verifier.verify(setup.tenant.defective("expired"))
    verifier.report_refusal(caught.value)
    assert len(setup.events_of(AssertionRefused)) == 1
    other = InvalidClient(Reason.UNKNOWN_CLIENT, "not registered for the method", "client")
    verifier.report_refusal(other)
    verifier.report_refusal(other)
    assert [event.detail for event in setup.events_of(AssertionRefused)][1:] == ["not registered for the method"]


def test_one_error_of_a_store_for_many_adds_is_reported_for_each(setup: Setup) -> None:
    shared = TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, "the batch failed")

    class Failing:
        def add(self, _key: bytes, _expires_at: float, _now: float) -> bool:
            raise shared

    verifier = setup.verifier(store=Failing())
    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable, match="the batch failed"):
            verifier.verify(setup.tenant.assertion())
    assert len(setup.events_of(AssertionRefused)) == 2


def test_nothing_that_a_stranger_sent_passes_for_a_field_of_a_line(
    setup: Setup, caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    with pytest.raises(InvalidClient):
        logging_verifier(setup).verify(setup.tenant.assertion(aud='x client_id=victim" reason=replayed'))
    (message,) = [record.getMessage() for record in caplog.records if "AssertionRefused" in record.getMessage()]
    before, _, detail = message.partition(" detail=")
    assert before.startswith("AssertionRefused: reason=audience_mismatch check=aud client_id=portal-acme kid=")
    assert "victim" not in before
    assert "victim" in json.loads(detail)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0"),
        (0.0000491, "0.000049"),
        (0.0023456, "0.00235"),
        (0.5, "0.5"),
        (29.97, "30"),
        (29.9, "29.9"),
        (300.0, "300"),
        (1_234.0, "1234"),
        (86_400.0, "86400"),
    ],
)
def test_a_line_has_no_number_with_an_exponent(seconds: float, text: str, caplog: pytest.LogCaptureFixture) -> None:
    log_events(FetchBudgetSpent(jwks_uri="https://client.example/jwks.json", retry_after=seconds))
    assert caplog.records[-1].getMessage().endswith(f" retry_after={text}")
