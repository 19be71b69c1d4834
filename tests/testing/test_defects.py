"""Each defect, against real verifiers, sync and async."""

import pytest

from private_key_jwt import InvalidClient, Reason
from private_key_jwt.testing import DEFECTS, Clock, RelyingParty

from .conftest import AUDIENCE, Verify

# What an assertion alone cannot bring about: it takes another key set, or a second use.
BEYOND_ONE_ASSERTION = {Reason.NO_KEYS, Reason.UNUSABLE_KEY, Reason.AMBIGUOUS_KEY, Reason.REPLAYED}
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


def test_every_reason_of_an_assertion_has_a_defect() -> None:
    assert {defect.reason for defect in DEFECTS.values()} == set(Reason) - BEYOND_ONE_ASSERTION - OF_THE_SERVER


def test_names_are_keys_and_say_something() -> None:
    assert all(name == defect.name and defect.description for name, defect in DEFECTS.items())
    assert len({defect.description for defect in DEFECTS.values()}) == len(DEFECTS)


def test_an_unknown_name_is_told_those_that_are_near(relying_party: RelyingParty) -> None:
    with pytest.raises(LookupError, match="kid_absent"):
        relying_party.tenant().defective("missing_kid")
    with pytest.raises(LookupError, match="aud_slash"):
        relying_party.tenant().defective("no such defect")


def test_spare_bits_are_set_whatever_the_signature_ends_in(relying_party: RelyingParty) -> None:
    # The last character of a 256-octet signature is one of four; the defect must make a letter of each.
    tenant = relying_party.tenant()
    ends = {tenant.defective("spare_bits")[-1] for _ in range(40)}
    assert ends <= set("BRhx")
    assert tenant.audience == AUDIENCE
