"""The tables of DjangoReplayStore, for migrations. The store writes them by itself: leave their rows alone."""

from __future__ import annotations

from typing import Any

from django.db import models

from .._replay_stores.sql import TABLE

__all__ = ["ForgottenUntil", "KeyField", "ReplayMark"]


class KeyField(models.BinaryField):
    """32 bytes that can be a primary key: MariaDB and MySQL have none over a BLOB."""

    def db_type(self, connection: Any) -> Any:
        """Return the column's type."""
        return "varbinary(32)" if connection.vendor == "mysql" else super().db_type(connection)


class ReplayMark(models.Model):
    """One assertion that was used, until it has expired."""

    key = KeyField(primary_key=True, max_length=32, editable=False)
    expires_at = models.FloatField(db_index=True)

    class Meta:
        db_table = TABLE


class ForgottenUntil(models.Model):
    """Up to when marks were deleted: one row, which a clock that is set back must not pass."""

    id = models.SmallIntegerField(primary_key=True)
    until = models.FloatField()

    class Meta:
        db_table = f"{TABLE}_forgotten"
