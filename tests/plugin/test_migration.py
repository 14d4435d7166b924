"""docs/migration.md, row by row: what replaces each word of another tool does what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import pytest_agenttape
from pytest_agenttape.settings.options import parse
from pytest_agenttape.settings.words import OF_VCRPY
from tests.plugin.project import Origin, Project

ROOT = Path(__file__).parents[2]
HERE = "tests/plugin/test_migration.py"

# The row, by how its first cell begins, and the tests that make it.
ROWS = {
    # from vcrpy and pytest-recording
    "`@pytest.mark.vcr` |": ["tests/plugin/test_former_names.py::test_it_is_replayed"],
    "`@pytest.mark.default_cassette": ["tests/plugin/test_names.py::test_explicit_names"],
    '`@pytest.mark.vcr("login.yaml")`': [
        "tests/plugin/test_shared_cassettes.py::test_a_shared_login_is_replayed_beside_each_tests_own_cassette"
    ],
    "fixture `vcr_cassette_dir`": [
        "tests/plugin/test_cassette_dir.py::test_the_cassettes_of_each_folder_of_tests_have_their_place"
    ],
    "`vcr.use_cassette(": [
        "tests/session/test_session.py::test_a_name_is_a_file_below_the_cassette_folder",
        "tests/session/test_session.py::test_a_folder_and_a_suffix_make_a_path_from_the_working_directory",
    ],
    "`--record-mode=none`": [f"{HERE}::test_the_words_for_modes_are_the_same"],
    "`--record-mode=rewrite`": [
        f"{HERE}::test_recording_again_starts_anew",
        "tests/plugin/test_refresh.py::test_one_changed_call_out_of_ten_is_the_only_live_one",
    ],
    "`--block-network`": [
        "tests/plugin/test_network_guard.py::test_a_connection_is_refused_before_its_name_is_looked_up",
        "tests/plugin/test_blocked_network.py::test_connections_of_unmarked_tests_are_refused",
    ],
    "`--disable-recording`": ["tests/plugin/test_disabled.py::test_every_call_is_real_and_nothing_is_written"],
    "`match_on=": [
        "tests/matching/test_matchers.py::test_a_matcher_of_any_make_decides_what_is_the_same_call",
        f"{HERE}::test_matchers_of_the_marker_say_what_is_compared",
    ],
    "`filter_headers`": [
        "tests/cassettes/test_imported_forms.py::test_fields_that_vcrpy_filtered_from_a_form_are_not_compared",
        "tests/plugin/test_configuration.py::test_names_to_redact_add_up_over_file_fixture_and_markers",
    ],
    "`before_record_request`": [
        "tests/session/test_before_recording.py::test_a_function_is_named_anywhere_in_the_configuration"
    ],
    "`decode_compressed_response`": [
        "tests/transports/test_requests.py::test_a_compressed_body_that_is_read_raw_is_stored_readably"
    ],
    "`allow_playback_repeats`": [
        "tests/session/test_repeats.py::test_the_last_recording_is_served_again_in_every_mode_that_replays"
    ],
    "`ignore_hosts`": [
        "tests/plugin/test_network_guard.py::test_calls_to_an_ignored_host_are_real_in_every_mode_and_never_recorded"
    ],
    "`record_on_exception`": [
        "tests/plugin/test_pending_recording.py::test_a_test_that_still_fails_leaves_it_pending"
    ],
    "`drop_unused_requests`": ["tests/plugin/test_refresh.py::test_what_a_run_no_longer_uses_is_dropped"],
    "`serializer=": [f"{HERE}::test_a_format_may_be_json"],
    "`cassette.all_played`": ["tests/plugin/test_unplayed.py::test_it_warns_and_says_so_in_the_summary"],
    "fixture `vcr_config`": ["tests/plugin/test_configuration.py::test_the_fixture_may_return_a_whole_config"],
    # from respx, responses and pytest-httpx
    "`respx.get(url).mock(": [f"{HERE}::test_a_recording_takes_the_place_of_a_mock"],
    "`route.calls`": [f"{HERE}::test_a_recording_takes_the_place_of_a_mock"],
    "`Response(503)`": [f"{HERE}::test_a_recording_takes_the_place_of_a_mock"],
    "`assert_all_called`": ["tests/plugin/test_unplayed.py::test_it_warns_and_says_so_in_the_summary"],
    # from AgentTape
    "cassette of an unnamed test": [f"{HERE}::test_a_cassette_of_agenttape_is_named_in_the_marker"],
    "LLM calls are recorded by patching SDKs": [
        "tests/cassettes/test_imported_forms.py::test_an_openai_call_of_agenttape_answers_however_the_sdk_spells_it"
    ],
    "`assert_snapshot()`": [
        "tests/plugin/test_snapshots.py::test_replay_shows_the_same_view",
        "tests/plugin/test_snapshots.py::test_another_order_fails_though_the_view_does_not_show_it",
    ],
    "a failed test writes": ["tests/plugin/test_transaction.py::test_where_there_was_a_cassette"],
    "an error that a block": [
        "tests/session/test_leaving.py::test_what_its_code_swallowed_leaves_the_block_at_the_line_that_asked"
    ],
    "`frozen` protects in replay": ["tests/session/test_partial_replay.py::test_frozen_protects_in_every_mode"],
    "`ignore_volatile_fields` replaces": ["tests/matching/test_matchers.py::test_a_configured_path_is_ignored"],
    "`assets_threshold_bytes`": [f"{HERE}::test_the_threshold_of_assets"],
    "`agenttape diff`": [
        "tests/plugin/test_show_and_diff.py::test_a_changed_argument_is_named_and_exits_1",
        "tests/plugin/test_show_and_diff.py::test_show_prints_the_timeline_and_runs_no_test",
    ],
    "`agenttape validate`": ["tests/plugin/test_audit.py::test_every_cassette_is_an_item_and_no_test_runs"],
    "`agenttape view`": ["tests/plugin/test_report.py::test_nothing_of_a_cassette_is_markup_on_the_page"],
    "`agenttape redact`": ["tests/test_model.py::test_a_redacted_cassette_still_replays"],
    # from agentcassette
    '`intercept(fn, kind="tool")`': [
        "tests/cassettes/test_imported_forms.py::test_variable_arguments_of_agentcassette_are_compared"
    ],
    '`intercept(fn, kind="planner")`': [
        "tests/cassettes/test_imported_forms.py::test_a_kind_of_agentcassette_that_is_not_ours_is_a_label"
    ],
    '`record("x.json")`': [
        "tests/session/test_session.py::test_a_folder_and_a_suffix_make_a_path_from_the_working_directory"
    ],
    "cassette of a test: `cassettes/<test>.json`": [
        f"{HERE}::test_a_cassette_of_agentcassette_is_named_in_the_marker"
    ],
    "`replay(path, strict=True)`": ["tests/session/test_leaving.py::test_a_strict_block_plays_all_of_its_cassette"],
    "`DivergenceError`": [f"{HERE}::test_a_cassette_of_agentcassette_is_named_in_the_marker"],
    "fixture `cassette`": [f"{HERE}::test_a_cassette_of_agentcassette_is_named_in_the_marker"],
    "`agentcassette_dir`": ["tests/plugin/test_cassette_dir.py::test_an_ini_key_sets_it"],
    "`--record-mode` |": [f"{HERE}::test_the_words_for_modes_are_the_same"],
    "`Cassette.load`": ["tests/test_model.py::test_total_tokens_are_the_sums_of_what_the_providers_counted"],
    "`diff_cassettes(": ["tests/reading/test_diff.py::test_a_cassette_may_be_given_by_its_path"],
}  # fmt: skip


def test_every_row_is_made_by_a_test() -> None:
    page = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| there \| here \|\n\|---\|---\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    cells = [line.removeprefix("| ") for table in tables for line in table.splitlines()]
    assert [each for each in cells if not any(map(each.startswith, ROWS))] == []
    assert [row for row in ROWS if not any(each.startswith(row) for each in cells)] == []
    for test in {each for named in ROWS.values() for each in named}:
        path, _, name = test.partition("::")
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_the_names_of_agenttape_and_agentcassette_are_ours() -> None:
    agenttape = """
        AgentTape AgentTapeError Cassette CassetteCorruptError CassetteNotFoundError Config ConfigError
        DeterminismDriftWarning Interaction SchemaVersionError Session StreamingNotRecordedWarning StreamingReplayError
        UnmatchedInteractionError __version__ active_session memory_read memory_write record record_call replay
        retrieval tool use_cassette
    """
    agentcassette = "record replay intercept Cassette diff_cassettes CassetteDiff"
    assert {*agenttape.split(), *agentcassette.split()} <= set(pytest_agenttape.__all__)


def test_a_setting_of_vcrpy_says_what_it_is_here() -> None:
    page = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    for word, here in OF_VCRPY.items():
        with pytest.raises(pytest_agenttape.ConfigError, match=f"'{word}'. Here vcrpy's {word} is {here}. Valid:"):
            pytest_agenttape.Config.from_mapping({word: True})
        with pytest.raises(pytest_agenttape.ConfigError, match=f"Here vcrpy's {word} is {here}. Valid:"):
            parse({word: True})
        assert f"`{word}" in page, word


# -- rows that no other test makes

TEST = """
    import os
    import httpx2, pytest

    @pytest.mark.agenttape(MARKER)
    def test_it():
        assert httpx2.get(os.environ["ORIGIN"] + "/PATH").json() == {"said": "hello"}
"""


def write(project: Project, path: str = "a", marker: str = "") -> None:
    project.write(test_it=TEST.replace("PATH", path).replace("MARKER", marker))


def urls(project: Project) -> list[str]:
    cassette = pytest_agenttape.Cassette.load(project.cassette())
    return [each.request["url"].rpartition("/")[2] for each in cassette.interactions]


MODES = {  # what is asked for real where "a" is recorded and "b" is not, and what the cassette has then
    "none": ([], ["a"]),
    "once": ([], ["a"]),
    "new_episodes": (["/b"], ["a", "b"]),
    "all": (["/b"], ["b"]),
}


@pytest.mark.parametrize(("mode", "asked", "kept"), [(mode, *row) for mode, row in MODES.items()])
def test_the_words_for_modes_are_the_same(
    project: Project, origin: Origin, mode: str, asked: list[str], kept: list[str]
) -> None:
    write(project)
    project.record()
    write(project, "b")
    origin.asked.clear()
    project.run(f"--agenttape-mode={mode}")
    assert (origin.asked, urls(project)) == (asked, kept)


def test_recording_again_starts_anew(project: Project, origin: Origin) -> None:
    write(project)
    project.record()
    write(project, "b")
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert (origin.asked, urls(project)) == (["/a", "/b"], ["b"])


def test_matchers_of_the_marker_say_what_is_compared(project: Project, origin: Origin) -> None:
    same_method = "matchers=[lambda asked, recorded: asked['method'] == recorded['method']]"
    write(project, marker=same_method)
    project.record()
    write(project, "b", marker=same_method)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/a"]


@pytest.mark.usefixtures("origin")
def test_a_format_may_be_json(project: Project) -> None:
    write(project, marker='format="json"')
    project.record()
    assert json.loads(project.cassette("test_it/test_it.json").read_text())["version"] == "1"
    project.run().assert_outcomes(passed=1)


@pytest.mark.usefixtures("origin")
def test_the_threshold_of_assets(project: Project) -> None:
    for path, files in (("big" * 20, 1), ("big" * 50, 2)):  # the server says a path 500 times
        project.write(test_it=TEST.replace("PATH", path).replace("MARKER", "").replace(".json() ==", ".text and"))
        project.record()
        assert len(project.files()) == files


def test_a_recording_takes_the_place_of_a_mock(project: Project, origin: Origin) -> None:
    origin.statuses.extend([202, 200])
    project.write(
        test_it="""
        import os
        import httpx, pytest
        from pytest_agenttape import fault

        def ask():
            return httpx.get(os.environ["ORIGIN"] + "/a").status_code

        @pytest.mark.agenttape("it")
        def test_it(agenttape_cassette):
            assert [ask(), ask()] == [202, 200]
            calls = agenttape_cassette.interactions
            assert [each.response["status"] for each in calls] == [202, 200]
            assert calls[0].request["url"].endswith("/a")

        DOWN, SLOW = fault("127.0.0.1", status=503), fault("127.0.0.1", nth=2, error="timeout")

        @pytest.mark.agenttape("it", faults=[DOWN, SLOW])
        def test_down():
            assert ask() == 503
            with pytest.raises(httpx.TimeoutException):
                ask()
            assert [ask(), ask()] == [202, 200]
        """
    )
    project.record("-k", "test_it and not down").assert_outcomes(passed=1, deselected=1)
    project.run("--agenttape-strict").assert_outcomes(passed=2)
    assert origin.asked == ["/a", "/a"]


def test_a_cassette_of_agenttape_is_named_in_the_marker(project: Project) -> None:
    called = {"kind": "tool", "boundary": "look_up", "request": {"name": "look_up", "args": {"city": "a"}}}
    root = {
        "version": "1",
        "created_at": "2026-01-02T03:04:05",
        "run_id": "r",
        "meta": {"agenttape_version": "0.1.8"},
        "interactions": [{"index": 0, **called, "response": {"city": "a", "answer": "recorded"}}],
    }
    project.cassette("x").parent.mkdir()
    project.cassette("test_old.yaml").write_text(json.dumps(root))
    project.write(
        test_it="""
        import pytest
        from agent import look_up

        @pytest.mark.agenttape("test_old")
        def test_it(): assert look_up("a")["answer"] == "recorded"
        """
    )
    project.run("--agenttape-strict").assert_outcomes(passed=1)
    assert project.live() == []


def test_a_cassette_of_agentcassette_is_named_in_the_marker(project: Project) -> None:
    step = {"index": 0, "type": "tool", "name": "look_up", "arguments": {"args": ["a"], "kwargs": {}}, "result": "kept"}
    root = {"version": 1, "recorded_at": "2026-06-30T12:00:00Z", "model": None, "duration_ms": 1.5, "steps": [step]}
    project.cassette("x").parent.mkdir()
    project.cassette("test_it.json").write_text(json.dumps(root))
    project.write(
        test_it="""
        import pytest
        from agent import look_up
        from pytest_agenttape import UnmatchedInteractionError

        @pytest.mark.agenttape("test_it.json", mode="once", redact=["api_key"])
        def test_it(agenttape_cassette):
            assert look_up("a") == "kept"
            assert agenttape_cassette.tool_calls == ["look_up"]

        @pytest.mark.agenttape("test_it.json", mode="none")
        def test_other():
            with pytest.raises(UnmatchedInteractionError):
                look_up("b")
        """
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)  # what a test swallows decides it all the same
    result.stdout.fnmatch_lines(["E *UnmatchedInteractionError: look_up(city='b') matches no unplayed interaction *"])
    assert project.live() == []
