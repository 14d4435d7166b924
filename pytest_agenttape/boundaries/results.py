"""What a function has returned, in stored form."""

from __future__ import annotations

from pytest_agenttape import values
from pytest_agenttape.model import JSON


def encode_result(value: object, where: str = "result") -> JSON:
    """Return *value* in stored form, of which a stream can be told.

    Raises:
        RecordingRefusedError: A part of it cannot come back; the message has its path from *where*.
    """
    stored = values.encode(value, where)
    if type(value) is dict and "$stream" in stored:  # our key for a stream, here in the user's own dict
        return {"$type": "dict", "items": [[key, each] for key, each in stored.items()]}
    return stored
