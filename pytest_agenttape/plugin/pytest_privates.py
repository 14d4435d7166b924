"""Everything of pytest's that we use and that pytest does not document: here, and in no other file.

Each was seen in pytest 8.2 and 9.2; `tests/plugin/test_pytest_privates.py` asks the installed one. Where a later
pytest lacks one, the user is told which, not shown an `AttributeError`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from typing import Any

import pytest

_XUNIT_FIXTURE = re.compile(r"_(?:xunit|unittest)_(\w+?)_fixture_")


def private(owner: object, name: str, library: str = "pytest") -> Any:
    """Return the attribute *name* of an object of *library*.

    Raises:
        UsageError: This version of the library has none.
    """
    try:
        return getattr(owner, name)
    except AttributeError:
        raise pytest.UsageError(
            f"pytest-agenttape cannot work with {library} {version(library)}: its {type(owner).__name__} has no "
            f"attribute {name!r}\n  install another version of {library}, or a newer pytest-agenttape"
        ) from None


def fixture_definitions(item: pytest.Item, name: str) -> Sequence[pytest.FixtureDef[Any]]:
    """Return the definitions of the fixture *name* that *item* can see, the one that it gets last."""
    manager = private(item.session, "_fixturemanager")
    found: Sequence[pytest.FixtureDef[Any]] | None = private(manager, "getfixturedefs")(name, item)
    return found or ()


def scope_of(item: pytest.Item, name: str) -> str | None:
    """Return the scope of the fixture that *item* asks for as *name*; None where that cannot be known."""
    if not isinstance(item, pytest.Function) and not hasattr(item, "_fixtureinfo"):  # of another plugin
        return None
    definitions = private(private(item, "_fixtureinfo"), "name2fixturedefs").get(name)
    return definitions[-1].scope if definitions else None


def asking_item(request: pytest.FixtureRequest) -> pytest.Item:
    """Return the test that a fixture is set up for; `request.node` of a wide fixture is its module or session."""
    item: pytest.Item = private(request, "_pyfuncitem")
    return item


def fail_for_all(definition: pytest.FixtureDef[Any], error: BaseException) -> None:
    """Let a fixture that is set up fail for each test that uses it, whatever its own set-up came to."""
    cached = private(definition, "cached_result")  # what later tests get
    if cached is not None:
        definition.cached_result = (None, cached[1], (error, error.__traceback__))


def xunit_function(fixture: str) -> str | None:
    """Return the function, such as `setup_module`, that pytest has made the fixture of this name of."""
    found = _XUNIT_FIXTURE.match(fixture)
    return found[1] if found else None


def collected_with(item: pytest.Item) -> Sequence[pytest.Item]:
    """Return the tests that the parent of *item* has collected, selected or not."""
    report = private(item.session, "_collection_cache").get(item.parent)
    return [each for each in report.result if isinstance(each, pytest.Item)] if report else []


def is_testcase(item: pytest.Item) -> bool:
    """Say whether *item* is a method of a `unittest.TestCase`."""
    return isinstance(item, pytest.Function) and hasattr(item, "addFailure")


def testcase_failure(item: pytest.Item) -> BaseException | None:
    """Return what a method of a TestCase failed with; unittest swallows it until the report is made."""
    failures = private(item, "_excinfo") if is_testcase(item) else None
    return failures[0].value if failures else None


def forget_testcase_failure(item: pytest.Item) -> None:
    """Let pytest report what is raised now in place of what a method of a TestCase failed with."""
    private(item, "_excinfo").clear()


def capture_paused(config: pytest.Config) -> AbstractContextManager[None]:
    """Return a block whose output goes to the terminal."""
    manager = config.pluginmanager.get_plugin("capturemanager")
    if manager is None:  # -p no:capture
        return nullcontext()
    paused: AbstractContextManager[None] = private(manager, "global_and_fixture_disabled")()
    return paused
