"""Find how an httpx client gets to a URL, as far as it is known, and so what the address guard may rely on.

| route   | what it is                                          | who resolves names | which addresses are checked  |
|---------|-----------------------------------------------------|--------------------|------------------------------|
| DIRECT  | httpx's own transport on httpcore's own sockets     | we do              | each of the name's, the peer |
| PROXY   | httpx's own transport on a proxy pool of httpcore's | the proxy          | any peer but the proxy       |
| SOCKET  | httpx's own transport on a socket in a file (uds=)  | nobody             | any peer on a network        |
| MEMORY  | httpx's Mock-, ASGI- or WSGITransport, or one with  | nobody             | any peer, where there is one |
|         | ``in_process = True``                               |                    |                              |
| UNKNOWN | any other transport                                 | that transport     | the peer, which it must name |

Only what is recognized is exempt: should httpx change inside, a proxy is checked like any other peer. A proxy and a
socket are the user's choice, which no ``jwks_uri`` can change. A transport that does not name its peer is refused:
nobody could tell whether it went to a metadata service.

A peer is checked when it was connected to, before a byte is sent, by every transport that reports its connecting
(httpcore's ``trace`` extension): those of httpx, and others built on them. An UNKNOWN one that reports nothing is
checked by the ``network_stream`` of its response: the GET has reached the peer by then, and nothing of the response is
used.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httpcore
import httpx

from .._coroutines import is_in_process

__all__ = ["DIRECT", "POOLS", "TRANSPORTS", "AnyClient", "Route", "Way", "find_way", "transport_of"]

AnyClient = httpx.Client | httpx.AsyncClient

TRANSPORTS = (httpx.HTTPTransport, httpx.AsyncHTTPTransport)
POOLS = (httpcore.ConnectionPool, httpcore.AsyncConnectionPool)
_PROXIES = (httpcore.HTTPProxy, httpcore.AsyncHTTPProxy, httpcore.SOCKSProxy, httpcore.AsyncSOCKSProxy)
_MEMORY = (httpx.MockTransport, httpx.ASGITransport, httpx.WSGITransport)


class Route(Enum):
    """Name what is known of the way to a URL: see the table above."""

    DIRECT = auto()
    PROXY = auto()
    SOCKET = auto()
    MEMORY = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Way:
    """The way that one client takes to one URL.

    proxy: host and port of the proxy, where there is one.
    """

    route: Route
    proxy: tuple[str, int] | None = None


DIRECT = Way(Route.DIRECT)
_UNKNOWN = Way(Route.UNKNOWN)


def find_way(client: AnyClient | None, url: httpx.URL) -> Way:
    """Tell how a client gets to a URL. client: the user's, or None for one of our own."""
    if client is None:
        return DIRECT
    transport = transport_of(client, url)
    if isinstance(transport, _MEMORY) or is_in_process(transport):
        return Way(Route.MEMORY)
    # Not their subclasses, which may do anything else with a request.
    pool = getattr(transport, "_pool", None) if type(transport) in TRANSPORTS else None
    if type(pool) in _PROXIES:
        return _proxy(getattr(pool, "_proxy_url", None))
    return _plain(pool) if type(pool) in POOLS else _UNKNOWN


def _plain(pool: object) -> Way:
    missing = object()
    if getattr(pool, "_proxy", None) is not None or getattr(pool, "_uds", missing) is missing:
        return _UNKNOWN
    if getattr(pool, "_uds", None) is not None:
        return Way(Route.SOCKET)
    backend = type(getattr(pool, "_network_backend", None)).__module__
    if backend.partition(".")[0] != "httpcore":  # a resolver of the user's own
        return _UNKNOWN
    return DIRECT


def _proxy(url: Any) -> Way:
    origin = getattr(url, "origin", None)
    return _UNKNOWN if origin is None else Way(Route.PROXY, (origin.host.decode("ascii"), origin.port))


def transport_of(client: AnyClient, url: httpx.URL) -> object:
    """Return the transport that a client takes to a URL; None where httpx has changed inside."""
    choose = getattr(client, "_transport_for_url", None)
    return choose(url) if callable(choose) else None
