"""The moving picture of README.md: an SVG that shows transcripts in a terminal, one after the other.

What it shows are blocks of docs/start.md, which the tests run; so it is current as long as it is made of them.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator

COLUMNS = 96
SECONDS = 7.0  # of each scene
PAUSE = 0.14  # between two lines
_CHARACTER, _LINE, _MARGIN, _TOP = 8.0, 19, 20, 64  # in pixels

# The class of a line is that of the first pattern that it has.
_CLASSES = {
    r"^\$ ": "asked",
    r"^E |^F\b|^FAILED|failed in": "bad",
    r"^\.|passed|generated|updated": "good",
    r"^[-=_]|^…$": "dim",
    r"^(created|refreshed): ": "news",
}

_STYLE = """
text { font: 13.3px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d5dbe3;
  white-space: pre; }
.title { fill: #8b95a3; text-anchor: middle; }
.asked { fill: #ffffff; font-weight: 600; }
.good { fill: #7ecb8f; }
.bad { fill: #f08a8a; }
.dim { fill: #8b95a3; }
.news { fill: #7fb8f0; }
.scene + .scene { opacity: 0; }
@media (prefers-reduced-motion: no-preference) {
  .scene, .scene + .scene { opacity: 0; animation: scene {whole}s infinite step-end; }
  .line { opacity: 0; animation: line {whole}s infinite step-end; }
}
@keyframes scene { 0% { opacity: 1; } {share}% { opacity: 0; } 100% { opacity: 0; } }
@keyframes line { 0% { opacity: 1; } {share}% { opacity: 0; } 100% { opacity: 0; } }
"""


def svg(scenes: list[tuple[str, str]]) -> str:
    """Return the picture of *scenes*, each a title and a transcript."""
    shown = [(title, list(_lines(transcript))) for title, transcript in scenes]
    width = round(COLUMNS * _CHARACTER + 2 * _MARGIN)
    height = _TOP + _LINE * max(len(lines) for _, lines in shown)
    style = _STYLE.replace("{whole}", f"{SECONDS * len(scenes):g}").replace("{share}", f"{100 / len(scenes):.2f}")
    label = html.escape(", ".join(title for title, _ in scenes))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">',
            f"<style>{style}</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#1b2027"/>',
            *(f'<circle cx="{22 + 20 * at}" cy="20" r="6" fill="#3a424d"/>' for at in range(3)),
            *(line for at, (title, lines) in enumerate(shown) for line in _scene(at, title, lines, width)),
            "</svg>\n",
        ]
    )


def _scene(at: int, title: str, lines: list[tuple[str, str]], width: int) -> Iterator[str]:
    start = at * SECONDS
    yield f'<g class="scene" style="animation-delay: {start:g}s">'
    yield f'<text class="title" x="{width // 2}" y="25">{html.escape(title)}</text>'
    for number, (kind, line) in enumerate(lines):
        yield (
            f'<text class="line {kind}" x="{_MARGIN}" y="{_TOP + _LINE * number - 8}" '
            f'style="animation-delay: {start + PAUSE * number:.2f}s">{html.escape(line, quote=False)}</text>'
        )
    yield "</g>"


def _lines(transcript: str) -> Iterator[tuple[str, str]]:
    """Return the lines as a narrow terminal shows them, each with its class."""
    for line in transcript.replace("\n...\n", "\n…\n").splitlines():
        kind = next((name for pattern, name in _CLASSES.items() if re.search(pattern, line)), "plain")
        yield from ((kind, piece) for piece in textwrap.wrap(line, COLUMNS, drop_whitespace=False) or [""])
