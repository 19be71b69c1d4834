"""An authorization server of Authlib's on Flask, with its models in SQLAlchemy: what you have already."""

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
from sqlalchemy import Column, Integer, create_engine
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

ISSUER = "https://op.example.com"  # yours, exactly

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


def create_tables():
    Base.metadata.create_all(engine)


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


server = AuthorizationServer(
    query_client=create_query_client_func(session, Client), save_token=create_save_token_func(session, Token)
)
server.register_grant(ClientCredentialsGrant)
server.register_endpoint(create_revocation_endpoint(session, Token))
server.register_endpoint(Introspection)
