"""The entry point: as a process, and where its packages are missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

from private_key_jwt import cli

from .conftest import Served, run

START = "from private_key_jwt.cli import main; main()"
WITHOUT = "import sys; sys.modules[{!r}] = None; "


def process(*arguments: str, before: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + START, *arguments],
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_the_entry_point_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="private-key-jwt")
    assert script.load() is cli.main


def test_a_process_reads_stdin_and_answers_on_stdout(served: Served) -> None:
    ended = process("verify", *served.all, stdin=served.tenant.assertion() + "\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["ok"] is True


def test_a_process_ends_with_the_code_of_a_refusal(served: Served) -> None:
    ended = process("verify", *served.all, served.tenant.defective("expired"))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert json.loads(ended.stdout)["reason"] == "expired"


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_missing_packages_are_named_without_a_traceback(package: str) -> None:
    ended = process(before=WITHOUT.format(package))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "private-key-jwt: the command line needs an extra: pip install '.[cli]' in a clone, or"
        " pip install 'private-key-jwt[cli]' from an index"
    ]


def test_main_runs_the_app(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["private-key-jwt", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"private-key-jwt {version('private-key-jwt')}\n"


def test_main_says_how_to_install_typer_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "private_key_jwt.cli._app", raising=False)
    monkeypatch.delattr(cli, "_app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "pip install 'private-key-jwt[cli]'" in capsys.readouterr().err


def test_main_hides_no_other_missing_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "private_key_jwt.cli._app", None)
    monkeypatch.delattr(cli, "_app", raising=False)
    with pytest.raises(ModuleNotFoundError, match="_app"):
        cli.main()


def test_no_command_shows_the_help() -> None:
    shown = run()
    for command in ("demo", "verify", "explain", "jwks", "simulate"):
        assert re.search(rf"\b{command}\b", shown.out + shown.err)


def test_the_library_is_imported_without_the_extra() -> None:
    without = "".join(WITHOUT.format(package) for package in ("typer", "rich"))
    subprocess.run([sys.executable, "-c", f"{without}import private_key_jwt"], check=True, timeout=60)


def test_it_is_a_module_too() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "private_key_jwt", "--version"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, f"private-key-jwt {version('private-key-jwt')}\n")


def test_a_reader_that_has_read_enough_is_no_refusal(served: Served) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        assertion = served.tenant.assertion()
        revoke = ["ledgerbee", "revoke", "--sub", "u-1", "--base-url", served.base_url]
        for arguments in (["explain", *served.all, assertion], ["verify", *served.all, assertion], revoke):
            ended = subprocess.run(
                [sys.executable, "-c", START, *arguments],
                check=False, stdout=output, stderr=subprocess.PIPE, timeout=60,
                env={**os.environ, "LEDGERBEE_API_KEY": served.tenant.api_key()},
            )  # fmt: skip
            assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_full_disk_is_said(served: Served) -> None:
    with open("/dev/full", "wb") as output:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-c", START, "verify", *served.all, served.tenant.assertion()],
            check=False, stdout=output, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (74, b"private-key-jwt: cannot write: No space left on device\n")


def test_an_interrupt_ends_it_without_a_traceback() -> None:
    before = "import private_key_jwt.cli._app as app; app.run = lambda: (_ for _ in ()).throw(KeyboardInterrupt); "
    ended = process(before=before)
    assert (ended.returncode, ended.stderr) == (130, "")
