"""A real MariaDB: the server that MARIADB_URL names (MySQL will do), else one that is started out of what is on PATH.

Where there is neither, its tests are not run: pytest says so at the end. With ALL_ENGINES=1 they fail.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import URL, make_url

NOT_RUN = "not run: MariaDB: install mariadb-server, or name a server (MariaDB or MySQL) in MARIADB_URL"


class Server:
    """A server of our own, on a port of the loopback interface."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="mariadb"))
        # MariaDB refuses to run as root.
        self._user: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(self._directory, "nobody")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        name = self._user.get("user") or pwd.getpwuid(os.geteuid()).pw_name
        self._run(
            "mariadb-install-db", "--no-defaults", f"--user={name}", "--auth-root-authentication-method=normal",
            "--skip-test-db", f"--datadir={self._directory}/data",
        )  # fmt: skip
        self.start()

    @property
    def url(self) -> URL:
        return URL.create("mysql", "root", host="127.0.0.1", port=self.port, database="replay")

    def start(self) -> None:
        executable = shutil.which("mariadbd") or "mariadbd"
        settings = {
            "datadir": f"{self._directory}/data",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "socket": f"{self._directory}/socket",
            "pid-file": f"{self._directory}/pid",
            "max-connections": 500,
            "skip-log-bin": "",
        }
        arguments = [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [executable, "--no-defaults", *arguments], stdout=log, stderr=log, cwd=self._directory, **self._user
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(pymysql.Error, OSError):
                with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as connection:
                    connection.cursor().execute("CREATE DATABASE IF NOT EXISTS replay")
                return
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline, "MariaDB does not start"
            time.sleep(0.1)

    def stop(self) -> None:
        """At once: it is killed."""
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self, command: str, *arguments: str) -> None:
        executable = shutil.which(command) or command
        subprocess.run(
            [executable, *arguments], check=True, capture_output=True, cwd=self._directory, timeout=120, **self._user
        )


def is_here() -> bool:
    return bool(os.environ.get("MARIADB_URL") or shutil.which("mariadbd"))


def need() -> None:
    """Skip the test where no server can be had, or fail it where one must be."""
    if is_here():
        return
    if os.environ.get("ALL_ENGINES"):
        pytest.fail(NOT_RUN)
    pytest.skip(NOT_RUN)


@functools.cache
def _started() -> Server:
    server = Server()
    started_by = os.getpid()
    atexit.register(lambda: server.remove() if os.getpid() == started_by else None)
    return server


def url() -> URL:
    """Where the tests' MariaDB is; started when first asked for, killed at the end of the process."""
    need()
    given = os.environ.get("MARIADB_URL")
    return make_url(given) if given else _started().url


def server() -> Server:
    """A server of the test's own, which it may kill."""
    need()
    if not shutil.which("mariadbd"):
        pytest.skip(NOT_RUN)
    return Server()
