"""The table of algorithms; test_jwk_set.py verifies with its keys."""

from typing import Any

import pytest

from private_key_jwt._core.algorithms import ALGORITHMS


def test_rs256_is_the_only_algorithm_and_nobody_adds_another() -> None:
    table: Any = ALGORITHMS
    with pytest.raises(TypeError):
        table["none"] = table["RS256"]
    assert list(table) == ["RS256"]
