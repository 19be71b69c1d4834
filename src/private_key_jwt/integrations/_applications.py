"""The applications of django-oauth-toolkit, as the clients of a verifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._registration import check_signing_algs
from .._text import quote
from ..clients import LookUp, RegisteredClient, Unregistered
from . import _models

__all__ = ["Applications"]


class Applications(LookUp):
    """Finds the applications that are registered for ``private_key_jwt``. Raises ConfigurationError."""

    def __init__(self, signing_algs: Sequence[str] | None) -> None:
        self.signing_algs = None if signing_algs is None else check_signing_algs(signing_algs)

    @property
    def model(self) -> Any:
        """The model of the project's applications."""
        from oauth2_provider.models import get_application_model  # not before the project's apps are ready

        return get_application_model()

    def find(self, client_id: str) -> RegisteredClient | Unregistered | None:
        """See LookUp."""
        application = self.model.objects.filter(client_id=client_id).first()
        if application is None:
            return None
        if not _models.uses_private_key_jwt(application):
            why = _models.why_not_registered(application)
            return Unregistered(f"application {quote(application.client_id)} exists, and {why}")
        return _models.registered_client(application.client_id, application, self.signing_algs)
