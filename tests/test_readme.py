"""What the README says is run here."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples import fastapi_app
from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    ErrorResponse,
    InvalidClient,
    JWKSFetcher,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    events,
)
from private_key_jwt.testing import DEFECTS, Clock, RelyingParty

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# The examples that are files of their own are tested with the integrations.
_OWN = re.sub(r"<!-- tests/examples/\S+ -->\n+```python\n.*?```", "", README, flags=re.DOTALL)
[EMBED] = re.findall(r"```python\n(.*?)```", _OWN, re.DOTALL)
EXAMPLES = (ROOT / "tests/examples/README.md").read_text()
_SHORT = re.sub(r"<!-- tests/examples/\S+ -->\n+```python\n.*?```", "", EXAMPLES, flags=re.DOTALL)
_BLOCKS = re.findall(r"```python\n(.*?)```", _SHORT, re.DOTALL)


def example(words: str) -> Any:
    """The example that has these words."""
    [found] = [block for block in _BLOCKS if words in block]
    return found


WATCH, REGISTER, HOLD = example("Counter()"), example("from_metadata("), example("relying_party.serve()")
LOG = example("LOGGING = ")
CHECK, ENDPOINT, FIXTURES = example("pending.claims"), example("ASGITransport("), example("@pytest.fixture")


def test_the_embedding_example_works(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(EMBED, "README.md", "exec"), names)
    accepted, refused = capsys.readouterr().out.split(" ErrorResponse")
    assert accepted.startswith("(200, ")
    assert refused.startswith("(status=401")
    token_endpoint, form = names["token_endpoint"], names["form"]
    replayed: ErrorResponse = token_endpoint(form)
    assert (replayed.status, replayed.body["error"]) == (401, "invalid_client")
    assert token_endpoint({"grant_type": "x"})[0] == 401
    assert token_endpoint(form, "Basic eDp5").status == 400
    publisher_is_down = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(500)))
    names["verifier"] = ClientAssertionVerifier(
        policy=names["verifier"].policy,
        clients=[names["tenant"].client()],
        replay_store=MemoryReplayStore(),
        fetcher=JWKSFetcher(http_client=publisher_is_down),
    )
    assert token_endpoint(form | {"client_assertion": names["tenant"].assertion()}).status == 503


def test_the_embedding_example_is_short() -> None:
    assert len([line for line in EMBED.splitlines() if line.strip()]) <= 22


def test_the_testing_example_works() -> None:
    names: dict[str, Any] = {}
    exec(compile(HOLD, "tests/examples/README.md", "exec"), names)
    with pytest.raises(InvalidClient, match="audience_mismatch"):
        names["verifier"].verify(names["broken"])
    assert isinstance(names["clock"], Clock)
    assert len(DEFECTS) == int(re.findall(r"DEFECTS lists (\d+)", EXAMPLES)[0])


def test_the_example_of_events_counts_refusals() -> None:
    names: dict[str, Any] = {}
    exec(compile(WATCH, "tests/examples/README.md", "exec"), names)
    relying_party = RelyingParty(audience="https://op.example.com")
    tenant = relying_party.tenant("acme")
    with httpx.Client(transport=relying_party.transport) as http:
        verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience="https://op.example.com"),
            clients=[tenant.client()],
            replay_store=MemoryReplayStore(),
            fetcher=JWKSFetcher(http_client=http, on_event=names["on_event"]),
            on_event=names["on_event"],
        )
        for _ in range(2):
            with pytest.raises(InvalidClient):
                verifier.verify(tenant.defective("expired"))
    assert names["refused"] == {Reason.EXPIRED: 2}


def test_the_example_of_a_log_of_django_shows_reason_and_detail() -> None:
    end = "    try: verifier.verify(broken)\n    except Exception: pass\n"
    code = f"{LOG}\nfrom logging import config\nconfig.dictConfig(LOGGING)\n{HOLD}{end}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert re.search(
        r"^\d{4}-\S+ \S+ WARNING private_key_jwt AssertionRefused: .*reason=audience_mismatch .*detail=",
        said,
        re.MULTILINE,
    )


def test_the_example_of_a_registration_holds() -> None:
    exec(compile(REGISTER, "tests/examples/README.md", "exec"), {})


def test_the_example_of_a_check_of_your_own_refuses_with_one_event_and_uses_nothing_up() -> None:
    seen: list[events.Event] = []
    tenant = RelyingParty(audience="https://op.example.com").tenant("acme")
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),
        clients=[RegisteredClient(tenant.client_id, jwks=tenant.document())],
        replay_store=MemoryReplayStore(),
        on_event=seen.append,
    )
    names: dict[str, Any] = {"verifier": verifier}
    exec(compile(CHECK, "tests/examples/README.md", "exec"), names)

    def status(**claims: Any) -> Any:
        form = {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": tenant.assertion(jti="one", **claims),
        }
        return names["token_endpoint"](form)[0]

    assert [status(), status(region="us"), status(region="eu"), status(region="eu")] == [401, 401, 200, 401]
    reasons = [event.reason for event in seen if isinstance(event, events.AssertionRefused)]
    assert reasons == [Reason.INVALID_CLAIM, Reason.INVALID_CLAIM, Reason.REPLAYED]


def test_the_example_of_an_endpoint_in_a_test_passes() -> None:
    names: dict[str, Any] = {"create_app": fastapi_app.create_app}
    exec(compile(ENDPOINT, "tests/examples/README.md", "exec"), names)
    names["test_an_assertion_gets_one_token"]()


def test_the_example_of_the_fixtures_runs(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(FIXTURES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{1 + len(DEFECTS)} passed" in result.stdout


def test_it_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 200


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not re.search(r"^(TODO|TBD|[A-Z]{4,})$", README, re.MULTILINE)


def test_every_name_of_the_package_in_it_exists() -> None:
    for module, name in re.findall(r"`private_key_jwt\.(\w+)`|help\(\"private_key_jwt\.(\w+)\"\)", README):
        import_module(f"private_key_jwt.{module or name}")


def test_the_first_two_sh_blocks_are_one_command_each() -> None:
    demo, tests = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.strip().endswith("private-key-jwt demo")
    assert "pytest" in tests


@pytest.mark.parametrize(
    "page",
    ["README.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md", "tests/README.md", "tests/examples/README.md"],
)
def test_every_link_leads_to_a_heading_or_a_file(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        found = (ROOT / page).parent / name if name else ROOT / page
        assert found.exists(), target
        headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE) if anchor else [""]
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, target
