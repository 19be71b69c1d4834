"""Many clients: a document and a ``kid`` for each, over a few moduli (making 10^5 RSA keys would take hours)."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable
from random import Random
from typing import Any

from private_key_jwt import JWKSFetcher, JWKSPolicy, MemoryJWKSCache, RegisteredClient, ledgerbee
from private_key_jwt.stores import JWKSDocument
from private_key_jwt.testing import SigningKey

from . import corpus, hostile, ours
from .measuring import CodePath, calls, interleave, logged, rss

_MODULI = 4
_ASSERTIONS_AT_ONCE = 1_000  # so that none expires, and few are in memory


class ManyClients:
    """Clients numbered from 0."""

    def __init__(self) -> None:
        self.keys = [SigningKey.generate() for _ in range(_MODULI)]

    def key(self, number: int) -> SigningKey:
        """The key of a client."""
        return SigningKey(f"kid{number:013d}", self.keys[number % _MODULI].private_key)

    def _parts(self, number: int) -> tuple[hostile.Object, hostile.Object]:
        who = f"portal-{number}"
        claims = {"iss": who, "sub": who, "aud": corpus.AUDIENCE, **corpus.lasting(time.time())}
        return {"alg": "RS256", "kid": f"kid{number:013d}"}, claims

    def tokens(self, numbers: Iterable[int]) -> list[str]:
        """A new assertion of each of these clients."""
        numbers = list(numbers)
        return corpus.in_bulk(lambda at: self.key(numbers[at]).sign(*self._parts(numbers[at])), len(numbers))

    def _register(self, count: int) -> tuple[list[RegisteredClient], MemoryJWKSCache]:
        cache, now = MemoryJWKSCache(count), time.monotonic()
        names = [f"portal-{number}" for number in range(count)]
        clients = [ledgerbee.client(name, slug=name) for name in names]
        for number, client in enumerate(clients):
            body = json.dumps({"keys": [self.key(number).public_jwk()]}).encode("ascii")
            cache.put(str(client.jwks_uri), JWKSDocument(body, now), now)
        return clients, cache

    def subject(self, count: int) -> tuple[ours.Subject, list[float]]:
        """A verifier for so many clients, of each of whom it has accepted an assertion.

        And KiB of process memory for a client: as registered, with its document; and with its key in use.
        """
        gc.collect()
        before = rss()
        clients, cache = self._register(count)
        registered = rss()
        # Keys are loaded once and must stay fresh for as long as this takes.
        fetcher = JWKSFetcher(JWKSPolicy(ttl=86_400), cache=cache, max_key_sets=2 * count + 10)
        subject = ours.Subject(clients, fetcher)
        for first in range(0, count, _ASSERTIONS_AT_ONCE):
            for token in self.tokens(range(first, min(first + _ASSERTIONS_AT_ONCE, count))):
                subject.verifier.verify(token)
        subject.renew()
        gc.collect()
        return subject, [(after - before) / count / 1_024 for after in (registered, rss())]


def against_one(count: int, samples: int, rounds: int) -> dict[str, Any]:
    """Many clients against one, in a process of its own: its memory is theirs."""
    many_clients = ManyClients()
    with logged():
        one, _ = many_clients.subject(1)
        many, (registered, used) = many_clients.subject(count)
        drawn = Random(4).choices(range(count), k=samples)
        tokens_one, tokens_many = many_clients.tokens([0] * samples), many_clients.tokens(drawn)
        paths = [
            CodePath("one", lambda items: calls(one.verifier.verify, items), tokens_one, one.renew),
            CodePath("many", lambda items: calls(many.verifier.verify, items), tokens_many, many.renew),
            corpus.bare("bare", [corpus.rsa_key(many_clients.key(number)) for number in drawn], tokens_many),
        ]
        measured = interleave(paths, corpus.floor(many_clients.keys[0], tokens_one[:200]), rounds, 40)
    pairs = zip(measured["many"].seconds, measured["one"].seconds, strict=True)
    return {
        "ratios": [big / small for big, small in pairs],
        "bare": measured["bare"].ratios,
        "kib_registered": registered,
        "kib": used,
    }
