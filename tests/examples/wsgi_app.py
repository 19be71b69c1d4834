"""A token endpoint in plain WSGI. Run it: python wsgi_app.py"""

import json
import os
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    events,
    ledgerbee,
)
from private_key_jwt.integrations import TokenRequest, encode_error

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys


def create_app(verifier: ClientAssertionVerifier) -> "WSGIApplication":
    def token(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            request = TokenRequest.from_wsgi(environ)
            form = request.form(request.read(environ["wsgi.input"]))
            client = verifier.authenticate(form, request.authorization)
        except AuthenticationError as error:
            verifier.report_refusal(error)  # one event, wherever it fell
            status, headers, body = encode_error(error)
        else:
            status, headers = 200, {"Content-Type": "application/json", "Cache-Control": "no-store"}
            body = json.dumps({"access_token": f"for {client.client_id}", "token_type": "Bearer"}).encode()
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
        return [body]

    return token


app = create_app(
    ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),  # your issuer, exactly
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
        replay_store=MemoryReplayStore(),  # several workers must share one
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)) if SIMULATOR else None,
        on_event=events.log_events,  # why somebody is refused: a warning of the logger "private_key_jwt"
    )
)

if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), app).serve_forever()
