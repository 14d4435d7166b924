"""The life of a marked test's cassette: claimed at collection, open around the test, committed when it passed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_agenttape import freeze as freezing
from pytest_agenttape import naming, orphans, scope, store, transports
from pytest_agenttape.canonical import is_loopback
from pytest_agenttape.config import Config, effective_mode, ini_layer, resolve
from pytest_agenttape.diagnosis import summary_line
from pytest_agenttape.errors import (
    AgentTapeError,
    ConfigError,
    RecordingRefusedError,
    UnplayedInteractionsError,
    UnplayedInteractionsWarning,
)
from pytest_agenttape.ledger import LEDGER, Ledger
from pytest_agenttape.model import Interaction, Mode, unknown_name
from pytest_agenttape.providers import is_llm_path
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.session import RunCut, Session, Settings, tokens

OPTIONS = (
    "cassette", "mode", "live", "frozen", "matchers", "freeze", "format", "strict", "redact", "tags", "allow_errors",
    "allow_hosts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """The cassette of one test, and what its markers say."""

    path: Path
    options: Mapping[str, Any]


class Lifecycle:
    """Registered for a run that has marked tests."""

    def __init__(self, session: pytest.Session) -> None:
        self._config = session.config
        self._configs: dict[Path, Config] = {}
        self._claims: dict[str, Claim] = {}
        self._users: Counter[Path] = Counter()
        self._sessions: dict[str, Session] = {}
        self._outcomes: dict[str, str] = {}
        self._finished: dict[str, dict[str, Any]] = {}
        self._folders: set[Path] = set()
        self._modules: set[str] = set()
        self._is_whole = not orphans.is_narrowed(session.config)
        self._pending = _pending_store(session.config)

    # -- collection

    def claim(self, items: Sequence[pytest.Item], everything: Iterable[pytest.Item]) -> None:
        """Give every marked test of *items* its cassette.

        Raises:
            UsageError: A marker cannot be used, or two tests would record one file.
        """
        for item in everything:
            self._folders.add(item.path.parent)
            self._modules.add(item.nodeid.partition("::")[0])
        siblings = _siblings(items)
        problems = []
        for item in items:
            try:
                options = _merged_options(item)
                self._claims[item.nodeid] = Claim(self._path(item, options, siblings), options)
            except ConfigError as error:
                problems.append(f"{item.nodeid}: {error}")
        self._users = Counter(claim.path for claim in self._claims.values())
        problems += self._collisions()
        if problems:
            raise pytest.UsageError("agenttape: " + "\n".join(problems))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Patch the libraries that are imported by now, below whatever mock a fixture brings later."""
        if any(item.nodeid in self._claims for item in session.items) and not session.config.option.collectonly:
            transports.install()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._is_whole = self._is_whole and report.outcome == "passed"

    # -- one test

    def open(self, request: pytest.FixtureRequest) -> Session | None:
        """Open the session of the test that *request* belongs to; None for an unmarked one."""
        item: pytest.Item = request.node
        claim = self._claims.get(item.nodeid)
        if claim is None:
            return None
        session = Session(self._settings(item, claim, request.getfixturevalue("agenttape_config")))
        session.open()
        outer = scope.bound()
        if outer is not None:  # a wider fixture holds a session open; the test's own is the inner one
            scope.bind(scope.Scope(session))
        self._sessions[item.nodeid] = session

        def finish() -> None:
            if outer is not None:
                scope.bind(outer)
            self._finish(item, session)

        request.addfinalizer(finish)
        return session

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        session = self._sessions.get(item.nodeid)
        if session is None:
            return (yield)
        if session.verdict is not None:
            raise session.verdict
        try:
            result = yield
        except (Exception, RunCut, pytest.skip.Exception) as error:  # noqa: BLE001  # whatever the test fails with is judged
            raise _judged(error, session) from None
        if session.verdict is not None:
            raise session.verdict
        self._judge_passed(item, session)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Undo what pytest-randomly does to the random numbers before each phase."""
        session = self._sessions.get(pyfuncitem.nodeid)
        if session is not None:
            session.reseed()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report = yield
        if item.nodeid in self._sessions and call.when != "teardown":
            self._outcomes[item.nodeid] = report.outcome if call.when == "call" else f"setup {report.outcome}"
        elif call.when == "teardown" and item.nodeid in self._finished:
            report.agenttape = self._finished.pop(item.nodeid)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        item = getattr(request, "_pyfuncitem", None)
        if fixturedef.scope == "function" or item is None or item.nodeid not in self._claims:
            return (yield)
        if item.nodeid in self._sessions or self._flags_record():
            return (yield)
        owner = WideFixture(fixturedef.argname, fixturedef.scope)
        scope.add(owner)
        try:
            return (yield)
        finally:
            owner.is_closed = True
            scope.remove(owner)

    def pytest_enter_pdb(self) -> None:
        for session in self._sessions.values():
            session.is_debugged = True

    def pytest_leave_pdb(self) -> None:
        for session in self._sessions.values():
            session.is_debugged = False

    # -- the run

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["agenttape"] = self.tally()
            return
        ledger: Ledger | None = session.config.pluginmanager.get_plugin(LEDGER)
        if ledger is not None:
            ledger.add(self.tally())

    def tally(self) -> dict[str, Any]:
        """Return what this process knows for the verdict on orphans, in plain types."""
        return {
            "whole": self._is_whole,
            "claimed": sorted({str(claim.path) for claim in self._claims.values()}),
            "folders": sorted(map(str, self._folders)),
            "modules": sorted(self._modules),
        }

    # -- below: how

    def _judge_passed(self, item: pytest.Item, session: Session) -> None:
        __tracebackhide__ = True
        session.refuse_poison()
        session.verify()
        claim = self._claims[item.nodeid]
        left = self._unplayed(session)
        if not left or self._users[claim.path] > 1:  # a shared cassette is judged over all tests that use it
            return
        text = f"{_count(len(left), 'recorded interaction')} of {session.path.name} not played:\n" + "\n".join(
            f"  {summary_line(each)}" for each in left[:10]
        )
        if self._is_strict(session, claim):
            raise UnplayedInteractionsError(text)
        item.warn(UnplayedInteractionsWarning(text))

    def _unplayed(self, session: Session) -> list[Interaction]:
        return [] if session.mode is Mode.REFRESH or session.is_fresh else session.unplayed

    def _is_strict(self, session: Session, claim: Claim) -> bool:
        if self._config.option.agenttape_strict:
            return True
        said = claim.options.get("strict")
        return bool(session.settings.config.strict if said is None else said)

    def _finish(self, item: pytest.Item, session: Session) -> None:
        self._sessions.pop(item.nodeid, None)
        outcome = self._outcomes.pop(item.nodeid, "")
        session.close()
        was_fresh = not session.path.exists()
        wrote = False
        try:
            if session.verdict is None and (outcome == "passed" or (outcome == "skipped" and was_fresh)):
                wrote = session.commit()
                self._forget_pending(session)
        finally:
            kept = None if wrote or outcome == "passed" else self._keep_pending(item, session)
            self._finished[item.nodeid] = self._told(
                item, session, passed=outcome == "passed", wrote=wrote, was_fresh=was_fresh, kept=kept
            )
        if session.verdict is not None and outcome == "passed":  # a fixture's teardown drifted, and nobody was told
            raise session.verdict

    def _keep_pending(self, item: pytest.Item, session: Session) -> str | None:
        """Keep the paid-for calls of a failed recording, so that accepting them needs no second live run."""
        if self._pending is None or not session.live_calls:
            return None
        cassette = session.result()
        if cassette is None or not cassette.interactions or session.target() != session.path:
            return None
        try:
            return str(self._pending.keep(cassette, session.path, item.nodeid, scan=session.redactor.scan))
        except RecordingRefusedError:
            return None  # it holds what must not be written; the test has failed for that or another reason

    def _forget_pending(self, session: Session) -> None:
        if self._pending is not None and session.can_execute:
            self._pending.discard(session.path)

    def _told(
        self, item: pytest.Item, session: Session, *, passed: bool, wrote: bool, was_fresh: bool, kept: str | None
    ) -> dict[str, Any]:
        """Return what the ledger is told about a test, in plain types, for it may cross a process border."""
        usage = session.usage
        return {
            "path": str(session.path),
            "target": str(session.target() if wrote else session.path),
            "mode": str(session.mode),
            "wrote": wrote,
            "created": wrote and was_fresh,
            "calls": len(session.interactions),
            "live": session.live_calls,
            "unplayed": sorted(each.index for each in self._unplayed(session)) if passed else [],
            "shared": self._users[session.path] > 1,
            "strict": self._is_strict(session, self._claims[item.nodeid]),
            "tokens": [usage.input, usage.output],
            "pending": kept,
            "load_ms": round(session.seconds_to_load * 1000, 3),
            "refused": session.verdict is not None,
        }

    def _settings(self, item: pytest.Item, claim: Claim, overrides: Config | Mapping[str, object]) -> Settings:
        options = claim.options
        config = self._config_of(item, overrides, options)
        chosen = self._mode(options, config, claim.path)
        return Settings(
            path=claim.path,
            mode=chosen,
            config=config,
            live=tokens(options.get("live"), "live"),
            frozen=tokens(options.get("frozen"), "frozen"),
            matchers=options.get("matchers"),
            freeze=freezing.parse_features(options.get("freeze", config.freeze)),
            format=options.get("format"),
            tags=tuple(options.get("tags") or ()),
            title=item.nodeid,
            command=f"pytest {_quoted(item.nodeid)} --agenttape-record",
            is_sticky=True,
            test=item.nodeid if self._users[claim.path] == 1 else None,
            pending=self._pending.find(claim.path) if self._pending and chosen is Mode.REFRESH else None,
            allow_errors=_allowed_errors(options.get("allow_errors")),
            rules=RedactionRules.of(config.redact),
        )

    def _mode(self, options: Mapping[str, Any], config: Config, path: Path) -> Mode:
        flags = self._config.option
        return effective_mode(
            flag_mode=flags.agenttape_mode,
            flag_record=flags.agenttape_record,
            snapshot_update=getattr(flags, "update_snapshots", False),
            snapshot_update_new_only=getattr(flags, "update_snapshots_new_only", False),
            marker_mode=options.get("mode"),
            config_mode=str(config.default_mode),
            ci=bool(os.environ.get("CI")),
            file_exists=path.exists(),
        )

    def _flags_record(self) -> bool:
        flags = self._config.option
        mode = flags.agenttape_mode or ("all" if flags.agenttape_record else "none")
        return mode != "none"

    def _config_of(
        self, item: pytest.Item, overrides: Config | Mapping[str, object], options: Mapping[str, Any]
    ) -> Config:
        if isinstance(overrides, Config):
            base, layer = overrides, {}
        else:
            base, layer = self._config_at(item.path.parent), dict(overrides)
        marked = {key: options[key] for key in ("allow_hosts", "strict") if options.get(key) is not None}
        if options.get("redact") is not None:
            marked["redact"] = {"denylist": [*base.redact.denylist, *options["redact"]]}
        said = resolve(marked, layer)
        return base.with_overrides(**said) if said else base

    def _config_at(self, folder: Path) -> Config:
        """Return what the ini keys and the configuration file above *folder* say."""
        if folder not in self._configs:
            found = Config.load(folder)
            ini = ini_layer(self._config.getini, self._config.rootpath)
            self._configs[folder] = found.with_overrides(**ini) if ini else found
        return self._configs[folder]

    def _path(self, item: pytest.Item, options: Mapping[str, Any], siblings: Mapping[str, list[str]]) -> Path:
        form = options.get("format") or self._config_at(item.path.parent).format
        if form not in ("yaml", "json"):
            raise unknown_name("format", form, ("yaml", "json"))
        name, depth = _explicit_name(item)
        classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
        test, parameter = _split_id(item)
        same = siblings.get(_without_parameter(item), [])
        if name is None:
            return naming.node_path(item.path.parent, item.path.stem, classes, test, parameter, form, siblings=same)
        if depth is None:
            return naming.explicit_path(item.path.parent, name, parameter, form, siblings=same)
        return naming.folder_path(item.path.parent, name, classes[depth:], test, parameter, form, siblings=same)

    def _collisions(self) -> list[str]:
        claims = [(claim.path, nodeid) for nodeid, claim in self._claims.items() if self._would_record(claim)]
        found = naming.collisions(claims)
        return [
            f"{len(nodeids)} tests would record one cassette, {path}: {', '.join(nodeids)}; "
            "give them names of their own, or mode='none' to share it"
            for path, nodeids in found.items()
        ]

    def _would_record(self, claim: Claim) -> bool:
        try:
            mode = self._mode(claim.options, Config(), claim.path)
        except ConfigError:
            return True
        return mode is not Mode.NONE


class WideFixture:
    """Stands in for a session while a fixture wider than a test is set up: what it calls belongs to no test."""

    propagates = False
    can_execute = False
    redactor = Redactor(RedactionRules(enabled=False))

    def __init__(self, name: str, width: str) -> None:
        self.title = f"the {width}-scoped fixture {name!r}"
        self.is_closed = False

    def admits(self, method: str, url: str) -> bool:
        """Plain HTTP to this machine is how fixtures wait for the servers they start."""
        return is_loopback(urlsplit(url).hostname or "") and not is_llm_path(method, url)

    def begin(self, kind: str, boundary: str | None, request: Mapping[str, Any], **_: object) -> Any:
        raise self._error(f"a call of the {kind} {boundary or request.get('url')}")

    def instance_number(self, instance: object) -> int:  # noqa: ARG002  # as Session's
        return 0

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        return error

    def blocks(self, host: str, port: int | None, crossing: object) -> AgentTapeError | None:  # noqa: ARG002  # as Session's
        return self._error(f"a connection to {host}")

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(
            f"{what} was made by {self.title}, which is set up before any test's cassette is open; "
            "nothing real was run\n"
            "  make the fixture function-scoped, or open a cassette in it: with use_cassette('name'): ..."
        )


def _pending_store(config: pytest.Config) -> store.Pending | None:
    cache = getattr(config, "cache", None)  # None under -p no:cacheprovider
    return None if cache is None else store.Pending(Path(cache.mkdir("agenttape")))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _judged(error: BaseException, session: Session) -> BaseException:
    """Return what the test fails with when *error* came out of it."""
    verdict = session.verdict
    if verdict is None or error is verdict:
        return error
    if isinstance(error, RunCut | pytest.skip.Exception):
        return verdict
    error.add_note(f"agenttape: {verdict}")
    return error


def _merged_options(item: pytest.Item) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for mark in item.iter_markers("agenttape"):  # closest first
        given = dict(mark.kwargs)
        if len(mark.args) > 1:
            raise ConfigError(f"the marker takes one cassette name, found {mark.args!r}")
        if mark.args and mark.args[0] is not None:
            given["cassette"] = mark.args[0]
        for key, value in given.items():
            if key not in OPTIONS:
                raise unknown_name("marker option", key, OPTIONS)
            merged.setdefault(key, value)
    if merged.get("mode") is not None:
        Mode.parse(merged["mode"])
    if merged.get("live") and merged.get("frozen"):
        raise ConfigError("live and frozen exclude each other; give one of them")
    return merged


def _explicit_name(item: pytest.Item) -> tuple[Any, int | None]:
    """Return the name that the closest naming marker gives, and how many classes deep it stands (None: on the test)."""
    for node, mark in item.iter_markers_with_node("agenttape"):
        name = mark.args[0] if mark.args else mark.kwargs.get("cassette")
        if name is None:
            continue
        if node is item:
            return name, None
        return name, sum(isinstance(each, pytest.Class) for each in node.listchain())
    return None, None


def _siblings(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
    """Return all parameter ids of each test function, in order."""
    found: dict[str, list[str]] = {}
    for item in items:
        _, parameter = _split_id(item)
        if parameter is not None:
            found.setdefault(_without_parameter(item), []).append(parameter)
    return found


def _split_id(item: pytest.Item) -> tuple[str, str | None]:
    name = getattr(item, "originalname", None)
    if isinstance(name, str) and item.name.startswith(f"{name}[") and item.name.endswith("]"):
        return name, item.name[len(name) + 1 : -1]
    return item.name, None


def _without_parameter(item: pytest.Item) -> str:
    _, parameter = _split_id(item)
    return item.nodeid if parameter is None else item.nodeid[: -len(parameter) - 2]


def _allowed_errors(given: Any) -> frozenset[object] | bool:
    if given is None or isinstance(given, bool):
        return bool(given)
    listed = [given] if isinstance(given, int | str) else list(given)
    for each in listed:
        if not (isinstance(each, int) and 400 <= each <= 599) and each != "timeout":
            raise ConfigError(f"allow_errors takes True, statuses from 400 to 599 and 'timeout'; found {each!r}")
    return frozenset(listed)


def _quoted(nodeid: str) -> str:
    return (
        nodeid
        if nodeid.replace("/", "").replace(":", "").replace(".", "").replace("_", "").isalnum()
        else f"'{nodeid}'"
    )
