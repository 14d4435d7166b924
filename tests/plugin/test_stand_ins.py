"""What stands for a secret is never sent: who handed it out runs again, or the call is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.loopback import serving
from tests.plugin.project import Project

TOKEN = "hT4vRm8KpXz2WnQ6YdLs9Gb3"


class Shop(BaseHTTPRequestHandler):
    """Gives a token, and keeps what it is asked."""

    protocol_version = "HTTP/1.1"
    asked: list[str] = []  # noqa: RUF012  # one server, one record

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("latin-1")
        self.asked.append(f"{self.path}\n{self.headers}\n{body}")
        answer = {"access_token": TOKEN} if self.path == "/login" else {"ok": TOKEN in self.asked[-1]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        if self.path.startswith("/login"):
            self.send_header("Set-Cookie", f"sid={TOKEN}")
            self.send_header("Set-Cookie", "__cf_bm=9Qz5LxVb7Yt3Hn8Rw2Kc; path=/")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what a server was asked; a project finds its URL in the environment variable SHOP."""
    Shop.asked.clear()
    with serving(Shop) as url:
        monkeypatch.setenv("SHOP", url)
        yield Shop.asked


BUYER = """
    import base64, os
    import httpx, pytest
    from pytest_agenttape import tool

    URL = os.environ["SHOP"]

    @tool
    def pay(card, credential):
        httpx.post(f"{URL}/pay", headers={"x-card": card, "x-credential": credential})
        return "paid"

    SENT = {
        "header": lambda token, item: httpx.post(f"{URL}/{item}", headers={"authorization": f"Bearer {token}"}),
        "basic": lambda token, item: httpx.post(f"{URL}/{item}", auth=("ada", token)),
        "cookie": lambda token, item: httpx.post(f"{URL}/{item}", headers={"cookie": f"sid={token}"}),
        "json": lambda token, item: httpx.post(f"{URL}/{item}", json={"credential": {"token": token}}),
        "form": lambda token, item: httpx.post(f"{URL}/{item}", data={"token": token}),
        "query": lambda token, item: httpx.get(f"{URL}/{item}", params={"token": token}),
        "path": lambda token, item: httpx.get(f"{URL}/{token}/{item}"),
        "binary": lambda token, item: httpx.post(f"{URL}/{item}", content=b"\\xff\\x00" + token.encode()),
        "upload": lambda token, item: httpx.post(f"{URL}/{item}", files={"key": token.encode()}),
        "tool": lambda token, item: pay(item, token),
    }

    def log_in():
        return httpx.post(f"{URL}/login").json()["access_token"]
"""
ONE = """
    import os, pytest
    from buyer import SENT, log_in

    @pytest.mark.agenttape
    def test_it():
        send, token = SENT[os.environ["WAY"]], log_in()
        send(token, "first")
"""
TWO = ONE + '        send(token, "second")\n'
WAYS = ["header", "basic", "cookie", "json", "form", "query", "path", "binary", "upload", "tool"]


def of_items(asked: list[str]) -> list[str]:
    """Return the paths that were asked for since the last call, each with whether the real token came with it."""
    seen = [f"{each.partition('?')[0].split()[0].rpartition('/')[2]}" for each in asked]
    assert not [each for each in asked if "REDACTED" in each or "UkVEQUN" in each or "FREQUNUR" in each]
    asked.clear()
    return seen


@pytest.mark.parametrize("way", WAYS)
def test_a_refresh_refuses_and_the_next_one_asks_for_the_secret_again(
    project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("WAY", way)
    project.write(buyer=BUYER, test_it=ONE)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.write(test_it=TWO)
    of_items(shop)
    before = project.cassette().read_bytes()
    refused = project.run("--snapshot-update")
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(
        [
            "E *RecordingRefusedError: * would send REDACTED000?, which stands for a secret; nothing was sent",
            "E *it was handed out by a call that was replayed: POST http://127.0.0.1:*/login",
            "E *run it once more in the same way, which then makes that call again, too; or pytest *--agenttape-record",
        ]
    )
    assert of_items(shop) == []
    assert project.cassette().read_bytes() == before
    project.run("--snapshot-update").assert_outcomes(passed=1)
    last = ["pay"] if way == "tool" else ["second"]
    assert of_items(shop) == ["login", *last]
    project.run().assert_outcomes(passed=1)
    assert of_items(shop) == []


def test_what_failed_when_it_was_recorded_is_asked_with_the_real_secret(
    project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAY", "header")
    project.write(buyer=BUYER, test_it=ONE.replace("send(", "assert 0; send("))
    project.run("--agenttape-record").assert_outcomes(failed=1)
    assert of_items(shop) == ["login"]
    project.write(test_it=ONE)
    project.run("--snapshot-update").assert_outcomes(failed=1)
    assert of_items(shop) == []
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert of_items(shop) == ["login", "first"]
    project.run().assert_outcomes(passed=1)


def test_what_needs_no_secret_is_accepted_without_asking_again(
    project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAY", "header")
    project.write(buyer=BUYER, test_it=ONE + "        assert 0\n")
    project.run("--agenttape-record").assert_outcomes(failed=1)
    project.write(test_it=ONE)
    of_items(shop)
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert of_items(shop) == []


def test_what_a_refused_run_did_not_come_to_is_not_asked_again(
    project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAY", "json")
    project.write(buyer=BUYER, test_it=ONE + "".join(f'        send(token, "{each}")\n' for each in "abc"))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.write(test_it=ONE + "".join(f'        send(token, "{each}")\n' for each in "xabc"))
    of_items(shop)
    project.run("--snapshot-update").assert_outcomes(failed=1)
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert of_items(shop) == ["login", "x"]


def test_a_mode_that_appends_refuses_it_too(project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAY", "query")
    project.write(buyer=BUYER, test_it=ONE)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.write(test_it=TWO)
    of_items(shop)
    project.run("--agenttape-mode=new_episodes").assert_outcomes(failed=1)
    assert of_items(shop) == []
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert of_items(shop) == ["login", "second"]


def test_a_call_that_is_live_by_name_is_refused_with_the_name_that_is_missing(
    project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAY", "tool")
    project.write(buyer=BUYER, test_it=ONE)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    of_items(shop)
    project.write(test_it=ONE.replace("agenttape\n", 'agenttape(live={"pay"})\n'))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *RecordingRefusedError: pay(card='first', credential='REDACTED000?') would send REDACTED000?, *",
            "E *let it run for real as well: live={'http', 'pay'}",
        ]
    )
    assert of_items(shop) == []


def test_a_frozen_call_is_named(project: Project, shop: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAY", "header")
    project.write(
        buyer=BUYER + "\n    @tool\n    def sign_in():\n        return log_in()\n",
        test_it=ONE.replace("log_in", "sign_in").replace("agenttape\n", 'agenttape(frozen={"sign_in"})\n'),
    )
    project.run("--agenttape-record").assert_outcomes(failed=1)  # there is nothing to replay
    project.write(test_it=ONE.replace("log_in", "sign_in"))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.write(test_it=ONE.replace("log_in", "sign_in").replace("agenttape\n", 'agenttape(frozen={"sign_in"})\n'))
    of_items(shop)
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *'sign_in' is frozen: it has to run for real as well, or neither may"])
    assert of_items(shop) == []


WITHOUT_THE_SESSION = """
        import os
        import httpx, pytest

        @pytest.mark.agenttape
        def test_it():
            with httpx.Client(base_url=os.environ["SHOP"]) as client:
                for item in ITEMS:
                    client.cookies.delete("sid") if "sid" in client.cookies else None
                    client.post(item)
    """


def test_cookies_of_a_network_are_not_sent_back(project: Project, shop: list[str]) -> None:
    project.write(test_it=WITHOUT_THE_SESSION.replace("ITEMS", '["/login"]'))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.write(test_it=WITHOUT_THE_SESSION.replace("ITEMS", '["/login", "/second"]'))
    of_items(shop)
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert "__cf_bm" not in shop[-1]
    assert of_items(shop) == ["second"]
    project.run().assert_outcomes(passed=1)


def test_cookies_that_a_network_sets_in_a_refresh_are_sent_back(project: Project, shop: list[str]) -> None:
    project.write(test_it=WITHOUT_THE_SESSION.replace("ITEMS", '["/login"]'))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.write(test_it=WITHOUT_THE_SESSION.replace("ITEMS", '["/login", "/login/again", "/third"]'))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert "__cf_bm=9Qz5" in shop[-1]
    assert set(re.findall("__cf_bm=[^;'\\s]+", project.cassette().read_text())) == {"__cf_bm=REDACTED0002"}
    project.run().assert_outcomes(passed=1)


def test_text_that_looks_like_a_stand_in_is_sent(project: Project, shop: list[str]) -> None:
    project.write(
        test_it="""
            import os
            import httpx, pytest

            @pytest.mark.agenttape
            def test_it():
                for item in ITEMS:
                    httpx.post(os.environ["SHOP"] + "/a", json={"card": f"{item} ****4242 REDACTED0007"})
        """.replace("ITEMS", '"a"')
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    source = (project.path / "test_it.py").read_text()
    project.write(test_it=source.replace('"a":', '"ab":'))
    shop.clear()
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert ["REDACTED0007" in each for each in shop] == [True]
