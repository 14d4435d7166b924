"""`--agenttape-block-network`: tests without a marker make no connection that leaves the machine, either."""

from __future__ import annotations

import pytest

from tests.plugin.project import Origin, Project

TEST = """
    import os, socket
    import httpx2
    import pytest

    @pytest.fixture(scope="module")
    def wide():
        yield
        with pytest.raises(Exception, match="blocked: --agenttape-block-network"):
            socket.getaddrinfo("wide.invalid", 80)

    @pytest.mark.agenttape
    def test_marked():
        socket.getaddrinfo("api.invalid", 443)

    def test_unmarked(wide):
        socket.getaddrinfo("api.invalid", 443)

    def test_http():
        httpx2.get("https://api.invalid/x")

    def test_loopback():
        assert httpx2.get(os.environ["ORIGIN"] + "/x").json() == {"said": "hello"}
"""


def test_connections_of_unmarked_tests_are_refused(project: Project, origin: Origin) -> None:
    project.write(test_it=TEST)
    result = project.run("--agenttape-block-network")
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(
        [
            "E *NetworkBlockedError: connection to api.invalid:443 blocked: in replay nothing leaves the machine",
            "E *NetworkBlockedError: connection to api.invalid:443 blocked: --agenttape-block-network",
            "E *in *test_it.py::test_unmarked",
            'E *allow it  allow_hosts = [[]"api.invalid"[]] in agenttape.toml; or mark the test with agenttape, *',
        ]
    )
    assert origin.asked == ["/x"]


def test_what_is_allowed_passes(project: Project) -> None:
    project.ini("agenttape_allow_hosts = api.invalid")
    project.write(test_it=TEST)
    result = project.run("--agenttape-block-network", "-k", "unmarked", "-p", "no:randomly")
    assert "NetworkBlockedError" not in result.stdout.str()
    result.stdout.fnmatch_lines(["E *gaierror*"])


def test_without_the_flag_they_are_not(project: Project) -> None:
    project.write(test_it=TEST)
    result = project.run("-k", "unmarked")
    assert "NetworkBlockedError" not in result.stdout.str()


@pytest.mark.parametrize("mode", ["all", "once"])
def test_a_marked_test_may_record(project: Project, origin: Origin, mode: str) -> None:
    project.write(
        test_it="""
        import os
        import httpx2, pytest

        @pytest.mark.agenttape
        def test_it(): assert httpx2.get(os.environ["ORIGIN"] + "/x").json() == {"said": "hello"}
        """
    )
    project.run("--agenttape-block-network", f"--agenttape-mode={mode}").assert_outcomes(passed=1)
    assert origin.asked == ["/x"]


def test_a_marked_test_that_is_disabled_is_one_without_a_marker(project: Project) -> None:
    project.write(test_it=TEST)
    result = project.run("--agenttape-block-network", "--agenttape-disable", "-k", "test_marked")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *NetworkBlockedError: connection to api.invalid:443 blocked: --agenttape-block-network"]
    )
