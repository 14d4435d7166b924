"""Runs the benchmarks and prints their tables: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import guard, histories, linear, memory, parts, provider, startup, suites, table
from tests.benchmarks.calls import KINDS, TOOL_KINDS
from tests.benchmarks.recorders import AGAIN, RECORDERS

_US = "pytest-agenttape"
_SIZED = ("httpx2 POST", "@tool call")
_SIZES = (10, 1_000, 10_000)
# vcrpy looks at every earlier interaction when it records one; cassetter does not parse its own file of 10,000.
_LARGEST = {"vcrpy": 1_000, "cassetter": 1_000}
_MEASURED_SIZE = 20  # of the cassettes in which single calls are compared: what a test has
_CALLS = 300  # in one sample


class Peer:
    """A worker process that holds one recorder."""

    def __init__(self, name: str, url: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.worker", name, url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=suites.PROJECT
        )

    def ask(self, do: str, **arguments: object) -> Any:  # Any: what the worker's method returns
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended; asked for {do} {arguments}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def peers(url: str, names: Iterable[str] = RECORDERS) -> Iterator[dict[str, Peer]]:
    """Start one worker for each recorder."""
    with ExitStack() as stack:
        started = {name: Peer(name, url) for name in names}
        for peer in started.values():
            stack.callback(peer.close)
        yield started


def single_calls(work: Path, repeats: int) -> list[str]:
    """Compare one replayed call of each kind."""
    lines = []
    with provider.serving() as url, peers(url, [name for name in RECORDERS if name != AGAIN]) as started:
        for kind in KINDS:
            lines += [*table.compared(kind, _call_samples(started, kind, work, repeats), "floor"), ""]
    return lines


def _call_samples(started: dict[str, Peer], kind: str, work: Path, repeats: int) -> table.Samples:
    able = _recorded(started, kind, work, _MEASURED_SIZE)
    measures = {
        name: partial(peer.ask, "batch", kind=kind, path=path, size=_MEASURED_SIZE, calls=_CALLS)
        for name, (peer, path) in able.items()
    }
    return table.interleaved(measures, repeats)


def sizes(work: Path, repeats: int) -> list[str]:
    """Compare cassettes of 10, 1,000 and 10,000 interactions: opening one, and one call from it."""
    rows = [("", *(f"open {size:,}" for size in _SIZES), *(f"a call in {size:,}" for size in _SIZES))]
    with provider.serving() as url, peers(url) as started:
        for kind in _SIZED:
            measured = {size: _sized(started, kind, work, size, repeats) for size in _SIZES}
            for name in measured[_SIZES[0]]:
                cells = [(what, measured[size].get(name, [])) for what in ("load", "call") for size in _SIZES]
                rows.append((f"{kind}, {name}", *(_median(cell, what) for what, cell in cells)))
    return table.aligned(rows)


def _median(samples: list[dict[str, float]], what: str) -> str:
    return table.duration(statistics.median(each[what] for each in samples)) if samples else "-"


def _sized(
    started: dict[str, Peer], kind: str, work: Path, size: int, repeats: int
) -> dict[str, list[dict[str, float]]]:
    able = _recorded(started, kind, work, size)
    able.pop("floor", None)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in able}
    for peer, path in able.values():  # what is kept of a file by the first run is there in later ones
        peer.ask("replay", kind=kind, path=path, size=size, calls=1)
    for _ in range(repeats if size < 10_000 else min(repeats, 3)):
        for name, (peer, path) in able.items():
            found[name].append(peer.ask("replay", kind=kind, path=path, size=size, calls=min(size * 10, 200)))
    return found


def _recorded(started: dict[str, Peer], kind: str, work: Path, size: int) -> dict[str, tuple[Peer, str]]:
    """Let everybody record *size* calls of *kind*; return who can, with the cassette."""
    able = {}
    for name, peer in started.items():
        if size > _LARGEST.get(name, size):
            continue
        path = str(work / f"{name}-{KINDS.index(kind)}-{size}")
        if peer.ask("record", kind=kind, path=path, size=0 if name == "floor" else size):
            able[name] = (peer, path)
    return able


def imports(work: Path, repeats: int) -> list[str]:
    """Compare the imports."""
    folder = work / "imports"
    folder.mkdir()
    measures = {label: partial(startup.import_time, module, folder) for label, module in startup.IMPORTS.items()}
    lines = table.compared("import", table.interleaved(measures, repeats))
    along = {label: startup.imported_along(module, folder) for label, module in startup.IMPORTS.items()}
    return [*lines, "", *(f"{label} brings along {found}" for label, found in along.items() if found != "[]")]


def unmarked(work: Path, repeats: int, count: int = 2_000) -> list[str]:
    """Compare a suite of empty tests with and without the plugins."""
    folders = {size: work / f"empty-{size}" for size in (1, count)}
    for size, folder in folders.items():
        suites.write_empty_tests(folder, size)
    plugins = {"no plugin": (), _US: ("-p", "pytest_agenttape.plugin"), "agenttape": ("-p", "agenttape.pytest_plugin")}

    def cost(plugin: tuple[str, ...]) -> float:
        whole, single = (suites.run_pytest(folders[size], *plugin) for size in (count, 1))
        return (whole - single) * 1e9 / count

    samples = table.interleaved({name: partial(cost, plugin) for name, plugin in plugins.items()}, repeats)
    lines = table.compared("one empty test", samples)
    for name in (_US, "agenttape"):
        added = [one - other for one, other in zip(samples[name], samples["no plugin"], strict=True)]
        lines.append(f"{name} adds {table.duration(statistics.median(added))} to a test without the marker")
    return lines


def clients(_work: Path, repeats: int) -> list[str]:
    """Compare the construction of an OpenAI client while a cassette is open."""
    names = ("floor", _US, "vcrpy", "cassetter", "agenttape")
    with provider.serving() as url, peers(url, names) as started:
        measures = {
            name: partial(started[name].ask, "client", count=10, path=str(_work / f"{name}-client")) for name in names
        }
        return table.compared("OpenAI()", table.interleaved(measures, repeats), "floor")


def whole_suites(work: Path, repeats: int, count: int, talk: str) -> list[str]:
    """Compare whole suites: each test builds its own client and holds the conversation *talk* of `provider`."""
    samples = _suite_samples(work, repeats, count, talk, suites.SUITES)
    return table.compared(f"{count} tests", samples, suites.SUITES[0].name)


def _suite_samples(work: Path, repeats: int, count: int, talk: str, compared: Sequence[suites.Suite]) -> table.Samples:
    folders = {suite.name: work / f"{talk}-{at}" for at, suite in enumerate(compared)}
    with provider.serving() as url:
        for suite in compared:
            suite.write(folders[suite.name], count, talk)
            suites.record(suite, folders[suite.name], url)
    # The provider is gone: what follows is replayed or fails.
    measures = {suite.name: lambda suite=suite: suite.run(folders[suite.name], url) * 1e9 for suite in compared}
    return table.interleaved(measures, repeats)


def workers(work: Path, repeats: int, count: int = 1_000) -> list[str]:
    """Compare recording *count* tests in one process and in two workers of xdist, by the time that passes."""
    ours, folder = next(each for each in suites.SUITES if each.name == _US), work / "workers"
    ours.write(folder, count, "SHORT")
    passed: table.Samples = {"in one process": [], "in two workers": []}
    with provider.serving() as url:
        for _ in range(repeats):
            for name, several in zip(passed, ((), ("-p", "xdist", "-n", "2")), strict=True):
                started = time.monotonic()
                ours.run(folder, url, "--agenttape-record", *several)
                passed[name].append((time.monotonic() - started) * 1e9)
    return table.compared(f"{count} tests recorded", passed, "in one process")


def guarded(work: Path, repeats: int) -> dict[str, float]:
    """Return the ratios that the project keeps."""
    stub, ours = suites.SUITES[:2]
    found: dict[str, float] = {}
    for name, count, talk in (("100 tests, to the stub", 100, "SHORT"), ("15 conversations, to the stub", 15, "LONG")):
        samples = _suite_samples(work, max(repeats // 2, 1), count, talk, (stub, ours))
        found[name] = table.ratio(samples[ours.name], samples[stub.name])
    with provider.serving() as url, peers(url, ("floor", _US)) as started:
        floors: list[float] = []
        for kind in KINDS:
            samples = _call_samples(started, kind, work, repeats)
            floors = floors or samples["floor"]  # of the shortest call with a client; a plain function is too short
            is_plain = kind in TOOL_KINDS
            found[f"{kind}, to the floor{' of an httpx2 POST' if is_plain else ''}"] = table.ratio(
                samples[_US], floors if is_plain else samples["floor"]
            )
        small, large = (_sized(started, "httpx2 POST", work, size, repeats)[_US] for size in (10, 1_000))
    for name, what in (("opening 1,000, to opening 10", "load"), ("a call in 1,000, to one in 10", "call")):
        found[name] = table.ratio([each[what] for each in large], [each[what] for each in small])
    return {**found, **guard.memory_ratios(work)}


def main() -> int:
    options = _options()
    sections: dict[str, Callable[[Path], list[str]]] = {
        "headline": partial(whole_suites, repeats=options.repeats, count=options.tests, talk="SHORT"),
        "conversations": partial(whole_suites, repeats=options.repeats, count=options.tests // 7, talk="LONG"),
        "calls": partial(single_calls, repeats=options.repeats),
        "sizes": partial(sizes, repeats=options.repeats),
        "histories": lambda work: histories.lines(work, min(options.repeats, 3)),
        "parts": parts.lines,
        "memory": memory.lines,
        "clients": partial(clients, repeats=options.repeats),
        "imports": partial(imports, repeats=options.repeats),
        "unmarked": partial(unmarked, repeats=options.repeats),
        "linear": lambda _: linear.lines(min(options.repeats, 3)),
        "workers": partial(workers, repeats=min(options.repeats, 3)),
    }
    os.environ.setdefault("OPENAI_API_KEY", "benchmark-key")
    print(
        f"Python {platform.python_version()}, {platform.system()}, "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"Medians of {options.repeats} interleaved repeats, processor time; "
        "noise is half the distance of the quartiles.\n"
    )
    if options.guard or options.keep:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
            return guard.check(lambda: guarded(Path(work), options.repeats), keeps=options.keep)
    for name, section in sections.items():
        if options.only and name not in options.only:
            continue
        with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
            print(f"## {name}\n", *section(Path(work)), "", sep="\n", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="samples of each measure (default 7)")
    parser.add_argument("--tests", type=int, default=300, help="tests in the headline's suites (default 300)")
    parser.add_argument("--guard", action="store_true", help="fail if a ratio got worse by more than a third")
    parser.add_argument("--keep", action="store_true", help="keep the ratios of this run for --guard")
    sections = (
        "headline, conversations, calls, sizes, histories, parts, memory, clients, imports, unmarked, linear, workers"
    )
    parser.add_argument("only", nargs="*", help=f"{sections}; default all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
