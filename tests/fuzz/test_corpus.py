"""The corpus of the fuzzers, replayed without them, over sync and async."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from edges import Edge
from fuzz import targets
from private_key_jwt import JWKSPolicy
from private_key_jwt._core.jwk_set import KeySet

CORPUS = Path(__file__).parent / "corpus"
Replay = Callable[[bytes], None]


def inputs(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def replay(name: str, target: Replay) -> None:
    for path in sorted((CORPUS / name).iterdir()):
        try:
            target(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name}: {error!r}") from error


def test_each_target_has_a_small_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir()} == targets.TARGETS.keys()
    for name in targets.TARGETS:
        assert 5 < len(inputs(name)) <= 100, name
        assert max(map(len, inputs(name))) <= 1_024, name


@pytest.mark.parametrize("name", ["strict_json", "jwks", "form"])
def test_the_corpora_without_an_edge_keep_their_promises(name: str) -> None:
    replay(name, targets.TARGETS[name])


def test_the_corpus_of_claims_keeps_its_promises(edge: Edge) -> None:
    verifier = edge.verifier(**targets.settings(keys=targets.keys()))
    replay("claims", partial(targets.claims, begin=verifier.begin))


def test_the_corpus_of_tokens_keeps_its_promises(edge: Edge) -> None:
    verifier = edge.verifier(**targets.settings(keys=targets.keys()))
    replay("token", partial(targets.token, begin=verifier.begin))
    accepted = [data for data in inputs("token") if targets.refused(partial(verifier.begin, data)) is None]
    assert accepted, "no token of the corpus is accepted any more: its target checks little then"


@pytest.fixture
def refresh(edge: Edge) -> Callable[[bytes], KeySet]:
    """A fetch of a document over the whole of a fetcher."""
    bodies: list[bytes] = []

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json"}, stream=httpx.ByteStream(bodies[-1]))

    http = edge.http_client(transport=httpx.MockTransport(answer))
    fetcher = edge.fetcher(JWKSPolicy(), http_client=http)

    def fetch(body: bytes) -> KeySet:
        bodies.append(body)
        found: KeySet = fetcher.refresh(f"https://rp.example/{len(bodies)}")
        return found

    return fetch


def test_the_corpus_of_key_sets_keeps_its_promises(refresh: Callable[[bytes], KeySet]) -> None:
    replay("jwks", partial(targets.jwks, refresh=refresh))
