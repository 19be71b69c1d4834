"""Keys and tokens for tests, made by hand where a test needs what no well-meant library makes."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from private_key_jwt import RegisteredClient
from private_key_jwt._core import rsa

OP = "https://as.example"


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> Any:
    """Wait for something outside of the test's hands (a server, a thread) to become what the test needs."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
    return found


@contextmanager
def switching_threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads which the interpreter switches after a microsecond, as far as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(number) as pool:
            yield pool
    finally:
        sys.setswitchinterval(interval)


def registered(jwks_uri: str, **settings: Any) -> RegisteredClient:
    """A client whose keys are published there, also where registration would have refused the URL."""
    client = RegisteredClient("client-1", jwks_uri="https://client.example/jwks.json", **settings)
    object.__setattr__(client, "jwks_uri", jwks_uri)
    return client


def use_fetcher(verifier: Any, fetcher: Any) -> None:
    """Give a verifier that exists already another fetcher: in a program that is run as it is written."""
    verifier._fetcher = fetcher
    verifier._get_key = fetcher.get_key


def name_case(value: object) -> str:
    """Name a case by its value, without the keys in it: another process, which makes others, must name it alike."""
    return re.sub(r"[\w-]{40,}", "...", repr(value))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def integer(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@cache
def private_key(number: int = 0, bits: int = 2_048) -> RSAPrivateKey:
    """The same key for the same number, throughout a test run."""
    return generate_private_key(public_exponent=65_537, key_size=bits)


def jwk(key: RSAPrivateKey | None = None, /, **changes: Any) -> dict[str, Any]:
    """A public JWK as LedgerBee publishes it, with changes; a change to ``...`` removes the member."""
    numbers = (key or private_key()).public_key().public_numbers()
    members = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": "k1",
        "n": integer(numbers.n),
        "e": integer(numbers.e),
    }
    return {name: value for name, value in (members | changes).items() if value is not ...}


def without_small_factors(n: int) -> int:
    """The next number from ``n`` down that may be an RSA modulus, as far as can be seen."""
    while math.gcd(n, rsa._SMALL_PRODUCT) != 1:
        n -= 2
    return n


def large_jwk() -> dict[str, Any]:
    """A public JWK of 8192 bits, the most there may be; to generate a real one takes many seconds."""
    return jwk(n=integer(without_small_factors((1 << 8_192) - 1)))


def ec_jwk(key: ec.EllipticCurvePrivateKey, /, **changes: Any) -> dict[str, Any]:
    """The public JWK of an EC key, with changes."""
    numbers = key.public_key().public_numbers()
    size = (key.key_size + 7) // 8
    members = {
        "kty": "EC",
        "crv": {256: "P-256", 384: "P-384", 521: "P-521"}[key.key_size],
        "kid": "k1",
        "x": b64(numbers.x.to_bytes(size, "big")),
        "y": b64(numbers.y.to_bytes(size, "big")),
    }
    return {name: value for name, value in (members | changes).items() if value is not ...}


def okp_jwk(key: Ed25519PrivateKey, /, **changes: Any) -> dict[str, Any]:
    """The public JWK of an Ed25519 key, with changes."""
    members = {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": b64(key.public_key().public_bytes_raw())}
    return {name: value for name, value in (members | changes).items() if value is not ...}


@cache
def ec_key(curve: str = "P-256", number: int = 0) -> ec.EllipticCurvePrivateKey:
    """The same key for the same curve and number, throughout a test run."""
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves.get(curve) or ec.SECP256K1())


@cache
def okp_key(number: int = 0) -> Ed25519PrivateKey:
    """The same key for the same number, throughout a test run."""
    return Ed25519PrivateKey.generate()


def sign(header: bytes, payload: bytes, key: RSAPrivateKey | None = None) -> str:
    """A compact JWS over exactly these bytes."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    signature = (key or private_key()).sign(signing_input.encode(), PKCS1v15(), SHA256())
    return f"{signing_input}.{b64(signature)}"


def claims_of(client_id: str, audience: str, now: float, **changes: Any) -> dict[str, Any]:
    """The claims of an assertion that lives for a minute from now, with changes."""
    own = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 60, "jti": "j"}
    return own | changes


def sign_json(header: dict[str, Any], claims: dict[str, Any], key: RSAPrivateKey | None = None) -> str:
    """A compact JWS over these members."""
    return sign(json.dumps(header).encode(), json.dumps(claims).encode(), key)


def raising(kind: type) -> Any:
    """Make a class of such values whose own methods all raise."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError

    own = [name for name in vars(kind) if name not in ("__new__", "__init__", "__doc__", "__getattribute__")]
    return type(f"Raising{kind.__name__.title()}", (kind,), dict.fromkeys(own, fail))


def linked_to(error: BaseException) -> list[BaseException]:
    """An error and all that hang on it, as a cause or as the context, suppressed or not: a tracker shows them all."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and not any(each is other for other in found):
            found.append(each)
            left += [each.__cause__, each.__context__]
    return found


def held_by(error: BaseException) -> str:
    """What an error and all that hang on it hold: texts, arguments, and what an error of a decoder could not decode."""
    texts: list[str] = []
    for each in linked_to(error):
        texts += [str(each), repr(each), repr(each.args), repr(getattr(each, "__dict__", None))]
        texts += [repr(getattr(each, name, None)) for name in ("doc", "object")]
    return "\n".join(texts)
