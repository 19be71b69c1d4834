"""Many clients: a document and a ``kid`` for each, over a few moduli (making 10^5 RSA keys would take hours)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from private_key_jwt import RegisteredClient, ledgerbee
from private_key_jwt.testing import SigningKey
from private_key_jwt.testing._keys import compact, to_json
from private_key_jwt.testing._publisher import Answer
from private_key_jwt.testing._server import LoopbackServer, serve
from private_key_jwt.testing._transport import Transport

from . import corpus

_MODULI = 4


class Crowd:
    """Clients numbered from 0, and the publisher of their keys: ``transport`` without a network, ``serve`` with."""

    base_path = "/api"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.keys = [SigningKey.generate() for _ in range(_MODULI)]
        self.clock = clock
        self.transport = Transport(self)  # type: ignore[arg-type]

    def serve(self) -> AbstractContextManager[LoopbackServer]:
        return serve(self, 0)  # type: ignore[arg-type]

    def client(self, number: int, base_url: str = ledgerbee.BASE_URL) -> RegisteredClient:
        return ledgerbee.client(f"portal-{number}", slug=f"portal-{number}", base_url=base_url)

    def key(self, number: int) -> SigningKey:
        return SigningKey(f"kid{number:013d}", self.keys[number % _MODULI].private_key)

    def document(self, client_id: str) -> bytes:
        return to_json({"keys": [self.key(int(client_id.rpartition("-")[2])).public_jwk()]})

    def answer(self, _method: str, target: str) -> Answer:
        """What the publisher answers for the path of a client."""
        body = self.document(target.split("/")[-2])
        return Answer(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)

    def token(self, number: int) -> str:
        """A new assertion of this client."""
        return self.key(number).sign(*self._parts(number))

    def unsigned(self, number: int) -> str:
        """The same with a signature that no key made: it costs no signing, and its key is loaded and used."""
        header, claims = self._parts(number)
        return compact(to_json(header), to_json(claims), b"\x01" * 256)

    def _parts(self, number: int) -> tuple[dict[str, object], dict[str, object]]:
        who = f"portal-{number}"
        claims = {"iss": who, "sub": who, "aud": corpus.AUDIENCE, **corpus.lasting(self.clock())}
        return {"alg": "RS256", "kid": f"kid{number:013d}"}, claims
