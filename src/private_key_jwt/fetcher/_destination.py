"""Decide where a fetch may connect to: the Internet, and inside of our own network only what the policy names.

A client that registers itself chooses its ``jwks_uri``. It could choose one that only we can reach (server-side
request forgery). What counts is the address that is connected to: a name says tomorrow what its owner likes.
"""

from __future__ import annotations

import socket
import time
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import collapse_addresses
from typing import Any, NamedTuple

import httpx

from .. import _host_names
from .._core.addresses import Address, Kind, check_host, kind_of, read_address
from .._core.response import FetchError
from .._host_names import Located
from .._jwks_uri import is_loopback
from .._text import quote
from ..policy import JWKSPolicy, read_private_host
from ._route import DIRECT, Route, Way

__all__ = ["Destination"]

# How many addresses of each family are tried: a name may have many, and each try is a connection.
_TRIES = 2


class _Allowed(NamedTuple):
    """``JWKSPolicy.allow_private_hosts``: names, and the ends of the networks in order, by version."""

    names: frozenset[str]
    firsts: dict[int, list[int]]
    lasts: dict[int, list[int]]

    def allows(self, host: str, address: Address) -> bool:
        """Report whether a host is allowed by its name, or by its address."""
        place = bisect_right(self.firsts[address.version], int(address)) - 1
        return host in self.names or (place >= 0 and int(address) <= self.lasts[address.version][place])


@lru_cache(maxsize=16)
def _read_allowed(hosts: tuple[str, ...]) -> _Allowed:
    read = [read_private_host(host) for host in hosts]
    networks: dict[int, list[Any]] = {version: [] for version in (4, 6)}
    for one in read:
        if not isinstance(one, str):
            networks[one.version].append(one)
    merged = {version: list(collapse_addresses(those)) for version, those in networks.items()}
    return _Allowed(
        frozenset(one for one in read if isinstance(one, str)),
        {version: [int(network[0]) for network in those] for version, those in merged.items()},
        {version: [int(network[-1]) for network in those] for version, those in merged.items()},
    )


class Destination:
    """The one place that a fetch may connect to. It is checked at each step at which more of it is known.

    url: checked here: scheme, port, and the host as far as it goes.
    way: how the client gets there.

    Raises FetchError, here and in each method, for what the policy does not allow.
    """

    def __init__(self, url: httpx.URL, policy: JWKSPolicy, way: Way = DIRECT) -> None:
        self.url = url
        self.way = way
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (80 if url.scheme == "http" else 443)
        self.deadline = time.monotonic() + policy.timeout
        self.is_connected = False
        """Whether a connection was opened for this fetch; it was then checked, or is a proxy's or a local socket's."""
        self._allowed = _read_allowed(tuple(policy.allow_private_hosts))
        self._is_proxy = False
        self._loopback = policy.allow_http_loopback and is_loopback(self.host)
        try:
            check_host(self.host)
        except ValueError as error:
            raise FetchError(str(error)) from None
        if url.scheme != "https" and not (url.scheme == "http" and self._loopback):
            raise FetchError("plain http needs JWKSPolicy(allow_http_loopback=True), and a loopback host")
        if self.port not in policy.allow_ports and not self._loopback:
            raise FetchError(f"port {self.port} is not one of JWKSPolicy(allow_ports={quote(policy.allow_ports)})")
        self._literal = read_address(self.host)
        if self._literal is not None:
            self._check(self._literal, kind_of(self._literal))

    def _check(self, address: Address, kind: Kind | None) -> None:
        if self._loopback:
            if not address.is_loopback:
                raise FetchError(f"{quote(self.host)} is at {address}, and not on the loopback interface")
            return
        if kind is None or (kind.allowable and self._allowed.allows(self.host, address)):
            return
        setting = ", and not in JWKSPolicy(allow_private_hosts=...)" if kind.allowable else ""
        raise FetchError(f"refused to connect to {address}: it is {kind.name}{setting}")

    # Before: each address that the host has, for a client that is given one to connect to.

    def resolve(self) -> list[str]:
        """List the addresses to try, in order. Every address of the host must be allowed, tried or not."""
        return self._choose(self._known() or _host_names.resolve(self.host, self.deadline))

    async def resolve_async(self) -> list[str]:
        """``resolve``, off the event loop."""
        return self._choose(self._known() or await _host_names.resolve_async(self.host, self.deadline))

    def _known(self) -> tuple[Located, ...]:
        return () if self._literal is None else (Located(self._literal, kind_of(self._literal)),)

    def _choose(self, found: Iterable[Located]) -> list[str]:
        chosen: dict[int, list[str]] = {4: [], 6: []}
        tried = []
        for address, kind in found:
            self._check(address, kind)
            if len(chosen[address.version]) < _TRIES:
                chosen[address.version].append(str(address))
                tried.append(str(address))
        if not tried:
            raise FetchError(f"{quote(self.host)} has no address")
        return tried

    # During: the address that is connected to, whoever chose it.

    def refusal(self, event: str, info: dict[str, Any]) -> FetchError | None:
        """Say why the connection that httpx's trace extension reports must be closed again, unused."""
        if event.endswith(".connect_tcp.started"):
            # The user chose the proxy, and where it connects to, it must decide.
            self._is_proxy = self.way.proxy is not None and (info["host"], info["port"]) == self.way.proxy
        if event.endswith(".connect_unix_socket.complete"):
            self.is_connected = True
        if not event.endswith(".connect_tcp.complete"):
            return None
        self.is_connected = True
        if self._is_proxy:
            return None
        try:
            self._check_peer(info["return_value"])
        except FetchError as error:
            return error
        return None

    # After: where the response came from, whatever was reported before.

    def check_response(self, stream: Any) -> None:
        """Refuse a response from a peer that is not allowed, or that nobody names.

        stream: httpcore's network stream, which a transport gives along with a response; None where it gives none.
        """
        if self.way.route is Route.PROXY or (self.way.route is Route.DIRECT and self.is_connected):
            return  # it was checked when it was connected to: a peer that has hung up since has no name any more
        if stream is not None:
            self._check_peer(stream)
        elif self.way.route is not Route.MEMORY:
            raise FetchError(
                "the transport of http_client does not say which address it connected to (network_stream); one that"
                " answers from memory says so by in_process = True"
            )

    def _check_peer(self, stream: Any) -> None:
        try:
            if _is_unix_socket(stream.get_extra_info("socket")):  # the user chose it
                return
            host = stream.get_extra_info("server_addr")[0]
            address = read_address(host) if isinstance(host, str) else None
        except Exception:  # a socket that is closed, or a stream of somebody else's
            address = None
        if address is None:
            raise FetchError("the address that was connected to is not known")
        self._check(address, kind_of(address))


def _is_unix_socket(opened: Any) -> bool:
    family = getattr(opened, "family", None)
    return family is not None and family == getattr(socket, "AF_UNIX", None)
