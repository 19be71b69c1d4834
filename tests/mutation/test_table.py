"""Whether the breaches still speak of this source: running their tests takes minutes, and is ``run.py laws``."""

from __future__ import annotations

import ast

import pytest

from mutation.breaking import find_test
from mutation.laws import LAWS, TITLES, Breach, break_law, leave_out, put_before, replace
from mutation.mutants import read_survivor


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
        break_law(Breach(1, "x", "_core/replay.py", statement, replace("no such text", ""), "test_x"))


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
    ("before", "after", "wording"),
    [
        ('raise ValueError("not a number")', 'raise ValueError("XXnot a numberXX")', True),
        ('raise f("expected x, got {quote(x)}")', 'raise f("expected x, got {quote(None)}")', True),
        ('x.encode("utf-8")', 'x.encode("UTF-8")', True),
        ('if name == "alg":', 'if name == "XXalgXX":', False),
        ("if x > 1:", "if x >= 1:", False),
    ],
)
def test_a_survivor_that_changes_a_text_only_differs_from_one_that_changes_a_rule(
    before: str, after: str, wording: bool
) -> None:
    survivor = read_survivor("x", f"--- a.py\n+++ a.py\n@@ -1 +1 @@\n x = 1\n-    {before}\n+    {after}\n")
    assert (survivor.before, survivor.after) == (before, after)
    assert survivor.is_wording is wording
