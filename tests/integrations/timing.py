"""What a request costs, in units of one RSA verification."""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf
from time import thread_time

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from support import private_key

ROUNDS, TRIES = 15, 10


def least(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least of several times in seconds of the processor. What traces the tests is off: it slows Python only."""
    return least_of_each(call, rounds=rounds)[0]


def least_of_each(*calls: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The same for several calls in turn, for a ratio: a machine that is slow for a while is so for all of them."""
    times: list[list[float]] = [[] for _ in calls]
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(rounds):
            for call, taken in zip(calls, times, strict=True):
                started = thread_time()
                call()
                taken.append(thread_time() - started)
    finally:
        sys.settrace(tracer)
    return [min(taken) for taken in times]


def verify_rsa() -> Callable[[], object]:
    """What verifies a signature with a key of 2,048 bits."""
    key = private_key()
    signature, public = key.sign(b"x", PKCS1v15(), SHA256()), key.public_key()
    return lambda: public.verify(signature, b"x", PKCS1v15(), SHA256())


def rsa_verification() -> float:
    """The seconds that one such verification takes."""
    return least(verify_rsa(), 100)


def verifications(call: Callable[[], object], short: Callable[[], object] = int, rounds: int = ROUNDS) -> float:
    """How many such verifications a call costs, beside what a short one costs."""
    # Three in a row: the first finds the processor's caches full of the call.
    taken, short_taken, *units = least_of_each(call, short, *[verify_rsa()] * 3, rounds=rounds)
    return (taken - short_taken) / min(units)


def cost_at_most(allowed: float, call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The same, at once when it is no more than allowed, else the least of several: a machine is slow for a while."""
    found = inf
    for _ in range(TRIES):
        found = min(found, verifications(call, rounds=rounds))
        if found <= allowed:
            break
    return found


def costs_at_most_times(
    allowed: float,
    large: Callable[[], object],
    small: Callable[[], object],
    *,
    floor: float = 0.0,
    rounds: int = ROUNDS,
) -> bool:
    """Report whether a call costs at most so many times another one, in the best of several tries.

    floor: seconds that the smaller one counts as at the least.
    """
    tries = (least_of_each(large, small, rounds=rounds) for _ in range(TRIES))
    return any(taken[0] <= allowed * max(taken[1], floor) for taken in tries)
