"""Tests without the marker are not affected."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TESTS = """
    import unittest

    import pytest

    from pytest_agenttape import active_session

    SESSION = "_agenttape_session"


    def test_unmarked(request):
        assert active_session() is None
        assert SESSION not in request.fixturenames


    @pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.agenttape(mode="once")), 3])
    def test_one_of_several(number, request):
        assert (active_session() is not None) == (number == 2)
        assert (SESSION in request.fixturenames) == (number == 2)


    class TestOld(unittest.TestCase):
        def test_unmarked(self):
            assert active_session() is None

        @pytest.mark.agenttape(mode="once")
        def test_marked(self):
            assert active_session() is not None
"""
FIXTURES = """
    import pytest

    @pytest.fixture(params=[1])
    def asks(request):
        return request.param

    def test_plain():
        pass

    def test_with_a_fixture_that_asks(asks):
        assert asks == 1

    def test_that_asks(request):
        assert request.node.name == "test_that_asks"

    @pytest.mark.usefixtures("request")
    def test_that_is_told_to_ask():
        pass
"""


def test_our_fixture_is_set_up_for_marked_tests_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    pytester.runpytest().assert_outcomes(passed=6)


@pytest.mark.parametrize("ours", [[], ["_agenttape_session"]], ids=["unmarked", "marked"])
def test_a_test_has_the_fixtures_that_it_has_without_us(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ours: list[str]
) -> None:
    """Not `request`, for one, which pytest would set up for ours alone: that takes longer than all else that we do."""
    pytester.makepyfile(FIXTURES + ("\n    pytestmark = pytest.mark.agenttape" if ours else ""))
    collected = []
    for plugins in ("", "pytest_agenttape.plugin"):
        monkeypatch.setenv("PYTEST_PLUGINS", plugins)
        items, _ = pytester.inline_genitems()
        collected.append({each.name: sorted(vars(each)["fixturenames"]) for each in items})
    assert collected[1] == {name: sorted([*before, *ours]) for name, before in collected[0].items()}
    assert collected[1]["test_plain"] == ours
    pytester.runpytest().assert_outcomes(passed=4)


def test_a_plain_project_reads_nothing_about_pytest_asyncio(project: Project) -> None:
    project.write(test_it="def test_it(): ...")
    result = project.run_apart()
    result.assert_outcomes(passed=1)
    assert 'asyncio_default_fixture_loop_scope"' not in f"{result.stdout}{result.stderr}"
    project.ini("asyncio_mode = auto")
    result = project.run_apart()
    result.stderr.fnmatch_lines(["*asyncio_default_fixture_loop_scope*"])
