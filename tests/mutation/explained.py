"""The mutants of ``_core/`` that survive and may: for each why it breaks no rule.

An entry is found by its syntax and not by its place, as a breach of a law is: a refactoring moves it freely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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


_SPEED = "It saves time only: the general way, which is taken otherwise, says the same."
_TYPES = "Only type checkers read it."
_TRUTH = "Nothing but its truth is asked."
_LENGTHS = "Both have three items."

EXPLAINED = (
    Explained("okp.py", r"^a >>= twos", ("a <<= twos",), "A square more or less changes no symbol."),
    Explained("claims.py", r"^if type\(aud\) is str and aud in", ("None",), _SPEED),
    Explained("compact.py", r"^if len\(segment\) > _BEGINNING", ("len(segment) >= _BEGINNING",), _SPEED),
    Explained("compact.py", r"^if len\(raw\) > ", ("len(raw) >= strict_json.MAX_STRUCTURE",), _SPEED),
    Explained(
        "addresses.py",
        r"^return kind or \(None if address\.is_global else",
        ("address.is_global or True",),
        "Each IPv4 network that this Python calls not global has a row of its own.",
    ),
    Explained(
        "addresses.py",
        r"^return inside and inside\._replace\(",
        ("None", "inside._replace(name=f'NAT64 of one that is {inside.name}')"),
        "Nobody asks for the networks of a kind that is made for one address.",
    ),
    Explained(
        "base64url.py",
        r"^return a2b_base64\(",
        ("False", "a2b_base64(segment + _PADDING[len(segment) % 4])"),
        "What is canonical holds nothing that the strict mode refuses.",
    ),
    Explained(
        "sender.py",
        r"^scheme, _, credentials = ",
        ("'XXXX'",),
        "Any text that is no field of Basic will do.",
    ),
    Explained(
        "sender.py",
        r"^if not segment or FOREIGN in segment",
        ("not segment and FOREIGN in segment or len(segment) > compact.LONGEST_CLAIMS",),
        "The parser refuses it, too.",
    ),
    Explained(
        "sender.py",
        r"^claims = compact\.loads\(",
        ("None", "'XXclaimsXX'", "'CLAIMS'"),
        "Nobody sees the error that names it.",
    ),
    Explained("claims.py", r"^exp, iat = ", ("None", "'XXexpXX'", "'EXP'"), _SPEED),
    Explained(
        "claims.py",
        r"^if type\(exp\) is not int or ",
        ("None", "1", "0 < exp <= LAST_TIME", "0 <= exp < LAST_TIME"),
        _SPEED,
    ),
    Explained(
        "claims.py",
        r"^if type\(iat\) is not int or ",
        ("None", "1", "0 < iat <= now + leeway", "0 <= iat < now + leeway", "now - leeway", "iat >= exp"),
        _SPEED,
    ),
    Explained("claims.py", r"^if len\(jti\) > ", ("len(jti) >= MAX_JTI_BYTES // 4", "MAX_JTI_BYTES / 4", "5"), _SPEED),
    Explained("claims.py", r"^if header\.alg not in signing_algs and", ("None",), _SPEED),
    Explained(
        "compact.py",
        r"^lengths = zip\(",
        ("None", "False", "zip(_NAMES, segments, _LONGEST)"),
        _LENGTHS,
    ),
    Explained(
        "compact.py",
        r"^alg = loads\(",
        ("None", "'XXheaderXX'", "'HEADER'"),
        "Nobody sees the error that names it.",
    ),
    Explained("compact.py", r"^shortest = ", ("1",), "No segment is empty."),
    Explained(
        "compact.py",
        r"^segments = text\.split\(",
        ("text.rsplit", "text.split('.')"),
        "Three are the same from either end, and more are only counted.",
    ),
    Explained(
        "compact.py",
        r"^segments = standard\.split\(",
        ("standard.rsplit",),
        "Three are the same from either end, and more are only counted.",
    ),
    Explained("compact.py", r"^if len\(standard\) > _SHORT", ("len(standard) >= _SHORT",), _SPEED),
    Explained(
        "compact.py",
        r"^name, segment = next\(|^return f.: \{', '\.join",
        ("None", "False", "zip(_NAMES, segments)"),
        _LENGTHS,
    ),
    Explained(
        "describe.py",
        r"^sent_again = ",
        ("shift <= 0", "1"),
        "The shift is a multiple of half an hour, and not 0.",
    ),
    Explained(
        "describe.py",
        r"^middle = ",
        ("2",),
        "A search by halves ends at the same place, whichever way it rounds up.",
    ),
    Explained("describe.py", r"^name = unicodedata\.name\(", ("None",), _TRUTH),
    Explained("freshness.py", r"^self\._reported = False", ("None",), _TRUTH),
    Explained(
        "header.py",
        r"^return value\.lower\(\)\.removeprefix",
        ("value.isascii() or True",),
        "No letter outside of ASCII becomes one of these names in lower case.",
    ),
    Explained("header.py", r"^_LONGEST_KEPT = ", ("513",), "No canonical base64url has one character more than 512."),
    Explained("header.py", r"^_MOST_VERIFIED = ", ("200001",), "It bounds memory: one more is no matter."),
    Explained("header.py", r"^cty = members\.get", ("'jwt'",), "It is compared without case."),
    Explained("header.py", r"^return _parse_cached\(", ("len(segment) <= _LONGEST_KEPT and False",), _SPEED),
    Explained(
        "okp.py",
        r"^twos = ",
        ("a | -a",),
        "It is the lowest bit that is set, too, with another sign.",
    ),
    Explained("okp.py", r"^return \(cast\(|^return cast\(", ("None",), _TYPES),
    Explained(
        "response.py",
        r"^if headers\.get\('content-type', ''\)",
        ("'XXXX'",),
        "Any text that is no HTML will do.",
    ),
    Explained("response.py", r"^digits = first\.lstrip\(", ("'XX0XX'",), "It holds digits only."),
    Explained("response.py", r"^self\._age = ", ("'XXXX'",), "Any text that is no number will do."),
    Explained("response.py", r"^piece = None", ("''",), "Anything but no bytes will do."),
    Explained("response.py", r"^return \(b'', b''\)", ("b'XXXX'",), "What is left is looked at after a piece only."),
    Explained("rsa.py", r"^if e % 2 == 0 or ", ("MIN_EXPONENT <= e < MAX_EXPONENT",), "The largest is even."),
    Explained("rsa.py", r"^_ROCA = ", ("168",), "It is no prime."),
    Explained(
        "rsa.py",
        r"^_SMALL_PRIMES = ",
        ("753", "2"),
        "752 is no prime; and no prime is lost when it is divided by one smaller number more.",
    ),
    Explained("strict_json.py", r"^if len\(text\) <= _SHORT", ("len(text) < _SHORT",), _SPEED),
    Explained("strict_json.py", r"^scan = ", ("_TOO_MANY_DIGITS in outline or True",), _SPEED),
    Explained("strict_json.py", r"^if outline\.count\(", ("outline.count(b'[') >= MAX_DEPTH",), _SPEED),
    Explained(
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
        "What is nested is seen in the result, too: to parse it once only spares a C stack that is nearly full.",
    ),
    Explained("strict_json.py", r"^value, end = _scan_simple\(", ("1",), _SPEED),
    Explained("strict_json.py", r"^if type\(value\) is not dict or end != ", ("None", "2"), _SPEED),
    Explained("strict_json.py", r"^kind = type\(each\)", ("None",), _SPEED),
    Explained(
        "strict_json.py",
        r"^if kind is not str and ",
        ("kind is not str or not (kind is int and 0 <= each < _TOO_LARGE)", "1", "0 < each < _TOO_LARGE"),
        _SPEED,
    ),
    Explained("strict_json.py", r"^_SHORT = ", ("513",), _SPEED),
    Explained("strict_json.py", r"^_TOO_LARGE = ", ("10 * MAX_DIGITS",), _SPEED),
    Explained("strict_json.py", r"^_TOO_MANY_DIGITS = ", ("MAX_DIGITS - 1",), _SPEED),
    Explained("strict_json.py", r"^beginning = raw\.lstrip\(", ("17",), "Its first three bytes are looked at."),
    Explained(
        "strict_json.py",
        r"^json\.dumps\(",
        ("None", "True", "json.dumps(value, ensure_ascii=False)"),
        "What was parsed never holds itself; and of a flag nothing but its truth is asked.",
    ),
    Explained(
        "strict_json.py",
        r"^if raw\.lstrip\(",
        ("None",),
        "The other white space of Python is left to the parser, which refuses it.",
    ),
    Explained("token_request.py", r"^if type\(form\) is dict", ("None",), _SPEED),
    Explained(
        "token_request.py",
        r"^key = name if type\(name\) is str|^if type\(value\) is str and value",
        ("None", "type(name) is str and False"),
        _SPEED,
    ),
)


def explain(survivor: Survivor) -> str | None:
    """Say why a survivor may survive; None where nobody has said it."""
    if survivor.is_wording:
        return "The wording of a text, or the case of a codec's name."
    return next((each.why for each in EXPLAINED if each.covers(survivor)), None)


def find_unused(survivors: Iterable[Survivor]) -> list[Explained]:
    """List the entries that explain nothing."""
    found = list(survivors)
    return [each for each in EXPLAINED if not any(map(each.covers, found))]
