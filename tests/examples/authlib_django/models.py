"""Clients and tokens as Authlib asks for them."""

import secrets
import time

from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from django.db import models


class Client(models.Model, ClientMixin):
    client_id = models.CharField(max_length=100, unique=True)
    client_secret = models.CharField(max_length=100, blank=True)
    token_endpoint_auth_method = models.CharField(max_length=40, default="client_secret_basic")
    jwks_uri = models.URLField(blank=True)
    scope = models.TextField(blank=True)
    user_id = None

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return " ".join(each for each in (scope or "").split() if each in self.scope.split())

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.token_endpoint_auth_method

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


class Token(models.Model, TokenMixin):
    client_id = models.CharField(max_length=100)
    user_id = models.BigIntegerField(null=True)
    token_type = models.CharField(max_length=40)
    access_token = models.CharField(max_length=255, unique=True)
    refresh_token = models.CharField(max_length=255, blank=True)
    scope = models.TextField(blank=True)
    issued_at = models.FloatField(default=time.time)
    expires_in = models.IntegerField(default=0)
    revoked = models.BooleanField(default=False)

    def check_client(self, client):
        return self.client_id == client.client_id

    def is_expired(self):
        return self.issued_at + self.expires_in < time.time()

    def is_revoked(self):
        return self.revoked
