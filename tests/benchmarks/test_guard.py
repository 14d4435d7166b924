"""The benchmarks' guard: what got worse by more than a third fails the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import guard


@pytest.mark.parametrize(("now", "status"), [(0.5, 0), (2.0, 0), (2.6, 0), (2.7, 1)])
def test_a_ratio_may_get_worse_by_a_third(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], now: float, status: int
) -> None:
    monkeypatch.setattr(guard, "KEPT", tmp_path / "ratios.json")
    assert guard.check(lambda: {"a call": 2.0}, keeps=True) == 0
    assert guard.check(lambda: {"a call": now}, keeps=False) == status
    assert ("a call: 2.70, kept 2.0" in capsys.readouterr().out) == bool(status)


def test_a_ratio_that_is_not_kept_fails_the_run_until_it_is() -> None:
    lines, worse = guard.report({"new": 1.0}, {"old": 1.0})
    assert lines[-1].split("|")[1:3] == [" new   ", "    - "]
    assert worse == ["new: 1.00, kept None"]


def test_the_kept_ratios_are_those_of_the_memory_and_more() -> None:
    kept = json.loads(guard.KEPT.read_text())
    assert len(kept) > 10
    assert all(isinstance(each, float) and each > 0 for each in kept.values())
