"""One recorder in a process of its own, told over standard input what to do."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.calls import Ask, openai_client
from tests.benchmarks.recorders import RECORDERS, Recorder

now = time.process_time_ns  # frozen by no recorder, and not raised by what else the machine does
_SECONDS = 1.0  # of calls in one sample, at most
_FEWEST = 8
_WARM_UP = 5


class Worker:
    """Answers requests with samples in nanoseconds."""

    def __init__(self, recorder: Recorder, url: str) -> None:
        self._recorder = recorder
        self._url = url
        self._asks: dict[str, Ask] = {}
        self._seen: set[str] = set()

    def record(self, kind: str, path: str, size: int) -> bool:
        """Record *size* calls; say whether this recorder can."""
        try:
            ask = self._ask(kind)
        except KeyError:
            return False
        with self._recorder.record(Path(path)):
            for number in range(size):
                ask(number)
        return True

    def replay(self, kind: str, path: str, size: int, calls: int) -> dict[str, float]:
        """Return the cost of opening the cassette once, and of one call out of *calls*."""
        ask, spent, done, loads = self._ask(kind), 0, 0, []
        numbers = self._numbers(size, calls)
        while done < calls:
            gc.collect()
            started = now()
            with self._recorder.replay(Path(path)):
                loads.append(now() - started)
                for number in numbers:
                    started = now()
                    ask(number)
                    spent += now() - started
                    done += 1
                    if spent > _SECONDS * 1e9 and done >= _FEWEST:
                        return {"load": min(loads), "call": spent / done}
        return {"load": min(loads), "call": spent / done}

    def batch(self, kind: str, path: str, size: int, calls: int) -> float:
        """Return the cost of one call, the clock read once for all calls of an opened cassette."""
        ask, spent, done = self._ask(kind), 0, 0
        while done < calls:
            with self._recorder.replay(Path(path)):
                for number in range(min(size, _WARM_UP)):
                    ask(number)
                rest = range(min(size, _WARM_UP), size)
                started = now()
                for number in rest:
                    ask(number)
                spent += now() - started
                done += len(rest)
        return spent / done

    def client(self, count: int, path: str) -> float:
        """Return the cost of building an OpenAI client while a cassette is replayed."""
        is_stubbed = self._recorder.name == "floor"
        if path not in self._seen:
            self._seen.add(path)
            self.record("OpenAI SDK call", path, 1)
        with self._recorder.replay(Path(path)):
            openai_client(self._url, is_stubbed=is_stubbed)
            started = now()
            for _ in range(count):
                openai_client(self._url, is_stubbed=is_stubbed)
            return (now() - started) / count

    def _ask(self, kind: str) -> Ask:
        if kind not in self._asks:
            self._asks[kind] = self._recorder.ask(kind, self._url)
        return self._asks[kind]

    def _numbers(self, size: int, calls: int) -> list[int]:
        if self._recorder.in_order:
            return list(range(min(size, calls)))
        step = max(1, size // calls)
        return list(range(0, size, step))[:calls]


def main() -> None:
    worker = Worker(RECORDERS[sys.argv[1]](), sys.argv[2])
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        result = getattr(worker, asked.pop("do"))(**asked)
        answers.write(json.dumps(result) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
