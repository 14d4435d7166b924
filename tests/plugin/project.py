"""A user's project: an agent with a tool, tests, and counters of what ran for real."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

AGENT = """
    import os
    from pathlib import Path

    from pytest_agenttape import tool

    LIVE = Path(__file__).with_name("live.log")

    def note(text):
        with LIVE.open("a") as log:
            log.write(text + "\\n")

    @tool
    def look_up(city):
        note(f"look_up {city}")
        return {"city": city, "answer": os.environ.get("WORLD", "old")}
"""

# Of syrupy; earlier versions only offer full updates.
writes_new_only = pytest.mark.skipif(
    tuple(map(int, version("syrupy").split(".")[:2])) < (5, 5), reason="this syrupy cannot write new snapshots only"
)


@dataclass(slots=True)
class Project:
    """A project that a test of the plugin sets up, runs and inspects."""

    pytester: pytest.Pytester

    @property
    def path(self) -> Path:
        return self.pytester.path

    def write(self, **files: str) -> None:
        """Write modules; a double underscore in a name separates folders."""
        for name, content in files.items():
            path = self.path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_dedented(content), encoding="utf-8")

    def ini(self, text: str) -> None:
        (self.path / "pytest.ini").write_text("[pytest]\n" + _dedented(text), encoding="utf-8")

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in this process."""
        return self.pytester.runpytest_inprocess(*args)

    def run_apart(self, *args: str, stdin: bytes = b"") -> pytest.RunResult:
        """Run pytest in a child process."""
        return self.pytester.run(sys.executable, "-m", "pytest", *args, timeout=90, stdin=stdin)

    def record(self, *args: str) -> pytest.RunResult:
        """Record everything, then reset the log of live calls."""
        result = self.run("--agenttape-record", *args)
        self.live()
        return result

    def live(self) -> list[str]:
        """Return the calls that ran for real since the last call of this method."""
        log = self.path / "live.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def cassette(self, name: str = "test_it/test_it.yaml") -> Path:
        return self.path / "cassettes" / name

    def calls(self, name: str = "test_it/test_it.yaml") -> list[object]:
        """Return the arguments of the recorded calls, in order."""
        loaded = yaml.safe_load(self.cassette(name).read_text(encoding="utf-8"))
        return [next(iter(each["request"]["args"].values())) for each in loaded["interactions"]]

    def answers(self, name: str = "test_it/test_it.yaml") -> list[object]:
        """Return the results of the recorded calls, in order."""
        loaded = yaml.safe_load(self.cassette(name).read_text(encoding="utf-8"))
        return [each["response"]["answer"] for each in loaded["interactions"]]

    def files(self) -> list[str]:
        """Return every file below the cassette folders, hidden ones and assets too."""
        return sorted(
            os.path.relpath(Path(folder, name), self.path)
            for folder, _, names in os.walk(self.path)
            for name in names
            if "cassettes" in Path(folder).relative_to(self.path).parts
        )


def _dedented(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


@dataclass(frozen=True, slots=True)
class Origin:
    """A server on the loopback interface.

    Attributes:
        url: Where it listens.
        asked: The paths it was asked for.
        statuses: What it answers next; 200 when there are none left.
    """

    url: str
    asked: list[str]
    statuses: list[int]
