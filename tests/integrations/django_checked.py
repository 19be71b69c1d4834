"""A project in a process of its own, as its ``manage.py``: ``python -m integrations.django_checked FILE COMMAND``."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line

from private_key_jwt import RegisteredClient

if __name__ == "__main__":
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv.pop(1)}
    settings.configure(
        SECRET_KEY="for tests",
        INSTALLED_APPS=["private_key_jwt.stores.django", "private_key_jwt.integrations"],
        DATABASES={"default": database, "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        PRIVATE_KEY_JWT={
            "AUDIENCE": "https://op.example.com",
            "CLIENTS": [RegisteredClient("client-1", jwks_uri="https://client.example/jwks.json")],
            "REPLAY_STORE": "private_key_jwt.stores.DjangoReplayStore",
            "WORKERS": 2,
        },
    )
    execute_from_command_line(sys.argv)
