"""What `explain` shows behind a check that failed: all that is wrong, and as if what it was looked at."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopback import Publisher, http
from private_key_jwt import AssertionPolicy
from private_key_jwt.cli._behind import claims_of
from private_key_jwt.cli._examine import State
from private_key_jwt.cli._explain import entry_of
from private_key_jwt.cli._options import KeyOptions
from private_key_jwt.exceptions import Reason
from private_key_jwt.testing import DEFECTS, REMOVED, RelyingParty, SigningKey
from support import jwk

from .conftest import AUDIENCE, Served, run
from .test_examine import ask, states

_HEADER = {
    "crit", "zip_cty", "alg", "kid", "typ", "signing_algs", "require_kid", "require_typ", "key", "signature"
}  # fmt: skip
_CLAIMS = {"iss", "sub", "client", "aud", "exp", "iat", "nbf", "lifetime", "jti"}

# By the check that failed: those behind it of which nothing can be known then.
UNKNOWN = {
    "characters": {"signature"},
    "segments": {"signature"},
    "header": _HEADER,
    "alg": {"signing_algs", "key", "signature"},
    "kid": {"require_kid", "key", "signature"},
    "typ": {"require_typ"},
    "claims": _CLAIMS,
    "iss": {"sub"},
    "signing_algs": {"key", "signature"},
    "exp": {"lifetime"},
    "iat": {"lifetime"},
    "nbf": {"lifetime"},
    "key": {"signature", "replay"},
    "signature": {"replay"},
}


@pytest.mark.parametrize("name", sorted(DEFECTS.keys() - {"five_segments", "alg_padding"}))
def test_behind_each_defect_all_that_can_be_known_is_looked_at(served: Served, name: str) -> None:
    report = ask(served, served.tenant.defective(name))
    assert report.error is not None
    assert report.others == ()
    not_reached = {check for check, state in states(report).items() if state is State.NOT_REACHED}
    assert not_reached <= UNKNOWN.get(str(report.error.check), set())


def words(out: str) -> str:
    return " ".join(out.split())


def cut(served: Served, **changes: Any) -> str:
    return served.tenant.assertion(**changes)[:-201]  # a length that no base64url has


def crit(served: Served, **changes: Any) -> str:
    return served.tenant.assertion(header={"crit": ["x"], "x": 1}, **changes)


def two_clients(served: Served, **changes: Any) -> str:
    return served.tenant.assertion(sub="other", **changes)


def iat_in_milliseconds(served: Served, **changes: Any) -> str:
    return served.tenant.assertion(**({"iat": int(served.clock()) * 1_000} | changes))


def iat_as_text(served: Served, **changes: Any) -> str:
    return served.tenant.assertion(**({"iat": "now"} | changes))


def bearer(served: Served, **changes: Any) -> str:
    return f"Bearer {served.tenant.assertion(**changes)}"


@pytest.mark.parametrize(
    ("make", "check", "as_if"),
    [
        (cut, "segments", "the signature segment were right"),
        (crit, "no extension", "the header had no crit"),
        (two_clients, "sub", "iss and sub were both 'portal-acme'"),
        (iat_in_milliseconds, "iat", "the claims had no iat"),
        (iat_as_text, "iat", "the claims had no iat"),
        (bearer, "characters", "nothing else stood around or in it"),
    ],
)
def test_all_that_is_wrong_is_told_the_first_of_it_first(
    served: Served, make: Callable[..., str], check: str, as_if: str
) -> None:
    alone = run("explain", *served.all, make(served))
    assert alone.code == 1
    assert f", {check}: " in alone.out.splitlines()[0]
    assert f"The later checks were made as if {as_if}." in words(alone.out)
    assert "No later check failed." in alone.out
    several = words(run("explain", *served.all, make(served, nbf=int(served.clock()) + 900, jti=REMOVED)).out)
    assert f", {check}: " in several.split(".")[0]
    assert "Failed too: step 3, nbf: nbf is 900 s ahead" in several
    assert "Failed too: step 3, jti: expected the claim jti, and it is absent" in several
    assert "No later check failed." not in several


def test_a_check_that_fails_as_of_a_time_that_was_made_up_only_is_no_failure(served: Served) -> None:
    now = int(served.clock())
    old = ask(served, served.tenant.assertion(iat=now - 600, exp=now - 540, nbf=now - 570))
    assert [each.row.check for each in (old.failed, *old.others) if each] == ["exp"]
    both = ask(served, served.tenant.assertion(iat=now - 600, exp=now - 540, nbf=now + 60))
    assert [each.row.check for each in (both.failed, *both.others) if each] == ["exp", "nbf"]
    strict = AssertionPolicy(audience=AUDIENCE, require_iat=True)
    old = ask(served, served.tenant.assertion(iat=now - 600, exp=now - 540, nbf=now - 570), policy=strict)
    assert [each.row.check for each in (old.failed, *old.others) if each] == ["exp"]


def test_an_old_assertion_that_lives_too_long_says_both(served: Served) -> None:
    now = int(served.clock())
    report = ask(served, served.tenant.assertion(iat=now - 9_000, exp=now - 5_400))
    assert [each.row.check for each in (report.failed, *report.others) if each] == ["exp", "lifetime"]
    longest = AssertionPolicy(audience=AUDIENCE).max_lifetime
    assert f"at most {longest:g} s after iat" in report.others[0].found
    without_iat = ask(served, served.tenant.assertion(iat=REMOVED, exp=now - 5_400))
    assert without_iat.others == ()


def test_times_in_milliseconds_are_one_fault_each(served: Served) -> None:
    now = int(served.clock()) * 1_000
    report = ask(served, served.tenant.assertion(iat=now, exp=now + 60_000))
    assert [each.row.check for each in (report.failed, *report.others) if each] == ["exp"]
    assert report.accepted is None
    endless = ask(served, served.tenant.assertion(exp=2**53, jti=REMOVED))
    assert [each.row.check for each in (endless.failed, *endless.others) if each] == ["exp", "jti"]


@pytest.mark.parametrize(
    "around",
    [
        "Bearer {}",
        "'{}'",
        "grant_type=x&client_assertion={}&scope=y",
        '{{"client_assertion": "{}"}}',
        "\u201c{}\u201d",
        "\n\n{}\n",
    ],
)
def test_an_assertion_is_found_in_what_stands_around_it(served: Served, around: str) -> None:
    report = ask(served, around.format(served.tenant.assertion()))
    assert report.others == ()
    assert states(report)["signature"] is State.PASSED


def test_an_assertion_is_read_in_whatever_way_it_was_spelled(served: Served) -> None:
    good = served.tenant.assertion()
    spaced = base64.urlsafe_b64encode(b' {"alg":"RS256","kid":"x"}').decode().rstrip("=")
    wrapped = (separator.join(textwrap.wrap(good, 64)) for separator in ("\n", "\r\n", " "))
    for text in (*wrapped, good.replace(".", "%2E")):
        report = ask(served, text)
        assert (report.others, states(report)["jti"]) == ((), State.PASSED)
    for text in (good.replace(".", "=."), f"Bearer x {spaced}.{good.partition('.')[2]}"):
        assert states(ask(served, text))["aud"] is State.PASSED
    assert states(ask(served, "no assertion at all"))["header"] is State.NOT_REACHED


def test_what_was_put_in_the_place_of_a_fault_is_not_shown_as_found(served: Served) -> None:
    now = int(served.clock())
    report = ask(served, served.tenant.assertion(iss="a", sub="b", exp="x", iat=now - 20, jti="j"))
    found = {each.row.check: each.found for each in report.findings}
    assert (found["iss"], found["iat"]) == ("'a'", "20 s ago")
    assert report.jti_hash is None
    assert "exp to be a number" in found["exp"]


def test_without_a_client_id_or_an_audience_something_stands_in_their_place(served: Served) -> None:
    unknown: dict[str, Any] = {"audience": None, "client_id": None, "source": KeyOptions()}
    for changes in ({"iss": REMOVED, "sub": "x"}, {"sub": REMOVED}, {"iss": REMOVED, "sub": REMOVED}, {"aud": 7}):
        report = ask(served, served.tenant.assertion(**changes), **unknown)
        assert report.error is not None
        assert report.others == ()
        assert states(report)["jti"] is State.PASSED
    assert ask(served, served.tenant.defective("claims_list"), **unknown).others == ()
    # A list of two is no form that `sole` takes, whoever is meant.
    assert states(ask(served, served.tenant.assertion(aud=["a", "b"]), **unknown))["jti"] is State.PASSED


def test_what_was_put_in_the_place_of_a_fault_is_no_second_one(served: Served) -> None:
    party = RelyingParty(audience=AUDIENCE, clock=served.clock, alg="PS256")
    report = ask(served, party.tenant().defective("header_list"), source=KeyOptions(algs=["PS256"]))
    assert [each.row.check for each in (report.failed, *report.others) if each] == ["header"]
    assert states(report)["jti"] is State.PASSED


def test_a_missing_iat_is_one_failure(served: Served) -> None:
    strict = AssertionPolicy(audience=AUDIENCE, require_iat=True)
    report = ask(served, served.tenant.assertion(iat=REMOVED, jti=REMOVED), policy=strict)
    assert [each.row.check for each in (report.failed, *report.others) if each] == ["iat", "jti"]


def test_what_is_wrong_with_a_lifetime_beyond_all_policies_is_passed_over(served: Served) -> None:
    now = int(served.clock())
    report = ask(served, served.tenant.assertion(iat=now - 200_000, exp=now + 60, jti=REMOVED))
    assert [each.row.check for each in (report.failed, *report.others) if each] == ["lifetime", "jti"]


def test_claims_that_cannot_be_read_are_none() -> None:
    assert claims_of("A.A.A") is None


# The keys


def test_an_algorithm_that_nobody_registered_is_not_called_right(served: Served) -> None:
    tenant = RelyingParty(clock=served.clock, alg="PS256").tenant("acme")
    answer = run("explain", *served.who, tenant.assertion())
    assert answer.code == 0
    assert "client's alg (needs --alg: what is the client registered for?)" in words(answer.out)
    refused = run("explain", *served.who, "--alg", "RS256", tenant.assertion(jti=REMOVED))
    assert "Step 3, client's alg: unsupported_alg." in refused.out
    assert "Failed too: step 3, jti" in refused.out
    assert "as if the client were registered for PS256" in words(refused.out)


def changed(assertion: str) -> str:
    header, claims, signature = assertion.split(".")
    members = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other = base64.urlsafe_b64encode(json.dumps({**members, "roles": []}).encode()).decode().rstrip("=")
    return f"{header}.{other}.{signature}"


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "Ed25519"])
def test_a_changed_assertion_and_another_key_are_told_apart_as_far_as_can_be(served: Served, alg: str) -> None:
    party = RelyingParty(clock=served.clock, alg=alg)
    tenant = party.tenant()
    is_rsa = alg in ("RS256", "PS256")
    with party.serve() as server:
        place = ("--slug", tenant.slug, "--base-url", server.base_url, "--allow-http-loopback", "--alg", alg)
        of_content = words(run("explain", *served.who, *place, changed(tenant.assertion())).out)
        of_key = words(run("explain", *served.who, *place, tenant.defective("foreign_key")).out)
    assert ("made with this key over other content" in of_content.partition("What to do")[0]) is is_rsa
    assert ("So the client has the right key" in of_content) is is_rsa
    assert f"The one key for {alg} here did not make the signature" in of_key
    assert ("That the claims were changed does not explain it" in of_key) is is_rsa
    assert ("nothing shows whether the assertion was changed or is of another key" in of_key) is not is_rsa
    assert "Ask the client for the thumbprint of its key (RFC 7638, SHA-256;" in of_key
    thumbprint = json.loads(run("jwks", *served.place, "--json").out)["keys"][0]["thumbprint"]
    assert len(thumbprint) == 43


def test_the_key_that_made_the_signature_is_named_where_the_header_names_another(
    served: Served, tmp_path: Path
) -> None:
    other = SigningKey.generate(kid="k2")
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [*served.tenant.document()["keys"], other.public_jwk()]}))
    for kid in ("no-such", served.tenant.kid):
        assertion = served.tenant.assertion(key=other, header={"kid": kid})
        answer = run("explain", *served.who, "--jwks", file, assertion)
        assert answer.code == 1
        right = words(answer.out).partition("The signature is right, by the key 'k2' (thumbprint ")[2]
        assert right[43:].startswith(f"): the client must name that kid, and names '{kid}'.")
    foreign = served.tenant.defective("foreign_key")
    assert "None of the 2 keys for RS256 here made" in words(run("explain", *served.who, "--jwks", file, foreign).out)


def test_the_keys_are_tried_under_a_kid_that_two_have_and_never_for_one_that_cannot_be_used(
    served: Served, tmp_path: Path
) -> None:
    own, other = served.tenant.document()["keys"][0], SigningKey.generate(kid=served.tenant.kid).public_jwk()
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [own, other]}))
    ambiguous = words(run("explain", *served.who, "--jwks", file, served.tenant.assertion()).out)
    assert "Step 4, key: ambiguous_key." in ambiguous
    assert "The signature is right, by the key" in ambiguous
    file.write_text(json.dumps({"keys": [{**own, "use": "enc"}, jwk()]}))
    unusable = words(run("explain", *served.who, "--jwks", file, served.tenant.assertion()).out)
    assert "Step 4, key: unusable_key." in unusable
    assert "here did not make" not in unusable
    file.write_text(json.dumps({"keys": [jwk(alg="RS512")]}))
    assert "here did not make" not in run("explain", *served.who, "--jwks", file, served.tenant.assertion()).out


def test_keys_that_cannot_be_had_a_second_time_are_not_tried(served: Served) -> None:
    publisher = Publisher(list(served.tenant.document()["keys"]))

    def answer(connection: Any) -> None:
        body = json.dumps({"keys": publisher.keys}).encode()
        connection.sendall(http(body) if publisher.count == 1 else http(status="500 No"))

    publisher.answer = answer
    place = ("--jwks-uri", publisher.uri(), "--allow-http-loopback")
    answered = run("explain", *served.who, *place, served.tenant.defective("foreign_key"))
    publisher.close()
    assert "Step 5, signature: bad_signature." in answered.out
    assert "here did not make" not in answered.out


# What to do


@pytest.mark.parametrize("reason", Reason)
def test_the_entry_of_each_reason_in_the_runbook_is_found(reason: Reason) -> None:
    entry = entry_of(reason)
    assert entry
    assert "``" not in entry
    assert not any(line.startswith(" ") for line in entry.splitlines())


def test_a_list_of_the_runbook_stays_one(served: Served) -> None:
    assert sum(line.startswith("- ") for line in entry_of(Reason.UNKNOWN_KID).splitlines()) == 5
    answer = run("explain", *served.all, served.tenant.assertion(jti=REMOVED))
    assert "What to do about missing_claim:" in answer.out
    assert " -m pydoc private_key_jwt.runbook" in answer.out


def test_without_docstrings_there_is_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("private_key_jwt.runbook.__doc__", None)
    assert entry_of(Reason.EXPIRED) == ""
