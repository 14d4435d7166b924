"""Cassettes that no test claims any more are listed, and deleted only if the user asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.plugin.project import Origin, Project

TWO = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_kept(): look_up("a")

    @pytest.mark.agenttape
    def test_gone(): look_up("b")
"""
ONE = TWO.replace("def test_gone", "def _gone").replace("    @pytest.mark.agenttape\n    def _gone", "    def _gone")
KEPT, GONE = "cassettes/test_it/test_kept.yaml", "cassettes/test_it/test_gone.yaml"
ORPHAN = f"orphan: {GONE} (no test claims it; --snapshot-update deletes it)"


@pytest.fixture
def orphaned(project: Project) -> Project:
    """Return a project that has lost a test."""
    project.write(test_it=TWO)
    project.record().assert_outcomes(passed=2)
    project.write(test_it=ONE)
    return project


def test_they_are_named_without_a_flag(orphaned: Project) -> None:
    result = orphaned.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines([ORPHAN])
    assert orphaned.files() == [GONE, KEPT]


def test_snapshot_update_deletes_them_and_says_so(orphaned: Project) -> None:
    result = orphaned.run("--snapshot-update")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"deleted: {GONE} (no test claims it)"])
    assert orphaned.files() == [KEPT]


def test_snapshot_no_cleanup_keeps_them(orphaned: Project) -> None:
    result = orphaned.run("--snapshot-update", "--snapshot-no-cleanup")
    result.stdout.fnmatch_lines([ORPHAN])
    assert orphaned.files() == [GONE, KEPT]


def test_under_ci_snapshot_update_deletes_nothing(orphaned: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    orphaned.run("--snapshot-update").stdout.fnmatch_lines([ORPHAN])
    assert orphaned.files() == [GONE, KEPT]


def test_strict_fails_the_run(orphaned: Project) -> None:
    result = orphaned.run("--agenttape-strict")
    result.stdout.fnmatch_lines(["strict: the run fails for 1 orphan (--agenttape-strict)"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([ORPHAN])


NARROWED: dict[str, Sequence[str]] = {
    "node id": ["test_it.py::test_kept"],
    "file": ["test_it.py"],
    "last failed": ["--lf"],
    "ignore": ["--ignore=other"],
    "ignore-glob": ["--ignore-glob=other*"],
    "deselect": ["--deselect=test_it.py::test_x"],
    "collect only": ["--collect-only"],
    "other names of tests": ["-o", "python_functions=test_k*"],
}


@pytest.mark.parametrize("args", NARROWED.values(), ids=NARROWED)
def test_a_narrowed_run_does_not_judge(orphaned: Project, args: Sequence[str]) -> None:
    result = orphaned.run("--snapshot-update", *args)
    result.stdout.no_fnmatch_line("orphan:*")
    assert orphaned.files() == [GONE, KEPT]


def test_what_stands_beside_the_folder_of_a_run_is_not_judged(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project.path)
    project.write(test_it=TWO)
    project.record().assert_outcomes(passed=2)
    (project.path / "test_it.py").unlink()
    project.write(sub__test_other=ONE)
    project.run("--agenttape-record", "sub").assert_outcomes(passed=1)
    result = project.run("--snapshot-update", "sub")
    result.stdout.no_fnmatch_line("*orphan*")
    result.stdout.no_fnmatch_line("*deleted*")
    assert {KEPT, GONE} <= set(project.files())
    project.run().stdout.fnmatch_lines([ORPHAN])


@pytest.mark.parametrize("args", [["-k", "nothing"], ["-m", "slow"]], ids=["-k", "-m"])
def test_what_is_deselected_is_claimed(project: Project, args: list[str]) -> None:
    project.write(test_it=TWO)
    project.record()
    project.run("--snapshot-update", *args)
    assert project.files() == [GONE, KEPT]


def test_tests_that_fail_or_skip_or_do_not_run_are_claimed(project: Project) -> None:
    project.write(test_it=TWO)
    project.record()
    project.write(test_it=TWO.replace('look_up("a")', "assert 0").replace('look_up("b")', "pytest.skip()"))
    project.run("--snapshot-update", "-x").assert_outcomes(failed=1)
    project.run("--snapshot-update").assert_outcomes(failed=1, skipped=1)
    assert project.files() == [GONE, KEPT]


def test_a_file_that_cannot_be_imported_stops_the_verdict(orphaned: Project) -> None:
    orphaned.write(test_broken="import nonsense_that_is_not_there")
    result = orphaned.run("--snapshot-update", "--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.no_fnmatch_line("orphan:*")
    assert orphaned.files() == [GONE, KEPT]


def test_a_file_that_is_skipped_at_import_keeps_its_cassettes(project: Project) -> None:
    other = TWO.replace("import pytest", "import pytest\n{}", 1)
    project.write(test_it=TWO, test_other=other.format(""))
    project.record()
    project.write(test_it=ONE, test_other=other.format("    pytest.importorskip('nonsense_that_is_not_there')"))
    project.run("--snapshot-update").assert_outcomes(passed=1, skipped=1)
    assert project.files() == [KEPT, "cassettes/test_other/test_gone.yaml", "cassettes/test_other/test_kept.yaml"]


def test_a_file_that_is_not_collected_keeps_its_cassettes_below_another_root(project: Project) -> None:
    project.write(other__test_deep=TWO, other__check_it="def test_it(): pass")
    project.ini("pythonpath = .")
    project.record()
    (project.path / "other" / "pytest.ini").write_text("[pytest]\npython_files = check_*.py\n")
    result = project.run_apart("--snapshot-update", "other")
    result.assert_outcomes(passed=1)
    assert len(project.files()) == 2


def test_a_test_file_that_is_gone_leaves_orphans(project: Project) -> None:
    project.ini("pythonpath = .")
    project.write(test_it=TWO, other__test_deep=TWO)
    project.record()
    (project.path / "other" / "test_deep.py").unlink()
    result = project.run("--snapshot-update")
    result.stdout.fnmatch_lines(["deleted: other/cassettes/test_deep/test_gone.yaml (no test claims it)"])
    assert project.files() == [GONE, KEPT]


def test_all_tests_that_lost_their_marker_leave_orphans(project: Project) -> None:
    project.write(test_it=TWO)
    project.record()
    project.write(test_it="def test_it(): pass")
    result = project.run()
    result.stdout.fnmatch_lines([f"orphan: {GONE} (*", f"orphan: {KEPT} (*"])


def test_the_cassette_of_a_block_is_nobodys_orphan(orphaned: Project) -> None:
    orphaned.write(
        test_block="""
        from agent import look_up
        from pytest_agenttape import use_cassette

        def test_it():
            with use_cassette("block", mode="all"):
                look_up("c")
        """
    )
    foreign = orphaned.path / "cassettes" / "vcr.yaml"
    foreign.write_text("interactions: []\nversion: 1\n")
    for _ in range(2):
        orphaned.run("--snapshot-update").assert_outcomes(passed=2)
    assert orphaned.files() == ["cassettes/block.yaml", KEPT, "cassettes/vcr.yaml"]


def test_what_belongs_to_a_cassette_goes_and_stays_with_it(project: Project, origin: Origin) -> None:
    big = TWO.replace("look_up(", "fetch(").replace("from agent import look_up", "from big import fetch")
    project.write(
        big="""
        import os, httpx

        def fetch(city):
            return httpx.get(os.environ["ORIGIN"] + "/big/" + city)
        """,
        test_it=big,
    )
    (project.path / "agenttape.toml").write_text("assets_threshold_bytes = 1000\n")
    project.record().assert_outcomes(passed=2)
    assets = [file for file in project.files() if ".assets/" in file]
    assert (len(assets), origin.asked) == (2, ["/big/a", "/big/b"])
    derived = project.path / "cassettes" / "test_it" / "test_kept.derived.yaml"
    derived.write_bytes(project.cassette("test_it/test_kept.yaml").read_bytes())
    project.write(
        test_it=ONE.replace("look_up(", "fetch(").replace("from agent import look_up", "from big import fetch")
    )
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.files() == [
        next(asset for asset in assets if "test_kept" in asset),
        "cassettes/test_it/test_kept.derived.yaml",
        KEPT,
    ]


def test_under_xdist_the_workers_claims_are_put_together(orphaned: Project) -> None:
    result = orphaned.run_apart("-p", "xdist", "-n2", "--snapshot-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"deleted: {GONE} (no test claims it)"])
    assert orphaned.files() == [KEPT]


def test_a_lost_worker_stops_the_verdict(orphaned: Project) -> None:
    orphaned.write(test_crash="import os\ndef test_crash(): os._exit(3)")
    result = orphaned.run_apart("-p", "xdist", "-n2", "--snapshot-update")
    result.stdout.fnmatch_lines(["*worker 'gw*' crashed*"])
    result.stdout.no_fnmatch_line("orphan:*")
    assert orphaned.files() == [GONE, KEPT]
