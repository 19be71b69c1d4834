"""The app, for ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ReplayMarksConfig"]


class ReplayMarksConfig(AppConfig):
    """The tables of replay marks.

        INSTALLED_APPS += ["private_key_jwt.stores.django"]

    Its label is ``private_key_jwt``.
    """

    name = "private_key_jwt.stores.django"
    label = "private_key_jwt"
    verbose_name = "Replay marks of client assertions"
