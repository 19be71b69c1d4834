"""Where a fetch may connect to: the rules as a table, and real sockets under names that lie."""

import contextlib
import ipaddress
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from certificates import certificate
from edges import LOOPBACK, Edge
from loopback import Publisher, http
from names import Names
from private_key_jwt import (
    InvalidClient,
    JWKSPolicy,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
    _http_client,
    ledgerbee,
)
from private_key_jwt._core.response import FetchFailed
from private_key_jwt.fetcher._destination import _KINDS, Destination
from support import jwk, registered

HOST = "idp.example"
KEYS = json.dumps({"keys": [jwk()]}).encode()


def outcome(fetcher: Any, uri: str) -> str:
    """``k1`` when it was fetched, else why not."""
    try:
        return str(fetcher.get_key(registered(uri), "RS256", "k1").kid)
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.JWKS_UNAVAILABLE
        # What we can reach is nobody's business.
        assert error.to_response().body == TemporarilyUnavailable(error.reason, "").to_response().body
        return error.detail.rpartition(" (")[0]


def destination(url: str, policy: JWKSPolicy | None = None) -> Destination:
    return Destination(httpx.URL(url), policy or JWKSPolicy())


def literal(address: object) -> str:
    return f"https://[{address}]/" if ":" in str(address) else f"https://{address}/"


# The table


@pytest.mark.parametrize(
    "network", [network for kind in _KINDS for network in kind.networks], ids=lambda network: str(network)
)
def test_the_first_and_the_last_address_of_a_special_network_are_refused(network: Any) -> None:
    for address in (network[0], network[-1]):
        with pytest.raises(FetchFailed, match=f"^refused to connect to {address}: it is "):
            destination(literal(address))


@pytest.mark.parametrize(
    ("address", "told"),
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
        ("fe80::1%25eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("169.254.169.254", "a metadata service"),
        ("168.63.129.16", "a metadata service"),
        ("100.100.100.200", "a metadata service"),
        ("fd00:ec2::254", "a metadata service"),
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
        ("64:ff9b::7f00:1", r"NAT64 \(RFC 6052\) of one that is loopback"),
        ("64:ff9b::a9fe:a9fe", r"NAT64 \(RFC 6052\) of one that is a metadata service"),
        ("64:ff9b::10.0.0.1", r"NAT64 \(RFC 6052\) of one that is private"),
        ("64:ff9b:1::808:808", "local NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("100::1", "discarded"),
        ("5f00::1", "for segment routing"),
        ("4000::1", "not on the Internet"),
        ("1::1", "not on the Internet"),
    ],
)
def test_an_address_that_is_not_on_the_internet_is_refused_by_its_kind(address: str, told: str) -> None:
    with pytest.raises(FetchFailed, match=f": it is {told}"):
        destination(literal(address))


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
        *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
        *("192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"),
        *("2606:4700::1111", "2001:4860:4860::8888", "2a00::", "2003::1"),
        # An IPv6-only network reaches IPv4 hosts by these.
        *("64:ff9b::8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_an_address_on_the_internet_is_not_refused(address: str) -> None:
    assert destination(literal(address)).host == address


def test_ledgerbee_passes_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = ledgerbee.jwks_uri("acme")
    names = Names(monkeypatch, **{"api.ledgerbee.com": ["2606:4700::6810:1", "104.16.0.1"]})
    assert destination(uri).resolve() == ["2606:4700::6810:1", "104.16.0.1"]
    assert names.asked == ["api.ledgerbee.com"]


# What the URL says


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "0"),
        *("[::1]", "[0:0::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
        *("[2002:7f00:1::]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::ffff:127.0.0.1%25lo]"),
        *("localhost", "LOCALHOST", "localhost.", "idp.example", "xn--e1afmkfd.example"),
    ],
)
def test_no_spelling_of_a_host_leads_inward(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    inward = ["127.0.0.1"]
    names = {"localhost": inward, "localhost.": inward, HOST: inward, "xn--e1afmkfd.example": inward}
    Names(monkeypatch, **names)
    publisher.keys = [jwk()]
    port = publisher.uri().split(":")[2].split("/")[0]
    uri = f"https://{host}:{port}/jwks.json"
    assert RegisteredClient("c", jwks_uri=uri).jwks_uri == uri
    told = outcome(edge.fetcher(JWKSPolicy(allow_ports=[int(port)])), uri)
    assert told.startswith("refused to connect to ")
    assert publisher.count == 0


@pytest.mark.parametrize("uri", ["https://0177.0.0.1/", "https://[v1.x]/", "https://[::1/", "https://127.0.0.1%2f/"])
def test_what_is_no_url_is_not_fetched(edge: Edge, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    Names(monkeypatch)
    assert outcome(edge.fetcher(), uri) != "k1"


@pytest.mark.parametrize("uri", ["http://idp.example/", "http://1.1.1.1/", "http://localhost./", "ftp://localhost/"])
def test_plain_http_is_for_loopback_only(edge: Edge, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    names = Names(monkeypatch, **{HOST: ["127.0.0.1"]})
    assert "plain http" in outcome(edge.fetcher(), uri)
    assert names.asked == []


def test_the_name_localhost_must_lead_to_the_loopback_interface(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, localhost=["1.1.1.1"])
    told = outcome(edge.fetcher(), "http://localhost:9/jwks.json")
    assert told == "'localhost' is at 1.1.1.1, and not on the loopback interface"


@pytest.mark.parametrize(
    ("uri", "ports", "refused"),
    [
        ("https://idp.example/", (443,), False),
        ("https://idp.example:443/", (443,), False),
        ("https://idp.example:8443/", (443,), True),
        ("https://idp.example:22/", (443, 8443), True),
        ("https://idp.example:8443/", (443, 8443), False),
        ("https://idp.example/", (8443,), True),
    ],
)
def test_the_port_must_be_one_of_the_policys(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, uri: str, ports: tuple[int, ...], refused: bool
) -> None:
    names = Names(monkeypatch, **{HOST: ["10.0.0.1"]})
    told = outcome(edge.fetcher(JWKSPolicy(allow_ports=ports)), uri)
    assert told.startswith("port ") if refused else "private" in told
    assert names.asked == ([] if refused else [HOST])


def test_a_refusal_counts_against_the_budget(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, **{HOST: ["10.0.0.1"]})
    fetcher = edge.fetcher(JWKSPolicy())
    told = [outcome(fetcher, f"https://{HOST}/") for _ in range(3)]
    assert all("private" in each for each in told)  # the last one says what the fetch before met
    assert names.asked == [HOST, HOST]


# What the policy allows


def allowed(host: str, address: str, *hosts: str) -> bool:
    policy = JWKSPolicy(allow_private_hosts=hosts)
    subject = destination(f"https://{host}/", policy)
    try:
        subject._choose([(0, 0, 0, "", (address, 443))])
    except FetchFailed:
        return False
    return True


def test_a_host_is_allowed_by_its_name_its_address_or_its_network() -> None:
    assert not allowed(HOST, "10.1.2.3")
    assert allowed(HOST, "10.1.2.3", HOST)
    assert allowed(HOST, "10.1.2.3", "other.example", "10.1.2.3")
    assert allowed(HOST, "10.1.2.3", "10.1.0.0/16")
    assert allowed(HOST, "fd00::5", "fd00::/64")
    assert not allowed(HOST, "10.2.0.1", "10.1.0.0/16")
    assert not allowed(HOST, "fd00::5", "0.0.0.0/0")
    for other in ("idp.example.", "evil-idp.example", "sub.idp.example", "example"):
        assert not allowed(other, "10.1.2.3", HOST)


def test_a_literal_host_is_allowed_in_every_spelling_of_its_address() -> None:
    policy = JWKSPolicy(allow_private_hosts=["fd00::1", "10.0.0.1"])
    for host in ("[fd00::1]", "[FD00:0:0::1]", "10.0.0.1"):
        assert destination(f"https://{host}/", policy).port == 443


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if not kind.allowable], ids=lambda kind: str(kind.name))
def test_what_no_key_set_is_at_is_refused_to_allowed_hosts_too(kind: Any) -> None:
    for network in kind.networks:
        assert not allowed(HOST, str(network[0]), HOST, "0.0.0.0/0", "::/0")


def test_nat64_is_as_good_as_the_address_inside() -> None:
    assert allowed(HOST, "64:ff9b::10.0.0.1", HOST)
    assert not allowed(HOST, "64:ff9b::169.254.169.254", HOST, "::/0")


# Every address of a name


def test_one_address_that_is_not_allowed_refuses_them_all(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(publisher.uri().split(":")[2].split("/")[0])
    policy = JWKSPolicy(allow_private_hosts=["127.0.0.1"], allow_ports=[port])
    public = [f"1.1.1.{n}" for n in range(40)]
    for addresses in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], [*public, "::1"]):
        Names(monkeypatch, **{HOST: addresses})
        assert "refused to connect" in outcome(edge.fetcher(policy), f"https://{HOST}:{port}/")
    assert publisher.count == 0


def test_few_of_many_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    many = ["2600::1", "2600::2", "2600::3", "1.1.1.1", "2600::4", "1.1.1.2", "1.1.1.1", "1.1.1.3"]
    Names(monkeypatch, **{HOST: many})
    assert destination(f"https://{HOST}/").resolve() == ["2600::1", "2600::2", "1.1.1.1", "1.1.1.2"]


def test_a_name_without_an_address(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, **{HOST: []})
    assert outcome(edge.fetcher(), f"https://{HOST}/") == "'idp.example' has no address"
    assert "gaierror" in outcome(edge.fetcher(), "https://nowhere.example/")
    assert "Unicode" in outcome(edge.fetcher(), f"https://{'a' * 64}.example/")


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.keys = [jwk()]
    port = int(publisher.uri().split(":")[2].split("/")[0])
    policy = JWKSPolicy(allow_http_loopback=True, timeout=2)
    Names(monkeypatch, localhost=["::1", "127.0.0.2", "127.0.0.1"])
    with socket.create_server(("127.0.0.2", port), backlog=0), contextlib.ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        started = time.monotonic()
        assert outcome(edge.fetcher(policy), f"http://localhost:{port}/jwks.json") == "k1"
        assert time.monotonic() - started < 2
    assert publisher.count == 1
    assert f"host: localhost:{port}\r\n" in publisher.requests[0].lower()


# The connection


class Server:
    """A publisher with a certificate for ``idp.example``, which the client trusts; it notes the names asked for."""

    def __init__(self, tmp_path: Path) -> None:
        server, self.trusted = certificate(tmp_path, HOST)
        self.named: list[str | None] = []
        server.sni_callback = lambda _socket, name, _context: self.named.append(name)
        self.publisher = Publisher([jwk()], server)
        self.uri = self.publisher.uri(host=HOST)
        self.port = int(self.uri.split(":")[2].split("/")[0])
        self.context = ssl.create_default_context(cafile=str(self.trusted))

    def policy(self, *hosts: str, **settings: Any) -> JWKSPolicy:
        return JWKSPolicy(allow_private_hosts=hosts, allow_ports=[self.port], **settings)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    _http_client.ssl_context.cache_clear()
    # Added to what a fetch trusts: where httpx looks for certificates, and when, differs between its versions.
    _http_client.ssl_context().load_verify_locations(server.trusted)
    yield server
    _http_client.ssl_context.cache_clear()
    server.publisher.close()


@pytest.fixture(params=["our client", "the user's client"])
def settings(request: pytest.FixtureRequest, edge: Edge, server: Server) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        return {} if request.param == "our client" else {"http_client": edge.http_client(verify=server.context)}

    return make


def test_a_host_that_is_allowed_is_asked_under_its_own_name(
    edge: Edge, server: Server, settings: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{HOST: ["127.0.0.1"]})
    assert outcome(edge.fetcher(server.policy(HOST), **settings()), server.uri) == "k1"
    assert server.named == [HOST]
    assert f"host: {HOST}:{server.port}\r\n" in server.publisher.requests[0].lower()


def test_a_name_that_leads_inward_gets_no_byte(
    edge: Edge, server: Server, settings: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{HOST: ["127.0.0.1"]})
    told = outcome(edge.fetcher(server.policy("another.example"), **settings()), server.uri)
    assert told == "refused to connect to 127.0.0.1: it is loopback (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3)"
    assert server.named == []
    assert server.publisher.count == 0


def test_a_name_that_changes_between_look_ups_gains_nothing(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the address that was checked is the one that is connected to."""
    names = Names(monkeypatch, **{HOST: [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2"]]})
    fetcher = edge.fetcher(server.policy("127.0.0.2", fetch_limit=9))
    assert "ConnectError" in outcome(fetcher, server.uri)  # nobody listens there
    assert names.asked == [HOST]
    assert "loopback" in outcome(fetcher, server.uri)
    assert server.named == []


def test_the_user_s_client_is_judged_by_where_it_connected(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{HOST: [["127.0.0.1"]]})
    users = edge.http_client(verify=server.context)
    assert outcome(edge.fetcher(server.policy("127.0.0.1"), http_client=users), server.uri) == "k1"
    assert "loopback" in outcome(edge.fetcher(server.policy("127.0.0.2"), http_client=users), server.uri)
    assert server.publisher.count == 1


def test_a_connection_that_was_open_before_brings_no_keys_from_within(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{HOST: ["127.0.0.1"]})

    def twice(connection: socket.socket) -> None:
        connection.sendall(http(KEYS))
        connection.recv(4_096)
        connection.sendall(http(KEYS))

    server.publisher.answer = twice
    for hosts, told in (((HOST,), "k1"), ((), "loopback")):
        users = edge.http_client(verify=server.context)
        if edge.name == "async":
            edge.run(users.get(server.uri))  # type: ignore[attr-defined]
        else:
            users.get(server.uri)
        assert told in outcome(edge.fetcher(server.policy(*hosts), http_client=users), server.uri)


def test_a_peer_that_cannot_be_told_brings_no_keys(edge: Edge) -> None:
    class Stream:
        def get_extra_info(self, _name: str) -> object:
            return None

    def handle(_request: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return httpx.Response(200, headers=headers, content=KEYS, extensions={"network_stream": Stream()})

    users = edge.http_client(transport=httpx.MockTransport(handle))
    told = outcome(edge.fetcher(http_client=users), "https://op.example/jwks.json")
    assert told == "the address that was connected to is not known"


def test_a_certificate_that_does_not_hold_is_not_tried_at_other_addresses(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{"another.example": ["127.0.0.1", "127.0.0.2"]})
    told = outcome(edge.fetcher(server.policy("another.example")), server.uri.replace(HOST, "another.example"))
    assert "CERTIFICATE_VERIFY_FAILED" in told
    assert server.named == ["another.example"]


# Ways that the user chose


@contextlib.contextmanager
def proxy(to: int) -> Iterator[tuple[str, list[str]]]:
    """A proxy on loopback (RFC 9110 §9.3.6) that tunnels wherever it is asked to one port; and what it was asked."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, socket.create_connection(("127.0.0.1", to)) as target:
                    asked.append(client.recv(4_096).decode().split("\r\n")[0])
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=pump, args=(target, client), daemon=True)
                    back.start()
                    pump(client, target)
                    back.join(10)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_a_proxy_of_the_user_s_may_be_anywhere_and_decides_for_itself(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    with proxy(server.port) as (url, asked):
        users = edge.http_client(verify=server.context, proxy=url)
        assert outcome(edge.fetcher(server.policy(), http_client=users), server.uri) == "k1"
        assert asked == [f"CONNECT {HOST}:{server.port} HTTP/1.1"]
        # What the URL itself says is looked at all the same.
        for uri in (f"https://127.0.0.1:{server.port}/", f"https://169.254.169.254:{server.port}/"):
            assert "refused to connect" in outcome(edge.fetcher(server.policy(), http_client=users), uri)
        assert outcome(edge.fetcher(server.policy(), http_client=users), f"https://{HOST}:22/").startswith("port 22 ")
        assert len(asked) == 1
    assert names.asked == []


def test_a_socket_in_the_file_system_is_the_user_s_word(edge: Edge, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(http(KEYS))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        transports = {"sync": httpx.HTTPTransport, "async": httpx.AsyncHTTPTransport}
        users = edge.http_client(transport=transports[edge.name](uds=path))
        assert outcome(edge.fetcher(LOOPBACK, http_client=users), "http://localhost/jwks.json") == "k1"
        thread.join(10)


def test_a_verifier_tells_a_refused_destination_as_unavailable(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, **{HOST: ["169.254.169.254"]})
    fetcher = edge.fetcher(JWKSPolicy())
    with pytest.raises(TemporarilyUnavailable) as caught:
        fetcher.refresh(f"https://{HOST}/latest/meta-data/")
    assert "metadata" in caught.value.detail
    with pytest.raises((TemporarilyUnavailable, InvalidClient)):
        fetcher.get_key(registered(f"https://{HOST}/latest/meta-data/"), "RS256", None)


def test_no_two_networks_of_the_table_are_the_same() -> None:
    networks = list(itertools.chain.from_iterable(kind.networks for kind in _KINDS))
    assert len(set(networks)) == len(networks)
    assert ipaddress.ip_address("8.8.8.8") not in networks
