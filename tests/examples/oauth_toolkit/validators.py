"""Here private_key_jwt comes in."""

from oauth2_provider.oauth2_validators import OAuth2Validator

from private_key_jwt import AssertionPolicy, ClientAssertionVerifier, JWKSFetcher, JWKSPolicy, events
from private_key_jwt.integrations.oauth_toolkit import ClientAssertionMixin, registered_applications
from private_key_jwt.stores import SQLiteReplayStore

from .settings import ISSUER


class Validator(ClientAssertionMixin, OAuth2Validator):
    client_assertion_verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=ISSUER),
        clients=registered_applications(),  # those that have a jwks_uri
        replay_store=SQLiteReplayStore("replay.sqlite3"),  # shared by all workers of this host
        workers=2,  # of gunicorn, say: a store that they do not share is refused
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),  # to try it out: in production without this line
        on_event=events.log_events,  # why somebody is refused
    )
