"""What OpenTelemetry's own SDK gets to see of real verifications."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

from edges import LOOPBACK, Edge
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ConfigurationError,
    InvalidClient,
    InvalidRequest,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
    ledgerbee,
)
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.claims import replay_key
from private_key_jwt.events import (
    AssertionAccepted,
    AssertionRefused,
    Event,
    FetchBudgetSpent,
    KeyAdded,
    KeySetEvicted,
    KeysFetched,
    KeySkipped,
    RegistrationRefused,
    StoreUnfit,
    log_events,
)
from private_key_jwt.integrations.otel import OpenTelemetryEvents
from private_key_jwt.testing import DEFECTS, Clock, RelyingParty

AUDIENCE = "https://op.example.com"
VERIFIED = "private_key_jwt.verification.duration"
FETCHED = "private_key_jwt.jwks.fetch.duration"
Point = dict[str, Any]
ACCEPTED_ONCE = ({"private_key_jwt.outcome": "accepted", "private_key_jwt.alg": "RS256"}, 1)


class Telemetry:
    """The SDK, in memory."""

    def __init__(self, **settings: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.exporter = InMemorySpanExporter()
        self.meter_provider = MeterProvider([self.reader])
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracer_provider.get_tracer("server")
        self.on_event = OpenTelemetryEvents(
            meter_provider=self.meter_provider, tracer_provider=self.tracer_provider, **settings
        )

    def metrics(self) -> dict[str, Any]:
        """All metrics by their names."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[Point, int]]:
        """The attributes of each time series of a metric, and its count."""
        metric = self.metrics().get(name)
        points = metric.data.data_points if metric else []
        return [(dict(point.attributes), getattr(point, "count", None) or point.value) for point in points]

    def attribute_sets(self) -> int:
        return sum(len(metric.data.data_points) for metric in self.metrics().values())

    def spans(self, name: str) -> list[ReadableSpan]:
        """Finished spans of this name, oldest first."""
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def shutdown(self) -> None:
        self.meter_provider.shutdown()
        self.tracer_provider.shutdown()


class Observed:
    """A relying party over HTTP, and verifiers that tell OpenTelemetry."""

    def __init__(self, edge: Edge, clock: Clock, base_url: str, party: RelyingParty, telemetry: Telemetry) -> None:
        self.edge, self.clock, self.base_url, self.party, self.telemetry = edge, clock, base_url, party, telemetry
        self.tenant = party.tenant("acme")
        self.on_event = telemetry.on_event

    def verifier(self, *, store: Any = None, clients: Any = None, cache: Any = None, **settings: Any) -> Any:
        settings = {"ttl": 300, "fetch_limit": 2, "fetch_window": 30} | settings  # which the counts below are about
        policy = JWKSPolicy(allow_http_loopback=True, **settings)
        return self.edge.verifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=clients or [self.tenant.client(self.base_url)],
            replay_store=MemoryReplayStore() if store is None else store,
            fetcher=self.edge.fetcher(policy, clock=self.clock, on_event=self.on_event, cache=cache),
            clock=self.clock,
            on_event=self.on_event,
        )

    @property
    def jwks_uri(self) -> str:
        return self.tenant.client(self.base_url).jwks_uri or ""

    @property
    def port(self) -> int:
        return int(self.base_url.split(":")[2].split("/")[0])


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.shutdown()


@pytest.fixture
def observed(edge: Edge, clock: Clock, telemetry: Telemetry) -> Iterator[Observed]:
    party = RelyingParty(audience=AUDIENCE, clock=clock)
    with party.serve() as server:
        yield Observed(edge, clock, server.base_url, party, telemetry)


def attributes(span: ReadableSpan) -> Point:
    return dict(span.attributes or {})


# Assertions


def test_an_accepted_assertion_is_a_point_and_a_span(observed: Observed) -> None:
    verified = observed.verifier().verify(observed.tenant.assertion())
    assert observed.telemetry.points(VERIFIED) == [ACCEPTED_ONCE]
    (span,) = observed.telemetry.spans("verify client_assertion")
    assert attributes(span) == {
        "private_key_jwt.outcome": "accepted",
        "private_key_jwt.client_id": observed.tenant.client_id,
        "private_key_jwt.kid": observed.tenant.kid,
        "private_key_jwt.alg": "RS256",
        "private_key_jwt.jti_hash": replay_key(verified.client_id, verified.jti).hex(),
        "private_key_jwt.audience": AUDIENCE,
    }
    assert (span.kind, span.status.status_code, span.parent) == (SpanKind.INTERNAL, StatusCode.UNSET, None)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "private_key_jwt"


def test_a_refusal_has_its_reason_and_is_no_error_of_the_server(observed: Observed) -> None:
    verifier = observed.verifier()
    reasons = set()
    for name in DEFECTS:
        observed.telemetry.exporter.clear()
        with pytest.raises(InvalidClient) as caught:
            verifier.verify(observed.tenant.defective(name))
        told = {"private_key_jwt.outcome": "refused", "private_key_jwt.reason": caught.value.reason.value}
        reasons.add(caught.value.reason.value)
        (span,) = observed.telemetry.spans("verify client_assertion")
        assert told.items() <= attributes(span).items(), name
        assert attributes(span).get("private_key_jwt.check") == caught.value.check, name
        assert attributes(span)["private_key_jwt.detail"] == caught.value.detail, name
        assert attributes(span).get("private_key_jwt.alg") in (None, *ALGORITHMS), name
        assert "error.type" not in attributes(span), name
        assert span.status.status_code is StatusCode.UNSET, name
    points = observed.telemetry.points(VERIFIED)
    assert {point["private_key_jwt.reason"] for point, _ in points} == reasons
    assert sum(count for _, count in points) == len(DEFECTS)
    assert all(point.keys() == {"private_key_jwt.outcome", "private_key_jwt.reason"} for point, _ in points)


def test_a_replay_is_told_with_the_hash_of_its_first_use(observed: Observed) -> None:
    verifier, assertion = observed.verifier(), observed.tenant.assertion()
    verifier.verify(assertion)
    with pytest.raises(InvalidClient):
        verifier.verify(assertion)
    first, second = map(attributes, observed.telemetry.spans("verify client_assertion"))
    assert second["private_key_jwt.reason"] == "replayed"
    assert second["private_key_jwt.check"] == "replay"
    assert second["private_key_jwt.jti_hash"] == first["private_key_jwt.jti_hash"]
    assert "private_key_jwt.audience" not in second


def test_a_malformed_token_request_is_a_refusal(observed: Observed) -> None:
    with pytest.raises(InvalidRequest):
        observed.verifier().authenticate({"client_assertion": observed.tenant.assertion()})
    (span,) = observed.telemetry.spans("verify client_assertion")
    assert "expected client_assertion_type" in attributes(span)["private_key_jwt.detail"]
    assert {name: value for name, value in attributes(span).items() if name != "private_key_jwt.detail"} == {
        "private_key_jwt.outcome": "refused",
        "private_key_jwt.reason": "invalid_request",
        "private_key_jwt.check": "request",
    }


class BrokenStore:
    """A replay store that fails."""

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        raise OSError("no route")


def full_store() -> MemoryReplayStore:
    store = MemoryReplayStore(max_entries=1)
    store.add(b"another", 2**53, 0)
    return store


def failing_lookup(client_id: str) -> RegisteredClient:
    raise OSError("no route")


@pytest.mark.parametrize(
    ("reason", "settings", "outage"),
    [
        (Reason.REPLAY_STORE_UNAVAILABLE, lambda: {"store": BrokenStore()}, None),
        (Reason.REPLAY_STORE_FULL, lambda: {"store": full_store()}, None),
        (Reason.CLIENT_LOOKUP_FAILED, lambda: {"clients": failing_lookup}, None),
        (Reason.JWKS_UNAVAILABLE, dict, 500),
    ],
)
def test_what_is_our_fault_is_an_error(
    observed: Observed, reason: Reason, settings: Callable[[], dict[str, Any]], outage: int | None
) -> None:
    observed.party.outage = outage
    with pytest.raises(TemporarilyUnavailable):
        observed.verifier(**settings()).verify(observed.tenant.assertion())
    told = {
        "private_key_jwt.outcome": "unavailable",
        "private_key_jwt.reason": reason.value,
        "error.type": reason.value,
    }
    assert observed.telemetry.points(VERIFIED) == [(told, 1)]
    (span,) = observed.telemetry.spans("verify client_assertion")
    assert told.items() <= attributes(span).items()
    assert span.status.status_code is StatusCode.ERROR


def test_every_reason_has_one_outcome(telemetry: Telemetry) -> None:
    for reason in Reason:
        telemetry.on_event(
            AssertionRefused(
                reason=reason, check=None, detail="", client_id=None, kid=None, jti_hash=None, duration=0.001
            )
        )
    points = [point for point, _ in telemetry.points(VERIFIED)]
    ours = {reason for reason in Reason if TemporarilyUnavailable(reason, "").check}
    assert {point["private_key_jwt.reason"] for point in points} == set(Reason)
    assert {point["private_key_jwt.reason"] for point in points if "error.type" in point} == ours
    assert {point["private_key_jwt.outcome"] for point in points} == {"refused", "unavailable"}


# Fetches


def test_a_fetch_is_a_point_and_a_client_span(observed: Observed) -> None:
    observed.verifier().verify(observed.tenant.assertion())
    assert observed.telemetry.points(FETCHED) == [({}, 1)]
    (span,) = observed.telemetry.spans("fetch JWK Set")
    assert attributes(span) == {
        "url.full": observed.jwks_uri,
        "server.address": "127.0.0.1",
        "server.port": observed.port,
        "private_key_jwt.jwks.members": 1,
        "private_key_jwt.jwks.usable": 1,
    }
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)


def test_a_fetch_that_fails_is_an_error_that_says_why(observed: Observed) -> None:
    observed.party.outage = 500
    with pytest.raises(TemporarilyUnavailable):
        observed.verifier().verify(observed.tenant.assertion())
    assert observed.telemetry.points(FETCHED) == [({"error.type": "jwks_unavailable"}, 1)]
    (span,) = observed.telemetry.spans("fetch JWK Set")
    assert attributes(span) == {
        "url.full": observed.jwks_uri,
        "server.address": "127.0.0.1",
        "server.port": observed.port,
        "error.type": "jwks_unavailable",
    }
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert span.status.description == "expected HTTP status 200, got 500: the publisher fails"


@pytest.mark.parametrize(
    ("jwks_uri", "address", "port"),
    [
        ("https://rp.example/jwks", "rp.example", 443),
        ("https://rp.example:8443/jwks", "rp.example", 8_443),
        ("http://[::1]/jwks", "::1", 80),
    ],
)
def test_a_port_that_a_url_leaves_out_is_that_of_its_scheme(
    telemetry: Telemetry, jwks_uri: str, address: str, port: int
) -> None:
    telemetry.on_event(KeysFetched(jwks_uri=jwks_uri, members=1, usable=1, duration=0.1))
    (span,) = telemetry.spans("fetch JWK Set")
    assert (attributes(span)["server.address"], attributes(span)["server.port"]) == (address, port)


# What happens beside them, within a request


def test_spans_are_children_of_the_one_that_is_current(observed: Observed) -> None:
    verifier = observed.verifier()
    with observed.telemetry.tracer.start_as_current_span("POST /token") as request:
        verifier.verify(observed.tenant.assertion())
    (fetch,), (verify,) = map(observed.telemetry.spans, ("fetch JWK Set", "verify client_assertion"))
    (whole,) = observed.telemetry.spans("POST /token")
    for span in (fetch, verify):
        assert span.parent == request.get_span_context()
        assert whole.start_time is not None
        assert whole.end_time is not None
        assert span.end_time is not None
        assert whole.start_time <= (span.start_time or 0) <= span.end_time <= whole.end_time


def test_a_span_ends_now_and_is_as_long_as_it_took(telemetry: Telemetry) -> None:
    before = time.time_ns()
    telemetry.on_event(KeysFetched(jwks_uri="https://rp.example/jwks", members=1, usable=1, duration=1.25))
    (span,) = telemetry.spans("fetch JWK Set")
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 1_250_000_000
    assert before <= span.end_time <= time.time_ns()


def events_of(observed: Observed, name: str) -> list[tuple[str, Point]]:
    (span,) = observed.telemetry.spans(name)
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def test_keys_that_come_and_go_are_counted_and_noted(observed: Observed) -> None:
    verifier = observed.verifier()
    verifier.verify(observed.tenant.assertion())
    old = observed.tenant.kid
    observed.tenant.rotate()
    observed.tenant.end_grace()
    with observed.telemetry.tracer.start_as_current_span("POST /token"):
        verifier.verify(observed.tenant.assertion())
    assert observed.telemetry.points("private_key_jwt.jwks.key.changes") == [
        ({"private_key_jwt.key.change": "added"}, 1),
        ({"private_key_jwt.key.change": "removed"}, 1),
    ]
    assert events_of(observed, "POST /token") == [
        ("private_key_jwt.key_added", {"url.full": observed.jwks_uri, "private_key_jwt.kid": observed.tenant.kid}),
        ("private_key_jwt.key_removed", {"url.full": observed.jwks_uri, "private_key_jwt.kid": old}),
    ]


def test_a_key_without_a_kid_has_none(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("POST /token"):
        telemetry.on_event(KeyAdded(jwks_uri="https://rp.example/jwks", kid=None))
    (span,) = telemetry.spans("POST /token")
    assert [dict(event.attributes or {}) for event in span.events] == [{"url.full": "https://rp.example/jwks"}]


def test_a_spent_budget_is_counted_and_noted(observed: Observed) -> None:
    verifier = observed.verifier()
    with observed.telemetry.tracer.start_as_current_span("POST /token"):
        for number in range(9):
            with pytest.raises(InvalidClient):
                verifier.verify(observed.tenant.assertion(header={"kid": f"made-up-{number}"}))
    assert observed.telemetry.points("private_key_jwt.jwks.spent_budgets") == [({}, 1)]
    assert events_of(observed, "POST /token") == [
        (
            "private_key_jwt.fetch_budget_spent",
            {"url.full": observed.jwks_uri, "private_key_jwt.retry_after": pytest.approx(30)},
        )
    ]


def test_the_use_of_stale_keys_is_counted_and_noted(observed: Observed) -> None:
    verifier = observed.verifier(stale_if_error=60)
    verifier.verify(observed.tenant.assertion())
    observed.party.outage = 500
    observed.clock.advance(310)
    with observed.telemetry.tracer.start_as_current_span("POST /token"):
        verifier.verify(observed.tenant.assertion())
    assert observed.telemetry.points("private_key_jwt.jwks.stale_uses") == [({}, 1)]
    assert events_of(observed, "POST /token") == [
        ("private_key_jwt.stale_keys_served", {"url.full": observed.jwks_uri, "private_key_jwt.jwks.age": 310})
    ]


def test_a_store_that_fails_is_counted_and_noted(observed: Observed) -> None:
    with observed.telemetry.tracer.start_as_current_span("POST /token"):
        with pytest.raises(TemporarilyUnavailable):
            observed.verifier(store=BrokenStore()).verify(observed.tenant.assertion())
    assert observed.telemetry.points("private_key_jwt.store.failures") == [
        ({"private_key_jwt.store.name": "replay_store"}, 1)
    ]
    assert events_of(observed, "POST /token") == [
        (
            "private_key_jwt.store_failed",
            {"private_key_jwt.store.name": "replay_store", "private_key_jwt.store.error": "OSError: no route"},
        )
    ]


class BrokenCache:
    """A shared cache that cannot be read."""

    in_process = True

    def get(self, jwks_uri: str, now: float) -> None:
        raise ConnectionError("gone")

    def put(self, jwks_uri: str, document: Any, now: float) -> None: ...

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        return True


def test_a_cache_that_fails_is_told_apart_from_a_replay_store(observed: Observed) -> None:
    observed.verifier(cache=BrokenCache()).verify(observed.tenant.assertion())
    assert observed.telemetry.points("private_key_jwt.store.failures") == [
        ({"private_key_jwt.store.name": "jwks_cache"}, 1)
    ]


def test_what_comes_after_the_end_of_a_span_is_not_noted_on_it(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with telemetry.tracer.start_as_current_span("POST /token") as request:
        request.end()
        telemetry.on_event(KeyAdded(jwks_uri="https://rp.example/jwks", kid="k"))
        assert caplog.text == ""
    assert telemetry.points("private_key_jwt.jwks.key.changes") == [({"private_key_jwt.key.change": "added"}, 1)]


def test_a_trace_that_is_not_sampled_stays_so(telemetry: Telemetry) -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("server")
    with unsampled.start_as_current_span("POST /token"):
        telemetry.on_event(KeysFetched(jwks_uri="https://rp.example/jwks", members=1, usable=1, duration=1))
    assert telemetry.spans("fetch JWK Set") == []
    assert telemetry.points(FETCHED) == [({}, 1)]


# Names and cardinality


def test_names_and_units_are_after_the_semantic_conventions(observed: Observed) -> None:
    verifier = observed.verifier(stale_if_error=60)
    verifier.verify(observed.tenant.assertion())
    observed.tenant.rotate()
    for number in range(3):
        with pytest.raises(InvalidClient):
            verifier.verify(observed.tenant.assertion(header={"kid": f"made-up-{number}"}))
    observed.party.outage = 500
    observed.clock.advance(310)
    verifier.verify(observed.tenant.assertion())
    with pytest.raises(TemporarilyUnavailable):
        observed.verifier(store=BrokenStore(), clients=[client_by_value(observed)]).verify(observed.tenant.assertion())
    metrics = observed.telemetry.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "private_key_jwt.verification.duration": "s",
        "private_key_jwt.jwks.fetch.duration": "s",
        "private_key_jwt.jwks.key.changes": "{change}",
        "private_key_jwt.jwks.spent_budgets": "{budget}",
        "private_key_jwt.jwks.stale_uses": "{use}",
        "private_key_jwt.store.failures": "{failure}",
    }
    assert all(metric.description for metric in metrics.values())


def client_by_value(observed: Observed) -> RegisteredClient:
    return observed.tenant.client(observed.base_url, jwks_uri=None, jwks=observed.tenant.document())


def test_durations_fall_into_buckets_that_tell_them_apart(telemetry: Telemetry) -> None:
    for duration in (40e-6, 80e-6, 0.002, 0.2, 2):
        telemetry.on_event(
            AssertionRefused(
                reason=Reason.EXPIRED, check=None, detail="", client_id=None, kid=None, jti_hash=None, duration=duration
            )
        )
    (point,) = telemetry.metrics()[VERIFIED].data.data_points
    assert max(point.bucket_counts) == 1
    assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (25e-6, 5)
    telemetry.on_event(KeysFetched(jwks_uri="https://rp.example/jwks", members=1, usable=1, duration=0.06))
    (point,) = telemetry.metrics()[FETCHED].data.data_points
    assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (0.005, 10)


def flood(observed: Observed, verifier: Any, count: int) -> None:
    """Assertions of strangers: made-up kids, clients, audiences and jtis."""
    for number in range(count):
        for changes in (
            {"header": {"kid": f"stranger-{number}"}},
            {"iss": f"stranger-{number}", "sub": f"stranger-{number}"},
            {"aud": f"https://stranger-{number}.example"},
            {"jti": f"stranger-{number}", "exp": 1},
        ):
            with suppress(AuthenticationError):
                verifier.verify(observed.tenant.assertion(**changes))


@pytest.mark.parametrize("by_client", [False, True])
def test_a_flood_of_strangers_adds_no_time_series(edge: Edge, clock: Clock, by_client: bool) -> None:
    telemetry = Telemetry(by_client=by_client)
    party = RelyingParty(audience=AUDIENCE, clock=clock)
    with party.serve() as server:
        observed = Observed(edge, clock, server.base_url, party, telemetry)
        verifier = observed.verifier()
        flood(observed, verifier, 3)
        before = telemetry.attribute_sets()
        flood(observed, verifier, 30)
        assert telemetry.attribute_sets() == before
    told = [point for name in telemetry.metrics() for point, _ in telemetry.points(name)]
    assert "stranger" not in str(told)
    assert observed.tenant.kid not in str(told)
    telemetry.shutdown()


def test_clients_are_told_apart_in_metrics_on_demand_only(edge: Edge, clock: Clock) -> None:
    telemetry = Telemetry(by_client=True)
    party = RelyingParty(audience=AUDIENCE, clock=clock)
    with party.serve() as server:
        observed = Observed(edge, clock, server.base_url, party, telemetry)
        verifier = observed.verifier()
        verifier.verify(observed.tenant.assertion())
        with pytest.raises(InvalidClient):
            verifier.verify(observed.tenant.assertion(iss="stranger", sub="stranger"))
        assert telemetry.points(VERIFIED) == [
            ({**ACCEPTED_ONCE[0], "private_key_jwt.client_id": observed.tenant.client_id}, 1),
            ({"private_key_jwt.outcome": "refused", "private_key_jwt.reason": "unknown_client"}, 1),
        ]
        publisher = {"server.address": "127.0.0.1", "server.port": observed.port, "url.full": observed.jwks_uri}
        assert telemetry.points(FETCHED) == [(publisher, 1)]
    telemetry.shutdown()


def test_the_tenants_of_one_publisher_are_told_apart() -> None:
    """All of LedgerBee's publish at one host."""
    telemetry = Telemetry(by_client=True)
    for slug in ("acme", "globex"):
        uri = ledgerbee.jwks_uri(slug)
        telemetry.on_event(KeysFetched(jwks_uri=uri, members=1, usable=1, duration=0.1))
        telemetry.on_event(FetchBudgetSpent(jwks_uri=uri, retry_after=1))
    for name in (FETCHED, "private_key_jwt.jwks.spent_budgets"):
        assert [point["url.full"] for point, _ in telemetry.points(name)] == [
            ledgerbee.jwks_uri("acme"),
            ledgerbee.jwks_uri("globex"),
        ]
        assert len({point["server.address"] for point, _ in telemetry.points(name)}) == 1
    telemetry.shutdown()


def test_the_clients_that_are_told_apart_are_bounded() -> None:
    telemetry = Telemetry(by_client=True, max_clients=2)
    for number in [*range(100), 0]:
        client_id = f"client-{number}"
        telemetry.on_event(
            AssertionAccepted(client_id=client_id, kid=None, alg="RS256", jti_hash="", audience=AUDIENCE, duration=0.1)
        )
        telemetry.on_event(KeysFetched(jwks_uri=f"https://rp.example/{number}", members=1, usable=1, duration=0.1))
    assert [(point["private_key_jwt.client_id"], count) for point, count in telemetry.points(VERIFIED)] == [
        ("client-0", 2),
        ("client-1", 1),
        ("_OTHER", 98),
    ]
    assert [(point["url.full"], count) for point, count in telemetry.points(FETCHED)] == [
        ("https://rp.example/0", 2),
        ("https://rp.example/1", 1),
        ("_OTHER", 98),
    ]
    telemetry.shutdown()


@pytest.mark.parametrize(
    ("event", "metric", "note"),
    [
        (
            KeySkipped(jwks_uri="https://rp.example/jwks", kid="k", fault="its exponent is 3"),
            "private_key_jwt.jwks.skipped_keys",
            {
                "url.full": "https://rp.example/jwks",
                "private_key_jwt.kid": "k",
                "private_key_jwt.key.fault": "its exponent is 3",
            },
        ),
        (
            KeySkipped(jwks_uri=None, kid=None, fault="it is private"),
            "private_key_jwt.jwks.skipped_keys",
            {"private_key_jwt.key.fault": "it is private"},
        ),
        (
            KeySetEvicted(jwks_uri="https://rp.example/jwks", age=12.5),
            "private_key_jwt.jwks.evictions",
            {"url.full": "https://rp.example/jwks", "private_key_jwt.jwks.age": 12.5},
        ),
        (
            RegistrationRefused(client_id="c", detail="both jwks and jwks_uri"),
            "private_key_jwt.registration.refusals",
            {"private_key_jwt.client_id": "c", "private_key_jwt.detail": "both jwks and jwks_uri"},
        ),
        (
            StoreUnfit(store="RedisReplayStore", detail="maxmemory-policy is allkeys-lru"),
            "private_key_jwt.store.unfit",
            {
                "private_key_jwt.store.class": "RedisReplayStore",
                "private_key_jwt.detail": "maxmemory-policy is allkeys-lru",
            },
        ),
    ],
    ids=["key by uri", "key by value", "eviction", "registration", "store"],
)
@pytest.mark.parametrize("by_client", [False, True])
def test_what_is_wrong_with_a_set_up_is_counted_and_noted(
    event: Event, metric: str, note: Point, by_client: bool
) -> None:
    telemetry = Telemetry(by_client=by_client)
    with telemetry.tracer.start_as_current_span("POST /token"):
        telemetry.on_event(event)
    [(found, count)] = telemetry.points(metric)
    assert count == 1
    assert not any("detail" in name or "fault" in name for name in found)
    names = {"url.full", "private_key_jwt.client_id"} & note.keys() if by_client else set()
    assert found.keys() == names | ({"server.address", "server.port"} if "url.full" in names else set())
    (span,) = telemetry.spans("POST /token")
    assert [dict(each.attributes or {}) for each in span.events] == [note]
    telemetry.shutdown()


def test_every_event_is_known(telemetry: Telemetry) -> None:
    assert telemetry.on_event._report.keys() == set(get_args(Event))


def test_no_span_holds_an_assertion_or_a_claim_of_a_stranger(observed: Observed) -> None:
    verifier = observed.verifier()
    for name in DEFECTS:
        observed.telemetry.exporter.clear()
        assertion = observed.tenant.defective(name)
        with observed.telemetry.tracer.start_as_current_span("POST /token"), pytest.raises(InvalidClient):
            verifier.verify(assertion)
        told = "\n".join(span.to_json() for span in observed.telemetry.exporter.get_finished_spans())
        assert not [part for part in assertion.split(".") if part and part in told], name
        (span,) = observed.telemetry.spans("verify client_assertion")
        assert attributes(span).get("private_key_jwt.client_id") in (None, observed.tenant.client_id), name
        assert "private_key_jwt.audience" not in attributes(span), name
        # A detail quotes what must be known of it: escaped and cut, and on a span only.
        assert AUDIENCE not in told.replace(attributes(span)["private_key_jwt.detail"], ""), name


def test_a_strangers_claims_stay_out_of_spans(observed: Observed) -> None:
    verifier = observed.verifier()
    flood(observed, verifier, 2)
    told = [attributes(span) for span in observed.telemetry.exporter.get_finished_spans()]
    for values in told:
        strange = {name for name, value in values.items() if "stranger" in str(value)}
        assert strange <= {"private_key_jwt.kid", "private_key_jwt.detail"}  # escaped and cut
    assert any("stranger" in str(values) for values in told)


# Set-up


def test_without_an_sdk_nothing_comes_of_it(edge: Edge, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    no_op = OpenTelemetryEvents(meter_provider=NoOpMeterProvider(), tracer_provider=NoOpTracerProvider())
    for on_event in (OpenTelemetryEvents(), no_op):
        party = RelyingParty(audience=AUDIENCE, clock=clock)
        with party.serve() as server:
            verifier = edge.verifier(
                policy=AssertionPolicy(audience=AUDIENCE),
                clients=[party.tenant("acme").client(server.base_url)],
                replay_store=MemoryReplayStore(),
                fetcher=edge.fetcher(clock=clock, on_event=on_event),
                clock=clock,
                on_event=on_event,
            )
            assertion = party.tenant("acme").assertion()
            assert verifier.verify(assertion)
            with pytest.raises(InvalidClient, match="replayed"):
                verifier.verify(assertion)
            party.outage = 500
            clock.advance(LOOPBACK.ttl + LOOPBACK.stale_if_error + 1)
            with pytest.raises(TemporarilyUnavailable):
                verifier.verify(party.tenant("acme").assertion())
    assert caplog.records == [record for record in caplog.records if record.name != "private_key_jwt"]


def test_a_no_op_provider_leaves_the_current_span_alone(telemetry: Telemetry) -> None:
    on_event = OpenTelemetryEvents(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
    with telemetry.tracer.start_as_current_span("POST /token") as request:
        on_event(KeysFetched(jwks_uri="https://rp.example/jwks", members=1, usable=1, duration=1))
        assert request.is_recording()


def test_several_handlers_are_called_one_after_the_other(observed: Observed, caplog: pytest.LogCaptureFixture) -> None:
    def on_event(event: Event) -> None:
        log_events(event)
        observed.telemetry.on_event(event)

    observed.on_event = on_event  # type: ignore[assignment]
    with caplog.at_level("DEBUG", "private_key_jwt"):
        observed.verifier().verify(observed.tenant.assertion())
    assert "AssertionAccepted" in caplog.text
    assert observed.telemetry.points(VERIFIED) == [ACCEPTED_ONCE]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("meter_provider", "otlp"), ("tracer_provider", MeterProvider), ("by_client", 1), ("max_clients", 0)],
)
def test_a_wrong_setting_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        OpenTelemetryEvents(**{setting: value})


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "private_key_jwt.integrations.otel"
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)  # what the import system takes for absent
    with pytest.raises(ConfigurationError, match=r"pip install 'private-key-jwt\[otel\]'"):
        import_module(name)


def test_it_needs_no_sdk() -> None:
    code = "import sys, private_key_jwt.integrations.otel; print('opentelemetry.sdk' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_the_example_tells_the_console() -> None:
    example = Path(__file__).parent.parent / "examples" / "otel_events.py"
    told = subprocess.run(
        [sys.executable, example.name], cwd=example.parent, capture_output=True, text=True, check=True
    )
    for expected in ("verify client_assertion", "fetch JWK Set", VERIFIED, FETCHED, "audience_mismatch"):
        assert f'"{expected}"' in told.stdout
    assert "WARNING:private_key_jwt:AssertionRefused: reason=audience_mismatch" in told.stderr
