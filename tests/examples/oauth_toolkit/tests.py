"""Run them: django-admin test oauth_toolkit"""

from unittest.mock import patch
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import TestCase

from private_key_jwt import ClientAssertionVerifier, MemoryReplayStore
from private_key_jwt.testing import RelyingParty

from .models import Application
from .settings import ISSUER
from .validators import Validator


class TokenTest(TestCase):
    def setUp(self) -> None:
        self.tenant = RelyingParty(audience=ISSUER).tenant("acme")
        verifier = ClientAssertionVerifier(
            policy=Validator.client_assertion_verifier.policy,
            clients=[self.tenant.client(jwks_uri=None, jwks=self.tenant.document())],  # by value: nothing is fetched
            replay_store=MemoryReplayStore(),  # no other connection sees a TestCase's database
        )
        self.enterContext(patch.object(Validator, "client_assertion_verifier", verifier))
        kind = {"client_type": "confidential", "authorization_grant_type": "client-credentials"}
        Application.objects.create(client_id=self.tenant.client_id, **kind)

    def post(self, assertion: str) -> HttpResponse:
        form = {"grant_type": "client_credentials", "client_assertion": assertion}
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        # Django's client sends a dictionary as multipart, which is no token request.
        sent = {"data": urlencode(form), "content_type": "application/x-www-form-urlencoded"}
        return self.client.post("/o/token/", **sent)

    def test_a_client_gets_a_token_for_an_assertion_and_only_once(self) -> None:
        assertion = self.tenant.assertion()
        assert self.post(assertion).status_code == 200
        with self.assertLogs("private_key_jwt", "WARNING") as logs:
            assert self.post(assertion).status_code == 401
        assert "reason=replayed" in logs.output[0]

    def test_an_assertion_for_another_server_is_refused(self) -> None:
        with self.assertLogs("private_key_jwt", "WARNING") as logs:
            assert self.post(self.tenant.assertion(aud="https://other.example")).status_code == 401
        assert "reason=audience_mismatch" in logs.output[0]
