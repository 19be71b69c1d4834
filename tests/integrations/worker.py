"""One of the processes that serve a token endpoint together: ``python -m integrations.worker APP STORE KEYS``.

APP: a name in ``apps.APPS``. STORE: the file of the replay store. KEYS: where LedgerBee's look-alike is.
It prints its URL, and ends with its standard input.
"""

import sys

from integrations.apps import APPS, Provider
from private_key_jwt import ledgerbee
from private_key_jwt.stores import SQLiteReplayStore
from private_key_jwt.testing import Clock

if __name__ == "__main__":
    app, store, keys = sys.argv[1:]
    client = ledgerbee.client("portal-acme", slug="acme", base_url=keys)
    provider = Provider({client.client_id: client}, Clock(), SQLiteReplayStore(store))
    with APPS[app](provider) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        sys.stdin.read()
