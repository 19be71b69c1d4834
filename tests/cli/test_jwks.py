"""``jwks``: what is published, and what is wrong with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from loopback import Publisher, http
from private_key_jwt._core.jwk import read_member
from private_key_jwt.cli._jwks import report
from private_key_jwt.cli._lint import lint_document
from support import jwk, private_key

from .conftest import Answer, Served, run


@contextmanager
def published(answer: bytes) -> Iterator[Publisher]:
    """A publisher that answers so."""
    publisher = Publisher()
    publisher.answer = answer
    try:
        yield publisher
    finally:
        publisher.close()


def show(tmp_path: Path, *keys: object) -> Answer:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    return run("jwks", file)


def test_the_keys_of_a_published_set_are_shown_by_slug_and_by_url(served: Served) -> None:
    served.tenant.rotate()
    answer = run("jwks", *served.place)
    assert (answer.code, answer.err) == (0, "")
    assert served.tenant.kid in answer.out
    assert "2 of 2 usable" in answer.out
    by_url = run("jwks", "--jwks-uri", served.tenant.client(served.base_url).jwks_uri, "--allow-http-loopback")
    name, asked, *rest = by_url.out.splitlines()
    assert (name, rest) == (answer.out.splitlines()[0], answer.out.splitlines()[2:])
    assert asked.startswith("Asked at ")


def test_the_key_of_a_file_is_shown_in_one_line(tmp_path: Path) -> None:
    answer = show(tmp_path, jwk())
    assert answer.code == 0
    line, *_ = [each for each in answer.out.splitlines() if "k1" in each]
    assert line.split() == ["k1", "RSA,", "2048", "bits", "RS256", "sig", "RS256", "usable"]


def test_an_unknown_slug_is_an_empty_set(served: Served) -> None:
    answer = run("jwks", "--slug", "ghost", "--base-url", served.base_url, "--allow-http-loopback")
    assert answer.code == 1
    assert "The key set is empty: the slug is unknown, or the client has no signing key yet." in answer.out


FAULTS: list[tuple[Any, str]] = [
    (jwk(private_key(1, bits=1_024)), "1024 bits, and 2048 to 8192 are taken"),
    (jwk(use="enc"), "use is 'enc', not sig"),
    (jwk(kty="EC"), "which takes kty RSA, and its kty is EC"),
    (jwk(kid=7), "kid is the number 7"),
    (jwk(n=7), "n is the number 7, not a string"),
    (jwk(n="A"), "n is not canonical base64url"),
    (jwk(n="\ud800"), "a lone surrogate"),
    (jwk(d="AQAB"), "holds private members: d"),
    ("[bold]", "no JSON object"),
]


@pytest.mark.parametrize(("key", "fault"), FAULTS)
def test_a_fault_is_named_beside_its_key(key: Any, fault: str) -> None:
    good, bad = report({"keys": [jwk(private_key(2), kid="good"), key]})
    assert good.fault is None
    assert fault in str(bad.fault)


def test_faults_end_with_exit_code_1(tmp_path: Path) -> None:
    answer = show(tmp_path, jwk(private_key(2), kid="good"), jwk(use="enc"), jwk(kid="[bold]\x1b[31m", use=["x"]))
    assert answer.code == 1
    assert "use is 'enc', not sig" in answer.out
    assert r"[bold]\x1b[31m" in answer.out
    assert "1 of 3 usable" in answer.out
    assert "\x1b" not in answer.out


def test_a_published_private_key_is_an_alarm_and_is_not_printed(tmp_path: Path) -> None:
    answer = show(tmp_path, jwk(d="S3CRET", p="S3CRET"))
    assert answer.code == 1
    assert "holds private members: d, p" in answer.out
    assert "Replace the key now." in answer.out
    assert "S3CRET" not in answer.out


def test_two_keys_under_one_name_are_both_at_fault() -> None:
    reports = list(report({"keys": [jwk(), jwk(private_key(1))]}))
    assert [each.fault for each in reports] == ["duplicate kid: another key has it, too"] * 2
    assert [each.fault for each in report({"keys": [jwk(), jwk()]})] == [None, None]


def test_a_key_without_a_name_must_be_the_only_one() -> None:
    assert [each.fault for each in report({"keys": [jwk(kid=...)]})] == [None]
    assert [each.fault for each in report({"keys": [jwk(kid=...), jwk(private_key(1))]})] == [
        "no kid, and not the only key",
        None,
    ]


def test_a_publisher_that_is_down_ends_jwks_with_3(served: Served) -> None:
    served.relying_party.outage = 500
    answer = run("jwks", *served.place)
    assert (answer.code, answer.out) == (3, "")
    assert "cannot be fetched: expected HTTP status 200, got 500" in answer.err


@pytest.mark.parametrize("content", ["", "{}", '{"keys": 1}', json.dumps({"keys": [{}] * 65})])
def test_a_file_that_is_no_key_set(tmp_path: Path, content: str) -> None:
    file = tmp_path / "f"
    file.write_text(content)
    answer = run("jwks", file)
    assert (answer.code, answer.out) == (2, "")
    assert str(file.name) in answer.err


@pytest.mark.parametrize(
    "arguments", [(), ("--slug", "a", "f"), ("--base-url", "https://a.example"), ("/nowhere/f",), ("--slug", "/")]
)
def test_no_place_or_two_for_the_keys_is_a_wrong_use_of_jwks(arguments: tuple[str, ...]) -> None:
    answer = run("jwks", *arguments)
    assert (answer.code, answer.out) == (2, "")


def test_a_key_without_kid_serves_no_assertion_of_ledgerbee() -> None:
    (plain,) = report({"keys": [jwk(kid=...)]})
    (needed,) = report({"keys": [jwk(kid=...)]}, needs_kid=True)
    assert plain.fault is None
    assert needed.fault == "no kid, and an assertion of LedgerBee must name one"
    (named,) = report({"keys": [jwk()]}, needs_kid=True)
    assert named.fault is None


LINTS: list[tuple[dict[str, Any], str]] = [
    ({"x5u": None, "x5t": ""}, "members without a value: x5t, x5u (taken as absent)"),
    ({"use": ...}, 'no use: say "use": "sig"'),
    ({"alg": ...}, "no alg: it may serve RS256, RS384, RS512, PS256, PS384, PS512, and only one of them"),
    ({"key_ops": ["verify", "verify"]}, "key_ops holds a value twice"),
    ({"x5c": ["AAAA"]}, "the first certificate of x5c is not of this key"),
    ({"x5c": 7}, "the first certificate of x5c is not of this key"),
]


@pytest.mark.parametrize(("changes", "text"), LINTS)
def test_what_others_may_mind_is_a_warning(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    (only,) = report({"keys": [jwk(**changes)]})
    assert only.fault is None
    assert any(each.startswith(text) for each in only.warnings)
    answer = show(tmp_path, jwk(**changes))
    assert answer.code == 0
    assert "Warning: key k1: " in answer.out


def test_one_key_for_several_algorithms_is_a_warning() -> None:
    named = [jwk(), jwk(kid="k2", alg="PS256"), jwk(kid="k3", alg="PS512"), jwk(private_key(1), kid="k4", alg="PS256")]
    again = jwk(kid="k5")
    *reports, other, same = report({"keys": [*named, again]})
    text = "it is also listed for {}: a key is for one algorithm (RFC 8725 section 3.1)"
    for each, others in zip(
        [*reports, same], ("PS256, PS512", "PS512, RS256", "PS256, RS256", "PS256, PS512"), strict=True
    ):
        assert (each.fault, each.warnings) == (None, (text.format(others),))
    assert other.warnings == ()
    # What names no algorithm has a warning of its own, and serves one at most.
    assert not any("also listed" in text for each in report({"keys": [jwk(), jwk(alg=...)]}) for text in each.warnings)


def test_a_certificate_of_the_key_is_no_warning() -> None:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    key = private_key()
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, SHA256()
    )
    x5c = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
    (only,) = report({"keys": [jwk(x5c=x5c)]})
    assert only.warnings == ()
    (other,) = report({"keys": [jwk(private_key(1), x5c=x5c)]})
    assert "x5c" in other.warnings[0]


def test_a_key_that_cannot_be_used_has_its_fault_and_no_warning() -> None:
    (only,) = report({"keys": [jwk(use="enc", x5u=None)]})
    assert (only.serves, only.warnings) == ("-", ())


@pytest.mark.parametrize(
    ("media_type", "body", "expected"),
    [
        ("application/json", b"{}", []),
        ("application/jwk-set+json; charset=utf-8", b"{}", []),
        ("text/plain", b"{}", ["served as 'text/plain'"]),
        (None, b"{}", ["served without a Content-Type"]),
        ("application/json", b"\xef\xbb\xbf{}", ["begins with a byte order mark"]),
    ],
)
def test_what_is_odd_about_a_document_is_a_warning(media_type: str | None, body: bytes, expected: list[str]) -> None:
    found = list(lint_document(media_type, body))
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_a_document_of_another_media_type_is_shown_with_a_warning() -> None:
    body = json.dumps({"keys": [jwk()]}).encode()
    with published(http(body, content_type="text/plain")) as publisher:
        answer = run("jwks", "--jwks-uri", publisher.uri(), "--allow-http-loopback")
    assert answer.code == 0
    assert "Warning: served as 'text/plain'" in answer.out


def test_each_key_has_its_thumbprint(tmp_path: Path) -> None:
    answer = show(tmp_path, jwk(), jwk(use="enc", kid="k2"))
    thumbprint = read_member(jwk()).keys[0].thumbprint
    assert f"Thumbprint of k1: {thumbprint}" in answer.out.splitlines()
    assert "Thumbprint of k2" not in answer.out
    listed = json.loads(run("jwks", tmp_path / "jwks.json", "--json").out)["keys"]
    assert [each["thumbprint"] for each in listed] == [thumbprint, None]
    assert "Asked at" not in answer.out


@pytest.mark.parametrize(("age", "words"), [("17", "from a cache that had kept it for 17 s"), (None, None)])
def test_a_set_out_of_a_cache_says_so(age: str | None, words: str | None) -> None:
    body = json.dumps({"keys": [jwk()]}).encode()
    with published(http(body, headers=f"Age: {age}\r\n" if age else "")) as publisher:
        place = ("--jwks-uri", publisher.uri(), "--allow-http-loopback")
        answer, as_json = run("jwks", *place), run("jwks", *place, "--json")
    (line,) = [each for each in answer.out.splitlines() if each.startswith("Asked at 2")]
    assert words in line if words else line.endswith("Z.")
    assert json.loads(as_json.out)["age"] == int(age or 0)


def test_a_table_for_programs(served: Served) -> None:
    answer = run("jwks", *served.place, "--json")
    assert answer.code == 0
    document = json.loads(answer.out)
    (key,) = document["keys"]
    assert (key["kid"], key["kind"], key["serves"], key["fault"]) == (
        served.tenant.kid,
        "RSA, 2048 bits",
        "RS256",
        None,
    )
    assert document["warnings"] == []


def test_a_private_key_in_a_file_is_shown_as_one_that_was_fetched(served: Served, tmp_path: Path) -> None:
    document = {"keys": [jwk(d="AQAB"), jwk(private_key(1), kid="k2")]}
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(document))
    by_file = run("jwks", file, "--json")
    with published(http(json.dumps(document).encode())) as publisher:
        by_url = run("jwks", "--jwks-uri", publisher.uri(), "--allow-http-loopback", "--json")
    assert by_file.code == by_url.code == 1
    assert json.loads(by_file.out)["keys"] == json.loads(by_url.out)["keys"]


def ask(tmp_path: Path, *arguments: str, keys: Sequence[object]) -> Answer:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    return run("jwks", file, *arguments)


def test_an_algorithm_is_served_by_these_keys_or_by_none_and_why(tmp_path: Path) -> None:
    keys = [jwk(), jwk(private_key(1), kid="k2", alg="PS256"), jwk(private_key(2), kid="k3", use="enc")]
    served = ask(tmp_path, "--alg", "RS256", keys=keys)
    assert served.code == 0  # one that is for encryption is no fault of this client's
    assert "RS256 is served by 'k1'" in served.out.splitlines()
    unserved = ask(tmp_path, "--alg", "RS256", "--alg", "ES256", keys=keys)
    assert unserved.code == 1
    assert unserved.out.splitlines()[-4:] == [
        "ES256 is served by no key",
        "  'k1': its alg is RS256, not ES256",
        "  'k2': its alg is PS256, not ES256",
        "  'k3': its use is 'enc', not sig",
    ]


def test_a_key_without_alg_serves_none_of_two_that_it_fits(tmp_path: Path) -> None:
    assert "RS256 is served by 'k1'" in ask(tmp_path, "--alg", "RS256", keys=[jwk(alg=...)]).out
    both = ask(tmp_path, "--alg", "RS256", "--alg", "PS256", keys=[jwk(alg=...)])
    assert both.code == 1
    assert "RS256 is served by no key" in both.out
    assert "'k1': it names no alg, and the client may use RS256 and PS256" in both.out


def test_keys_that_nobody_can_choose_between_serve_nothing(tmp_path: Path) -> None:
    twins = ask(tmp_path, "--alg", "RS256", keys=[jwk(), jwk(private_key(1))])
    assert twins.code == 1
    assert "'k1': 2 different keys for RS256 have this kid" in " ".join(twins.out.split())
    nameless = ask(tmp_path, "--alg", "RS256", keys=[jwk(kid=...), jwk(private_key(1))])
    assert nameless.code == 0
    assert "RS256 is served by 'k1'" in nameless.out
    assert ask(tmp_path, "--alg", "RS256", keys=[]).code == 1


def test_json_says_which_keys_serve_each_algorithm(tmp_path: Path) -> None:
    answer = ask(tmp_path, "--alg", "RS256", "--alg", "EdDSA", "--json", keys=[jwk()])
    assert json.loads(answer.out)["algs"] == [
        {"alg": "RS256", "kids": ["'k1'"], "faults": []},
        {"alg": "EdDSA", "kids": [], "faults": ["'k1': its alg is RS256, not Ed25519"]},
    ]
    assert "algs" not in json.loads(ask(tmp_path, "--json", keys=[jwk()]).out)


def test_an_algorithm_that_is_none_is_a_wrong_use(tmp_path: Path) -> None:
    answer = ask(tmp_path, "--alg", "HS256", keys=[jwk()])
    assert (answer.code, answer.out) == (2, "")
    assert "--alg must be of RS256" in " ".join(answer.err.split())
