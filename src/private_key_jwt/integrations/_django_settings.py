"""The setting PRIVATE_KEY_JWT of a Django project, and the verifiers that it describes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .._coroutines import is_in_process
from .._extra import needs
from .._fork import renew_after_fork
from .._lock import RLock
from .._text import one_line, quote, shorten
from ..exceptions import ConfigurationError
from ..fetcher import JWKSFetcher
from ..policy import AssertionPolicy, JWKSPolicy
from ..verifier import AsyncClientAssertionVerifier, ClientAssertionVerifier

with needs(__name__, "django"):
    from django.conf import settings
    from django.core.signals import setting_changed
    from django.utils.module_loading import import_string

__all__ = ["KINDS", "NAME", "Project", "verifier", "whole_kinds"]

NAME = "PRIVATE_KEY_JWT"
_LONGEST_PATH = 160  # characters

Verifier = TypeVar("Verifier", ClientAssertionVerifier, AsyncClientAssertionVerifier)


def _fields(policy: type[AssertionPolicy | JWKSPolicy]) -> dict[str, str]:
    return {field.name.upper(): field.name for field in fields(policy) if field.init}


# The keys of the setting: either whole verifiers, or what one is made of.
_WHOLE = {ClientAssertionVerifier: "VERIFIER", AsyncClientAssertionVerifier: "ASYNC_VERIFIER"}
KINDS: tuple[type[Any], ...] = tuple(_WHOLE)
_POLICY = _fields(AssertionPolicy)
_JWKS_POLICY = _fields(JWKSPolicy)
_REQUIRED = ("AUDIENCE", "CLIENTS", "REPLAY_STORE")
_PASSED_ON = ("CLIENTS", "CLOCK", "ON_EVENT")
_IMPORTED = ("REPLAY_STORE", "FETCHER", "JWKS_CACHE", *_PASSED_ON)
_PARTS = (*_POLICY, *_IMPORTED, "WORKERS")


def _check_keys(given: Mapping[str, Any], known: Iterable[str], where: str = "") -> None:
    for name in given:
        if name not in known:
            meant = ", and one of FETCHER" if not where and name in _JWKS_POLICY else ""
            raise ConfigurationError(f"{quote(name)} is no setting{where}{meant}; there are {', '.join(known)}")


def _imported(name: str, value: Any) -> Any:
    """Import what a dotted path names; give anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except Exception as error:  # the user's module: whatever it raises while it is imported
        raise ConfigurationError(f"{name}: {_shown(value)} {_why_not(value, error)}") from error


def _why_not(path: str, error: Exception) -> str:
    module, _, attribute = path.rpartition(".")
    if getattr(getattr(sys.modules.get(module), "__spec__", None), "_initializing", False):
        return (
            f"cannot be imported yet, as {module} is being imported: define {attribute} above the view that needs it,"
            " or in a module that does not import the view"
        )
    return f"cannot be imported: {one_line(shorten(str(error), 2 * _LONGEST_PATH))}"


def _shown(path: object) -> str:
    """Quote a dotted path whole: cut in the middle it names another module."""
    return one_line(shorten(repr(path), _LONGEST_PATH)) if isinstance(path, str) else quote(path)


def _made(name: str, value: Any, is_ready: Callable[[Any], bool]) -> Any:
    """Import what a dotted path names, and call it when it is a class or a factory."""
    found = _imported(name, value)
    if not callable(found) or (is_ready(found) and not isinstance(found, type)):
        return found
    try:
        return found()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    except Exception as error:  # the user's code
        text = shorten(ascii(str(error)), 2 * _LONGEST_PATH)
        raise ConfigurationError(f"{name}: {_shown(value)} raised {type(error).__name__}: {text}") from error


class Project:
    """Make what one value of the setting describes: each thing once, when it is first asked for.

    Sync and async views share the replay store, where each would accept an assertion once, and the fetcher.
    """

    def __init__(self, given: object) -> None:
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"expected a dictionary of {', '.join(_REQUIRED)} and more, or of a whole VERIFIER"
            )
        self._given = given
        self._is_whole = any(name in given for name in _WHOLE.values())
        if self._is_whole:
            _check_keys(given, list(_WHOLE.values()), " beside a whole verifier")
        else:
            _check_keys(given, [*_WHOLE.values(), *_PARTS])
            for name in _REQUIRED:
                if name not in given:
                    raise ConfigurationError(f"{name} is missing")
        self._lock = RLock()
        self._ready: dict[object, Any] = {}
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Free the lock: what another thread was making at the fork is made anew in this child."""
        self._lock = RLock()

    def verifier(self, kind: type[Verifier]) -> Verifier:
        """Return the verifier of this kind. Raises ConfigurationError."""
        if kind not in self._ready:
            # Before the lock is taken: a module that another thread is importing may hold a view, which waits for it.
            for name in [_WHOLE[kind]] if self._is_whole else _IMPORTED:
                _imported(name, self._given.get(name))
        return self._once(kind, lambda: self._whole(kind) if self._is_whole else self._of_parts(kind))  # type: ignore[no-any-return]

    def _once(self, what: object, make: Callable[[], Any]) -> Any:
        with self._lock:
            if what not in self._ready:
                made = make()
                # A module that this imported may hold a view, which has asked for the same.
                self._ready.setdefault(what, made)
            return self._ready[what]

    def _whole(self, kind: type[Verifier]) -> Verifier:
        name = _WHOLE[kind]
        if name not in self._given:
            raise ConfigurationError(f"{name} is missing, and this view needs it")
        made = _made(name, self._given[name], lambda found: isinstance(found, kind))
        if not isinstance(made, kind):
            raise ConfigurationError(f"{name} must give a {kind.__name__}, not {quote(made)}")
        self._check_shared(made._replay_store)  # noqa: SLF001
        return made

    def _check_shared(self, store: object) -> None:
        first = self._once("REPLAY_STORE", lambda: store)
        if first is not store and (is_in_process(first) or is_in_process(store)):
            raise ConfigurationError(
                f"{' and '.join(_WHOLE.values())} must share a replay store: each would accept an assertion once"
            )

    def _of_parts(self, kind: type[Verifier]) -> Verifier:
        parts: dict[str, Any] = {
            name.lower(): _imported(name, self._given[name]) for name in _PASSED_ON if name in self._given
        }
        if "WORKERS" in self._given:
            parts["workers"] = self._given["WORKERS"]
        parts["replay_store"] = self._once("REPLAY_STORE", self._replay_store)
        parts["fetcher"] = self._once("FETCHER", lambda: self._fetcher(parts.get("on_event")))
        policy = AssertionPolicy(**{_POLICY[name]: self._given[name] for name in self._given if name in _POLICY})
        return kind(policy=policy, **parts)

    def _replay_store(self) -> Any:
        return _made("REPLAY_STORE", self._given["REPLAY_STORE"], lambda found: hasattr(found, "add"))

    def _fetcher(self, on_event: Any) -> Any:
        """Make the fetcher of both kinds of views: with one for each, a publisher would be asked twice as often."""
        given = self._given.get("FETCHER", {})
        if not isinstance(given, Mapping):
            if "JWKS_CACHE" in self._given:
                raise ConfigurationError(
                    "JWKS_CACHE goes with a FETCHER that is a dictionary: give the cache to your fetcher"
                )
            return _made("FETCHER", given, lambda found: hasattr(found, "get_key"))
        _check_keys(given, _JWKS_POLICY, " of FETCHER")
        try:
            policy = JWKSPolicy(**{_JWKS_POLICY[name]: value for name, value in given.items()})
        except ConfigurationError as error:
            raise ConfigurationError(f"FETCHER: {error}") from error
        cache = _made("JWKS_CACHE", self._given.get("JWKS_CACHE"), lambda found: hasattr(found, "claim"))
        return JWKSFetcher(policy, cache=cache, on_event=on_event)


class _Current:
    """The project of the settings as they are now, made when it is first asked for."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._project: Project | None = None
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Free the lock, which a thread may have held that is not in this child."""
        self._lock = RLock()

    def project(self) -> Project:
        """Return it. Raises ConfigurationError."""
        with self._lock:
            if self._project is None:
                self._project = Project(getattr(settings, NAME, None))
            return self._project

    def forget(self) -> None:
        """Make another when it is next asked for."""
        self._project = None


_current = _Current()


def verifier(kind: type[Verifier]) -> Verifier:
    """Return the verifier of this kind that the settings describe. Raises ConfigurationError, which names them."""
    try:
        return _current.project().verifier(kind)
    except ConfigurationError as error:
        raise ConfigurationError(f"settings.{NAME}: {error}") from error.__cause__


def whole_kinds() -> list[type[Any]]:
    """Return the kinds of which the setting has a whole verifier."""
    given = getattr(settings, NAME, None)
    return [kind for kind, name in _WHOLE.items() if isinstance(given, Mapping) and name in given]


def _changed(*, setting: str, **_: object) -> None:
    if setting == NAME:
        _current.forget()


# Sent by `override_settings` in a project's tests.
setting_changed.connect(_changed)
