"""A publisher of JWK Sets on real sockets, that answer anything, byte by byte."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[socket.socket], None]


def http(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    content_type: str = "application/json",
    headers: str = "",
    length: int | None = None,
) -> bytes:
    """An HTTP answer, as bytes."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n{headers}\r\n"
    return head.encode() + body


def trickle(publisher: Publisher, data: bytes, then: bytes) -> Answer:
    """Sends ``data``, then ``then`` again and again, a piece each 20 ms, until the reader leaves."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        while not publisher.closing.wait(0.02):
            connection.sendall(then)

    return answer


def _is_incomplete(request: bytes) -> bool:
    """Whether more of a request is to come. A body that is left unread would make the close a reset."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return not end or (length is not None and len(body) < int(length[1]))


class Publisher:
    """Serves ``keys`` at any path of ``uri``; ``answer`` takes over when set; ``hold`` makes answers wait."""

    def __init__(self, keys: list[Any] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.keys = [] if keys is None else keys
        self.answer: Answer | bytes | None = None
        self.requests: list[str] = []
        self.closing = threading.Event()
        self._free = threading.Event()
        self._free.set()
        self._arrived = threading.Condition()
        self.tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def count(self) -> int:
        return len(self.requests)

    def uri(self, path: str = "/jwks.json", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self.tls else ''}://{host}:{self._listener.getsockname()[1]}{path}"

    def hold(self) -> None:
        """Let requests come and answers wait, until ``release``."""
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def await_requests(self, number: int) -> None:
        """Wait until that many requests have come in all."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.count >= number, timeout=10), f"{self.count} of {number} came"

    def close(self) -> None:
        self.closing.set()
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw:
            raw.settimeout(10)
            connection = self.tls.wrap_socket(raw, server_side=True) if self.tls else raw
            with connection:
                request = b""
                while _is_incomplete(request):
                    received = connection.recv(4_096)
                    if not received:
                        return
                    request += received
                body = json.dumps({"keys": self.keys}).encode()
                with self._arrived:
                    self.requests.append(request.decode("latin-1"))
                    self._arrived.notify_all()
                self._free.wait(10)
                answer = self.answer
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(http(body) if answer is None else answer)
