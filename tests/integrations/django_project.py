"""A Django project for tests: the example's views, and the same ones async."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from integrations.apps import Provider

if not settings.configured:
    settings.configure(SECRET_KEY="for tests")
django.setup(set_prefix=False)


def settings_for(provider: Provider) -> AbstractContextManager[Any]:
    """The settings of a project, for one provider; only one at a time, as they are Django's."""
    verifiers = {"VERIFIER": provider.verifier(), "ASYNC_VERIFIER": provider.async_verifier()}
    overridden: AbstractContextManager[Any] = override_settings(
        ALLOWED_HOSTS=["127.0.0.1"],
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "django.middleware.common.CommonMiddleware"],
        PRIVATE_KEY_JWT=verifiers,
        ROOT_URLCONF="integrations.django_urls",
    )
    return overridden


def wsgi_application() -> Any:
    return WSGIHandler()


def asgi_application() -> Any:
    return ASGIHandler()
