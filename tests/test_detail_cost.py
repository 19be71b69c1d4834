"""What the detail of a refusal for want of a key may cost: each kid is a stranger's choice, each key set a client's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edges import LOOPBACK
from integrations.timing import cost_at_most
from loopback import Publisher, http
from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    InvalidClient,
    JWKSFetcher,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from private_key_jwt.events import Event
from private_key_jwt.testing import Clock
from support import b64, claims_of, okp_jwk, okp_key, sign_json

AUDIENCE = "https://op.example.com"
# RSA verifications that a whole refusal with its detail may cost. What is measured is from 2 to 8.
MOST = 12.0


def _cases(number: int) -> str:
    """One of 64 spellings of one name."""
    return "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate("abcdef"))


# kid and x5t of the number of a key
SETS: dict[str, Callable[[int], dict[str, str]]] = {
    "plain": lambda number: {"kid": b64(b"%020d" % number), "x5t": b64(b"%020d" % number)},
    "percent": lambda number: {"kid": f"k{number:03}" + "a" * 250, "x5t": "%41" * 21},
    "letters that fold to three": lambda number: {"kid": f"{number:02}" + "\u0390" * 127, "x5t": "\u0390" * 64},
    "letters that fold to others": lambda number: {"kid": f"{number:02}" + "\ufb03" * 84, "x5t": "\ufb03" * 64},
    "one name": lambda number: {"kid": _cases(number) + "\ufb03" * 83, "x5t": _cases(number)},
}
KIDS = {
    "plain": "a" * 40,
    "long": "a" * 256,
    "percent": "%41" * 85,
    "percent and letters": "\u00e9%" * 85,
    "no UTF-8 and letters": "%80\u00e9" * 51,
    "all x5t": "\u0390" * 64,
    "all kids": "abcdef" + "ffi" * 83,
    "none": None,
}


def document(name: str) -> dict[str, Any]:
    return {"keys": [okp_jwk(okp_key(number), **SETS[name](number)) for number in range(64)]}


def client_by_value(name: str, _publisher: Publisher) -> RegisteredClient:
    return RegisteredClient("c", jwks=document(name), signing_algs=["Ed25519"])


def client_fetched(name: str, publisher: Publisher) -> RegisteredClient:
    publisher.answer = http(json.dumps(document(name), ensure_ascii=False).encode())
    return RegisteredClient("c", jwks_uri=publisher.uri("/" + "x" * 200), signing_algs=["Ed25519"])


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("client", [client_by_value, client_fetched])
@pytest.mark.parametrize("name", SETS)
def test_a_refusal_with_its_detail_costs_a_few_verifications_whatever_kid_meets_whatever_key_set(
    publisher: Publisher, clock: Clock, client: Callable[[str, Publisher], RegisteredClient], name: str
) -> None:
    details: list[str] = []
    reasons: list[Reason] = []

    def on_event(event: Event) -> None:
        details.append(getattr(event, "detail", ""))

    with JWKSFetcher(LOOPBACK, clock=clock, on_event=on_event) as fetcher:
        verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=[client(name, publisher)],
            replay_store=MemoryReplayStore(),
            fetcher=fetcher,
            clock=clock,
            on_event=on_event,
        )
        for kid in KIDS.values():
            header = {"alg": "Ed25519"} | ({} if kid is None else {"kid": kid})
            assertion = sign_json(header, claims_of("c", AUDIENCE, int(clock())))

            def refuse(assertion: str = assertion) -> None:
                details.clear()
                try:
                    verifier.verify(assertion)
                except InvalidClient as error:
                    reasons.append(error.reason)

            for _ in range(LOOPBACK.fetch_limit):
                refuse()  # what is fetched is not measured
            assert len(details) == 1, kid
            assert cost_at_most(MOST, refuse) <= MOST, kid
        assert set(reasons) == {Reason.UNKNOWN_KID, Reason.AMBIGUOUS_KEY}
