"""The whole story: a partner's provider, LedgerBee's look-alike, and a real OpenID Connect client between them."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib import deprecate

from private_key_jwt.ledgerbee import Membership, Role

with warnings.catch_warnings(action="ignore", category=deprecate.AuthlibDeprecationWarning):
    # Authlib would rather have another HTTP library than httpx.
    from examples.portal_sso import story
    from examples.portal_sso.portal import LoginRefused
    from examples.portal_sso.story import EMAIL, PASSWORD, REDIRECT_URI, Setup

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, Appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
def setup() -> Iterator[Setup]:
    with story.running() as setup:
        yield setup


def test_a_user_is_provisioned_handed_off_logged_in_offboarded_and_cannot_come_back(setup: Setup) -> None:
    provisioned, handed_off, *rest = story.tell(setup)
    assert provisioned == "provisioned: customer created True, role OWNER"
    assert handed_off.startswith("handed off: reference until ")
    assert rest == [
        "redeemed: 302, session 200",
        "logged in over the provider: session 200",
        "offboarded: sessions ended in 1 membership, session 401",
        "back with the old reference: 400",
        "back over the provider: Wrong email or password.",
    ]
    [user] = setup.tenant.portal.users
    assert (user.sub, user.email) == ("u-1", EMAIL)


@pytest.mark.slow
def test_it_runs_as_the_readme_says() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "portal_sso.story"],
        cwd=Path(__file__).parent.parent / "examples",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.splitlines()[-1] == "back over the provider: Wrong email or password."


def test_a_user_who_was_only_revoked_comes_back(setup: Setup) -> None:
    """Why the order of offboarding matters."""
    customer_id = setup.tenant.portal.add_customer("C001")
    handoff = setup.portal.mint_handoff(sub="u-1", email=EMAIL, memberships=[Membership(customer_id, Role.USER)])
    setup.browser.get(handoff.redeem_url(setup.host))
    assert setup.portal.revoke_sessions(sub="u-1") == 1
    setup.log_in()
    assert setup.session() == 200
    story.offboard(setup.jane, setup.portal)
    assert setup.session() == 401
    with pytest.raises(LoginRefused):
        setup.log_in()


def code(setup: Setup) -> str:
    """A code for Jane, of a login begun by hand."""
    query = {"client_id": "portal-acme", "redirect_uri": REDIRECT_URI, "response_type": "code"}
    query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    answer = setup.browser.post(
        f"{setup.issuer}/authorize?{httpx.QueryParams(query)}", {"email": EMAIL, "password": PASSWORD}
    )
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def redeem_code(setup: Setup, **changes: Any) -> httpx.Response:
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    form |= {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
    form |= {"client_assertion": setup.tenant.assertion()} | changes
    return httpx.post(f"{setup.issuer}/token", data=form, trust_env=False)


def test_the_provider_takes_a_code_once_with_its_verifier_and_an_assertion(setup: Setup) -> None:
    right = code(setup)
    assert redeem_code(setup, code=right).status_code == 200
    assert redeem_code(setup, code=right).json() == {"error": "invalid_grant"}
    assert redeem_code(setup, code="unknown").json() == {"error": "invalid_grant"}
    for change in ({"code_verifier": VERIFIER[:-1]}, {"redirect_uri": "https://evil.example"}):
        assert redeem_code(setup, code=code(setup), **change).json() == {"error": "invalid_grant"}
    for defect in ("expired", "foreign_key"):
        refused = redeem_code(setup, code=code(setup), client_assertion=setup.tenant.defective(defect))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert redeem_code(setup, code=code(setup), grant_type="x").json() == {"error": "unsupported_grant_type"}
    late = code(setup)
    setup.jane.is_active = False
    assert redeem_code(setup, code=late).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "portal-other"},
        {"redirect_uri": "https://evil.example"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
    ],
)
def test_the_provider_redirects_to_nobody_else_and_wants_pkce(setup: Setup, change: dict[str, str]) -> None:
    query = {"client_id": "portal-acme", "redirect_uri": REDIRECT_URI, "response_type": "code"}
    query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | change
    url = f"{setup.issuer}/authorize?{httpx.QueryParams(query)}"
    assert setup.browser.get(url).status_code == 400
    assert setup.browser.post(url, {"email": EMAIL, "password": PASSWORD}).status_code == 400
