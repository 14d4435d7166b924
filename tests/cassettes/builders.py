"""Cassettes to save and disks that refuse."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.model import JSON, Interaction

BIG = "word " * 30_000
HEAD = 'version: "1"\ncreated_at: ""\nrun_id: r\nmeta: {}\n'
GOOD = "- index: 0\n  kind: tool\n  request: {}\n  response: 1\n"


def cassette(*responses: JSON, created_at: str = "2026-01-02T03:04:05Z", **meta: JSON) -> Cassette:
    interactions = [
        Interaction(index=i, kind="tool", boundary="t", request={"args": {"n": i}}, response=each)
        for i, each in enumerate(responses)
    ]
    return Cassette(created_at=created_at, run_id="r", meta=meta, interactions=interactions)


def exchange(*, content_type: str = "text/plain", **body: JSON) -> Cassette:
    request = {"method": "GET", "url": "http://x/", "headers": {}}
    response = {"status": 200, "headers": {"Content-Type": content_type}, **body}
    return Cassette(interactions=[Interaction(index=0, kind="http", request=request, response=response)])


def names(folder: Path) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))


def age(path: Path, hours: float) -> None:
    past = path.lstat().st_mtime - hours * 3600
    os.utime(path, (past, past))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {each: (folder / each).read_bytes() if (folder / each).is_file() else b"" for each in names(folder)}


class FailingStream:
    """A file that takes half of what it is given, then runs *fail*."""

    def __init__(self, stream: IO[bytes], fail: Callable[[], None]) -> None:
        self._stream, self._fail = stream, fail

    def __enter__(self) -> FailingStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, content: bytes) -> None:
        self._stream.write(content[: len(content) // 2])
        self._stream.flush()
        self._fail()
        self._stream.write(content[len(content) // 2 :])

    def __getattr__(self, name: str) -> Any:  # whatever else a file has
        return getattr(self._stream, name)


def failing_open(fail: Callable[[], None]) -> Callable[..., FailingStream]:
    def opened(path: Path, mode: str) -> FailingStream:
        return FailingStream(open(path, mode), fail)

    return opened


def raising(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail
