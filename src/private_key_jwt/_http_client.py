"""What every request that this library sends has in common, whatever it asks for.

No proxy comes from the environment, no cookie is kept, the certificate of the server must have been verified,
and a blocking call ends at its deadline, also while a server sends a byte a second.
"""

from __future__ import annotations

import contextlib
import copy
import socket
import ssl
import threading
from functools import cache
from typing import Any, Self, TypeVar
from urllib.request import getproxies

import httpx

from ._version import __version__
from .exceptions import ConfigurationError

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)

USER_AGENT = f"private-key-jwt/{__version__}"

_CONNECTED = (".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")


@cache
def ssl_context() -> ssl.SSLContext:
    """The TLS settings of our own clients: certificates and host names are verified.

    Loading the certificates takes tens of milliseconds: once a process, not once a request.
    """
    return httpx.create_ssl_context(trust_env=False)


def check_client(http: object, kind: type) -> None:
    """Refuse a client that would send what none may send. Raises ConfigurationError."""
    if http is None:
        return
    if not isinstance(http, kind):
        raise ConfigurationError(f"http_client must be an httpx.{kind.__name__}, not {type(http).__name__}")
    if getattr(http, "trust_env", False) and getproxies():
        raise ConfigurationError(
            "http_client takes proxies from the environment: build it with trust_env=False, and proxy= if you want one"
        )


def without_cookies(client: Client) -> Client:
    """A client with the user's connections and settings, and an empty cookie jar, for one request.

    httpx keeps what an answer sets: in the user's jar a server could pile up as much as it likes.
    """
    client = copy.copy(client)
    client.cookies = httpx.Cookies()
    return client


def is_tls_verified(stream: Any) -> bool:
    """Whether a connection is TLS, and was told to verify the certificate and the host name.

    stream: httpcore's network stream. A client of the user's may have been told otherwise.
    """
    tls = stream.get_extra_info("ssl_object")
    return tls is not None and tls.context.verify_mode is ssl.CERT_REQUIRED and tls.context.check_hostname


class Watchdog:
    """Ends a blocking request at its deadline by shutting down its socket.

    timeout: in seconds, from the moment that the context is entered.

    httpx bounds each read, so a byte a second holds a reader for ever; headers are read where no code of
    ours runs. Another thread can end that: it shuts down the socket, and the read returns. It learns of the
    socket from httpx's trace extension, so the request needs a connection of its own (``Connection: close``):
    one that is taken from a pool is not traced.
    """

    def __init__(self, timeout: float) -> None:
        self.has_expired = False
        self._stream: Any = None
        self._timer = threading.Timer(timeout, self.expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpx's trace extension: it is called for each new connection."""
        if event.endswith(_CONNECTED):
            self._stream = info["return_value"]
            if self.has_expired:
                self.expire()

    def expire(self) -> None:
        """End the request, wherever it is."""
        self.has_expired = True
        sock = self._stream and self._stream.get_extra_info("socket")
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                # Not SSLSocket's own shutdown: that takes the TLS state away from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
