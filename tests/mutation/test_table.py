"""Whether the tables still speak of this source: ``run.py`` itself takes minutes."""

from __future__ import annotations

import ast

import pytest

from mutation.command import CORE
from mutation.equivalent import EQUIVALENT
from mutation.laws import LAWS, TITLES, Breach
from mutation.mutants import mutants
from mutation.trees import ROOT


@pytest.mark.parametrize("breach", LAWS, ids=lambda breach: f"{breach.law}-{breach.what}")
def test_a_breach_changes_what_is_there_and_is_seen_by_a_test(breach: Breach) -> None:
    source = (ROOT / breach.path).read_text()
    assert breach.old in source
    ast.parse(source.replace(breach.old, breach.new))
    file, _, name = breach.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_each_law_has_breaches() -> None:
    assert {breach.law for breach in LAWS} == set(TITLES) == set(range(1, 9))


def test_each_equivalent_mutant_can_still_be_made() -> None:
    made = {
        mutant.name
        for module in (ROOT / CORE).glob("*.py")
        for mutant in mutants(str(module.relative_to(ROOT)), module.read_text())
    }
    assert EQUIVALENT.keys() - made == set()
