"""A session's deterministic clock, UUIDs and random numbers, and the environment it was recorded in.

All three are process-wide in Python, so the open sessions are kept in one process-wide list. Clock and UUIDs
are answered per context (each task and thread sees its own session); `random` and the local time zone cannot be,
and sessions that would really share them are refused.

The private names of other packages that are used, all of them here: `time_machine.traveller_stack` and the `time_ns`
of its top (3.0 to 3.6; 2.x also stops the monotonic clock, on which event loops hang); `os`, `_generate_time_safe`,
`_node` and `_last_timestamp*` of the standard `uuid` (3.11 to 3.14).
"""

from __future__ import annotations

import fnmatch
import os
import random
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from types import TracebackType
from typing import Any, Self

from pytest_agenttape.errors import CassetteCorruptError, ConfigError
from pytest_agenttape.model import JSON, REDACTION_PLACEHOLDER, unknown_name

FEATURES = ("clock", "uuid", "random")

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READS_BETWEEN_CHECKS = 1024
_READS_WITHOUT_PROGRESS = 1_000 * _READS_BETWEEN_CHECKS
_READS_AFTER_A_WARNING = 10 * _READS_BETWEEN_CHECKS
_SECONDS_WITHOUT_PROGRESS = 600.0

real_perf_counter = time.perf_counter
_monotonic = time.monotonic
_real_sleep = time.sleep


def parse_features(value: Iterable[str] | str | None) -> frozenset[str]:
    """Return the features named by *value*; None and an empty value freeze nothing.

    Raises:
        ConfigError: A name is no feature.
    """
    if value is None:
        return frozenset()
    names = [each.strip() for each in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, Iterable):
        raise unknown_name("freeze feature", value, FEATURES)
    found = [name for name in names if name != ""]
    for name in found:
        if name not in FEATURES:
            raise unknown_name("freeze feature", name, FEATURES)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class FrozenState:
    """What a session's time and chance start from; it stands in a cassette as ``meta.freeze``.

    Attributes:
        clock: ISO 8601 with microseconds and the recorder's UTC offset; None leaves the clock alone.
        zone: The recorder's time zone as a ``TZ`` value, when it has a name.
        seed: Where UUIDs and random numbers start; None leaves them alone.
    """

    clock: str | None = None
    zone: str | None = None
    seed: int | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, JSON] | None) -> Self:
        """Build a state from its cassette form, as written by a machine or by hand.

        Raises:
            CassetteCorruptError: A value cannot be a time, a zone or a seed.
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


def capture(features: frozenset[str], now: datetime, seed: int) -> FrozenState:
    """Return the state in which a recording that starts at *now* runs, for its replays to start from."""
    dated = bool(features & {"clock", "uuid"})  # a version 1 UUID carries a time
    return FrozenState(
        clock=now.astimezone().isoformat(timespec="microseconds") if dated else None,
        zone=_machine_zone(_original_tz()) if "clock" in features else None,
        seed=seed if features & {"uuid", "random"} else None,
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
    if value is None or (isinstance(value, str) and _PLAIN_ZONE.fullmatch(value)):
        return value
    raise CassetteCorruptError(f"'meta.freeze.zone' must be a time zone such as Europe/Paris, found {value!r}")


def _seed(value: JSON) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return int(str(value))
    except ValueError:
        raise CassetteCorruptError(f"'meta.freeze.seed' must be a whole number, found {value!r}") from None


class ClockLoop(BaseException):
    """A loop that keeps reading a pinned clock after it was told that this cannot end; nothing may swallow it."""


class Freeze:
    """Pin the clock and start UUIDs and random numbers from a seed; leaving it gives back what was there.

    One object can be entered again, also while it is open; each entry starts from the state anew.
    """

    def __init__(self, features: frozenset[str], state: FrozenState) -> None:
        self._plan = _plan(features, state)
        self._open: list[_Layer] = []

    def __enter__(self) -> Self:
        if self._plan is not None:
            self._open.append(_enter(self._plan))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            try:
                _leave(self._open[-1])
            finally:
                self._open.pop()

    def progress(self) -> None:
        """Note that the session got somewhere, so that reading the clock often is no endless loop."""
        for layer in self._open:
            layer.reads = layer.warnings = 0

    def reseed(self) -> None:
        """Start the random numbers again, for when another plugin has seeded them meanwhile."""
        if self._open:
            _seed_random(self._open[-1])


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one session freezes, with everything parsed."""

    clock: bool
    start: int  # nanoseconds since the epoch
    zone: str | None
    offset: timedelta
    uuid_seed: int | None
    random_seed: int | None


def _plan(features: frozenset[str], state: FrozenState) -> _Plan | None:
    clock = "clock" in features and state.clock is not None
    uuids = state.seed if "uuid" in features else None
    randoms = state.seed if "random" in features else None
    if not clock and uuids is None and randoms is None:
        return None
    moment = datetime.fromisoformat(state.clock) if state.clock is not None else _EPOCH
    return _Plan(
        clock=clock,
        start=(moment - _EPOCH) // timedelta(microseconds=1) * 1_000,
        zone=state.zone,
        offset=moment.utcoffset() or timedelta(),
        uuid_seed=uuids,
        random_seed=randoms,
    )


class _Layer:
    """One open session: its pinned time, its UUIDs, and what it has to give back."""

    __slots__ = (
        "is_open", "lock", "now", "parent", "plan", "reads", "saved_numpy", "saved_random",
        "slow_since", "task", "thread", "tick", "traveller", "tz", "uuids", "warnings",
    )  # fmt: skip

    def __init__(self, plan: _Plan, parent: _Layer | None) -> None:
        self.plan = plan
        self.parent = parent
        self.is_open = True
        self.lock = threading.Lock()
        self.now = plan.start
        self.reads = 0
        self.slow_since = 0.0
        self.warnings = 0
        self.tick = 0
        self.tz: str | None = None  # the TZ value it needs; None: the machine's own zone is right
        self.uuids: random.Random | None = None
        self.traveller: Any = None  # time_machine's travel and Traveller
        self.saved_random: object = None
        self.saved_numpy: object = None
        self.thread = threading.current_thread()
        self.task = _running_task()

    def advance(self, start: int, seconds: float) -> None:
        """Move the clock to the end of a sleep that began at *start*; overlapping sleeps count once."""
        end = start + round(seconds * _SECOND)
        with self.lock:
            self.now = max(self.now, end)
        self.reads = self.warnings = 0

    def read(self) -> int:
        """Return the pinned time for whoever is reading, in nanoseconds."""
        layer = _clock_layer(_current.get()) or self
        layer.reads += 1
        if not layer.reads % _READS_BETWEEN_CHECKS:
            layer.check_progress()
        if len(sys.modules) != _sleeps.modules:
            _sleeps.adopt_new_modules()
        return layer.now

    def check_progress(self) -> None:
        """Cut a loop that waits for a time that never comes.

        Raises:
            ConfigError: The clock was read too often, or for too long, with no sleep and no interaction.
            ClockLoop: It still is, after that error was swallowed.
        """
        if self.reads == _READS_BETWEEN_CHECKS:
            self.slow_since = _monotonic()
        if self.reads < _READS_WITHOUT_PROGRESS and _monotonic() - self.slow_since < _SECONDS_WITHOUT_PROGRESS:
            return
        message = _loop_message(self.reads)
        self.reads = _READS_WITHOUT_PROGRESS - _READS_AFTER_A_WARNING
        self.slow_since = _monotonic()
        self.warnings += 1
        raise ConfigError(message) if self.warnings == 1 else ClockLoop(message)

    def random_bytes(self, count: int) -> bytes:
        """Return the next bytes for a UUID."""
        with self.lock:
            if self.uuids is None:
                self.uuids = random.Random(f"uuid {self.plan.uuid_seed}")
            return self.uuids.randbytes(count)

    def time_uuid(self) -> bytes:
        """Return the next version 1 UUID, as libuuid would."""
        with self.lock:
            self.tick = max(self.tick + 1, self.now // 100 + 0x01B21DD213814000)  # 100 ns steps since 1582
            tick = self.tick
        digest = _digest(self.plan.uuid_seed)
        sequence = int.from_bytes(digest[6:8]) & 0x3FFF
        fields = (tick & 0xFFFFFFFF, tick >> 32 & 0xFFFF, tick >> 48 & 0xFFF, sequence >> 8, sequence & 0xFF)
        return uuid.UUID(fields=(*fields, self.node()), version=1).bytes

    def node(self) -> int:
        """Return the hardware address that UUIDs show; the multicast bit says that it is none."""
        return int.from_bytes(_digest(self.plan.uuid_seed)[:6]) | 1 << 40


def _digest(seed: int | None) -> bytes:
    return blake2b(str(seed).encode(), digest_size=8).digest()


def _loop_message(reads: int) -> str:
    return (
        f"the clock was read {reads:,} times with no sleep and no recorded call in between, and it stands still here\n"
        "  a loop that waits for a time never ends under a frozen clock: sleep in it (time.sleep, asyncio.sleep,\n"
        "  anyio.sleep and trio.sleep move the clock), or keep the real clock: freeze=('uuid', 'random')"
    )


# The open sessions in the order of their start. A module global, because what they change is the process's.
_layers: list[_Layer] = []
_lock = threading.RLock()
_current: ContextVar[_Layer | None] = ContextVar("agenttape_frozen", default=None)


def _enter(plan: _Plan) -> _Layer:
    with _lock:
        inherited = _nearest_open(_current.get())
        layer = _Layer(plan, inherited or (_layers[-1] if _layers else None))
        layer.tz = _needed_tz(plan) if plan.clock else None
        _refuse_sharing(layer, inherited)
        _layers.append(layer)
        try:
            _start_clock(layer)
            _sync_process()
            _save_random(layer)
            _seed_random(layer)
        except BaseException:
            _leave(layer)
            raise
        _current.set(layer)
        return layer


def _leave(layer: _Layer) -> None:
    with _lock:
        try:
            _restore_random(layer)
        finally:
            try:
                _stop_clock(layer)
            finally:
                layer.is_open = False
                if layer in _layers:
                    _layers.remove(layer)
                _sync_process()
    layer.saved_random = layer.saved_numpy = layer.task = None
    if _current.get() is layer:
        _current.set(layer.parent)


def _sync_process() -> None:
    """Make the process-wide zone, UUID source and sleeps what the open sessions need."""
    try:
        _sync_zone()
    finally:
        try:
            _sync_uuid()
        finally:
            _sleeps.sync(any(layer.plan.clock for layer in _layers))


def _nearest_open(layer: _Layer | None) -> _Layer | None:
    while layer is not None and not layer.is_open:
        layer = layer.parent
    return layer


def _clock_layer(layer: _Layer | None) -> _Layer | None:
    while layer is not None and not (layer.is_open and layer.plan.clock):
        layer = layer.parent
    return layer


def _uuid_layer(layer: _Layer | None) -> _Layer | None:
    while layer is not None and not (layer.is_open and layer.plan.uuid_seed is not None):
        layer = layer.parent
    return layer


def _pinned_layer() -> _Layer | None:
    """Return the session whose clock the running code sees."""
    found = _clock_layer(_current.get())
    return found or next((layer for layer in reversed(_layers) if layer.plan.clock), None)


# Concurrency ------------------------------------------------------------------------------------------------------


def _refuse_sharing(layer: _Layer, inherited: _Layer | None) -> None:
    """Refuse a session that runs beside another one, not inside it, when they cannot both get their own values."""
    ancestors = set()
    while inherited is not None:
        ancestors.add(inherited)
        inherited = inherited.parent
    for other in _layers:
        if other in ancestors or not _runs_beside(other, layer):
            continue
        shared = _unshareable(layer, other)
        if shared:
            raise ConfigError(
                f"two cassettes that freeze {shared} are open at the same time in different tasks or threads, and\n"
                f"  {shared} belongs to the whole process: open them one after the other, or freeze less in one of\n"
                f"  them, such as freeze={('clock', 'uuid') if shared == 'random' else ('uuid', 'random')}"
            )


def _unshareable(layer: _Layer, other: _Layer) -> str | None:
    if layer.plan.random_seed is not None and other.plan.random_seed is not None:
        return "random"
    if layer.plan.clock and other.plan.clock and layer.tz != other.tz:
        return "clock"
    return None


def _runs_beside(other: _Layer, layer: _Layer) -> bool:
    """Tell whether *other* was opened by a task or thread that goes on running while *layer* is open.

    The main thread is taken to wait for the threads it starts, as a test does; an opener without a task in the same
    thread is a fixture or the caller.
    """
    if other.thread is not layer.thread:
        return other.thread is not threading.main_thread() and other.thread.is_alive()
    return other.task is not None and layer.task not in (None, other.task) and not _is_finished(other.task)


def _running_task() -> Any:  # an asyncio or a trio task, or None
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return asyncio.current_task()
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_task()
    return None


def _is_finished(task: Any) -> bool:  # see above
    coroutine = task.get_coro() if hasattr(task, "get_coro") else task.coro
    return getattr(coroutine, "cr_frame", None) is None


# Clock ------------------------------------------------------------------------------------------------------------


def _start_clock(layer: _Layer) -> None:
    if not layer.plan.clock:
        return
    import time_machine

    travel = time_machine.travel(layer.plan.start // _SECOND, tick=False)
    try:
        traveller: Any = travel.start()
    except RuntimeError as error:  # freezegun is active
        raise ConfigError(
            f"the clock cannot be frozen here: {error} Keep it real: freeze=('uuid', 'random')"
        ) from error
    traveller.time_ns = layer.read
    layer.traveller = (travel, traveller)


def _stop_clock(layer: _Layer) -> None:
    if layer.traveller is None:
        return
    travel, traveller = layer.traveller
    layer.traveller = None
    stack = _travellers()
    if stack and stack[-1] is traveller:
        travel.stop()
    elif traveller in stack:  # a session that outlives this one, or the user's own time travel, stands above it
        stack.remove(traveller)


def _travellers() -> list[Any]:  # time_machine's own Traveller, ours and the user's
    module: Any = sys.modules.get("time_machine")
    found: list[Any] = [] if module is None else module.traveller_stack
    return found


def real_time() -> float:
    """Return the true Unix time, also while the clock is pinned."""
    return real_time_ns() / _SECOND


def real_time_ns() -> int:
    """Return the true Unix time in nanoseconds, also while the clock is pinned."""
    module: Any = sys.modules.get("time_machine")
    if module is not None and module.escape_hatch.is_travelling():
        return int(module.escape_hatch.time.time_ns())
    return time.time_ns()


def real_utcnow() -> datetime:
    """Return the true time as an aware datetime in UTC, also while the clock is pinned."""
    return _EPOCH + timedelta(microseconds=real_time_ns() // 1_000)


# Zone -------------------------------------------------------------------------------------------------------------

_PLAIN_ZONE = re.compile(r"[A-Za-z0-9_+\-<>,.:][A-Za-z0-9_+\-<>,.:/]*")  # a name or a POSIX rule, never a file
_NOT_SET = object()
_saved_tz: object = _NOT_SET  # the value of TZ before the first session changed it; None: it was unset


def _original_tz() -> str | None:
    return os.environ.get("TZ") if _saved_tz is _NOT_SET else _saved_tz  # type: ignore[return-value]  # str or None then


@lru_cache(maxsize=8)
def _machine_zone(tz: str | None) -> str | None:
    """Return the name of the local time zone under the TZ value *tz*, if it has one."""
    if tz:
        name = tz.removeprefix(":")
        return name if _PLAIN_ZONE.fullmatch(name) else None
    _, found, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    if found:
        return name.removeprefix("posix/")
    return "UTC" if time.tzname == ("UTC", "UTC") else None


def _needed_tz(plan: _Plan) -> str | None:
    """Return the TZ value under which local time is the recorder's; None if it already is."""
    here = _machine_zone(_original_tz())
    if not hasattr(time, "tzset") or (plan.zone is not None and plan.zone == here):
        return None
    seconds = plan.start // _SECOND
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
        return None  # the C library takes an unknown zone for UTC and does not say so
    try:
        return datetime.fromtimestamp(seconds, ZoneInfo(zone)).utcoffset()
    except (LookupError, ValueError, OSError):
        return None


def _local_offset(seconds: int) -> timedelta | None:
    return datetime.fromtimestamp(seconds).astimezone().utcoffset()


def _sync_zone() -> None:
    global _saved_tz
    clocks = [layer for layer in _layers if layer.plan.clock]
    wanted = clocks[-1].tz if clocks else None
    if wanted is None:
        if _saved_tz is not _NOT_SET:
            original, _saved_tz = _original_tz(), _NOT_SET
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


# Sleeps -----------------------------------------------------------------------------------------------------------


def _sleep(seconds: float, /) -> None:
    """Sleep as time.sleep does, and move a pinned clock by the time slept."""
    layer = _pinned_layer()
    if layer is None:
        return _real_sleep(seconds)
    start = layer.now
    _real_sleep(seconds)
    layer.advance(start, seconds)
    return None


def _moving(sleep: Callable[..., Any]) -> Callable[..., Any]:  # the answer of asyncio.sleep is the caller's
    """Return an async *sleep* that also moves a pinned clock; one of zero only yields, and moves nothing."""

    async def moving_sleep(delay: float, *args: Any, **kwargs: Any) -> Any:
        layer = _pinned_layer()
        start = layer.now if layer is not None else 0
        answer = await sleep(delay, *args, **kwargs)
        if layer is not None and delay > 0:
            layer.advance(start, delay)
        return answer

    moving_sleep.__name__ = moving_sleep.__qualname__ = "sleep"
    moving_sleep.__doc__ = sleep.__doc__
    return moving_sleep


class _Sleeps:
    """The places that hold a sleep function, also under `from time import sleep`, swapped while a clock is pinned.

    anyio.sleep calls asyncio's or trio's, so these are enough. A module that is imported meanwhile keeps our function,
    which is a plain sleep when no clock is pinned.
    """

    def __init__(self) -> None:
        self.modules = 0
        self._seen: set[str] = set()
        self._learned: set[str] = set()
        self._moving: dict[int, Callable[..., Any]] = {id(_real_sleep): _sleep}
        self._sites: list[tuple[dict[str, Any], str, Callable[..., Any], Callable[..., Any]]] = []
        self._installed = False

    def sync(self, wanted: bool) -> None:
        """Swap the functions in when they are *wanted*, and out when they are not."""
        if wanted and len(sys.modules) != self.modules:
            self._look()
        if wanted == self._installed:
            return
        self._installed = wanted
        for names, name, original, moving in self._sites:
            if names.get(name) is (original if wanted else moving):
                names[name] = moving if wanted else original

    def adopt_new_modules(self) -> None:
        """Swap the functions in modules that were imported while a clock is pinned."""
        if not _lock.acquire(blocking=False):
            return  # the one who holds it is doing just this, or will be back here at the next read
        try:
            if self._installed:
                self._installed = False
                self.sync(True)
        finally:
            _lock.release()

    def _look(self) -> None:
        self.modules = len(sys.modules)
        new = sys.modules.keys() - self._seen
        self._seen |= new
        if self._learn("asyncio.tasks") | self._learn("trio"):
            new = set(sys.modules)
        known = self._moving.keys()
        for module in [sys.modules.get(name) for name in new]:
            names = getattr(module, "__dict__", None)
            if type(names) is not dict or names is globals():
                continue
            if known.isdisjoint(map(id, tuple(names.values()))):
                continue
            for name, value in tuple(names.items()):
                if id(value) in known:
                    self._sites.append((names, name, value, self._moving[id(value)]))

    def _learn(self, module: str) -> bool:
        """Learn the sleep function of *module* once it is imported; tell whether it is a new one."""
        if module in self._learned or module not in sys.modules:
            return False
        sleep = getattr(sys.modules[module], "sleep", None)
        if sleep is None:  # it is being imported right now
            return False
        self._learned.add(module)
        self._moving[id(sleep)] = _moving(sleep)
        return True


_sleeps = _Sleeps()


# UUIDs ------------------------------------------------------------------------------------------------------------

_saved_node: object = _NOT_SET


class _UuidOs:
    """What the uuid module sees as `os`: its random bytes are the session's, everything else is the real one."""

    def urandom(self, count: int) -> bytes:
        layer = _uuid_source()
        return os.urandom(count) if layer is None else layer.random_bytes(count)

    def __getattr__(self, name: str) -> Any:  # whatever the os module has
        return getattr(os, name)


_uuid_os = _UuidOs()


def _uuid_source() -> _Layer | None:
    found = _uuid_layer(_current.get())
    return found or next((layer for layer in reversed(_layers) if layer.plan.uuid_seed is not None), None)


def _generate_time_uuid() -> tuple[bytes, None]:
    layer = _uuid_source()
    return (uuid.uuid4().bytes if layer is None else layer.time_uuid()), None


def _sync_uuid() -> None:
    global _saved_node
    names: dict[str, Any] = vars(uuid)
    seeded = [layer for layer in _layers if layer.plan.uuid_seed is not None]
    if not seeded and _saved_node is _NOT_SET:
        return
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if name in names:
            names[name] = None  # else the first UUIDs of a session depend on the last ones before it
    if seeded:
        if _saved_node is _NOT_SET:
            _saved_node = names["_node"]
        names.update(os=_uuid_os, _generate_time_safe=_generate_time_uuid, _node=seeded[-1].node())
        return
    # time_machine keeps it None while it travels, and puts the real one back itself
    real = None if _travellers() else getattr(sys.modules.get("_uuid"), "generate_time_safe", None)
    names.update(os=os, _generate_time_safe=real, _node=_saved_node)
    _saved_node = _NOT_SET


# Random -----------------------------------------------------------------------------------------------------------


def _numpy_random() -> Any:  # numpy is optional and never imported by us
    return sys.modules.get("numpy.random")


def _save_random(layer: _Layer) -> None:
    if layer.plan.random_seed is None:
        return
    layer.saved_random = random.getstate()
    if _numpy_random() is not None:
        layer.saved_numpy = _numpy_random().get_state(legacy=False)


def _seed_random(layer: _Layer) -> None:
    if layer.plan.random_seed is None:
        return
    random.seed(layer.plan.random_seed)
    if layer.saved_numpy is not None:
        _numpy_random().seed(layer.plan.random_seed & 0xFFFFFFFF)


def _restore_random(layer: _Layer) -> None:
    """Give back the state from before *layer*; to the session above it, if that one outlives it."""
    above = _layers[_layers.index(layer) + 1 :] if layer in _layers else []
    if layer.saved_random is not None:
        heir = next((each for each in above if each.saved_random is not None), None)
        if heir is None:
            random.setstate(layer.saved_random)  # type: ignore[arg-type]  # it came from getstate
        else:
            heir.saved_random = layer.saved_random
    if layer.saved_numpy is not None:
        heir = next((each for each in above if each.saved_numpy is not None), None)
        if heir is None:
            _numpy_random().set_state(layer.saved_numpy)
        else:
            heir.saved_numpy = layer.saved_numpy


# Environment ------------------------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(
    r"(?:^|_|api)(?:keys?|auth|pwd|pat|dsn)(?:_|$)|token(?:_|$)|secret|passw|credential|cookie|private", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"://[^/\s:]*:[^/\s@]*@|-----BEGIN|\b(?:sk|gh[a-z]|xox[a-z]|AKIA|AIza|hf|pk|glpat)[-_]?\w{12}"
)
_UNSHOWN_VALUE = re.compile(r"[A-Za-z0-9+/=]{20}")  # perhaps a secret: compared, but not printed


def env_snapshot(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that *names* (or patterns such as ``MODEL_*``) stand for, without secret-like values."""
    wanted = chain.from_iterable(_expand(name, environ) for name in names)
    return {name: _shown(name, environ.get(name)) for name in sorted(set(wanted))}


def env_drift(recorded: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
    """Return one message for each recorded variable that differs now; secret-like values are never shown."""
    return [
        f"{name} was {_told(was)} when recorded, and is {_told(now)} now"
        for name, was in sorted(recorded.items())
        if (now := _shown(name, environ.get(name))) != was and not _hides_the_same(was, now)
    ]


def _expand(name: str, environ: Mapping[str, str]) -> list[str]:
    return fnmatch.filter(environ, name) if any(sign in name for sign in "*?[") else [name]


def _shown(name: str, value: str | None) -> str | None:
    if value and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value)):
        return REDACTION_PLACEHOLDER
    return value


def _hides_the_same(was: object, now: str | None) -> bool:
    """Tell whether a value that was redacted on its way to the cassette is also set now."""
    return isinstance(was, str) and REDACTION_PLACEHOLDER in was and now is not None


def _told(value: object) -> str:
    if value is None:
        return "not set"
    text = str(value)
    if REDACTION_PLACEHOLDER in text:
        return "set (not shown)"
    if _SECRET_VALUE.search(text) or _UNSHOWN_VALUE.search(text):
        return "another value (not shown)"
    return repr(text if len(text) <= 80 else text[:77] + "...")
