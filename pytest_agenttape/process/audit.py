"""Python's audit events for those who guard a process: one hook, which Python never removes again, and who listens."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Checks: TypeAlias = Mapping[str, Callable[..., None]]

# Module globals that change, because an audit hook is the process's.
_checks: dict[str, Callable[..., None]] = {}
_lock = threading.Lock()
_is_installed = False


def install() -> None:
    """Put the hook in place, once; it costs one look at an empty table while nobody listens."""
    global _is_installed
    with _lock:
        if not _is_installed:
            _is_installed = True
            sys.addaudithook(_hook)


def listen(checks: Checks) -> None:
    """Call each of *checks* before what its event is about happens; raising keeps it from happening."""
    install()
    _checks.update(checks)


def ignore(checks: Checks) -> None:
    """End what `listen` began."""
    for event in checks:
        _checks.pop(event, None)


def _hook(event: str, args: tuple[Any, ...]) -> None:  # what an audit event carries is its own
    check = _checks.get(event)
    if check is not None:
        __tracebackhide__ = True  # only here: each test has a hundred events without a check
        check(*args)
