"""LedgerBee Portal SSO as a relying party: where its keys are, and the profile its assertions keep."""

from __future__ import annotations

import re

from .._jwks_uri import check_jwks_uri
from .._text import quote
from ..clients import RegisteredClient
from ..exceptions import ConfigurationError

BASE_URL = "https://api.ledgerbee.com/api"

# RFC 3986 §2.3: unreserved characters need no escaping, so what is registered is what is fetched.
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~-]{1,128}")


def check_base_url(base_url: object) -> str:
    """Return the root of an API without a slash at its end: https (http for loopback only), no query, no fragment.

    Raises ConfigurationError.
    """
    if not isinstance(base_url, str) or "?" in base_url or "#" in base_url:
        raise ConfigurationError(f"base_url must be a URL without query and fragment, not {quote(base_url)}")
    return check_jwks_uri(base_url, "base_url").rstrip("/")


def jwks_uri(slug: str, *, base_url: str = BASE_URL) -> str:
    """Return the URL of a tenant's JWK Set.

    slug: the tenant's public portal slug (``acme``), one plain path segment.
    base_url: the root of LedgerBee's API, for a look-alike or a proxy.

    Raises ConfigurationError for a slug that would change the path, and for a URL that may not be fetched.
    """
    if not isinstance(slug, str) or not _SEGMENT.fullmatch(slug):
        raise ConfigurationError(
            "slug must be one path segment of 1 to 128 characters of A-Z a-z 0-9 . _ ~ -, and neither . nor ..,"
            f" not {quote(slug)}"
        )
    return check_jwks_uri(f"{check_base_url(base_url)}/.well-known/portal-sso/{slug}/jwks.json")


def client(client_id: str, *, slug: str, base_url: str = BASE_URL) -> RegisteredClient:
    """Return a LedgerBee tenant as a registered client: RS256 only, and a ``kid`` in every assertion.

    Each key that LedgerBee publishes has its own ``kid``, and two stand there during a rotation.
    Raises ConfigurationError.
    """
    return RegisteredClient(
        client_id,
        jwks_uri=jwks_uri(slug, base_url=base_url),
        signing_algs=("RS256",),
        require_kid=True,
    )
