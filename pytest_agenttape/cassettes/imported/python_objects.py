"""Objects that another tool wrote by YAML's tags for Python: what they were is read, and none is made."""

from __future__ import annotations

from pytest_agenttape.model import JSON
from pytest_agenttape.serializer import TAG

_BYTES_IO = "!!python/object/new:_io.BytesIO"  # a file that was uploaded: its content and the place in it
_ITERATOR = "!!python/object/apply:builtins.iter"  # a body in pieces
_TUPLE = "!!python/tuple"


def read(raw: dict[str, JSON]) -> tuple[dict[str, JSON], str | None]:
    """Return an interaction with files and bodies in pieces as bytes, and why it cannot be replayed, if it cannot."""
    unknown: list[str] = []
    clean = _read(raw, "", unknown)
    return (clean if isinstance(clean, dict) else {}), (unknown[0] if unknown else None)


def _read(value: JSON, where: str, unknown: list[str]) -> JSON:
    if isinstance(value, list):
        return [_read(each, f"{where}[{at}]", unknown) for at, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    inner = {name: _read(each, f"{where}.{name}".lstrip("."), unknown) for name, each in value.items() if name != TAG}
    tag = value.get(TAG)
    if tag is None:
        return inner
    found = inner.get("value")
    known = found if tag == _TUPLE else _content(tag, found)
    if known is None:
        unknown.append(f"{where} is an object of Python that cannot be read, {tag}; record it again")
        return repr(found)
    return known


def _content(tag: JSON, value: JSON) -> bytes | None:
    """Return the bytes that the *value* of a tagged object stands for; None if it is none that is known."""
    if not isinstance(value, dict):
        return None
    state, arguments = value.get("state"), value.get("args")
    if tag == _BYTES_IO and isinstance(state, list) and state and isinstance(state[0], bytes):
        return state[0]
    pieces = arguments[0] if tag == _ITERATOR and isinstance(arguments, list) and arguments else None
    if isinstance(pieces, list) and all(isinstance(each, bytes) for each in pieces):
        return b"".join(pieces)
    return None
