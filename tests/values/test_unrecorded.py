"""What an exception carries and no recording can hold is there in replay, and refuses to be used."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_agenttape import tool, use_cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.values import decode_error, encode_error, watch_use


class Client:
    """Something live, which no cassette can hold."""


class OddError(Exception):
    def __init__(self, *, status_code: int, body: object, client: object) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code
        self.body = body
        self.client = client


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


USES: dict[str, Callable[[Any], object]] = {
    "an attribute": lambda client: client.host,
    "a call": lambda client: client(),
    "its truth": bool,
    "a comparison": lambda client: client == 1,
    "an entry": lambda client: client["host"],
    "iteration": list,
    "a block": lambda client: client.__enter__(),
    "a change": lambda client: setattr(client, "host", "127.0.0.1"),
    "waiting": lambda client: client.__await__(),
    "an order": lambda client: client < 1,
    "a number": int,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_an_exception_carries_and_cannot_be_recorded_refuses_to_be_used(use: Callable[[Any], object]) -> None:
    again: Any = decode_error(encode_error(OddError(status_code=429, body=None, client=Client())))
    refused: list[Exception] = []
    watch_use(again, refused.append)
    with pytest.raises(
        AgentTapeError, match=r"^OddError\.client: <class '.*\.Client'> could not be recorded"
    ) as caught:
        use(again.client)
    assert refused == [caught.value]
    assert "not recorded" in str(again.client)
    assert copy.deepcopy(again.client) is not None
    assert encode_error(again)["attributes"]["client"] == {
        "$type": "unrecorded",
        "class": f"<class '{__name__}.Client'>",
    }


def test_an_argument_of_an_exception_that_cannot_be_recorded_leaves_its_text() -> None:
    for error in (ValueError(Client()), KeyError(Client()), ValueError("no answer", Client())):
        again = decode_error(encode_error(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        with pytest.raises(AgentTapeError, match="could not be recorded"):
            again.args[-1].call()


def test_an_error_in_an_error_keeps_what_can_be_recorded_of_it() -> None:
    below = OddError(status_code=503, body="gone", client=Client())
    again: Any = decode_error(encode_error(ValueError(below)))
    assert (again.args[0].status_code, again.args[0].body) == (503, "gone")
    refused: list[Exception] = []
    watch_use(again, refused.append)
    with pytest.raises(AgentTapeError, match=r"^ValueError\.args\[0\]\.client: "):
        again.args[0].client.call()
    assert len(refused) == 1


@tool
def fetch() -> None:
    raise OddError(status_code=503, body={"wait": 2}, client=Client())


def test_an_agent_that_uses_it_in_replay_is_told(tmp_path: Any) -> None:
    def run() -> int:
        try:
            fetch()
        except OddError as error:
            return int(error.body["wait"]) if error.client else 0  # type: ignore[index]
        return 0

    with use_cassette(tmp_path / "a.yaml", mode="all"):
        assert run() == 2
    assert "client: &" not in (tmp_path / "a.yaml").read_text()
    with (
        use_cassette(tmp_path / "a.yaml"),
        pytest.raises(AgentTapeError, match=r"^OddError\.client: .*Client'> could not be recorded"),
    ):
        run()


@pytest.mark.parametrize(
    ("error", "carrier"),
    [
        (ExceptionGroup("both", [OddError(status_code=503, body="gone", client=Client())]), "exceptions[0]"),
        (caused(ValueError("no"), OddError(status_code=503, body="gone", client=Client())), "__cause__"),
    ],
    ids=["a group", "a cause"],
)
def test_what_an_error_behind_it_carries_refuses_too(error: Exception, carrier: str) -> None:
    again: Any = decode_error(encode_error(error))
    refused: list[Exception] = []
    watch_use(again, refused.append)
    behind = again.__cause__ or again.exceptions[0]
    with pytest.raises(AgentTapeError, match=rf"^{type(error).__name__}\.{re.escape(carrier)}\.client: "):
        behind.client.call()
    assert len(refused) == 1
