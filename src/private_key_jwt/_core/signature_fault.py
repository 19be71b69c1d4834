"""Say what is wrong with a signature, so that whoever reads a refusal knows whose fault it is.

Two causes look alike to whoever verifies: the assertion was changed after it was signed, or another key signed it. With
RSA they can be distinguished. What a signature of the key at hand opens to has the form of RFC 8017 §9, whatever was
signed; a signature of any other key opens to random octets. ECDSA and EdDSA have no such form.

For refusals only: nothing is decided by it.
"""

from __future__ import annotations

import hashlib
from itertools import product
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .algorithms import ALGORITHMS

__all__ = ["CHANGED", "EITHER", "OTHER_KEY", "signature_fault"]

CHANGED = "made with this key over other content: the header or the claims were changed after signing"
OTHER_KEY = "made with another private key (a new key wants a new kid) or by another alg; compare thumbprints"
EITHER = "changed after signing, or made with another private key (a new key wants a new kid); compare thumbprints"

# Bits of the modulus, squared, times bits of the exponent, to which its operation grows: of 4096 bits and 65537, which
# costs three verifications with a key of 2048 bits. The dearest key that is taken costs 25, and its client chose it.
_DEAREST = 4_096**2 * 17
_NUMBERS = ("256", "384", "512")
_PSS_HASHES = ("sha256", "sha384", "sha512", "sha1")  # SHA-1 is what some libraries default to
_TRAILER = 0xBC
_ENOUGH_ZEROS = 8  # octets: what a signature of another key opens to does not begin with so many


def signature_fault(name: str, key: Any, signature: bytes, signing_input: bytes, *, is_thorough: bool = False) -> str:
    """Say why a signature does not verify. Call it only after verification failed.

    name: the algorithm by which it was verified.
    is_thorough: whether to look for the form of PSS, too, and with every key. That costs as much as ten verifications;
        without it, a refusal costs one more, and that of RSASSA-PSS, or with a key that is dear to use, none.
    """
    row = ALGORITHMS[name]
    size = row.size or (key.key_size + 7) // 8
    if len(signature) != size:
        return _describe_length(row.kty, size, signature)
    if row.kty != "RSA" or not (is_thorough or (name.startswith("RS") and not _is_dear(key))):
        return EITHER
    fault = _pkcs1_fault(name, key, signature, signing_input)
    if fault is None and is_thorough:
        fault = _pss_fault(name, key, signature, signing_input)
    return fault or OTHER_KEY


def _is_dear(key: RSAPublicKey) -> bool:
    return key.key_size**2 * key.public_numbers().e.bit_length() > _DEAREST


def _describe_length(kty: str, size: int, signature: bytes) -> str:
    fault = f"the signature has {len(signature)} octets, and one of this key has {size}"
    if kty == "EC" and signature.startswith(b"\x30"):
        return f"{fault}: it is DER, and must be R and S side by side (RFC 7518 section 3.4)"
    return f"{fault}: was it cut, or is it of another key or algorithm?"


def _pkcs1_fault(name: str, key: RSAPublicKey, signature: bytes, signing_input: bytes) -> str | None:
    """Say what is wrong with a signature that has the form of EMSA-PKCS1-v1_5 (RFC 8017 §9.2); None without it."""
    try:
        signed = key.recover_data_from_signature(signature, PKCS1v15(), None)
    except InvalidSignature:
        return None
    for number in _NUMBERS:
        info = ALGORITHMS[f"RS{number}"].parameters[0]
        if signed.startswith(info):
            is_right = signed == info + _digest(f"sha{number}", signing_input)
            return _right_by(f"RS{number}", name) if is_right else CHANGED
    return (
        f"made with this key, and no {name}: it signs no digest of SHA-256, SHA-384 or SHA-512 (RFC 8017 section 9.2)"
    )


def _pss_fault(name: str, key: RSAPublicKey, signature: bytes, signing_input: bytes) -> str | None:
    """Say what is wrong with a signature that has the form of EMSA-PSS (RFC 8017 §9.1.2); None without it."""
    public, number = key.public_numbers(), int.from_bytes(signature)
    bits = public.n.bit_length() - 1
    opened = pow(number, public.e, public.n)
    if number >= public.n or opened >> bits or opened & 0xFF != _TRAILER:
        return None
    encoded, has_form = opened.to_bytes((bits + 7) // 8), False
    for hash_, mask_hash in product(_PSS_HASHES, repeat=2):
        size = len(_digest(hash_, b""))
        masked, found = encoded[: -size - 1], encoded[-size - 1 : -1]
        block = int.from_bytes(masked) ^ int.from_bytes(_mask(found, len(masked), mask_hash))
        block &= (1 << bits - 8 * (size + 1)) - 1
        zeros, one, salt = block.to_bytes(len(masked)).partition(b"\x01")
        if not one or any(zeros):
            continue
        if _digest(hash_, bytes(8) + _digest(hash_, signing_input) + salt) == found:
            return _describe_pss(name, hash_, mask_hash, len(salt))
        has_form = has_form or len(zeros) >= _ENOUGH_ZEROS
    return CHANGED if has_form else None


def _describe_pss(name: str, hash_: str, mask_hash: str, salt: int) -> str:
    other = f"PS{hash_.removeprefix('sha')}"
    if hash_ == mask_hash and salt == len(_digest(hash_, b"")) and other in ALGORITHMS:
        return _right_by(other, name)
    parameters = f"PSS of {hash_}, MGF1 of {mask_hash}, a salt of {salt} octets"
    return f"made with this key, as {parameters}: none of RFC 7518 section 3.5"


def _mask(seed: bytes, length: int, hash_: str) -> bytes:
    """MGF1 (RFC 8017 appendix B.2.1)."""
    blocks = -(-length // len(_digest(hash_, b"")))
    return b"".join(_digest(hash_, seed + each.to_bytes(4)) for each in range(blocks))[:length]


def _digest(hash_: str, octets: bytes) -> bytes:
    return hashlib.new(hash_, octets, usedforsecurity=False).digest()


def _right_by(other: str, name: str) -> str:
    return f"it is a right {other} signature of this key, and the header says {name}"
