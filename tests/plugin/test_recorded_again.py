"""What is recorded again and says the same leaves the files as they are, down to the last byte."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.project import Project
from tests.standin import StandInProvider

ROOT = Path(__file__).parent.parent.parent


def test_recording_the_examples_again_changes_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "docs" / "examples", folder, ignore=shutil.ignore_patterns("__pycache__", "cassettes"))
    with StandInProvider() as provider:  # it makes up other ids when it is asked the same again
        first = recorded(folder, provider)
        second = recorded(folder, provider)
    assert len(first) == 9
    assert second == first


def recorded(folder: Path, provider: StandInProvider) -> dict[str, bytes]:
    """Record the examples in *folder*; return the files that are there then."""
    keys = {"OPENAI_API_KEY": "a-key-of-no-one", "ANTHROPIC_API_KEY": "a-key-of-no-one"}
    urls = {"OPENAI_BASE_URL": provider.openai_url, "ANTHROPIC_BASE_URL": provider.anthropic_url}
    return run(folder, {**keys, **urls, "WEATHER_API_URL": provider.url}, "--agenttape-record")


def test_refreshing_the_examples_needs_no_key_and_changes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "WEATHER_API_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "docs" / "examples", folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = {each.name: each.read_bytes() for each in folder.rglob("*.yaml")}
    assert run(folder, {}, "--snapshot-update", "test_weather.py") == before


def run(folder: Path, variables: dict[str, str], *arguments: str) -> dict[str, bytes]:
    """Run the examples in *folder*; return the cassettes that are there then."""
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what is not needed takes seconds to import
    plugins = ("no:cacheprovider", "pytest_agenttape.plugin", "syrupy", "pytest_asyncio.plugin")
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", "."]
    command += [part for name in plugins for part in ("-p", name)]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return {each.name: each.read_bytes() for each in folder.rglob("*.yaml")}


SEEDED = """
    import os
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
        DRAW
"""


@pytest.mark.parametrize(
    "draw",
    ["import uuid; drawn = str(uuid.uuid4())", "import random; drawn = str(random.random())"],
    ids=["uuid", "random"],
)
def test_a_test_that_draws_is_replayed_with_the_numbers_of_its_last_recording(project: Project, draw: str) -> None:
    """It passed with these; with those of the recording before it may not."""
    seen = '; open("drawn.txt", "a").write(drawn + chr(10))'
    project.write(test_it=SEEDED.replace("DRAW", draw + seen))
    project.record()
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    first, second, replayed = (project.path / "drawn.txt").read_text().split()
    assert first != second == replayed


def test_a_test_that_draws_nothing_keeps_its_file(project: Project) -> None:
    project.write(test_it=SEEDED.replace("DRAW", "pass"))
    project.record()
    before = project.cassette().read_bytes()
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.cassette().read_bytes() == before
