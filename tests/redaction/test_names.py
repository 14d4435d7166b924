"""Which names mean that a value is a secret: one list for arguments, keys, parameters and the environment."""

from __future__ import annotations

import pytest

from pytest_agenttape.process.freeze import env_drift, env_snapshot
from pytest_agenttape.redaction import RedactionRules, Redactor

ARGUMENTS = (
    "pass pw DB_PASS SMTP_PASS smtpPass PGPASSWORD adminpassword appsecret authkey secretaccesskey otp sid passphrase"
    " app_creds APP_JWT admin_pw login_passcode totp rootpasswd bearer session_cookie authCookie"
).split()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_password_under_any_of_its_names_goes(name: str) -> None:
    assert Redactor(RedactionRules()).value({"args": {name: "tr0ub4dor&3"}}) == {"args": {name: "REDACTED0001"}}


@pytest.mark.parametrize("name", ["password", "DB_PASS", "otp", "passphrase", "PGPASSWORD"])
def test_a_password_of_digits_goes(name: str) -> None:
    assert Redactor(RedactionRules()).value({name: "493021"}) == {name: "REDACTED0001"}


@pytest.mark.parametrize("name", ["password", "DB_PASS", "otp"])
def test_so_does_a_number(name: str) -> None:
    assert Redactor(RedactionRules()).value({name: 493021}) == {name: "REDACTED0001"}


@pytest.mark.parametrize("name", ["passphrase", "sshKeyPassphrase", "pass_phrase", "seed_phrase", "recoveryPhrase"])
def test_a_phrase_goes(name: str) -> None:
    phrase = "correct horse battery staple"
    assert Redactor(RedactionRules()).value({"args": {name: phrase}}) == {"args": {name: "REDACTED0001"}}


@pytest.mark.parametrize(
    "value",
    [
        {"pass": "tests/test_trip.py::test_weather_2"},
        {"first_pass": "gpt-4o-mini", "pass": 3},
        {"sid": "SM" + "0123456789abcdef" * 2},
        {"inside": "0123456789abcdef", "compass": "n0rth-w3st!", "side": "l3ft-hand"},
        {"project_key": "AT-17", "bearer": "Frodo", "ring_bearers": 3},
        {"storage_key": "reports/2026.pdf"},
        {"fortune_cookie": "A long journey is ahead", "accept_cookies": True, "cookie_name": "l3ft-hand"},
        {"session_key": "2026-11-27"},
        {"password": "000000", "otp": "1234", "pwd": 4096, "db_password": 777777},
        {"password": "must have 8 characters or more", "passphrase": "not set", "phrase": "a horse is not a staple"},
        {"max_tokens": "4096", "api_key": "12345678"},
        {"credentials": {"expires_at": "2026-06-17T10:20:30.123456+00:00"}},
    ],
    ids=str,
)
def test_a_name_that_has_other_uses_takes_no_plain_value(value: dict[str, object]) -> None:
    assert Redactor(RedactionRules()).value(value) is value


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("APP_PASSPHRASE", "correct horse battery staple"),
        ("DB_PASS", "83749201"),
        ("APP_TOKEN_PIN_TOKEN", "not-a-secret-1x"),
        ("API_TOKEN", "8374920155"),
        ("ADMINPASSWORD", "hunter2hunter2"),
        ("APP_CREDS", "alice:tr0ub4dor"),
        ("APP_PASSWORD", "пароль-Ж7щЮ9"),
        ("APP_PASSWORD", "密码-42-北京市"),
    ],
)
def test_a_variable_with_a_secrets_name_is_known_by_its_value(name: str, secret: str) -> None:
    assert Redactor(RedactionRules(), {name: secret}).text(f"is {secret}.") == "is REDACTED0001."


@pytest.mark.parametrize("name", ["DB_PASS", "smtp_pass", "password", "DB_PASSWORD", "login_passcode", "app_secret"])
def test_a_password_that_text_assigns_goes(name: str) -> None:
    assert Redactor(RedactionRules()).text(f"export {name}=Tr0ub4dor\n") == f"export {name}=REDACTED0001\n"
    plain = f"{name}=required, pass: 3, compass=n0rth-west"
    assert Redactor(RedactionRules()).text(plain) is plain


def test_a_number_that_is_a_known_password_goes() -> None:
    subject = Redactor(RedactionRules(), {"DB_PASS": "83749201"})
    assert subject.value({"a": [83749201, 83749202]}) == {"a": ["REDACTED0001", 83749202]}
    assert subject.value({"a": 83749202}) == {"a": 83749202}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_TOKENS", "10000000"),
        ("TOKENS", "12345678"),
        ("PARTITION_KEY", "12345678"),
        ("DB_PASS", "11111111"),
        ("PASSPHRASE_HINT", "the name of my first pet"),
        ("ORACLE_SID", "orclpdb1"),
        ("APP_PASSWORD", "Schlüsselwort"),
        ("APP_PASSWORD", "Обязательно"),
    ],
)
def test_a_plain_value_of_a_variable_stays(name: str, value: str) -> None:
    text = f"is {value}."
    assert Redactor(RedactionRules(), {name: value}).text(text) is text


SECRETS = {
    "APP_PASS": "hunter2",
    "APP_PASSPHRASE": "correct horse",
    "APP_CREDS": "alice:x",
    "APP_JWT": "eyJ.x",
    "APP_TOKEN_V2": "abc",
    "PGPASSWORD": "1234",
}


def test_the_warning_of_drift_shows_no_secret() -> None:
    assert set(env_snapshot(SECRETS, SECRETS).values()) == {"****"}
    for recorded in (SECRETS, dict.fromkeys(SECRETS, "****"), dict.fromkeys(SECRETS, "REDACTED0001")):
        assert env_drift(recorded, {name: f"{value}2" for name, value in SECRETS.items()}) == []
    assert env_drift({"APP_PASS": "hunter2", "PASS_RATE": "0.5"}, {"PASS_RATE": "0.6"}) == [
        "APP_PASS was set (not shown) when recorded, but is not set now",
        "PASS_RATE was '0.5' when recorded, but is '0.6' now",
    ]
