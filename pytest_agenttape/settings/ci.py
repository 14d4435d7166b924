"""What a CI run may do. Imports nothing, because every run loads it."""

from __future__ import annotations

from collections.abc import Mapping


def is_ci(environ: Mapping[str, str]) -> bool:
    """Return whether this is a CI run, in which only our own flags record."""
    return bool(environ.get("CI"))


def updates_snapshots(environ: Mapping[str, str], *, snapshot_update: bool) -> bool:
    """Return whether ``--snapshot-update`` may change cassettes and delete orphans; in CI it may not."""
    return snapshot_update and not is_ci(environ)
