"""A call that is made again gets the arguments as they were recorded, and all else as it was passed."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agenttape.boundaries.arguments import Parameters


def plain(one: int, *more: int, flag: bool = False, **others: int) -> None:
    """Take arguments of each kind."""


class Shop:
    def sell(self, item: str, into: list[str]) -> None:
        """Take an instance."""


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, (1, 2, 3), {"flag": True, "other": 4}),
        (plain, (1,), {}),
        (Shop.sell, (Shop(), "book"), {"into": []}),
        (Shop().sell, ("book", []), {}),
        (max, (1, 2), {"key": None}),  # has no signature
    ],
    ids=["each kind", "defaults", "method", "bound", "builtin"],
)
def test_arguments_that_are_as_recorded_make_the_same_call(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    parameters = Parameters.of(function)
    assert parameters.replaced(args, kwargs, parameters.bind(args, kwargs).arguments) == (
        (*args, *kwargs.values()) if function is Shop.sell else args,
        {} if function is Shop.sell else kwargs,
    )


def test_what_is_not_recorded_stays_as_it_was_passed() -> None:
    sentinel = object()
    args, kwargs = Parameters.of(plain).replaced((1, 2), {"other": sentinel}, {"one": 5})
    assert (args, kwargs) == ((5, 2), {"other": sentinel})
