"""Two processes that share a replay store take an assertion once, in every framework."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from integrations.apps import APPS
from integrations.scenarios import INVALID_CLIENT, Wire, issued_to, token_request, wire
from private_key_jwt.testing import RelyingParty

pytestmark = pytest.mark.slow  # two workers of each server


@contextlib.contextmanager
def workers(number: int, *arguments: str) -> Iterator[list[str]]:
    """The URLs of that many processes."""
    command = [sys.executable, "-m", "integrations.worker", *arguments]
    folder = Path(__file__).parent.parent
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(number)
        ]
        assert all(process.stdout for process in processes)
        yield [process.stdout.readline().strip() for process in processes if process.stdout]


@pytest.mark.parametrize("app", APPS)
def test_workers_share_their_marks(app: str, tmp_path: Path) -> None:
    party = RelyingParty()
    tenant = party.tenant("acme")
    with party.serve() as keys, workers(2, app, str(tmp_path / "replay.db"), keys.base_url) as urls:
        with httpx.Client(trust_env=False) as http, ThreadPoolExecutor(4) as pool:
            start = Barrier(4)

            def post(url: str, assertion: str) -> Wire:
                start.wait(20)
                return wire(http.post(url, data=token_request(assertion)))

            for _ in range(5):
                answers = list(pool.map(post, urls * 2, [tenant.assertion()] * 4))
                assert sorted(answers) == [issued_to(tenant.client_id), *[INVALID_CLIENT] * 3]
