"""One version of the library, timed on demand by ``versions``: ``python -m suite.versions_worker`` with its source on
PYTHONPATH.

Reads one JSON object a line (``path``, ``number``) and writes the seconds of one call. It uses only what all versions
have, with the names that each has for it, and makes its assertions itself, all with one key that it reads first.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import Any
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    AuthenticationError,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryJWKSCache,
    MemoryReplayStore,
    RegisteredClient,
)
from private_key_jwt.stores import JWKSDocument
from suite import hostile
from suite.measuring import awaited, calls, refusals, threads

_AUDIENCE = "https://op.example.com"
_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_POOL = 1_500


def _settings(of: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    """The keyword arguments under the names that this version has for them."""
    older = {"fetcher": "jwks", "http_client": "http"}
    known = inspect.signature(of).parameters
    return {name if name in known else older[name]: value for name, value in settings.items()}


class Worker:
    """The paths that can be timed, by name."""

    def __init__(self, key: RSAPrivateKey, clients: int) -> None:
        self._key = key
        self._number = clients
        public = key.public_key()
        numbers = public.public_numbers()
        n, e = (hostile.b64(value.to_bytes((value.bit_length() + 7) // 8)) for value in (numbers.n, numbers.e))
        self._jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e}
        self._loop = asyncio.Runner()
        self._bare, self._padding, self._digest = public.verify, PKCS1v15(), SHA256()
        self._many: dict[str, RegisteredClient] = {}
        transport = httpx.MockTransport(self._publish)
        self._fetcher = JWKSFetcher(
            JWKSPolicy(ttl=86_400), **_settings(JWKSFetcher, http_client=httpx.Client(transport=transport))
        )
        self._async_fetcher = AsyncJWKSFetcher(
            JWKSPolicy(ttl=86_400), **_settings(AsyncJWKSFetcher, http_client=httpx.AsyncClient(transport=transport))
        )
        self._clients = {"client-0": self._client(0)}
        self._pool = [self.assertion() for _ in range(_POOL)]
        self._at = 0
        self._hostile = hostile.shapes(self._header(0), self._claims(0))

    def _client(self, number: int) -> RegisteredClient:
        return RegisteredClient(f"client-{number}", jwks_uri=f"https://client-{number}.example/jwks.json")

    def _document(self, number: int) -> bytes:
        return json.dumps({"keys": [{**self._jwk, "kid": f"kid-{number}"}]}).encode("ascii")

    def _publish(self, request: httpx.Request) -> httpx.Response:
        body = self._document(int(request.url.host.partition(".")[0].rpartition("-")[2]))
        headers = {"Content-Type": "application/json"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))

    def _header(self, number: int) -> dict[str, Any]:
        return {"alg": "RS256", "kid": f"kid-{number}"}

    def _claims(self, number: int) -> dict[str, Any]:
        now, who = int(time.time()), f"client-{number}"
        return {"iss": who, "sub": who, "aud": _AUDIENCE, "iat": now, "exp": now + 300, "jti": str(uuid4())}

    def assertion(self, number: int = 0, **changes: Any) -> str:
        signing_input = f"{hostile.encode(self._header(number))}.{hostile.encode(self._claims(number) | changes)}"
        signature = self._key.sign(signing_input.encode("ascii"), PKCS1v15(), SHA256())
        return f"{signing_input}.{hostile.b64(signature)}"

    def verifier(self, clients: dict[str, RegisteredClient] | None = None) -> ClientAssertionVerifier:
        return ClientAssertionVerifier(
            policy=AssertionPolicy(audience=_AUDIENCE),
            clients=clients or self._clients,
            replay_store=MemoryReplayStore(),
            **_settings(ClientAssertionVerifier, fetcher=self._fetcher),
        )

    def _async_verifier(self) -> AsyncClientAssertionVerifier:
        return AsyncClientAssertionVerifier(
            policy=AssertionPolicy(audience=_AUDIENCE),
            clients=self._clients,
            replay_store=MemoryReplayStore(),
            **_settings(AsyncClientAssertionVerifier, fetcher=self._async_fetcher),
        )

    def _take(self, number: int) -> list[str]:
        """Assertions out of the pool; they live for 300 s, and it is signed anew before they expire."""
        if json.loads(hostile.unb64(self._pool[-1].split(".")[1]))["exp"] - time.time() < 60:
            self._pool = [self.assertion() for _ in range(_POOL)]
        self._at = 0 if self._at + number > len(self._pool) else self._at
        self._at += number
        return self._pool[self._at - number : self._at]

    # Each returns the seconds of one call.

    def time(self, path: str, number: int) -> float:
        name, _, rest = path.partition(": ")
        if name == "refused":
            return _time_refusals(self.verifier().verify, self._early(rest, number))
        if name == "hostile":
            return _time_refusals(self.verifier().verify, [self._hostile[rest]] * number)
        timed: Callable[[int], float] = getattr(self, f"time_{path.replace(' ', '_')}")
        return timed(number)

    def shapes(self) -> list[str]:
        return list(self._hostile)

    def time_bare(self, number: int) -> float:
        parts = [each.rpartition(".") for each in self._take(number)]
        items = [(hostile.unb64(signature), head.encode("ascii")) for head, _, signature in parts]
        return calls(lambda item: self._bare(item[0], item[1], self._padding, self._digest), items) / number

    def time_accept(self, number: int) -> float:
        verify = self.verifier().verify
        verify(self.assertion())
        return calls(verify, self._take(number)) / number

    def time_form(self, number: int) -> float:
        authenticate = self.verifier().authenticate
        forms = [
            {"client_assertion_type": _TYPE, "client_assertion": each, "client_id": "client-0"}
            for each in self._take(number)
        ]
        authenticate({"client_assertion_type": _TYPE, "client_assertion": self.assertion()})
        return calls(authenticate, forms) / number

    def time_async(self, number: int) -> float:
        verifier, tokens = self._async_verifier(), self._take(number)

        async def run() -> float:
            await verifier.verify(self.assertion())
            return await awaited(verifier.verify, tokens) / number

        return float(self._loop.run(run()))

    def time_two_threads(self, number: int) -> float:
        """By the clock on the wall, for as many assertions in each of two threads."""
        verify = self.verifier().verify
        verify(self.assertion())
        tokens = self._take(2 * number)
        return threads(verify, [tokens[::2], tokens[1::2]])[0] / (2 * number)

    def time_many_clients(self, number: int) -> float:
        """Assertions of clients drawn evenly out of many, whose keys are all loaded."""
        if not self._many:
            self._register()
        verify = self.verifier(self._many).verify
        self._drawn += number
        step = max(1, self._number // number)
        tokens = [self.assertion((self._drawn + place * step) % self._number) for place in range(number)]
        return calls(verify, tokens) / number

    def _register(self) -> None:
        cache, now = MemoryJWKSCache(self._number), time.monotonic()
        self._many = {client.client_id: client for client in map(self._client, range(self._number))}
        for number, client in enumerate(self._many.values()):
            cache.put(str(client.jwks_uri), JWKSDocument(self._document(number), now), now)
        self._fetcher = JWKSFetcher(JWKSPolicy(ttl=86_400), cache=cache, max_key_sets=2 * self._number + 10)
        verify = self.verifier(self._many).verify
        for number in range(self._number):
            with suppress(AuthenticationError):  # no key made this signature; its client's key is loaded all the same
                verify(f"{hostile.encode(self._header(number))}.{hostile.encode(self._claims(number))}.{'A' * 342}")
        self._drawn = 0

    def _early(self, what: str, number: int) -> list[str]:
        now = int(time.time())
        changes: dict[str, dict[str, Any]] = {
            "expired": {"iat": now - 120, "exp": now - 60},
            "wrong aud": {"aud": "https://another-op.example.com"},
            "unknown client": {"iss": "nobody", "sub": "nobody"},
            "malformed": {},
        }
        made = [self.assertion(**changes[what]) for _ in range(min(number, 5))]
        if what == "malformed":
            made = [f"{each[:-1]}!" for each in made]
        return [token for token, _ in zip(cycle(made), range(number), strict=False)]


def _time_refusals(verify: Callable[[str], object], tokens: list[str]) -> float:
    for _ in range(150):  # a flood: the lines that the default handler writes in a second are used up
        with suppress(AuthenticationError):
            verify("a.b.c")
    return refusals(verify, tokens, AuthenticationError) / len(tokens)


def main() -> None:
    # The default handler, with a log that is written.
    logging.getLogger("private_key_jwt").addHandler(logging.FileHandler(os.devnull))
    logging.getLogger("private_key_jwt").propagate = False
    setup = json.loads(sys.stdin.readline())
    key = load_pem_private_key(setup["key"].encode("ascii"), None)
    assert isinstance(key, RSAPrivateKey)
    worker = Worker(key, setup["clients"])
    print(json.dumps(worker.shapes()), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(worker.time(asked["path"], asked["number"])), flush=True)


if __name__ == "__main__":
    main()
