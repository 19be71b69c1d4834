"""Many clients: a document and a ``kid`` for each, over a few moduli (making 10^5 RSA keys would take hours)."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager

from private_key_jwt import RegisteredClient, ledgerbee
from private_key_jwt.testing import LoopbackServer, SigningKey
from private_key_jwt.testing._exchange import Request, Response
from private_key_jwt.testing._server import serve

from . import corpus, hostile

_MODULI = 4


class ManyClients:
    """Clients numbered from 0, and the publisher of their keys."""

    def __init__(self) -> None:
        self.keys = [SigningKey.generate() for _ in range(_MODULI)]

    def serve(self) -> AbstractContextManager[LoopbackServer]:
        return serve(self._answer, "/api", 0)

    def client(self, number: int, base_url: str = ledgerbee.BASE_URL) -> RegisteredClient:
        return ledgerbee.client(f"portal-{number}", slug=f"portal-{number}", base_url=base_url)

    def _key(self, number: int) -> SigningKey:
        return SigningKey(f"kid{number:013d}", self.keys[number % _MODULI].private_key)

    def document(self, client_id: str) -> bytes:
        return json.dumps({"keys": [self._key(int(client_id.rpartition("-")[2])).public_jwk()]}).encode("ascii")

    def _answer(self, request: Request) -> Response:
        body = self.document(request.path.split("/")[-2])
        return Response(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)

    def token(self, number: int) -> str:
        """A new assertion of this client."""
        return self._key(number).sign(*self._parts(number))

    def unsigned(self, number: int) -> str:
        """The same with a signature that no key made: it costs no signing, and its key is loaded and used."""
        return corpus.unsigned(*self._parts(number))

    def _parts(self, number: int) -> tuple[hostile.Object, hostile.Object]:
        who = f"portal-{number}"
        claims = {"iss": who, "sub": who, "aud": corpus.AUDIENCE, **corpus.lasting(time.time())}
        return {"alg": "RS256", "kid": f"kid{number:013d}"}, claims
