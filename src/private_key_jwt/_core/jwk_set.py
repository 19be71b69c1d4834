"""Step 4, the key: JWK Sets (RFC 7517 §5) and the choice of one key out of them.

A document that is no JWK Set is refused whole; what is wrong inside of one key costs that key only.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, NamedTuple

from .._text import quote
from ..exceptions import InvalidClient, Reason
from . import strict_json
from .algorithms import ALGORITHMS, is_only_choice
from .jwk import PRIVATE_MEMBERS, READ_MEMBERS, Member, VerificationKey, holds_surrogate, private_members, read_member
from .kid_spelling import forms, readings
from .shape import describe_shape

__all__ = [
    "BY_VALUE",
    "PRIVATE_MEMBERS",
    "READ_MEMBERS",
    "KeySet",
    "Member",
    "NoKey",
    "VerificationKey",
    "join",
    "key_set",
    "loads_document",
    "loads_key_set",
    "private_members",
    "read_document",
    "read_member",
    "refusal",
]

_BEGINNING = 32  # bytes of what is no JWK Set that are shown

# The characters of a detail that the kids of a set, or the faults of its keys, may take.
_LISTED = 140

# Brackets, commas, colons and backslashes of a document: whatever stands beside the keys, and for each key.
_STRUCTURE, _STRUCTURE_OF_A_KEY = 1_024, 64
_NUMBERS_OF_A_KEY = 8  # `iat`, `nbf` and `exp`, say


@dataclass(frozen=True)
class NoKey:
    """Say why a set has no key for a header.

    is_final: no newer document need be fetched: at fault is the client's registration, or a publisher who gives two
        keys one name.
    describe, list_kids: make what ``faults`` and ``kids`` are. They are called when a detail is read: a flood of
        refusals that nobody logs must not cost the words for 64 keys each.
    """

    reason: Reason
    is_final: bool = False
    describe: Callable[[], Iterable[str]] = tuple
    list_kids: Callable[[], Iterable[str]] = tuple

    @cached_property
    def faults(self) -> tuple[str, ...]:
        """Describe what is the matter, key by key, for the log."""
        return tuple(self.describe())

    @cached_property
    def kids(self) -> tuple[str, ...]:
        """List the names that the set has, where they help, quoted; and why a key has none."""
        return tuple(self.list_kids())


class _Choice(NamedTuple):
    """The keys that fit one header, each once: where RSA keys without ``alg`` count, and where they do not."""

    all: tuple[VerificationKey, ...]
    pinned: tuple[VerificationKey, ...]


class _Name(NamedTuple):
    """A text that a client may send for a kid: the member's ``kind`` of that. ``title``: the member's, quoted.

    form: what it is in where it is read as another text; "" as it is.
    """

    kind: str
    text: str
    place: int
    title: str
    form: str


class _Words(NamedTuple):
    """What is said of the members of a set. Made once: strangers ask for it with each kid that they make up.

    titles: one for each member.
    kids: the names that the set has, each once; and why a member has none.
    names: by their folded texts.
    """

    titles: tuple[str, ...]
    kids: tuple[str, ...]
    names: Mapping[str, Sequence[_Name]]


class KeySet:
    """The keys of one document, ready to be found by kid.

        keys = fetcher.refresh(client.jwks_uri)
        found = keys.find("RS256", kid, client.signing_algs)    # a VerificationKey, or a NoKey that says why
        [(member.kid, member.fault) for member in keys.members]

    Immutable.
    """

    __slots__ = ("_choices", "_words", "members")

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = tuple(members)
        self._choices = _choices(self.members)
        self._words: _Words | None = None

    def __repr__(self) -> str:
        return f"<KeySet: {len(self.usable)} of {len(self.members)} usable>"

    @property
    def usable(self) -> list[Member]:
        """The members that can serve an algorithm."""
        return [member for member in self.members if member.keys]

    def find(self, alg: str, kid: str | None, signing_algs: Sequence[str]) -> VerificationKey | NoKey:
        """Find the one key for a header, or say why there is none. Never try a key out.

        alg, kid: what the header says. Without a ``kid`` there must be exactly one usable key (OpenID Connect Core
            §10.1).
        signing_algs: what the client is registered for. A JWK without ``alg`` serves an algorithm only where that is
            the only one of them that the key fits: one key, one algorithm (RFC 8725 §3.1).
        """
        choice = self._choices.get((alg, kid))
        if choice is not None:
            fitting = choice.all if len(signing_algs) == 1 or is_only_choice(alg, signing_algs) else choice.pinned
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                return _ambiguous(alg, kid, len(fitting), self.kids)
        return self._explain(alg, kid, signing_algs)

    def faults(self, signing_algs: Sequence[str]) -> str | None:
        """Describe, key by key, why none of them serves any of a client's algorithms; None when one does."""
        if any(member.fault_for(alg, signing_algs) is None for member in self.members for alg in signing_algs):
            return None
        return join(self._faults(signing_algs[0], signing_algs)) or "it is empty"

    def kids(self) -> Iterable[str]:
        """List the names of its members, quoted, each once."""
        return self._say().kids

    def _say(self) -> _Words:
        if self._words is None:
            self._words = _words(self.members)
        return self._words

    def _faults(self, alg: str, signing_algs: Sequence[str]) -> Iterable[str]:
        titles = zip(self._say().titles, self.members, strict=True)
        return (f"{title}: {member.fault_for(alg, signing_algs)}" for title, member in titles)

    def _meant(self, kid: str) -> Iterable[str]:
        """List which keys may be meant by a kid that none has, and why none has it."""
        names = self._say().names
        meant: dict[int, str] = {}  # one for each key, by its place
        for text, spelling in readings(kid).items():
            for name in names.get(text, ()):
                if name.place not in meant:
                    meant[name.place] = _describe_name(name, kid, spelling)
        return [*meant.values(), *self._faulty_kids()]

    def _faulty_kids(self) -> Iterable[str]:
        """List what is wrong with kids that cannot be read: one of them may be the one that is looked for."""
        faults = [member.fault for member in self.members if member.kid is None and member.fault]
        return [f"a key there is not usable, {fault}" for fault in faults if fault.startswith("its kid ")]

    def _explain(self, alg: str, kid: str | None, signing_algs: Sequence[str]) -> NoKey:
        if not self.members:
            return NoKey(Reason.NO_KEYS)
        named = [member for member in self.members if kid is None or member.kid == kid]
        if not named:
            return NoKey(Reason.UNKNOWN_KID, describe=partial(self._meant, str(kid)), list_kids=self.kids)

        def describe() -> Iterable[str]:
            if kid is None:
                return self._faults(alg, signing_algs)
            return [fault for member in named if (fault := member.fault_for(alg, signing_algs))]

        # A key that would serve it, were it not for the client's other algorithms: no newer document would say more.
        is_final = alg in ALGORITHMS and any(ALGORITHMS[alg].name in member.algs for member in named)
        return NoKey(Reason.UNUSABLE_KEY, is_final=is_final, describe=describe)


def _words(members: Sequence[Member]) -> _Words:
    titles = tuple(map(_title, members))
    names: dict[str, list[_Name]] = {}
    for place, (title, member) in enumerate(zip(titles, members, strict=True)):
        thumbprints = (("thumbprint", key.thumbprint) for key in member.keys[:1])
        texts = [("kid", member.kid), ("x5t", member.x5t), ("x5t#S256", member.x5t_s256), *thumbprints]
        for kind, text in texts:
            if text is not None:
                for reading, form in forms(text).items():
                    names.setdefault(reading, []).append(_Name(kind, text, place, title, form))
    return _Words(titles, tuple(dict.fromkeys(map(_label, titles, members))), names)


def _describe_name(name: _Name, kid: str, spelling: str) -> str:
    """Say how a kid names a member. ``spelling``: the one in which it does; "" for the kid as it is."""
    if name.kind == "kid" and not spelling and not name.form:
        return f"{name.title} is there, and differs in case or white space only"
    is_alike = not spelling and not name.form and kid != name.text
    how = " but for case or white space" if is_alike else f" {spelling}" if spelling else ""
    if spelling and spelling == name.form:
        how, form = " but for what separates its parts", ""
    else:
        form = f" {name.form}" if name.form else ""
    if name.kind == "kid":
        return f"that is the published kid {name.title}{how}" + (f", which is{form}" if form else "")
    return f"that is the {name.kind} of {name.title}{how}, which is there{form}"


def _choices(members: Sequence[Member]) -> dict[tuple[str, str | None], _Choice]:
    """Group keys by each header that they fit."""
    groups: dict[tuple[str, str | None], list[tuple[VerificationKey, bool]]] = {}
    for member in members:
        for key in member.keys:
            for name in _NAMES[key.alg]:
                for kid in {member.kid, None}:
                    groups.setdefault((name, kid), []).append((key, member.alg is not None))
    return {header: _choice(group) for header, group in groups.items()}


def _choice(group: Sequence[tuple[VerificationKey, bool]]) -> _Choice:
    # The same key listed twice is one key; two under one name are nobody's (which one comes first would decide).
    every = {key.thumbprint: key for key, _ in group}
    pinned = {key.thumbprint: key for key, names_alg in group if names_alg}
    return _Choice(tuple(every.values()), tuple(pinned.values()))


_NAMES = {row.name: [name for name, its in ALGORITHMS.items() if its is row] for row in ALGORITHMS.values()}


def _ambiguous(alg: str, kid: str | None, count: int, list_kids: Callable[[], Iterable[str]]) -> NoKey:
    if kid is None:
        fault = f"{count} keys fit {alg}, and without a kid exactly one must"
    else:
        fault = f"{count} different keys for {alg} have this kid, and each needs its own"
    return NoKey(Reason.AMBIGUOUS_KEY, is_final=True, describe=lambda: (fault,), list_kids=list_kids)


def _title(member: Member) -> str:
    return "a key without kid" if member.kid is None else quote(member.kid)


def _label(title: str, member: Member) -> str:
    if member.kid is not None:
        return title
    return f"({member.fault or title})"  # a kid that is no string is a fault: it stands among the kids


def join(items: Iterable[str], separator: str = "; ") -> str:
    """Join items, as many as fit into a detail, and say how many do not."""
    shown, length, left = list[str](), 0, 0
    for item in items:
        length += len(item) + len(separator)
        if left or (shown and length > _LISTED):
            left += 1
        else:
            shown.append(item)
    return separator.join(shown) + (f"{separator}and {left} more" if left else "")


def read_document(document: Mapping[str, Any], max_keys: int, bound: str = "(JWKSPolicy(max_keys=...))") -> list[Any]:
    """List the members of a JWK Set. Raise ValueError when the document is none (RFC 7517 §5).

    bound: says what sets ``max_keys``, for the error.
    """
    keys = document.get("keys")
    if not isinstance(keys, list | tuple):
        raise ValueError(f"not a JWK Set: {describe_shape(document)}")
    if len(keys) > max_keys:
        raise ValueError(f"expected at most {max_keys} keys {bound}, got {len(keys)}")
    return list(keys)


def key_set(document: Mapping[str, Any], max_keys: int) -> KeySet:
    """Read the keys of a parsed JWK Set. Raise ValueError when the document is none."""
    return KeySet(map(read_member, read_document(document, max_keys)))


def loads_document(body: bytes, max_keys: int) -> dict[str, Any]:
    """Parse the bytes of a JWK Set document, whose members are not looked at. Raise ValueError when they are none.

    What would cost more to parse than ``max_keys`` keys is refused: a key with all that RFC 7517 and RFC 7518 name has
    some 40 brackets, commas and colons, and base64 as some libraries write it a backslash for every 64 characters.

    The strict JSON rules hold, but for what publishers' libraries write. A byte order mark in front is forgiven
    (RFC 8259 section 8.1 leaves it to the reader). Inside of ``keys`` a lone surrogate, a member that stands twice and
    a number of many digits (a certificate's serial number, say) or out of range are left for ``read_member``, where
    they cost one key at most. None lets in a document with another meaning: a byte order mark is no part of the text, a
    key that holds a surrogate or a member twice is never used, and no number is read.
    """
    text = body.removeprefix(BOM_UTF8)
    _check_beginning(text)
    strict_json.check_structure(text, _STRUCTURE + _STRUCTURE_OF_A_KEY * max_keys)
    numbers = _NUMBERS_OF_A_KEY * max_keys
    document = strict_json.loads_object(text, is_key_set=True, max_fractions=numbers, max_integers=numbers)
    if holds_surrogate([value for member in document.items() if member[0] != "keys" for value in member]):
        raise ValueError("a lone surrogate beside the keys")
    return document


def _check_beginning(text: bytes) -> None:
    """Refuse what cannot be an object: say what it looks like, or else how it begins. Raise ValueError."""
    try:
        strict_json.check_beginning(text)
    except ValueError as error:
        said = str(error)
    else:
        return
    if ": " not in said:
        said += f": it begins with {quote(text[:_BEGINNING].decode('utf-8', 'replace'))}"
    raise ValueError(said)


def loads_key_set(body: bytes, max_keys: int) -> KeySet:
    """Read the keys of a JWK Set document. Raise ValueError when the bytes are none."""
    return key_set(loads_document(body, max_keys), max_keys)


BY_VALUE = "its keys are registered by value (jwks)"

_WHY = MappingProxyType(
    {
        Reason.UNKNOWN_KID: "not in the client's key set",
        Reason.NO_KEYS: "the client's key set is empty: has it a signing key?",
        Reason.UNUSABLE_KEY: "no usable key: ",
        Reason.AMBIGUOUS_KEY: "",
    }
)


def refusal(found: NoKey, kid: str | None) -> InvalidClient:
    """Refuse an assertion for which a set by value has no key."""

    def detail() -> str:
        name = "an assertion without kid" if kid is None else f"kid {quote(kid)}"
        kids = f"; the kids there: {join(found.kids, ', ')}" if found.kids else ""
        faults = join(found.faults)
        why = _WHY[found.reason]
        if found.reason is Reason.UNKNOWN_KID and faults:
            why = f"{faults}; it is {why}"
        else:
            why += faults
        return f"{name}: {why}; {BY_VALUE}{kids}"

    return InvalidClient(found.reason, detail, "key")
