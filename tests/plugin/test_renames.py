"""A test that was renamed or moved costs nothing: its cassette is found, named, and moved with its view."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

BEFORE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_kept(agenttape_cassette):
        look_up("Oslo")

    @pytest.mark.agenttape
    def test_weather(agenttape_cassette):
        look_up("Rome")
        agenttape_cassette.assert_snapshot()

    @pytest.mark.agenttape
    def test_without_a_call(): ...
"""
KEPT, OLD, NEW = (f"cassettes/test_it/{name}.yaml" for name in ("test_kept", "test_weather", "test_the_weather"))
RENAMED = BEFORE.replace("test_weather", "test_the_weather")


@pytest.fixture
def renamed(project: Project) -> Project:
    """Return a project with a recorded test that was renamed since."""
    project.write(test_it=BEFORE)
    project.record().assert_outcomes(passed=3)
    project.write(test_it=RENAMED)
    return project


def test_the_message_names_both_and_the_cheapest_way_out_first(renamed: Project) -> None:
    result = renamed.run()
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        [
            f"E *CassetteNotFoundError: there is no cassette at *{NEW}, and mode 'none' runs nothing for real",
            f"E *was the test renamed or moved? {OLD} holds this call, and no test has it",
            "E *move it, and its view: pytest test_it.py::test_the_weather --snapshot-update",
            f"E *or the cassette alone: git mv {OLD} {NEW}",
            "E *record it: pytest test_it.py::test_the_weather --agenttape-record",
            f"orphan: {OLD} (no test claims it; may be that of test_it.py::test_the_weather; *moves it)",
        ],
        consecutive=False,
    )


def test_snapshot_update_moves_the_file_as_it_is_and_the_view(renamed: Project) -> None:
    before, view = (renamed.path / OLD).read_bytes(), renamed.path / "__snapshots__/test_it.ambr"
    told = view.read_text()
    result = renamed.run("--snapshot-update")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"moved: {OLD} to {NEW} (1 answer kept, 0 live calls)"])
    assert (renamed.files(), renamed.live()) == ([KEPT, NEW], [])
    assert (renamed.path / NEW).read_bytes() == before
    assert view.read_text() == told.replace("test_weather", "test_the_weather")
    renamed.run("--agenttape-strict").assert_outcomes(passed=3)


def test_git_mv_alone_is_a_replay(renamed: Project) -> None:
    (renamed.path / OLD).rename(renamed.path / NEW)
    renamed.write(test_it=RENAMED.replace("agenttape_cassette.assert_snapshot()", ""))
    renamed.run("--agenttape-strict").assert_outcomes(passed=3)


@pytest.mark.parametrize("is_gone", [True, False], ids=["whole file", "one test"])
def test_a_test_that_moved_to_another_file_takes_its_cassette_along(renamed: Project, is_gone: bool) -> None:
    if is_gone:
        (renamed.path / "test_it.py").unlink()
        renamed.write(test_other=BEFORE)
    else:
        kept, moved = BEFORE.split("    @pytest.mark.agenttape\n    def test_weather")
        renamed.write(
            test_it=kept,
            test_other=f"{kept.split('    @pytest')[0]}    @pytest.mark.agenttape\n    def test_weather{moved}",
        )
    result = renamed.run("--snapshot-update")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [f"moved: {OLD} to cassettes/test_other/test_weather.yaml (1 answer kept, 0 live calls)"]
    )
    assert renamed.live() == []
    assert OLD not in renamed.files()


def test_several_renamed_tests_and_parameters_find_their_own(project: Project) -> None:
    cells = """
        import pytest
        from agent import look_up

        @pytest.mark.agenttape
        @pytest.mark.parametrize("city", ["Rome", "Oslo", "Bern"], ids={ids})
        def test_{name}(city):
            look_up(city)
    """
    project.write(test_it=cells.format(ids=None, name="it"))
    project.record().assert_outcomes(passed=3)
    project.write(test_it=cells.format(ids=["Roma", "Oslo", "Berne"], name="city"))
    project.run("--snapshot-update").assert_outcomes(passed=3)
    assert project.live() == []
    assert [each.partition("[")[2] for each in project.files()] == ["Berne].yaml", "Oslo].yaml", "Roma].yaml"]


def test_what_changed_with_the_name_is_called_live_and_the_rest_kept(renamed: Project) -> None:
    renamed.write(test_it=RENAMED.replace('look_up("Rome")', 'look_up("Rome"); look_up("Bern")'))
    result = renamed.run("--snapshot-update", "test_it.py::test_the_weather")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"moved: {OLD} to {NEW} (1 answer kept, 1 live call)"])
    assert renamed.live() == ["look_up Bern"]
    assert renamed.files() == [KEPT, NEW]


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["one process", "a worker"])
def test_a_failing_renamed_test_loses_nothing(renamed: Project, workers: tuple[str, ...]) -> None:
    view = (renamed.path / "__snapshots__/test_it.ambr").read_text()
    renamed.write(test_it=RENAMED.replace("agenttape_cassette.assert_snapshot()", "assert False"))
    run = renamed.run_apart if workers else renamed.run
    run("--snapshot-update", *workers).assert_outcomes(failed=1, passed=2)
    assert renamed.files() == [KEPT, OLD]
    assert (renamed.path / "__snapshots__/test_it.ambr").read_text() == view


def test_the_cassette_of_a_test_that_was_not_selected_is_not_offered(renamed: Project) -> None:
    renamed.write(
        test_it=BEFORE + "\n    @pytest.mark.agenttape\n    def test_weather_too():\n        look_up('Rome')\n"
    )
    result = renamed.run("test_it.py::test_weather_too")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*renamed or moved*")
    result = renamed.run("test_it.py::test_weather_too", "--snapshot-update")
    assert renamed.live() == ["look_up Rome"]
    assert OLD in renamed.files()


def test_a_new_test_beside_a_deleted_one_that_asked_something_else_is_new(renamed: Project) -> None:
    renamed.write(test_it=RENAMED.replace('look_up("Rome")', 'look_up("Bern")'))
    result = renamed.run("--snapshot-update")
    result.assert_outcomes(passed=3)
    assert renamed.live() == ["look_up Bern"]
    result.stdout.fnmatch_lines([f"created: {NEW} (1 live call)", f"deleted: {OLD} (no test claims it)"])


def test_workers_move_it_too(renamed: Project) -> None:
    result = renamed.run_apart("-p", "xdist", "-n", "2", "--snapshot-update")
    result.assert_outcomes(passed=3)
    assert (renamed.files(), renamed.live()) == ([KEPT, NEW], [])
