"""What is kept in Redis (or Valkey): replay marks and JWK Sets. The import point of both."""

from __future__ import annotations

from ._redis_jwks import AsyncRedisJWKSCache, RedisJWKSCache
from ._redis_replay import AsyncRedisReplayStore, RedisReplayStore

__all__ = ["AsyncRedisJWKSCache", "AsyncRedisReplayStore", "RedisJWKSCache", "RedisReplayStore"]
