"""Recordings of failed and refused runs, kept aside until their cassettes change."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_agenttape.cassettes import atomic, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import CassetteCorruptError, CassetteNotFoundError

PENDING_DAYS = 14


@dataclass(frozen=True, slots=True)
class PendingRecording:
    """A recording that was not kept, for a target that has not changed since."""

    path: Path
    target: Path
    nodeid: str
    base: str
    cassette: Cassette

    def is_stale(self) -> bool:
        """Return whether the target has changed since, so accepting would undo that change."""
        return _digest_of(self.target) != self.base


class Pending:
    """Recordings of failed and refused runs, kept aside until they are accepted or stale.

    Args:
        root: The directory that holds them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, cassette: Cassette, target: Path, nodeid: str, *, scan: writing.Scan | None = None) -> Path:
        """Keep *cassette* for *target*, replacing what was kept before; return its path.

        Raises:
            RecordingRefusedError: It cannot be written, or holds a secret.
        """
        place = self._place(target)
        about = {
            "target": _printable(os.path.abspath(target)),
            "nodeid": _printable(nodeid),
            "base": _digest_of(target),
        }
        noted = replace(cassette, meta={**cassette.meta, "pending": about})
        writing.save(noted, place, assets_threshold=None, scan=scan)
        os.utime(place)  # its age counts from now, even if nothing changed
        return place

    def find(self, target: Path) -> PendingRecording | None:
        """Return what is kept for *target*, or None if there is nothing or the target has changed since."""
        found = _kept(self._place(target))
        return None if found is None or found.is_stale() else found

    def discard(self, target: Path) -> None:
        """Forget what is kept for *target*."""
        self._place(target).unlink(missing_ok=True)

    def entries(self) -> list[PendingRecording]:
        """Return everything that is kept, stale or not, in the order of the targets."""
        kept = filter(None, map(_kept, sorted(self.root.glob("*.yaml"))))
        return sorted(kept, key=lambda each: str(each.target))

    def prune(self, max_age_days: float = PENDING_DAYS, *, now: float | None = None) -> int:
        """Remove what is stale, unreadable or older than *max_age_days*; return how many."""
        oldest = (time.time() if now is None else now) - max_age_days * 86400
        removed = 0
        for path in self.root.glob("*.yaml"):
            with suppress(FileNotFoundError):  # another worker prunes too
                found = _kept(path)
                if found is None or found.is_stale() or path.stat().st_mtime < oldest:
                    path.unlink()
                    removed += 1
        return removed

    def _place(self, target: Path) -> Path:
        digest = hashlib.sha256(os.path.abspath(target).encode("utf-8", "surrogatepass")).hexdigest()
        return self.root / f"{digest[:16]}.yaml"


def _kept(path: Path) -> PendingRecording | None:
    """Return the pending recording in the file at *path*, or None if there is none or it cannot be read."""
    try:
        cassette = Cassette.load(path)
    except (CassetteNotFoundError, CassetteCorruptError):
        return None
    about = cassette.meta.get("pending")
    if not isinstance(about, dict) or not {"target", "nodeid", "base"} <= about.keys():
        return None
    meta = {key: value for key, value in cassette.meta.items() if key != "pending"}
    return PendingRecording(
        path=path,
        target=Path(about["target"]),
        nodeid=str(about["nodeid"]),
        base=str(about["base"]),
        cassette=replace(cassette, meta=meta),
    )


def _digest_of(target: Path) -> str:
    """Return the digest of the bytes of *target*, or an empty text if it cannot be read."""
    try:
        return hashlib.sha256(atomic.content_of(target)).hexdigest()
    except OSError:
        return ""


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
