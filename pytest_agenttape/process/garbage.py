"""The garbage collector, which costs most where many objects are made at once and none of them is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 1_000  # objects: one round of the young ones


@contextmanager
def uncollected() -> Iterator[None]:
    """Return a block in which the collector does not run on its own: it would look at all that was made, many times."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def lasting() -> Iterator[None]:
    """Return a block whose objects stay, as those of an import do: only a round through everything looks at them.

    The collector counts what grows old, and would soon go through the whole process because of them.
    """
    with uncollected():
        before = gc.get_count()[0]
        yield
        if gc.get_count()[0] - before < _MANY:
            return  # the imports were made before
        if not gc.get_freeze_count():  # or what somebody has frozen would be thawed; it counts them one by one
            gc.freeze()
            gc.unfreeze()  # leaves all that is young among the old; none of it is exempt from `gc.collect`
