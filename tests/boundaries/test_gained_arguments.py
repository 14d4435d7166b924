"""An argument that a function has gained is no drift as long as it has its default; one that it has lost is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import UnmatchedInteractionError, record_call, tool, use_cassette

NOTHING = object()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recorded() -> None:
    @tool
    def search(query: str) -> str:
        return query.upper()

    with use_cassette("search", mode="all"):
        search("cats")
        search("dogs")
        search("cats")


def gained(limit: Any = 10) -> Callable[..., str]:
    @tool
    def search(query: str, limit: Any = limit, *, when: Any = None, where: Any = NOTHING) -> str:
        raise AssertionError((query, limit, when, where))

    return search


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("default", [10, None, [1], (1, 2), {"a": {1}}], ids=str)
@pytest.mark.parametrize(
    "matchers", [None, "exact", [lambda asked, recorded: asked == recorded]], ids=["", "exact", "own"]
)
def test_a_new_argument_with_its_default_is_no_difference(default: Any, matchers: Any) -> None:
    search = gained(default)
    with use_cassette("search", matchers=matchers) as session:
        assert [search("dogs"), search("cats", default), search("cats", when=None)] == ["DOGS", "CATS", "CATS"]

    assert session.divergences == []
    assert session.remaining == 0


@pytest.mark.usefixtures("recorded")
def test_a_new_argument_with_another_value_is_a_difference() -> None:
    with pytest.raises(UnmatchedInteractionError) as caught, use_cassette("search"):
        gained()("cats", limit=3)

    assert "    args.limit" in str(caught.value)
    assert "args.when" not in str(caught.value)


@pytest.mark.usefixtures("recorded")
def test_a_mismatch_does_not_name_the_new_argument() -> None:
    search = gained()
    with use_cassette("search"):
        search("cats")
        with pytest.raises(UnmatchedInteractionError) as caught:
            search("horses")

    assert [each.path for each in caught.value.field_diffs] == ["args.query"]
    assert "limit" not in str(caught.value).partition("\n")[2]
    assert "left the recorded order" not in str(caught.value)


@pytest.mark.usefixtures("recorded")
def test_a_request_with_the_new_argument_that_was_played_is_told_as_such() -> None:
    search = gained()
    with use_cassette("search"):
        search("cats")
        search("cats")
        with pytest.raises(UnmatchedInteractionError, match=r"already played 2 times: .* #0 .*, #2 "):
            search("cats")


@pytest.mark.usefixtures("recorded")
def test_the_run_shows_the_calls_as_they_were_recorded_and_a_refresh_leaves_the_file() -> None:
    before = Path("cassettes/search.yaml").read_bytes()
    search = gained()
    with use_cassette("search", mode="refresh") as session:
        for word in ("cats", "dogs", "cats"):
            search(word)

    assert [each.request for each in session.interactions] == [
        {"args": {"query": word}} for word in ("cats", "dogs", "cats")
    ]
    assert Path("cassettes/search.yaml").read_bytes() == before


def test_a_secret_is_still_replaced_by_a_dummy() -> None:
    def log_in(password: str) -> str:
        return password[:1]

    with use_cassette("log_in", mode="all"):
        tool(log_in)("hunter2-hunter2-hunter2")

    def log_in_again(password: str, tries: int = 3) -> str:
        raise AssertionError((password, tries))

    with use_cassette("log_in"):
        assert tool(name="log_in")(log_in_again)("test") == "h"


def test_another_function_of_the_name_of_a_recorded_call_changes_nothing() -> None:
    @tool
    def log_out(password: str, tries: int = 3) -> str:
        raise AssertionError((password, tries))

    with use_cassette("log_out", mode="all"):
        record_call("tool", {"args": {"password": "hunter2-hunter2-hunter2"}}, lambda: "bye", boundary="log_out")
    with use_cassette("log_out"):
        assert record_call("tool", {"args": {"password": "test"}}, lambda: "", boundary="log_out") == "bye"
    with use_cassette("log_out"):
        assert log_out("test") == "bye"


@pytest.mark.usefixtures("recorded")
def test_two_functions_of_one_name_do_not_spoil_each_other() -> None:
    @tool
    def search(query: str) -> str:
        raise AssertionError(query)

    gained()
    with use_cassette("search"):
        assert search("cats") == "CATS"


def test_a_function_that_lost_an_argument_is_told_what_to_do() -> None:
    @tool(name="find")
    def find(query: str, limit: int = 10) -> str:
        return query.upper() * (limit > 0)

    with use_cassette("find", mode="all"):
        find("cats")

    @tool(name="find")
    def find_all(query: str) -> str:
        raise AssertionError(query)

    with pytest.raises(UnmatchedInteractionError) as caught, use_cassette("find"):
        find_all("cats")
    assert "  if find no longer takes the argument 'limit': delete it from #0" in str(caught.value)

    path = Path("cassettes/find.yaml")
    path.write_text(path.read_text().replace(", limit: 10", ""))
    with use_cassette("find"):
        assert find_all("cats") == "CATS"
