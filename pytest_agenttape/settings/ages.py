"""How old a recording may be, and how old it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pytest_agenttape.errors import ConfigError

UNKNOWN = -1  # days
ON_STALE = ("warn", "fail")

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([hdw]?)")
_DAYS = {"h": 1 / 24, "d": 1, "": 1, "w": 7}
_MOST_DAYS = 1_000_000


def parse_age(value: object) -> float:
    """Return an age in days: of a number of days, or of a text such as ``30d``, ``12h`` or ``4w``.

    Raises:
        ConfigError: It is none.
    """
    found = _AGE.fullmatch(str(value).strip()) if isinstance(value, str | int | float) else None
    days = float(found[1]) * _DAYS[found[2]] if found is not None and not isinstance(value, bool) else -1
    if not 0 <= days <= _MOST_DAYS:
        raise ConfigError("must be an age: '30d', '12h', '4w', or a number of days")
    return days


def parse_on_stale(value: object) -> str:
    """Return what happens where a recording has grown old.

    Raises:
        ConfigError: There is no such thing.
    """
    if value not in ON_STALE:
        raise ConfigError(f"must be {' or '.join(map(repr, ON_STALE))}")
    return str(value)


def stale_days(created_at: str, now: str, most_days: float) -> int | None:
    """Return how many days ago something was recorded, if that is more than *most_days*; both times are ISO 8601.

    If it is not known when it was recorded, that is `UNKNOWN`.
    """
    try:
        age = _moment(now) - _moment(created_at)
    except ValueError:
        return UNKNOWN
    return age.days if age > timedelta(days=most_days) else None


def shown_age(days: float) -> str:
    """Return an age as text: ``30 days``, ``12 hours``."""
    number, unit = (days, "day") if days >= 1 or not days else (days * 24, "hour")
    return f"{number:,.10g} {unit}{'' if number == 1 else 's'}"


def shown_days(days: int) -> str:
    """Return how long ago something was that is so many whole days old: ``45 days ago``."""
    return f"{shown_age(days)} ago" if days else "less than a day ago"


def _moment(time: str) -> datetime:
    found = datetime.fromisoformat(time)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
