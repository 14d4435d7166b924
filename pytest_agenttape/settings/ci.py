"""What a CI run may do. Imports nothing, because every run loads it."""

from __future__ import annotations

from collections.abc import Mapping

_SERVICES = ("JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")  # of those that set no CI
_NO = ("", "false", "0")


def is_ci(environ: Mapping[str, str]) -> bool:
    """Return whether this is a CI run, in which only our own flags record: by ``CI``, else by a service's own variable.

    The services are Jenkins, Azure Pipelines, TeamCity and CodeBuild.
    """
    said = environ.get("CI")
    if said is not None:
        return said.strip().lower() not in _NO
    return any(environ.get(name) for name in _SERVICES)


def updates_snapshots(environ: Mapping[str, str], *, snapshot_update: bool) -> bool:
    """Return whether ``--snapshot-update`` may change cassettes and delete orphans; in CI it may not."""
    return snapshot_update and not is_ci(environ)
