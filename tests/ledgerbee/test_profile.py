"""LedgerBee's profile."""

import ast
import difflib
import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from private_key_jwt import ConfigurationError, ledgerbee
from private_key_jwt.ledgerbee import _paths
from test_architecture import SOURCE, Synchronous, classes

from .conftest import Browser


def test_the_url_of_a_tenant_is_below_the_base_url() -> None:
    assert ledgerbee.jwks_uri("acme") == "https://api.ledgerbee.com/api/.well-known/portal-sso/acme/jwks.json"
    for base_url in ("https://proxy.example/api", "https://proxy.example/api/"):
        uri = ledgerbee.jwks_uri("acme", base_url=base_url)
        assert uri == "https://proxy.example/api/.well-known/portal-sso/acme/jwks.json"


@pytest.mark.parametrize("slug", ["a", "acme-2", "A_b.c~d", "...", "a" * 128])
def test_a_plain_slug_stands_in_the_url_as_it_is(slug: str) -> None:
    assert f"/{slug}/" in ledgerbee.jwks_uri(slug)


@pytest.mark.parametrize(
    "slug",
    ["", ".", "..", "a/b", "/", "../../evil", "a%2Fb", "a?b", "a#b", "a b", "a\n", "a\\b", "é", "a" * 129, "a;b", "@",
     "a:b", None, 1, b"acme"],
)  # fmt: skip
def test_a_slug_that_would_change_the_path_is_refused_with_all_that_a_slug_may_be(slug: Any) -> None:
    rule = "slug must be one path segment of 1 to 128 characters of A-Z a-z 0-9 . _ ~ -, and neither . nor .., not"
    with pytest.raises(ConfigurationError, match=f"^{re.escape(rule)} "):
        ledgerbee.jwks_uri(slug)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.ledgerbee.com",
        "http://api.ledgerbee.com",
        "https://x?y=",
        "https://x#",
        "https://u@x",
        "https://x:0",
        None,
    ],
)
def test_a_base_url_that_may_not_be_fetched_is_named(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="^base_url[: ]") as caught:
        ledgerbee.jwks_uri("acme", base_url=base_url)
    assert "jwks_uri" not in str(caught.value)


def test_a_tenant_signs_with_rs256_and_names_its_key() -> None:
    client = ledgerbee.client("portal-acme", slug="acme")
    assert client.client_id == "portal-acme"
    assert client.jwks_uri == ledgerbee.jwks_uri("acme")
    assert client.signing_algs == ("RS256",)
    assert client.require_kid
    assert client.policy is None


# The module


def test_a_verifier_never_imports_the_back_channel() -> None:
    code = """
import sys, private_key_jwt
private_key_jwt.ledgerbee.client("portal-acme", slug="acme")
before = sorted(name for name in sys.modules if name.startswith("private_key_jwt.ledgerbee"))
from private_key_jwt.ledgerbee import PortalSSO
print(*before)
print("private_key_jwt.ledgerbee._portal_sso" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [
        "private_key_jwt.ledgerbee private_key_jwt.ledgerbee._profile",
        "True",
    ]


def test_each_path_of_the_page_stands_once_in_the_source() -> None:
    found = [
        (path.name, node.value)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value  # no docstring
        if re.search("/v1/portal-sso|handoff/|sessions/revoke", node.value)
    ]
    assert found == [("_paths.py", text) for name, text in vars(_paths).items() if name.isupper()]


def test_every_public_name_is_there_and_documented() -> None:
    for name in ledgerbee.__all__:
        exported = getattr(ledgerbee, name)
        if name == "BASE_URL":
            continue
        assert exported.__doc__, name
        for attribute, value in vars(exported).items() if isinstance(exported, type) else ():
            if not attribute.startswith("_") and callable(value):
                assert value.__doc__, f"{name}.{attribute}"


def test_a_name_that_the_module_has_not_is_an_attribute_error() -> None:
    name = "Portal"
    with pytest.raises(AttributeError, match="has no attribute 'Portal'"):
        getattr(ledgerbee, name)


def test_the_two_portals_differ_only_in_await() -> None:
    found = classes(SOURCE / "ledgerbee" / "_portal_sso.py")
    sync, twin = (Synchronous().visit(found[name]) for name in ("PortalSSO", "AsyncPortalSSO"))
    sync, twin = (
        ast.unparse(each).replace("asyncio.", "time.").replace("send_async(", "send(") for each in (sync, twin)
    )
    differing = {line.strip() for line in difflib.ndiff(sync.splitlines(), twin.splitlines()) if line[0] in "+-"} - {
        "+"
    }
    assert differing == {
        # The certificates are loaded off the event loop, by the first call.
        "-         self._client = httpx.Client(verify=ssl_context(), trust_env=False)"
        " if http_client is None else http_client",
        "+         self._client = http_client",
        "-         if self._is_own:",
        "+         if self._is_own and self._client is not None:",
        "-         return CLOSED if self._is_closed else send(self._client, post, seconds)",
        "+         if self._is_closed:",
        "+             return CLOSED",
        "+         if self._client is None:",
        "+             self._client = httpx.Client(verify=ssl_context(), trust_env=False)",
        "+         return send(self._client, post, seconds, is_ours=self._is_own)",
        "+         if self._is_own:",
        "+             ssl_context()",
        "-     def _prepare(self, _seconds):",
        "+     def _prepare(self, seconds):",
        # A coroutine function may give the token, and it is waited for no longer than for the call.
        "-             token = credential()",
        "+             async with time.timeout(seconds):",
        "+                 token = as_coroutine_function(credential, in_process=False)()",
    }


def test_the_example_of_the_docstring_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The browser opens the URL when the example waits for Enter."""
    example = textwrap.dedent(
        (ledgerbee.__doc__ or "").split("This runs as it stands:\n\n")[1].split("\n\nThe names")[0]
    )
    printed: list[str] = []

    def press_enter(_prompt: str) -> str:
        printed.append(capsys.readouterr().out.strip())
        browser = Browser()
        browser.redeem(printed[0])
        browser.close()
        return ""

    monkeypatch.setattr("builtins.input", press_enter)
    exec(compile(example, "example", "exec"), {})
    assert printed[0].startswith("http://acme.portal-api.localhost:")
    assert capsys.readouterr().out == "1 memberships had a session\n"
