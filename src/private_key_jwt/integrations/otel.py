"""Metrics and spans for OpenTelemetry, of what the verifiers and the fetchers report.

    telemetry = OpenTelemetryEvents()
    verifier = ClientAssertionVerifier(..., fetcher=JWKSFetcher(on_event=telemetry), on_event=telemetry)

Names and units are after the semantic conventions. In front of each name here, but for ``error.type``, stands
``private_key_jwt.``:

| metric                    | unit               | attributes                                             |
|---------------------------|--------------------|--------------------------------------------------------|
| ``verification.duration`` | s                  | ``outcome``, ``reason``, ``alg``, ``error.type``       |
| ``jwks.fetch.duration``   | s                  | ``error.type``                                         |
| ``jwks.key.changes``      | ``{change}``       | ``key.change``: ``added`` or ``removed``               |
| ``jwks.skipped_keys``     | ``{key}``          |                                                        |
| ``jwks.evictions``        | ``{eviction}``     |                                                        |
| ``jwks.spent_budgets``    | ``{budget}``       |                                                        |
| ``jwks.stale_uses``       | ``{use}``          |                                                        |
| ``registration.refusals`` | ``{registration}`` |                                                        |
| ``store.failures``        | ``{failure}``      | ``store.name``: ``replay_store`` or ``jwks_cache``     |
| ``store.unfit``           | ``{store}``        |                                                        |

``private_key_jwt.outcome`` is ``accepted``, ``refused`` or ``unavailable``; an accepted assertion has its ``alg``.

A histogram counts, too: there is no other count of assertions or fetches. ``private_key_jwt.reason`` is the Reason of
every refusal. ``error.type`` is there, and the status of a span is ERROR, for what is the server's fault only: to
refuse an assertion is what a verifier is for, and strangers must not be able to raise anybody's error rate.

The spans are ``verify client_assertion`` (INTERNAL) and ``fetch JWK Set`` (CLIENT), children of the span that was
current when the assertion or the fetch came. What has no duration is an event on the current span, when there is one.
A refusal's ``private_key_jwt.detail`` is on its span, and never on a metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .._extra import needs
from .._validation import check_flag, check_integer
from ..events import (
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
    RegistrationRefused,
    StaleKeysServed,
    StoreFailed,
    StoreUnfit,
)
from ..exceptions import UNDECIDED, ConfigurationError, Reason

with needs(__name__, "otel"):
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_current_span, get_tracer

__all__ = ["OpenTelemetryEvents"]

_SCOPE = "private_key_jwt"
_CLIENT_ID = "private_key_jwt.client_id"
_KID = "private_key_jwt.kid"
_ALG = "private_key_jwt.alg"
_OTHER = "_OTHER"  # the semantic conventions' name for what a metric does not distinguish

# Seconds. A verification with a known key takes some 50 µs, one that waits for a store or a fetch up to seconds.
_VERIFICATION_BUCKETS = (
    *(25e-6, 50e-6, 75e-6, 100e-6, 250e-6, 500e-6),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
# Those of the semantic conventions for http.client.request.duration.
_FETCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

Attributes = dict[str, str | int | float]


class OpenTelemetryEvents:
    """A function for ``on_event=`` of the verifiers and the fetchers. Thread-safe.

        telemetry = OpenTelemetryEvents(by_client=True)
        fetcher = JWKSFetcher(on_event=telemetry)
        verifier = ClientAssertionVerifier(..., fetcher=fetcher, on_event=telemetry)

    meter_provider, tracer_provider: where metrics and spans go; the global ones, which may be set later, unless given.
    by_client: distinguish clients in metrics, too: assertions by ``private_key_jwt.client_id``, what concerns a
        ``jwks_uri`` by ``server.address``, ``server.port`` and ``url.full``, as several clients may publish at one
        host. That is a time series for each, and for each reason of each.
    max_clients: how many clients, and how many ``jwks_uri`` (1 to 100,000), have time series of their own: those that
        were seen first. All others together are ``_OTHER``.

    Nothing that an unauthenticated sender chose becomes an attribute of a metric. Spans have ``client_id`` (of a
    registered client), ``kid`` (escaped and cut), ``alg``, ``check``, ``detail``, ``jti_hash`` and the matched
    ``audience``, each after ``private_key_jwt.``; and ``url.full`` of a fetch. Without an SDK all of it comes to
    nothing.

    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        by_client: bool = False,
        max_clients: int = 1_000,
    ) -> None:
        _check_provider("meter_provider", meter_provider, MeterProvider)
        _check_provider("tracer_provider", tracer_provider, TracerProvider)
        check_flag("by_client", by_client)
        check_integer("max_clients", max_clients, 1, 100_000)
        self._by_client = by_client
        self._client_ids, self._jwks_uris = _Known(max_clients), _Known(max_clients)
        self._tracer = get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = get_meter(_SCOPE, meter_provider=meter_provider)
        self._verifications = meter.create_histogram(
            "private_key_jwt.verification.duration",
            "s",
            "Duration of the verification of client assertions.",
            explicit_bucket_boundaries_advisory=_VERIFICATION_BUCKETS,
        )
        self._fetches = meter.create_histogram(
            "private_key_jwt.jwks.fetch.duration",
            "s",
            "Duration of the fetches of JWK Sets.",
            explicit_bucket_boundaries_advisory=_FETCH_BUCKETS,
        )
        self._key_changes = meter.create_counter(
            "private_key_jwt.jwks.key.changes", "{change}", "Usable keys that were published or left their set."
        )
        self._spent_budgets = meter.create_counter(
            "private_key_jwt.jwks.spent_budgets", "{budget}", "How often the fetch budget of a jwks_uri was spent."
        )
        self._stale_uses = meter.create_counter(
            "private_key_jwt.jwks.stale_uses", "{use}", "How often keys past their ttl were used."
        )
        self._store_failures = meter.create_counter(
            "private_key_jwt.store.failures", "{failure}", "Failures of the replay store and of the cache of JWK Sets."
        )
        self._skipped_keys = meter.create_counter(
            "private_key_jwt.jwks.skipped_keys", "{key}", "Members of JWK Sets that cannot be used."
        )
        self._evictions = meter.create_counter(
            "private_key_jwt.jwks.evictions", "{eviction}", "JWK Sets that made room for others while they were fresh."
        )
        self._registrations = meter.create_counter(
            "private_key_jwt.registration.refusals",
            "{registration}",
            "Clients that must not be registered as they are.",
        )
        self._unfit_stores = meter.create_counter(
            "private_key_jwt.store.unfit", "{store}", "Stores that were found unfit as they are set up."
        )
        self._report: Mapping[type, Callable[[Any], None]] = {
            AssertionAccepted: self._accepted,
            AssertionRefused: self._refused,
            KeysFetched: self._fetched,
            FetchFailed: self._fetch_failed,
            FetchBudgetSpent: self._budget_spent,
            StaleKeysServed: self._stale_served,
            KeyAdded: self._key_added,
            KeyRemoved: self._key_removed,
            KeySkipped: self._key_skipped,
            KeySetEvicted: self._key_set_evicted,
            RegistrationRefused: self._registration_refused,
            StoreFailed: self._store_failed,
            StoreUnfit: self._store_unfit,
        }

    def __call__(self, event: Event) -> None:
        """Report an event."""
        self._report[type(event)](event)

    # Assertions

    def _accepted(self, event: AssertionAccepted) -> None:
        # Of a refused assertion the algorithm is what a stranger says.
        outcome: Attributes = {"private_key_jwt.outcome": "accepted", _ALG: event.alg}
        self._verified(event, outcome, {"private_key_jwt.audience": event.audience})

    def _refused(self, event: AssertionRefused) -> None:
        outcome: Attributes = {
            "private_key_jwt.outcome": "unavailable" if event.reason in UNDECIDED else "refused",
            "private_key_jwt.reason": event.reason.value,
        }
        if event.reason in UNDECIDED:
            outcome["error.type"] = event.reason.value
        findings = {"private_key_jwt.check": event.check, "private_key_jwt.detail": event.detail, _ALG: event.alg}
        self._verified(event, outcome, _present(findings))

    def _verified(self, event: AssertionAccepted | AssertionRefused, outcome: Attributes, findings: Attributes) -> None:
        client = _present({_CLIENT_ID: event.client_id})
        self._verifications.record(event.duration, outcome | self._client(event.client_id))
        names = _present({_KID: event.kid, "private_key_jwt.jti_hash": event.jti_hash})
        attributes = {**outcome, **findings, **client, **names}
        self._span("verify client_assertion", SpanKind.INTERNAL, event.duration, attributes)

    # Fetches

    def _fetched(self, event: KeysFetched) -> None:
        self._fetches.record(event.duration, self._publisher(event.jwks_uri))
        attributes: Attributes = {
            "private_key_jwt.jwks.members": event.members,
            "private_key_jwt.jwks.usable": event.usable,
        }
        self._span("fetch JWK Set", SpanKind.CLIENT, event.duration, {**_url(event.jwks_uri), **attributes})

    def _fetch_failed(self, event: FetchFailed) -> None:
        error: Attributes = {"error.type": Reason.JWKS_UNAVAILABLE.value}
        self._fetches.record(event.duration, {**error, **self._publisher(event.jwks_uri)})
        attributes = {**_url(event.jwks_uri), **error}
        self._span("fetch JWK Set", SpanKind.CLIENT, event.duration, attributes, event.detail)

    def _budget_spent(self, event: FetchBudgetSpent) -> None:
        self._spent_budgets.add(1, self._publisher(event.jwks_uri))
        _note("fetch_budget_spent", {"url.full": event.jwks_uri, "private_key_jwt.retry_after": event.retry_after})

    def _stale_served(self, event: StaleKeysServed) -> None:
        self._stale_uses.add(1, self._publisher(event.jwks_uri))
        _note("stale_keys_served", {"url.full": event.jwks_uri, "private_key_jwt.jwks.age": event.age})

    # Keys and stores

    def _key_added(self, event: KeyAdded) -> None:
        self._key_changed(event, "added")

    def _key_removed(self, event: KeyRemoved) -> None:
        self._key_changed(event, "removed")

    def _key_changed(self, event: KeyAdded | KeyRemoved, change: str) -> None:
        self._key_changes.add(1, {"private_key_jwt.key.change": change, **self._publisher(event.jwks_uri)})
        _note(f"key_{change}", {"url.full": event.jwks_uri, **_present({_KID: event.kid})})

    def _key_skipped(self, event: KeySkipped) -> None:
        publisher = {} if event.jwks_uri is None else self._publisher(event.jwks_uri)
        self._skipped_keys.add(1, publisher)
        fault = {"url.full": event.jwks_uri, _KID: event.kid, "private_key_jwt.key.fault": event.fault}
        _note("key_skipped", _present(fault))

    def _key_set_evicted(self, event: KeySetEvicted) -> None:
        self._evictions.add(1, self._publisher(event.jwks_uri))
        _note("key_set_evicted", {"url.full": event.jwks_uri, "private_key_jwt.jwks.age": event.age})

    def _registration_refused(self, event: RegistrationRefused) -> None:
        self._registrations.add(1, self._client(event.client_id))
        _note("registration_refused", {_CLIENT_ID: event.client_id, "private_key_jwt.detail": event.detail})

    def _store_unfit(self, event: StoreUnfit) -> None:
        self._unfit_stores.add(1)
        unfit: Attributes = {"private_key_jwt.store.class": event.store, "private_key_jwt.detail": event.detail}
        _note("store_unfit", unfit)

    def _store_failed(self, event: StoreFailed) -> None:
        store: Attributes = {"private_key_jwt.store.name": event.store}
        self._store_failures.add(1, store)
        _note("store_failed", {**store, "private_key_jwt.store.error": event.error})

    # What all have in common

    def _client(self, client_id: str | None) -> Attributes:
        """Return the attributes of a metric that distinguish a registered client."""
        return {_CLIENT_ID: self._client_ids.name(client_id)} if self._by_client and client_id is not None else {}

    def _publisher(self, jwks_uri: str) -> Attributes:
        """Return the attributes of a metric that distinguish a publisher."""
        if not self._by_client:
            return {}
        return _url(jwks_uri) if self._jwks_uris.name(jwks_uri) == jwks_uri else {"url.full": _OTHER}

    def _span(
        self, name: str, kind: SpanKind, duration: float, attributes: Attributes, detail: str | None = None
    ) -> None:
        """Record a span that has just ended, after so many seconds."""
        end = time.time_ns()
        start = end - round(duration * 1e9)
        span = self._tracer.start_span(name, kind=kind, attributes=attributes, start_time=start)
        if "error.type" in attributes:
            span.set_status(Status(StatusCode.ERROR, detail))
        span.end(end)


def _check_provider(name: str, provider: object, kind: type) -> None:
    if provider is not None and not isinstance(provider, kind):
        raise ConfigurationError(f"{name} must be a {kind.__name__} of OpenTelemetry, not {type(provider).__name__}")


class _Known:
    """The names that came first, up to so many: others are not distinguished."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: set[str] = set()

    def name(self, name: str) -> str:
        """Return a name that is distinguished, or ``_OTHER``."""
        if name in self._names:
            return name
        if len(self._names) >= self._most:
            return _OTHER
        self._names.add(name)  # threads that meet here may keep one name more each
        return name


def _present(attributes: Mapping[str, str | None]) -> Attributes:
    """Return those that have a value: an attribute of OpenTelemetry cannot be None."""
    return {name: value for name, value in attributes.items() if value is not None}


def _server(jwks_uri: str) -> Attributes:
    url = urlsplit(jwks_uri)
    return {"server.address": url.hostname or "", "server.port": url.port or (443 if url.scheme == "https" else 80)}


def _url(jwks_uri: str) -> Attributes:
    return {"url.full": jwks_uri, **_server(jwks_uri)}


def _note(name: str, attributes: Attributes) -> None:
    # A refresh in the background outlives the request that began it, and its span.
    span = get_current_span()
    if span.is_recording():
        span.add_event(f"private_key_jwt.{name}", attributes)
