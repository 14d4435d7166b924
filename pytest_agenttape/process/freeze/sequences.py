"""The numbers of a session's UUIDs: the same seed and time give the same sequence."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from hashlib import blake2b

STANDARD = "uuid"  # the standard module, as a library
_UUID_EPOCH = 0x01B21DD213814000  # of Unix, in steps of 100 ns since 1582
_MILLISECOND = 1_000_000  # nanoseconds


class UuidSequence:
    """The UUIDs that one library is given in one session."""

    def __init__(self, library: str, seed: int, now: Callable[[], int]) -> None:
        self.node = int.from_bytes(_digest(str(seed))[:6]) | 1 << 40  # the multicast bit marks it as made up
        marks = _digest(str(seed) if library == STANDARD else f"{library} {seed}")  # or two libraries' would be equal
        self._own_sequence = int.from_bytes(marks[6:8]) & 0x3FFF
        self._now = now  # in nanoseconds since the epoch
        self._lock = threading.Lock()
        self._random = random.Random(f"{library} {seed}")
        self._tick = 0
        self._milliseconds = self._counter = 0

    def random_bytes(self, count: int) -> bytes:
        """Return the next bytes for a UUID."""
        with self._lock:
            return self._random.randbytes(count)

    def version_1(self, node: int | None = None, sequence: int | None = None) -> int:
        """Return the next UUID of version 1, as libuuid would."""
        tick = self._next_tick()
        high = (tick & 0xFFFFFFFF) << 32 | (tick >> 32 & 0xFFFF) << 16 | tick >> 48 & 0xFFF
        return self._dated(1, high, node, self._own_sequence if sequence is None else sequence)

    def version_6(self, node: int | None = None, sequence: int | None = None, time: int | None = None) -> int:
        """Return the next UUID of version 6; a *time* is in nanoseconds."""
        tick = self._next_tick() if time is None else time // 100 + _UUID_EPOCH
        if sequence is None:
            sequence = self._own_sequence if time is None else int.from_bytes(self.random_bytes(2))
        return self._dated(6, (tick >> 12 & 0xFFFFFFFFFFFF) << 16 | tick & 0xFFF, node, sequence)

    def version_4(self) -> int:
        """Return the next random UUID."""
        return _stamped(int.from_bytes(self.random_bytes(16)), 4)

    def version_7(self, time: int | None = None) -> int:
        """Return the next UUID of version 7; without a *time*, in nanoseconds, they sort as they were made."""
        with self._lock:
            if time is not None:
                return _stamped(time // _MILLISECOND << 80 | self._random.getrandbits(80), 7)
            self._count(self._now() // _MILLISECOND)
            high, low = self._counter >> 30, self._counter & 0x3FFFFFFF
            tail = self._random.getrandbits(32)
            return _stamped(self._milliseconds << 80 | high << 64 | low << 32 | tail, 7)

    def version_8(self, a: int | None = None, b: int | None = None, c: int | None = None) -> int:
        """Return a UUID of three blocks of 48, 12 and 62 bits; those not given are random."""
        with self._lock:
            a, b, c = (
                self._random.getrandbits(size) if block is None else block & (1 << size) - 1
                for block, size in ((a, 48), (b, 12), (c, 62))
            )
        return _stamped(a << 80 | b << 64 | c, 8)

    def multicast_node(self) -> int:
        """Return a random hardware address that is nobody's."""
        return int.from_bytes(self.random_bytes(6)) | 1 << 40

    def _count(self, milliseconds: int) -> None:
        """Count UUIDs of the same millisecond in 42 bits, from a random start with room above it."""
        if milliseconds > self._milliseconds:
            self._milliseconds, self._counter = milliseconds, self._random.getrandbits(41)
        else:
            self._counter += 1

    def _next_tick(self) -> int:
        with self._lock:
            self._tick = max(self._tick + 1, self._now() // 100 + _UUID_EPOCH)
            return self._tick

    def _dated(self, version: int, high: int, node: int | None, sequence: int) -> int:
        address = self.node if node is None else node & 0xFFFFFFFFFFFF
        return _stamped(high << 64 | (sequence & 0x3FFF) << 48 | address, version)


def _stamped(number: int, version: int) -> int:
    """Return *number* with the bits that say a UUID's version and variant."""
    without = number & ~(0xF << 76 | 0x3 << 62)
    return without | version << 76 | 0x2 << 62


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
