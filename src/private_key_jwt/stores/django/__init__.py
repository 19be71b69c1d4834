"""The Django app of DjangoReplayStore: its tables, their migration, and the command that purges them.

    INSTALLED_APPS += ["private_key_jwt.stores.django"]
    PRIVATE_KEY_JWT = {
        "AUDIENCE": "https://op.example.com",
        "CLIENTS": "project.oauth.find_client",
        "REPLAY_STORE": "private_key_jwt.stores.DjangoReplayStore",
    }

    $ manage.py migrate private_key_jwt
    $ manage.py purge_replay_marks    # whenever you like: adds purge too

See ``private_key_jwt.stores.DjangoReplayStore``.
"""
