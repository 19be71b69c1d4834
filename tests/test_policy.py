"""Settings are checked once, and an error names the field."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from private_key_jwt import (
    AssertionPolicy,
    AsyncJWKSFetcher,
    ConfigurationError,
    JWKSFetcher,
    JWKSPolicy,
    RegisteredClient,
    client_authentication_metadata,
)

OP = "https://op.example.com"

NOT_NUMBERS = ["1", None, True, float("nan"), float("inf"), [1], 10**5_000, -(10**400)]
NOT_INTEGERS = [*NOT_NUMBERS, 1.5]
NOT_FLAGS = [0, 1, "yes", None]


def test_the_defaults_of_an_assertion_policy() -> None:
    policy = AssertionPolicy(audience=OP)
    assert dataclasses.asdict(policy) == {
        "audience": OP,
        "audience_rule": "sole",
        "leeway": 15,
        "max_lifetime": 300,
        "require_iat": False,
        "require_kid": False,
        "require_typ": False,
        "max_assertion_bytes": 16_384,
        "audiences": frozenset({OP}),
    }


def test_the_defaults_of_a_jwks_policy() -> None:
    assert dataclasses.asdict(JWKSPolicy()) == {
        "ttl": 300,
        "fetch_limit": 2,
        "fetch_window": 30,
        "empty_ttl": 30,
        "refresh_ahead": 0.8,
        "stale_if_error": 0,
        "timeout": 3,
        "max_bytes": 65_536,
        "max_keys": 64,
        "allow_http_loopback": False,
        "allow_ports": (443,),
        "allow_private_hosts": (),
    }


@pytest.mark.parametrize("policy", [AssertionPolicy(audience=OP), JWKSPolicy()])
def test_a_policy_is_immutable(policy: Any) -> None:
    for field in dataclasses.fields(policy):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(policy, field.name, 1)


def test_a_list_of_audiences_is_copied() -> None:
    audiences = [OP]
    policy = AssertionPolicy(audience=audiences)
    audiences.append("https://evil.example")
    assert policy.audience == (OP,)
    assert policy.audiences == {OP}
    assert hash(policy) == hash(AssertionPolicy(audience=(OP,)))


ASSERTION: list[tuple[str, list[Any]]] = [
    ("audience", ["", [], (), [""], [1], None, 1, 10**5_000, [OP, ""], b"https://op", [b"https://op"], {OP}]),
    ("audience_rule", ["", "any", None, 1, "SOLE", ["sole"]]),
    ("leeway", [*NOT_NUMBERS, -1, 300.1]),
    ("max_lifetime", [*NOT_NUMBERS, 0, -1, 86_401]),
    ("require_iat", NOT_FLAGS),
    ("require_kid", NOT_FLAGS),
    ("require_typ", NOT_FLAGS),
    ("max_assertion_bytes", [*NOT_INTEGERS, 0, 255, 1_048_577]),
]

JWKS: list[tuple[str, list[Any]]] = [
    ("ttl", [*NOT_NUMBERS, 0, -1, 86_401]),
    ("fetch_limit", [*NOT_INTEGERS, 0, 101]),
    ("fetch_window", [*NOT_NUMBERS, 0, 3_601]),
    ("empty_ttl", [*NOT_NUMBERS, 0, 86_401]),
    ("refresh_ahead", [*NOT_NUMBERS[:2], 0, 1.1, -1]),
    ("stale_if_error", [*NOT_NUMBERS, -1, 3_601]),
    ("timeout", [*NOT_NUMBERS, 0, -1, 61]),
    ("max_bytes", [*NOT_INTEGERS, 255, 16_777_217]),
    ("max_keys", [*NOT_INTEGERS, 0, 1_025]),
    ("allow_http_loopback", NOT_FLAGS),
    ("allow_ports", [(), [], "443", 443, None, ["443"], [0], [65_536], [443, True], [443.0]]),
    (
        "allow_private_hosts",
        [
            *(
                "idp.internal",
                None,
                1,
                [""],
                [1],
                [b"idp.internal"],
                ["IDP.internal"],
                ["https://idp.internal"],
                ["idp.internal."],
            ),
            *(["idp.internal:8443"], ["[fd00::1]"], ["10.0.0.1/8"], ["10.0.0.0/33"], ["10.0"], ["*.x"], ["пример"]),
        ],
    ),
]


@pytest.mark.parametrize(("field", "values"), ASSERTION)
def test_a_wrong_assertion_policy_names_its_field(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=f"^{field} must"):
            AssertionPolicy(**{"audience": OP, field: value})


@pytest.mark.parametrize(("field", "values"), JWKS)
def test_a_wrong_jwks_policy_names_its_field(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=f"^{field} must"):
            JWKSPolicy(**{field: value})


def test_the_bounds_themselves_are_allowed() -> None:
    AssertionPolicy(audience=OP, leeway=0, max_lifetime=1, max_assertion_bytes=256)
    AssertionPolicy(audience=OP, leeway=300, max_lifetime=86_400, max_assertion_bytes=1_048_576)
    JWKSPolicy(ttl=1, fetch_limit=1, fetch_window=1, empty_ttl=1, refresh_ahead=1, timeout=0.01)
    JWKSPolicy(ttl=86_400, fetch_limit=100, fetch_window=3_600, stale_if_error=3_600, timeout=60)


def test_lists_of_where_to_fetch_are_copied() -> None:
    ports, hosts = [443, 8_443], ["idp.internal", "10.1.0.0/16", "fd00::1"]
    policy = JWKSPolicy(allow_ports=ports, allow_private_hosts=hosts)
    ports.append(22)
    hosts.append("0.0.0.0/0")
    assert policy.allow_ports == (443, 8_443)
    assert policy.allow_private_hosts == ("idp.internal", "10.1.0.0/16", "fd00::1")
    assert hash(policy)


@pytest.mark.parametrize(
    ("given", "network", "address"),
    [
        ("10.1.2.3/16", "10.1.0.0/16", "10.1.2.3"),
        ("10.1.2.3/255.255.0.0", "10.1.0.0/16", "10.1.2.3"),
        ("fd00::1/64", "fd00::/64", "fd00::1"),
    ],
)
def test_a_network_with_host_bits_is_refused_with_both_that_may_be_meant(
    given: str, network: str, address: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        JWKSPolicy(allow_private_hosts=[given])
    assert str(caught.value) == (
        f"allow_private_hosts must hold networks without host bits, not '{given}': write {network} for the network, or"
        f" {address} for the one address"
    )
    JWKSPolicy(allow_private_hosts=[network, address])


def test_an_audience_has_no_default() -> None:
    with pytest.raises(TypeError):
        AssertionPolicy()  # type: ignore[call-arg]


@pytest.mark.parametrize("sign", [" ", "\n", "\t", "\r", "\0", "\u00a0", "\u200b", "\x7f"])
def test_an_audience_holds_no_white_space_and_no_control_character(sign: str) -> None:
    for audience in (f"https://op.example.com{sign}", f"{sign}https://op.example.com", f"https://op{sign}.example.com"):
        for given in (audience, ["https://op.example.com", audience]):
            with pytest.raises(ConfigurationError, match="^audience must hold no white space and no control character"):
                AssertionPolicy(audience=given)


class UnreadableSequence(Sequence[Any]):
    """A sequence whose methods raise."""

    def __getitem__(self, index: Any) -> Any:
        raise OSError("lost")

    def __len__(self) -> int:
        return 2


class UnreadableMapping(Mapping[str, Any]):
    """A mapping whose methods raise."""

    def __getitem__(self, name: str) -> Any:
        raise OSError("lost")

    def __iter__(self) -> Iterator[str]:
        raise OSError("lost")

    def __len__(self) -> int:
        return 2


URI = "https://rp.example/jwks.json"
METADATA = {"client_id": "c", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": URI}
SEQUENCE, MAPPING = UnreadableSequence(), UnreadableMapping()


@pytest.mark.parametrize(
    ("name", "configure"),
    [
        ("audience", lambda: AssertionPolicy(audience=SEQUENCE)),
        ("allow_ports", lambda: JWKSPolicy(allow_ports=SEQUENCE)),
        ("allow_private_hosts", lambda: JWKSPolicy(allow_private_hosts=SEQUENCE)),
        ("signing_algs", lambda: RegisteredClient("c", jwks_uri=URI, signing_algs=SEQUENCE)),
        ("signing_algs", lambda: RegisteredClient.from_metadata(METADATA, signing_algs=SEQUENCE)),
        ("signing_algs", lambda: client_authentication_metadata(signing_algs=SEQUENCE)),
        ("endpoints", lambda: client_authentication_metadata(endpoints=SEQUENCE)),
        ("other_methods", lambda: client_authentication_metadata(other_methods=SEQUENCE)),
        ("headers", lambda: JWKSFetcher(headers=MAPPING)),
        ("headers", lambda: AsyncJWKSFetcher(headers=MAPPING)),
        ("jwks", lambda: RegisteredClient("c", jwks=MAPPING)),
        ("client metadata", lambda: RegisteredClient.from_metadata(MAPPING)),
    ],
)
def test_a_collection_that_cannot_be_read_is_named(name: str, configure: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} cannot be read: OSError"):
        configure()


@pytest.mark.parametrize(
    "audience",
    [
        '"https://op.example.com"',
        "'https://op.example.com'",
        '["https://op.example.com"]',
        "${ISSUER}",
        "{{ issuer }}".replace(" ", ""),
        "<issuer>",
        "https://${HOST}/op",
    ],
)
def test_an_audience_is_no_text_of_an_environment_file_or_a_template(audience: str) -> None:
    for given in (audience, [OP, audience]):
        with pytest.raises(
            ConfigurationError, match="^audience must be as clients send it, without quotes or brackets"
        ):
            AssertionPolicy(audience=given)


def test_what_clients_may_send_an_audience_may_hold() -> None:
    for audience in (
        "https://op.example.com/{tenant}/v2",  # a text that is no URI, either (RFC 7519 §2)
        'a|b^c`d\\e"f',
        "https://[2001:db8::1]/~op/it's?a=(b)&c=%20*!$+,;",
        "urn:example:op",
        "op",
        "https://m\xfcnchen.example",
    ):
        assert AssertionPolicy(audience=audience).audiences == {audience}


def test_a_bound_is_written_with_all_its_digits() -> None:
    with pytest.raises(ConfigurationError, match="^max_assertion_bytes must be from 256 to 1048576, not 16$"):
        AssertionPolicy(audience=OP, max_assertion_bytes=16)
    with pytest.raises(ConfigurationError, match="^refresh_ahead must be from 0.01 to 1, not 80$"):
        JWKSPolicy(refresh_ahead=80)


def test_of_a_list_the_item_that_is_wrong_is_named() -> None:
    for ports, said in (
        (8443, "be a list of integers, not 8443"),
        (["8443"], "hold integers from 1 to 65535, not '8443'"),
        ([443, 65536], "hold integers from 1 to 65535, not 65536"),
        ([True], "hold integers from 1 to 65535, not True"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            JWKSPolicy(allow_ports=ports)  # type: ignore[arg-type]
        assert str(caught.value) == f"allow_ports must {said}"


def test_a_private_host_is_no_suffix() -> None:
    """It would match no host, and nobody would see why."""
    with pytest.raises(ConfigurationError, match=r"^allow_private_hosts must hold names .*, not '\.internal'$"):
        JWKSPolicy(allow_private_hosts=[".internal"])
