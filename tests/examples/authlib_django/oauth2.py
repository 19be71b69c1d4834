"""The authorization server. private_key_jwt comes in at the end."""

from authlib.integrations.django_oauth2 import AuthorizationServer, RevocationEndpoint
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from private_key_jwt import AssertionPolicy, ClientAssertionVerifier, JWKSFetcher, JWKSPolicy
from private_key_jwt.integrations.authlib import register_private_key_jwt, registered_clients
from private_key_jwt.stores import SQLiteReplayStore

from .models import Client, Token


class Introspection(IntrospectionEndpoint):
    def query_token(self, token, token_type_hint):
        return Token.objects.filter(access_token=token).first()

    def check_permission(self, token, client, request):
        return token.check_client(client)

    def introspect_token(self, token):
        return {"client_id": token.client_id, "scope": token.scope}


server = AuthorizationServer(Client, Token)
server.register_grant(ClientCredentialsGrant)
server.register_endpoint(RevocationEndpoint)
server.register_endpoint(Introspection)

verifier = ClientAssertionVerifier(
    policy=AssertionPolicy(audience="https://op.example.com"),
    clients=registered_clients(server),
    replay_store=SQLiteReplayStore("replay.sqlite3"),
    jwks=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),  # to try it out: in production without this line
)
register_private_key_jwt(server, verifier)
