"""JWK Sets: fetched from their publishers, kept for a while, and looked up for each assertion."""

from ._fetchers import AsyncJWKSFetcher, JWKSFetcher

__all__ = ["AsyncJWKSFetcher", "JWKSFetcher"]
