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
from pytest_agenttape.settings.flags import Flags
from pytest_agenttape.settings.precedence import block_mode, effective_mode, ini_layer, resolve


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
    ("flags", "said", "expected"),
    [
        pytest.param(Flags(), {}, Mode.NONE, id="default"),
        pytest.param(Flags(), {"config_mode": "once"}, Mode.ONCE, id="config"),
        pytest.param(Flags(), {"marker_mode": "none", "config_mode": "once"}, Mode.NONE, id="marker-over-config"),
        pytest.param(
            Flags(snapshot_update=True), {"marker_mode": "once"}, Mode.REFRESH, id="snapshot-update-over-marker"
        ),
        pytest.param(Flags(new_snapshots_only=True), {"marker_mode": "all"}, Mode.ONCE, id="new-only-is-once"),
        pytest.param(Flags(snapshot_update=True, new_snapshots_only=True), {}, Mode.REFRESH, id="update-over-new-only"),
        pytest.param(Flags(record=True, snapshot_update=True), {}, Mode.ALL, id="record-over-snapshot-update"),
        pytest.param(Flags(mode="none", record=True), {}, Mode.NONE, id="mode-over-record"),
        pytest.param(Flags(mode="none", snapshot_update=True), {}, Mode.NONE, id="offline-snapshot-update"),
        pytest.param(Flags(mode="record"), {}, Mode.ALL, id="record-is-all"),
        pytest.param(Flags(), {"ci": True}, Mode.NONE, id="ci-default"),
        pytest.param(Flags(snapshot_update=True), {"ci": True}, Mode.NONE, id="ci-snapshot-update-alone"),
        pytest.param(Flags(new_snapshots_only=True), {"ci": True}, Mode.NONE, id="ci-new-only-alone"),
        pytest.param(Flags(record=True), {"ci": True}, Mode.ALL, id="ci-explicit-record"),
        pytest.param(Flags(mode="refresh"), {"ci": True}, Mode.REFRESH, id="ci-explicit-mode"),
        pytest.param(Flags(mode="none"), {"ci": True, "marker_mode": "all"}, Mode.NONE, id="ci-explicit-none"),
        pytest.param(
            Flags(), {"ci": True, "marker_mode": "none", "config_mode": "all"}, Mode.NONE, id="ci-marker-none"
        ),
        pytest.param(
            Flags(), {"ci": True, "marker_mode": "once", "file_exists": True}, Mode.NONE, id="ci-once-replays"
        ),
        pytest.param(
            Flags(), {"ci": True, "config_mode": "once", "file_exists": True}, Mode.NONE, id="ci-config-once-replays"
        ),
    ],
)
def test_the_effective_mode(flags: Flags, said: dict[str, object], expected: Mode) -> None:
    assert effective_mode(flags, **said) is expected  # type: ignore[arg-type]  # the table holds the right types


@pytest.mark.parametrize("key", ["marker_mode", "config_mode"])
@pytest.mark.parametrize(
    ("mode", "file_exists"),
    [("once", False), ("new_episodes", True), ("refresh", True), ("all", True), ("record", False)],
)
def test_under_ci_a_mode_that_would_record_names_the_way_out(key: str, mode: str, file_exists: bool) -> None:
    with pytest.raises(ConfigError, match=r"CI is set.*--agenttape-mode="):
        effective_mode(Flags(snapshot_update=True), **{key: mode}, ci=True, file_exists=file_exists)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "said", "name"),
    [
        (Flags(mode="onec"), {}, "--agenttape-mode"),
        (Flags(), {"marker_mode": "onec"}, "the marker's mode"),
        (Flags(), {"config_mode": "onec"}, "default_mode"),
    ],
)
def test_an_unknown_mode_names_where_it_stands(flags: Flags, said: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: unknown mode 'onec'.*once"):
        effective_mode(flags, **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("named", "flags", "facts", "expected"),
    [
        pytest.param(None, None, {}, Mode.NEW_EPISODES, id="outside-pytest-the-default"),
        pytest.param(None, None, {"ci": True}, Mode.NEW_EPISODES, id="outside-pytest-ci-means-nothing"),
        pytest.param(None, Flags(), {}, Mode.NEW_EPISODES, id="no-flag"),
        pytest.param(None, Flags(record=True), {}, Mode.ALL, id="record"),
        pytest.param(None, Flags(snapshot_update=True), {}, Mode.REFRESH, id="snapshot-update"),
        pytest.param(Mode.NONE, Flags(record=True), {}, Mode.NONE, id="named-over-record"),
        pytest.param(Mode.ONCE, Flags(), {"ci": True, "file_exists": True}, Mode.NONE, id="ci-once-replays"),
        pytest.param(Mode.ALL, Flags(record=True), {"ci": True}, Mode.ALL, id="ci-explicit-record"),
        pytest.param(Mode.ALL, Flags(mode="once"), {"ci": True}, Mode.ALL, id="ci-explicit-mode"),
    ],
)
def test_the_mode_of_a_block(named: Mode | None, flags: Flags | None, facts: dict[str, bool], expected: Mode) -> None:
    assert block_mode(named, Mode.NEW_EPISODES, flags, **{"ci": False, "file_exists": False, **facts}) is expected


@pytest.mark.parametrize(
    ("named", "flags", "file_exists"),
    [
        (Mode.ONCE, Flags(), False),
        (Mode.ALL, Flags(), True),
        (Mode.ALL, Flags(mode="none"), True),
        (Mode.ALL, Flags(snapshot_update=True), True),
        (None, Flags(), True),
    ],
)
def test_a_block_that_would_record_in_ci_names_the_way_out(named: Mode | None, flags: Flags, file_exists: bool) -> None:
    with pytest.raises(ConfigError, match=r"would record, but CI is set.*--agenttape-mode="):
        block_mode(named, Mode.NEW_EPISODES, flags, ci=True, file_exists=file_exists)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"CI": ""}, False),
        ({"CI": "false"}, False),
        ({"CI": "False "}, False),
        ({"CI": "0"}, False),
        ({"CI": "true"}, True),
        ({"CI": "woodpecker"}, True),
        ({"JENKINS_URL": "https://ci.example/"}, True),
        ({"TF_BUILD": "True"}, True),
        ({"TEAMCITY_VERSION": "2026.1"}, True),
        ({"CODEBUILD_BUILD_ID": "shop:1"}, True),
        ({"JENKINS_URL": ""}, False),
        ({"CI": "false", "JENKINS_URL": "https://ci.example/"}, False),
    ],
)
def test_ci_is_told_by_its_variable_else_by_those_of_services_that_do_not_set_it(
    environ: dict[str, str], expected: bool
) -> None:
    assert is_ci(environ) is expected


@pytest.mark.parametrize(
    ("environ", "snapshot_update", "expected"),
    [({}, True, True), ({}, False, False), ({"CI": "1"}, True, False), ({"CI": "1"}, False, False)],
)
def test_under_ci_a_snapshot_update_changes_no_cassette(
    environ: dict[str, str], snapshot_update: bool, expected: bool
) -> None:
    assert updates_snapshots(environ, snapshot_update=snapshot_update) is expected
