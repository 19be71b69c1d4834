"""Load on several workers that share a store, while workers, store and JWKS server are killed and keys rotate.

``python tests/chaos/run.py --seconds 120`` divides its time among the stores. It exits with 1 when an assertion was
accepted twice, a removed key worked on, anything was refused outside of its stated bound, or anything else was raised.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from rich.console import Console
from rich.table import Table

from chaos.fleet import STORES
from chaos.record import BOUNDS, PENDING, Record
from chaos.scenario import AUDIENCE, run
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
        on_event=lambda _event: None,
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


def faults(record: Record) -> dict[str, int]:
    """What must not happen, and how often it did."""
    return {
        "accepted twice": record.accepted_twice(),
        "accepted under a removed key": record.accepted_after_removal(),
        "refused outside of the bounds": len(record.outside()),
        "foreign exceptions": sum(record.foreign().values()),
        "never answered": record.counts()[PENDING],
        "lines on stderr": record.happened["lines on stderr"],
    }


def _report(console: Console, records: dict[str, Record]) -> None:
    table = Table("", *records, title="chaos")

    def row(name: str, numbers: Sequence[object]) -> None:
        table.add_row(name, *map(str, numbers))

    each = list(records.values())
    row("assertions", [len({one.assertion for one in record.presentations}) for record in each])
    row("presentations", [len(record.presentations) for record in each])
    for name in dict.fromkeys(name for record in each for name in record.happened if name != "lines on stderr"):
        row(name, [record.happened[name] for record in each])
    table.add_section()
    row("accepted", [record.counts()["accepted"] for record in each])
    for name, bound in BOUNDS.items():
        row(f"{name}\n  [dim]{bound}[/dim]", [record.counts()[name] for record in each])
    row("longest answer, s", [f"{_longest(record):.1f}" for record in each])
    table.add_section()
    for name in faults(each[0]):
        row(f"[bold]{name}[/bold]", [faults(record)[name] for record in each])
    console.print(table)
    for name, record in records.items():
        for _, why in record.outside()[:10]:
            console.print(f"{name}: outside of the bounds: {why}", markup=False)
        for error, number in record.foreign().items():
            console.print(f"{name}: {number} x {error}", markup=False)


def _longest(record: Record) -> float:
    return max(one.answered - one.sent for one in record.presentations if one.outcome not in ("killed", PENDING))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="in all; starting and stopping comes on top")
    parser.add_argument("--store", action="append", choices=STORES, help="all unless given")
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # as any error: all children are ended
    console = Console()
    names = options.store or list(STORES)
    rounds = threads_on_one_assertion(rounds=max(3, int(options.seconds / 4)))
    console.print(
        f"64 threads on one assertion, in memory: {len(rounds)} rounds, let in each time: {sorted({*rounds})}"
    )
    records = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
            seconds = options.seconds / len(names)
            records[name] = run(name, Path(directory), seconds=seconds, workers=options.workers)
    _report(console, records)
    is_well = {*rounds} == {1} and not any(sum(faults(record).values()) for record in records.values())
    return 0 if is_well else 1
