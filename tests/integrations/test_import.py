"""Integrations are there when their framework is, and say which extra brings it when it is not."""

import sys
from importlib import import_module

import pytest

from private_key_jwt import ConfigurationError


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [
        ("starlette", "starlette.requests", "starlette"),
        ("fastapi", "fastapi.openapi.models", "fastapi"),
        ("flask", "flask", "flask"),
        ("django", "django.http", "django"),
        ("_django_settings", "django.conf", "django"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str, framework: str, extra: str) -> None:
    name = f"private_key_jwt.integrations.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, framework, None)  # what the import system takes for absent
    with pytest.raises(ConfigurationError, match=rf"pip install 'private-key-jwt\[{extra}\]'"):
        import_module(name)
