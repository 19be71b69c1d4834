"""Integrations are there when their framework is, and say which extra brings it when it is not."""

import operator
import sys
from importlib import import_module

import pytest

from private_key_jwt import ConfigurationError, integrations


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [
        ("starlette", "starlette.requests", "starlette"),
        ("fastapi", "fastapi.openapi.models", "fastapi"),
        ("flask", "flask", "flask"),
        ("django", "django.http", "django"),
        ("_django_settings", "django.conf", "django"),
        ("authlib", "authlib.oauth2", "authlib"),
        ("oauth_toolkit", "oauth2_provider", "django-oauth-toolkit"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str, framework: str, extra: str) -> None:
    name = f"private_key_jwt.integrations.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, framework, None)  # what the import system takes for absent
    with pytest.raises(ConfigurationError, match=rf"pip install 'private-key-jwt\[{extra}\]'"):
        import_module(name)


def test_an_integration_is_imported_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    flask = import_module("private_key_jwt.integrations.flask")
    monkeypatch.delattr(integrations, "flask")
    assert operator.attrgetter("flask")(integrations) is flask
    assert not hasattr(integrations, "bottle")
