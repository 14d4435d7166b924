"""One cassette for all parameter sets of a test, and further cassettes beside a test's own."""

from __future__ import annotations

import pytest

from tests.plugin.project import Origin, Project

SHARED = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape(shared=True)
    @pytest.mark.parametrize("city", ["a", "b", "c"])
    def test_it(city):
        look_up("login")
        assert look_up(city)["city"] == city
"""


@pytest.fixture
def cells(project: Project) -> Project:
    project.write(test_it=SHARED)
    return project


def test_all_parameter_sets_record_one_cassette(cells: Project) -> None:
    cells.run("--agenttape-record").assert_outcomes(passed=3)
    assert cells.live() == ["look_up login", "look_up a", "look_up b", "look_up c"]  # what one recorded, others replay
    assert cells.files() == ["cassettes/test_it/test_it.yaml"]
    assert cells.calls() == ["login", "a", "b", "c"]
    cells.run("--agenttape-strict").assert_outcomes(passed=3)
    assert cells.live() == []


@pytest.mark.parametrize("mode", ["once", "new_episodes", "refresh"])
def test_so_do_the_other_modes_that_record(cells: Project, mode: str) -> None:
    cells.run(f"--agenttape-mode={mode}").assert_outcomes(passed=3)
    assert cells.calls() == ["login", "a", "b", "c"]
    cells.live()
    cells.run(f"--agenttape-mode={mode}").assert_outcomes(passed=3)
    assert cells.live() == []


def test_recording_again_drops_what_no_set_asks_for(cells: Project) -> None:
    cells.record()
    cells.write(test_it=SHARED.replace('"b", ', ""))
    cells.record()
    assert cells.calls() == ["login", "a", "c"]


def test_snapshot_update_adds_and_drops_nothing(cells: Project) -> None:
    cells.record()
    cells.write(test_it=SHARED.replace('"c"]', '"c", "d"]'))
    cells.run("--snapshot-update").assert_outcomes(passed=4)
    assert cells.live() == ["look_up d"]
    assert cells.calls() == ["login", "a", "b", "c", "d"]


def test_a_set_that_fails_keeps_what_the_others_recorded(cells: Project) -> None:
    cells.write(test_it=SHARED.replace("== city", "== city != 'a'"))
    cells.run("--agenttape-record").assert_outcomes(passed=2, failed=1)
    assert cells.calls() == ["login", "b", "c"]


def test_one_set_alone_does_not_report_the_calls_of_others(cells: Project) -> None:
    cells.record()
    result = cells.run("test_it.py::test_it[b]", "--agenttape-strict")
    result.assert_outcomes(passed=1)
    assert "not played" not in result.stdout.str()


def test_a_call_that_no_set_makes_is_reported_once(cells: Project) -> None:
    cells.record()
    cells.write(test_it=SHARED.replace('look_up("login")', "pass"))
    result = cells.run("--agenttape-strict")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["unplayed: 1 in cassettes/test_it/test_it.yaml, shared by 3 tests; the run fails because strict is set"]
    )


def test_another_test_with_the_same_name_collides(cells: Project) -> None:
    cells.write(
        test_it=SHARED.replace("(shared=True)", '("cities", shared=True)')
        + '\n    @pytest.mark.agenttape("cities")\n    def test_other(): look_up("x")\n'
    )
    result = cells.run("--agenttape-record")
    result.stderr.fnmatch_lines(
        ["*2 tests would record the same cassette, *cities.yaml: test_it.py::test_it, test_it.py::test_other; *"]
    )


def test_workers_of_xdist_replay_it_but_do_not_record_it(cells: Project) -> None:
    pytest.importorskip("xdist")
    result = cells.run_apart("-p", "xdist", "-n2", "--agenttape-record")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "E *ConfigError: all parameter sets of test_it.py::test_it share test_it.yaml, and the workers of xdist "
            "would overwrite each other's recordings: record without -n"
        ]
    )
    cells.record()
    cells.run_apart("-p", "xdist", "-n2").assert_outcomes(passed=3)
    assert cells.live() == []


# -- further cassettes

BESIDE = """
    import pytest
    from agent import look_up

    @pytest.fixture
    def token(): return look_up("login")

    @pytest.mark.agenttape(also="login")
    def test_it(agenttape_cassette, token):
        look_up("a")
        agenttape_cassette.assert_tool_calls(["look_up"])

    @pytest.mark.agenttape(also=["login"])
    def test_other(token):
        look_up("b")

    @pytest.mark.agenttape("login")
    def test_login(): look_up("login")
"""


@pytest.fixture
def logged_in(project: Project) -> Project:
    project.write(test_it=BESIDE)
    project.record("test_it.py::test_login")
    return project


def test_a_shared_login_is_replayed_beside_each_tests_own_cassette(logged_in: Project) -> None:
    logged_in.run("--agenttape-record", "-k", "not login").assert_outcomes(passed=2, deselected=1)
    assert logged_in.live() == ["look_up login", "look_up a", "look_up login", "look_up b"]  # live, and recorded once
    assert logged_in.calls() == ["a"]
    assert logged_in.calls("test_it/test_other.yaml") == ["b"]
    logged_in.run("--agenttape-strict").assert_outcomes(passed=3)
    assert logged_in.live() == []


def test_the_secrets_of_each_cassette_keep_their_own_shapes(project: Project) -> None:
    project.write(
        test_it="""
        import uuid
        import pytest
        from pytest_agenttape import tool

        @tool
        def log_in():
            return {"access_token": "sk_live_" + "hT4vRm8KpXz2WnQ6YdLs9Gb3"}

        @tool
        def open_session():
            return {"session_token": "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"}

        @pytest.mark.agenttape("login")
        def test_login():
            log_in()

        @pytest.mark.agenttape(also="login")
        def test_it():
            assert log_in()["access_token"].startswith("sk_live_")
            assert uuid.UUID(open_session()["session_token"]).version == 4
        """
    )
    project.record("test_it.py::test_login")
    project.run("--agenttape-record", "-k", "not login").assert_outcomes(passed=1, deselected=1)
    project.run("--agenttape-strict").assert_outcomes(passed=2)


def test_a_cassette_that_is_not_there_is_named(project: Project) -> None:
    project.write(test_it=BESIDE)
    result = project.run("--agenttape-record", "-k", "not login and not other")
    result.assert_outcomes(errors=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["E *CassetteNotFoundError: there is no cassette at *login.yaml, which the marker names with also=*"]
    )
    assert project.live() == []


def test_a_live_token_comes_first(logged_in: Project) -> None:
    logged_in.write(test_it=BESIDE.replace('also=["login"]', 'also=["login"], live="look_up"'))
    logged_in.run("-k", "other").assert_outcomes(passed=1, deselected=2)
    assert logged_in.live() == ["look_up login", "look_up b"]


def test_a_block_in_a_fixture_is_another_way(project: Project) -> None:
    project.write(
        conftest="""
        import pytest
        from agent import look_up
        from pytest_agenttape import use_cassette

        @pytest.fixture
        def token():
            with use_cassette("cassettes/login.yaml", mode="once"):
                return look_up("login")
        """,
        test_it=BESIDE.replace("@pytest.fixture", "def _unused").replace("def token()", "def _token()", 1)
        .replace('(also="login")', "").replace('(also=["login"])', "").replace("def _unused", "")
        .replace('    def _token(): return look_up("login")', ""),
    )  # fmt: skip
    project.run("--agenttape-record", "-k", "not login").assert_outcomes(passed=2, deselected=1)
    assert project.live() == ["look_up login", "look_up a", "look_up b"]
    assert project.calls("login.yaml") == ["login"]
    assert project.calls() == ["a"]


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("also=[]", "also takes names of cassettes, such as also=['login'], found []"),
        ("also=3", "also takes names of cassettes, such as also=['login'], found 3"),
        ("also='../x'", "cassette name '../x' contains '..'"),
        ("shared=1", "shared must be True or False, found 1"),
    ],
)
def test_a_wrong_option_is_an_error_at_collection(project: Project, marker: str, text: str) -> None:
    project.write(test_it=f"import pytest\n@pytest.mark.agenttape({marker})\ndef test_it(): ...\n")
    result = project.run()
    assert text in result.stderr.str()


SECRET = """
    import os
    import httpx2, pytest
    from agent import note
    from pytest_agenttape import tool

    @tool
    def log_in(user):
        note("log_in")
        return {"token": os.environ.get("WORLD_TOKEN", "tok-5f4dcc3b5aa765d61d8327deb882cf99")}

    @tool
    def buy(what, token):
        note(f"buy {what} {token}")
        return what

    @pytest.mark.agenttape("login")
    def test_login(): log_in("ann")

    @pytest.mark.agenttape(also="login")
    def test_it():
        token = log_in("ann")["token"]
        buy("tea", token)
        httpx2.get(os.environ["ORIGIN"] + "/a", headers={"authorization": f"Bearer {token}"})
"""
TOKEN = "tok-5f4dcc3b5aa765d61d8327deb882cf99"


def test_live_calls_get_the_real_token_of_a_shared_login(project: Project, origin: Origin) -> None:
    project.write(test_it=SECRET)
    project.record("test_it.py::test_login")
    project.run("--agenttape-record", "test_it.py::test_it").assert_outcomes(passed=1)
    assert project.live() == ["log_in", f"buy tea {TOKEN}"]
    assert TOKEN not in project.cassette().read_text() + project.cassette("login.yaml").read_text()
    origin.asked.clear()
    project.run("--agenttape-strict").assert_outcomes(passed=2)
    assert (project.live(), origin.asked) == ([], [])


def test_what_stands_for_the_token_is_never_sent(project: Project, origin: Origin) -> None:
    project.write(test_it=SECRET)
    project.record("test_it.py::test_login")
    project.record("test_it.py::test_it")
    project.write(test_it=SECRET.replace('"tea"', '"milk"'))
    origin.asked.clear()
    result = project.run("--snapshot-update", "test_it.py::test_it")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *RecordingRefusedError: buy(what='milk', *) would send REDACTED*; nothing was sent"]
    )
    assert (project.live(), origin.asked) == ([], [])
