"""The Django app of DjangoReplayStore: its tables, their migration, and the command that purges them.

    INSTALLED_APPS += ["private_key_jwt.stores.django"]
    PRIVATE_KEY_JWT["REPLAY_STORE"] = "private_key_jwt.stores.DjangoReplayStore"

``manage.py migrate private_key_jwt`` makes the tables. ``manage.py purge_replay_marks`` deletes expired marks whenever
you like; adds purge too. See ``private_key_jwt.stores.DjangoReplayStore``.
"""
