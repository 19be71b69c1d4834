"""The look-alike behind a real socket on the loopback interface."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, TCPServer
from typing import TypeVar

import httpx

from ._exchange import Request, Response

Server = TypeVar("Server", bound=BaseServer)

HOST = "127.0.0.1"
_POLL_INTERVAL = 0.02  # seconds; it bounds how long stopping takes


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    timeout = 5  # seconds that a connection may stay silent

    def __getattr__(self, name: str) -> Callable[[], None]:
        # http.server asks for do_GET, do_POST and so on; which methods there are is the service's rule.
        if name.startswith("do_"):
            return self._respond
        raise AttributeError(name)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that went away
            super().handle()

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "")
        # Unread, a body would make the close a reset, and lose the response.
        body = self.rfile.read(int(length)) if length.isdecimal() else b""
        self.server.paths.append(self.path)
        headers = {name.lower(): text for name, text in self.headers.items()}
        try:
            response = self.server.respond(Request(self.command, self.path, headers, body))
        except httpx.RequestError:
            return  # an outage of the network: the connection ends without a response
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":  # RFC 9110 §9.3.2
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: stderr belongs to the test."""


class LoopbackServer(ThreadingHTTPServer):
    """A running server, at which keys are published and the back channel is called.

        with relying_party.serve() as server:
            client = tenant.client(server.base_url)
            portal = PortalSSO(api_key=tenant.api_key(), base_url=server.base_url)

    base_url: the root of its API.
    paths, count: what was asked for, and how many requests came.
    """

    request_queue_size = 128  # a burst of connections must not meet a full queue

    def __init__(self, respond: Callable[[Request], Response], base_path: str, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.respond = respond
        self.paths: list[str] = []
        self.base_url = f"http://{HOST}:{self.server_port}{base_path}"

    def server_bind(self) -> None:
        """Bind, without resolving the host's full name, which http.server does, and that may hang."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def portal_api_host(self, slug: str = "acme") -> str:
        """Return the host at which a browser redeems a reference of this tenant: for ``Handoff.redeem_url``."""
        return f"{slug}.portal-api.localhost:{self.server_port}"

    @property
    def count(self) -> int:
        """Return the number of requests so far."""
        return len(self.paths)


@contextlib.contextmanager
def serve(respond: Callable[[Request], Response], base_path: str, port: int) -> Iterator[LoopbackServer]:
    """Answer on 127.0.0.1 while the context lasts; port 0 takes a free one."""
    with run_server(LoopbackServer(respond, base_path, port)) as server:
        yield server


@contextlib.contextmanager
def run_server(server: Server) -> Iterator[Server]:
    """Run a server in a thread while the context lasts, and close it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_INTERVAL,), name="loopback", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
