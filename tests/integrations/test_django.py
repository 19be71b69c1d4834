"""What Django makes of the decorator and of its settings, beyond the table of all frameworks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

import children
from integrations import django_objects, django_project
from integrations.apps import ISSUER, Provider
from integrations.scenarios import INVALID_CLIENT, INVALID_REQUEST, token_request, wire
from private_key_jwt import (
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    JWKSFetcher,
    MemoryJWKSCache,
    MemoryReplayStore,
    Reason,
)
from private_key_jwt.events import log_events
from private_key_jwt.integrations import _django_settings as project
from private_key_jwt.integrations.django import client_authentication
from private_key_jwt.testing import Tenant
from support import until

OBJECTS = "integrations.django_objects"
CACHE = MemoryJWKSCache()


@pytest.fixture(autouse=True)
def _project(provider: Provider) -> Iterator[None]:
    with django_project.settings_for(provider):
        yield


def post(path: str, **settings: Any) -> httpx.Response:
    with httpx.Client(
        transport=httpx.WSGITransport(django_project.wsgi_application()), base_url="http://127.0.0.1"
    ) as http:
        return http.post(path, **settings)


def post_async(path: str, **settings: Any) -> httpx.Response:
    async def posted() -> httpx.Response:
        transport = httpx.ASGITransport(django_project.asgi_application())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.post(path, **settings)

    return asyncio.run(posted())


EDGES = pytest.mark.parametrize(("edge", "prefix"), [(post, "/"), (post_async, "/async/")], ids=["sync", "async"])


@EDGES
@pytest.mark.parametrize("view", ["optional", "one-call"])
def test_where_an_assertion_is_optional_the_others_have_their_turn(
    edge: Any, prefix: str, view: str, tenant: Tenant
) -> None:
    path = prefix + view
    secret = {"client_id": "c", "client_secret": "s"}
    assert edge(path, data=secret).json() == {"client": None, "form": ["client_id", "client_secret"]}
    assert edge(path, headers={"Authorization": "Basic x"}).json()["client"] is None
    form = token_request(tenant.assertion())
    assert edge(path, data=form).json() == {"client": tenant.client_id, "form": sorted(form)}
    # What is there must be right.
    assert wire(edge(path, data=form)) == INVALID_CLIENT
    assert wire(edge(path, data=token_request(tenant.assertion(), client_secret="s"))) == INVALID_REQUEST


@EDGES
@pytest.mark.parametrize(
    "limits",
    [
        {"DATA_UPLOAD_MAX_NUMBER_FIELDS": 2},
        {"DATA_UPLOAD_MAX_MEMORY_SIZE": 100},
    ],
    ids=str,
)
def test_the_limits_of_django_are_answered_too(edge: Any, prefix: str, limits: dict[str, int], tenant: Tenant) -> None:
    with override_settings(**limits):
        assert wire(edge(f"{prefix}token", data=token_request(tenant.assertion()))) == INVALID_REQUEST


def test_a_body_that_is_gone_is_refused_with_one_event(provider: Provider, tenant: Tenant) -> None:
    assert wire(post("/read-before", data=token_request(tenant.assertion()))) == INVALID_REQUEST
    assert provider.refusals() == [Reason.INVALID_REQUEST]


def test_a_view_of_a_class_and_a_path_with_variables_are_served(tenant: Tenant) -> None:
    assert post("/class/main", data=token_request(tenant.assertion())).json() == [tenant.client_id, "main"]
    assert wire(post("/class/main")) == INVALID_CLIENT


@pytest.mark.parametrize("name", ["class", "callable"])
def test_an_async_view_is_known_for_one_whatever_it_is(name: str, tenant: Tenant) -> None:
    form = token_request(tenant.assertion())
    assert post(f"/async/{name}", data=form).json() == tenant.client_id
    assert wire(post(f"/async/{name}", data=form)) == INVALID_CLIENT


def test_an_error_mail_leaves_the_assertion_out(tenant: Tenant) -> None:
    told = post("/reported", data=token_request(tenant.assertion(), scope="x")).json()
    assert told["scope"] == "x"
    assert set(told["client_assertion"]) == {"*"}


# Settings


def using(given: object) -> Any:
    return override_settings(PRIVATE_KEY_JWT=given)


def parts(**changes: Any) -> dict[str, Any]:
    given = {"AUDIENCE": ISSUER, "CLIENTS": [django_objects.client], "REPLAY_STORE": MemoryReplayStore()} | changes
    return {name: value for name, value in given.items() if value is not ...}


KINDS = pytest.mark.parametrize("kind", [ClientAssertionVerifier, AsyncClientAssertionVerifier])


@KINDS
def test_a_verifier_is_made_of_its_parts_once(kind: Any) -> None:
    given = parts(LEEWAY=5, MAX_LIFETIME=60, AUDIENCE_RULE="string", WORKERS=1, CLOCK="time.time")
    given["ON_EVENT"] = "private_key_jwt.events.log_events"
    with using(given | {"FETCHER": {"TTL": 60, "ALLOW_HTTP_LOOPBACK": True}}):
        verifier = project.verifier(kind)
        assert project.verifier(kind) is verifier
        assert isinstance(verifier, kind)
        assert (verifier._policy.leeway, verifier._policy.audience_rule) == (5, "string")
        assert verifier._on_event is verifier._fetcher._state._on_event is log_events
    with using(given):
        assert project.verifier(kind) is not verifier


def test_both_kinds_of_views_share_a_fetcher() -> None:
    """With one for each, strangers could cause twice the fetches."""
    for given in (parts(), parts(FETCHER={"TTL": 60}), parts(FETCHER="private_key_jwt.JWKSFetcher")):
        with using(given):
            sync = project.verifier(ClientAssertionVerifier)._fetcher
            assert isinstance(sync, JWKSFetcher)
            assert project.verifier(AsyncClientAssertionVerifier)._fetcher is sync


@pytest.mark.parametrize("cache", ["private_key_jwt.MemoryJWKSCache", CACHE], ids=["path", "object"])
def test_a_cache_of_key_sets_may_be_named(cache: Any) -> None:
    for given in (parts(JWKS_CACHE=cache), parts(JWKS_CACHE=cache, FETCHER={"TTL": 60})):
        with using(given):
            fetcher = project.verifier(ClientAssertionVerifier)._fetcher
            assert isinstance(fetcher, JWKSFetcher)
            assert isinstance(fetcher._cache, MemoryJWKSCache)
            assert fetcher._cache is cache or cache is not CACHE


def test_a_fetcher_for_async_views_alone_may_be_given() -> None:
    with using(parts(FETCHER="private_key_jwt.AsyncJWKSFetcher")):
        assert isinstance(project.verifier(AsyncClientAssertionVerifier)._fetcher, AsyncJWKSFetcher)
        with pytest.raises(ConfigurationError, match="settings.PRIVATE_KEY_JWT: fetcher"):
            project.verifier(ClientAssertionVerifier)


def test_the_guide_lists_every_key() -> None:
    guide = str(import_module("private_key_jwt.integrations.django").__doc__)
    listed = re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", guide, re.MULTILINE)))
    assert sorted(listed) == sorted([*project._WHOLE.values(), *project._PARTS])


def test_a_lock_held_at_the_fork_is_free_in_the_child() -> None:
    """Another thread may be making the verifier when a server forks its workers."""

    def check() -> bool:
        signal.alarm(10)  # it ends a child that waits for good
        return project.verifier(ClientAssertionVerifier)._find_client("c") is django_objects.client

    with using(parts()):
        current = project._current.project()
        for lock in (project._current._lock, current._lock):
            with held_by_another_thread(lock):
                assert children.holds(check)


# A module of views that is being imported until another thread waits for that.
LATE_VIEWS = """
import late_views_begun
late_views_begun()

from private_key_jwt.integrations.django import client_authentication

def find_client(client_id):
    return None

@client_authentication()
def token(request, client):
    return None
"""


def test_views_may_be_imported_while_another_thread_makes_their_verifier(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "late_views.py").write_text(LATE_VIEWS)
    monkeypatch.syspath_prepend(tmp_path)
    begun = threading.Event()

    def begin() -> None:
        begun.set()
        until(lambda: waits_for_an_import(other), "the other thread does not wait for the import")

    monkeypatch.setitem(sys.modules, "late_views_begun", begin)  # anything can be imported
    importing = threading.Thread(target=import_module, args=("late_views",), daemon=True)
    with using(parts(CLIENTS="late_views.find_client")):
        verifier = project._current.project().verifier
        other = threading.Thread(target=verifier, args=(ClientAssertionVerifier,), daemon=True)
        importing.start()
        assert begun.wait(10)
        other.start()
        for thread in (importing, other):
            thread.join(10)
            assert not thread.is_alive()


def waits_for_an_import(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != "acquire":
        frame = frame.f_back
    return frame is not None and "importlib" in frame.f_code.co_filename


@contextlib.contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(10)
    try:
        yield
    finally:
        end.set()
        thread.join(10)


async def _awaited(marked: Awaitable[None]) -> None:
    await marked


def test_both_kinds_of_views_share_a_replay_store() -> None:
    django_objects.made.clear()
    with using(parts(REPLAY_STORE=f"{OBJECTS}.make_store")):
        sync = project.verifier(ClientAssertionVerifier)
        twin = project.verifier(AsyncClientAssertionVerifier)
    sync._mark(b"one assertion", 2**40, 0)
    with pytest.raises(InvalidClient, match="replayed"):
        asyncio.run(_awaited(twin._mark(b"one assertion", 2**40, 0)))
    assert len(django_objects.made) == 1


@pytest.mark.parametrize("store", ["make_store", "store"])
@pytest.mark.parametrize("clients", ["find_client", [django_objects.client], {"c": django_objects.client}])
def test_a_dotted_path_names_an_object_or_what_makes_it(store: str, clients: Any) -> None:
    clients = f"{OBJECTS}.{clients}" if isinstance(clients, str) else clients
    with using(parts(REPLAY_STORE=f"{OBJECTS}.{store}", CLIENTS=clients)):
        assert project.verifier(ClientAssertionVerifier)._find_client("c") is django_objects.client


@pytest.mark.parametrize("jwks", [f"{OBJECTS}.fetcher", f"{OBJECTS}.make_fetcher", django_objects.fetcher])
def test_a_fetcher_may_be_given(jwks: Any) -> None:
    with using(parts(FETCHER=jwks)):
        assert project.verifier(ClientAssertionVerifier)._fetcher is django_objects.fetcher


def test_a_class_is_called() -> None:
    with using(parts(REPLAY_STORE="private_key_jwt.MemoryReplayStore")):
        mark = project.verifier(ClientAssertionVerifier)._mark
    mark(b"one assertion", 2**40, 0)
    with pytest.raises(InvalidClient, match="replayed"):
        mark(b"one assertion", 2**40, 0)


@pytest.mark.parametrize("other", ["make_async_verifier_alone", "make_async_verifier_elsewhere"])
@pytest.mark.parametrize("order", [1, -1])
def test_whole_verifiers_must_share_a_store_that_lives_in_the_process(other: str, order: int) -> None:
    """Also where the other's lives elsewhere."""
    with using({"VERIFIER": f"{OBJECTS}.verifier", "ASYNC_VERIFIER": f"{OBJECTS}.{other}"}):
        first, second = (ClientAssertionVerifier, AsyncClientAssertionVerifier)[::order]
        project.verifier(first)  # type: ignore[type-var]
        with pytest.raises(ConfigurationError, match="must share a replay store"):
            project.verifier(second)  # type: ignore[type-var]


def test_a_whole_verifier_may_be_given() -> None:
    with using({"VERIFIER": f"{OBJECTS}.verifier", "ASYNC_VERIFIER": f"{OBJECTS}.make_async_verifier"}):
        assert project.verifier(ClientAssertionVerifier) is django_objects.verifier
        made = project.verifier(AsyncClientAssertionVerifier)
        assert project.verifier(AsyncClientAssertionVerifier) is made


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "settings.PRIVATE_KEY_JWT: expected a dictionary"),
        ("x", "expected a dictionary"),
        ({}, "AUDIENCE is missing"),
        (parts(CLIENTS=...), "CLIENTS is missing"),
        (parts(REPLAY_STORE=...), "REPLAY_STORE is missing"),
        (parts(AUDIENCE=""), "settings.PRIVATE_KEY_JWT: audience must be"),
        (parts(LEEWAY="15"), "leeway must be a number"),
        (parts(CLIENTS=1), "clients must be"),
        (parts(CLIENTS=f"{OBJECTS}.nobody"), r"CLIENTS: 'integrations.django_objects.nobody' cannot be imported"),
        (parts(CLIENTS="nodots"), "CLIENTS: 'nodots' cannot be imported"),
        (parts(REPLAY_STORE="no.such.module"), "REPLAY_STORE: 'no.such.module' cannot be imported"),
        (parts(REPLAY_STORE=f"{OBJECTS}.make_nothing"), "replay_store must be"),
        (parts(REPLAY_STORE=f"{OBJECTS}.make_trouble"), "REPLAY_STORE: .*make_trouble' raised OSError: 'no such host'"),
        (parts(FETCHER=f"{OBJECTS}.make_trouble"), "FETCHER: .*raised OSError"),
        (
            parts(FETCHER=f"{OBJECTS}.make_fetcher", JWKS_CACHE=MemoryJWKSCache()),
            "JWKS_CACHE goes with a FETCHER that is",
        ),
        (parts(JWKS_CACHE="no.such.module"), "JWKS_CACHE: 'no.such.module' cannot be imported"),
        (parts(FETCHER=1), "fetcher must be a JWKSFetcher"),
        (parts(FETCHER={"TTL": 0}), "ttl must be"),
        (parts(FETCHER={"ttl": 60}), "'ttl' is no setting of FETCHER; there are TTL,"),
        (parts(WORKERS=4), "workers is 4, and MemoryReplayStore lives in one process"),
        (parts(WORKERS="4"), "settings.PRIVATE_KEY_JWT: workers must be an integer, not '4'$"),
        (parts(TTL=60), "'TTL' is no setting, and one of FETCHER; there are VERIFIER,"),
        (parts(FETCHER={"TTL": "60"}), "settings.PRIVATE_KEY_JWT: FETCHER: ttl must be a number, not '60'$"),
        (
            parts(REPLAY_STORE="private_key_jwt.stores.RedisReplayStore"),
            r"RedisReplayStore' raised TypeError: .*__init__\(\) missing 1 required positional argument: 'client'",
        ),
        (
            parts(REPLAY_STORE="private_key_jwt.stores.DjangoCacheReplayStore"),
            r"KEY_JWT: REPLAY_STORE: CACHES\['default'\] must be .*, not .*LocMemCache: .*; take DjangoReplayStore$",
        ),
        (parts(audience="x"), "'audience' is no setting; there are VERIFIER,"),
        (parts(VERIFIER=f"{OBJECTS}.verifier"), "'AUDIENCE' is no setting beside a whole verifier"),
        ({"ASYNC_VERIFIER": f"{OBJECTS}.make_async_verifier"}, "VERIFIER is missing, and this view needs it"),
        ({"VERIFIER": f"{OBJECTS}.make_async_verifier"}, "VERIFIER must give a ClientAssertionVerifier, not"),
        ({"VERIFIER": f"{OBJECTS}.make_trouble"}, "VERIFIER: .* raised OSError"),
        ({"VERIFIER": None}, "VERIFIER must give a ClientAssertionVerifier, not None"),
    ],
)
def test_a_wrong_setting_is_named_when_the_views_are_imported(given: Any, named: str) -> None:
    with using(given), pytest.raises(ConfigurationError, match=named) as caught:
        client_authentication()(lambda request, client: None)
    assert type(caught.value) is ConfigurationError  # a traceback says the name that the guides say
    assert str(caught.value).count("settings.PRIVATE_KEY_JWT: ") == 1


def test_several_workers_are_pointed_to_the_database_of_the_project() -> None:
    with using(parts(WORKERS=2)), pytest.raises(ConfigurationError, match=r"settings\.PRIVATE_KEY_JWT: .*DjangoReplay"):
        project.verifier(ClientAssertionVerifier)


def test_a_module_that_is_being_imported_is_told_from_one_that_lacks_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view above ``find_client`` needs it before it is there."""
    view = "from private_key_jwt.integrations.django import client_authentication\n"
    view += "@client_authentication()\ndef token(request, client): ...\n"
    name = f"op_{'with_a_long_name_' * 5}oauth"
    (tmp_path / f"{name}.py").write_text(f"{view}def find_client(client_id): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with using(parts(CLIENTS=f"{name}.find_client")):
        with pytest.raises(ConfigurationError) as early:
            import_module(name)
    assert f"CLIENTS: '{name}.find_client' cannot be imported yet, as {name} is being imported:" in str(early.value)
    assert "define find_client above the view" in str(early.value)
    # Longer, for CPython takes the compiled file where the source has the same size and second.
    (tmp_path / f"{name}.py").write_text(f"def find_client(client_id): ...\n\n{view}")
    with using(parts(CLIENTS=f"{name}.find_client")):
        assert import_module(name).token.csrf_exempt
    with using(parts(CLIENTS=f"{name}.find")), pytest.raises(ConfigurationError) as absent:
        project.verifier(ClientAssertionVerifier)
    assert f'Module "{name}" does not define a "find" attribute' in str(absent.value)
    sys.modules.pop(name)


def test_an_unset_setting_is_named() -> None:
    with override_settings():
        del settings.PRIVATE_KEY_JWT
        project._changed(setting="PRIVATE_KEY_JWT")
        with pytest.raises(ConfigurationError, match="settings.PRIVATE_KEY_JWT: expected a dictionary"):
            project.verifier(ClientAssertionVerifier)


def test_another_setting_changes_nothing() -> None:
    before = project.verifier(ClientAssertionVerifier)
    with override_settings(DEBUG=True):
        assert project.verifier(ClientAssertionVerifier) is before


def test_the_decorator_without_its_parentheses_is_told_when_the_views_are_imported() -> None:
    decorate: Any = client_authentication
    with using(parts()), pytest.raises(ConfigurationError, match=r"a view: write @client_authentication\(\)"):
        decorate(lambda request, client: None)


def test_a_verifier_may_be_given_to_a_view(provider: Provider) -> None:
    async def view(request: object, client: object) -> None:
        """Async: it takes the other verifier."""

    with using(None):
        for each, verifier in ((lambda request, client: None, provider.verifier()), (view, provider.async_verifier())):
            decorated: Any = client_authentication(verifier=verifier)(each)
            assert decorated.csrf_exempt
        with pytest.raises(ConfigurationError, match="verifier must be an instance of AsyncClientAssertionVerifier"):
            client_authentication(verifier=provider.verifier())(view)


@pytest.mark.parametrize(("settings", "named"), [({"optional": 1}, "optional"), ({"max_body": 1}, "max_body")])
def test_a_wrong_argument_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        client_authentication(**settings)(lambda request, client: None)


def test_a_project_names_its_stores_in_one_line_each(tmp_path: Path) -> None:
    """Sync and async views, and all workers, share what the database and the cache of the project keep."""
    command = [sys.executable, "-m", "integrations.django_stores", str(tmp_path / "op.sqlite3")]
    told = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert told.stdout == "[200, 401, 200, 401]", told.stderr


def test_a_view_that_asks_while_its_module_is_imported_shares_what_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting is read, its module imported, and a view in there asks for the verifier: one store for all."""
    django_objects.made.clear()
    (tmp_path / "op_views.py").write_text(
        f"from {OBJECTS} import make_store\n"
        "from private_key_jwt.integrations.django import client_authentication\n"
        "@client_authentication()\n"
        "async def token(request, client): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with using(parts(REPLAY_STORE="op_views.make_store")):
        sync = project.verifier(ClientAssertionVerifier)
        twin = project.verifier(AsyncClientAssertionVerifier)
        assert sync is project.verifier(ClientAssertionVerifier)
    assert sync._replay_store is twin._replay_store
    sys.modules.pop("op_views")


# What `manage.py check` finds


def checked(*databases: str, app: bool = True, deploy: bool = False, **named: Any) -> list[tuple[str, str]]:
    """What our checks find in a project that has our app, and the store's or not. Others may be left registered."""
    apps = ["private_key_jwt.integrations", *(["private_key_jwt.stores.django"] if app else [])]
    with override_settings(INSTALLED_APPS=apps, **named):
        registered = checks.registry.registry.registered_checks
        registered = registered | checks.registry.registry.deployment_checks if deploy else registered
        ours = [each for each in registered if each.__module__ == "private_key_jwt.integrations._django_checks"]
        found = [each for check in ours for each in check(databases=databases)]
    return [(each.id, f"{each.msg} {each.hint}") for each in found]


def test_the_guide_lists_every_check() -> None:
    folder = Path(str(import_module("private_key_jwt.integrations").__file__)).parent
    numbers = {
        each for path in folder.glob("_*_checks.py") for each in re.findall(r'[."]([EW]\d{3})"', path.read_text())
    }
    guide = str(import_module("private_key_jwt.integrations.apps").__doc__)
    assert re.findall(r"^\| `private_key_jwt\.(\w+)` ", guide, re.MULTILINE) == sorted(numbers)
    assert len(numbers) == 13


def test_the_settings_are_checked() -> None:
    ((identity, text),) = checked(PRIVATE_KEY_JWT=parts(CLIENTS="no.such.find_client"))
    assert identity == "private_key_jwt.E004"
    assert "CLIENTS: 'no.such.find_client' cannot be imported" in text
    for given in (parts(), parts(FETCHER="private_key_jwt.AsyncJWKSFetcher"), {"VERIFIER": f"{OBJECTS}.verifier"}):
        assert checked(PRIVATE_KEY_JWT=given) == []
    with override_settings():
        del settings.PRIVATE_KEY_JWT
        assert checked() == []  # views with verifiers of their own


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (
            {"VERIFIER": f"{OBJECTS}.verifier", "ASYNC_VERIFIER": f"{OBJECTS}.make_async_verifier_alone"},
            ["VERIFIER and ASYNC_VERIFIER must share a replay store"],
        ),
        ({"ASYNC_VERIFIER": "no.such.thing"}, ["ASYNC_VERIFIER: 'no.such.thing' cannot be imported"]),
        (
            {"VERIFIER": f"{OBJECTS}.verifier", "ASYNC_VERIFIER": f"{OBJECTS}.verifier"},
            ["ASYNC_VERIFIER must give a AsyncClientAssertionVerifier"],
        ),
        (
            {"VERIFIER": "no.such", "ASYNC_VERIFIER": "no.such"},
            ["VERIFIER: 'no.such' cannot", "ASYNC_VERIFIER: 'no.such' cannot"],
        ),
        ({"ASYNC_VERIFIER": f"{OBJECTS}.make_async_verifier"}, []),
        ({"VERIFIER": f"{OBJECTS}.verifier", "OTHER": 1}, ["'OTHER' is no setting beside a whole verifier"]),
        (None, ["expected a dictionary"]),
    ],
)
def test_each_whole_verifier_of_the_settings_is_checked(given: Any, found: list[str]) -> None:
    told = checked(PRIVATE_KEY_JWT=given)
    assert [identity for identity, _ in told] == ["private_key_jwt.E004"] * len(found)
    for (_, text), part in zip(told, found, strict=True):
        assert text.startswith(f"settings.PRIVATE_KEY_JWT: {part}")


@pytest.mark.parametrize(
    "given", [parts(CLIENTS="no.such.find_client"), parts(REPLAY_STORE="no.such.store"), parts(AUDIENCE="")]
)
def test_no_error_of_a_setting_is_its_own_cause(given: Any) -> None:
    with using(given), pytest.raises(ConfigurationError) as caught:
        project.verifier(ClientAssertionVerifier)
    assert caught.value.__cause__ is not caught.value
    assert str(caught.value).count("settings.PRIVATE_KEY_JWT: ") == 1


def test_an_error_that_quotes_the_name_of_the_setting_names_it_all_the_same() -> None:
    with (
        using(parts(LEEWAY="PRIVATE_KEY_JWT")),
        pytest.raises(ConfigurationError, match=r"^settings\.PRIVATE_KEY_JWT: "),
    ):
        project.verifier(ClientAssertionVerifier)


def test_a_store_of_one_process_is_found_before_it_is_deployed() -> None:
    ((identity, text),) = checked(deploy=True, PRIVATE_KEY_JWT=parts())
    assert identity == "private_key_jwt.W004"
    assert text == (
        "settings.PRIVATE_KEY_JWT keeps replay marks in MemoryReplayStore, the memory of one process, and does not say"
        " how many processes serve. With several, each accepts an assertion once. If several serve, say 'WORKERS': 2"
        " and take DjangoReplayStore. If one does, say 'WORKERS': 1."
    )
    ((identity, text),) = checked(deploy=True, PRIVATE_KEY_JWT={"VERIFIER": f"{OBJECTS}.verifier"})
    assert identity == "private_key_jwt.W004"
    assert text.endswith(
        "If several serve, say workers=2 and take DjangoReplayStore."
        ' If one does, say SILENCED_SYSTEM_CHECKS = ["private_key_jwt.W004"].'
    )
    for said in (parts(WORKERS=1), parts(REPLAY_STORE=django_objects.ElsewhereReplayStore()), parts(AUDIENCE="")):
        assert "private_key_jwt.W004" not in dict(checked(deploy=True, PRIVATE_KEY_JWT=said))
    assert checked(PRIVATE_KEY_JWT=parts()) == []  # only there


def test_keys_over_plain_http_are_found_before_they_are_deployed() -> None:
    given = parts(WORKERS=1, FETCHER={"ALLOW_HTTP_LOOPBACK": True})
    ((identity, text),) = checked(deploy=True, PRIVATE_KEY_JWT=given)
    assert identity == "private_key_jwt.W005"
    assert "settings.PRIVATE_KEY_JWT fetches keys from this host over plain http: allow_http_loopback is True" in text
    for other in (parts(WORKERS=1), parts(WORKERS=1, FETCHER=f"{OBJECTS}.fetcher")):
        assert checked(deploy=True, PRIVATE_KEY_JWT=other) == []
    assert checked(PRIVATE_KEY_JWT=given) == []


def test_a_store_without_its_app_or_its_tables_is_found(tmp_path: Path) -> None:
    given = parts(REPLAY_STORE="private_key_jwt.stores.DjangoReplayStore")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "op.sqlite3")}
    with override_settings(PRIVATE_KEY_JWT=given), pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections.settings, "default", connections.configure_settings({"default": database})["default"])
        patch.setitem(connections.settings, "other", connections.settings["default"])
        connections["default"].close()
        del connections["default"]
        ((no_app, text),) = checked(app=False)
        assert checked() == []
        ((no_table, hint),) = checked("default")
        with override_settings(DATABASE_ROUTERS=[f"{OBJECTS}.RouterElsewhere"]):
            ((routed, where),) = checked("default")
        assert checked("other") == []
        with override_settings(INSTALLED_APPS=["private_key_jwt.stores.django"]):
            call_command("migrate", verbosity=0)
        assert checked("default") == []
        connections["default"].close()
        del connections["default"]
    assert (no_app, no_table, routed) == ("private_key_jwt.E005", "private_key_jwt.W003", "private_key_jwt.W003")
    assert "INSTALLED_APPS += ['private_key_jwt.stores.django']" in text
    assert "manage.py migrate private_key_jwt --database default" in hint
    assert "Your DATABASE_ROUTERS keep the app private_key_jwt from 'default'" in where
    assert "DjangoReplayStore(using=...)" in where


def test_manage_py_finds_that_the_tables_are_missing(tmp_path: Path) -> None:
    """And makes them all the same: `migrate` runs the check first."""
    command = [sys.executable, "-m", "integrations.django_checked", str(tmp_path / "op.sqlite3")]

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    assert "private_key_jwt." not in manage("check")
    said = manage("check", "--database", "default")
    assert "(private_key_jwt.W003) DATABASES['default'] has no table private_key_jwt_replay, private_key_jwt_re" in said
    assert "HINT: manage.py migrate private_key_jwt --database default" in said
    manage("migrate")
    assert "private_key_jwt." not in manage("check", "--database", "default")
    assert "private_key_jwt." not in manage("check", "--database", "other")
