"""Real servers of MariaDB and MySQL: the one that MARIADB_URL or MYSQL_URL names, else one that is started.

It is started out of what is on PATH. Where there is neither, its tests are not run: pytest says so at the end. With
ALL_ENGINES=1 those of MariaDB fail then; MySQL is in few distributions, and never has to be there.
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
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import URL, make_url

from children import await_server


class Server:
    """A server of our own, on a port of the loopback interface."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._directory = Path(tempfile.mkdtemp(prefix=product.executable))
        # Both refuse to run as root, and change to another user by themselves.
        self._user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self._directory, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command, *arguments = product.initialize
        place = [f"--user={self._user}", f"--datadir={self._directory}/data"]
        subprocess.run(
            [shutil.which(command) or command, "--no-defaults", *arguments, *place],
            check=True,
            capture_output=True,
            cwd=self._directory,
            timeout=120,
        )
        self.start()

    @property
    def url(self) -> URL:
        return URL.create("mysql", "root", host="127.0.0.1", port=self.port, database="replay")

    def start(self) -> None:
        settings = {
            "user": self._user,
            "datadir": f"{self._directory}/data",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "socket": f"{self._directory}/socket",
            "pid-file": f"{self._directory}/pid",
            "max-connections": 500,
            "loose-mysqlx": "OFF",  # another port, of MySQL only
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        command = shutil.which(self._product.executable) or self._product.executable
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [command, "--no-defaults", *arguments, "--skip-log-bin"], stdout=log, stderr=log, cwd=self._directory
            )
        await_server(self._process, self._answers, self._product.name, self._directory / "log")

    def _answers(self) -> bool:
        with contextlib.suppress(pymysql.Error, OSError):
            with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS replay")
            return True
        return False

    def stop(self) -> None:
        """At once: it is killed."""
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


@dataclass(frozen=True)
class Product:
    """MariaDB or MySQL: how its server is named, found and started."""

    name: str
    variable: str
    executable: str
    initialize: tuple[str, ...]
    is_wanted: bool
    """Whether ALL_ENGINES wants it."""

    @property
    def not_run(self) -> str:
        return f"not run: {self.name}: install it ({self.executable} on PATH), or name a server in {self.variable}"

    @functools.cached_property
    def can_start(self) -> bool:
        """Whether there is a server on PATH. MariaDB calls itself ``mysqld`` too."""
        executable = shutil.which(self.executable)
        if executable is None:
            return False
        version = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60).stdout
        return ("MariaDB" in version) is (self.name == "MariaDB")

    def is_here(self) -> bool:
        return bool(os.environ.get(self.variable)) or self.can_start

    def need(self) -> None:
        """Skip the test where no server can be had, or fail it where one must be."""
        if not self.is_here():
            self._do_without()

    def url(self) -> URL:
        """Where the tests' server is; started when first asked for, killed at the end of the process."""
        self.need()
        given = os.environ.get(self.variable)
        return make_url(given) if given else _started(self).url

    def server(self) -> Server:
        """A server of the test's own, which it may kill."""
        if not self.can_start:
            self._do_without()
        return Server(self)

    def _do_without(self) -> None:
        (pytest.fail if self.is_wanted and os.environ.get("ALL_ENGINES") else pytest.skip)(self.not_run)


MARIADB = Product(
    "MariaDB",
    "MARIADB_URL",
    "mariadbd",
    ("mariadb-install-db", "--auth-root-authentication-method=normal", "--skip-test-db"),
    is_wanted=True,
)
MYSQL = Product("MySQL", "MYSQL_URL", "mysqld", ("mysqld", "--initialize-insecure"), is_wanted=False)


@functools.cache
def _started(product: Product) -> Server:
    server = Server(product)
    started_by = os.getpid()
    atexit.register(lambda: server.remove() if os.getpid() == started_by else None)
    return server
