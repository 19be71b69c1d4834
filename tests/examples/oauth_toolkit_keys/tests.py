"""Run them: django-admin test oauth_toolkit_keys"""

from unittest.mock import patch
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import TestCase
from oauth2_provider.models import Application

from private_key_jwt import ClientAssertionVerifier, JWKSFetcher, JWKSPolicy, MemoryReplayStore
from private_key_jwt.testing import RelyingParty

from .models import ClientKeys, find_client
from .validators import Validator


class TokenTest(TestCase):
    def setUp(self) -> None:
        kind = {"client_type": "confidential", "authorization_grant_type": "client-credentials"}
        party = RelyingParty()
        self.tenant = party.tenant("acme")
        for client_id in (self.tenant.client_id, "plain"):
            Application.objects.create(client_id=client_id, client_secret="s3cret", **kind)
        server = self.enterContext(party.serve())
        ClientKeys.objects.create(
            application=Application.objects.get(client_id=self.tenant.client_id),
            jwks_uri=self.tenant.client(server.base_url).jwks_uri,
        )
        verifier = ClientAssertionVerifier(
            policy=Validator.client_assertion_verifier.policy,
            clients=find_client,
            replay_store=MemoryReplayStore(),
            fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),
        )
        self.enterContext(patch.object(Validator, "client_assertion_verifier", verifier))

    def post(self, **form: str) -> HttpResponse:
        sent = {
            "data": urlencode({"grant_type": "client_credentials", **form}),
            "content_type": "application/x-www-form-urlencoded",
        }
        return self.client.post("/o/token/", **sent)

    def test_an_application_with_keys_gets_in_by_an_assertion_and_by_nothing_else(self) -> None:
        form = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        assert self.post(client_assertion=self.tenant.assertion(), **form).status_code == 200
        with self.assertLogs("private_key_jwt", "WARNING") as logs:
            assert self.post(client_id=self.tenant.client_id, client_secret="s3cret").status_code == 401
        assert "reason=missing_assertion" in logs.output[0]

    def test_the_others_go_on_as_before(self) -> None:
        assert self.post(client_id="plain", client_secret="s3cret").status_code == 200
