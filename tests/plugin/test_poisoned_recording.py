"""A live call whose failure was swallowed must not become a recording that tests replay."""

from __future__ import annotations

import pytest

from tests.plugin.project import Origin, Project
from tests.standin import StandInProvider

SWALLOWING = """
    import os, httpx, pytest

    @pytest.mark.agenttape({marker})
    def test_it():
        try:
            httpx.get(os.environ["ORIGIN"] + "{path}", timeout=0.3).raise_for_status()
        except httpx.HTTPError:
            pass
"""


@pytest.mark.parametrize("status", [401, 402, 403, 407, 408, 429, 503])
def test_it_is_refused_and_says_which_call(project: Project, origin: Origin, status: int) -> None:
    project.write(test_it=SWALLOWING.format(marker="", path="/answer"))
    origin.statuses.append(status)
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"E *RecordingRefusedError: a live call got status {status}, and the run went on as if nothing had "
            "happened; the recording is not kept",
            "E *call: #0 http GET http://127.0.0.1:*/answer*",
            f"E *allow it: allow_errors=[[]{status}[]], or True for all failures",
            "test_it.py:6: RecordingRefusedError",
        ]
    )
    assert project.files() == []


@pytest.mark.usefixtures("origin")
def test_a_timeout_is_refused(project: Project) -> None:
    project.write(test_it=SWALLOWING.format(marker="", path="/slow"))
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RecordingRefusedError: a live call failed with ReadTimeout, and the run went on*"])
    assert project.files() == []


def test_a_connection_that_cannot_be_made_is_recorded(project: Project, standin_provider: StandInProvider) -> None:
    source = SWALLOWING.replace('os.environ["ORIGIN"]', f'"{standin_provider.refused_url}"')
    project.write(test_it=source.format(marker="", path="/answer"))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("status", [400, 422])
def test_an_answer_about_the_request_itself_is_recorded(project: Project, origin: Origin, status: int) -> None:
    project.write(test_it=SWALLOWING.format(marker="", path="/answer"))
    origin.statuses.append(status)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/answer"]


@pytest.mark.parametrize("allowed", ["True", "[500, 429]"])
def test_allow_errors_lets_a_test_about_the_failure_record_it(project: Project, origin: Origin, allowed: str) -> None:
    project.write(test_it=SWALLOWING.format(marker=f"allow_errors={allowed}", path="/answer"))
    origin.statuses.append(429)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/answer"]


def test_allow_errors_for_another_status_does_not_count(project: Project, origin: Origin) -> None:
    project.write(test_it=SWALLOWING.format(marker="allow_errors=[500]", path="/answer"))
    origin.statuses.append(429)
    project.run("--agenttape-record").assert_outcomes(failed=1)


def test_a_retry_that_succeeds_makes_it_good(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
        import os, httpx, pytest

        @pytest.mark.agenttape
        def test_it():
            while httpx.get(os.environ["ORIGIN"] + "/answer").status_code != 200:
                pass
        """
    )
    origin.statuses.extend([429, 503])
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/answer"] * 3


def test_a_skip_after_it_writes_nothing(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
        import os, httpx, pytest

        @pytest.mark.agenttape
        def test_it():
            if httpx.get(os.environ["ORIGIN"] + "/answer").status_code == 429:
                pytest.skip("out of quota")
        """
    )
    origin.statuses.append(429)
    project.run("--agenttape-record").assert_outcomes(skipped=1)
    assert project.files() == []


def test_what_is_kept_aside_is_without_it(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
        import os, httpx, pytest

        @pytest.mark.agenttape
        def test_it():
            for path in ("/one", "/two"):
                httpx.get(os.environ["ORIGIN"] + path)
        """
    )
    origin.statuses.extend([200, 500])
    project.run("--agenttape-record").assert_outcomes(failed=1)
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert origin.asked == ["/one", "/two", "/two"]
    project.run().assert_outcomes(passed=1)
    assert len(origin.asked) == 3


def test_a_success_makes_no_later_failure_good(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
        import os, httpx, pytest

        @pytest.mark.agenttape
        def test_it():
            for _ in range(2):
                httpx.get(os.environ["ORIGIN"] + "/answer")
        """
    )
    origin.statuses.extend([200, 429])
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RecordingRefusedError: a live call got status 429, and the run went on*"])
    origin.statuses.extend([429, 200])
    project.run("--agenttape-record").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("kind", "error", "is_kept"),
    [
        ("llm", "TimeoutError()", False),
        ("llm", "ProviderError(429)", False),
        ("llm", "ProviderError(400)", True),
        ("llm", "ValueError()", True),
        ("tool", "TimeoutError()", True),
    ],
)
def test_a_failed_model_call_at_a_boundary_is_refused(
    project: Project, kind: str, error: str, *, is_kept: bool
) -> None:
    project.write(
        test_it=f"""
        import pytest
        from pytest_agenttape import record_call

        class ProviderError(Exception):
            def __init__(self, status_code):
                super().__init__(status_code)
                self.status_code = status_code

        def fail():
            raise {error}

        @pytest.mark.agenttape
        def test_it():
            try:
                record_call("{kind}", {{"prompt": "hi"}}, fail, boundary="ask")
            except Exception:
                pass
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=int(is_kept), failed=int(not is_kept))
    assert bool(project.files()) is is_kept
