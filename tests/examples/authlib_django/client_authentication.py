"""Here private_key_jwt comes in."""

from private_key_jwt import AssertionPolicy, ClientAssertionVerifier, JWKSFetcher, JWKSPolicy, events
from private_key_jwt.integrations.authlib import register_private_key_jwt, registered_clients
from private_key_jwt.stores import SQLiteReplayStore

from .oauth2 import ISSUER, server

verifier = ClientAssertionVerifier(
    policy=AssertionPolicy(audience=ISSUER),  # what your metadata says, exactly
    clients=registered_clients(server),  # their jwks_uri or jwks is in your client model
    replay_store=SQLiteReplayStore("replay.sqlite3"),  # shared by all workers of this host
    fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),  # to try it out: in production without this line
    on_event=events.log_events,  # why somebody is refused
)
register_private_key_jwt(server, verifier)
