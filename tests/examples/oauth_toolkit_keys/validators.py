"""Here private_key_jwt comes in."""

from oauth2_provider.oauth2_validators import OAuth2Validator

from private_key_jwt import AssertionPolicy, ClientAssertionVerifier, events
from private_key_jwt.integrations.oauth_toolkit import ClientAssertionMixin
from private_key_jwt.stores import SQLiteReplayStore

from .models import find_client
from .settings import ISSUER


class Validator(ClientAssertionMixin, OAuth2Validator):
    client_assertion_verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=ISSUER),
        clients=find_client,
        replay_store=SQLiteReplayStore("replay.sqlite3"),
        workers=2,
        on_event=events.log_events,
    )
