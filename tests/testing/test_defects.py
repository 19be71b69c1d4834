"""Each defect, against real verifiers, sync and async."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edges import Edge
from private_key_jwt import (
    AssertionPolicy,
    ConfigurationError,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt.testing import DEFECTS, Clock, RelyingParty, defects_of, key_defects_of
from private_key_jwt.testing._keys import compact

from .conftest import AUDIENCE, MakeVerify, Verify

# What an assertion alone cannot bring about: it takes another key set, or a second use.
BEYOND_ONE_ASSERTION = {
    Reason.NO_KEYS,
    Reason.UNUSABLE_KEY,
    Reason.AMBIGUOUS_KEY,
    Reason.REPLAYED,
    Reason.MISSING_ASSERTION,
}
OF_THE_SERVER = {
    Reason.JWKS_UNAVAILABLE,
    Reason.REPLAY_STORE_UNAVAILABLE,
    Reason.REPLAY_STORE_FULL,
    Reason.CLIENT_LOOKUP_FAILED,
    Reason.INVALID_REQUEST,
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_is_refused_for_its_reason(name: str, relying_party: RelyingParty, verify: Verify) -> None:
    tenant = relying_party.tenant()
    verify(tenant.assertion())  # the keys are known now
    with pytest.raises(InvalidClient) as refused:
        verify(tenant.defective(name))
    assert refused.value.reason is DEFECTS[name].reason, refused.value.detail
    verify(tenant.assertion())  # and nothing is worse than before


@pytest.mark.parametrize("fraction", [0.0, 0.999])
def test_each_holds_at_any_part_of_a_second(
    fraction: float, relying_party: RelyingParty, clock: Clock, verify: Verify
) -> None:
    clock.set(1_800_000_000 + fraction)
    for defect in DEFECTS.values():
        with pytest.raises(InvalidClient) as refused:
            verify(defect.make(relying_party.tenant()))
        assert refused.value.reason is defect.reason, defect


EACH_ALG = [alg for alg in ALGORITHMS if alg != "RS256"]


@pytest.mark.parametrize("alg", EACH_ALG)
def test_each_is_refused_for_its_reason_with_each_algorithm(alg: str, clock: Clock, make_verify: MakeVerify) -> None:
    relying_party = RelyingParty(audience=AUDIENCE, clock=clock, alg=alg)
    verify = make_verify(relying_party)
    tenant = relying_party.tenant()
    verify(tenant.assertion())
    for defect in defects_of(alg).values():
        with pytest.raises(InvalidClient) as refused:
            verify(tenant.defective(defect.name))
        assert refused.value.reason is defect.reason, (defect.name, refused.value.detail)
    verify(tenant.assertion())


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_is_refused_by_value_as_by_fetch(alg: str, clock: Clock, edge: Edge) -> None:
    tenant = RelyingParty(audience=AUDIENCE, clock=clock, alg=alg).tenant()
    client = RegisteredClient(tenant.client_id, jwks=tenant.document(), signing_algs=[alg], require_kid=True)
    policy, store = AssertionPolicy(audience=AUDIENCE), MemoryReplayStore()
    verify = edge.verifier(policy=policy, clients=[client], replay_store=store, clock=clock).verify
    assert verify(tenant.assertion()).alg == alg
    for defect in defects_of(alg).values():
        with pytest.raises(InvalidClient) as refused:
            verify(defect.make(tenant))
        assert refused.value.reason is defect.reason, (defect.name, refused.value.detail)


def test_what_each_family_can_have_wrong() -> None:
    common = set(defects_of("Ed25519")) - {"spare_bits", "signature_s_order"}
    assert all(common < set(defects_of(alg)) for alg in ALGORITHMS if not alg.startswith("Ed"))
    own = {alg: set(defects_of(alg)) - common for alg in ("RS256", "PS384", "ES256", "ES512")}
    rsa = {"spare_bits", "signature_hash", "alg_padding", "signature_padding"}
    assert own["RS256"] == rsa | {"signature_trailing"}
    assert own["PS384"] == rsa | {"signature_no_salt", "signature_salt_20", "signature_mgf1"}
    assert own["ES512"] > {"signature_der", "signature_r_zero", "signature_s_order", "signature_swapped"}
    assert own["ES256"] == own["ES512"] | {"spare_bits"}
    assert defects_of("RS256") == DEFECTS


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_published_key_with_a_mistake_is_unusable_whoever_signs(
    alg: str, clock: Clock, make_verify: MakeVerify
) -> None:
    relying_party = RelyingParty(audience=AUDIENCE, clock=clock, alg=alg)
    verify = make_verify(relying_party)
    tenant = relying_party.tenant()
    for name in key_defects_of(alg):
        tenant.break_key(name)
        clock.advance(300)
        with pytest.raises(InvalidClient) as refused:
            verify(tenant.assertion())
        assert refused.value.reason is Reason.UNUSABLE_KEY, (name, refused.value.detail)
        clock.advance(300)
        tenant.rotate()
        verify(tenant.assertion())  # the sound key beside it is not lost


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_client_by_value_is_refused_at_the_start_for_each_mistake_in_its_key(alg: str) -> None:
    for name in key_defects_of(alg):
        tenant = RelyingParty(alg=alg).tenant()
        RegisteredClient("c", jwks=tenant.document(), signing_algs=[alg])
        tenant.break_key(name)
        with pytest.raises(ConfigurationError, match="no key that can be used|private members"):
            RegisteredClient("c", jwks=tenant.document(), signing_algs=[alg])


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_with_a_mistake_beside_a_sound_one_is_unusable_by_value_whoever_signs(
    alg: str, clock: Clock, edge: Edge
) -> None:
    for name in set(key_defects_of(alg)) - {"key_private"}:  # that one is refused at the start
        tenant = RelyingParty(audience=AUDIENCE, clock=clock, alg=alg).tenant()
        tenant.break_key(name)
        assertion = tenant.assertion()
        tenant.rotate()
        client = RegisteredClient(tenant.client_id, jwks=tenant.document(), signing_algs=[alg], require_kid=True)
        policy, store = AssertionPolicy(audience=AUDIENCE), MemoryReplayStore()
        verify = edge.verifier(policy=policy, clients=[client], replay_store=store, clock=clock).verify
        with pytest.raises(InvalidClient) as refused:
            verify(assertion)
        assert refused.value.reason is Reason.UNUSABLE_KEY, (name, refused.value.detail)
        verify(tenant.assertion())


def test_a_small_order_key_is_one_under_which_anybody_can_sign(clock: Clock, make_verify: MakeVerify) -> None:
    relying_party = RelyingParty(audience=AUDIENCE, clock=clock, alg="Ed25519")
    tenant = relying_party.tenant()
    tenant.break_key("key_small_order")
    signing_input = tenant.assertion().rpartition(".")[0]
    identity = b"\1" + bytes(31)
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), signing_input.encode())  # it verifies
    with pytest.raises(InvalidClient) as refused:
        make_verify(relying_party)(f"{signing_input}.{compact(identity + bytes(32))}")
    assert refused.value.reason is Reason.UNUSABLE_KEY


def test_names_of_key_defects_are_keys_and_say_something() -> None:
    for alg in ALGORITHMS:
        defects = key_defects_of(alg)
        assert all(name == defect.name and defect.description for name, defect in defects.items())
    with pytest.raises(LookupError, match="key_exponent_3"):
        RelyingParty().tenant().break_key("key_small_order")


def test_every_reason_of_an_assertion_has_a_defect() -> None:
    assert {defect.reason for defect in DEFECTS.values()} == set(Reason) - BEYOND_ONE_ASSERTION - OF_THE_SERVER


def test_names_are_keys_and_say_something() -> None:
    assert all(name == defect.name and defect.description for name, defect in DEFECTS.items())
    assert len({defect.description for defect in DEFECTS.values()}) == len(DEFECTS)


def test_an_unknown_name_is_told_those_that_are_near(relying_party: RelyingParty) -> None:
    with pytest.raises(LookupError, match="kid_absent"):
        relying_party.tenant().defective("missing_kid")
    with pytest.raises(LookupError, match=r"near: aud_slash, \w+, \w+$"):
        relying_party.tenant().defective("aud_slsh")


def test_spare_bits_are_set_whatever_the_signature_ends_in(relying_party: RelyingParty) -> None:
    # The last character of a 256-octet signature is one of four; the defect must make a letter of each.
    tenant = relying_party.tenant()
    ends = {tenant.defective("spare_bits")[-1] for _ in range(40)}
    assert ends <= set("BRhx")
    assert tenant.audience == AUDIENCE
