"""The report as data: what a run, its failure and its changes are said to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.plugin.report.changed_calls import change_of
from pytest_agenttape.plugin.report.html import page
from pytest_agenttape.plugin.report.shortened import shortened
from pytest_agenttape.plugin.report.shown_calls import recorded_steps
from pytest_agenttape.reading.diff import diff_interactions
from tests.plugin.project import Project
from tests.reading.recorded import chat, tool

TEST = """
    import os

    import pytest
    from agent import look_up, note
    from pytest_agenttape import tool

    @tool
    def travel(city):
        return look_up(city)

    @pytest.mark.agenttape
    def test_it():
        for city in os.environ.get("CITIES", "Rome,Oslo,Bonn").split(","):
            travel(city)
"""


def reported(project: Project, *flags: str) -> dict[str, Any]:
    """Return what the report has of the only test."""
    project.run("--agenttape-report=report.json", *flags)
    [test] = json.loads((project.path / "report.json").read_text())["tests"]
    return dict(test)


def test_a_run_that_was_cut_drops_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=TEST)
    project.record()
    monkeypatch.setenv("CITIES", "Rome,Berlin,Bonn")
    test = reported(project)
    assert (test["outcome"], test["change"], test["not_reached"]) == ("failed", None, 2)
    assert [step["parts"]["args"] for step in test["miss"]["asked"]] == [{"city": "Berlin"}]
    assert [step["index"] for step in test["miss"]["nearest"]] == [2]
    assert test["miss"]["fields"] == [{"path": "args.city", "old": "'Oslo'", "new": "'Berlin'"}]


def test_a_refreshed_run_stands_beside_its_recording(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=TEST)
    project.record()
    monkeypatch.setenv("CITIES", "Rome,Berlin,Bonn")
    test = reported(project, "--snapshot-update")
    rows = test["change"]["rows"]
    assert [(row["sign"], row["old"], row["new"]) for row in rows[:3]] == [("=", 0, 0), ("=", 1, 1), ("~", 2, 2)]
    assert rows[2]["fields"][0] == {"path": "request.args.city", "old": "'Oslo'", "new": "'Berlin'"}
    assert [step["parent"] for step in test["steps"]] == [None, 0, None, 2, None, 4]
    assert [step["live"] for step in test["steps"]] == [False, False, True, True, False, False]
    ends = [step["start_ms"] + step["latency_ms"] for step in test["steps"] if step["parent"] is None]
    assert ends == sorted(ends)  # the kept calls and the new one are on one axis


def test_what_new_episodes_keep_is_not_gone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=TEST)
    project.record()
    monkeypatch.setenv("CITIES", "Bonn,Kyiv")
    test = reported(project, "--agenttape-mode=new_episodes")
    assert (test["wrote"], test["change"]["summary"]) == (True, "calls: 2 new; +2 in all")


def test_a_refresh_that_fails_shows_what_it_changed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=TEST)
    project.record()
    project.write(test_it=TEST + "            assert city != 'Berlin'\n")
    monkeypatch.setenv("CITIES", "Rome,Berlin,Bonn")
    test = reported(project, "--snapshot-update")
    assert (test["wrote"], test["change"]["summary"]) == (False, "calls: 2 changed")
    assert test["change"]["not_reached"] == 2


def test_recordings_that_a_passing_test_no_longer_plays_are_gone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(test_it=TEST)
    project.record()
    monkeypatch.setenv("CITIES", "Rome,Oslo")
    test = reported(project)
    assert (test["outcome"], test["unplayed"], test["change"]["summary"]) == (
        "passed",
        1,
        "calls: 2 dropped; -2 in all",
    )


def test_a_marked_test_whose_session_could_not_open_is_a_failed_one(project: Project) -> None:
    project.write(
        test_it="""
        import pytest

        @pytest.fixture
        def agenttape_config():
            return {"bogus": 1}

        @pytest.mark.agenttape
        def test_it():
            pass

        def test_another():
            assert False
    """
    )
    test = reported(project)
    assert (test["nodeid"], test["outcome"], test["action"]) == ("test_it.py::test_it", "failed", "not run")
    assert "bogus" in test["failure"]
    assert test["place"] == "test_it.py:8"
    totals = json.loads((project.path / "report.json").read_text())["totals"]
    assert (totals["tests"], totals["failed"]) == (1, 1)


def test_every_key_is_documented(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = set(re.findall(r"`(\w+)`", (Path(__file__).parents[2] / "docs" / "pytest.md").read_text()))
    project.write(test_it=TEST)
    project.record("--agenttape-report=run.json")
    project.run("--agenttape-show", "cassettes", "--agenttape-report=cassettes.json")
    (project.path / "old").mkdir()
    project.cassette().rename(project.path / "old" / "a.yaml")
    monkeypatch.setenv("CITIES", "Rome,Berlin")
    project.record()
    project.run("--agenttape-diff", "old/a.yaml", str(project.cassette()), "--agenttape-report=changes.json")
    for name in ("run", "cassettes", "changes"):
        report = json.loads((project.path / f"{name}.json").read_text())
        assert report["changes" if name == "changes" else "kinds"]
        assert set(_keys(report)) <= documented


def _keys(node: Any) -> Iterator[str]:
    """Yield the keys of a report, without those of what was said or installed, and of counts by side."""
    if isinstance(node, list):
        for each in node:
            yield from _keys(each)
    elif isinstance(node, dict):
        for key, each in node.items():
            yield key
            if key not in ("parts", "versions", "tools"):
                yield from _keys(each)


def test_one_change_of_a_stream_is_one_change() -> None:
    def streamed(*words: str) -> Any:
        events = [{"data": {"choices": [{"index": 0, "delta": {"content": word}}]}} for word in words]
        return replace(chat(0, "Be kind.", "hello"), response={"status": 200, "headers": {}, "events": events})

    before, after = [streamed("I ", "am ", "fine.")], [streamed("We ", "were ", "well.")]
    [row] = change_of(before, diff_interactions(before, after))["rows"]
    assert [(each["old"], each["new"]) for each in row["fields"]] == [("'I am fine.'", "'We were well.'")]


def test_what_follows_the_last_call_of_a_cut_run_was_not_reached() -> None:
    recorded = [tool(0, city="Rome"), tool(1, city="Oslo"), tool(2, city="Bonn")]
    made = [recorded[0], tool(1, city="Berlin")]
    diff = diff_interactions(recorded, made, is_cut=True)
    assert (diff.dropped_calls, diff.not_reached, len(diff.changed_calls), diff.step_delta) == ([], 1, 1, 0)


def test_a_conversation_is_shown_once_however_often_it_is_sent() -> None:
    first = chat(0, "Be kind.", "hello " * 100, answer="How do you do?")
    second = chat(1, "Be kind.", "hello " * 100, "How do you do?", "fine")
    steps = recorded_steps([first, second])
    assert [each["content"] for each in steps[1]["parts"]["messages"]] == ["How do you do?", "fine"][1:]
    assert "hello" not in steps[1]["source"]  # an alias, as in the file


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param({"a": [1, None, 1.5]}, {"a": [1, None, 1.5]}, id="plain"),
        pytest.param([float("nan"), 2**60], ["nan", str(2**60)], id="numbers that JavaScript changes"),
        pytest.param("\ud800", "\\ud800", id="half a character"),
        pytest.param("x" * 50, "x" * 40 + "\n… 10 more characters", id="long text"),
        pytest.param(list(range(9)), [0, 1, 2, 3, "… 5 more"], id="long list"),
        pytest.param(dict.fromkeys("abcdefg", 1), {"a": 1, "b": 1, "c": 1, "d": 1, "…": "3 more"}, id="long mapping"),
    ],
)
def test_values_are_cut_to_what_a_page_can_show(value: object, shown: object) -> None:
    assert shortened(value, 40) == shown


def test_a_page_holds_its_data_and_nothing_of_it_ends_the_element() -> None:
    hostile = "</script><!--<script> {{style}} &amp; \u2028"
    text = page({"kind": "run", "tests": [hostile]})
    data = text.partition('type="application/json">')[2].partition("</script>")[0]
    assert json.loads(data) == {"kind": "run", "tests": [hostile]}
    assert text.count("<script") == 2
