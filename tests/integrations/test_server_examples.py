"""What the README says of the integrations of whole servers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PLUG = (EXAMPLES / "authlib_flask" / "client_authentication.py").read_text()


def test_the_same_lines_serve_flask_and_django() -> None:
    assert (EXAMPLES / "authlib_django" / "client_authentication.py").read_text() == PLUG


def test_they_are_fewer_than_ten() -> None:
    statements = PLUG.split("from .oauth2 import ISSUER, server")[1]
    assert len(statements.strip().splitlines()) < 10
    validator = (EXAMPLES / "oauth_toolkit" / "validators.py").read_text().partition("\nclass ")[2]
    assert len(validator.strip().splitlines()) < 10


def django_admin(example: str, folder: Path, *arguments: str) -> str:
    """What Django says in the project of an example."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": f"{example}.settings",
        "PYTHONPATH": str(EXAMPLES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "django", *arguments, example]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("example", ["oauth_toolkit", "oauth_toolkit_keys"])
def test_a_test_case_of_django_has_a_verifier_of_its_own(example: str, tmp_path: Path) -> None:
    assert "Ran 2 tests" in django_admin(example, tmp_path, "test")


def test_keys_beside_the_applications_of_the_toolkit_can_be_migrated(tmp_path: Path) -> None:
    assert "Create model ClientKeys" in django_admin("oauth_toolkit_keys", tmp_path, "makemigrations", "--dry-run")
