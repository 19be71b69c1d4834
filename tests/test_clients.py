"""What may be registered."""

import json
import signal
from collections import OrderedDict, UserDict, UserList
from collections.abc import Callable
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

import children
from integrations.timing import least, rsa_verification
from private_key_jwt import AssertionPolicy, ConfigurationError, JWKSPolicy, RegisteredClient, _registered_keys
from private_key_jwt._core.jwk_set import PRIVATE_MEMBERS, KeySet
from private_key_jwt._kept import Kept
from private_key_jwt.clients import unchecked_client
from support import ec_jwk, ec_key, jwk, private_key

URI = "https://client.example/jwks.json"


def test_a_client_signs_with_rs256_by_default() -> None:
    client = RegisteredClient("c", jwks_uri=URI)
    assert (client.signing_algs, client.require_kid, client.policy, client.jwks) == (("RS256",), False, None, None)
    assert client.keys is None
    assert client == RegisteredClient("c", jwks_uri=URI, signing_algs=["RS256"])
    assert hash(client) == hash(RegisteredClient("c", jwks_uri=URI))


@pytest.mark.parametrize("client_id", ["", None, 1, b"c", ["c"]])
def test_a_client_id_is_a_string(client_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_id"):
        RegisteredClient(client_id, jwks_uri=URI)


def test_there_is_exactly_one_source_of_keys() -> None:
    both: dict[str, Any] = {"jwks_uri": URI, "jwks": {"keys": []}}
    for sources, has in (({}, "neither"), (both, "both")):
        with pytest.raises(ConfigurationError, match=f"exactly one of jwks_uri and jwks, and has {has}$"):
            RegisteredClient("c", **sources)


@pytest.mark.parametrize(
    "uri",
    [
        URI,
        "https://client.example:8443/a/b?c=d",
        "https://xn--e1afmkfd.example/jwks.json",
        "https://[2001:db8::1]/jwks.json",
        "http://localhost:8000/jwks.json",
        "http://127.0.0.1:8000/jwks.json",
        "http://127.8.8.8/jwks.json",
        "http://[::1]:8000/jwks.json",
        "https://client.example/@a",
        "https://client.example/a?b=@c",
        "https://client.example?u=a@b",
    ],
)
def test_a_url_that_may_be_fetched(uri: str) -> None:
    assert RegisteredClient("c", jwks_uri=uri).jwks_uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "client.example/jwks.json",
        "/jwks.json",
        "//client.example/jwks.json",
        "https://",
        "https:///jwks.json",
        "https:jwks.json",
        "http://client.example/jwks.json",
        "http://127.0.0.1.example/",
        "http://localhost.example/",
        "http://2130706433/",
        "ftp://client.example/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://user@client.example/",
        "https://user:password@client.example/",
        "https://@client.example/",
        "https://@client.example?a",
        "https://:@client.example",
        "https://?@client.example/",
        "https://client.example/#fragment",
        "https://client.example/#",
        "https://client.example/\r\nX: y",
        "https://client.example/\0",
        "https://client.example/a b",
        " https://client.example/",
        "https://client.example/\x7f",
        "https://client.example\\@evil.example/",
        "https://clіent.example/",
        "https://xn--a/",
        "https://xn--/",
        "https://xn--b(/",
        "https://client.example:99999/",
        "https://client.example:0/",
        "https://client.example:x/",
        "https://[::1/",
        "https://client.example/" + "a" * 10_000,
        b"https://client.example/",
        1,
    ],
)
def test_a_url_that_may_not_be_fetched(uri: Any) -> None:
    with pytest.raises(ConfigurationError, match="jwks_uri"):
        RegisteredClient("c", jwks_uri=uri)


@pytest.mark.parametrize(
    "algs", [[], (), "RS256", None, ["none"], ["HS256"], ["RS256", "HS256"], ["ES256K"], ["rs256"], [["RS256"]], [1], 1]
)
def test_only_algorithms_of_the_table_can_be_registered(algs: Any) -> None:
    with pytest.raises(ConfigurationError, match="signing_algs"):
        RegisteredClient("c", jwks_uri=URI, signing_algs=algs)


@pytest.mark.parametrize(
    ("settings", "names"),
    [({"require_kid": 1}, "require_kid"), ({"policy": "x"}, "policy"), ({"policy": {"audience": "x"}}, "policy")],
)
def test_other_settings_are_checked(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        RegisteredClient("c", jwks_uri=URI, **settings)


def test_a_policy_is_a_whole_policy() -> None:
    policy = AssertionPolicy(audience="https://op.example", leeway=0)
    assert RegisteredClient("c", jwks_uri=URI, policy=policy).policy is policy


# By value


def test_keys_by_value_are_read_once() -> None:
    document = {"keys": [jwk()]}
    client = RegisteredClient("c", jwks=document)
    document["keys"].append(jwk(private_key(1), kid="k2"))
    assert client.keys is not None
    assert [member.kid for member in client.keys.members] == ["k1"]
    assert document["keys"][0]["n"] not in repr(client)


def test_any_mapping_is_a_document() -> None:
    document = MappingProxyType({"keys": (MappingProxyType(jwk()),)})
    keys = RegisteredClient("c", jwks=document).keys
    assert keys is not None
    assert keys.members[0].fault is None


def test_odd_keys_are_skipped_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    keys = RegisteredClient("c", jwks={"keys": [{"kty": 1}, jwk(use="enc"), 5, jwk(kid="\ud800"), jwk(kid="k2")]}).keys
    assert keys is not None
    assert [member.fault is None for member in keys.members] == [False, False, False, False, True]
    assert "use is 'enc', not sig" in caplog.text


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}, "x", [], b"{}", 1, {"keys": [1] * 65}])
def test_a_malformed_document_is_refused(document: Any) -> None:
    with pytest.raises(ConfigurationError, match="jwks"):
        RegisteredClient("c", jwks=document)


def test_a_mapping_that_cannot_be_read_is_a_configuration_error() -> None:
    class Odd(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            raise RuntimeError(key)

    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    for document in (Odd(), {"keys": [Odd(kid="k")]}):
        with pytest.raises(ConfigurationError, match="jwks cannot be read: RuntimeError"):
            RegisteredClient("c", jwks=document)
    assert RegisteredClient("c", jwks={"keys": [jwk(use=nested), jwk()]}).keys
    while nested:
        nested = nested.pop()


@pytest.mark.parametrize("name", PRIVATE_MEMBERS)
def test_private_members_are_refused(name: str) -> None:
    secret: dict[str, Any] = {name: "c2VjcmV0"}
    with pytest.raises(ConfigurationError, match=f"key 1 holds private members: {name}") as caught:
        RegisteredClient("c", jwks={"keys": [jwk(), jwk(**secret)]})
    assert "c2VjcmV0" not in str(caught.value)


def test_a_set_by_value_without_a_usable_key_is_refused_at_the_start() -> None:
    for document, why in (
        ({"keys": []}, "it is empty"),
        ({"keys": [jwk(e="Aw")]}, "'k1': e is 3"),
        ({"keys": [ec_jwk(ec_key())]}, "it is a key of another kind"),
    ):
        with pytest.raises(
            ConfigurationError, match=f"client 'c' holds no key that can be used with RS256: {why}|{why}"
        ):
            RegisteredClient("c", jwks=document)
    assert RegisteredClient("c", jwks={"keys": [ec_jwk(ec_key())]}, signing_algs=["RS256", "ES256"]).keys


def test_an_unchecked_client_may_have_no_usable_key() -> None:
    client = unchecked_client("c", jwks={"keys": []})
    assert isinstance(client, RegisteredClient)
    assert client.keys is not None
    assert client.keys.members == ()
    with pytest.raises(ConfigurationError, match="private"):
        unchecked_client("c", jwks={"keys": [jwk(d="AQAB")]})


@pytest.mark.parametrize("read_only", [False, True])
def test_the_same_keys_are_imported_once(monkeypatch: pytest.MonkeyPatch, read_only: bool) -> None:
    """A function that builds a client from a database does so for each request, before anything of it is proved."""
    imported: list[Any] = []
    real = _registered_keys._import_keys

    def count(members: Any) -> KeySet:
        imported.append(members)
        return real(members)

    monkeypatch.setattr(_registered_keys, "_import_keys", count)

    def register(*keys: Any) -> RegisteredClient:
        copies = [json.loads(json.dumps(key)) for key in keys]
        return RegisteredClient("c", jwks={"keys": [MappingProxyType(copy) if read_only else copy for copy in copies]})

    first = register(jwk(private_key(2), kid=f"once-{read_only}"))
    for _ in range(3):
        assert register(jwk(private_key(2), kid=f"once-{read_only}")).keys is first.keys
    assert len(imported) == 1
    assert register(jwk(private_key(2), kid=f"other-{read_only}")).keys is not first.keys
    assert len(imported) == 2


def test_a_set_that_is_refused_is_not_imported_anew() -> None:
    imported: list[Any] = []
    real = _registered_keys._import_keys

    def count(members: Any) -> KeySet:
        imported.append(members)
        return real(members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_registered_keys, "_import_keys", count)
        bad = {"keys": [jwk(kid=f"small-{number}", e="Aw") for number in range(JWKSPolicy().max_keys)]}
        for _ in range(3):
            with pytest.raises(ConfigurationError, match="no key that can be used"):
                RegisteredClient("c", jwks=bad)
            with pytest.raises(ConfigurationError, match="private"):
                RegisteredClient("c", jwks={"keys": [*bad["keys"][1:], jwk(d="AQAB")]})
            with pytest.raises(ConfigurationError, match="at most 64 keys by value, got 65"):
                RegisteredClient("c", jwks={"keys": [*bad["keys"], jwk()]})
    assert len(imported) == 1


def test_what_was_imported_is_kept_by_content_and_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept[KeySet](10)
    monkeypatch.setattr(_registered_keys, "_key_sets", kept)

    def read(*members: Any) -> KeySet:
        keys = unchecked_client("c", jwks={"keys": members}).keys
        assert keys is not None
        return keys

    sets = [read(jwk(kid=f"{number}")) for number in range(8)]
    assert read(jwk(kid="7")) is sets[7]
    assert read(jwk(kid="0")) is not sets[0]
    # A number and a flag are equal to Python, and are other content.
    assert read({"kty": 1}) is not read({"kty": True})
    assert len(read(*(jwk(kid=f"{number}") for number in range(9))).members) == 9
    last = read(jwk())
    assert read(jwk()) is last
    kept.after_fork_in_child()
    assert read(jwk()) is not last


class Text(str):
    """As ORMs and parsers have their own."""


TYPES: dict[str, tuple[Callable[[dict[str, Any]], Any], str | None]] = {
    "OrderedDict": (OrderedDict, None),
    "read-only view": (MappingProxyType, None),
    "another mapping": (UserDict, None),
    "decimal number": (lambda key: key | {"iat": Decimal("1.5")}, None),
    "texts of another type": (lambda key: {name: Text(value) for name, value in key.items()}, None),
    "tuple": (lambda key: key | {"key_ops": ("verify",)}, None),
    "list of another type": (lambda key: key | {"key_ops": UserList(["verify"])}, "its key_ops is b'a UserList'"),
    "odd items": (lambda key: key | {"key_ops": [Text("verify"), {}, [[]], Decimal(1)]}, None),
    "decimal number for a text": (lambda key: key | {"use": Decimal(1)}, "its use is b'a Decimal', not sig"),
    "mapping for a text": (lambda key: key | {"alg": {"a": UserDict()}}, "its alg is b'a dict'"),
}


@pytest.mark.parametrize("name", TYPES)
def test_keys_of_whatever_types_are_imported_once(name: str) -> None:
    """A database driver, or a parser of JSON, has types of its own."""
    make, fault = TYPES[name]

    def keys() -> KeySet:
        found = unchecked_client("c", jwks={"keys": [make(jwk(kid=name)), jwk()]}).keys
        assert found is not None
        return found

    first = keys()
    assert keys() is first
    assert [member.kid for member in first.members] == [name, "k1"]
    assert (first.members[0].fault or "").startswith(fault or "")
    assert (first.members[0].fault is None) is (fault is None)


def test_what_is_not_looked_at_of_a_key_costs_nothing() -> None:
    key = jwk()

    def cost(**members: Any) -> float:
        return least(lambda: RegisteredClient("c", jwks={"keys": [key | members]}))

    many = [1] * 100_000
    for members in ({"x5c": many}, {"x5t": {"x": many}}, {"key_ops": ["verify", *many]}):
        assert cost(**members) <= 2 * cost() + rsa_verification(), members.keys()


def test_one_key_in_the_place_of_a_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean \{'keys': \[jwk\]\}\?"):
        RegisteredClient("c", jwks=jwk())


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("client.example/jwks.json", "be https, and begin with https://: 'client.example/jwks.json'"),
        ('"https://client.example/"', "be https, and begin with https://: '\"https://client.example/\"'"),
        ("${JWKS_URI}", "be https, and begin with https://: '${JWKS_URI}'"),
        ("https:/client.example/", "be https, and begin with https://: 'https:/client.example/'"),
        ("http://client.example/", "be https: 'http://client.example/'"),
        ("https:///jwks.json", "name a host: 'https:///jwks.json'"),
        ("https://https://client.example/", "name a host: 'https://https://client.example/'"),
        ("https://HTTP://client.example/", "name a host: 'https://HTTP://client.example/'"),
        ("https://client.example:0/", "name a port from 1 to 65535, or none: 'https://client.example:0/'"),
        ("https://user:hunter2@client.example/", "hold no user name and no password (it is not shown here)"),
        ("//user:hunter2@client.example/ ", "hold no user name and no password (it is not shown here)"),
        ("https://client.example/" + "a" * 2_026, "be a URL of at most 2048 characters, not of 2049"),
        (["https://client.example/"], "be a URL in a text, not ['https://client.example/']"),
        (
            "https://client.example/\n",
            "be a URL in printable ASCII without spaces (a host in its xn-- form, RFC 5890), and character 24 is '\\n':"
            " 'https://client.example/\\n'",
        ),
    ],
)
def test_what_is_wrong_with_a_url_is_named_alone(uri: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RegisteredClient("c", jwks_uri=uri)
    assert str(caught.value) == f"jwks_uri must {said}"


@pytest.mark.parametrize(
    ("jwks", "said"),
    [
        ('{"keys": []}', "str: json.loads makes one of it"),
        (b'{"keys": []}', "bytes: json.loads makes one of it"),
        ([{"kty": "RSA"}], "list: did you mean {'keys': [...]}?"),
        (7, "int"),
    ],
)
def test_keys_by_value_that_are_no_mapping_are_refused_with_what_makes_one(jwks: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RegisteredClient("c", jwks=jwks)
    assert str(caught.value) == f"jwks must be a JWK Set as a mapping, not {said}"


def test_a_lock_held_at_the_fork_is_free_in_the_child() -> None:
    kept = Kept[str](10)

    def check() -> bool:
        signal.alarm(10)  # it ends a child that waits for good
        return kept.get("key", 1, lambda: "value") == "value"

    with kept._lock:
        assert children.holds(check)


def test_an_address_without_brackets_is_said_to_want_them() -> None:
    with pytest.raises(ConfigurationError, match="^jwks_uri is no URL: .*; an IPv6 address stands in brackets$"):
        RegisteredClient("c", jwks_uri="https://2001:db8::1/jwks.json")
    with pytest.raises(ConfigurationError, match="^jwks_uri is no URL: \"Invalid port: 'x'\"$"):
        RegisteredClient("c", jwks_uri="https://client.example:x/")
