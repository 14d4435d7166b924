"""Which session a call belongs to, and what kind of call it is: served, live or observed."""

from __future__ import annotations

from pytest_agenttape.ownership.owner import Owner, Rest, Scope
from pytest_agenttape.ownership.scopes import (
    add,
    add_rest,
    aside,
    bind,
    bound,
    current,
    enter,
    free,
    hear_children,
    is_outside,
    leave,
    leave_if_serving,
    only_replays,
    opened,
    peek,
    refused_by_all,
    remove,
    remove_rest,
    tell_children,
    within,
)
from pytest_agenttape.ownership.strands import running as running_job

__all__ = [
    "Owner",
    "Rest",
    "Scope",
    "add",
    "add_rest",
    "aside",
    "bind",
    "bound",
    "current",
    "enter",
    "free",
    "hear_children",
    "is_outside",
    "leave",
    "leave_if_serving",
    "only_replays",
    "opened",
    "peek",
    "refused_by_all",
    "remove",
    "remove_rest",
    "running_job",
    "tell_children",
    "within",
]
