"""JWK Sets: fetched from their publishers, kept for a while, and looked up for each assertion."""

from ._cache import AsyncJWKSCache, JWKSCache, JWKSDocument, MemoryJWKSCache
from ._fetchers import AsyncJWKSFetcher, JWKSFetcher

__all__ = [
    "AsyncJWKSCache",
    "AsyncJWKSFetcher",
    "JWKSCache",
    "JWKSDocument",
    "JWKSFetcher",
    "MemoryJWKSCache",
]
