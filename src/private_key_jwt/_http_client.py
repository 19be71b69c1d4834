"""Send requests in the one way that all of this library have in common, whatever they ask for.

No proxy comes from the environment, no cookie is kept, the certificate of the server must have been verified,
and a blocking call ends at its deadline, also while a server sends a byte a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Self, TypeVar
from urllib.request import getproxies

import httpx

from ._text import TCHAR, quote
from ._validation import read_items
from ._version import __version__
from .exceptions import ConfigurationError

__all__ = [
    "CONNECTED",
    "USER_AGENT",
    "Watchdog",
    "body_headers",
    "check_headers",
    "check_http_client",
    "for_one_request",
    "is_tls_verified",
    "restore_location",
    "ssl_context",
    "ssl_context_async",
]

USER_AGENT = f"private-key-jwt/{__version__}"
"""What a request says it comes from, unless the user says otherwise: firewalls answer 403 to one that says nothing."""

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)

CONNECTED = (".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")
"""How what httpx's trace extension reports ends, where a connection was opened."""

_FIELD_NAME = re.compile(TCHAR + "+")
_FIELD_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")  # printable ASCII, no white space around it (RFC 9110 §5.5)

# Fields that none may add to a request, and why.
_REFUSED_FIELDS = {
    **dict.fromkeys(("authorization", "cookie"), "credentials would go to whoever registered a URL"),
    "host": "it follows from the URL",
    **dict.fromkeys(("content-length", "transfer-encoding", "trailer", "expect"), "a GET has no body"),
    # What these ask for replaces no keys: a publisher that obeyed would be refused each time.
    **dict.fromkeys(("accept-encoding", "accept-charset"), "a body is asked for as it is, in UTF-8"),
    **dict.fromkeys(("range", "if-range", "a-im"), "a key set is read whole"),
    **dict.fromkeys(
        ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
        "no request is conditional: 304 and 412 bring no keys",
    ),
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"),
        "it is about one connection (RFC 9110 section 7.6.1)",
    ),
    **dict.fromkeys(("proxy-authenticate", "proxy-authorization"), "a proxy's credentials belong to http_client"),
}


@cache
def ssl_context() -> ssl.SSLContext:
    """Return the TLS settings of our own clients: certificates and host names are verified.

    Loading the certificates takes tens of milliseconds: once a process, not once a request.
    """
    context = httpx.create_ssl_context(trust_env=False)
    # In TLS 1.2 the server chooses the group of a finite-field Diffie-Hellman, and 10,000 bits hold up an event loop
    # for a second. No browser offers it any more.
    ciphers = [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]
    context.set_ciphers(":".join(name for name in ciphers if not name.startswith("DHE-")))
    # There it may ask for another handshake, too, as often as it likes.
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


async def ssl_context_async() -> ssl.SSLContext:
    """Return ``ssl_context()``, loaded off the event loop."""
    return ssl_context() if ssl_context.cache_info().currsize else await asyncio.to_thread(ssl_context)


def check_http_client(http: object, kind: type) -> None:
    """Refuse a client that would send what none may send. Raises ConfigurationError."""
    if http is None:
        return
    if not isinstance(http, kind):
        raise ConfigurationError(f"http_client must be an httpx.{kind.__name__}, not {type(http).__name__}")
    if getattr(http, "trust_env", False) and getproxies():
        raise ConfigurationError(
            "http_client takes proxies from the environment: build it with trust_env=False, and proxy= if you want one"
        )


def check_headers(headers: object) -> tuple[tuple[str, str], ...]:
    """Return the fields that a user wants sent with each request. Raises ConfigurationError.

    headers: None, or a mapping of names to values, both of which are strings of printable ASCII.

    Every publisher gets them, those of strangers too, so none may carry a credential that names us; and none may
    change where a request ends or which host it is for, or it could carry a second request.
    """
    if headers is None:
        return ()
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    checked = read_items("headers", headers.items)
    names = set()
    for name, value in checked:
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
            raise ConfigurationError(
                f"headers must have names that are tokens (RFC 9110 section 5.1), not {quote(name)}"
            )
        if not isinstance(value, str) or not _FIELD_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"headers: the value of {quote(name)} must be a string of printable ASCII, with no line break and no"
                f" white space around it, not {quote(value)}"
            )
        if why := _REFUSED_FIELDS.get(name.lower()):
            raise ConfigurationError(f"headers must not hold {quote(name)}: {why}")
        names.add(name.lower())
    if len(names) < len(checked):
        raise ConfigurationError("headers must not name a field twice (upper and lower case do not differ)")
    return checked


class _NoCookies(httpx.Cookies):
    """A cookie jar that stays empty, and does not look at a response: 16 kB of ``Set-Cookie`` take 6 ms to parse."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Take nothing."""


_SET_ASIDE = "private_key_jwt.location"


def _set_location_aside(response: httpx.Response) -> None:
    if "location" in response.headers:
        response.extensions[_SET_ASIDE] = response.headers.pop("location")


async def _set_location_aside_async(response: httpx.Response) -> None:
    _set_location_aside(response)


def for_one_request(client: Client) -> Client:
    """Return a client with the connections of ``client``, for one request that sends no cookie and follows no redirect.

    Nor has it the hooks of ``client``, which would see the key that a request carries; one that reads the body would
    read without an end. httpx makes the next request out of ``Location`` even where none is to be followed, which takes
    up to 14 ms: give the response to ``restore_location``.
    """
    client = copy.copy(client)
    vars(client)["_cookies"] = _NoCookies()  # what is set otherwise is copied into a jar of httpx's
    hook = _set_location_aside_async if isinstance(client, httpx.AsyncClient) else _set_location_aside
    client.event_hooks = {"response": [hook]}
    return client


def restore_location(response: httpx.Response) -> httpx.Response:
    """Return a response that came by ``for_one_request`` with the ``Location`` that it has."""
    location = response.extensions.pop(_SET_ASIDE, None)
    if location is not None:
        response.headers["Location"] = location
    return response


def body_headers(response: httpx.Response) -> httpx.Headers:
    """Return the header fields of a response as they hold for the bytes that are read of it.

    A transport that answers from memory has decoded the body already.
    """
    if not response.is_stream_consumed:
        return response.headers
    return httpx.Headers([pair for pair in response.headers.multi_items() if pair[0] != "content-encoding"])


def is_tls_verified(stream: Any, host: str) -> bool:
    """Report whether a connection is TLS, and its certificate was verified to be the host's.

    stream: httpcore's network stream. A client of the user's may verify nothing, or another name.
    host: in ASCII, as the URL has it.
    """
    tls = stream.get_extra_info("ssl_object")
    if tls is None or tls.context.verify_mode is not ssl.CERT_REQUIRED or not tls.context.check_hostname:
        return False
    return tls.server_hostname is not None and tls.server_hostname.lower() == host.lower()


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
        """Take the socket of a new connection. Called by httpx's trace extension."""
        if event.endswith(CONNECTED):
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
