"""``--snapshot-update`` refreshes: calls that still match are replayed, changed ones run live, once."""

from __future__ import annotations

import pytest

from pytest_agenttape import Cassette
from tests.plugin.project import AGENT, Project, writes_new_only
from tests.standin import StandInProvider

SUITE = """
    import os

    import openai
    import pytest
    from agent import look_up, note
    from pytest_agenttape import tool

    @tool
    def charge_card(amount):
        note(f"charge {amount}")
        return "charged"

    def ask(text):
        client = openai.OpenAI(base_url=os.environ["PROVIDER"], api_key="none", max_retries=0)
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content

    @pytest.mark.agenttape
    def test_it(agenttape_cassette):
        charge_card(5)
        for number in range(10):
            ask("changed" if number == 6 and os.environ.get("CHANGED") else f"question {number}")
"""


@pytest.fixture
def recorded(project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PROVIDER", standin_provider.openai_url)
    project.write(test_it=SUITE)
    assert project.record().ret == 0
    standin_provider.reset()
    return project


def test_one_changed_call_out_of_ten_is_the_only_live_one(
    recorded: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANGED", "1")
    result = recorded.run("--snapshot-update")
    result.stdout.fnmatch_lines(["refreshed: cassettes/test_it/test_it.yaml (1 live call)"])
    assert standin_provider.hits == 1
    assert recorded.live() == []  # the card was not charged again
    recorded.run().assert_outcomes(passed=1)
    assert standin_provider.hits == 1


def test_a_cassette_that_still_fits_stays_byte_for_byte_and_costs_nothing(
    recorded: Project, standin_provider: StandInProvider
) -> None:
    before = recorded.cassette().read_bytes()
    result = recorded.run("--snapshot-update")
    result.stdout.fnmatch_lines(["unchanged: cassettes/test_it/test_it.yaml"])
    assert recorded.cassette().read_bytes() == before
    assert standin_provider.hits == 0
    result = recorded.run("--agenttape-record")
    result.stdout.fnmatch_lines(["unchanged: cassettes/test_it/test_it.yaml (11 live calls)", "spent: * tokens* on *"])
    assert recorded.cassette().read_bytes() == before


def test_many_cassettes_that_still_fit_are_counted(project: Project) -> None:
    project.write(
        test_it="""
        import pytest
        from agent import look_up

        @pytest.mark.agenttape
        @pytest.mark.parametrize("city", "abcd")
        def test_it(city):
            look_up(city)
        """
    )
    project.record().assert_outcomes(passed=4)
    project.run("--snapshot-update").stdout.fnmatch_lines(["unchanged: 4 cassettes"])


def test_drift_without_a_provider_fails_and_every_file_stays(
    recorded: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = recorded.cassette().read_bytes()
    monkeypatch.setenv("CHANGED", "1")
    monkeypatch.setenv("PROVIDER", standin_provider.refused_url)
    recorded.run("--snapshot-update").assert_outcomes(failed=1)
    assert recorded.cassette().read_bytes() == before


def test_what_a_run_no_longer_uses_is_dropped(recorded: Project, standin_provider: StandInProvider) -> None:
    recorded.write(test_it=SUITE.replace("range(10)", "range(4)"))
    recorded.run("--snapshot-update").assert_outcomes(passed=1)
    assert standin_provider.hits == 0
    assert Cassette.load(recorded.cassette()).num_steps == 5


@writes_new_only
def test_new_only_records_what_has_no_cassette_and_replays_the_rest(
    recorded: Project, standin_provider: StandInProvider
) -> None:
    recorded.write(test_new=SUITE)
    result = recorded.run("--snapshot-update-new-only")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["created: cassettes/test_new/test_it.yaml (11 live calls)"])
    assert standin_provider.hits == 10


def test_with_record_everything_runs_live(recorded: Project, standin_provider: StandInProvider) -> None:
    recorded.run("--agenttape-record", "--snapshot-update").assert_outcomes(passed=1)
    assert standin_provider.hits == 10
    assert recorded.live() == ["charge 5"]


def test_mode_none_updates_snapshots_offline(
    recorded: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANGED", "1")
    recorded.run("--agenttape-mode=none", "--snapshot-update").assert_outcomes(failed=1)
    assert standin_provider.hits == 0


def test_under_ci_snapshot_update_alone_stays_offline(
    recorded: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("CHANGED", "1")
    result = recorded.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["agenttape: replay only; in CI --snapshot-update alone records nothing"])
    assert standin_provider.hits == 0


def test_drift_keeps_the_views_that_the_test_did_not_get_to(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(
        agent=AGENT,
        test_it="""
            import os, pytest
            from agent import look_up

            @pytest.mark.agenttape
            def test_it(agenttape_cassette, snapshot):
                look_up(os.environ.get("CITY", "Paris"))
                agenttape_cassette.assert_snapshot()
                assert agenttape_cassette.tool_calls == snapshot(name="tools")
        """,
    )
    project.run("--snapshot-update").assert_outcomes(passed=1)
    stored = project.path / "__snapshots__" / "test_it.ambr"
    before = stored.read_bytes()
    monkeypatch.setenv("CITY", "Oslo")
    for flags in (
        ("--snapshot-update", "--agenttape-mode=none"),
        ("--snapshot-update", "--agenttape-mode=none", "-p", "xdist", "-n1"),
    ):
        project.run_apart(*flags).assert_outcomes(failed=1)
        assert stored.read_bytes() == before


def test_another_order_that_a_view_tells_of_is_kept_at_no_cost(
    recorded: Project, standin_provider: StandInProvider
) -> None:
    source = SUITE.replace("range(10):", "(0, 1):") + "        agenttape_cassette.assert_snapshot()\n"
    recorded.write(test_it=source)
    recorded.run("--agenttape-record", "--snapshot-update").assert_outcomes(passed=1)
    standin_provider.reset()
    recorded.live()
    recorded.write(test_it=source.replace("(0, 1):", "(1, 0):"))
    recorded.run().assert_outcomes(failed=1)
    result = recorded.run("--snapshot-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["refreshed: cassettes/test_it/test_it.yaml (0 live calls)"])
    recorded.run().assert_outcomes(passed=1)
    recorded.write(test_it=source)
    recorded.run().assert_outcomes(failed=1)
    assert (standin_provider.hits, recorded.live()) == (0, [])
