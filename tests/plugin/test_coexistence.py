"""Other plugins keep working; if one has the same name, the error says what to do."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_agenttape import TokenTotals, ToolCall
from pytest_agenttape.model import Mode
from tests.plugin.project import Project

pytestmark = pytest.mark.usefixtures("autoload")

ROOT = Path(__file__).parents[2]
ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it(agenttape_cassette):
        look_up("Rome")
"""
THEIRS = """
    import pytest

    def pytest_addoption(parser):
        parser.addoption("--agenttape-record", action="store_true")

    @pytest.fixture
    def agenttape_cassette(): return "theirs"
"""
MESSAGE = [
    "ERROR: agenttape and pytest-agenttape are both installed; both register the pytest plugin 'agenttape', *",
    "*pip uninstall agenttape",
    "*pytest -p no:agenttape -p pytest_agenttape.plugin",
]


def install(folder: Path, name: str, entry_points: dict[str, str]) -> None:
    """Put the metadata of a distribution into *folder*, as an installer does."""
    info = folder / f"{name.replace('-', '_')}-0.1.8.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.8\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
    (info / "entry_points.txt").write_text(f"[pytest11]\n{lines}")


@pytest.fixture
def beside(project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Project:
    """Return a project in whose environment both distributions are found, ours or theirs first."""
    ours, theirs = project.path / "ours", project.path / "theirs"
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    install(ours, "pytest-agenttape", declared)
    install(theirs, "agenttape", {"agenttape": "agenttape.pytest_plugin"})
    project.write(theirs__agenttape__pytest_plugin=THEIRS)
    (theirs / "agenttape" / "__init__.py").touch()
    order = [ours, theirs] if request.param == "ours first" else [theirs, ours]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*map(str, order), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    project.write(test_it=ONE)
    return project


both_orders = pytest.mark.parametrize("beside", ["ours first", "theirs first"], indirect=True)


@pytest.mark.variants(3)
@both_orders
@pytest.mark.parametrize("args", [[], ["--agenttape-record"], ["--agenttape-strict"]], ids=["plain", "both", "ours"])
def test_agenttape_from_pypi_is_refused_with_the_way_out(beside: Project, args: list[str]) -> None:
    result = beside.run_apart(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(MESSAGE)
    result.stderr.no_fnmatch_line("*Traceback*")
    assert "unrecognized" not in result.stderr.str()


@pytest.mark.variants(1)
@both_orders
def test_the_way_out_works(beside: Project) -> None:
    chosen = ["-p", "no:agenttape", "-p", "pytest_agenttape.plugin"]
    beside.run_apart(*chosen, "--agenttape-record").assert_outcomes(passed=1)
    beside.run_apart(*chosen).assert_outcomes(passed=1)
    beside.write(test_it="def test_it(): pass")
    beside.run_apart("-p", "no:agenttape").assert_outcomes(passed=1)


def test_a_module_of_the_users_own_by_that_name_is_no_conflict(project: Project) -> None:
    project.write(agenttape="", test_it="import agenttape\ndef test_it(): pass")
    project.run_apart("-o", "pythonpath=.").assert_outcomes(passed=1)


@pytest.mark.usefixtures("_afresh")
def test_switched_off_our_fixtures_are_gone_and_no_marked_test_runs_a_tool(project: Project) -> None:
    project.write(
        test_it="""
        import pytest
        from agent import look_up

        @pytest.mark.agenttape
        def test_marked(): look_up("Rome")

        def test_plain(): pass
        """
    )
    result = project.run_apart("-p", "no:agenttape")
    result.assert_outcomes(passed=1, failed=1, errors=1, warnings=1)
    result.stdout.fnmatch_lines(["E *test_marked is marked agenttape, but the plugin is not loaded, *"])
    assert project.live() == []
    project.write(test_it=ONE)
    project.run_apart("-p", "no:agenttape").stdout.fnmatch_lines(["E *fixture 'agenttape_cassette' not found"])


def test_without_autoload_it_is_loaded_by_its_module(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.write(test_it=ONE)
    run = [sys.executable, "-m", "pytest", "-p", "pytest_agenttape.plugin"]
    project.pytester.run(*run, "--agenttape-record").assert_outcomes(passed=1)
    project.live()
    project.pytester.run(*run).assert_outcomes(passed=1)
    assert project.live() == []


def test_named_and_loaded_by_itself_it_is_loaded_once(project: Project) -> None:
    project.write(test_it=ONE)
    project.run_apart("-p", "agenttape", "--agenttape-record").assert_outcomes(passed=1)


def test_strict_markers_and_strict_config_know_ours(project: Project) -> None:
    project.ini("agenttape_strict = true\naddopts = --strict-markers --strict-config")
    project.write(test_it=ONE)
    project.run("--agenttape-record").assert_outcomes(passed=1)


def test_the_marker_is_explained(project: Project) -> None:
    project.run("--markers").stdout.fnmatch_lines(["@pytest.mark.agenttape(cassette=None, *replay this test from *"])


@pytest.mark.parametrize("library", ["vcr", "agentcassette"])
def test_a_cassette_of_another_library_in_the_same_test(project: Project, library: str) -> None:
    pytest.importorskip(library)
    project.write(
        test_it=f"""
        import pytest, {library}
        from agent import look_up

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.live()
    project.run().assert_outcomes(passed=1)
    assert project.live() == []


def test_a_vcr_cassette_folder_is_left_alone(project: Project) -> None:
    theirs = project.path / "cassettes" / "test_it" / "test_vcr.yaml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("interactions: []\nversion: 1\n")
    project.write(test_it="def test_vcr(): pass")
    result = project.run("--snapshot-update")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*orphan*")
    assert theirs.exists()


@pytest.mark.usefixtures("_afresh")
def test_the_plugin_imports_nothing_heavy(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.write(
        test_it="""
        import sys

        def test_it():
            heavy = {"yaml", "httpx", "httpx2", "requests", "respx", "responses", "syrupy", "time_machine", "openai"}
            ours = {name for name in sys.modules if name.startswith("pytest_agenttape")}
            light = {"", ".conflict", ".errors", ".plugin", ".process"}
            light |= {f".process.{x}" for x in "patching runs".split()}
            light |= {f".plugin.{x}" for x in "asserted collecting header hookspecs options pytest_privates".split()}
            light |= {f".plugin.{x}" for x in "quiet report session_fixture".split()}
            light |= {f".plugin.report.{x}" for x in "gathering ledger workers".split()}
            light |= {f".settings{x}" for x in ("", ".ci", ".words")}
            assert ours <= {f"pytest_agenttape{x}" for x in light}
            assert not heavy & sys.modules.keys()

        def test_what_is_imported_later_is_not_rewritten():
            from pytest_agenttape.plugin import lifecycle
            assert type(lifecycle.__loader__).__name__ == "SourceFileLoader"
        """
    )
    project.pytester.run(sys.executable, "-m", "pytest", "-p", "pytest_agenttape.plugin").assert_outcomes(passed=2)


MEASURED = """
    import time
    import pytest
    from freezegun import freeze_time
    from agent import look_up

    def frozen():
        with freeze_time("2021-02-03"):
            look_up("Rome")

    def mocked():
        with pytest.MonkeyPatch.context() as patch:
            for name in ("perf_counter", "monotonic", "time", "time_ns"):
                patch.setattr(time, name, lambda: 1e15)
            look_up("Rome")

    @pytest.mark.agenttape
    @pytest.mark.parametrize("call", [frozen, mocked], ids=["freezegun", "mocks"])
    def test_it(call, agenttape_cassette):
        call()
        [made] = agenttape_cassette.interactions
        assert 0 < made.latency_ms < 60_000
        assert 0 < made.metadata["start_ms"] < 60_000
"""


def test_a_clock_that_the_test_has_stopped_measures_no_call(project: Project) -> None:
    project.write(test_it=MEASURED)
    project.record().assert_outcomes(passed=2)
    project.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (ToolCall("look_up", {"city": "Rome"}), "look_up"),
        (TokenTotals(3, 1, 4), {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}),
        (Mode.NONE, "none"),
        ("look_up", None),
    ],
)
def test_inline_snapshot_is_given_plain_values_to_write(value: object, written: object) -> None:
    """What the `repr` of a call looks like would call the tool."""
    (entry,) = entry_points(group="inline_snapshot", name="agenttape")
    found = entry.load().customize(value)
    assert (type(found), found) == (type(written), written)
    assert written is None or value == written


def test_inline_snapshot_writes_what_replays(project: Project) -> None:
    pytest.importorskip("inline_snapshot")
    project.write(
        test_it="""
        import pytest
        from agent import look_up
        from inline_snapshot import snapshot

        @pytest.mark.agenttape
        def test_it(agenttape_cassette):
            look_up("Rome")
            assert agenttape_cassette.tool_calls == snapshot()
        """
    )
    project.run_apart("--agenttape-record", "--inline-snapshot=create").assert_outcomes(passed=1, errors=1)
    assert "tool_calls == snapshot(['look_up'])" in (project.path / "test_it.py").read_text()
    project.run_apart("--snapshot-update").assert_outcomes(passed=1)
    project.run_apart().assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
