"""UUIDs from a seed: the standard module asks us instead of the operating system.

Privates used here: `os`, `_generate_time_safe`, `_node` and `_last_timestamp*` of `uuid` in CPython 3.11-3.14, and
`generate_time_safe` of its `_uuid`.
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

from pytest_agenttape.process.freeze import clock, compiled_uuids, layers
from pytest_agenttape.process.freeze.sequences import STANDARD
from pytest_agenttape.process.user_stack import is_users

_NOT_SET = object()
_saved_node: object = _NOT_SET


class _UuidOs:
    """What the uuid module sees as `os`: random bytes come from the session, everything else from the real module."""

    def urandom(self, count: int) -> bytes:
        layer = layers.uuid_source()
        if layer is None:
            return os.urandom(count)
        layer.has_drawn = layer.has_drawn or is_users(sys._getframe(2).f_code.co_filename)  # who calls `uuid4`
        return layer.uuids(STANDARD).random_bytes(count)

    def __getattr__(self, name: str) -> Any:  # whatever the os module has
        return getattr(os, name)


_uuid_os = _UuidOs()


def _generate_time_uuid() -> tuple[bytes, None]:
    layer = layers.uuid_source()
    return (uuid.uuid4() if layer is None else uuid.UUID(int=layer.uuids(STANDARD).version_1())).bytes, None


def sync() -> None:
    """Adjust the UUID source to what the open sessions need."""
    global _saved_node
    names: dict[str, Any] = vars(uuid)
    seeded = [layer for layer in layers.OPEN if layer.plan.uuid_seed is not None]
    compiled_uuids.sync(wanted=bool(seeded))
    if not seeded and _saved_node is _NOT_SET:
        return
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if name in names:
            names[name] = None  # or the first UUIDs of a session would depend on the last ones before it
    if seeded:
        if _saved_node is _NOT_SET:
            _saved_node = names["_node"]
        names.update(os=_uuid_os, _generate_time_safe=_generate_time_uuid, _node=seeded[-1].uuids(STANDARD).node)
        return
    # time_machine keeps it None while it travels, and puts the real one back itself
    real = None if clock.travellers() else getattr(sys.modules.get("_uuid"), "generate_time_safe", None)
    names.update(os=os, _generate_time_safe=real, _node=_saved_node)
    _saved_node = _NOT_SET
