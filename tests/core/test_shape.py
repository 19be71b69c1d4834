"""What is said of an object that is no JWK Set."""

from collections import OrderedDict
from typing import Any

import pytest

from private_key_jwt._core.shape import describe_shape
from support import jwk

PEM = "-----BEGIN PUBLIC KEY-----\nMII"
LONG = "https://op.example/" + "x" * 100


@pytest.mark.parametrize(
    ("document", "said"),
    [
        *[
            ({"keys": keys}, f"keys is {kind}, and must be a list")
            for keys, kind in [
                ({}, "an object"),
                (OrderedDict(), "an object"),
                ("x", "a text"),
                (None, "null"),
                (1, "a number"),
                (1.5, "a number"),
            ]
        ],
        ({"keys": True}, "keys is a boolean, and must be a list"),
        ({"keys": {1}}, "keys is set, and must be a list"),
        ({"Keys": []}, "it has 'Keys': keys is written in lower case"),
        ({"kty": "x", "KEYS": []}, "it has 'KEYS': keys is written in lower case"),
        ({}, "keys is absent; it has no members"),
        (jwk(), "keys is absent; it is a single JWK, and belongs into a list, the member keys"),
        (
            {"issuer": "x", "jwks_uri": "https://op.example/jwks", "error": 1},
            "keys is absent; it is a discovery document: its jwks_uri is 'https://op.example/jwks'",
        ),
        ({"jwks": {"keys": []}}, "keys is absent; it has jwks: the value of that must be published alone"),
        ({"error": "not\nfound", "a": 1}, r"keys is absent; it has an error: 'not\nfound'"),
        ({"k1": PEM, "k2": PEM}, "keys is absent; it has PEM in place of JWKs"),
        ({"message": "Forbidden"}, "keys is absent; it says 'Forbidden'"),
        ({"Message": "x", "title": "y"}, "keys is absent; it says 'x'"),
        ({"type": "about:blank", "title": "Not found", "status": 404}, "keys is absent; it says 'Not found'"),
        ({"message": {"d": "x"}, "detail": ""}, "keys is absent; its members are ['message', 'detail']"),
        (
            {"k1": jwk(), "k2": jwk()},
            "keys is absent; it has JWKs by their names, and they belong into a list, the member keys",
        ),
        ({"k1": jwk(), "k2": {}}, "keys is absent; its members are ['k1', 'k2']"),
        ({"k1": PEM, "k2": 1}, "keys is absent; its members are ['k1', 'k2']"),
        ({"k1": PEM[1:]}, "keys is absent; its members are ['k1']"),
        ({"jwks_uri": 7, 8: 9}, "keys is absent; its members are ['jwks_uri', 8]"),
        (dict.fromkeys("abcde"), "keys is absent; its members are ['a', 'b', 'c', 'd', ...]"),
    ],
)
def test_a_document_is_said_to_be_what_it_looks_like(document: Any, said: str) -> None:
    assert describe_shape(document) == said


@pytest.mark.parametrize(
    "document", [{"jwks_uri": LONG}, {"error": LONG}, {LONG: 1}, {f"{LONG}{number}": 1 for number in range(9)}]
)
def test_what_a_publisher_wrote_is_cut(document: Any) -> None:
    assert len(describe_shape(document)) < 130
