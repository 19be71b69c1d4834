"""The address guard as a table: every way that httpx can connect, to every kind of address, with real sockets.

Loopback has two kinds of address: one that the policy names, and its neighbour, that it does not. All other kinds
need a network of our own: the same cells run once more in a network namespace, where a host may have any address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import httpcore
import httpx
import pytest

from certificates import certificate
from edges import Edge
from loopback import http
from names import Names
from private_key_jwt import JWKSPolicy, TemporarilyUnavailable, _http_client
from support import jwk, registered

HOST = "idp.example"
KEYS = json.dumps({"keys": [jwk()]}).encode()
IN_NAMESPACE = "GUARD_IN_NAMESPACE" in os.environ


class Kind(NamedTuple):
    """A kind of address, by one of them.

    is_allowed: by the policy below, or because it is on the Internet.
    refusal: what is said of a URL that has it for a host.
    """

    address: str
    is_allowed: bool
    refusal: str = "refused to connect"


LOOPBACK_KINDS = {
    "loopback, allowed": Kind("127.0.0.1", is_allowed=True),
    "loopback": Kind("127.0.0.2", is_allowed=False),
}
NAMESPACE_KINDS = {
    "public": Kind("93.184.215.14", is_allowed=True),
    "public over IPv6": Kind("2606:4700::1", is_allowed=True),
    "private, allowed": Kind("10.1.0.1", is_allowed=True),
    "private": Kind("10.2.0.1", is_allowed=False),
    "unique local, allowed": Kind("fd12::1", is_allowed=True),
    "unique local": Kind("fd13::1", is_allowed=False),
    "shared": Kind("100.64.0.1", is_allowed=False),
    "loopback over IPv6": Kind("::1", is_allowed=False),
    "for documentation": Kind("192.0.2.1", is_allowed=False),
    "for benchmarks": Kind("198.18.0.1", is_allowed=False),
    # The policy below names these, and they are refused all the same.
    "link-local": Kind("169.254.1.1", is_allowed=False),
    "metadata": Kind("169.254.169.254", is_allowed=False),
    "metadata at a shared address": Kind("100.100.100.200", is_allowed=False),
    "metadata at a public address": Kind("168.63.129.16", is_allowed=False),
    "metadata over IPv6": Kind("fd00:ec2::254", is_allowed=False),
    "an IPv6 form of metadata": Kind("2606:4700::a9fe:a9fe", is_allowed=False, refusal="hides no other address"),
    "IPv4-mapped": Kind("::ffff:10.1.0.1", is_allowed=False, refusal="hides no other address"),
}
KINDS = NAMESPACE_KINDS if IN_NAMESPACE else LOOPBACK_KINDS
ALLOWED = ["127.0.0.1", "10.1.0.1", "fd12::1", "169.254.0.0/16", "100.100.100.200", "168.63.129.16", "fd00:ec2::/32"]


# Servers, at every address of this host


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen at every address, of both families, on one port; ``serve`` each connection in a thread."""
    first = socket.create_server(("0.0.0.0", 0), backlog=64)
    port: int = first.getsockname()[1]
    listeners = [first, socket.create_server(("::", port), family=socket.AF_INET6, backlog=64)]
    threads: list[threading.Thread] = []

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                thread = threading.Thread(target=handle, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

    def handle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            serve(connection)

    threads += [threading.Thread(target=accept, args=(listener,), daemon=True) for listener in listeners]
    for thread in list(threads):
        thread.start()
    yield port
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


class Server:
    """A publisher with a certificate for ``idp.example``, over HTTP/1.1 and HTTP/2. ``greeted``: who sent it a byte."""

    def __init__(self, place: Path) -> None:
        self.tls, trusted = certificate(place, HOST)
        self.tls.set_alpn_protocols(["h2", "http/1.1"])
        self.context = ssl.create_default_context(cafile=str(trusted))
        self.trusted = trusted
        self.greeted: list[str] = []

    def serve(self, raw: socket.socket) -> None:
        if raw.family == socket.AF_UNIX:
            self._answer(raw)
            return
        if not raw.recv(1, socket.MSG_PEEK):
            return
        self.greeted.append(raw.getsockname()[0])
        with self.tls.wrap_socket(raw, server_side=True) as connection:
            if connection.selected_alpn_protocol() == "h2":
                self._answer_http2(connection)
            else:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4_096) or b"\r\n\r\n"
        connection.sendall(http(KEYS))

    def _answer_http2(self, connection: ssl.SSLSocket) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        while received := connection.recv(65_536):
            for event in state.receive_data(received):
                if isinstance(event, h2.events.StreamEnded):
                    state.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
                    state.send_data(event.stream_id, KEYS, end_stream=True)
                    connection.settimeout(0.3)  # time for another request: the client leaves it open
            connection.sendall(state.data_to_send())


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def tunnel(client: socket.socket, port: int) -> None:
    """What a proxy does once it is asked: it decides to go to our server, at loopback."""
    with socket.create_connection(("127.0.0.1", port)) as target:
        back = threading.Thread(target=pump, args=(target, client), daemon=True)
        back.start()
        pump(client, target)
        back.join(10)


def http_proxy(port: int) -> Callable[[socket.socket], None]:
    """RFC 9110 section 9.3.6."""

    def serve(client: socket.socket) -> None:
        assert client.recv(4_096).startswith(b"CONNECT ")
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        tunnel(client, port)

    return serve


def socks_proxy(port: int) -> Callable[[socket.socket], None]:
    """RFC 1928, without authentication."""

    def serve(client: socket.socket) -> None:
        assert client.recv(64)[:1] == b"\x05"
        client.sendall(b"\x05\x00")
        assert client.recv(512)[:2] == b"\x05\x01"
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        tunnel(client, port)

    return serve


# Ways to connect


class Setup(NamedTuple):
    """What a way to connect is made of."""

    edge: Edge
    server: Server
    address: str
    port: int
    place: Path

    @property
    def url_host(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def transport(self) -> Any:
        return {"sync": httpx.HTTPTransport, "async": httpx.AsyncHTTPTransport}[self.edge.name]

    @property
    def base(self) -> Any:
        return {"sync": httpx.BaseTransport, "async": httpx.AsyncBaseTransport}[self.edge.name]

    def client(self, **settings: Any) -> dict[str, Any]:
        return {"http_client": self.edge.http_client(**{"verify": self.server.context, **settings})}


def rerouted(setup: Setup, request: httpx.Request) -> httpx.Request:
    """The request of a transport that looks names up itself, as one for an internal directory would."""
    request.url = request.url.copy_with(host=setup.address)
    request.extensions = {**request.extensions, "sni_hostname": HOST}
    return request


def resolving_subclass(setup: Setup) -> dict[str, Any]:
    class Resolving(setup.transport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: httpx.Request) -> Any:
            return super().handle_request(rerouted(setup, request))

        async def handle_async_request(self, request: httpx.Request) -> Any:
            return await super().handle_async_request(rerouted(setup, request))

    return setup.client(transport=Resolving(verify=setup.server.context))


def resolving_wrapper(setup: Setup, **settings: Any) -> dict[str, Any]:
    inner = setup.transport(verify=setup.server.context, **settings)

    class Wrapper(setup.base):  # type: ignore[name-defined, misc]
        def handle_request(self, request: httpx.Request) -> Any:
            return inner.handle_request(rerouted(setup, request))

        async def handle_async_request(self, request: httpx.Request) -> Any:
            return await inner.handle_async_request(rerouted(setup, request))

        def close(self) -> None:
            inner.close()

        async def aclose(self) -> None:
            await inner.aclose()

    return setup.client(transport=Wrapper())


def quiet_wrapper(setup: Setup) -> dict[str, Any]:
    """It passes on no trace: what it connects to is only seen when it is done."""
    settings = resolving_wrapper(setup)
    transport = settings["http_client"]._transport
    handle, handle_async = transport.handle_request, getattr(transport, "handle_async_request", None)

    def without_trace(request: httpx.Request) -> httpx.Request:
        request.extensions = {name: value for name, value in request.extensions.items() if name != "trace"}
        return request

    async def quietly(request: httpx.Request) -> Any:
        assert handle_async is not None
        return await handle_async(without_trace(request))

    transport.handle_request = lambda request: handle(without_trace(request))
    transport.handle_async_request = quietly
    return settings


def own_backend(setup: Setup) -> dict[str, Any]:
    """httpx's transport on a pool with a resolver of the user's."""
    ours = {"sync": httpcore.SyncBackend, "async": httpcore.AnyIOBackend}[setup.edge.name]

    class Backend(ours):  # type: ignore[valid-type, misc]
        def connect_tcp(self, host: str, port: int, **settings: Any) -> Any:
            return super().connect_tcp(setup.address, port, **settings)

    transport = setup.transport(verify=setup.server.context)
    transport._pool._network_backend = Backend()
    return setup.client(transport=transport)


def own_sockets(setup: Setup) -> dict[str, Any]:
    """A transport that says nothing of its connection."""

    def exchange() -> httpx.Response:
        with socket.create_connection((setup.address, setup.port), 5) as raw:
            with setup.server.context.wrap_socket(raw, server_hostname=HOST) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                received = b""
                while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < len(KEYS):
                    received += connection.recv(65_536)
        return httpx.Response(200, content=received.partition(b"\r\n\r\n")[2])

    class Silent(setup.base):  # type: ignore[name-defined, misc]
        def handle_request(self, _request: httpx.Request) -> Any:
            return exchange()

        async def handle_async_request(self, _request: httpx.Request) -> Any:
            return exchange()

    return setup.client(transport=Silent())


def straight_past_a_proxy(setup: Setup) -> dict[str, Any]:
    """A subclass of httpx's transport that has a proxy, and goes straight to some hosts all the same."""
    direct = setup.transport(verify=setup.server.context)

    class Sometimes(setup.transport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: httpx.Request) -> Any:
            return direct.handle_request(rerouted(setup, request))

        async def handle_async_request(self, request: httpx.Request) -> Any:
            return await direct.handle_async_request(rerouted(setup, request))

        def close(self) -> None:
            direct.close()

        async def aclose(self) -> None:
            await direct.aclose()

    return setup.client(transport=Sometimes(proxy=f"http://{setup.url_host}:9"))


def unix_socket(setup: Setup) -> dict[str, Any]:
    return setup.client(transport=setup.transport(verify=setup.server.context, uds=str(setup.place / "socket")))


def memory(setup: Setup) -> dict[str, Any]:
    return setup.client(transport=httpx.MockTransport(lambda _request: httpx.Response(200, content=KEYS)))


def marked_as_memory(setup: Setup) -> dict[str, Any]:
    """What says that it is in process, and is not: its peer is judged all the same."""
    settings = resolving_wrapper(setup)
    settings["http_client"]._transport.in_process = True
    return settings


JUDGED, LATE, EXEMPT, REFUSED = "judged", "judged late", "exempt", "refused"


class Way(NamedTuple):
    """A way to connect, and the verdict on it.

    JUDGED by the address, before a byte is sent; LATE: by the address, when the answer is there; EXEMPT whatever the
    address; REFUSED whatever the address.
    """

    verdict: str
    make: Callable[[Setup], dict[str, Any]]


WAYS = {
    "our client": Way(JUDGED, lambda setup: {}),
    "the user's client": Way(JUDGED, lambda setup: setup.client()),
    "the user's client with HTTP/2": Way(JUDGED, lambda setup: setup.client(http2=True)),
    "the user's client with retries and a local address": Way(
        JUDGED, lambda setup: setup.client(transport=setup.transport(verify=setup.server.context, retries=1))
    ),
    "a mount for every host": Way(
        JUDGED, lambda setup: setup.client(mounts={"all://": setup.transport(verify=setup.server.context)})
    ),
    "a mount for this host": Way(
        JUDGED, lambda setup: setup.client(mounts={f"all://{HOST}": setup.transport(verify=setup.server.context)})
    ),
    "a mount that is no transport": Way(JUDGED, lambda setup: setup.client(mounts={"all://": None})),
    "a transport that resolves names itself": Way(JUDGED, resolving_subclass),
    "a transport around httpx's": Way(JUDGED, resolving_wrapper),
    "a transport around httpx's, with HTTP/2": Way(JUDGED, lambda setup: resolving_wrapper(setup, http2=True)),
    "a transport that hides its connecting": Way(LATE, quiet_wrapper),
    "a mounted transport that resolves names itself": Way(
        JUDGED, lambda setup: setup.client(mounts={"all://": resolving_subclass(setup)["http_client"]._transport})
    ),
    "a resolver of the user's": Way(JUDGED, own_backend),
    "a transport that has a proxy and goes past it": Way(JUDGED, straight_past_a_proxy),
    "a transport that says it is in process, and is not": Way(JUDGED, marked_as_memory),
    "a transport with sockets of its own": Way(REFUSED, own_sockets),
    "a socket in the file system": Way(EXEMPT, unix_socket),
    "a transport that answers from memory": Way(EXEMPT, memory),
}
PROXIES = {
    "a proxy": lambda setup, url: setup.client(proxy=url),
    "a mounted proxy": lambda setup, url: setup.client(
        mounts={"all://": setup.transport(verify=setup.server.context, proxy=url)}
    ),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    _http_client.ssl_context.cache_clear()
    _http_client.ssl_context().load_verify_locations(server.trusted)
    yield server
    _http_client.ssl_context.cache_clear()


def outcome(fetcher: Any, uri: str) -> str:
    """``k1`` when it was fetched, else why not."""
    try:
        return str(fetcher.get_key(registered(uri), "RS256", "k1").kid)
    except TemporarilyUnavailable as error:
        return error.detail


def policy(port: int) -> JWKSPolicy:
    return JWKSPolicy(allow_http_loopback=False, allow_private_hosts=ALLOWED, allow_ports=[port], timeout=30)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_verdict_on(
    way: Way, kind: Kind, edge: Edge, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{HOST: [kind.address]})
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(listening(server.serve))
        path = stack.enter_context(_socket_in_a_file(tmp_path / "socket", server))
        assert path
        settings = way.make(Setup(edge, server, kind.address, port, tmp_path))
        detail = outcome(edge.fetcher(policy(port), **settings), f"https://{HOST}:{port}/jwks.json")
        if way.verdict == EXEMPT or (kind.is_allowed and way.verdict != REFUSED):
            assert detail == "k1"
        elif way.verdict == REFUSED:
            assert "does not say which address it connected to" in detail
        else:
            assert f"refused to connect to {ipaddress.ip_address(kind.address)}: it is " in detail
            assert server.greeted == [kind.address.removeprefix("::ffff:")] * (way.verdict == LATE) or (
                way.verdict == JUDGED and server.greeted == []
            )


@contextlib.contextmanager
def _socket_in_a_file(path: Path, server: Server) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, server.tls.wrap_socket(connection, server_side=True) as wrapped:
                        server._answer(wrapped)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield str(path)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("how", PROXIES.values(), ids=PROXIES)
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_of_the_users_may_be_at_any_address_and_the_url_may_not(
    scheme: str,
    how: Callable[[Setup, str], dict[str, Any]],
    kind: Kind,
    edge: Edge,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user chose the proxy, and which addresses it connects to, it must decide: we cannot see them."""
    names = Names(monkeypatch)
    with listening(server.serve) as port:
        serve = (http_proxy if scheme == "http" else socks_proxy)(port)
        with listening(serve) as proxy_port:
            setup = Setup(edge, server, kind.address, proxy_port, tmp_path)
            settings = how(setup, f"{scheme}://{setup.url_host}:{proxy_port}")
            fetcher = edge.fetcher(policy(port), **settings)
            assert outcome(fetcher, f"https://{HOST}:{port}/jwks.json") == "k1"
            assert names.asked == []
            assert len(server.greeted) == 1
            if not kind.is_allowed:
                assert kind.refusal in outcome(fetcher, f"https://{setup.url_host}:{port}/jwks.json")
            assert "refused to connect" in outcome(fetcher, f"https://169.254.169.254:{port}/jwks.json")
            assert len(server.greeted) == 1


def test_a_connection_that_was_verified_for_another_host_brings_no_keys(
    edge: Edge, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two hosts at one address share a connection of HTTP/2, where a transport dials addresses: whoever has the
    certificate of one of them could answer for the other."""

    with listening(server.serve) as port:
        Names(monkeypatch, **{HOST: ["127.0.0.1"], "other.example": ["127.0.0.1"]})
        settings = resolving_wrapper(Setup(edge, server, "127.0.0.1", port, tmp_path), http2=True)
        fetcher = edge.fetcher(policy(port), **settings)
        assert outcome(fetcher, f"https://{HOST}:{port}/jwks.json") == "k1"
        detail = outcome(fetcher, f"https://other.example:{port}/jwks.json")
        assert "the TLS certificate was not verified for 'other.example'" in detail


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("::1", "[::1]"),
        ("::1", "[0:0::1]"),
        ("xn--e1afmkfd.example", "xn--e1afmkfd.example"),
        (HOST, "IDP.Example"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_the_name_that_a_certificate_is_verified_for_has_one_spelling(
    name: str, spelled: str, edge: Edge, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, **{name: ["127.0.0.1"]})
    server.tls, trusted = certificate(tmp_path, name)
    client = edge.http_client(verify=ssl.create_default_context(cafile=str(trusted)))
    with listening(server.serve) as port:
        policy = JWKSPolicy(allow_private_hosts=["127.0.0.1", "::1"], allow_ports=[port], timeout=30)
        assert outcome(edge.fetcher(policy, http_client=client), f"https://{spelled}:{port}/") == "k1"


@pytest.mark.slow
@pytest.mark.timeout(1_200)  # it runs all cells of this file, for each kind of address
def test_the_same_table_holds_for_all_kinds_of_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    """In a network namespace, where a host may have any address. It takes the right to make one (root, or a user's)."""
    if IN_NAMESPACE:
        return
    tools = [shutil.which("unshare"), shutil.which("ip")]
    made = all(tools) and subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode == 0
    if not made:
        with capsys.disabled():
            sys.stdout.write(f"\nno network namespace here: {len(NAMESPACE_KINDS)} kinds of addresses were not tried\n")
        return
    addresses = {ipaddress.ip_address(kind.address) for kind in NAMESPACE_KINDS.values()}
    mapped = {address for address in addresses if address.version == 6 and address.ipv4_mapped is not None}
    network = ["ip link set lo up"] + [
        f"ip addr add {address}/{address.max_prefixlen} dev lo {'nodad' if address.version == 6 else ''}"
        for address in addresses - mapped - {ipaddress.ip_address("::1")}
    ]
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    script = " && ".join([*network, subprocess.list2cmdline(pytest_)])
    ran = subprocess.run(
        [*_UNSHARE, "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "GUARD_IN_NAMESPACE": "1", "PYTEST_ADDOPTS": ""},
    )
    assert ran.returncode == 0, ran.stdout[-4_000:] + ran.stderr[-2_000:]
    with capsys.disabled():
        sys.stdout.write(f"\nin a network namespace: {ran.stdout.strip().splitlines()[-1]}\n")


_UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
