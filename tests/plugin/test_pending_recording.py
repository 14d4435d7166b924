"""The paid-for calls of a failed recording are kept as pending and can be accepted without a second live run."""

from __future__ import annotations

import os
import time

import pytest

from tests.plugin.project import AGENT, Origin, Project
from tests.standin import StandInProvider

WRONG = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        assert look_up("Rome")["answer"] == "right"
"""
NAME = "cassettes/test_it/test_it.yaml"


def fail_to_record(project: Project) -> None:
    project.write(test_it=WRONG)
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"pending: {NAME} is unchanged; the recording of test_it.py::test_it is kept in .pytest_cache/*.yaml",
            "         accept it with --snapshot-update, without a second live run",
        ]
    )
    assert project.live() == ["look_up Rome"]


def pending(project: Project) -> list[str]:
    return [path.name for path in (project.path / ".pytest_cache" / "d" / "agenttape").glob("*.yaml")]


def test_the_next_snapshot_update_accepts_it_with_no_live_call(project: Project) -> None:
    fail_to_record(project)
    project.write(test_it=WRONG.replace("right", "old"))
    result = project.run("--snapshot-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"created: {NAME} (0 live calls, 1 answer from its pending recording)"])
    assert project.live() == []
    assert project.calls() == ["Rome"]
    assert pending(project) == []
    project.run().assert_outcomes(passed=1)
    assert project.live() == []


def test_a_test_that_still_fails_leaves_it_pending(project: Project) -> None:
    fail_to_record(project)
    result = project.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"unchanged: {NAME} (1 answer from its pending recording)"])
    assert project.live() == []
    assert len(pending(project)) == 1
    assert project.files() == []
    project.write(test_it=WRONG.replace("assert look_up", 'look_up("Oslo")\n        assert look_up'))
    result = project.run("--snapshot-update")
    result.stdout.fnmatch_lines(["pending: *", "         with 1 answer from its pending recording"])
    assert project.live() == ["look_up Oslo"]


def test_only_what_changed_since_runs_live(project: Project) -> None:
    fail_to_record(project)
    project.write(test_it=WRONG.replace('"right"', '"old"\n        look_up("Oslo")'))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.live() == ["look_up Oslo"]
    assert project.calls() == ["Rome", "Oslo"]


def test_a_plain_run_does_not_use_it(project: Project) -> None:
    fail_to_record(project)
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *CassetteNotFoundError: there is no cassette at *test_it.yaml*"])
    assert len(pending(project)) == 1


def test_a_recording_that_succeeds_replaces_it(project: Project) -> None:
    fail_to_record(project)
    project.write(test_it=WRONG.replace("right", "old"))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert pending(project) == []


def test_it_is_stale_when_the_cassette_has_changed_since(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    right = WRONG.replace("right", "old")
    project.write(test_it=right)
    project.record()
    fail_to_record(project)
    monkeypatch.setenv("WORLD", "new")
    project.cassette().write_text(project.cassette().read_text().replace("answer: old", "answer: newer"))
    project.write(test_it=right.replace('"old"', '"newer"'))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.answers() == ["newer"]
    assert pending(project) == []


def test_an_old_one_is_pruned(project: Project) -> None:
    fail_to_record(project)
    [name] = pending(project)
    then = time.time() - 15 * 86400
    os.utime(project.path / ".pytest_cache" / "d" / "agenttape" / name, (then, then))
    project.run("--co")
    assert pending(project) == []


def test_that_of_a_test_that_is_gone_is_pruned(project: Project) -> None:
    fail_to_record(project)
    project.write(test_it="import pytest\n\n@pytest.mark.agenttape\ndef test_other(): pass\n")
    project.run()
    assert pending(project) == []


def test_without_the_cache_nothing_is_kept(project: Project) -> None:
    project.write(test_it=WRONG)
    result = project.run("--agenttape-record", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("pending:*")


def test_an_expected_failure_says_how_its_recording_gets_in(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(
        agent=AGENT,
        test_it="""
            import os, pytest
            from agent import look_up

            @pytest.mark.agenttape
            @pytest.mark.xfail
            def test_it():
                look_up(os.environ.get("CITY", "Paris"))
                assert 0
        """,
    )
    project.record()
    monkeypatch.setenv("CITY", "Oslo")
    project.run("--snapshot-update").stdout.fnmatch_lines(
        [
            "pending: *",
            "  *a skipped or expected-to-fail test replaces no cassette: delete it, then --snapshot-update",
        ]
    )
    project.cassette().unlink()
    project.run("--snapshot-update")
    assert project.calls() == ["Oslo"]


@pytest.mark.parametrize("broken", ["yield object()", "raise KeyboardInterrupt"], ids=["unrecordable", "interrupted"])
def test_a_stream_that_broke_off_in_the_middle_is_not_in_it_and_runs_live(project: Project, broken: str) -> None:
    test = """
        import pytest
        from agent import look_up, note
        from pytest_agenttape import tool

        @tool
        def search():
            note("search")
            yield 1
            {}

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
            assert list(search()) == [1, 2]
    """
    project.write(test_it=test.format(broken))
    project.run_apart("--agenttape-record")
    assert project.live() == ["look_up Rome", "search"]

    project.write(test_it=test.format("yield 2"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.live() == ["search"]
    project.run().assert_outcomes(passed=1)


ASKS_A_SERVICE = """
    import os, httpx, pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
        assert httpx.get(os.environ["SERVICE"] + "/answer", timeout=5).status_code == 200
"""


def test_a_service_that_was_down_is_asked_again(
    project: Project, origin: Origin, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(test_it=ASKS_A_SERVICE)
    monkeypatch.setenv("SERVICE", os.environ["ORIGIN"])
    project.record()
    origin.asked.clear()

    project.write(test_it=ASKS_A_SERVICE.replace("/answer", "/other"))
    standin_provider.stop()
    monkeypatch.setenv("SERVICE", standin_provider.refused_url)
    result = project.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("pending: *")  # there is no answer that could be accepted
    origin.statuses.append(404)
    monkeypatch.setenv("SERVICE", os.environ["ORIGIN"])
    result = project.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("pending: *")
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert origin.asked == ["/other", "/other"]
    assert project.live() == []
    project.run().assert_outcomes(passed=1)


def test_a_tool_that_was_repaired_runs_again_and_what_it_had_been_told_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(
        agent=AGENT,
        test_it="""
            import os, pytest
            from agent import look_up, note
            from pytest_agenttape import tool

            @tool
            def broken(city):
                note(f"broken {city}")
                found = look_up(city)
                return found[os.environ.get("KEY", "absent")]

            @pytest.mark.agenttape
            def test_it():
                assert look_up("Oslo")["answer"] == "old"
                assert broken("Rome") == "old"
        """,
    )
    project.run("--agenttape-record").assert_outcomes(failed=1)
    assert project.live() == ["look_up Oslo", "broken Rome", "look_up Rome"]
    monkeypatch.setenv("KEY", "answer")
    result = project.run("--snapshot-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"created: {NAME} (1 live call, 2 answers from its pending recording)"])
    assert project.live() == ["broken Rome"]
    project.run().assert_outcomes(passed=1)
    assert project.live() == []
