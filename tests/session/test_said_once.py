"""A long conversation in a cassette: each message once, small, and with a diff that shows what changed."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest
import yaml
from openai import OpenAI

from pytest_agenttape import Cassette, Config, Interaction, use_cassette
from pytest_agenttape.serializer import dump_yaml
from tests import conversation
from tests.standin import StandInProvider

_NUMBERS = re.compile("REDACTED[0-9]{4}")


@pytest.fixture
def provider() -> StandInProvider:
    return StandInProvider()


@pytest.fixture
def client(provider: StandInProvider) -> OpenAI:
    return OpenAI(base_url=provider.openai_url, api_key="a-key-of-no-one")


@pytest.fixture
def recorded(provider: StandInProvider, client: OpenAI, tmp_path: Path) -> Path:
    """Return the cassette of the conversation."""
    path = tmp_path / "talk.yaml"
    conversation.script(provider)
    with use_cassette(path, mode="all"):
        conversation.talk(client)
    return path


def test_a_conversation_is_a_tenth_of_what_it_was(recorded: Path, client: OpenAI) -> None:
    text = recorded.read_text()
    cassette = Cassette.load(recorded)
    written_out = dump_yaml(cassette.to_dict())
    assert len(cassette.interactions) == 36
    assert len(written_out) > 10 * len(text)
    assert len(text) <= 60_000
    assert text.count("garden furniture") == text.count("Find orders in the shop's books") == 1
    asked = yaml.safe_load(text)["interactions"][-1]["request"]["json"]
    assert asked["messages"][0] == {"role": "system", "content": conversation.PROMPT}
    assert asked["tools"] == conversation.TOOLS
    with use_cassette(recorded):
        assert len(conversation.talk(client)) == conversation.TURNS


def test_a_conversation_twice_as_long_is_a_file_less_than_three_times_as_large(
    provider: StandInProvider, client: OpenAI, tmp_path: Path
) -> None:
    sizes = []
    for turns in (12, 24):
        conversation.script(provider, turns)
        with use_cassette(tmp_path / f"{turns}.yaml", mode="all"):
            conversation.talk(client, turns)
        sizes.append((tmp_path / f"{turns}.yaml").stat().st_size)
    assert sizes[1] < 3 * sizes[0]


def test_a_changed_word_of_the_prompt_is_one_changed_line_of_what_is_asked(
    recorded: Path, provider: StandInProvider, client: OpenAI
) -> None:
    before = recorded.read_text().splitlines()
    conversation.script(provider)
    with use_cassette(recorded, mode="refresh"):
        conversation.talk(client, prompt=conversation.PROMPT.replace("sells", "rents out"))
    news = [
        line[1:].strip()
        for line in difflib.unified_diff(before, recorded.read_text().splitlines(), n=0)
        if line.startswith("+") and not line.startswith("+++")
    ]
    assert [line for line in news if "rents out" in line] == [
        "You are the back office assistant of a shop that rents out garden furniture."
    ]
    assert not [line for line in news if line.startswith(("- *", "- &", "tools:", "headers:"))]


def test_an_edited_message_is_asked_in_each_later_call(recorded: Path) -> None:
    question = "Which invoices does customer C-10441 have with us?"
    assert recorded.read_text().count(question) == 1
    recorded.write_text(recorded.read_text().replace(question, question.replace("invoices", "bills")))
    asked = [each.request["json"]["messages"] for each in Cassette.load(recorded).interactions if each.kind == "llm"]
    assert [sum("bills" in str(each.get("content")) for each in messages) for messages in asked] == [0, 0, *[1] * 22]


def test_what_is_loaded_can_be_changed_call_by_call(recorded: Path) -> None:
    cassette = Cassette.load(recorded)
    first, second = (each for each in cassette.interactions[:3] if each.kind == "llm")
    first.request["json"]["messages"][0]["content"] = "Be brief."
    first.request["json"]["tools"].clear()
    assert second.request["json"]["messages"][0]["content"] == conversation.PROMPT
    assert second.request["json"]["tools"] == conversation.TOOLS
    cassette.save(recorded)
    assert Cassette.load(recorded) == cassette


def test_headers_that_are_dropped_are_not_recorded(provider: StandInProvider, client: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "talk.yaml"
    conversation.script(provider, 1)
    config = Config(drop_headers=("X-RateLimit-*", "set-cookie", "cf-ray"))
    with use_cassette(path, mode="all", config=config):
        conversation.talk(client, 1)
    headers = Cassette.load(path).interactions[0].response["headers"]
    assert not [name for name in headers if name.startswith(("x-ratelimit", "set-cookie", "cf-ray"))]
    assert {"Content-Type", "Date", "x-request-id"} <= headers.keys()
    with use_cassette(path):
        assert len(conversation.talk(client, 1)) == 1


def test_a_refresh_keeps_the_numbers_of_secrets(recorded: Path, provider: StandInProvider, client: OpenAI) -> None:
    before = recorded.read_text()
    conversation.script(provider)
    with use_cassette(recorded, mode="refresh"):
        conversation.talk(client, prompt=conversation.PROMPT.replace("sells", "rents out"))
    assert set(_NUMBERS.findall(recorded.read_text())) == set(_NUMBERS.findall(before))
    assert yaml.safe_load(recorded.read_text())["meta"]["redacted"] == yaml.safe_load(before)["meta"]["redacted"]
    authorizations = {each.request["headers"]["authorization"] for each in _llm_calls(recorded)}
    assert authorizations == {"Bearer REDACTED0001"}


def test_cookies_of_a_network_are_said_once(recorded: Path) -> None:
    assert yaml.safe_load(recorded.read_text())["meta"]["redacted"] == [f"REDACTED000{at}" for at in (1, 2, 3)]
    assert recorded.read_text().count("__cf_bm=") == recorded.read_text().count("_cfuvid=") == 1
    assert len([each for each in _llm_calls(recorded) if "set-cookie" in each.response["headers"]]) == 24


def test_a_new_secret_never_gets_the_number_of_one_that_is_kept(
    recorded: Path, provider: StandInProvider, client: OpenAI
) -> None:
    conversation.script(provider)
    other = OpenAI(base_url=provider.openai_url, api_key="another-key-of-no-one")
    with use_cassette(recorded, mode="refresh"):
        conversation.talk(client)
        conversation.talk(other, turns=1, prompt="Be brief.")
    authorizations = [each.request["headers"]["authorization"] for each in _llm_calls(recorded)]
    assert set(authorizations[:24]) == {"Bearer REDACTED0001"}
    assert set(authorizations[24:]).isdisjoint(authorizations[:24])


def _llm_calls(path: Path) -> list[Interaction]:
    return [each for each in Cassette.load(path).interactions if each.kind == "llm"]
