"""A wrapped function is given back, whoever else wraps it and in whatever order they leave."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pytest_agenttape.process.patching import Patch


class Base:
    def greet(self) -> str:
        return "hello"


class Heir(Base):
    pass


def quoted(function: Callable[..., str]) -> Callable[..., str]:
    return lambda *args: f"'{function(*args)}'"


def loud(function: Callable[..., str]) -> Callable[..., str]:
    return lambda *args: function(*args).upper()


@pytest.fixture(params=["own", "inherited"])
def owner(request: pytest.FixtureRequest) -> Any:
    if request.param == "own":
        return type("Owner", (), {"greet": lambda _: "hello"})
    return type("Owner", (Base,), {})


@pytest.fixture
def patch(owner: Any) -> Patch:
    return Patch(owner, "greet", quoted)


def test_wraps_until_it_is_taken_off(owner: Any, patch: Patch) -> None:
    before = dict(vars(owner))
    patch.install()
    assert owner().greet() == "'hello'"
    patch.uninstall()
    assert dict(vars(owner)) == before


def test_looks_like_what_it_wraps() -> None:
    patch = Patch(Heir, "greet", quoted)
    patch.install()
    assert (Heir.greet.__name__, Heir.greet.__qualname__) == ("greet", "Base.greet")
    patch.uninstall()


def test_one_that_was_never_there_takes_nothing_off(owner: Any, patch: Patch) -> None:
    before = dict(vars(owner))
    patch.uninstall()
    assert dict(vars(owner)) == before


def test_twice_wraps_once(owner: Any, patch: Patch) -> None:
    patch.install()
    patch.install()
    assert owner().greet() == "'hello'"


def test_the_wrapper_is_made_once_for_what_it_wraps(owner: Any, patch: Patch) -> None:
    patch.install()
    first = owner.greet
    patch.uninstall()
    patch.install()
    assert owner.greet is first


def test_wraps_what_another_has_put_there(owner: Any, patch: Patch) -> None:
    patch.install()
    patch.uninstall()
    owner.greet = theirs = loud(owner.greet)
    patch.install()
    assert owner().greet() == "'HELLO'"
    patch.uninstall()
    assert owner.greet is theirs


def test_what_another_put_on_top_stays(owner: Any, patch: Patch) -> None:
    patch.install()
    owner.greet = theirs = loud(owner.greet)
    patch.uninstall()
    assert owner.greet is theirs


def test_comes_off_at_the_next_end_where_another_has_put_it_back(owner: Any, patch: Patch) -> None:
    before = dict(vars(owner))
    patch.install()
    ours = owner.greet
    owner.greet = loud(ours)
    patch.uninstall()
    owner.greet = ours  # as monkeypatch does when it undoes
    patch.install()
    assert owner().greet() == "'hello'"
    patch.uninstall()
    assert dict(vars(owner)) == before


def test_a_module_is_an_owner_too() -> None:
    patch = Patch(os, "getcwd", lambda _: lambda: "here")
    real = os.getcwd
    patch.install()
    assert os.getcwd() == "here"
    patch.uninstall()
    assert os.getcwd is real
