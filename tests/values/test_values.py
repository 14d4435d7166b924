"""Typed values come back equal, of the same type and fresh, or are refused with the path to blame."""

from __future__ import annotations

import asyncio
import builtins
import collections
import concurrent.futures
import contextlib
import dataclasses
import decimal
import enum
import fractions
import functools
import importlib
import ipaddress
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import threading
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import attrs
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_agenttape.errors import CassetteCorruptError, ConfigError, RecordingRefusedError, UnmatchedInteractionError
from pytest_agenttape.values import (
    RecordedError,
    decode,
    decode_error,
    encode,
    encode_error,
    is_recordable_error,
    register_codec,
    unregister_codec,
)
from tests.tables import compare_with_page

T = TypeVar("T")
PARIS = ZoneInfo("Europe/Paris")
HERE = __name__

# --- the users' classes


class Color(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias comes back as its member
    PAIR = (1, [2])


class Size(enum.IntEnum):
    BIG = 3


class Word(enum.StrEnum):
    HI = "hi"


class Perm(enum.Flag):
    READ = 1
    WRITE = 2
    EXEC = 4


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Point(NamedTuple):
    x: int
    y: object = 0


OldPoint = collections.namedtuple("OldPoint", "a b")


class PointWithDict(Point):
    pass


@dataclasses.dataclass
class Plain:
    a: object = None
    b: list[object] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    tags: frozenset[str] = frozenset()


@dataclasses.dataclass
class Computed:
    """Its construction must not run twice."""

    side: int
    scale: dataclasses.InitVar[int]
    area: int = dataclasses.field(init=False)
    constructed: ClassVar[int] = 0

    def __post_init__(self, scale: int) -> None:
        type(self).constructed += 1
        self.area = self.side**2 * scale
        self.note = "set beside the fields"

    @functools.cached_property
    def double(self) -> int:
        return self.area * 2


@dataclasses.dataclass
class Counted:
    """One field is in the instance only once it is set."""

    a: int
    seen: int = dataclasses.field(init=False, default=7)


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


@dataclasses.dataclass(eq=False)
class Identity:
    a: object


@dataclasses.dataclass
class NeverEqual:
    a: int
    secret: object = dataclasses.field(default=0, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeverEqual) and self.a == other.a and self is not REJECTED and other is not REJECTED


REJECTED = NeverEqual(1)


@dataclasses.dataclass
class DictLike(OrderedDict):  # type: ignore[type-arg]
    a: int = 0


@attrs.define
class Attr:
    a: int
    b: list[object] = attrs.Factory(list)


@attrs.frozen(cache_hash=True)
class HashedAttr:
    name: str


@attrs.define(slots=False)
class OpenAttr:
    a: int
    built: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.built = True


class Item(pydantic.BaseModel):
    name: str
    when: datetime | None = None
    note: str = "none"


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    items: list[Item]
    by_id: dict[int, Item] = {}
    _trace: str = pydantic.PrivateAttr(default="t")


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    positive: int
    link: pydantic.HttpUrl | None = None
    checked: ClassVar[int] = 0

    @pydantic.field_validator("positive")
    @classmethod
    def _check(cls, value: int) -> int:
        cls.checked += 1
        if value < 0:
            raise ValueError("negative")
        return value

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @functools.cached_property
    def twice(self) -> int:
        return self.positive * 2


class Names(pydantic.RootModel[list[str]]):
    pass


class Page(pydantic.BaseModel, Generic[T]):
    rows: list[T]


class OddError(Exception):
    """Its __init__ does not take its args."""

    def __init__(self, *, status_code: int, body: object, client: object) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code
        self.body = body
        self.client = client


class TextError(Exception):
    def __str__(self) -> str:
        return f"text {self.lost.name}"  # type: ignore[attr-defined]


class BrokenTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class DiskError(OSError):
    def __init__(self, code: int, disk: str) -> None:
        super().__init__(code, "disk is full", f"/mnt/{disk}")
        self.disk = disk


class ForeignZone(tzinfo):
    def utcoffset(self, _: object) -> timedelta:
        return timedelta(0)

    def tzname(self, _: object) -> str:
        return "foreign"

    def dst(self, _: object) -> None:
        return None


class Client:
    """Something live, which no cassette can hold."""


class Str(str):
    __slots__ = ()


class Int(int):
    pass


def ordered(values: list[object]) -> OrderedDict[object, object]:
    return OrderedDict((value, index) for index, value in enumerate(values))


def local_instance() -> object:
    @dataclasses.dataclass
    class Local:
        a: int = 1

    return Local()


def page_of(row: Any) -> object:
    return Page[row](rows=[])


COMES_BACK: dict[str, object] = {
    "none": None,
    "bool": True,
    "text": "héllo\n\x00\ud800",
    "float": 1.5,
    "minus_zero": -0.0,
    "inf": math.inf,
    "minus_inf": -math.inf,
    "list": [1, [2.0, None], {}],
    "dict": {"a": {"b": [1]}},
    "empty_key": {"": 1},
    "int_keys": {1: "a", 2: "b"},
    "mixed_keys": {None: 1, "a": 2, (1, 2): 3, 1.5: 4, True: 5},
    "marker_key": {"$type": "datetime", "value": 1},
    "marker_key_nested": [{"$type": {"$type": "os:system"}}],
    "enum_keys": {Word.HI: 1},
    "big_int": 10**700,
    "huge_int": -(7**9000),
    "tuple": (1, (2, [3])),
    "empty_tuple": (),
    "set": {"b", "a", "c"},
    "set_of_tuples": {(1, "a"), (0, "b")},
    "set_mixed": {1, "1", None, 2.5, b"x"},
    "frozenset": frozenset({frozenset({2, 1}), frozenset()}),
    "bytes_text": b"plain text\r\n",
    "bytes_utf8": "naïve".encode(),
    "bytes_binary": bytes(range(256)),
    "bytes_empty": b"",
    "bytearray": bytearray(b"\xff\x00"),
    "complex": complex(-0.0, math.inf),
    "range": range(1, 10, -3),
    "fraction": fractions.Fraction(-1, 3),
    "decimal": Decimal("1.10"),
    "decimal_tiny": Decimal("-0E-500"),
    "decimal_inf": Decimal("-Infinity"),
    "uuid": uuid.UUID(int=5),
    "date": date(2026, 6, 17),
    "datetime": datetime(2026, 6, 17, 12, 0, 0, 123456),
    "datetime_utc": datetime(2026, 6, 17, tzinfo=UTC),
    "datetime_offset": datetime(2026, 6, 17, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
    "datetime_seconds_offset": datetime(1900, 6, 17, tzinfo=timezone(timedelta(seconds=561))),
    "datetime_named": datetime(2026, 6, 17, tzinfo=timezone(timedelta(hours=1), "CET")),
    "datetime_zone": datetime(2026, 6, 17, tzinfo=PARIS),
    "datetime_fold": datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1),
    "datetime_pydantic": pydantic.TypeAdapter(datetime).validate_python("2026-06-17T00:00:00+02:00"),
    "time": time(1, 2, 3, 4),
    "time_zone": time(1, 2, tzinfo=PARIS),
    "time_offset": time(1, 2, tzinfo=UTC, fold=1),
    "timedelta": timedelta(days=-3, seconds=7, microseconds=1),
    "timedelta_zero": timedelta(0),
    "timezone": timezone(timedelta(hours=2)),
    "timezone_named": timezone(timedelta(0), "Z"),
    "zoneinfo": PARIS,
    "path": Path("a") / "b c",
    "pure_posix_path": PurePosixPath("/x"),
    "pure_windows_path": PureWindowsPath(r"C:\a\b"),
    "ordered_dict": ordered(["b", "a"]),
    "counter": Counter("hello"),
    "defaultdict": defaultdict(list, {"a": [1]}),
    "defaultdict_none": defaultdict(None, {1: 2}),
    "deque": deque([1, (2,)], maxlen=5),
    "pattern": re.compile("a+", re.IGNORECASE),
    "pattern_bytes": re.compile(b"\xff"),
    "ipv4": ipaddress.ip_address("10.0.0.1"),
    "ipv6_network": ipaddress.ip_network("fe80::/64"),
    "ipv4_interface": ipaddress.ip_interface("10.0.0.1/8"),
    "enum": Color.RED,
    "enum_alias": Color.CRIMSON,
    "enum_mutable": Color.PAIR,
    "int_enum": Size.BIG,
    "str_enum": Word.HI,
    "flag": Perm.READ,
    "flag_combined": Perm.READ | Perm.EXEC,
    "flag_none": Perm(0),
    "int_flag_unknown_bits": Bits(9),
    "named_tuple": Point(1, [2]),
    "named_tuple_old": OldPoint(1, b=(2,)),
    "dataclass": Plain({1: 2}, [Plain()]),
    "dataclass_frozen_slots": Frozen(1, frozenset({"b", "a"})),
    "dataclass_computed": Computed(2, scale=3),
    "dataclass_generic": Box[int](1),
    "attrs": Attr(1, [Attr(2)]),
    "attrs_cached_hash": HashedAttr("n"),
    "attrs_open": OpenAttr(1),
    "model": Item(name="a", when=datetime(2026, 1, 1, tzinfo=UTC)),
    "model_defaults": Item(name="a"),
    "model_extra": Order.model_validate({"items": [Item(name="a")], "by_id": {1: {"name": "b"}}, "more": (1,)}),
    "model_frozen": Strict.model_validate({"positive": 1, "link": "https://example.org/?q=1"}),
    "model_root": Names(["a"]),
    "model_generic": Page[Item](rows=[Item(name="a")]),
    "model_generic_nested": Page[dict[str, int | None]](rows=[{"a": None}]),
    "model_generic_optional": Page[Page[int] | None](rows=[None, Page[int](rows=[1])]),
    "model_constructed_invalid": Item.model_construct(name=5),
    "url": pydantic.TypeAdapter(pydantic.AnyUrl).validate_python("https://exämple.org/a?b#c"),
    "dsn": pydantic.TypeAdapter(pydantic.PostgresDsn).validate_python("postgres://u@h:1,i:2/d"),
}


@pytest.mark.parametrize("value", COMES_BACK.values(), ids=COMES_BACK)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"x": [v, (v,)]}], ids=["bare", "nested"])
def test_value_comes_back_equal_and_of_the_same_type(value: object, wrap: Any) -> None:
    value = wrap(value)
    stored = encode(value)
    again = decode(json.loads(json.dumps(stored)))
    assert again == value
    assert type(again) is type(value)
    assert encode(again) == stored


READABLE: dict[str, tuple[object, object]] = {
    "plain": ({"city": "London", "n": [1, 2.5, None, True]}, {"city": "London", "n": [1, 2.5, None, True]}),
    "datetime": (
        datetime(2026, 6, 17, 12, tzinfo=UTC),
        {"$type": "datetime", "value": "2026-06-17T12:00:00+00:00"},
    ),
    "zone": (
        datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1),
        {"$type": "datetime", "value": "2026-10-25T02:30:00+01:00", "zone": "Europe/Paris", "fold": 1},
    ),
    "tuple": ((1, "a"), {"$type": "tuple", "items": [1, "a"]}),
    "set": ({10, 9, 1}, {"$type": "set", "items": [1, 9, 10]}),
    "bytes": (b"ok", {"$type": "bytes", "text": "ok"}),
    "binary": (b"\xff", {"$type": "bytes", "base64": "/w=="}),
    "int_keys": ({1: "a"}, {"$type": "dict", "items": [[1, "a"]]}),
    "marker_key": ({"$type": "x"}, {"$type": "dict", "items": [["$type", "x"]]}),
    "nan": (math.nan, {"$type": "float", "value": "nan"}),
    "path": (Path("a/b"), {"$type": "Path", "value": "a/b"}),
    "enum": (Color.RED, {"$type": f"{HERE}:Color", "member": "RED"}),
    "flag": (Perm.READ | Perm.WRITE, {"$type": f"{HERE}:Perm", "member": "READ|WRITE"}),
    "named_tuple": (Point(1, 2), {"$type": f"{HERE}:Point", "fields": {"x": 1, "y": 2}}),
    "dataclass": (Plain(1), {"$type": f"{HERE}:Plain", "fields": {"a": 1, "b": []}}),
    "model": (
        Item(name="a", when=None, note="n"),
        {"$type": f"{HERE}:Item", "fields": {"name": "a", "when": None, "note": "n"}},
    ),
    "generic_model": (
        Page[int](rows=[1]),
        {"$type": f"{HERE}:Page", "args": ["int"], "fields": {"rows": [1]}},
    ),
}


@pytest.mark.parametrize(("value", "stored"), READABLE.values(), ids=READABLE)
def test_stored_form_is_readable(value: object, stored: object) -> None:
    assert encode(value) == stored


def test_nan_comes_back_as_nan() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert math.isnan(decode(encode(Plain(math.nan))).a)
    assert decode(encode(Decimal("sNaN"))).is_snan()
    assert decode(encode(Decimal("NaN123"))).compare_total(Decimal("NaN123")) == 0


def test_zone_is_kept_not_only_its_offset() -> None:
    again = decode(encode(datetime(2026, 6, 17, tzinfo=PARIS)))
    assert again.tzinfo is PARIS
    assert decode(encode(datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1))).fold == 1
    assert decode(encode(datetime(2026, 1, 1, tzinfo=timezone(timedelta(0), "Z")))).tzname() == "Z"


def test_utc_of_dateutil_comes_back() -> None:
    tz = pytest.importorskip("dateutil.tz")
    again = decode(encode(datetime(2026, 6, 17, tzinfo=tz.tzutc())))
    assert type(again.tzinfo) is tz.tzutc


def test_int_too_long_for_decimal_text_is_stored_whatever_the_limit() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        for value in (2**2047, 2**2048, -(2**2048), 3**8000):
            assert decode(json.loads(json.dumps(encode(value)))) == value
    finally:
        sys.set_int_max_str_digits(before)


# --- what rebuilding does not do


def test_rebuilding_a_dataclass_runs_no_init() -> None:
    value = Computed(2, scale=3)
    assert value.double == 24
    stored = encode(value)
    before = Computed.constructed
    again = decode(stored)
    assert (again.area, again.note, again.double) == (12, "set beside the fields", 24)
    assert Computed.constructed == before
    assert "double" not in stored["fields"]


@pytest.mark.parametrize("is_set", [False, True])
def test_a_field_outside_of_init_comes_back_whether_it_was_set_or_not(
    is_set: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = Counted(1)
    if is_set:
        value.seen = 7
    stored = encode(value)
    assert stored["fields"] == {"a": 1, "seen": 7}
    monkeypatch.setattr(Counted, "seen", 8)  # its default is another one by now
    assert decode(stored).seen == 7


def test_rebuilding_a_model_runs_no_validator() -> None:
    value = Strict.model_construct(positive=-1)
    assert value.twice == -2
    before = Strict.checked
    again = decode(encode(value))
    assert again == value
    assert again.twice == -2
    assert Strict.checked == before


def test_private_extra_and_set_fields_of_a_model_come_back() -> None:
    value = Order.model_validate({"items": [], "more": (1,)})
    value._trace = "changed"
    again = decode(encode(value))
    assert again._trace == "changed"
    assert again.model_extra == {"more": (1,)}
    assert again.model_fields_set == {"items", "more"}
    assert again.model_dump() == value.model_dump()
    again.items.append(Item(name="still works"))


def test_hash_cached_by_attrs_is_computed_again() -> None:
    value = HashedAttr("n")
    hash(value)
    assert encode(value) == encode(HashedAttr("n"))
    assert hash(decode(encode(value))) == hash(value)


def test_field_that_the_class_got_since_takes_its_plain_default() -> None:
    stored = encode([Item(name="a"), Plain(1), Point(1, 2), Attr(3)])
    for each, name in zip(stored, ("note", "a", "y", "a"), strict=True):
        del each["fields"][name]
    model, plain, point = decode(stored[:3])
    assert (model.note, plain.a, point.y) == ("none", None, 0)
    with pytest.raises(CassetteCorruptError, match=r"field 'a' was not recorded; record again"):
        decode(stored[3])


# --- fresh values

MUTABLE: dict[str, Any] = {
    "list": [[1]],
    "dict": {"a": {}},
    "tuple_of_lists": ([1],),
    "dataclass": Plain([], [[]]),
    "model": Order(items=[]),
    "bytearray": bytearray(b"x"),
    "defaultdict": defaultdict(list, a=[1]),
}


@pytest.mark.parametrize("value", MUTABLE.values(), ids=MUTABLE)
def test_each_decode_returns_a_fresh_value(value: Any) -> None:
    stored = encode(value)
    first, second = decode(stored), decode(stored)
    assert first == second == value
    assert first is not second
    assert first is not value


def test_stored_form_is_captured_at_call_time() -> None:
    inner: list[object] = [1]
    value = {"a": inner, "b": Plain(inner)}
    stored = encode(value)
    inner.append(2)
    assert decode(stored) == {"a": [1], "b": Plain([1])}
    decode(stored)["a"].append(3)
    assert decode(stored)["a"] == [1]


def test_a_shared_part_comes_back_in_each_place() -> None:
    shared = [1]
    assert decode(encode([shared, shared])) == [[1], [1]]


# --- refusals

REFUSED: dict[str, tuple[object, str]] = {
    "object": ({"items": [0, 1, 2, {"client": Client()}]}, f"result.items[3].client: <class '{HERE}.Client'> cannot"),
    "function": ([print], "result[0]: <class 'builtins.builtin_function_or_method'> cannot be recorded; use plain"),
    "class": (Client, "result: <class 'builtins.type'>"),
    "module": (os, "result: <class 'builtins.module'>"),
    "lock": (Plain(threading.Lock()), "result.a: <class '_thread.lock'>"),
    "generator": ((n for n in "a"), "result: <class 'builtins.generator'>"),
    "key": ({(1, Client()): 1}, f"result[key][1]: <class '{HERE}.Client'>"),
    "odd_key": ({"odd key": Client()}, "result['odd key']: "),
    "int_key": ({7: Client()}, "result[7]: "),
    "set_item": ({Client()}, "result[*]: "),
    "str_subclass": (["a", Str("b")], f"result[1]: <class '{HERE}.Str'>"),
    "int_subclass": (Int(1), f"result: <class '{HERE}.Int'>"),
    "local_class": (local_instance(), "does not lead back to it; define it at the top level of a module"),
    "simple_namespace": (types.SimpleNamespace(), "result: <class 'types.SimpleNamespace'>"),
    "dataclass_on_dict": (DictLike(a=1), "result: "),
    "defaultdict_lambda": (defaultdict(lambda: 1), "default_factory is not a built-in type"),
    "foreign_zone": (
        [datetime(2026, 1, 1, tzinfo=ForeignZone())],
        f"result[0]: its time zone {HERE}.ForeignZone cannot",
    ),
    "model_private": (Order.model_construct(items=[Client()]), "result.items[0]: "),
    "model_secret": ({"key": pydantic.SecretStr("x")}, "result.key: <class 'pydantic.types.SecretStr'>"),
    "exception_attribute": (OddError(status_code=1, body=None, client=Client()), "result.client: "),
    "exception_class": ([TextError()], "result[0]: "),
    "not_equal": ([0, REJECTED], "result[1]: "),
    "type_argument": (page_of(type(local_instance())), "type argument"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_value_that_cannot_come_back_is_refused_with_its_path(value: object, message: str) -> None:
    with pytest.raises(RecordingRefusedError) as caught:
        encode(value)
    assert message in str(caught.value)
    assert "register a codec" in str(caught.value)


def _outcome(value: object) -> str:
    try:
        again = decode(json.loads(json.dumps(encode(value))))
    except RecordingRefusedError as refusal:
        return f"refused at `{str(refusal).partition(': ')[0]}`"
    is_equal = again != again if value != value else again == value  # NaN is not itself
    return "equal" if is_equal and type(again) is type(value) else "different"


def test_table_of_types_in_the_documentation_says_what_happens() -> None:
    values = {**COMES_BACK, "nan": math.nan}
    values.update({name: value for name, (value, _) in REFUSED.items()})
    values.update({f"cycle through a {name}": value for name, (value, _) in cycles().items()})
    rows = [f"| {name.replace('_', ' ')} | {_outcome(value)} |" for name, value in values.items()]
    compare_with_page("appendix/values.md", "values", ["| value | after a replay |", "|---|---|", *rows])


def test_refusal_names_the_given_root() -> None:
    with pytest.raises(RecordingRefusedError, match=r"^get_weather\(client\)\.a: "):
        encode(Plain(Client()), where="get_weather(client)")


def test_named_tuple_with_further_attributes_is_refused() -> None:
    value = PointWithDict(1)
    assert decode(encode(value)) == value
    value.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(RecordingRefusedError, match="attributes besides its fields"):
        encode(value)


def test_value_that_changes_while_it_is_read_is_refused() -> None:
    value: dict[object, object] = {"a": 1}

    def grow(_: object) -> str:
        value["b"] = 2
        return "x"

    value["a"] = Str("x")
    register_codec(Str, encode=grow, decode=Str)
    try:
        with pytest.raises(RecordingRefusedError, match="changed while it was being read"):
            encode(value)
    finally:
        unregister_codec(Str)


def test_numpy_is_refused() -> None:
    numpy = pytest.importorskip("numpy")
    for value in (numpy.zeros(2), numpy.float64(1.0), numpy.int64(1)):
        with pytest.raises(RecordingRefusedError, match=r"result\[0\]: <class 'numpy"):
            encode([value])


def cycles() -> dict[str, tuple[object, str]]:
    items: list[object] = []
    items.append({"self": items})
    mapping: dict[str, object] = {}
    mapping["me"] = mapping
    plain = Plain()
    plain.a = (plain,)
    model = Order.model_construct(items=[])
    model.items.append(model)  # type: ignore[arg-type]
    error = ValueError("x")
    error.me = error  # type: ignore[attr-defined]
    return {
        "list": (items, "result[0].self: contains itself"),
        "dict": (mapping, "result.me: contains itself"),
        "dataclass": (plain, "result.a[0]: contains itself"),
        "model": (model, "result.items[0]: contains itself"),
        "error": (error, "result.me: contains itself"),
    }


@pytest.mark.parametrize(("value", "message"), cycles().values(), ids=cycles())
def test_cycle_is_refused_with_its_path(value: object, message: str) -> None:
    with pytest.raises(RecordingRefusedError) as caught:
        encode(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "wrap", [lambda v: [v], lambda v: (v,), lambda v: {1: v}, Plain], ids=["list", "tuple", "dict", "class"]
)
def test_deep_nesting_is_right_or_refused(wrap: Any) -> None:
    value: object = None
    for _ in range(60):
        value = wrap(value)
    assert decode(encode(value)) == value
    for _ in range(5000):
        value = wrap(value)
    with pytest.raises(RecordingRefusedError, match="is nested"):
        encode(value)


def test_hundred_plain_levels_are_recorded() -> None:
    value: object = 1
    for _ in range(50):
        value = [{"a": value}]
    assert decode(encode(value)) == value


def test_mapping_with_an_odd_key_on_each_level_takes_linear_time() -> None:
    value: dict[object, object] = {}
    for _ in range(60):
        value = {"a": value, 1: 1}
    assert decode(encode(value)) == value


# --- hostile cassettes


RAN: list[object] = []


class Trap:
    """Says when anything makes an instance of it."""

    def __new__(cls) -> Trap:
        RAN.append(cls)
        return super().__new__(cls)

    class Inner:
        pass


HOSTILE: dict[str, object] = {
    "function": {"$type": "os:system", "fields": {"command": "true"}, "value": "true", "args": ["true"]},
    "class": {"$type": "subprocess:Popen", "fields": {"args": ["true"]}, "args": ["true"]},
    "builtin": {"$type": "builtins:eval", "value": "1"},
    "builtin_type": {"$type": "builtins:type", "fields": {}},
    "object": {"$type": "builtins:object", "fields": {}},
    "own_class": {"$type": f"{HERE}:Trap", "fields": {}},
    "inner_class": {"$type": f"{HERE}:Trap.Inner", "fields": {}},
    "not_imported": {"$type": "antigravity:Plain", "fields": {}},
    "not_imported_dotted": {"$type": "this.is:Plain", "fields": {}},
    "submodule": {"$type": "os:path.join", "fields": {}},
    "dunder_walk": {"$type": f"{HERE}:Plain.__init__.__globals__", "fields": {}},
    "dunder_class": {"$type": f"{HERE}:Plain.__class__", "fields": {}},
    "base_walk": {"$type": f"{HERE}:Plain.__base__", "fields": {}},
    "dunder_field": {"$type": f"{HERE}:Plain", "fields": {"a": 1, "b": [], "__class__": 1}},
    "dunder_dict": {"$type": f"{HERE}:Plain", "fields": {"a": 1, "b": [], "__dict__": {}}},
    "no_fields": {"$type": f"{HERE}:Plain"},
    "fields_not_a_mapping": {"$type": f"{HERE}:Plain", "fields": [1]},
    "fields_missing": {"$type": f"{HERE}:Point", "fields": {}},
    "model_unknown_field": {"$type": f"{HERE}:Item", "fields": {"name": "a", "nope": 1}},
    "model_wrong_argument": {"$type": f"{HERE}:Page", "args": ["subprocess:Popen"], "fields": {"rows": []}},
    "enum_value": {"$type": f"{HERE}:Color", "member": "BLUE"},
    "enum_method": {"$type": f"{HERE}:Color", "member": "__init__"},
    "unknown_form": {"$type": "nope", "value": 1},
    "marker_not_text": {"$type": ["datetime"]},
    "marker_null": {"$type": None},
    "empty": {"$type": ""},
    "colon": {"$type": ":"},
    "empty_module": {"$type": ":Plain"},
    "empty_name": {"$type": f"{HERE}:"},
    "datetime": {"$type": "datetime", "value": "yesterday"},
    "datetime_type": {"$type": "datetime", "value": 5},
    "zone_escape": {"$type": "datetime", "value": "2026-01-01", "zone": "../../etc/passwd"},
    "zone_package": {"$type": "ZoneInfo", "zone": "a.b/c"},
    "zone_type": {"$type": "datetime", "value": "2026-01-01T00:00:00+00:00", "zone_type": "subprocess:Popen"},
    "decimal": {"$type": "Decimal", "value": "one"},
    "unhashable": {"$type": "set", "items": [[1]]},
    "pairs": {"$type": "dict", "items": [[1]]},
    "factory": {"$type": "defaultdict", "factory": "eval", "items": []},
    "pattern": {"$type": "Pattern", "pattern": "(", "flags": 0},
    "base64": {"$type": "bytes", "base64": "?"},
    "int": {"$type": "int", "value": "x"},
    "range": {"$type": "range", "start": "a", "stop": 1, "step": 1},
    "exception_not_imported": {"$type": "exception", "type": "Lost", "module": "shop", "message": "m"},
    "exception_class": {"$type": "exception", "type": "Popen", "module": "subprocess", "args": ["true"]},
    "exception_base": {"$type": "exception", "type": "SystemExit", "module": "builtins", "message": ""},
}


@pytest.mark.parametrize("stored", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [{"a": v}]], ids=["bare", "nested"])
def test_hostile_value_is_corrupt_and_neither_imports_nor_calls(
    stored: object, wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **__: object) -> None:
        RAN.append(args)

    modules = set(sys.modules)
    with monkeypatch.context() as patch:
        patch.setattr(os, "system", forbidden)
        patch.setattr(subprocess.Popen, "__init__", forbidden)
        patch.setattr(importlib, "import_module", forbidden)
        patch.setattr(builtins, "__import__", forbidden)
        caught = failure(lambda: decode(wrap(stored)))
    assert RAN == []
    assert isinstance(caught, CassetteCorruptError)
    assert set(sys.modules) == modules


def test_lazy_module_attributes_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy_for_test")

    def load(name: str) -> object:
        raise AssertionError(f"asked for {name}")

    lazy.__getattr__ = load  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_for_test", lazy)
    with pytest.raises(CassetteCorruptError, match="is not a class in the imported module"):
        decode({"$type": "lazy_for_test:Thing", "fields": {}})


def test_property_of_the_class_does_not_run() -> None:
    again = decode({"$type": f"{HERE}:Guarded", "fields": {"name": 1}})
    assert vars(again) == {"name": 1}


@dataclasses.dataclass
class Guarded:
    def _set(self, _: object) -> None:
        raise AssertionError("a cassette ran code")

    name = property(lambda _: 1, _set)


def test_class_that_is_not_imported_says_what_to_do() -> None:
    with pytest.raises(CassetteCorruptError, match=r"module 'shop\.model' is not imported.*import it in the test"):
        decode({"$type": "shop.model:Order", "fields": {}})


def test_very_deep_stored_value_is_corrupt() -> None:
    stored: object = 1
    for _ in range(100_000):
        stored = [stored]
    with pytest.raises(CassetteCorruptError, match="is nested too deeply"):
        decode(stored)
    marked: object = 1
    for _ in range(3_000):
        marked = {"$type": "tuple", "items": [marked]}
    with pytest.raises(CassetteCorruptError):
        decode(marked)


# --- codecs


@pytest.fixture
def client_codec() -> Any:
    register_codec(Client, encode=lambda _: {"at": (1, 2)}, decode=lambda _: Client(), name="client")
    yield
    unregister_codec(Client)


@pytest.mark.usefixtures("client_codec")
def test_codec_records_its_class() -> None:
    stored = encode([Client()])
    assert stored == [{"$type": "client", "value": {"at": {"$type": "tuple", "items": [1, 2]}}}]
    assert type(decode(stored)[0]) is Client


def test_unregistered_codec_says_what_to_do() -> None:
    with pytest.raises(CassetteCorruptError, match="register the codec first"):
        decode({"$type": "client", "value": 1})


@pytest.mark.parametrize("wrong", [{"cls": 5}, {"encode": 5}, {"decode": None}, {"name": 5}])
def test_codec_is_a_class_and_two_functions(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"cls": Client, "encode": str, "decode": str, **wrong}
    with pytest.raises(ConfigError, match="register_codec takes a class, two functions and a name: "):
        register_codec(**given)


def test_codec_of_exactly_one_class() -> None:
    register_codec(Str, encode=str, decode=Str)
    try:
        assert encode(Str("x")) == {"$type": f"{HERE}:Str", "value": "x"}
        assert type(decode(encode(Str("x")))) is Str
    finally:
        unregister_codec(Str)
    with pytest.raises(RecordingRefusedError):
        encode(Str("x"))


@pytest.mark.parametrize(
    ("give", "take", "message"),
    [
        (lambda _: {"a": Client()}, Str, r"result\[0\]\.a: <class '.*Client'> cannot be recorded"),
        (lambda _: 1 / 0, Str, r"result\[0\]: .*its codec failed: ZeroDivisionError"),
        (str, str, "does not come back with the same content"),
        (str, lambda kept: Str(kept + "!"), "does not come back"),
        (lambda _: "same", Str, "does not come back equal"),
        (str, lambda _: 1 / 0, "cannot be rebuilt: ZeroDivisionError"),
    ],
    ids=["unrecordable", "encode_fails", "other_type", "grows", "loses", "decode_fails"],
)
def test_codec_that_does_not_bring_the_value_back_is_refused(give: Any, take: Any, message: str) -> None:
    register_codec(Str, encode=give, decode=take)
    try:
        with pytest.raises(RecordingRefusedError, match=message):
            encode([Str("x")])
    finally:
        unregister_codec(Str)


@pytest.mark.parametrize(
    ("cls", "name"), [(str, None), (datetime, None), (Str, "tuple"), (Str, "exception"), (Str, "client")]
)
@pytest.mark.usefixtures("client_codec")
def test_codec_for_a_taken_class_or_name_is_a_config_error(cls: type, name: str | None) -> None:
    with pytest.raises(ConfigError):
        register_codec(cls, encode=str, decode=cls, name=name)


# --- exceptions


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001 - the traceback is what is wanted
        return caught


def with_note(error: BaseException) -> BaseException:
    error.add_note("in London")
    return error


def failure(call: Any) -> BaseException:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("nothing was raised")


ERRORS: dict[str, BaseException] = {
    "plain": ValueError("bad city"),
    "no_args": ValueError(),
    "two_args": ValueError("a", 2),
    "rich_args": ValueError({"a": (1,)}),
    "key": KeyError("city"),
    "os": failure(lambda: open("/nonexistent/file")),  # noqa: SIM115
    "os_two_files": OSError(18, "cross-device", "a", None, "b"),
    "timeout": TimeoutError("slow"),
    "unicode": failure(lambda: b"\xff".decode()),
    "unicode_encode": failure(lambda: "é".encode("ascii")),
    "import": failure(lambda: __import__("no_such_module_here")),
    "attribute": failure(lambda: os.nothing),  # type: ignore[attr-defined]
    "syntax": failure(lambda: compile("a b", "f.py", "exec")),
    "json": failure(lambda: json.loads("{")),
    "stop": StopIteration(5),
    "decimal": failure(lambda: Decimal("x")),
    "called_process": subprocess.CalledProcessError(2, ["ls"], b"out"),
    "own": OddError(status_code=429, body={"retry": (1,)}, client=None),
    "own_os": DiskError(28, "sda"),
    "group": ExceptionGroup("many", [ValueError("a"), ExceptionGroup("in", [KeyError("b")])]),
    "noted": with_note(ValueError("x")),
    "validation": failure(lambda: Item.model_validate({"name": 1, "when": "never"})),
    "validation_nested": failure(lambda: Order.model_validate({"items": [{"name": None}, 5]})),
    "validation_own": failure(lambda: Strict(positive=-1)),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_exception_comes_back_as_its_class_with_its_text(error: BaseException) -> None:
    stored = json.loads(json.dumps(encode_error(error)))
    again = decode_error(stored)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert isinstance(error, ExceptionGroup | decimal.DecimalException) or again.args == error.args
    assert getattr(again, "__notes__", []) == getattr(error, "__notes__", [])
    assert encode_error(again) == stored
    assert decode_error(stored) is not again


def test_short_exception_is_stored_shortly() -> None:
    assert encode_error(ValueError("bad city")) == {"type": "ValueError", "module": "builtins", "message": "bad city"}


def test_attributes_of_an_exception_come_back() -> None:
    again = decode_error(encode_error(OddError(status_code=429, body={"a": (1,)}, client=None)))
    assert isinstance(again, OddError)
    assert (again.status_code, again.body, again.client) == (429, {"a": (1,)}, None)


def test_fields_of_built_in_exceptions_come_back() -> None:
    again = decode_error(encode_error(ERRORS["os"]))
    assert isinstance(again, FileNotFoundError)
    assert (again.errno, again.filename) == (2, "/nonexistent/file")
    disk = decode_error(encode_error(ERRORS["own_os"]))
    assert (disk.errno, disk.filename, disk.disk) == (28, "/mnt/sda", "sda")  # type: ignore[attr-defined]
    assert decode_error(encode_error(StopIteration(5))).value == 5  # type: ignore[attr-defined]


def test_members_of_a_group_come_back() -> None:
    group = decode_error(encode_error(ERRORS["group"]))
    assert isinstance(group, ExceptionGroup)
    assert group.message == "many"
    assert [type(each) for each in group.exceptions] == [ValueError, ExceptionGroup]
    assert group.split(KeyError)[0] is not None


def test_cause_comes_back() -> None:
    again = decode_error(encode_error(raised(ValueError("x"), KeyError("y"))))
    assert type(again.__cause__) is KeyError
    assert again.__suppress_context__


def test_findings_of_a_validation_error_come_back() -> None:
    original = ERRORS["validation"]
    again = decode_error(encode_error(original))
    assert isinstance(again, pydantic.ValidationError)
    assert again.errors() == original.errors()  # type: ignore[attr-defined]


STAND_INS: dict[str, tuple[dict[str, object], str]] = {
    "not_imported": ({"type": "RateLimit", "module": "shop.errors", "message": "slow"}, "shop.errors.RateLimit: slow"),
    "no_text": ({"type": "RateLimit", "module": "shop.errors", "message": ""}, "shop.errors.RateLimit"),
    "not_an_exception": ({"type": "system", "module": "os", "message": "x"}, "os.system: x"),
    "no_exception_class": ({"type": "Popen", "module": "subprocess", "message": "x"}, "subprocess.Popen: x"),
    "base_exception": ({"type": "KeyboardInterrupt", "module": "builtins", "message": "x"}, "KeyboardInterrupt: x"),
    "other_text": ({"type": "KeyError", "module": "builtins", "message": "x", "args": ["y"]}, "KeyError: x"),
    "bad_args": ({"type": "ValueError", "module": "builtins", "message": "x", "args": 5}, "ValueError: x"),
    "dunder": (
        {"type": "ValueError", "module": "builtins", "message": "x", "attributes": {"__class__": 1}},
        "ValueError: x",
    ),
    "empty_group": ({"type": "ExceptionGroup", "module": "builtins", "message": "x"}, "ExceptionGroup: x"),
    "empty": ({}, "Exception"),
}


@pytest.mark.parametrize(("stored", "text"), STAND_INS.values(), ids=STAND_INS)
def test_exception_that_cannot_be_rebuilt_has_a_stand_in(stored: dict[str, Any], text: str) -> None:
    again = decode_error(stored)
    assert isinstance(again, RecordedError)
    assert str(again) == text
    assert (again.type, again.module) == (stored.get("type", "Exception"), stored.get("module", ""))
    assert encode_error(again) == stored


@pytest.mark.parametrize("shown", ["{'a', 'b'}", "{'b', 'a'}"])
def test_an_exception_that_carries_a_set_comes_back_in_a_process_that_orders_sets_otherwise(shown: str) -> None:
    stored = {"type": "ValueError", "module": "builtins", "message": f"('missing', {shown})"}
    again = decode_error({**stored, "args": ["missing", {"$type": "set", "items": ["a", "b"]}]})
    assert type(again) is ValueError
    assert again.args == ("missing", {"a", "b"})


def test_text_that_an_exception_cannot_make_does_not_stop_the_recording() -> None:
    assert encode_error(BrokenTextError())["message"] == "<RuntimeError in __str__>"
    assert isinstance(decode_error(encode_error(BrokenTextError())), RecordedError)
    lost = TextError("x")
    lost.lost = types.SimpleNamespace(name="n")  # type: ignore[attr-defined]
    assert str(decode_error(encode_error(lost))).endswith("TextError: text n")


def test_exception_that_refers_to_itself_is_recorded_with_stand_ins() -> None:
    error = ValueError("x")
    error.me = error  # type: ignore[attr-defined]
    error.others = [error, error]  # type: ignore[attr-defined]
    error.__cause__ = error
    again = decode_error(encode_error(error))
    assert type(again) is ValueError
    assert {name: each.kind for name, each in vars(again).items()} == {
        "me": "<class 'builtins.ValueError'>",
        "others": "<class 'builtins.list'>",
    }


def test_exceptions_as_values_come_back() -> None:
    stored = encode([ValueError("a"), OddError(status_code=1, body=b"x", client=None)])
    assert stored[0] == {"$type": "exception", "type": "ValueError", "module": "builtins", "message": "a"}
    first, second = decode(stored)
    assert (type(first), str(first)) == (ValueError, "a")
    assert (type(second), second.body) == (OddError, b"x")
    stand_in = RecordedError({"type": "Lost", "module": "shop", "message": "m"})
    assert str(decode(encode((stand_in,)))[0]) == "shop.Lost: m"


@pytest.mark.parametrize(
    ("error", "recordable"),
    [
        (ValueError("x"), True),
        (StopIteration(), True),
        (ExceptionGroup("g", [ValueError()]), True),
        (RecordedError({"type": "E"}), True),
        (KeyboardInterrupt(), False),
        (SystemExit(), False),
        (GeneratorExit(), False),
        (asyncio.CancelledError(), False),
        (concurrent.futures.CancelledError(), False),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), False),
        (UnmatchedInteractionError("x"), False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_only_outcomes_of_the_call_are_recordable(error: BaseException, recordable: bool) -> None:
    assert is_recordable_error(error) is recordable


# --- laws

FORM_NAMES = (
    "int float dict tuple set frozenset bytes bytearray complex range Fraction Decimal UUID datetime time date "
    "timedelta timezone ZoneInfo Path PurePosixPath OrderedDict Counter defaultdict deque Pattern IPv4Address exception"
).split()
hashables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.ip_addresses()
    | st.sampled_from([*Color, *Size, *Word, *Perm])
    | st.builds(PurePosixPath, st.text(alphabet="ab/.")),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(inner, max_size=3)
        | st.builds(Point, st.integers(), inner)
    ),
    max_leaves=6,
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.just("$type"), inner, max_size=3)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=4)
        | st.builds(Plain, inner, st.lists(inner, max_size=2))
        | st.builds(Attr, inner)
        | st.builds(Item.model_construct, name=inner)
        | st.builds(Box, inner)
        | st.lists(inner, max_size=2).map(deque)
    ),
    max_leaves=10,
)


@given(values)
@example({"$type": {"$type": 1}})
@example([1, True, 1.0, {1.0: 1}, {True: 1}])
@settings(deadline=None, max_examples=300)
def test_law_what_is_stored_comes_back(value: object) -> None:
    stored = encode(value)
    again = decode(json.loads(json.dumps(stored)))
    assert again == value
    assert type(again) is type(value)
    assert encode(again) == stored


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: key != "$type"), inner, max_size=4)  # the marker is escaped
    ),
)


@given(json_values)
@settings(deadline=None)
def test_law_plain_json_stays_as_it_is(value: object) -> None:
    assert encode(value) == value


any_part = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2.5,
        "",
        "a",
        "0x1",
        "2026-01-01",
        "RED",
        "READ|9",
        [],
        [1],
        [[1, 2]],
        {},
        {"a": 1},
        {"$type": "x"},
    ]
)
marked = st.fixed_dictionaries(
    {
        "$type": st.sampled_from(
            [*FORM_NAMES, *(f"{HERE}:{name}" for name in ("Plain", "Item", "Color", "Perm", "Page"))]
        )
    },
    optional=dict.fromkeys(
        ("value", "items", "fields", "zone", "member", "args", "text", "base64", "flags", "pattern", "type", "module"),
        any_part,
    ),
)


@given(marked | st.lists(marked, max_size=2) | st.builds(lambda one, two: {**one, "items": [two]}, marked, marked))
@settings(deadline=None, max_examples=300)
def test_law_any_stored_value_is_read_or_corrupt(stored: object) -> None:
    with contextlib.suppress(CassetteCorruptError):
        decode(stored)


def test_stored_form_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "import json; from pytest_agenttape.values import encode\n"
        "print(json.dumps(encode([{'a', 'b', 'c', 'd'}, {1, 'a', None, (2, b'x')}, "
        "frozenset({frozenset('xyz'), 'q'})])))"
    )
    root = str(pathlib.Path(__file__).parents[2])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_optional_libraries_are_not_imported() -> None:
    program = (
        "import sys; from pytest_agenttape.values import encode, decode\n"
        "decode(encode([(1,), {2}]))\n"
        "print([n for n in ('pydantic', 'attr', 'attrs', 'numpy', 'yaml', 'pytest', 'httpx') if n in sys.modules])"
    )
    root = str(pathlib.Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"[]"
