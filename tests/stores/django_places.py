"""Databases and caches that a Django project may have, each with an alias of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import pymysql
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from sqlalchemy import URL

from stores import mysql, postgres

pymysql.install_as_MySQLdb()

if not settings.configured:
    settings.configure(SECRET_KEY="for tests")
django.setup(set_prefix=False)

SERVERS: dict[str, Any] = {"postgresql": postgres, "mariadb": mysql.MARIADB, "mysql": mysql.MYSQL}
PRODUCTS = ["sqlite", *SERVERS]


def _over(url: URL, engine: str, name: str) -> dict[str, Any]:
    login = {"HOST": url.host, "PORT": url.port, "USER": url.username, "PASSWORD": url.password or ""}
    return {"ENGINE": f"django.db.backends.{engine}", "NAME": name, **login}


def database(product: str, tmp_path: Path, name: str) -> dict[str, Any]:
    """Settings of a database; the one that ``name`` names on a server must be made first."""
    if product == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "project.db")}
    url = SERVERS[product].url()
    return _over(url, url.get_backend_name(), name)


@contextmanager
def alias_of(settings_of_database: dict[str, Any]) -> Iterator[str]:
    """Add a database to the project for a while."""
    alias = f"replay_{secrets.token_hex(4)}"
    made = connections.configure_settings({"default": {}, alias: dict(settings_of_database)})
    connections.settings[alias] = made[alias]
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


def execute(alias: str, statement: str) -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


@contextmanager
def migrated(product: str, tmp_path: Path, **more: Any) -> Iterator[str]:
    """A database of the project's, with the app's tables; ``more``: settings of it, such as another ``PORT``."""
    name = f"replay_{secrets.token_hex(4)}"
    if product != "sqlite":
        owner = "postgres" if product == "postgresql" else "replay"
        with alias_of(database(product, tmp_path, owner) | more) as server:
            execute(server, f"CREATE DATABASE {name}")
    installed = override_settings(INSTALLED_APPS=["private_key_jwt.stores.django"], USE_TZ=True)
    with installed, alias_of(database(product, tmp_path, name) | more) as alias:
        call_command("migrate", "private_key_jwt", database=alias, verbosity=0)
        yield alias
