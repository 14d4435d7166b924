"""Settings: the contents of a configuration file, and how it is found."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import Mode
from pytest_agenttape.settings.config import Config, RedactConfig
from pytest_agenttape.settings.words import INI_KEYS


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


EVERY_KEY = """
cassette_dir = "tapes"
default_mode = "once"
default_matchers = ["exact", "ordered"]
format = "json"
freeze = ["clock"]
env_snapshot = ["LANG"]
ignore_volatile_fields = ["x-trace", "json.metadata.run_id", "args.when"]
assets_threshold_bytes = 10
model_override = "gpt-x"
allow_hosts = ["localhost"]
strict = true
block_network = false
[redact]
denylist = ["x-tenant"]
regexes = ["acme-[0-9]+"]
redact_emails = true
placeholder = "####"
enabled = false
"""


def test_every_key_of_a_file_is_read(tmp_path: Path) -> None:
    source = write(tmp_path / "agenttape.toml", EVERY_KEY)
    assert Config.load(tmp_path) == Config(
        cassette_dir=tmp_path / "tapes",
        default_mode=Mode.ONCE,
        default_matchers=("exact", "ordered"),
        format="json",
        freeze=("clock",),
        env_snapshot=("LANG",),
        ignore_volatile_fields=("x-trace", "json.metadata.run_id", "args.when"),
        assets_threshold_bytes=10,
        model_override="gpt-x",
        allow_hosts=("localhost",),
        strict=True,
        block_network=False,
        redact=RedactConfig(
            denylist=("x-tenant",),
            regexes=("acme-[0-9]+",),
            redact_emails=True,
            placeholder="####",
            enabled=False,
        ),
        source=source,
    )


def test_pyproject_takes_the_same_keys(tmp_path: Path) -> None:
    table = EVERY_KEY.replace("[redact]", "[tool.agenttape.redact]")
    write(tmp_path / "a" / "pyproject.toml", f"[tool.agenttape]\n{table}")
    write(tmp_path / "b" / "agenttape.toml", EVERY_KEY)
    of_pyproject, of_own = Config.load(tmp_path / "a"), Config.load(tmp_path / "b")
    assert of_pyproject.cassette_dir == tmp_path / "a" / "tapes"
    assert dataclasses.replace(of_pyproject, source=of_own.source, cassette_dir=of_own.cassette_dir) == of_own


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "agenttape.toml").write_bytes(b"\xef\xbb\xbfstrict = true\n")
    assert Config.load(tmp_path).strict


def test_no_file_means_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTTAPE_DEFAULT_MODE", "all")  # the environment is not a source
    assert Config.load(tmp_path) == Config()
    assert Config().default_mode == "none"
    assert Config().freeze == ("clock", "uuid", "random")


def test_the_working_directory_is_the_default_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "agenttape.toml", "strict = true")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert Config.load().source == tmp_path / "agenttape.toml"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param(
            {"agenttape.toml": "", "pyproject.toml": "[tool.agenttape]"}, "agenttape.toml", id="own-file-first"
        ),
        pytest.param(
            {"agenttape.toml": "", "sub/pyproject.toml": "[tool.agenttape]"}, "sub/pyproject.toml", id="nearest"
        ),
        pytest.param({"agenttape.toml": "", "sub/pyproject.toml": "[tool.ruff]"}, "agenttape.toml", id="without-table"),
        pytest.param(
            {"agenttape.toml": "", "sub/pyproject.toml": "dependencies = ['pytest-agenttape']"},
            "agenttape.toml",
            id="named-without-table",
        ),
        pytest.param(
            {"agenttape.toml": "", "sub/pyproject.toml": "broken ["}, "agenttape.toml", id="not-ours-to-judge"
        ),
        pytest.param(
            {"agenttape.toml": "", "sub/pyproject.toml": "tool = 3 # agenttape"}, "agenttape.toml", id="no-tool"
        ),
        pytest.param(
            {"agenttape.toml": "strict = true", "sub/agenttape.toml": ""}, "sub/agenttape.toml", id="empty-own"
        ),
    ],
)
def test_the_nearest_file_that_speaks_to_us_wins(tmp_path: Path, files: dict[str, str], found: str) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    (tmp_path / "sub").mkdir(exist_ok=True)
    assert Config.load(tmp_path / "sub").source == tmp_path / found


def test_a_file_as_start_means_its_directory(tmp_path: Path) -> None:
    write(tmp_path / "agenttape.toml", "strict = true")
    assert Config.load(write(tmp_path / "test_a.py", "")).strict


def test_the_cassette_directory_starts_at_its_file(tmp_path: Path) -> None:
    write(tmp_path / "agenttape.toml", 'cassette_dir = "../tapes"')
    (tmp_path / "sub").mkdir()
    assert Config.load(tmp_path / "sub").cassette_dir == tmp_path / "../tapes"


def test_an_absolute_cassette_directory_stays(tmp_path: Path) -> None:
    write(tmp_path / "agenttape.toml", f"cassette_dir = '{tmp_path / 'far'}'")
    assert Config.load(tmp_path).cassette_dir == tmp_path / "far"


BAD_VALUES = [
    pytest.param('defualt_mode = "none"', "defualt_mode = 'none'", "Did you mean 'default_mode'?", id="unknown-key"),
    pytest.param('default_mode = "nome"', "default_mode = 'nome'", "Did you mean", id="mode"),
    pytest.param("default_mode = 3", "default_mode = 3", "Valid: none, once", id="mode-type"),
    pytest.param("default_mode = ['none']", "default_mode = ['none']", "Valid: none, once", id="mode-list"),
    pytest.param('format = "yml"', "format = 'yml'", "Did you mean 'yaml'?", id="format"),
    pytest.param("format = ['yaml']", "format = ['yaml']", "Valid: yaml, json", id="format-type"),
    pytest.param('freeze = ["clok"]', "freeze = ['clok']", "Did you mean 'clock'?", id="freeze"),
    pytest.param('freeze = "clock"', "freeze = 'clock'", "such as ['clock']", id="freeze-type"),
    pytest.param("freeze = true", "freeze = True", "must be a list of strings", id="freeze-bool"),
    pytest.param('default_matchers = ["exat"]', "default_matchers = ['exat']", "Did you mean 'exact'?", id="matcher"),
    pytest.param("default_matchers = []", "default_matchers = []", "is empty", id="no-matcher"),
    pytest.param("default_matchers = [3]", "default_matchers = [3]", "3 is not a matcher", id="matcher-type"),
    pytest.param('default_matchers = "exact"', "default_matchers = 'exact'", "must be a list", id="matcher-string"),
    pytest.param("assets_threshold_bytes = -1", "assets_threshold_bytes = -1", "0 or more", id="negative"),
    pytest.param('assets_threshold_bytes = "1"', "assets_threshold_bytes = '1'", "whole number", id="number-string"),
    pytest.param("assets_threshold_bytes = true", "assets_threshold_bytes = True", "whole number", id="number-bool"),
    pytest.param("cassette_dir = 3", "cassette_dir = 3", "path of a directory", id="directory"),
    pytest.param('cassette_dir = ""', "cassette_dir = ''", "path of a directory", id="empty-directory"),
    pytest.param("model_override = 3", "model_override = 3", "string", id="model"),
    pytest.param('model_override = ""', "model_override = ''", "non-empty string", id="empty-model"),
    pytest.param("env_snapshot = [1]", "env_snapshot = [1]", "non-empty strings, found 1", id="env"),
    pytest.param("env_snapshot = {A = 1}", "env_snapshot = {'A': 1}", "list of strings", id="env-table"),
    pytest.param('allow_hosts = [""]', "allow_hosts = ['']", "non-empty strings, found ''", id="empty-host"),
    pytest.param('strict = "yes"', "strict = 'yes'", "true or false", id="strict"),
    pytest.param("block_network = 0", "block_network = 0", "true or false", id="block"),
    pytest.param("redact = true", "redact = True", "must be a table", id="redact-type"),
    pytest.param("[redact]\ndenylst = []", "redact.denylst = []", "Did you mean 'denylist'?", id="redact-key"),
    pytest.param("[redact]\nenabled = 1", "redact.enabled = 1", "true or false", id="redact-bool"),
    pytest.param("[redact]\nregexes = ['(']", "redact.regexes = ['(']", "not a regular expression", id="regex"),
    pytest.param("[redact]\nplaceholder = ''", "redact.placeholder = ''", "non-empty string", id="placeholder"),
    pytest.param("source = 'x'", "source = 'x'", "unknown setting", id="source-is-no-setting"),
]


@pytest.mark.parametrize(("text", "what", "way_out"), BAD_VALUES)
def test_a_bad_value_names_file_key_value_and_way_out(tmp_path: Path, text: str, what: str, way_out: str) -> None:
    path = write(tmp_path / "agenttape.toml", text)
    with pytest.raises(ConfigError) as caught:
        Config.load(tmp_path)
    assert str(caught.value).startswith(f"{path}: {what}: ")
    assert way_out in str(caught.value)


def test_the_error_for_pyproject_names_the_table(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", "[tool.agenttape]\nstrict = 1")
    with pytest.raises(ConfigError, match=re.escape(f"{path} [tool.agenttape]: strict = 1: must be true or false")):
        Config.load(tmp_path)


def test_a_table_that_is_none_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool]\nagenttape = 3")
    with pytest.raises(ConfigError, match=r"tool\.agenttape = 3: must be a table"):
        Config.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("agenttape.toml", b"strict = ", id="own"),
        pytest.param("agenttape.toml", b"\xff\xfe", id="not-utf8"),
        pytest.param("pyproject.toml", b"[tool.agenttape\n", id="pyproject-that-names-us"),
    ],
)
def test_invalid_toml_names_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / name}: is not valid TOML")):
        Config.load(tmp_path)


@pytest.mark.parametrize("heading", ["[tool.agenttape]", "[agenttape]"])
def test_the_heading_of_pyproject_in_our_own_file_is_to_be_taken_out(tmp_path: Path, heading: str) -> None:
    (tmp_path / "agenttape.toml").write_text(f"{heading}\nstrict = true\n")
    with pytest.raises(ConfigError, match=re.escape(f"settings stand here without the heading {heading}; take it out")):
        Config.load(tmp_path)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "agenttape.toml").mkdir()
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'agenttape.toml'}: cannot be read: ")):
        Config.load(tmp_path)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({"format": "x" * 10_000})
    assert len(str(caught.value)) < 10_300
    assert f"format = '{'x' * 76}...: " in str(caught.value)


@pytest.mark.parametrize("make", [lambda **raw: Config(**raw), lambda **raw: Config().with_overrides(**raw)])
def test_the_python_side_is_checked_the_same_way(make: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"default_mode = 'nome': unknown mode 'nome'\. Did you mean.*none"):
        make(default_mode="nome")


def test_overriding_with_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'strict'"):
        Config().with_overrides(stric=True)


def test_an_override_replaces_what_it_says_and_keeps_the_rest(tmp_path: Path) -> None:
    source = tmp_path / "agenttape.toml"
    before = Config.from_mapping({"strict": True, "redact": {"denylist": ["a"], "redact_emails": True}}, source=source)
    after = before.with_overrides(format="json", model_override=None, redact={"denylist": ["b"]})
    expected = RedactConfig(denylist=("b",), redact_emails=True)
    assert after == dataclasses.replace(before, format="json", redact=expected)
    assert after.source == source


def test_an_override_of_a_redact_key_that_is_unknown_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"redact\.denylst"):
        Config().with_overrides(redact={"denylst": []})


def test_matchers_from_python_may_be_callables_and_single() -> None:
    def same_url(asked: object, recorded: object) -> bool:
        return asked == recorded

    assert Config().with_overrides(default_matchers=same_url).default_matchers == (same_url,)
    assert Config(default_matchers=(same_url, "exact")).default_matchers == (same_url, "exact")
    assert Config().with_overrides(freeze="clock").freeze == ("clock",)


def test_record_is_another_word_for_all() -> None:
    assert Config.from_mapping({"default_mode": "record"}).default_mode is Mode.ALL


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().strict = True  # type: ignore[misc]  # that it is refused is the point


def test_importing_the_settings_loads_neither_toml_nor_the_core() -> None:
    code = (
        "import sys, pytest_agenttape.settings.config;"
        "print(*sorted(m for m in sys.modules if m in ('tomllib', 'yaml') or m.startswith('pytest_agenttape.')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rooms = ("settings", "settings.ages", "settings.config", "settings.config_file", "settings.words")
    loaded = ("decoded", "errors", "hosts", "model", *rooms)
    assert out.split() == [f"pytest_agenttape.{room}" for room in loaded]


def test_every_ini_key_is_a_setting() -> None:
    assert set(INI_KEYS) <= {each.name for each in dataclasses.fields(Config)}


def test_any_path_is_the_path_of_a_directory() -> None:
    class Elsewhere:  # as pathlib's classes are, once pyfakefs has put its own in their place
        def __fspath__(self) -> str:
            return "recordings"

    assert Config(cassette_dir=Elsewhere()).cassette_dir == Path("recordings")  # type: ignore[arg-type]
