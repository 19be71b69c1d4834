"""What ``manage.py check`` finds in the setting PRIVATE_KEY_JWT, and in the database of its replay store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from .._extra import needs
from ..exceptions import ConfigurationError
from . import _django_settings as project

with needs(__name__, "django"):
    from django.apps import apps
    from django.conf import settings
    from django.core import checks
    from django.db import connections

    from ..stores import DjangoReplayStore

__all__ = ["check_app", "check_settings", "check_tables"]

_APP = "private_key_jwt.stores.django"


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Check that a verifier can be made of PRIVATE_KEY_JWT, where it is set: a system check of Django."""
    if not hasattr(settings, project.NAME):
        return []
    wrong = []
    for kind in project.KINDS:
        try:
            project.verifier(kind)
        except ConfigurationError as error:
            wrong.append(str(error))
    is_usable = len(wrong) < len(project.KINDS)  # a project may have views of one kind only
    return [] if is_usable else [checks.Error(text, id="private_key_jwt.E004") for text in dict.fromkeys(wrong)]


def check_app(**_: Any) -> list[checks.CheckMessage]:
    """Check that the app of a DjangoReplayStore is installed: a system check of Django."""
    if apps.is_installed(_APP) or not list(_stores()):
        return []
    text = f"The tables of DjangoReplayStore belong to an app that is not installed: {_APP}."
    hint = f"INSTALLED_APPS += [{_APP!r}], then: manage.py migrate private_key_jwt"
    return [checks.Error(text, hint=hint, id="private_key_jwt.E005")]


def check_tables(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Check that a DjangoReplayStore has its tables: a system check of the databases that are to be asked.

    A warning, and no error: ``manage.py migrate``, which makes them, runs it first.
    """
    found = []
    for alias in dict.fromkeys(store.using for store in _stores()):
        if alias not in (databases or ()):
            continue
        missing = {*DjangoReplayStore.TABLES} - {*connections[alias].introspection.table_names()}
        if missing:
            text = f"DATABASES[{alias!r}] has no table {', '.join(sorted(missing))}: all assertions are refused."
            hint = f"manage.py migrate private_key_jwt --database {alias}"
            found.append(checks.Warning(text, hint=hint, id="private_key_jwt.W003"))
    return found


def _stores() -> Iterator[DjangoReplayStore]:
    """Give the DjangoReplayStores of the settings: of PRIVATE_KEY_JWT, and of the toolkit's validator."""
    for verifier in _verifiers():
        store = verifier._replay_store  # noqa: SLF001
        if isinstance(store, DjangoReplayStore):
            yield store


def _verifiers() -> Iterator[Any]:
    if hasattr(settings, project.NAME):
        for kind in project.KINDS:
            with suppress(ConfigurationError):
                yield project.verifier(kind)
    if apps.is_installed("oauth2_provider"):
        from .oauth_toolkit import configured_validator

        with suppress(Exception):
            yield configured_validator().client_assertion_verifier
