"""Say what was sent in place of a value: a placeholder that was not filled in, or what a language writes for none.

For refusals only. Nothing of the text is quoted: a private key is sent in place of an assertion, too.
"""

from __future__ import annotations

import re
from types import MappingProxyType

__all__ = ["in_place_of_assertion", "in_place_of_text"]

_LOOKED_AT = 256
_PLACEHOLDER = re.compile(r"\{\{[^{}]{1,64}\}\}|\$\{[^{}]{1,64}\}|<[^<>/]{1,64}>")
_MISSING = "for a missing value"
_WORDS = MappingProxyType(
    {
        "undefined": f"what JavaScript writes {_MISSING}",
        "null": f"what JavaScript and Java write {_MISSING}",
        "None": f"what Python writes {_MISSING}",
        "<nil>": f"what Go writes {_MISSING}",
        "[object Promise]": "what JavaScript writes for a promise that was not awaited",
        "[object Object]": "what JavaScript writes for an object, of which one member may be meant",
    }
)
_PEM = "-----BEGIN "
_PRIVATE = "PRIVATE KEY-----"
_AROUND = (
    ("[", "]", "a JSON text within a text"),
    ("{", "}", "a JSON text within a text"),
    ('"', '"', "a text in quotes"),
    ("'", "'", "a text in quotes"),
)


def in_place_of_assertion(text: str) -> str:
    """Say what a text is that is no assertion; "" where that is not known."""
    beginning = text[:_LOOKED_AT].strip()
    if not beginning.startswith(_PEM):
        return _word_or_placeholder(beginning)
    if _PRIVATE in beginning:
        return "a PEM key, not an assertion: it was sent over the wire, replace it"
    return "PEM, not an assertion"


def in_place_of_text(text: str) -> str:
    """Say what a text is that is no value of a claim; "" where that is not known."""
    around = (said for start, end, said in _AROUND if text.startswith(start) and text.endswith(end))
    return _word_or_placeholder(text[:_LOOKED_AT]) or next(around, "")


def _word_or_placeholder(text: str) -> str:
    return _WORDS.get(text) or "a placeholder that was not filled in" * bool(_PLACEHOLDER.search(text))
