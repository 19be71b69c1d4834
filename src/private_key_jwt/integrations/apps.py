"""The Django app of the integrations: with it ``manage.py check`` compares settings before a client does.

    INSTALLED_APPS += ["private_key_jwt.integrations"]

It has no models, and nothing else needs it. Silence one by its id, in ``SILENCED_SYSTEM_CHECKS``:

| id | what is found |
|---|---|
| `private_key_jwt.E001` | the toolkit publishes an issuer that is not the policy's audience |
| `private_key_jwt.E002` | `OAUTH2_VALIDATOR_CLASS` cannot be imported, or is not one of ours that can work |
| `private_key_jwt.E003` | the ClientAssertionMiddleware is not in `MIDDLEWARE` |
| `private_key_jwt.E004` | a verifier that `PRIVATE_KEY_JWT` describes cannot be made |
| `private_key_jwt.E005` | the app of a DjangoReplayStore is not installed |
| `private_key_jwt.E006` | registered_applications() finds nobody: the model has neither `jwks_uri` nor `jwks` |
| `private_key_jwt.W001` | the issuer that the toolkit publishes follows the Host header |
| `private_key_jwt.W002` | a metadata document does not list the method |
| `private_key_jwt.W003` | `--database ALIAS`: the tables of a DjangoReplayStore are missing there |
| `private_key_jwt.W004` | `--deploy`: marks are kept in one process, and nothing says how many there are |
| `private_key_jwt.W005` | `--deploy`: keys are fetched from this host over plain http |
| `private_key_jwt.W006` | the metadata names other algorithms than clients may use |
| `private_key_jwt.W007` | a metadata document is not at the root of the host, where clients look for it |
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
        from ._django_checks import check_app, check_deployment, check_setting, check_tables

        checks.register(check_setting)
        checks.register(check_app)
        checks.register(check_tables, checks.Tags.database)
        checks.register(check_deployment, checks.Tags.security, deploy=True)
        if apps.is_installed("oauth2_provider"):
            from ._toolkit_checks import check_toolkit

            checks.register(check_toolkit)
