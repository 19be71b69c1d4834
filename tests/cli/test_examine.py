"""The recipe, a check at a time: the same verdicts as the verifier's, and no rule of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    InvalidClient,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
)
from private_key_jwt._core.checks import Check
from private_key_jwt.cli._examine import ROWS, Question, Report, State, examine
from private_key_jwt.cli._options import KeyOptions
from private_key_jwt.testing import DEFECTS, REMOVED

from .conftest import AUDIENCE, Served


def source(served: Served) -> KeyOptions:
    return KeyOptions(slug="acme", base_url=served.base_url, allow_http_loopback=True)


def ask(served: Served, assertion: str | bytes, **changes: Any) -> Report:
    question = {
        "assertion": assertion,
        "policy": AssertionPolicy(audience=AUDIENCE),
        "audience": (AUDIENCE,),
        "client_id": "portal-acme",
        "source": source(served),
        "now": served.clock(),
    }
    return examine(Question(**{**question, **changes}))


def states(report: Report) -> dict[str, State]:
    return {each.row.check: each.state for each in report.findings}


def test_every_check_has_its_row_in_the_order_of_the_recipe() -> None:
    assert ("request", *(row.check for row in ROWS)) == get_args(Check)
    assert [row.step for row in ROWS] == sorted(row.step for row in ROWS)


def test_a_valid_assertion_passes_all_that_can_be_checked_here(served: Served) -> None:
    report = ask(served, served.tenant.assertion())
    assert report.error is None
    assert report.failed is None
    unchecked = {check for check, state in states(report).items() if state is not State.PASSED}
    assert unchecked == {"client_id", "replay"}


@pytest.mark.parametrize("name", DEFECTS)
def test_it_ends_where_the_verifier_ends(served: Served, name: str) -> None:
    assertion = served.tenant.defective(name)
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[served.tenant.client(served.base_url)],
        replay_store=MemoryReplayStore(),
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),
        clock=served.clock,
    )
    with pytest.raises(InvalidClient) as refused:
        verifier.begin(assertion)
    report = ask(served, assertion)
    assert report.error is not None
    assert report.failed is not None
    assert report.error.reason == refused.value.reason
    if refused.value.reason is Reason.UNKNOWN_CLIENT:  # who is registered only the server knows
        assert "'portal-acme-nobody'" in report.error.detail
        assert "no client is registered" not in report.error.detail
    else:  # the verifier's fetcher adds how old the keys are
        assert refused.value.detail.startswith(report.error.detail.partition(" of 20")[0])
    assert report.failed.row.check == refused.value.check
    assert report.failed.found == report.error.detail
    assert states(report)[report.failed.row.check] is State.FAILED


@pytest.mark.parametrize("changes", [{}, {"exp": 0}, {"iat": "x"}, {"aud": "other"}, {"header": {"kid": "other"}}])
def test_neither_jti_nor_signature_is_shown(served: Served, changes: dict[str, Any]) -> None:
    assertion = served.tenant.assertion(jti="S3CRET-JTI", **changes)
    shown = " ".join(each.found + each.expected for each in ask(served, assertion).findings)
    assert "S3CRET" not in shown
    assert assertion.rpartition(".")[2][:16] not in shown


def test_a_segment_that_is_no_base64url_fails_before_the_header_is_reached(served: Served) -> None:
    header, claims, _signature = served.tenant.assertion().split(".")
    found = states(ask(served, f"{header}.{claims}.A"))
    assert found["segments"] is State.FAILED
    assert found["header"] is State.PASSED  # the signature is cut, and all before it can be read
    assert found["signature"] is State.NOT_REACHED
    found = states(ask(served, "A.A.A"))
    assert found["segments"] is State.FAILED
    assert found["header"] is State.NOT_REACHED


def test_bytes_are_taken_as_text_is(served: Served) -> None:
    assert ask(served, served.tenant.assertion().encode()).error is None


def test_a_bad_time_leaves_undecided_what_was_not_judged(served: Served) -> None:
    now = int(served.clock())
    ahead = states(ask(served, served.tenant.assertion(iat=now + 60)))
    assert (ahead["exp"], ahead["iat"], ahead["nbf"]) == (State.PASSED, State.FAILED, State.PASSED)
    for none in ("x", True):  # a bool is an int to Python
        both = states(ask(served, served.tenant.assertion(iat=none, exp=now - 99)))
        assert (both["exp"], both["iat"]) == (State.FAILED, State.FAILED)
    long = states(ask(served, served.tenant.assertion(iat=now - 299)))
    assert (long["exp"], long["iat"], long["lifetime"]) == (State.PASSED, State.PASSED, State.FAILED)
    strict = AssertionPolicy(audience=AUDIENCE, require_iat=True)
    absent = states(ask(served, served.tenant.assertion(iat=REMOVED), policy=strict))
    assert (absent["exp"], absent["iat"]) == (State.PASSED, State.FAILED)


def test_without_options_the_assertion_is_taken_at_its_word(served: Served) -> None:
    report = ask(served, served.tenant.assertion(), audience=None, client_id=None, source=KeyOptions())
    unchecked = {each.row.check: each.expected for each in report.findings if each.state is State.NOT_CHECKED}
    assert report.error is None
    assert unchecked == {
        "client_id": "needs a token request",
        "client": "needs --client-id",
        "signing_algs": "needs --alg: what is the client registered for?",
        "aud": "needs --audience",
        "key": "needs --slug, --jwks-uri or --jwks",
        "signature": "needs --slug, --jwks-uri or --jwks",
        "replay": "needs your server's replay store",
    }


@pytest.mark.parametrize(
    ("aud", "state"),
    [
        (["a"], State.NOT_CHECKED),
        (["a", "b"], State.FAILED),
        ([], State.FAILED),
        ([1, ""], State.FAILED),
        ("a b", State.FAILED),
        (REMOVED, State.FAILED),
    ],
)
def test_the_form_of_aud_is_judged_without_an_audience(served: Served, aud: object, state: State) -> None:
    assert states(ask(served, served.tenant.assertion(aud=aud), audience=None))["aud"] is state


def test_another_client_id_fails_at_the_client(served: Served) -> None:
    report = ask(served, served.tenant.assertion(), client_id="other")
    assert report.failed is not None
    assert (report.failed.row.check, report.failed.expected) == ("client", "'other'")


def test_an_outage_is_not_the_client_s_fault(served: Served) -> None:
    served.relying_party.outage = 500
    report = ask(served, served.tenant.assertion())
    assert report.failed is not None
    assert (report.failed.row.check, report.failed.state) == ("key", State.UNAVAILABLE)
    assert "HTTP status 200, got 500" in report.failed.found
    assert states(report)["signature"] is State.NOT_REACHED


def test_keys_by_value_are_looked_up(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(served.tenant.document()))
    assert ask(served, served.tenant.assertion(), source=KeyOptions(file=file)).error is None
    unknown = ask(served, served.tenant.assertion(header={"kid": "other"}), source=KeyOptions(file=file))
    assert unknown.failed is not None
    assert (unknown.failed.row.check, unknown.failed.state) == ("key", State.FAILED)
