"""``demo``: token requests over real HTTP, from LedgerBee's look-alike to a token endpoint, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import ledgerbee
from .._core.token_request import ASSERTION_TYPE
from ..exceptions import Reason
from ..fetcher import JWKSFetcher
from ..policy import AssertionPolicy, JWKSPolicy
from ..stores import MemoryReplayStore
from ..testing import Clock, RelyingParty, SigningKey, Tenant
from ..testing._relying_party import AUDIENCE
from ..verifier import ClientAssertionVerifier
from . import _token_endpoint
from ._output import ExitCode, console, printable
from ._token_endpoint import ACCEPTED, TokenEndpoint

ISSUER = AUDIENCE
_UNKNOWN_TENANT = "portal-ghost"
_POLICY = JWKSPolicy(allow_http_loopback=True, stale_if_error=0)
_LATER = f"{_POLICY.ttl:g} s later"


@dataclass(slots=True)
class Setup:
    """Hold what the steps work on. ``sent`` is the last assertion; all go by the one clock."""

    clock: Clock
    relying_party: RelyingParty
    acme: Tenant
    jwks_uri: str
    endpoint: TokenEndpoint
    http: httpx.Client
    sent: str = ""
    old_key: SigningKey | None = None

    def request(self, assertion: str, **parameters: str) -> httpx.Response:
        """Send a token request."""
        self.sent = assertion
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return self.http.post(self.endpoint.url, data={**form, **parameters})


class Step(NamedTuple):
    """One line: what is sent, and what must come back."""

    title: str
    send: Callable[[Setup], httpx.Response]
    status: int
    error: str | None = None
    verdict: str = ACCEPTED


class Result(NamedTuple):
    """Hold what came back, and in how many seconds."""

    status: int
    error: str | None
    verdict: str
    detail: str
    seconds: float
    retry_after: str | None = None

    def meets(self, step: Step) -> bool:
        """Report whether it is what the step expects; a 503 must say when to come back."""
        as_expected = (self.status, self.error, self.verdict) == (step.status, step.error, step.verdict)
        return as_expected and (self.status == httpx.codes.SERVICE_UNAVAILABLE) == (self.retry_after is not None)


# What is sent


def _fresh(setup: Setup) -> httpx.Response:
    return setup.request(setup.acme.assertion())


def _again(setup: Setup) -> httpx.Response:
    return setup.request(setup.sent)


def _expired(setup: Setup) -> httpx.Response:
    now = int(setup.clock())
    return setup.request(setup.acme.assertion(iat=now - 102, exp=now - 42))


def _other_audience(setup: Setup) -> httpx.Response:
    return setup.request(setup.acme.assertion(aud="https://other-op.example.com"))


def _forged(setup: Setup) -> httpx.Response:
    forger = SigningKey.generate(kid=setup.acme.kid)
    return setup.request(setup.acme.assertion(key=forger))


def _altered(setup: Setup) -> httpx.Response:
    header, _, signature = setup.acme.assertion().split(".")
    _, claims, _ = setup.acme.assertion().split(".")
    return setup.request(f"{header}.{claims}.{signature}")


def _unknown_tenant(setup: Setup) -> httpx.Response:
    return setup.request(setup.acme.assertion(iss=_UNKNOWN_TENANT, sub=_UNKNOWN_TENANT))


def _unknown_client(setup: Setup) -> httpx.Response:
    return setup.request(setup.acme.assertion(iss="stranger", sub="stranger"))


def _second_mechanism(setup: Setup) -> httpx.Response:
    return setup.request(setup.acme.assertion(), client_secret="a-secret-too")  # noqa: S106 - made up


def _no_assertion(setup: Setup) -> httpx.Response:
    return setup.http.post(setup.endpoint.url, data={"grant_type": "client_credentials"})


def _rotated(setup: Setup) -> httpx.Response:
    setup.old_key = setup.acme.current_key
    setup.acme.rotate()
    return _fresh(setup)


def _old_key(setup: Setup) -> httpx.Response:
    return setup.request(setup.acme.assertion(key=setup.old_key))


def _removed_now(setup: Setup) -> httpx.Response:
    setup.acme.end_grace()
    return _old_key(setup)


def _removed_for_the_cache_time(setup: Setup) -> httpx.Response:
    setup.clock.advance(_POLICY.ttl)
    return _old_key(setup)


def _outage(setup: Setup) -> httpx.Response:
    setup.clock.advance(_POLICY.ttl)
    setup.relying_party.outage = 500
    return _fresh(setup)


def _outage_over(setup: Setup) -> httpx.Response:
    setup.relying_party.outage = None
    return _fresh(setup)


STEPS = (
    Step("Valid; its key is fetched", _fresh, 200),
    Step("Valid; the key is known", _fresh, 200),
    Step("The same again: a replay", _again, 401, "invalid_client", Reason.REPLAYED),
    Step("Expired 42 s ago", _expired, 401, "invalid_client", Reason.EXPIRED),
    Step("For another audience", _other_audience, 401, "invalid_client", Reason.AUDIENCE_MISMATCH),
    Step("Forged with another key", _forged, 401, "invalid_client", Reason.BAD_SIGNATURE),
    Step("Claims altered afterwards", _altered, 401, "invalid_client", Reason.BAD_SIGNATURE),
    Step("Tenant unknown to LedgerBee", _unknown_tenant, 401, "invalid_client", Reason.NO_KEYS),
    Step("Client unknown to the OP", _unknown_client, 401, "invalid_client", Reason.UNKNOWN_CLIENT),
    Step("A client_secret beside it", _second_mechanism, 400, "invalid_request", Reason.INVALID_REQUEST),
    Step("No client authentication", _no_assertion, 401, "invalid_client", "missing_assertion"),
    Step("Rotated: the new key", _rotated, 200),
    Step("Rotated: old key, in grace", _old_key, 200),
    Step("Old key removed, but cached", _removed_now, 200),
    Step(f"{_LATER}: removed key", _removed_for_the_cache_time, 401, "invalid_client", Reason.UNKNOWN_KID),
    Step("The key that stayed", _fresh, 200),
    Step(f"{_LATER}: an outage", _outage, 503, "temporarily_unavailable", Reason.JWKS_UNAVAILABLE),
    Step("The outage is over", _outage_over, 200),
)


def demo() -> None:
    """Send token requests over real HTTP on this machine, and show each response.

    A look-alike of LedgerBee publishes keys, and a small token endpoint verifies.
    Time is moved by a clock: nothing waits.

    Exit code 0: every line came out as expected. 1: one did not.
    """
    out = console()
    with _set_up() as setup:
        out.print(Text(f"LedgerBee look-alike at {setup.jwks_uri}"), soft_wrap=True)
        out.print(Text(f"Token endpoint at {setup.endpoint.url}, audience {ISSUER}\n"), soft_wrap=True)
        failures = take_steps(setup, STEPS, out)
    if failures:
        out.print(Text(f"\n{failures} of {len(STEPS)} lines did not come out as expected.", "bold red"))
        raise typer.Exit(ExitCode.REFUSED)
    out.print(Text(f"\nAll {len(STEPS)} lines came out as expected.", "bold green"))


@contextmanager
def _set_up() -> Iterator[Setup]:
    clock = Clock()
    relying_party = RelyingParty(audience=ISSUER, clock=clock)
    with relying_party.serve() as publisher, JWKSFetcher(_POLICY, clock=clock) as fetcher:
        acme = relying_party.tenant("acme")
        client = acme.client(publisher.base_url)
        verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience=ISSUER),
            clients=[client, ledgerbee.client(_UNKNOWN_TENANT, slug="ghost", base_url=publisher.base_url)],
            replay_store=MemoryReplayStore(),
            fetcher=fetcher,
            clock=clock,
        )
        with _token_endpoint.serve(verifier) as endpoint, httpx.Client(trust_env=False) as http:
            yield Setup(clock, relying_party, acme, str(client.jwks_uri), endpoint, http)


def take_steps(setup: Setup, steps: Iterable[Step], out: Console) -> int:
    """Do the steps, print a line for each as it comes, and count those that are not as expected."""
    out.print(_line("", "what was sent", "response", "operator's log", "ms", "bold"))
    failures = 0
    for step in steps:
        result = _take(setup, step)
        is_met = result.meets(step)
        failures += not is_met
        style = "green" if is_met else "bold red"
        out.print(
            _line(
                "ok" if is_met else "FAIL",
                step.title,
                _describe_response(result.status, result.error, result.retry_after),
                result.verdict,
                f"{result.seconds * 1_000:.1f}",
                style,
            )
        )
        if not is_met:
            expected = f"expected {_describe_response(step.status, step.error)}, {step.verdict}"
            out.print(Text(f"      {expected}; the log says: {printable(result.detail)}", style))
    return failures


def _take(setup: Setup, step: Step) -> Result:
    response = step.send(setup)
    logged = setup.endpoint.log.get()
    return Result(
        response.status_code,
        response.json().get("error"),
        logged.verdict,
        logged.detail,
        response.elapsed.total_seconds(),
        response.headers.get("Retry-After"),
    )


def _describe_response(status: int, error: str | None, retry_after: str | None = None) -> str:
    response = f"{status} {error or 'token'}"
    return response if retry_after is None else f"{response} Retry-After: {retry_after}"


def _line(mark: str, title: str, response: str, reason: str, milliseconds: str, style: str) -> Table:
    """Make one line of the table, for itself: a whole table could only be printed when all is over."""
    line = Table.grid(padding=(0, 1, 0, 0), expand=True)
    line.add_column(width=4)
    line.add_column(ratio=1, overflow="fold")
    line.add_column(width=23, overflow="fold")
    line.add_column(width=17)
    line.add_column(width=5, justify="right")
    line.add_row(Text(mark, style), Text(title), Text(response, style), Text(reason, style), Text(milliseconds, "dim"))
    return line
