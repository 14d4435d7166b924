"""The undocumented names of pytest and syrupy that we use exist; if one is missing, the error names it."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_agenttape.plugin import pytest_privates
from pytest_agenttape.plugin.syrupy import keep_views
from tests.plugin.project import Project

MARKED = """
    import unittest

    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    @pytest.mark.parametrize("city", ["Rome", "Oslo"])
    def test_it(city):
        look_up(city)

    class TestCase(unittest.TestCase):
        @pytest.mark.agenttape
        def test_case(self):
            look_up("Bern")
"""


@pytest.fixture(scope="module")
def asked_for(request: pytest.FixtureRequest) -> tuple[pytest.Item, pytest.FixtureDef[Any]]:
    item = pytest_privates.asking_item(request)
    return item, pytest_privates.fixture_definitions(item, "asked_for")[-1]


def setup_module() -> None:
    """Become a fixture that pytest creates."""


class TestTheNamesThatWeNeedAreThere:
    def test_on_a_request(self, request: pytest.FixtureRequest, asked_for: tuple[pytest.Item, object]) -> None:
        assert pytest_privates.asking_item(request) is request.node
        item, _ = asked_for
        assert item.path == request.node.path

    def test_on_a_context_that_catches(self) -> None:
        one, several = pytest.raises(ValueError), pytest.raises((KeyError, OSError))
        assert (pytest_privates.expected_types(one), pytest_privates.expected_types(several)) == (
            (ValueError,),
            (KeyError, OSError),
        )
        assert isinstance(one, tuple(pytest_privates.raises_contexts()))

    def test_on_an_item(self, request: pytest.FixtureRequest, asked_for: tuple[object, object]) -> None:
        _, definition = asked_for
        item: pytest.Item = request.node
        assert list(pytest_privates.fixture_definitions(item, "asked_for")) == [definition]
        assert not pytest_privates.fixture_definitions(item, "unknown")
        assert pytest_privates.scope_of(item, "asked_for") == "module"
        assert pytest_privates.scope_of(item, "unknown") is None
        assert not pytest_privates.is_testcase(item)
        assert pytest_privates.testcase_failure(item) is None

    def test_on_a_fixture(self, asked_for: tuple[object, Any]) -> None:
        _, definition = asked_for
        kept = definition.cached_result
        assert kept is not None
        error = ValueError()
        try:
            pytest_privates.fail_for_all(definition, error)
            kept_now = definition.cached_result[2]
            assert (kept_now[0] if isinstance(kept_now, tuple) else kept_now) is error
        finally:
            definition.cached_result = kept

    @pytest.mark.parametrize(("version", "has_a_traceback"), [((8, 2, 0), False), ((8, 3, 0), True), ((9, 2, 0), True)])
    def test_on_a_fixture_s_error(
        self, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], has_a_traceback: bool
    ) -> None:
        monkeypatch.setattr(pytest, "version_tuple", version)
        definition, error = SimpleNamespace(cached_result=(1, "key", None)), ValueError()
        pytest_privates.fail_for_all(definition, error)  # type: ignore[arg-type]  # all that it has to have
        assert definition.cached_result == (None, "key", (error, None) if has_a_traceback else error)

    def test_on_the_terminal(self, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest_privates.capture_paused(pytestconfig):
            print(end="")
        print("captured")
        assert capsys.readouterr().out == "captured\n"

    def test_of_what_is_there_before_a_run(self, pytestconfig: pytest.Config) -> None:
        output = io.StringIO()
        pytest_privates.terminal_writer(pytestconfig, output).line("written")
        assert output.getvalue() == "written\n"
        assert issubclass(pytest_privates.conftest_failure(), Exception)

    def test_of_what_imports_modules(self, pytestconfig: pytest.Config) -> None:
        hook: Any = pytestconfig.pluginmanager.rewrite_hook
        before = {*hook._must_rewrite}
        hook.mark_rewrite("a_plugin", "a_plugins_neighbour")
        pytest_privates.leave_as_written(pytestconfig.pluginmanager, "a_plugin")
        assert hook._must_rewrite == {*before, "a_plugins_neighbour"}
        pytest_privates.leave_as_written(pytestconfig.pluginmanager, "a_plugins_neighbour")

    def test_of_what_runs_a_test(self) -> None:
        assert callable(pytest_privates.private(pytest_privates.pytest_runner, "runtestprotocol"))

    def test_of_the_fixtures_that_stand_for_xunit_functions(self, request: pytest.FixtureRequest) -> None:
        found = map(pytest_privates.xunit_function, request.fixturenames)
        assert [each for each in found if each] == ["setup_module"]

    def test_during_collection_and_in_a_testcase(self, project: Project) -> None:
        project.write(
            conftest="""
            import pytest
            from pytest_agenttape.plugin import pytest_privates

            def pytest_collection_modifyitems(items):
                assert [each.name for each in pytest_privates.collected_with(items[0])] == ["test_it[0]", "test_it[1]"]

            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_call(item):
                yield
                if pytest_privates.is_testcase(item):
                    assert isinstance(pytest_privates.testcase_failure(item), ZeroDivisionError)
                    pytest_privates.forget_testcase_failure(item)
                    assert pytest_privates.testcase_failure(item) is None
            """,
            test_it="""
            import unittest

            import pytest

            @pytest.mark.parametrize("number", [0, 1])
            def test_it(number):
                pass

            class TestCase(unittest.TestCase):
                def test_case(self):
                    1 / 0
            """,
        )
        project.run("test_it.py::test_it[0]", "test_it.py::TestCase").assert_outcomes(passed=2)

    def test_of_syrupy(self, pytestconfig: pytest.Config) -> None:
        assert callable(pytest_privates.private(pytestconfig, "_syrupy", "syrupy").ran_item)


def _asks(question: Callable[..., object], *owners: Any) -> Callable[[], object]:
    return lambda: question(*owners)


EMPTY: Any = SimpleNamespace(session=SimpleNamespace())
BARE: Any = SimpleNamespace(session=SimpleNamespace(_fixturemanager=SimpleNamespace()), _fixtureinfo=SimpleNamespace())


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (
            _asks(pytest_privates.fixture_definitions, SimpleNamespace(session=SimpleNamespace()), "x"),
            "_fixturemanager",
        ),
        (_asks(pytest_privates.fixture_definitions, BARE, "x"), "getfixturedefs"),
        (_asks(pytest_privates.scope_of, BARE, "x"), "name2fixturedefs"),
        (_asks(pytest_privates.asking_item, BARE), "_pyfuncitem"),
        (_asks(pytest_privates.fail_for_all, BARE, ValueError()), "cached_result"),
        (_asks(pytest_privates.collected_with, BARE), "_collection_cache"),
        (_asks(pytest_privates.forget_testcase_failure, BARE), "_excinfo"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_name_that_is_gone_is_told_with_the_version(question: Callable[[], object], name: str) -> None:
    said = f"pytest {pytest.__version__}: its SimpleNamespace has no attribute '{name}'"
    with pytest.raises(pytest.UsageError, match=f"cannot work with {said}"):
        question()


def test_a_run_on_a_pytest_without_a_name_says_so(project: Project) -> None:
    project.write(
        conftest="""
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(session, items):
            del session._collection_cache
            return (yield)
        """,
        test_it=MARKED,
    )
    result = project.run("--agenttape-record", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: *cannot work with pytest {pytest.__version__}: its Session has no attribute '_collection_cache'"]
    )


def test_a_syrupy_without_a_name_is_told_with_its_version() -> None:
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(has_plugin=lambda _: True))
    said = f"syrupy {version('syrupy')}: its SimpleNamespace has no attribute '_syrupy'"
    with pytest.raises(pytest.UsageError, match=f"cannot work with {said}"):
        keep_views(config, "test_it.py::test_it")
