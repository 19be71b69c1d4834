"""How the command line ends when its output has nowhere to go, in this process: as a process it is in test_main.py."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

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


@pytest.mark.usefixtures("version")
def test_a_reader_that_has_left_ends_it_as_a_signal_would(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert code() == 141


@pytest.mark.usefixtures("version")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
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
