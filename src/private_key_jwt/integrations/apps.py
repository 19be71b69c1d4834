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
    """Registers the checks of ``PRIVATE_KEY_JWT``, of DjangoReplayStore, and of django-oauth-toolkit where it is used.

        INSTALLED_APPS += ["private_key_jwt.integrations"]

    What they find is shown by ``manage.py check``, and at the start of ``runserver``; a missing table by
    ``manage.py check --database default``, and what is for a developer's machine only by ``manage.py check --deploy``.
    """

    name = "private_key_jwt.integrations"
    label = "private_key_jwt_integrations"
    verbose_name = "private_key_jwt"

    def ready(self) -> None:
        """See AppConfig."""
        from ._django_checks import check_app, check_deployment, check_settings, check_tables

        checks.register(check_settings)
        checks.register(check_app)
        checks.register(check_tables, checks.Tags.database)
        checks.register(check_deployment, checks.Tags.security, deploy=True)
        if apps.is_installed("oauth2_provider"):
            from ._toolkit_checks import check_toolkit

            checks.register(check_toolkit)
