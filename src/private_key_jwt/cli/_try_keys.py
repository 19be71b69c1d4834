"""Try the signature of an assertion against every key of a set: for the one who must find out whose key made it.

A server never does that: it takes the key that the header names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .._core.algorithms import ALGORITHMS
from .._core.base64url import decode_canonical
from .._core.header import Header
from .._core.jwk_set import KeySet, VerificationKey
from .._core.signature_fault import CHANGED, EITHER, OTHER_KEY, signature_fault
from .._text import quote

__all__ = ["fault_of", "try_keys"]

_CHANGED_HINT = " So the client has the right key: compare what it signed with what came, segment by segment."
_CAN_BE_PRINTED = "private-key-jwt jwks FILE prints those of a file with its public keys"


def fault_of(key: VerificationKey, signature: bytes, signing_input: bytes) -> str | None:
    """Say why a key did not make a signature; None where it did. ``signature``: its segment."""
    octets = decode_canonical(signature)
    if key.verify(octets, signing_input):
        return None
    return signature_fault(key.alg, key.public_key, octets, signing_input, is_thorough=True)


def try_keys(keys: KeySet, header: Header, fault: Callable[[VerificationKey], str | None]) -> Iterator[str]:
    """Say which key of a set made a signature; or that none did, and how to find out whose it is.

    fault: says why a key did not make it; None where it did.
    """
    alg = ALGORITHMS[header.alg].name
    tried = [key for member in keys.members for key in member.keys if key.alg == alg]
    faults = {key: fault(key) for key in tried}
    made = [key for key, text in faults.items() if text is None]
    known = {key: text for key, text in faults.items() if text is not None and text not in (EITHER, OTHER_KEY)}
    for key in made:
        wrong = "" if key.kid == header.kid else f": the client must name that kid, and names {quote(header.kid)}"
        yield f"The signature is right, by the key {_name(key)}{wrong}."
    for key, text in known.items():
        yield f"By the key {_name(key)}: {text}.{_CHANGED_HINT * (text == CHANGED)}"
    if made or known or not tried:
        return
    yield _none_made_it(alg, len(tried))
    listed = "; ".join(map(_name, tried))
    yield f"Ask the client for the thumbprint of its key (RFC 7638, SHA-256; {_CAN_BE_PRINTED}). Here: {listed}."


def _none_made_it(alg: str, count: int) -> str:
    did_not = (
        f"None of the {count} keys for {alg} here made" if count > 1 else f"The one key for {alg} here did not make"
    )
    if ALGORITHMS[alg].kty == "RSA":
        return (
            f"{did_not} the signature: it is of a private key that is not published here (of another"
            " environment, or not published yet), or the signature itself was changed. That the claims were changed"
            " does not explain it."
        )
    return (
        f"{did_not} the signature over what came. With {alg} nothing shows whether the assertion was"
        " changed or is of another key: the same thumbprint at the client says that it was changed, another one that"
        " its key is not published here. If each assertion of this client fails, it is the key."
    )


def _name(key: VerificationKey) -> str:
    return f"{'without kid' if key.kid is None else quote(key.kid)} (thumbprint {key.thumbprint})"
