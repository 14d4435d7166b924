"""The local time zone: the recorder's while a clock is pinned, for the whole process."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from functools import lru_cache

from pytest_agenttape.process.freeze import layers
from pytest_agenttape.process.freeze.state import PLAIN_ZONE, SECOND, Plan

_NOT_SET = object()
_saved_tz: object = _NOT_SET  # the value of TZ before the first session changed it; None if it was unset


def original_tz() -> str | None:
    """Return the value of TZ from before any session; None if it was unset."""
    return os.environ.get("TZ") if _saved_tz is _NOT_SET else _saved_tz  # type: ignore[return-value]  # str or None then


@lru_cache(maxsize=8)
def machine_zone(tz: str | None) -> str | None:
    """Return the name of the local time zone under the TZ value *tz*, if it has one."""
    if tz:
        name = tz.removeprefix(":")
        return name if PLAIN_ZONE.fullmatch(name) else None
    _, found, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    if found:
        return name.removeprefix("posix/")
    return "UTC" if time.tzname == ("UTC", "UTC") else None


def needed_tz(plan: Plan) -> str | None:
    """Return the TZ value that makes local time the recorder's; None if it already is."""
    here = machine_zone(original_tz())
    if not hasattr(time, "tzset") or (plan.zone is not None and plan.zone == here):
        return None
    seconds = plan.start // SECOND
    if plan.zone is None and _saved_tz is _NOT_SET and _local_offset(seconds) == plan.offset:
        return None
    return _usable_tz(plan.zone, plan.offset, seconds)


@lru_cache(maxsize=64)
def _usable_tz(zone: str | None, offset: timedelta, seconds: int) -> str:
    if zone is not None and _system_offset(zone, seconds) == offset:
        return zone
    # POSIX counts west of Greenwich, and a machine without zone data understands this form too
    minutes, rest = divmod(abs(offset).seconds, 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")
    ahead = offset >= timedelta()
    return f"<{'+' if ahead else '-'}{clock[:5].replace(':', '')}>{'-' if ahead else '+'}{clock}"


def _system_offset(zone: str, seconds: int) -> timedelta | None:
    from zoneinfo import TZPATH, ZoneInfo

    if not any(os.path.isfile(os.path.join(folder, zone)) for folder in TZPATH):
        return None  # the C library silently treats an unknown zone as UTC
    try:
        return datetime.fromtimestamp(seconds, ZoneInfo(zone)).utcoffset()
    except (LookupError, ValueError, OSError):
        return None


def _local_offset(seconds: int) -> timedelta | None:
    return datetime.fromtimestamp(seconds).astimezone().utcoffset()


def sync() -> None:
    """Adjust the process-wide zone to what the latest open clock needs."""
    global _saved_tz
    clocks = [layer for layer in layers.OPEN if layer.plan.clock]
    wanted = clocks[-1].tz if clocks else None
    if wanted is None:
        if _saved_tz is not _NOT_SET:
            original, _saved_tz = original_tz(), _NOT_SET
            _set_tz(original)
        return
    if _saved_tz is _NOT_SET:
        _saved_tz = os.environ.get("TZ")
    if os.environ.get("TZ") != wanted:
        _set_tz(wanted)


def _set_tz(value: str | None) -> None:
    if value is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = value
    time.tzset()
