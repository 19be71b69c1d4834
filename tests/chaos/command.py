"""Load on several workers that share a store, while workers, store and JWKS server are killed and keys rotate.

``python tests/chaos/run.py --seconds 120`` divides its time among the stores. It exits with 1 when an assertion was
accepted twice, a removed key worked on, anything was refused outside of its stated bound, or anything else was raised.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from rich.console import Console
from rich.table import Table

from chaos.fleet import STORES
from chaos.ledger import BOUNDS, PENDING, Ledger
from chaos.scene import AUDIENCE, play
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ClientAssertionVerifier,
    MemoryReplayStore,
    RegisteredClient,
)
from private_key_jwt.testing import SigningKey


def threads_on_one_assertion(rounds: int, threads: int = 64) -> list[int]:
    """How many of the threads of one process are let in by the memory store, in each round."""
    key = SigningKey.generate()
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=AUDIENCE),
        clients=[RegisteredClient("c", jwks={"keys": [key.public_jwk()]})],
        replay_store=MemoryReplayStore(),
    )
    begin = Barrier(threads)

    def present(assertion: str) -> bool:
        begin.wait(30)
        try:
            return verifier.verify(assertion).client_id == "c"
        except AuthenticationError:
            return False

    accepted = []
    with ThreadPoolExecutor(threads) as pool:
        for number in range(rounds):
            claims = {"iss": "c", "sub": "c", "aud": AUDIENCE, "exp": time.time() + 60, "jti": str(number)}
            assertion = key.sign({"alg": "RS256", "kid": key.kid}, claims)
            accepted.append(sum(pool.map(present, [assertion] * threads)))
    return accepted


def faults(ledger: Ledger) -> dict[str, int]:
    """What must not happen, and how often it did."""
    return {
        "accepted twice": ledger.accepted_twice(),
        "accepted under a removed key": ledger.accepted_after_removal(),
        "refused outside of the bounds": len(ledger.outside()),
        "foreign exceptions": sum(ledger.foreign().values()),
        "never answered": ledger.counts()[PENDING],
        "lines on stderr": ledger.happened["lines on stderr"],
    }


def _report(console: Console, ledgers: dict[str, Ledger]) -> None:
    table = Table("", *ledgers, title="chaos")

    def row(name: str, numbers: Sequence[object]) -> None:
        table.add_row(name, *map(str, numbers))

    each = list(ledgers.values())
    row("assertions", [len({one.assertion for one in ledger.presentations}) for ledger in each])
    row("presentations", [len(ledger.presentations) for ledger in each])
    for name in dict.fromkeys(name for ledger in each for name in ledger.happened if name != "lines on stderr"):
        row(name, [ledger.happened[name] for ledger in each])
    table.add_section()
    row("accepted", [ledger.counts()["accepted"] for ledger in each])
    for name, bound in BOUNDS.items():
        row(f"{name}\n  [dim]{bound}[/dim]", [ledger.counts()[name] for ledger in each])
    row("longest answer, s", [f"{_longest(ledger):.1f}" for ledger in each])
    table.add_section()
    for name in faults(each[0]):
        row(f"[bold]{name}[/bold]", [faults(ledger)[name] for ledger in each])
    console.print(table)
    for name, ledger in ledgers.items():
        for _, why in ledger.outside()[:10]:
            console.print(f"{name}: outside of the bounds: {why}", markup=False)
        for error, number in ledger.foreign().items():
            console.print(f"{name}: {number} x {error}", markup=False)


def _longest(ledger: Ledger) -> float:
    return max(one.answered - one.sent for one in ledger.presentations if one.outcome not in ("killed", PENDING))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="in all; starting and stopping comes on top")
    parser.add_argument("--store", action="append", choices=STORES, help="all unless given")
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args(arguments)
    console = Console()
    names = options.store or list(STORES)
    rounds = threads_on_one_assertion(rounds=max(3, int(options.seconds / 4)))
    console.print(
        f"64 threads on one assertion, in memory: {len(rounds)} rounds, let in each time: {sorted({*rounds})}"
    )
    ledgers = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
            seconds = options.seconds / len(names)
            ledgers[name] = play(name, Path(directory), seconds=seconds, workers=options.workers)
    _report(console, ledgers)
    is_well = {*rounds} == {1} and not any(sum(faults(ledger).values()) for ledger in ledgers.values())
    return 0 if is_well else 1
