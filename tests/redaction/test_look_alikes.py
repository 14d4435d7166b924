"""What replay hands out in place of a placeholder: code that parses the secret can parse it, and it is no secret."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import parse_qs, quote
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.redaction.look_alikes import look_alike, shape_of
from pytest_agenttape.redaction.shapes import is_random
from tests.redaction.test_redaction import ALNUM, FORMATS, HEX, JWT, UPPER, fake

SHAPES = {
    fake("sk_live_", 24): "sk_live_[A-Za-z0-9]{24}",
    fake("ghp_", 36): "ghp_[A-Za-z0-9]{36}",
    fake("AKIA", 16, UPPER): "AKIA[A-Z2-7]{16}",
    fake("sk-ant-api03-", 93): "sk-ant-api03-[A-Za-z0-9]{93}",
    f"xoxb-2048137502-2048137511-{fake('slack', 19)}": "xoxb-[0-9]{10}-[0-9]{10}-[A-Za-z0-9]{24}",
    f"pi_3MtwBwLkdIwHu7ix28a3tqPa_secret_{fake('', 25)}": "pi_3MtwBwLkdIwHu7ix28a3tqPa_secret_[A-Za-z0-9]{25}",
    fake("shop_tok_", 20): "shop_tok_[A-Za-z0-9]{20}",
    "f81d4fae-7dec-41d0-a765-00a0c91e6bf6": ("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    fake("", 40, HEX): "[0-9a-f]{40}",
    "Wu06AGTLTGdKUfwItUpeo6M9Z3KFGLNl1/A6II+Y9bQ=": "[A-Za-z0-9]{43}=",
    base64.b64encode(fake("sk_live_", 24).encode()).decode(): "base64 of sk_live_[A-Za-z0-9]{24}",
    "gAAAAABn" + fake("fernet", 80): "gAAAAA[A-Za-z0-9]{88}",
    f"718293041:{fake('bot', 32)}": "[0-9]{9}:[A-Za-z0-9]{35}",
    "482913": "[0-9]{6}",
    JWT: '{"alg":"HS256","typ":"JWT"}.{"sub":"REDACTED","exp":1781000000}.[A-Za-z0-9]{43}',
    "qPaERxfWpuZkYFNNLXmukQxW": "[A-Za-z0-9]{24}",  # no digit, by chance
    "hunter2!": None,  # a person may have chosen these
    "correct-horse-battery-staple": None,
    "CorrectHorseBatteryStaple": None,
    "Zq8!vN2$kL5^wR9&": None,
    "abc": None,
}
MACHINE_MADE = [each for each in FORMATS.values() if "-----BEGIN" not in each]


@pytest.mark.parametrize(("secret", "shape"), SHAPES.items(), ids=range(len(SHAPES)))
def test_its_shape_is_a_prefix_an_alphabet_and_a_length(secret: str, shape: str | None) -> None:
    assert shape_of(secret) == shape
    if shape is not None:
        made = look_alike(shape, "0001")
        assert made is not None
        plain = base64.b64decode(made).decode() if shape.startswith("base64 of ") else made
        is_like_it = re.fullmatch(shape.removeprefix("base64 of "), plain) and len(made) == len(secret)
        assert (is_like_it and made != secret) or secret == JWT


def test_it_is_made_of_the_shape_and_the_number_alone() -> None:
    assert look_alike("ghp_[A-Za-z0-9]{36}", "0007") == "ghp_REDACTEDn0007oLVGOzXGSEx3dO0VkfQDIIA"
    assert look_alike("[0-9]{6}", "0007") == "555433"
    for shape in ("[0-9]{4}", "[0-9a-f]{16}", "ghp_[A-Za-z0-9]{36}"):
        assert len({look_alike(shape, f"{number:04}") for number in range(1, 500)}) == 499


NO_SHAPES = ["", "ghp_", "[A-Z]{4}", "[0-9]{9999}", "a b", "[0-9]{4}\n", "[0-9]" * 65, "[0-9", "base64 of x"]
NO_SHAPES += ["base64 of " * 999 + "[0-9]", '{"a":1}', '{"a":1}.[1].[0-9]', '{"a":1}.{}.x', '{"a":' * 800, "{" * 9999]


@pytest.mark.parametrize("shape", NO_SHAPES, ids=range(len(NO_SHAPES)))
def test_what_is_no_shape_of_ours_makes_nothing(shape: str) -> None:
    assert look_alike(shape, "0001") is None


def recorded(response: JSON, request: JSON = None) -> Interaction:
    return Interaction(index=0, kind="tool", boundary="log_in", request={"args": request or {}}, response=response)


def replayed(response: JSON) -> tuple[JSON, JSON, Redactor]:
    """Return what a cassette has for *response*, what replay hands out for it, and the redactor of that replay."""
    recording = Redactor(RedactionRules())
    stored = recording.interaction(recorded(response))
    replay = Redactor(RedactionRules())
    return stored.response, replay.dressed(stored, looks_of(recording)).response, replay


def looks_of(recording: Redactor) -> dict[str, str]:
    return {f"REDACTED{number}": shape for number, shape in recording.shapes().items()}


# Bodies of requests in which a secret comes back; a text may be in no other alphabet than that of the secret.
WAYS = {
    "by name": lambda secret: {"args": {"access_token": secret}},
    "in text": lambda secret: {"args": {"note": f"asked with {secret}, twice"}},
    "in JSON in text": lambda secret: {"args": {"body": json.dumps({"a": [1, {"token": secret}]})}},
    "in a header": lambda secret: message({"headers": {"authorization": f"Bearer {secret}"}}),
    "in a cookie": lambda secret: message({"headers": {"cookie": f"sid={secret}; theme=dark"}}),
    "in a URL": lambda secret: message({"url": f"https://shop.example/a?token={quote(secret, safe='')}&page=2"}),
    "in a form": lambda secret: message({"form": {"token": secret, "page": "2"}}),
}


def message(parts: dict[str, JSON]) -> dict[str, JSON]:
    return {"method": "POST", "url": "https://shop.example/a", "headers": {}, **parts}


@given(
    st.sampled_from([*MACHINE_MADE, *filter(is_random, filter(shape_of, SHAPES))]),
    st.sampled_from(sorted(WAYS)),
)
@example(JWT, "in JSON in text")
def test_a_request_with_it_equals_the_recorded_one_with_the_secret(secret: str, way: str) -> None:
    recording = Redactor(RedactionRules())
    answer = {"access_token": secret, "note": f"it is {secret}"}
    stored = recording.interaction(recorded(answer))
    replay = Redactor(RedactionRules())
    given_out = replay.dressed(stored, looks_of(recording)).response
    made = given_out["access_token"]
    assert given_out["note"] == f"it is {made}"
    assert secret not in repr(stored) + repr(given_out)
    assert made != secret
    assert len(made) == len(secret) or secret == JWT
    assert made.partition("_")[0] == secret.partition("_")[0] or "_" not in secret
    assert replay.request(WAYS[way](made)) == recording.request(WAYS[way](secret))
    assert replay.response(answer | {"access_token": made, "note": f"it is {made}"}, {}) == stored.response


@given(st.text(ALNUM, min_size=16, max_size=80))
def test_nothing_of_a_secret_is_in_it_but_its_length(secret: str) -> None:
    shape = shape_of(secret)
    if shape is not None and not secret.isdigit():
        assert shape.removeprefix("AKIA").rpartition("{")[0] in {
            "[0-9a-f]", "[0-9A-F]", "[A-Z2-7]", "[A-Z0-9]", "[a-z0-9]", "[A-Za-z0-9]",
        }  # fmt: skip


def test_code_that_parses_a_secret_can_parse_it() -> None:
    answer = {
        "access_token": JWT,
        "client_secret": "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
        "encryption_key": "Wu06AGTLTGdKUfwItUpeo6M9Z3KFGLNl1/A6II+Y9bQ=",
        "signing_key": fake("", 64, HEX),
        "otp": "482913",
    }
    stored, given_out, _ = replayed(answer)
    assert "REDACTED" in str(stored["otp"])
    head, claims, signature = given_out["access_token"].split(".")
    assert head.startswith("eyJ")
    assert json.loads(base64.urlsafe_b64decode(claims + "==")) == {"sub": "REDACTED", "exp": 1781000000}
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32
    assert UUID(given_out["client_secret"]).version == 4
    raw = base64.b64decode(given_out["encryption_key"], validate=True)
    assert len(raw) == 32
    assert base64.b64encode(raw).decode() == given_out["encryption_key"]
    assert len(bytes.fromhex(given_out["signing_key"])) == 32
    assert f"{int(given_out['otp']):06d}" == given_out["otp"]


@pytest.mark.parametrize(
    "response",
    [
        {"password": "Summer2024Password"},
        "postgres://ada:Xk39sPqZ7mLw2vTn@db.example/shop",
        {"url": "https://ada:Xk39sPqZ7mLw2vTn@git.example/"},
    ],
)
def test_the_shape_of_a_password_is_not_told(response: JSON) -> None:
    recording = Redactor(RedactionRules())
    stored = recording.interaction(recorded(response))
    assert "REDACTED0001" in repr(stored)
    assert recording.shapes() == {}


def test_what_is_not_listed_stays_and_what_is_inside_base64_or_a_word() -> None:
    shapes = {"REDACTED0001": "ghp_[A-Za-z0-9]{36}"}
    for text in ("****0001", "dXNlcjREDACTED0001AA", "xREDACTED0001", "REDACTED0001x", "REDACTED0002"):
        assert Redactor(RedactionRules()).dressed(recorded(text), shapes).response == text


def test_one_that_was_escaped_is_made_as_it_reads_once_decoded() -> None:
    key = "Wu06AGTLTGdKUfwItUpeo6M9Z3KFGLNl1/A6II+Y9bQ="
    _, given_out, _ = replayed(f"see /next?token={quote(key, safe='')}&page=2")
    token = parse_qs(str(given_out))["see /next?token"][0]
    assert len(base64.b64decode(token, validate=True)) == 32


def test_the_length_that_a_message_says_fits() -> None:
    secret = fake("sk_live_", 24)
    body: JSON = {"api_key": secret}
    length = str(len(json.dumps(body, separators=(",", ":"))))
    answer: JSON = {"status": 200, "headers": {"content-length": length}, "json": body}
    found = Interaction(index=0, kind="http", request=message({}), response=answer)
    recording, replay = Redactor(RedactionRules()), Redactor(RedactionRules())
    stored = recording.interaction(found)
    assert stored.response["headers"] != {"content-length": length}
    assert replay.dressed(stored, looks_of(recording)).response["headers"] == {"content-length": length}


def test_another_secret_does_not_get_the_number_of_one_that_was_handed_out() -> None:
    replay = Redactor(RedactionRules())
    replay.dressed(recorded("REDACTED0001"), {"REDACTED0001": "ghp_[A-Za-z0-9]{36}"})
    assert replay.text(f"{fake('gho_', 36)} {look_alike('ghp_[A-Za-z0-9]{36}', '0001')}") == "REDACTED0002 REDACTED0001"
