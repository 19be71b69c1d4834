"""A served look-alike is driven over HTTP, as any language can."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from private_key_jwt.testing import DEFECTS, RelyingParty, defects_of
from private_key_jwt.testing._control import lines


class Driven:
    """A look-alike that is served with its controls, and a client of it."""

    def __init__(self, party: RelyingParty, base_url: str) -> None:
        self.party, self.tenant = party, party.tenant()
        self.root = base_url.removesuffix("/api")
        self.jwks_uri = str(self.tenant.client(base_url).jwks_uri)

    def post(self, path: str) -> httpx.Response:
        return httpx.post(f"{self.root}/_control/{path}", trust_env=False)

    def kids(self) -> list[str]:
        return [key["kid"] for key in httpx.get(self.jwks_uri, trust_env=False).json()["keys"]]


@pytest.fixture
def driven() -> Iterator[Driven]:
    party = RelyingParty()
    with party.serve(control=True) as server:
        yield Driven(party, server.base_url)


def test_keys_are_rotated_and_removed(driven: Driven) -> None:
    old = driven.tenant.kid
    new = driven.post("acme/rotate").json()["kid"]
    assert driven.kids() == [new, old]
    driven.post("acme/end-grace")
    assert driven.kids() == [new]
    driven.post("acme/remove-keys")
    assert driven.kids() == []


def test_assertions_and_named_defects_are_minted(driven: Driven) -> None:
    first, second = driven.post("acme/assertion").text, driven.post("acme/assertion").text
    assert first != second
    assert first.count(".") == 2
    assert driven.post("acme/assertion?defect=expired").text.count(".") == 2


def test_it_fails_until_it_is_well_again(driven: Driven) -> None:
    assert driven.post("fail?status=429").json() == {"failing": 429}
    assert httpx.get(driven.jwks_uri, trust_env=False).status_code == 429
    driven.post("recover")
    assert driven.kids() == [driven.tenant.kid]


def test_a_delay_holds_up_each_answer(driven: Driven) -> None:
    driven.post("delay?seconds=0.2")
    began = time.monotonic()
    driven.kids()
    assert time.monotonic() - began >= 0.2
    assert driven.post("delay?seconds=60").json() == {"delay": 60.0}
    driven.post("recover")


def test_answers_of_the_back_channel_are_lost(driven: Driven) -> None:
    assert driven.post("lose-responses?number=1").json() == {"losing": 1}
    headers = {"x-api-key": driven.tenant.api_key()}
    url = f"{driven.root}/api/v1/portal-sso/sessions/revoke"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(url, json={"sub": "u-1"}, headers=headers, trust_env=False)
    assert httpx.post(url, json={"sub": "u-1"}, headers=headers, trust_env=False).is_success


def test_what_there_is_is_listed(driven: Driven) -> None:
    listed = httpx.get(f"{driven.root}/_control", trust_env=False).json()
    assert listed["defects"] == sorted(DEFECTS)
    assert list(listed["actions"]) == list(lines("", "SLUG"))


@pytest.mark.parametrize("alg", ["ES256", "Ed25519"])
def test_the_defects_that_are_listed_are_those_of_the_tenants(alg: str) -> None:
    party = RelyingParty(alg=alg)
    party.tenant("acme")
    with party.serve(control=True) as server:
        root = server.base_url.removesuffix("/api")
        names = httpx.get(f"{root}/_control", trust_env=False).json()["defects"]
        assert names == sorted(defects_of(alg))
        assert httpx.post(f"{root}/_control/acme/assertion?defect={names[0]}", trust_env=False).is_success


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("acme/nothing", 404),
        ("ghost/rotate", 404),
        ("nothing", 404),
        ("acme/assertion?defect=nothing", 404),
        ("fail?status=200", 400),
        ("fail?status=x", 400),
        ("delay?seconds=x", 400),
        ("delay?seconds=nan", 400),
        ("delay?seconds=-1", 400),
        ("delay?seconds=1e9", 400),
    ],
)
def test_what_is_not_there_is_said(driven: Driven, path: str, status: int) -> None:
    answer = driven.post(path)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


@pytest.mark.parametrize("query", ["fail?status=x", "delay?seconds=x", "lose-responses?number=x"])
def test_what_is_no_number_is_named(driven: Driven, query: str) -> None:
    name = query.split("?")[1].removesuffix("=x")
    assert driven.post(query).json() == {"error": f"{name} must be a number, not 'x'"}


def test_only_a_post_drives(driven: Driven) -> None:
    assert httpx.get(f"{driven.root}/_control/acme/rotate", trust_env=False).status_code == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "LOCALHOST:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_no_web_page_drives_it(driven: Driven, headers: dict[str, str], status: int) -> None:
    for method, path in (("POST", "/acme/assertion"), ("GET", "")):
        url = f"{driven.root}/_control{path}"
        assert httpx.request(method, url, headers=headers, trust_env=False).status_code == status


def test_without_its_controls_it_has_none() -> None:
    party = RelyingParty()
    party.tenant()
    with party.serve() as server:
        root = server.base_url.removesuffix("/api")
        assert httpx.post(f"{root}/_control/acme/rotate", trust_env=False).status_code == 404
