"""What a request costs, in units of one RSA verification."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from support import private_key

ROUNDS = 15


def least(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least of several times in seconds of the processor. What traces the tests is off: it slows Python only."""
    times = []
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(rounds):
            started = thread_time()
            call()
            times.append(thread_time() - started)
    finally:
        sys.settrace(tracer)
    return min(times)


def rsa_verification() -> float:
    """The seconds that the verification of a signature with a key of 2,048 bits takes."""
    key = private_key()
    signature, public = key.sign(b"x", PKCS1v15(), SHA256()), key.public_key()
    return least(lambda: public.verify(signature, b"x", PKCS1v15(), SHA256()), 100)
