"""Where an HTTP call came from, as the message of its refusal says it."""

from __future__ import annotations

import os
import threading
from urllib.parse import urlsplit

from pytest_agenttape import telemetry
from pytest_agenttape.redaction import RedactionRules, Redactor, shapes


def lines_of(url: str) -> tuple[str, ...]:
    """Return the lines that say where an HTTP call came from, without what may be a secret."""
    if not url:
        return ()
    parts = urlsplit(url)
    name = threading.current_thread().name
    path = "/".join("..." if _may_be_token(each) else each for each in parts.path.split("/"))
    shown = Redactor(RedactionRules(), os.environ).request({"url": f"{parts.scheme}://{parts.hostname}{path}"})
    return (f"asked: {shown['url']} in thread {name!r}", *telemetry.hint(url))


def _may_be_token(segment: str) -> bool:
    return shapes.is_random(segment) and not shapes.is_name(segment)
