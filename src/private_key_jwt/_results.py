"""Judge what a user's code returned or raised, for each request: whose fault it is.

Whatever that code does, an AuthenticationError is made of it, and nothing else leaves the verifier: an attribute of an
error or of a client may be a property that raises, so each is read where that is caught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._core.algorithms import ALGORITHMS
from ._core.jwk import PublicKey
from ._core.jwk_set import VerificationKey
from ._core.stand_in import in_place_of_text
from ._text import describe_error, one_line, plain_text, quote
from ._validation import is_coroutine_function
from .clients import RegisteredClient, Unregistered
from .exceptions import (
    RETRY_AFTER,
    STORE_REASONS,
    UNDECIDED,
    AuthenticationError,
    Detail,
    InvalidClient,
    Reason,
    TemporarilyUnavailable,
)

__all__ = [
    "client_lookup_failed",
    "guarded",
    "is_key_for",
    "key_failed",
    "no_key",
    "not_added",
    "not_found",
    "store_failed",
    "with_nul",
]

_LONGEST_WAIT = 86_400  # seconds


def not_found(client: object, client_id: str) -> AuthenticationError:
    """Say why the client was not found: unknown_client (its fault) or client_lookup_failed (ours)."""
    if client is None:
        return _unknown(lambda: f"no client is registered as {quote(client_id)}{_describe_odd(client_id)}")
    if isinstance(client, Unregistered):
        return _unknown(client.detail)
    if isinstance(client, RegisteredClient):
        # A database that compares without case finds another client than the one that was asked for.
        found = quote(_read(client, "client_id"))
        return _unknown(f"no client is registered as {quote(client_id)}; there is one as {found}")
    return TemporarilyUnavailable(
        Reason.CLIENT_LOOKUP_FAILED,
        f"expected a RegisteredClient or None of clients({quote(client_id)}), got {type(client).__name__}",
    )


def _describe_odd(client_id: str) -> str:
    """Say what a name is that is nobody's by its look; "" where that is not known."""
    if client_id != client_id.strip():
        return "; white space stands around it"
    stand_in = in_place_of_text(client_id)
    return f"; it is {stand_in}" if stand_in else ""


def with_nul(client_id: str) -> Unregistered:
    """Say why nobody is asked for a client_id with a NUL character: no database takes one, and drivers raise for it.

    Whoever sent one would make an error of ours.
    """
    return Unregistered(f"no client is registered as {quote(client_id)}, which holds a NUL character")


def _unknown(detail: Detail) -> InvalidClient:
    return InvalidClient(Reason.UNKNOWN_CLIENT, detail, "client")


def client_lookup_failed(error: Exception, client_id: str) -> TemporarilyUnavailable:
    """Say that finding a client raised: client_lookup_failed (ours)."""
    return TemporarilyUnavailable(
        Reason.CLIENT_LOOKUP_FAILED, f"finding client {quote(client_id)} raised {describe_error(error)}"
    )


def key_failed(error: Exception) -> AuthenticationError:
    """Say that a key source raised: what its InvalidClient says, or that we could not decide."""
    reason = _reason_of(error)
    if issubclass(type(error), InvalidClient) and reason is not None and reason not in UNDECIDED:
        return InvalidClient(reason, _detail_of(error), "key")
    return _undecided(error, "the key source", (Reason.JWKS_UNAVAILABLE,))


def is_key_for(alg: str, key: object) -> bool:
    """Report whether what a key source gave is a key for an algorithm."""
    return (
        isinstance(key, VerificationKey)
        and ALGORITHMS.get(key.alg) is ALGORITHMS[alg]
        and isinstance(key.public_key, PublicKey)
        and not is_coroutine_function(key.verify)  # what that returns is true, whatever the signature is
    )


def no_key(alg: str, key: object) -> TemporarilyUnavailable:
    """Say that what a key source gave is no key for an algorithm: jwks_unavailable (ours)."""
    if isinstance(key, VerificationKey):
        expected = f"a VerificationKey for {alg}"
        got = f"one of alg {quote(key.alg)}, public_key {type(key.public_key).__name__}"
        got += ", whose verify is asynchronous" * is_coroutine_function(key.verify)
    else:
        expected, got = "a VerificationKey", type(key).__name__
    return TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, f"expected {expected} of the key source, got {got}")


def guarded(key: VerificationKey) -> VerificationKey:
    """Return the key of a key source with a ``verify`` that lets nobody in but by True: it may be the user's own.

    It raises TemporarilyUnavailable: jwks_unavailable (ours).
    """
    verify = key.verify

    def verify_or_raise(signature: bytes, signing_input: bytes) -> bool:
        try:
            answer: object = verify(signature, signing_input)
        except Exception as error:  # the user's code
            raise _undecided(error, "verify of the key", (Reason.JWKS_UNAVAILABLE,)) from error
        if type(answer) is not bool:
            raise TemporarilyUnavailable(
                Reason.JWKS_UNAVAILABLE, f"expected True or False of verify of the key, got {type(answer).__name__}"
            )
        return answer

    return replace(key, verify=verify_or_raise)


def not_added(added: object) -> AuthenticationError:
    """Say why a store did not return True: replayed (the client's fault) or replay_store_unavailable (ours)."""
    if added is False:
        return InvalidClient(
            Reason.REPLAYED,
            "this client has used this jti before (when is not kept): a retry needs a new assertion with a new jti; if"
            " it was no retry, the assertion was captured",
            "replay",
        )
    return TemporarilyUnavailable(
        Reason.REPLAY_STORE_UNAVAILABLE, f"expected True or False of the store, got {type(added).__name__}"
    )


def store_failed(error: Exception) -> TemporarilyUnavailable:
    """Say that a store raised."""
    return _undecided(error, "the store", STORE_REASONS)


def _undecided(error: Exception, who: str, reasons: Sequence[Reason]) -> TemporarilyUnavailable:
    """Say that we could not decide: as a TemporarilyUnavailable with one of ``reasons`` says, which knows more.

    reasons: all that ``who`` can have; the first stands for whatever else was raised.
    """
    reason = _reason_of(error)
    if issubclass(type(error), TemporarilyUnavailable) and reason is not None and reason in reasons:
        # Made anew, since one error may stand for many adds, and each refusal is reported once. Not copied: a class of
        # the user's own may take other arguments than ours.
        return TemporarilyUnavailable(reason, _detail_of(error), _wait_of(error))
    return TemporarilyUnavailable(reasons[0], f"{who} raised {describe_error(error)}")


def _read(made: object, name: str) -> Any:
    """Read an attribute of what a user's code made: None without one, and where it raises."""
    try:
        return getattr(made, name, None)
    except Exception:  # the user's code
        return None


def _reason_of(error: Exception) -> Reason | None:
    reason = _read(error, "reason")
    return reason if type(reason) is Reason else None  # not `isinstance`, which asks the object


def _wait_of(error: Exception) -> float:
    """Return the seconds that an error says to wait, or ours: a number that is none could not be rounded."""
    wait = _read(error, "retry_after")
    return wait if type(wait) in (int, float) and 0 <= wait <= _LONGEST_WAIT else RETRY_AFTER


def _detail_of(error: Any) -> Detail:
    """Return a function that reads the detail of an error of the user's own, whose class or detail may be at fault."""
    return lambda: one_line(plain_text(str(error.detail)))
