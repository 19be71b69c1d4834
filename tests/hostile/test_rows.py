"""The catalogue of hostile inputs: every row, sync and async, with the reason that it must get."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from edges import AsyncEdge, Edge, SyncEdge
from hostile import assertions, key_sets, replays  # noqa: F401 - each adds its rows
from hostile.catalogue import IDS, NOT_APPLICABLE, TESTED_BY
from hostile.counts import Counts
from hostile.provider import ACCEPTED, ROWS, Provider, is_as_expected, outcome
from loopback import Publisher
from private_key_jwt.testing import Clock

EDGES = {"sync": SyncEdge, "async": AsyncEdge}
TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("number", "edge"),
    [pytest.param(number, edge, id=f"{number}-{name}") for number in ROWS for name, edge in EDGES.items()],
    indirect=["edge"],
)
def test_row(
    number: str,
    edge: Edge,
    publisher: Publisher,
    clock: Clock,
    counts: Counts,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    row = ROWS[number]
    op = Provider(edge, publisher, clock, monkeypatch, tmp_path)
    tried = 0
    for expected, attempt in row.cases(op):
        got = outcome(attempt)
        tried += 1
        as_expected = is_as_expected(got, expected)
        counts.add(
            row.attack_class,
            valid=expected == ACCEPTED,
            accepted=got == ACCEPTED and not as_expected,
            foreign=got.startswith("foreign"),
            surprising=not as_expected,
        )
        assert as_expected, f"{row.text}, case {tried}: expected {expected}, got {got}"
    assert tried


def test_every_row_is_tested_or_explained() -> None:
    places = [set(ROWS), set(TESTED_BY), set(NOT_APPLICABLE)]
    assert sorted(number for place in places for number in place) == sorted(IDS)


@pytest.mark.parametrize("number", TESTED_BY)
def test_what_other_tests_show_is_there(number: str) -> None:
    for place in TESTED_BY[number]:
        path, _, name = place.partition("::")
        names = {
            node.name for node in ast.walk(ast.parse((TESTS / path).read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert name in names, place
