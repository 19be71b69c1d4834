"""The production recipe of the README: two workers that share marks and key sets in a real Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from integrations.scenarios import INVALID_CLIENT, issued_to, token_request, wire
from private_key_jwt.testing import RelyingParty
from stores.redis_server import RedisServer, free_port
from support import until

pytestmark = pytest.mark.slow  # two workers and a Redis of their own

FOLDER = Path(__file__).parent.parent / "examples" / "production"


class Stopping(RedisServer):
    """A server that is closed."""

    def close(self) -> None:
        self.stop()


def answers(url: str) -> bool:
    try:
        return bool(httpx.get(url, trust_env=False).status_code)
    except httpx.TransportError:
        return False


def test_two_workers_accept_an_assertion_once_and_close_what_they_made() -> None:
    party = RelyingParty()
    tenant = party.tenant("acme")
    port = free_port()
    url = f"http://127.0.0.1:{port}/token"
    with closing(Stopping()) as server, party.serve() as keys:
        environment = {**os.environ, "REDIS_URL": server.url, "SIMULATOR": keys.base_url}
        command = [sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", str(port)]
        with subprocess.Popen(
            command, cwd=FOLDER, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                until(lambda: process.poll() is not None or answers(url), "the workers did not start", 60)
                assertion = tenant.assertion()
                found = [wire(httpx.post(url, data=token_request(assertion), trust_env=False)) for _ in range(12)]
            finally:
                process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
        fetches = [path for path in keys.paths if path.endswith("jwks.json")]
    assert found == [issued_to(tenant.client_id), *[INVALID_CLIENT] * 11]
    assert log.count("AssertionRefused: reason=replayed check=replay ") == 11
    assert len(fetches) == 1  # for the whole fleet
    assert "Traceback" not in log
