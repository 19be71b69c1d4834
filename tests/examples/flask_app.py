"""A token endpoint in Flask. Run it: flask --app flask_app run --port 8000"""

import os

from flask import Flask, Response, jsonify

from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    VerifiedAssertion,
    events,
    ledgerbee,
)
from private_key_jwt.integrations.flask import client_authentication

SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys


def create_app(verifier: ClientAssertionVerifier) -> Flask:
    app = Flask(__name__)

    @app.post("/token")
    @client_authentication(verifier)
    def token(client: VerifiedAssertion) -> Response:
        response = jsonify(access_token=f"for {client.client_id}", token_type="Bearer")
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


app = create_app(
    ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),  # your issuer, exactly
        clients=[ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
        replay_store=MemoryReplayStore(),  # several workers must share one
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)) if SIMULATOR else None,
        on_event=events.log_events,  # why somebody is refused: a warning of the logger "private_key_jwt"
    )
)
