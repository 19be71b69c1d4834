"""What a verification may cost beside the RSA operation: a slow path is seen.

Bytecodes and calls are counted, so they are the same on every machine (on CPython 3.11; later ones report fewer
bytecodes). The times are ratios to an RSA verify in the same run, and their bounds are far from what is measured: a
machine that is busy must not fail.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# path: bytecodes, Python calls, and the time of an RSA-2048 verify that it may take
BUDGET = {
    "verify": (1_300, 60, 3.5),
    "verify, async": (1_400, 70, 3.5),
    "authenticate": (1_700, 70, 4.0),
    "expired": (1_000, 40, 1.2),
    "aud_slash": (1_150, 50, 1.2),
    "unknown_client": (800, 40, 1.2),
    "kid_number": (800, 40, 1.2),
    "16 KiB of [": (600, 30, 3.0),
    "16 KiB of {": (700, 30, 3.0),
    "16 KiB of dots": (400, 30, 3.0),
    "16 KiB without a dot": (400, 30, 3.0),
    "16 KiB that end wrong": (550, 30, 3.0),
    "16 KiB with spare bits": (500, 30, 3.0),
    # An event has the detail, which says how long each segment is.
    "1 MiB, and with an event handler": (550, 30, 1.0),
}


@pytest.fixture(scope="module")
def costs() -> dict[str, dict[str, float]]:
    """Out of a process of its own: coverage traces this one."""
    program = Path(__file__).parent / "cost.py"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    result = subprocess.run([sys.executable, program], capture_output=True, check=True, env=environment)
    measured: dict[str, dict[str, float]] = json.loads(result.stdout)
    return measured


@pytest.mark.parametrize("path", BUDGET)
def test_a_path_stays_within_its_budget(costs: dict[str, dict[str, float]], path: str) -> None:
    bytecodes, calls, ratio = BUDGET[path]
    assert costs[path]["bytecodes"] <= bytecodes
    assert costs[path]["calls"] <= calls
    assert costs[path]["ratio"] <= ratio


def test_every_path_that_is_measured_has_a_budget(costs: dict[str, dict[str, float]]) -> None:
    assert costs.keys() == BUDGET.keys()
