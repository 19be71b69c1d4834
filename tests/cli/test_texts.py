"""Every text that a command takes may hold what a terminal obeys: it is written nowhere as it came."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from private_key_jwt.cli._app import app
from private_key_jwt.cli._options import NAMES

from .conftest import Served, run

# All control characters but the line break, and those that turn the direction of a text.
_OBEYED = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e]")
_TEXTS = ("\x1b[31mred\n", "\x9b2J\u202e", "https://op.example\x1b]0;x\x07", "[bold]\x1b[0m")
_CODES = (0, 1, 2, 3)


def options(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each command with each of its arguments ("") and options that take a value."""
    for name, below in getattr(command, "commands", {}).items():
        yield from options(below, (*path, name))
    for each in getattr(command, "params", ()):
        if path and not getattr(each, "is_flag", False) and "--help" not in each.opts:
            yield path, each.opts[0] if each.opts[0].startswith("-") else ""


OPTIONS = list(options(typer.main.get_command(app)))

_ENOUGH = {
    ("simulate",): ("--for", "0"),
    ("ledgerbee", "mint"): ("--sub", "s", "--email", "a@b.example", "--membership", "c:admin"),
    ("ledgerbee", "provision"): ("--email", "a@b.example"),
    ("ledgerbee", "revoke"): ("--sub", "s"),
}
"""What a command needs beside the one option; of one that stands twice the last counts, or both."""


def test_every_command_is_asked() -> None:
    assert {path[0] for path, _ in OPTIONS} == {"verify", "explain", "jwks", "simulate", "ledgerbee"}


@pytest.mark.parametrize(
    ("path", "option"), OPTIONS, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_no_text_reaches_the_terminal_as_it_came(
    served: Served, path: tuple[str, ...], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERBEE_API_KEY", served.tenant.api_key())
    enough = _ENOUGH.get(path, served.place if path == ("jwks",) else served.all)
    if path[0] == "ledgerbee" and option != "--base-url":
        enough = (*enough, "--base-url", served.base_url)
    alone = enough if path[0] == "ledgerbee" else ()  # it would go to LedgerBee itself
    for text in _TEXTS:
        for others in {enough, alone}:
            answer = run(*path, *others, *([option] if option else []), text, stdin=served.tenant.assertion())
            assert answer.code in _CODES
            assert not _OBEYED.search(answer.out + answer.err)


def test_each_argument_of_the_library_is_named_by_an_option_that_there_is() -> None:
    options = {option for _, option in OPTIONS} | {"--mint-handoff", "--mint-checkout-bind-token"}  # those are flags
    assert {name for name in NAMES.values() if name.startswith("--")} - options == set()


@pytest.mark.parametrize("path", sorted({path for path, _ in OPTIONS}), ids="-".join)
def test_help_is_wrapped_to_the_width_that_there_is(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run(*path, "--help").out.partition("╭")[0]
    lines = [line.strip() for line in text.splitlines()]
    wrapped = [(line, after.split()[0]) for line, after in itertools.pairwise(lines) if line and after]
    assert [pair for pair in wrapped if len(" ".join(pair)) <= 78] == []
