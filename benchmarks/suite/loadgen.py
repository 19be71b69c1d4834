"""A load generator for one URL: keep-alive connections, each with one request under way; runs in its own process.

It writes bytes made beforehand and reads little of the responses, so that it costs less than what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

Round = tuple[int, int, Sequence[bytes]]
"""A port, a number of connections, and the bodies to send."""


def drive(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """One round after the other: the seconds of each request, the seconds of all, and this process's share of them."""
    found = []
    for port, connections, bodies in rounds:
        requests = [_request(port, body) for body in bodies]
        times: list[float] = []
        statuses: Counter[str] = Counter()
        cpu, began = time.process_time(), time.perf_counter()
        asyncio.run(_send(port, iter(requests), connections, times, statuses))
        took = time.perf_counter() - began
        busy = (time.process_time() - cpu) / took
        found.append({"times": times, "took": took, "statuses": dict(statuses), "busy": busy})
    return found


def _request(port: int, body: bytes) -> bytes:
    head = (
        f"POST /token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _send(
    port: int, waiting: Iterator[bytes], connections: int, times: list[float], statuses: Counter[str]
) -> None:
    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            times.append(time.perf_counter() - began)
            statuses[head[9:12].decode("ascii")] += 1
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(work() for _ in range(connections)))
