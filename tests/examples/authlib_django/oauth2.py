"""An authorization server of Authlib's on Django: what you have already."""

from authlib.integrations.django_oauth2 import AuthorizationServer, RevocationEndpoint
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from .models import Client, Token

ISSUER = "https://op.example.com"  # yours, exactly


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
