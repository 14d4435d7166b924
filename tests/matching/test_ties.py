"""Of several recordings of equal requests, the one answers that agrees in what is not compared."""

from __future__ import annotations

import pytest

from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.matchers import parse_matchers
from pytest_agenttape.matching.tape import Tape
from pytest_agenttape.model import JSON, Call, Interaction

RULES = KeyRules()


def request(url: str = "https://e.com/me", **headers: str) -> dict[str, JSON]:
    return {"method": "GET", "url": url, "headers": dict(headers)}


def tape(*requests: dict[str, JSON]) -> Tape:
    recordings = [
        Interaction(index=index, kind="http", request=each, response={"status": 200})
        for index, each in enumerate(requests)
    ]
    return Tape(recordings, parse_matchers("ignore_volatile", RULES), RULES)


def served(tape: Tape, *asked: dict[str, JSON]) -> list[tuple[int, bool]]:
    found = [tape.take(Call("http", None, each)) for each in asked]
    return [(each.recorded.index, each.agrees) for each in found if each is not None]


def user(number: int, url: str = "https://e.com/me") -> dict[str, JSON]:
    return request(url, authorization=f"Bearer REDACTED000{number}")


def test_equal_requests_are_served_in_recorded_order() -> None:
    assert served(tape(user(1), user(1), user(1)), *[user(7)] * 3) == [(0, True), (1, True), (2, True)]


def test_two_users_are_told_apart_by_the_order_of_their_first_calls() -> None:
    recorded = user(1, "https://e.com/a"), user(2, "https://e.com/b"), user(1), user(2), user(1)
    asked = user(5, "https://e.com/a"), user(4, "https://e.com/b"), user(4), user(5), user(5)
    assert [index for index, _ in served(tape(*recorded), *asked)] == [0, 1, 3, 2, 4]


def test_two_users_whose_first_calls_are_equal_are_not_mixed_up_afterwards() -> None:
    assert [index for index, _ in served(tape(user(1), user(2), user(1), user(2)), *map(user, (8, 9, 9, 8)))] == [
        0,
        1,
        3,
        2,
    ]


def test_one_user_in_place_of_two_is_served_all_the_same() -> None:
    assert [index for index, _ in served(tape(user(1), user(2), user(2)), *[user(3)] * 3)] == [0, 1, 2]


@pytest.mark.parametrize("urls", [("http://127.0.0.1:1001/x", "http://127.0.0.1:1002/x")])
def test_two_servers_of_a_test_are_told_apart(urls: tuple[str, str]) -> None:
    one, two = urls
    recorded = tape(request(one), request(two), request(one), request(two))
    now = {1: request("http://127.0.0.1:7001/x"), 2: request("http://127.0.0.1:7002/x")}
    assert [index for index, _ in served(recorded, now[1], now[2], now[2], now[1])] == [0, 1, 3, 2]


def test_a_volatile_parameter_that_agrees_comes_first_and_one_that_agrees_with_none_is_told() -> None:
    def at(moment: int) -> dict[str, JSON]:
        return request(f"https://e.com/x?ts={moment}")

    recorded = tape(at(1111), at(2222), at(3333))
    assert served(recorded, at(2222), at(2222), at(3333)) == [(1, True), (0, False), (2, True)]


def test_a_header_that_is_not_compared_is_preferred() -> None:
    recorded = tape(request(**{"x-tenant": "a"}), request(**{"x-tenant": "b"}))
    assert served(recorded, request(**{"x-tenant": "b"}), request(**{"x-tenant": "a"})) == [(1, True), (0, True)]


def test_what_differs_in_each_run_by_its_nature_is_no_divergence() -> None:
    recorded = tape(request(traceparent="a"), request(traceparent="b"))
    assert served(recorded, request(traceparent="c"), request(traceparent="d")) == [(0, True), (1, True)]


def test_two_users_are_told_apart_by_secrets_in_bodies() -> None:
    def post(number: int) -> dict[str, JSON]:
        return {"method": "POST", "url": "https://e.com/", "headers": {}, "json": {"api_key": f"REDACTED000{number}"}}

    recorded = tape(post(1), post(2), post(1), post(2))
    assert [index for index, _ in served(recorded, *map(post, (7, 8, 8, 7)))] == [0, 1, 3, 2]


def test_where_the_base_is_not_compared_it_is_preferred() -> None:
    rules = KeyRules.of((), base_url=False)
    urls = [f"https://{host}.com/v1/chat/completions" for host in ("one", "two")]
    recordings = [
        Interaction(index=index, kind="llm", request={**request(url), "method": "POST"}, response={"status": 200})
        for index, url in enumerate([urls[0], urls[0], urls[1], urls[1]])
    ]
    both = Tape(recordings, parse_matchers("ignore_volatile", rules), rules)
    asked = [Call("llm", None, {**request(url), "method": "POST"}) for url in (urls[1], urls[0], urls[1], urls[0])]
    assert [found.recorded.index for each in asked if (found := both.take(each))] == [2, 0, 3, 1]
