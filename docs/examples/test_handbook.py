"""Retrieval: one readable entry in the cassette instead of two thousand numbers."""

import pytest
from handbook_agent import answer, embed

from pytest_agenttape import CassetteHandle


@pytest.mark.agenttape
def test_the_answer_comes_from_the_handbook(agenttape_cassette: CassetteHandle) -> None:
    assert "three days" in answer("How many days a week may I work remotely?")

    found, said = agenttape_cassette.interactions
    assert (found.kind, found.boundary) == ("retrieval", "find_passages")
    assert (said.kind, said.boundary) == ("llm", "openai.chat")
    agenttape_cassette.assert_snapshot()


@pytest.mark.agenttape
def test_embeddings_are_llm_calls_too(agenttape_cassette: CassetteHandle) -> None:
    (vector,) = embed(["remote work"])

    assert len(vector) == 256
    assert [each.operation for each in agenttape_cassette.llm_calls] == ["embeddings"]
