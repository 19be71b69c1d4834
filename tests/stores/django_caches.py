"""Caches that a Django project may have, and a real Memcached."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from children import await_server
from stores.django_places import PRODUCTS

assert PRODUCTS  # the module configures Django
BACKENDS = "django.core.cache.backends"
REDIS = "redis.RedisCache"
MEMCACHED = "memcached.PyMemcacheCache"


@contextlib.contextmanager
def cache(backend: str, **settings: Any) -> Iterator[None]:
    """A project whose cache ``replay`` is of this backend."""
    local = {"BACKEND": f"{BACKENDS}.locmem.LocMemCache"}
    with override_settings(CACHES={"default": local, "replay": {"BACKEND": f"{BACKENDS}.{backend}", **settings}}):
        yield


class Memcached:
    """A server of its own on a loopback port."""

    def __init__(self) -> None:
        executable = shutil.which("memcached")
        if executable is None:
            (pytest.fail if os.environ.get("ALL_ENGINES") else pytest.skip)("not run: Memcached: install memcached")
        self._executable = executable
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def location(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = ["-u", "nobody", "-M", "-l", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen([self._executable, *arguments])
        await_server(self._process, self._answers, self._executable)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def kill(self) -> None:
        """As kill -9 does."""
        self._process.kill()
        self._process.wait()

    stop = kill
