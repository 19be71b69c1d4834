"""What the README says of the integrations of whole servers."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from private_key_jwt import ConfigurationError

EXAMPLES = Path(__file__).parent.parent / "examples"
PLUG = (EXAMPLES / "authlib_flask" / "client_authentication.py").read_text()


def test_the_same_lines_serve_flask_and_django() -> None:
    assert (EXAMPLES / "authlib_django" / "client_authentication.py").read_text() == PLUG


def test_they_are_fewer_than_ten() -> None:
    statements = PLUG.split("from .oauth2 import ISSUER, server")[1]
    assert len(statements.strip().splitlines()) < 10
    validator = (EXAMPLES / "oauth_toolkit" / "validators.py").read_text().partition("\nclass ")[2]
    assert len(validator.strip().splitlines()) < 10


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [("authlib", "authlib.oauth2", "authlib"), ("oauth_toolkit", "oauth2_provider", "django-oauth-toolkit")],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str, framework: str, extra: str) -> None:
    name = f"private_key_jwt.integrations.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, framework, None)  # what the import system takes for absent
    with pytest.raises(ConfigurationError, match=rf"pip install 'private-key-jwt\[{extra}\]'"):
        import_module(name)
