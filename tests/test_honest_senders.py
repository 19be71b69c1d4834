"""What honest clients send and stumble over: taken where that costs nothing, or refused with the cause in the detail.

Over both verifiers. What their publishers serve is in ``test_published_keys.py`` and ``fetcher/test_http.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edges import Edge
from openid_provider import OpenIDProvider
from private_key_jwt import AssertionPolicy, AuthenticationError, InvalidClient, Reason
from private_key_jwt.events import AssertionRefused, Event, log_events
from private_key_jwt.testing import REMOVED, Clock, Tenant

OP = "https://op.example.com"
TOKEN = f"{OP}/oauth2/token"
POLICY = AssertionPolicy(audience=OP)
Make = Callable[[Tenant, int], str]


class Provider(OpenIDProvider):
    """One that keeps its events."""

    def __init__(self, edge: Edge, clock: Clock) -> None:
        super().__init__(edge, clock, POLICY)
        self.events: list[Event] = []

    def verify(self, make: Make, **policy: Any) -> Any:
        verifier = self.make(policy=AssertionPolicy(**{"audience": OP, **policy}), on_event=self.events.append)
        return verifier.verify(make(self.tenant, int(self.clock())))


@pytest.fixture
def provider(edge: Edge, clock: Clock) -> Iterator[Provider]:
    with Provider(edge, clock) as made:
        yield made


def sent(**changes: Any) -> Make:
    return lambda tenant, _now: tenant.assertion(**changes)


def timed(**offsets: float) -> Make:
    def make(tenant: Tenant, now: int) -> str:
        changes: dict[str, Any] = {name: now + offset for name, offset in offsets.items()}
        return tenant.assertion(**changes)

    return make


def spelled(spell: Callable[[str], str]) -> Make:
    return lambda tenant, _now: spell(tenant.assertion())


BOTH = {"audience": [OP, TOKEN], "audience_rule": "all"}

TAKEN: dict[str, tuple[Make, dict[str, Any]]] = {
    "issuer and token endpoint": (sent(aud=[OP, TOKEN]), BOTH),
    "a list of one": (sent(aud=[OP]), {}),
    "cty on a plain JWS": (sent(header={"cty": "JWT"}), {}),
    "iat set back by the leeway": (timed(iat=-int(POLICY.leeway), exp=int(POLICY.max_lifetime)), {}),
    "a clock that is fast by less than the leeway": (timed(iat=10, exp=70), {}),
    "an exp that has passed by less than the leeway": (timed(iat=-70, exp=-10), {}),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_costs_nothing_is_taken(provider: Provider, kind: str) -> None:
    make, policy = TAKEN[kind]
    assert provider.verify(make, **policy).client_id == provider.tenant.client_id


Row = tuple[Make, dict[str, Any], Reason, list[str]]

REFUSED: dict[str, Row] = {
    "a foreign third audience": (
        sent(aud=[OP, TOKEN, "https://other.example"]),
        BOTH,
        Reason.AUDIENCE_MISMATCH,
        ["'https://other.example' is not accepted, and all must be"],
    ),
    "a list with another server": (
        sent(aud=[OP, "https://other.example"]),
        {},
        Reason.AUDIENCE_MISMATCH,
        ["expected a single audience, got 2", f"only '{OP}' is accepted: send that alone"],
    ),
    "a list of other servers": (
        sent(aud=[f"{OP}/", "https://other.example"]),
        {},
        Reason.AUDIENCE_MISMATCH,
        [f"expected a single audience, got 2, of which none is accepted: send '{OP}' alone"],
    ),
    "the token endpoint for the issuer": (
        sent(aud=TOKEN),
        {},
        Reason.AUDIENCE_MISMATCH,
        [f"got aud '{TOKEN}', expected '{OP}'", "is the issuer meant, or the token endpoint?"],
    ),
    "http for https": (
        sent(aud="http://op.example.com"),
        {},
        Reason.AUDIENCE_MISMATCH,
        ["only the scheme differs, http or https"],
    ),
    "a difference in the middle of a long URL": (
        sent(aud=f"https://login.example/{'a' * 60}/v1/{'b' * 60}"),
        {"audience": f"https://login.example/{'a' * 60}/v2/{'b' * 60}"},
        Reason.AUDIENCE_MISMATCH,
        ["they differ at character 85", "/v1/", "/v2/"],
    ),
    "another cty": (sent(header={"cty": "at+jwt"}), {}, Reason.MALFORMED, ["expected no cty, or JWT, got 'at+jwt'"]),
    "a line break at its end": (
        spelled(lambda text: f"{text}\n"),
        {},
        Reason.MALFORMED,
        ["'\\n' at character", "a line break at its end"],
    ),
    "wrapped lines": (
        spelled(lambda text: "\n".join(text[start : start + 64] for start in range(0, len(text), 64))),
        {},
        Reason.MALFORMED,
        ["'\\n' at character 65 of", "a line break: it is wrapped at 64 columns"],
    ),
    "padding": (spelled(lambda text: f"{text}=="), {}, Reason.MALFORMED, ["'=' at character", "base64 padding"]),
    "Bearer": (spelled(lambda text: f"Bearer {text}"), {}, Reason.MALFORMED, ["an authorization scheme stands in"]),
    "the repr of bytes": (spelled(lambda text: f"b'{text}'"), {}, Reason.MALFORMED, ["the repr of Python bytes"]),
    "quotes": (spelled(lambda text: f'"{text}"'), {}, Reason.MALFORMED, ["it stands in quotes"]),
    "a typographic dash": (
        spelled(lambda text: text.replace(".", "\u2013.", 1)),
        {},
        Reason.MALFORMED,
        ["'\\u2013' (en dash) at character", "a typographic dash in place of -"],
    ),
    "the parameter's name": (
        spelled(lambda text: f"client_assertion={text}"),
        {},
        Reason.MALFORMED,
        ["the name of the parameter stands in front"],
    ),
    "standard base64": (spelled(lambda text: text.replace(".", "+.", 1)), {}, Reason.MALFORMED, ["in place of base64"]),
    "percent-encoded twice": (
        spelled(lambda text: text.replace(".", "%2E")),
        {},
        Reason.MALFORMED,
        ["'%' at character", "it was percent-encoded once too often"],
    ),
    "cut off": (
        spelled(lambda text: text[:-1]),
        {},
        Reason.MALFORMED,
        ["the signature segment", "341 characters, which no base64url has", "RS256 has at least 342, so it was cut"],
    ),
    "a claims segment cut off": (
        spelled(lambda text: "{}.{[0]}.{}".format(*text.split("."))),
        {},
        Reason.MALFORMED,
        ["the claims segment", "1 characters, which no base64url has", "was the assertion cut or changed?"],
    ),
    "certificates in the header": (
        sent(header={"x5c": ["M" * 1_800] * 6}),
        {},
        Reason.TOO_LARGE,
        ["a header segment of at most 11264 characters, got 14"],
    ),
    "many attributes": (
        sent(roles=["admin"] * 600),
        {},
        Reason.TOO_LARGE,
        ["a claims segment of at most 5120 characters", "got 6"],
    ),
    "one long attribute": (
        sent(picture="x" * 5_000),
        {},
        Reason.TOO_LARGE,
        ["a claims segment of at most 5120 characters", "got 6"],
    ),
    "far too many attributes": (
        sent(roles=["admin"] * 4_000),
        {},
        Reason.TOO_LARGE,
        [f"expected at most {POLICY.max_assertion_bytes} bytes", ": header ", ", claims 42", ", signature 342"],
    ),
    "cut off where an octet ends": (
        spelled(lambda text: text[:-2]),
        {},
        Reason.BAD_SIGNATURE,
        ["the signature has 255 octets, and one of this key has 256: was it cut"],
    ),
    "exp in milliseconds": (
        lambda tenant, now: tenant.assertion(exp=(now + 60) * 1_000),
        {},
        Reason.LIFETIME_TOO_LONG,
        ["it looks like milliseconds"],
    ),
    "iat in milliseconds": (
        lambda tenant, now: tenant.assertion(iat=now * 1_000),
        {},
        Reason.NOT_YET_VALID,
        ["iat is", "it looks like milliseconds"],
    ),
    "exp as a duration": (sent(exp=300), {}, Reason.EXPIRED, ["it looks like a duration, not a point in time"]),
    "exp as a text": (
        sent(exp="2026-11-29T18:13:00Z"),
        {},
        Reason.INVALID_CLAIM,
        ["expected exp to be a number of seconds since the epoch, got '2026-11-29T18:13:00Z'"],
    ),
    "exp as a number in quotes": (
        lambda tenant, now: tenant.assertion(exp=str(now + 60)),
        {},
        Reason.INVALID_CLAIM,
        ["a text: write the number without quotes"],
    ),
    "exp as the digits of a date": (
        sent(exp=20261129181300),
        {},
        Reason.LIFETIME_TOO_LONG,
        ["its digits look like a date (2026-11-29)"],
    ),
    "exp from Apple's reference date": (
        timed(iat=-978_307_200, exp=60 - 978_307_200),
        {},
        Reason.EXPIRED,
        ["since 2001"],
    ),
    "exp of a time that was never set": (sent(exp=-62_135_596_800), {}, Reason.INVALID_CLAIM, ["was it never set?"]),
    "a week": (timed(iat=0, exp=604_800), {}, Reason.LIFETIME_TOO_LONG, ["max_lifetime can be 86400 at most"]),
    "times off by whole hours": (
        timed(iat=7_200, exp=7_260),
        {},
        Reason.LIFETIME_TOO_LONG,
        ["it is off by 2 h: is a time zone the cause?"],
    ),
    "a clock that is fast": (timed(iat=45, exp=105), {}, Reason.NOT_YET_VALID, ["iat is 45 s ahead", "clock fast"]),
    "a clock that is fast by minutes": (
        timed(iat=400, exp=460),
        {},
        Reason.LIFETIME_TOO_LONG,
        ["it lives 60 s from iat, which is 400 s ahead", "clock fast"],
    ),
    "a clock that is fast, between two seconds": (
        lambda tenant, now: tenant.assertion(iat=now + 45, exp=now + 105),
        {},
        Reason.NOT_YET_VALID,
        ["iat is 45 s ahead"],
    ),
    "a clock that is slow": (
        timed(iat=-130, exp=-70),
        {},
        Reason.EXPIRED,
        ["expired 70 s ago", "made 130 s ago for 60 s", "clock slow?"],
    ),
    "an hour": (timed(iat=0, exp=3_600), {}, Reason.LIFETIME_TOO_LONG, ["got 3600 s", "or raise max_lifetime"]),
    "no jti": (sent(jti=REMOVED), {}, Reason.MISSING_CLAIM, ["expected the claim jti, and it is absent"]),
    "a long jti": (sent(jti="j" * 300), {}, Reason.INVALID_CLAIM, ["a jti of at most 256 bytes, got 300"]),
    "an access token": (
        sent(header={"typ": "at+jwt"}),
        {},
        Reason.UNSUPPORTED_TYP,
        ["'at+jwt': by its label it is another kind of token"],
    ),
    "the typ of any JWS": (sent(header={"typ": "JOSE"}), {}, Reason.UNSUPPORTED_TYP, ["got 'JOSE': is JWT meant?"]),
    "two audiences in one text": (sent(aud=f"{OP},{TOKEN}"), {}, Reason.AUDIENCE_MISMATCH, ["several values stand in"]),
    "a client_id that was never set": (
        sent(iss="undefined", sub="undefined"),
        {},
        Reason.UNKNOWN_CLIENT,
        ["no client is registered as 'undefined'; it is what JavaScript writes for a missing value"],
    ),
    "a client_id with a line break": (
        sent(iss="portal-acme\n", sub="portal-acme\n"),
        {},
        Reason.UNKNOWN_CLIENT,
        [r"no client is registered as 'portal-acme\n'; white space stands around it"],
    ),
    "another algorithm than registered": (
        sent(header={"alg": "PS256"}),
        {},
        Reason.UNSUPPORTED_ALG,
        ["expected alg RS256 (the client's signing_algs), got 'PS256'"],
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_leads_to_the_cause(provider: Provider, kind: str) -> None:
    make, policy, reason, words = REFUSED[kind]
    with pytest.raises(InvalidClient) as caught:
        provider.verify(make, **policy)
    detail = caught.value.detail
    assert caught.value.reason is reason, detail
    assert [word for word in words if word not in detail] == [], detail
    assert len(detail) <= 300
    (event,) = [event for event in provider.events if isinstance(event, AssertionRefused)]
    assert (event.reason, event.detail) == (reason, detail)


@pytest.mark.parametrize("kind", ["padding", "a clock that is fast"])
def test_a_line_is_for_people(provider: Provider, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    make, policy, reason, _ = REFUSED[kind]
    with pytest.raises(AuthenticationError) as caught:
        provider.verify(make, **policy)
    log_events(provider.events[-1])
    line = caplog.records[-1].getMessage()
    assert line.startswith(f"AssertionRefused: reason={reason} check={caught.value.check} ")
    assert "None" not in line
    (duration,) = [word for word in line.split() if word.startswith("duration=")]
    assert len(duration.removeprefix("duration=").replace(".", "").lstrip("0").partition("e")[0]) <= 3
    assert line.endswith(f'detail="{caught.value.detail}"')
