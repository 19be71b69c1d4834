"""Report a call to LedgerBee that failed."""

from __future__ import annotations

from functools import partial

from .._text import cut, one_line
from ..exceptions import DETAIL_LENGTH, PrivateKeyJWTError

__all__ = ["PortalSSOError"]


class PortalSSOError(PrivateKeyJWTError):
    """Report that a call over the back channel brought no usable response.

        try: portal.revoke_sessions(sub="u-1")
        except PortalSSOError as error:
            alert(f"{error.detail}; done all the same: {error.may_have_happened}")

    status: the HTTP status that the last attempt brought; None when that one brought no whole response, whatever
        came before it.
    code: LedgerBee's code in that response, such as ``CUSTOMER_NOT_FOUND``; None when it has none.
    detail: what was expected and what came, for your log: one line of ASCII, at most 300 characters, never
        the API key, the access token or a reference.
    retry_after: seconds that LedgerBee asked to wait in that response; None when it did not say.
    may_have_happened: whether LedgerBee may have performed the call, in this attempt or in an earlier one.
        False: it was refused (4xx), or no attempt got as far as being sent.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        may_have_happened: bool,
    ) -> None:
        detail = cut(one_line(detail), DETAIL_LENGTH)
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.may_have_happened = may_have_happened

    def __reduce__(self) -> tuple[object, ...]:
        # An exception is made again from its positional arguments; ours are keywords.
        return partial(PortalSSOError, may_have_happened=self.may_have_happened), (self.detail,), vars(self)
