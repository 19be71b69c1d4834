"""``explain``: readable, harmless, and with an exit code."""

from __future__ import annotations

import re
from typing import Any

import pytest

from private_key_jwt import AssertionPolicy, Reason, runbook
from private_key_jwt._core.claims import replay_key
from private_key_jwt._text import format_time
from private_key_jwt.policy import LONGEST_LEEWAY, LONGEST_LIFETIME
from private_key_jwt.testing import REMOVED, RelyingParty

from .conftest import Served, run

POLICY = AssertionPolicy(audience="-")

LEEWAY = AssertionPolicy(audience="-").leeway


def line(out: str, check: str) -> str:
    (found,) = [each for each in out.splitlines() if re.match(rf"[ \d]+ {check}  ", each)]
    return " ".join(found.split())


def test_nothing_fails_of_a_valid_assertion(served: Served) -> None:
    answer = run("explain", *served.all, served.tenant.assertion())
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Nothing failed of what was checked.\nNot checked: request's client (needs a token")
    assert "server's replay store). If your server refused it" in words(answer.out)
    assert f"Keys: {served.tenant.client(served.base_url).jwks_uri}" in answer.out
    assert "Judged at 2030-03-17T17:46:40Z (1900000000)." in answer.out
    assert line(answer.out, "exp").startswith(f"exp passed in 60 s not over, at most {POLICY.max_lifetime:g} s ahead")


def test_an_expired_one_says_what_to_look_at(served: Served) -> None:
    now = int(served.clock())
    answer = run("explain", *served.all, "-", stdin=served.tenant.assertion(iat=now - 60, exp=now - 42))
    assert answer.code == 1
    assert "Step 3, exp: expired." in answer.out
    assert f"expired 42 s ago, leeway {LEEWAY:g} s: exp is 20" in answer.out
    assert "FAILED" in line(answer.out, "exp")
    assert "passed" in line(answer.out, "jti")
    assert "passed" in line(answer.out, "signature")
    assert "Captured earlier? Judge it as of then: --now 2030-03-17T17:45:40Z" in answer.out
    assert line(answer.out, "iat").startswith("iat passed* 60 s ago")
    assert line(answer.out, "nbf").startswith("nbf passed absent")
    assert "passed*: as if it were 2030-03-17T17:45:40Z, so that the later checks could be made." in answer.out


def test_one_that_was_not_sent_yet_says_when_it_was(served: Served) -> None:
    now = int(served.clock())
    for ahead, failed in ((60, "iat"), (400, "exp")):
        answer = run("explain", *served.all, served.tenant.assertion(iat=now + ahead, exp=now + ahead + 60))
        assert answer.code == 1
        assert "FAILED" in line(answer.out, failed)
        assert "Captured" not in answer.out
        then = format_time(now + ahead)
        assert f"Judged before it was sent? Judge it as of then: --now {then}" in answer.out
        assert f"passed*: as if it were {then}, so" in answer.out


def test_what_passes_under_a_wider_policy_only_says_so(served: Served) -> None:
    now = int(served.clock())
    answer = run("explain", *served.all, served.tenant.assertion(iat=now, exp=now + 3_600, nbf=now))
    assert "FAILED" in line(answer.out, "exp")
    assert line(answer.out, "lifetime").startswith("lifetime passed* 3600 s")
    assert f"passed*: as if leeway were {LONGEST_LEEWAY} s, max_lifetime {LONGEST_LIFETIME} s, so that" in " ".join(
        answer.out.split()
    )
    assert "Judge it as of then" not in answer.out


def test_what_lies_behind_a_time_that_has_passed_is_shown(served: Served) -> None:
    captured = served.tenant.assertion()
    served.tenant.rotate()
    served.tenant.end_grace()
    later = served.clock() + 1_200
    answer = run("explain", *served.place, *served.who[:-1], later, captured)
    assert answer.code == 1
    assert "Step 3, exp: expired." in answer.out
    assert "Failed too: step 4, key: kid" in answer.out
    assert "FAILED" in line(answer.out, "key")
    assert "not reached" in line(answer.out, "signature")


def test_what_lies_behind_a_wrong_audience_is_shown(served: Served) -> None:
    assertion = served.tenant.assertion(aud="https://other.example")
    answer = run("explain", *served.all, assertion)
    assert answer.code == 1
    assert "Step 3, aud: audience_mismatch." in answer.out
    assert "passed" in line(answer.out, "signature")
    assert "Captured" not in answer.out


def words(out: str) -> str:
    return " ".join(out.split())


def test_the_verdict_comes_first(served: Served) -> None:
    answer = run("explain", *served.all, served.tenant.assertion(jti=REMOVED))
    assert answer.out.startswith("Step 3, jti: missing_claim.")
    assert run("explain", *served.all, served.tenant.assertion()).out.startswith("Nothing failed of what was checked.")


def test_it_goes_on_behind_another_typ(served: Served) -> None:
    answer = run("explain", *served.all, served.tenant.assertion(header={"typ": "at+jwt"}))
    assert answer.code == 1
    assert "Step 2, typ: unsupported_typ." in answer.out
    assert "The later checks were made as if the header had no typ." in words(answer.out)
    assert "No later check failed: these are the claims of a client assertion" in words(answer.out)
    for check in ("iss", "aud", "exp", "jti", "key", "signature"):
        assert "passed" in line(answer.out, check)
    answer = run("explain", *served.all, "--require-typ", served.tenant.assertion(header={"typ": "JWT"}))
    assert "Step 3, typ if required: unsupported_typ." in answer.out
    assert "passed" in line(answer.out, "signature")


def test_the_signature_behind_another_typ_is_that_over_what_was_sent(served: Served) -> None:
    assertion = served.tenant.assertion(header={"typ": "at+jwt"})
    plain = served.tenant.assertion()
    answer = run("explain", *served.all, f"{assertion.rpartition('.')[0]}.{plain.rpartition('.')[2]}")
    assert "Failed too: step 5, signature: not signed" in words(answer.out)
    assert "No later check failed:" not in words(answer.out)


@pytest.mark.parametrize(
    ("changes", "check", "left_out"),
    [
        ({"header": {"x5c": ["M" * 1_800] * 6}}, "size", "the header had no 'x5c', 10819 characters of JSON"),
        ({"roles": ["admin"] * 4_000}, "size", "the claims had no 'roles', 32001 characters of JSON"),
        ({"roles": ["admin"] * 400}, "claims are JSON", "the claims had no 'roles', 3201 characters of JSON"),
    ],
)
def test_it_names_what_is_too_large_and_goes_on_behind_it(
    served: Served, changes: dict[str, Any], check: str, left_out: str
) -> None:
    answer = run("explain", *served.all, served.tenant.assertion(**changes))
    assert answer.code == 1
    assert f", {check}: too_large." in answer.out
    assert f"The later checks were made as if {left_out}." in words(answer.out)
    assert "passed" in line(answer.out, "aud")
    assert "passed" in line(answer.out, "signature")


@pytest.mark.parametrize("assertion", ["A" * (POLICY.max_assertion_bytes + 1), f"{'A' * 12_000}.AAAA.AAAA", None])
def test_it_ends_where_nothing_can_be_left_out(served: Served, assertion: str | None) -> None:
    answer = run("explain", *served.all, assertion or served.tenant.assertion(iss="x" * 6_000))
    assert "Step 1, size: too_large." in answer.out
    assert "The later checks" not in answer.out


def test_a_client_id_that_is_not_that_of_the_assertion_is_no_word_on_a_registration(served: Served) -> None:
    answer = run("explain", "--client-id", "other", "--now", served.clock(), *served.place, served.tenant.assertion())
    assert answer.code == 1
    assert "of client 'portal-acme', and --client-id says 'other'" in words(answer.out)
    assert "a client_mismatch" in answer.out
    assert "no client is registered" not in answer.out
    assert "passed" in line(answer.out, "signature")


def test_times_that_are_upside_down_have_no_lifetime(served: Served) -> None:
    answer = run("explain", *served.all, served.tenant.assertion(iat=int(served.clock()) * 1_000))
    assert "exp is before iat" in words(answer.out)


def test_it_says_when_a_server_takes_it_and_its_jti_hash(served: Served) -> None:
    now = int(served.clock())
    assertion = served.tenant.assertion(jti="j1", iat=now + 10)
    answer = run("explain", *served.all, assertion)
    assert answer.code == 0
    first, last = format_time(now + 10 - LEEWAY), format_time(now + 60 + LEEWAY)
    assert f"a server takes it from {first} to {last}" in " ".join(answer.out.split())
    assert f"jti_hash {replay_key('portal-acme', 'j1').hex()} (as in the log, where the client was known)" in answer.out


@pytest.mark.parametrize(
    "now", ["2030-03-17T17:46:40Z", "2030-03-17T18:46:40+01:00", "2030-03-17 17:46:40", "1900000000"]
)
def test_now_takes_an_instant_of_a_log_line(served: Served, now: str) -> None:
    answer = run("explain", "--now", now, served.tenant.assertion())
    assert answer.code == 0
    assert "Judged at 2030-03-17T17:46:40Z (1900000000)." in answer.out


def test_now_in_milliseconds_is_said_to_be(served: Served) -> None:
    answer = run("explain", "--now", "1900000000000", served.tenant.assertion())
    assert answer.code == 1
    assert "the time that it is judged at looks like milliseconds" in " ".join(answer.out.split())


def test_a_fault_at_the_end_of_an_argument_is_not_trimmed_away(served: Served) -> None:
    answer = run("explain", *served.all, served.tenant.assertion() + "\n")
    assert answer.code == 1
    assert "a line break at its end" in " ".join(answer.out.split())


def test_a_client_of_another_algorithm(served: Served) -> None:
    party = RelyingParty(clock=served.clock, alg="ES256")
    tenant = party.tenant()
    with party.serve() as server:
        place = ("--slug", tenant.slug, "--base-url", server.base_url, "--allow-http-loopback")
        options = (*place, *served.who)
        assert run("explain", *options, tenant.assertion()).code == 1
        answer = run("explain", *options, "--alg", "ES256", tenant.assertion())
    assert answer.code == 0
    assert "EC, P-256" in line(answer.out, "key")


def test_where_keys_may_be_fetched_can_be_widened(served: Served) -> None:
    base = ("explain", "--audience", "x", "--jwks-uri", "https://127.0.0.1:1/jwks", served.tenant.assertion(aud="x"))
    assert "--now" not in run(*base, "--now", served.clock()).out.split("Step")[0]
    closed = " ".join(run(*base, "--now", served.clock()).out.split())
    assert "allow_ports" in closed
    opened = run(*base, "--now", served.clock(), "--allow-port", "1", "--allow-private-host", "127.0.0.1")
    assert opened.code == 3
    assert "onnect" in opened.out
    assert run(*base, "--allow-private-host", "HTTP://x").code == 2


def test_the_runbook_has_every_reason() -> None:
    named = set(re.findall(r"^``(.+?)``", runbook.__doc__ or "", re.MULTILINE)) | {"invalid_claim"}
    assert named >= {str(reason) for reason in Reason}


@pytest.mark.parametrize(
    "words_of_a_line",
    ["FetchFailed", "FetchBudgetSpent", "page of HTML", "404", "the first set seen here", "client_secret_basic", "UTC"],
)
def test_the_runbook_explains_what_a_line_says(words_of_a_line: str) -> None:
    assert words_of_a_line in words(runbook.__doc__ or "")


def test_no_option_is_needed(served: Served) -> None:
    answer = run("explain", "--now", served.clock(), served.tenant.assertion())
    assert answer.code == 0
    assert "needs --audience" in answer.out
    assert "Keys:" not in answer.out


def test_a_publisher_that_is_down_fails_the_key_and_ends_explain_with_3(served: Served) -> None:
    served.relying_party.outage = 503
    answer = run("explain", *served.all, served.tenant.assertion())
    assert answer.code == 3
    assert "Step 4, key: jwks_unavailable." in answer.out


def test_what_strangers_write_is_neither_markup_nor_control(served: Served) -> None:
    nasty = "[bold red]x[/]\x1b[2J\x07\u202e"
    unknown: dict[str, Any] = {nasty: 1}
    answer = run("explain", *served.all, served.tenant.assertion(iss=nasty, sub=nasty, **unknown))
    assert answer.code == 1
    assert r"[bold red]x[/]\x1b[2J\x07\u202e" in answer.out.replace("\n", "")
    assert not set(answer.out) & set("\x1b\x07\u202e")


@pytest.mark.parametrize(("now", "text"), [(0, "1970-01-01"), (2**53, "9007199254740992 (9007199254740992)")])
def test_any_time_can_be_judged(served: Served, now: int, text: str) -> None:
    answer = run("explain", "--now", now, served.tenant.assertion(iat=REMOVED))
    assert answer.code == 1
    assert f"Judged at {text}" in answer.out


def without_hash(out: str) -> list[str]:
    """The lines but the one that must be copied whole."""
    return [each for each in out.splitlines() if not each.startswith("jti_hash")]


def test_a_pipe_has_one_width_unless_told_and_no_colour(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assertion = served.tenant.assertion()
    monkeypatch.delenv("COLUMNS", raising=False)
    piped = run("explain", *served.who, assertion).out
    assert max(map(len, without_hash(piped))) <= 100
    assert "\x1b" not in piped
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, without_hash(run("explain", *served.who, assertion).out))) <= 80


def test_options_that_cannot_be_are_a_wrong_use_of_explain(served: Served) -> None:
    for arguments in (("--leeway", "-1"), ("--slug", ".."), ("--client-id", ""), ("--jwks", "/nowhere")):
        answer = run("explain", *arguments, served.tenant.assertion())
        assert (answer.code, answer.out) == (2, "")


def test_the_algorithm_of_a_client_that_nobody_described_is_not_checked(served: Served) -> None:
    tenant = RelyingParty(clock=served.clock, alg="ES256").tenant("acme")
    answer = run("explain", "--now", served.clock(), tenant.assertion())
    assert answer.code == 0
    assert "not checked" in line(answer.out, "client's alg")
    assert "needs --alg" in line(answer.out, "client's alg")
    assert "passed" in line(answer.out, "exp")
    refused = run("explain", "--now", served.clock(), "--alg", "RS256", tenant.assertion())
    assert refused.code == 1
    assert "unsupported_alg" in refused.out
    assert run("explain", *served.all, tenant.assertion()).code == 1  # LedgerBee signs with RS256


def test_an_algorithm_that_no_client_may_use_fails_without_alg_too(served: Served) -> None:
    answer = run("explain", "--now", served.clock(), served.tenant.defective("alg_hs256"))
    assert answer.code == 1
