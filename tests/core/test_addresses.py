"""The table of addresses that are not on the Internet, and the spellings of hosts."""

import ipaddress
import itertools
import re
import time
from typing import Any

import pytest

from hosts import DISGUISED_HOSTS
from private_key_jwt import ConfigurationError, RegisteredClient
from private_key_jwt._core.addresses import KINDS, check_host, kind_of, read_address


def named(address: str) -> str | None:
    kind = kind_of(ipaddress.ip_address(address))
    return kind and kind.name


@pytest.mark.parametrize(
    "network", [network for kind in KINDS for network in kind.networks], ids=lambda network: str(network)
)
def test_the_first_and_the_last_address_of_a_special_network_are_of_its_kind(network: Any) -> None:
    for address in (network[0], network[-1]):
        assert kind_of(address) is not None


@pytest.mark.parametrize("family", [ipaddress.IPv4Address, ipaddress.IPv6Address])
def test_what_python_comes_to_call_not_global_is_not_on_the_internet(
    family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = family("8.8.8.8" if family is ipaddress.IPv4Address else "2a00::1")
    assert kind_of(address) is None
    monkeypatch.setattr(family, "is_global", False)
    kind = kind_of(address)
    assert kind is not None
    assert (kind.name, kind.allowable) == ("not on the Internet", False)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd12:3456::1", "private"),
        ("100.127.255.255", "shared"),
        ("169.254.1.1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.251", "multicast"),
        ("ff0e::1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("198.19.0.1", "for benchmarks"),
        ("203.0.113.1", "for documentation"),
        ("2001:db8::1", "for documentation"),
        ("192.0.0.8", "for protocols"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("64:ff9b::7f00:1", "NAT64 of one that is loopback"),
        ("64:ff9b::a9fe:a9fe", "NAT64 of one that is a metadata service"),
        ("64:ff9b::10.0.0.1", "NAT64 of one that is private"),
        ("64:ff9b:1::808:808", "local NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("100::1", "discarded"),
        ("5f00::1", "for segment routing"),
        ("4000::1", "not on the Internet"),
        ("1::1", "not on the Internet"),
        ("192.0.0.9", "for protocols"),
    ],
)
def test_an_address_that_is_not_on_the_internet_has_a_kind(address: str, name: str) -> None:
    assert (named(address) or "").startswith(name)


# An address of each network.
KINDS_OF = {
    ("unspecified", "RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2"): ["0.0.0.0", "::"],
    ("multicast", "RFC 5771, RFC 4291 section 2.7"): ["224.0.0.0", "ff00::"],
    ("reserved", "RFC 1112 section 4"): ["240.0.0.0"],
    ("loopback", "RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3"): ["127.0.0.0", "::1"],
    ("private", "RFC 1918, RFC 4193"): ["10.0.0.0", "172.16.0.0", "192.168.0.0", "fc00::"],
    ("shared", "RFC 6598"): ["100.64.0.0"],
    ("link-local", "RFC 3927, RFC 4291 section 2.5.6"): ["169.254.0.0", "fe80::"],
    ("site-local", "RFC 3879"): ["fec0::"],
    ("for benchmarks", "RFC 2544, RFC 5180"): ["198.18.0.0", "2001:2::"],
    ("for documentation", "RFC 5737"): ["192.0.2.0", "198.51.100.0", "203.0.113.0"],
    ("for documentation", "RFC 3849, RFC 9637"): ["2001:db8::", "3fff::"],
    ("IPv4-mapped", "RFC 4291 section 2.5.5.2"): ["::ffff:0:0"],
    ("IPv4-translated", "RFC 2765 section 2.1"): ["::ffff:0:0:0"],
    ("IPv4-compatible", "RFC 4291 section 2.5.5.1"): ["::ffff:ffff"],
    ("local NAT64", "RFC 8215"): ["64:ff9b:1::"],
    ("6to4", "RFC 7526"): ["2002::", "192.88.99.0"],
    ("Teredo", "RFC 4380"): ["2001::"],
    ("for protocols", "RFC 6890"): ["192.0.0.0", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"],
    ("discarded", "RFC 6666, RFC 9780"): ["100::"],
    ("for segment routing", "RFC 9602"): ["5f00::"],
}


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, addresses in KINDS_OF.items() for address in addresses]
)
def test_each_special_network_is_named_with_its_source(kind: tuple[str, str], address: str) -> None:
    found = kind_of(ipaddress.ip_address(address))
    assert found is not None
    assert (found.name, found.source) == kind
    assert sum(map(len, KINDS_OF.values())) == sum(len(each.networks) for each in KINDS if each.source)


# Each as its cloud documents it, or as cloud-init, an agent or an SDK asks there.
METADATA = {
    "Amazon, Google, Azure, DigitalOcean, Oracle, OpenStack": "169.254.169.254",
    "Amazon, name server": "169.254.169.253",
    "Amazon ECS": "169.254.170.2",
    "Amazon EKS": "169.254.170.23",
    "Amazon over IPv6": "fd00:ec2::254",
    "Amazon EKS over IPv6": "fd00:ec2::23",
    "Google over IPv6": "fd20:ce::254",
    "Azure, host": "168.63.129.16",
    "Alibaba": "100.100.100.200",
    "Alibaba over IPv6": "fd00:100::100:200",
    "Oracle over IPv6": "fd00:c1::a9fe:a9fe",
    "Oracle, classic": "192.0.0.192",
    "Linode over IPv6": "fd00:a9fe:a9fe::1",
    "OpenStack over IPv6": "fe80::a9fe:a9fe",
    "Scaleway": "169.254.42.42",
    "Scaleway over IPv6": "fd00:42::42",
    "Tencent": "169.254.0.23",
    "Tencent, second": "169.254.10.10",
    "Volcengine": "100.96.0.96",
    "UCloud": "100.80.80.80",
}


@pytest.mark.parametrize("address", METADATA.values(), ids=METADATA)
def test_a_metadata_service_is_one_that_no_policy_can_allow(address: str) -> None:
    kind = kind_of(ipaddress.ip_address(address))
    assert kind is not None
    assert (kind.name, kind.source) == ("a metadata service", "")
    assert not kind.allowable


@pytest.mark.parametrize(
    "prefix", ["2a00:1450::", "fd00:1234:5678::", "2606:4700:64::", "fe80::", "fec0::", "64:ff9b::"]
)
@pytest.mark.parametrize("address", [each for each in METADATA.values() if ":" not in each])
def test_an_ipv6_form_of_a_metadata_service_cannot_be_allowed_under_any_prefix(prefix: str, address: str) -> None:
    """A network may translate IPv4 under a prefix of its own (RFC 6052 section 2.2)."""
    mixed = int(ipaddress.ip_address(prefix)) + int(ipaddress.ip_address(address))
    kind = kind_of(ipaddress.IPv6Address(mixed))
    assert kind is not None
    assert not kind.allowable


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
        *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
        *("192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"),
        *("168.63.129.15", "168.63.129.17", "2606:4700::1111", "2001:4860:4860::8888", "2a00::", "2003::1"),
        # An IPv6-only network reaches IPv4 hosts by these.
        *("64:ff9b::8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_an_address_on_the_internet_has_no_kind(address: str) -> None:
    assert named(address) is None


def test_no_two_networks_of_the_table_are_the_same() -> None:
    networks = list(itertools.chain.from_iterable(kind.networks for kind in KINDS))
    assert len(set(networks)) == len(networks)


def test_an_address_costs_microseconds() -> None:
    """The guard judges on the event loop, too: the peer of each connection."""
    addresses = [ipaddress.ip_address(text) for text in ("8.8.8.8", "2606:4700::1111", "10.0.0.1", "fd12::1")] * 250
    started = time.perf_counter()
    for address in addresses:
        kind_of(address)
    assert (time.perf_counter() - started) / len(addresses) < 0.0002


# Hosts


@pytest.mark.parametrize("host", DISGUISED_HOSTS)
def test_a_host_that_is_not_what_it_looks_like_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="^expected ") as caught:
        check_host(host)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 200


def test_the_text_names_what_is_wrong_with_a_host() -> None:
    for host, words in (
        ("op.example.", "without a dot at its end, got 'op.example.'"),
        ("127.1", "as four decimal numbers, got '127.1', which some read as one"),
        ("fe80::1%25eth0", "without zone and percent-encoding"),
        ("::ffff:127.0.0.1", "hides no other address, got one that is IPv4-mapped"),
        ("a,b", "digits, hyphens and underscores, with at most 63 between dots, got 'a,b'"),
        ("1:2", "a name or an address"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            check_host(host)


@pytest.mark.parametrize("host", DISGUISED_HOSTS)
def test_a_url_with_such_a_host_cannot_be_registered(host: str) -> None:
    for uri in (f"https://{host}/jwks.json", f"https://{host}:8443/jwks.json", f"https://[{host}]/jwks.json"):
        with pytest.raises(ConfigurationError, match="jwks_uri"):
            RegisteredClient("c", jwks_uri=uri)


@pytest.mark.parametrize(
    "authority",
    [
        *("op.example@127.0.0.1", "op.example:443@127.0.0.1", "@127.0.0.1", "a:b@op.example", "op.example%40127.0.0.1"),
        *("op.example:@127.0.0.1", "127.0.0.1:443:80", "op.example:80x", "op.example:-1", "op.example:65536"),
        *("op.example\\@127.0.0.1", "op.example#@127.0.0.1", "op.example\t127.0.0.1", "op.example\n"),
    ],
)
def test_no_part_of_an_authority_hides_the_host(authority: str) -> None:
    with pytest.raises(ConfigurationError, match="jwks_uri"):
        RegisteredClient("c", jwks_uri=f"https://{authority}/jwks.json")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "op.example",
            "OP.Example",
            "localhost",
            "idp",
            "a_b.example",
            "_dmarc.example",
            "1op.example",
            "op.1example",
        ),
        *(
            "xn--e1afmkfd.example",
            "3com.example",
            "op.x0",
            "0xop.example",
            "a--b.example",
            "e",
            "169-254-169-254.example",
        ),
        *(
            "169.254.169.254",
            "8.8.8.8",
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "2606:4700::1111",
            "FD00::1",
            "64:ff9b::808:808",
        ),
        ".".join(["a" * 63] * 3 + ["a" * 61]),
    ],
)
def test_an_honest_host_is_taken(host: str) -> None:
    """What an address is, is for the fetcher to say: here it is only spelled as everybody spells it."""
    check_host(host)
    uri = f"https://[{host}]/" if ":" in host else f"https://{host}/"
    assert RegisteredClient("c", jwks_uri=uri).jwks_uri == uri


def test_a_name_is_no_address() -> None:
    assert read_address("op.example") is None
    assert read_address("127.1") is None
    assert read_address("::1") == ipaddress.ip_address("::1")


def test_what_a_policy_may_allow_is_what_a_site_of_its_own_uses() -> None:
    allowable = {kind.name for kind in KINDS if kind.allowable}
    assert allowable == {"loopback", "private", "shared", "site-local", "for benchmarks"}
    assert named("198.18.0.1") == named("2001:2::1") == "for benchmarks"


def test_a_host_name_has_at_most_253_characters() -> None:
    longest = ".".join([*["a" * 63] * 3, "a" * 61])
    check_host(longest)
    with pytest.raises(ValueError, match="expected a host name of letters"):
        check_host(f"{longest}a")
