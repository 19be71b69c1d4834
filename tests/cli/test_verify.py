"""``verify``: one JSON object and one exit code for every outcome."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from private_key_jwt import JWKSPolicy
from private_key_jwt.cli import _options
from private_key_jwt.testing import DEFECTS, REMOVED

from .conftest import AUDIENCE, Answer, Served, run


def verify(*arguments: object, stdin: str | bytes | None = None) -> tuple[int, dict[str, Any]]:
    answer = run("verify", *arguments, stdin=stdin)
    assert answer.err == ""
    assert answer.out.count("\n") == 1
    body: dict[str, Any] = json.loads(answer.out)
    return answer.code, body


def usage(*arguments: object) -> str:
    """The text of a wrong use, with its frame taken off."""
    answer: Answer = run("verify", *arguments)
    assert (answer.code, answer.out) == (2, "")
    return " ".join(answer.err.replace("│", " ").split())


def test_an_accepted_assertion_is_printed_as_one_object(served: Served) -> None:
    code, body = verify(*served.all, served.tenant.assertion(jti="j1"))
    assert code == 0
    assert body == {
        "ok": True,
        "client_id": "portal-acme",
        "kid": served.tenant.kid,
        "alg": "RS256",
        "thumbprint": body["thumbprint"],
        "jti": "j1",
        "audience": AUDIENCE,
        "issued_at": served.clock(),
        "expires_at": served.clock() + 60,
    }


# One line break at the end belongs to shells and pipes, and is taken off.
@pytest.mark.parametrize("name", [name for name in DEFECTS if name != "line_break"])
def test_every_defect_is_refused_for_its_reason(served: Served, name: str) -> None:
    assertion = served.tenant.defective(name)
    code, body = verify(*served.all, "-", stdin=assertion)
    assert (code, body["ok"], body["reason"]) == (1, False, DEFECTS[name].reason)
    assert assertion not in body["detail"]


@pytest.mark.parametrize("argument", [(), ("-",)])
def test_stdin_is_read_without_the_line_break_at_its_end(served: Served, argument: tuple[str, ...]) -> None:
    code, _body = verify(*served.all, *argument, stdin=f"{served.tenant.assertion()}\r\n")
    assert code == 0
    code, body = verify(*served.all, *argument, stdin=f" {served.tenant.assertion()}\n\n")
    assert (code, body["reason"]) == (1, "malformed")


@pytest.mark.parametrize("stdin", [b"", b" \n"])
def test_no_assertion_at_all_is_a_wrong_use(served: Served, stdin: bytes) -> None:
    answer = run("verify", *served.all, stdin=stdin)
    assert (answer.code, answer.out) == (2, "")
    assert "no assertion: give it" in answer.err


@pytest.mark.parametrize("command", ["verify", "explain"])
def test_an_empty_argument_is_no_assertion(served: Served, command: str) -> None:
    answer = run(command, *served.all, " ")
    assert (answer.code, answer.out) == (2, "")
    assert "is the variable set" in " ".join(answer.err.split())


def test_a_closed_stdin_is_no_assertion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(typer.BadParameter, match="no assertion: give it"):
        _options.read_assertion(None)


@pytest.mark.parametrize("stdin", [b"\xff\xfe\n", b"a" * 20_000])
def test_stdin_that_holds_no_assertion_is_refused(served: Served, stdin: bytes) -> None:
    code, body = verify(*served.all, stdin=stdin)
    assert (code, body["ok"]) == (1, False)


def test_a_terminal_is_told_what_is_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        keyboard.write(b"abc\n\x04")
        assert _options.read_assertion(None) == b"abc"
    assert "Paste the assertion" in capsys.readouterr().err


def test_the_argument_is_read_as_it_is(served: Served) -> None:
    code, body = verify(*served.all, f" {served.tenant.assertion()}")
    assert (code, body["reason"]) == (1, "malformed")
    assert "white space" in body["detail"]


def test_another_client_is_refused(served: Served) -> None:
    options = ("--audience", AUDIENCE, "--client-id", "other", "--now", str(served.clock()))
    assert verify(*options, *served.place, served.tenant.assertion())[1]["reason"] == "unknown_client"


def test_a_jwks_uri_and_a_file_serve_as_well(served: Served, tmp_path: Path) -> None:
    jwks_uri = served.tenant.client(served.base_url).jwks_uri
    assertion = served.tenant.assertion()
    assert verify(*served.who, "--jwks-uri", jwks_uri, "--allow-http-loopback", assertion)[0] == 0
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(served.tenant.document()))
    assert verify(*served.who, "--jwks", file, assertion)[0] == 0


def test_audiences_may_be_several(served: Served) -> None:
    code, body = verify(
        *served.all, "--audience", "https://b.example", served.tenant.assertion(aud="https://b.example")
    )
    assert (code, body["audience"]) == (0, "https://b.example")


def test_the_real_clock_judges_unless_told(served: Served) -> None:
    options = ("--audience", AUDIENCE, "--client-id", "portal-acme", *served.place)
    assert verify(*options, served.tenant.assertion())[1]["reason"] == "lifetime_too_long"


@pytest.mark.parametrize(
    ("option", "claims", "reason"),
    [
        (("--leeway", 0), {"iat": 1_899_999_990, "exp": 1_899_999_999}, "expired"),
        (("--max-lifetime", 30), {}, "lifetime_too_long"),
        (("--audience-rule", "string"), {"aud": [AUDIENCE]}, "audience_mismatch"),
        (("--require-iat",), {"iat": REMOVED}, "missing_claim"),
        (("--require-typ",), {}, "unsupported_typ"),
    ],
)
def test_the_policy_is_the_server_s(
    served: Served, option: tuple[object, ...], claims: dict[str, Any], reason: str
) -> None:
    assertion = served.tenant.assertion(**claims)
    code, body = verify(*served.all, *option, assertion)
    assert (code, body["reason"]) == (1, reason)
    assert verify(*served.all, assertion)[0] == 0


def test_require_kid_matters_where_a_client_does_not_say_so(served: Served) -> None:
    place = ("--jwks-uri", served.tenant.client(served.base_url).jwks_uri, "--allow-http-loopback")
    assertion = served.tenant.assertion(header={"kid": REMOVED})
    assert verify(*served.who, *place, assertion)[0] == 0
    assert verify(*served.who, *place, "--require-kid", assertion)[1]["reason"] == "missing_kid"


@pytest.mark.parametrize("outage", [500, httpx.ConnectError])
def test_an_outage_is_no_refusal(served: Served, outage: Any) -> None:
    served.relying_party.outage = outage
    code, body = verify(*served.all, served.tenant.assertion())
    assert code == 3
    assert (body["ok"], body["reason"], body["retry_after"]) == (False, "jwks_unavailable", 5)


def test_an_unknown_slug_has_no_keys(served: Served) -> None:
    place = ("--slug", "ghost", "--base-url", served.base_url, "--allow-http-loopback")
    assert verify(*served.who, *place, served.tenant.assertion())[1]["reason"] == "no_keys"


WHO = ("--audience", "a", "--client-id", "c")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "Missing option '--audience'"),
        (("--audience", "a"), "Missing option '--client-id'"),
        (WHO, "where are the keys? Give --slug, --jwks-uri or --jwks."),
        ((*WHO, "--slug", "a", "--jwks-uri", "https://a.example/"), "only one of a slug, a URL and a file"),
        ((*WHO, "--jwks-uri", "https://a.example/", "--base-url", "https://b.example"), "--base-url goes with --slug"),
        ((*WHO, "--slug", "a/b"), "--slug must be one path segment of 1 to 128 characters"),
        ((*WHO, "--slug", "[bold]\x1b[31m"), r"not '[bold]\x1b[31m'"),
        ((*WHO, "--jwks-uri", "ftp://a.example/"), "--jwks-uri must be https"),
        ((*WHO, "--jwks-uri", "http://127.0.0.1/"), "add --allow-http-loopback"),
        ((*WHO, "--slug", "a", "--leeway", "999"), "--leeway must be from 0 to 300"),
        (
            (*WHO, "--slug", "a", "--audience-rule", "any"),
            "--audience-rule must be one of 'string', 'sole', 'all', 'member'",
        ),
        ((*WHO, "--slug", "a", "--now", "nan"), "--now must be a number"),
        ((*WHO, "--slug", "a", "--now", "-1"), "--now must be from 0"),
        (("--audience", "", "--client-id", "c", "--slug", "a"), "--audience must be a non-empty string"),
        (("--audience", "a", "--client-id", "", "--slug", "a"), "--client-id must be a non-empty string"),
        ((*WHO, "--slug", "a", "--base-url", "http://a.example"), "--base-url must be https"),
        ((*WHO, "--slug", "a", "--alg", "HS256"), "--alg must be of RS256"),
        ((*WHO, "--slug", "a", "--allow-port", "0"), "--allow-port must"),
        ((*WHO, "--slug", "a", "--allow-private-host", "Client_id"), "--allow-private-host must hold"),
        ((*WHO, "--slug", "a", "--audience-rule", "the client_id and 'slug'"), "not \"the client_id and 'slug'\""),
        ((*WHO, "--jwks", "/nowhere/jwks.json"), "cannot read '/nowhere/jwks.json': No such file or directory"),
        ((*WHO, "--jwks", "https://a.example/jwks.json"), "No such file or directory; give a URL with --jwks-uri"),
    ],
)
def test_a_wrong_use_is_named(arguments: tuple[str, ...], text: str) -> None:
    assert text in usage(*arguments)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "it is empty"),
        ('{"keys": [], "keys": []}', "a member stands twice"),
        ('{"keys": 1}', "not a JWK Set"),
        ('{"keys": [{"kty": "RSA", "d": "AQAB"}]}', "holds private members: d"),
        (" " * (JWKSPolicy().max_bytes + 1), f"holds more than {JWKSPolicy().max_bytes} bytes"),
    ],
)
def test_a_file_is_read_strictly(tmp_path: Path, content: str, text: str) -> None:
    file = tmp_path / "f"
    file.write_text(content)
    assert text in usage(*WHO, "--jwks", file)
