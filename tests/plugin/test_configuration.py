"""Settings reach a test from every source; the strongest source wins."""

from __future__ import annotations

import pytest

from pytest_agenttape.model import CASSETTES_FOLDER
from pytest_agenttape.plugin import options
from pytest_agenttape.settings.words import INI_KEYS
from tests.plugin.project import Project

INI = """
    agenttape_default_mode = once
    agenttape_default_matchers = exact ordered
    agenttape_format = json
    agenttape_freeze = clock uuid
    agenttape_env_snapshot = LANG TZ
    agenttape_ignore_volatile_fields = x-trace
    agenttape_assets_threshold_bytes = 1234
    agenttape_model_override = small
    agenttape_allow_hosts = db.example *.corp.example
    agenttape_strict = yes
    agenttape_block_network = no
    agenttape_cassette_dir = tapes
"""
TOML = """
agenttape_default_mode = "once"
agenttape_default_matchers = ["exact", "ordered"]
agenttape_format = "json"
agenttape_freeze = ["clock", "uuid"]
agenttape_env_snapshot = ["LANG", "TZ"]
agenttape_ignore_volatile_fields = ["x-trace"]
agenttape_assets_threshold_bytes = 1234
agenttape_model_override = "small"
agenttape_allow_hosts = ["db.example", "*.corp.example"]
agenttape_strict = true
agenttape_block_network = false
agenttape_cassette_dir = "tapes"
"""
CHECK = """
    import pytest
    from pytest_agenttape import active_session

    @pytest.mark.agenttape
    def test_it():
        config = active_session().settings.config
        assert str(config.default_mode) == "once"
        assert config.default_matchers == ("exact", "ordered")
        assert config.format == "json"
        assert config.freeze == ("clock", "uuid")
        assert config.env_snapshot == ("LANG", "TZ")
        assert config.ignore_volatile_fields == ("x-trace",)
        assert config.assets_threshold_bytes == 1234
        assert config.model_override == "small"
        assert config.allow_hosts == ("db.example", "*.corp.example")
        assert config.strict is True
        assert config.block_network is False
        assert config.cassette_dir.name == "tapes"
"""


def test_the_plugin_registers_the_settings_that_an_ini_file_may_hold(pytestconfig: pytest.Config) -> None:
    for name in INI_KEYS:
        pytestconfig.getini(f"agenttape_{name}")  # raises if there is no such key


def test_the_word_that_the_options_repeat_is_that_of_its_home() -> None:
    assert options.CASSETTES == CASSETTES_FOLDER


def test_ini(project: Project) -> None:
    project.ini(INI)
    project.write(test_it=CHECK)
    project.run().assert_outcomes(passed=1)


def test_ini_options_in_pyproject(project: Project) -> None:
    text = TOML.replace("= 1234", '= "1234"').replace("= true", '= "true"').replace("= false", '= "false"')
    (project.path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n" + text)
    project.write(test_it=CHECK)
    project.run().assert_outcomes(passed=1)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 reads native TOML")
def test_native_toml_in_pyproject(project: Project) -> None:
    (project.path / "pyproject.toml").write_text("[tool.pytest]\n" + TOML)
    project.write(test_it=CHECK)
    project.run().assert_outcomes(passed=1)


def test_our_own_table(project: Project) -> None:
    (project.path / "pyproject.toml").write_text("[tool.agenttape]\n" + TOML.replace("agenttape_", ""))
    project.write(test_it=CHECK)
    project.run().assert_outcomes(passed=1)


STRICT = """
    import pytest
    from pytest_agenttape import active_session
    {extra}

    @pytest.mark.agenttape({marker})
    def test_it():
        assert active_session().settings.config.strict is {expected}
"""


def test_ini_wins_over_the_file_the_fixture_over_ini_and_the_marker_over_the_fixture(project: Project) -> None:
    (project.path / "agenttape.toml").write_text("strict = true\n")
    project.write(test_it=STRICT.format(extra="", marker="", expected=True))
    project.run().assert_outcomes(passed=1)
    project.ini("agenttape_strict = false")
    project.write(test_it=STRICT.format(extra="", marker="", expected=False))
    project.run().assert_outcomes(passed=1)
    fixture = "\n    @pytest.fixture\n    def agenttape_config(): return {'strict': True}\n"
    project.write(test_it=STRICT.format(extra=fixture, marker="", expected=True))
    project.run().assert_outcomes(passed=1)
    project.write(test_it=STRICT.format(extra=fixture, marker="strict=False", expected=False))
    project.run().assert_outcomes(passed=1)


def test_the_fixture_may_return_a_whole_config(project: Project) -> None:
    (project.path / "agenttape.toml").write_text("model_override = 'from the file'\n")
    fixture = "from pytest_agenttape import Config\n    @pytest.fixture\n"
    fixture += "    def agenttape_config(): return Config(strict=True)\n"
    source = STRICT.format(extra=fixture, marker="", expected=True)
    project.write(test_it=source + "        assert active_session().settings.config.model_override is None\n")
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            "{'strikt': True}",
            "the fixture agenttape_config: strikt = True: unknown setting 'strikt'. Did you mean 'strict'[?] Valid: *",
        ),
        ("{'strict': 'yes'}", "the fixture agenttape_config: strict = 'yes': must be true or false"),
        ("7", "the fixture agenttape_config must return a mapping of settings or a Config, found 7"),
    ],
)
def test_a_fixture_that_says_nonsense_is_told_so(project: Project, returned: str, message: str) -> None:
    fixture = f"@pytest.fixture\n    def agenttape_config(): return {returned}\n"
    project.write(test_it=STRICT.format(extra=fixture, marker="", expected=True))
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E *ConfigError: {message}"])
    result.stdout.no_fnmatch_line("*pytest_agenttape/*.py:*")


def test_names_to_redact_add_up_over_file_fixture_and_markers(project: Project) -> None:
    (project.path / "agenttape.toml").write_text('[redact]\ndenylist = ["from_file"]\nregexes = ["ACME-[0-9]{6}"]\n')
    project.write(
        test_it="""
        import pytest
        from pytest_agenttape import tool

        @tool
        def save(**fields): return fields

        @pytest.fixture
        def agenttape_config(): return {"redact": {"denylist": ["from_fixture"]}}

        @pytest.mark.agenttape(redact="from_class")
        class TestIt:
            @pytest.mark.agenttape(redact=["from_test"])
            def test_it(self):
                save(from_fixture="SECRET-1", from_class="SECRET-2", from_test="SECRET-3", kept="plain ACME-123456")
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    stored = project.cassette("test_it/TestIt.test_it.yaml").read_text()
    assert "SECRET" not in stored
    assert "ACME-123456" not in stored
    assert "kept: plain REDACTED" in stored


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("redact={'denylist': ['name']}", "redact takes names, such as redact=*, found {'denylist': *"),
        ("redact=5", "redact takes names, such as redact=*, found 5;*"),
        ("redact=['']", "redact.denylist = *non-empty strings, found ''"),
        ("tags=5", "tags takes a list of strings, found 5"),
        ("frozen=['']", "frozen takes kinds *; found ''"),
        ("strict='yes'", "strict = 'yes': must be true or false"),
        ("allow_hosts=5", "allow_hosts = 5: must be a list of strings"),
        ("allow_hosts='db.example'", "allow_hosts = 'db.example': must be a list of strings, such as *"),
        ("'a', cassette='b'", "the marker takes one cassette name, found 'a' and 'b'"),
    ],
    ids=lambda each: str(each)[:20],
)
def test_a_marker_option_that_cannot_be_used_is_told_at_collection(project: Project, option: str, message: str) -> None:
    project.write(test_it=f"import pytest\n@pytest.mark.agenttape({option})\ndef test_it(): pass\n")
    result = project.run("--agenttape-record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: agenttape: test_it.py::test_it: {message}"])
    assert project.files() == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("agenttape_strict = maybe", "agenttape_strict: must be true or false (*'maybe'*)"),
        ("agenttape_assets_threshold_bytes = 64k", "agenttape_assets_threshold_bytes*must be a whole number*"),
        (
            "agenttape_allow_hosts = http://a.b",
            "agenttape_allow_hosts = [[]'http://a.b'[]]: 'http://a.b' is not a host. *",
        ),
        ("agenttape_format = xml", "agenttape_format = 'xml': unknown format 'xml'. Valid: yaml, json"),
    ],
)
def test_a_bad_ini_value_is_named_with_its_file_and_key(project: Project, line: str, message: str) -> None:
    project.ini(line)
    project.write(test_it=STRICT.format(extra="", marker="", expected=False))
    result = project.run("--agenttape-record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: agenttape: test_it.py::test_it: *.ini: {message}"])


def test_a_format_that_comes_too_late_is_told(project: Project) -> None:
    fixture = "@pytest.fixture\n    def agenttape_config(): return {'format': 'json'}\n"
    project.write(test_it=STRICT.format(extra=fixture, marker="", expected=False))
    result = project.run("--agenttape-record")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *ConfigError: format = 'json': the fixture agenttape_config runs with the test, *"])
    project.write(test_it=STRICT.format(extra=fixture, marker="format='yaml'", expected=False))
    project.run("--agenttape-record").assert_outcomes(passed=1)


def test_tests_that_a_fixture_lets_record_one_file_fail_before_they_do(project: Project) -> None:
    project.write(
        conftest="""
            import pytest

            @pytest.fixture
            def agenttape_config():
                return {"default_mode": "all"}
        """,
        test_it="""
            import pytest
            from agent import look_up

            @pytest.mark.agenttape("shared")
            def test_a():
                look_up("Rome")

            @pytest.mark.agenttape("shared")
            def test_b():
                look_up("Oslo")
        """,
    )
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["E *ConfigError: 2 tests would record the same cassette, *shared.yaml: test_it.py::test_a, *"]
    )
    assert project.live() == []
    assert project.files() == []
