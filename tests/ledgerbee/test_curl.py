"""The documented ``curl`` lines, run as they stand against the look-alike: no code of ours on the caller's side."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from private_key_jwt import testing
from private_key_jwt.cli._curl import back_channel
from private_key_jwt.ledgerbee import PortalSSO
from private_key_jwt.testing import LoopbackServer, Tenant


def shell(line: str, **variables: str) -> str:
    ended = subprocess.run(
        ["bash", "-c", line],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return ended.stdout


DOCUMENTED: list[str] = re.findall(r"^    (curl -.*(?:\n {8}.*)*)", testing.__doc__ or "", re.MULTILINE)


def documented(path: str, server: LoopbackServer) -> str:
    [line] = [line for line in DOCUMENTED if path in line]
    return line.replace(":8085/", f":{server.server_port}/")


def test_the_lines_of_the_docstring_work(tenant: Tenant, server: LoopbackServer) -> None:
    assert len(DOCUMENTED) == 4
    key = tenant.api_key()
    done: dict[str, Any] = json.loads(shell(documented("/provision", server), LEDGERBEE_API_KEY=key))
    assert (done["customerCreated"], done["role"]) == (True, "OWNER")
    minted = json.loads(shell(documented("/mint", server), LEDGERBEE_API_KEY=key, CUSTOMER_ID=done["customerId"]))
    redeemed = shell(documented("/redeem", server), REF=minted["ref"])
    assert redeemed.startswith("HTTP/1.0 302 Found")
    assert "Set-Cookie: portal_session=" in redeemed
    assert shell(documented("/redeem", server), REF=minted["ref"]).startswith("HTTP/1.0 400 ")
    for revoked in (1, 0):
        answer = json.loads(shell(documented("/revoke", server), LEDGERBEE_API_KEY=key))
        assert answer == {"revoked": revoked}


def test_the_lines_that_simulate_prints_work(tenant: Tenant, server: LoopbackServer) -> None:
    key, provision, mint, redeem, revoke = (line for _, line in back_channel(tenant, server))
    refs = [json.loads(shell(provision))["handoffRef"], json.loads(shell(mint))["ref"]]
    for ref in refs:
        assert shell(f"curl -si '{redeem}{ref}'").startswith("HTTP/1.0 302 Found")
    assert json.loads(shell(revoke)) == {"revoked": 1}
    with PortalSSO(api_key=key, base_url=server.base_url) as portal:
        assert portal.revoke_sessions(sub="u-1") == 0


@pytest.mark.parametrize("key", ["", "lb_unknown"])
def test_a_wrong_key_is_a_401(server: LoopbackServer, tenant: Tenant, key: str) -> None:
    line = documented("/revoke", server).replace("curl -s ", "curl -s -w '%{http_code}' ")
    assert shell(line, LEDGERBEE_API_KEY=key).endswith("401")


def test_what_a_running_simulator_prints_works_until_it_ends() -> None:
    command = [sys.executable, "-c", "from private_key_jwt.cli import main; main()", "simulate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Serving"):
                break
        try:
            provision, mint, revoke = (line for line in lines if line.startswith("curl -s "))
            [redeem] = [line for line in lines if line.endswith("/redeem?ref=")]
            for ref in (json.loads(shell(provision))["handoffRef"], json.loads(shell(mint))["ref"]):
                assert shell(f"curl -si '{redeem}{ref}'").startswith("HTTP/1.0 302 Found")
            assert json.loads(shell(revoke)) == {"revoked": 1}
        finally:
            process.terminate()
