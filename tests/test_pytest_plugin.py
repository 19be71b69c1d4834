"""The fixtures that come with the package, and what they cost those who do not ask for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from private_key_jwt import AssertionPolicy, ClientAssertionVerifier, JWKSFetcher, JWKSPolicy, MemoryReplayStore
from private_key_jwt.testing import Clock, LoopbackServer, RelyingParty

USES = """
from private_key_jwt import AssertionPolicy, ClientAssertionVerifier, JWKSFetcher, JWKSPolicy, MemoryReplayStore
import pytest

@pytest.fixture
def private_key_jwt_audience():
    return "https://my.example"

def test_mine(private_key_jwt_relying_party, private_key_jwt_server, private_key_jwt_clock):
    tenant = private_key_jwt_relying_party.tenant("acme")
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://my.example"),
        clients=[tenant.client(private_key_jwt_server.base_url)],
        replay_store=MemoryReplayStore(),
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=private_key_jwt_clock),
        clock=private_key_jwt_clock,
    )
    assert verifier.verify(tenant.assertion()).client_id == "portal-acme"
"""

UNUSED = """
import sys

def test_nothing_is_imported(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("private_key_jwt")
    assert "pytest_private_key_jwt" in sys.modules
    heavy = {"private_key_jwt", "cryptography", "httpx", "joserfc", "cachetools"} & sys.modules.keys()
    assert not heavy
"""


def run_pytest(folder: Path, test: str) -> str:
    """pytest as a stranger to this project runs it, with the plugins that the environment offers."""
    (folder / "test_it.py").write_text(test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:valkey",  # of a wheel that these tests need: it imports its client, and with it what is looked for here
        "-p",
        "no:hypothesispytest",
    ]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_project_that_does_not_use_it_imports_nothing(tmp_path: Path) -> None:
    assert "1 passed" in run_pytest(tmp_path, UNUSED)


def test_a_project_uses_the_fixtures_without_an_import(tmp_path: Path) -> None:
    assert "1 passed" in run_pytest(tmp_path, USES)


def test_the_fixtures_belong_together(
    private_key_jwt_audience: str,
    private_key_jwt_clock: Clock,
    private_key_jwt_relying_party: RelyingParty,
    private_key_jwt_server: LoopbackServer,
) -> None:
    tenant = private_key_jwt_relying_party.tenant()
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=private_key_jwt_audience),
        clients=[tenant.client(private_key_jwt_server.base_url)],
        replay_store=MemoryReplayStore(),
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=private_key_jwt_clock),
        clock=private_key_jwt_clock,
    )
    private_key_jwt_clock.advance(3_600)
    verified = verifier.verify(tenant.assertion())
    assert (verified.audience, private_key_jwt_server.count) == (private_key_jwt_audience, 1)


def test_the_fixtures_are_listed_with_what_they_are(pytestconfig: pytest.Config) -> None:
    plugin = pytestconfig.pluginmanager.get_plugin("private_key_jwt")
    fixtures = [name for name in vars(plugin) if name.startswith("private_key_jwt_")]
    assert len(fixtures) == 4
    assert all(getattr(plugin, name).__doc__ for name in fixtures)
