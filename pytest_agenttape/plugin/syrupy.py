"""Views in syrupy: comparison with the stored view, and the extension that stores each view as a YAML file.

Works with syrupy 5, 6 and 7; uses only the parts of `SnapshotAssertion` that are public in all three.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.exceptions import SnapshotDoesNotExist, TaintedSnapshotError
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from pytest_agenttape import values
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.plugin.pytest_privates import private
from pytest_agenttape.reading.timeline import View
from pytest_agenttape.serializer import dump_yaml


@runtime_checkable
class _Viewed(Protocol):
    """A `CassetteHandle`; its module imports this one, so it cannot be imported here."""

    def view(self) -> View:
        """Return the timeline of the run."""


class AgentTapeYAMLExtension(SingleFileSnapshotExtension):
    """Stores each view or other value in a YAML file: ``snapshot.use_extension(AgentTapeYAMLExtension)``."""

    file_extension = "yaml"
    _write_mode = WriteMode.TEXT

    def serialize(self, data: object, **_filters: Any) -> str:
        """Return *data* as a YAML document."""
        return dump_yaml(_document(data))


def snapshot_of(request: pytest.FixtureRequest) -> SnapshotAssertion:
    """Return syrupy's snapshot of the test that *request* belongs to.

    Raises:
        ConfigError: The run has not loaded syrupy, or its fixture is another's.
    """
    try:
        found = request.getfixturevalue("snapshot")
    except pytest.FixtureLookupError as error:
        if error.argname != "snapshot":
            raise
        raise ConfigError("views are stored by syrupy, which this run has not loaded: -p syrupy loads it") from None
    if not isinstance(found, SnapshotAssertion):
        raise ConfigError(
            f"views are stored by syrupy, and the fixture 'snapshot' is not syrupy's here but {type(found)}: another "
            "plugin or a fixture of yours has its name"
        )
    return found


def view_problem(snapshot: SnapshotAssertion, view: View, name: str | None, *, writes_new: bool) -> str | None:
    """Compare *view* with the stored one as ``view == snapshot`` does; return the difference in syrupy's words.

    In a review, where the user is asked about the whole recording later, a view may differ.
    With *writes_new*, a view that is not stored yet is written, as ``--snapshot-update`` would.
    """
    named = snapshot(name=name) if name else snapshot
    asked_to_update = named.update_snapshots
    named.update_snapshots = asked_to_update or (writes_new and not _is_stored(named))
    try:
        is_same = named == view
    finally:
        named.update_snapshots = asked_to_update
    is_asked_later = snapshot.session.pytest_session.config.option.agenttape_review
    return None if is_same or is_asked_later else _difference(snapshot, view)


def keep_views(config: pytest.Config, nodeid: str) -> None:
    """Keep syrupy from deleting the views of a failed test as unused: the test may have failed before using them.

    Call this during teardown, after syrupy has stored the outcomes of the earlier phases.

    Third-party private used: `Config._syrupy`, seen in syrupy 5.0, 6.0 and 7.0.
    """
    if config.pluginmanager.has_plugin("syrupy"):
        private(config, "_syrupy", "syrupy").ran_item(nodeid, "skipped")


def keep_all_views(config: pytest.Config) -> None:
    """Keep syrupy from deleting any view as unused: this run does not see every test of the files that it looks at."""
    if hasattr(config.option, "no_cleanup"):
        config.option.no_cleanup = True


def _is_stored(snapshot: SnapshotAssertion) -> bool:
    try:
        found = snapshot.session.recall_snapshot(snapshot.extension, snapshot.test_location, snapshot.index)
    except SnapshotDoesNotExist:
        return False
    except TaintedSnapshotError:
        return True
    return found is not None


def _difference(snapshot: SnapshotAssertion, view: View) -> str:
    config = snapshot.session.pytest_session.config
    said = config.hook.pytest_assertrepr_compare(config=config, op="==", left=view, right=snapshot)
    return "\n".join(line for lines in said[:1] if lines for line in lines)


def _document(data: object) -> Any:
    if isinstance(data, View):
        return data.data()
    if isinstance(data, _Viewed):
        return data.view().data()
    if isinstance(data, str):
        return str(data)
    if isinstance(data, list):
        return [_document(each) for each in data]
    return values.encode(data)
