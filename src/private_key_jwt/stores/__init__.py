"""Replay stores, which remember that an assertion was used, and caches of JWK Sets."""

from ._memory import MemoryReplayStore
from ._memory_jwks import MemoryJWKSCache
from ._protocol import AsyncJWKSCache, AsyncReplayStore, JWKSCache, JWKSDocument, ReplayStore

__all__ = [
    "AsyncJWKSCache",
    "AsyncReplayStore",
    "JWKSCache",
    "JWKSDocument",
    "MemoryJWKSCache",
    "MemoryReplayStore",
    "ReplayStore",
]
