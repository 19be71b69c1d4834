"""``simulate``: what it prints works against what it serves, and it ends when told to."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from .conftest import AUDIENCE, run

START = "from private_key_jwt.cli import main; main()"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_it_prints_what_is_needed_and_ends_by_itself() -> None:
    answer = run("simulate", "--for", 0.01, "--slug", "acme", "--slug", "globex", "--slug", "acme")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\nTenant ") == 2
    for text in ("LedgerBee look-alike at http://127.0.0.1:", "portal-globex", "/acme/jwks.json", AUDIENCE):
        assert text in answer.out
    for reason in ("expired", "audience_mismatch", "unknown_kid", "bad_signature"):
        assert f"Refused as {reason}: " in answer.out
    assert "Serving for 0.01 s." in answer.out
    (listing,) = re.findall("^Every defect by name: (.*)$", answer.out, re.MULTILINE)
    assert re.fullmatch(r"curl -sS 'http://127\.0\.0\.1:[0-9]+/_control'", listing)


def test_it_prints_a_token_request_for_each_tenant_with_a_new_assertion_each_time() -> None:
    out = run("simulate", "--for", 0.01, "--slug", "acme", "--slug", "globex").out
    requests = [each for each in out.splitlines() if "client_assertion_type" in each]
    assert len(requests) == 2
    for slug, line in zip(("acme", "globex"), requests, strict=True):
        words = shlex.split(line)
        assert words[:3] == ["curl", "-sS", "http://127.0.0.1:8000/token"]
        form = dict(word.split("=", 1) for word in words[3:] if word != "-d")
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"].endswith(":jwt-bearer")
        (mint,) = re.findall(r' client_assertion="\$\((.*)\)"$', line)
        assert f"{mint}    # a new assertion" in out.splitlines()
        assert mint.endswith(f"/_control/{slug}/assertion'")


@pytest.mark.parametrize("audience", ["\x1b[31mred\n", "two words", ""])
def test_an_audience_that_no_policy_takes_is_a_wrong_use(audience: str) -> None:
    answer = run("simulate", "--for", 0, "--audience", audience)
    assert (answer.code, answer.out) == (2, "")
    assert "--audience must" in answer.err


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_works_until_it_is_told_to_end(told: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START, "simulate", "--audience", "https://[op].example"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Serving"):
                break
        (command,) = [each for each in lines if each.startswith("private-key-jwt ")]
        accepted = run(*shlex.split(command)[1:])
        assertions = {lines[at - 1]: line for at, line in enumerate(lines) if line.startswith("eyJ")}
        options = shlex.split(command)[2:-1]
        refused = {title: run("verify", *options, text) for title, text in assertions.items() if "Refused" in title}
        process.send_signal(told)
        assert process.wait(30) == 0
        assert process.stderr.read() == "Ended.\n"
    assert accepted.code == 0
    assert len(refused) == 4
    for title, answer in refused.items():
        assert answer.code == 1
        assert f'"reason": "{title.split()[2].rstrip(":")}"' in answer.out


def test_a_signal_ends_it_in_this_process_and_is_given_back() -> None:
    port = free_port()
    before = signal.getsignal(signal.SIGTERM)
    published: list[dict[str, list[object]]] = []

    def end_when_it_serves() -> None:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False) as http:
                published.append(http.get(f"http://127.0.0.1:{port}/api/.well-known/portal-sso/acme/jwks.json").json())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    helper = threading.Thread(target=end_when_it_serves)
    helper.start()
    answer = run("simulate", "--port", port)
    helper.join()
    assert (answer.code, answer.err) == (0, "Ended.\n")
    assert [len(each["keys"]) for each in published] == [1]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_port_that_is_taken_is_a_wrong_use() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        answer = run("simulate", "--for", 0, "--port", sock.getsockname()[1])
    assert answer.code == 2
    assert "cannot listen on port" in answer.err


@pytest.mark.parametrize("arguments", [("--slug", "a/b"), ("--port", "70000"), ("--for", "-1")])
def test_a_slug_a_port_or_a_time_that_cannot_be_is_a_wrong_use_of_simulate(arguments: tuple[str, ...]) -> None:
    answer = run("simulate", *arguments)
    assert (answer.code, answer.out) == (2, "")
