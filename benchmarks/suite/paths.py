"""The ways through a verifier that are timed, each token of a block new to it; the same for every version."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from private_key_jwt import AuthenticationError
from private_key_jwt.testing import RelyingParty, Tenant

from . import corpus, ours
from .measuring import CodePath, Items, awaited, calls, refusals

EARLY = ("expired", "wrong aud", "unknown client", "malformed")


def _path(name: str, subject: ours.Subject, items: Items, loop: asyncio.Runner | None) -> CodePath:
    def run(block: Items) -> float:
        # What is renewed is looked for at each block.
        function = subject.verifier.verify if isinstance(block[0], str) else subject.verifier.authenticate
        return float(loop.run(awaited(function, block))) if loop else calls(function, block)

    return CodePath(name, run, items, subject.renew)


def accepted(party: RelyingParty, tenant: Tenant, count: int, loop: asyncio.Runner) -> dict[str, CodePath]:
    """All ways in, each with all checks and a MemoryReplayStore."""
    tokens = corpus.tokens(tenant, count)
    forms = [ours.form(token, tenant.client_id) for token in tokens]
    paths = {}
    for name, items in (("verify", tokens), ("authenticate(form)", forms)):
        one = ours.Subject([tenant.client()], ours.fetcher(party))
        two = ours.Subject([tenant.client()], ours.async_fetcher(party))
        paths[name] = _path(name, one, items, None)
        paths[f"{name}, async"] = _path(f"{name}, async", two, items, loop)
    return paths


def refused(name: str, subject: ours.Subject, tokens: Items) -> CodePath:
    """Assertions that are refused before a key is used. Raising and catching is in the time."""

    def run(block: Items) -> float:
        return refusals(subject.verifier.verify, block, AuthenticationError)

    return CodePath(name, run, tokens)


def early(tenant: Tenant, name: str) -> list[str]:
    """Assertions of ordinary size that are refused before the key, by one of ``EARLY``."""
    now = int(time.time())
    changes: dict[str, dict[str, Any]] = {
        "expired": {"iat": now - 120, "exp": now - 60},
        "wrong aud": {"aud": "https://another-op.example.com"},
        "unknown client": {"iss": "portal-nobody", "sub": "portal-nobody"},
    }
    tokens = corpus.tokens(tenant, 50, **changes.get(name, {}))
    return tokens if name in changes else [f"{token[:-1]}!" for token in tokens]
