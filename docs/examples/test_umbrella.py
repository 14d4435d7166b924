"""HTTP other than to the LLM: recorded on its own, or as part of the tool that makes the request."""

import pytest
import requests
from umbrella_agent import advise, fetch, needs_umbrella

from pytest_agenttape import CassetteHandle


@pytest.mark.agenttape
def test_a_plain_request_is_recorded(agenttape_cassette: CassetteHandle) -> None:
    assert needs_umbrella("London")
    assert [each.kind for each in agenttape_cassette.interactions] == ["http"]


@pytest.mark.agenttape
def test_a_request_inside_a_tool_belongs_to_the_tool(agenttape_cassette: CassetteHandle) -> None:
    answer = advise("Do I need an umbrella in London?")

    assert "rain" in answer
    agenttape_cassette.assert_tool_calls([("fetch_forecast", {"city": "London"})])
    assert [each.kind for each in agenttape_cassette.interactions] == ["llm", "tool", "llm"]
    agenttape_cassette.assert_snapshot()


@pytest.mark.agenttape
def test_an_error_is_replayed_as_an_error(agenttape_cassette: CassetteHandle) -> None:
    with pytest.raises(requests.HTTPError, match="404"):
        fetch("Atlantis")
    assert len(agenttape_cassette.interactions) == 1
