"""The UUIDs of fastuuid and uuid_utils, which are compiled: frozen as those of the standard module are."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_agenttape import record_call, use_cassette
from pytest_agenttape.process.freeze import Freeze, FrozenState

fastuuid = pytest.importorskip("fastuuid")
uuid_utils = pytest.importorskip("uuid_utils")
compat = pytest.importorskip("uuid_utils.compat")
fast_uuid4 = fastuuid.uuid4
utils_uuid4, utils_uuid7 = uuid_utils.uuid4, uuid_utils.uuid7
compat_uuid7 = compat.uuid7

NOON = "2024-02-29T12:00:00.123456+00:00"
NOON_MS = 1709208000123
IS_NEW = "nanoseconds" in inspect.signature(uuid_utils.uuid7).parameters  # uuid_utils 1 has Python 3.14's functions
AT_5_SECONDS = {"nanoseconds": 5_000_000_007} if IS_NEW else {"timestamp": 5, "nanos": 7}
BLOCKS = (lambda: (5,)) if IS_NEW else (lambda: (uuid_utils.uuid4().bytes,))
DRAWN = {
    "fastuuid.uuid1": (fastuuid, lambda: fastuuid.uuid1(), 1),
    "fastuuid.uuid_v1mc": (fastuuid, lambda: fastuuid.uuid_v1mc(), 1),
    "fastuuid.uuid4": (fastuuid, lambda: fastuuid.uuid4(), 4),
    "fastuuid.uuid4_bulk": (fastuuid, lambda: fastuuid.uuid4_bulk(2)[1], 4),
    "fastuuid.uuid4_as_strings_bulk": (fastuuid, lambda: fastuuid.UUID(fastuuid.uuid4_as_strings_bulk(2)[1]), 4),
    "fastuuid.uuid7": (fastuuid, lambda: fastuuid.uuid7(), 7),
    "fastuuid.uuid7_bulk": (fastuuid, lambda: fastuuid.uuid7_bulk(n=2)[1], 7),
    "fastuuid.uuid7_as_strings_bulk": (fastuuid, lambda: fastuuid.UUID(fastuuid.uuid7_as_strings_bulk(2)[1]), 7),
    "from fastuuid import uuid4": (fastuuid, lambda: fast_uuid4(), 4),
    "uuid_utils.uuid1": (uuid_utils, lambda: uuid_utils.uuid1(), 1),
    "uuid_utils.uuid4": (uuid_utils, lambda: uuid_utils.uuid4(), 4),
    "uuid_utils.uuid6": (uuid_utils, lambda: uuid_utils.uuid6(), 6),
    "uuid_utils.uuid7": (uuid_utils, lambda: uuid_utils.uuid7(), 7),
    "uuid_utils.uuid7 of a time": (uuid_utils, lambda: uuid_utils.uuid7(**AT_5_SECONDS), 7),
    "uuid_utils.uuid8": (uuid_utils, lambda: uuid_utils.uuid8(*BLOCKS()), 8),
    "from uuid_utils import uuid4": (uuid_utils, lambda: utils_uuid4(), 4),
    "from uuid_utils import uuid7": (uuid_utils, lambda: utils_uuid7(), 7),
    "compat.uuid1": (uuid, lambda: compat.uuid1(), 1),
    "compat.uuid4": (uuid, lambda: compat.uuid4(), 4),
    "compat.uuid6": (uuid, lambda: compat.uuid6(), 6),
    "compat.uuid7": (uuid, lambda: compat.uuid7(), 7),
    "from uuid_utils.compat import uuid7": (uuid, lambda: compat_uuid7(), 7),
}


def frozen(*features: str, clock: str = NOON, seed: int = 7) -> Freeze:
    return Freeze(frozenset(features or ("uuid",)), FrozenState(clock=clock, seed=seed))


def held() -> list[object]:
    modules = (fastuuid, fastuuid.fastuuid, uuid_utils, uuid_utils._uuid_utils, compat, sys.modules[__name__])
    return [vars(module).copy() for module in modules]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = held()
    yield
    assert held() == before


@pytest.mark.parametrize(("library", "draw", "version"), DRAWN.values(), ids=DRAWN)
def test_uuids_of_compiled_libraries_repeat(library: Any, draw: Callable[[], Any], version: int) -> None:
    with frozen():
        first = [draw() for _ in range(3)]
        assert {type(each) for each in first} == {library.UUID}
        assert [each.version for each in first] == [version] * 3
        assert {each.variant for each in first} == {uuid.RFC_4122}
        assert len({str(each) for each in first}) == 3
    with frozen():
        assert [draw() for _ in range(3)] == first
    with frozen(seed=8):
        assert not {str(draw()) for _ in range(3)} & set(map(str, first))
    assert str(draw()) not in set(map(str, first))


def test_a_cassette_of_before_replays_the_same_uuids_of_the_standard_module() -> None:
    """What the standard module is given does not depend on what the compiled libraries draw in between."""
    with frozen("clock", "uuid"):
        assert str(uuid.uuid4()) == OLD[0]
        for _, draw, _ in DRAWN.values():
            draw()
        uuid_utils.getnode()
        assert [str(uuid.uuid1()), str(uuid.uuid4()), str(uuid.uuid1())] == OLD[1:]


OLD = [  # of seed 7 at noon, as they were before those libraries were frozen
    "5c17e8ff-50a3-41fe-b39e-fa4fcce359b2",
    "10737680-d6fa-11ee-8f82-e75017cace78",
    "415fea05-e959-40a7-bdba-dabb5634a985",
    "10737681-d6fa-11ee-8f82-e75017cace78",
]


def test_uuids_with_a_time_carry_the_pinned_one_and_sort_as_they_were_made() -> None:
    with frozen("clock", "uuid"):
        sevens = [make() for _ in range(50) for make in (uuid_utils.uuid7, utils_uuid7)]
        sixes = [uuid_utils.uuid6() for _ in range(50)]
        assert {each.timestamp for each in sevens} == {NOON_MS}
        assert uuid_utils.uuid1().timestamp == sixes[0].timestamp == NOON_MS
    assert sorted(sevens) == sevens
    assert sorted(sixes) == sixes


def test_what_the_caller_gives_is_kept() -> None:
    with frozen():
        assert uuid_utils.uuid1(node=5, clock_seq=6).node == 5
        assert uuid_utils.uuid1(5, 6).clock_seq == 6
        assert fastuuid.uuid1(node=5, clock_seq=6).node == 5
        assert uuid_utils.uuid6(node=5).node == 5
        assert uuid_utils.uuid7(**AT_5_SECONDS).timestamp == 5_000
        assert str(uuid_utils.uuid8(*BLOCKS()))[14] == "8"
        assert uuid_utils.getnode() == uuid.getnode()
        with pytest.raises(OverflowError):
            uuid_utils.uuid7(**dict.fromkeys(AT_5_SECONDS, -1))
        with pytest.raises(TypeError):
            fastuuid.uuid4_bulk("2")


def test_threads_and_libraries_draw_no_uuid_twice() -> None:
    found: list[str] = []

    def draw() -> None:
        makers = (fastuuid.uuid4, fastuuid.uuid7, uuid_utils.uuid6, uuid_utils.uuid7)
        dated = (fastuuid.uuid1, uuid_utils.uuid1, uuid.uuid1)
        found.extend(str(make()) for _ in range(200) for make in (*makers, *dated))

    with frozen():
        threads = [threading.Thread(target=draw) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(found)) == 5600


def test_each_session_has_its_own_uuids_and_those_above_go_on() -> None:
    with frozen():
        first = [fastuuid.uuid4() for _ in range(2)]
    with frozen():
        assert fastuuid.uuid4() == first[0]
        with frozen(seed=8):
            assert fastuuid.uuid4() != first[1]
        with frozen("random"):
            assert fastuuid.uuid4() == first[1]


def test_a_function_that_outlives_its_session_is_the_library_s_again() -> None:
    with frozen():
        kept = fastuuid.uuid4
        drawn = kept()
        assert pickle.loads(pickle.dumps(kept)) is kept
    assert kept() != drawn
    with frozen():
        assert kept() == drawn


def test_nothing_is_replaced_where_uuids_are_not_frozen() -> None:
    before = held()
    with frozen("clock", "random"):
        assert held() == before


LATE = """
import sys
from pytest_agenttape.process.freeze import Freeze, FrozenState
session = Freeze(frozenset({"uuid"}), FrozenState(clock="2024-02-29T12:00:00.123456+00:00", seed=7))
with session:
    print({"fastuuid", "uuid_utils"} & sys.modules.keys())
    from fastuuid import uuid4
    from uuid_utils.compat import uuid7
    import fastuuid, uuid_utils
    print(uuid4(), uuid7(), uuid_utils.uuid4())
print(type(fastuuid.uuid4).__name__, type(uuid_utils.uuid4).__name__, fastuuid.__spec__.loader is fastuuid.__loader__)
first = uuid4(), uuid7()
with session:
    print(uuid4(), uuid7(), uuid_utils.uuid4())
print({uuid4(), uuid7()} & set(first))
"""


def test_libraries_imported_while_a_session_is_open_are_frozen_too_and_none_is_imported_by_it() -> None:
    with frozen():
        drawn = f"{fastuuid.uuid4()} {compat.uuid7()} {uuid_utils.uuid4()}"

    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)

    builtin = "builtin_function_or_method"
    assert done.stdout.splitlines() == ["set()", drawn, f"{builtin} {builtin} True", drawn, "set()"]


def test_a_recording_s_ids_come_back_in_replay(tmp_path: Any) -> None:
    """As litellm makes the id of a tool call, which the next request sends."""
    sent = []
    for mode in ("all", "none"):
        with use_cassette(tmp_path / "ids.yaml", mode=mode):
            sent.append(f"call_{fastuuid.uuid4()}")
            record_call("tool", {"id": sent[-1]}, lambda: "found", boundary="look_up")
    assert sent[0] == sent[1]
