"""Protobuf messages as JSON, where protobuf and the message's type can tell; never imported unless a message is there.

proto-plus keeps the protobuf message that one of its own wraps in `_pb` (seen in 1.22-1.27).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pytest_agenttape.model import JSON


def readable(message: object) -> JSON:
    """Return *message* as JSON; None if it is not a protobuf message, or holds a type that is not known here."""
    found = _protobuf(message)
    if found is None:
        return None
    from google.protobuf import json_format  # type: ignore[import-untyped]  # it has no types

    try:
        # Sorted, for the order of a map is by chance.
        return json.loads(json_format.MessageToJson(found, preserving_proto_field_name=True, sort_keys=True))
    except (TypeError, ValueError, json_format.Error):  # an Any of an unknown type, a wrong timestamp
        return None


def stable(message: object, raw: bytes) -> bytes:
    """Return *raw*, the bytes of *message*, as any process would write them: the order of a map is by chance."""
    found = _protobuf(message)
    if found is None:
        return raw
    written: bytes = found.SerializeToString(deterministic=True)
    if written == raw:
        return raw
    return written if len(written) == len(raw) and type(found).FromString(raw) == found else raw


def rewritten(message: object, value: JSON) -> bytes | None:
    """Return the bytes of a message like *message* that says *value*; None if there is none."""
    found = _protobuf(message)
    if found is None:
        return None
    from google.protobuf import json_format

    try:
        written: bytes = json_format.ParseDict(value, type(found)()).SerializeToString(deterministic=True)
    except (TypeError, ValueError, json_format.Error):
        return None
    return written


def _protobuf(message: object) -> Any:  # google.protobuf.message.Message, or None
    module = sys.modules.get("google.protobuf.message")
    if module is None:
        return None
    inner = getattr(message, "_pb", message)
    return inner if isinstance(inner, module.Message) else None
