"""What a session freezes, as named in the settings and as kept in a cassette."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000  # nanoseconds
PLAIN_ZONE = re.compile(r"[A-Za-z0-9_+\-<>,.:][A-Za-z0-9_+\-<>,.:/]*")  # a name or a POSIX rule, never a file


@dataclass(frozen=True, slots=True)
class FrozenState:
    """The starting point of a session's clock and randomness; ``meta.freeze`` of a cassette.

    Attributes:
        clock: ISO 8601 with microseconds and the recorder's UTC offset; None leaves the clock alone.
        zone: The recorder's time zone as a ``TZ`` value, if it has a name.
        seed: Where UUIDs and random numbers start; None leaves them alone.
    """

    clock: str | None = None
    zone: str | None = None
    seed: int | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, JSON] | None) -> Self:
        """Build a state from its cassette form, as written by a machine or by hand.

        Raises:
            CassetteCorruptError: A value is not a valid time, zone or seed.
        """
        if raw is None:
            return cls()
        if not isinstance(raw, Mapping):
            raise CassetteCorruptError(f"'meta.freeze' must be a mapping, found {type(raw).__name__}")
        return cls(clock=_clock_text(raw.get("clock")), zone=_zone_text(raw.get("zone")), seed=_seed(raw.get("seed")))

    def to_dict(self) -> dict[str, JSON]:
        """Return the cassette form; what is not frozen is left out."""
        pairs = {"clock": self.clock, "zone": self.zone, "seed": self.seed}
        return {key: value for key, value in pairs.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one session freezes, fully parsed."""

    clock: bool
    start: int  # nanoseconds since the epoch
    zone: str | None
    offset: timedelta
    uuid_seed: int | None
    random_seed: int | None


def plan_of(features: frozenset[str], state: FrozenState) -> Plan | None:
    clock = "clock" in features and state.clock is not None
    uuids = state.seed if "uuid" in features else None
    randoms = state.seed if "random" in features else None
    if not clock and uuids is None and randoms is None:
        return None
    moment = datetime.fromisoformat(state.clock) if state.clock is not None else EPOCH
    return Plan(
        clock=clock,
        start=(moment - EPOCH) // timedelta(microseconds=1) * 1_000,
        zone=state.zone,
        offset=moment.utcoffset() or timedelta(),
        uuid_seed=uuids,
        random_seed=randoms,
    )


def _clock_text(value: JSON) -> str | None:
    if value is None:
        return None
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise CassetteCorruptError(f"'meta.freeze.clock' must be an ISO 8601 time, found {value!r}") from None
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not 1970 <= moment.year <= 9000:
        raise CassetteCorruptError(f"'meta.freeze.clock' must lie between the years 1970 and 9000, found {value!r}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.isoformat(timespec="microseconds")


def _zone_text(value: JSON) -> str | None:
    if value is None or (isinstance(value, str) and PLAIN_ZONE.fullmatch(value)):
        return value
    raise CassetteCorruptError(f"'meta.freeze.zone' must be a time zone such as Europe/Paris, found {value!r}")


def _seed(value: JSON) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return int(str(value))
    except ValueError:
        raise CassetteCorruptError(f"'meta.freeze.seed' must be a whole number, found {value!r}") from None
