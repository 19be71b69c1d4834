"""The partner's OpenID Provider: authorization code with PKCE, and a token endpoint that takes private_key_jwt.

The smallest one that shows it whole: users and codes are in memory, and whoever logs in consents.
"""

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from private_key_jwt import AsyncClientAssertionVerifier, VerifiedAssertion, client_authentication_metadata
from private_key_jwt.integrations.fastapi import ClientAuthentication

CODE_LIFETIME = 60  # seconds


@dataclass
class User:
    sub: str
    email: str
    salt: bytes
    password_hash: bytes
    is_active: bool = True

    @classmethod
    def new(cls, sub: str, email: str, password: str) -> "User":
        salt = secrets.token_bytes(16)
        return cls(sub, email, salt, _hash(password, salt))

    def may_log_in(self, password: str) -> bool:
        return self.is_active and secrets.compare_digest(self.password_hash, _hash(password, self.salt))


@dataclass
class Grant:
    """What an authorization code stands for."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    nonce: str
    user: User
    expires_at: float

    def is_for(self, client_id: str, form: Mapping[str, object]) -> bool:
        return (
            self.client_id == client_id
            and self.redirect_uri == form.get("redirect_uri")
            and self.code_challenge == _challenge(str(form.get("code_verifier")))
            and time.time() < self.expires_at
            and self.user.is_active
        )


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def _challenge(code_verifier: str) -> str:  # RFC 7636 §4.6
    return urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()


def _may_authorize(asked: Mapping[str, str], redirect_uris: dict[str, str]) -> bool:
    return (
        asked.get("redirect_uri") == redirect_uris.get(asked.get("client_id", ""), "")
        and asked.get("response_type") == "code"
        and asked.get("code_challenge_method") == "S256"
        and bool(asked.get("code_challenge"))
    )


def create_app(
    issuer: str, verifier: AsyncClientAssertionVerifier, users: dict[str, User], redirect_uris: dict[str, str]
) -> FastAPI:
    """users: by email. redirect_uris: the one of each client, by client_id."""
    authenticate = ClientAuthentication(verifier)
    app = FastAPI(lifespan=authenticate.lifespan)
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "op-1"}, auto_kid=False)
    codes: dict[str, Grant] = {}

    @app.get("/.well-known/openid-configuration")
    async def metadata() -> dict[str, object]:
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks.json",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            **client_authentication_metadata(),
        }

    app.add_api_route("/jwks.json", lambda: KeySet([key]).as_dict(private=False))

    @app.get("/authorize")
    async def login_page(request: Request) -> Response:
        if not _may_authorize(request.query_params, redirect_uris):
            return JSONResponse({"error": "invalid_request"}, status_code=400)  # never redirect to who is not known
        action = escape(f"/authorize?{request.url.query}")
        return HTMLResponse(f'<form method="post" action="{action}"><input name="email"><input name="password"></form>')

    @app.post("/authorize")
    async def log_in(request: Request, email: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
        if not _may_authorize(request.query_params, redirect_uris):
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        asked = request.query_params
        user = users.get(email)
        if user is None or not user.may_log_in(password):
            return HTMLResponse("Wrong email or password.", status_code=403)
        code = secrets.token_urlsafe(32)
        codes[code] = Grant(
            client_id=asked["client_id"],
            redirect_uri=asked["redirect_uri"],
            code_challenge=asked["code_challenge"],
            nonce=asked.get("nonce", ""),
            user=user,
            expires_at=time.time() + CODE_LIFETIME,
        )
        back = urlencode({"code": code, "state": asked.get("state", ""), "iss": issuer})  # RFC 9207
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=303)

    @app.post("/token", openapi_extra=authenticate.openapi_extra)
    async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)], request: Request) -> JSONResponse:
        form = await request.form()
        if form.get("grant_type") != "authorization_code":
            return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
        grant = codes.pop(str(form.get("code")), None)  # single-use, whatever comes of it
        if grant is None or not grant.is_for(client.client_id, form):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {"iss": issuer, "sub": grant.user.sub, "aud": client.client_id, "iat": now, "exp": now + 300}
        claims |= {"nonce": grant.nonce, "email": grant.user.email}
        body = {
            "access_token": secrets.token_urlsafe(32),
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": jwt.encode({"alg": "RS256", "kid": "op-1"}, claims, key),
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return app
