"""Start here: an ordinary test of an agent. The marker is all it needs to run offline."""

import pytest
from weather_agent import ask

from pytest_agenttape import CassetteHandle


@pytest.mark.agenttape
def test_the_agent_looks_the_weather_up(agenttape_cassette: CassetteHandle) -> None:
    answer = ask("What is the weather in London?")

    assert "14" in answer
    agenttape_cassette.assert_tool_calls(["get_weather"])
    agenttape_cassette.assert_final_output(answer)
    agenttape_cassette.assert_snapshot()


@pytest.mark.agenttape
def test_two_cities_are_two_calls(agenttape_cassette: CassetteHandle) -> None:
    ask("What is the weather in London and Paris?")

    agenttape_cassette.assert_tool_calls([("get_weather", {"city": "London"}), ("get_weather", {"city": "Paris"})])
    assert len(agenttape_cassette.llm_calls) == 2
