"""What holds for the stream of every provider: a test inherits `StreamLaws` and says what is streamed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from pytest_agenttape import Cassette, Interaction, diff_cassettes, use_cassette
from pytest_agenttape.bodies import encode_body
from pytest_agenttape.providers import Answer, Operation, identify, read_answer
from tests.standin import raw
from tests.transports.conftest import Recorder

EVENTS, LINES, JSON = "text/event-stream", "application/x-ndjson", "application/json"


class Api(Recorder):
    """One path of a provider's API, and an agent that asks it; what it answers is given byte for byte."""

    def answers(
        self, to: str, *bodies: bytes | list[bytes], kind: str = JSON, status: int = 200, **made_up: str
    ) -> None:
        """Queue *bodies*; a list is streamed."""
        headers = {"content-type": kind, **{name.replace("_", "-"): value for name, value in made_up.items()}}
        for body in bodies:
            self.provider.reply(raw(body, headers, status=status, chunk_delay=0.02), to=to)

    def replay(self, run: Any, **options: Any) -> Any:
        """Run from the cassette with the server gone."""
        self.provider.stop()
        try:
            return super().replay(run, **options)
        finally:
            self.provider.start()

    def ask(self, to: str, body: object, take: int | None = None) -> bytes:
        """Ask and read *take* bytes, or all."""
        got = b""
        with httpx.stream("POST", self.provider.url + to, json=body) as response:
            for chunk in response.iter_raw():
                got += chunk
                if take is not None and len(got) >= take:
                    break
        return got

    @property
    def recorded(self) -> Interaction:
        """The only interaction."""
        [interaction] = self.interactions
        return interaction


def stored(body: bytes, kind: str = JSON, status: int = 200) -> dict[str, Any]:
    """Return the response that a cassette holds."""
    return {"status": status, "headers": {}, **encode_body(body, kind)}


@dataclass(frozen=True)
class Stream:
    """One answer of a provider as it is streamed.

    Attributes:
        path: Where it is asked for.
        request: The body that asks.
        operation: What is recognised.
        pieces: The events or lines.
        again: The same answer at another time: with other ids, times and cuts.
        other: Another answer.
        answer: What is read.
        whole: The same answer where it is not streamed, if there is such.
        kind: The content type.
    """

    path: str
    request: dict[str, Any]
    operation: Operation
    pieces: list[bytes]
    again: list[bytes]
    other: list[bytes]
    answer: Answer
    whole: bytes | None = None
    kind: str = EVENTS


class StreamLaws:
    stream: Stream

    @pytest.mark.parametrize("base", ["https://api.example.com", "http://127.0.0.1:9/proxy"])
    def test_it_is_recognised_by_method_path_and_body_on_any_host(self, base: str) -> None:
        url, request = base + self.stream.path, self.stream.request
        assert identify("POST", url, request) == self.stream.operation
        assert identify("POST", f"{url}?x=1", request) == self.stream.operation
        assert identify("GET", url, request) is None
        assert identify("POST", url, {"id": 1}) is None
        assert identify("POST", f"{base}/other", request) is None

    def test_it_reads_the_same_whole_and_streamed(self) -> None:
        assert (
            read_answer(self.stream.operation, stored(b"".join(self.stream.pieces), self.stream.kind))
            == self.stream.answer
        )
        if self.stream.whole is not None:
            assert read_answer(self.stream.operation, stored(self.stream.whole)) == self.stream.answer

    def test_cut_anywhere_it_gives_what_was_there(self) -> None:
        sent = b"".join(self.stream.pieces)
        for end in range(0, len(sent), 5):
            answer = read_answer(self.stream.operation, stored(sent[:end], self.stream.kind))
            assert self.stream.answer.text.startswith(answer.text)
            assert len(answer.tool_calls) <= len(self.stream.answer.tool_calls)

    def test_a_recorded_stream_is_an_llm_call_and_replays_equal(self, api: Api) -> None:
        interaction = self._recorded(api, self.stream.pieces)
        assert (interaction.kind, interaction.boundary) == ("llm", self.stream.operation.boundary)
        told = {"provider": self.stream.operation.provider, "operation": self.stream.operation.operation}
        assert interaction.metadata.items() >= told.items()
        assert interaction.model == self.stream.operation.model
        assert interaction.usage == self.stream.answer.usage
        assert "complete" not in interaction.response
        assert "events" in interaction.response
        assert api.replay(self._asking(api)) == b"".join(self.stream.pieces)

    @pytest.mark.parametrize("pieces_left", [0, 1, 2], ids=["after", "before", "long-before"])
    def test_left_after_its_last_piece_it_is_whole(self, api: Api, pieces_left: int) -> None:
        sent = self.stream.pieces[: len(self.stream.pieces) - pieces_left]
        rest = self.stream.pieces[len(sent) :] or [b"\n"]
        chunks = [b"".join(sent), *rest]
        interaction = self._recorded(api, chunks, take=len(chunks[0]))
        assert interaction.response.get("complete", True) is (pieces_left == 0)

    def test_left_in_the_middle_of_a_piece_it_is_not_whole(self, api: Api) -> None:
        *before, last = self.stream.pieces
        chunks = [b"".join(before) + last[: len(last) // 2], last[len(last) // 2 :]]
        interaction = self._recorded(api, chunks, take=len(chunks[0]))
        assert interaction.response["complete"] is False

    def test_two_recordings_of_one_conversation_are_identical(self, api: Api) -> None:
        first, second = self._recorded(api, self.stream.pieces), self._recorded(api, self.stream.again)
        assert first.response != second.response
        assert diff_cassettes(Cassette(interactions=[first]), Cassette(interactions=[second])).identical
        assert not Cassette(interactions=[first]).save(api.path)

    def test_another_answer_is_a_change(self, api: Api) -> None:
        first, other = self._recorded(api, self.stream.pieces), self._recorded(api, self.stream.other)
        found = diff_cassettes(Cassette(interactions=[first]), Cassette(interactions=[replace(other, index=0)]))
        [changed] = found.changed_calls
        assert changed.name == self.stream.operation.boundary

    def _asking(self, api: Api, take: int | None = None) -> Any:
        return lambda: api.ask(self.stream.path, self.stream.request, take)

    def _recorded(self, api: Api, chunks: list[bytes], take: int | None = None) -> Interaction:
        api.answers(self.stream.path, chunks, kind=self.stream.kind)
        api.path.unlink(missing_ok=True)  # or what says the same would leave it as it is
        with use_cassette(api.path, mode="all"):
            api.ask(self.stream.path, self.stream.request, take)
        return api.recorded
