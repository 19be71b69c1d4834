"""LedgerBee's profile."""

from typing import Any

import pytest

from private_key_jwt import ConfigurationError, ledgerbee


def test_the_url_of_a_tenant() -> None:
    assert ledgerbee.jwks_uri("acme") == "https://api.ledgerbee.com/api/.well-known/portal-sso/acme/jwks.json"
    for base_url in ("https://proxy.example/api", "https://proxy.example/api/"):
        uri = ledgerbee.jwks_uri("acme", base_url=base_url)
        assert uri == "https://proxy.example/api/.well-known/portal-sso/acme/jwks.json"


@pytest.mark.parametrize("slug", ["a", "acme-2", "A_b.c~d", "...", "a" * 128])
def test_a_plain_slug(slug: str) -> None:
    assert f"/{slug}/" in ledgerbee.jwks_uri(slug)


@pytest.mark.parametrize(
    "slug",
    ["", ".", "..", "a/b", "/", "../../evil", "a%2Fb", "a?b", "a#b", "a b", "a\n", "a\\b", "é", "a" * 129, "a;b", "@",
     "a:b", None, 1, b"acme"],
)  # fmt: skip
def test_a_slug_that_would_change_the_path(slug: Any) -> None:
    with pytest.raises(ConfigurationError, match="slug"):
        ledgerbee.jwks_uri(slug)


@pytest.mark.parametrize(
    "base_url", ["", "api.ledgerbee.com", "http://api.ledgerbee.com", "https://x?y=", "https://x#", "https://u@x", None]
)
def test_a_base_url_that_may_not_be_fetched(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url|jwks_uri"):
        ledgerbee.jwks_uri("acme", base_url=base_url)


def test_the_profile_of_a_tenant() -> None:
    client = ledgerbee.client("portal-acme", slug="acme")
    assert client.client_id == "portal-acme"
    assert client.jwks_uri == ledgerbee.jwks_uri("acme")
    assert client.signing_algs == ("RS256",)
    assert client.require_kid
    assert client.policy is None
