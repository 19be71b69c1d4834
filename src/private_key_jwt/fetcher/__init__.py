"""JWK Sets: fetched from their publishers, kept for a while, and searched for the key of each assertion."""

from .._core.response import JWKSResponse
from ..policy import JWKSPolicy
from . import _http
from ._async import AsyncJWKSFetcher
from ._sync import JWKSFetcher

__all__ = ["AsyncJWKSFetcher", "JWKSFetcher"]


def fetch_document(jwks_uri: str, policy: JWKSPolicy) -> JWKSResponse:
    """Fetch a document once, as a fetcher does: for whoever looks at what was published. Raises FetchError."""
    return _http.get(None, jwks_uri, policy, forced=True)
