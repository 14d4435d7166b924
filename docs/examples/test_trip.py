"""Async and streamed: the recorded stream is replayed event by event."""

import pytest
from trip_agent import plan

from pytest_agenttape import CassetteHandle


@pytest.mark.agenttape
@pytest.mark.asyncio
async def test_the_text_arrives_in_pieces(agenttape_cassette: CassetteHandle) -> None:
    pieces: list[str] = []

    answer = await plan("Which trains go to Lisbon?", pieces.append)

    assert "09:31" in answer
    assert "".join(pieces) == answer
    assert len(pieces) > 1
    agenttape_cassette.assert_tool_calls([("find_trains", {"city": "Lisbon"})])
    agenttape_cassette.assert_final_output(answer)
    agenttape_cassette.assert_snapshot()


@pytest.mark.agenttape
@pytest.mark.asyncio
async def test_tools_that_run_at_the_same_time(agenttape_cassette: CassetteHandle) -> None:
    answer = await plan("Find hotels in Paris and Oslo")

    assert "Grand Paris" in answer
    assert "Grand Oslo" in answer
    agenttape_cassette.assert_tool_calls(["find_hotels", "find_hotels"])
