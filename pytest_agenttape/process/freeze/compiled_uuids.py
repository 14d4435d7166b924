"""UUIDs from a seed for the libraries whose functions are compiled: fastuuid and uuid_utils, `compat` included.

Privates used here: `_uuid4_int` and `_uuid7_int` of uuid_utils 0.12-1.2, which its `compat` calls; older ones have
neither and need neither.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pytest_agenttape.process.freeze import layers
from pytest_agenttape.process.freeze.sequences import UuidSequence
from pytest_agenttape.process.freeze.sites import Function, Sites
from pytest_agenttape.process.import_hook import ImportHook

_SECOND = 1_000_000_000  # nanoseconds
_Given = Mapping[str, Any]  # what a function is given, by name: releases differ in their order
_Draw = Callable[[UuidSequence, _Given], Any]


def _version_1(sequence: UuidSequence, given: _Given) -> int:
    return sequence.version_1(given.get("node"), given.get("clock_seq"))


def _version_4(sequence: UuidSequence, _: _Given) -> int:
    return sequence.version_4()


def _version_6(sequence: UuidSequence, given: _Given) -> int:
    return sequence.version_6(given.get("node"), given.get("clock_seq"), _time(given))


def _version_7(sequence: UuidSequence, given: _Given) -> int:
    return sequence.version_7(_time(given))


def _version_8(sequence: UuidSequence, given: _Given) -> int:
    return sequence.version_8(given.get("a"), given.get("b"), given.get("c"))


def _time(given: _Given) -> int | None:
    seconds: int | None = given.get("timestamp")
    return given.get("nanoseconds") if seconds is None else seconds * _SECOND + (given.get("nanos") or 0)


def _of_fastuuid(module: Any) -> dict[Function, Function]:
    one = functools.partial(_one, module.UUID)

    def many(draw: _Draw, convert: Callable[[Any], Any] = lambda value: value) -> _Draw:
        return lambda sequence, given: [convert(one(draw)(sequence, given)) for _ in range(given["n"])]

    return _replacements(module, "fastuuid", {
        "uuid1": one(_version_1),
        "uuid_v1mc": one(lambda sequence, _: sequence.version_1(sequence.multicast_node())),
        "uuid4": one(_version_4),
        "uuid4_bulk": many(_version_4),
        "uuid4_as_strings_bulk": many(_version_4, str),
        "uuid7": one(_version_7),
        "uuid7_bulk": many(_version_7),
        "uuid7_as_strings_bulk": many(_version_7, str),
    })  # fmt: skip


def _of_uuid_utils(module: Any) -> dict[Function, Function]:
    one = functools.partial(_one, module.UUID)
    return _replacements(module, "uuid_utils", {
        "uuid1": one(_version_1),
        "uuid4": one(_version_4),
        "uuid6": one(_version_6),
        "uuid7": one(_version_7),
        "uuid8": one(_version_8),
        "getnode": lambda sequence, _: sequence.node,
        "_uuid4_int": _version_4,
        "_uuid7_int": _version_7,
    })  # fmt: skip


def _one(kind: Callable[..., Any], draw: _Draw) -> _Draw:
    return lambda sequence, given: kind(int=draw(sequence, given))


def _replacements(module: Any, library: str, draws: Mapping[str, _Draw]) -> dict[Function, Function]:
    """Return ours for those functions that this version of *library* has."""
    found = ((getattr(module, name, None), draw) for name, draw in draws.items())
    return {real: _seeded(real, library, draw) for real, draw in found if real is not None}


def _seeded(real: Function, library: str, draw: _Draw) -> Function:
    signature = inspect.signature(real)

    @functools.wraps(real)
    def seeded(*args: Any, **named: Any) -> Any:
        layer = layers.uuid_source()
        drawn = real(*args, **named)  # in a session too: it refuses what it is wrongly given
        if layer is None:
            return drawn
        given = signature.bind(*args, **named).arguments
        return drawn if "bytes" in given else draw(layer.uuids(library), given)  # uuid8(bytes) is what it is given

    return seeded


def _adopt() -> None:
    with layers.LOCK:
        _SITES.modules = 0  # look again, even if as many modules are imported as before
        _SITES.adopt_new_modules()


_LIBRARIES = {"fastuuid": _of_fastuuid, "uuid_utils": _of_uuid_utils}
_SITES = Sites(globals(), _LIBRARIES)
_HOOK = ImportHook(frozenset(_LIBRARIES), _adopt)


def sync(*, wanted: bool) -> None:
    """Swap our functions in if they are *wanted*, and out if they are not; never import the libraries."""
    if wanted:
        _HOOK.install()
    _SITES.sync(wanted)
