"""Keys beside the applications that are there already."""

from django.db import models

from private_key_jwt import RegisteredClient


class ClientKeys(models.Model):
    application = models.OneToOneField("oauth2_provider.Application", models.CASCADE)
    jwks_uri = models.URLField()


def find_client(client_id: str) -> RegisteredClient | None:
    keys = ClientKeys.objects.select_related("application").filter(application__client_id=client_id).first()
    return keys and RegisteredClient(keys.application.client_id, jwks_uri=keys.jwks_uri)
