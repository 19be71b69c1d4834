"""Client authentication in web frameworks: one small module for each, behind its extra.

``starlette``, ``fastapi``, ``flask`` and ``django`` are imported by name. What is here needs no framework, and is
what any other needs: the parts of a request go into a ``TokenRequest``, its form into ``verifier.authenticate``,
and an error into ``answer``.
"""

from ._request import MAX_BODY, Answer, TokenRequest, answer, authorization, required

__all__ = ["MAX_BODY", "Answer", "TokenRequest", "answer", "authorization", "required"]
