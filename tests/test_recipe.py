"""The order of the recipe: of several faults of one assertion, the one whose check comes first is what refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import pytest

from edges import Edge
from private_key_jwt import AssertionPolicy, Check, InvalidClient, MemoryReplayStore, RegisteredClient
from private_key_jwt.testing import REMOVED, Clock, SigningKey
from support import OP

NOW = 1_700_000_000
POLICY = AssertionPolicy(audience=OP, require_kid=True, require_typ=True)
HEADER = {"alg": "RS256", "kid": "k", "typ": "client-authentication+jwt"}
CLAIMS = {"iss": "c", "sub": "c", "aud": OP, "iat": NOW, "exp": NOW + 60, "jti": "new"}


class Fault(NamedTuple):
    """What of a good request is changed, so that one check fails."""

    header: Mapping[str, Any] = MappingProxyType({})
    claims: Mapping[str, Any] = MappingProxyType({})
    client_id: str = "c"
    is_forged: bool = False

    @property
    def place(self) -> set[str]:
        """Name what is changed: of two faults in one place there is one only."""
        names = {"request"} if self.client_id != "c" else {"key"} if self.is_forged else set()
        return {*self.header, *self.claims, *names}


FAULTS: dict[Check, Fault] = {
    "crit": Fault({"crit": ["x"]}),
    "zip_cty": Fault({"zip": "DEF"}),
    "alg": Fault({"alg": 256}),
    "kid": Fault({"kid": ""}),
    "typ": Fault({"typ": "at+jwt"}),
    "iss": Fault({}, {"iss": ""}),
    "sub": Fault({}, {"sub": ""}),
    "client_id": Fault(client_id="another"),
    "client": Fault({}, {"iss": "nobody", "sub": "nobody"}, "nobody"),
    "signing_algs": Fault({"alg": "PS256"}),
    "require_kid": Fault({"kid": REMOVED}),
    "require_typ": Fault({"typ": REMOVED}),
    "aud": Fault({}, {"aud": "https://another-op.example"}),
    "exp": Fault({}, {"exp": NOW - 60}),
    "iat": Fault({}, {"iat": NOW + 60}),
    "nbf": Fault({}, {"nbf": NOW + 60}),
    "lifetime": Fault({}, {"iat": NOW - 3_600}),
    "jti": Fault({}, {"jti": ""}),
    "key": Fault({"kid": "not-published"}),
    "signature": Fault(is_forged=True),
    "replay": Fault({}, {"jti": "used"}),
}
KEY, STRANGER = SigningKey.generate("k"), SigningKey.generate("k")


def present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not REMOVED}


def ask(verifier: Any, *faults: Fault) -> Any:
    header, claims, client_id, key = HEADER, CLAIMS, "c", KEY
    for fault in faults:
        header, claims = {**header, **fault.header}, {**claims, **fault.claims}
        client_id = fault.client_id if fault.client_id != "c" else client_id
        key = STRANGER if fault.is_forged else key
    return verifier.verify(key.sign(present(header), present(claims)), client_id)


@pytest.fixture
def verifier(edge: Edge) -> Any:
    client = RegisteredClient("c", jwks={"keys": [KEY.public_jwk()]})
    verifier = edge.verifier(policy=POLICY, clients=[client], replay_store=MemoryReplayStore(), clock=Clock(NOW))
    ask(verifier, FAULTS["replay"])  # that jti is used from now on
    return verifier


def test_every_fault_is_refused_by_its_check_and_in_the_order_of_these(verifier: Any) -> None:
    assert list(FAULTS) == [check for check in get_args(Check) if check in FAULTS]
    assert ask(verifier).client_id == "c"
    for check, fault in FAULTS.items():
        with pytest.raises(InvalidClient) as refused:
            ask(verifier, fault)
        assert refused.value.check == check


@pytest.mark.parametrize("first", FAULTS)
def test_of_two_faults_the_one_whose_check_comes_first_refuses(verifier: Any, first: Check) -> None:
    faults_behind = [*FAULTS.values()][[*FAULTS].index(first) + 1 :]
    for fault in faults_behind:
        if fault.place.isdisjoint(FAULTS[first].place):
            with pytest.raises(InvalidClient) as refused:
                ask(verifier, FAULTS[first], fault)
            assert refused.value.check == first
