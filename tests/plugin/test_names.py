"""Every test has its own cassette, and unusable names are reported before anything runs."""

from __future__ import annotations

import textwrap

import pytest

from tests.plugin.project import Project


def recorded(project: Project, source: str, *args: str, **others: str) -> list[str]:
    """Record *source*, replay it with nothing live, and return the cassettes."""
    project.write(test_it="import pytest\nfrom agent import look_up\n" + textwrap.dedent(source), **others)
    result = project.run("--agenttape-record", *args)
    assert result.ret == 0
    project.live()
    project.run(*args).assert_outcomes(passed=result.parseoutcomes()["passed"])
    assert project.live() == []
    return [file.removeprefix("cassettes/") for file in project.files()]


def test_a_test_names_its_file(project: Project) -> None:
    assert recorded(
        project,
        """
        @pytest.mark.agenttape
        def test_plain(): look_up("a")

        class TestOuter:
            class TestInner:
                @pytest.mark.agenttape
                def test_nested(self): look_up("b")

        @pytest.mark.agenttape
        @pytest.mark.parametrize("x", ["a/b", "a:b", "a b"])
        def test_many(x): look_up(x)
        """,
    ) == [
        "test_it/TestOuter.TestInner.test_nested.yaml",
        "test_it/test_many[a b].yaml",
        "test_it/test_many[a_b]-0dff896b.yaml",
        "test_it/test_many[a_b]-1979f2e7.yaml",
        "test_it/test_plain.yaml",
    ]


def test_the_same_test_in_two_modules_has_two_files(project: Project) -> None:
    same = "import pytest\nfrom agent import look_up\n\n@pytest.mark.agenttape\ndef test_same(): look_up('a')\n"
    assert recorded(project, same, test_other=same) == ["test_it/test_same.yaml", "test_other/test_same.yaml"]


def test_ids_that_differ_only_by_case_keep_their_files_however_the_run_is_narrowed(project: Project) -> None:
    source = """
        @pytest.mark.agenttape
        @pytest.mark.parametrize("city", ["Paris", "paris"])
        def test_trip(city): look_up(city)
    """
    files = recorded(project, source)
    assert len({file.lower() for file in files}) == 2
    for city in ("Paris", "paris"):
        project.run(f"test_it.py::test_trip[{city}]").assert_outcomes(passed=1)
    project.run("-k", "paris").assert_outcomes(passed=2)
    assert project.live() == []
    (project.path / "cassettes").rename(project.path / "before")
    project.run("--agenttape-record", "test_it.py::test_trip[paris]").assert_outcomes(passed=1)
    assert [file.removeprefix("cassettes/") for file in project.files()] == [
        file for file in files if "Paris" not in file
    ]


def test_explicit_names(project: Project) -> None:
    assert recorded(
        project,
        """
        @pytest.mark.agenttape("weather")
        def test_a(): look_up("a")

        @pytest.mark.agenttape(cassette="travel/weather")
        def test_b(): look_up("b")

        @pytest.mark.agenttape("many")
        @pytest.mark.parametrize("x", ["1", "2"])
        def test_c(x): look_up(x)

        @pytest.mark.agenttape("as.json")
        def test_d(): look_up("d")
        """,
    ) == ["as.json", "many[1].yaml", "many[2].yaml", "travel/weather.yaml", "weather.yaml"]


def test_a_name_on_a_class_or_a_module_is_a_folder(project: Project) -> None:
    assert recorded(
        project,
        """
        pytestmark = pytest.mark.agenttape("all")

        def test_a(): look_up("a")

        @pytest.mark.agenttape("some")
        class TestB:
            def test_b(self): look_up("b")

            @pytest.mark.agenttape("one")
            def test_c(self): look_up("c")
        """,
    ) == ["all/test_a.yaml", "one.yaml", "some/test_b.yaml"]


def test_markers_are_merged_key_by_key_and_the_closest_wins(project: Project) -> None:
    files = recorded(
        project,
        """
        pytestmark = pytest.mark.agenttape(format="json", tags=["module"])

        @pytest.mark.agenttape(tags=["class"], format="yaml")
        class TestIt:
            @pytest.mark.agenttape(tags=["test"])
            def test_it(self, agenttape_cassette):
                look_up("a")
                assert agenttape_cassette.interactions[0].tags == ("test",)

            def test_other(self, agenttape_cassette):
                look_up("a")
                assert agenttape_cassette.interactions[0].tags == ("class",)

        def test_module(agenttape_cassette):
            look_up("a")
            assert agenttape_cassette.interactions[0].tags == ("module",)
        """,
    )
    assert files == ["test_it/TestIt.test_it.yaml", "test_it/TestIt.test_other.yaml", "test_it/test_module.json"]


def test_the_format_is_for_new_cassettes(project: Project) -> None:
    source = """
        @pytest.mark.agenttape("travel")
        class TestTravel:
            def test_it(self): look_up("a")

        @pytest.mark.agenttape("named")
        @pytest.mark.parametrize("x", [1])
        def test_named(x): look_up("b")

        @pytest.mark.agenttape
        def test_plain(): look_up("c")
    """
    project.ini("agenttape_format = json")
    files = recorded(project, source)
    assert files == ["named[1].json", "test_it/test_plain.json", "travel/test_it.json"]
    project.ini("agenttape_format = yaml")
    assert recorded(project, source, "--agenttape-strict") == files
    project.run("--snapshot-update").assert_outcomes(passed=3)
    assert project.live() == []


@pytest.mark.parametrize(
    "mark", ["item.add_marker(pytest.mark.agenttape)", "item.own_markers.append(pytest.mark.agenttape.mark)"]
)
def test_a_marker_added_by_a_conftest_counts(project: Project, mark: str) -> None:
    conftest = f"import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n        {mark}\n"
    assert recorded(project, "def test_it(): look_up('a')", conftest=conftest) == ["test_it/test_it.yaml"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("modes='all'", "unknown marker option 'modes'. Did you mean 'mode'[?] Valid: cassette, mode, live, frozen, *"),
        ("mode='al'", "unknown mode 'al'. Did you mean 'all'[?] Valid: none, once, new_episodes, refresh, all, record"),
        ("'../up'", "cassette name '../up' contains '..', which leaves or repeats a folder; *"),
        ("'/tmp/x'", "cassette name '/tmp/x' has an empty part, or starts or ends with a slash; *"),
        ("'nul'", "cassette name 'nul' contains 'nul', which is a device on Windows; *"),
        ("live='tool', frozen='llm'", "live and frozen exclude each other; give one of them"),
        ("format='xml'", "unknown format 'xml'.* Valid: yaml, json"),
        ("freeze='clok'", "unknown freeze feature 'clok'. Did you mean 'clock'[?] Valid: clock, uuid, random"),
        ("matchers='exat'", "unknown matcher 'exat'. Did you mean 'exact'[?] Valid: *"),
        (
            "allow_errors=[200]",
            "allow_errors takes True, statuses from 400 to 599, *; found 200",
        ),
        ("'a', 'b'", "the marker takes one cassette name, found ('a', 'b')"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_runs(project: Project, marker: str, message: str) -> None:
    project.write(
        test_it=f"""
        import pytest
        from agent import look_up

        def test_first(): look_up("ran")

        @pytest.mark.agenttape({marker})
        def test_it(): look_up("a")
        """
    )
    result = project.run("--agenttape-record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: agenttape: test_it.py::test_it: {message}"])
    assert project.live() == []


def test_a_worker_of_xdist_says_it_too(project: Project) -> None:
    pytest.importorskip("xdist")
    project.write(test_it='import pytest\n@pytest.mark.agenttape("../up")\ndef test_it(): ...\n')
    result = project.run_apart("-p", "xdist", "-n1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["agenttape: test_it.py::test_it: cassette name '../up' contains '..', *"])


TWO = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape({first})
    def test_a(): look_up("a")

    @pytest.mark.agenttape({second})
    def test_b(): look_up("a")
"""


@pytest.mark.parametrize(
    ("first", "second"), [("'x'", "'x'"), ("'x'", "'X'"), ("'x.yaml'", "'x'")], ids=["same", "case", "extension"]
)
def test_two_tests_that_would_record_one_file_are_told_so(project: Project, first: str, second: str) -> None:
    project.write(test_it=TWO.format(first=first, second=second))
    result = project.run("--agenttape-record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: agenttape: 2 tests would record the same cassette, */cassettes/x.yaml: test_it.py::test_a, "
            "test_it.py::test_b; give each its own name, or set mode='none' to share it"
        ]
    )
    assert project.live() == []


def test_two_tests_may_replay_one_file(project: Project) -> None:
    project.write(test_it=TWO.format(first="'x'", second="'x'"))
    project.run("--agenttape-record", "test_it.py::test_a").assert_outcomes(passed=1)
    project.live()
    project.run().assert_outcomes(passed=2)
    assert project.live() == []


def test_a_mistake_of_many_tests_is_told_once(project: Project) -> None:
    (project.path / "agenttape.toml").write_text("formt = 'yaml'\n")
    project.write(
        test_it="import pytest\n@pytest.mark.agenttape\n@pytest.mark.parametrize('x', range(9))\ndef test_it(x): pass\n"
    )
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: agenttape: test_it.py::test_it[[]0] and 8 more: */agenttape.toml: formt*"])


def test_the_fixture_without_a_marker_says_what_is_missing(project: Project) -> None:
    project.write(test_it="def test_it(agenttape_cassette): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E *test_it.py::test_it uses agenttape_cassette, but has no marker; add @pytest.mark.agenttape to the test",
            "test_it.py:1: UsageError",
        ]
    )
    result.stdout.no_fnmatch_line("*FixtureRequest*")  # our code


def test_an_unknown_mode_on_the_command_line_names_the_valid_ones(project: Project) -> None:
    project.write(test_it="def test_it(): pass\n")
    result = project.run("--agenttape-mode=al")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--agenttape-mode: invalid choice: 'al' (choose from *none*once*record*)"])
