"""What an unmatched call says: what was asked, what is recorded, what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agenttape.errors import FieldDiff, UnmatchedInteractionError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.mismatch import Departure, explain, first_divergence, nearest

ROOT = Path("/project/tests")
PATH = ROOT / "cassettes" / "test_weather.yaml"
COMMAND = "pytest tests/test_x.py::test_weather --agenttape-record"
OPENAI = "https://api.openai.com/v1/chat/completions"

CHAT_MATCHES_NOTHING = (
    "POST https://api.openai.com/v1/chat/completions (openai.chat) "
    "matches no unplayed interaction in cassettes/test_weather.yaml"
)


def tool(index: int = 0, name: str = "get_weather", **arguments: Any) -> Interaction:
    return Interaction(index=index, kind="tool", boundary=name, request={"args": arguments}, response="sunny")


def chat(index: int, *said: str, headers: dict[str, str] | None = None, url: str = OPENAI, **body: Any) -> Interaction:
    roles = ("system", "user", "assistant", "tool")
    messages = [{"role": roles[min(n, 3)], "content": text} for n, text in enumerate(said)]
    request = {"method": "POST", "url": url, "headers": headers or {}, "json": {"messages": messages, **body}}
    return Interaction(index=index, kind="llm", boundary="openai.chat", request=request, response={"status": 200})


def http(index: int, url: str, *, method: str = "GET", **request: Any) -> Interaction:
    return Interaction(index=index, kind="http", request={"method": method, "url": url, "headers": {}, **request})


def explained(asked: Interaction, recordings: list[Interaction], **options: Any) -> UnmatchedInteractionError:
    played = options.pop("played", ())
    options.setdefault("lines", [3, 20, 41, 60, 80][: len(recordings)])
    return explain(asked, recordings, is_among(played), cassette_path=PATH, command=COMMAND, root=ROOT, **options)


def is_among(indexes: Collection[int]) -> Callable[[Interaction], bool]:
    return lambda each: each.index in indexes


RUN = [
    tool(0, "geocode", place="Paris"),
    tool(1, city="Rome"),
    chat(2, "Be kind.", "Paris"),
    tool(3, city="Paris"),
    chat(4, "Be kind.", "Paris", "call", "15 °C"),
]

TEXTS = {
    "one-message-differs": (
        (chat(0, "Be kind.", "Berlin"), {}),
        f"""\
{CHAT_MATCHES_NOTHING}
  nearest: #2 (line 41), differs at
    json.messages[1].content
      recorded  'Paris'
      asked     'Berlin'
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "conversation-differs-from-a-message-on": (
        (chat(0, "Be kind.", "Paris", "call", "16 °C", "and now?"), {}),
        f"""\
{CHAT_MATCHES_NOTHING}
  nearest: #4 (line 80), differs from messages[3] on; messages[0..2] are as recorded
    json.messages[3].content
      recorded  '15 °C'
      asked     '16 °C'
    json.messages[4]
      recorded  (absent)
      asked     {{'role': 'tool', 'content': 'and now?'}}
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "conversation-differs-from-the-beginning": (
        (chat(0, "Be rude.", "Berlin"), {}),
        f"""\
{CHAT_MATCHES_NOTHING}
  nearest: #2 (line 41), differs from messages[0] on
    json.messages[0].content
      recorded  'Be kind.'
      asked     'Be rude.'
    json.messages[1].content
      recorded  'Paris'
      asked     'Berlin'
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "other-arguments": (
        (tool(0, city="Berlin"), {"played": {1}}),
        """\
get_weather(city='Berlin') matches no unplayed interaction in cassettes/test_weather.yaml
  nearest: #3 (line 60), differs at
    args.city
      recorded  'Paris'
      asked     'Berlin'
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "other-arguments-and-all-played": (
        (tool(0, city="Berlin"), {"played": {1, 3}}),
        """\
get_weather(city='Berlin') matches no unplayed interaction in cassettes/test_weather.yaml
  nearest: #1 (line 20, already played), differs at
    args.city
      recorded  'Rome'
      asked     'Berlin'
  all 2 recordings of tool get_weather are already played
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "already-played": (
        (tool(0, city="Paris"), {"played": {3}, "same_key": [RUN[3]]}),
        """\
get_weather(city='Paris') matches no unplayed interaction in cassettes/test_weather.yaml
  already played once: this request is recorded as #3 (line 60)
  if it may be made any number of times: repeats=['get_weather']
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "already-played-twice": (
        (tool(0, city="Paris"), {"played": {1, 3}, "same_key": [RUN[1], RUN[3]]}),
        """\
get_weather(city='Paris') matches no unplayed interaction in cassettes/test_weather.yaml
  already played 2 times: this request is recorded as #1 (line 20), #3 (line 60)
  if it may be made any number of times: repeats=['get_weather']
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "never-recorded": (
        (tool(0, "charge_card", amount=3), {}),
        """\
charge_card(amount=3) matches no unplayed interaction in cassettes/test_weather.yaml
  never recorded: the cassette has no call of tool charge_card
  recorded: tool get_weather (2), llm openai.chat (2), tool geocode (1)
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "renamed": (
        (tool(0, "get_weathers", city="Paris"), {}),
        """\
get_weathers(city='Paris') matches no unplayed interaction in cassettes/test_weather.yaml
  never recorded: the cassette has no call of tool get_weathers
  recorded: tool get_weather (2), llm openai.chat (2), tool geocode (1)
  did the name change from tool get_weather?
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "host-never-recorded": (
        (http(0, "https://api.example.com/v1?q=1"), {}),
        """\
GET https://api.example.com/v1?q=1 matches no unplayed interaction in cassettes/test_weather.yaml
  never recorded: the cassette has no call of http api.example.com
  recorded: tool get_weather (2), llm openai.chat (2), tool geocode (1)
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "telemetry": (
        (http(0, "https://traces.example.com/v1/traces/ingest"), {}),
        """\
GET https://traces.example.com/v1/traces/ingest matches no unplayed interaction in cassettes/test_weather.yaml
  never recorded: the cassette has no call of http traces.example.com
  recorded: tool get_weather (2), llm openai.chat (2), tool geocode (1)
  this looks like telemetry of the OpenAI Agents SDK: switch it off in tests (OPENAI_AGENTS_DISABLE_TRACING=1)
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "download": (
        (http(0, "https://huggingface.co/gpt2/resolve/main/a.json"), {}),
        """\
GET https://huggingface.co/gpt2/resolve/main/a.json matches no unplayed interaction in cassettes/test_weather.yaml
  never recorded: the cassette has no call of http huggingface.co
  recorded: tool get_weather (2), llm openai.chat (2), tool geocode (1)
  huggingface_hub keeps what it downloads, so which test asks for this depends on what has run before:
    download the files once before the tests run, and set HF_HUB_OFFLINE=1
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
    "run-left-the-order-before": (
        (tool(0, city="Berlin"), {"played": {1}, "served": [RUN[1]]}),
        """\
get_weather(city='Berlin') matches no unplayed interaction in cassettes/test_weather.yaml
  nearest: #3 (line 60), differs at
    args.city
      recorded  'Paris'
      asked     'Berlin'
  the run left the recorded order earlier, at call 0:
    recorded  #0 tool geocode(place='Paris')
    asked     #1 tool get_weather(city='Rome')
  re-record: pytest tests/test_x.py::test_weather --agenttape-record""",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), TEXTS.values(), ids=TEXTS)
def test_the_message_of_an_unmatched_call(case: tuple[Interaction, dict[str, Any]], expected: str) -> None:
    asked, options = case
    assert str(explained(asked, RUN, **options)) == expected


def test_an_empty_cassette_is_said_to_be_empty() -> None:
    assert str(explained(tool(city="Paris"), [])).splitlines()[1] == "  the cassette is empty"


def test_the_error_carries_what_it_says() -> None:
    asked = tool(city="Berlin")
    error = explained(asked, RUN, mode="once", played={1})
    assert error.kind == "tool"
    assert error.boundary == "get_weather"
    assert error.request == {"args": {"city": "Berlin"}}
    assert error.closest is RUN[3]
    assert error.field_diffs == (FieldDiff("args.city", "'Paris'", "'Berlin'"),)
    assert error.cassette_path == PATH
    assert error.mode == "once"


def test_unknown_path_lines_and_command_are_left_out() -> None:
    assert str(explain(tool(city="Berlin"), [tool(0, city="Rome")], is_among(()))) == (
        "get_weather(city='Berlin') matches no unplayed interaction in the cassette\n"
        "  nearest: #0, differs at\n"
        "    args.city\n"
        "      recorded  'Rome'\n"
        "      asked     'Berlin'"
    )


@pytest.mark.parametrize(
    ("recorded", "asked", "is_told"),
    [
        ("/tmp/pytest-of-ann/pytest-7/test_it0/a.py", "/tmp/pytest-of-bob/pytest-12/popen-gw1/test_it0/a.py", True),
        ("see /tmp/tmpk3_x9a1q/a.csv", "see /tmp/tmp0zz81_ab/a.csv", True),
        ("/tmp/pytest-of-ann/pytest-7/test_it0/a.py", "/tmp/pytest-of-ann/pytest-8/test_it0/b.py", False),
    ],
    ids=["tmp_path", "tempfile", "another file"],
)
def test_the_name_of_a_temporary_folder_is_known_as_such(recorded: str, asked: str, is_told: bool) -> None:
    error = explain(tool(city=asked), [tool(0, city=recorded)], is_among(()))
    advice = (
        "the name of a temporary folder is new in each run: pass paths relative to it (monkeypatch.chdir(tmp_path)), "
        "or ignore_volatile_fields = ['args.city'] in agenttape.toml"
    )
    assert (advice in str(error)) is is_told


def test_lines_belong_to_places_in_the_file_whatever_the_indexes_are() -> None:
    error = explained(tool(city="Berlin"), [replace(tool(), index=9), tool(7, city="Rome")], lines=[3, 20])
    assert "nearest: #7 (line 20)" in str(error)


def test_volatile_headers_and_ports_of_test_servers_are_not_named_as_differences() -> None:
    recorded = chat(0, "S", "Paris", headers={"x-request-id": "1", "openai-beta": "a"}, url="http://127.0.0.1:5001/v1")
    asked = chat(0, "S", "Berlin", headers={"x-request-id": "2", "openai-beta": "b"}, url="http://127.0.0.1:6002/v1")
    paths = [each.path for each in explained(asked, [recorded]).field_diffs]
    assert paths == ["json.messages[1].content", "headers.openai-beta"]


def test_fields_that_matching_ignores_are_not_named_as_differences() -> None:
    error = explained(tool(city="B", when=2), [tool(0, city="A", when=1)], rules=KeyRules.of(("args.when",)))
    assert [each.path for each in error.field_diffs] == ["args.city"]


def test_a_difference_that_only_the_exact_matcher_sees_is_named_when_there_is_no_other() -> None:
    recorded, asked = chat(0, "S", headers={"x-request-id": "1"}), chat(0, "S", headers={"x-request-id": "2"})
    assert [each.path for each in explained(asked, [recorded]).field_diffs] == ["headers.x-request-id"]


def test_an_equal_request_that_a_matcher_refuses_is_said_to_be_equal() -> None:
    lines = str(explained(tool(city="A"), [tool(0, city="A")])).splitlines()
    assert lines[1] == "  nearest: #0 (line 3) is the same request, but no matcher accepts it"


def test_a_call_too_many_in_order_is_said_to_be_played_and_not_to_be_refused() -> None:
    lines = str(explained(tool(city="A"), [tool(0, city="A")], played={0})).splitlines()
    assert lines[1] == (
        "  nearest: #0 (line 3, already played) is the same request, but all recordings of such calls are played"
    )


def test_what_another_calls_body_asked_for_is_said_to_belong_to_that_call() -> None:
    inner = replace(tool(1, city="A"), metadata={"parent": 0})
    lines = str(explained(tool(city="A"), [tool(0, "plan"), inner], same_key=[inner])).splitlines()
    same = "  nearest: #1 (line 20) is the same request, but "
    assert lines[1] == same + "the body of another call made it, and it belongs to that call"


def test_what_another_function_of_the_name_asked_for_is_said_to_be_its_own() -> None:
    other = replace(tool(1, city="A"), metadata={"function": "shop.hotels:Hotels.get_weather"})
    lines = str(explained(tool(city="A"), [other])).splitlines()
    same = "  nearest: #1 (line 3) is the same request, but "
    assert lines[1] == same + "shop.hotels:Hotels.get_weather was called, and another function has its name"


@pytest.mark.parametrize(
    ("asked", "recordings", "played", "expected"),
    [
        pytest.param(tool(city="A"), [tool(0, city="B"), tool(1, city="C")], {0}, 1, id="unplayed-on-ties"),
        pytest.param(tool(city="A"), [tool(0, city="B"), tool(1, city="C")], set(), 0, id="first-on-ties"),
        pytest.param(
            tool(city="A", days=3), [tool(0, city="B", days=4), tool(1, city="B", days=3)], {1}, 1, id="fewest-paths"
        ),
        pytest.param(
            tool(note="please book the train"),
            [tool(0, note="something else"), tool(1, note="please book the plane")],
            {1},
            1,
            id="likest-text",
        ),
        pytest.param(
            chat(9, "S", "Paris", "call", "16"),
            [chat(0, "S", "Paris"), chat(1, "S", "Paris", "call", "15"), chat(2, "S", "Rome")],
            {0, 1, 2},
            1,
            id="same-step-of-the-conversation",
        ),
    ],
)
def test_the_nearest_recording(
    asked: Interaction, recordings: list[Interaction], played: set[int], expected: int
) -> None:
    closest = nearest(asked, recordings, is_among(played))
    assert closest is recordings[expected]


def test_the_nearest_is_of_the_same_boundary_although_another_has_the_same_arguments() -> None:
    error = explained(tool(city="Paris"), [tool(0, "other", city="Paris"), tool(1, city="Rome")])
    assert error.closest == tool(1, city="Rome")


def test_the_closest_of_an_unrecorded_boundary_is_of_its_kind() -> None:
    error = explained(tool(name="new", city="Paris"), [*RUN])
    assert error.closest is RUN[3]
    assert error.field_diffs == ()


def test_the_nearest_of_ten_thousand_is_found_among_all_of_them_in_time() -> None:
    recordings = [chat(n, "Be kind. " * 200, f"question {n} about topic {n % 13}", "call") for n in range(10_000)]
    before = time.process_time()
    error = explained(chat(0, "Be kind. " * 200, "question 7777 about topic 3 please", "call"), recordings)
    assert time.process_time() - before < 10  # about one second
    assert error.closest == recordings[7777]


def test_huge_requests_are_explained_in_time_and_in_few_lines() -> None:
    recordings = [chat(n, "S" * 5_000_000, f"{n}") for n in range(3)]
    before = time.process_time()
    text = str(explained(chat(0, "S" * 5_000_000 + "!", "x"), recordings))
    assert time.process_time() - before < 10
    assert len(text) < 2_000


def test_a_cassette_of_many_names_lists_the_most_frequent() -> None:
    recordings = [tool(n, f"tool_{n:03}") for n in range(500)]
    line = str(explained(tool(name="charge"), recordings, lines=())).splitlines()[2]
    assert line.startswith("  recorded: tool tool_000 (1), ")
    assert line.endswith("tool tool_011 (1), … and 488 more")


def test_many_equal_recordings_are_named_in_few_words() -> None:
    same = [tool(n, city="A") for n in range(100)]
    error = explained(tool(city="A"), same, same_key=same, played=range(100), lines=())
    assert str(error).splitlines()[1] == (
        "  already played 100 times: this request is recorded as #0, #1, #2, #3, #4, … and 95 more"
    )


LAW = settings(deadline=None, max_examples=60)  # a busy machine is no finding

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=20,
)
CALLS = st.builds(
    lambda kind, boundary, arguments: Interaction(index=0, kind=kind, boundary=boundary, request={"args": arguments}),
    st.sampled_from(["tool", "llm", "retrieval"]),
    st.sampled_from(["a", "\x1b[31mb\n", "c"]),
    st.dictionaries(st.text(), TREES, max_size=8),
)


@given(CALLS, st.lists(CALLS, max_size=6), st.sets(st.integers(0, 6)), st.text())
@LAW
def test_any_message_is_short_printable_and_the_same_each_time(
    asked: Interaction, recorded: list[Interaction], played: set[int], command: str
) -> None:
    recordings = [replace(each, index=n) for n, each in enumerate(recorded)]
    options: dict[str, Any] = {"cassette_path": Path("a\x1b[2Jb.yaml"), "command": command, "served": recordings[1:]}
    text = str(explain(asked, recordings, is_among(played), **options))
    assert len(text.split("\n")) <= 40
    assert all(line.isprintable() and len(line) < 1_500 for line in text.split("\n"))
    assert text == str(explain(asked, recordings, is_among(played), **options))


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        pytest.param([], None, id="nothing-served"),
        pytest.param([0, 1, 2], None, id="in-order"),
        pytest.param([0, 2], Departure(1, RUN[1], RUN[2]), id="skipped"),
        pytest.param([1, 0], Departure(0, RUN[0], RUN[1]), id="swapped"),
        pytest.param([0, 1, 2, 3, 4, 0], Departure(5, None, RUN[0]), id="longer"),
    ],
)
def test_where_a_run_first_left_its_recording(served: list[int], expected: Departure | None) -> None:
    assert first_divergence([RUN[each] for each in served], RUN) == expected


def test_equal_requests_are_no_departure() -> None:
    assert first_divergence([replace(RUN[0], index=5, response=None)], RUN) is None
