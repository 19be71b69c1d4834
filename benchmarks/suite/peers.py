"""Other libraries, in the same run over the same tokens, each set up as its documentation says.

What each one checks is not claimed from memory: every defect of ``private_key_jwt.testing`` is sent to it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from private_key_jwt import JWKSFetcher, JWKSPolicy
from private_key_jwt.testing import DEFECTS, RelyingParty, SigningKey, Tenant
from stores.redis_server import free_port

from . import corpus, ours
from .measuring import CodePath, Step, calls, interleave
from .report import Row, Section

LEEWAY = 15
ALGORITHMS = ["RS256"]

BARE, WHOLE = "bare decode", "whole verification"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer, ready to use: ``check`` raises when it refuses, ``renew`` forgets the used assertions."""

    check: Callable[[str], object]
    renew: Callable[[], object] = lambda: None


class Kind(NamedTuple):
    """Say how a peer is made for one client (its docstring says what was chosen)."""

    name: str
    what: str
    make: Callable[[Tenant], Peer]


# This library


def _ours(tenant: Tenant) -> Peer:
    """As its documentation says; keys cached by JWKSFetcher."""
    subject = ours.Subject([tenant.client()], JWKSFetcher(JWKSPolicy(allow_http_loopback=True)))
    return Peer(lambda token: subject.verifier.verify(token), subject.renew)


# Bare decode: a key at hand, a token, its claims


def _joserfc(tenant: Tenant) -> Peer:
    """Key imported once."""
    from joserfc import jwk, jwt

    key = jwk.RSAKey.import_key(tenant.current_key.public_jwk())
    return Peer(lambda token: jwt.decode(token, key, algorithms=ALGORITHMS))


def _pyjwt(tenant: Tenant) -> Peer:
    """PyJWK made once; it also checks exp, nbf, iat and aud."""
    import jwt

    key = jwt.PyJWK(tenant.current_key.public_jwk())
    return Peer(lambda token: jwt.decode(token, key, algorithms=ALGORITHMS, audience=corpus.AUDIENCE, leeway=LEEWAY))


def _python_jose(tenant: Tenant) -> Peer:
    """Key made once; it also checks exp and aud."""
    from jose import jwk, jwt

    key = jwk.construct(tenant.current_key.public_jwk(), "RS256")
    options = {"leeway": LEEWAY}
    return Peer(lambda token: jwt.decode(token, key, algorithms=ALGORITHMS, audience=corpus.AUDIENCE, options=options))


def _jwcrypto(tenant: Tenant) -> Peer:
    """Key made once; it also checks exp and nbf."""
    from jwcrypto import jwk, jwt
    from jwcrypto.common import json_decode

    key = jwk.JWK(**tenant.current_key.public_jwk())
    return Peer(lambda token: json_decode(jwt.JWT(jwt=token, key=key, algs=ALGORITHMS, expected_type="JWS").claims))


# Whole verifications: client, key, claims, replay


class Refused(Exception):
    """A check written by hand refused."""


def _check_by_hand(claims: Mapping[str, Any], client_id: str, used: set[tuple[str, str]]) -> None:
    if claims["iss"] != client_id or claims["sub"] != client_id:
        raise Refused("iss, sub")
    mark = (client_id, claims["jti"])
    if mark in used:
        raise Refused("replayed")
    used.add(mark)


def _pyjwk_client(tenant: Tenant) -> Peer:
    """One PyJWKClient for each client, its set cached; iss, sub and a set of used jti by hand."""
    import jwt

    clients = {tenant.client_id: jwt.PyJWKClient(tenant.jwks_uri)}
    used: set[tuple[str, str]] = set()
    require = {"require": ["iss", "sub", "aud", "exp", "jti"]}

    def check(token: str) -> None:
        unverified = jwt.decode_complete(token, options={"verify_signature": False})
        client_id = unverified["payload"]["iss"]
        key = clients[client_id].get_signing_key(unverified["header"]["kid"])
        claims = jwt.decode(token, key, algorithms=ALGORITHMS, audience=corpus.AUDIENCE, leeway=LEEWAY, options=require)
        _check_by_hand(claims, client_id, used)

    return Peer(check, used.clear)


def _authlib(tenant: Tenant) -> Peer:
    """Keys imported once; validate_jti over a dict, as its documentation sketches over Redis."""
    from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
    from joserfc.jwk import KeySet, RSAKey

    keys = KeySet([RSAKey.import_key(tenant.current_key.public_jwk())])
    used: dict[str, bool] = {}

    class ClientAssertion(JWTBearerClientAssertion):  # type: ignore[misc]
        def get_audiences(self) -> list[str]:
            return [corpus.AUDIENCE]

        def validate_jti(self, claims: Any, jti: str) -> bool:
            key = f"jti:{claims['sub']}-{jti}"
            if key in used:
                return False
            used[key] = True
            return True

        def resolve_client_public_key(self, _client: Any) -> Any:
            return keys

    client = SimpleNamespace(check_endpoint_auth_method=lambda _method, _endpoint: True)
    find = {tenant.client_id: client}.get
    authenticate = ClientAssertion(leeway=LEEWAY)

    def check(token: str) -> None:
        request = SimpleNamespace(form=ours.form(token, tenant.client_id), client=None)
        if authenticate(find, request) is None:
            raise Refused("no client")

    return Peer(check, used.clear)


def _idpyoidc(tenant: Tenant) -> Peer:
    """Keys in its KeyJar by value; its own jti_db."""
    from idpyoidc.server import Server
    from idpyoidc.server.client_authn import PrivateKeyJWT

    server = Server(
        {
            "issuer": corpus.AUDIENCE,
            "key_conf": {"key_defs": [{"type": "EC", "crv": "P-256", "use": ["sig"]}]},
            "endpoint": {
                "token": {
                    "path": "token",
                    "class": "idpyoidc.server.oidc.token.Token",
                    "kwargs": {"client_authn_method": ["private_key_jwt"]},
                }
            },
            "token_handler_args": {
                "key_conf": {"key_defs": [{"type": "OCT", "bytes": 24, "use": ["enc"], "kid": "code"}]}
            },
            "client_authn_methods": {"private_key_jwt": "idpyoidc.server.client_authn.PrivateKeyJWT"},
        }
    )
    server.context.cdb[tenant.client_id] = {"token_endpoint_auth_method": "private_key_jwt"}
    server.keyjar.import_jwks(tenant.document(), tenant.client_id)
    method = PrivateKeyJWT(server.unit_get)

    def check(token: str) -> None:
        found = method.verify(request=ours.form(token, tenant.client_id))
        server.context.cdb[found["client_id"]]

    return Peer(check, server.context.jti_db.clear)


def _cryptojwt(tenant: Tenant) -> Peer:
    """KeyJar by value; aud, iss, sub, jti by hand."""
    from cryptojwt.jwt import JWT
    from cryptojwt.key_jar import KeyJar

    jar = KeyJar()
    jar.import_jwks(tenant.document(), tenant.client_id)
    used: set[tuple[str, str]] = set()
    reader = JWT(jar, skew=LEEWAY, allowed_sign_algs=ALGORITHMS, allowed_max_lifetime=corpus.LIFETIME)

    def check(token: str) -> None:
        claims = reader.unpack(token)
        audience = claims["aud"]
        if "exp" not in claims or corpus.AUDIENCE not in ([audience] if isinstance(audience, str) else audience):
            raise Refused("aud, exp")
        _check_by_hand(claims, tenant.client_id, used)

    return Peer(check, used.clear)


KINDS = (
    Kind("private-key-jwt", WHOLE, _ours),
    Kind("joserfc jwt.decode", BARE, _joserfc),
    Kind("PyJWT decode", BARE, _pyjwt),
    Kind("python-jose jwt.decode", BARE, _python_jose),
    Kind("jwcrypto JWT", BARE, _jwcrypto),
    Kind("PyJWT PyJWKClient + by hand", WHOLE, _pyjwk_client),
    Kind("Authlib JWTBearerClientAssertion", WHOLE, _authlib),
    Kind("idpyoidc PrivateKeyJWT", WHOLE, _idpyoidc),
    Kind("cryptojwt JWT.unpack + by hand", WHOLE, _cryptojwt),
)


# What they check

REPLAY, KEY = "replayed", "key of 2048 bits"


def _verdict(check: Callable[[str], object], token: str) -> str | None:
    """None when it accepts, or else the name of what it raised."""
    try:
        check(token)
    except Exception as error:  # refused: by design or by accident, its name tells
        return type(error).__name__
    return None


def verdicts(kind: Kind, tenant: Tenant, weak: Tenant, sent: Mapping[str, str]) -> dict[str, str | None]:
    """Return what it answers to each defect, to a replay, and to a key that is too short."""
    peer = kind.make(tenant)
    good = corpus.new_token(tenant)
    if (refused := _verdict(peer.check, good)) is not None:
        raise AssertionError(f"{kind.name} refuses a good assertion: {refused}")
    found = {REPLAY: _verdict(peer.check, good)}
    found |= {name: _verdict(peer.check, token) for name, token in sent.items()}
    found[KEY] = _verdict(lambda token: kind.make(weak).check(token), weak.assertion())
    return found


def checks(found: Mapping[str, str | None]) -> dict[str, str]:
    """By the reason that there is to refuse: ``yes`` when all was refused, ``no`` when nothing was, else how much."""
    groups: dict[str, list[str]] = {}
    for name, defect in DEFECTS.items():
        groups.setdefault(defect.reason, []).append(name)
    answers = {}
    for group, names in {**groups, REPLAY: [REPLAY], KEY: [KEY]}.items():
        refused = sum(found[name] is not None for name in names)
        answers[str(group)] = "yes" if refused == len(names) else f"{refused}/{len(names)}" if refused else "no"
    return answers


# Together


@contextmanager
def _published() -> Iterator[tuple[Tenant, Tenant]]:
    """Two clients whose keys are published on the loopback interface; that of the second is too short."""
    port = free_port()
    party = RelyingParty(audience=corpus.AUDIENCE, base_url=f"http://127.0.0.1:{port}/api")
    tenant, weak = party.tenant("acme"), party.tenant("weak")
    weak._keys = [SigningKey("weak", generate_private_key(public_exponent=65_537, key_size=1_024))]
    weak._published = tuple(weak._keys)
    with party.serve(port):
        yield tenant, weak


def _quieten() -> None:
    for name in ("idpyoidc", "cryptojwt", "authlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Of keys that are weak on purpose.
    warnings.showwarning = lambda *_args, **_kwargs: None


def run(step: Step, *, short: bool) -> Section:
    """Times and checks of all peers."""
    section = Section("peers", "Peers, on the same tokens (ratio to the RSA operation)")
    with _published() as (tenant, weak), warnings.catch_warnings():
        _quieten()
        answers = {}
        sent = {name: defect.make(tenant) for name, defect in DEFECTS.items()}
        for kind in KINDS:
            step(f"checks of {kind.name}")
            found = verdicts(kind, tenant, weak, sent)
            answers[kind.name] = checks(found)
            section.data[f"checks of {kind.name}"] = found
        tokens = corpus.tokens(tenant, 400 if short else 2_000)
        made = {kind.name: kind.make(tenant) for kind in KINDS}
        paths = [CodePath(name, partial(calls, peer.check), tokens, peer.renew) for name, peer in made.items()]
        measured = interleave(paths, corpus.floor(tenant.current_key, tokens), 8 if short else 100, 40, step)
        for kind in KINDS:
            result = measured[kind.name]
            checked, groups = sum(answer == "yes" for answer in answers[kind.name].values()), len(answers[kind.name])
            note = f"{result.microseconds.median:.1f} µs; {checked} of {groups} kinds of check. {kind.make.__doc__}"
            section.rows.append(Row.of(f"{kind.what}: {kind.name}", result.ratio, note=note))
            section.data[kind.name] = {"ratios": result.ratios, "seconds": result.seconds, "what": kind.what}
            section.data[kind.name] |= {"checked": checked, "checks": groups}
    rows = [[group, *(each[group] for each in answers.values())] for group in next(iter(answers.values()))]
    section.tables.append(("What each refuses, of the DEFECTS of private_key_jwt.testing", ["check", *answers], rows))
    section.notes.append(
        "a bare decode is given its key and refuses no client, no replay: it is the least that each library must do."
        f" A refusal counts, whatever was raised. All with RS256 only, and {LEEWAY} s of leeway where they have it."
    )
    return section
