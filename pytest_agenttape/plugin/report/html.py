"""The page of a report: one file that needs no network and executes nothing from a cassette.

What a cassette says is in it as data only, and the page's script makes texts of it, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from pytest_agenttape.model import JSON

_INERT = {ord("<"): "\\u003c"}  # without it, nothing ends the element that holds the data


def page(report: JSON) -> str:
    """Return *report*, which is that of a run, of cassettes or of changes, as an HTML page."""
    style, script = _template("report.css"), _template("report.js")
    parts = {
        "policy": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'",
        "style": style,
        "script": script,
        "report": json.dumps(report, ensure_ascii=False, separators=(",", ":")).translate(_INERT),
    }
    first, *others = _template("report.html").split("{{")
    text = [first]
    for each in others:
        name, _, rest = each.partition("}}")
        text += [parts[name], rest]
    return "".join(text)


def _template(name: str) -> str:
    return (files("pytest_agenttape.plugin.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
