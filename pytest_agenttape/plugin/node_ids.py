"""The parts of a test's node id: its name, its parameters, its address on a command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from itertools import chain
from pathlib import PurePosixPath

import pytest

from pytest_agenttape.plugin.pytest_privates import collected_with

_REPEATED_BY = "__pytest_repeat_step_number"  # a parameter that pytest-repeat 0.9 adds, as the last one
_REPETITION = re.compile(r"(?:^|-)\d+-\d+$")


def address_of(item: pytest.Item) -> str:
    """Return the argument that selects *item* on a command line, in the directory where this run was started."""
    start, path = item.config.invocation_params.dir, item.path  # a node id is relative to the rootdir
    if path.is_relative_to(start):
        path = path.relative_to(start)
    return shlex.quote("::".join([path.as_posix(), *item.nodeid.split("::")[1:]]))


def was_recorded_for(item: pytest.Item, test: object) -> bool:
    """Return whether *test*, the node id in a cassette, is that of *item*, whatever the root directory was then."""
    file, _, name = str(test).partition("::")
    parts = tuple(part for part in PurePosixPath(file).parts if part != "..")
    return bool(parts) and item.path.parts[-len(parts) :] == parts and name == item.nodeid.partition("::")[2]


def split_id(item: pytest.Item) -> tuple[str, str | None]:
    """Return the name of a test and its parameter id, if it has one."""
    name = getattr(item, "originalname", None)
    if isinstance(name, str) and item.name.startswith(f"{name}[") and item.name.endswith("]"):
        return name, item.name[len(name) + 1 : -1]
    return item.name, None


def without_repetition(item: pytest.Item) -> str | None:
    """Return the parameter id of a test, if it has one, without what pytest-repeat has added to it."""
    _, parameter = split_id(item)
    is_repeated = _REPEATED_BY in getattr(getattr(item, "callspec", None), "params", ())
    return (_REPETITION.sub("", parameter) or None) if parameter and is_repeated else parameter


def unrepeated(item: pytest.Item) -> str:
    """Return the node id that *item* would have without pytest-repeat."""
    parameter = without_repetition(item)
    return f"{without_parameter(item)}[{parameter}]" if parameter else without_parameter(item)


def without_parameter(item: pytest.Item) -> str:
    """Return the node id of *item* without its parameter id."""
    _, parameter = split_id(item)
    return item.nodeid if parameter is None else item.nodeid[: -len(parameter) - 2]


def siblings_of(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
    """Return the parameter ids of each test function of *items*, in order, selected or not.

    Unselected ones count because the order of ids that differ only by case decides which file each gets.
    """
    found: dict[str, list[str]] = {}
    listed = list(items)
    beside = (collected_with(one) for one in {item.parent: item for item in listed}.values())
    for each in dict.fromkeys((*chain.from_iterable(beside), *listed)):
        _, parameter = split_id(each)
        if parameter is not None:
            found.setdefault(without_parameter(each), []).append(parameter)
    return found
