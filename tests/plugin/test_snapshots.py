"""Views of a run in syrupy: what they look like, when they are written, and when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.project import Project, writes_new_only

TEST = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it(agenttape_cassette):
        look_up("Rome")
        look_up("Oslo")
        agenttape_cassette.assert_snapshot()
"""
AMBER = """\
# serializer version: 1
# name: test_it
  tool look_up(city='Rome')
    -> {'city': 'Rome', 'answer': 'old'}
  tool look_up(city='Oslo')
    -> {'city': 'Oslo', 'answer': 'old'}
# ---
"""
CONFIG = """
    import pytest
    from pytest_agenttape.plugin.syrupy import keep_views

    def pytest_runtest_teardown(item):
        if getattr(item, "has_failed", False):
            keep_views(item.config, item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        item.has_failed = getattr(item, "has_failed", False) or report.failed
        return report

    @pytest.fixture
    def snapshot(snapshot, agenttape_cassette):
        if agenttape_cassette.mode == "all":
            snapshot.update_new_snapshots_only = True
        return snapshot
"""


def amber(project: Project) -> str:
    stored = project.path / "__snapshots__" / "test_it.ambr"
    return stored.read_text(encoding="utf-8") if stored.exists() else ""


def body(*lines: str) -> str:
    return TEST.replace(
        "        agenttape_cassette.assert_snapshot()\n", "".join(f"        {line}\n" for line in lines)
    )


@pytest.fixture
def recorded(project: Project) -> Project:
    """Return a project with a recorded test and its view."""
    project.write(test_it=TEST)
    project.record()
    return project


# Writing and accepting


def test_recording_writes_a_view_that_does_not_exist_yet(project: Project) -> None:
    project.write(test_it=TEST)
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 snapshot generated."])
    assert amber(project) == AMBER


def test_replay_shows_the_same_view(recorded: Project) -> None:
    result = recorded.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 snapshot passed."])
    assert amber(recorded) == AMBER


def test_recording_does_not_accept_a_view_that_differs(recorded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD", "new")
    result = recorded.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       agenttape_cassette.assert_snapshot()",
            "E       AssertionError: [[]+ received[]] == [[]- snapshot[]]",
            "E         tool look_up(city='Rome')",
            "E       -   -> {'city': 'Rome', 'answer': 'old'}",
            "E       +   -> {'city': 'Rome', 'answer': 'new'}",
            "E         tool look_up(city='Oslo')",
            "E       -   -> {'city': 'Oslo', 'answer': 'old'}",
            "E       +   -> {'city': 'Oslo', 'answer': 'new'}",
            "E       agenttape: review the difference, then accept it: pytest test_it.py::test_it --snapshot-update",
            "",
            "test_it.py:8: AssertionError",
        ],
        consecutive=True,
    )
    assert amber(recorded) == AMBER


def test_recording_with_snapshot_update_accepts_a_view_that_differs(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD", "new")
    recorded.run("--agenttape-record", "--snapshot-update").assert_outcomes(passed=1)
    assert amber(recorded) == AMBER.replace("old", "new")
    recorded.run().assert_outcomes(passed=1)


def test_snapshot_update_accepts_what_changed_and_runs_only_that(recorded: Project) -> None:
    recorded.write(test_it=TEST.replace("Oslo", "Bonn"))
    recorded.run("--snapshot-update").assert_outcomes(passed=1)
    assert recorded.live() == ["look_up Bonn"]
    assert amber(recorded) == AMBER.replace("Oslo", "Bonn")


def test_a_view_that_is_not_stored_fails_in_replay_with_the_way_to_store_it(recorded: Project) -> None:
    (recorded.path / "__snapshots__" / "test_it.ambr").unlink()
    result = recorded.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E       Snapshot 'test_it' does not exist!",
            "E       agenttape: review the difference, then accept it: pytest test_it.py::test_it --snapshot-update",
        ]
    )
    recorded.run("--snapshot-update").assert_outcomes(passed=1)
    assert recorded.live() == []
    assert amber(recorded) == AMBER


def test_snapshots_can_be_updated_offline(recorded: Project) -> None:
    recorded.write(test_it=TEST.replace("assert_snapshot()", "assert_snapshot(exclude='result')"))
    recorded.run("--agenttape-mode=none", "--snapshot-update").assert_outcomes(passed=1)
    assert recorded.live() == []
    assert "    -> …\n" in amber(recorded)


def test_a_run_that_drifted_changes_no_view(recorded: Project) -> None:
    recorded.write(test_it=TEST.replace('look_up("Oslo")', 'pytest.raises(Exception, look_up, "Bonn")'))
    recorded.run("--agenttape-mode=none", "--snapshot-update").assert_outcomes(failed=1)
    assert recorded.live() == []


# More than one, and plain syrupy


def test_a_test_may_have_several_views_by_number_and_by_name(project: Project) -> None:
    project.write(
        test_it=body(
            "agenttape_cassette.assert_snapshot('arguments', only='args')",
            "agenttape_cassette.assert_snapshot()",
            "agenttape_cassette.assert_snapshot(exclude='look_up.result.answer')",
        )
    )
    project.record()
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["3 snapshots passed."])
    assert "# name: test_it[arguments]\n  tool look_up(city='Rome')\n  tool look_up(city='Oslo')\n# ---" in amber(
        project
    )
    assert "    -> {'city': 'Rome', 'answer': …}\n" in amber(project)


def test_the_handle_and_its_parts_are_compared_by_plain_syrupy(project: Project) -> None:
    project.write(
        conftest=CONFIG,
        test_it=body(
            "agenttape_cassette.final_output = 'Rome, then Oslo'",
            "assert agenttape_cassette == snapshot",
            "assert agenttape_cassette.tool_calls == snapshot",
            "assert agenttape_cassette.final_output == snapshot(name='final')",
        ).replace("(agenttape_cassette)", "(agenttape_cassette, snapshot)"),
    )
    project.record("--snapshot-update")
    assert (
        amber(project)
        == """\
# serializer version: 1
# name: test_it
  tool look_up(city='Rome')
    -> {'city': 'Rome', 'answer': 'old'}
  tool look_up(city='Oslo')
    -> {'city': 'Oslo', 'answer': 'old'}
  final output: Rome, then Oslo
# ---
# name: test_it.1
  list([
    look_up(city='Rome'),
    look_up(city='Oslo'),
  ])
# ---
# name: test_it[final]
  'Rome, then Oslo'
# ---
"""
    )
    project.run().assert_outcomes(passed=1)


def test_filters_and_matchers_of_syrupy_work_on_the_values_of_a_view(project: Project) -> None:
    project.write(
        test_it=body(
            "from syrupy.filters import props",
            "from syrupy.matchers import path_type",
            "values = agenttape_cassette.view(only=['look_up']).data()",
            "assert values[:1] == snapshot(exclude=props('result'))",
            "assert values[:1] == snapshot(matcher=path_type({'0.result.answer': (str,)}))",
        ).replace("(agenttape_cassette)", "(agenttape_cassette, snapshot)")
    )
    project.record("--snapshot-update").assert_outcomes(passed=1)
    assert "'answer': str," in amber(project)
    assert "'old'" not in amber(project)
    project.run().assert_outcomes(passed=1)


def test_interactions_are_the_same_in_recording_and_in_replay(project: Project) -> None:
    project.write(
        test_it=body("assert agenttape_cassette.interactions == snapshot").replace(
            "(agenttape_cassette)", "(agenttape_cassette, snapshot)"
        )
    )
    project.record("--snapshot-update").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_a_view_of_the_handle_and_one_of_assert_snapshot_are_the_same(recorded: Project) -> None:
    recorded.write(
        test_it=body("assert agenttape_cassette == snapshot").replace(
            "(agenttape_cassette)", "(agenttape_cassette, snapshot)"
        )
    )
    recorded.run().assert_outcomes(passed=1)


@writes_new_only
def test_plain_syrupy_can_be_let_write_what_does_not_exist_yet(project: Project) -> None:
    test = body("assert agenttape_cassette == snapshot").replace(
        "(agenttape_cassette)", "(agenttape_cassette, snapshot)"
    )
    project.write(conftest=CONFIG, test_it=test)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert amber(project) == AMBER


def test_a_view_can_be_a_yaml_file_of_its_own(project: Project) -> None:
    project.write(
        conftest="""
            import pytest
            from pytest_agenttape.plugin.syrupy import AgentTapeYAMLExtension

            @pytest.fixture
            def snapshot(snapshot):
                return snapshot.use_extension(AgentTapeYAMLExtension)
        """,
        test_it=body(
            "agenttape_cassette.assert_snapshot()",
            "agenttape_cassette.assert_snapshot('short', only='args')",
            "assert agenttape_cassette.tool_calls == snapshot(name='tools')",
            "assert agenttape_cassette == snapshot(name='whole')",
        ).replace("(agenttape_cassette)", "(agenttape_cassette, snapshot)"),
    )
    project.record("--snapshot-update")
    folder = project.path / "__snapshots__" / "test_it"
    assert sorted(path.name for path in folder.iterdir()) == [
        "test_it.yaml",
        "test_it[short].yaml",
        "test_it[tools].yaml",
        "test_it[whole].yaml",
    ]
    assert (folder / "test_it[short].yaml").read_text() == (
        "- tool: look_up\n  args:\n    city: Rome\n- tool: look_up\n  args:\n    city: Oslo\n"
    )
    assert (folder / "test_it[tools].yaml").read_text() == "- look_up\n- look_up\n"
    assert (folder / "test_it.yaml").read_text() == (folder / "test_it[whole].yaml").read_text()
    project.run().assert_outcomes(passed=1)
    project.write(test_it=body("agenttape_cassette.assert_snapshot(exclude='result.answer')"))
    result = project.run()
    result.stdout.fnmatch_lines(["E*-     answer: old", "E*+     answer: …"])


# The sequence


def test_another_order_fails_though_the_view_does_not_show_it(recorded: Project) -> None:
    swapped = TEST.replace('"Rome"', '"x"').replace('"Oslo"', '"Rome"').replace('"x"', '"Oslo"')
    recorded.write(test_it=swapped.replace("assert_snapshot()", "assert_snapshot('none', exclude='tool')"))
    result = recorded.run("--agenttape-mode=none", "--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E       AssertionError: the calls were made in a different order than in test_it.yaml",
            "E       calls: 1 moved",
            "E       if this is intended, accept it: pytest test_it.py::test_it --snapshot-update",
        ]
    )
    recorded.run("--agenttape-record").assert_outcomes(passed=1)
    recorded.run().assert_outcomes(passed=1)


def test_a_recording_left_unplayed_fails_though_the_view_does_not_show_it(recorded: Project) -> None:
    recorded.write(
        test_it=TEST.replace('        look_up("Oslo")\n', "").replace("snapshot()", "snapshot('none', exclude='tool')")
    )
    result = recorded.run("--agenttape-mode=none", "--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*UnplayedInteractionsError: 1 recorded interaction of test_it.yaml not played:*"])


def test_a_view_in_the_middle_of_a_test_leaves_the_rest_to_be_played(project: Project) -> None:
    test = TEST.replace('look_up("Oslo")', 'agenttape_cassette.assert_snapshot("first")\n        look_up("Oslo")')
    project.write(test_it=test)
    project.record()
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["2 snapshots passed."])


def test_live_calls_are_no_drift(recorded: Project) -> None:
    recorded.write(
        test_it=TEST.replace("agenttape\n", "agenttape(live='look_up')\n").replace(
            'look_up("Rome")', 'look_up("Bonn")\n        look_up("Rome")'
        )
    )
    result = recorded.run("--snapshot-update", "--agenttape-mode=none")
    result.assert_outcomes(passed=1)


# Errors


@pytest.mark.parametrize(
    ("call", "line"),
    [
        pytest.param(
            "exclude='nobody_s_tool'",
            "E*ConfigError: exclude='nobody_s_tool' is not a call of this run or part of one.",
            id="a-token",
        ),
        pytest.param(
            "name=''", "E*ConfigError: the name of a view must be a non-empty string, found ''", id="an-empty-name"
        ),
        pytest.param("name=3", "E*ConfigError: the name of a view must be a non-empty string, found 3", id="a-number"),
    ],
)
def test_what_a_view_cannot_be_is_told(recorded: Project, call: str, line: str) -> None:
    recorded.write(test_it=TEST.replace("assert_snapshot()", f"assert_snapshot({call})"))
    result = recorded.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([line])
    assert "handle.py" not in result.stdout.str()


def test_the_view_of_a_failed_test_can_be_kept_from_an_update(recorded: Project) -> None:
    recorded.write(conftest=CONFIG, test_it=TEST.replace('look_up("Rome")', "raise ValueError"))
    recorded.run("--snapshot-update").assert_outcomes(failed=1)
    assert amber(recorded) == AMBER


VIEWS = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_a(agenttape_cassette):
        look_up("Rome")
        agenttape_cassette.assert_snapshot()
        assert FLAG

    @pytest.mark.agenttape
    def test_b(agenttape_cassette):
        look_up("Oslo")
        agenttape_cassette.assert_snapshot()
"""


@pytest.mark.parametrize(
    "args", [("-x",), ("--collect-only",), ("-c", "quick.ini"), ("-o", "python_functions=test_a*"), ("--maxfail=1",)]
)
def test_an_update_keeps_the_views_and_cassettes_of_tests_that_did_not_run(project: Project, args: tuple[str]) -> None:
    project.write(test_it=VIEWS.replace("FLAG", "1"))
    project.record()
    (project.path / "quick.ini").write_text("[pytest]\npython_functions = test_a*\n")
    views = (project.path / "__snapshots__" / "test_it.ambr").read_text()
    assert views.count("# name:") == 2
    project.write(test_it=VIEWS.replace("FLAG", "0" if args[0] in ("-x", "--maxfail=1") else "1"))
    project.run("--snapshot-update", *args)
    assert (project.path / "__snapshots__" / "test_it.ambr").read_text() == views
    assert project.cassette("test_it/test_b.yaml").exists()


def test_an_interrupted_update_keeps_the_views_of_the_rest(project: Project) -> None:
    project.write(test_it=VIEWS.replace("FLAG", "1"))
    project.record()
    views = (project.path / "__snapshots__" / "test_it.ambr").read_text()
    project.write(test_it=VIEWS.replace("assert FLAG", "pytest.exit('enough')"))
    project.run_apart("--snapshot-update")
    assert (project.path / "__snapshots__" / "test_it.ambr").read_text() == views


def test_a_view_is_on_the_disk_also_where_the_test_has_a_fake_file_system(project: Project) -> None:
    pytest.importorskip("pyfakefs")
    project.write(
        test_it="""
        import pathlib, pytest
        from pyfakefs.fake_filesystem_unittest import Patcher
        from agent import look_up

        @pytest.mark.agenttape
        def test_it(agenttape_cassette):
            city = look_up("Rome")["city"]
            with Patcher():
                pathlib.Path("/notes.txt").write_text(city)
                agenttape_cassette.assert_snapshot()
                assert pathlib.Path("/notes.txt").read_text() == "Rome"
        """
    )
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert not Path("/notes.txt").exists()


def test_without_syrupy_a_view_says_what_it_needs(project: Project) -> None:
    project.write(test_it=TEST)
    result = project.run("--agenttape-record", "-p", "no:syrupy")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ConfigError: views are stored by syrupy, which this run has not loaded: *"])
    project.write(test_it=TEST, conftest="import pytest\n@pytest.fixture\ndef snapshot(): return 'mine'\n")
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *ConfigError: views are stored by syrupy, and the fixture 'snapshot' is not *'str'*"]
    )
