"""gRPC calls, recorded against a real server and replayed with it gone."""

from __future__ import annotations

import base64
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import struct_pb2, wrappers_pb2

from pytest_agenttape import Cassette, StreamingReplayError, UnmatchedInteractionError, use_cassette
from pytest_agenttape.transports.grpc import calls
from tests.transports.grpc_server import SERVICE, Server, pairs, texts


class Tape:
    """Runs an agent live, then with the server gone."""

    def __init__(self, path: Path, server: Server) -> None:
        self.path, self.server, self.target = path, server, server.target

    def record(self, run: Callable[[Any], Any], **options: Any) -> Any:
        with use_cassette(self.path, mode="all", **options), grpc.insecure_channel(self.target) as channel:
            return run(channel)

    def replay(self, run: Callable[[Any], Any]) -> Any:
        before = len(self.server.calls)
        self.server.stop()
        with use_cassette(self.path) as session, grpc.insecure_channel(self.target) as channel:
            connected: list[Any] = []
            channel.subscribe(connected.append)
            answer = run(channel)
            assert connected == [grpc.ChannelConnectivity.IDLE]
        assert session.unplayed == []
        assert len(self.server.calls) == before
        return answer

    def both(self, run: Callable[[Any], Any]) -> Any:
        live = self.record(run)
        assert self.server.calls
        assert self.replay(run) == live
        return live

    @property
    def interactions(self) -> Any:
        return Cassette.load(self.path).interactions


@pytest.fixture
def tape(tmp_path: Path) -> Iterator[Tape]:
    server = Server()
    yield Tape(tmp_path / "cassette.yaml", server)
    server.stop()


def unary(channel: Any) -> Any:
    return channel.unary_unary(SERVICE + "Unary", **texts())("Paris", metadata=(("x-user", "me"),))


def with_call(channel: Any) -> Any:
    answer, call = channel.unary_unary(SERVICE + "Unary", **texts()).with_call("Paris", timeout=20)
    return answer, call.code(), call.details(), pairs(call.initial_metadata()), pairs(call.trailing_metadata())


def future(channel: Any) -> Any:
    done = []
    asked = channel.unary_unary(SERVICE + "Unary", **texts()).future("Paris", timeout=20)
    answer = asked.result(timeout=10)
    asked.add_done_callback(lambda each: done.append(each.code()))
    return answer, done, asked.exception()


def stream(channel: Any) -> Any:
    return list(channel.unary_stream(SERVICE + "Stream", **texts())("Paris"))


def collect(channel: Any) -> Any:
    return channel.stream_unary(SERVICE + "Collect", **texts())(iter(["a", "b", "c"]))


def collect_future(channel: Any) -> Any:
    return channel.stream_unary(SERVICE + "Collect", **texts()).future(iter(["a", "b", "c"])).result()


def converse(channel: Any) -> Any:
    return list(channel.stream_stream(SERVICE + "Converse", **texts())(iter(["a", "b", "c"])))


def in_turns(channel: Any) -> Any:
    said: queue.Queue[str | None] = queue.Queue()
    heard = []
    said.put("a")
    for answer in channel.stream_stream(SERVICE + "Converse", **texts())(iter(said.get, None)):
        heard.append(answer)
        said.put("b" if len(heard) < 3 else None)
    return heard


RUNS = [unary, with_call, future, stream, collect, collect_future, converse]


@pytest.mark.parametrize("run", RUNS)
def test_a_call_is_recorded_and_replayed(tape: Tape, run: Callable[[Any], Any]) -> None:
    assert tape.both(run)
    (recorded,) = tape.interactions
    assert recorded.kind == "http"
    assert recorded.request["method"] == "GRPC"
    assert recorded.request["url"].startswith(f"grpc://{tape.target}/test.Weather/")


def test_an_error_is_raised_again(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(SERVICE + "Failing")(b"Paris")
        error: Any = caught.value
        return type(error), error.code(), error.details(), pairs(error.trailing_metadata())

    assert tape.both(run)[1:] == (grpc.StatusCode.NOT_FOUND, "no Paris", [("x-why", "unknown place")])


def test_an_error_that_ends_a_stream_is_raised_again(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        heard: list[str] = []
        with pytest.raises(grpc.RpcError) as caught:
            heard.extend(channel.unary_stream(SERVICE + "Stream", **texts())("Nowhere"))
        return heard, caught.value.code(), caught.value.details()  # type: ignore[attr-defined]

    heard, *ending = tape.both(run)
    assert len(heard) == 3
    assert ending == [grpc.StatusCode.NOT_FOUND, "lost"]


def test_a_server_that_is_not_there_is_not_there_again(tape: Tape) -> None:
    tape.server.stop()

    def run(channel: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(SERVICE + "Unary", **texts())("Paris")
        return caught.value.code(), caught.value.details()  # type: ignore[attr-defined]

    live = tape.record(run, allow_errors=True)
    assert live[0] is grpc.StatusCode.UNAVAILABLE
    assert tape.replay(run) == live


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream", "stream_unary", "stream_stream"])
def test_an_unknown_call_is_refused(tape: Tape, kind: str) -> None:
    tape.record(unary)
    before = len(tape.server.calls)
    with use_cassette(tape.path, mode="none"), grpc.insecure_channel(tape.target) as channel:
        ask = getattr(channel, kind)(SERVICE + "Other", **texts())
        with pytest.raises(UnmatchedInteractionError, match=r"GRPC grpc://.*/test.Weather/Other"):
            ask(iter("ab") if kind.startswith("stream") else "Paris")
    assert len(tape.server.calls) == before


@pytest.mark.parametrize("said", ["abX", "ab", "abcd"])
def test_a_drifted_conversation_is_refused(tape: Tape, said: str) -> None:
    tape.record(converse)
    with use_cassette(tape.path, mode="none"), grpc.insecure_channel(tape.target) as channel:
        call = channel.stream_stream(SERVICE + "Converse", **texts())(iter(said))
        with pytest.raises(UnmatchedInteractionError, match="recorded"):
            list(call)


@pytest.mark.parametrize("said", ["", "a", "ab"])
@pytest.mark.parametrize("how", ["left open", "cancelled"])
def test_a_conversation_left_before_all_was_said_is_refused(
    tape: Tape, said: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_MOMENT", 0.05)
    tape.record(in_turns)
    spoken: queue.Queue[str | None] = queue.Queue()
    for word in said:
        spoken.put(word)

    def leave() -> None:
        with use_cassette(tape.path, mode="none"), grpc.insecure_channel(tape.target) as channel:
            call = channel.stream_stream(SERVICE + "Converse", **texts())(iter(spoken.get, None))
            assert [next(call) for _ in said] == [f"heard {word}" for word in said]
            if how == "cancelled":
                call.cancel()

    with pytest.raises(UnmatchedInteractionError, match=f"the agent sent {len(said)} messages, and 3 when"):
        leave()
    spoken.put(None)


def test_a_message_after_the_last_answer_is_refused(tape: Tape) -> None:
    tape.record(in_turns)
    spoken: queue.Queue[str | None] = queue.Queue()
    for word in "abb":
        spoken.put(word)

    def talk() -> None:
        with use_cassette(tape.path, mode="none") as session, grpc.insecure_channel(tape.target) as channel:
            assert len(list(channel.stream_stream(SERVICE + "Converse", **texts())(iter(spoken.get, None)))) == 3
            spoken.put("more")
            spoken.put(None)
            until = time.monotonic() + 10
            while session.verdict.first is None and time.monotonic() < until:
                time.sleep(0.01)

    with pytest.raises(UnmatchedInteractionError, match="message 4 of the agent was not sent"):
        talk()


@pytest.mark.parametrize("name", ["__call__", "_blocking"])
def test_somebody_elses_wrapper_lets_no_call_through(tape: Tape, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = type(grpc.insecure_channel(tape.target).unary_unary("/a/B"))
    known = getattr(kind, name)
    monkeypatch.setattr(kind, name, lambda self, *args, **kwargs: known(self, *args, **kwargs))
    tape.record(unary)
    assert len(tape.interactions) == 1
    before = len(tape.server.calls)
    with use_cassette(tape.path, mode="none"), grpc.insecure_channel(tape.target) as channel:
        with pytest.raises(UnmatchedInteractionError):
            channel.unary_unary(SERVICE + "Unary", **texts())("Rome")
        assert unary(channel)
    assert len(tape.server.calls) == before


def test_an_agent_that_waits_in_turn_for_what_came_later_is_refused(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_agenttape.transports.grpc.replay.LONGEST_WAIT", 0.2)
    tape.record(converse)  # all was said before the first answer came, or nearly all
    stored = yaml.safe_load(tape.path.read_text())
    turns = stored["interactions"][0]["response"]["conversation"]
    turns.sort(key=lambda turn: "received" in turn)
    tape.path.write_text(yaml.safe_dump(stored))
    spoken: queue.Queue[str | None] = queue.Queue()
    spoken.put("a")

    def wait_in_turn() -> None:
        with use_cassette(tape.path, mode="none"), grpc.insecure_channel(tape.target) as channel:
            next(channel.stream_stream(SERVICE + "Converse", **texts())(iter(spoken.get, None)))

    with pytest.raises(UnmatchedInteractionError, match=r"waits for message 1 of the server, .* has sent 1 now"):
        wait_in_turn()
    spoken.put(None)


def test_a_conversation_is_held_in_turns(tape: Tape) -> None:
    assert tape.both(in_turns) == ["heard a", "heard b", "heard b"]


def test_a_stream_that_was_left_early_ends_where_its_reader_did(tape: Tape) -> None:
    def run(channel: Any, count: int = 2) -> Any:
        call = channel.unary_stream(SERVICE + "Stream", **texts())("Paris")
        heard = [next(call) for _ in range(count)]
        time.sleep(0.2)
        call.cancel()
        return heard

    assert tape.both(run)
    assert tape.interactions[0].response["complete"] is False
    with pytest.raises(StreamingReplayError), use_cassette(tape.path, mode="none"):
        run(grpc.insecure_channel(tape.target), 3)


def test_a_deadline_is_of_the_real_clock(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(SERVICE + "Slow")(b"", timeout=0.3)
        return caught.value.code()  # type: ignore[attr-defined]

    assert tape.record(with_call, freeze=("clock",))
    time.sleep(0.1)
    tape.record(run, freeze=("clock",), allow_errors=True)
    assert tape.replay(run) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_channel_and_a_stub_made_before_are_recorded_too(tape: Tape) -> None:
    channel = grpc.insecure_channel(tape.target)
    stub = channel.unary_unary(SERVICE + "Unary", **texts())
    assert tape.both(lambda _: stub("Paris")) == "sunny in Paris"
    channel.close()


def test_interceptors_of_the_users_are_above(tape: Tape) -> None:
    class Adds(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            return continuation(details, request + "!")

    def run(channel: Any) -> Any:
        return grpc.intercept_channel(channel, Adds()).unary_unary(SERVICE + "Unary", **texts())("Paris")

    assert tape.both(run) == "sunny in Paris!"
    assert tape.interactions[0].request["text"] == "Paris!"


def test_a_channel_is_ready_in_replay(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        grpc.channel_ready_future(channel).result(timeout=10)
        return unary(channel)

    assert tape.both(run)


def test_a_single_threaded_stream_is_recorded(tape: Tape) -> None:
    options = [(grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)]

    def run(_: Any) -> Any:
        with grpc.insecure_channel(tape.target, options=options) as channel:
            return stream(channel)

    assert tape.both(run)


def struct(channel: Any, city: str = "Paris") -> Any:
    asked = struct_pb2.Struct()
    asked.update({"city": city, "days": 3, **{f"k{number}": number for number in range(20)}})
    ask = channel.unary_unary(
        SERVICE + "Struct",
        request_serializer=struct_pb2.Struct.SerializeToString,
        response_deserializer=struct_pb2.Struct.FromString,
    )
    return ask(asked)


def test_protobuf_is_readable_without_secrets_and_comes_back(tape: Tape) -> None:
    live = tape.record(struct)
    (recorded,) = tape.interactions
    assert recorded.request["message"]["city"] == "Paris"
    assert recorded.response["message"]["weather"] == "sunny"
    assert "sk-ant" not in tape.path.read_text()
    again = tape.replay(struct)
    assert again["weather"] == live["weather"]
    assert again["api_key"] != live["api_key"]
    assert recorded.response["message"]["api_key"] == again["api_key"]
    assert struct_pb2.Struct.FromString(base64.b64decode(recorded.response["body_b64"])) == again


def test_what_a_drifted_message_says_is_told_without_its_bytes(tape: Tape) -> None:
    tape.record(struct)
    told = pytest.raises(UnmatchedInteractionError)
    with told as refused, use_cassette(tape.path), grpc.insecure_channel(tape.target) as channel:
        struct(channel, city="Rome")
    assert [tuple(each) for each in refused.value.field_diffs] == [("message.city", "'Paris'", "'Rome'")]
    assert "body_b64" not in str(refused.value)


def test_a_secret_is_in_no_form_of_a_message(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        asked = struct_pb2.Struct()
        asked.update({"city": "Paris", "password": "pw-Short2"})
        ask = channel.unary_unary(SERVICE + "Unary", request_serializer=struct_pb2.Struct.SerializeToString)
        return len(ask(asked, metadata=(("x-thing-bin", b"\x01" + KEY.encode()),))) > 0

    tape.both(run)
    (recorded,) = tape.interactions
    assert "body_b64" not in recorded.request
    assert "pw-Short2" not in str(recorded.request["message"])
    assert KEY.encode() not in base64.b64decode(recorded.request["headers"]["x-thing-bin"])


def test_bytes_of_a_message_are_searched(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        asked = wrappers_pb2.BytesValue(value=b'{"api_key": "' + KEY.encode() + b'"}')
        ask = channel.unary_unary(SERVICE + "Unary", request_serializer=wrappers_pb2.BytesValue.SerializeToString)
        return len(ask(asked)) > 0

    tape.both(run)
    (recorded,) = tape.interactions
    assert KEY.encode() not in base64.b64decode(recorded.request["message"])
    assert "body_b64" not in recorded.request


def test_credentials_in_metadata_are_redacted(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        metadata = (("authorization", "Bearer abcdefghijklmnop0123456789"), ("x-trace-bin", b"\x00\x01"))
        return channel.unary_unary(SERVICE + "Unary", **texts())("Paris", metadata=metadata)

    tape.both(run)
    assert "abcdefghijklmnop" not in tape.path.read_text()


def test_bytes_of_metadata_come_back(tape: Tape) -> None:
    assert dict(tape.both(with_call)[3])["x-raw-bin"] == b"\x00\xff"


def test_an_ignored_host_is_real_in_replay(pytester: pytest.Pytester, tape: Tape) -> None:
    pytester.makeini("[pytest]\nagenttape_ignore_hosts = 127.0.0.1")
    pytester.makepyfile(
        f"""
        import grpc
        import pytest

        @pytest.mark.agenttape(mode="none")
        def test_agent():
            with grpc.insecure_channel("{tape.target}") as channel:
                assert channel.unary_unary("{SERVICE}Unary")(b"Paris") == b"sunny in Paris"
        """
    )
    pytester.runpytest_subprocess()
    assert tape.server.calls == ["unary"]


def test_threads_are_replayed(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        ask = channel.unary_unary(SERVICE + "Unary", **texts())
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(ask, [f"place {number}" for number in range(12)]))

    assert tape.both(run)


def test_a_request_that_cannot_be_serialized_is_not_sent(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(SERVICE + "Unary", request_serializer=lambda _: 1 / 0)("Paris")
        return caught.value.details()  # type: ignore[attr-defined]

    with use_cassette(tape.path, mode="all"), grpc.insecure_channel(tape.target) as channel:
        assert run(channel) == "Exception serializing request!"


def test_the_verdict_is_red_where_the_agent_swallows_the_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import grpc
        import pytest

        @pytest.mark.agenttape(mode="none")
        def test_agent(agenttape):
            with grpc.insecure_channel("127.0.0.1:1") as channel:
                try:
                    list(channel.stream_stream("/a.B/C")(iter([b"1"])))
                except Exception:
                    pass
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == 1


def test_nothing_is_frozen_for_grpc_without_a_session() -> None:
    assert abs(grpc._channel._deadline(5) - time.time() - 5) < 1


def test_a_broken_request_is_not_sent(tape: Tape) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise ValueError("broken")

    with use_cassette(tape.path, mode="all"), grpc.insecure_channel(tape.target) as channel:
        for requests in (broken(), iter(["a", 1])):
            with pytest.raises(grpc.RpcError, match=r"Exception (iterating|serializing) request"):
                channel.stream_unary(SERVICE + "Collect", **texts())(requests)
    assert tape.server.calls == []


def test_metadata_that_can_be_read_once_is_sent(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        return channel.unary_unary(SERVICE + "Unary", **texts())("Paris", metadata=iter([("x-user", "me")]))

    assert tape.both(run)
    assert tape.interactions[0].request["headers"] == {"x-user": "me"}


def test_a_closed_channel_is_closed_again(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        channel.close()
        with pytest.raises(ValueError) as caught:
            unary(channel)
        return str(caught.value)

    live = tape.record(run)
    assert tape.replay(run) == live


def test_a_future_that_was_not_waited_for_is_not_waited_for_again(tape: Tape) -> None:
    def run(channel: Any, timeout: float | None = 0.2) -> Any:
        with pytest.raises(grpc.FutureTimeoutError):
            channel.unary_unary(SERVICE + "Slow").future(b"").result(timeout=timeout)
        return "gave up"

    assert tape.both(run)
    with pytest.raises(StreamingReplayError), use_cassette(tape.path, mode="none"):
        run(grpc.insecure_channel(tape.target), None)


def test_in_replay_no_channel_connects(tape: Tape) -> None:
    tape.record(unary)
    tape.server.stop()
    with socket.create_server(("127.0.0.1", tape.server.port)) as listener:
        listener.settimeout(0.5)
        with use_cassette(tape.path, mode="none"), grpc.insecure_channel(tape.target) as channel:
            unary(channel)
            grpc.channel_ready_future(channel).result(timeout=5)
            with pytest.raises(TimeoutError):
                listener.accept()


KEY = "sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz"


def test_secrets_in_a_conversation_are_redacted_and_still_compared(tape: Tape) -> None:
    def run(channel: Any, last: str = "c") -> Any:
        said = [f"key {KEY}", "b", last]
        return [len(each) > 0 for each in channel.stream_stream(SERVICE + "Converse", **texts())(iter(said))]

    tape.both(run)
    assert KEY not in tape.path.read_text()
    with pytest.raises(UnmatchedInteractionError), use_cassette(tape.path, mode="none"):
        run(grpc.insecure_channel(tape.target), "other")


def test_secrets_in_bytes_are_redacted_and_still_match(tape: Tape) -> None:
    def run(channel: Any) -> Any:
        asked = struct_pb2.Struct()
        asked.update({"city": "Paris", "api_key": KEY})
        ask = {"request_serializer": struct_pb2.Struct.SerializeToString}
        messages = channel.stream_unary(SERVICE + "Collect", **ask)(iter([asked, asked]))
        return len(messages) > 0, len(channel.unary_unary(SERVICE + "Unary", **ask)(asked)) > 0

    tape.both(run)
    text = tape.path.read_text()
    assert KEY not in text
    for found in re.findall(r"body_b64: (\S+)", text):
        assert KEY.encode() not in base64.b64decode(found)


@pytest.mark.parametrize("mode", ["all", "none"])
def test_traces_are_neither_sent_nor_recorded(tape: Tape, mode: str) -> None:
    tape.record(unary)
    before = len(tape.server.calls)
    with use_cassette(tape.path, mode=mode) as session, grpc.insecure_channel(tape.target) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        thread = threading.Thread(target=lambda: answers.append(export(b"spans", timeout=5)))
        answers: list[bytes] = []
        thread.start()
        thread.join()
        assert answers == [b""]
        assert session.interactions == []
    assert len(tape.server.calls) == before
