"""Look up the addresses of host names, each in a thread of its own, and one of a name at a time.

``getaddrinfo`` cannot be ended, and hangs for as long as a name server lets it. Nobody waits for it past a deadline,
no fetch keeps its place for it, and it never runs in the event loop's own pool: that has a few threads for everything,
which hanging names would take from all others, and at its end the loop waits for each of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from cachetools import LRUCache

from ._core.addresses import Address, Kind, kind_of
from ._core.response import FetchFailed
from ._fork import renew_after_fork
from ._text import describe_error, quote

__all__ = ["MAX_HANGING", "Located", "look_up", "look_up_async"]

MAX_HANGING = 1_024
"""How many look-ups may hang in this process: of names that answered before, and as many again of others."""

# How many addresses of a name are looked at; only these can be connected to. Honest names have a dozen.
_MAX_ADDRESSES = 64
# How many names are remembered as having answered.
_MAX_ANSWERED = 10_000


class Located(NamedTuple):
    """An address of a host, and its kind when it is not on the Internet."""

    address: Address
    kind: Kind | None


_Found = tuple[Located, ...] | str  # or why there is nothing: each who waits raises an error of its own


@dataclass(frozen=True, slots=True, eq=False)
class _LookUp:
    """One look-up under way. It hangs from ``deadline`` on, in seconds of the monotonic clock."""

    host: str
    deadline: float
    has_answered_before: bool
    found: Future[_Found] = field(default_factory=Future)


class _LookUps:
    """What is under way in this process, over all fetchers and calls.

    A look-up is counted by being here, from its thread's start to its thread's end, and that thread alone takes it
    away: an exception out of a signal handler, which reaches no thread but the main one, leaves no place taken.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget what the parent's threads were doing: they are not in this process."""
        self._lock = threading.Lock()
        self._under_way: dict[str, _LookUp] = {}
        self._answered: LRUCache[str, None] = LRUCache(_MAX_ANSWERED)

    def join_or_start(self, host: str, deadline: float) -> Future[_Found]:
        """Return what the look-up of a host will find: the one under way, or a new one.

        Raises FetchFailed when too many hang: those of names that never answered have no part in the places of
        names that did, so that no number of hostile clients keeps out a publisher that is known.
        """
        with self._lock:
            look_up = self._under_way.get(host)
            if look_up is None:
                look_up = _LookUp(host, deadline, host in self._answered)
                self._check_room(look_up)
                look_up.found.set_running_or_notify_cancel()  # a waiter that is cancelled cancels nobody else's
                threading.Thread(target=self._run, args=(look_up,), name="jwks-look-up", daemon=True).start()
                # The thread is there before its place is: whatever comes between, no place is without a thread.
                self._under_way[host] = look_up
            return look_up.found

    def _check_room(self, look_up: _LookUp) -> None:
        now = time.monotonic()
        hanging = (each for each in self._under_way.values() if each.deadline < now)
        if sum(each.has_answered_before is look_up.has_answered_before for each in hanging) >= MAX_HANGING:
            raise FetchFailed(f"{MAX_HANGING} look-ups of host names hang: their name servers do not answer")

    def _run(self, look_up: _LookUp) -> None:
        found: _Found
        try:
            found = _locate(look_up.host)
        except Exception as error:
            found = f"the look-up of {quote(look_up.host)} failed: {describe_error(error)}"
        with self._lock:
            if self._under_way.get(look_up.host) is look_up:
                del self._under_way[look_up.host]
            if not isinstance(found, str):
                self._answered[look_up.host] = None
        look_up.found.set_result(found)


def _locate(host: str) -> tuple[Located, ...]:
    # Judged here, in a thread: thousands of addresses hold up no event loop.
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(ipaddress.ip_address(info[4][0]) for info in infos[:_MAX_ADDRESSES])
    return tuple(Located(address, kind_of(address)) for address in addresses)


_look_ups = _LookUps()


def look_up(host: str, deadline: float) -> tuple[Located, ...]:
    """Return the addresses of a host, at most 64 of them, in the platform's order.

    deadline: until when to wait, in seconds of the monotonic clock.

    Raises FetchFailed, and TimeoutError past the deadline.
    """
    return _unwrap(_look_ups.join_or_start(host, deadline).result(deadline - time.monotonic()))


async def look_up_async(host: str, deadline: float) -> tuple[Located, ...]:
    """``look_up``, awaited; the caller's own timeout ends the wait. Raises FetchFailed."""
    return _unwrap(await asyncio.wrap_future(_look_ups.join_or_start(host, deadline)))


def _unwrap(found: _Found) -> tuple[Located, ...]:
    if isinstance(found, str):
        raise FetchFailed(found)
    return found
