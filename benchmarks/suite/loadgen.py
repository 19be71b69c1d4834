"""A load generator for one URL: keep-alive connections, each with one request under way; runs in its own process.

It writes bytes made beforehand and looks at little of the answers, so that it costs less than what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .measuring import Step


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self, waiting: Iterator[bytes], seconds: list[float], statuses: Counter[str]) -> None:
        self._waiting = waiting
        self._seconds = seconds
        self._statuses = statuses
        self._received = b""
        self._began = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._seconds.append(time.perf_counter() - self._began)
        self._statuses[head[9:12].decode("ascii")] += 1
        self._received = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(error)


Round = tuple[int, int, Sequence[bytes]]
"""A port, a number of connections, and the bodies to send."""


def drive(rounds: Sequence[Round], step: Step) -> list[dict[str, Any]]:
    """One round after the other: the seconds of each request, the seconds of all, and this process's share of them."""
    found = []
    for number, (port, connections, bodies) in enumerate(rounds):
        requests = [_request(port, body) for body in bodies]
        cpu, began = time.process_time(), time.perf_counter()
        times, statuses = asyncio.run(_send(port, requests, connections))
        took = time.perf_counter() - began
        busy = (time.process_time() - cpu) / took
        found.append({"times": times, "took": took, "statuses": dict(statuses), "busy": busy})
        step(f"round {number + 1} of {len(rounds)}")
    return found


def _request(port: int, body: bytes) -> bytes:
    head = (
        f"POST /token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _send(port: int, requests: Sequence[bytes], connections: int) -> tuple[list[float], Counter[str]]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    statuses: Counter[str] = Counter()
    waiting = iter(requests)
    opened = [
        await loop.create_connection(lambda: _Connection(waiting, times, statuses), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    return times, statuses
