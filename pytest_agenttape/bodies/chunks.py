"""The chunks in which a body came: their sizes beside it, unless the form of the body has pieces of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

KEY = "chunk_bytes"


def sizes(chunks: Iterable[bytes]) -> list[int]:
    """Return the sizes of *chunks*, as a cassette stores them."""
    return [len(chunk) for chunk in chunks if chunk]


def recut(stored: Mapping[str, JSON], pieces: Sequence[bytes]) -> Sequence[bytes]:
    """Return *pieces*, the body of a stored response, in the chunks in which it came; as they are if they were edited.

    Raises:
        CassetteCorruptError: The recorded sizes are not sizes.
    """
    if KEY not in stored:
        return pieces
    recorded = stored[KEY]
    if not isinstance(recorded, list) or not all(type(size) is int and size > 0 for size in recorded):
        raise CassetteCorruptError(f"{KEY!r} must be a list of whole numbers above zero")
    whole = b"".join(pieces)
    borders = [0, *accumulate(recorded)]
    return [whole[start:end] for start, end in pairwise(borders)] if borders[-1] == len(whole) else pieces
