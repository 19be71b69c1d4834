"""Step 6, replay: under which key, and for how long, an assertion is remembered."""

from __future__ import annotations

from hashlib import blake2s

from ..policy import LONGEST_LEEWAY


def replay_key(client_id: str, jti: str) -> bytes:
    """An injective digest of (client_id, jti): 32 bytes (BLAKE2s, RFC 7693), whatever the two hold.

    RFC 7519 §4.1.7: a ``jti`` is unique to its issuer, so one client cannot burn another's. The length in
    front keeps ("a", "bc") and ("ab", "c") apart.
    """
    return blake2s(f"{len(client_id)}:{client_id}{jti}".encode()).digest()


def retain_until(expires_at: float, leeway: float) -> float:
    """When a replay mark may be forgotten, in seconds since the epoch.

    A host accepts up to ``exp`` + its leeway, by a clock that may be behind by ``leeway``. The leeway counted is the
    longest that can be set: a policy that is changed later must not make an assertion acceptable again whose mark is
    gone. A second more covers engines that count in whole seconds.
    """
    return expires_at + LONGEST_LEEWAY + leeway + 1
