"""``pytest --agenttape-audit``: every cassette as a test item. Can it be read, written and committed?"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.cassettes import atomic, paths, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.imported import is_imported
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.matching.canonical import canonical_text, match_key
from pytest_agenttape.plugin.cassette_files import would_be_read
from pytest_agenttape.plugin.committing import pending_folder
from pytest_agenttape.plugin.imposed_settings import policy_of
from pytest_agenttape.plugin.options import has_snapshot_update
from pytest_agenttape.reading.json_diff import Comparison
from pytest_agenttape.redaction import RedactionRules, Redactor, shapes
from pytest_agenttape.settings.ages import UNKNOWN, shown_age, shown_days, stale_days
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import key_rules

_FINDINGS_SHOWN = 10
_PART = re.compile(r"[^\s;=&?/'\"\[\]]+")


class AuditError(AgentTapeError):
    """A problem with a cassette."""


class Audit:
    """Collects cassettes instead of tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._days: float | None = config.option.agenttape_max_age

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        if collection_path.is_dir():
            return None
        return None if would_be_read(collection_path) else True

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, object, list[pytest.Collector]]:
        yield  # its result is dropped: a test file named on the command line must not run either
        if would_be_read(file_path):
            return [_File.from_parent(parent, path=file_path, days=self._days)]
        return [_NoCassette.from_parent(parent, path=file_path)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add the pending recordings in the cache, where collection does not look."""
        folder = pending_folder(session.config)
        for path in sorted(folder.glob("*.yaml")) if folder is not None else ():
            items += _File.from_parent(session, path=path, days=None).collect()


class _File(pytest.File):
    """One cassette file."""

    def __init__(self, *, days: float | None, **options: Any) -> None:
        super().__init__(**options)
        self.days = days

    def collect(self) -> Iterator[pytest.Item]:
        yield _Item.from_parent(self, name="audit")


class _NoCassette(pytest.File):
    """A file given on the command line that is not a cassette."""

    def collect(self) -> Iterator[pytest.Item]:
        return iter(())


class _Item(pytest.Item):
    """The audit of one cassette."""

    parent: _File

    def runtest(self) -> None:
        cassette = Cassette.load(self.path)
        clean = _Cleaning(self.path, self.config)
        if not is_imported(cassette.interactions):  # another tool's file stays as it is
            writing.prepare(cassette, self.path)
            if has_snapshot_update(self.config):
                cassette = clean.write(cassette)
        clean.refuse(cassette)
        if self.parent.days is not None:
            _refuse_old(cassette, self.parent.days)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, AgentTapeError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"cassette {self.path.name}"


class _Cleaning:
    """Finds and removes secrets in one cassette, by the current rules and environment."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        self._path, self._config = path, Config.load(path.parent)
        _, rules = policy_of(config)
        self._rules = RedactionRules.of(self._config.redact).merged(rules)

    def write(self, cassette: Cassette) -> Cassette:
        """Remove the secrets from the file of *cassette* and from its assets; return the cleaned cassette."""
        redactor = self._redactor(repr(cassette))
        clean = self._cleaned(cassette, redactor)
        if clean == cassette:
            return cassette
        rules = key_rules(self._config).fitted_to((each.request for each in clean.interactions), clean.meta)
        clean.interactions = [
            replace(each, match_key=match_key(canonical_text(each.request, rules))) for each in clean.interactions
        ]
        writing.save(clean, self._path, assets_threshold=self._config.assets_threshold_bytes, scan=redactor.scan)
        return clean

    def refuse(self, cassette: Cassette) -> None:
        """Fail if there is a secret.

        Raises:
            AuditError: Its message says where the secret is, never what it is.
        """
        problems = [*self._found_in_files(), *self._found_by_name(cassette)]
        if not problems:
            return
        tool = next((each.imported_from for each in cassette.interactions if each.imported_from), None)
        shown = "\n".join(problems[:_FINDINGS_SHOWN])
        more = f"\n… and {len(problems) - _FINDINGS_SHOWN} more" if len(problems) > _FINDINGS_SHOWN else ""
        advice = self._advice() if tool is None else _advice_on_files_of(tool)
        raise AuditError(f"{shown}{more}\n{advice}\n  and revoke it, if it was ever committed")

    def _advice(self) -> str:
        path = Path(os.path.relpath(self._path))
        # pytest does not accept a path with a bracket, and cassettes of parametrized tests have one.
        path = next(each for each in (path, *path.parents) if "[" not in str(each))
        return f"  remove it: pytest --agenttape-audit --snapshot-update {shlex.quote(str(path))}"

    def _found_in_files(self) -> Iterator[str]:
        for each in (self._path, *_assets(self._path)):
            content = atomic.content_of(each)
            redactor = self._redactor(content.decode("utf-8", "replace"))
            yield from (f"{each.name}:{found.line}: a secret ({found.kind})" for found in redactor.scan(content))

    def _found_by_name(self, cassette: Cassette) -> Iterator[str]:
        clean = self._cleaned(cassette, self._redactor(repr(cassette)))
        is_foreign = is_imported(cassette.interactions)
        pairs = [("meta", cassette.meta, clean.meta)]
        pairs += [
            (f"interaction #{old.index}", old.to_dict(), new.to_dict())
            for old, new in zip(cassette.interactions, clean.interactions, strict=True)
        ]
        for root, old, new in pairs:
            differences = Comparison().differences(old, new, root) if new != old else ()
            found = (path for path, *pair in differences if not is_foreign or _has_secret(*pair))
            yield from (f"{self._path.name}: a secret at {path}" for path in islice(found, 1))

    def _cleaned(self, cassette: Cassette, redactor: Redactor) -> Cassette:
        interactions = [redactor.interaction(each) for each in cassette.interactions]
        return replace(cassette, meta=redactor.value(cassette.meta), interactions=interactions)

    def _redactor(self, text: str) -> Redactor:
        return Redactor(self._rules, os.environ, taken=[text])


def _advice_on_files_of(tool: str) -> str:
    return (
        f"  {tool} wrote this file: take the secret out with its filters, or make it a cassette of this plugin, "
        "redacted: Cassette.load(path).save(path)"
    )


def _has_secret(old: object, new: object) -> bool:
    """Return whether redaction took more out of *old* than what another tool's filters have put in place of secrets."""
    kept = _PART.findall(str(new))
    gone = (part for part in _PART.findall(str(old)) if part not in kept)
    return any(shapes.is_secret_shaped(each) and not shapes.is_filler(each) for each in gone)


def _assets(path: Path) -> list[Path]:
    folder = paths.assets_dir(path)
    return sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []


def _refuse_old(cassette: Cassette, days: float) -> None:
    age = stale_days(cassette.created_at, datetime.now(UTC).isoformat(), days)
    if age == UNKNOWN:
        raise AuditError(f"created_at is not a time: {cassette.created_at!r}")
    if age is not None:
        raise AuditError(
            f"recorded {shown_days(age)}, more than {shown_age(days)}; re-record it with --agenttape-record"
        )
