"""A JWKS server to be killed: ``publisher.py port file`` answers every GET with the file, as it is at that moment.

It ends with its standard input, which whoever started it holds open: so it does not outlive that process.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Thread


class _Handler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        body = Path(sys.argv[2]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # without a look-up of the host's name
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]


if __name__ == "__main__":
    server = _Server(("127.0.0.1", int(sys.argv[1])), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
