"""A secret that a test handles appears in no file and in no output, wherever it was planted."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.plugin import plantings
from tests.plugin.plantings import KINDS, PLACES, World
from tests.plugin.project import Project
from tests.standin import StandInProvider
from tests.tables import compare_with_page

INSIDE = """
    import pytest
    from tests.plugin import plantings

    world = plantings.worlds[-1]

    @pytest.mark.parametrize("number", range(len(world.pairs)))
    @pytest.mark.agenttape(tags=["planted"], live=world.live)
    def test_it(number, agenttape_cassette):
        world.plant(number, agenttape_cassette)
        agenttape_cassette.assert_snapshot()
"""

# Every place with one kind of secret, or with all of them.
OFFSETS = range(len(KINDS)) if os.environ.get("AGENTTAPE_SLOW") else (0,)

_RUN = re.compile("[A-Za-z0-9]{10,}")


@pytest.fixture(params=OFFSETS)
def world(
    request: pytest.FixtureRequest, project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    made = World(standin_provider, plantings.pairs(request.param))
    plantings.worlds.append(made)
    project.write(test_it=INSIDE)
    (project.path / "agenttape.toml").write_text('env_snapshot = ["SETTING_OF_TEST"]\n')
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield made
    plantings.worlds.remove(made)
    made.client.close()


@pytest.fixture
def run(world: World, project: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the inner tests with the given features and returns all output."""

    def run(*flags: str, **features: Any) -> tuple[pytest.RunResult, str]:
        for name, value in {"salt": "", "drift": "", "fails": False, "live": frozenset(), **features}.items():
            setattr(world, name, value)
        for name, value in world.environment().items():
            monkeypatch.setenv(name, value)
        world.provider.reset()
        # In its long form, pytest's traceback shows the arguments of the functions that failed.
        result = project.run("-rA", "-v", "--tb=short", "--junitxml=junit.xml", *flags)
        return result, result.stdout.str() + result.stderr.str()

    return run


def traces_of(kind: str, secret: str) -> list[str]:
    """Return the parts of *secret* that must not be found: those unique to it, and its other spellings."""
    other = KINDS[kind].make("another")
    own = secret[next(at for at in range(len(secret)) if secret[at] != other[at]) :]
    stretches = [each for run in _RUN.findall(own) for each in plantings.pieces(run, 8) if len(each) == 8]
    raw = secret.encode()
    encoded = [base64.b64encode(b"\0" * shift + raw).decode()[4:-4] for shift in range(3)]
    return [*stretches, *encoded, raw.hex(), quote(secret, safe=""), json.dumps(secret)[1:-1]]


def contents_of(folder: Path) -> dict[str, str]:
    """Return the text of every file below *folder*, and text hidden in it: base64, and text split over many fields."""
    contents = {}
    for directory, _, names in os.walk(folder):
        for name in names:
            path = Path(directory, name)
            shown = path.relative_to(folder).as_posix()
            contents[shown] = f"{shown}\n{path.read_bytes().decode('utf-8', 'replace')}"
            if path.suffix == ".yaml":
                contents[f"{shown} (joined)"] = joined(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader))
    return contents


def joined(document: Any) -> str:
    """Return the texts of *document*, those under one name as one text."""
    texts: dict[str, list[str]] = {}

    def walk(node: Any, name: str) -> None:
        if isinstance(node, dict):
            for key, each in node.items():
                walk(each, str(key))
        elif isinstance(node, list):
            for each in node:
                walk(each, name)
        elif isinstance(node, str):
            texts.setdefault(name, []).append(decoded(node) if name in ("body_b64", "base64") else node)

    walk(document, "")
    return "\n".join("".join(each) for each in texts.values())


def decoded(text: str) -> str:
    raw = base64.b64decode(text)
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8", "replace")


def leaks(world: World, contents: dict[str, str]) -> dict[str, list[str]]:
    """Return the files in which a secret can still be read, by the place where it was planted."""
    whole = "\n".join(contents.values())
    found = {}
    for place, kind in world.pairs:
        traces = [trace for trace in traces_of(kind, world.secret(place, kind)) if trace in whole]
        if traces:
            found[place] = [
                f"{kind}: {shown}" for shown, text in contents.items() if any(map(text.__contains__, traces))
            ]
    return found


def known_in_time(world: World) -> list[tuple[str, str]]:
    """Return the pairs without secrets that only a later header reveals, which replay cannot know yet."""
    return [(place, kind) for place, kind in world.pairs if KINDS[kind].header != "after"]


def table(found: dict[str, list[str]]) -> list[str]:
    """Return the lines of the table in the documentation."""
    rows = [f"| {place} | {', '.join(found[place]) if place in found else 'never'} |" for place in PLACES]
    return ["| planted in | found on disk or in output |", "|---|---|", *rows]


def test_no_secret_is_in_a_file_or_in_the_output(run: Any, project: Project, world: World) -> None:
    recorded, printed = run("--agenttape-record", "--agenttape-report=report.html")
    recorded.assert_outcomes(passed=len(world.pairs))
    _, printed_live = run("--agenttape-report=report.json", live=frozenset({"*"}))
    contents = {"terminal": printed + printed_live, **contents_of(project.path)}
    assert any(".derived." in name for name in contents)
    assert any(".assets/" in name for name in contents)
    compare_with_page("appendix/secrets.md", "plantings", table(leaks(world, contents)))


def test_what_is_redacted_is_found_again_by_the_same_and_by_another_secret(run: Any, world: World) -> None:
    world.pairs = known_in_time(world)
    run("--agenttape-record")
    for salt in ("", "rotated"):
        replayed, _ = run(salt=salt)
        replayed.assert_outcomes(passed=len(world.pairs))
        assert world.provider.hits == 0


def test_a_failing_run_shows_and_keeps_no_secret(run: Any, project: Project, world: World) -> None:
    recorded, printed = run("--agenttape-record", "--agenttape-report=report.html", fails=True)
    recorded.assert_outcomes(failed=len(world.pairs))
    contents = {"terminal": printed, **contents_of(project.path)}
    assert any(name.startswith(".pytest_cache/d/agenttape/") for name in contents)
    assert leaks(world, contents) == {}


def test_an_unmatched_call_shows_no_secret(run: Any, project: Project, world: World) -> None:
    world.pairs = known_in_time(world)
    run("--agenttape-record")
    replayed, printed = run("--agenttape-report=report.html", drift="other ")
    # Not all fail: if a secret is the whole value, any other text matches.
    assert replayed.parseoutcomes()["failed"] > len(world.pairs) / 4
    assert leaks(world, {"terminal": printed, **contents_of(project.path)}) == {}
