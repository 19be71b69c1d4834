"""What the dotted paths of a project's settings name."""

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    JWKSFetcher,
    MemoryReplayStore,
    RegisteredClient,
)

made: list[object] = []

client = RegisteredClient("c", jwks_uri="https://c.example/jwks.json")
store = MemoryReplayStore()
fetcher = JWKSFetcher()
async_fetcher = AsyncJWKSFetcher()
verifier = ClientAssertionVerifier(policy=AssertionPolicy(audience="a"), clients=[client], replay_store=store)


def find_client(client_id: str) -> RegisteredClient | None:
    return client if client_id == "c" else None


def make_store() -> MemoryReplayStore:
    made.append(MemoryReplayStore())
    return made[-1]  # type: ignore[return-value]


def make_fetcher() -> JWKSFetcher:
    return fetcher


def make_async_verifier() -> AsyncClientAssertionVerifier:
    return AsyncClientAssertionVerifier(policy=AssertionPolicy(audience="a"), clients=[client], replay_store=store)


def make_async_verifier_alone() -> AsyncClientAssertionVerifier:
    policy = AssertionPolicy(audience="a")
    return AsyncClientAssertionVerifier(policy=policy, clients=[client], replay_store=MemoryReplayStore())


class ElsewhereReplayStore(MemoryReplayStore):
    """Stands for one that several processes share."""

    in_process = False


def make_async_verifier_elsewhere() -> AsyncClientAssertionVerifier:
    policy = AssertionPolicy(audience="a")
    return AsyncClientAssertionVerifier(policy=policy, clients=[client], replay_store=ElsewhereReplayStore())


def make_nothing() -> None:
    return None


def make_trouble() -> None:
    raise OSError("no such host")


class RouterElsewhere:
    """Keeps the app of the replay store from the database that it uses."""

    def allow_migrate(self, db: str, app_label: str, **_hints: object) -> bool | None:
        return db != "default" if app_label == "private_key_jwt" else None
