"""What is said when a library lacks a private name that is needed."""

from __future__ import annotations

import importlib.metadata
import types

import pytest

from pytest_agenttape import AgentTapeError
from pytest_agenttape.libraries import Library


def test_the_error_names_library_version_and_name() -> None:
    pytest_now = Library("pytest", "1-2")
    version = importlib.metadata.version("pytest")
    with pytest.raises(AgentTapeError, match=rf"^pytest {version} has no thing\._part, .*; install pytest 1-2, or"):
        pytest_now.require(types.ModuleType("thing"), "__name__", "_part")


def test_an_object_is_named_by_its_class() -> None:
    with pytest.raises(AgentTapeError, match=r"has no int\._part"):
        Library("pytest", "1-2").require(5, "_part")


def test_nothing_is_said_where_all_are_there() -> None:
    Library("pytest", "1-2").require(pytest, "mark", "fixture")


def test_a_library_that_is_not_installed_has_no_version() -> None:
    assert "no-such-library (of unknown version) has no name" in str(Library("no-such-library", "1").lacks("name"))
