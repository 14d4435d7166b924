"""In replay the surroundings of a test run nothing real either: wide fixtures, other plugins, old threads."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

REFUSED = "E *AgentTapeError: a call to the tool look_up was made by {}, when no test's cassette is open; nothing ran *"

TORN_DOWN = {
    "the teardown of the module-scoped fixture 'memory'": """
        @pytest.fixture(scope="module", autouse=True)
        def memory():
            yield
            look_up("bye")

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
    """,
    "teardown_module": """
        def teardown_module():
            look_up("bye")

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
    """,
    "tearDownClass": """
        @pytest.mark.agenttape
        class TestIt(unittest.TestCase):
            @classmethod
            def tearDownClass(cls):
                look_up("bye")

            def test_it(self):
                look_up("Rome")
    """,
    "the teardown of the session-scoped fixture 'memory'": """
        @pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
        async def memory():
            yield
            look_up("bye")

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
    """,
}
HEAD = "import pytest, pytest_asyncio, unittest\nfrom agent import look_up\n"


def write(project: Project, source: str, head: str = HEAD) -> None:
    lines = [line[8:] for line in source.strip("\n").splitlines()]
    (project.path / "test_it.py").write_text(head + "\n".join(lines) + "\n")


@pytest.mark.parametrize(("name", "source"), TORN_DOWN.items(), ids=TORN_DOWN)
def test_a_call_in_the_teardown_of_something_wider_is_refused(project: Project, name: str, source: str) -> None:
    write(project, source)
    project.record()
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of *test_it*", REFUSED.format(name)])
    assert project.live() == []


@pytest.mark.parametrize("name", TORN_DOWN)
def test_also_when_it_swallows_the_refusal(project: Project, name: str) -> None:
    swallows = 'try: look_up("bye")\n{0}except Exception: pass'
    lines = []
    for line in TORN_DOWN[name].splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(line.replace('look_up("bye")', swallows.format(indent)))
    write(project, "\n".join(lines))
    project.record()
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([REFUSED.format(name)])
    assert project.live() == []


BESIDE = {
    "a skipped test comes last": "@pytest.mark.skip\ndef test_z(): pass",
    "an unmarked test comes last": "def test_z(memory): pass",
    "an unmarked test that does not use it comes last": "def test_z(): pass",
    "an unmarked test comes first": "def test_a(memory): pass",
}


@pytest.mark.parametrize("other", BESIDE.values(), ids=BESIDE)
def test_whatever_stands_next_to_the_marked_test(project: Project, other: str) -> None:
    marked = "@pytest.mark.agenttape\ndef test_it(memory): look_up('Rome')"
    source = f"@pytest.fixture(scope='module')\ndef memory():\n    yield\n    look_up('bye')\n{other}\n{marked}"
    if "test_z" in other:
        source = source.replace(f"{other}\n{marked}", f"{marked}\n{other}")
    (project.path / "test_it.py").write_text(HEAD + source)
    project.record()
    result = project.run()
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines([REFUSED.format("the teardown of the module-scoped fixture 'memory'")])
    assert project.live() == []


@pytest.mark.parametrize("swallow", ["", "except Exception: pass"], ids=["raises", "swallows"])
def test_also_when_a_parameter_changes_before_the_next_test(project: Project, swallow: str) -> None:
    call = "try: look_up('bye')\n            except Exception: pass" if swallow else "look_up('bye')"
    write(
        project,
        f"""
        @pytest.fixture(scope="module", params=[1, 2])
        def memory(request):
            yield
            {call}

        @pytest.mark.agenttape
        def test_it(memory):
            look_up("Rome")
        """,
    )
    project.record().assert_outcomes(passed=2)
    result = project.run()
    assert result.parseoutcomes()["errors"] == (2 if swallow else 1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it[[]2[]]*", REFUSED.format("the teardown of the *'memory'")])
    assert project.live() == []


def test_the_set_up_is_judged_by_the_tests_that_can_reach_it_not_by_the_first(project: Project) -> None:
    write(
        project,
        """
        @pytest.fixture(scope="module")
        def memory():
            look_up("early")

        def test_first(memory):
            pass

        @pytest.mark.agenttape
        def test_it(memory):
            look_up("Rome")
        """,
    )
    project.record().assert_outcomes(passed=2)
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["E *the tool look_up was made by the module-scoped fixture 'memory', which is set up *"]
    )
    assert project.live() == []


def test_nor_by_a_pytest_that_asks_plugins_for_their_properties(project: Project) -> None:
    """As those before 8.3.5 do when a plugin is registered, to find fixtures."""
    project.write(
        conftest="""
        import contextlib

        def pytest_plugin_registered(plugin):
            for name in dir(plugin):
                with contextlib.suppress(Exception):
                    getattr(plugin, name)
        """
    )
    write(
        project,
        """
        @pytest.fixture(scope="module")
        def memory():
            look_up("early")

        def test_first(memory):
            pass

        @pytest.mark.agenttape
        def test_it(memory):
            look_up("Rome")
        """,
    )
    project.record()
    project.run("-W", "ignore").assert_outcomes(errors=2)
    assert project.live() == []


def test_a_fixture_that_a_test_with_a_live_call_can_reach_is_free(project: Project) -> None:
    write(
        project,
        """
        @pytest.fixture(scope="module")
        def memory():
            look_up("early")
            yield
            look_up("bye")

        @pytest.mark.agenttape
        def test_it(memory):
            look_up("Rome")

        @pytest.mark.agenttape(mode="once")
        def test_new(memory):
            look_up("Oslo")
        """,
    )
    project.record().assert_outcomes(passed=2)
    (project.path / "cassettes/test_it/test_new.yaml").unlink()
    project.run().assert_outcomes(passed=2)
    assert project.live() == ["look_up early", "look_up Oslo", "look_up bye"]


def test_also_when_the_run_ends_early(project: Project) -> None:
    write(
        project,
        """
        @pytest.fixture(scope="module", autouse=True)
        def memory():
            yield
            look_up("bye")

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
            assert 0

        def test_other():
            pass
        """,
    )
    (project.path / "cassettes" / "test_it").mkdir(parents=True)
    project.run("--agenttape-record", "-x")
    project.live()
    project.run("-x")
    assert project.live() == []


def test_a_wide_fixture_with_a_cassette_of_its_own_may_call_in_its_teardown(project: Project) -> None:
    write(
        project,
        """
        from pytest_agenttape import use_cassette

        @pytest.fixture(scope="module", autouse=True)
        def memory():
            with use_cassette("memory", mode="once"):
                yield
                look_up("bye")

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
        """,
    )
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert project.live() == []


def test_a_fixture_that_only_unmarked_tests_use_is_theirs(project: Project) -> None:
    write(
        project,
        """
        @pytest.fixture(scope="module")
        def memory():
            look_up("hi")
            yield
            look_up("bye")

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")

        def test_other(memory):
            pass
        """,
    )
    project.record()
    project.run().assert_outcomes(passed=2)
    assert project.live() == ["look_up hi", "look_up bye"]


def test_the_session_opens_before_the_fixtures_of_other_plugins(project: Project) -> None:
    project.write(
        early="""
        import pytest
        from agent import look_up

        @pytest.fixture(autouse=True)
        def aaa():
            look_up("early")
            yield
            look_up("late")
        """
    )
    write(project, "        @pytest.mark.agenttape\n        def test_it(): look_up('Rome')\n")
    project.run_apart("-p", "early", "--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up early", "look_up Rome", "look_up late"]
    project.run_apart("-p", "early").assert_outcomes(passed=1)
    assert project.live() == []
    assert project.calls() == ["early", "Rome", "late"]


def test_a_worker_of_an_earlier_test_fails_the_test_whose_call_it_could_not_make(project: Project) -> None:
    write(
        project,
        """
        import queue, threading

        asked, answered, workers = queue.Queue(), queue.Queue(), []

        def work():
            while True:
                try:
                    answered.put(look_up(asked.get()))
                except Exception:
                    answered.put(None)

        def ask(city):
            if not workers:
                workers.append(threading.Thread(target=work, daemon=True))
                workers[0].start()
            asked.put(city)
            return answered.get()

        @pytest.mark.agenttape
        def test_first():
            ask("Rome")

        @pytest.mark.agenttape
        def test_second():
            ask("Oslo")
        """,
    )
    result = project.run_apart("--agenttape-record")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["____* test_second *____", "E *AgentTapeError: a call for test_it.py::test_first was made after it had ended*"]
    )
    assert project.live() == ["look_up Rome"]


ITEM = """
    import pytest
    from agent import look_up

    class Item(pytest.Item):
        def runtest(self):
            look_up("Rome")

    class File(pytest.File):
        def collect(self):
            item = Item.from_parent(self, name="a\\n[b]é")
            item.add_marker(pytest.mark.agenttape)
            yield item

    def pytest_collect_file(parent, file_path):
        return File.from_parent(parent, path=file_path) if file_path.suffix == ".yml" else None
"""


@pytest.mark.parametrize("arguments", [(), ("--agenttape-record",)], ids=["replay", "record"])
def test_a_marked_item_that_is_no_python_test_does_not_run(project: Project, arguments: tuple[str, ...]) -> None:
    project.write(conftest=ITEM)
    (project.path / "case.yml").write_text("x: 1\n")
    result = project.run(*arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is marked agenttape but has no session; it was not run*"])
    assert project.live() == []


def test_a_test_that_is_marked_while_it_is_set_up_does_not_run(project: Project) -> None:
    write(
        project,
        """
        @pytest.fixture
        def mark(request):
            request.applymarker(pytest.mark.agenttape)

        def test_it(mark):
            look_up("Rome")
        """,
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is marked agenttape but has no session; it was not run*"])
    assert project.live() == []


def test_a_test_that_is_marked_while_it_runs_fails(project: Project) -> None:
    write(
        project,
        """
        def test_it(request):
            request.node.add_marker("agenttape")
            look_up("Rome")
        """,
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*was marked agenttape while it ran, which is too late: *"])
