"""Rows about one assertion and the request that carries it: P, S, H, X, C, T."""

from __future__ import annotations

import base64
import hmac
import json
import time
import unicodedata
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hostile.provider import ACCEPTED, CONFIGURATION, REFUSED, Cases, Provider, each, one, row
from private_key_jwt import AssertionPolicy, Reason
from private_key_jwt._core.token_request import ASSERTION_TYPE
from support import OP, b64, integer, jwk, private_key

BIG = AssertionPolicy(audience=OP, max_assertion_bytes=1_048_576)
ASSERTION, TYPE = "client_assertion", "client_assertion_type"


def parts(token: str) -> list[str]:
    return token.split(".")


def signed_text(signing_input: str) -> str:
    """Two segments as they stand, in whatever spelling, and their signature."""
    return f"{signing_input}.{b64(private_key().sign(signing_input.encode(), PKCS1v15(), SHA256()))}"


def spare_bit(segment: str) -> str:
    """Its last character with one of the bits set that no octet uses."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4, "every bit is used"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


# Rows P, the token request


@row("P01")
def a_type_without_an_assertion(op: Provider) -> Cases:
    yield Reason.INVALID_REQUEST, op.form()


@row("P02")
def an_assertion_without_a_type(op: Provider) -> Cases:
    yield Reason.INVALID_REQUEST, op.form(client_assertion=op.token(), client_assertion_type=...)


@row("P04")
def the_type_in_another_spelling(op: Provider) -> Cases:
    encoded_twice = ASSERTION_TYPE.replace(":", "%3A")
    for spelling in (ASSERTION_TYPE.upper(), f"{ASSERTION_TYPE} ", encoded_twice, "", ASSERTION_TYPE[:-1]):
        yield Reason.INVALID_REQUEST, op.form(client_assertion=op.token(), client_assertion_type=spelling)


@row("P05")
def the_same_assertion_twice(op: Provider) -> Cases:
    token = op.token()
    yield Reason.INVALID_REQUEST, op.form(None, [(TYPE, ASSERTION_TYPE), (ASSERTION, token), (ASSERTION, token)])
    yield Reason.INVALID_REQUEST, op.form(client_assertion=[token, token])
    yield ACCEPTED, op.form(client_assertion=token)


@row("P06")
def two_assertions_one_of_them_forged(op: Provider) -> Cases:
    valid, forged = op.token(), op.token(key=private_key(1))
    for pair in ((valid, forged), (forged, valid)):
        yield Reason.INVALID_REQUEST, op.form(None, [(TYPE, ASSERTION_TYPE), *((ASSERTION, each) for each in pair)])


@row("P07")
def an_empty_assertion(op: Provider) -> Cases:
    yield Reason.INVALID_REQUEST, op.form(client_assertion="")
    yield Reason.MISSING_ASSERTION, op.form(client_assertion_type=..., client_assertion="")


@row("P09")
def another_client_id_in_the_request(op: Provider) -> Cases:
    op.register(jwk(private_key(1)), client_id="client-2")
    yield Reason.CLIENT_MISMATCH, op.form(client_assertion=op.token(), client_id="client-2")
    yield Reason.CLIENT_MISMATCH, op.sent(op.token(), "client-2")


@row("P11")
def the_same_client_id_in_the_request(op: Provider) -> Cases:
    yield ACCEPTED, op.form(client_assertion=op.token(), client_id="client-1")


@row("P12")
def the_client_id_in_another_spelling(op: Provider) -> Cases:
    name = "cli\u00e9nt"
    op.register(jwk(), client_id=name)
    for spelling in ("client-1 ", "CLIENT-1", "client-1\0", " client-1", "client\u20111"):
        yield Reason.CLIENT_MISMATCH, op.form(client_assertion=op.token(), client_id=spelling)
    decomposed = unicodedata.normalize("NFD", name)
    yield Reason.CLIENT_MISMATCH, op.form(client_assertion=op.token(iss=name, sub=name), client_id=decomposed)
    yield Reason.UNKNOWN_CLIENT, op.sent(op.token(iss=decomposed, sub=decomposed))
    yield ACCEPTED, op.form(client_assertion=op.token(iss=name, sub=name), client_id=name)


@row("P14")
def a_secret_beside_the_assertion(op: Provider) -> Cases:
    yield Reason.INVALID_REQUEST, op.form(client_assertion=op.token(), client_secret="s")
    yield Reason.INVALID_REQUEST, op.form("Basic Y2xpZW50LTE6cw==", client_assertion=op.token())


@row("P15")
def a_client_of_another_method_signs_well(op: Provider) -> Cases:
    """A client of another method signs well: it is none of the clients that a verifier is given."""
    del op.clients["client-1"]
    yield Reason.UNKNOWN_CLIENT, op.sent(op.token())


@row("P16")
def a_valid_secret_and_an_assertion_that_nobody_signed(op: Provider) -> Cases:
    unsigned = op.token().rpartition(".")[0] + "."
    yield Reason.INVALID_REQUEST, op.form(client_assertion=unsigned, client_secret="right")
    yield Reason.INVALID_REQUEST, op.form(client_assertion=op.token({"alg": "none"}), client_secret="right")
    yield Reason.MISSING_ASSERTION, op.form(client_assertion_type=..., client_id="client-1", client_secret="right")


@row("P17")
def nobodys_name_no_fetch(op: Provider) -> Cases:
    """Nobody's name: no fetch, and the answer is that to a bad signature."""
    uri = op.publish(jwk())
    yield Reason.UNKNOWN_CLIENT, op.sent(op.token(iss="no-such-client", sub="no-such-client"))
    yield Reason.UNKNOWN_CLIENT, op.sent(op.token(iss="no-such-client", sub="no-such-client", key=private_key(1)))
    assert op.publisher.count == 0
    assert uri
    answers = []
    for token in (op.token(iss="nobody", sub="nobody"), op.token(key=private_key(1))):
        try:
            op.verifier.verify(token)
        except Exception as error:
            answers.append(error.to_response())  # type: ignore[attr-defined]
    assert len(answers) == 2
    assert answers[0] == answers[1]


@row("P18")
def a_client_without_keys_of_any_kind_cannot_be_registered(op: Provider) -> Cases:
    yield CONFIGURATION, op.registered()
    op.remake(clients=lambda client_id: op.registered()())
    yield Reason.CLIENT_LOOKUP_FAILED, op.sent(op.token())


@row("P19")
def keys_both_by_value_and_by_url_cannot_be_registered(op: Provider) -> Cases:
    yield CONFIGURATION, op.registered(jwks={"keys": [jwk()]}, jwks_uri="https://client.example/jwks.json")


@row("P22")
def an_assertion_of_up_to_64_mib(op: Provider) -> Cases:
    for size in (65_536, 1_048_576, 67_108_864):
        for filler in ("A", "A.", ".", "é", "\0"):
            yield Reason.TOO_LARGE, op.sent((filler * size)[:size])
    yield Reason.TOO_LARGE, op.sent(b"A" * 65_536)
    yield Reason.TOO_LARGE, op.form(client_assertion="A" * 65_536)


@row("P26")
def a_signed_request_object_it_names_no_subject(op: Provider) -> Cases:
    request: dict[str, Any] = {
        "response_type": "code",
        "redirect_uri": "https://client.example/cb",
        "client_id": "client-1",
    }
    yield Reason.MISSING_CLAIM, op.sent(op.token(sub=..., **request))


@row("P27")
def a_request_object_that_names_a_subject(op: Provider) -> Cases:
    yield Reason.UNSUPPORTED_TYP, op.sent(op.token({"typ": "oauth-authz-req+jwt"}))
    yield Reason.UNSUPPORTED_TYP, op.sent(op.token({"typ": "application/oauth-authz-req+jwt"}))


@row("P28")
def a_dpop_proof(op: Provider) -> Cases:
    yield Reason.UNSUPPORTED_TYP, op.sent(op.token({"typ": "dpop+jwt", "jwk": jwk()}, htm="POST", htu=f"{OP}/token"))


@row("P29")
def an_access_token_of_this_server(op: Provider) -> Cases:
    yield Reason.UNSUPPORTED_TYP, op.sent(op.token({"typ": "at+jwt"}, iss=OP))
    yield Reason.CLIENT_MISMATCH, op.sent(op.token(iss=OP))


# Rows S, serialization


@row("S01")
def segments_without_content(op: Provider) -> Cases:
    for text in ("", ".", "..", "...", "a", "a.", "a..", "..a", ".a."):
        yield Reason.MALFORMED, op.sent(text)


@row("S03")
def no_signature(op: Provider) -> Cases:
    unsigned = op.token().rpartition(".")[0]
    for text in (f"{unsigned}.", unsigned, f"{unsigned}.A"):
        yield Reason.MALFORMED, op.sent(text)


@row("S05")
def five_segments(op: Provider) -> Cases:
    jwe = b64(b'{"alg":"RSA-OAEP","enc":"A128GCM","zip":"DEF"}') + ".AAAA.AAAA.AAAA.AAAA"
    for text in (jwe, f"{op.token()}.AAAA.AAAA", f"{op.token()}.AAAA"):
        yield Reason.MALFORMED, op.sent(text)


@row("S07")
def padding_right_and_wrong(op: Provider) -> Cases:
    for padding in ("=", "==", "======", "%3D%3D"):
        yield Reason.MALFORMED, op.sent(op.token() + padding)
    for place in (0, 1, 2):
        segments = parts(op.token())
        segments[place] += "=" * (-len(segments[place]) % 4 or 4)
        yield Reason.MALFORMED, op.sent(".".join(segments))


@row("S09")
def a_spare_bit_of_the_last_signature_character_is_set(op: Provider) -> Cases:
    token = op.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    first = alphabet.index(token[-1])
    for spare in range(1, 16):
        yield Reason.MALFORMED, op.sent(token[:-1] + alphabet[first + spare])
    yield ACCEPTED, op.sent(token)


@row("S11")
def a_spare_bit_of_the_payload_is_set_and_that_text_is_signed(op: Provider) -> Cases:
    for padding in ("", "x", "xx"):
        head, body, _ = parts(op.token(note=padding))
        if len(body) % 4:
            yield Reason.MALFORMED, op.sent(signed_text(f"{head}.{spare_bit(body)}"))
        head, body, _ = parts(op.token({"note": padding}))
        if len(head) % 4:
            yield Reason.MALFORMED, op.sent(signed_text(f"{spare_bit(head)}.{body}"))


@row("S12")
def a_signature_in_the_standard_alphabet(op: Provider) -> Cases:
    token = op.token()
    while not {"-", "_"} & set(parts(token)[2]):
        token = op.token()
    head, body, signature = parts(token)
    yield Reason.MALFORMED, op.sent(f"{head}.{body}.{signature.replace('-', '+').replace('_', '/')}")
    yield ACCEPTED, op.sent(token)


@row("S13")
def a_payload_in_the_standard_alphabet_and_that_text_is_signed(op: Provider) -> Cases:
    head, body, _ = parts(op.token(note="?????>>>>>"))
    assert {"-", "_"} & set(body)
    yield Reason.MALFORMED, op.sent(signed_text(f"{head}.{body.replace('-', '+').replace('_', '/')}"))


@row("S17")
def letters_beyond_ascii(op: Provider) -> Cases:
    for letter in ("\u00e9", "\uff21", "\u200b", "\ufeff", "\u212a", "\ud800"):
        token = op.token()
        yield Reason.MALFORMED, op.sent(token + letter)
        yield Reason.MALFORMED, op.sent(letter + token)
        yield Reason.MALFORMED, op.sent(token.replace("A", letter))
    yield Reason.MALFORMED, op.sent(op.token().encode() + b"\xff")


@row("S18")
def escapes_and_white_space_among_the_characters(op: Provider) -> Cases:
    for piece in ("\\1\\2", "\\", "\n", "\r\n", " ", "\t", "\0", "%41", "&", "~"):
        for at in (0, 10, -10):
            token = op.token()
            yield Reason.MALFORMED, op.sent(token[:at] + piece + token[at:])
        yield Reason.MALFORMED, op.sent(op.token() + piece)


@row("S21")
def the_json_serializations_with_one_valid_signature(op: Provider) -> Cases:
    protected, payload, signature = parts(op.token())
    one = {"protected": protected, "signature": signature}
    yield Reason.MALFORMED, op.sent(json.dumps({"payload": payload, "signatures": [one]}))
    yield Reason.MALFORMED, op.sent(json.dumps({"payload": payload} | one))


@row("S23")
def the_json_serializations_without_a_signature(op: Provider) -> Cases:
    payload = parts(op.token())[1]
    for members in each({"signatures": []}, {}, {"signatures": None}, {"signatures": [{}]}):
        yield Reason.MALFORMED, op.sent(json.dumps({"payload": payload} | members))


@row("S24")
def a_detached_payload_and_20_mb_in_its_place(op: Provider) -> Cases:
    header = b64(b'{"alg":"RS256","kid":"k1","b64":false,"crit":["b64"]}')
    yield Reason.MALFORMED, op.sent(f"{header}..{parts(op.token())[2]}")
    yield Reason.TOO_LARGE, op.sent(f"{header}.{'A' * 20_000_000}.{parts(op.token())[2]}")


@row("S25")
def a_header_that_a_proxy_wrote_anew(op: Provider) -> Cases:
    _, body, signature = parts(op.token())
    for header in (b'{"kid":"k1","alg":"RS256"}', b'{"alg":"RS256","kid":"k1"}', b'{ "alg":"RS256","kid":"\\u006b1"}'):
        yield Reason.BAD_SIGNATURE, op.sent(f"{b64(header)}.{body}.{signature}")


# Rows H, the header


@row("H03")
def no_algorithm_in_every_case_of_its_letters(op: Provider) -> Cases:
    for alg in each("none", "None", "NONE", "nOnE", "NoNe", "none ", "ｎone"):
        yield Reason.UNSUPPORTED_ALG, op.sent(op.token({"alg": alg}))
        yield Reason.MALFORMED, op.sent(op.token({"alg": alg}).rpartition(".")[0] + ".")


def _hmac(op: Provider, secret: bytes, alg: str = "HS256") -> str:
    signing_input = op.token({"alg": alg}).rpartition(".")[0]
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), 'sha' + alg[2:]))}"


@row("H05")
def a_mac_keyed_with_the_public_key(op: Provider) -> Cases:
    public = private_key().public_key()
    for encoding, form in ((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.PKCS1)):
        for alg in each("HS256", "HS384", "HS512"):
            yield Reason.UNSUPPORTED_ALG, op.sent(_hmac(op, public.public_bytes(encoding, form), alg))
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing_input = op.token().rpartition(".")[0]
    yield Reason.BAD_SIGNATURE, op.sent(f"{signing_input}.{b64(hmac.digest(pem, signing_input.encode(), 'sha256'))}")


@row("H10")
def a_mac_keyed_with_the_text_of_the_key(op: Provider) -> Cases:
    texts = (json.dumps(jwk()), json.dumps(jwk(), separators=(",", ":")), json.dumps({"keys": [jwk()]}))
    for text in texts:
        for secret in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
            yield Reason.UNSUPPORTED_ALG, op.sent(_hmac(op, secret))


@row("H13")
def a_key_that_says_it_is_for_another_algorithm(op: Provider) -> Cases:
    for alg in each("PS256", "RS512", "RSA-OAEP", "none", 1, False, ["RS256"], "rs256"):
        op.register(jwk(alg=alg))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())
    for absent in each("", None, []):  # what libraries write for a member that was never set
        op.register(jwk(alg=absent))
        yield ACCEPTED, op.sent(op.token())


@row("H14")
def a_ps256_signature_called_rs256(op: Provider) -> Cases:
    signing_input = op.token().rpartition(".")[0]
    for salt in (PSS.DIGEST_LENGTH, 0):
        signature = private_key().sign(signing_input.encode(), PSS(MGF1(SHA256()), salt), SHA256())
        yield Reason.BAD_SIGNATURE, op.sent(f"{signing_input}.{b64(signature)}")


@row("H15")
def an_algorithm_in_another_spelling(op: Provider) -> Cases:
    for alg in each(
        "rs256", "RS256 ", " RS256", "RS256\0", "ＲＳ２５６", "RS2５6", "RS384", "RS512", "PS256", "ES256", ""
    ):
        yield Reason.UNSUPPORTED_ALG, op.sent(op.token({"alg": alg}))


@row("H16")
def an_algorithm_that_is_no_string(op: Provider) -> Cases:
    for alg in each(["RS256"], None, 1, True, {}, [], {"RS256": 1}, 1.5):
        yield Reason.MALFORMED, op.sent(op.token({"alg": alg}))


@row("H17")
def no_algorithm_at_all(op: Provider) -> Cases:
    yield Reason.MALFORMED, op.sent(op.token({"alg": ...}))


@row("H18")
def the_algorithm_twice(op: Provider) -> Cases:
    for first, second in (("none", "RS256"), ("RS256", "none"), ("RS256", "RS256"), ("HS256", "RS256")):
        yield Reason.MALFORMED, op.sent(op.raw(f'{{"alg":"{first}","alg":"{second}","kid":"k1"}}'))
    yield Reason.MALFORMED, op.sent(op.raw('{"alg":"RS256","kid":"k1","\\u0061lg":"none"}'))


@row("H19")
def the_kid_twice(op: Provider) -> Cases:
    for first, second in (("evil", "k1"), ("k1", "evil"), ("k1", "k1")):
        yield Reason.MALFORMED, op.sent(op.raw(f'{{"alg":"RS256","kid":"{first}","kid":"{second}"}}'))


@row("H21")
def an_extension_that_must_be_understood(op: Provider) -> Cases:
    yield Reason.UNSUPPORTED_CRIT, op.sent(op.token({"crit": ["x"], "x": 1}))
    yield Reason.UNSUPPORTED_CRIT, op.sent(op.token({"crit": ["x"]}))


@row("H23")
def a_crit_that_names_nothing_any_crit_is_refused(op: Provider) -> Cases:
    yield Reason.UNSUPPORTED_CRIT, op.sent(op.token({"crit": []}))


@row("H24")
def a_crit_of_the_wrong_type_and_a_list_of_anything(op: Provider) -> Cases:
    """A crit of the wrong type, and a list of anything (any crit is refused)."""
    for crit in each("x", None, {"x": 1}, 1, True):
        yield Reason.MALFORMED, op.sent(op.token({"crit": crit}))
    for crit in each([1], [["x"]], [None], [""]):
        yield Reason.UNSUPPORTED_CRIT, op.sent(op.token({"crit": crit}))


@row("H25")
def a_crit_that_names_what_is_no_extension_any_crit_is_refused(op: Provider) -> Cases:
    for name in ("alg", "kid", "exp", "typ", "crit"):
        yield Reason.UNSUPPORTED_CRIT, op.sent(op.token({"crit": [name]}))


@row("H27")
def b64_without_crit(op: Provider) -> Cases:
    for value in each(False, True):
        yield Reason.UNSUPPORTED_CRIT, op.sent(op.token({"b64": value}))
    for value in each(0, "false", None):
        yield Reason.MALFORMED, op.sent(op.token({"b64": value}))


@row("H28")
def claims_that_are_not_encoded(op: Provider) -> Cases:
    header = {"b64": False, "crit": ["b64"]}
    claims = json.dumps(op.claims(), separators=(",", ":"))
    yield Reason.UNSUPPORTED_CRIT, op.sent(op.token(header))
    head = b64(json.dumps(op.header(header)).encode())
    yield Reason.MALFORMED, op.sent(signed_text(f"{head}.{claims}"))


@row("H29")
def a_crit_of_100_000_names(op: Provider) -> Cases:
    token = op.token({"crit": [str(number) for number in range(100_000)]})
    yield Reason.TOO_LARGE, op.sent(token)
    token = op.token({"crit": [str(number) for number in range(50_000)]})
    op.remake(policy=BIG)
    yield Reason.TOO_LARGE, op.sent(token)


@row("H30")
def compressed_claims_and_said_to_be(op: Provider) -> Cases:
    for value in each("DEF", "", None, 1):
        yield Reason.MALFORMED, op.sent(op.token({"zip": value}))
    yield Reason.MALFORMED, op.sent(op.token({"cty": "application/zlib"}))


@row("H31")
def a_key_in_the_header_which_signed(op: Provider) -> Cases:
    stranger = private_key(1)
    yield Reason.UNKNOWN_KID, op.sent(op.token({"kid": "x", "jwk": jwk(stranger, kid="x")}, key=stranger))
    yield Reason.BAD_SIGNATURE, op.sent(op.token({"kid": ..., "jwk": jwk(stranger)}, key=stranger))


@row("H32")
def a_key_in_the_header_under_the_registered_kid(op: Provider) -> Cases:
    stranger = private_key(1)
    chain = [base64.b64encode(b"certificate").decode()]
    yield Reason.BAD_SIGNATURE, op.sent(op.token({"jwk": jwk(stranger)}, key=stranger))
    yield Reason.BAD_SIGNATURE, op.sent(op.token({"x5c": chain}, key=stranger))


@row("H33")
def urls_of_keys_in_the_header_nobody_follows_them(op: Provider) -> Cases:
    op.publisher.keys = [jwk(private_key(1))]
    uri = op.publisher.uri("/evil.json")
    for name in ("jku", "x5u"):
        for url in (uri, "http://169.254.169.254/", "file:///etc/passwd"):
            yield Reason.BAD_SIGNATURE, op.sent(op.token({name: url}, key=private_key(1)))
            yield Reason.UNKNOWN_KID, op.sent(op.token({name: url, "kid": "evil"}, key=private_key(1)))
            yield ACCEPTED, op.sent(op.token({name: url}))
    assert op.publisher.count == 0


@row("H39")
def a_typ_that_is_no_string(op: Provider) -> Cases:
    for typ in each(1, None, [], {}, True, ["JWT"]):
        yield Reason.MALFORMED, op.sent(op.token({"typ": typ}))


@row("H43")
def no_kid_and_two_keys(op: Provider) -> Cases:
    op.register(jwk(), jwk(private_key(1), kid="k2"))
    yield Reason.AMBIGUOUS_KEY, op.sent(op.token({"kid": ...}))
    yield Reason.AMBIGUOUS_KEY, op.sent(op.token({"kid": ...}, key=private_key(1)))
    yield ACCEPTED, op.sent(op.token({"kid": "k2"}, key=private_key(1)))


@row("H47")
def a_kid_that_would_be_something_else_to_a_database(op: Provider) -> Cases:
    """A kid that would be something else to a database, a shell or a path."""
    kids = ("k1' OR '1'='1", "../../../dev/null", "*)(uid=*", "| id", "__proto__", "k1\r\n", "k1\0", "{}", "${jndi:x}")
    for kid in kids:
        yield Reason.UNKNOWN_KID, op.sent(op.token({"kid": kid}))
    op.publish(jwk())
    for kid in kids:
        yield Reason.UNKNOWN_KID, op.sent(op.token({"kid": kid}))


@row("H48")
def the_kid_of_another_client(op: Provider) -> Cases:
    op.register(jwk(private_key(1), kid="k2"), client_id="client-2")
    yield Reason.UNKNOWN_KID, op.sent(op.token({"kid": "k2"}, key=private_key(1)))
    yield ACCEPTED, op.sent(op.token({"kid": "k2"}, key=private_key(1), iss="client-2", sub="client-2"))


@row("H49")
def a_header_that_is_no_object(op: Provider) -> Cases:
    for text in ("[]", '"RS256"', "1", "null", '""', "{}", "true", '[{"alg":"RS256"}]', "", " "):
        yield Reason.MALFORMED, op.sent(op.raw(text))


@row("H50")
def a_header_in_another_encoding(op: Provider) -> Cases:
    text = json.dumps(op.header())
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"):
        yield Reason.MALFORMED, op.sent(op.raw(text.encode(encoding)))


@row("H51")
def a_header_that_is_no_utf_8(op: Provider) -> Cases:
    for odd in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xc3", b"\xf5\x80\x80\x80", b"\x80"):
        yield Reason.MALFORMED, op.sent(op.raw(b'{"alg":"RS256","kid":"k1","x":"' + odd + b'"}'))


@row("H52")
def a_header_nested_100_000_deep(op: Provider) -> Cases:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        for depth, closed in ((50_000, True), (50_000, False)):
            nested = opening * depth + "1" + (closing * depth if closed else "")
            token = op.raw('{"alg":"RS256","kid":"k1","x":' + nested + "}")
            op.remake()
            yield Reason.TOO_LARGE, op.sent(token)
            op.remake(policy=BIG)
            yield Reason.TOO_LARGE, op.sent(token)


@row("H55")
def members_that_nobody_knows(op: Provider) -> Cases:
    yield ACCEPTED, op.sent(op.token({"foo": 1, "x5t": "x", "nonce": None, "bar": {"a": [1]}}))


# Rows X, signature and keys


@row("X01")
def one_bit_flipped_each_in_its_turn(op: Provider) -> Cases:
    token = op.token()
    for place, expected in ((0, REFUSED), (1, REFUSED), (2, Reason.BAD_SIGNATURE)):
        segments = parts(token)
        octets = base64.urlsafe_b64decode(segments[place] + "==")
        for bit in range(len(octets) * 8):
            flipped = bytearray(octets)
            flipped[bit // 8] ^= 1 << bit % 8
            segments[place] = b64(bytes(flipped))
            yield expected, op.sent(".".join(segments))
    yield ACCEPTED, op.sent(token)


@row("X02")
def signed_by_another_key(op: Provider) -> Cases:
    op.register(jwk(private_key(1)), client_id="client-2")
    yield Reason.BAD_SIGNATURE, op.sent(op.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, op.sent(op.token(key=private_key(2)))
    yield Reason.UNKNOWN_KID, op.sent(op.token({"kid": "k9"}, key=private_key(2)))


_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def _padded(op: Provider, pad: Any) -> str:
    """A token whose signature is, once opened, what ``pad`` makes of the digest."""
    signing_input = op.token().rpartition(".")[0]
    digest = Hash(SHA256())
    digest.update(signing_input.encode())
    opened: bytes = pad(digest.finalize())
    numbers = private_key().private_numbers()
    signature = pow(int.from_bytes(opened.ljust(256, b"\0")[:256], "big"), numbers.d, numbers.public_numbers.n)
    return f"{signing_input}.{b64(signature.to_bytes(256, 'big'))}"


@row("X05")
def a_padding_that_is_short_or_has_room_for_something_else(op: Provider) -> Cases:
    def right(digest: bytes) -> bytes:
        return b"\0\1" + b"\xff" * 202 + b"\0" + _SHA256_INFO + digest

    paddings: list[Any] = [
        lambda digest: b"\0\1" + b"\xff" * 8 + b"\0" + _SHA256_INFO + digest,
        lambda digest: b"\0\1" + b"\xff" * 8 + b"\0" + _SHA256_INFO + digest + b"\xaa" * 194,
        lambda digest: b"\0\1" + b"\xff" * 201 + b"\0" + _SHA256_INFO + digest + b"\xaa",
        lambda digest: b"\0\1\0" + _SHA256_INFO + digest,
        lambda digest: b"\0\2" + right(digest)[2:],
        lambda digest: b"\1\1" + right(digest)[2:],
        lambda digest: b"\0\1" + b"\0" * 202 + b"\0" + _SHA256_INFO + digest,
        lambda digest: right(digest)[:100] + b"\xfe" + right(digest)[101:],
        lambda digest: b"\0\1" + b"\xff" * 221 + b"\0" + digest,
        # The parameters of the digest's algorithm left out, and made long.
        lambda digest: (
            b"\0\1" + b"\xff" * 204 + b"\0" + bytes.fromhex("302f300b0609608648016503040201") + b"\4\x20" + digest
        ),
    ]
    for pad in paddings:
        yield Reason.BAD_SIGNATURE, op.sent(_padded(op, pad))
    yield ACCEPTED, op.sent(_padded(op, right))


@row("X07")
def another_digest_under_the_right_padding(op: Provider) -> Cases:
    algorithms: tuple[HashAlgorithm, ...] = (SHA1(), SHA384(), SHA512())
    for algorithm in algorithms:
        signing_input = op.token().rpartition(".")[0]
        signature = private_key().sign(signing_input.encode(), PKCS1v15(), algorithm)
        yield Reason.BAD_SIGNATURE, op.sent(f"{signing_input}.{b64(signature)}")


@row("X12")
def an_exponent_of_3_refused_sp_800_56b_wants_65537_or_more(op: Provider) -> Cases:
    small = generate_private_key(public_exponent=3, key_size=2_048)
    op.register(jwk(small))
    yield Reason.UNUSABLE_KEY, op.sent(op.token(key=small))
    for e in each(1, 2, 17, 65_535, 65_536, 2**32 + 1):
        op.register(jwk(e=integer(e)))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())


@row("X13")
def a_modulus_that_is_none(op: Provider) -> Cases:
    n = private_key().public_key().public_numbers().n
    for odd in (n - 1, n - n % 3 if n % 6 == 1 else n + 3 - n % 3, 1, 2**2_047, 3 * 2**2_046, 2**2_048 - 1):
        op.register(jwk(n=integer(odd)))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())
    for text in ("", "AA", "AAAA", "AQ"):
        op.register(jwk(n=text))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())


@row("X15")
def numbers_too_large_and_too_small(op: Provider) -> Cases:
    started = time.process_time()
    for bits in (1_024, 2_047, 8_193, 16_385, 65_536, 262_144):
        op.register(jwk(n=integer((1 << bits - 1) + 1)))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())
    for bits in (33, 64, 2_048, 3_071):
        op.register(jwk(e=integer((1 << bits - 1) + 1)))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())
    assert time.process_time() - started < 2


@row("X17")
def a_key_for_encryption(op: Provider) -> Cases:
    for use in each("enc", "SIG", 1, False, ["sig"]):
        op.register(jwk(use=use))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())
    for absent in each("", None):
        op.register(jwk(use=absent))
        yield ACCEPTED, op.sent(op.token())


@row("X19")
def a_key_whose_operations_do_not_hold_verify(op: Provider) -> Cases:
    for key_ops in each(["encrypt"], ["sign"], "verify", {"verify": 1}, {}, [["verify"]]):
        op.register(jwk(key_ops=key_ops))
        yield Reason.UNUSABLE_KEY, op.sent(op.token())
    for key_ops in each(["encrypt", "verify"], [], None):
        op.register(jwk(key_ops=key_ops))
        yield ACCEPTED, op.sent(op.token())


@row("X20")
def a_certificate_beside_the_numbers_the_numbers_count(op: Provider) -> Cases:
    """A certificate beside the numbers: the numbers count, it is not looked at."""
    for chain in each(["AAAA"], "no list", [1], []):
        op.register(jwk(x5c=chain, x5t="x"))
        yield ACCEPTED, op.sent(op.token())
        yield Reason.BAD_SIGNATURE, op.sent(op.token(key=private_key(1)))


@row("X22")
def a_private_member_that_is_another_keys(op: Provider) -> Cases:
    other = integer(private_key(1).private_numbers().d)
    yield CONFIGURATION, op.registered(jwks={"keys": [jwk(d=other)]})
    op.publish(jwk(d=other))
    yield Reason.UNUSABLE_KEY, op.sent(op.token())
    yield Reason.UNUSABLE_KEY, op.sent(op.token(key=private_key(1)))


# Rows C, claims


@row("C01")
def a_payload_that_is_no_object(op: Provider) -> Cases:
    for text in ("[]", '"x"', "1", "null", "true", "", " ", "[{}]", '"{}"'):
        yield Reason.MALFORMED, op.sent(op.raw(payload=text))


@row("C02")
def a_payload_in_another_encoding(op: Provider) -> Cases:
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        yield Reason.MALFORMED, op.sent(op.raw(payload=json.dumps(op.claims()).encode(encoding)))


@row("C03")
def a_payload_that_is_no_utf_8(op: Provider) -> Cases:
    for odd in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xc3"):
        payload = json.dumps(op.claims(note="NOTE")).encode().replace(b"NOTE", odd)
        yield Reason.MALFORMED, op.sent(op.raw(payload=payload))


@row("C04")
def something_after_the_claims(op: Provider) -> Cases:
    for tail in ("{}", "x", ",", "\0", "\ufeff", "\u00a0", "\x0b", "]", "}"):
        yield Reason.MALFORMED, op.sent(op.raw(payload=json.dumps(op.claims()) + tail))
    for tail in (" ", "\n", " \t\r\n"):
        yield ACCEPTED, op.sent(op.raw(payload=json.dumps(op.claims()) + tail))


@row("C05")
def numbers_that_json_has_not(op: Provider) -> Cases:
    for number in ("NaN", "Infinity", "-Infinity", "1e400", "-1e999", "01", "+1", ".5", "1.", "0x1", "1_0"):
        for name in ("exp", "iat", "nbf", "x"):
            payload = json.dumps(op.claims(**{name: "NUMBER"})).replace('"NUMBER"', number)
            yield Reason.MALFORMED, op.sent(op.raw(payload=payload))


@row("C06")
def a_claim_twice(op: Provider) -> Cases:
    for name in ("aud", "sub", "iss", "exp", "jti", "iat", "nbf", "x"):
        claims = op.claims(nbf=int(op.clock()), x=1)
        for other in ("https://evil.example", claims[name]):
            twice = json.dumps(claims)[:-1] + f', "{name}": {json.dumps(other)}}}'
            yield Reason.MALFORMED, op.sent(op.raw(payload=twice))
            yield (
                Reason.MALFORMED,
                op.sent(op.raw(payload=f'{{"{name}": {json.dumps(other)}, ' + json.dumps(claims)[1:])),
            )
    yield Reason.MALFORMED, op.sent(op.raw(payload=json.dumps(op.claims())[:-1] + ', "x": {"a": 1, "a": 1}}'))


@row("C08")
def integers_of_very_many_digits(op: Provider) -> Cases:
    for digits, expected in (
        (20, ACCEPTED),
        (21, Reason.MALFORMED),
        (3_000, Reason.MALFORMED),
        (4_301, Reason.TOO_LARGE),
    ):
        for sign in ("", "-"):
            payload = json.dumps(op.claims(x="NUMBER")).replace('"NUMBER"', sign + "9" * digits)
            yield expected, op.sent(op.raw(payload=payload))
    million = json.dumps(op.claims(x="NUMBER")).replace('"NUMBER"', "9" * 700_000)
    yield Reason.TOO_LARGE, op.sent(op.raw(payload=million))
    op.remake(policy=BIG)
    yield Reason.TOO_LARGE, op.sent(op.raw(payload=million))


@row("C09")
def a_claim_of_1_mb(op: Provider) -> Cases:
    yield Reason.TOO_LARGE, op.sent(op.token(x="x" * 1_000_000))
    yield Reason.TOO_LARGE, op.sent(op.token(x=[0] * 300_000))


@row("C10")
def claims_that_nobody_knows(op: Provider) -> Cases:
    yield ACCEPTED, op.sent(op.token(x=1, y=[1, {"z": None}], nonce="n", email="a@example.com", events={}))


@row("C11")
def no_issuer_or_none_that_is_a_string(op: Provider) -> Cases:
    yield Reason.MISSING_CLAIM, op.sent(op.token(iss=...))
    for iss in each(None, "", 1, True, 1.5):
        yield Reason.INVALID_CLAIM, op.sent(op.token(iss=iss))


@row("C13")
def another_subject(op: Provider) -> Cases:
    for sub in each("wrong-sub-value", "client-1 ", "Client-1", "client-1\0"):
        yield Reason.CLIENT_MISMATCH, op.sent(op.token(sub=sub))


@row("C14")
def no_subject_or_none_that_is_a_string(op: Provider) -> Cases:
    yield Reason.MISSING_CLAIM, op.sent(op.token(sub=...))
    for sub in each(None, "", 1, ["client-1"], {}, False):
        yield Reason.INVALID_CLAIM, op.sent(op.token(sub=sub))


@row("C15")
def an_issuer_that_is_a_list_or_an_object(op: Provider) -> Cases:
    for iss in each(["client-1"], ["evil", "client-1"], {"client-1": 1}, []):
        yield Reason.INVALID_CLAIM, op.sent(op.token(iss=iss))
        yield Reason.INVALID_CLAIM, op.sent(op.token(iss=iss, sub=iss))


@row("C17")
def issuer_and_subject_are_two_clients(op: Provider) -> Cases:
    op.register(jwk(private_key(1)), client_id="client-2")
    for key in (private_key(), private_key(1)):
        yield Reason.CLIENT_MISMATCH, op.sent(op.token(sub="client-2", key=key))
        yield Reason.CLIENT_MISMATCH, op.sent(op.token(iss="client-2", key=key))
    yield Reason.BAD_SIGNATURE, op.sent(op.token(iss="client-2", sub="client-2"))


@row("C19")
def no_audience_or_none_that_can_be_one(op: Provider) -> Cases:
    yield Reason.MISSING_CLAIM, op.sent(op.token(aud=...))
    for aud in each(None, "", [], 1, {}, True, 1.5, [1], [None], {OP: 1}):
        yield Reason.INVALID_CLAIM, op.sent(op.token(aud=aud))


@row("C22")
def the_audience_in_a_list_of_one_taken_by_the_rule_sole(op: Provider) -> Cases:
    """The audience in a list of one: taken by the rule sole, not by string."""
    yield ACCEPTED, op.sent(op.token(aud=[OP]))
    op.remake(policy=AssertionPolicy(audience=OP, audience_rule="string"))
    yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=[OP]))
    yield ACCEPTED, op.sent(op.token())


@row("C23")
def the_audience_among_others_taken_by_the_rule_member_only(op: Provider) -> Cases:
    for rule, expected in (
        ("sole", Reason.AUDIENCE_MISMATCH),
        ("string", Reason.AUDIENCE_MISMATCH),
        ("member", ACCEPTED),
    ):
        op.remake(policy=AssertionPolicy(audience=OP, audience_rule=rule))  # type: ignore[arg-type]
        for aud in each([OP, "https://evil.example"], ["https://evil.example", OP], [OP, f"{OP}/token"]):
            yield expected, op.sent(op.token(aud=aud))
    yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=["https://evil.example", f"{OP}/"]))


@row("C25")
def the_url_of_an_endpoint_as_audience(op: Provider) -> Cases:
    """The URL of an endpoint as audience: taken only where it was configured."""
    yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=f"{OP}/par"))
    op.remake(policy=AssertionPolicy(audience=[OP, f"{OP}/par"]))
    yield ACCEPTED, op.sent(op.token(aud=f"{OP}/par"))
    yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=f"{OP}/token"))


@row("C27")
def the_audience_in_another_spelling(op: Provider) -> Cases:
    for aud in each(
        f"{OP}/",
        OP.upper(),
        f"{OP}:443",
        f"{OP}.evil",
        OP[:-1],
        f" {OP}",
        f"{OP} ",
        f"{OP}#",
        f"{OP}?",
        OP[8:],
    ):
        yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=aud))
        yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=[aud]))


@row("C28")
def an_audience_of_lists_numbers_and_repeats(op: Provider) -> Cases:
    for aud in each([[OP]], [OP, 1], [None, OP], [{}], [OP, [OP]]):
        yield Reason.INVALID_CLAIM, op.sent(op.token(aud=aud))
    yield Reason.AUDIENCE_MISMATCH, op.sent(op.token(aud=[OP, OP]))
    op.remake(policy=AssertionPolicy(audience=OP, audience_rule="member"))
    for aud in each([[OP]], [OP, 1], [None, OP]):
        yield Reason.INVALID_CLAIM, op.sent(op.token(aud=aud))


@row("C31")
def half_of_a_surrogate_pair(op: Provider) -> Cases:
    for odd in ("\ud800", "client-1\udc00", "\udfff\ud800"):
        for name in ("iss", "sub", "jti", "aud", "x"):
            yield Reason.MALFORMED, op.sent(op.token(**one(name, odd)))
        yield Reason.MALFORMED, op.sent(op.token({"kid": odd}))
        yield Reason.MALFORMED, op.sent(op.token(iss=odd, sub=odd))
    yield ACCEPTED, op.sent(op.token(x="\U0001f600"))


# Rows T, times


@row("T09")
def a_time_with_a_fraction_or_with_an_exponent(op: Provider) -> Cases:
    now = int(op.clock())
    yield ACCEPTED, op.sent(op.token(exp=now + 60.5))
    text = json.dumps(op.claims(exp="NUMBER"))
    yield ACCEPTED, op.sent(op.raw(payload=text.replace('"NUMBER"', "1.70000006e9")))


@row("T15")
def expired_within_the_leeway_and_at_its_end(op: Provider) -> Cases:
    now = int(op.clock())
    yield ACCEPTED, op.sent(op.token(exp=now - 14, iat=now - 60))
    yield ACCEPTED, op.sent(op.token(exp=now - 14.999, iat=now - 60))
    yield Reason.EXPIRED, op.sent(op.token(exp=now - 15, iat=now - 60))
    yield Reason.EXPIRED, op.sent(op.token(exp=now - 15.001, iat=now - 60))
    yield Reason.EXPIRED, op.sent(op.token(exp=0, iat=0))


@row("T16")
def a_clock_that_is_8_seconds_fast(op: Provider) -> Cases:
    now = int(op.clock())
    yield ACCEPTED, op.sent(op.token(nbf=now + 8, iat=now + 8))
    yield ACCEPTED, op.sent(op.token(nbf=now + 15, iat=now + 15))


@row("T17")
def not_valid_for_another_minute(op: Provider) -> Cases:
    now = int(op.clock())
    yield Reason.NOT_YET_VALID, op.sent(op.token(nbf=now + 62, iat=now + 62, exp=now + 122))
    yield Reason.NOT_YET_VALID, op.sent(op.token(nbf=now + 15.5))


@row("T18")
def issued_in_a_minute(op: Provider) -> Cases:
    now = int(op.clock())
    yield Reason.NOT_YET_VALID, op.sent(op.token(iat=now + 62, exp=now + 122))
    yield Reason.NOT_YET_VALID, op.sent(op.token(iat=now + 9_999, exp=now + 60))


@row("T20")
def a_time_that_is_no_number(op: Provider) -> Cases:
    for name in ("nbf", "iat", "exp"):
        for value in each("x", None, True, False, [], {}, "1700000000", [1_700_000_000], -1, 2**53 + 2, 1e300):
            yield Reason.INVALID_CLAIM, op.sent(op.token(**one(name, value)))
        yield Reason.MALFORMED, op.sent(op.token(**one(name, float("nan"))))
    yield Reason.MISSING_CLAIM, op.sent(op.token(exp=...))


@row("T21")
def a_time_after_the_expiry(op: Provider) -> Cases:
    now = int(op.clock())
    yield Reason.INVALID_CLAIM, op.sent(op.token(nbf=now + 10, exp=now + 5))
    yield Reason.INVALID_CLAIM, op.sent(op.token(iat=now + 10, exp=now + 5))


@row("T24")
def a_clock_that_is_set_back_an_hour(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    op.clock.advance(40)
    yield Reason.REPLAYED, op.sent(token)
    for step in (-3_600, 3_600 - 40, 40):
        op.clock.advance(step)
        # An hour back it is not yet valid, and lives too long; at no time is it new.
        yield REFUSED, op.sent(token)
