"""Delete the replay marks that have expired."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand

from private_key_jwt.stores import DjangoReplayStore

__all__ = ["Command"]


class Command(BaseCommand):
    """Delete what has expired, in batches. Adds purge too: this is for a table that few adds come to."""

    help = "Delete the replay marks of client assertions that have expired."

    def add_arguments(self, parser: Any) -> None:
        """Take ``--database``."""
        parser.add_argument("--database", default="default", help="the alias in DATABASES (default: default)")

    def handle(self, *_args: Any, database: str, **_options: Any) -> None:
        """Run the command."""
        store = DjangoReplayStore(database)
        number = store.purge(time.time())
        store.close()
        self.stdout.write(f"{number} replay marks had expired, and are deleted.")
