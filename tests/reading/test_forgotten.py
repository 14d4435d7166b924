"""Which tools of a recording would run for real in replay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.forgotten import forgotten_tools
from tests.reading.runs import chat, tool


def told(index: int, *ids: str) -> Interaction:
    """Return a call of a model that is given the results of the calls *ids*."""
    call = chat(index, "done")
    results = [{"role": "tool", "tool_call_id": each, "content": "12"} for each in ids]
    messages = [*call.request["json"]["messages"], *results]
    return replace(call, request={**call.request, "json": {**call.request["json"], "messages": messages}})


BOTH = (("book", "{}"), ("pay", "{}"))
HTTP = Interaction(
    index=1, kind="http", boundary=None, request={"method": "GET", "url": "https://a.test/"}, response={}
)


@pytest.mark.parametrize(
    ("run", "names"),
    [
        pytest.param([chat(0, "", *BOTH), told(1, "c0", "c1")], ["book", "pay"], id="none crossed"),
        pytest.param([chat(0, "", *BOTH), tool(1, "book"), told(2, "c0", "c1")], ["pay"], id="one crossed"),
        pytest.param([chat(0, "", *BOTH), tool(1, "bank.pay"), tool(2, "book"), told(3, "c0", "c1")], [], id="mcp"),
        pytest.param([chat(0, "", *BOTH), told(1, "c0")], ["book"], id="only one was answered"),
        pytest.param([chat(0, "", *BOTH)], [], id="never answered"),
        pytest.param([chat(0, "", BOTH[0]), HTTP, told(2, "c0")], [], id="over http"),
        pytest.param([chat(0, "", BOTH[0]), tool(1, "book_it"), told(2, "c0")], [], id="under another name"),
        pytest.param([chat(0, "", ("transfer_to_sales", "{}")), told(1, "c0")], [], id="a framework's own"),
        pytest.param([], [], id="no call"),
    ],
)
def test_they_are_those_that_were_answered_and_crossed_no_boundary(run: list[Interaction], names: list[str]) -> None:
    assert forgotten_tools(run) == names
