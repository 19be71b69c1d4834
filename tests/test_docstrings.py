"""Every public class opens with how it is used, and every example in a docstring is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docstrings.afterwards import put_to_use
from docstrings.example import SERVERS, Example
from docstrings.found import members, modules

LONGEST = 3
CLASSES = [each for each in members() if isinstance(each.node, ast.ClassDef)]

# What is set as code and is no Python, by its beginning.
NOT_PYTHON = ("PrivateKeyJWTError\n├", "private-key-jwt ", "curl -s ")
# What another test runs: ledgerbee/test_profile.py.
RUN_ELSEWHERE = "from private_key_jwt.ledgerbee import"


def examples() -> Iterator[Any]:
    for documented in (*members(), *modules()):
        for number, code in enumerate(documented.examples):
            if not code.startswith((*NOT_PYTHON, RUN_ELSEWHERE)):
                name = documented.name.removeprefix("private_key_jwt.")
                needs_server = any(each in code for each in SERVERS)
                marks = [pytest.mark.slow] if needs_server else []
                yield pytest.param(documented.name, code, id=f"{name}-{number}", marks=marks)


def test_every_public_class_is_found() -> None:
    assert len(CLASSES) >= 80


@pytest.mark.parametrize(("name", "opening"), [pytest.param(each.name, each.opening, id=each.name) for each in CLASSES])
def test_a_public_class_opens_with_an_example(name: str, opening: str | None) -> None:
    assert opening is not None, f"the docstring of {name} has no example behind its summary"
    assert len(opening.splitlines()) <= LONGEST


@pytest.mark.parametrize(("owner", "code"), list(examples()))
def test_an_example_runs(owner: str, code: str, tmp_path: Path) -> None:
    Example(owner, code, tmp_path).run(put_to_use)
