"""The examples are what the two READMEs show, and run as they say."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integrations.scenarios import INVALID_CLIENT, issued_to, token_request, wire
from private_key_jwt.testing import RelyingParty
from support import until

FOLDER = Path(__file__).parent.parent / "examples"
READMES = "".join((folder / "README.md").read_text() for folder in (FOLDER.parent.parent, FOLDER))
SHOWN = re.findall(r"<!-- tests/examples/(\S+) -->\n+```python\n(.*?)```", READMES, re.DOTALL)
EXAMPLES = sorted(path.name for path in FOLDER.glob("*_app.py"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_one_readme_shows_the_example(example: str) -> None:
    assert [name for name, _ in SHOWN].count(example) == 1


def test_what_the_readmes_show_of_examples_is_what_is_run() -> None:
    assert [name for name, text in SHOWN if text != (FOLDER / name).read_text()] == []


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


def command(example: str, port: int) -> list[str]:
    """The command that the example says it is run with, at a port of the test's."""
    [said] = re.findall(r"Run it: (.*?)\"\"\"", (FOLDER / example).read_text())
    words = shlex.split(said.replace("8000", str(port)))
    words = words[1:] if words[0] == "python" else ["-m", *words]
    if "uvicorn" in words:
        words += ["--port", str(port)]
    if "runserver" in words:
        words += [f"127.0.0.1:{port}", "--noreload"]
    return [sys.executable, *words]


@contextlib.contextmanager
def running(example: str, port: int, simulator: str) -> Iterator[str]:
    environment = {**os.environ, "SIMULATOR": simulator, "PORT": str(port)}
    with subprocess.Popen(
        command(example, port), cwd=FOLDER, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            until(lambda: _answers(port) or process.poll() is not None, "it does not listen", 60)
            assert process.poll() is None, process.stderr.read() if process.stderr else None
            yield f"http://127.0.0.1:{port}/token"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_as_it_says(example: str, port: int) -> None:
    tenant = (party := RelyingParty()).tenant("acme")
    form = token_request(tenant.assertion())
    with party.serve() as simulator, running(example, port, simulator.base_url) as url:
        with httpx.Client(trust_env=False) as http:
            assert wire(http.post(url, data=form)) == issued_to(tenant.client_id)
            assert wire(http.post(url, data=form)) == INVALID_CLIENT
