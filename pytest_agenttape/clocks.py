"""The real clocks of the process, whatever the code under test does to `time`.

Mocks replace the functions of `time`, and freezegun replaces them in every module that holds one: a measured call would
take no time or years, and a wait that reads a stopped clock would never end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Reading = TypeVar("_Reading", int, float)


def _kept(clock: Callable[[], _Reading]) -> Callable[[], _Reading]:
    return lambda: clock()  # freezegun does not recognise the function behind a lambda


monotonic = _kept(time.monotonic)
perf_counter = _kept(time.perf_counter)
process_time = _kept(time.process_time)
time_ns = _kept(time.time_ns)
