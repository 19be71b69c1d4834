"""Resolve host names to addresses, each in a thread of its own, and each only once at a time.

``getaddrinfo`` cannot be ended, and hangs for as long as a name server lets it. Nobody waits for it past a deadline,
no fetch keeps its place for it, and it never runs in the event loop's own pool: that has a few threads for everything,
which hanging names would take from all others, and at its end the loop waits for each of them.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from cachetools import LRUCache

from ._core.addresses import Address, Kind, kind_of
from ._core.response import FetchError
from ._fork import renew_after_fork
from ._lock import Lock
from ._text import describe_error, quote

__all__ = ["MAX_HANGING", "Located", "explain_os_error", "resolve", "resolve_async"]

MAX_HANGING = 1_024
"""How many resolutions may hang in this process: of names that were resolved before, and as many again of others."""

# How many addresses of a name are read; only these can be connected to. Honest names have a dozen.
_MAX_ADDRESSES = 64
# How many names are remembered as resolved.
_MAX_RESOLVED = 10_000


class Located(NamedTuple):
    """An address of a host, and its kind when it is not on the Internet."""

    address: Address
    kind: Kind | None


_Addresses = tuple[Located, ...] | str  # or why there is nothing: each who waits raises an error of its own


@dataclass(frozen=True, slots=True, eq=False)
class _Resolution:
    """The resolution of one name, under way. It hangs from ``deadline`` on, in seconds of the monotonic clock."""

    host: str
    deadline: float
    was_resolved_before: bool
    found: Future[_Addresses] = field(default_factory=Future)


class _Resolver:
    """The resolutions under way in this process, over all fetchers and calls.

    One is counted for as long as it is kept here, from its thread's start to its end, and that thread alone removes
    it: an exception out of a signal handler, which reaches no thread but the main one, leaves none behind.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget what the parent's threads were doing: they are not in this process."""
        self._lock = Lock()
        self._under_way: dict[str, _Resolution] = {}
        self._resolved: LRUCache[str, None] = LRUCache(_MAX_RESOLVED)

    def join_or_start(self, host: str, deadline: float) -> Future[_Addresses]:
        """Return the future addresses of a host: of the resolution under way, or of a new one.

        Raises FetchError when too many hang. Names that were never resolved are counted apart from those that were, so
        that no number of hostile clients keeps out a publisher that is known.
        """
        with self._lock:
            resolution = self._under_way.get(host)
            if resolution is None:
                resolution = _Resolution(host, deadline, host in self._resolved)
                self._check_limit(resolution)
                resolution.found.set_running_or_notify_cancel()  # a waiter that is cancelled cancels nobody else's
                threading.Thread(target=self._run, args=(resolution,), name="resolve-host-name", daemon=True).start()
                # Kept once its thread runs: whatever comes between, none is kept without a thread.
                self._under_way[host] = resolution
            return resolution.found

    def _check_limit(self, resolution: _Resolution) -> None:
        now = time.monotonic()
        hanging = (each for each in self._under_way.values() if each.deadline < now)
        if sum(each.was_resolved_before is resolution.was_resolved_before for each in hanging) >= MAX_HANGING:
            raise FetchError(f"{MAX_HANGING} resolutions of host names hang: their name servers do not answer")

    def _run(self, resolution: _Resolution) -> None:
        found: _Addresses
        try:
            found = _locate(resolution.host)
        except Exception as error:
            plain = explain_os_error(error)
            hint = f": {plain}" if plain else ""
            found = f"{quote(resolution.host)} was not resolved: {describe_error(error)}{hint}"
        with self._lock:
            if self._under_way.get(resolution.host) is resolution:
                del self._under_way[resolution.host]
            if not isinstance(found, str):
                self._resolved[resolution.host] = None
        resolution.found.set_result(found)


_OF_NAMES: Mapping[int | None, str] = MappingProxyType(
    {
        socket.EAI_NONAME: "there is no such name: is the jwks_uri right?",
        socket.EAI_AGAIN: "no name server answers: ours, or those of the name",
    }
)
_OF_CONNECTIONS: Mapping[int | None, str] = MappingProxyType(
    {
        errno.ECONNREFUSED: "nothing listens there: the server is down, or the port is wrong",
        errno.ECONNRESET: "the connection was cut by the other side, or on the way",
        errno.EHOSTUNREACH: "no way leads there: a firewall, or the host is down",
        errno.ENETUNREACH: "no way leads there from this host: its network, or a firewall",
    }
)


def explain_os_error(error: BaseException | None) -> str | None:
    """Say in plain words what an error of the network means, which may be the cause of another; None for others."""
    while error is not None:
        plain = _OF_NAMES if isinstance(error, socket.gaierror) else _OF_CONNECTIONS
        if isinstance(error, OSError) and error.errno in plain:
            return plain[error.errno]
        error = error.__cause__ or error.__context__
    return None


def _locate(host: str) -> tuple[Located, ...]:
    # Judged here, in a thread: thousands of addresses hold up no event loop.
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(ipaddress.ip_address(info[4][0]) for info in infos[:_MAX_ADDRESSES])
    return tuple(Located(address, kind_of(address)) for address in addresses)


_resolver = _Resolver()


def resolve(host: str, deadline: float) -> tuple[Located, ...]:
    """Return the addresses of a host, at most 64 of them, in the platform's order.

    deadline: until when to wait, in seconds of the monotonic clock.

    Raises FetchError, and TimeoutError past the deadline.
    """
    return _unwrap(_resolver.join_or_start(host, deadline).result(deadline - time.monotonic()))


async def resolve_async(host: str, deadline: float) -> tuple[Located, ...]:
    """``resolve``, awaited; the caller's own timeout ends the wait. Raises FetchError."""
    return _unwrap(await asyncio.wrap_future(_resolver.join_or_start(host, deadline)))


def _unwrap(found: _Addresses) -> tuple[Located, ...]:
    if isinstance(found, str):
        raise FetchError(found)
    return found
