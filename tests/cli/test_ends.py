"""How the command line ends when its output has nowhere to go, in this process: as a process it is in test_main.py."""

from __future__ import annotations

import contextlib
import os
import runpy
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from private_key_jwt import cli
from private_key_jwt.cli import _app
from private_key_jwt.cli._output import BrokenOutput, console

from .conftest import Served, run


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["private-key-jwt", "--version"])


def code() -> object:
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


COMMANDS: dict[str, Callable[[Served], tuple[str, ...]]] = {
    "--version": lambda _: ("--version",),
    "verify": lambda served: ("verify", *served.all, served.tenant.assertion()),
    "explain": lambda served: ("explain", *served.all, served.tenant.assertion()),
    "jwks": lambda served: ("jwks", *served.place),
    "jwks --json": lambda served: ("jwks", *served.place, "--json"),
    "simulate": lambda _: ("simulate", "--for", "0"),
    "ledgerbee": lambda served: ("ledgerbee", "revoke", "--sub", "u-1", "--base-url", served.base_url),
    "demo": lambda _: ("demo",),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command that succeeds, as the next one to be run."""
    monkeypatch.setenv("LEDGERBEE_API_KEY", served.tenant.api_key())
    monkeypatch.delenv("LEDGERBEE_ACCESS_TOKEN", raising=False)
    monkeypatch.setattr(sys, "argv", ["private-key-jwt", *COMMANDS[request.param](served)])


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    pipe = os.fdopen(writer, "w")
    yield pipe
    with contextlib.suppress(BrokenPipeError):  # what was not written still stands in its buffer
        pipe.close()


@pytest.mark.usefixtures("command")
def test_a_reader_that_has_left_ends_each_command_as_a_signal_would(
    monkeypatch: pytest.MonkeyPatch, unread: TextIO
) -> None:
    monkeypatch.setattr(sys, "stdout", unread)
    assert code() == 141


def test_a_reader_of_the_errors_that_has_left_is_no_fault_of_the_keys(
    monkeypatch: pytest.MonkeyPatch, unread: TextIO
) -> None:
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{bound.getsockname()[1]}/jwks.json"
        monkeypatch.setattr(sys, "argv", ["private-key-jwt", "jwks", "--allow-http-loopback", "--jwks-uri", uri])
        assert code() == 3
        monkeypatch.setattr(sys, "stderr", unread)
        assert code() == 141


@pytest.mark.usefixtures("command")
def test_a_full_disk_is_told_by_each_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert code() == 74
    assert capsys.readouterr().err == "private-key-jwt: cannot write: No space left on device\n"


def test_an_interrupt_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_app, "run", interrupted)
    assert code() == 130


def test_a_console_leaves_a_broken_pipe_to_main() -> None:
    with pytest.raises(BrokenOutput):
        console().on_broken_pipe()


@pytest.mark.usefixtures("version")
def test_the_package_is_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("private_key_jwt", run_name="__main__")
    assert (ended.value.code, capsys.readouterr().out[:16]) == (0, "private-key-jwt ")


def test_a_wrong_instant_is_a_wrong_use(served: Served) -> None:
    answer = run("verify", *served.all, "--now", "soon", "x")
    assert answer.code == 2
    assert "must be an instant" in answer.err


def test_an_unknown_algorithm_is_a_wrong_use_of_simulate() -> None:
    assert run("simulate", "--alg", "HS256").code == 2
