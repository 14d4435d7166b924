"""Identifiers that look like the providers' and are the same in every run."""

from __future__ import annotations

import hashlib
import itertools
import string

_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_HEX = "0123456789abcdef"


class Ids:
    """Gives out the identifiers of one response.

    They depend on the request and on how often it was made before, not on the order in which concurrent requests
    arrive; recording the same conversation again gives the same cassette.
    """

    def __init__(self, request: bytes, occurrence: int) -> None:
        self._seed = hashlib.sha256(request + b"#%d" % occurrence).digest()
        self._counter = itertools.count()

    def letters(self, prefix: str, length: int) -> str:
        """Return *prefix* and *length* letters and digits."""
        return prefix + self._draw(length, _LETTERS)

    def hexadecimal(self, prefix: str, length: int) -> str:
        """Return *prefix* and *length* hexadecimal digits."""
        return prefix + self._draw(length, _HEX)

    def number(self, low: int, high: int) -> int:
        """Return a number between *low* and *high*."""
        return low + int(self._draw(8, _HEX), 16) % (high - low + 1)

    def _draw(self, length: int, alphabet: str) -> str:
        stream = hashlib.shake_256(self._seed + b"%d" % next(self._counter)).digest(length)
        return "".join(alphabet[byte % len(alphabet)] for byte in stream)
