"""WSGI applications under the server of the standard library, on loopback, in threads."""

from __future__ import annotations

import contextlib
import socket
import threading
import wsgiref.simple_server
from collections.abc import Iterator
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

HOST = "127.0.0.1"


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def finish(self) -> None:
        # What a server for production does too: a body that nobody read would turn the close into a reset, and the
        # answer could be lost on its way.
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65_536):
                pass
        with contextlib.suppress(OSError):
            super().finish()


class _WSGIServer(ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind, without resolving the host's full name, which http.server does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]
        self.setup_environ()


@contextlib.contextmanager
def running(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def serve(app: Any) -> contextlib.AbstractContextManager[str]:
    """The base URL of a WSGI application under the server of the standard library."""
    return running(wsgiref.simple_server.make_server(HOST, 0, app, _WSGIServer, _Handler))
