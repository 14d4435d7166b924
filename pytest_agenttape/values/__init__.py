"""Typed values: what a tool takes and returns, in a readable JSON form that comes back equal and of the same type.

Plain JSON stays as it is, copied. Anything else becomes a mapping with one marker, ``$type``:

    {$type: datetime, value: '2026-06-17T12:00:00+00:00'}       a built-in form, named like the Python class
    {$type: 'shop.model:Order', fields: {id: 7, ...}}           a class, looked up among the modules already imported
    {$type: exception, type: KeyError, module: builtins, ...}   an exception as a value

A value that cannot come back is refused; the message names the path to it. Reading never imports a module and never
calls a constructor, a validator or a property of a class that a stored value names.
"""

from __future__ import annotations

from pytest_agenttape.values._builtin import FORMS_BY_NAME
from pytest_agenttape.values._changes import Watch
from pytest_agenttape.values._codec import (
    comes_back,
    decode,
    decode_error,
    encode,
    encode_each,
    encode_error,
    redacted_error,
)
from pytest_agenttape.values._codecs import register_codec, unregister_codec
from pytest_agenttape.values._errors import RecordedError, is_recordable_error
from pytest_agenttape.values._unrecorded import watch_use

FORM_NAMES = frozenset(FORMS_BY_NAME)  # what `$type` says of a built-in type

__all__ = [
    "FORM_NAMES",
    "RecordedError",
    "Watch",
    "comes_back",
    "decode",
    "decode_error",
    "encode",
    "encode_each",
    "encode_error",
    "is_recordable_error",
    "redacted_error",
    "register_codec",
    "unregister_codec",
    "watch_use",
]
