"""A kid in another spelling than the published one."""

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import unquote

import pytest

from private_key_jwt._core.kid_spelling import folded, forms, readings

DIGEST = hashlib.sha1(b"a certificate", usedforsecurity=False).digest()
PUBLISHED = urlsafe_b64encode(DIGEST).decode().rstrip("=")
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("kid", "published", "said"),
    [
        (DIGEST.hex(), PUBLISHED, "in hex"),
        (DIGEST.hex().upper(), PUBLISHED, "in hex"),
        (DIGEST.hex(":").upper(), PUBLISHED, "in hex"),
        (DIGEST.hex(), f"{PUBLISHED}=", None),
        ("000017", "AAAX", "in hex"),
        ("AAAX=", "AAAX", "with padding"),
        ("ffefbe", "_---", "in hex"),
        ("fbefbe", "----", "in hex"),
        (f"{{{UUID}}}", UUID, "in braces"),
        (f"{{{UUID.upper()}}}", UUID, "in braces"),
        (f"{{{UUID}", UUID, "in braces"),
        (f"{UUID}}}", UUID, "in braces"),
        ("key%2f1", "key/1", "percent-encoded"),
        ("key%252F1", "key/1", None),
        (f"{PUBLISHED}=", PUBLISHED, "with padding"),
        ("key==", "key", "with padding"),
        (DIGEST.hex("-"), PUBLISHED, "in hex"),
        (f"0x{DIGEST.hex()}", PUBLISHED, "in hex"),
        ("+/+/", "-_-_", "in standard base64"),
        ("+/+=", "-_-", "in standard base64"),
        (f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{PUBLISHED}", PUBLISHED, "behind a prefix"),
        ("did:web:c.example#key-1", "key-1", "behind a prefix"),
        ("https://c.example/keys/key-1", "key-1", "behind a prefix"),
        ("https://c.example/keys/", "", None),
        ('"key"', "key", "in quotes"),
        ("'key'", "key", "in quotes"),
        ("key", "key==", None),
        ("other", "key", None),
        ("", "key", None),
    ],
)
def test_a_kid_in_another_spelling_is_told_by_it(kid: str, published: str, said: str | None) -> None:
    assert readings(kid).get(folded(published)) == said


def test_a_kid_that_is_in_no_other_spelling_is_read_as_it_is_only() -> None:
    assert readings(" Key-1") == {"key-1": ""}


@pytest.mark.parametrize("kid", ["%41\u0390%c3%a9", "\xe9%%zz%4", "%80\xe9", "a%2"])
def test_a_kid_is_decoded_as_a_url_is(kid: str) -> None:
    assert unquote(kid).casefold() in readings(kid)


def test_a_kid_that_is_no_text_has_readings_too() -> None:
    assert readings("%41\ud800")["%41\ud800"] == ""


def test_case_and_white_space_are_folded() -> None:
    assert folded("\tKey-STRASSE ") == folded("key-stra\xdfe") == "key-strasse"


@pytest.mark.parametrize(
    ("published", "sent", "form"),
    [
        (" Key", "key", ""),
        (DIGEST.hex(), PUBLISHED, "in hex"),
        ("+/+=", "-_-", "in standard base64"),
        ("key=", "key", "with padding"),
        ("did:web:c.example#key-1", "key-1", "behind a prefix"),
        ("{key}", "key", None),
    ],
)
def test_a_published_kid_may_be_the_one_in_the_other_spelling(published: str, sent: str, form: str | None) -> None:
    assert forms(published).get(folded(sent)) == form
