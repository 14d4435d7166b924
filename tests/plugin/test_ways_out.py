"""What a failing test says is short, none of it our code, and the command that it names works when it is pasted."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""


@pytest.mark.parametrize(
    ("said", "instead", "problem"),
    [
        pytest.param('version: "1"\n', "", "*: 'version' is missing*", id="no version"),
        pytest.param('version: "1"', 'version: "2"', "*: schema version '2' is not supported*", id="another version"),
        pytest.param(
            "kind: tool", "kind: fool", "*test_it.yaml:*: interaction #0: unknown kind 'fool'*", id="unknown kind"
        ),
    ],
)
def test_a_cassette_that_is_none_is_told_without_our_code(
    project: Project, said: str, instead: str, problem: str
) -> None:
    project.write(test_it=ONE)
    project.record()
    project.cassette().write_text(project.cassette().read_text().replace(said, instead))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *{problem}"])
    result.stdout.no_fnmatch_line("*pytest_agenttape/*.py:*")
