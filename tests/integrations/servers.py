"""Real HTTP servers on loopback, each in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
import wsgiref.simple_server
from collections.abc import Iterator
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import uvicorn
import werkzeug.serving

HOST = "127.0.0.1"


@contextlib.contextmanager
def asgi(app: Any, *, lifespan: str = "on") -> Iterator[str]:
    """The base URL of an ASGI application under uvicorn."""
    config = uvicorn.Config(app, loop="asyncio", http="h11", ws="none", lifespan=lifespan, log_level="critical")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    with socket.create_server((HOST, 0), backlog=128) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "uvicorn did not start"
            thread.join(0.01)
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


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
        """Bind, without the look-up of the host's full name that http.server does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]
        self.setup_environ()


@contextlib.contextmanager
def _running(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def wsgi(app: Any) -> contextlib.AbstractContextManager[str]:
    """The base URL of a WSGI application under the server of the standard library."""
    return _running(wsgiref.simple_server.make_server(HOST, 0, app, _WSGIServer, _Handler))


def werkzeug_server(app: Any) -> contextlib.AbstractContextManager[str]:
    """The base URL of a WSGI application under Flask's own server."""

    class Handler(werkzeug.serving.WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
            """Say nothing."""

    return _running(werkzeug.serving.make_server(HOST, 0, app, threaded=True, request_handler=Handler))
