"""A replay needs no key: those of the recorded providers have stand-ins while the session is open."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project
from tests.standin import StandInProvider

AGENT = """
    import os

    from openai import OpenAI

    def ask():
        answer = OpenAI().chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Reply with exactly: yes"}]
        )
        return answer.choices[0].message.content
"""
TEST = """
    import os
    import pytest
    from asking import ask

    @pytest.mark.agenttape
    def test_it():
        assert ask() == "yes"

    def test_after_it():
        assert not {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"} & os.environ.keys()
"""


@pytest.fixture
def recorded(project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with a recorded test, in an environment that has no key any more."""
    project.write(asking=AGENT, test_it=TEST)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{standin_provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-recording")
    project.run("--agenttape-record", "-k", "test_it and not after").assert_outcomes(passed=1, deselected=1)
    monkeypatch.delenv("OPENAI_API_KEY")
    return project


def test_a_replay_needs_no_key_and_leaves_none(recorded: Project) -> None:
    recorded.run().assert_outcomes(passed=2)


def test_a_key_that_is_set_to_nothing_is_not_set(recorded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    recorded.write(test_it=TEST.replace("assert not {", "assert os.environ['OPENAI_API_KEY'] == '' or {"))
    recorded.run().assert_outcomes(passed=2)


def test_a_refresh_that_finds_everything_recorded_needs_no_key(recorded: Project) -> None:
    recorded.run("--snapshot-update").assert_outcomes(passed=2)
    recorded.write(test_it=TEST.replace("test_it", "test_renamed"))
    recorded.run("-k", "renamed").stdout.fnmatch_lines(["E *was the test renamed or moved? *"])
    result = recorded.run("--snapshot-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["moved: * to cassettes/test_it/test_renamed.yaml (1 answer kept, 0 live calls)"])


def test_recorded_again_without_a_key_the_calls_stay_though_the_agent_swallows_it(recorded: Project) -> None:
    before = recorded.cassette().read_bytes()
    recorded.write(test_it=TEST.replace('assert ask() == "yes"', "try: ask()\n        except Exception: pass"))
    result = recorded.run("--agenttape-record", "-k", "not after")
    result.stdout.fnmatch_lines(["*RecordingRefusedError: the run made no LLM call, *OPENAI_API_KEY is not set*"])
    assert recorded.cassette().read_bytes() == before


def test_a_refresh_does_not_send_the_stand_in(recorded: Project, standin_provider: StandInProvider) -> None:
    recorded.write(asking=AGENT.replace("exactly: yes", "exactly: no"))
    before = standin_provider.hits
    result = recorded.run("--snapshot-update", "-k", "not after")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "E *RecordingRefusedError: POST *chat/completions* would send a stand-in for a key that is not set; "
            "nothing was sent",
            "E *it is live, so it needs the key: set OPENAI_API_KEY",
        ]
    )
    assert standin_provider.hits == before


def test_only_the_keys_of_recorded_providers_have_stand_ins(recorded: Project) -> None:
    recorded.write(asking=AGENT.replace("answer =", "assert 'GROQ_API_KEY' not in os.environ\n        answer ="))
    recorded.run("-k", "test_it").assert_outcomes(passed=2)


def test_a_test_that_takes_the_key_away_has_none(recorded: Project) -> None:
    recorded.write(
        test_it="""
        import openai
        import pytest
        from asking import ask

        @pytest.mark.agenttape
        def test_it(monkeypatch):
            with monkeypatch.context() as patch:
                patch.delenv("OPENAI_API_KEY")
                with pytest.raises(openai.OpenAIError):
                    ask()
            assert ask() == "yes"
        """
    )
    recorded.run().assert_outcomes(passed=1)


def test_a_live_call_gets_no_stand_in(recorded: Project) -> None:
    recorded.write(test_it=TEST.replace("agenttape\n", "agenttape(live='llm')\n"))
    result = recorded.run("-k", "not after")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["E *OpenAIError: Missing credentials*"])


def test_without_a_cassette_the_sdk_s_error_has_a_note(recorded: Project) -> None:
    (recorded.path / "cassettes/test_it/test_it.yaml").unlink()
    result = recorded.run()
    result.stdout.fnmatch_lines(
        [
            "E *OpenAIError: Missing credentials*",
            "E *agenttape: OPENAI_API_KEY is not set, and there is no cassette at cassettes/test_it/test_it.yaml yet",
            "E *record it with the key set: pytest test_it.py::test_it --agenttape-record",
            "FAILED test_it.py::test_it - no cassette, and OPENAI_API_KEY is not set",
        ]
    )


def test_anthropic_s_error_which_names_no_variable_has_the_note_too(recorded: Project) -> None:
    recorded.write(
        test_it="""
        import anthropic
        import pytest

        @pytest.mark.agenttape
        def test_new():
            anthropic.Anthropic().messages.create(model="m", max_tokens=9, messages=[])
        """
    )
    result = recorded.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *agenttape: ANTHROPIC_API_KEY is not set, and there is no cassette at *"])


PAGE = "https://pytest-agenttape.readthedocs.io/en/latest/pytest.html#keys-in-replay"
ADVICE = f"build the client on first use, or set OPENAI_API_KEY to any text before: {PAGE}"


def test_clients_built_at_import_are_named_once_with_what_to_do(recorded: Project) -> None:
    recorded.write(asking="from openai import OpenAI\nclient = OpenAI()\ndef ask(): ...\n", test_other=TEST)
    result = recorded.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*- agenttape -*",
            "no key: test_it.py (and 1 more) builds a client when it is imported, and OPENAI_API_KEY is not set",
            f"        {ADVICE}",
        ]
    )
    assert str(result.stdout).count(ADVICE) == 1


def test_a_file_that_does_not_use_the_plugin_gets_no_note(recorded: Project) -> None:
    recorded.write(test_other="from openai import OpenAI\nclient = OpenAI()\n")
    result = recorded.run("test_other.py")
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("no key: *")


def test_a_client_built_in_a_wide_fixture_gets_the_note(recorded: Project) -> None:
    recorded.write(
        test_it="""
        import pytest
        from openai import OpenAI

        @pytest.fixture(scope="module")
        def client():
            return OpenAI()

        @pytest.mark.agenttape
        def test_it(client): ...
        """
    )
    result = recorded.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E *agenttape: OPENAI_API_KEY is not set, and gets a stand-in only while a test's session is open",
            f"E *{ADVICE}",
        ]
    )


def test_a_live_call_beside_replayed_ones_does_not_send_the_stand_in(
    recorded: Project, standin_provider: StandInProvider
) -> None:
    asks = 'assert ask() == "yes"\n'
    more = '        import openai\n        openai.OpenAI().embeddings.create(model="m", input="x")\n'
    both = TEST.replace(asks, asks + more, 1).replace("agenttape\n", "agenttape(live='openai.embeddings')\n")
    recorded.write(test_it=both)
    before = standin_provider.hits
    result = recorded.run("-k", "not after")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "E *RecordingRefusedError: POST *embeddings* would send a stand-in for a key that is not set; "
            "nothing was sent",
            "E *it is live, so it needs the key: set OPENAI_API_KEY",
        ]
    )
    assert standin_provider.hits == before
