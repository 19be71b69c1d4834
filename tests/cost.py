"""What a verification costs the interpreter: run as a program of its own, for coverage traces what runs under it.

python tests/cost.py    prints JSON: for each path the bytecodes and calls of one run, and its time to an RSA verify
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    ClientAssertionVerifier,
    JWKSFetcher,
    MemoryReplayStore,
    PrivateKeyJWTError,
)
from private_key_jwt._log import MAX_LINES
from private_key_jwt.testing import Clock, RelyingParty, Tenant

AUDIENCE = "https://op.example.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Short batches, so that some of them run from start to end without another process in between.
BATCH = 9
ROUNDS = 100

Call = Callable[[str], object]


class Paths:
    """The ways through the verifiers, each a function of an assertion. Keys are known, marks are in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        party = RelyingParty(audience=AUDIENCE, clock=self.clock)
        self.tenant: Tenant = party.tenant("acme")
        http = httpx.Client(transport=party.transport)
        settings: dict[str, Any] = {
            "policy": AssertionPolicy(audience=AUDIENCE),
            "clients": [self.tenant.client()],
            "fetcher": JWKSFetcher(http_client=http, clock=self.clock),
            "clock": self.clock,
        }
        self.sync = ClientAssertionVerifier(replay_store=MemoryReplayStore(), **settings)
        self.whole = ClientAssertionVerifier(replay_store=MemoryReplayStore(), **settings)
        self.watched = ClientAssertionVerifier(
            replay_store=MemoryReplayStore(), on_event=lambda _event: None, **settings
        )
        self.asynchronous = AsyncClientAssertionVerifier(replay_store=MemoryReplayStore(), **settings)
        self.sync.verify(self.tenant.assertion())
        key = settings["fetcher"].get_key(self.tenant.client(), "RS256", self.tenant.kid).public_key
        padding, digest = PKCS1v15(), SHA256()
        self.parts: dict[str, tuple[bytes, bytes]] = {}

        def bare(assertion: str) -> None:
            signature, signing_input = self.parts[assertion]
            key.verify(signature, signing_input, padding, digest)

        self.bare: Call = bare

    def calls(self) -> dict[str, Call]:
        return {
            "verify": self.sync.verify,
            "verify, async": lambda assertion: self._at_once(self.asynchronous.verify(assertion)),
            "authenticate": lambda assertion: self.whole.authenticate(
                {
                    "grant_type": "client_credentials",
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": assertion,
                }
            ),
        }

    @staticmethod
    def _at_once(coroutine: Any) -> None:
        # With known keys and marks in memory nothing is waited for.
        with contextlib.suppress(StopIteration):
            coroutine.send(None)

    def assertions(self) -> list[str]:
        made = [self.tenant.assertion() for _ in range(BATCH)]
        for assertion in made:
            signing_input, _, signature = assertion.rpartition(".")
            self.parts[assertion] = (base64.urlsafe_b64decode(signature + "=="), signing_input.encode())
        return made

    def refused(self) -> dict[str, str]:
        tenant = self.tenant
        head, _, tail = tenant.assertion().partition(".")
        signature = tail.partition(".")[2]
        room = 16_384 - len(head) - len(signature) - 2

        def stuffed(payload: bytes) -> str:
            return f"{head}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{signature}"

        return {
            **{name: tenant.defective(name) for name in ("expired", "aud_slash", "unknown_client", "kid_number")},
            "16 KiB of [": stuffed(b"[" * (room * 3 // 4)),
            "16 KiB of {": stuffed(b'{"a":' * (room * 3 // 20)),
            "16 KiB of dots": "." * 16_384,
            "16 KiB without a dot": "A" * 16_384,
            "16 KiB that end wrong": f"{head}.{'A' * (room - 1)}!.{signature}",
            "16 KiB with spare bits": f"{head}.{'A' * (room // 4 * 4 - 2)}B.{signature}",
        }


def refusal(verify: Call) -> Call:
    def call(assertion: str) -> None:
        with contextlib.suppress(PrivateKeyJWTError):
            verify(assertion)
            raise SystemExit(f"accepted: {assertion[:60]}")

    return call


def counted(call: Call, assertion: str) -> Counter[str]:
    """The bytecodes that ``call`` runs, and the functions that it calls, in Python and in C."""
    count: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count["bytecodes"] += event == "opcode"
        count["calls"] += event == "call"
        return trace

    sys.settrace(trace)
    try:
        call(assertion)
    finally:
        sys.settrace(None)
    return count


def seconds(call: Call, assertions: list[str]) -> float:
    call(assertions[0])  # brings what it needs into the processor's caches
    started = time.perf_counter()
    for assertion in assertions[1:]:
        call(assertion)
    return time.perf_counter() - started


def main() -> None:
    paths = Paths()
    accepted, refused = paths.calls(), paths.refused()
    call = refusal(paths.sync.verify)
    # Twice: the interpreter specializes what it has run before.
    for _ in range(20):
        for each in accepted.values():
            each(paths.tenant.assertion())
    measured: dict[str, dict[str, float]] = {
        name: dict(counted(each, paths.tenant.assertion())) for name, each in accepted.items()
    }
    for name, assertion in refused.items():
        for _ in range(MAX_LINES + 1):  # as under a flood: what is refused beyond these is counted, and not logged
            call(assertion)
        measured[name] = dict(counted(call, assertion))
    # What is refused for its size is not read for its event either.
    measured["1 MiB, and with an event handler"] = dict(counted(refusal(paths.watched.verify), "A" * 1_048_577))
    bare: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in [*accepted, *refused]}
    for _ in range(ROUNDS):
        batch = paths.assertions()  # new to each of the verifiers
        bare.append(seconds(paths.bare, batch))
        for name, each in accepted.items():
            times[name].append(seconds(each, batch))
        for name, assertion in refused.items():
            times[name].append(seconds(call, [assertion] * BATCH))
    measured["1 MiB, and with an event handler"]["ratio"] = min(
        seconds(refusal(paths.watched.verify), ["A" * 1_048_577] * BATCH) for _ in range(ROUNDS)
    ) / min(bare)
    for name, taken in times.items():
        # The least of many rounds: what the machine does beside adds to a round, and takes nothing from it.
        measured[name]["ratio"] = min(taken) / min(bare)
    print(json.dumps(measured, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
