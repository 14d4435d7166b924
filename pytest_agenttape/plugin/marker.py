"""The markers of a test, read and checked at collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.matchers import parse_matchers
from pytest_agenttape.model import Mode, unknown_name
from pytest_agenttape.plugin.options import MARKER, MARKER_OPTIONS
from pytest_agenttape.process import freeze as freezing
from pytest_agenttape.process.network import host_rules
from pytest_agenttape.session.run import allowed_errors
from pytest_agenttape.session.use_cassette import parse_tags
from pytest_agenttape.settings.config import FORMATS, Config
from pytest_agenttape.settings.selectors import parse_tokens


def merged_options(item: pytest.Item) -> dict[str, Any]:
    """Return what the markers of *item* say, the closest first, merged key by key.

    Raises:
        ConfigError: A marker cannot be used.
    """
    merged: dict[str, Any] = {}
    for mark in item.iter_markers(MARKER):  # closest first
        given = dict(mark.kwargs)
        if len(mark.args) > 1:
            raise ConfigError(f"the marker takes one cassette name, found {mark.args!r}")
        if mark.args and mark.args[0] is not None:
            if "cassette" in given:
                raise ConfigError(
                    f"the marker takes one cassette name, found {mark.args[0]!r} and {given['cassette']!r}"
                )
            given["cassette"] = mark.args[0]
        names = _names_to_redact(given.pop("redact", None))
        if names:
            merged["redact"] = [*merged.get("redact", ()), *names]
        for key, value in given.items():
            if key not in MARKER_OPTIONS:
                raise unknown_name("marker option", key, MARKER_OPTIONS)
            merged.setdefault(key, value)
    _check(merged)
    return merged


def explicit_name(item: pytest.Item) -> tuple[Any, int | None]:
    """Return the name that the closest naming marker gives, and how many classes deep it is (None: on the test)."""
    for node, mark in item.iter_markers_with_node(MARKER):
        name = mark.args[0] if mark.args else mark.kwargs.get("cassette")
        if name is None:
            continue
        if node is item:
            return name, None
        return name, sum(isinstance(each, pytest.Class) for each in node.listchain())
    return None, None


def _names_to_redact(given: object) -> tuple[str, ...]:
    listed = (given,) if isinstance(given, str) else () if given is None else given
    if isinstance(listed, Mapping) or not isinstance(listed, Iterable):
        raise ConfigError(
            f"redact of the marker takes names, such as redact=['patient_id'], not {given!r}; "
            "all else about redaction stands in the configuration"
        )
    return Config.from_mapping({"redact": {"denylist": tuple(listed)}}).redact.denylist


def _check(options: Mapping[str, Any]) -> None:
    """Refuse at collection what could otherwise only fail when the test runs."""
    if options.get("mode") is not None:
        Mode.parse(options["mode"])
    live, frozen = (parse_tokens(options.get(each), each) for each in ("live", "frozen"))
    if live and frozen:
        raise ConfigError("live and frozen exclude each other; give one of them")
    if options.get("format") not in (None, *FORMATS):
        raise unknown_name("format", options["format"], FORMATS)
    if options.get("freeze") is not None:
        freezing.parse_features(options["freeze"])
    if options.get("matchers") is not None:
        parse_matchers(options["matchers"], KeyRules.of(()))
    allowed_errors(options.get("allow_errors"))
    host_rules(Config().with_overrides(allow_hosts=options.get("allow_hosts")).allow_hosts)
    Config().with_overrides(strict=options.get("strict"))
    parse_tags(options.get("tags"))
