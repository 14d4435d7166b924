"""Whether a new recording says what the file does: what is made up anew (ids, dates, limits, ports) aside.

What a provider makes up for an answer comes back in later requests. There it may differ only as it does in the
answers: each id of the old recording stands for one of the new one. An id that the agent brings is content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_agenttape.bodies.chunks import KEY as CHUNK_BYTES
from pytest_agenttape.cassettes.comparing import first_difference
from pytest_agenttape.cassettes.file_form import unfiled
from pytest_agenttape.hosts import is_local
from pytest_agenttape.matching.canonical import normalise_parts
from pytest_agenttape.matching.headers import VOLATILE_HEADERS
from pytest_agenttape.model import JSON, SECRET_PLACEHOLDER
from pytest_agenttape.providers.made_up import is_made_up, is_the_users, without_made_up
from pytest_agenttape.providers.streams import with_whole_texts
from pytest_agenttape.reading.delivery import is_about_delivery, without_cookies_of_networks
from pytest_agenttape.redaction.look_alikes import fits, shapes_of

_PASSED = ("start_ms", "clock_ms", "rounds")  # of the metadata
_TIMES = frozenset(("latency_ms", "match_key"))  # a key differs if an id in the request does
_OF_RUN = frozenset(("freeze", "redacted", "shapes"))
_SIDES = frozenset(("request", "response"))
_ENCODED = "encoded"
_OF_ENCODING = ("content-encoding", "content-length")  # which follows from what was made up
_LEAST_ID = 8
_AUTHORITY = re.compile(r"[a-z]+://((\[[0-9a-f:]+\]|[^/?#:@]+):[0-9]+)(?=[/?#]|$)")
_PLACEHOLDER = re.compile(rf"{SECRET_PLACEHOLDER}[0-9]{{4}}")


def is_unchanged(old: JSON, new: dict[str, JSON]) -> bool:
    """Return whether the cassette *new* says what *old* does; both as they stand in a file."""
    if not isinstance(old, dict) or not isinstance(old.get("interactions"), list):
        return False
    before, after = old["interactions"], new["interactions"]
    if len(before) != len(after) or first_difference(_about(old), _about(new)):
        return False
    if not _end_alike(before, after):  # a replay ends calls in the recorded order
        return False
    comparison = _Comparison(_placeholders(old, new))
    if not all(comparison.is_same(unfiled(a), unfiled(b)) for a, b in zip(before, after, strict=True)):
        return False
    shapes, shapes_now = shapes_of(old.get("meta") or {}), shapes_of(new.get("meta") or {})
    return all(fits(shapes.get(comparison.name_before(name), ""), shape) for name, shape in shapes_now.items())


def _end_alike(old: list[JSON], new: list[JSON]) -> bool:
    """Return whether calls that were under way together ended in the same order."""
    spans, spans_now = _spans(old), _spans(new)
    beside = _beside_others(spans) | _beside_others(spans_now)
    return _order(spans, beside) == _order(spans_now, beside)


def _spans(calls: list[JSON]) -> list[tuple[float, float, int]]:
    """Return when each call started and ended, and its position, in the order of the starts."""
    found = []
    for position, each in enumerate(calls):
        metadata = each.get("metadata") if isinstance(each, dict) else None
        start, took = (metadata or {}).get("start_ms"), each.get("latency_ms") if isinstance(each, dict) else None
        if isinstance(start, int | float) and isinstance(took, int | float) and "parent" not in (metadata or {}):
            found.append((start, start + took, position))
    return sorted(found)


def _beside_others(spans: list[tuple[float, float, int]]) -> set[int]:
    """Return the positions of the calls during which others started, and of these."""
    found: set[int] = set()
    last_end, last = float("-inf"), -1
    for start, end, position in spans:
        if start < last_end:
            found |= {last, position}
        if end > last_end:
            last_end, last = end, position
    return found


def _order(spans: list[tuple[float, float, int]], chosen: set[int]) -> list[int]:
    """Return the *chosen* positions in the order in which their calls ended."""
    ends = sorted((end, position) for _, end, position in spans if position in chosen)
    return [position for _, position in ends]


def _about(root: dict[str, JSON]) -> dict[str, JSON]:
    meta = root.get("meta") or {}
    kept = {key: value for key, value in meta.items() if key not in _OF_RUN} if isinstance(meta, dict) else meta
    return {"version": root.get("version"), "meta": kept}


def _placeholders(*roots: dict[str, JSON]) -> frozenset[str] | None:
    """Return what the cassettes list as placeholders; None if one of them is older: what looks like one is one."""
    metas = [root.get("meta") or {} for root in roots]
    lists = [each.get("redacted") if isinstance(each, dict) else None for each in metas]
    if not all(isinstance(each, list) for each in lists):
        return None
    return frozenset(str(name) for each in lists if each for name in each)


class _Comparison:
    """Two recordings, call by call, and what was made up in the one and in the other."""

    def __init__(self, placeholders: frozenset[str] | None) -> None:
        self._placeholders = placeholders
        self._renamed: dict[str, str] = {}
        self._taken: dict[str, str] = {}  # the other way round
        self._same: set[tuple[int, int]] = set()  # ids of trees: what is said once is compared once
        self._alive: list[tuple[JSON, JSON]] = []  # or an id could be reused

    def name_before(self, placeholder: str) -> str:
        """Return what a *placeholder* of the new recording is in the old one."""
        return self._taken.get(placeholder, placeholder)

    def is_same(self, old: JSON, new: JSON) -> bool:
        """Return whether two calls say the same."""
        if not isinstance(old, dict) or not isinstance(new, dict):
            return False
        return (
            self._agree(_without_times(old), _without_times(new))
            and self._requests_agree(_request(old), _request(new))
            and self._answers_agree(old, new)
        )

    def _requests_agree(self, old: JSON, new: JSON) -> bool:
        server, server_now = _local_server(old), _local_server(new)
        if server and server_now:  # a test server listens on another port each time
            self._rename(server, server_now)
        return self._agree(old, new)

    def _answers_agree(self, old: dict[str, JSON], new: dict[str, JSON]) -> bool:
        before, after = _response(old), _response(new)
        if old.get("kind") != "llm":
            return self._agree(before, after)
        made_up, made_up_now = list(_made_up(before)), list(_made_up(after))
        if [key for key, _ in made_up] == [key for key, _ in made_up_now]:
            for (_, value), (_, now) in zip(made_up, made_up_now, strict=True):
                self._rename(value, now)
        return self._agree(_said(before), _said(after))

    def _agree(self, old: JSON, new: JSON) -> bool:
        self._alive.append((old, new))
        waiting = [(old, new)]
        while waiting:
            a, b = waiting.pop()
            if isinstance(a, str) and isinstance(b, str):
                if not self._texts_agree(a, b):
                    return False
            elif isinstance(a, dict | list) and type(a) is type(b):
                parts = self._parts(a, b)
                if parts is None:
                    return False
                waiting += parts
            elif first_difference(a, b):
                return False
        return True

    def _parts(self, old: JSON, new: JSON) -> list[tuple[JSON, JSON]] | None:
        """Return what is to be compared in two trees: nothing if they were compared before; None if they differ."""
        if isinstance(old, dict) and list(old) != list(new):
            return None
        if len(old) != len(new):
            return None
        pair = id(old), id(new)
        if pair in self._same:
            return []
        self._same.add(pair)
        return list(
            zip(old.values(), new.values(), strict=True) if isinstance(old, dict) else zip(old, new, strict=True)
        )

    def _texts_agree(self, old: str, new: str) -> bool:
        if SECRET_PLACEHOLDER in old:
            numbers, numbers_now = _PLACEHOLDER.findall(old), _PLACEHOLDER.findall(new)
            if len(numbers) != len(numbers_now) or _PLACEHOLDER.split(old) != _PLACEHOLDER.split(new):
                return False
            return all(self._numbers_agree(*pair) for pair in zip(numbers, numbers_now, strict=True))
        if old == new or self._renamed.get(old) == new:
            return True
        for value, now in self._renamed.items():
            old = old.replace(value, now)
        return old == new

    def _numbers_agree(self, old: str, new: str) -> bool:
        if self._placeholders is None or {old, new} <= self._placeholders:
            return self._rename(old, new)
        return old == new

    def _rename(self, value: str, now: str) -> bool:
        """Let *value* of the old recording stand for *now* of the new one; return whether it can."""
        return self._renamed.setdefault(value, now) == now and self._taken.setdefault(now, value) == value


def _without_times(call: dict[str, JSON]) -> dict[str, JSON]:
    kept = {key: value for key, value in call.items() if key not in _TIMES and key not in _SIDES}
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {key: value for key, value in kept["metadata"].items() if key not in _PASSED}
    return kept


def _request(call: dict[str, JSON]) -> JSON:
    request = call.get("request")
    if isinstance(request, dict) and "url" in request and isinstance(request.get("headers"), dict):
        kept = {name: value for name, value in request["headers"].items() if name.lower() not in VOLATILE_HEADERS}
        request = {**request, "headers": kept}
        for name, value in kept.items():
            if name.lower() == "content-type" and isinstance(value, str):
                kept[name] = normalise_parts(request, value)
    return request


def _local_server(request: JSON) -> str:
    """Return the host and port that *request* goes to, if they are of this machine."""
    url = request.get("url") if isinstance(request, dict) else None
    found = _AUTHORITY.match(url) if isinstance(url, str) else None
    return found[1] if found and is_local(found[2]) else ""


def _response(call: dict[str, JSON]) -> JSON:
    request, response = call.get("request"), call.get("response")
    if isinstance(request, dict) and "url" in request and isinstance(response, dict):
        response = without_cookies_of_networks(response)
        headers = response.get("headers")
        passed = _OF_ENCODING if _ENCODED in response else ()
        response = {name: value for name, value in response.items() if name not in (CHUNK_BYTES, _ENCODED)}
        if isinstance(headers, dict):
            said = {name: value for name, value in headers.items() if name.lower() not in passed}
            kept = {name: value for name, value in said.items() if not is_about_delivery(name, value)}
            return {**response, "headers": kept, "delivery": sorted(said.keys() - kept.keys())}
    return response


def _said(response: JSON) -> JSON:
    said = without_made_up(response)
    if isinstance(said, dict) and isinstance(said.get("events"), list):
        return {**said, "events": with_whole_texts(said["events"])}
    return said


def _made_up(node: JSON) -> Iterator[tuple[str, str]]:
    """Yield the texts that a provider made up for an answer, each once, with their keys."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += reversed(node)
        for key, value in node.items() if isinstance(node, dict) else ():
            if is_the_users(key, value):
                continue
            if not is_made_up(key):
                waiting.append(value)
            elif isinstance(value, str) and len(value) >= _LEAST_ID and value not in seen:
                seen.add(value)
                yield key, value
