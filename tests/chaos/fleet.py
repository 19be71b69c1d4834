"""What can be killed: workers, the JWKS server, and the stores."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from chaos.record import KILLED, PENDING, Record
from children import await_server
from support import until

_HERE = Path(__file__).parent


class Worker:
    """One process that verifies. What it says on its standard error is kept: it should say nothing."""

    def __init__(self, settings: dict[str, Any], record: Record, errors: Path) -> None:
        self._settings, self._record, self._errors = settings, record, errors
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._sent: list[int] = []
        self._ready = threading.Event()
        with self._errors.open("ab") as errors:
            command = [sys.executable, str(_HERE / "worker.py"), json.dumps(self._settings)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def await_ready(self) -> None:
        """Wait until it can verify: as long as it takes on a machine that is busy, and no longer than it lives."""
        until(lambda: self._ready.is_set() or self._process.poll() is not None, "a worker does not start", 300)
        assert self._ready.is_set(), self._errors.read_text()

    def send(self, assertion: int, kid: str, text: str) -> None:
        with self._lock:
            number = self._record.sent(assertion, kid)
            self._sent.append(number)
            with contextlib.suppress(BrokenPipeError, ValueError):
                assert self._process.stdin is not None
                self._process.stdin.write(f"{number} {text}\n")

    def kill_and_restart(self) -> None:
        """As kill -9 does. What it had not answered by then counts as killed."""
        with self._lock:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._end()
            self._start()

    def stop(self) -> None:
        """Let it end by itself."""
        with self._lock:
            with contextlib.suppress(BrokenPipeError):
                assert self._process.stdin is not None
                self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._end()

    def _end(self) -> None:
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
        for number in self._sent:
            if self._record.presentations[number].outcome == PENDING:
                self._record.note_outcome(number, KILLED)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # the last line of one that was killed
                number, outcome = json.loads(line)
                if number < 0:
                    self._ready.set()
                else:
                    self._record.note_outcome(number, outcome)


class JWKSServer:
    """The publisher, as a process on one port."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "keys.json"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.publish([])
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}/jwks.json"

    def publish(self, keys: list[dict[str, Any]]) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"keys": keys}))
        new.replace(self._file)

    def start(self) -> None:
        command = [sys.executable, str(_HERE / "publisher.py"), str(self._port), str(self._file)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        await_server(self.process, self._answers, "the JWKS server")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False

    def kill(self) -> None:
        with self.process:
            self.process.kill()


class Store(ABC):
    """A shared replay store that can be killed."""

    url: str

    @abstractmethod
    def kill(self) -> None: ...

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def remove(self) -> None: ...


class SQLiteFile(Store):
    """It has no server to kill: somebody else keeps it locked."""

    def __init__(self, directory: Path) -> None:
        self.url = str(directory / "replay.sqlite")
        self._locker: sqlite3.Connection | None = None

    def kill(self) -> None:
        self._locker = sqlite3.connect(self.url, isolation_level=None, check_same_thread=False, timeout=5)
        self._locker.execute("BEGIN IMMEDIATE")

    def start(self) -> None:
        if self._locker is not None:
            self._locker.execute("ROLLBACK")
            self._locker.close()

    def remove(self) -> None:
        """The directory is not ours."""


class Redis(Store):
    """A Redis whose marks survive its death: an append-only file, written before each answer."""

    def __init__(self, _directory: Path) -> None:
        from stores.redis_server import RedisServer

        self._server = RedisServer(appendonly="yes", appendfsync="always")
        self.url = self._server.url

    def kill(self) -> None:
        self._server.kill()

    def start(self) -> None:
        self._server.start()

    def remove(self) -> None:
        self._server.stop()


class PostgreSQL(Store):
    """A PostgreSQL, stopped as by kill -9, with its table."""

    def __init__(self, _directory: Path) -> None:
        from sqlalchemy import create_engine

        from private_key_jwt.stores import SQLAlchemyReplayStore
        from stores.postgres import Server

        self._server = Server()
        self.url = self._server.url.render_as_string(hide_password=False)
        engine = create_engine(self._server.url.set(drivername="postgresql+psycopg"))
        try:
            SQLAlchemyReplayStore(engine).create_table()
        except BaseException:
            self.remove()
            raise
        finally:
            engine.dispose()

    def kill(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def remove(self) -> None:
        self._server.remove()


STORES: dict[str, type[SQLiteFile | Redis | PostgreSQL]] = {
    "sqlite": SQLiteFile,
    "redis": Redis,
    "postgresql": PostgreSQL,
}
