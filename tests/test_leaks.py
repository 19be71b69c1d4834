"""What never stands in a log, an event, an error, or what hangs on it; and that nobody writes lines into the log."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from edges import Edge
from loopback import Publisher, http
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    InvalidClient,
    InvalidRequest,
    MemoryReplayStore,
    RegisteredClient,
    TemporarilyUnavailable,
    VerifiedAssertion,
)
from private_key_jwt.events import Event, log_events
from private_key_jwt.testing import DEFECTS, Clock, RelyingParty, Tenant
from support import claims_of, held_by, jwk, private_key, sign_json

AUDIENCE = "https://op.example.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CANARY = "Canary7f3a"
JTI = "Jti9c1d"


class MarkedTenant(Tenant):
    """Each of its assertions has a claim and a ``jti`` that can be looked for."""

    def claims(self) -> dict[str, Any]:
        claims = super().claims()
        return {**claims, "nonce": CANARY, "jti": f"{JTI}-{claims['jti']}"}


class Recorder:
    """Keep all that is reported: every log record at DEBUG, every event, every error."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.events: list[Event] = []
        self.errors: list[AuthenticationError] = []
        self._caplog = caplog

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        log_events(event)

    def see(self, kind: type[AuthenticationError], call: Any, *args: Any) -> None:
        with pytest.raises(kind) as caught:
            call(*args)
        self.errors.append(caught.value)

    @property
    def records(self) -> list[logging.LogRecord]:
        return self._caplog.records

    def recorded(self) -> str:
        """All that was logged, by whomever and with whatever it carries, and all events."""
        records = [f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in self.records]
        events = [repr([getattr(event, field.name) for field in fields(event)]) for event in self.events]
        return "\n".join([*records, *events])

    def raised(self) -> str:
        """All that the errors hold: texts, arguments and tracebacks, of each error that hangs on another."""
        return "\n".join(text for error in self.errors for text in [*traceback.format_exception(error), held_by(error)])

    def check_lines(self) -> None:
        """Each message of ours, and each error, is one line of printable ASCII."""
        own = [record.getMessage() for record in self.records if record.name.startswith("private_key_jwt")]
        for line in [*own, *map(str, self.errors)]:
            assert line.isascii(), line
            assert line.isprintable(), line


@pytest.fixture
def recorder(caplog: pytest.LogCaptureFixture) -> Iterator[Recorder]:
    # From the root on: what httpx and httpcore log is read, too.
    with caplog.at_level(logging.DEBUG):
        yield Recorder(caplog)


def verifier(edge: Edge, clock: Clock, recorder: Recorder, client: RegisteredClient, **settings: Any) -> Any:
    return edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[client],
        replay_store=settings.pop("store", None) or MemoryReplayStore(),
        fetcher=edge.fetcher(clock=clock, on_event=recorder.on_event),
        clock=clock,
        on_event=recorder.on_event,
        **settings,
    )


def secrets_of(assertion: str, tenant: Tenant) -> list[str]:
    """What must not be recorded of an assertion: its segments, its unregistered claims, its ``jti``, and the key."""
    segments = [segment for segment in re.split(r"[.\s]", assertion) if len(segment) > 12]
    private_key = tenant.current_key.private_key
    assert isinstance(private_key, RSAPrivateKey)
    numbers = private_key.private_numbers()
    key = [str(tenant.current_key.public_jwk()["n"]), str(numbers.d), str(numbers.public_numbers.n)]
    return [CANARY, JTI, *(segment[-12:] for segment in segments), *(segment[:30] for segment in segments), *key]


@pytest.mark.parametrize("name", DEFECTS)
def test_a_refused_assertion_is_recorded_nowhere(edge: Edge, clock: Clock, recorder: Recorder, name: str) -> None:
    party = RelyingParty(audience=AUDIENCE, clock=clock)
    tenant = MarkedTenant("acme", "portal-acme", audience=AUDIENCE, clock=clock, base_url=party.base_url)
    party._tenants["acme"] = tenant
    with party.serve() as server:
        subject = verifier(edge, clock, recorder, tenant.client(server.base_url))
        assertion = tenant.defective(name)
        recorder.see(InvalidClient, subject.verify, assertion)
        form = {"client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
        recorder.see(InvalidClient, subject.authenticate, form)
    secrets = secrets_of(assertion, tenant)
    assert [secret for secret in secrets if secret in recorder.recorded()] == []
    assert [secret for secret in secrets if secret in recorder.raised()] == []
    recorder.check_lines()


def test_an_accepted_and_a_replayed_assertion_are_recorded_nowhere(
    edge: Edge, clock: Clock, recorder: Recorder
) -> None:
    party = RelyingParty(audience=AUDIENCE, clock=clock)
    tenant = MarkedTenant("acme", "portal-acme", audience=AUDIENCE, clock=clock, base_url=party.base_url)
    party._tenants["acme"] = tenant
    with party.serve() as server:
        subject = verifier(edge, clock, recorder, tenant.client(server.base_url))
        assertion = tenant.assertion()
        verified: VerifiedAssertion = subject.verify(assertion)
        recorder.see(InvalidClient, subject.verify, assertion)
    secrets = secrets_of(assertion, tenant)
    assert [secret for secret in secrets if secret in recorder.recorded() + recorder.raised() + repr(verified)] == []
    recorder.check_lines()


# Lines that a stranger, or a publisher, would like to write into a log.
INJECTIONS = {
    "line_feed": "x\nWARNING forged",
    "crlf": "x\r\nWARNING forged",
    "escape": "x\x1b[2Jforged",
    "nul": "x\0forged",
    "c1": "x\x85forged\x9b",
    "separator": "x\u2028forged\u2029",
    "bidi": "x\u202eforged",
    "letters": "\u00e9\u00df\u65e5\U0001f600",
    "percent": "%s%d%(name)s%n",
    "braces": "{0.__class__}{}",
    "long": "x" * 250,
}


@pytest.mark.parametrize("where", ["kid", "jti", "iss", "aud", "alg", "typ", "exp", "claim", "client_id"])
def test_a_stranger_writes_no_line(edge: Edge, clock: Clock, recorder: Recorder, where: str) -> None:
    subject = verifier(edge, clock, recorder, RegisteredClient("c", jwks={"keys": [jwk()]}))
    for text in INJECTIONS.values():
        header = {"alg": "RS256", "kid": "k1"}
        claims = claims_of("c", AUDIENCE, int(clock()))
        if where in ("kid", "alg", "typ"):
            header[where] = text
        elif where == "iss":
            claims |= {"iss": text, "sub": text}
        else:
            claims[where] = text
        client_id = text if where == "client_id" else None
        assertion = sign_json(header, claims, private_key(1) if where in ("jti", "claim") else None)
        recorder.see(InvalidClient, subject.verify, assertion, client_id)
    recorder.check_lines()
    # A detail may quote the value that was refused, escaped; nothing else of an event holds a claim.
    for event in recorder.events:
        reported = {field.name: getattr(event, field.name) for field in fields(event) if field.name != "detail"}
        assert "forged" not in str(reported) or where == "kid"


@pytest.mark.parametrize("where", ["kid", "use", "alg", "kty", "key_ops", "n", "e", "member"])
def test_a_publisher_writes_no_line(
    edge: Edge, publisher: Publisher, clock: Clock, recorder: Recorder, where: str
) -> None:
    for text in INJECTIONS.values():
        publisher.keys += [jwk(**{where: text}), jwk(kid=text), jwk(kid=text, d=CANARY)]
    subject = verifier(edge, clock, recorder, RegisteredClient("c", jwks_uri=publisher.uri()))
    for keys in (publisher.keys, []):  # a key that leaves is reported, too
        publisher.keys = keys
        claims = claims_of("c", AUDIENCE, int(clock()))
        recorder.see(InvalidClient, subject.verify, sign_json({"alg": "RS256", "kid": "nobody"}, claims))
        clock.advance(31)
    recorder.check_lines()
    assert CANARY not in recorder.recorded() + recorder.raised()
    assert jwk()["n"] not in recorder.recorded() + recorder.raised()


def _with(**fields: str) -> bytes:
    return http(b"{}", **fields)  # type: ignore[arg-type]


ANSWERS: dict[str, bytes] = {
    "malformed": http(b'{"keys":["' + CANARY.encode() + b"\n"),
    "not_utf8": http(b'{"keys":["\xff' + CANARY.encode() + b'"]}'),
    "html": http(f"<html>{CANARY}".encode(), content_type="text/html"),
    "content_type": _with(content_type="x/\u00e9\u2028\x85forged"),
    "charset": _with(content_type="application/json; charset=\u00e9\x1bforged"),
    "encoding": _with(headers="Content-Encoding: \u00e9\x85forged\r\n"),
    "status_text": _with(status="500 \u00e9 forged"),
    "redirect": _with(status="302 Found", headers=f"Location: https://evil.example/{CANARY}\r\n"),
    "redirect_letters": _with(status="302 Found", headers="Location: https://\u00e9vil.example/\u65e5\r\n"),
    "redirect_port": _with(status="302 Found", headers=f"Location: https://evil.example:\u00e9{CANARY}/\r\n"),
    "redirect_host": _with(status="302 Found", headers=f"Location: https://[{CANARY}\u00e9\r\n"),
    "redirect_control": _with(status="302 Found", headers="Location: https://evil.example/\x7f\x85forged\r\n"),
    "redirect_scheme": _with(status="302 Found", headers=f"Location: javascript:{CANARY}\u00e9\r\n"),
    "bad_header": b"HTTP/1.1 200 OK\r\n\xc3\xa9" + CANARY.encode() + b"\x1b: x\r\n\r\n",
    "bad_status": b"HTTP/9.9 \xc3\xa9" + CANARY.encode() + b"\r\n\r\n",
    "no_http": f"\u00e9{CANARY}\x1b[2J\n".encode(),
    "bad_chunk": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    + f"{CANARY}\u00e9\r\n".encode(),
    "bad_length": _with(headers=f"Content-Length: \u00e9{CANARY}\r\n"),
    "cookie": http(b"[]", headers=f"Set-Cookie: a={CANARY}\r\n"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_bad_answer_writes_no_line(
    edge: Edge, publisher: Publisher, clock: Clock, recorder: Recorder, name: str
) -> None:
    publisher.answer = ANSWERS[name]
    subject = verifier(edge, clock, recorder, RegisteredClient("c", jwks_uri=publisher.uri()))
    claims = claims_of("c", AUDIENCE, int(clock()), jti=JTI, nonce=CANARY)
    recorder.see(TemporarilyUnavailable, subject.verify, sign_json({"alg": "RS256", "kid": "k1"}, claims))
    recorder.check_lines()
    own = [record.getMessage() for record in recorder.records if record.name.startswith("private_key_jwt")]
    assert JTI not in "".join(own) + recorder.raised()
    for event in recorder.events:
        for value in (getattr(event, field.name) for field in fields(event)):
            assert not isinstance(value, str) or (value.isascii() and value.isprintable()), value


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_registered_name_writes_no_line(edge: Edge, clock: Clock, recorder: Recorder, name: str) -> None:
    text = INJECTIONS[name]
    client = RegisteredClient(text, jwks={"keys": [jwk(kid=text)]})
    claims = claims_of(text, AUDIENCE, int(clock()), jti=text)
    subject = verifier(edge, clock, recorder, client)
    assertion = sign_json({"alg": "RS256", "kid": text}, claims)
    assert subject.verify(assertion).client_id == text
    recorder.see(InvalidClient, subject.verify, assertion)
    recorder.check_lines()


class Failing:
    """A replay store whose error holds what it likes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def add(self, _key: bytes, _expires_at: float, _now: float) -> bool:
        raise OSError(self._text)


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_store_or_a_look_up_that_fails_writes_no_line(
    edge: Edge, clock: Clock, recorder: Recorder, name: str
) -> None:
    client = RegisteredClient("c", jwks={"keys": [jwk()]})
    claims = claims_of("c", AUDIENCE, int(clock()))
    assertion = sign_json({"alg": "RS256", "kid": "k1"}, claims)
    failing = verifier(edge, clock, recorder, client, store=Failing(INJECTIONS[name]))
    recorder.see(TemporarilyUnavailable, failing.verify, assertion)
    lost = edge.verifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients={}.__getitem__ if name == "percent" else Failing(INJECTIONS[name]).add.__get__,
        replay_store=MemoryReplayStore(),
        clock=clock,
        on_event=recorder.on_event,
    )
    recorder.see(TemporarilyUnavailable, lost.verify, assertion)
    recorder.check_lines()


class Undecodable:
    """A form whose parser raises what holds the body."""

    def __iter__(self) -> Any:
        yield (f"client_assertion={CANARY}".encode() + b"\xff").decode()


FORMS: dict[str, Any] = {
    "undecodable": Undecodable(),
    "not_utf8": {"client_assertion": b"\xff" + CANARY.encode(), "client_assertion_type": ASSERTION_TYPE},
    "name_not_utf8": [(b"\xff" + CANARY.encode(), "x")],
    "twice": [("client_assertion", f"{CANARY}.{CANARY}.{CANARY}"), ("client_assertion", CANARY)],
    "half": {"client_assertion": CANARY},
    "no_text": {"client_assertion": {"a": CANARY}},
    "no_pairs": [f"client_assertion={CANARY}"],
    "a_body": f"client_assertion={CANARY}",
    "secret": {"client_assertion": CANARY, "client_assertion_type": ASSERTION_TYPE, "client_secret": CANARY},
}


@pytest.mark.parametrize("name", FORMS)
def test_a_malformed_request_is_recorded_nowhere(edge: Edge, clock: Clock, recorder: Recorder, name: str) -> None:
    subject = verifier(edge, clock, recorder, RegisteredClient("c", jwks={"keys": [jwk()]}))
    recorder.see(InvalidRequest, subject.authenticate, FORMS[name])
    form = {"client_assertion": "a", "client_assertion_type": ASSERTION_TYPE}
    recorder.see(InvalidRequest, subject.authenticate, form, f"Basic {CANARY}")
    assert CANARY not in recorder.recorded() + recorder.raised()
    recorder.check_lines()


def test_an_answer_for_the_wire_holds_nothing_of_the_request(edge: Edge, clock: Clock, recorder: Recorder) -> None:
    subject = verifier(edge, clock, recorder, RegisteredClient("c", jwks={"keys": [jwk()]}))
    answers = set()
    for number in range(3):
        claims = {"iss": f"{CANARY}{number}", "sub": f"{CANARY}{number}", "aud": CANARY}
        recorder.see(InvalidClient, subject.verify, sign_json({"alg": "RS256", "kid": CANARY}, claims))
        answers.add(json.dumps(recorder.errors[-1].to_response()))
    assert len(answers) == 1
    assert CANARY not in answers.pop()
