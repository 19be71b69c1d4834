"""ASGI applications under uvicorn, on loopback, in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

HOST = "127.0.0.1"


@contextlib.contextmanager
def serve(app: Any, *, lifespan: str = "on") -> Iterator[str]:
    """The base URL of an ASGI application under uvicorn."""
    config = uvicorn.Config(app, loop="asyncio", http="h11", ws="none", lifespan=lifespan, log_level="critical")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    # Of a socket whose protocol is not named, asyncio does not turn Nagle's algorithm off: 40 ms for each answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind((HOST, 0))
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
