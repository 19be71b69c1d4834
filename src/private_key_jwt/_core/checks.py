"""The checks of the recipe by name, in order: what an error's ``check`` names, and what ``explain`` shows.

To add one: its name here; its rule in ``header.py`` or ``claims.py``, called by ``recipe.py``; what configures it in
``policy.py``; for ``explain`` its row in ``cli/_examine.py`` and what is expected in ``cli/_facts.py``; and an
assertion that it refuses in ``testing/_defects.py``; and in ``_TRIALS`` of ``cli/_behind.py`` what makes it pass, so
that ``explain`` sees behind it. A rule on times also stands in ``claims.window``, and in ``TIMES`` and ``NOT_OF_NOW``
of ``cli/_behind.py``. A new reason: in ``exceptions.Reason``, and what to do about it in ``runbook.py``.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Check"]

Check = Literal[
    # 0. The token request around the assertion
    "request",
    # 1. Size and shape
    "size",
    "characters",
    "segments",
    # 2. Header
    "header",
    "crit",
    "zip_cty",
    "alg",
    "kid",
    "typ",
    # 3. Claims
    "claims",
    "iss",
    "sub",
    "client_id",
    "client",
    "signing_algs",
    "require_kid",
    "require_typ",
    "aud",
    "exp",
    "iat",
    "nbf",
    "lifetime",
    "jti",
    # 4. Key
    "key",
    # 5. Signature
    "signature",
    # 6. Replay
    "replay",
]
