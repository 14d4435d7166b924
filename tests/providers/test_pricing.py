"""What a call costs, where some of its tokens have a price of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import Operation, pricing, read_answer
from pytest_agenttape.providers.pricing import price

CLAUDE, CONVERSE = (
    Operation("anthropic", "chat", "anthropic.messages"),
    Operation("aws.bedrock", "chat", "bedrock.converse"),
)
ON_BEDROCK = "anthropic.claude-3-5-sonnet-20241022-v2:0"
TOLD_BY_CLAUDE = {"input_tokens": 100, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 9000}
TOLD_BY_BEDROCK = {"inputTokens": 100, "cacheReadInputTokens": 2000, "cacheWriteInputTokens": 9000}
FIVE_MINUTES = {"ephemeral_5m_input_tokens": 9000, "ephemeral_1h_input_tokens": 0}
AN_HOUR = {"ephemeral_5m_input_tokens": 4000, "ephemeral_1h_input_tokens": 5000}
WRITTEN = {"cache_write_tokens": 9000}
WRITTEN_FOR_LONG = {**WRITTEN, "cache_write_1h_tokens": 5000}
TOLD: dict[str, tuple[Operation, str, dict[str, JSON], dict[str, int]]] = {
    "claude": (CLAUDE, "claude-sonnet-4-5", {**TOLD_BY_CLAUDE, "output_tokens": 50}, WRITTEN),
    "claude, for five minutes": (
        CLAUDE,
        "claude-sonnet-4-5",
        {**TOLD_BY_CLAUDE, "output_tokens": 50, "cache_creation": FIVE_MINUTES},
        WRITTEN,
    ),
    "claude, for an hour": (
        CLAUDE,
        "claude-sonnet-4-5",
        {**TOLD_BY_CLAUDE, "output_tokens": 50, "cache_creation": AN_HOUR},
        WRITTEN_FOR_LONG,
    ),
    "bedrock": (
        CONVERSE,
        ON_BEDROCK,
        {**TOLD_BY_BEDROCK, "outputTokens": 50, "totalTokens": 11150},
        WRITTEN,
    ),
    "bedrock, for an hour": (
        CONVERSE,
        ON_BEDROCK,
        {**TOLD_BY_BEDROCK, "outputTokens": 50, "cacheDetails": [{"ttl": "1h", "inputTokens": 5000}, {"ttl": "5m"}]},
        WRITTEN_FOR_LONG,
    ),
}


@pytest.mark.parametrize(("operation", "model", "counts", "written"), TOLD.values(), ids=TOLD)
def test_what_is_written_to_a_cache_costs_more_and_what_is_read_from_it_less(
    operation: Operation, model: str, counts: dict[str, JSON], written: dict[str, int]
) -> None:
    plain = {"input_tokens": 11100, "output_tokens": 50, "total_tokens": 11150}
    usage = read_answer(operation, {"json": {"output": {"message": {}}, "usage": counts}}).usage
    assert usage == {**plain, "cached_tokens": 2000, **written}
    pytest.importorskip("genai_prices")
    without_reading = {name: count for name, count in usage.items() if name != "cached_tokens"}
    as_plain, as_told, as_unread = (
        price(operation.provider, [model], each) for each in (plain, usage, without_reading)
    )
    assert as_plain is not None
    assert as_told is not None
    assert as_unread is not None
    assert as_plain < as_unread > as_told


@pytest.mark.parametrize(
    ("version", "are_known"), [("0", False), ("0.0.20", False), ("0.0.21", True), ("0.1.0rc1", True), (None, True)]
)
def test_whether_prices_are_known_is_found_out_without_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, are_known: bool
) -> None:
    (tmp_path / "genai_prices.py").write_text("raise SystemExit")
    if version:
        (tmp_path / "genai_prices-1.dist-info").mkdir()
        metadata = f"Metadata-Version: 2.1\nName: genai-prices\nVersion: {version}\n"
        (tmp_path / "genai_prices-1.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.delitem(sys.modules, "genai_prices", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert pricing.are_known() is are_known
