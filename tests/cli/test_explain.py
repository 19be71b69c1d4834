"""``explain``: readable, harmless, and with an exit code."""

from __future__ import annotations

import re
from typing import Any

import pytest

from private_key_jwt.testing import REMOVED

from .conftest import World, run


def line(out: str, check: str) -> str:
    (found,) = [each for each in out.splitlines() if re.match(rf"[ \d]+ {check}  ", each)]
    return " ".join(found.split())


def test_a_valid_assertion(world: World) -> None:
    answer = run("explain", *world.all, world.tenant.assertion())
    assert (answer.code, answer.err) == (0, "")
    assert "Nothing failed. Not checked: request's client, not a replay." in answer.out
    assert f"Keys: {world.tenant.client(world.base_url).jwks_uri}" in answer.out
    assert "Judged at 2030-03-17 17:46:40 UTC (1900000000)." in answer.out
    assert line(answer.out, "exp") == "exp passed in 60 s not over, leeway 15 s"


def test_an_expired_one_says_what_to_look_at(world: World) -> None:
    now = int(world.clock())
    answer = run("explain", *world.all, "-", stdin=world.tenant.assertion(iat=now - 60, exp=now - 42))
    assert answer.code == 1
    assert "Step 3, exp: expired." in answer.out
    assert "expired 42 s ago, leeway 15 s: exp is 20" in answer.out
    assert "FAILED" in line(answer.out, "exp")
    assert "not reached" in line(answer.out, "jti")


def test_no_option_is_needed(world: World) -> None:
    answer = run("explain", "--now", world.clock(), world.tenant.assertion())
    assert answer.code == 0
    assert "needs --audience" in answer.out
    assert "Keys:" not in answer.out


def test_an_outage(world: World) -> None:
    world.relying_party.outage = 503
    answer = run("explain", *world.all, world.tenant.assertion())
    assert answer.code == 3
    assert "Step 4, key: jwks_unavailable." in answer.out


def test_what_strangers_write_is_neither_markup_nor_control(world: World) -> None:
    nasty = "[bold red]x[/]\x1b[2J\x07\u202e"
    unknown: dict[str, Any] = {nasty: 1}
    answer = run("explain", *world.all, world.tenant.assertion(iss=nasty, sub=nasty, **unknown))
    assert answer.code == 1
    assert r"[bold red]x[/]\x1b[2J\x07\u202e" in answer.out.replace("\n", "")
    assert not set(answer.out) & set("\x1b\x07\u202e")


@pytest.mark.parametrize(("now", "text"), [(0, "1970-01-01"), (2**53, "no date of our calendar")])
def test_any_time_can_be_judged(world: World, now: int, text: str) -> None:
    answer = run("explain", "--now", now, world.tenant.assertion(iat=REMOVED))
    assert answer.code == 1
    assert f"Judged at {text}" in answer.out


def test_a_pipe_has_one_width_unless_told_and_no_colour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assertion = world.tenant.assertion()
    monkeypatch.delenv("COLUMNS", raising=False)
    piped = run("explain", *world.who, assertion).out
    assert max(map(len, piped.splitlines())) <= 100
    assert "\x1b" not in piped
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, run("explain", *world.who, assertion).out.splitlines())) <= 80


def test_a_wrong_use(world: World) -> None:
    for arguments in (("--leeway", "-1"), ("--slug", ".."), ("--client-id", ""), ("--jwks", "/nowhere")):
        answer = run("explain", *arguments, world.tenant.assertion())
        assert (answer.code, answer.out) == (2, "")
