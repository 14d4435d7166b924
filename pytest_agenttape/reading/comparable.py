"""The parts of a recorded call that are compared: all except those that differ in every recording of one run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from pytest_agenttape.bodies.chunks import KEY as CHUNK_BYTES
from pytest_agenttape.matching.canonical import KeyRules, canonical_request
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.made_up import without_made_up
from pytest_agenttape.providers.streams import with_whole_texts
from pytest_agenttape.reading.delivery import is_about_serving

_LAYOUT = frozenset(
    ("json_layout", "events_layout", "http_version", "reason", "encoded", "until_closed", "bytes_read", CHUNK_BYTES)
)


def compared_request(interaction: Interaction, rules: KeyRules) -> JSON:
    """Return the compared part of the request of *interaction*."""
    request = canonical_request(interaction.request, rules)
    return without_made_up(request) if interaction.kind == "llm" else request


def compared_response(interaction: Interaction) -> JSON:
    """Return the compared part of the response of *interaction*."""
    response = interaction.response
    if isinstance(response, dict) and "status" in response and "url" in interaction.request:
        response = {key: value for key, value in response.items() if key not in _LAYOUT}
        headers = response.get("headers") or {}
        if isinstance(headers, dict):
            shown = {name: value for name, value in headers.items() if not is_about_serving(name.lower())}
            response["headers"] = shown
    if interaction.changes:
        return {"result": response, "changed": list(interaction.changes)}
    if interaction.kind != "llm":
        return response
    response = without_made_up(response)
    if isinstance(response, dict) and isinstance(response.get("events"), list):
        response["events"] = with_whole_texts(response["events"])
    return response


def compared_call(interaction: Interaction) -> JSON:
    """Return what is compared of *interaction*."""
    said = [compared_request(interaction, KeyRules()), compared_response(interaction), interaction.error]
    return [interaction.kind, interaction.boundary, *said]


def without_repeats(
    interactions: Iterable[Interaction], repeats: Selection, key: Callable[[Interaction], object] = compared_call
) -> list[Interaction]:
    """Return *interactions*, a call after the one that made it, with only the first of equal calls that may repeat."""
    kept: list[Interaction] = []
    seen, dropped = set[str](), set[int]()
    for each in interactions:
        if each.parent in dropped:
            dropped.add(each.index)
            continue
        if repeats.covers(each):
            text = json.dumps(key(each), sort_keys=True, default=str)
            if text in seen:
                dropped.add(each.index)
                continue
            seen.add(text)
        kept.append(each)
    return kept
