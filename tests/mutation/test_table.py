"""Whether the breaches still speak of this source: running their tests takes minutes, and is ``run.py laws``."""

from __future__ import annotations

import ast
import re

import pytest

from mutation.breaking import find_test
from mutation.explained import EXPLAINED, Explained, explain, find_unused
from mutation.laws import LAWS, SOURCE, TITLES, Breach, break_law, leave_out, put_before, replace
from mutation.mutants import Survivor, called_by_import, find_change, name_of


@pytest.mark.parametrize("breach", LAWS, ids=lambda breach: f"{breach.law}-{breach.what}")
def test_a_breach_changes_one_statement_and_names_a_test(breach: Breach) -> None:
    broken = break_law(breach)
    assert broken.source != ast.unparse(ast.parse(broken.path.read_text()))
    compile(broken.source, broken.path.name, "exec")
    assert find_test(breach.test)


def test_each_law_has_breaches() -> None:
    assert {breach.law for breach in LAWS} == set(TITLES) == set(range(1, 9))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [("^return$", "0 statements"), ("^return ", r"[0-9]+ statements"), ("^def replay_key", "nothing")],
)
def test_a_breach_that_fits_no_statement_or_several_is_an_error(statement: str, fault: str) -> None:
    with pytest.raises(LookupError, match=fault):
        break_law(Breach(1, "x", "_core/claims.py", statement, replace("no such text", ""), "test_x"))


@pytest.mark.parametrize(
    ("head", "change", "after"),
    [
        ("if x > 1:", leave_out, "if False:"),
        ("x = f(y)", leave_out, "pass"),
        ("return x + 1", replace(r"x \+ 1", "x"), "return x"),
        ("if x:", put_before("f()"), "f()\nif x:"),
    ],
)
def test_a_change_is_made_to_the_first_line_of_a_statement(head: str, change: object, after: str) -> None:
    assert callable(change)
    assert change(head) == after


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("if x > 1:\n    f()", "if x >= 1:\n    f()", ("if x > 1:", "x > 1", "x >= 1")),
        ("if x:\n    y = f(1, 2)", "if x:\n    y = f(None, 2)", ("y = f(1, 2)", "1", "None")),
        ("y = f(1, 2)", "y = f(2)", ("y = f(1, 2)", "f(1, 2)", "f(2)")),
        ("y = x // 2", "y = x / 2", ("y = x // 2", "x // 2", "x / 2")),
        ("y = f'got {g(x)}'", "y = f'got {g(None)}'", ("y = f'got {g(x)}'", "x", "None")),
        ("def f(x=1): pass", "def f(x=2): pass", ("def f(x=1):", "1", "2")),
        ("y = not x", "y = x", ("y = not x", "not x", "x")),
        ("y = x[-1]", "y = x[+1]", ("y = x[-1]", "-1", "+1")),
        ("while x:\n    continue", "while x:\n    break", ("continue", "continue", "break")),
    ],
)
def test_a_change_is_the_smallest_expression_that_differs(before: str, after: str, change: tuple[str, ...]) -> None:
    found = find_change("a.py", before, after)
    assert found is not None
    assert (found.statement, found.before, found.after) == change


def test_two_spellings_of_one_meaning_are_no_change() -> None:
    assert find_change("a.py", "x = (1)", "x = 1  # one") is None


@pytest.mark.parametrize(
    ("before", "after", "wording"),
    [
        ('"not a number"', '"XXnot a numberXX"', True),
        ('"a lone surrogate"', '"A LONE SURROGATE"', True),
        ('"utf-8"', '"UTF-8"', True),
        ('"utf-8"', '"XXutf-8XX"', False),
        ('"alg"', '"XXalgXX"', False),
        ('"not a number"', "None", False),
        ("quote(x)", "quote(None)", False),
        ("1", "2", False),
        ("f(1)", "f(2)", False),
    ],
)
def test_a_survivor_that_changes_a_text_only_differs_from_one_that_changes_a_rule(
    before: str, after: str, wording: bool
) -> None:
    survivor = find_change("a.py", f"x = {before}", f"x = {after}")
    assert survivor is not None
    assert survivor.is_wording is wording
    assert (explain(survivor) is not None) is wording


@pytest.mark.parametrize("entry", EXPLAINED, ids=lambda entry: f"{entry.module}-{entry.statement}")
def test_what_is_explained_is_a_mutant_of_a_statement_that_is_there(entry: Explained) -> None:
    tree = ast.parse((SOURCE / "_core" / entry.module).read_text())
    heads = [ast.unparse(node).split("\n")[0] for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    statement = next(head for head in heads if re.search(entry.statement, head))
    assert entry.after
    for after in entry.after:
        assert explain(Survivor(entry.module, statement, "x", after)) == entry.why
        assert explain(Survivor(entry.module, statement, "x", f"not {after}")) is None
        assert explain(Survivor("another.py", statement, "x", after)) is None
        assert explain(Survivor(entry.module, "pass", "x", after)) is None


def test_an_entry_that_explains_nothing_is_found() -> None:
    assert find_unused([]) == list(EXPLAINED)
    survivor = Survivor("header.py", "cty = members.get('cty', 'JWT')", "'JWT'", "'jwt'")
    assert [each for each in EXPLAINED if each not in find_unused([survivor])] == [
        each for each in EXPLAINED if each.covers(survivor)
    ]


def test_what_an_import_calls_is_tried_by_another_import() -> None:
    source = "x = f(1)\ndef f(n): return g(n)\ndef g(n): return n\nclass A:\n    y = h()\n"
    assert called_by_import(source) == {"f"}
    assert name_of("private_key_jwt._core.rsa.x__powers__mutmut_3") == "_powers"
