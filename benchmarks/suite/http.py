"""End to end over HTTP: what verification costs a token endpoint in place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from private_key_jwt.testing import Tenant

from . import corpus, ours
from .loadgen import drive
from .measuring import Spread, Step, cores, in_own_process, percentiles
from .report import Row, Section

_CONNECTIONS = 16


class _SetUp(NamedTuple):
    name: str
    workers: int
    store: str  # none, memory, sqlite


_SQLITE_ALONE = _SetUp("1 worker, verified, SQLiteReplayStore", 1, "sqlite")
_SET_UPS = (
    _SetUp("1 worker, no verification", 1, "none"),
    _SetUp("1 worker, verified, MemoryReplayStore", 1, "memory"),
    _SQLITE_ALONE,
    _SetUp("2 workers, no verification", 2, "none"),
    _SetUp("2 workers, verified, SQLiteReplayStore", 2, "sqlite"),
)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start(set_up: _SetUp, directory: Path, base_url: str, stack: ExitStack) -> tuple[int, subprocess.Popen[bytes]]:
    """A uvicorn of its own, that ends with the stack, by its id."""
    port = _free_port()
    store = str(directory / f"{port}.db") if set_up.store == "sqlite" else set_up.store
    environment = os.environ | {"BENCH_STORE": store, "BENCH_BASE_URL": base_url}
    command = [sys.executable, "-m", "suite.endpoint", str(port), str(set_up.workers)]
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent.parent)
    stack.callback(_end, process)
    return port, process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until it answers a request."""
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"uvicorn ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(request)
                if connection.recv(16):
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("uvicorn did not begin to answer")


def _bodies(tenant: Tenant, count: int) -> list[bytes]:
    return [urlencode(ours.form(token, tenant.client_id)).encode("ascii") for token in corpus.tokens(tenant, count)]


def run(step: Step, *, short: bool) -> Section:
    rounds, many, single = (3, 200, 30) if short else (10, 2_000, 300)
    party = ours.relying_party()
    tenant = party.tenant("acme")
    section = Section("http", "End to end over HTTP (a token endpoint under uvicorn)")
    set_ups = [each for each in _SET_UPS if not short or each != _SQLITE_ALONE]
    step("signing")
    warm = _bodies(tenant, 2 * _CONNECTIONS)
    each = [(_bodies(tenant, single), _bodies(tenant, many)) for _ in range(rounds)]
    step("starting servers")
    with party.serve() as publisher, tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        servers = [(set_up, _start(set_up, Path(directory), publisher.base_url, stack)) for set_up in set_ups]
        for _, (port, process) in servers:
            _wait_for(port, process)
        # In each round every server gets the same requests, one server after the other: noise disturbs all alike.
        plan = [(port, _CONNECTIONS, warm) for _, (port, _) in servers]
        for alone, together in each:
            for _, (port, _) in servers:
                plan += [(port, 1, alone), (port, _CONNECTIONS, together)]
        step("sending")
        found = in_own_process(drive, plan)
    statuses = {status for result in found for status in result["statuses"]}
    if statuses != {"200"}:
        raise AssertionError(f"expected only answers of 200, got {statuses}")
    timed = found[len(servers) :]
    bare: dict[int, list[float]] = {}
    for place, set_up in enumerate(set_ups):
        results = [timed[number : number + 2] for number in range(2 * place, len(timed), 2 * len(servers))]
        rates = [len(both[1]["times"]) / both[1]["took"] for both in results]
        bare.setdefault(set_up.workers, rates)
        data = {
            "workers": set_up.workers,
            "store": set_up.store,
            "per_second": rates,
            "of_bare": [rate / base for rate, base in zip(rates, bare[set_up.workers], strict=True)],
            "latency": percentiles([seconds for both in results for seconds in both[1]["times"]]),
            "latency_alone": percentiles([seconds for both in results for seconds in both[0]["times"]]),
            "generator_busy": max(both[1]["busy"] for both in results),
        }
        section.data[set_up.name] = data
        section.rows.append(_row(set_up, data))
    section.notes.append(_note())
    return section


def _row(set_up: _SetUp, data: dict[str, Any]) -> Row:
    latency, alone = data["latency"], data["latency_alone"]
    note = (
        f"p50 {latency['p50'] / 1e3:.1f} ms, p99 {latency['p99'] / 1e3:.1f} ms; one at a time p50"
        f" {alone['p50']:,.0f} µs, p99 {alone['p99']:,.0f} µs; generator at most {data['generator_busy']:.0%} busy"
    )
    if set_up.store != "none":
        note = f"{Spread.of(data['of_bare']).median:.0%} of the rate without verification; {note}"
    return Row.of(set_up.name, Spread.of(data["per_second"]), unit="req/s", note=note)


def _note() -> str:
    parts = "httptools" if find_spec("httptools") else "h11"
    loop = "uvloop" if find_spec("uvloop") else "asyncio"
    return (
        f"uvicorn with {parts} and {loop}, a plain ASGI endpoint, {_CONNECTIONS} keep-alive connections with one"
        f" request each under way, a load generator in a process of its own, all on {cores()} cores. Each assertion is"
        " new. TCP_NODELAY is set on the listening socket: uvicorn leaves it off with several workers, and an answer"
        " then takes 44 ms."
    )
