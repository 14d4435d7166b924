"""A live call beside recorded ones runs in the clock and with the UUIDs of a recording, but sends keys of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.loopback import serving
from tests.plugin.project import Project

SENDERS = {
    "httpx": (
        "import httpx\n\ndef send(url, body, key):\n    httpx.post(url, content=body, headers={'Idempotency-Key': key})"
    ),
    "requests": (
        "import requests\n\ndef send(url, body, key):\n"
        "    requests.post(url, data=body, headers={'Idempotency-Key': key})"
    ),
    "urllib3": (
        "import urllib3\n\ndef send(url, body, key):\n"
        "    urllib3.request('POST', url, body=body, headers={'Idempotency-Key': key})"
    ),
    "urllib": (
        "import urllib.request\n\ndef send(url, body, key):\n"
        "    urllib.request.urlopen(urllib.request.Request(url, body.encode(), {'Idempotency-Key': key})).read()"
    ),
    "aiohttp": (
        "import aiohttp, asyncio\n\ndef send(url, body, key):\n    async def go():\n"
        "        async with aiohttp.ClientSession() as client:\n"
        "            async with client.post(url, data=body, headers={'Idempotency-Key': key}) as answer:\n"
        "                await answer.read()\n    asyncio.run(go())"
    ),
}
TEST = """
import os, uuid
import pytest
from sender import send

@pytest.mark.agenttape
def test_it():
    for body in BODIES:
        send(os.environ["BANK"], body, KEY)
"""


class Bank(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str]] = []  # noqa: RUF012  # one server, one record

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((body, self.headers["Idempotency-Key"], self.headers.get("X-Amz-Date", "")))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, str]]]:
    """Return what a server was asked; a project finds its URL in the environment variable BANK."""
    Bank.asked.clear()
    with serving(Bank) as url:
        monkeypatch.setenv("BANK", f"{url}/pay")
        yield Bank.asked


def keys_of(project: Project, bank: list[tuple[str, str, str]], key: str, mode: str) -> tuple[list[str], list[str]]:
    """Return the keys of the recording, and those sent for what changed since."""
    project.write(test_it=TEST.replace("BODIES", '["a", "b"]').replace("KEY", key))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    before = [sent for _, sent, _ in bank]
    bank.clear()
    project.write(test_it=TEST.replace("BODIES", '["a", "c", "c"]').replace("KEY", key))
    project.run(mode).assert_outcomes(passed=1)
    assert [body for body, _, _ in bank] == ["c", "c"]
    after = [sent for _, sent, _ in bank]
    bank.clear()
    project.run().assert_outcomes(passed=1)
    assert bank == []
    return before, after


@pytest.mark.parametrize("mode", ["--snapshot-update", "--agenttape-mode=new_episodes"])
@pytest.mark.parametrize("library", SENDERS)
def test_a_live_call_sends_an_idempotency_key_of_its_own(
    project: Project, bank: list[tuple[str, str, str]], library: str, mode: str
) -> None:
    pytest.importorskip(library.removesuffix("2"))
    project.write(sender=SENDERS[library])
    before, after = keys_of(project, bank, 'f"sdk-{uuid.uuid4()}"', mode)
    assert len({*before, *after}) == 4, (before, after)
    assert all(re.fullmatch(r"sdk-[0-9a-f-]{36}", key) for key in after)


def test_a_retry_sends_the_key_of_its_request(project: Project, bank: list[tuple[str, str, str]]) -> None:
    project.write(sender=SENDERS["httpx"] + "\n\nimport uuid\nONE = str(uuid.UUID(int=7))\n")
    _, (first, second) = keys_of(project, bank, '__import__("sender").ONE', "--snapshot-update")
    assert first == second != "00000000-0000-0000-0000-000000000007"


def test_a_key_that_the_agent_has_chosen_stays(project: Project, bank: list[tuple[str, str, str]]) -> None:
    project.write(sender=SENDERS["requests"])
    assert keys_of(project, bank, '"order-17"', "--snapshot-update")[1] == ["order-17", "order-17"]


AWS = """
    import os
    import boto3, pytest

    @pytest.mark.agenttape
    def test_it():
        client = boto3.client(
            "lambda", region_name="eu-west-1", endpoint_url=os.environ["BANK"],
            aws_access_key_id="AKIAEXAMPLE1234567890", aws_secret_access_key="x" * 40,
        )
        for payload in PAYLOADS:
            client.invoke(FunctionName="pay", Payload=payload)
"""


def test_a_live_call_to_aws_is_signed_with_the_time_of_today(
    project: Project, bank: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    project.write(test_it=AWS.replace("PAYLOADS", '[b"{}"]'))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    (clock,) = re.findall(r"clock: '?\"?([0-9-]{10})", project.cassette().read_text())
    text = project.cassette().read_text().replace(clock, "2001-02-03")
    project.cassette().write_text(text)
    bank.clear()
    project.write(test_it=AWS.replace("PAYLOADS", "[b'{}', b'[]']"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    [(body, _, signed_at)] = bank
    assert body == "[]"
    assert signed_at[:4] != "2001"
    project.run().assert_outcomes(passed=1)
