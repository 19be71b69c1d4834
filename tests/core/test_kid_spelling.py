"""A kid in another spelling than the published one."""

import hashlib
from base64 import urlsafe_b64encode

import pytest

from private_key_jwt._core.kid_spelling import folded, spelling

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
        ("key", "key==", None),
        ("other", "key", None),
        ("", "key", None),
    ],
)
def test_a_kid_in_another_spelling_is_told_by_it(kid: str, published: str, said: str | None) -> None:
    assert spelling(kid, published) == said


def test_case_and_white_space_are_folded() -> None:
    assert folded("\tKey-STRASSE ") == folded("key-stra\xdfe") == "key-strasse"
