"""Secrets in typed values: they go, and what is left is read and compared as before."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from pytest_agenttape import Cassette, Config, Interaction, tool, use_cassette, values
from pytest_agenttape.redaction import RedactionRules, Redactor

SECRET = "tr0ub4dor&3"
KEY = UUID(int=0x1234567890ABCDEF1234567890ABCDEF)


@dataclass
class Login:
    user: str
    current: str


TYPED = {
    "bytes": (SECRET.encode(), b"REDACTED0001"),
    "bytes that are no text": (b"\xff\xfe" + SECRET.encode(), b"REDACTED0001"),
    "bytearray": (bytearray(SECRET.encode()), bytearray(b"REDACTED0001")),
    "tuple": (("alice", SECRET), ("alice", "REDACTED0001")),
    "list": (["alice", SECRET], ["alice", "REDACTED0001"]),
    "set": ({SECRET}, {"REDACTED0001"}),
    "path": (Path(SECRET), Path("REDACTED0001")),
    "mapping": ({"user": "alice", "key": SECRET}, {"user": "alice", "key": "REDACTED0001"}),
    "mapping with other keys": ({("key", 1): SECRET * 2}, {("key", 1): "REDACTED0001"}),
    "ordered mapping": (OrderedDict(key=SECRET), OrderedDict(key="REDACTED0001")),
    "dataclass": (Login("alice", SECRET * 2), Login("alice", "REDACTED0001")),
    "uuid": (KEY, UUID(bytes=b"REDACTED0001\0\0\0\0")),
}


@pytest.mark.parametrize("name", ["password", "api_key", "credentials", "smtp_pass"])
@pytest.mark.parametrize(("value", "expected"), TYPED.values(), ids=TYPED.keys())
def test_a_typed_secret_under_its_own_name_goes(name: str, value: object, expected: object) -> None:
    if name == "credentials" and value in (TYPED["dataclass"][0], TYPED["mapping with other keys"][0]):
        pytest.skip("what else is among credentials is one only if it looks random")
    redacted = Redactor(RedactionRules()).value({"args": {name: values.encode(value)}})["args"][name]
    assert values.decode(redacted) == expected
    assert values.encode(expected) == redacted


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"auth": ("alice", SECRET)}, {"auth": ("alice", "REDACTED0001")}),
        ({"basic_auth": ["alice", SECRET]}, {"basic_auth": ["alice", "REDACTED0001"]}),
        (
            {"cookies": {"theme": "dark", "sessionid": SECRET}},
            {"cookies": {"theme": "dark", "sessionid": "REDACTED0001"}},
        ),
        (
            {"cookies": [{"name": "id", "value": SECRET, "domain": "shop-7a9.example.com"}]},
            {"cookies": [{"name": "id", "value": "REDACTED0001", "domain": "shop-7a9.example.com"}]},
        ),
    ],
    ids=["auth", "list", "cookies", "cookies of a browser"],
)
def test_a_login_and_cookies_lose_only_their_secrets(args: dict[str, object], expected: dict[str, object]) -> None:
    redacted = Redactor(RedactionRules()).value({"args": values.encode(args)})["args"]
    assert values.decode(redacted) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"auth": ("alice", "required")},
        {"password": {"type": "string", "pattern": "^[A-Za-z0-9]{16,}$"}},
        {"password": {"updated_at": "2026-06-17T10:20:30Z", "key_id": "012345678912345678"}},
        {"cookies": {"policy": "strict", "domain": "www.example.com"}},
        {"token": ("Hello", "w0rld!")},
        {"id": KEY, "when": date(2026, 6, 17), "price": Decimal("9.90")},
    ],
    ids=str,
)
def test_what_is_no_secret_stays(value: dict[str, object]) -> None:
    stored = values.encode(value)
    assert Redactor(RedactionRules()).value(stored) is stored


DENIED = {"value", "type", "kind", "module", "items", "customer"}
SCALARS = [date(2026, 6, 17), Decimal("9.90"), KEY, b"C-1", Path("C-1"), ("C-1", 7), {"a": 1}, 7, {1: "C-1"}, 3 + 4j]


@pytest.mark.parametrize("value", SCALARS, ids=str)
def test_a_denied_name_leaves_the_words_of_the_format(value: object) -> None:
    redactor = Redactor(RedactionRules(denylist=tuple(DENIED)))
    redacted = redactor.value({"customer": values.encode(value)})
    assert "C-1" not in str(redacted)
    assert values.encode(values.decode(redacted)) == redacted
    assert "REDACTED" in str(redacted)


def test_an_exception_and_a_call_keep_the_words_of_the_format() -> None:
    redactor = Redactor(RedactionRules(denylist=tuple(DENIED)))
    error = values.encode_error(ValueError("x", 7))
    call = Interaction(index=0, kind="tool", boundary="f", request={"args": {"customer": Decimal(1)}}, error=error)
    clean = redactor.interaction(call)
    assert (clean.kind, clean.boundary) == ("tool", "f")
    assert repr(values.decode_error(clean.error or {})).startswith("ValueError('x'")


def test_a_uuid_that_is_a_secret_comes_back_as_a_uuid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", str(KEY))

    @tool
    def issue() -> UUID:
        return KEY

    @tool
    def use(key: UUID) -> str:
        return f"used {type(key).__name__}"

    def agent() -> str:
        return use(issue())

    for mode in ("all", "none"):
        with use_cassette(tmp_path / "keys.yaml", mode=mode):
            assert agent() == "used UUID"
    assert str(KEY) not in (tmp_path / "keys.yaml").read_text()
    assert Cassette.load(tmp_path / "keys.yaml").interactions[0].response == {"$type": "UUID", "value": "REDACTED0001"}


@pytest.mark.parametrize("password", [SECRET, SECRET.encode()], ids=["text", "bytes"])
def test_a_cassette_that_older_rules_left_a_password_in_is_replayed(tmp_path: Path, password: object) -> None:
    @tool
    def login(smtp_pass: object) -> bool:
        return bool(smtp_pass)

    for mode, is_on in (("all", False), ("none", True)):
        with use_cassette(tmp_path / "old.yaml", mode=mode, config=Config.from_mapping({"redact": {"enabled": is_on}})):
            assert login(password)
