"""Metrics, spans and a log of a verifier, on the console. Run it: python otel_events.py"""

import logging
from contextlib import suppress

from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import set_tracer_provider

from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
)
from private_key_jwt.events import Event, log_events
from private_key_jwt.integrations.otel import OpenTelemetryEvents
from private_key_jwt.testing import RelyingParty

telemetry = OpenTelemetryEvents()  # the global providers, whenever they are set


def on_event(event: Event) -> None:  # several at once: call them one after the other
    log_events(event)
    telemetry(event)


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    set_tracer_provider(tracer_provider)
    meter_provider = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    set_meter_provider(meter_provider)

    tenant = (relying_party := RelyingParty()).tenant("acme")
    with relying_party.serve() as server:
        verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience=relying_party.audience),
            clients=[tenant.client(server.base_url)],
            replay_store=MemoryReplayStore(),
            fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True), on_event=on_event),
            on_event=on_event,  # to both: what is fetched is told by the fetcher
        )
        verifier.verify(tenant.assertion())
        with suppress(AuthenticationError):
            verifier.verify(tenant.defective("aud_slash"))
    meter_provider.shutdown()  # it prints what it has


if __name__ == "__main__":
    main()
