"""What a run says about its cassettes at its end, and the verdicts that only the whole run can give."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.plugin import orphans
from pytest_agenttape.plugin.report import html
from pytest_agenttape.plugin.report.ledger import Ledger, Told
from pytest_agenttape.redaction import RedactionRules, Redactor

_SLOW_MS = 100.0
_SLOWEST_SHOWN = 3
_FAILURE_SHOWN = 20_000
_ANNOTATION_SHOWN = 2_000

_RAN_TO_THE_END = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def judge(ledger: Ledger, session: pytest.Session) -> None:
    """Find orphans, delete them where that was asked for, and fail the run where strictness says so."""
    if ledger.is_whole and session.testscollected and session.exitstatus in _RAN_TO_THE_END:
        found = orphans.find(
            map(Path, ledger.told("folders")),
            {Path(path) for path in ledger.told("claimed")},
            ledger.told("modules"),
        )
        if ledger.updates_snapshots and not getattr(session.config.option, "no_cleanup", False):
            orphans.delete(found)
            ledger.deleted = [str(path) for path in found]
        else:
            ledger.orphans = [str(path) for path in found]
    failing = ledger.orphans if ledger.is_strict else []
    if (failing or _strictly_unplayed(ledger)) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def write_file(ledger: Ledger, path: Path) -> str | None:
    """Write the report to *path*, JSON or HTML by its name; return what went wrong, if something did."""
    data = as_data(ledger)
    try:
        text = html.render(data) if path.suffix == ".html" else json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, AgentTapeError) as error:
        return f"the report was not written: {error}"
    return None


def as_data(ledger: Ledger) -> dict[str, Any]:
    """Return the whole report in plain types.

    Returns:
        ``{"totals", "kinds", "orphans", "deleted", "tests"}``; each test has ``nodeid``, ``outcome``, ``path``,
        ``mode``, ``action``, counts, ``spent`` and ``saved`` tokens and US dollars, ``failure``, ``diff`` and its
        ``steps``.
    """
    redactor = Redactor(RedactionRules(), os.environ)
    tests = [
        _test(nodeid, told, ledger.failures.get(nodeid), redactor) for nodeid, told in sorted(ledger.tests.items())
    ]
    spent, saved = (_total(test[side] for test in tests) for side in ("spent", "saved"))
    return {
        "totals": {
            "tests": len(tests),
            "failed": sum(test["outcome"] == "failed" for test in tests),
            "calls": sum(test["calls"] for test in tests),
            "live": sum(test["live"] for test in tests),
            "unplayed": sum(test["unplayed"] for test in tests) + sum(unplayed_of_shared(ledger).values()),
            "spent": _in_words(spent),
            "saved": _in_words(saved),
        },
        "kinds": sorted({step["kind"] for test in tests for step in test["steps"]}),
        "orphans": [_shown(path) for path in ledger.orphans],
        "deleted": [_shown(path) for path in ledger.deleted],
        "tests": tests,
    }


def write_summary(ledger: Ledger, terminal: pytest.TerminalReporter) -> None:
    """Write the summary lines; nothing when everything was replayed as recorded."""
    lines = [*_lines(ledger), *ledger.problems]
    if lines:
        terminal.section("agenttape", sep="-")
        for line in lines:
            terminal.write_line(line)
    if os.environ.get("GITHUB_ACTIONS"):
        for line in _annotations(ledger):
            terminal.write_line(line)


def unplayed_of_shared(ledger: Ledger) -> dict[str, int]:
    """Return how many recordings of each shared cassette none of its tests played, where all of them passed."""
    users: dict[str, list[Told]] = {}
    for told in ledger.tests.values():
        if told["shared"] and told["outcome"] == "passed":
            users.setdefault(told["path"], []).append(told)
    left = {
        path: set.intersection(*(set(told["unplayed"]) for told in using))
        for path, using in users.items()
        if len(using) == using[0]["users"] > 1  # one user only: others may share it, which were not collected
    }
    return {path: len(indexes) for path, indexes in left.items() if indexes}


def _strictly_unplayed(ledger: Ledger) -> set[str]:
    strict = {told["path"] for told in ledger.tests.values() if told["strict"]}
    return strict & unplayed_of_shared(ledger).keys()


def _lines(ledger: Ledger) -> Iterator[str]:
    for nodeid, told in sorted(ledger.tests.items()):
        yield from _line_of(nodeid, told)
    strict = _strictly_unplayed(ledger)
    for path, count in sorted(unplayed_of_shared(ledger).items()):
        failing = "; the run fails, as strict is set" if path in strict else ""
        yield f"unplayed: {count} in {_shown(path)}, shared by {_users(ledger, path)} tests{failing}"
    yield from (f"deleted: {_shown(path)} (no test claims it)" for path in ledger.deleted)
    yield from (f"orphan: {_shown(path)} (no test claims it; --snapshot-update deletes it)" for path in ledger.orphans)
    if any(told["live"] for told in ledger.tests.values()):
        yield from _money(ledger)
    yield from _slowest(ledger)


def _line_of(nodeid: str, told: Told) -> Iterator[str]:
    path, action = _shown(told["target"]), _action(told)
    live = f"{told['live']} live call{'' if told['live'] == 1 else 's'}"
    if action in ("created", "refreshed", "recorded"):
        yield f"{action}: {path} ({live})"
    elif action == "unchanged":
        yield f"unchanged: {path}"
    if told["unplayed"] and not told["shared"]:
        yield f"unplayed: {len(told['unplayed'])} in {path} ({nodeid})"
    if told["pending"]:
        yield f"pending: {path} is as it was; what {nodeid} recorded is kept in {_shown(told['pending'])}"
        if told["outcome"] == "skipped":
            yield "         a test that is skipped or expected to fail replaces none: delete it, then --snapshot-update"
        else:
            yield "         accept it, without a second live run, with --snapshot-update"


def _action(told: Told) -> str:
    if told["created"]:
        return "created"
    if told["wrote"]:
        return "refreshed" if told["mode"] == "refresh" else "recorded"
    if told["refused"] or told["pending"]:
        return "refused"
    return "unchanged" if told["mode"] == "refresh" else "replayed"


def _money(ledger: Ledger) -> Iterator[str]:
    spent = _total(told["spent"] for told in ledger.tests.values())
    saved = _total(told["saved"] for told in ledger.tests.values())
    if spent["calls"]:
        yield f"spent: {_in_words(spent)} on {spent['calls']} live LLM call{'' if spent['calls'] == 1 else 's'}"
    if saved["calls"]:
        yield f"saved: {_in_words(saved)} by replaying {saved['calls']}"


def _slowest(ledger: Ledger) -> Iterator[str]:
    slow = sorted(
        {(told["load_ms"], told["path"]) for told in ledger.tests.values() if told["load_ms"] > _SLOW_MS}, reverse=True
    )
    yield from (f"slow to load: {_shown(path)} ({ms:.0f} ms)" for ms, path in slow[:_SLOWEST_SHOWN])


def _total(sums: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    known = [each for each in sums if each is not None]
    costs = [each["cost"] for each in known]
    return {
        "calls": sum(each["calls"] for each in known),
        "tokens": sum(each["input_tokens"] + each["output_tokens"] for each in known),
        "cost": None if None in costs else f"{sum(map(Decimal, costs), Decimal()):f}",
    }


def _in_words(total: Mapping[str, Any]) -> str:
    return f"{total['tokens']:,} tokens, {_price(total['cost'])}" if total["tokens"] else "0 tokens"


def _price(cost: str | None) -> str:
    if cost is None:
        return "price unknown"
    dollars = Decimal(cost)
    return "less than $0.0001" if 0 < dollars < Decimal("0.0001") else f"${dollars:.4f}"


def _test(nodeid: str, told: Told, failure: str | None, redactor: Redactor) -> dict[str, Any]:
    steps = told.get("steps") or []
    return {
        "nodeid": redactor.text(nodeid),
        "outcome": told["outcome"].rpartition(" ")[2] or "failed",
        "path": redactor.text(_shown(told["path"])),
        "mode": told["mode"],
        "action": _action(told),
        "wrote": told["wrote"],
        "calls": told["calls"],
        "live": told["live"],
        "unplayed": 0 if told["shared"] else len(told["unplayed"]),
        "tokens": sum(told["tokens"]),
        "spent": told["spent"],
        "saved": told["saved"],
        "load_ms": told["load_ms"],
        "failure": None if failure is None else redactor.text(failure)[:_FAILURE_SHOWN],
        "diff": told.get("diff"),
        "steps": steps,
    }


def _annotations(ledger: Ledger) -> Iterator[str]:
    for nodeid, told in sorted(ledger.tests.items()):
        place = ledger.root / nodeid.partition("::")[0]
        if told["error"]:
            yield _annotation("error", place, f"{nodeid}: {told['error'][:_ANNOTATION_SHOWN]}")
        if told["unplayed"] and not told["shared"]:
            yield _annotation(
                "warning", place, f"{len(told['unplayed'])} unplayed in {_shown(told['path'])} ({nodeid})"
            )
        if told["pending"]:
            yield _annotation("notice", place, f"a recording is pending for {_shown(told['path'])} ({nodeid})")
    for path, count in sorted(unplayed_of_shared(ledger).items()):
        yield _annotation("warning", Path(path), f"{count} unplayed, shared by {_users(ledger, path)} tests")
    yield from (_annotation("warning", Path(path), "no test claims this") for path in ledger.orphans)


def _annotation(level: str, path: Path, message: str) -> str:
    """Return a workflow command of GitHub's; it knows files by their place in the repository."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.curdir
    file = path.relative_to(root).as_posix() if path.is_relative_to(root) else _shown(str(path))
    file = _escaped(file).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} file={file},title=agenttape::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _users(ledger: Ledger, path: str) -> int:
    return sum(told["path"] == path for told in ledger.tests.values())


def _shown(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
