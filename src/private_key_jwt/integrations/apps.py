"""The Django app of the integrations: with it ``manage.py check`` compares settings before a client does.

    INSTALLED_APPS += ["private_key_jwt.integrations"]

It has no models, and nothing else needs it.
"""

from __future__ import annotations

from .._extra import needs

with needs(__name__, "django"):
    from django.apps import AppConfig, apps
    from django.core import checks

__all__ = ["IntegrationsConfig"]


class IntegrationsConfig(AppConfig):  # type: ignore[misc]  # Django is untyped
    """Registers the checks of what is installed beside it.

        INSTALLED_APPS += ["private_key_jwt.integrations"]

    What they find is shown by ``manage.py check``, and at the start of ``runserver``.
    """

    name = "private_key_jwt.integrations"
    label = "private_key_jwt_integrations"
    verbose_name = "private_key_jwt"

    def ready(self) -> None:
        """See AppConfig."""
        if apps.is_installed("oauth2_provider"):
            from .oauth_toolkit import check_issuer  # it needs the toolkit's models

            checks.register(check_issuer)
