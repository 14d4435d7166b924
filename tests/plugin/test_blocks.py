"""Blocks opened in a pytest run hear its flags, and what may be recorded in CI."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

UNMARKED = """
    from agent import look_up
    from pytest_agenttape import use_cassette

    def test_it():
        with use_cassette("rome"{options}):
            assert look_up("Rome")["answer"] == {answer!r}
"""
WIDE = """
    import pytest
    from agent import look_up
    from pytest_agenttape import use_cassette

    @pytest.fixture(scope="module")
    def login():
        with use_cassette("login"):
            return look_up("login")["answer"]

    @pytest.mark.agenttape
    @pytest.mark.parametrize("city", ["Rome", "Oslo"])
    def test_it(login, city):
        assert login == "old"
        look_up(city)
"""
DECORATED = """
    from agent import look_up
    from pytest_agenttape import use_cassette

    @use_cassette("rome"{options})
    def ask():
        return look_up("Rome")

    def test_it():
        ask()
"""
ASYNC = """
    import asyncio
    from agent import look_up
    from pytest_agenttape import use_cassette

    async def ask():
        async with use_cassette("rome"{options}):
            return look_up("Rome")

    def test_it():
        asyncio.run(ask())
"""


@pytest.mark.parametrize("flag", ["--agenttape-record", "--agenttape-mode=once", "--snapshot-update"])
def test_a_block_that_names_no_mode_hears_the_flags(project: Project, flag: str) -> None:
    project.write(test_it=UNMARKED.format(options="", answer="old"))
    project.run(flag).assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
    project.run().assert_outcomes(passed=1)
    assert project.live() == []


def test_a_recorded_block_is_recorded_again_and_refreshed_as_a_test_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(test_it=UNMARKED.format(options="", answer="old"))
    project.record()
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.live() == []
    monkeypatch.setenv("WORLD", "new")
    project.write(test_it=UNMARKED.format(options="", answer="new"))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]


@pytest.mark.parametrize("flag", ["--agenttape-record", "--snapshot-update"])
@pytest.mark.parametrize(("cities", "lost"), [(["Rome", "Oslo"], 1), (["Rome", "Rome"], 0)])
def test_blocks_of_one_name_that_make_different_calls_are_reported(
    project: Project, flag: str, cities: list[str], lost: int
) -> None:
    ask = "@use_cassette('at')\ndef ask(city):\n    look_up(city)\n"
    tests = "".join(f"def test_{at}(): ask({city!r})\n" for at, city in enumerate(cities))
    project.write(test_it=f"from agent import look_up\nfrom pytest_agenttape import use_cassette\n{ask}{tests}")
    result = project.run(flag)
    result.assert_outcomes(passed=2, warnings=lost)
    said = "AgentTapeWarning: the cassette block 'at': another block of this run has recorded other calls into"
    assert (said in result.stdout.str()) is bool(lost)


def test_a_block_is_as_strict_as_the_run_unless_it_says_how_strict_it_is(project: Project) -> None:
    project.write(test_it=UNMARKED.format(options="", answer="old"))
    project.record().assert_outcomes(passed=1)
    for options, passed in (("", 0), (", strict=True", 0), (", strict=False", 1)):
        source = (
            UNMARKED.format(options=options, answer="old").partition("            assert")[0] + "            pass\n"
        )
        project.write(test_it=source)
        project.run("--agenttape-strict").assert_outcomes(passed=passed, failed=1 - passed)


def test_a_block_hears_ini_keys_below_its_arguments_and_above_the_file(project: Project) -> None:
    project.ini("agenttape_cassette_dir = tapes\nagenttape_format = json\nagenttape_default_mode = once")
    (project.path / "agenttape.toml").write_text("format = 'yaml'\n")
    project.write(test_it=UNMARKED.format(options="", answer="old"))
    project.run().assert_outcomes(passed=1)
    assert (project.path / "tapes" / "rome.json").exists()
    project.write(test_it=UNMARKED.format(options=", mode='none', cassette_dir='other'", answer="old"))
    project.run().assert_outcomes(failed=1)
    project.ini("agenttape_format = xml")
    project.write(test_it=UNMARKED.format(options="", answer="old"))
    project.run().stdout.fnmatch_lines(["E *ConfigError: *pytest.ini: agenttape_format = 'xml': unknown format *"])


PART = """
    import pytest
    from pytest_agenttape import tool, use_cassette

    @tool
    def pay(pin):
        return "paid"

    @use_cassette("decorated")
    def test_decorated():
        pay("abracadabra")

    def test_inside():
        with use_cassette("inside"):
            pay("abracadabra")

    def test_elsewhere(tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with use_cassette("elsewhere"):
            pay("abracadabra")

    def test_its_own(tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "agenttape.toml").write_text("format = 'json'")
        with use_cassette("own"):
            pay("abracadabra")
        assert (tmp_path / "cassettes/own.json").exists()
"""


def test_a_block_has_the_configuration_of_its_test(project: Project) -> None:
    """From wherever pytest is started: its rules of redaction are among it."""
    project.write(part__tests__test_it=PART)
    (project.path / "part" / "agenttape.toml").write_text("cassette_dir = 'tapes'\n[redact]\ndenylist = ['pin']\n")
    project.run("--agenttape-record").assert_outcomes(passed=4)
    tapes = {each.stem: each.read_text() for each in (project.path / "part" / "tapes").iterdir()}
    assert tapes.keys() == {"decorated", "inside", "elsewhere"}
    assert "abracadabra" not in "".join(tapes.values())


def test_a_block_that_names_a_mode_keeps_it(project: Project) -> None:
    project.write(test_it=UNMARKED.format(options=", mode='none'", answer="old"))
    project.run("--agenttape-record").assert_outcomes(failed=1)
    assert project.live() == []


def test_the_cassette_of_a_wide_fixture_is_recorded_with_the_tests(project: Project) -> None:
    project.write(test_it=WIDE)
    project.run("--agenttape-record").assert_outcomes(passed=2)
    assert project.live() == ["look_up login", "look_up Rome", "look_up Oslo"]
    project.run().assert_outcomes(passed=2)
    assert project.live() == []


def test_a_block_without_a_cassette_says_how_to_record_it(project: Project) -> None:
    project.write(test_it=WIDE)
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["E *CassetteNotFoundError: there is no cassette at *login.yaml, *"])
    result.stdout.fnmatch_lines(["E *record it: pytest 'test_it.py::test_it[[]Rome]' --agenttape-record"])


@pytest.mark.parametrize("code", [UNMARKED, DECORATED, ASYNC], ids=["block", "decorator", "async"])
@pytest.mark.parametrize("mode", ["once", "all"])
def test_a_block_that_would_record_in_ci_fails_with_the_way_out(
    project: Project, monkeypatch: pytest.MonkeyPatch, mode: str, code: str
) -> None:
    monkeypatch.setenv("CI", "true")
    project.write(test_it=code.format(options=f", mode={mode!r}", answer="old"))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"E *ConfigError: the block's mode = {mode!r} would record, but CI is set: in CI nothing is recorded "
            "unless a flag on the command line asks for it. Record on your machine and commit the cassette, or run "
            f"pytest with --agenttape-mode={mode}"
        ]
    )
    project.run("--tb=short").stdout.no_fnmatch_line("*pytest_agenttape?session*")  # only the user's lines
    assert project.live() == []
    project.run(f"--agenttape-mode={mode}").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]


@pytest.mark.parametrize("shape", ["@AT\ndef ask():\n    look_up('Rome')", "def ask():\n    with AT: look_up('Rome')"])
def test_a_block_made_before_the_run_began_is_entered_in_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    made = "from agent import look_up\nfrom pytest_agenttape import use_cassette\nAT = use_cassette('rome'{})\n"
    project.write(conftest=made.format("") + shape, test_it="import conftest\n\ndef test_it():\n    conftest.ask()")
    result = project.run()
    result.stdout.fnmatch_lines(["E *record it: pytest test_it.py::test_it --agenttape-record"])
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
    monkeypatch.setenv("CI", "true")
    project.write(conftest=made.format(", mode='all'") + shape)
    project.run().assert_outcomes(failed=1)
    assert project.live() == []


def test_a_block_with_its_cassette_replays_in_ci(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=UNMARKED.format(options=", mode='once'", answer="old"))
    project.record()
    monkeypatch.setenv("CI", "true")
    project.run().assert_outcomes(passed=1)
    assert project.live() == []


def test_outside_pytest_ci_forbids_no_recording(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.write(
        script="""
        from agent import look_up
        from pytest_agenttape import use_cassette

        with use_cassette("rome", mode="once"):
            look_up("Rome")
        """
    )
    assert project.pytester.runpython(project.path / "script.py").ret == 0
    assert project.live() == ["look_up Rome"]
