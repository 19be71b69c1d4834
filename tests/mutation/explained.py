"""The mutants of ``_core/`` that survive and may: for each why it breaks no rule.

An entry is found by its syntax and not by its place, as a breach of a law is: a refactoring moves it freely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mutation.mutants import Survivor


@dataclass(frozen=True)
class Explained:
    """Why some mutants of one statement change nothing that anybody relies on.

    module: the file in ``_core/``.
    statement: the pattern that its first line matches (``re.search``), as ``ast.unparse`` writes it.
    after: the smallest expressions that differ, as they stand in the mutants.
    """

    module: str
    statement: str
    after: tuple[str, ...]
    why: str

    def covers(self, survivor: Survivor) -> bool:
        """Whether a survivor is one of them."""
        return (
            survivor.module == self.module
            and survivor.after in self.after
            and re.search(self.statement, survivor.statement) is not None
        )


_BY_REASON: Mapping[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "No number of a key is read.": (
        ("strict_json.py", r"^return _unread\(digits\) if len\(digits\) > MAX", ("len(digits) > MAX_DIGITS or True",)),
        ("strict_json.py", r"^return _unread\(digits\) if len\(digits\) > MAX", ("len(digits) >= MAX_DIGITS",)),
        ("strict_json.py", r"^return _unread\(digits\) if len\(digits\) > _SHORT", ("len(digits) >= _SHORT_NUMBER",)),
    ),
    "Any other white space is itself what is wrong, at an earlier place.": (
        ("strict_json.py", r"^if text\[place:place \+ 1\] in ", ("None",)),
    ),
    "There is a title for each member, whoever counts.": (
        ("jwk_set.py", r"^titles = zip\(", ("None", "False", "zip(self._say().titles, self.members)")),
        ("jwk_set.py", r"^for place, \(title, member\) in ", ("None", "False", "zip(titles, members)")),
    ),
    "All keys of a member have one thumbprint.": (("jwk_set.py", r"^texts = \[", ("2",)),),
    "The second row has no address of version 4.": (("addresses.py", r"^_METADATA_RANGES = ", ("2",)),),
    "It is no scheme that is known, and nothing follows it.": (
        ("token_request.py", r"^scheme, _, credentials = ", ("'XXXX'",)),
    ),
    "It saves time only: the general way, which is taken otherwise, says the same.": (
        ("claims.py", r"^if type\(aud\) is str and aud in", ("None",)),
        ("claims.py", r"^exp, iat = ", ("None", "'XXexpXX'", "'EXP'")),
        ("claims.py", r"^if type\(exp\) is not int or ", ("None", "1", "0 < exp <= LAST_TIME", "0 <= exp < LAST_TIME")),
        (
            "claims.py",
            r"^if type\(iat\) is not int or ",
            ("None", "1", "0 < iat <= now + leeway", "0 <= iat < now + leeway", "now - leeway", "iat >= exp"),
        ),
        ("claims.py", r"^if len\(jti\) > ", ("len(jti) >= MAX_JTI_BYTES // 4", "MAX_JTI_BYTES / 4", "5")),
        ("compact.py", r"^if type\(assertion\) is not str", ("None",)),
        ("compact.py", r"^if len\(segment\) > _BEGINNING", ("len(segment) >= _BEGINNING",)),
        ("compact.py", r"^if len\(raw\) > ", ("len(raw) >= strict_json.MAX_STRUCTURE",)),
        ("compact.py", r"^if len\(assertion\) > _SHORT", ("len(assertion) >= _SHORT",)),
        ("strict_json.py", r"^if len\(text\) <= _SHORT", ("len(text) < _SHORT",)),
        (
            "strict_json.py",
            r"^if max_fractions is not None and ",
            (
                "outline.count(b'.') > max_fractions or outline.count(_FRACTION) > max_fractions",
                "outline.count(b'.') >= max_fractions",
                "outline.count(_FRACTION) >= max_fractions",
            ),
        ),
        ("strict_json.py", r"^return rules\.scan_carefully if ", ("has_many_digits or True",)),
        ("strict_json.py", r"^if outline\.count\(", ("outline.count(b'[') >= MAX_DEPTH",)),
        ("strict_json.py", r"^if len\(digits\) > _SHORT_NUMBER", ("len(digits) >= _SHORT_NUMBER",)),
        ("strict_json.py", r"^value, end = _scan_simple\(", ("1",)),
        ("strict_json.py", r"^if type\(value\) is not dict or end != ", ("None", "2")),
        ("strict_json.py", r"^kind = type\(each\)", ("None",)),
        (
            "strict_json.py",
            r"^if kind is not str and ",
            ("kind is not str or not (kind is int and 0 <= each < _TOO_LARGE)", "1", "0 < each < _TOO_LARGE"),
        ),
        ("strict_json.py", r"^_SHORT = ", ("513",)),
        ("strict_json.py", r"^_SHORT_NUMBER = ", ("MAX_DIGITS - 1",)),
        ("strict_json.py", r"^_TOO_LARGE = ", ("10 * MAX_DIGITS",)),
        ("token_request.py", r"^if type\(form\) is dict", ("None",)),
        (
            "token_request.py",
            r"^key = name if type\(name\) is str|^if type\(value\) is str and value",
            ("None", "type(name) is str and False"),
        ),
    ),
    "Both have as many items.": (
        (
            "base64url.py",
            r"^for _ours, _theirs in zip\(",
            ("False", "zip(_OURS + b'.', _STANDARD + b'.')"),
        ),
        ("compact.py", r"^for name, length, longest in ", ("None", "False", "zip(_NAMES, lengths, _LONGEST)")),
        ("compact.py", r"^name, segment = next\(|^return f.: \{', '\.join", ("None", "False", "zip(_NAMES, segments)")),
    ),
    "Nothing but its truth is asked.": (
        ("describe.py", r"^name = unicodedata\.name\(", ("None",)),
        ("freshness.py", r"^self\._reported = False", ("None",)),
    ),
    "Three are the same from either end, and more are only counted.": (
        ("compact.py", r"^segments = text\.split\(", ("text.rsplit", "text.split('.')")),
        ("compact.py", r"^segments = standard\.split\(", ("standard.rsplit",)),
    ),
    "752 is no prime; and no prime is lost when it is divided by one smaller number more.": (
        ("rsa.py", r"^_SMALL_PRIMES = ", ("753", "2")),
    ),
    "Only a system in FIPS mode asks what a digest is for.": (
        (
            "signature_fault.py",
            r"^return hashlib\.new\(",
            ("None", "True", "hashlib.new(hash_, octets)"),
        ),
    ),
    "The modulus opens to 0, which has no trailer.": (
        ("signature_fault.py", r"^if number >= public\.n or ", ("number > public.n",)),
    ),
    "A search by halves ends at the same place, whichever way it rounds up.": (("describe.py", r"^middle = ", ("2",)),),
    "A square more or less changes no symbol.": (("okp.py", r"^a >>= twos", ("a <<= twos",)),),
    "It stands for a field that is absent: any other text that nobody looks for will do.": (
        ("sender.py", r"^scheme, _, credentials = ", ("'XXXX'",)),
        ("response.py", r"^if headers\.get\('content-type', ''\)", ("'XXXX'",)),
        ("response.py", r"^self\._age = ", ("'XXXX'",)),
    ),
    "Anything but no bytes will do.": (("response.py", r"^piece = None", ("''",)),),
    "It bounds memory: one more is no matter.": (("header.py", r"^_MOST_VERIFIED = ", ("200001",)),),
    "It holds no X.": (
        ("response.py", r"^digits = first\.lstrip\(", ("'XX0XX'",)),
        ("strict_json.py", r"^mantissa = ", ("'XX-0XX'",)),
    ),
    "It is compared without case.": (("header.py", r"^cty = members\.get", ("'jwt'",)),),
    "It is no prime.": (("rsa.py", r"^_ROCA = ", ("168",)),),
    "It is the lowest bit that is set, too, with another sign.": (("okp.py", r"^twos = ", ("a | -a",)),),
    "What is looked for at a beginning is shorter.": (("strict_json.py", r"^beginning = raw\.lstrip\(", ("17",)),),
    "No canonical base64url has so many characters: one more than a multiple of four.": (
        ("base64url.py", r"^_PADDING = ", ("b'XXXX'",)),
        ("header.py", r"^_LONGEST_KEPT = ", ("513",)),
    ),
    "No letter outside of ASCII becomes one of these names in lower case.": (
        ("header.py", r"^return value\.lower\(\)\.removeprefix", ("value.isascii() or True",)),
    ),
    "No segment is empty.": (("compact.py", r"^shortest = ", ("1",)),),
    "Only type checkers read it.": (("okp.py", r"^return \(cast\(|^return cast\(", ("None",)),),
    "The largest is even.": (("rsa.py", r"^if e % 2 == 0 or ", ("MIN_EXPONENT <= e < MAX_EXPONENT",)),),
    "The parser refuses it, too.": (
        (
            "sender.py",
            r"^if not segment or FOREIGN in segment",
            ("not segment and FOREIGN in segment or len(segment) > compact.LONGEST_CLAIMS",),
        ),
    ),
    "The shift is a multiple of half an hour, and not 0.": (
        ("describe.py", r"^sent_again = ", ("shift <= 0", "1")),
        ("describe.py", r"^_LARGEST_ZONE = ", ("3601",)),
    ),
    "Half of it is 12, too, and what is looked for at a beginning is shorter.": (
        ("describe.py", r"^_CONTEXT = ", ("25",)),
    ),
    "What is left is looked at after a piece only.": (("response.py", r"^return \(b'', b''\)", ("b'XXXX'",)),),
    "What is nested is seen in the result, too: to parse it once only spares a C stack that is nearly full.": (
        (
            "strict_json.py",
            r"^if '\[' in text or ",
            (
                "'[' in text and text.rfind('{') > 0",
                "'[' not in text",
                "'XX[XX'",
                "'XX{XX'",
                "text.find",
                "text.rfind('{') >= 0",
                "1",
            ),
        ),
    ),
    "What was parsed never holds itself; and of a flag nothing but its truth is asked.": (
        ("strict_json.py", r"^json\.dumps\(", ("None", "True", "json.dumps(value, ensure_ascii=False)")),
    ),
}
"""Why, and of what: module, statement and after, as Explained has them."""

EXPLAINED = tuple(Explained(*row, why) for why, rows in _BY_REASON.items() for row in rows)


def explain(survivor: Survivor) -> str | None:
    """Say why a survivor may survive; None where nobody has said it."""
    if survivor.is_wording:
        return "The wording of a text, or the case of a codec's name."
    return next((each.why for each in EXPLAINED if each.covers(survivor)), None)


def find_unused(survivors: Iterable[Survivor]) -> list[Explained]:
    """List the entries that explain nothing."""
    found = list(survivors)
    return [each for each in EXPLAINED if not any(map(each.covers, found))]
