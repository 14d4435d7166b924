"""Data sent from an xdist worker to its controller arrives unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import execnet
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.plugin.report.test_record import Spending, Tally, TestRecord

counts = st.integers(0, 2**31 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
paths = texts.map(lambda text: Path("/", text.replace("\x00", "")))
spendings = st.builds(
    Spending,
    calls=counts,
    input_tokens=counts,
    output_tokens=counts,
    cost=st.none() | st.decimals(0, 1000, allow_nan=False, places=6),
)
steps = st.fixed_dictionaries(
    {
        "index": counts,
        "kind": texts,
        "name": texts,
        "summary": texts,
        "parent": st.none() | counts,
        "live": st.booleans(),
        "start_ms": st.none() | st.floats(0, 1e6),
        "latency_ms": st.none() | st.floats(0, 1e6),
        "usage": st.none() | st.fixed_dictionaries({"total_tokens": counts, "estimated": st.booleans()}),
        "failed": st.booleans(),
        "parts": st.dictionaries(texts, texts | counts, max_size=2),
        "source": texts,
    }
)
records = st.builds(
    TestRecord,
    path=paths,
    target=paths,
    mode=texts,
    outcome=texts,
    action=texts,
    wrote=st.booleans(),
    calls=counts,
    live=counts,
    unplayed=st.lists(counts, max_size=3).map(tuple),
    is_shared=st.booleans(),
    users=counts,
    is_strict=st.booleans(),
    input_tokens=counts,
    output_tokens=counts,
    pending=st.none() | paths,
    load_ms=st.floats(0, 1e6),
    error=st.none() | texts,
    spent=st.none() | spendings,
    saved=st.none() | spendings,
    steps=st.lists(steps, max_size=2).map(tuple),
    change=st.none() | st.dictionaries(texts, st.lists(texts, max_size=2), max_size=2),
)
tallies = st.builds(
    Tally,
    is_whole=st.booleans(),
    claimed=st.frozensets(paths, max_size=2),
    homes=st.dictionaries(paths, paths, max_size=2),
    modules=st.frozensets(texts, max_size=2),
    interrupted=st.dictionaries(texts, records, max_size=2),
    telemetry=st.dictionaries(texts, counts, max_size=2),
)


def sent(plain: Any) -> Any:
    """Return the data of a worker as its controller receives it."""
    return execnet.loads(execnet.dumps(dict(plain)))


@given(records)
def test_a_record(record: TestRecord) -> None:
    assert TestRecord.from_plain(sent(record.to_plain())) == record


@given(tallies)
def test_a_tally(tally: Tally) -> None:
    assert Tally.from_plain(sent(tally.to_plain())) == tally
