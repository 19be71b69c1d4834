"""Decide which hosts a URL may name, and which addresses are not on the Internet. Pure: no name is resolved here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from .._text import quote

__all__ = ["KINDS", "Address", "Kind", "check_host", "kind_of", "read_address"]

Address = IPv4Address | IPv6Address


class Kind(NamedTuple):
    """A kind of address that is not on the Internet.

    name, source: what it is, and where that is laid down.
    allowable: whether ``JWKSPolicy(allow_private_hosts=...)`` can allow it.
    is_disguise: whether it is another address in a form that hides it, so that no URL may name it.
    """

    name: str
    source: str
    allowable: bool
    is_disguise: bool
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def _kind(name: str, source: str, *networks: str, allowable: bool = False, is_disguise: bool = False) -> Kind:
    return Kind(name, source, allowable, is_disguise, tuple(map(ipaddress.ip_network, networks)))


# Where clouds hand out credentials, some of them among public or private addresses. No key set is ever there. The
# sources are the clouds' own documentation, and the agents that ask there (cloud-init, their SDKs).
_METADATA_V4 = (
    *("169.254.169.0/24", "169.254.170.0/24"),  # Amazon and whoever follows it: metadata, name server, clock; ECS, EKS
    "168.63.129.16",  # Azure: the host of the virtual machine
    *("100.100.100.200", "100.96.0.96", "100.80.80.80"),  # Alibaba, Volcengine, UCloud
    *("169.254.0.23", "169.254.10.10", "169.254.42.42"),  # Tencent twice, Scaleway
    "192.0.0.192",  # Oracle, classic
)
_METADATA_V6 = (
    "fd00:ec2::/32",  # Amazon: metadata, name server, clock, EKS
    "fd20:ce::/64",  # Google
    *("fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::/64"),  # Oracle, Linode
    *("fd00:100::100:200", "fd00:42::42", "fe80::a9fe:a9fe"),  # Alibaba, Scaleway, OpenStack
)
# The first that fits counts. These are the IANA special-purpose registries (RFC 6890), and what they leave out.
# `is_global` alone will not do: it says another thing in another patch release of Python, and in all of
# them that multicast, site-local, 6to4 and IPv4-compatible addresses are global.
KINDS = (
    _kind("a metadata service", "", *_METADATA_V4),
    _kind("a metadata service", "", *_METADATA_V6),
    _kind("unspecified", "RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2", "0.0.0.0/8", "::"),
    _kind("multicast", "RFC 5771, RFC 4291 section 2.7", "224.0.0.0/4", "ff00::/8"),
    _kind("reserved", "RFC 1112 section 4", "240.0.0.0/4"),
    _kind("loopback", "RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3", "127.0.0.0/8", "::1", allowable=True),
    _kind("private", "RFC 1918, RFC 4193", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", allowable=True),
    _kind("shared", "RFC 6598", "100.64.0.0/10", allowable=True),
    # Not allowable: it is where a host talks to what it runs on, and where the next cloud puts its metadata service.
    _kind("link-local", "RFC 3927, RFC 4291 section 2.5.6", "169.254.0.0/16", "fe80::/10"),
    _kind("site-local", "RFC 3879", "fec0::/10", allowable=True),
    _kind("for benchmarks", "RFC 2544, RFC 5180", "198.18.0.0/15", "2001:2::/48", allowable=True),
    _kind("for documentation", "RFC 5737", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    _kind("for documentation", "RFC 3849, RFC 9637", "2001:db8::/32", "3fff::/20"),
    # What carries an IPv4 address inside is routed by that one, or by whoever runs the translator.
    _kind("IPv4-mapped", "RFC 4291 section 2.5.5.2", "::ffff:0:0/96", is_disguise=True),
    _kind("IPv4-translated", "RFC 2765 section 2.1", "::ffff:0:0:0/96", is_disguise=True),
    _kind("IPv4-compatible", "RFC 4291 section 2.5.5.1", "::/96", is_disguise=True),
    _kind("local NAT64", "RFC 8215", "64:ff9b:1::/48", is_disguise=True),
    _kind("6to4", "RFC 7526", "2002::/16", is_disguise=True),
    _kind("6to4", "RFC 7526", "192.88.99.0/24"),
    _kind("Teredo", "RFC 4380", "2001::/32", is_disguise=True),
    _kind("for protocols", "RFC 6890", "192.0.0.0/24", "2001::/23"),
    _kind("discarded", "RFC 6666, RFC 9780", "100::/63"),
    _kind("for segment routing", "RFC 9602", "5f00::/16"),
)
_NOT_GLOBAL = _kind("not on the Internet", "RFC 6890")
# A network may translate IPv4 under any prefix of its own (RFC 6052 section 2.2), which nobody can know from here.
_METADATA_INSIDE = _kind("an IPv6 form of a metadata service", "RFC 6052", is_disguise=True)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that is assigned of it (RFC 4291 §2.4)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052 §2.1


def _ranges(version: int, kinds: Iterable[Kind]) -> tuple[tuple[int, int, Kind], ...]:
    return tuple(
        (int(network[0]), int(network[-1]), kind)
        for kind in kinds
        for network in kind.networks
        if network.version == version
    )


# Compared as integers: a name may have many addresses, and `address in network` costs ten times as much.
_RANGES = {version: _ranges(version, KINDS) for version in (4, 6)}
_METADATA_RANGES = _ranges(4, KINDS[:1])


def kind_of(address: Address) -> Kind | None:
    """Return the kind of an address that is not on the Internet; None for one that is."""
    number = int(address)
    kind = next((kind for first, last, kind in _RANGES[address.version] if first <= number <= last), None)
    if address.version == 4:
        return kind or (None if address.is_global else _NOT_GLOBAL)
    inner = number & 0xFFFF_FFFF
    if address in _NAT64:
        # How a network without IPv4 reaches the Internet (RFC 6147): as good as the address inside.
        inside = kind_of(IPv4Address(inner))
        return inside and inside._replace(name=f"NAT64 of one that is {inside.name}")
    if (kind is None or kind.allowable) and any(first <= inner <= last for first, last, _ in _METADATA_RANGES):
        return _METADATA_INSIDE
    return kind or (None if address in _GLOBAL_UNICAST and address.is_global else _NOT_GLOBAL)


def read_address(host: str) -> Address | None:
    """Read a host that is an address; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_MAX_NAME_LENGTH = 253  # RFC 1035 §2.3.4


def check_host(host: str) -> None:
    """Refuse a host that is not what it looks like. Raises ValueError, which says what is expected.

    host: as the URL has it, without the brackets of an IPv6 address.

    It must be a name of letters, digits, hyphens and underscores (RFC 1123 section 2.1, RFC 5891 for the A-labels of
    others), or an address in the one form that everything reads alike. Platforms read ``2852039166``, ``0xa9fea9fe``,
    ``0251.254.43518`` and ``127.1`` as IPv4 addresses, and so does the URL standard every host that ends in a number.
    ``op.example.`` is the same host as ``op.example``, but not the same text: a second budget, and in no allow list.
    """
    if "%" in host:
        raise ValueError("expected a host without zone and percent-encoding")
    address = read_address(host)
    if address is not None:
        kind = kind_of(address)
        if kind is not None and kind.is_disguise:
            raise ValueError(f"expected a host that hides no other address, got one that is {kind.name}")
        return
    if ":" in host:
        raise ValueError("expected a host that is a name or an address")
    if host.endswith("."):
        raise ValueError(f"expected a host without a dot at its end, got {quote(host)}")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise ValueError(f"expected an address as four decimal numbers, got {quote(host)}, which some read as one")
    if len(host) > _MAX_NAME_LENGTH or not _NAME.fullmatch(host):
        raise ValueError(
            "expected a host name of letters, digits, hyphens and underscores, with at most 63 between dots,"
            f" got {quote(host)}"
        )
