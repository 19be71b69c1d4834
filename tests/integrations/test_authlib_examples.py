"""What the README says of Authlib's examples."""

from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
PLUG = (EXAMPLES / "authlib_flask" / "client_authentication.py").read_text()


def test_the_same_lines_serve_flask_and_django() -> None:
    assert (EXAMPLES / "authlib_django" / "client_authentication.py").read_text() == PLUG


def test_they_are_fewer_than_ten() -> None:
    statements = PLUG.split("from .oauth2 import server")[1]
    assert len(statements.strip().splitlines()) < 10
    validator = (EXAMPLES / "oauth_toolkit" / "validators.py").read_text().partition("\nclass ")[2]
    assert len(validator.strip().splitlines()) < 10
