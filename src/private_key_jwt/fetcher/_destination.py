"""Where a fetch may connect to: the Internet, and inside of our own network only what the policy names.

A client that registers itself chooses its ``jwks_uri``. It could choose one that only we can reach (server-side
request forgery). What counts is the address that is connected to: a name says tomorrow what its owner likes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

import httpx

from .._core.response import FetchFailed
from .._text import quote
from ..clients import is_loopback
from ..policy import JWKSPolicy, Network, read_private_host
from ._state import InFlight

# How many addresses of each family are tried: a name may have hundreds, and each try is a connection.
_TRIES = 2


class _Kind(NamedTuple):
    """A kind of address that is not on the Internet, and whether the policy can allow it for a host."""

    name: str
    allowable: bool
    networks: tuple[Network, ...]


def _kind(name: str, *networks: str, allowable: bool = False) -> _Kind:
    return _Kind(name, allowable, tuple(map(ipaddress.ip_network, networks)))


# The first that fits counts. These are the IANA special-purpose registries (RFC 6890), and what they leave out.
# `is_global` alone will not do: it says another thing in another patch release of Python, and in all of
# them that multicast, site-local, 6to4 and IPv4-compatible addresses are global.
_KINDS = (
    # Where clouds hand out credentials. Azure's stands among public addresses. No key set is ever there.
    _kind("a metadata service", "169.254.169.254", "169.254.170.0/24", "100.100.100.200", "168.63.129.16"),
    _kind("a metadata service", "192.0.0.192", "fd00:ec2::/64", "fd20:ce::254", "fe80::a9fe:a9fe"),
    _kind("unspecified (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2)", "0.0.0.0/8", "::"),
    _kind("multicast (RFC 5771, RFC 4291 section 2.7)", "224.0.0.0/4", "ff00::/8"),
    _kind("reserved (RFC 1112 section 4)", "240.0.0.0/4"),
    _kind("loopback (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3)", "127.0.0.0/8", "::1", allowable=True),
    _kind("private (RFC 1918, RFC 4193)", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", allowable=True),
    _kind("shared (RFC 6598)", "100.64.0.0/10", allowable=True),
    _kind("link-local (RFC 3927, RFC 4291 section 2.5.6)", "169.254.0.0/16", "fe80::/10", allowable=True),
    _kind("site-local (RFC 3879)", "fec0::/10", allowable=True),
    _kind("for benchmarks (RFC 2544, RFC 5180)", "198.18.0.0/15", "2001:2::/48", allowable=True),
    _kind("for documentation (RFC 5737)", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    _kind("for documentation (RFC 3849, RFC 9637)", "2001:db8::/32", "3fff::/20"),
    # What carries an IPv4 address inside is routed by that one, or by whoever runs the translator.
    _kind("IPv4-mapped (RFC 4291 section 2.5.5.2)", "::ffff:0:0/96"),
    _kind("IPv4-translated (RFC 2765 section 2.1)", "::ffff:0:0:0/96"),
    _kind("IPv4-compatible (RFC 4291 section 2.5.5.1)", "::/96"),
    _kind("local NAT64 (RFC 8215)", "64:ff9b:1::/48"),
    _kind("6to4 (RFC 7526)", "2002::/16", "192.88.99.0/24"),
    _kind("Teredo (RFC 4380)", "2001::/32"),
    _kind("for protocols (RFC 6890)", "192.0.0.0/24", "2001::/23"),
    _kind("discarded (RFC 6666, RFC 9780)", "100::/63"),
    _kind("for segment routing (RFC 9602)", "5f00::/16"),
)
_NOT_GLOBAL = _kind("not on the Internet")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that is assigned of it (RFC 4291 §2.4)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052 §2.1


def _kind_of(address: IPv4Address | IPv6Address) -> _Kind | None:
    """The kind of an address that is not on the Internet; None for one that is."""
    if address in _NAT64:
        # How a network without IPv4 reaches the Internet (RFC 6147): as good as the address inside.
        inner = _kind_of(IPv4Address(int(address) & 0xFFFF_FFFF))
        return inner and _Kind(f"NAT64 (RFC 6052) of one that is {inner.name}", inner.allowable, ())
    for kind in _KINDS:
        if any(address in network for network in kind.networks):
            return kind
    is_unicast = address.version == 4 or address in _GLOBAL_UNICAST
    return None if is_unicast and address.is_global else _NOT_GLOBAL


class Destination:
    """The one place that a fetch may connect to. It is checked at each step at which more of it is known.

    url: checked here: scheme, port, and a host that is an address.

    Raises FetchFailed, here and in each method, for what the policy does not allow.
    """

    def __init__(self, url: httpx.URL, policy: JWKSPolicy) -> None:
        self.url = url
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (80 if url.scheme == "http" else 443)
        self.is_connected = False
        """Whether a connection was opened for this fetch: it was then checked, or is a proxy's or a local socket's."""
        self._dialled = {self.host}
        self._is_direct = True
        self._loopback = policy.allow_http_loopback and is_loopback(self.host)
        self._allowed = [read_private_host(host) for host in policy.allow_private_hosts]
        if url.scheme != "https" and not (url.scheme == "http" and self._loopback):
            raise FetchFailed("plain http needs JWKSPolicy(allow_http_loopback=True), and a loopback host")
        if self.port not in policy.allow_ports and not self._loopback:
            raise FetchFailed(f"port {self.port} is not one of JWKSPolicy(allow_ports={policy.allow_ports})")
        if (address := _literal(self.host)) is not None:
            self._check(address)

    def _check(self, address: IPv4Address | IPv6Address) -> None:
        if self._loopback:
            if not address.is_loopback:
                raise FetchFailed(f"{quote(self.host)} is at {address}, and not on the loopback interface")
            return
        kind = _kind_of(address)
        if kind is not None and not (kind.allowable and self._is_allowed(address)):
            raise FetchFailed(f"refused to connect to {address}: it is {kind.name}")

    def _is_allowed(self, address: IPv4Address | IPv6Address) -> bool:
        return any(self.host == one if isinstance(one, str) else address in one for one in self._allowed)

    # Before: each address that the host has, for a client that is told which one to connect to.

    def resolve(self) -> list[str]:
        """The addresses to try, in order. Every address of the host must be allowed, tried or not."""
        return self._choose(self._look_up())

    async def resolve_async(self) -> list[str]:
        """``resolve``, off the event loop."""
        return self._choose(await _aside(self._look_up))

    def _look_up(self) -> list[Any]:
        return socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)

    def _choose(self, found: Iterable[Any]) -> list[str]:
        chosen: dict[int, list[str]] = {}
        addresses = dict.fromkeys(_address(info[4]) for info in found)
        for address in addresses:
            self._check(address)
            chosen.setdefault(address.version, []).append(str(address))
        tried = [str(address) for address in addresses if str(address) in chosen[address.version][:_TRIES]]
        if not tried:
            raise FetchFailed(f"{quote(self.host)} has no address")
        self._dialled.update(tried)
        return tried

    # During: the address that is connected to, whoever chose it.

    def refusal(self, event: str, info: dict[str, Any]) -> FetchFailed | None:
        """Why the connection that httpx's trace extension tells of must be closed again, unused.

        A client of the user's may go through a proxy, or a socket in the file system: it then connects to
        another host than the URL's, which the user chose. Where the proxy connects to, it must decide.
        """
        if event.endswith(".connect_tcp.started"):
            self._is_direct = info["host"] in self._dialled
        self.is_connected |= event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete"))
        if not event.endswith(".connect_tcp.complete") or not self._is_direct:
            return None
        try:
            self.check_peer(info["return_value"])
        except FetchFailed as error:
            return error
        return None

    # After: a connection that was open before.

    def check_peer(self, stream: Any) -> None:
        """Refuse what came from a peer that is not allowed."""
        try:
            address = _address(stream.get_extra_info("server_addr"))
        except (OSError, TypeError, ValueError, LookupError):
            raise FetchFailed("the address that was connected to is not known") from None
        self._check(address)


# A look-up that hangs cannot be ended, and outlives its fetch: it keeps its place for as long.
_look_ups = InFlight()


async def _aside(look_up: Callable[[], list[Any]]) -> list[Any]:
    """What ``look_up`` gives, from a thread of its own.

    The event loop's pool has a few threads for everything: name servers that hang would take them from all other
    tenants, from clients and stores that are called there, and the loop would wait for them at its end.
    """
    found: Future[list[Any]] = Future()
    found.set_running_or_notify_cancel()

    def run() -> None:
        try:
            found.set_result(look_up())
        except Exception as error:
            found.set_exception(error)
        finally:
            _look_ups.leave()

    if not _look_ups.enter():
        raise FetchFailed("too many look-ups of names are under way")
    try:
        threading.Thread(target=run, name="jwks-look-up", daemon=True).start()
    except RuntimeError:  # the process may start no more threads
        _look_ups.leave()
        raise
    return await asyncio.wrap_future(found)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _address(socket_address: Any) -> IPv4Address | IPv6Address:
    return ipaddress.ip_address(socket_address[0])
