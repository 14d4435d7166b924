"""A secret of an answer keeps its shape in replay, on every way that it may come and be sent on."""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import httpx
import pytest
import requests
import yaml

from pytest_agenttape import Config, RecordingRefusedError, tool, use_cassette
from tests.loopback import serving
from tests.redaction.test_redaction import JWT, fake, segment

PATH = Path("tapes/x.yaml")


class Shop(BaseHTTPRequestHandler):
    """Gives away secrets; the test says which."""

    protocol_version = "HTTP/1.1"
    secret: ClassVar[str] = ""
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.asked.append(f"{self.path}\n{self.headers}\n{body}")
        data = json.dumps({"access_token": self.secret, "help": f"send {self.secret}"}).encode()
        self.send_response(200)
        self.send_header("Set-Cookie", f"sid={self.secret}; Path=/")
        self.send_header("X-Api-Key", self.secret)
        self.send_header("Location", f"/next?token={self.secret}")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def url() -> Iterator[str]:
    Shop.asked.clear()
    with serving(Shop) as url:
        yield url


def strict(token: str) -> str:
    """Return a *token* that is what its prefix says, as an agent's own check would."""
    if token.startswith("eyJ"):
        head, claims, _ = token.split(".")
        assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == "HS256"
        assert json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] == 1781000000
    elif token.startswith("sk_live_"):
        assert len(token) == 32
    elif len(token) == 36:
        assert UUID(token).version == 4
    else:
        assert len(base64.b64decode(token, validate=True)) == 32
    return token


def with_httpx(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        answer = client.post("/login")
        assert int(answer.headers["content-length"]) == len(answer.content)
        token = strict(answer.json()["access_token"])
        assert answer.json()["help"] == f"send {token}"
        assert answer.headers["x-api-key"] == client.cookies["sid"] == token
        assert answer.headers["location"] == f"/next?token={token}"
        client.post("/buy", json={"token": token}, headers={"authorization": f"Bearer {token}"})
        client.post("/buy", params={"token": token}, data={"note": f"with {token}"})


def with_requests(url: str) -> None:
    with requests.Session() as session:
        token = strict(session.post(f"{url}/login").json()["access_token"])
        session.post(f"{url}/buy", json={"secret": token, "again": json.dumps({"token": token})})


@tool
def log_in() -> dict[str, Any]:
    return {"access_token": Shop.secret, "expires": 3600, "hint": [f"send {Shop.secret}"]}


@tool
def buy(item: str, credential: str, *, note: str = "") -> str:  # noqa: ARG001  # what matters is how it is asked
    return f"{item} bought"


def with_tools(_: str = "") -> None:
    answer = log_in()
    token = strict(answer["access_token"])
    assert answer["hint"] == [f"send {token}"]
    assert buy("tea", token, note=f"for {token}") == "tea bought"


SECRETS = {
    "stripe": fake("sk_live_", 24),
    "jwt": JWT,
    "uuid": "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
    "base64": "Wu06AGTLTGdKUfwItUpeo6M9Z3KFGLNl1zA6IIzY9bQ=",
}


@pytest.mark.parametrize("agent", [with_httpx, with_requests, with_tools])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_an_agent_that_parses_it_takes_the_recorded_way(url: str, secret: str, agent: Callable[[str], None]) -> None:
    Shop.secret = secret
    with use_cassette(PATH, mode="all"):
        agent(url)
    assert secret not in (written := PATH.read_text())
    Shop.asked.clear()
    for _ in range(2):  # the same in each replay
        with use_cassette(PATH):
            agent(url)
    assert Shop.asked == []
    assert PATH.read_text() == written


SAID = "Bearer {}", "api_key={}", "curl --token {} x", "https://x.test/cb?token={}", "see https://ada:{}@x.test/a"


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        *((each, fake("", 24)) for each in SAID),
        (SAID[3], f"17|{fake('', 24)}"),
        *(('{"access_token": "{}"}', fake("", 24, string.ascii_letters + end)) for end in ("", "7")),
        ('{"token": "{}"}', fake("", 24, string.ascii_letters)),
        (SAID[3], fake("", 24, string.ascii_letters)),
    ],
)
def test_one_that_only_its_context_tells_is_one_wherever_it_is_passed_on(said: str, secret: str) -> None:

    before, after = said.split("{}")

    @tool
    def ask() -> dict[str, str]:
        return {"help": before + secret + after}

    @tool
    def spell(word: str) -> str:
        return word[:1]

    def agent() -> None:
        spell(ask()["help"].removeprefix(before).removesuffix(after))

    with use_cassette(PATH, mode="all"):
        agent()
    assert secret not in PATH.read_text()
    with use_cassette(PATH):
        agent()


def test_the_cassette_says_the_shape_and_lists_the_placeholder_as_ever() -> None:
    Shop.secret = SECRETS["stripe"]
    with use_cassette(PATH, mode="all"):
        with_tools()
    stored = yaml.safe_load(PATH.read_text())
    assert stored["meta"]["redacted"] == ["REDACTED0001"]
    assert stored["meta"]["shapes"] == {"sk_live_[A-Za-z0-9]{24}": ["REDACTED0001"]}
    assert "    sk_live_[A-Za-z0-9]{24}: [REDACTED0001]\n" in PATH.read_text()
    assert stored["interactions"][0]["response"]["access_token"] == "REDACTED0001"


def test_a_cassette_that_says_no_shapes_is_replayed_as_before() -> None:
    Shop.secret = SECRETS["stripe"]

    def agent() -> str:
        token: str = log_in()["access_token"]
        buy("tea", token)
        return token

    with use_cassette(PATH, mode="all"):
        agent()
    stored = yaml.safe_load(PATH.read_text())
    del stored["meta"]["shapes"]
    PATH.write_text(yaml.safe_dump(stored))
    with use_cassette(PATH):
        assert agent() == "REDACTED0001"
    with use_cassette(PATH, mode="all"):  # says nothing else but what the secrets look like
        agent()
    with use_cassette(PATH):
        assert agent().startswith("sk_live_REDACTEDn0001")


def test_a_shape_that_a_pattern_of_the_user_finds_is_not_told() -> None:
    Shop.secret = SECRETS["stripe"]
    config = Config.from_mapping({"redact": {"regexes": ["sk_live_[^ ]+"]}})
    with use_cassette(PATH, mode="all", config=config):
        with_tools()
    assert "shapes" not in yaml.safe_load(PATH.read_text())["meta"]
    with use_cassette(PATH, config=config):
        assert log_in()["access_token"] == "REDACTED0001"


def test_what_only_a_request_has_says_no_shape() -> None:
    Shop.secret = SECRETS["stripe"]
    with use_cassette(PATH, mode="all"):
        buy("tea", Shop.secret)
    assert "shapes" not in yaml.safe_load(PATH.read_text())["meta"]


def test_a_secret_of_another_shape_keeps_the_number_and_says_the_new_one() -> None:
    Shop.secret = SECRETS["stripe"]
    with use_cassette(PATH, mode="all"):
        with_tools()
    Shop.secret = SECRETS["uuid"]
    with use_cassette(PATH, mode="all"):
        with_tools()
    with use_cassette(PATH):
        with_tools()
    meta = yaml.safe_load(PATH.read_text())["meta"]
    assert meta["redacted"] == ["REDACTED0001"]
    assert list(meta["shapes"].values()) == [["REDACTED0001"]]
    assert next(iter(meta["shapes"])).startswith("[0-9a-f]{8}-")


@pytest.mark.parametrize("secret", ["sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", "Zq8!vN2$kL5^wR9&"])
def test_another_secret_of_the_same_shape_or_of_none_is_no_change(secret: str) -> None:
    Shop.secret = SECRETS["stripe"]
    with use_cassette(PATH, mode="all"):
        log_in()
    before = PATH.read_bytes()
    Shop.secret = secret
    with use_cassette(PATH, mode="all"):
        log_in()
    assert PATH.read_bytes() == before


def test_a_refresh_keeps_shapes_of_replayed_calls_and_adds_those_of_new_ones() -> None:
    @tool
    def sign_up() -> str:
        return f"your token is {SECRETS['jwt']}"

    Shop.secret = SECRETS["stripe"]
    with use_cassette(PATH, mode="all"):
        log_in()
    with use_cassette(PATH, mode="refresh"):
        log_in()
        sign_up()
    assert yaml.safe_load(PATH.read_text())["meta"]["shapes"] == {
        "sk_live_[A-Za-z0-9]{24}": ["REDACTED0001"],
        '{"alg":"HS256","typ":"JWT"}.{"sub":"REDACTED","exp":1781000000}.[A-Za-z0-9]{43}': ["REDACTED0002"],
    }


def test_of_a_token_can_be_read_what_the_cassette_says_in_plain() -> None:
    head = {"alg": "RS256", "kid": "key-of-may", "typ": "JWT"}
    claims = {
        "sub": "user-42",
        "exp": 1781000000,
        "email": "ada@example.com",
        "realm": {"roles": ["buyer", "owner"], "level": 7},
        "ada@example.com": True,
    }
    token = f"{segment(head)}.{segment(claims)}.{fake('', 342)}"

    @tool
    def sign_in() -> dict[str, str]:
        return {"id_token": token}

    @tool
    def keys() -> list[dict[str, str]]:
        return [{"kid": "key-of-may", "n": "0vx7"}]

    @tool
    def profile(user: str) -> dict[str, str]:
        return {"user": user, "role": "buyer"}

    def agent() -> tuple[Any, Any]:
        head, claims, _ = sign_in()["id_token"].split(".")
        said_first, said = (json.loads(base64.urlsafe_b64decode(each + "==")) for each in (head, claims))
        assert said_first["kid"] in {each["kid"] for each in keys()}
        profile(said["sub"])
        return said_first, said

    with use_cassette(PATH, mode="all"):
        agent()
    assert "ada@" not in PATH.read_text()
    assert list(yaml.safe_load(PATH.read_text())["meta"]["shapes"].values()) == [["REDACTED0001"]]
    with use_cassette(PATH):
        assert agent() == (
            head,
            {
                "sub": "user-42",
                "exp": 1781000000,
                "email": "REDACTED",
                "realm": {"roles": ["buyer", "REDACTED"], "level": 0},
            },
        )


def test_a_cassette_of_another_tool_hands_out_secrets_of_their_shape() -> None:
    PATH.parent.mkdir()
    token = {"access_token": SECRETS["stripe"]}
    asked = {"headers": {}, "method": "POST"}
    ok = {"headers": {}, "status": {"code": 200, "message": "OK"}}
    calls = [
        {"request": {**asked, "uri": "http://a.test/in", "body": None}, "response": {**ok, "body": json.dumps(token)}},
        {"request": {**asked, "uri": "http://a.test/buy", "body": json.dumps(token)}, "response": {**ok, "body": "ok"}},
    ]
    PATH.write_text(yaml.safe_dump({"version": 1, "interactions": calls}))
    with use_cassette(PATH):
        given = httpx.post("http://a.test/in").json()
        strict(given["access_token"])
        assert httpx.post("http://a.test/buy", content=json.dumps(given)).text == "ok"


@pytest.mark.parametrize("mode", ["refresh", "new_episodes"])
@pytest.mark.parametrize(
    "spelled",
    [str, str.lower, lambda token: base64.b64encode(f"ada:{token}".encode()).decode()],
    ids=["plain", "lower case", "base64"],
)
def test_it_is_never_sent(url: str, mode: str, spelled: Callable[[str], str]) -> None:
    Shop.secret = SECRETS["stripe"]
    with use_cassette(PATH, mode="all"):
        log_in()
    before = PATH.read_bytes()
    with (
        pytest.raises(RecordingRefusedError, match="would send REDACTED0001, which stands for a secret"),
        use_cassette(PATH, mode=mode),
    ):
        httpx.post(f"{url}/buy", json={"note": spelled(log_in()["access_token"])})
    assert Shop.asked == []
    assert PATH.read_bytes() == before


def test_a_code_of_six_digits_is_one_and_is_not_sent(url: str) -> None:
    @tool
    def read_mail() -> dict[str, str]:
        return {"otp": "482913"}

    def agent(name: str = "otp") -> None:
        code = f"{int(read_mail()['otp']):06d}"
        assert len(code) == 6
        httpx.post(f"{url}/login", json={name: code})

    with use_cassette(PATH, mode="all"):
        agent()
    assert "482913" not in PATH.read_text()
    with use_cassette(PATH):
        agent()
    with pytest.raises(RecordingRefusedError, match="would send REDACTED0001"), use_cassette(PATH, mode="refresh"):
        agent("note")


def test_one_that_another_cassette_handed_out_is_found_like_a_secret_and_never_sent(url: str) -> None:
    Shop.secret = fake("", 24)

    def agent(*, mode: str, item: str = "tea") -> None:
        with use_cassette("tapes/login.yaml", mode="once"):
            token = log_in()["access_token"]
        with use_cassette(PATH, mode=mode):
            httpx.post(f"{url}/{item}", json={"token": token})

    agent(mode="all")
    assert Shop.secret not in PATH.read_text()
    agent(mode="none")
    with pytest.raises(RecordingRefusedError, match=r"would send REDACTED0001, which .*\n.*from another cassette"):
        agent(mode="refresh", item="coffee")
    assert len(Shop.asked) == 1


def test_a_number_under_a_secrets_name_is_a_number_in_replay() -> None:
    @tool
    def codes(password: int) -> dict[str, Any]:
        return {"otp": 482_913, "password": password, "attempts": 3}

    class Number(Shop):
        def do_GET(self) -> None:
            data = json.dumps({"otp": 482_913, "left": 250_000}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    @tool
    def confirm(otp: int) -> str:
        return f"confirmed with {len(str(otp))} digits"

    def run(url: str) -> tuple[dict[str, Any], dict[str, Any], str]:
        found, answered = codes(12_345_678_901), httpx.get(f"{url}/code").json()
        return found, answered, confirm(found["otp"])

    with serving(Number) as there, use_cassette(PATH, mode="all"):
        run(there)
    assert not {"482913", "12345678901"} & set(re.findall("[0-9]+", PATH.read_text()))
    with use_cassette(PATH) as session:
        found, answered, said = run(there)
    assert session.unplayed == []
    assert [type(each) for each in (found["otp"], found["password"], answered["otp"])] == [int, int, int]
    assert len(str(found["otp"])) == 6
    assert found["otp"] == answered["otp"] != 482_913
    assert (found["attempts"], answered["left"], said) == (3, 250_000, "confirmed with 6 digits")
    assert len(str(found["password"])) == 8  # whatever the length of the one that a person chose


def test_a_number_that_was_handed_out_is_not_sent(url: str) -> None:
    @tool
    def code() -> dict[str, int]:
        return {"otp": 482_913}

    with use_cassette(PATH, mode="all"):
        code()
    with pytest.raises(RecordingRefusedError, match="would send REDACTED0001"), use_cassette(PATH, mode="new_episodes"):
        httpx.post(f"{url}/confirm", json={"otp": code()["otp"]})
    assert Shop.asked == []
