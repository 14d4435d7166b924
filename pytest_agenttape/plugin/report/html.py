"""The HTML report: one page that needs no network and executes nothing from a cassette."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.plugin.report.timing import placed

# All C0 and C1 control characters except tab and newline are shown as symbols, not interpreted.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDTH = 1000  # of a waterfall, in SVG units


def render(report: Mapping[str, Any]) -> str:
    """Return *report*, as returned by `file.as_document`, as an HTML page.

    Raises:
        ConfigError: The template engine is not installed.
    """
    tests = [{**test, "waterfall": waterfall(test["steps"])} for test in report["tests"]]
    return _page("report.html", script=_template("report.js"), report={**report, "tests": tests}, width=_WIDTH)


def render_changes(report: Mapping[str, Any]) -> str:
    """Return *report*, as returned by `changes.as_document`, as an HTML page: before and after side by side.

    Raises:
        ConfigError: The template engine is not installed.
    """
    return _page("changes.html", script="", report=report)


def _page(name: str, *, script: str, **values: Any) -> str:
    try:
        import jinja2  # optional: only needed for an HTML report
    except ImportError:
        raise ConfigError("--agenttape-report=PATH.html needs Jinja2: pip install 'pytest-agenttape[report]'") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["visible"] = _visible
    style = _template("report.css")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    return environment.from_string(_template(name)).render(style=style, script=script, policy=policy, **values)


def _template(name: str) -> str:
    return (files("pytest_agenttape.plugin.report") / "templates" / name).read_text(encoding="utf-8")


def waterfall(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a bar for each step: its start and width, where `_WIDTH` is the whole run."""
    spans = placed(steps)
    first = min((start for start, _ in spans), default=0.0)
    total = max(max((start + took for start, took in spans), default=0.0) - first, 0.001)
    return [
        {"x": round((start - first) / total * _WIDTH, 2), "width": max(2.0, round(latency / total * _WIDTH, 2))}
        for start, latency in spans
    ]


def _visible(text: object) -> str:
    return _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 0x20 else "\ufffd", str(text))


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
