"""End to end over HTTP: what verification costs a token endpoint in FastAPI in place."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from private_key_jwt.testing import Tenant
from stores.redis_server import free_port, shared_url
from support import until

from . import corpus, ours
from .frameworks import FORM_TYPE
from .measuring import Spread, Step, cores, in_own_process, percentiles
from .report import Row, Section

_CONNECTIONS = 16


class _Server(NamedTuple):
    """A uvicorn with so many workers; ``none`` is no store: its requests go where nothing is verified."""

    workers: int
    store: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def name(self) -> str:
        verified = "no verification" if self.store == "none" else f"verified, marks in {self.store}"
        return f"{self.workers} worker{'s' * (self.workers > 1)}, {verified}"


_KINDS = ((1, "none"), (1, "memory"), (1, "SQLite"), (2, "none"), (2, "SQLite"), (2, "Redis"))

# The load generator: it writes bytes made beforehand and reads little of the responses, so that it costs less than what
# it measures.

Round = tuple[int, str, int, Sequence[bytes]]
"""A port, a path, a number of connections, and the bodies to send."""


def drive(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """One round after the other: the seconds of each request, the seconds of all, and this process's share of them."""
    found = []
    for port, path, connections, bodies in rounds:
        requests = [_request(port, path, body) for body in bodies]
        times: list[float] = []
        statuses: Counter[str] = Counter()
        cpu, began = time.process_time(), time.perf_counter()
        asyncio.run(_send(port, iter(requests), connections, times, statuses))
        took = time.perf_counter() - began
        busy = (time.process_time() - cpu) / took
        found.append({"times": times, "took": took, "statuses": dict(statuses), "busy": busy})
    return found


def _request(port: int, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {FORM_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _send(
    port: int, waiting: Iterator[bytes], connections: int, times: list[float], statuses: Counter[str]
) -> None:
    """Keep one request under way on each of the connections, which stay open."""

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


def _start(kind: tuple[int, str], directory: Path, base_url: str, stack: ExitStack) -> _Server:
    """A uvicorn of its own, that ends with the stack, by its id."""
    port = free_port()
    stores = {"memory": "memory", "Redis": shared_url()}
    store = stores.get(kind[1], str(directory / f"{port}.db"))
    environment = os.environ | {"BENCH_STORE": store, "BENCH_BASE_URL": base_url}
    command = [sys.executable, "-m", "suite.endpoint", str(port), str(kind[0])]
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent.parent)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    return _Server(*kind, port, process)


def _answers(server: _Server) -> bool:
    if server.process.poll() is not None:
        raise RuntimeError(f"uvicorn ended with {server.process.returncode}")
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return bool(connection.recv(16))
    except OSError:
        return False


def _bodies(tenant: Tenant, count: int) -> list[bytes]:
    return [urlencode(ours.form(token, tenant.client_id)).encode("ascii") for token in corpus.tokens(tenant, count)]


def run(step: Step, *, short: bool) -> Section:
    rounds, many = (2, 60) if short else (10, 2_000)
    party = ours.relying_party()
    tenant = party.tenant("acme")
    section = Section("http", "End to end over HTTP (a token endpoint in FastAPI under uvicorn)")
    step("signing")
    warm = _bodies(tenant, 2 * _CONNECTIONS)
    each = [_bodies(tenant, many) for _ in range(rounds)]
    with party.serve() as publisher, tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        step("starting servers")
        kinds = _KINDS[1::2] if short else _KINDS
        servers = [_start(kind, Path(directory), publisher.base_url, stack) for kind in kinds]
        for server in servers:
            until(partial(_answers, server), f"{server.name} does not answer", 60)
        paths = {server: "/alone" if server.store == "none" else "/verified" for server in servers}
        # In each round every server gets the same requests, one server after the other: noise disturbs all alike.
        plan: list[Round] = [(server.port, path, _CONNECTIONS, warm) for server, path in paths.items()]
        for bodies in each:
            plan += [(server.port, path, _CONNECTIONS, bodies) for server, path in paths.items()]
        step("sending")
        found = in_own_process(drive, plan)
    statuses = {status for result in found for status in result["statuses"]}
    if statuses != {"200"}:
        raise AssertionError(f"expected only answers of 200, got {statuses}")
    bare: dict[int, list[float]] = {}
    for place, server in enumerate(servers):
        results = found[len(servers) + place :: len(servers)]
        rates = [len(result["times"]) / result["took"] for result in results]
        base = bare.setdefault(server.workers, rates)
        of_bare = Spread.of([rate / other for rate, other in zip(rates, base, strict=True)]).median
        latency = percentiles([seconds for result in results for seconds in result["times"]])
        note = (
            f"{of_bare:.0%} of the rate without verification; p50 {latency['p50'] / 1e3:.1f} ms, p99"
            f" {latency['p99'] / 1e3:.1f} ms; generator at most {max(each['busy'] for each in results):.0%} busy"
        )
        section.data[server.name] = {"per_second": rates, "latency": latency}
        section.rows.append(Row.of(server.name, Spread.of(rates), unit="req/s", note=note))
    section.notes.append(
        f"uvicorn with {'httptools' if find_spec('httptools') else 'h11'} and"
        f" {'uvloop' if find_spec('uvloop') else 'asyncio'}, {_CONNECTIONS} keep-alive connections with one request"
        f" each under way, a load generator in a process of its own, all on {cores()} cores. Each assertion is new."
        " TCP_NODELAY is set on the listening socket: uvicorn leaves it off with several workers, and an answer then"
        " takes 44 ms."
    )
    return section
