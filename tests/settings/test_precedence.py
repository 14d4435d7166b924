"""Which source wins, and which mode results."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import Mode
from pytest_agenttape.settings.ci import is_ci, updates_snapshots
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.precedence import effective_mode, ini_layer, resolve


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param((), {}, id="nothing"),
        pytest.param((None, None), {}, id="absent-layers"),
        pytest.param(({"mode": "all"}, {"mode": "once"}), {"mode": "all"}, id="first-wins"),
        pytest.param(({"mode": None}, {"mode": "once"}), {"mode": "once"}, id="none-is-not-said"),
        pytest.param(({"mode": None}, None), {}, id="never-said"),
        pytest.param(({"strict": False}, {"strict": True}), {"strict": False}, id="false-is-said"),
        pytest.param(({"freeze": ()}, {"freeze": ("clock",)}), {"freeze": ()}, id="empty-is-said"),
        pytest.param(({"a": 1}, {"b": 2}, {"a": 3, "c": 4}), {"a": 1, "b": 2, "c": 4}, id="key-by-key"),
        pytest.param(
            ({"redact": {"enabled": True, "denylist": None}}, {"redact": {"denylist": ["a"], "enabled": False}}),
            {"redact": {"enabled": True, "denylist": ["a"]}},
            id="redact-key-by-key",
        ),
        pytest.param(({"redact": False}, {"redact": {"denylist": []}}), {"redact": False}, id="other-type-wins-whole"),
    ],
)
def test_the_strongest_layer_that_says_something_wins(
    layers: tuple[dict[str, object] | None, ...], expected: object
) -> None:
    assert resolve(*layers) == expected


_layers = st.lists(st.none() | st.dictionaries(st.sampled_from("abc"), st.none() | st.integers()), max_size=5)


@given(_layers)
def test_resolving_is_looking_up_the_first_that_is_not_none(layers: list[dict[str, object] | None]) -> None:
    resolved = resolve(*layers)
    for key in "abc":
        said = [layer[key] for layer in layers if layer and layer.get(key) is not None]
        assert resolved.get(key) == (said[0] if said else None)


@given(_layers, _layers)
def test_resolving_in_steps_is_resolving_at_once(
    first: list[dict[str, object] | None], second: list[dict[str, object] | None]
) -> None:
    assert resolve(resolve(*first), resolve(*second)) == resolve(*first, *second)


def test_ini_keys_are_read_where_they_are_said(tmp_path: Path) -> None:
    ini: dict[str, object] = {
        "agenttape_cassette_dir": "tapes",
        "agenttape_assets_threshold_bytes": "12",
        "agenttape_strict": False,
        "agenttape_format": "",
    }
    layer = ini_layer(ini.get, tmp_path)
    assert layer == {"cassette_dir": tmp_path / "tapes", "assets_threshold_bytes": 12, "strict": False}
    assert Config().with_overrides(**layer).assets_threshold_bytes == 12


def test_an_ini_number_that_is_none_is_an_error(tmp_path: Path) -> None:
    ini = {"agenttape_assets_threshold_bytes": "64k"}
    with pytest.raises(ConfigError, match="agenttape_assets_threshold_bytes = '64k': must be a whole number"):
        ini_layer(ini.get, tmp_path)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, Mode.NONE, id="default"),
        pytest.param({"config_mode": "once"}, Mode.ONCE, id="config"),
        pytest.param({"marker_mode": "none", "config_mode": "once"}, Mode.NONE, id="marker-over-config"),
        pytest.param({"snapshot_update": True, "marker_mode": "once"}, Mode.REFRESH, id="snapshot-update-over-marker"),
        pytest.param({"snapshot_update_new_only": True, "marker_mode": "all"}, Mode.ONCE, id="new-only-is-once"),
        pytest.param(
            {"snapshot_update": True, "snapshot_update_new_only": True}, Mode.REFRESH, id="update-over-new-only"
        ),
        pytest.param({"flag_record": True, "snapshot_update": True}, Mode.ALL, id="record-over-snapshot-update"),
        pytest.param({"flag_mode": "none", "flag_record": True}, Mode.NONE, id="mode-over-record"),
        pytest.param({"flag_mode": "none", "snapshot_update": True}, Mode.NONE, id="offline-snapshot-update"),
        pytest.param({"flag_mode": "record"}, Mode.ALL, id="record-is-all"),
        pytest.param({"ci": True}, Mode.NONE, id="ci-default"),
        pytest.param({"ci": True, "snapshot_update": True}, Mode.NONE, id="ci-snapshot-update-alone"),
        pytest.param({"ci": True, "snapshot_update_new_only": True}, Mode.NONE, id="ci-new-only-alone"),
        pytest.param({"ci": True, "flag_record": True}, Mode.ALL, id="ci-explicit-record"),
        pytest.param({"ci": True, "flag_mode": "refresh"}, Mode.REFRESH, id="ci-explicit-mode"),
        pytest.param({"ci": True, "flag_mode": "none", "marker_mode": "all"}, Mode.NONE, id="ci-explicit-none"),
        pytest.param({"ci": True, "marker_mode": "none", "config_mode": "all"}, Mode.NONE, id="ci-marker-none"),
        pytest.param({"ci": True, "marker_mode": "once", "file_exists": True}, Mode.NONE, id="ci-once-replays"),
        pytest.param({"ci": True, "config_mode": "once", "file_exists": True}, Mode.NONE, id="ci-config-once-replays"),
    ],
)
def test_the_effective_mode(said: dict[str, object], expected: Mode) -> None:
    assert effective_mode(**said) is expected  # type: ignore[arg-type]  # the table holds the right types


@pytest.mark.parametrize("key", ["marker_mode", "config_mode"])
@pytest.mark.parametrize(
    ("mode", "file_exists"),
    [("once", False), ("new_episodes", True), ("refresh", True), ("all", True), ("record", False)],
)
def test_under_ci_a_mode_that_would_record_names_the_way_out(key: str, mode: str, file_exists: bool) -> None:
    with pytest.raises(ConfigError, match=r"CI is set.*--agenttape-mode="):
        effective_mode(**{key: mode}, ci=True, file_exists=file_exists, snapshot_update=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["flag_mode", "marker_mode", "config_mode"])
def test_an_unknown_mode_names_where_it_stands(key: str) -> None:
    names = {"flag_mode": "--agenttape-mode", "marker_mode": "the marker's mode", "config_mode": "default_mode"}
    with pytest.raises(ConfigError, match=f"{names[key]}: unknown mode 'onec'.*once"):
        effective_mode(**{key: "onec"})  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("", False), ("true", True), ("0", True)])
def test_ci_is_a_variable_that_is_not_empty(value: str | None, expected: bool) -> None:
    assert is_ci({} if value is None else {"CI": value}) is expected


@pytest.mark.parametrize(
    ("environ", "snapshot_update", "expected"),
    [({}, True, True), ({}, False, False), ({"CI": "1"}, True, False), ({"CI": "1"}, False, False)],
)
def test_under_ci_a_snapshot_update_changes_no_cassette(
    environ: dict[str, str], snapshot_update: bool, expected: bool
) -> None:
    assert updates_snapshots(environ, snapshot_update=snapshot_update) is expected
