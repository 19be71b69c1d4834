"""``ledgerbee``: mint, provision and revoke from a shell, against the look-alike on loopback."""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from private_key_jwt import ConfigurationError
from private_key_jwt.cli import _ledgerbee
from private_key_jwt.testing import LoopbackServer, RelyingParty, Tenant

from .conftest import Answer, run

START = "from private_key_jwt.cli import main; main()"
JANE = "jane@example.com"
CUSTOMER = json.dumps({"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"})


class Shell:
    """The command with a key in the environment, at a look-alike."""

    def __init__(self, relying_party: RelyingParty, server: LoopbackServer) -> None:
        self.relying_party = relying_party
        self.tenant: Tenant = relying_party.tenant("acme")
        self.server = server
        self.place = ("--base-url", server.base_url)

    def call(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        answer = run("ledgerbee", *arguments, *self.place)
        assert answer.err == ""
        assert answer.out.count("\n") == 1
        body: dict[str, Any] = json.loads(answer.out)
        return answer.code, body

    def usage(self, *arguments: object) -> str:
        """The text of a wrong use, with its frame taken off. Nothing was sent."""
        answer: Answer = run("ledgerbee", *arguments, *self.place)
        assert (answer.code, answer.out) == (2, "")
        assert self.server.count == 0
        return " ".join(answer.err.replace("│", " ").split())


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    relying_party = RelyingParty()
    with relying_party.serve() as server:
        shell = Shell(relying_party, server)
        monkeypatch.setenv("LEDGERBEE_API_KEY", shell.tenant.api_key())
        monkeypatch.delenv("LEDGERBEE_ACCESS_TOKEN", raising=False)
        yield shell


def test_provision_mint_and_revoke(shell: Shell) -> None:
    code, done = shell.call("provision", "--email", JANE, "--customer", CUSTOMER, "--organization-name", "Acme")
    [user] = shell.tenant.portal.users
    assert (code, done) == (
        0,
        {
            "ok": True,
            "customer_id": user.memberships[0].customer_id,
            "customer_created": True,
            "portal_user_id": user.id,
            "membership_id": user.memberships[0].id,
            "role": "OWNER",
            "handoff": None,
            "checkout_bind": None,
        },
    )
    member = f"{done['customer_id']}:ADMIN"
    code, minted = shell.call("mint", "--sub", "u-1", "--email", JANE, "--membership", member, "--name", "Jane")
    assert (code, list(minted), list(minted["handoff"])) == (0, ["ok", "handoff"], ["expires_at"])
    shell.tenant.portal.log_in(sub="u-1", email=JANE)
    assert shell.call("revoke", "--sub", "u-1") == (0, {"ok": True, "revoked": 1})


def test_references_are_shown_only_when_asked_for(shell: Shell) -> None:
    customer_id = shell.tenant.portal.add_customer("C001")
    provision: tuple[str, ...]
    mint = ("mint", "--sub", "u-1", "--email", JANE, "--membership", f"{customer_id}:USER")
    provision = ("provision", "--email", JANE, "--customer-id", customer_id, "--mint-handoff", "--sub", "u-1")
    provision = (*provision, "--mint-checkout-bind-token", "--client-reference-id", "order-1")
    for command in [mint, provision]:
        _, hidden = shell.call(*command)
        assert list(hidden["handoff"]) == ["expires_at"]
        _, shown = shell.call(*command, "--show-references")
        assert list(shown["handoff"]) == ["expires_at", "ref"]
    assert list(shown["checkout_bind"]) == ["expires_at", "ref"]
    host = "acme.portal-api.ledgerbee.com"
    _, shown = shell.call(*mint, "--show-references", "--host", host)
    url = shown["handoff"]["redeem_url"]
    assert url == f"https://{host}/api/auth/sso/handoff/redeem?ref={shown['handoff']['ref']}"
    _, shown = shell.call(*provision, "--show-references", "--host", host)
    assert "redeem_url" not in shown["checkout_bind"]  # it opens no session


def test_an_access_token_does_as_well(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERBEE_API_KEY", "")
    monkeypatch.setenv("LEDGERBEE_ACCESS_TOKEN", shell.tenant.access_token())
    assert shell.call("revoke", "--sub", "u-1") == (0, {"ok": True, "revoked": 0})


def test_a_customer_may_stand_in_a_file(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "customer.json").write_text(CUSTOMER)
    code, done = shell.call("provision", "--email", JANE, "--customer", f"@{tmp_path / 'customer.json'}")
    assert (code, done["customer_created"]) == (0, True)


def test_a_refusal_ends_with_1(shell: Shell) -> None:
    code, body = shell.call("provision", "--email", JANE, "--customer-id", "unknown")
    assert code == 1
    assert (body["ok"], body["status"], body["code"]) == (False, 404, "CUSTOMER_NOT_FOUND")
    assert (body["may_have_happened"], "CUSTOMER_NOT_FOUND" in body["detail"]) == (False, True)


def test_an_outage_ends_with_3(shell: Shell) -> None:
    shell.relying_party.fail_requests(2)
    code, body = shell.call("mint", "--sub", "u-1", "--email", JANE, "--membership", "c-1:USER")
    assert (code, body["ok"], body["status"], body["may_have_happened"]) == (3, False, 503, True)
    shell.relying_party.fail_requests(1, 429, retry_after=60)
    code, body = shell.call("revoke", "--sub", "u-1")
    assert (code, body["retry_after"]) == (1, 60)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ("mint", "--sub", "u-1", "--email", JANE, "--membership", "c-1:KING"),
            "--membership must be of OWNER, ADMIN, BILLING_ADMIN, USER",
        ),
        (
            ("mint", "--sub", "u-1", "--email", JANE, "--membership", "c-1"),
            "--membership must be a customer's id, a colon, and a role",
        ),
        (("mint", "--sub", "", "--email", JANE, "--membership", "c-1:USER"), "--sub must be"),
        (("provision", "--email", JANE), "exactly one of --customer-id and --customer must be given"),
        (("provision", "--email", JANE, "--customer", "{"), "--customer must be a JSON object"),
        (("provision", "--email", JANE, "--customer", "{}"), "--customer must have customerNumber"),
        (("provision", "--email", JANE, "--customer", "@/nowhere"), "No such file"),
        (("provision", "--email", JANE, "--customer-id", "c-1", "--role", "KING"), "--role must be of"),
        (
            ("provision", "--email", JANE, "--customer-id", "c-1", "--mint-handoff"),
            "--sub must be given with --mint-handoff",
        ),
        (("provision", "--email", JANE, "--customer-id", ""), "--customer-id must be a non-empty string"),
        (
            ("provision", "--email", JANE, "--customer-id", "c-1", "--organization-name", ""),
            "--organization-name must be a non-empty string",
        ),
        (
            ("provision", "--email", JANE, "--customer-id", "c-1", "--client-reference-id", "a b"),
            "--client-reference-id must be",
        ),
        (("revoke", "--sub", "u-1", "--timeout", "0"), "--timeout must be"),
    ],
)
def test_a_wrong_use_is_named(shell: Shell, arguments: tuple[str, ...], named: str) -> None:
    assert named in shell.usage(*arguments)


def test_a_host_that_would_ignore_the_reference_is_a_wrong_use(shell: Shell) -> None:
    mint = ("mint", "--sub", "u-1", "--email", JANE, "--membership", "c-1:USER", "--host")
    assert "portal-API host" in shell.usage(*mint, "acme.portal.ledgerbee.com", "--show-references")
    assert "--show-references" in shell.usage(*mint, "acme.portal-api.ledgerbee.com")


def test_two_credentials_are_a_wrong_use(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERBEE_ACCESS_TOKEN", "token")
    both = "LEDGERBEE_API_KEY and LEDGERBEE_ACCESS_TOKEN are both set: unset one"
    assert both in shell.usage("revoke", "--sub", "u-1")


@pytest.mark.parametrize("name", ["LEDGERBEE_API_KEY", "LEDGERBEE_ACCESS_TOKEN"])
def test_a_credential_that_cannot_be_sent_is_named_as_it_was_given(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("LEDGERBEE_API_KEY")
    monkeypatch.setenv(name, "a key")
    assert f"{name} must be a non-empty string" in shell.usage("revoke", "--sub", "u-1")


@pytest.mark.parametrize("stdin", ["not a terminal", None])
def test_no_key_and_no_terminal_is_a_wrong_use(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, stdin: str | None
) -> None:
    monkeypatch.delenv("LEDGERBEE_API_KEY")
    if stdin is None:
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(ConfigurationError, match="LEDGERBEE_API_KEY"):
            _ledgerbee._credential()
    else:
        assert "LEDGERBEE_API_KEY" in shell.usage("revoke", "--sub", "u-1")


def test_the_key_is_asked_for_at_a_terminal_and_not_echoed(shell: Shell) -> None:
    key = os.environ.pop("LEDGERBEE_API_KEY")
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", START, "ledgerbee", "revoke", "--sub", "u-1", *shell.place],
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=its_end,
        text=True,
        start_new_session=True,  # else the terminal of whoever runs the tests is asked
    ) as process:
        os.close(its_end)
        asked = b""
        while b"API key: " not in asked:  # the space comes when the echo is off
            asked += os.read(terminal, 1_024)
        os.write(terminal, f"{key}\n".encode())
        out, _ = process.communicate(timeout=30)
        with contextlib.suppress(OSError):  # Linux says so when the other end is closed and all is read
            asked += os.read(terminal, 1_024)
    os.close(terminal)
    assert (process.returncode, json.loads(out)) == (0, {"ok": True, "revoked": 0})
    assert key.encode() not in asked


def test_what_is_asked_for_is_the_key(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGERBEE_API_KEY")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda *_: "lb_typed")
    assert _ledgerbee._credential() == {"api_key": "lb_typed"}


def test_no_command_takes_the_key_as_an_argument(shell: Shell) -> None:
    for command in ("mint", "provision", "revoke"):
        text = run("ledgerbee", command, "--help").out.lower()
        assert "--api-key" not in text
        assert "--access-token" not in text


def test_the_key_is_in_no_output(shell: Shell) -> None:
    key = os.environ["LEDGERBEE_API_KEY"]
    for arguments in (("revoke", "--sub", "u-1"), ("provision", "--email", JANE, "--customer-id", "unknown")):
        answer = run("ledgerbee", *arguments, *shell.place)
        assert key not in answer.out + answer.err
