"""What commands write to a terminal: never wider than it is, nothing lost in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.reading.lines import Line


class _Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def written(self) -> list[str]:
        self.flush()
        stored: io.BytesIO = self.buffer  # type: ignore[assignment]  # made above
        return stored.getvalue().decode(self.encoding).splitlines()


@pytest.fixture(autouse=True)
def _no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PY_COLORS", "0")


def written(
    config: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
    *lines: Line,
    width: int,
    encoding: str = "utf-8",
    is_terminal: bool = True,
) -> list[str]:
    terminal = _Terminal(encoding, is_terminal)
    with monkeypatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(config.option, "color", "auto")
        Screen(config).write(lines)
    return terminal.written()


@pytest.mark.parametrize(
    ("line", "width", "expected"),
    [
        pytest.param(Line("short"), 10, "short", id="fits"),
        pytest.param(Line("exactly ten"), 11, "exactly ten", id="fits exactly"),
        pytest.param(Line("a long line"), 10, "a long li…", id="cut"),
        pytest.param(Line("a long line", note="9 ms"), 16, "a long …  (9 ms)", id="the note is kept"),
        pytest.param(Line("天気はどうですか"), 9, "天気はど…", id="wide characters"),
        pytest.param(Line("e\u0301e\u0301e\u0301"), 3, "e\u0301e\u0301e\u0301", id="combining characters"),
        pytest.param(Line("ab"), 1, "…", id="one column"),
    ],
)
def test_a_line_is_cut_to_the_width_of_a_terminal(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, line: Line, width: int, expected: str
) -> None:
    assert written(pytestconfig, monkeypatch, line, width=width) == [expected]


@pytest.mark.parametrize("width", [1, 2, 3, 7, 20, 80])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_terminal(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, width: int, encoding: str
) -> None:
    lines = [
        Line("größer " * 30, "call", "12 tokens, less than $0.0001"),
        Line("because of this and that " * 9, "cause"),
    ]
    for text in written(pytestconfig, monkeypatch, *lines, width=width, encoding=encoding):
        assert len(text) <= width


def test_a_cause_is_wrapped_and_whole(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(pytestconfig, monkeypatch, Line("the cause of it all", "cause"), width=10)
    assert lines == ["the cause", "of it all"]


def test_nothing_is_cut_in_a_pipe(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line("a long line", note="9 ms")
    assert written(pytestconfig, monkeypatch, line, width=5, is_terminal=False) == ["a long line  (9 ms)"]


def test_what_the_encoding_lacks_is_escaped(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line("é … 天", "call")
    assert written(pytestconfig, monkeypatch, line, width=80, encoding="ascii") == ["\\xe9 ... \\u5929"]
