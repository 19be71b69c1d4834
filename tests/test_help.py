"""``help()`` of every public name works without any extra: it gives the docstring, or names the extra to install."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

import private_key_jwt

PACKAGE = "private_key_jwt"
SOURCE = Path(private_key_jwt.__file__).parent
EXTRAS = (
    *("authlib", "django", "fastapi", "flask", "oauth2_provider", "opentelemetry"),
    *("redis", "rich", "sqlalchemy", "starlette", "typer"),
)
ASK = """
import io, json, pydoc, sys
sys.modules.update(dict.fromkeys(EXTRAS))  # None: what the import system takes for absent
said = {}
for name in json.load(sys.stdin):
    output = io.StringIO()
    try:
        pydoc.doc(name, output=output)
    except BaseException as error:  # help() would show a traceback
        output.write(f"raised {error!r}")
    said[name] = output.getvalue()
json.dump(said, sys.stdout)
"""


def public_names() -> list[str]:
    """Name every public module, and what stands in its ``__all__``. Django alone imports those of its app."""
    names = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if any(part.startswith("_") for part in parts) or parts[1:3] == ("stores", "django"):
            continue
        module = ".".join(parts)
        names.append(module)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names += [f"{module}.{name}" for name in ast.literal_eval(node.value)]
    return names


def help_of(names: list[str], environment: dict[str, str], without: tuple[str, ...] = ()) -> dict[str, str]:
    code = f"EXTRAS = {without}\n{ASK}"
    asked = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    said = json.loads(asked.stdout or "null")
    assert said, asked.stderr
    return cast(dict[str, str], said)


@pytest.mark.parametrize("settings", [{}, {"DJANGO_SETTINGS_MODULE": "examples.oauth_toolkit.settings"}], ids=str)
def test_help_needs_no_project_of_django(settings: dict[str, str]) -> None:
    """Neither settings, nor the apps that they name: a reader has none, or has not set them up."""
    names = [*public_names(), f"{PACKAGE}.stores.django", f"{PACKAGE}.stores.django.apps"]
    said = help_of(names, settings)
    assert {name: text for name, text in said.items() if not text.startswith("Python Library")} == {}
    assert "ClientAssertionMixin" in said[f"{PACKAGE}.integrations.oauth_toolkit"]


def test_help_without_any_extra() -> None:
    names = public_names()
    assert len(names) > 150
    said = help_of(names, {}, EXTRAS)
    wrong = {name: text for name, text in said.items() if not text.startswith(("Python Library", f"{PACKAGE}."))}
    assert wrong == {}
    needing = [text for text in said.values() if text.startswith(PACKAGE)]
    assert len(needing) > 40
    assert [text for text in needing if " needs an extra: pip install '.[" not in text] == []
    said_of_redis = said["private_key_jwt.stores.RedisReplayStore"]
    assert "pip install '.[redis]' in a clone, or pip install 'private-key-jwt[redis]' from an index (" in said_of_redis
    assert "pip install '.[fastapi]'" in said["private_key_jwt.integrations.fastapi.authenticate"]
    assert "pip install '.[django-oauth-toolkit]'" in said["private_key_jwt.integrations.oauth_toolkit"]
