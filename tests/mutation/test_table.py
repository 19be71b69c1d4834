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


@pytest.mark.parametrize("name", EQUIVALENT)
def test_each_equivalent_mutant_names_what_is_there(name: str) -> None:
    module, _, scope = name.partition(":")[0].partition(".")
    tree = ast.parse((ROOT / CORE / f"{module}.py").read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set(scope.split(".")) <= names | {"module"}
    assert EQUIVALENT[name]


def test_a_mutant_is_one_mistake_and_has_a_name_of_its_own() -> None:
    path = f"{CORE}/replay.py"
    source = (ROOT / path).read_text()
    made = list(mutants(path, source))
    assert len(made) > 10
    assert len({mutant.name for mutant in made}) == len({mutant.source for mutant in made}) == len(made)
    assert ast.unparse(ast.parse(source)) not in {mutant.source for mutant in made}


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("x.strip().lower()", {"x.strip()", "x.lower()"}),
        ("x.send()", set()),
        ("tuple(x)", {"x"}),
        ("tuple(x, y)", set()),
        ("[x, *y]", {"[x]", "[*y]"}),
        ("{x: y, **z}", {"{**z}", "{x: y}"}),
        ("x, y = z", set()),
        ("x: dict[str, int] = Box[str, int](z)", set()),
        ("f(x, key=y, **z)", {"f(x, **z)", "f(x, key=y)"}),
        ("f(x, strict=True)", {"f(x, strict=False)"}),
    ],
)
def test_what_is_wrapped_listed_or_named_is_left_out(source: str, made: set[str]) -> None:
    mutant_sources = {mutant.source for mutant in mutants("module.py", source)}
    assert mutant_sources - {"pass"} == made
