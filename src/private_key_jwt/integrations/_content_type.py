"""Check the ``Content-Type`` of a token request."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from .._text import quote
from ..exceptions import InvalidRequest
from ._invalid import invalid

__all__ = ["FORM", "check_content_type", "media_type_of", "use_utf_8"]

FORM = "application/x-www-form-urlencoded"
"""The media type of a token request."""

_MAX_LENGTH = 512  # characters: each may be a `;`, and 64 kB of them cost hundreds of RSA verifications

# In each of these ASCII text is spelled as in UTF-8. `codecs` keeps each unknown name that it is asked for, for ever.
_ASCII_CHARSETS = re.compile(
    r"utf-?8|(us-)?ascii|latin-?1|iso[-_]?8859[-_]\d{1,2}|(windows-|cp)125\d|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|euc-(jp|kr)|shift_jis"
)


def media_type_of(content_type: str | None) -> str:
    """Return the media type of a ``Content-Type``, in lower case and without parameters; empty without one."""
    return (content_type or "").partition(";")[0].strip().lower()


def check_content_type(content_type: str | None) -> None:
    """Refuse a body that is no form, or in a charset that does not hold ASCII (RFC 6749 §3.2, appendix B).

    What such a form holds is read as UTF-8 whatever charset it names. Raises InvalidRequest.
    """
    content_type = content_type or ""
    if len(content_type) > _MAX_LENGTH:
        raise invalid(f"expected a Content-Type of at most {_MAX_LENGTH} characters, got {len(content_type)}")
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value for name, _, value in (each.partition("=") for each in parameters) if name.strip() == "charset"]
    if media_type != FORM or not all(_ASCII_CHARSETS.fullmatch(each.strip(' "')) for each in charsets):
        raise invalid(f"expected a body of {FORM} in UTF-8, got {_describe(content_type)}")


def _describe(content_type: str) -> str:
    return f"content type {quote(content_type)}" if content_type else "no content type"


def use_utf_8(request: Any) -> None:
    """Let a Django request be read as UTF-8 where its form names another charset that holds ASCII.

    Django answers 400 to every other charset, also for the ASCII that common clients send as ISO-8859-1.
    """
    if getattr(request, "encoding", None):
        with suppress(InvalidRequest):
            check_content_type(request.META.get("CONTENT_TYPE"))
            request.encoding = "utf-8"
