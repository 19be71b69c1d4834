"""A token endpoint as small as one can be: what an authorization server adds around the verifier."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from queue import SimpleQueue
from socketserver import ThreadingTCPServer
from typing import NamedTuple
from urllib.parse import parse_qsl

from ..exceptions import AuthenticationError
from ..integrations import MAX_BODY
from ..testing._server import HOST, run_server
from ..verifier import ClientAssertionVerifier

ACCEPTED = "accepted"


class LogLine(NamedTuple):
    """Hold the outcome of one request for the operator, with the reason that the client does not get."""

    verdict: str
    detail: str


class TokenEndpoint(ThreadingTCPServer):
    """A running endpoint: ``url`` is where token requests go, ``log`` gets one line for each.

    Not http.server's own server: that resolves the full name of the host, and may hang there.
    """

    daemon_threads = True

    def __init__(self, verifier: ClientAssertionVerifier) -> None:
        super().__init__((HOST, 0), _Handler)
        self.verifier = verifier
        self.log: SimpleQueue[LogLine] = SimpleQueue()
        self.url = f"http://{HOST}:{self.server_address[1]}/token"


class _Handler(BaseHTTPRequestHandler):
    server: TokenEndpoint
    timeout = 5  # seconds that a connection may stay silent

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers["Content-Length"]), MAX_BODY))
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        try:
            verified = self.server.verifier.authenticate(form, self.headers["Authorization"])
        except AuthenticationError as error:
            self.server.log.put(LogLine(error.reason, error.detail))
            response = error.to_response()
            self._send(response.status, response.headers, response.body)
            return
        self.server.log.put(LogLine(ACCEPTED, f"{verified.client_id} signed with {verified.kid}"))
        token = {"access_token": secrets.token_urlsafe(32), "token_type": "Bearer"}
        self._send(200, {"Cache-Control": "no-store"}, token)

    def _send(self, status: int, headers: dict[str, str], body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: standard error is not the place."""


@contextmanager
def serve(verifier: ClientAssertionVerifier) -> Iterator[TokenEndpoint]:
    """Answer token requests on loopback while the context lasts."""
    with run_server(TokenEndpoint(verifier)) as server:
        yield server
