"""Check the setting PRIVATE_KEY_JWT, its verifiers, and the database of a store, for ``manage.py check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from .._extra import needs
from .._settings import lives_in_one_process
from ..exceptions import ConfigurationError
from . import _django_settings as project

with needs(__name__, "django"):
    from django.apps import apps
    from django.conf import settings
    from django.core import checks
    from django.db import connections, router

    from ..stores import DjangoReplayStore

__all__ = ["check_app", "check_deployment", "check_setting", "check_tables"]

_APP = "private_key_jwt.stores.django"
_LABEL = "private_key_jwt"
_UNSHARED = "private_key_jwt.W004"
_SETTING = f"settings.{project.NAME}"


def check_setting(**_: Any) -> list[checks.CheckMessage]:
    """Check that the verifiers of PRIVATE_KEY_JWT can be made, where it is set: a system check of Django."""
    if not hasattr(settings, project.NAME):
        return []
    whole = project.whole_kinds()
    kinds = whole or project.KINDS
    wrong = []
    for kind in kinds:
        try:
            project.verifier(kind)
        except ConfigurationError as error:
            wrong.append(str(error))
    if not whole and len(wrong) < len(kinds):
        return []  # a project may have views of one kind only, and parts that are for these
    return [checks.Error(text, id="private_key_jwt.E004") for text in dict.fromkeys(wrong)]


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
            found.append(checks.Warning(text, hint=_how_to_make_tables(alias), id="private_key_jwt.W003"))
    return found


def _how_to_make_tables(alias: str) -> str:
    if router.allow_migrate(alias, _LABEL, model_name="replaymark"):
        return f"manage.py migrate {_LABEL} --database {alias}"
    return (
        f"Your DATABASE_ROUTERS keep the app {_LABEL} from {alias!r}, and `migrate` makes no table there: let their"
        " allow_migrate take the app, or name the database that it goes to: DjangoReplayStore(using=...)."
    )


def check_deployment(**_: Any) -> list[checks.CheckMessage]:
    """Check what is right on a developer's machine only: a system check of Django, for ``check --deploy``."""
    found: dict[str, checks.CheckMessage] = {}
    for name, verifier in _verifiers():
        for each in (*_unshared(name, verifier), *_over_http(name, verifier)):
            found.setdefault(each.msg, each)  # sync and async views share a store and a fetcher
    return list(found.values())


def _unshared(name: str, verifier: Any) -> Iterator[checks.CheckMessage]:
    store = verifier._replay_store  # noqa: SLF001
    keys = getattr(settings, project.NAME) if name == _SETTING else {}
    if "WORKERS" in keys or not lives_in_one_process(store):
        return
    text = (
        f"{name} keeps replay marks in {type(store).__name__}, the memory of one process, and does not say how many"
        " processes serve. With several, each accepts an assertion once."
    )
    # A whole verifier takes an argument, of which nobody knows whether it was given.
    silenced = f'SILENCED_SYSTEM_CHECKS = ["{_UNSHARED}"]'
    several, one = ("'WORKERS': 2", "'WORKERS': 1") if "AUDIENCE" in keys else ("workers=2", silenced)
    hint = f"If several serve, say {several} and take DjangoReplayStore. If one does, say {one}."
    yield checks.Warning(text, hint=hint, id=_UNSHARED)


def _over_http(name: str, verifier: Any) -> Iterator[checks.CheckMessage]:
    if getattr(getattr(verifier._fetcher, "policy", None), "allow_http_loopback", False) is True:  # noqa: SLF001
        text = f"{name} fetches keys from this host over plain http: allow_http_loopback is True."
        hint = "Leave allow_http_loopback out of its JWKSPolicy: it is for trying out and for tests."
        yield checks.Warning(text, hint=hint, id="private_key_jwt.W005")


def _stores() -> Iterator[DjangoReplayStore]:
    """Give the DjangoReplayStores of the settings: of PRIVATE_KEY_JWT, and of the toolkit's validator."""
    for _, verifier in _verifiers():
        store = verifier._replay_store  # noqa: SLF001
        if isinstance(store, DjangoReplayStore):
            yield store


def _verifiers() -> Iterator[tuple[str, Any]]:
    """Give each verifier of the settings, with the name of what it is made of or held by."""
    if hasattr(settings, project.NAME):
        for kind in project.KINDS:
            with suppress(ConfigurationError):
                yield _SETTING, project.verifier(kind)
    if apps.is_installed("oauth2_provider"):
        from .oauth_toolkit import configured_validator

        with suppress(Exception):
            validator = configured_validator()
            yield f"{validator.__qualname__}.client_assertion_verifier", validator.client_assertion_verifier
