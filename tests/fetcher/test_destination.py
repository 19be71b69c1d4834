"""Where a fetch may connect to: the rules as a table, and real sockets under names that lie."""

import contextlib
import ipaddress
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
from hosts import DISGUISED_HOSTS
from loopback import Publisher, http
from names import Names
from private_key_jwt import (
    InvalidClient,
    JWKSPolicy,
    Reason,
    TemporarilyUnavailable,
    _http_client,
    ledgerbee,
)
from private_key_jwt._core.addresses import KINDS, kind_of
from private_key_jwt._core.response import FetchError
from private_key_jwt._host_names import Located
from private_key_jwt.fetcher._destination import Destination
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


def publisher_port(publisher: Publisher) -> int:
    return int(publisher.uri().split(":")[2].split("/")[0])


def publisher_policy(publisher: Publisher, **settings: Any) -> JWKSPolicy:
    return JWKSPolicy(allow_http_loopback=False, allow_ports=[publisher_port(publisher)], **settings)


# Names and addresses


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.networks[0]))
def test_what_is_not_on_the_internet_is_refused_with_the_setting_where_there_is_one(kind: Any) -> None:
    network = kind.networks[-1]
    address = network[0]
    with pytest.raises(FetchError) as caught:
        destination("https://op.example/")._choose([Located(address, kind)])
    setting = ", and not in JWKSPolicy(allow_private_hosts=...)"
    assert str(caught.value) == f"refused to connect to {address}: it is {kind.name}{setting * kind.allowable}"


def test_ledgerbee_passes_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = ledgerbee.jwks_uri("acme")
    names = Names(monkeypatch, **{"api.ledgerbee.com": ["2606:4700::6810:1", "104.16.0.1"]})
    assert destination(uri).resolve() == ["2606:4700::6810:1", "104.16.0.1"]
    assert names.asked == ["api.ledgerbee.com"]


# What the URL says


@pytest.mark.parametrize("host", DISGUISED_HOSTS)
def test_no_spelling_of_a_host_leads_inward(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Not even when it was registered before, or by a store of the user's."""
    names = Names(monkeypatch, **{host: ["127.0.0.1"]})
    publisher.keys = [jwk()]
    for spelled in (host, f"[{host}]"):
        detail = outcome(edge.fetcher(publisher_policy(publisher)), f"https://{spelled}:{publisher_port(publisher)}/")
        # Some letters are another spelling of ASCII (RFC 5895), and ASCII is what is resolved then.
        assert "expected a" in detail or "is no URL" in detail or detail.startswith("'op.example' was not resolved")
    assert names.asked == []
    assert publisher.count == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[0:0::1]", "[64:ff9b::7f00:1]", "localhost", "LOCALHOST", HOST]
)
def test_no_honest_spelling_leads_inward_either(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    Names(monkeypatch, **{"localhost": ["127.0.0.1"], HOST: ["127.0.0.1"]})
    publisher.keys = [jwk()]
    uri = f"https://{host}:{publisher_port(publisher)}/jwks.json"
    assert outcome(edge.fetcher(publisher_policy(publisher)), uri).startswith("refused to connect to ")
    assert publisher.count == 0


@pytest.mark.parametrize(
    "uri", ["http://idp.example/", "http://1.1.1.1/", "http://[2606:4700::1111]/", "ftp://localhost/"]
)
def test_plain_http_is_for_loopback_only(edge: Edge, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    names = Names(monkeypatch, **{HOST: ["127.0.0.1"]})
    assert "plain http" in outcome(edge.fetcher(), uri)
    assert names.asked == []


def test_the_name_localhost_must_lead_to_the_loopback_interface(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, localhost=["1.1.1.1"])
    detail = outcome(edge.fetcher(), "http://localhost:9/jwks.json")
    assert detail == "'localhost' is at 1.1.1.1, and not on the loopback interface"


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
    detail = outcome(edge.fetcher(JWKSPolicy(allow_ports=ports)), uri)
    assert detail.startswith("port ") if refused else "private" in detail
    assert names.asked == ([] if refused else [HOST])


def test_a_refusal_counts_against_the_budget(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, **{HOST: ["10.0.0.1"]})
    fetcher = edge.fetcher(JWKSPolicy(fetch_limit=2))
    detail = [outcome(fetcher, f"https://{HOST}/") for _ in range(3)]
    assert all("private" in each for each in detail)  # the last one says what the fetch before met
    assert names.asked == [HOST, HOST]


# What the policy allows


def allowed(host: str, address: str, *hosts: str) -> bool:
    policy = JWKSPolicy(allow_private_hosts=hosts)
    subject = destination(f"https://{host}/", policy)
    try:
        subject._choose([Located(ipaddress.ip_address(address), kind_of(ipaddress.ip_address(address)))])
    except FetchError:
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
    for other in ("evil-idp.example", "sub.idp.example", "example"):
        assert not allowed(other, "10.1.2.3", HOST)


def test_networks_that_overlap_touch_or_lie_apart_allow_what_they_hold() -> None:
    hosts = (
        "10.0.0.0/9",
        "10.64.0.0/10",
        "10.128.0.0/16",
        "192.168.1.7",
        "fd00::/64",
        "fd00:0:0:2::/64",
        "10.0.0.0/16",
    )
    for address in ("10.0.0.0", "10.127.255.255", "10.128.255.255", "192.168.1.7", "fd00::1", "fd00:0:0:2::1"):
        assert allowed(HOST, address, *hosts)
    for address in (
        "10.129.0.0",
        "10.255.255.255",
        "192.168.1.6",
        "192.168.1.8",
        "172.16.0.1",
        "fd00:0:0:1::1",
        "fc00::1",
    ):
        assert not allowed(HOST, address, *hosts)


def test_a_literal_host_is_allowed_in_every_spelling_of_its_address() -> None:
    policy = JWKSPolicy(allow_private_hosts=["fd00::1", "10.0.0.1"])
    for host in ("[fd00::1]", "[FD00:0:0::1]", "10.0.0.1"):
        assert destination(f"https://{host}/", policy).port == 443


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.allowable], ids=lambda kind: str(kind.name))
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
    assert outcome(edge.fetcher(), "https://nowhere.example/").startswith(
        "'nowhere.example' was not resolved: gaierror: "
    )


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
        return JWKSPolicy(allow_http_loopback=False, allow_private_hosts=hosts, allow_ports=[self.port], **settings)


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
    detail = outcome(edge.fetcher(server.policy("another.example"), **settings()), server.uri)
    assert detail == "refused to connect to 127.0.0.1: it is loopback, and not in JWKSPolicy(allow_private_hosts=...)"
    assert server.named == []
    assert server.publisher.count == 0


def test_a_name_that_changes_between_resolutions_gains_nothing(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the address that was checked is the one that is connected to."""
    names = Names(monkeypatch, **{HOST: [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2"]]})
    fetcher = edge.fetcher(server.policy("127.0.0.2", fetch_limit=9))
    assert "ConnectError" in outcome(fetcher, server.uri)  # nobody listens there
    assert names.asked == [HOST]
    assert "loopback" in outcome(fetcher, server.uri)
    assert server.named == []


def test_the_users_client_is_judged_by_where_it_connected(
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
    finish: Callable[[Any], Any] = getattr(edge, "run", lambda result: result)
    for hosts, detail in (((HOST,), "k1"), ((), "loopback")):
        users = edge.http_client(verify=server.context)
        finish(users.get(server.uri))
        assert detail in outcome(edge.fetcher(server.policy(*hosts), http_client=users), server.uri)
        finish(users.aclose() if edge.name == "async" else users.close())  # the server reads until then


def test_a_peer_that_is_not_known_brings_no_keys(edge: Edge) -> None:
    class Stream:
        def get_extra_info(self, _name: str) -> object:
            return None

    def handle(_request: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return httpx.Response(200, headers=headers, content=KEYS, extensions={"network_stream": Stream()})

    users = edge.http_client(transport=httpx.MockTransport(handle))
    detail = outcome(edge.fetcher(http_client=users), "https://op.example/jwks.json")
    assert detail == "the address that was connected to is not known"


def test_a_certificate_that_does_not_hold_is_not_tried_at_other_addresses(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{"another.example": ["127.0.0.1", "127.0.0.2"]})
    detail = outcome(edge.fetcher(server.policy("another.example")), server.uri.replace(HOST, "another.example"))
    assert "CERTIFICATE_VERIFY_FAILED" in detail
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


def test_a_proxy_of_the_users_may_be_anywhere_and_decides_for_itself(
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


def test_a_socket_in_the_file_system_is_the_users_choice(edge: Edge, tmp_path: Path) -> None:
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


def test_a_refused_destination_is_reported_as_unavailable(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, **{HOST: ["169.254.169.254"]})
    fetcher = edge.fetcher(JWKSPolicy())
    with pytest.raises(TemporarilyUnavailable) as caught:
        fetcher.refresh(f"https://{HOST}/latest/meta-data/")
    assert "metadata" in caught.value.detail
    with pytest.raises((TemporarilyUnavailable, InvalidClient)):
        fetcher.get_key(registered(f"https://{HOST}/latest/meta-data/"), "RS256", None)
