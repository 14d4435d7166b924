"""`cassette_dir` moves the cassettes of tests, too: each folder of tests has one of its own below it."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TEST = """
    import sys
    from pathlib import Path

    import pytest

    sys.path.insert(0, str(Path(__file__).parents[2]))
    from agent import look_up

    @pytest.mark.agenttape
    def test_it(): assert look_up("a")["answer"] == "old"

    @pytest.mark.agenttape("shared")
    @pytest.mark.parametrize("city", ["x"])
    def test_named(city): look_up(city)
"""
TREE = ["test_it/test_it.yaml", "shared[x].yaml"]


@pytest.fixture
def moved(project: Project) -> Project:
    """Two folders of tests, and a folder for all of their cassettes."""
    (project.path / "agenttape.toml").write_text('cassette_dir = "recordings"\n')
    project.write(tests__one__test_it=TEST, tests__two__test_it=TEST)
    for folder in ("one", "two"):
        (project.path / "tests" / folder / "__init__.py").touch()
    return project


def found(project: Project) -> list[str]:
    return sorted(each.relative_to(project.path).as_posix() for each in project.path.rglob("*.yaml"))


def test_the_cassettes_of_each_folder_of_tests_have_their_place(moved: Project) -> None:
    moved.record().assert_outcomes(passed=4)
    assert found(moved) == sorted(f"recordings/tests/{folder}/{name}" for folder in ("one", "two") for name in TREE)
    moved.run().assert_outcomes(passed=4)
    moved.run("tests/one").assert_outcomes(passed=2)
    assert moved.live() == []


def test_it_does_not_depend_on_where_pytest_is_started(moved: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    moved.record()
    monkeypatch.chdir(moved.path / "tests" / "one")
    moved.run("--rootdir=.").assert_outcomes(passed=2)
    assert moved.live() == []


@pytest.mark.parametrize("place", ["tests/cassettes", "tests/one/tapes", "elsewhere/tapes"])
def test_any_folder_of_the_project_can_hold_them(moved: Project, place: str) -> None:
    (moved.path / "agenttape.toml").write_text(f'cassette_dir = "tests/../{place}"\n')
    moved.record().assert_outcomes(passed=4)
    assert len(found(moved)) == 4
    assert all(each.startswith(f"{place}/") for each in found(moved))
    moved.run().assert_outcomes(passed=4)
    assert moved.live() == []


def test_an_ini_key_sets_it(moved: Project) -> None:
    (moved.path / "agenttape.toml").unlink()
    moved.ini("agenttape_cassette_dir = tapes")
    moved.record().assert_outcomes(passed=4)
    assert "tapes/tests/one/test_it/test_it.yaml" in found(moved)


def test_orphans_are_named_and_deleted_there(moved: Project) -> None:
    moved.record()
    moved.write(tests__one__test_it=TEST.replace('test_it(): assert look_up("a")["answer"] == "old"', "_gone(): ..."))
    gone = "recordings/tests/one/test_it/test_it.yaml"
    moved.run().stdout.fnmatch_lines([f"orphan: {gone} (no test claims it; --snapshot-update deletes it)"])
    moved.run("--snapshot-update").stdout.fnmatch_lines([f"deleted: {gone} (no test claims it)"])
    assert gone not in found(moved)


def test_cassettes_of_a_folder_that_is_not_collected_are_no_orphans(moved: Project) -> None:
    moved.record()
    moved.write(conftest="collect_ignore = ['tests/two']", test_top="def test_top(): ...")
    for args in ((), ("tests/one",)):
        result = moved.run("--snapshot-update", *args)
        assert "orphan:" not in result.stdout.str()
        assert "deleted:" not in result.stdout.str()
    assert len(found(moved)) == 4


def test_a_name_finds_its_cassette_there(moved: Project) -> None:
    moved.record("tests/one")
    result = moved.run("--agenttape-show", "test_it/test_it")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*look_up(city='a')*"])


def test_the_fixture_comes_too_late_for_it(moved: Project) -> None:
    moved.write(tests__conftest="import pytest\n@pytest.fixture\ndef agenttape_config(): return {'cassette_dir': 'x'}")
    result = moved.run("--agenttape-record", "tests/one")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "E *ConfigError: cassette_dir = 'x': the fixture agenttape_config runs with the test, but its cassette is "
            "named before that; set cassette_dir as an ini key or in the configuration file"
        ]
    )


def test_a_name_in_a_marker_is_also_found_in_the_folder_itself(moved: Project) -> None:
    named = """
        import pytest
        from agent import look_up

        @pytest.mark.agenttape("trip")
        def test_trip(): look_up("a")

        @pytest.mark.agenttape("other", also="login")
        def test_other():
            look_up("login")
            look_up("b")
    """
    moved.write(
        test_blocks="""
        from agent import look_up
        from pytest_agenttape import record

        def test_it():
            record("trip")(look_up)("a")
            record("login")(look_up)("login")
        """
    )
    moved.run("test_blocks.py")
    moved.live()
    (moved.path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    moved.write(tests__one__test_it=named, tests__two__test_it=named.replace('@pytest.mark.agenttape("trip")', ""))
    moved.run("--agenttape-mode=once", "tests", "-k", "other").assert_outcomes(passed=2, deselected=2)
    assert moved.live() == ["look_up login", "look_up b"] * 2
    moved.run("tests", "-k", "trip and one or other").assert_outcomes(passed=3, deselected=1)
    assert moved.live() == []
    folders = ("recordings", "recordings/tests/one", "recordings/tests/two")
    assert [sorted(each.name for each in (moved.path / folder).glob("*.yaml")) for folder in folders] == [
        ["login.yaml", "trip.yaml"],
        ["other.yaml"],
        ["other.yaml"],
    ]
