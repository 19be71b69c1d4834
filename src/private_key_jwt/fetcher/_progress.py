"""Note how far a fetch came: what it is doing, and how long each part of it took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

__all__ = ["Phase", "Progress"]

_SHOWN_FROM = 0.1  # seconds: what took less is not the cause


class Phase(Enum):
    """A part of a fetch, in the order in which they come."""

    CACHE = "asking the shared cache"
    NAME = "resolving the host name"
    CONNECT = "connecting"
    TLS = "in the TLS handshake"
    SEND = "sending the request"
    RESPONSE = "waiting for the response"
    BODY = "reading the body"


# Of httpx's trace extension, without the part of httpcore that reports.
_BEGINNINGS: Mapping[str, Phase] = MappingProxyType(
    {
        "connect_tcp.started": Phase.CONNECT,
        "connect_unix_socket.started": Phase.CONNECT,
        "start_tls.started": Phase.TLS,
        "send_request_headers.started": Phase.SEND,
        "receive_response_headers.started": Phase.RESPONSE,
    }
)


class Progress:
    """The phases of one fetch so far. Written by whoever runs it, read by all who wait for it."""

    __slots__ = ("_entered", "peer")

    def __init__(self) -> None:
        self._entered: tuple[tuple[Phase, float], ...] = ()
        self.peer: str | None = None
        """The address and the port that were connected to last."""

    def enter(self, phase: Phase) -> None:
        """Note that a phase begins now."""
        self._entered += ((phase, time.monotonic()),)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note what httpx's trace extension reports."""
        if event.endswith(".connect_tcp.started"):
            host, port = info["host"], info["port"]
            self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        phase = _BEGINNINGS.get(event.partition(".")[2])
        if phase is not None:
            self.enter(phase)

    def describe_delay(self, timeout: float) -> str:
        """Say what a fetch was doing when its time was over, and which phases took it.

        timeout: the bound, in seconds.
        """
        entered = self._entered
        doing, why = entered[-1][0].value if entered else "to be started", ""
        if self.peer and entered[-1][0] is Phase.CONNECT:
            doing, why = f"{doing} to {self.peer}", ": no answer: a firewall drops it, or the host is down"
        seconds = dict.fromkeys((phase for phase, _ in entered), 0.0)
        ends = [*(moment for _, moment in entered[1:]), time.monotonic()]
        for (phase, start), end in zip(entered, ends, strict=False):
            seconds[phase] += end - start
        long = [f"{phase.value} {taken:.1f} s" for phase, taken in seconds.items() if taken >= _SHOWN_FROM]
        parts = f": {', '.join(long)}" if len(long) > 1 else ""
        return f"still {doing} at the end of {timeout:g} s (JWKSPolicy(timeout=...)){why}{parts}"
