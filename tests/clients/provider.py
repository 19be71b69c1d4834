"""A token endpoint over HTTP, and the OpenID Provider behind it: what clients of other makers talk to."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from edges import LOOPBACK, Edge
from private_key_jwt import AssertionPolicy, AuthenticationError, MemoryReplayStore
from private_key_jwt.events import AssertionRefused, Event
from private_key_jwt.testing import Clock, RelyingParty

ISSUER = "https://op.example.com"


class TokenEndpoint:
    """A token endpoint on loopback: whom ``authenticate`` lets in gets a token."""

    def __init__(self, verifier: Any) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                try:
                    verified = verifier.authenticate(parse_qsl(body), self.headers["Authorization"])
                except AuthenticationError as error:
                    self.answer(*error.to_response())
                else:
                    token = {"access_token": f"for {verified.client_id}", "token_type": "Bearer"}
                    self.answer(200, {"Cache-Control": "no-store"}, token)

            def answer(self, status: int, headers: dict[str, str], body: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_args: object) -> None:
                """Write nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Provider:
    """An OpenID Provider that fetches the keys of its one tenant.

    policy: settings of its policy, beside the audience.
    """

    def __init__(self, edge: Edge, alg: str, **policy: Any) -> None:
        self.clock = Clock(1_000)
        self.events: list[Event] = []
        party = RelyingParty(audience=ISSUER, clock=time.time, alg=alg)
        self.tenant = party.tenant()
        self.published = party.serve()
        server = self.published.__enter__()
        verifier = edge.verifier(
            policy=AssertionPolicy(audience=ISSUER, **policy),
            clients=[self.tenant.client(server.base_url)],
            replay_store=MemoryReplayStore(),
            fetcher=edge.fetcher(LOOPBACK, clock=self.clock),
            on_event=self.events.append,
        )
        self.endpoint = TokenEndpoint(verifier)

    def close(self) -> None:
        self.endpoint.close()
        self.published.__exit__(None, None, None)

    def replace_key(self) -> None:
        """Publish another key in place of the current one, and let the old set end."""
        self.tenant.rotate()
        self.tenant.end_grace()
        self.clock.advance(LOOPBACK.ttl)

    def refusals(self) -> list[AssertionRefused]:
        """What was refused so far."""
        return [event for event in self.events if isinstance(event, AssertionRefused)]
