"""``demo``: it passes, it fails when a line does not come out, and it shows what it promises."""

from __future__ import annotations

import pytest

from private_key_jwt import Reason
from private_key_jwt.cli import _demo
from private_key_jwt.cli._demo import STEPS

from .conftest import run


def test_every_line_comes_out_as_expected() -> None:
    answer = run("demo")
    assert (answer.code, answer.err) == (0, "")
    assert f"All {len(STEPS)} lines came out as expected." in answer.out
    lines = [each for each in answer.out.splitlines() if each.startswith("ok ")]
    assert len(lines) == len(STEPS)
    for step, line in zip(STEPS, lines, strict=True):
        assert step.title in line
        assert step.verdict in line
    assert "FAIL" not in answer.out
    assert "Retry-After: 5" in answer.out


def test_it_shows_what_an_operator_must_have_seen() -> None:
    shown = {step.verdict for step in STEPS}
    assert shown >= {
        "accepted",
        Reason.REPLAYED,
        Reason.EXPIRED,
        Reason.AUDIENCE_MISMATCH,
        Reason.BAD_SIGNATURE,
        Reason.NO_KEYS,
        Reason.UNKNOWN_KID,
        Reason.JWKS_UNAVAILABLE,
        Reason.INVALID_REQUEST,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        STEPS[0]._replace(status=401, error="invalid_client", verdict=Reason.EXPIRED),
        STEPS[0]._replace(verdict=Reason.REPLAYED),
        STEPS[0]._replace(error="invalid_client"),
    ],
)
def test_a_line_that_does_not_come_out_is_marked(wrong: _demo.Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_demo, "STEPS", (wrong, STEPS[1]))
    answer = run("demo")
    assert answer.code == 1
    marks = [each.split()[0] for each in answer.out.splitlines() if wrong.title in each or STEPS[1].title in each]
    assert marks == ["FAIL", "ok"]
    assert "1 of 2 lines did not come out as expected." in answer.out
    assert f"expected {wrong.status} {wrong.error or 'token'}, {wrong.verdict}; the log says: portal-acme" in (
        answer.out
    )


def test_a_503_must_say_when_to_come_back() -> None:
    step = next(each for each in STEPS if each.status == 503)
    result = _demo.Result(503, step.error, step.verdict, "", 0.0, "5")
    assert result.meets(step)
    assert not result._replace(retry_after=None).meets(step)
