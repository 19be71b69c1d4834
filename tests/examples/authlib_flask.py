"""An authorization server: Authlib on Flask. Run it: python authlib_flask.py"""

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_query_token_func,
    create_revocation_endpoint,
    create_save_token_func,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, jsonify
from sqlalchemy import Column, Integer, create_engine
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    client_authentication_metadata,
)
from private_key_jwt.integrations.authlib import register_private_key_jwt, registered_clients
from private_key_jwt.stores import SQLiteReplayStore

ISSUER = "https://op.example.com"
engine = create_engine("sqlite:///op.sqlite3")
session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase):
    pass


class Client(Base, OAuth2ClientMixin):
    __tablename__ = "client"
    id = Column(Integer, primary_key=True)


class Token(Base, OAuth2TokenMixin):
    __tablename__ = "token"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)


def add_client(client_id, client_secret="", **metadata):
    client = Client(client_id=client_id, client_secret=client_secret)
    client.set_client_metadata({"grant_types": ["client_credentials"], **metadata})
    session.add(client)
    session.commit()


class Introspection(IntrospectionEndpoint):
    query_token = staticmethod(create_query_token_func(session, Token))

    def check_permission(self, token, client, request):
        return token.check_client(client)

    def introspect_token(self, token):
        return {"client_id": token.client_id, "scope": token.scope}


app = Flask(__name__)
server = AuthorizationServer(app, create_query_client_func(session, Client), create_save_token_func(session, Token))
server.register_grant(ClientCredentialsGrant)
server.register_endpoint(create_revocation_endpoint(session, Token))
server.register_endpoint(Introspection)

# Here private_key_jwt comes in.
verifier = ClientAssertionVerifier(
    policy=AssertionPolicy(audience=ISSUER),
    clients=registered_clients(server),
    replay_store=SQLiteReplayStore("replay.sqlite3"),
    jwks=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),  # to try it out: in production without this line
)
register_private_key_jwt(server, verifier)


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


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    if session.query(Client).count() == 0:  # a client to try it with: private-key-jwt simulate --port 8001
        uri = "http://127.0.0.1:8001/api/.well-known/portal-sso/acme/jwks.json"
        add_client("portal-acme", token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    app.run(port=8000)
