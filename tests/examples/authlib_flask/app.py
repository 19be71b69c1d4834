"""The endpoints."""

from flask import Flask, jsonify

from private_key_jwt import client_authentication_metadata

from .client_authentication import server
from .oauth2 import ISSUER, session

app = Flask(__name__)
server.init_app(app)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    methods = client_authentication_metadata(other_methods=["client_secret_basic"])
    return jsonify({"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", **methods})


@app.teardown_appcontext
def end(_error):
    session.remove()
