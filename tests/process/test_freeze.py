"""A session's clock, UUIDs, random numbers and environment."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from time import ctime as imported_ctime
from time import sleep as imported_sleep
from types import ModuleType
from typing import Any
from uuid import uuid1 as imported_uuid1
from uuid import uuid4 as imported_uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import clocks
from pytest_agenttape.errors import CassetteCorruptError, ConfigError
from pytest_agenttape.model import FREEZE_FEATURES
from pytest_agenttape.process import freeze
from pytest_agenttape.process.freeze import ClockLoop, Freeze, FrozenState

ALL = frozenset(FREEZE_FEATURES)
NOON = "2024-02-29T12:00:00.123456+00:00"


def frozen(*features: str, clock: str = NOON, zone: str | None = None, seed: int = 7) -> Freeze:
    return Freeze(frozenset(features) or ALL, FrozenState(clock=clock, zone=zone, seed=seed))


def world() -> tuple[object, ...]:
    """Return everything that a session may change."""
    return (
        time.sleep, time.ctime, asyncio.sleep, imported_sleep, imported_ctime, os.environ.get("TZ"), time.tzname,
        uuid.os, uuid._generate_time_safe, uuid._node,  # type: ignore[attr-defined]
    )  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    uuid.getnode()
    before = world()
    yield
    assert world() == before
    assert abs(time.time() - freeze.real_time_ns() / 1e9) < 1
    assert time.time() > 1_750_000_000


# Features and state


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(8999, 1, 1), timezones=st.just(UTC)),
    st.integers(),
    st.sets(st.sampled_from(FREEZE_FEATURES)),
)
def test_a_state_comes_back_from_its_cassette_form(now: datetime, seed: int, features: set[str]) -> None:
    state = freeze.capture(frozenset(features), now, seed)

    assert FrozenState.from_dict(json.loads(json.dumps(state.to_dict()))) == state
    if "clock" in features:
        assert state.clock is not None
        assert datetime.fromisoformat(state.clock) == now


def test_nothing_frozen_stores_nothing() -> None:
    assert freeze.capture(frozenset(), datetime.now(UTC), 5).to_dict() == {}
    assert freeze.capture(frozenset({"random"}), datetime.now(UTC), 5).to_dict() == {"seed": 5}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, FrozenState()),
        ({}, FrozenState()),
        ({"unknown": 1}, FrozenState()),
        ({"clock": "2024-02-29 12:00:00.123456Z"}, FrozenState(clock=NOON)),
        ({"clock": datetime.fromisoformat(NOON)}, FrozenState(clock=NOON)),
        ({"clock": "2024-02-29"}, FrozenState(clock="2024-02-29T00:00:00.000000+00:00")),
        ({"clock": date(2024, 2, 29)}, FrozenState(clock="2024-02-29T00:00:00.000000+00:00")),
        ({"clock": "2024-02-29T12:00:00+05:30"}, FrozenState(clock="2024-02-29T12:00:00.000000+05:30")),
        ({"seed": "12"}, FrozenState(seed=12)),
        ({"zone": "Asia/Kolkata"}, FrozenState(zone="Asia/Kolkata")),
    ],
    ids=repr,
)
def test_a_state_written_by_hand_is_read(raw: Any, expected: FrozenState) -> None:
    assert FrozenState.from_dict(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        [],
        "x",
        {"clock": "yesterday"},
        {"clock": 5},
        {"clock": "0001-01-01"},
        {"seed": True},
        {"seed": "x"},
        {"seed": 1.5},
        {"zone": 5},
        {"zone": "/etc/passwd"},
        {"zone": ""},
    ],
    ids=repr,
)
def test_a_state_that_makes_no_sense_is_refused(raw: Any) -> None:
    with pytest.raises(CassetteCorruptError, match=r"meta\.freeze"):
        FrozenState.from_dict(raw)


# Clock


def test_the_clock_stands_at_the_start_of_the_recording() -> None:
    start = datetime.fromisoformat(NOON)
    with frozen("clock"):
        assert datetime.now(UTC) == start
        assert time.time_ns() == 1_709_208_000_123_456_000
        assert date.today() == start.astimezone().date()
        assert isinstance(datetime.now(), datetime)
        assert type(datetime.now()) is datetime


def test_the_texts_of_the_time_are_those_of_the_pinned_clock() -> None:
    fixed = time.struct_time((2020, 1, 2, 3, 4, 5, 3, 2, 0))
    with frozen("clock"):
        now = datetime.now().strftime("%a %b %d %H:%M:%S %Y")
        assert (time.ctime(), time.ctime(None), time.asctime(), imported_ctime()) == (now, now, now, now)
        assert time.asctime(fixed) == "Thu Jan  2 03:04:05 2020"
        assert time.ctime(0) == time.asctime(time.localtime(0))
    assert time.ctime() != now


def test_the_true_time_stays_available() -> None:
    before = time.time()
    with frozen("clock"):
        assert before <= freeze.real_time_ns() / 1e9 < before + 5
        assert abs((freeze.real_utcnow() - datetime.fromtimestamp(before, UTC)).total_seconds()) < 5
        assert freeze.real_utcnow().tzinfo is UTC
    assert abs(freeze.real_time_ns() / 1e9 - time.time()) < 1


def test_monotonic_clocks_run_on() -> None:
    with frozen("clock"):
        first = (time.monotonic(), time.perf_counter(), clocks.perf_counter())
        imported_sleep(0.002)
        later = (time.monotonic(), time.perf_counter(), clocks.perf_counter())

    assert all(b - a >= 0.002 for a, b in zip(first, later, strict=True))


def test_pydantic_models_can_be_defined_and_used() -> None:
    pydantic = pytest.importorskip("pydantic")
    with frozen():

        class Model(pydantic.BaseModel):  # type: ignore[name-defined, misc]  # imported when it is there
            at: datetime = pydantic.Field(default_factory=lambda: datetime.now(UTC))
            id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4)

        model = Model()
        assert Model.model_validate_json(model.model_dump_json()) == model
        assert model.at == datetime.fromisoformat(NOON)


def test_nothing_is_frozen_without_a_recorded_value() -> None:
    with Freeze(ALL, FrozenState()):
        assert time.time() > 1_750_000_000
        assert random.random() != random.Random(7).random()


# Sleeping moves the clock


def async_sleep(seconds: float) -> None:
    asyncio.run(asyncio.sleep(seconds))


def anyio_sleep(backend: str) -> Callable[[float], None]:
    def run(seconds: float) -> None:
        anyio = pytest.importorskip("anyio")
        pytest.importorskip(backend)
        anyio.run(anyio.sleep, seconds, backend=backend)

    return run


def trio_sleep(seconds: float) -> None:
    trio = pytest.importorskip("trio")
    trio.run(trio.sleep, seconds)


def module_sleep(seconds: float, *, path: Path | None = None) -> None:
    """Sleep in a module that was imported while the clock was pinned."""
    assert path is not None
    (path / "late_sleeper.py").write_text("from time import sleep as nap\nfrom asyncio import sleep as doze\n")
    sys.path.insert(0, str(path))
    try:
        importlib.import_module("late_sleeper").nap(seconds)
    finally:
        sys.path.remove(str(path))
        sys.modules.pop("late_sleeper", None)


SLEEPS: dict[str, Callable[[float], None]] = {
    "time": lambda seconds: time.sleep(seconds),
    "from_time": lambda seconds: imported_sleep(seconds),
    "asyncio": async_sleep,
    "anyio_on_asyncio": anyio_sleep("asyncio"),
    "anyio_on_trio": anyio_sleep("trio"),
    "trio": trio_sleep,
}


@pytest.mark.parametrize("how", SLEEPS)
def test_sleeping_moves_the_clock_by_exactly_the_time_slept(how: str) -> None:
    started = time.perf_counter()
    with frozen("clock"):
        SLEEPS[how](0.0025)
        assert datetime.now(UTC) - datetime.fromisoformat(NOON) == timedelta(microseconds=2500)
    assert time.perf_counter() - started >= 0.0025


def test_a_module_imported_meanwhile_moves_the_clock_too(tmp_path: Path) -> None:
    with frozen("clock"):
        module_sleep(0.0025, path=tmp_path)
        assert datetime.now(UTC) - datetime.fromisoformat(NOON) == timedelta(microseconds=2500)


@pytest.mark.parametrize("how", SLEEPS)
def test_a_sleep_of_zero_moves_nothing(how: str) -> None:
    with frozen("clock"):
        SLEEPS[how](0)
        assert datetime.now(UTC) == datetime.fromisoformat(NOON)


def test_sleeps_side_by_side_count_once() -> None:
    async def work() -> None:
        await asyncio.gather(*(asyncio.sleep(0.002) for _ in range(20)))

    with frozen("clock"):
        asyncio.run(work())
        assert datetime.now(UTC) - datetime.fromisoformat(NOON) == timedelta(milliseconds=2)


def test_a_polling_loop_ends_at_the_same_tick_each_time() -> None:
    def poll() -> int:
        rounds, deadline = 0, time.time() + 0.0105
        while time.time() < deadline:
            imported_sleep(0.001)
            rounds += 1
        return rounds

    found = set()
    for _ in range(3):
        with frozen("clock"):
            found.add(poll())
    assert found == {11}


def test_asyncio_sleep_keeps_its_answer_and_its_nature() -> None:
    with frozen("clock"):
        assert asyncio.run(asyncio.sleep(0.001, "answer")) == "answer"  # type: ignore[arg-type]  # a coroutine
        assert asyncio.run(asyncio.sleep(0, result=5)) == 5  # type: ignore[arg-type]  # a coroutine
        assert asyncio.iscoroutinefunction(asyncio.sleep)
        with pytest.raises(ValueError):
            time.sleep(-1)


def test_a_cancelled_sleep_moves_nothing() -> None:
    async def work() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with frozen("clock"):
        asyncio.run(work())
        assert datetime.now(UTC) == datetime.fromisoformat(NOON)


# A loop that only reads


def wait_a_minute(swallowing: type[Exception] | tuple[()] = ()) -> None:
    """Wait as an agent may, by looking at the clock again and again."""
    deadline = time.time() + 60
    while True:
        try:
            if time.time() >= deadline:
                return
        except swallowing:
            swallowed.append(1)


swallowed: list[int] = []


def read(reader: Callable[[], object], times: int, meanwhile: Callable[[], object] = int) -> None:
    for _ in range(times):
        reader()
        meanwhile()


def test_a_loop_that_only_reads_the_clock_is_cut() -> None:
    with frozen("clock"), pytest.raises(ConfigError) as caught:
        wait_a_minute()

    assert str(caught.value).splitlines()[0].startswith("the clock was read 1,0")
    assert "freeze=('uuid', 'random')" in str(caught.value)


READERS: dict[str, Callable[[], object]] = {
    "time": time.time,
    "time_ns": time.time_ns,
    "now": datetime.now,
    "now_utc": lambda: datetime.now(UTC),
    "today": date.today,
    "gmtime": time.gmtime,
    "localtime": time.localtime,
    "strftime": lambda: time.strftime("%H"),
    "ctime": lambda: time.ctime(),
    "asctime": lambda: time.asctime(),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeze.layers, "_READS_WITHOUT_PROGRESS", 20 * 1024)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.usefixtures("impatient")
def test_every_way_to_read_the_clock_counts(reader: str) -> None:
    with frozen("clock"), pytest.raises(ConfigError, match="and it is frozen here"):
        read(READERS[reader], 21 * 1024)


@pytest.mark.usefixtures("impatient")
def test_a_loop_that_swallows_the_error_is_cut_for_good() -> None:
    swallowed.clear()
    with frozen("clock"), pytest.raises(ClockLoop):
        wait_a_minute(swallowing=Exception)

    assert swallowed == [1]


@pytest.mark.usefixtures("impatient")
def test_reading_goes_on_after_the_error() -> None:
    with frozen("clock"):
        with pytest.raises(ConfigError):
            wait_a_minute()
        read(time.time, 5000)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("step", ["sleep", "progress"])
def test_a_loop_that_gets_somewhere_is_left_alone(step: str) -> None:
    with frozen("clock") as session:
        for turn in range(60 * 1024):
            time.time()
            if turn % 10_000 == 0:
                time.sleep(0.0001) if step == "sleep" else session.progress()


def test_a_loop_that_waits_by_other_means_is_cut_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(clocks, "monotonic", lambda: now[0])

    def wait() -> None:
        now[0] += 0.2

    with frozen("clock"), pytest.raises(ConfigError):
        read(time.time, 5000, meanwhile=wait)


# Time zone

needs_tzset = pytest.mark.skipif(not hasattr(time, "tzset"), reason="the local zone cannot be set here")


@needs_tzset
@pytest.mark.parametrize(
    ("clock", "zone", "local", "july"),
    [
        ("2024-01-15T12:00:00+01:00", "Europe/Berlin", "12:00 CET", "14:00 CEST"),
        ("2024-01-15T12:00:00+05:45", "Asia/Kathmandu", "12:00 +0545", "17:45 +0545"),
        ("2024-01-15T12:00:00-03:30", None, "12:00 -0330", "08:30 -0330"),
        ("2024-01-15T12:00:00-07:00", "Nowhere/AtAll", "12:00 -0700", "05:00 -0700"),
        ("2024-01-15T12:00:00+02:00", "Europe/Berlin", "12:00 +0200", "14:00 +0200"),  # the offset wins
    ],
)
@pytest.mark.parametrize("here", ["UTC", "Asia/Tokyo", "America/New_York", None])
def test_local_time_is_the_recorders(
    clock: str, zone: str | None, local: str, july: str, here: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        if here is None:
            patch.delenv("TZ", raising=False)
        else:
            patch.setenv("TZ", here)
        time.tzset()
        before = (os.environ.get("TZ"), time.tzname)

        with frozen("clock", clock=clock, zone=zone):
            assert datetime.now().strftime("%H:%M ") + time.strftime("%Z") == local
            assert datetime.now() == datetime.fromisoformat(clock).replace(tzinfo=None)
            assert datetime.fromtimestamp(1_721_044_800).astimezone().strftime("%H:%M %Z") == july  # noon UTC in July

        assert (os.environ.get("TZ"), time.tzname) == before
    time.tzset()


@needs_tzset
def test_the_machines_own_zone_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Paris")
        time.tzset()
        state = freeze.capture(ALL, datetime(2024, 7, 1, 12, tzinfo=UTC), 1)
        assert state.to_dict() == {"clock": "2024-07-01T14:00:00.000000+02:00", "zone": "Europe/Paris", "seed": 1}
        set_by_us: list[str | None] = []
        patch.setattr(freeze.zone, "_set_tz", set_by_us.append)
        with Freeze(ALL, state):
            assert datetime.now() == datetime(2024, 7, 1, 14)
        assert set_by_us == []
    time.tzset()


# UUIDs


def draw_uuids() -> list[uuid.UUID]:
    return [imported_uuid1(), uuid.uuid1(), imported_uuid4(), uuid.uuid4(), uuid.uuid1(clock_seq=5), uuid.uuid4()]


@pytest.mark.parametrize("features", [("uuid",), ("clock", "uuid"), ("clock", "uuid", "random")], ids="-".join)
def test_uuids_repeat_and_are_valid(features: tuple[str, ...]) -> None:
    count = 6 if "clock" in features else 4  # an explicit clock_seq takes the time from the clock
    with frozen(*features):
        first = draw_uuids()
        assert [each.version for each in first] == [1, 1, 4, 4, 1, 4]
        assert {each.variant for each in first} == {uuid.RFC_4122}
        assert len(set(first)) == 6
    with frozen(*features):
        assert draw_uuids()[:count] == first[:count]
    with frozen(*features, seed=8):
        assert not set(draw_uuids()) & set(first)
    assert not set(draw_uuids()) & set(first)


@pytest.mark.skipif(not hasattr(uuid, "uuid7"), reason="no uuid7 in this Python")
def test_newer_uuids_repeat() -> None:
    found = []
    for _ in range(2):
        with frozen():
            found.append([uuid.uuid6(), uuid.uuid7(), uuid.uuid8()])  # type: ignore[attr-defined]  # since 3.14
    assert found[0] == found[1]


def test_a_version_1_uuid_carries_the_pinned_time() -> None:
    with frozen():
        ticks = uuid.uuid1().time - 0x01B21DD213814000
    assert (
        datetime.fromtimestamp(ticks / 1e7, UTC).isoformat(timespec="milliseconds") == "2024-02-29T12:00:00.123+00:00"
    )


def test_uuids_are_unique_over_threads() -> None:
    found: list[uuid.UUID] = []

    def draw() -> None:
        found.extend(make() for _ in range(500) for make in (uuid.uuid4, uuid.uuid1))

    with frozen():
        threads = [threading.Thread(target=draw) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(set(found)) == 4000


def test_secrets_stay_secret() -> None:
    found = []
    for _ in range(2):
        with frozen():
            found.append((secrets.token_hex(), os.urandom(16), random.SystemRandom().random()))
            assert vars(os)["urandom"] is os.urandom
    assert not set(found[0]) & set(found[1])


# Random


def test_random_numbers_repeat_and_the_old_ones_go_on() -> None:
    random.seed(99)
    expected = random.Random(99)
    assert random.random() == expected.random()
    with frozen("random"):
        first = [random.random(), random.gauss(), random.sample(range(100), 5)]
        assert first[0] == random.Random(7).random()
    assert random.random() == expected.random()
    with frozen("random"):
        assert [random.random(), random.gauss(), random.sample(range(100), 5)] == first


def test_reseeding_undoes_another_plugins_seed() -> None:
    with frozen("random") as session:
        first = random.random()
        random.seed(12345)
        session.reseed()
        assert random.random() == first


def test_numpy_repeats_and_goes_on() -> None:
    numpy = pytest.importorskip("numpy")
    state = numpy.random.get_state()
    numpy.random.seed(3)
    expected = numpy.random.RandomState(3)
    assert numpy.random.rand() == expected.rand()
    with frozen("random"):
        first = numpy.random.rand(5).tolist()
    assert numpy.random.rand() == expected.rand()
    with frozen("random"):
        assert numpy.random.rand(5).tolist() == first
    numpy.random.set_state(state)


def test_numpy_repeats_that_loads_its_generator_only_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "numpy"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "random.py").write_text(
        "import random\n_one = random.Random()\nseed, set_state, rand = _one.seed, _one.setstate, _one.random\n"
        "def get_state(legacy): return _one.getstate()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    drawn = []
    for _ in range(2):
        for name in ("numpy", "numpy.random"):
            monkeypatch.setitem(sys.modules, name, None)  # also what is imported here will be gone after the test
            del sys.modules[name]
        importlib.import_module("numpy")
        with frozen("random"):
            numbers = importlib.import_module("numpy.random")
            drawn.append(numbers.rand())
        assert numbers.rand() != drawn[-1]
    assert drawn[0] == drawn[1]


# Nesting and concurrency


def draws() -> tuple[object, ...]:
    return datetime.now(UTC), uuid.uuid4(), uuid.uuid1(), random.random()


def test_an_inner_session_has_its_own_and_the_outer_goes_on() -> None:
    with frozen():
        uninterrupted = [draws(), draws()]
    with frozen(clock="1999-12-31T23:59:59+00:00", seed=1):
        inner_alone = draws()

    with frozen():
        outer = [draws()]
        with frozen(clock="1999-12-31T23:59:59+00:00", seed=1):
            assert draws() == inner_alone
            time.sleep(0.001)
        outer.append(draws())
    assert outer == uninterrupted


def test_an_inner_session_that_freezes_nothing_changes_nothing() -> None:
    with frozen():
        with Freeze(frozenset(), FrozenState()):
            assert datetime.now(UTC) == datetime.fromisoformat(NOON)
        assert datetime.now(UTC) == datetime.fromisoformat(NOON)


def test_one_object_can_be_entered_inside_itself() -> None:
    session = frozen()
    with session:
        first = draws()
        with session:
            assert draws() == first
        assert draws() != first


def test_the_zone_of_the_outer_session_comes_back() -> None:
    with frozen("clock", clock="2024-01-15T12:00:00+05:45"):
        with frozen("clock", clock="2024-01-15T12:00:00-07:00"):
            assert datetime.now().hour == 12
        assert time.strftime("%z") == "+0545"


@pytest.mark.parametrize("order", ["first_in_first_out", "last_in_first_out"])
def test_the_process_is_as_before_in_whatever_order_sessions_end(order: str) -> None:
    sessions = [
        frozen("random", seed=5),
        frozen("clock", "uuid"),
        frozen("uuid", seed=2),
        frozen("random", seed=3),
        frozen(seed=4, clock="2020-01-01T00:00:00+09:00"),
    ]
    chance = random.getstate()
    for session in sessions:
        session.__enter__()
        draws()
    for session in sessions if order == "first_in_first_out" else reversed(sessions):
        time.time()
        uuid.uuid1()
        session.__exit__(None, None, None)

    assert freeze.layers.OPEN == []
    assert random.getstate() == chance


def test_a_session_that_outlives_another_keeps_its_own_values() -> None:
    first, second = frozen("clock", "uuid"), frozen("clock", "uuid", clock="2020-01-01T00:00:00+00:00", seed=2)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    try:
        assert datetime.now(UTC).year == 2020
        assert uuid.uuid1().version == 1
        one = uuid.uuid4()
    finally:
        second.__exit__(None, None, None)
    with frozen("uuid", seed=2):
        assert uuid.uuid4() == one


def test_the_users_own_time_travel_works_inside() -> None:
    time_machine = pytest.importorskip("time_machine")
    with frozen("clock"):
        with time_machine.travel("2001-01-01T00:00Z", tick=False):
            assert datetime.now(UTC).year == 2001
            with frozen("clock", clock="1999-01-01T00:00:00+00:00"):
                assert datetime.now(UTC).year == 1999
            assert datetime.now(UTC).year == 2001
        assert datetime.now(UTC).year == 2024


def test_tasks_see_their_own_clock_and_uuids() -> None:
    async def task(year: int, seed: int) -> list[object]:
        with frozen("clock", "uuid", clock=f"{year}-01-01T00:00:00+00:00", seed=seed):
            found: list[object] = []
            for _ in range(5):
                found.append((datetime.now(UTC), uuid.uuid4(), uuid.uuid1()))
                await asyncio.sleep(0.001)
            return found

    async def together() -> list[list[object]]:
        return await asyncio.gather(*(task(2000 + n, n) for n in range(5)))

    async def alone(n: int) -> list[object]:
        return await task(2000 + n, n)

    with frozen("clock"):
        assert asyncio.run(together()) == [asyncio.run(alone(n)) for n in range(5)]


@pytest.mark.parametrize("shared", ["random", "zone"])
def test_tasks_that_would_share_what_cannot_be_shared_are_told(shared: str) -> None:
    async def task(number: int) -> None:
        session = (
            frozen("random", seed=number)
            if shared == "random"
            else frozen("clock", clock=f"2024-01-01T00:00:00+0{number + 3}:30")
        )
        with session:
            await asyncio.sleep(0.01)

    async def together() -> list[object]:
        return await asyncio.gather(task(1), task(2), return_exceptions=True)

    done, refused = asyncio.run(together())
    assert done is None
    assert isinstance(refused, ConfigError)
    assert "open at the same time in different tasks or threads" in str(refused)


def test_threads_that_would_share_random_are_told() -> None:
    entered, done = threading.Event(), threading.Event()

    def first() -> None:
        with frozen():
            entered.set()
            done.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(5)
    refused: list[Exception] = []

    def second() -> None:
        try:
            frozen().__enter__()
        except ConfigError as error:
            refused.append(error)

    other = threading.Thread(target=second)
    other.start()
    other.join()
    done.set()
    thread.join()
    assert len(refused) == 1


def test_a_session_nests_in_the_one_its_task_thread_or_fixture_was_started_from() -> None:
    def use() -> tuple[object, ...]:
        with frozen(seed=9):
            return draws()

    async def fixture(session: Freeze) -> None:
        session.__enter__()

    async def child() -> tuple[object, ...]:
        return use()

    async def parent() -> list[tuple[object, ...]]:
        with frozen(seed=3):
            return [await asyncio.create_task(child()), await asyncio.to_thread(use)]

    expected = use()
    with frozen():
        assert asyncio.run(parent()) == [expected, expected]
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(use()))  # its context knows of no session
        thread.start()
        thread.join()
        assert found == [expected]
        assert contextvars.Context().run(use) == expected

    opened_by_a_task_that_ended = frozen(seed=5)
    asyncio.run(fixture(opened_by_a_task_that_ended))
    try:
        assert use() == expected
        assert asyncio.run(child()) == expected
    finally:
        opened_by_a_task_that_ended.__exit__(None, None, None)


def test_a_context_that_outlives_its_session_sees_the_next_one() -> None:
    with frozen("clock"):
        stale = contextvars.copy_context()
    assert stale.run(time.time) > 1_750_000_000
    with frozen("clock", clock="2020-01-01T00:00:00+00:00"):
        assert stale.run(datetime.now, UTC).year == 2020


def _place(step: str) -> tuple[ModuleType, str]:
    """Return the module of the package that holds *step*, and its name there."""
    room, _, name = step.rpartition(".")
    return getattr(freeze, room) if room else freeze, name


@pytest.mark.parametrize("step", ["clock.start", "_sync_process", "randoms.save", "randoms.seed"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ConfigError])
def test_an_interrupted_start_leaves_nothing_frozen(
    step: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    room, name = _place(step)
    real = getattr(room, name)

    def interrupted(*args: object) -> None:
        real(*args)
        monkeypatch.setattr(room, name, real)
        raise error

    monkeypatch.setattr(room, name, interrupted)
    chance = random.getstate()
    with pytest.raises(error), frozen():
        pass
    assert freeze.layers.OPEN == []
    assert random.getstate() == chance


@pytest.mark.parametrize("step", ["clock.stop", "zone.sync", "uuids.sync", "randoms.restore"])
def test_an_interrupted_end_leaves_nothing_frozen(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room, name = _place(step)
    real = getattr(room, name)

    def interrupted(*args: object) -> None:
        real(*args)
        raise KeyboardInterrupt

    session = frozen(clock="2024-01-01T00:00:00+03:30")
    chance = random.getstate()
    session.__enter__()
    monkeypatch.setattr(room, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.__exit__(None, None, None)
    assert freeze.layers.OPEN == []
    assert random.getstate() == chance


def test_a_test_pays_microseconds() -> None:
    session = frozen()
    best = 1.0
    for _ in range(300):
        started = time.perf_counter()
        with session:
            pass
        best = min(best, time.perf_counter() - started)
    assert best < 0.000_3


# Another machine, another year

REPLAY = """
import sys, json, time, uuid, random, os
from datetime import datetime, timezone
from pytest_agenttape.process.freeze import Freeze, FrozenState
from pytest_agenttape.model import FREEZE_FEATURES
import time_machine
if sys.argv[2] != "0":
    time_machine.travel(time.time() + float(sys.argv[2]) * 86400).start()
with Freeze(frozenset(FREEZE_FEATURES), FrozenState.from_dict(json.loads(sys.argv[1]))):
    time.sleep(0.001)
    print(datetime.now(), datetime.now(timezone.utc), time.strftime("%c %Z"), uuid.uuid4(), uuid.uuid1(),
          uuid.getnode(), random.random(), random.sample(sorted({"a", "b", "c"}), 3), time.localtime())
"""


def test_another_machine_in_another_year_sees_the_same() -> None:
    state = FrozenState(clock="2026-06-17T12:00:00.123456+02:00", zone="Europe/Berlin", seed=4711)
    machines = [
        {"days": "0"},
        {"days": "400", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"},
        {"days": "-400", "TZ": "America/St_Johns", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"},
    ]
    found = set()
    for machine in machines:
        days = machine.pop("days")
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **machine}
        command = [sys.executable, "-c", REPLAY, json.dumps(state.to_dict()), days]
        found.add(subprocess.run(command, capture_output=True, text=True, env=environ, check=True).stdout)

    assert len(found) == 1
    assert "2026-06-17 12:00:00.124456 2026-06-17 10:00:00.124456+00:00" in found.pop()


def test_a_signed_aws_request_repeats() -> None:
    auth = pytest.importorskip("botocore.auth")
    credentials = pytest.importorskip("botocore.credentials").Credentials("AKIDEXAMPLE", "not-a-real-key")
    aws_request = pytest.importorskip("botocore.awsrequest").AWSRequest

    def sign() -> dict[str, str]:
        request = aws_request("POST", "https://bedrock.us-east-1.amazonaws.com/model/x/invoke", data=b"{}")
        auth.SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(request)
        return dict(request.headers)

    found = []
    for offset in ("+00:00", "+05:30"):
        with frozen(clock=f"2024-02-29T12:00:00{offset}"):
            found.append(sign())
    with frozen(clock="2024-02-29T12:00:00+00:00"):
        assert sign() == found[0]
    assert found[0]["X-Amz-Date"] == "20240229T120000Z"
    assert found[1]["X-Amz-Date"] == "20240229T063000Z"


def test_tls_works_with_a_pinned_clock(tmp_path: Path) -> None:
    """OpenSSL takes the time from the system, so a certificate is judged by today and not by the pinned year."""
    import ssl

    certificate, key = certificate_for_localhost(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.create_default_context(cafile=str(certificate))

    async def exchange() -> bytes:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_side, server_hostname="localhost"
            )
            found = await reader.read()
            writer.close()
            return found

    with frozen(clock="1999-01-01T00:00:00+00:00"):
        assert asyncio.run(exchange()) == b"hello"


def certificate_for_localhost(folder: Path) -> tuple[Path, Path]:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)  # noqa: UP017  # reads best beside the timedelta
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "cert.pem", folder / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_path, key_path


# Environment


def test_a_snapshot_has_the_named_variables_and_no_secrets() -> None:
    environ = {
        "MODEL": "claude-3-5-sonnet-20241022",
        "MODEL_TEMPERATURE": "0",
        "OPENAI_API_KEY": "x" * 40,
        "DATABASE_URL": "postgres://me:hunter2@db/x",
        "MAX_TOKENS": "100",
        "OTHER": "not asked for",
    }
    names = ["MODEL*", "OPENAI_API_KEY", "DATABASE_URL", "MAX_TOKENS", "GONE"]

    assert freeze.env_snapshot(names, environ) == {
        "DATABASE_URL": "****",
        "GONE": None,
        "MAX_TOKENS": "100",
        "MODEL": "claude-3-5-sonnet-20241022",
        "MODEL_TEMPERATURE": "0",
        "OPENAI_API_KEY": "****",
    }


@pytest.mark.parametrize(
    ("recorded", "environ", "messages"),
    [
        ({"MODEL": "a"}, {"MODEL": "a"}, []),
        ({"MODEL": "a"}, {"MODEL": "b"}, ["MODEL was 'a' when recorded, but is 'b' now"]),
        ({"MODEL": "a"}, {}, ["MODEL was 'a' when recorded, but is not set now"]),
        ({"MODEL": None}, {"MODEL": "b"}, ["MODEL was not set when recorded, but is 'b' now"]),
        ({"MODEL": None}, {}, []),
        ({"API_KEY": "****"}, {"API_KEY": "another secret"}, []),
        ({"API_KEY": "****"}, {}, ["API_KEY was set (not shown) when recorded, but is not set now"]),
        ({"API_KEY": None}, {"API_KEY": "hunter2"}, ["API_KEY was not set when recorded, but is set (not shown) now"]),
        ({"PLAIN": "a ****1 b"}, {"PLAIN": "a b"}, []),
        (
            {"BUILD": "a"},
            {"BUILD": "0123456789abcdef0123456789abcdef"},
            ["BUILD was 'a' when recorded, but is another value (not shown) now"],
        ),
    ],
    ids=repr,
)
def test_drift_is_told_without_secrets(
    recorded: dict[str, object], environ: dict[str, str], messages: list[str]
) -> None:
    assert freeze.env_drift(recorded, environ) == messages


def test_a_snapshot_does_not_drift_from_itself() -> None:
    assert freeze.env_drift(freeze.env_snapshot(["*"], os.environ), os.environ) == []


def test_the_true_time_is_told_while_another_thread_imports_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", ModuleType("time_machine"))  # begun, and not yet filled
    assert abs(freeze.real_utcnow() - datetime.now(UTC)) < timedelta(seconds=5)
