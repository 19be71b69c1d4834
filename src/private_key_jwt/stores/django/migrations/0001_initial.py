"""The two tables of replay marks."""

from django.db import migrations, models

from private_key_jwt.stores.django.models import KeyField


class Migration(migrations.Migration):
    """Create them."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="ReplayMark",
            fields=[
                ("key", KeyField(editable=False, max_length=32, primary_key=True, serialize=False)),
                ("expires_at", models.FloatField(db_index=True)),
            ],
            options={"db_table": "private_key_jwt_replay"},
        ),
        migrations.CreateModel(
            name="ForgottenUntil",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("until", models.FloatField()),
            ],
            options={"db_table": "private_key_jwt_replay_forgotten"},
        ),
    )
