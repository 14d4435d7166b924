"""Every undocumented part of pytest that we use; no other file uses one.

All exist in pytest 8.2 and 9.2; `tests/plugin/test_pytest_privates.py` checks the installed version. If a later pytest
lacks one, the error names it instead of being a bare `AttributeError`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from types import FrameType
from typing import Any, TextIO

import pytest
from _pytest import config as pytest_config
from _pytest import runner as pytest_runner

_STARTS = frozenset({"main", "_main", "console_main", "_console_main"})  # functions of _pytest.config
_XUNIT_FIXTURE = re.compile(r"_(?:xunit|unittest)_(\w+?)_fixture_")


def private(owner: object, name: str, library: str = "pytest") -> Any:
    """Return the attribute *name* of an object of *library*.

    Raises:
        UsageError: This version of the library does not have it.
    """
    try:
        return getattr(owner, name)
    except AttributeError:
        raise pytest.UsageError(
            f"pytest-agenttape cannot work with {library} {version(library)}: its {type(owner).__name__} has no "
            f"attribute {name!r}\n  install another version of {library}, or a newer pytest-agenttape"
        ) from None


def fixture_definitions(item: pytest.Item, name: str) -> Sequence[pytest.FixtureDef[Any]]:
    """Return the definitions of the fixture *name* visible to *item*; the one that it uses is last."""
    manager = private(item.session, "_fixturemanager")
    found: Sequence[pytest.FixtureDef[Any]] | None = private(manager, "getfixturedefs")(name, item)
    return found or ()


def run_again(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run *item* with its fixtures and report it, as often as this is called."""
    where = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**where)
    private(pytest_runner, "runtestprotocol")(item, nextitem=nextitem)
    item.ihook.pytest_runtest_logfinish(**where)


def scope_of(item: pytest.Item, name: str) -> str | None:
    """Return the scope of the fixture that *item* requests as *name*; None if it is unknown."""
    if not isinstance(item, pytest.Function) and not hasattr(item, "_fixtureinfo"):  # another plugin's item
        return None
    definitions = private(private(item, "_fixtureinfo"), "name2fixturedefs").get(name)
    return definitions[-1].scope if definitions else None


def asks_for(item: pytest.Item, name: str, *, apart_from: str) -> bool:
    """Return whether *item* or one of its fixtures, *apart_from* one, asks for the fixture *name*."""
    if not hasattr(item, "_fixtureinfo"):  # another plugin's item
        return True
    info = private(item, "_fixtureinfo")
    return name in private(info, "initialnames") or any(
        name in each.argnames
        for other, definitions in private(info, "name2fixturedefs").items()
        if other != apart_from
        for each in definitions
    )


def fixtures_reached_by(item: pytest.Item) -> Iterator[pytest.FixtureDef[Any]]:
    """Return the fixtures that *item* can ask for by name, and those that they override."""
    if hasattr(item, "_fixtureinfo"):  # another plugin's item may have none
        for definitions in private(private(item, "_fixtureinfo"), "name2fixturedefs").values():
            yield from definitions


def asking_item(request: pytest.FixtureRequest) -> pytest.Item:
    """Return the test that requested a fixture; `request.node` of a wide fixture is its module or session."""
    item: pytest.Item = private(request, "_pyfuncitem")
    return item


def fail_for_all(definition: pytest.FixtureDef[Any], error: BaseException) -> None:
    """Make a fixture fail for every test that uses it, even if its setup succeeded."""
    cached = private(definition, "cached_result")  # later tests get this
    if cached is not None:
        raised: Any = (error, error.__traceback__) if pytest.version_tuple >= (8, 3) else error
        definition.cached_result = (None, cached[1], raised)


def xunit_function(fixture: str) -> str | None:
    """Return the function, such as `setup_module`, that pytest turned into this fixture."""
    found = _XUNIT_FIXTURE.match(fixture)
    return found[1] if found else None


def collected_with(item: pytest.Item) -> Sequence[pytest.Item]:
    """Return the tests that the parent of *item* collected, selected or not."""
    report = private(item.session, "_collection_cache").get(item.parent)
    return [each for each in report.result if isinstance(each, pytest.Item)] if report else []


def leave_as_written(manager: pytest.PytestPluginManager, package: str) -> None:
    """Let pytest import the modules of *package* as Python does; of a plugin's it reads and compares each source."""
    hook = getattr(manager, "rewrite_hook", None)
    marked: set[str] | None = getattr(hook, "_must_rewrite", None)
    if hook is None or marked is None:  # --assert=plain; a later pytest may have neither, and all works, but slower
        return
    marked -= {each for each in marked if each.partition(".")[0] == package}
    hook.mark_rewrite()  # forgets what it has said of these modules


def raises_contexts() -> Sequence[type]:
    """Return the classes of the contexts that catch an expected exception."""
    groups = getattr(pytest, "RaisesGroup", None)  # since pytest 8.4
    return [type(pytest.raises(Exception)), *([] if groups is None else [groups])]


def expected_types(context: object) -> tuple[object, ...]:
    """Return what a context of `raises_contexts`, or a class like it, expects; of anything else, nothing."""
    found = getattr(context, "expected_exceptions", None)  # pytest 8.4; before, `expected_exception`
    found = getattr(context, "expected_exception", ()) if found is None else found
    return found if isinstance(found, tuple) else (found,)


def is_testcase(item: pytest.Item) -> bool:
    """Return whether *item* is a method of a `unittest.TestCase`."""
    return isinstance(item, pytest.Function) and hasattr(item, "addFailure")


def testcase_failure(item: pytest.Item) -> BaseException | None:
    """Return the error of a TestCase method; it is held back until the report is made."""
    failures = private(item, "_excinfo") if is_testcase(item) else None
    return failures[0].value if failures else None


def forget_testcase_failure(item: pytest.Item) -> None:
    """Drop the error of a TestCase method, so pytest reports the one raised next."""
    private(item, "_excinfo").clear()


def capture_paused(config: pytest.Config) -> AbstractContextManager[None]:
    """Return a context in which output goes to the terminal."""
    manager = config.pluginmanager.get_plugin("capturemanager")
    if manager is None:  # -p no:capture
        return nullcontext()
    paused: AbstractContextManager[None] = private(manager, "global_and_fixture_disabled")()
    return paused


@contextmanager
def terminal_given_back(config: pytest.Config) -> Iterator[None]:
    """Return a context in which input and output are the terminal's, as they are for a debugger."""
    manager = config.pluginmanager.get_plugin("capturemanager")
    if manager is None:  # -p no:capture
        yield
        return
    private(manager, "suspend_global_capture")(in_=True)
    try:
        yield
    finally:
        private(manager, "resume_global_capture")()


def terminal_writer(config: pytest.Config, file: TextIO) -> Any:
    """Return a writer to *file* that heeds ``--color``, NO_COLOR, FORCE_COLOR and PY_COLORS, before a run has begun."""
    for name in ("color", "code_highlight"):  # -p no:terminal leaves them out
        if not hasattr(config.option, name):
            setattr(config.option, name, "auto")
    return private(pytest_config, "create_terminal_writer")(config, file)


def conftest_failure() -> type[Exception]:
    """Return what pytest raises when a conftest cannot be imported."""
    failure: type[Exception] = private(pytest_config, "ConftestImportFailure")
    return failure


def is_whole_process() -> bool:
    """Return whether the running pytest was started as a program, not by other code that goes on after it."""
    started: set[str] = set()
    frame: FrameType | None = sys._getframe()
    while frame is not None and not (started and frame.f_globals.get("__name__") != "_pytest.config"):
        if frame.f_code.co_name in _STARTS and frame.f_globals.get("__name__") == "_pytest.config":
            started.add(frame.f_code.co_name)
        frame = frame.f_back
    return "console_main" in started or "_console_main" in started
