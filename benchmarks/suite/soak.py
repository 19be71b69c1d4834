"""Minutes of mixed load in a process of its own, with its memory sampled: it must be flat once marks expire.

Another process signs (a signature costs twenty times its verification), rotates keys, and sends both over a pipe.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from statistics import linear_regression
from typing import Any

import httpx

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AuthenticationError,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    RegisteredClient,
    ledgerbee,
)

from . import corpus, ours
from .measuring import Loop, Step, in_own_process, rss
from .report import Row, Section

_TENANTS = 4
_BATCH = 40
_ROTATE_EVERY = 15.0
_PACE = 0.1
"""Seconds for a batch: at a rate that does not change, the number of live marks does not either."""


def _sign(pipe: Connection, lifetime: int) -> None:
    """The signing process: documents, then tokens, until the pipe is closed."""
    party = ours.relying_party()
    tenants = [party.tenant(f"soak{number}") for number in range(_TENANTS)]
    rotated = time.monotonic()
    sent = 0
    due = time.monotonic()
    try:
        while True:
            due = max(due + _PACE, time.monotonic() - 1)  # behind by more than a second, it does not catch up
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - rotated > _ROTATE_EVERY:
                rotated = time.monotonic()
                tenants[sent % _TENANTS].rotate()
            tenant = tenants[sent % _TENANTS]
            exp = int(time.time()) + lifetime
            tokens = [corpus.new_token(tenant, exp=exp) for _ in range(_BATCH)]
            pipe.send(({each.slug: each.document() for each in tenants}, tenant.slug, tokens))
            sent += 1
    except (BrokenPipeError, ConnectionResetError):
        return


def _unsigned(slug: str, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": slug, "sub": slug, "aud": corpus.AUDIENCE, "iat": now, "exp": now + 10, "jti": "x"} | changes
    header = {"alg": "RS256", "kid": changes.get("kid", "made-up")}
    raw = (json.dumps(part).encode("ascii") for part in (header, claims))
    return ".".join((*map(corpus.b64, raw), corpus.b64(b"\x01" * 256)))


def work(seconds: int, lifetime: int, leeway: int, step: Step) -> dict[str, Any]:
    """The soak itself: what was sampled each half second, and what came of the requests."""
    logging.getLogger("private_key_jwt").setLevel(logging.CRITICAL)
    ours_end, theirs = multiprocessing.Pipe()
    signer = multiprocessing.get_context("spawn").Process(target=_sign, args=(theirs, lifetime), daemon=True)
    signer.start()
    theirs.close()
    documents: dict[str, Any] = {}

    def publish(request: httpx.Request) -> httpx.Response:
        body = json.dumps(documents[request.url.path.split("/")[-2]]).encode("ascii")
        return httpx.Response(200, headers={"Content-Type": "application/json"}, stream=httpx.ByteStream(body))

    store = MemoryReplayStore()
    # Short times, so that keys expire and refresh ahead, and budgets fill and empty, many times.
    policy = JWKSPolicy(ttl=10, fetch_window=5)
    jwks = JWKSFetcher(policy, http_client=httpx.Client(transport=httpx.MockTransport(publish), trust_env=False))
    shared: dict[str, Any] = {
        "policy": AssertionPolicy(audience=corpus.AUDIENCE, leeway=leeway),
        "clients": {slug: _client(slug) for slug in (f"portal-soak{number}" for number in range(_TENANTS))},
        "replay_store": store,
        "jwks": jwks,
    }
    sync, other = ClientAssertionVerifier(**shared), AsyncClientAssertionVerifier(**shared)
    garbage = list(corpus.garbage(ours.relying_party().tenant()).values())
    outcomes: Counter[str] = Counter()
    samples: list[dict[str, float]] = []
    batches = 0
    with Loop() as loop:
        published, slug, tokens = ours_end.recv()
        began = sampled = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            documents.update(published)
            sent = _mixed(slug, tokens, batches, garbage[batches % len(garbage)])
            if batches % 2:
                loop.run(_send_async(other, sent, outcomes))
            else:
                _send(sync, sent, outcomes)
            batches += 1
            if now - sampled >= 0.5:
                sampled = now
                samples.append(
                    {
                        "at": now - began,
                        "rss": rss(),
                        "marks": len(store),
                        "requests": sum(outcomes.values()),
                        "threads": threading.active_count(),
                    }
                )
                step(f"{now - began:.0f} of {seconds} s")
            published, slug, tokens = ours_end.recv()
    ours_end.close()
    signer.join(5)
    return {"samples": samples, "outcomes": dict(outcomes), "lifetime": lifetime, "leeway": leeway}


def _client(client_id: str) -> RegisteredClient:
    return ledgerbee.client(client_id, slug=client_id.removeprefix("portal-"))


def _mixed(slug: str, tokens: list[str], number: int, garbage: str) -> list[str]:
    """New tokens, the same again, forged ones, and some of every other kind."""
    who = f"portal-{slug}"
    return [
        *tokens,
        *tokens,
        *map(corpus.forged, tokens),
        _unsigned(who, kid=f"made-up-{number}"),
        _unsigned(who, aud="https://another-op.example"),
        _unsigned(f"nobody-{number}"),
        garbage,
    ]


def _send(verifier: ClientAssertionVerifier, tokens: list[str], outcomes: Counter[str]) -> None:
    for token in tokens:
        try:
            verifier.verify(token)
        except AuthenticationError as error:
            outcomes[str(error.reason)] += 1
        else:
            outcomes["accepted"] += 1


async def _send_async(verifier: AsyncClientAssertionVerifier, tokens: list[str], outcomes: Counter[str]) -> None:
    found = await asyncio.gather(*map(verifier.verify, tokens), return_exceptions=True)
    for result in found:
        if isinstance(result, AuthenticationError):
            outcomes[str(result.reason)] += 1
        elif isinstance(result, BaseException):
            raise result
        else:
            outcomes["accepted"] += 1


def run(step: Step, *, short: bool) -> Section:
    seconds, lifetime, leeway = (3, 1, 0) if short else (180, 20, 15)
    found = in_own_process(work, seconds, lifetime, leeway, step=step)
    samples = found["samples"]
    # From when marks have begun to expire, and a little more, there is nothing left that should grow.
    settled = lifetime + 2 * leeway + 2
    steady = [sample for sample in samples if sample["at"] > min(1.3 * settled, seconds * 0.6)]
    slope = linear_regression([each["at"] / 60 for each in steady], [each["rss"] / 1024 for each in steady]).slope
    first, last = steady[0], steady[-1]
    requests = sum(found["outcomes"].values())
    mebibytes = [each["rss"] / 2**20 for each in (samples[0], first, last)]
    section = Section("soak", "Soak (memory of the process)")
    note = (
        f"{mebibytes[0]:.1f} MiB at the start, {mebibytes[1]:.1f} at {first['at']:.0f} s when marks had begun to"
        f" expire, {mebibytes[2]:.1f} at the end; {last['marks']:,} live marks"
    )
    if short:
        note += "; too short to tell"
    outcomes = ", ".join(f"{number:,} {name}" for name, number in sorted(found["outcomes"].items()))
    section.rows = [
        Row(f"growth over the last {last['at'] - first['at']:.0f} s of {seconds} s", slope, unit="KiB/min", note=note),
        Row("requests in all", requests, unit="requests", note=outcomes),
        Row("threads at the end", last["threads"], unit="threads", note=f"most: {max(s['threads'] for s in samples)}"),
    ]
    section.data = found | {"slope_kib_per_minute": slope, "steady_from": first["at"]}
    section.notes.append(
        f"{_BATCH / _PACE:.0f} new assertions a second, each sent twice and once forged, beside unknown kids and"
        f" clients, other audiences and garbage, half of it through asyncio. They live for {lifetime} s with {leeway} s"
        f" of leeway, keys rotate each {_ROTATE_EVERY:.0f} s, and a fetched set lives for 10 s. Made-up"
        " kids spend the budget of fetches, so the first assertions under a new key can be refused as"
        " `unknown_kid`, until the window of 5 s is over."
    )
    return section
