"""Tests without the marker are not affected."""

from __future__ import annotations

import pytest

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


def test_our_fixture_is_set_up_for_marked_tests_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    pytester.runpytest().assert_outcomes(passed=6)
