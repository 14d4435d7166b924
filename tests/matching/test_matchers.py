"""Matchers: names, callables, objects and chains of them; one that fails is named and decides the run."""
# ruff: noqa: ARG001, ARG002, ARG005  # a matcher takes what a matcher takes

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    Cassette,
    Config,
    ConfigError,
    RecordingRefusedError,
    UnmatchedInteractionError,
    record_call,
    tool,
    use_cassette,
)
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.matchers import KeyMatcher, OrderMatcher, PredicateMatcher, parse_matchers
from tests.rounds import Ran

ran = Ran()
RULES = KeyRules()


@tool
def ask(question: str, when: int = 0) -> str:
    ran("ask")
    return f"{question} at {when}"


@tool
def other(question: str) -> str:
    ran("other")
    return question


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cassette.yaml"
    with use_cassette(path, mode="all"):
        ask("a", 1)
        ask("b", 2)
        other("c")
    ran.since()
    return path


def by_question(request: Any) -> Any:
    return request["args"]["question"]


def same_question(asked: Any, recorded: Any) -> bool:
    return bool(asked["args"]["question"] == recorded["args"]["question"])


class ByKey:
    """An object whose key leaves out what the agent's author calls volatile."""

    name = "by key"

    def key(self, request: Any, ignore_fields: tuple[str, ...] = ()) -> str:
        return str(request["args"]["question"])


class OldStyle:
    def key(self, request: Any, ignore_fields: Any) -> str:
        return "/".join(sorted(map(str, ignore_fields))) + str(by_question(request))


class ByMatch:
    def matches(self, asked: Any, recorded: Any) -> bool:
        return same_question(asked, recorded)


class Callable2:
    def __call__(self, asked: Any, recorded: Any) -> bool:
        return same_question(asked, recorded)


LENIENT: dict[str, Any] = {
    "key function": by_question,
    "predicate": same_question,
    "lambda": lambda request: request["args"]["question"],
    "variadic": lambda *both: same_question(*both),
    "optional second": lambda asked, recorded=None: by_question(asked),
    "object with a key": ByKey(),
    "object with the documented key": OldStyle(),
    "object with matches": ByMatch(),
    "callable object": Callable2(),
    "chain": ["exact", by_question],
    "tuple": (same_question,),
    "generator": "generator",
}


@pytest.mark.parametrize("name", LENIENT)
def test_a_matcher_of_any_make_decides_what_is_the_same_call(name: str, path: Path) -> None:
    matchers = (each for each in ["exact", by_question]) if name == "generator" else LENIENT[name]
    with use_cassette(path, matchers=matchers) as session:
        assert (ask("b", 9), ask("a", 9)) == ("b at 2", "a at 1")
        with pytest.raises(UnmatchedInteractionError):
            ask("z")
    assert ran.since() == []
    assert [(each["index"], each["actual"]) for each in session.divergences] == [
        (1, {"args": {"question": "b", "when": 9}}),
        (0, {"args": {"question": "a", "when": 9}}),
        (None, {"args": {"question": "z", "when": 0}}),
    ]


@pytest.mark.parametrize("matcher", ["ordered", "sequential", ["exact", "ordered"]])
def test_ordered_serves_the_next_of_the_boundary_whatever_is_asked(matcher: Any, path: Path) -> None:
    with use_cassette(path, matchers=matcher):
        assert (other("x"), ask("x"), ask("y")) == ("c", "a at 1", "b at 2")
        with pytest.raises(UnmatchedInteractionError):
            ask("z")


def test_a_chain_asks_the_stricter_matcher_first(path: Path) -> None:
    with use_cassette(path, matchers=["exact", "ordered"]):
        assert (ask("b", 2), ask("anything")) == ("b at 2", "a at 1")


@pytest.mark.parametrize("matcher", ["ignore_volatile", "exact", None])
def test_the_named_matchers_tell_requests_apart(matcher: Any, path: Path) -> None:
    with use_cassette(path, matchers=matcher), pytest.raises(UnmatchedInteractionError):
        ask("a", 9)


def test_a_matcher_never_answers_with_another_boundary_or_kind(path: Path) -> None:
    with use_cassette(path, matchers=[lambda asked, recorded: True]):
        assert other("z") == "c"
        with pytest.raises(UnmatchedInteractionError):
            other("z")
        with pytest.raises(UnmatchedInteractionError):
            record_call("retrieval", {}, lambda: 1, boundary="ask")


@pytest.mark.parametrize("fields", [["args.when"], ["args.*"], ["**.when"]])
def test_a_configured_path_is_ignored(fields: list[str], path: Path) -> None:
    config = Config(ignore_volatile_fields=tuple(fields))
    with use_cassette(path, config=config):
        assert ask("a", 77) == "a at 1"
    with use_cassette(path, config=config, matchers="exact"), pytest.raises(UnmatchedInteractionError):
        ask("a", 77)


def test_the_configuration_names_the_matchers_of_a_session(path: Path) -> None:
    with use_cassette(path, config=Config(default_matchers=("ordered",))):
        assert ask("x") == "a at 1"


@pytest.mark.parametrize(
    ("one", "other_"),
    [
        (frozenset("ab"), frozenset("ba")),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}),
        ((1, 2), (1, 2)),
        (b"a", b"a"),
        (None, None),
        ([{"a": {1, 2}}], [{"a": {2, 1}}]),
    ],
    ids=["sets", "mappings", "tuples", "bytes", "nothing", "nested"],
)
def test_keys_that_are_equal_are_the_same_call(one: object, other_: object) -> None:
    keys = iter([one, other_])
    (matcher,) = parse_matchers(lambda request: next(keys), RULES)
    assert isinstance(matcher, KeyMatcher)
    assert matcher.key({}) == matcher.key({})


@pytest.mark.parametrize(
    ("one", "other_"),
    [(1, "1"), (True, 1), ("a", b"a"), ([1], 1), ({1}, [1])],
    ids=["text", "truth", "bytes", "list", "set"],
)
def test_keys_that_differ_in_type_are_different_calls(one: object, other_: object) -> None:
    keys = iter([one, other_])
    (matcher,) = parse_matchers(lambda request: next(keys), RULES)
    assert isinstance(matcher, KeyMatcher)
    assert matcher.key({}) != matcher.key({})


# -- matchers that fail


def _broken(request: Any) -> Any:
    raise KeyError("no such field")


class Unsure:
    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


FAILING: dict[str, tuple[Any, str]] = {
    "key": (_broken, "matcher '_broken' raised KeyError: 'no such field'"),
    "object": (type("Odd", (), {"matches": lambda self, a, b: 1 / 0})(), "matcher 'Odd' raised ZeroDivisionError"),
    "truth": (lambda asked, recorded: Unsure(), "matcher '<lambda>' raised ValueError: ambiguous"),
    "key of no plain data": (lambda request: object(), "a key must be text, a number or plain data, not object"),
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("mode", ["none", "new_episodes"])
def test_a_matcher_that_raises_is_named_and_nothing_runs(name: str, mode: str, path: Path) -> None:
    matcher, text = FAILING[name]
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught, use_cassette(path, mode=mode, matchers=matcher):
        ask("a", 1)
    assert text in str(caught.value)
    assert caught.value.__cause__ is not None
    assert (ran.since(), path.read_bytes()) == ([], before)


def test_a_matcher_that_raised_and_was_swallowed_leaves_the_block_of_a_recording(path: Path) -> None:
    before = path.read_bytes()

    def run() -> None:
        with use_cassette(path, mode="new_episodes", matchers=lambda asked, recorded: 1 / 0):
            with contextlib.suppress(ConfigError):
                ask("a", 1)
            record_call("tool", {}, lambda: 1, boundary="unrelated")

    with pytest.raises(RecordingRefusedError, match="raised ZeroDivisionError"):
        run()
    assert (ran.since(), path.read_bytes()) == ([], before)


def test_a_matcher_that_raises_decides_a_test_that_swallows_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_agenttape import tool
        @tool
        def ask(q): return q
        def broken(asked, recorded): raise LookupError("gone")
        @pytest.mark.agenttape(matchers=broken)
        def test_agent():
            try: ask(1)
            except Exception: pass
        """
    )
    recorded = pytester.runpytest_subprocess("--agenttape-record")
    recorded.assert_outcomes(passed=1)
    replayed = pytester.runpytest_subprocess()
    replayed.assert_outcomes(failed=1)
    replayed.stdout.fnmatch_lines(["*matcher 'broken' raised LookupError: gone*"])


async def _async_matcher(asked: Any, recorded: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            "exacct",
            "unknown matcher 'exacct'. Did you mean 'exact'? Valid: ignore_volatile, exact, ordered, sequential",
        ),
        ([], "matchers is empty"),
        ((), "matchers is empty"),
        (5, "matcher 5 is neither a name"),
        ([None], "matcher None is neither a name"),
        ({"exact": 1}, "matchers takes a matcher or a list of them"),
        (b"exact", "matchers takes a matcher or a list of them"),
        (_async_matcher, "is async or a generator"),
        (lambda: True, "must take one request (a key) or two (asked, recorded)"),
        (lambda a, b, c: True, "must take one request"),
        (lambda a, *, b: True, "must take one request"),
        (type("One", (), {"matches": lambda self, asked: True})(), "matcher 'One' must take two (asked, recorded)"),
    ],
    ids=lambda each: str(each)[:20],
)
def test_what_is_no_matcher_is_refused_by_name(given: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        use_cassette("x", matchers=given)
    assert text in str(caught.value)


def test_names_objects_and_callables_become_their_kind_of_matcher() -> None:
    kinds: list[tuple[Any, type]] = [
        ("exact", KeyMatcher),
        ("ordered", OrderMatcher),
        (by_question, KeyMatcher),
        (same_question, PredicateMatcher),
        (ByKey(), KeyMatcher),
    ]
    chain = parse_matchers([spec for spec, _ in kinds], RULES)
    assert [type(each) for each in chain] == [kind for _, kind in kinds]
    assert [each.name for each in chain] == ["exact", "ordered", "by_question", "same_question", "by key"]


def exact(request: Any) -> str:
    return "everything"


def test_a_users_matcher_with_the_name_of_ours_is_still_the_users(path: Path) -> None:
    with use_cassette(path, matchers=exact) as session:
        assert ask("x") == "a at 1"
    assert len(session.divergences) == 1


def test_a_recording_is_keyed_by_its_canonical_request_whatever_the_matcher(tmp_path: Path) -> None:
    keys: list[str] = []
    makers: list[Callable[[], Any]] = [lambda: "ordered", lambda: exact, lambda: None]
    for number, make in enumerate(makers):
        with use_cassette(tmp_path / f"{number}.yaml", mode="all", matchers=make()):
            ask("a")
        keys.append(Cassette.load(tmp_path / f"{number}.yaml").interactions[0].match_key)
    assert len(set(keys)) == 1


_KEY = "hT4vRm8KpXz2WnQ6Yd"
_LOGINS = {
    "argument": {"args": {"user": "eve", "api_key": _KEY}},
    "deeper": {"args": {"user": "eve", "options": [{"dbPassword": _KEY}]}},
    "query": {"method": "GET", "url": f"http://h.test/me?key={_KEY}&user=eve", "headers": {}},
    "form": {"method": "POST", "url": "http://h.test/", "headers": {}, "text": f"token={_KEY}&user=eve"},
    "header": {"method": "GET", "url": "http://h.test/eve", "headers": {"x-api-key": _KEY}},
}


def _with_key(request: dict[str, Any], key: str, user: str = "eve") -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(request).replace(_KEY, key).replace("eve", user))
    return changed


@pytest.mark.parametrize("login", _LOGINS.values(), ids=_LOGINS)
@pytest.mark.parametrize("matchers", ["ignore_volatile", "exact"])
def test_any_text_stands_for_a_recorded_secret(login: dict[str, Any], matchers: str, tmp_path: Path) -> None:
    def log_in(key: str, user: str = "eve") -> object:
        return record_call("tool", _with_key(login, key, user), lambda: ran("log_in") or "in", boundary="log_in")

    with use_cassette(tmp_path / "c.yaml", mode="all"):
        log_in(_KEY)
    ran.since()
    assert _KEY not in (tmp_path / "c.yaml").read_text()
    for key in ("test", "x", "your-api-key", "it's", "w7Vk3pQz9RtX5mNb2L"):
        with use_cassette(tmp_path / "c.yaml", matchers=matchers) as session:
            assert log_in(key) == "in"
        assert session.divergences == []
    is_credential = "headers" in login and "text" not in login  # not even its presence is compared
    for key, user in (("test", "bob"), (_KEY, "bob"), *([] if is_credential else [("", "eve")])):
        with pytest.raises(UnmatchedInteractionError), use_cassette(tmp_path / "c.yaml", matchers=matchers):
            log_in(key, user)
    assert ran.since() == []


def test_what_was_no_secret_when_recorded_is_compared(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "c.yaml", mode="all"):
        record_call("tool", {"args": {"page_token": "two", "api_key": _KEY, "secret": "a"}}, lambda: 1, boundary="turn")
    for changed in ({"page_token": "three"}, {"secret": "b"}):
        request = {"args": {"page_token": "two", "api_key": "test", "secret": "a"} | changed}
        with pytest.raises(UnmatchedInteractionError), use_cassette(tmp_path / "c.yaml"):
            record_call("tool", request, lambda: 1, boundary="turn")


_LONG_KEY = f"sk-proj-{_KEY}aB3dE5fG7hJ9"
_DRIFTS = {
    "a prompt that is a key": ([{"content": _LONG_KEY}], {"content": "drop the tables"}),
    "another call's prompt is a key": ([{"content": "hello"}, {"content": _LONG_KEY}], {"content": "bye"}),
    "another call has a key there": (
        [{"token": _LONG_KEY, "page": 1}, {"token": "two", "page": 2}],
        {"token": "three", "page": 2},
    ),
    "another place of the name": (
        [{"a": {"secret": _LONG_KEY}, "b": {"secret": "x"}}],
        {"a": {"secret": "test"}, "b": {"secret": "y"}},
    ),
    **{
        f"what follows the key in a text: {more!r}": (
            [{"run": f"{before}api_key={_KEY}"}],
            {"run": f"{before}api_key={_KEY}{more}"},
        )
        for before, more in (
            ("deploy ", " and pay"),
            ("curl https://shop.example/?", "; rm -r data"),
            ("deploy ", "|sh"),
            ("?", "' --insecure"),
            ("?", "\n--insecure"),
        )
    },
}


@pytest.mark.parametrize(("recorded", "asked"), _DRIFTS.values(), ids=_DRIFTS)
def test_a_recorded_secret_forgives_nothing_but_its_own_place(
    recorded: list[dict[str, Any]], asked: dict[str, Any], tmp_path: Path
) -> None:
    with use_cassette(tmp_path / "c.yaml", mode="all"):
        for args in recorded:
            record_call("tool", {"args": args}, lambda: 1, boundary="turn")
    with pytest.raises(UnmatchedInteractionError), use_cassette(tmp_path / "c.yaml"):
        record_call("tool", {"args": asked}, lambda: 1, boundary="turn")


def test_each_dummy_call_gets_the_recording_that_differs_by_its_key_alone(tmp_path: Path) -> None:
    calls = [{"openai_key": f"{_LONG_KEY}{number}", "note": {"key": f"{number}"}} for number in range(3)]
    with use_cassette(tmp_path / "c.yaml", mode="all"):
        for number, args in enumerate(calls):
            record_call("tool", {"args": args}, partial(int, number), boundary="turn")
    with use_cassette(tmp_path / "c.yaml"):
        for number in (2, 0, 1):
            asked = {"openai_key": "test", "note": {"key": f"{number}"}}
            assert record_call("tool", {"args": asked}, lambda: None, boundary="turn") == number


def test_a_second_dummy_call_is_told_that_its_recording_was_played(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "c.yaml", mode="all"):
        record_call("tool", {"args": {"api_key": _KEY}}, lambda: 1, boundary="log_in")
    with use_cassette(tmp_path / "c.yaml"):
        record_call("tool", {"args": {"api_key": "test"}}, lambda: 1, boundary="log_in")
        with pytest.raises(UnmatchedInteractionError, match="already played"):
            record_call("tool", {"args": {"api_key": "test"}}, lambda: 1, boundary="log_in")


def _key_that_takes_out(request: Any) -> Any:
    request["args"].pop("when")
    return request


def _predicate_that_takes_out(asked: Any, recorded: Any) -> bool:
    for each in (asked, recorded):
        each["args"].pop("when", None)
    return bool(asked == recorded)


@pytest.mark.parametrize("matcher", [_key_that_takes_out, _predicate_that_takes_out], ids=["key", "predicate"])
def test_a_matcher_that_changes_what_it_is_given_changes_no_recording(matcher: Any, path: Path) -> None:
    with use_cassette(path, mode="all"):
        ask("why", when=1)
        ask("how", when=1)
    before = Cassette.load(path).interactions

    with use_cassette(path, mode="new_episodes", matchers=matcher) as session:
        assert ask("how", when=2) == "how at 1"
        ask("who", when=3)

    assert session.divergences[0]["actual"] == {"args": {"question": "how", "when": 2}}
    assert Cassette.load(path).interactions[:2] == before
    assert Cassette.load(path).interactions[2].request == {"args": {"question": "who", "when": 3}}


class ByUrl:
    def matches(self, asked: Any, recorded: Any) -> bool:
        return bool(asked["url"] == recorded["url"])


@pytest.mark.parametrize(
    "matcher",
    [lambda asked, recorded: asked["url"] == recorded["url"], lambda asked: asked["method"], ByUrl()],
    ids=["two", "key", "object"],
)
def test_a_matcher_of_http_leaves_the_calls_of_tools_to_the_default(matcher: object, tmp_path: Path) -> None:
    look_up = tool(lambda city: f"{city} is fine", name="look_up")
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        look_up("Rome"), look_up("Oslo")
    with use_cassette(tmp_path / "x.yaml", matchers=[matcher]):
        assert [look_up("Oslo"), look_up("Rome")] == ["Oslo is fine", "Rome is fine"]
    with pytest.raises(UnmatchedInteractionError), use_cassette(tmp_path / "x.yaml", matchers=[matcher]):
        look_up("Bern")
